"""Praat's TextGrid, long and short (Montreal Forced Aligner, MAUS)."""

from __future__ import annotations

import re

from facepick.errors import UserInputError
from facepick.speech.timings.rows import MAX_ITEMS, NUMBER, Found, Row, of_tiers

__all__ = ["read_textgrid"]


def read_textgrid(name: str, text: str) -> Found:
    """Read Praat's text files: free-standing numbers and texts in quotes; all else is comment."""
    piece = rf'"(?:[^"]|"")*"|<exists>|<absent>|(?<!\S){NUMBER}(?!\S)|^[ \t]*![^\n]*'
    found: list[str] = re.findall(piece, text, re.M | re.I)
    tokens = [t for t in found if not t.lstrip().startswith("!")]
    at = 0

    def text_of() -> str:
        nonlocal at
        if at >= len(tokens) or tokens[at][0] != '"':
            raise UserInputError(f"{name} is cut off, or no TextGrid.")
        at += 1
        return tokens[at - 1][1:-1].replace('""', '"')

    def number() -> float:
        nonlocal at
        if at >= len(tokens) or tokens[at][0] in '"<':
            raise UserInputError(f"{name} is cut off, or no TextGrid.")
        at += 1
        return float(tokens[at - 1])

    def count() -> int:
        value = number()
        if not 0 <= value <= MAX_ITEMS or value != int(value):
            raise UserInputError(f"{name} is cut off, or no TextGrid.")
        return int(value)

    text_of()
    if text_of() != "TextGrid":
        raise UserInputError(f"{name} is a file of Praat, but no TextGrid.")
    number(), number()
    if at >= len(tokens) or tokens[at] != "<exists>":
        raise UserInputError(f"{name} has no tiers.")
    at += 1
    tiers: list[tuple[str, list[Row]]] = []
    for _ in range(count()):
        kind, title = text_of(), text_of()
        number(), number()
        rows = []
        for k in range(count()):
            start = number()
            stop = number() if kind == "IntervalTier" else start
            label = text_of()
            rows.append(Row(start, stop, label, f"{name}, tier {title!r:.40}, interval {k + 1}"))
        if kind == "IntervalTier":
            tiers.append((title, rows))
    return of_tiers(name, tiers)
