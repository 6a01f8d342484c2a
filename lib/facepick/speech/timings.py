"""Files that tell when which phone or word is said, of aligners and speech synthesisers.

Read by what is in them: Praat's TextGrid (long and short; Montreal Forced Aligner, MAUS), CTM
(Kaldi), label files of HTK, Festival and Audacity, MBROLA's ``.pho`` (``espeak-ng --pho``),
flite's ``-psdur``, the CSV and JSON of the Montreal Forced Aligner, and JSON: of Gentle, of
Whisper, of ElevenLabs, Amazon Polly's speech marks, Azure's visemes, or plainly::

    [{"start": 0.12, "end": 0.20, "phone": "HH"}, {"start": 0.20, "end": 0.26, "phone": "AH0"}]

Times count from the first sample of the sound file.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick.files import read_plain
from facepick.media.dub import lines_end_seconds
from facepick.notices import Notice, as_notices, without_repeats
from facepick.speech.alphabets import UNHEARD, alphabet_of, is_known, phones_of
from facepick.speech.line import SpeechLine, Timed, Timings

__all__ = [
    "decoded",
    "fitted_to",
    "read_timings",
    "timings_from_json",
    "timings_of",
    "timings_to_json",
    "within",
]

MAX_BYTES = 16 * 2**20
"""An hour of speech is 40 000 phones; in the long form of TextGrid, words beside them, 6 MB."""
MAX_ITEMS = 200_000
MAX_SECONDS = 24 * 3600.0
LONGEST_WORD = 100
"""Characters."""

OVERLAP_SECONDS = 0.02
"""Files that round starts and durations apart overlap by less; what is more is an error."""
GAP_SECONDS = 0.03
"""Shorter gaps are of rounding, too: the phone before reaches over them."""
BEYOND_SECONDS = 0.25
"""How far times may reach over the end of the sound without a word: silence that was cut off."""

_FORMS = (
    "TextGrid, CTM, .lab, Audacity labels, .pho, the CSV of the Montreal Forced Aligner, or JSON"
)
_PHONE_TIERS = re.compile(r"(?:.*[\s\-_:/])?(?:phones?|phonemes?|segments?|phn|segs?)|mau", re.I)
_WORD_TIERS = re.compile(r"(?:.*[\s\-_:/])?(?:words?|tokens?|orthography|ort)|ort-mau", re.I)
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|nan|inf(?:inity)?)"

# Microsoft's visemes 0 to 21, from what the documentation of SAPI and Azure lists for each.
_VISEMES = (
    "SIL", "AH", "AA", "AO", "EH", "ER", "IY", "UW", "OW", "AW", "OY", "AY", "HH", "R", "L", "S",
    "SH", "DH", "F", "T", "K", "P",
)  # fmt: skip
_LAST_SECONDS = 0.1
"""How long the last sound lasts where only starts are told."""


@dataclass(frozen=True)
class _Row:
    """An entry of a file; `where` names it in messages."""

    start: float
    stop: float
    label: str
    where: str


@dataclass(frozen=True)
class _Found:
    """What a file holds: phones, words, or rows of which only the labels tell what they are."""

    phones: Sequence[_Row] = ()
    words: Sequence[_Row] = ()
    either: Sequence[_Row] = ()


def read_timings(path: Path) -> Timings:
    """The phones of a file, or its words where it holds no phones.

    Raises:
        UserInputError: not readable, of no known form, or with times that cannot be; it names
            the entry.
    """
    name = path.name
    try:
        data = read_plain(path, max_bytes=MAX_BYTES)
    except FileNotFoundError as error:
        raise UserInputError(f"There is no file {path}.", hint="Check the path.") from error
    except OSError as error:
        raise UserInputError(f"{path} cannot be read: {error.strerror}.") from error
    if data.startswith(b"ooBinaryFile"):
        raise UserInputError(f"{name} is a binary TextGrid.", hint="In Praat: Save as text file.")
    text = decoded(name, data)
    if not text.strip():
        raise UserInputError(f"{name} is empty.")
    return _resolved(name, _parsed(name, text))


def timings_from_json(data: Any, *, name: str = '"phones"') -> Timings:
    """The same from JSON that is already read; `name` says in messages where it stands.

    Raises:
        UserInputError: as of `read_timings`.
    """
    timings = _resolved(name, _from_json(name, data))
    if isinstance(data, Mapping):
        # "notes" are those of version 1, sentences.
        told = as_notices(data.get("notices") or data.get("notes"))[:20]
        notices = without_repeats((*told, *timings.notices))
        timings = replace(timings, notices=notices)
    return timings


def timings_to_json(timings: Timings) -> dict[str, Any]:
    """As `timings_from_json` reads it: rows of start, end and name."""
    return {
        "phones": [[item.start, item.stop, item.label] for item in timings.phones],
        "words": [[item.start, item.stop, item.label] for item in timings.words],
        "notices": [notice.to_json() for notice in timings.notices],
    }


def timings_of(source: Path | Any, sound: Path, *, name: str = '"phones"') -> Timings:
    """The phones of a sound file, without what lies beyond its end.

    Args:
        source: a file as of `read_timings`, or JSON as of `timings_from_json`.
        sound: audio or video; decoded once to learn its length.
        name: of JSON, for messages.

    Raises:
        UserInputError: as of `read_timings` and `fitted_to`.
        NoAudioError, VideoOpenError: there is no sound.
    """
    if isinstance(source, Path):
        timings, name = read_timings(source), source.name
    else:
        timings = timings_from_json(source, name=name)
    return fitted_to(timings, float(lines_end_seconds([SpeechLine(path=str(sound))])), name=name)


def within(timings: Timings, start: float, stop: float | None) -> Timings | None:
    """What is said in a part of the file, on the file's clock; None where nothing is."""

    def kept(items: Sequence[Timed]) -> tuple[Timed, ...]:
        last = math.inf if stop is None else stop
        return tuple(item for item in items if item.stop > start and item.start < last)

    phones, words = kept(timings.phones), kept(timings.words)
    return replace(timings, phones=phones, words=words) if phones or words else None


def fitted_to(timings: Timings, seconds: float, *, name: str) -> Timings:
    """Without what lies beyond the end of the sound, and a note of it.

    Args:
        seconds: length of the whole sound file.
        name: of the file with the times, for messages.

    Raises:
        UserInputError: most of it lies beyond, so it is of another recording.
    """
    items = timings.phones or timings.words
    voiced = [item for item in items if item.label != "SIL"]
    if not voiced or voiced[-1].stop <= seconds + BEYOND_SECONDS:
        return timings
    inside = sum(item.stop <= seconds + BEYOND_SECONDS for item in voiced)
    if inside < len(voiced) / 2:
        raise UserInputError(
            f"{name} speaks until {voiced[-1].stop:.1f} s, but the sound ends at {seconds:.1f} s.",
            hint="Give the times of this very recording.",
        )
    kept = tuple(replace(i, stop=min(i.stop, seconds)) for i in items if i.start < seconds)
    note = Notice(code="phones_after_end", facts={"file": name, "phones": len(items) - len(kept)})
    field = "phones" if timings.phones else "words"
    return replace(timings, **{field: kept}, notices=(*timings.notices, note))


def decoded(name: str, data: bytes) -> str:
    """The text of a file that users bring.

    UTF-8, UTF-16, UTF-32, and GBK or Big5 where that is surely Chinese.  Other encodings differ in
    what the same bytes mean, so they are refused rather than guessed.

    Raises:
        UserInputError: it is none of these.
    """
    for encoding in (_unicode_of(data), _chinese_of(data)):
        if encoding:
            with contextlib.suppress(UnicodeDecodeError):
                return data.decode(encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserInputError(
            f"{name} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8."
        ) from error


def _unicode_of(data: bytes) -> str:
    """By its mark, or by the zeros that Latin letters and line ends have in UTF-16."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    start = data[:400]
    for encoding, zeros, letters in (
        ("utf-16-le", start[1::2], start[::2]),
        ("utf-16-be", start[::2], start[1::2]),
    ):
        latin = [letter for zero, letter in zip(zeros, letters, strict=False) if zero == 0]
        # Times and line ends alone are a fifth of a Chinese list.
        plain = all(32 <= letter < 127 or letter in b"\t\r\n" for letter in latin)
        if len(data) % 2 == 0 and plain and len(latin) > max(3, 0.2 * len(zeros)):
            return encoding
    return "utf-8-sig"


def _chinese_of(data: bytes) -> str:
    """``gb18030``, ``big5`` or empty: by where the pairs of bytes above 127 lie.

    The 3 755 common letters of GB 2312 have first bytes B0 to D7 and second ones from A1, and its
    marks A1 to A3; Korean keeps below C9, where two in five of Chinese letters lie beyond.  The
    5 401 common letters of Big5 have first bytes A4 to C6, and two in five second bytes below 7F,
    which no other of these encodings has.
    """
    pairs = re.findall(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]", data[:200_000])
    if len(pairs) < 2 or b"\0" in data:
        return ""
    gb = sum(b"\xb0" <= p[:1] <= b"\xd7" and p[1:] >= b"\xa1" for p in pairs)
    gb += sum(b"\xa1" <= p[:1] <= b"\xa3" and p[1:] >= b"\xa1" for p in pairs)
    late = sum(b"\xc9" <= p[:1] <= b"\xd7" for p in pairs)
    if gb > 0.9 * len(pairs) and late > 0.1 * len(pairs):
        return "gb18030"
    big = sum(b"\xa1" <= p[:1] <= b"\xc6" for p in pairs)
    low = sum(p[1:] < b"\x7f" for p in pairs)
    return "big5" if big > 0.9 * len(pairs) and low > 0.15 * len(pairs) else ""


def _parsed(name: str, text: str) -> _Found:
    if re.match(r"\s*(?:File type\s*=\s*)?\"ooTextFile", text):
        return _from_textgrid(name, text)
    if text.lstrip()[0] in "[{":
        return _from_json(name, _json_of(name, text))
    lines = [(i, row) for i, row in enumerate(text.splitlines(), 1) if row.strip()]
    if len(lines) > MAX_ITEMS:
        raise UserInputError(f"{name} holds {len(lines)} lines; {MAX_ITEMS} are allowed.")
    if re.match(r"\s*begin\s*,\s*end\s*,\s*label", text, re.I):
        return _from_csv(name, lines)
    if all(re.fullmatch(rf"[^:]+:{_NUMBER}", token, re.I) for token in text.split()):
        return _Found(phones=_from_flite(name, text))
    for form in (_from_xlabel, _from_labels, _from_ctm, _from_pho):
        rows = form(name, lines)
        if rows is not None:
            return _Found(phones=rows) if form is _from_pho else _Found(either=rows)
    raise UserInputError(
        f"{name} is of no known form; its line {lines[0][0]} is {lines[0][1].strip()!r:.60}.",
        hint=f"Known: {_FORMS}.",
    )


def _from_textgrid(name: str, text: str) -> _Found:
    """Praat's text files: free-standing numbers and texts in quotes count, all else is comment."""
    piece = rf'"(?:[^"]|"")*"|<exists>|<absent>|(?<!\S){_NUMBER}(?!\S)|^[ \t]*![^\n]*'
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
    tiers: list[tuple[str, list[_Row]]] = []
    for _ in range(count()):
        kind, title = text_of(), text_of()
        number(), number()
        rows = []
        for k in range(count()):
            start = number()
            stop = number() if kind == "IntervalTier" else start
            label = text_of()
            rows.append(_Row(start, stop, label, f"{name}, tier {title!r:.40}, interval {k + 1}"))
        if kind == "IntervalTier":
            tiers.append((title, rows))
    return _of_tiers(name, tiers)


def _of_tiers(name: str, tiers: Sequence[tuple[str, Sequence[_Row]]]) -> _Found:
    """The tier of phones by its name, else by what is in it."""
    phones = [(t, r) for t, r in tiers if _PHONE_TIERS.fullmatch(t.strip())]
    if len(phones) > 1:
        raise UserInputError(
            f"{name} has several tiers of phones: {', '.join(repr(t) for t, _ in phones)}.",
            hint="Leave the tier of the person who speaks this line.",
        )
    words = [(t, r) for t, r in tiers if _WORD_TIERS.fullmatch(t.strip())]
    if not phones:
        rest = [(t, r) for t, r in tiers if (t, r) not in words and _look_like_phones(r)]
        phones = sorted(rest, key=lambda tier: len(tier[1]))[-1:]
    if not phones and not words:
        words = [(t, r) for t, r in tiers if any(row.label.strip() for row in r)]
    if not phones and len(words) != 1:
        titles = ", ".join(repr(t) for t, _ in tiers) or "none"
        raise UserInputError(
            f"Which tier of {name} holds the phones cannot be seen; it has: {titles}.",
            hint='Call it "phones".',
        )
    return _Found(phones=phones[0][1] if phones else (), words=() if phones else words[0][1])


def _look_like_phones(rows: Iterable[_Row]) -> bool:
    """Whether three of five labels are phones of one alphabet."""
    labels = [row.label for row in rows]
    alphabet = alphabet_of(labels)
    voiced = [
        label
        for label in labels
        if label.strip().lower() not in UNHEARD and phones_of(label, alphabet) != ("SIL",)
    ]
    return sum(is_known(label, alphabet) for label in voiced) > 0.6 * len(voiced)


def _from_csv(name: str, lines: Sequence[tuple[int, str]]) -> _Found:
    phones: list[_Row] = []
    words: list[_Row] = []
    speakers = set()
    reader = csv.DictReader(row for _, row in lines)
    for number, entry in enumerate(reader, 2):
        row = {str(k).strip().lower(): v for k, v in entry.items()}
        where = f"{name}, line {number}"
        start, stop = (_seconds(where, row.get(key)) for key in ("begin", "end"))
        speakers.add(row.get("speaker"))
        into = words if str(row.get("type")).lower().startswith("word") else phones
        into.append(_Row(start, stop, str(row.get("label") or ""), where))
    _one_only(name, "speakers", speakers)
    return _Found(phones=phones, words=words)


def _from_flite(name: str, text: str) -> list[_Row]:
    """``flite -psdur``: names and the times at which they end."""
    rows, start = [], 0.0
    for number, token in enumerate(text.split(), 1):
        label, _, end = token.rpartition(":")
        rows.append(_Row(start, float(end), label, f"{name}, entry {number}"))
        start = float(end)
    return rows


def _from_xlabel(name: str, lines: Sequence[tuple[int, str]]) -> list[_Row] | None:
    """Festival and ESPS: a head that ends with ``#``, then end, colour and name."""
    head = next((k for k, (_, row) in enumerate(lines) if row.strip() == "#"), None)
    if head is None:
        return None
    rows, start = [], 0.0
    for number, row in lines[head + 1 :]:
        parts = row.split(None, 2)
        if not re.fullmatch(_NUMBER, parts[0], re.I) or len(parts) < 2:
            return None
        label = parts[2].split(";")[0].strip() if len(parts) > 2 else ""
        rows.append(_Row(start, float(parts[0]), label, f"{name}, line {number}"))
        start = float(parts[0])
    return rows or None


def _from_labels(name: str, lines: Sequence[tuple[int, str]]) -> list[_Row] | None:
    """Start, end, name: of Audacity in seconds, of HTK in units of 100 ns."""
    found = []
    for number, row in lines:
        # HTK's master files put names of recordings and dots between, Audacity the frequencies.
        if row.startswith(("\\", "#!MLF", '"')) or row.strip() == ".":
            continue
        parts = row.split(None, 2)
        if len(parts) < 2 or not all(re.fullmatch(_NUMBER, p, re.I) for p in parts[:2]):
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
        rows.append(_Row(unit * float(start), unit * float(stop), text, f"{name}, line {number}"))
    return rows


def _from_ctm(name: str, lines: Sequence[tuple[int, str]]) -> list[_Row] | None:
    """Recording, channel, start, duration, name, confidence."""
    rows, recordings = [], set()
    for number, row in lines:
        if row.startswith(";;"):
            continue
        parts = row.split()
        if not 5 <= len(parts) <= 8 or not all(re.fullmatch(_NUMBER, p, re.I) for p in parts[2:4]):
            return None
        recordings.add((parts[0], parts[1]))
        start = float(parts[2])
        rows.append(_Row(start, start + float(parts[3]), parts[4], f"{name}, line {number}"))
    _one_only(name, "recordings", {" ".join(pair) for pair in recordings})
    return rows


def _from_pho(name: str, lines: Sequence[tuple[int, str]]) -> list[_Row] | None:
    """MBROLA: name, milliseconds, then pairs of place and pitch."""
    rows, start = [], 0.0
    for number, row in lines:
        parts = row.split()
        if parts[0].startswith(";") or parts == ["#"]:
            continue
        if len(parts) < 2 or not all(re.fullmatch(_NUMBER, p, re.I) for p in parts[1:]):
            return None
        stop = start + float(parts[1]) / 1000
        rows.append(_Row(start, stop, parts[0], f"{name}, line {number}"))
        start = stop
    return rows or None


def _one_only(name: str, what: str, found: set[Any]) -> None:
    if len(found) > 1:
        listed = ", ".join(sorted(str(item) for item in found)[:4])
        raise UserInputError(
            f"{name} holds {len(found)} {what}: {listed}.",
            hint="Give one file for each line of speech.",
        )


def _json_of(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UserInputError(f"{name} is nested too deeply.") from error
    except ValueError as error:
        # One object a line, as Amazon Polly's speech marks.
        try:
            return [json.loads(row) for row in text.splitlines() if row.strip()]
        except (ValueError, RecursionError):
            raise UserInputError(f"{name} is not JSON: {error}.") from error


def _from_json(name: str, data: Any) -> _Found:
    if isinstance(data, Mapping):
        return _from_object(name, data)
    if not isinstance(data, list):
        raise UserInputError(f"{name} must be a list of phones with their times.")
    if data and all(isinstance(item, Mapping) for item in data):
        keys = {str(key).lower().replace("_", "") for item in data for key in item}
        if "visemeid" in keys:
            return _Found(phones=_from_azure(name, data))
        if {"time", "type", "value"} <= keys:
            return _from_polly(name, data)
        if "word" in keys and not keys & {"phone", "phoneme"}:
            return _from_words(name, data)
    return _Found(either=_from_entries(name, data, "phone", "phoneme", "symbol", "label"))


def _from_object(name: str, data: Mapping[Any, Any]) -> _Found:
    tiers = data.get("tiers")
    if isinstance(tiers, Mapping):
        # The Montreal Forced Aligner's JSON.
        return _of_tiers(
            name,
            [
                (str(title), _from_entries(f"{name}, tier {title!r:.40}", tier["entries"]))
                for title, tier in tiers.items()
                if isinstance(tier, Mapping) and isinstance(tier.get("entries"), list)
            ],
        )
    aligned = data.get("alignment")
    characters = aligned if isinstance(aligned, Mapping) else data
    if "character_start_times_seconds" in characters:
        return _Found(words=_from_characters(name, characters))
    if isinstance(data.get("phones"), list) and data["phones"]:
        return _Found(phones=_from_entries(name, data["phones"], "phone", "phoneme", "label"))
    if isinstance(data.get("words"), list):
        return _from_words(name, data["words"])
    if isinstance(data.get("segments"), list):
        listed = [s.get("words") for s in data["segments"] if isinstance(s, Mapping)]
        return _from_words(name, [w for words in listed if isinstance(words, list) for w in words])
    raise UserInputError(
        f"{name} holds no phones and no words.",
        hint='Give a list such as [{"start": 0.1, "end": 0.2, "phone": "HH"}].',
    )


def _from_entries(name: str, items: Sequence[Any], *labels: str) -> list[_Row]:
    """Objects, or lists of start, end and name; entries with a duration alone follow each other."""
    rows: list[_Row] = []
    for number, item in enumerate(items, 1):
        where = f"{name}, entry {number}"
        if isinstance(item, list) and len(item) == 3:
            start, stop, label = _seconds(where, item[0]), _seconds(where, item[1]), item[2]
        elif isinstance(item, Mapping):
            before = rows[-1].stop if rows else 0.0
            label = next((item[key] for key in labels if item.get(key) is not None), None)
            first = next((item[k] for k in ("start", "begin", "xmin") if k in item), None)
            last = next((item[k] for k in ("end", "stop", "xmax") if k in item), None)
            start = before if first is None else _seconds(where, first)
            if last is None:
                stop = start + _seconds(where, item.get("duration"))
            else:
                stop = _seconds(where, last)
        else:
            raise UserInputError(f"{where}: must be an object, got {item!r:.40}.")
        if not isinstance(label, str):
            raise UserInputError(f"{where}: names no phone.", hint='It should hold "phone".')
        rows.append(_Row(start, stop, label, where))
    return rows


def _from_words(name: str, items: Sequence[Any]) -> _Found:
    """Words, and their phones where each word has them, as Gentle writes it."""
    phones: list[_Row] = []
    words: list[_Row] = []
    for number, item in enumerate(items, 1):
        where = f"{name}, word {number}"
        if not isinstance(item, Mapping):
            if isinstance(item, list):
                words += [replace(row, where=where) for row in _from_entries(name, [item])]
                continue
            raise UserInputError(f"{where}: must be an object, got {item!r:.40}.")
        if "start" not in item or "end" not in item:
            # Gentle and Whisper list words that they have not found, without a time.
            continue
        start, stop = _seconds(where, item["start"]), _seconds(where, item["end"])
        label = item.get("word", item.get("text", item.get("label")))
        words.append(_Row(start, stop, label if isinstance(label, str) else "", where))
        for inner in item.get("phones") or ():
            row = _from_entries(where, [inner], "phone")[0] if isinstance(inner, Mapping) else None
            if row is None:
                raise UserInputError(f"{where}: its phones must be objects.")
            length = row.stop - row.start
            phones.append(replace(row, start=start, stop=start + length, where=where))
            start += length
    return _Found(phones=phones, words=words)


def _from_characters(name: str, data: Mapping[Any, Any]) -> list[_Row]:
    """ElevenLabs: when each character is said; characters without a blank between make a word."""
    keys = ("characters", "character_start_times_seconds", "character_end_times_seconds")
    columns = [data.get(key) for key in keys]
    if (
        not all(isinstance(column, list) for column in columns)
        or len({len(column) for column in columns if isinstance(column, list)}) != 1
    ):
        raise UserInputError(f"{name} must have as many times as characters.")
    rows: list[_Row] = []
    joined = False
    characters, starts, stops = ([*column] for column in columns if column is not None)
    for number, (sign, a, b) in enumerate(zip(characters, starts, stops, strict=True), 1):
        where = f"{name}, character {number}"
        start, stop = _seconds(where, a), _seconds(where, b)
        part_of_word = isinstance(sign, str) and (sign.isalnum() or sign in "'’")
        if part_of_word and joined:
            rows[-1] = replace(rows[-1], stop=stop, label=rows[-1].label + sign)
        elif part_of_word:
            rows.append(_Row(start, stop, sign, where))
        joined = part_of_word
    return rows


def _from_polly(name: str, items: Sequence[Mapping[Any, Any]]) -> _Found:
    """Speech marks: milliseconds at which visemes, named in X-SAMPA, and words begin."""
    marks: dict[str, list[tuple[float, str, str]]] = {"viseme": [], "word": []}
    for number, item in enumerate(items, 1):
        where = f"{name}, line {number}"
        if item.get("type") in marks:
            start = _seconds(where, item.get("time")) / 1000
            marks[item["type"]].append((start, str(item.get("value")), where))
    if marks["viseme"]:
        return _Found(phones=_until_next(marks["viseme"]))
    return _Found(words=_until_next(marks["word"]))


def _from_azure(name: str, items: Sequence[Mapping[Any, Any]]) -> list[_Row]:
    """Viseme events: units of 100 ns at which one of 22 shapes begins."""
    marks = []
    for number, item in enumerate(items, 1):
        where = f"{name}, entry {number}"
        entry = {str(key).lower().replace("_", ""): value for key, value in item.items()}
        shape = entry.get("visemeid")
        if not isinstance(shape, int) or not 0 <= shape < len(_VISEMES):
            raise UserInputError(f"{where}: there is no viseme {shape!r:.40}; they are 0 to 21.")
        start = _seconds(where, entry.get("audiooffset")) * 1e-7
        marks.append((start, _VISEMES[shape], where))
    return _until_next(marks)


def _until_next(marks: Sequence[tuple[float, str, str]]) -> list[_Row]:
    stops = [start for start, _, _ in marks[1:]]
    if marks:
        stops.append(marks[-1][0] + _LAST_SECONDS)
    return [
        _Row(start, stop, label, where)
        for (start, label, where), stop in zip(marks, stops, strict=True)
    ]


def _seconds(where: str, value: Any) -> float:
    """A number; whether it can be a time is checked with all others."""
    if value is None:
        raise UserInputError(f"{where}: lacks a time.", hint="Give start and end in seconds.")
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise UserInputError(f"{where}: {value!r:.40} is no time.", hint="Give seconds.")


def _resolved(name: str, found: _Found) -> Timings:
    """Rows as phones of ARPAbet, or as words, checked and in order."""
    if found.either:
        kind = "phones" if _look_like_phones(found.either) else "words"
        found = _Found(**{kind: found.either})
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


def _ordered(name: str, rows: Sequence[_Row]) -> list[_Row]:
    """In order, none without a length, free of the overlaps and gaps of rounding.

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


def _named(name: str, rows: Sequence[_Row], notices: list[Notice]) -> list[Timed]:
    """The rows under the names of ARPAbet; a symbol of two phones is halved between them.

    Raises:
        UserInputError: more than one in ten is of no alphabet that is known.
    """
    symbols = {row.label for row in rows}
    alphabet = alphabet_of(symbols)
    # German SAM-PA, as MAUS writes it, has Q for the glottal stop and 6 for the "er" of "Mutter".
    stop_of_throat = {"Q"} if alphabet == "x-sampa" and "6" in symbols else set()
    out: list[Timed] = []
    unknown: list[_Row] = []
    waiting: float | None = None
    for row in rows:
        if row.label.strip().lower() in UNHEARD:
            waiting = None
            continue
        found = () if row.label in stop_of_throat else phones_of(row.label, alphabet)
        if found is None:
            unknown.append(row)
            waiting = None
        elif not found:
            # No lips of its own: a mark of length is of the sound before, all else of the next.
            if row.label.strip() in ("ː", "ˑ", ":") and out and out[-1].stop == round(row.start, 4):
                out[-1] = replace(out[-1], stop=round(row.stop, 4))
            else:
                waiting = row.start if waiting is None else waiting
        else:
            start = row.start if waiting is None else waiting
            waiting = None
            edges = [start + (row.stop - start) * k / len(found) for k in range(len(found) + 1)]
            for phone, (a, b) in zip(found, pairwise(round(e, 4) for e in edges), strict=True):
                if a < b:
                    out.append(Timed(a, b, phone))
    for k, (before, after) in enumerate(pairwise(out)):
        if after.start - before.stop < GAP_SECONDS:
            out[k] = replace(before, stop=after.start)
    named = list(dict.fromkeys(row.label for row in unknown))
    if len(unknown) > 0.1 * len(rows):
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
                    "all": len(rows),
                },
            )
        )
    return out
