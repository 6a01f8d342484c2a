"""Lines without a name, or under the name of a voice, become lines of people by what is seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from facepick.errors import UserInputError
from facepick.media.dub import line_seconds
from facepick.notices import Fact, Notice
from facepick.speech.line import SpeechLine
from facepick.speech.script import PersonLine, PersonSpan
from facepick.speech.speakers import Speakers, Turn

__all__ = ["SpeakersOf", "is_voice_name", "name_lines"]

SpeakersOf = Callable[[Sequence[PersonSpan]], Speakers]
"""Finds who speaks in each of these spans, such as `facepick.app.App.who_speaks`."""

_VOICE = re.compile(
    r"(?:spk|speaker|spkr|voice|说话人|發言人|发言人|講者)[ _-]?\d{1,3}", re.IGNORECASE
)
MOST = 0.6
"""Share of what a voice says for which one person must be likeliest."""
LISTED = 8


def is_voice_name(name: str) -> bool:
    """Tell whether a name is that of a voice, as tools for diarization number them."""
    return _VOICE.fullmatch(name.strip()) is not None


def name_lines(
    lines: Sequence[PersonLine], unknown: Sequence[PersonLine], speakers_of: SpeakersOf, file: str
) -> tuple[tuple[PersonLine, ...], tuple[Notice, ...]]:
    """Name lines by whose face and voice is heard where they are said.

    What is unsure or off screen is given to the best guess, to be heard, and not drawn.

    Args:
        lines: all lines of a list.
        unknown: those of them whose people are not known.
        speakers_of: finds them.
        file: name of the list, for messages.

    Raises:
        UserInputError: not one of them can be known.
    """
    spans = [_span(item) for item in unknown]
    speakers = speakers_of(spans)
    turns = _by_line(speakers, len(spans))
    owners = _owners_of_voices(unknown, turns)
    named: dict[int, tuple[PersonLine, ...]] = {}
    left: list[float] = []
    for item, own in zip(unknown, turns, strict=True):
        named[id(item)] = _named(item, own, owners.get(item.person or ""))
        if not all(part.line.drawn for part in named[id(item)]):
            left.append(item.line.start_seconds)
    guesses = [p.person for parts in named.values() for p in parts if p.person is not None]
    if not guesses and len(unknown) == len(lines):
        raise UserInputError(
            f"Who speaks the lines of {file} cannot be known from the video.",
            hint="Write names before the words (Anna: ...), or say who it is: facepick speakers "
            f"VIDEO --lines {file} --set L1=P1",
        )
    # Somebody's they must be, to be heard; nobody's mouth is drawn for them.
    anybody = guesses[0] if guesses else next(i.person for i in lines if i.person is not None)
    out = []
    for item in lines:
        for part in named.get(id(item), (item,)):
            out.append(part if part.person is not None else replace(part, person=anybody))
    notices = _notices(file, len(unknown), left)
    if speakers.rough:
        notices.append(Notice(code="voices_rough"))
    return tuple(out), tuple(notices)


def _span(item: PersonLine) -> PersonSpan:
    line = item.line
    length = line.cue_seconds or line.duration_seconds
    if length is None:
        # Words that are still to be spoken: 150 a minute.
        words = len((line.text or "").split())
        length = float(line_seconds(line)) if line.path else 0.4 * max(1, words)
    return PersonSpan(
        person=item.person,
        start=line.start_seconds,
        end=line.start_seconds + max(length, 0.1),
        text=line.text,
    )


def _by_line(speakers: Speakers, count: int) -> list[list[Turn]]:
    found: list[list[Turn]] = [[] for _ in range(count)]
    for turn in speakers.turns:
        number = int(turn.id[1:].split(".")[0])
        found[number - 1].append(turn)
    return found


def _owners_of_voices(
    items: Sequence[PersonLine], turns: Sequence[Sequence[Turn]]
) -> dict[str, str]:
    """Find whose each named voice is: the person who is likeliest in most of what it says."""
    seconds: dict[str, dict[str, float]] = {}
    for item, own in zip(items, turns, strict=True):
        if item.person is None:
            continue
        votes = seconds.setdefault(item.person, {})
        for turn in own:
            for candidate in turn.candidates:
                share = candidate.score * (turn.end - turn.start)
                votes[candidate.person] = votes.get(candidate.person, 0.0) + share
    owners = {}
    for voice, votes in seconds.items():
        total = sum(votes.values())
        best = max(votes, key=lambda key: votes[key], default=None)
        if best is not None and votes[best] > MOST * total:
            owners[voice] = best
    return owners


def _named(item: PersonLine, turns: Sequence[Turn], owner: str | None) -> tuple[PersonLine, ...]:
    if owner is not None:
        seen = any(c.person == owner for turn in turns for c in turn.candidates)
        return (PersonLine(owner, replace(item.line, drawn=seen)),)
    # Parts of a sound of its own cannot be told apart by the clock of the video.
    along = item.line.duration_seconds is not None and item.line.cue_seconds is not None
    if len(turns) > 1 and along and all(turn.drawn for turn in turns):
        return tuple(PersonLine(turn.person, _part(item.line, turn)) for turn in turns)
    longest = max(turns, key=lambda turn: turn.end - turn.start)
    drawn = longest.drawn is not None
    return (PersonLine(longest.person, replace(item.line, drawn=drawn)),)


def _part(line: SpeechLine, turn: Turn) -> SpeechLine:
    start = max(turn.start, line.start_seconds)
    length = turn.end - start
    return replace(
        line,
        start_seconds=round(start, 3),
        offset_seconds=round(line.offset_seconds + start - line.start_seconds, 3),
        duration_seconds=round(length, 3),
        cue_seconds=round(length, 3),
        # Words are those of the whole.
        text=turn.text if turn.text != line.text else None,
        phones=None,
    )


def _notices(file: str, count: int, left: Sequence[float]) -> list[Notice]:
    told = [Notice(code="lines_by_sight", facts={"file": Path(file).name, "lines": count})]
    if left:
        listed = ", ".join(f"{at:.1f}" for at in left[:LISTED])
        listed += " ..." if left[LISTED:] else ""
        facts: dict[str, Fact] = {"file": Path(file).name, "lines": len(left), "times": listed}
        told.append(Notice(code="lines_unsure", start=left[0], facts=facts))
    return told
