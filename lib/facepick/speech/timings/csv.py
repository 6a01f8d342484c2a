"""CSV of the Montreal Forced Aligner."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from facepick.speech.timings.rows import Found, Row, one_only, seconds_of

__all__ = ["read_csv"]


def read_csv(name: str, lines: Sequence[tuple[int, str]]) -> Found:
    """Read rows of begin, end, label and type."""
    phones: list[Row] = []
    words: list[Row] = []
    speakers = set()
    reader = csv.DictReader(row for _, row in lines)
    for number, entry in enumerate(reader, 2):
        row = {str(k).strip().lower(): v for k, v in entry.items()}
        where = f"{name}, line {number}"
        start, stop = (seconds_of(where, row.get(key)) for key in ("begin", "end"))
        speakers.add(row.get("speaker"))
        into = words if str(row.get("type")).lower().startswith("word") else phones
        into.append(Row(start, stop, str(row.get("label") or ""), where))
    one_only(name, "speakers", speakers)
    return Found(phones=phones, words=words)
