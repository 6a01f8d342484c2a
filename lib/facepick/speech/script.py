"""Lists of spoken lines: who says what, from which file, when.

JSON: a list of objects (or an object with such a list under ``lines``)::

    [{"start": 1.5, "person": "P1", "file": "one.wav", "text": "Good morning."},
     {"start": "00:00:04,200", "person": "Anna", "file": "two.wav", "offset": 0.3, "duration": 2}]

A line may name a file with the times of its phones, too: ``"phones": "one.TextGrid"``, see
`facepick.speech.timings`.

Subtitles (SRT, WebVTT, ASS, SSA, MicroDVD, MPL2; `facepick.speech.subtitles`): a cue names
who speaks by a voice tag (``<v Anna>``), the actor column, or in front of the words::

    1
    00:00:01,500 --> 00:00:03,000
    P1: Good morning.
    file: one.wav

``Anna:``, ``Anna：``, ``[Anna]``, ``[Anna]:``, with a dash before it or none.  What stands in front
of words is a name if a person is called so, or if most cues of the file begin that way: "At 10: go"
is no person.  Rows ``file: NAME`` and ``phones: NAME`` name files.  Where several people speak in
one cue, its time is shared in proportion to their words.

Where no file is named, the stretch of the cue is taken from the one long sound file that came
with the list, on the same clock.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick.files import open_plain
from facepick.notices import Notice
from facepick.speech.encoding import decoded
from facepick.speech.file_kinds import kind_of_bytes, kind_of_text
from facepick.speech.line import SpeechLine, Timings
from facepick.speech.rttm import is_rttm, read_rttm
from facepick.speech.subtitles import Cue, Row, clock_seconds, read_cues
from facepick.speech.timings import timings_of, within

__all__ = ["PersonLine", "PersonSpan", "Script", "plain_name", "read_script"]

_MAX_BYTES = 5_000_000
_MAX_LINES = 10_000
OPEN_SECONDS = 5.0
_KEYS = ("start", "person", "file", "text", "phones", "offset", "duration", "end")
_READ = "Lists of lines are JSON, SRT, WebVTT, ASS, SSA or RTTM."

# Letters first; none of the marks that end a sentence, for a name is none.
_NAME = r"[^\W\d_][^:：/\\\[\]【】{}<>,;!?…，。！？；\"“”]{0,39}"
_COLON = re.compile(rf"({_NAME}?)\s*[:：](?!//)\s*(.*)", re.DOTALL)
_BRACKET = re.compile(
    r"(?:\[([^\[\]:：]{1,40})\]|【([^【】:：]{1,40})】)\s*([:：]?)\s*(.*)", re.DOTALL
)
_DASH = re.compile(r"[-–—‐]\s*(?![\d\s–—-])")
_ID = re.compile(r"P\d{1,5}", re.IGNORECASE)
MOST = 0.5
"""A share of the cues above which what stands in front of their words is taken for names."""


@dataclass(frozen=True)
class PersonLine:
    """One line of a list.

    Attributes:
        person: id or name, or None when the list does not say.
        line: the sound and its time.
    """

    person: str | None
    line: SpeechLine


@dataclass(frozen=True, kw_only=True)
class PersonSpan:
    """The time of one line of a list.

    Attributes:
        person: id or name, or None when the list does not say.
        start, end: seconds.
        text: its words, or None.
    """

    person: str | None
    start: float
    end: float
    text: str | None = None


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


@dataclass(frozen=True, kw_only=True)
class Script:
    """A list of lines that was read; who is meant by what is known when the people are.

    Attributes:
        path: the list; relative files in it are relative to its folder.
        audio: sound for lines that name no file.
        spoken: times of the phones in `audio`.
        beside: see `read_script`.
        speaks: whether lines that have words and no sound get an empty path, to be spoken.
        cues: of subtitles.
        entries: of JSON.
    """

    path: Path
    audio: Path | None = None
    spoken: Timings | None = None
    beside: bool = False
    speaks: bool = False
    cues: tuple[Cue, ...] = ()
    entries: tuple[_Entry, ...] = ()

    def lines(self, known: Collection[str] = ()) -> tuple[PersonLine, ...]:
        """Sort the lines by their start.

        Args:
            known: what people are called; ids such as ``P1`` need not be among them.

        Raises:
            UserInputError: a file that is not there, or a line without one; it names the entry.
            NoAudioError, VideoOpenError: phones were given for what has no sound.
        """
        entries = (*self.entries, *(e for e, _ in self._shared(known)))
        lines = [self._line(entry) for entry in entries]
        return tuple(sorted(lines, key=lambda item: item.line.start_seconds))

    def spans(self, known: Collection[str] = ()) -> tuple[PersonSpan, ...]:
        """Sort the times of the lines by their start; no sound need be there.

        A line that does not say when it ends reaches to the next one, `OPEN_SECONDS` at most.
        """
        entries = sorted(
            (*self.entries, *(e for e, _ in self._shared(known))), key=lambda e: e.start
        )
        spans = []
        for entry, after in zip(entries, [*entries[1:], None], strict=True):
            length = entry.stretch or entry.duration
            if length is None:
                length = OPEN_SECONDS
                if after is not None and after.start > entry.start:
                    length = min(length, after.start - entry.start)
            spans.append(
                PersonSpan(
                    person=entry.person,
                    start=entry.start,
                    end=entry.start + length,
                    text=entry.text,
                )
            )
        return tuple(spans)

    def notices(self, known: Collection[str] = ()) -> tuple[Notice, ...]:
        """Note what was read in a way that its maker may not have meant."""
        found = []
        shared = {entry.where for entry, parts in self._shared(known) if parts > 1}
        if shared:
            facts: dict[str, Any] = {"file": self.path.name, "lines": len(shared)}
            found.append(Notice(code="cues_shared", facts=facts))
        taken = _Names(self.cues, known)
        left = [
            name
            for cue in self.cues
            for row in cue.rows[:1]
            if row.voice is None and (name := _guess(row.words)[0]) and not taken.is_name(row.words)
        ]
        if left:
            names = list(dict.fromkeys(left))
            listed = ", ".join(names[:5]) + (" ..." if names[5:] else "")
            facts = {
                "file": self.path.name, "lines": len(left), "names": listed, "first": names[0],
            }  # fmt: skip
            found.append(Notice(code="names_as_words", facts=facts))
        return tuple(found)

    def _shared(self, known: Collection[str]) -> Iterator[tuple[_Entry, int]]:
        """Yield entries of the cues, each with the number of people who share its cue."""
        taken = _Names(self.cues, known)
        for cue in self.cues:
            parts = taken.parts(cue)
            if len(parts) > 1 and (cue.file or cue.phones):
                raise UserInputError(
                    f"{cue.where}: {len(parts)} people speak in it, and it names one file.",
                    hint="Make a cue of each person's words.",
                )
            weights = [max(1, _word_count(words)) for _, words in parts]
            at, length = cue.start, cue.stop - cue.start
            for (person, words), weight in zip(parts, weights, strict=True):
                seconds = length * weight / sum(weights)
                # With a file of its own the line is as long as that.
                yield (
                    _Entry(
                        where=cue.where,
                        start=round(at, 3),
                        person=person,
                        file=cue.file,
                        text=words or None,
                        phones=cue.phones,
                        offset=0.0,
                        duration=None,
                        stretch=round(seconds, 3),
                    ),
                    len(parts),
                )
                at += seconds

    def _line(self, entry: _Entry) -> PersonLine:
        path, beside = self.path, self.beside
        if entry.file is not None:
            file = _named(path, entry.where, entry.file, beside=beside)
            offset, duration = entry.offset, entry.duration
        elif self.audio is not None:
            file = self.audio
            offset, duration = entry.start + entry.offset, entry.stretch
        elif self.speaks and entry.text and not entry.phones:
            return PersonLine(
                entry.person,
                SpeechLine(
                    path="",
                    start_seconds=entry.start,
                    text=entry.text,
                    cue_seconds=entry.stretch,
                ),
            )
        else:
            raise UserInputError(
                f"{entry.where}: names no sound file.",
                hint='Add "file", give one long sound file for the whole list, or a command that '
                "speaks its words: --tts COMMAND.",
            )
        phones = None
        if not file.is_file():
            raise _missing(entry.where, file, beside=beside)
        if entry.phones is not None:
            times = _named(path, entry.where, entry.phones, beside=beside)
            if not times.is_file():
                raise _missing(entry.where, times, beside=beside)
            phones = timings_of(times, file)
        elif entry.file is None and self.spoken is not None:
            phones = within(self.spoken, offset, None if duration is None else offset + duration)
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


def read_script(
    path: Path,
    *,
    audio: Path | None = None,
    phones: Path | None = None,
    beside: bool = False,
    speaks: bool = False,
) -> Script:
    """Read a list of lines: JSON or subtitles, told by what is in it.

    Args:
        path: the list.
        audio: sound for lines that name no file.
        phones: times of the phones in `audio`.
        beside: whether sounds must lie in the list's own folder, as they must where the list
            comes from somebody who may not name other files of this machine.
        speaks: see `Script`.

    Raises:
        UserInputError: not readable, not such a list (it says what it is), or a time that is
            none; it names the entry.
        NoAudioError, VideoOpenError: phones were given for what has no sound.
    """
    name = path.name
    try:
        with open_plain(path) as file:
            data = file.read(_MAX_BYTES + 1) or b""
    except OSError as error:
        raise UserInputError(f"The list {path} cannot be read: {error.strerror}.") from error
    kind = kind_of_bytes(data)
    if kind is not None:
        raise UserInputError(f"{name} is {kind}, no list of lines.", hint=_READ)
    if len(data) > _MAX_BYTES:
        raise UserInputError(f"{name} is larger than {_MAX_BYTES // 1_000_000} MB.", hint=_READ)
    text = decoded(name, data)
    kind = kind_of_text(text)
    if kind is not None:
        raise UserInputError(f"{name} is {kind}, no list of lines.", hint=_READ)
    entries: tuple[_Entry, ...] = ()
    cues: tuple[Cue, ...] = ()
    if path.suffix.lower() == ".json" or _looks_like_json(text):
        entries = tuple(_from_json(path, text))
    elif is_rttm(text):
        entries = tuple(_from_rttm(path, text))
    elif "-->" not in text and re.match(r"\s*[^\W\d]", text):
        raise UserInputError(f"{name} is a text without times, no list of lines.", hint=_READ)
    else:
        cues = tuple(read_cues(name, text))
    if not entries and not cues:
        raise UserInputError(f"{name} holds no line.", hint=_READ)
    if len(entries) + len(cues) > _MAX_LINES:
        count = len(entries) + len(cues)
        raise UserInputError(f"{name} holds {count} lines; {_MAX_LINES} are allowed.")
    spoken = None if phones is None or audio is None else timings_of(phones, audio)
    return Script(
        path=path,
        audio=audio,
        spoken=spoken,
        beside=beside,
        speaks=speaks,
        cues=cues,
        entries=entries,
    )


# --- names -------------------------------------------------------------------------------


def plain_name(name: str) -> str:
    """Fold a name as names are compared."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _guess(words: str) -> tuple[str | None, str, str]:
    """Guess a name in front of words, the words after it, and how it is written.

    The third is ``colon``, ``bracket``, ``both`` or empty.
    """
    words = _undashed(words)
    found = _BRACKET.fullmatch(words)
    if found:
        name = (found[1] or found[2]).strip()
        if re.match(r"[^\W_]", name):
            return name, found[4].strip(), "both" if found[3] else "bracket"
        return None, words, ""
    found = _COLON.fullmatch(words)
    # 10:30 is a time; a name of six words is a sentence.
    if (
        found
        and not (found[1][-1].isdigit() and found[2][:1].isdigit())
        and len(found[1].split()) <= 4
    ):
        return found[1].strip(), found[2].strip(), "colon"
    return None, words, ""


def _undashed(words: str) -> str:
    dash = _DASH.match(words)
    return words[dash.end() :] if dash else words


class _Names:
    """Judge of what in front of words is a name.

    Args:
        cues: of one file.
        known: what people are called.
    """

    def __init__(self, cues: Sequence[Cue], known: Collection[str]) -> None:
        self._known = {plain_name(name) for name in known}
        first = [_guess(cue.rows[0].words) for cue in cues if cue.rows]
        plain = sum(1 for cue in cues if cue.rows and cue.rows[0].voice is None)
        kinds = Counter("colon" if kind == "both" else kind for name, _, kind in first if name)
        self._kinds = {kind for kind, count in kinds.items() if count > MOST * plain}
        names = {plain_name(name) for name, _, _ in first if name}
        self._often = Counter(plain_name(name) for name, _, _ in first if name)
        self._stems = Counter(re.sub(r"\d+", "", name) for name in names)

    def is_known(self, name: str) -> bool:
        return plain_name(name) in self._known or _ID.fullmatch(name) is not None

    def is_name(self, words: str, *, first: bool = True) -> bool:
        """Tell whether what stands in front of these words is a name.

        Args:
            first: whether they begin a cue; in the middle of one a name must stand elsewhere, too.
        """
        name, _, kind = _guess(words)
        if name is None:
            return False
        if self.is_known(name) or kind == "both":
            return True
        if kind not in self._kinds or (not first and not self._often[plain_name(name)]):
            return False
        # "Speaker 1" has a "Speaker 2"; "At 10" stands alone.
        often, stem = self._often[plain_name(name)], re.sub(r"\d+", "", plain_name(name))
        return stem == plain_name(name) or often > 1 or self._stems[stem] > 1

    def parts(self, cue: Cue) -> list[tuple[str | None, str]]:
        """Split a cue by who says which words, in order."""
        parts: list[tuple[str | None, list[str]]] = []
        style = cue.style if cue.style and plain_name(cue.style) in self._known else None
        dashed = bool(cue.rows) and _DASH.match(cue.rows[0].words) is not None
        for number, row in enumerate(cue.rows):
            name, words, opens = self._row(row, first=number == 0, dashed=dashed)
            if not parts or (opens and (parts[-1][1] or name != parts[-1][0])):
                parts.append((name or style, []))
            if words:
                parts[-1][1].append(words)
        told = [(name, " ".join(words)) for name, words in parts]
        spoken = [part for part in told if part[1]] or told[:1]
        return _merged(spoken) or [(style, "")]

    def _row(self, row: Row, *, first: bool, dashed: bool) -> tuple[str | None, str, bool]:
        """Read who says a row, what, and whether somebody begins to speak with it."""
        words, name = row.words, row.voice
        dash = _DASH.match(words)
        opens = row.opens or (dash is not None and (dashed or words[0] == "-"))
        if opens and dash:
            words = words[dash.end() :]
        if self.is_name(row.words, first=first or opens):
            written, words, _ = _guess(row.words)
            return name or written, words, True
        return name, words, opens


def _merged(parts: Sequence[tuple[str | None, str]]) -> list[tuple[str | None, str]]:
    """Join neighbouring words of one and the same named voice."""
    merged: list[tuple[str | None, str]] = []
    for name, words in parts:
        if merged and name is not None and merged[-1][0] == name:
            merged[-1] = (name, f"{merged[-1][1]} {words}")
        else:
            merged.append((name, words))
    return merged


def _word_count(text: str) -> int:
    """Count words; of scripts without blanks between them every letter is one."""
    single = sum(1 for c in text if _stands_alone(c))
    return single + sum(1 for word in re.findall(r"\w+", text) if not _stands_alone(word[0]))


def _stands_alone(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA"))


# --- JSON --------------------------------------------------------------------------------


def _looks_like_json(text: str) -> bool:
    """Tell whether it is meant to be JSON: subtitles may begin with a bracket or a brace, too."""
    return re.match(r"\s*(?:\[\s*[\]{\"]|\{\s*[}\"])", text) is not None or text.strip() == "["


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


def _from_rttm(path: Path, text: str) -> Iterator[_Entry]:
    for number, (start, duration, name) in enumerate(read_rttm(path.name, text), 1):
        yield _Entry(
            where=f"{path.name}, turn {number}",
            start=start,
            person=name,
            file=None,
            text=None,
            phones=None,
            offset=0.0,
            duration=None,
            stretch=duration,
        )


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


def _named(path: Path, where: str, name: str, *, beside: bool) -> Path:
    """Find the file that a list names."""
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
    """Read a number of seconds, or a clock time such as 01:02:03,250 or 2:03.25."""
    seconds: float | None = None
    if isinstance(value, str):
        seconds = clock_seconds(value)
        if seconds is None:
            try:
                seconds = float(value)
            except ValueError:
                seconds = None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            seconds = float(value)
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds < 1e6:
        raise UserInputError(
            f'{where}: "{key}" is {value!r:.40}, which is no time.',
            hint="Give seconds, such as 1.5, or a clock time, such as 00:00:01,500.",
        )
    return seconds
