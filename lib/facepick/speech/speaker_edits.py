"""Corrections of who speaks: the user's word wins for good.

They are kept by the content of the video, each by its time and by where the person's face is, so
that they hold after a re-scan and for another list of lines.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick.files import read_json, write_json
from facepick.locks import locked
from facepick.people.edits import Mark, marks_of, owner_of
from facepick.people.person import Scan
from facepick.publishing import set_aside
from facepick.speech.speakers import Speakers, Turn

__all__ = ["OFF_SCREEN", "SpeakerEdit", "add_edits", "apply_edits", "load_edits", "speaker_edit"]

log = logging.getLogger("facepick.speech.speaker_edits")

OFF_SCREEN = "off_screen"
_AUTO = "auto"
_VERSION = 1
_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class SpeakerEdit:
    """Statement of a user on a stretch of time.

    Attributes:
        start, end: seconds from the first frame.
        who: ``person``, ``off_screen``, or ``auto``, which takes earlier ones back.
        person: where the person's face is.
    """

    start: float
    end: float
    who: str
    person: tuple[Mark, ...] = ()

    def covers(self, start: float, end: float) -> bool:
        """Tell whether it speaks of most of that time."""
        shared = min(self.end, end) - max(self.start, start)
        return shared > _SHARE * (end - start)


def speaker_edit(scan: Scan, turns: Speakers, text: str) -> SpeakerEdit:
    """Read ``L3=P2``, ``L3=Anna``, ``L3=off_screen`` or ``L3=auto``.

    Raises:
        UserInputError: there is no such line.
        SelectionError: there is no such person.
    """
    key, equals, who = (part.strip() for part in text.partition("="))
    if not equals or not who:
        raise UserInputError(
            f"--set {text} does not say who.", hint="Write: --set L3=P2, or --set L3=off_screen"
        )
    found = [t for t in turns.turns if t.id.lower() == key.lower()]
    if not found:
        # The whole of a line that is parted.
        found = [t for t in turns.turns if t.id.lower().startswith(f"{key.lower()}.")]
    if not found:
        last = turns.turns[-1].id if turns.turns else "none"
        raise UserInputError(f"There is no line {key}.", hint=f"They go from L1 to {last}.")
    start, end = found[0].start, found[-1].end
    if who.lower() in (OFF_SCREEN, _AUTO):
        return SpeakerEdit(start=start, end=end, who=who.lower())
    person = scan.person(who)
    return SpeakerEdit(start=start, end=end, who="person", person=marks_of(scan, person))


def apply_edits(scan: Scan, speakers: Speakers, edits: Sequence[SpeakerEdit]) -> Speakers:
    """Put the user's word in the place of what was decided; later edits win."""
    return replace(speakers, turns=tuple(_edited(scan, turn, edits) for turn in speakers.turns))


def _edited(scan: Scan, turn: Turn, edits: Sequence[SpeakerEdit]) -> Turn:
    for edit in reversed(edits):
        if not edit.covers(turn.start, turn.end):
            continue
        if edit.who == _AUTO:
            return turn
        if edit.who == OFF_SCREEN:
            return replace(turn, person=None, state="off_screen", score=1.0, corrected=True)
        person = owner_of(scan, scan.people, edit.person)
        if person is not None:
            return replace(turn, person=person.id, state="sure", score=1.0, corrected=True)
    return turn


def _path(cache: Path, content_hash: str) -> Path:
    return cache / f"{content_hash[:16]}-speakers.edits.json"


def load_edits(cache: Path, content_hash: str) -> tuple[SpeakerEdit, ...]:
    """Read what was said of this video; nothing where it cannot be read."""
    path = _path(cache, content_hash)
    try:
        return _read(path, content_hash)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        log.warning("Corrections of speakers (%s) cannot be read: %s", path, error)
        return ()


def add_edits(cache: Path, scan: Scan, edits: Sequence[SpeakerEdit]) -> Path | None:
    """Keep further edits; gives where unreadable older ones were set aside.

    Raises:
        OSError: the disk refuses.
    """
    path = _path(cache, scan.content_hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = None
    with locked(path.with_name(f".{path.name}.lock")):
        try:
            older = _read(path, scan.content_hash)
        except FileNotFoundError:
            older = ()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError):
            aside, older = set_aside(path), ()
        # One that is wholly covered by a newer one has nothing more to say.
        kept = [
            old for old in older
            if not any(new.start <= old.start and old.end <= new.end for new in edits)
        ]  # fmt: skip
        plain = {
            "version": _VERSION,
            "content_hash": scan.content_hash,
            "edits": [asdict(edit) for edit in (*kept, *edits)],
        }
        write_json(path, plain, durable=True)
    return aside


def _read(path: Path, content_hash: str) -> tuple[SpeakerEdit, ...]:
    data = read_json(path)
    if data["version"] != _VERSION or data["content_hash"] != content_hash:
        raise ValueError("it is of another video or version")
    return tuple(_edit(entry) for entry in data["edits"])


def _edit(entry: Any) -> SpeakerEdit:
    who = entry["who"]
    if who not in ("person", OFF_SCREEN, _AUTO):
        raise ValueError(f"unknown speaker {who!r}")
    return SpeakerEdit(
        start=float(entry["start"]),
        end=float(entry["end"]),
        who=who,
        person=tuple(
            Mark(
                int(mark["start"]),
                int(mark["stop"]),
                tuple((int(row[0]), *(float(v) for v in row[1:5])) for row in mark["at"]),
            )
            for mark in entry["person"]
        ),
    )
