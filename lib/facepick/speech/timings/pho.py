"""Phone lists of speech synthesisers: MBROLA's ``.pho`` and flite's ``-psdur``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from facepick.speech.timings.rows import NUMBER, Row

__all__ = ["read_flite", "read_pho"]


def read_flite(name: str, text: str) -> list[Row]:
    """Read ``flite -psdur``: names and the times at which they end."""
    rows, start = [], 0.0
    for number, token in enumerate(text.split(), 1):
        label, _, end = token.rpartition(":")
        rows.append(Row(start, float(end), label, f"{name}, entry {number}"))
        start = float(end)
    return rows


def read_pho(name: str, lines: Sequence[tuple[int, str]]) -> list[Row] | None:
    """Read MBROLA: name, milliseconds, then pairs of place and pitch."""
    rows, start = [], 0.0
    for number, row in lines:
        parts = row.split()
        if parts[0].startswith(";") or parts == ["#"]:
            continue
        if len(parts) < 2 or not all(re.fullmatch(NUMBER, p, re.I) for p in parts[1:]):
            return None
        stop = start + float(parts[1]) / 1000
        rows.append(Row(start, stop, parts[0], f"{name}, line {number}"))
        start = stop
    return rows or None
