"""CTM files of Kaldi and other recognisers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from facepick.speech.timings.rows import NUMBER, Row, one_only

__all__ = ["read_ctm"]


def read_ctm(name: str, lines: Sequence[tuple[int, str]]) -> list[Row] | None:
    """Read recording, channel, start, duration, name, confidence."""
    rows, recordings = [], set()
    for number, row in lines:
        if row.startswith(";;"):
            continue
        parts = row.split()
        if not 5 <= len(parts) <= 8 or not all(re.fullmatch(NUMBER, p, re.I) for p in parts[2:4]):
            return None
        recordings.add((parts[0], parts[1]))
        start = float(parts[2])
        rows.append(Row(start, start + float(parts[3]), parts[4], f"{name}, line {number}"))
    one_only(name, "recordings", {" ".join(pair) for pair in recordings})
    return rows
