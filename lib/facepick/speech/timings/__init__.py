"""Files that tell when which phone or word is said, of aligners and speech synthesisers.

Read by what is in them: Praat's TextGrid (long and short; Montreal Forced Aligner, MAUS), CTM
(Kaldi), label files of HTK, Festival and Audacity, MBROLA's ``.pho`` (``espeak-ng --pho``),
flite's ``-psdur``, the CSV and JSON of the Montreal Forced Aligner, and JSON: of Gentle, of
Whisper, of ElevenLabs, Amazon Polly's speech marks, Azure's visemes, or plainly::

    [{"start": 0.12, "end": 0.20, "phone": "HH"}, {"start": 0.20, "end": 0.26, "phone": "AH0"}]

Times count from the first sample of the sound file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick.files import read_plain
from facepick.media.dub import lines_end_seconds
from facepick.notices import Notice, as_notices, without_repeats
from facepick.speech.encoding import decoded
from facepick.speech.line import SpeechLine, Timed, Timings
from facepick.speech.timings.csv import read_csv
from facepick.speech.timings.ctm import read_ctm
from facepick.speech.timings.json import parse_json, read_json_times
from facepick.speech.timings.lab import read_festival, read_labels
from facepick.speech.timings.pho import read_flite, read_pho
from facepick.speech.timings.rows import MAX_ITEMS, NUMBER, Found, resolved
from facepick.speech.timings.textgrid import read_textgrid

__all__ = [
    "BEYOND_SECONDS",
    "MAX_BYTES",
    "fitted_to",
    "read_timings",
    "timings_from_json",
    "timings_of",
    "timings_to_json",
    "within",
]

MAX_BYTES = 16 * 2**20
"""An hour of speech is 40 000 phones; in the long form of TextGrid, words beside them, 6 MB."""
BEYOND_SECONDS = 0.25
"""How far times may reach over the end of the sound without a word: silence that was cut off."""
_FORMS = (
    "TextGrid, CTM, .lab, Audacity labels, .pho, the CSV of the Montreal Forced Aligner, or JSON"
)


def read_timings(path: Path) -> Timings:
    """Read the phones of a file, or its words where it holds no phones.

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
    return resolved(name, _parsed(name, text))


def timings_from_json(data: Any, *, name: str = '"phones"') -> Timings:
    """Read the same from JSON that is already parsed; `name` says in messages where it stands.

    Raises:
        UserInputError: as of `read_timings`.
    """
    timings = resolved(name, read_json_times(name, data))
    if isinstance(data, Mapping):
        # "notes" are those of version 1, sentences.
        told = as_notices(data.get("notices") or data.get("notes"))[:20]
        notices = without_repeats((*told, *timings.notices))
        timings = replace(timings, notices=notices)
    return timings


def timings_to_json(timings: Timings) -> dict[str, Any]:
    """Write rows of start, end and name, as `timings_from_json` reads them."""
    return {
        "phones": [[item.start, item.stop, item.label] for item in timings.phones],
        "words": [[item.start, item.stop, item.label] for item in timings.words],
        "notices": [notice.to_json() for notice in timings.notices],
    }


def timings_of(source: Path | Any, sound: Path, *, name: str = '"phones"') -> Timings:
    """Find the phones of a sound file, without what lies beyond its end.

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
    """Cut out what is said in a part of the file, on the file's clock; None where nothing is."""

    def kept(items: Sequence[Timed]) -> tuple[Timed, ...]:
        last = math.inf if stop is None else stop
        return tuple(item for item in items if item.stop > start and item.start < last)

    phones, words = kept(timings.phones), kept(timings.words)
    return replace(timings, phones=phones, words=words) if phones or words else None


def fitted_to(timings: Timings, seconds: float, *, name: str) -> Timings:
    """Drop what lies beyond the end of the sound, and note it.

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


def _parsed(name: str, text: str) -> Found:
    if re.match(r"\s*(?:File type\s*=\s*)?\"ooTextFile", text):
        return read_textgrid(name, text)
    if text.lstrip()[0] in "[{":
        return read_json_times(name, parse_json(name, text))
    lines = [(i, row) for i, row in enumerate(text.splitlines(), 1) if row.strip()]
    if len(lines) > MAX_ITEMS:
        raise UserInputError(f"{name} holds {len(lines)} lines; {MAX_ITEMS} are allowed.")
    if re.match(r"\s*begin\s*,\s*end\s*,\s*label", text, re.I):
        return read_csv(name, lines)
    if all(re.fullmatch(rf"[^:]+:{NUMBER}", token, re.I) for token in text.split()):
        return Found(phones=read_flite(name, text))
    for form in (read_festival, read_labels, read_ctm, read_pho):
        rows = form(name, lines)
        if rows is not None:
            return Found(phones=rows) if form is read_pho else Found(either=rows)
    raise UserInputError(
        f"{name} is of no known form; its line {lines[0][0]} is {lines[0][1].strip()!r:.60}.",
        hint=f"Known: {_FORMS}.",
    )
