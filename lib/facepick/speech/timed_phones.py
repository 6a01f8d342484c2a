"""Phones and words whose times were given: by a speech synthesiser, or by an aligner.

Nothing is aligned where phones are given.  Given words are aligned, each about where it was told
to be, so that an error cannot wander.  Where nothing was given the sound is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from facepick.speech.acoustic import HOP_SECONDS, PHONES, PhoneScores
from facepick.speech.align import (
    CLOSED,
    INDEX,
    SILENCE,
    VOICE_PASSES,
    adapted,
    align,
    pronounce,
)
from facepick.speech.line import SpeechLine, Timed

__all__ = ["Given", "given_phones", "hold_closures"]

Array = npt.NDArray[np.float32]

_CLOSED = [INDEX[name] for name in CLOSED]

SLACK = 10
"""Columns, 0.1 s: how far the given edges of a word may be off."""
PAUSE = 30
"""Columns, 0.3 s: in a longer gap between words there may be words that were not found."""
SHORTEST_CLOSURE = 5
"""Columns, 50 ms.  Synthesisers give a "b" 20 to 40 ms, less than a frame of video, in which it
would be averaged away; lips need twice that.  Of four synthetic voices 83, 71, 81 and 73 closures
of 100 are asked for as the times stand, with this 96, 95, 100 and 100; openings still follow the
phones at r 0.97 to 0.99."""


@dataclass(frozen=True, eq=False)
class Given:
    """Facts of a line that were given with it.

    Attributes:
        posteriors: (t, 42) float32, one-hot where `known`.
        known: (t,) bool.
        route: ``phones`` or ``words``.
        pronunciation: where the phones of words come from; empty for phones.
    """

    posteriors: Array
    known: npt.NDArray[np.bool_]
    route: str
    pronunciation: str = ""


def given_phones(line: SpeechLine, scores: PhoneScores, *, language: str) -> Given | None:
    """Lay the given phones of a line in columns of 10 ms, or None where it brings none.

    Args:
        line: its times count from the first sample of its file, what is skipped included.
        scores: (t, ...) of the line's own columns.
        language: of words, as espeak-ng names it.
    """
    if line.phones is None:
        return None
    out = np.zeros((len(scores), len(PHONES)), np.float32)
    if line.phones.phones:
        for item in line.phones.phones:
            first, last = _columns(item, line.offset_seconds, len(out))
            out[first:last] = 0.0
            out[first:last, INDEX.get(item.label, SILENCE)] = 1.0
        hold_closures(out)
        return Given(out, out.max(axis=1) > 0, "phones")
    return _given_words(line, scores, language)


def _given_words(line: SpeechLine, scores: PhoneScores, language: str) -> Given | None:
    """Align words about where they were told to be; long gaps between them stay unknown."""
    out = np.zeros((len(scores), len(PHONES)), np.float32)
    known = np.zeros(len(out), bool)
    assert line.phones is not None
    items = line.phones.words
    said, pronunciation = _spoken(items, language)
    words, spans = [], []
    for item, phones in zip(items, said, strict=True):
        first, last = (
            round((t - line.offset_seconds) / HOP_SECONDS) for t in (item.start, item.stop)
        )
        # A word that is cut is left to the sound.
        if phones and first >= 0 and last <= len(out) + SLACK:
            words.append(phones)
            spans.append((first, min(last, len(out))))
    if not words:
        return None
    windows = [(first - SLACK, last + SLACK) for first, last in spans]
    found = align(scores, words, windows=windows)
    if found is None:
        for phones, (first, last) in zip(words, spans, strict=True):
            edges = np.linspace(first, last, len(phones) + 1).round().astype(int)
            for phone, (a, b) in zip(phones, pairwise(edges), strict=True):
                out[a:b] = 0.0
                out[a:b, phone] = 1.0
            known[first:last] = True
    else:
        for first, last in spans:
            known[max(0, first - PAUSE // 2) : last + PAUSE // 2] = True
        for _ in range(VOICE_PASSES):
            heard = found.posteriors(len(out)) * known[:, None]
            found = align(adapted(scores, heard), words, windows=windows) or found
        out = found.posteriors(len(out))
        known |= out[:, SILENCE] == 0
    hold_closures(out)
    return Given(out, known, "words", pronunciation)


def hold_closures(rows: Array) -> None:
    """Lengthen "p", "b" and "m" that are too short to be seen, to both sides, in place."""
    named = np.where(rows.max(axis=1) > 0, rows.argmax(axis=1), -1)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(named)) + 1, [len(named)]])
    for first, last in pairwise(edges):
        if first == last or named[first] not in _CLOSED or last - first >= SHORTEST_CLOSURE:
            continue
        missing = SHORTEST_CLOSURE - (last - first)
        held = slice(max(0, first - (missing + 1) // 2), last + missing // 2)
        rows[held] = 0.0
        rows[held, named[first]] = 1.0


def _columns(item: Timed, offset: float, count: int) -> tuple[int, int]:
    """Compute the half-open columns of an item, inside the line."""
    first = round((item.start - offset) / HOP_SECONDS)
    last = round((item.stop - offset) / HOP_SECONDS)
    return min(max(first, 0), count), min(max(last, 0), count)


def _spoken(words: Sequence[Timed], language: str) -> tuple[list[tuple[int, ...]], str]:
    """Pronounce each word, in one sentence where that comes out word by word."""
    together = pronounce(" ".join(word.label for word in words), language=language)
    if together is None:
        return [() for _ in words], ""
    if len(together.words) == len(words):
        return list(together.words), together.route
    alone = {}
    for label in dict.fromkeys(word.label for word in words):
        said = pronounce(label, language=language)
        alone[label] = () if said is None else tuple(p for w in said.words for p in w)
    return [alone[word.label] for word in words], together.route
