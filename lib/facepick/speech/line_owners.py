"""Owners of lines: names of a list become people of a video."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from facepick.errors import SelectionError, UserInputError
from facepick.notices import Fact, Notice
from facepick.people.person import Person, Scan
from facepick.speech.line import SpeechLine, line_key
from facepick.speech.line_speakers import SpeakersOf, is_voice_name, name_lines
from facepick.speech.script import PersonLine, Script, plain_name
from facepick.speech.speaker_edits import OFF_SCREEN

__all__ = ["GivenLines", "give_lines"]


@dataclass(frozen=True, kw_only=True)
class GivenLines:
    """Lines by who says them.

    Attributes:
        speakers: id of a person and that person's lines, in order of the first one.
        notices: on lines that nobody was named for, and on those left out.
    """

    speakers: tuple[tuple[str, tuple[SpeechLine, ...]], ...]
    notices: tuple[Notice, ...] = ()


def give_lines(
    script: Script,
    scan: Scan,
    picked: Sequence[str] = (),
    *,
    known: Collection[str] = (),
    end: float | None = None,
    speakers_of: SpeakersOf | None = None,
    told: Mapping[str, str] | None = None,
) -> GivenLines:
    """Give every line to a person of the video.

    A line that names nobody goes to the one who is picked, or to the only one there is, else to
    whom the video shows to speak.  Lines of those who are not picked are left out; without a pick
    every name must be somebody's.

    Args:
        picked: ids or names; empty for whoever speaks.
        known: further names that people have, such as those of the cast.
        end: seconds after which no line may begin, or None.
        speakers_of: finds who speaks the lines that name nobody, or the number of a voice; None
            where nobody looks at the video.
        told: what the user says of single lines, by `line_key`: an id, or ``off_screen`` for what
            is heard and not drawn.

    Raises:
        SelectionError: a name that nobody, or more than one person, has; it says what to do.
        UserInputError: nobody is left to speak, or who is meant cannot be known.
    """
    file = script.path.name
    people = [scan.person(key) for key in picked]
    names = {name for person in scan.people for name in (person.id, person.name) if name}
    lines = script.lines([*names, *known])
    if told:
        lines = tuple(_as_told(item, told, people, scan) for item in lines)
    notices = list(script.notices([*names, *known]))
    if end is not None:
        lines = _before(lines, end, file, notices)
    if speakers_of is not None:
        alone = _only(people, scan) is not None
        unknown = [
            item
            for item in lines
            if (item.person is None and not alone)
            or (item.person and is_voice_name(item.person) and not _called(item.person, scan))
        ]
        if unknown:
            lines, found = name_lines(lines, unknown, speakers_of, file)
            notices += found
    sorted_out = _Sorted(scan, people, file)
    for item in lines:
        sorted_out.take(item)
    notices += sorted_out.notices()
    return GivenLines(
        speakers=tuple((key, tuple(own)) for key, own in sorted_out.found.items()),
        notices=tuple(notices),
    )


class _Sorted:
    """Lines of a list by whose they are.

    Args:
        scan: the people of the video.
        people: who is picked; empty for whoever speaks.
        file: name of the list, for messages.
    """

    def __init__(self, scan: Scan, people: Sequence[Person], file: str) -> None:
        self.scan, self.people, self.file = scan, people, file
        self.found: dict[str, list[SpeechLine]] = {}
        self.others: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.unnamed = 0

    def take(self, item: PersonLine) -> None:
        if item.person is None:
            person = _only(self.people, self.scan)
            if person is None:
                raise UserInputError(
                    f"A line at {item.line.start_seconds:g} s of {self.file} does not say who "
                    "speaks.",
                    hint="Write the name before its words (Anna: ...), or pick one person only.",
                )
            self.unnamed += 1
        else:
            person = _called(item.person, self.scan)
            if person is None:
                self.unknown[item.person] += 1
                return
        if self.people and person.id not in {p.id for p in self.people}:
            self.others[item.person or person.label] += 1
            return
        self.found.setdefault(person.id, []).append(item.line)

    def notices(self) -> list[Notice]:
        """Tell of lines that were left out, and of those that nobody was named for.

        Raises:
            SelectionError, UserInputError: nobody is left to speak.
        """
        self._check()
        notices = []
        if self.others or self.unknown:
            left: dict[str, Fact] = {
                "file": self.file,
                "lines": self.others.total() + self.unknown.total(),
                "names": _listed([*self.others, *self.unknown]),
            }
            notices.append(Notice(code="lines_of_others", facts=left))
        # With one person on screen there is nobody else it could have been.
        if self.unnamed and sum(1 for p in self.scan.people if not p.ignored) > 1:
            whose = _only(self.people, self.scan)
            assert whose is not None
            facts: dict[str, Fact] = {
                "file": self.file,
                "lines": self.unnamed,
                "who": whose.label,
            }
            notices.append(Notice(code="lines_unnamed", person=whose.id, facts=facts))
        return notices

    def _check(self) -> None:
        if self.unknown and not (self.people and (self.found or self.others)):
            raise _nobody(self.unknown, self.file, self.scan)
        if not self.found:
            who = _listed([p.label for p in self.people])
            raise UserInputError(
                f"Nobody of {who} speaks in {self.file}.",
                hint=f"It has lines of {_listed([*self.others, *self.unknown])}.",
            )


def _as_told(
    item: PersonLine, told: Mapping[str, str], people: Sequence[Person], scan: Scan
) -> PersonLine:
    who = told.get(line_key(item.line.start_seconds))
    if who is None:
        return item
    if who != OFF_SCREEN:
        return PersonLine(who, item.line)
    # Somebody's it must be, to be heard.
    anybody = item.person or (people or scan.people)[0].id
    return PersonLine(anybody, replace(item.line, drawn=False))


def _before(
    lines: Sequence[PersonLine], end: float, file: str, notices: list[Notice]
) -> tuple[PersonLine, ...]:
    late = [item for item in lines if item.line.start_seconds >= end]
    if len(late) == len(lines):
        raise UserInputError(
            f"Every line of {file} begins after the end of the video ({end:.2f} s).",
            hint="Check its times, or make the video longer: --length freeze.",
        )
    if late:
        notices.append(
            Notice(
                code="line_after_end",
                start=late[0].line.start_seconds,
                facts={"file": file, "lines": len(late), "end": round(end, 3)},
            )
        )
    return tuple(lines[: len(lines) - len(late)])


def _only(people: Sequence[Person], scan: Scan) -> Person | None:
    if people:
        return people[0] if len(people) == 1 else None
    sure = [p for p in scan.people if not (p.ignored or p.unsure)]
    return sure[0] if len(sure) == 1 else None


def _called(name: str, scan: Scan) -> Person | None:
    """Find the person who is called so.

    Raises:
        SelectionError, where several people are called so.
    """
    wanted = plain_name(name)
    found = [p for p in scan.people if wanted in (plain_name(p.id), plain_name(p.name or ""))]
    if len(found) > 1:
        return scan.person(name)
    return found[0] if found else None


def _nobody(unknown: Counter[str], file: str, scan: Scan) -> SelectionError:
    names = list(unknown)
    there = [p.label if p.label == p.id else f"{p.id} ({p.label})" for p in scan.people]
    nameless = next((p.id for p in scan.people if not p.name), "P1")
    near = difflib.get_close_matches(names[0], [p.label for p in scan.people], n=1)
    return SelectionError(
        f"{file}: nobody in {scan.video.path.name} is called {_listed(names)} "
        f"({unknown.total()} of the lines).",
        hint=(f"Is it {near[0]}? " if near else "")
        + f"People found: {', '.join(there) or 'nobody'}. Write their ids in the list, give them "
        f"these names (facepick people VIDEO --rename {nameless}={names[0]:.40}), or pick who "
        "shall speak.",
    )


def _listed(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:6]) + (" ..." if distinct[6:] else "")
