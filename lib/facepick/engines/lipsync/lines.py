"""Lists of spoken lines: who says what, from which file, when.

JSON: a list of objects (or an object with such a list under ``lines``)::

    [{"start": 1.5, "person": "P1", "file": "one.wav", "text": "Good morning."},
     {"start": "00:00:04,200", "person": "Anna", "file": "two.wav", "offset": 0.3, "duration": 2}]

A line may name a file with the times of its phones, too: ``"phones": "one.TextGrid"``, see
`facepick.engines.lipsync.timings`.

SRT: a cue's first line may begin with the person and a colon, and a line ``file: NAME`` names
the sound, ``phones: NAME`` the times of its phones; what is left are the words::

    1
    00:00:01,500 --> 00:00:03,000
    P1: Good morning.
    file: one.wav

Where no file is named, the stretch of the cue is taken from the one long sound file that came
with the list, on the same clock.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.engines.engine import SpeechLine, Timings
from facepick.engines.lipsync.timings import decoded, timings_of, within
from facepick.errors import UserInputError
from facepick.files import read_plain

__all__ = ["PersonLine", "read_lines"]

_MAX_BYTES = 5_000_000
_MAX_LINES = 10_000
_KEYS = ("start", "person", "file", "text", "phones", "offset", "duration", "end")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,6}))?")
_CUE = re.compile(r"\s*(\S+)\s+-->\s+(\S+)")
# A name before a colon: short, and no clock time or address.
_WHO = re.compile(
    r"([^\W\d][^:：/\\]{0,39}|\[[^\]:]{1,40}\])\s*(?:(?<!\d)[:：]|[:：](?!\d))\s*(.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class PersonLine:
    """One line of a list.

    Attributes:
        person: id or name, or None when the list does not say.
        line: the sound and its time.
    """

    person: str | None
    line: SpeechLine


def read_lines(
    path: Path, *, audio: Path | None = None, phones: Path | None = None, beside: bool = False
) -> list[PersonLine]:
    """The lines of a JSON or SRT file, in order of their start.

    Args:
        path: the list; relative files in it are relative to its folder.
        audio: sound for lines that name no file.
        phones: times of the phones in `audio`.
        beside: whether sounds must lie in the list's own folder, as they must where the list
            comes from somebody who may not name other files of this machine.

    Raises:
        UserInputError: not readable, not such a list, a file that is not there, a time that is
            none, or a line without a file; it names the entry.
        NoAudioError, VideoOpenError: phones were given for what has no sound.
    """
    try:
        data = read_plain(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise UserInputError(f"The list {path} cannot be read: {error.strerror}.") from error
    text = decoded(path.name, data)
    as_json = path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{")
    entries = _from_json(path, text) if as_json else _from_srt(path, text)
    if not entries:
        raise UserInputError(
            f"{path.name} holds no line.", hint="It must be a JSON list or an SRT file."
        )
    if len(entries) > _MAX_LINES:
        raise UserInputError(f"{path.name} holds {len(entries)} lines; {_MAX_LINES} are allowed.")
    spoken = None if phones is None or audio is None else timings_of(phones, audio)
    lines = [_line(path, entry, audio, spoken, beside=beside) for entry in entries]
    return sorted(lines, key=lambda item: item.line.start_seconds)


@dataclass(frozen=True)
class _Entry:
    """A line as the file has it; `where` names it in messages."""

    where: str
    start: float
    person: str | None
    file: str | None
    text: str | None
    phones: str | None
    offset: float
    duration: float | None
    stretch: float | None


def _from_json(path: Path, text: str) -> list[_Entry]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserInputError(f"{path.name} is not JSON: {error}.") from error
    if isinstance(data, Mapping):
        data = data.get("lines")
    if not isinstance(data, list):
        raise UserInputError(f"{path.name} must hold a list of lines.")
    return [_json_entry(f"{path.name}, line {i}", item) for i, item in enumerate(data, 1)]


def _json_entry(where: str, item: Any) -> _Entry:
    if not isinstance(item, Mapping):
        raise UserInputError(f"{where}: must be an object, got {item!r:.40}.")
    unknown = [str(k) for k in item if k not in _KEYS]
    if unknown:
        raise UserInputError(f"{where}: unknown key {unknown[0]!r}.", hint=f"Keys: {_KEYS}.")
    if "start" not in item:
        raise UserInputError(f'{where}: "start" is missing.')
    for key in ("person", "file", "text", "phones"):
        if item.get(key) is not None and not isinstance(item[key], str):
            raise UserInputError(f'{where}: "{key}" must be a text, got {item[key]!r:.40}.')
    start = _seconds(where, "start", item["start"])
    duration = _optional_seconds(where, "duration", item.get("duration"))
    end = _optional_seconds(where, "end", item.get("end"))
    if end is not None and end <= start:
        raise UserInputError(f"{where}: ends at {end:g} s, before it starts at {start:g} s.")
    if duration is not None and duration <= 0:
        raise UserInputError(f"{where}: lasts {duration:g} s.")
    stretch = None if end is None else end - start
    return _Entry(
        where=where,
        start=start,
        person=item.get("person") or None,
        file=item.get("file") or None,
        text=item.get("text") or None,
        phones=item.get("phones") or None,
        offset=_optional_seconds(where, "offset", item.get("offset")) or 0.0,
        duration=duration if duration is not None else stretch,
        stretch=stretch if stretch is not None else duration,
    )


def _from_srt(path: Path, text: str) -> list[_Entry]:
    entries: list[_Entry] = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        rows = [r.strip() for r in block.strip().split("\n") if r.strip()]
        if not rows:
            continue
        if rows[0].isdigit() and len(rows) > 1:
            number, rows = rows[0], rows[1:]
        else:
            number = str(len(entries) + 1)
        where = f"{path.name}, cue {number}"
        times = _CUE.match(rows[0])
        if times is None:
            raise UserInputError(
                f"{where}: {rows[0]!r:.60} is no time line.",
                hint="It should read like 00:00:01,500 --> 00:00:03,000.",
            )
        start, stop = (_seconds(where, "time", t) for t in times.groups())
        if stop <= start:
            raise UserInputError(f"{where}: ends at {stop:g} s, before it starts at {start:g} s.")
        entries.append(_srt_entry(where, start, stop, rows[1:]))
    return entries


def _srt_entry(where: str, start: float, stop: float, rows: list[str]) -> _Entry:
    file: str | None = None
    phones: str | None = None
    words = []
    for row in rows:
        if row.lower().startswith("file:"):
            file = row[5:].strip()
        elif row.lower().startswith("phones:"):
            phones = row[7:].strip()
        else:
            words.append(row)
    text = re.sub(r"</?[biu]>|</?font[^>]*>", "", " ".join(words)).strip()
    person: str | None = None
    named = _WHO.fullmatch(text)
    if named:
        person, text = named[1].strip("[] "), named[2].strip()
    return _Entry(where, start, person, file, text or None, phones, 0.0, None, stop - start)


def _line(
    path: Path, entry: _Entry, audio: Path | None, spoken: Timings | None, *, beside: bool
) -> PersonLine:
    if entry.file is not None:
        file = _named(path, entry.where, entry.file, beside=beside)
        offset, duration = entry.offset, entry.duration
    elif audio is not None:
        file = audio
        offset, duration = entry.start + entry.offset, entry.stretch
    else:
        raise UserInputError(
            f"{entry.where}: names no sound file.",
            hint='Add "file", or give one long sound file for the whole list.',
        )
    phones = None
    if not file.is_file():
        raise _missing(entry.where, file, beside=beside)
    if entry.phones is not None:
        times = _named(path, entry.where, entry.phones, beside=beside)
        if not times.is_file():
            raise _missing(entry.where, times, beside=beside)
        phones = timings_of(times, file)
    elif entry.file is None and spoken is not None:
        phones = within(spoken, offset, None if duration is None else offset + duration)
    return PersonLine(
        entry.person,
        SpeechLine(
            path=str(file),
            start_seconds=entry.start,
            offset_seconds=offset,
            duration_seconds=duration,
            text=entry.text,
            phones=phones,
            cue_seconds=entry.stretch,
        ),
    )


def _named(path: Path, where: str, name: str, *, beside: bool) -> Path:
    """The file that a list names."""
    if beside and (re.search(r"[/\\:]", name) or name == ".."):
        raise UserInputError(
            f"{where}: names a file in another folder.",
            hint="Name files without a folder, and upload them with the list.",
        )
    return path.parent / name


def _missing(where: str, file: Path, *, beside: bool) -> UserInputError:
    return UserInputError(
        f"{where}: there is no file {file.name if beside else file}.",
        hint="Upload it together with the list." if beside else "",
    )


def _optional_seconds(where: str, key: str, value: Any) -> float | None:
    return None if value is None else _seconds(where, key, value)


def _seconds(where: str, key: str, value: Any) -> float:
    """A number of seconds, or a clock time such as 01:02:03,250 or 2:03.25."""
    seconds: float | None = None
    if isinstance(value, str):
        clock = _CLOCK.fullmatch(value.strip())
        if clock:
            hours, minutes, whole, rest = clock.groups()
            seconds = int(hours or 0) * 3600 + int(minutes) * 60 + int(whole)
            seconds += float(f"0.{rest or 0}")
        else:
            try:
                seconds = float(value)
            except ValueError:
                seconds = None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds < 1e6:
        raise UserInputError(
            f'{where}: "{key}" is {value!r:.40}, which is no time.',
            hint="Give seconds, such as 1.5, or a clock time, such as 00:00:01,500.",
        )
    return seconds
