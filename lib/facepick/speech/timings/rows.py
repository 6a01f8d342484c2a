"""Rows of a file with times: what every form of file is read into, checked and named."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from facepick.errors import UserInputError
from facepick.notices import Notice
from facepick.speech.alphabets import UNHEARD, alphabet_of, is_known, phones_of
from facepick.speech.line import Timed, Timings

__all__ = [
    "GAP_SECONDS",
    "LONGEST_WORD",
    "MAX_ITEMS",
    "MAX_SECONDS",
    "NUMBER",
    "OVERLAP_SECONDS",
    "Found",
    "Row",
    "look_like_phones",
    "of_tiers",
    "one_only",
    "resolved",
    "seconds_of",
]

MAX_ITEMS = 200_000
MAX_SECONDS = 24 * 3600.0
LONGEST_WORD = 100
"""Characters."""
OVERLAP_SECONDS = 0.02
"""Files that round starts and durations apart overlap by less; what is more is an error."""
GAP_SECONDS = 0.03
"""Shorter gaps are of rounding, too: the phone before reaches over them."""
_PHONE_TIERS = re.compile(r"(?:.*[\s\-_:/])?(?:phones?|phonemes?|segments?|phn|segs?)|mau", re.I)
_WORD_TIERS = re.compile(r"(?:.*[\s\-_:/])?(?:words?|tokens?|orthography|ort)|ort-mau", re.I)
NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|nan|inf(?:inity)?)"


@dataclass(frozen=True)
class Row:
    """An entry of a file; `where` names it in messages."""

    start: float
    stop: float
    label: str
    where: str


@dataclass(frozen=True)
class Found:
    """Contents of a file: phones, words, or rows of which only the labels tell what they are."""

    phones: Sequence[Row] = ()
    words: Sequence[Row] = ()
    either: Sequence[Row] = ()


def of_tiers(name: str, tiers: Sequence[tuple[str, Sequence[Row]]]) -> Found:
    """Choose the tier of phones by its name, else by what is in it."""
    phones = [(t, r) for t, r in tiers if _PHONE_TIERS.fullmatch(t.strip())]
    if len(phones) > 1:
        raise UserInputError(
            f"{name} has several tiers of phones: {', '.join(repr(t) for t, _ in phones)}.",
            hint="Leave the tier of the person who speaks this line.",
        )
    words = [(t, r) for t, r in tiers if _WORD_TIERS.fullmatch(t.strip())]
    if not phones:
        rest = [(t, r) for t, r in tiers if (t, r) not in words and look_like_phones(r)]
        phones = sorted(rest, key=lambda tier: len(tier[1]))[-1:]
    if not phones and not words:
        words = [(t, r) for t, r in tiers if any(row.label.strip() for row in r)]
    if not phones and len(words) != 1:
        titles = ", ".join(repr(t) for t, _ in tiers) or "none"
        raise UserInputError(
            f"Which tier of {name} holds the phones cannot be seen; it has: {titles}.",
            hint='Call it "phones".',
        )
    return Found(phones=phones[0][1] if phones else (), words=() if phones else words[0][1])


def look_like_phones(rows: Iterable[Row]) -> bool:
    """Tell whether three of five labels are phones of one alphabet."""
    labels = [row.label for row in rows]
    alphabet = alphabet_of(labels)
    voiced = [
        label
        for label in labels
        if label.strip().lower() not in UNHEARD and phones_of(label, alphabet) != ("SIL",)
    ]
    return sum(is_known(label, alphabet) for label in voiced) > 0.6 * len(voiced)


def one_only(name: str, what: str, found: set[Any]) -> None:
    """Refuse a file that holds several recordings or speakers."""
    if len(found) > 1:
        listed = ", ".join(sorted(str(item) for item in found)[:4])
        raise UserInputError(
            f"{name} holds {len(found)} {what}: {listed}.",
            hint="Give one file for each line of speech.",
        )


def seconds_of(where: str, value: Any) -> float:
    """Read a number; whether it can be a time is checked with all others."""
    if value is None:
        raise UserInputError(f"{where}: lacks a time.", hint="Give start and end in seconds.")
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise UserInputError(f"{where}: {value!r:.40} is no time.", hint="Give seconds.")


def resolved(name: str, found: Found) -> Timings:
    """Resolve rows to phones of ARPAbet, or as words, checked and in order."""
    if found.either:
        kind = "phones" if look_like_phones(found.either) else "words"
        found = Found(**{kind: found.either})
    notices: list[Notice] = []
    phones = _named(name, _ordered(name, found.phones), notices)
    words: list[Timed] = []
    if not any(item.label != "SIL" for item in phones):
        phones = []
        words = [
            Timed(round(row.start, 4), round(row.stop, 4), row.label.strip()[:LONGEST_WORD])
            for row in _ordered(name, found.words)
            if re.search(r"[^\W_]", row.label) and row.label.strip().lower() not in _NO_WORDS
        ]
        if not words:
            raise UserInputError(f"{name} holds no phone and no word.")
    return Timings(phones=tuple(phones), words=tuple(words), notices=tuple(notices))


_NO_WORDS = UNHEARD | {"sil", "silence", "sp", "pau", "<eps>", "eps"}


def _ordered(name: str, rows: Sequence[Row]) -> list[Row]:
    """Order rows, none without a length, free of the overlaps and gaps of rounding.

    Raises:
        UserInputError: a time that cannot be, or two that cannot both be.
    """
    if len(rows) > MAX_ITEMS:
        raise UserInputError(f"{name} holds {len(rows)} entries; {MAX_ITEMS} are allowed.")
    for row in rows:
        times = f"{row.start:g} to {row.stop:g} s"
        if not (math.isfinite(row.start) and math.isfinite(row.stop)):
            raise UserInputError(f"{row.where}: {times} is no time.")
        if row.start < 0 or row.stop > MAX_SECONDS:
            raise UserInputError(
                f"{row.where}: {times} is outside of the sound.",
                hint="Times count in seconds from its first sample.",
            )
        if row.stop < row.start:
            raise UserInputError(f"{row.where}: ends before it starts ({times}).")
    ordered = sorted((row for row in rows if row.stop - row.start > 5e-5), key=lambda r: r.start)
    for k, (before, after) in enumerate(pairwise(ordered)):
        apart = after.start - before.stop
        if apart < -OVERLAP_SECONDS or after.start <= before.start:
            raise UserInputError(
                f"{after.where}: {after.label!r:.40} starts at {after.start:g} s, while "
                f"{before.label!r:.40} lasts until {before.stop:g} s.",
                hint="Only one thing can be said at a time.",
            )
        if apart < GAP_SECONDS:
            ordered[k] = replace(before, stop=after.start)
    return ordered


def _named(name: str, rows: Sequence[Row], notices: list[Notice]) -> list[Timed]:
    """Rename the rows to ARPAbet; a symbol of two phones is halved between them.

    Raises:
        UserInputError: more than one in ten is of no alphabet that is known.
    """
    symbols = {row.label for row in rows}
    alphabet = alphabet_of(symbols)
    # German SAM-PA, as MAUS writes it, has Q for the glottal stop and 6 for the "er" of "Mutter".
    stop_of_throat = {"Q"} if alphabet == "x-sampa" and "6" in symbols else set()
    out: list[Timed] = []
    unknown: list[Row] = []
    # Where a sound without lips of its own has begun, which the next one takes in.
    waiting: float | None = None
    for row in rows:
        if row.label.strip().lower() in UNHEARD:
            waiting = None
            continue
        found = () if row.label in stop_of_throat else phones_of(row.label, alphabet)
        start = row.start if waiting is None else waiting
        waiting = None
        if found is None:
            unknown.append(row)
        elif found:
            out.extend(_shared(start, row.stop, found))
        elif out and _lengthens(row, out[-1]):
            out[-1] = replace(out[-1], stop=round(row.stop, 4))
        else:
            waiting = start
    for k, (before, after) in enumerate(pairwise(out)):
        if after.start - before.stop < GAP_SECONDS:
            out[k] = replace(before, stop=after.start)
    _tell_unknown(name, unknown, len(rows), notices)
    return out


def _shared(start: float, stop: float, phones: Sequence[str]) -> Iterator[Timed]:
    """Share the time of a symbol out among its phones."""
    edges = [start + (stop - start) * k / len(phones) for k in range(len(phones) + 1)]
    for phone, (a, b) in zip(phones, pairwise(round(e, 4) for e in edges), strict=True):
        if a < b:
            yield Timed(a, b, phone)


def _lengthens(row: Row, before: Timed) -> bool:
    """Tell whether a row is a mark of length, which is of the sound before."""
    return row.label.strip() in ("ː", "ˑ", ":") and before.stop == round(row.start, 4)


def _tell_unknown(name: str, unknown: Sequence[Row], rows: int, notices: list[Notice]) -> None:
    """Tell which symbols are of no alphabet.

    Raises:
        UserInputError: they are more than one in ten.
    """
    named = list(dict.fromkeys(row.label for row in unknown))
    if len(unknown) > 0.1 * rows:
        raise UserInputError(
            f"{unknown[0].where}: {unknown[0].label!r:.40} is no phone that is known"
            + (f", nor are {', '.join(repr(s)[:20] for s in named[1:6])}." if named[1:] else "."),
            hint="Known are ARPAbet, IPA, X-SAMPA and Pinyin.",
        )
    if unknown:
        notices.append(
            Notice(
                code="phones_unknown",
                facts={
                    "file": name,
                    "names": ", ".join(repr(s)[:20] for s in named[:6]),
                    "phones": len(unknown),
                    "all": rows,
                },
            )
        )
