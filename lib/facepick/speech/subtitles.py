"""Cues of subtitle files, as they stand: times, rows of words, and who is marked to say them.

SRT and WebVTT are read here: what is wrong with a cue must be told, not passed over.  ASS, SSA,
MicroDVD and MPL2 are read by pysubs2.  (Of WebVTT pysubs2 takes notes, styles and names of cues for
words of the cue before.)
"""

from __future__ import annotations

import html
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from facepick.errors import PackageMissing, UserInputError

__all__ = ["MAX_SECONDS", "Cue", "Row", "clock_seconds", "read_cues", "srt_text"]

MAX_SECONDS = 24 * 3600.0
"""As in plans: no line begins later."""

_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,6}))?")
_TIMES = re.compile(r"\s*(\S+)\s+-->\s+(\S+)(?:\s.*)?")
_TIME_HINT = "It should read like 00:00:01,500 --> 00:00:03,000."
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>", re.IGNORECASE)
# A tag begins with a letter or a time of WebVTT, so that "a < b" and "<3" stay words.
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<(?:\d+:)?\d{2}:\d{2}\.\d{3}>")
_OVERRIDE = re.compile(r"\{[\\*=!][^{}]*\}|\{\\[^{}]*$")


@dataclass(frozen=True)
class Row:
    """Words of one person, as far as the file's own marks tell; tags are gone.

    Attributes:
        words: may be empty.
        voice: whom a voice tag or the actor column names, or None.
        opens: whether a voice tag or the mark of a row begins somebody's words here.
    """

    words: str
    voice: str | None = None
    opens: bool = False


@dataclass(frozen=True)
class Cue:
    """One cue.

    Attributes:
        where: names it in messages.
        start, stop: seconds.
        rows: its rows.
        style: name of its style in ASS; a person's, if a person is called so.
        file, phones: names of files that the cue itself gives.
    """

    where: str
    start: float
    stop: float
    rows: tuple[Row, ...]
    style: str | None = None
    file: str | None = None
    phones: str | None = None


def read_cues(name: str, text: str) -> list[Cue]:
    """Read the cues of a subtitle file, in its order.

    Args:
        name: of the file, for messages.

    Raises:
        UserInputError: a cue cannot be read, or has no time; it names the cue.
        PackageMissing: pysubs2 is needed and not there.
    """
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("WEBVTT"):
        return list(_from_vtt(name, start))
    head = start[:100_000]
    if re.search(r"(?im)^\s*\[(?:Script Info|V4\+? Styles|Events)\]", head):
        return _by_pysubs2(name, text, "ssa" if "[V4 Styles]" in head else "ass")
    if re.match(r"\{ *\d+ *\} *\{ *\d+ *\}", start):
        return _by_pysubs2(name, start, "microdvd")
    if re.match(r"\[-?\d+\]\[-?\d+\]", start):
        return _by_pysubs2(name, start, "mpl2")
    return list(_from_srt(name, text))


def clock_seconds(value: str) -> float | None:
    """Read ``01:02:03,250`` or ``2:03.25`` in seconds; None for anything else.

    >>> clock_seconds("01:02:03,250")
    3723.25
    """
    clock = _CLOCK.fullmatch(value.strip())
    if clock is None:
        return None
    hours, minutes, whole, rest = clock.groups()
    if int(minutes) > 59 or int(whole) > 59:
        return None
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(whole) + float(f"0.{rest or 0}")


def srt_text(cues: Iterable[tuple[float, float, str | None, str]]) -> str:
    """Write cues as SRT: start and end in seconds, who speaks, and the words.

    Names stand in brackets with a colon, which is read back as a name whatever it is.
    """

    def clock(seconds: float) -> str:
        ms = max(0, round(seconds * 1000))
        return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    blocks = []
    for number, (start, end, name, words) in enumerate(cues, 1):
        said = f"[{name}]: {words}" if name else words
        blocks.append(f"{number}\n{clock(start)} --> {clock(end)}\n{said}\n")
    return "\n".join(blocks)


def _blocks(text: str) -> Iterator[list[str]]:
    """Split rows at a blank one, or at the next cue where the blank row is missing."""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        rows = [row.strip() for row in block.strip().split("\n") if row.strip()]
        timed = [i for i, row in enumerate(rows) if _TIMES.fullmatch(row)]
        starts = [i - (rows[i - 1].isdigit() and i - 1 > before) for before, i in pairwise(timed)]
        edges = [0, *starts, len(rows)]
        yield from (rows[a:b] for a, b in pairwise(edges) if a < b)


def _from_srt(name: str, text: str) -> Iterator[Cue]:
    for count, rows in enumerate(_blocks(text), 1):
        number = str(count)
        if rows[0].isdigit() and len(rows) > 1:
            number, rows = rows[0], rows[1:]
        yield _timed(f"{name}, cue {number}", rows)


def _from_vtt(name: str, text: str) -> Iterator[Cue]:
    count = 0
    for rows in _blocks(text):
        if rows[0].startswith(("WEBVTT", "NOTE", "STYLE", "REGION")) and "-->" not in rows[0]:
            continue
        count += 1
        where = f"{name}, cue {count}"
        if "-->" not in rows[0] and len(rows) > 1:
            # The cue's own name; nobody speaks it.
            where, rows = f"{name}, cue {rows[0]:.40}", rows[1:]
        yield _timed(where, rows)


def _timed(where: str, rows: list[str]) -> Cue:
    times = _TIMES.fullmatch(rows[0])
    if times is None:
        raise UserInputError(f"{where}: {rows[0]!r:.60} is no time line.", hint=_TIME_HINT)
    start, stop = (_seconds(where, time) for time in times.groups())
    words: list[str] = []
    named: dict[str, str | None] = {"file": None, "phones": None}
    for row in rows[1:]:
        key, colon, value = row.partition(":")
        if colon and key.lower() in named:
            named[key.lower()] = value.strip() or None
        else:
            words.append(row)
    start, stop = _checked(where, start, stop)
    return Cue(where, start, stop, tuple(_rows_of(words)), None, named["file"], named["phones"])


def _seconds(where: str, time: str) -> float:
    seconds = clock_seconds(time)
    if seconds is None:
        raise UserInputError(f"{where}: {time!r:.40} is no time.", hint=_TIME_HINT)
    return seconds


def _checked(where: str, start: float, stop: float) -> tuple[float, float]:
    if not (math.isfinite(start) and math.isfinite(stop)):
        raise UserInputError(f"{where}: {start} to {stop} s is no time.")
    if start < 0:
        raise UserInputError(f"{where}: starts at {start:g} s, before the video.")
    if stop <= start:
        raise UserInputError(f"{where}: ends at {stop:g} s, before it starts at {start:g} s.")
    if stop > MAX_SECONDS:
        raise UserInputError(
            f"{where}: ends at {stop:g} s.", hint=f"At most {MAX_SECONDS:g} s, a day, are possible."
        )
    return start, stop


def _rows_of(rows: Sequence[str], actor: str | None = None) -> Iterator[Row]:
    """Split a cue at voice tags, without the tags; a voice holds until the next one."""
    voice = actor
    for row in rows:
        at, opens = 0, False
        for tag in _VOICE.finditer(row):
            before = _plain(row[at : tag.start()])
            if before:
                yield Row(before, voice, opens)
            voice, at, opens = _plain(tag[1]) or None, tag.end(), True
        rest = _plain(row[at:])
        if rest or opens:
            yield Row(rest, voice, opens)
        if "</v>" in row[at:].lower():
            voice = actor


def _plain(text: str) -> str:
    """Strip tags and overrides; entities become what they stand for."""
    text = html.unescape(_TAG.sub("", _OVERRIDE.sub("", text)))
    return " ".join(re.sub(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", "", text).split())


def _by_pysubs2(name: str, text: str, kind: str) -> list[Cue]:
    try:
        import pysubs2
    except ImportError:
        raise PackageMissing("pysubs2", needed_for="ASS subtitles") from None
    try:
        with warnings.catch_warnings():
            # On fields of style, which are not looked at.
            warnings.simplefilter("ignore")
            events = list(pysubs2.SSAFile.from_string(text, format_=kind))
    except pysubs2.exceptions.UnknownFPSError as error:
        raise UserInputError(
            f"{name} counts frames (MicroDVD) and does not say how many a second.",
            hint="Write a first row {1}{1}25, or convert it to SRT.",
        ) from error
    except (
        pysubs2.exceptions.Pysubs2Error, ValueError, LookupError, TypeError, AttributeError,
        ArithmeticError,
    ) as error:  # fmt: skip
        raise UserInputError(
            f"{name} is damaged: {(str(error) or type(error).__name__).rstrip('.'):.100}.",
            hint="Open it in a subtitle editor and save it anew.",
        ) from error
    cues: list[Cue] = []
    seen = set()
    for number, event in enumerate(events, 1):
        # Shadows and outlines of one text are layers: the same words at the same time.
        key = (event.start, event.end, event.name, event.plaintext)
        if event.is_comment or event.is_drawing or key in seen:
            continue
        seen.add(key)
        actor = _plain(event.name) or None
        rows = tuple(_rows_of(event.plaintext.split("\n"), actor))
        if not any(row.words for row in rows):
            continue
        where = f"{name}, cue {number}"
        start, stop = _checked(where, event.start / 1000, event.end / 1000)
        style = event.style if kind in ("ass", "ssa") else None
        cues.append(Cue(where, start, stop, rows, style=style))
    return cues
