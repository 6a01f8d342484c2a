"""Label files of HTK, Festival and Audacity."""

from __future__ import annotations

import re
from collections.abc import Sequence

from facepick.speech.timings.rows import NUMBER, Row

__all__ = ["read_festival", "read_labels"]


def read_festival(name: str, lines: Sequence[tuple[int, str]]) -> list[Row] | None:
    """Read Festival and ESPS: a head that ends with ``#``, then end, colour and name."""
    head = next((k for k, (_, row) in enumerate(lines) if row.strip() == "#"), None)
    if head is None:
        return None
    rows, start = [], 0.0
    for number, row in lines[head + 1 :]:
        parts = row.split(None, 2)
        if not re.fullmatch(NUMBER, parts[0], re.I) or len(parts) < 2:
            return None
        label = parts[2].split(";")[0].strip() if len(parts) > 2 else ""
        rows.append(Row(start, float(parts[0]), label, f"{name}, line {number}"))
        start = float(parts[0])
    return rows or None


def read_labels(name: str, lines: Sequence[tuple[int, str]]) -> list[Row] | None:
    """Read start, end, name: of Audacity in seconds, of HTK in units of 100 ns."""
    found = []
    for number, row in lines:
        # HTK's master files put names of recordings and dots between, Audacity the frequencies.
        if row.startswith(("\\", "#!MLF", '"')) or row.strip() == ".":
            continue
        parts = row.split(None, 2)
        if len(parts) < 2 or not all(re.fullmatch(NUMBER, p, re.I) for p in parts[:2]):
            return None
        found.append((parts[0], parts[1], parts[2].strip() if len(parts) > 2 else "", number))
    whole = all(re.fullmatch(r"\d+", p) for start, stop, _, _ in found for p in (start, stop))
    # Speech of a thousand seconds without a fraction anywhere is none.
    htk = whole and max((int(stop) for _, stop, _, _ in found), default=0) > 1000
    rows = []
    for start, stop, label, number in found:
        unit = 1e-7 if htk else 1.0
        # HTK adds scores and the word after the name.
        text = (label.split() or [""])[0] if htk else label
        rows.append(Row(unit * float(start), unit * float(stop), text, f"{name}, line {number}"))
    return rows
