"""What a user corrects: merge, split, move, rename, ignore, include.

A correction is stored apart from the scan, and says which faces it is about by where and when
they are on screen - not by ``P2``, which may be somebody else after a scan with other settings.
`apply_edits` finds the tracks that cover the same frames and places, and replays the log.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from facepick.errors import SelectionError
from facepick.faces.detection import Box
from facepick.people.identity import Identity, Scan
from facepick.people.track import FaceTrack

__all__ = [
    "Edit",
    "EditLog",
    "Mark",
    "apply_edits",
    "ignore",
    "include",
    "merge",
    "move",
    "rename",
    "split",
    "unignore",
]

log = logging.getLogger("facepick.people.edits")

Action = Literal["merge", "split", "move", "rename", "ignore", "unignore", "include"]
_ACTIONS = ("merge", "split", "move", "rename", "ignore", "unignore", "include")
_MAX_NAME = 80


@dataclass(frozen=True)
class Mark:
    """Where a track is, so that it is found again in another scan of the same video.

    Attributes:
        start, stop: its frames, half-open.
        at: ``(frame, x0, y0, x1, y1)`` of its first, middle and last frame, display pixels.
    """

    start: int
    stop: int
    at: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, track: FaceTrack) -> Mark:
        rows = sorted({0, len(track) // 2, len(track) - 1})
        at = tuple(
            (int(track.frames[r]), *(round(float(v), 1) for v in track.boxes[r])) for r in rows
        )
        return cls(track.start, track.stop, at)

    def fits(self, track: FaceTrack) -> float:
        """How well a track is the marked one, in [0, 1]: mean overlap of the boxes where both
        are, times the share of the shorter one that they share."""
        shared = min(self.stop, track.stop) - max(self.start, track.start)
        if shared <= 0:
            return 0.0
        share = shared / min(self.stop - self.start, len(track))
        overlaps = []
        for frame, *box in self.at:
            there = track.box_at(int(frame))
            if there is not None:
                overlaps.append(there.iou(Box(*box)))
        if not overlaps:
            # The marked frames lie outside: the nearest frame of the track must do.
            frame, *box = min(self.at, key=lambda row: abs(row[0] - track.start))
            nearest = int(np.argmin(np.abs(track.frames - frame)))
            overlaps.append(Box(*map(float, track.boxes[nearest])).iou(Box(*box)))
        return float(np.mean(overlaps)) * min(1.0, share)


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One correction.

    Attributes:
        action: what is done.
        people: the marks of every track of each person it is about; the first stays.
        tracks: the marks of the tracks that are split off or moved.
        name: the new name, or None to take it away.
    """

    action: Action
    people: tuple[tuple[Mark, ...], ...]
    tracks: tuple[Mark, ...] = ()
    name: str | None = None

    def __post_init__(self) -> None:
        if self.action not in _ACTIONS:
            raise ValueError(f"unknown action {self.action!r}")


def merge(scan: Scan, people: Sequence[str]) -> Edit:
    """These are one person; the first keeps the name.

    Raises:
        SelectionError: fewer than two, unknown, or two of them are on screen together.
    """
    found = _people(scan, people, at_least=2)
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            frame = _together(scan, a, b)
            if frame is not None:
                raise SelectionError(
                    f"{a.label} and {b.label} are both on screen in frame {frame}.",
                    hint="Nobody is in two places: move the wrong appearance away first.",
                )
    return Edit(action="merge", people=tuple(_marks(scan, p) for p in found))


def split(scan: Scan, person: str, tracks: Sequence[str]) -> Edit:
    """These appearances are somebody else than the rest of `person`.

    Raises:
        SelectionError: none, all, or not theirs.
    """
    owner = scan.person(person)
    chosen = _tracks(scan, owner, tracks)
    if len(chosen) == len(owner.track_ids):
        raise SelectionError(f"Nothing would be left of {owner.label}.")
    return Edit(action="split", people=(_marks(scan, owner),), tracks=tuple(map(Mark.of, chosen)))


def move(scan: Scan, tracks: Sequence[str], to: str) -> Edit:
    """These appearances, of whomever or nobody, are `to`.

    Raises:
        SelectionError: unknown, or `to` is on screen at the same time.
    """
    target = scan.person(to)
    chosen = []
    for key in tracks:
        try:
            track = scan.track(key)
        except KeyError:
            raise SelectionError(f"There is no track {key!r}.") from None
        for other in scan.tracks_of(target.id):
            shared = np.intersect1d(other.frames, track.frames)
            if other.id != track.id and len(shared):
                raise SelectionError(
                    f"{target.label} is elsewhere in frame {int(shared[0])} already."
                )
        chosen.append(track)
    if not chosen:
        raise SelectionError("No track is named.")
    return Edit(action="move", people=(_marks(scan, target),), tracks=tuple(map(Mark.of, chosen)))


def rename(scan: Scan, person: str, name: str | None) -> Edit:
    """Call a person something.

    Raises:
        SelectionError: the name is another's, looks like an id, is too long, or not printable.
    """
    owner = scan.person(person)
    text = (name or "").strip() or None
    if text is not None:
        if len(text) > _MAX_NAME or not text.isprintable():
            raise SelectionError(f"A name has at most {_MAX_NAME} printable letters.")
        if re.fullmatch(r"[PpTt]\d+", text):
            raise SelectionError(f"{text!r} looks like an id.", hint="Take another name.")
        for other in scan.people:
            if other.id != owner.id and (other.name or "").lower() == text.lower():
                raise SelectionError(
                    f"{other.id} is called {text!r} already.", hint="Merge them if they are one."
                )
    return Edit(action="rename", people=(_marks(scan, owner),), name=text)


def ignore(scan: Scan, person: str) -> Edit:
    """Leave a person out of the gallery."""
    return Edit(action="ignore", people=(_marks(scan, scan.person(person)),))


def unignore(scan: Scan, person: str) -> Edit:
    """Show a person again."""
    return Edit(action="unignore", people=(_marks(scan, scan.person(person)),))


def include(scan: Scan, person: str) -> Edit:
    """An unsure person is one after all."""
    return Edit(action="include", people=(_marks(scan, scan.person(person)),))


class EditLog:
    """The corrections of one video, oldest first, in a JSON file.

    Args:
        folder: where the logs of all videos lie.
        content_hash: of the video.
    """

    VERSION = 1

    def __init__(self, folder: Path, content_hash: str) -> None:
        self.path = Path(folder) / f"{content_hash[:16]}.edits.json"
        self._hash = content_hash

    def read(self) -> tuple[Edit, ...]:
        """The corrections; none when there is no log, or it cannot be read."""
        try:
            plain = json.loads(self.path.read_text(encoding="utf-8"))
            if plain["version"] != self.VERSION or plain["content_hash"] != self._hash:
                raise ValueError("it is of another video or version")
            return tuple(_edit_from(entry) for entry in plain["edits"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("The corrections %s cannot be read: %s", self.path, error)
            return ()

    def append(self, edit: Edit) -> None:
        """Add a correction; the file is replaced in one step."""
        self._write((*self.read(), edit))

    def undo(self) -> Edit | None:
        """Take the newest correction back; None when there is none."""
        edits = self.read()
        if not edits:
            return None
        self._write(edits[:-1])
        return edits[-1]

    def _write(self, edits: Sequence[Edit]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        plain = {
            "version": self.VERSION,
            "content_hash": self._hash,
            "edits": [asdict(edit) for edit in edits],
        }
        handle, name = tempfile.mkstemp(prefix=".edits-", dir=self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(plain, file)
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def apply_edits(scan: Scan, edits: Sequence[Edit]) -> Scan:
    """The scan with every correction, in order.

    What a correction is about and cannot be found again is passed over.  People keep their ids
    as long as they exist; somebody split off gets the next free one, so that ids a user has
    seen never change their meaning.
    """
    people = list(scan.people)
    for edit in edits:
        people = _applied(scan, people, edit)
    people = [_counted(scan, p) for p in people]
    sure = [p for p in people if not p.unsure]
    return replace(scan, people=(*sure, *(p for p in people if p.unsure)))


def _applied(scan: Scan, people: list[Identity], edit: Edit) -> list[Identity]:
    found = [_owner(scan, people, marks) for marks in edit.people]
    if not found or found[0] is None:
        log.info("A correction (%s) is about nobody in this scan.", edit.action)
        return people
    first = found[0]
    if edit.action == "merge":
        rest = [p for p in found[1:] if p is not None and p.id != first.id]
        ids = [first.id, *(p.id for p in rest)]
        joined = replace(
            first,
            name=next((p.name for p in (first, *rest) if p.name), None),
            track_ids=tuple(t for p in (first, *rest) for t in p.track_ids),
            exemplars=np.concatenate([p.exemplars for p in (first, *rest)]),
            thumbnails=tuple(t for p in (first, *rest) for t in p.thumbnails),
            unsure=all(p.unsure for p in (first, *rest)),
            confidence=1.0 if rest else first.confidence,
        )
        return [
            joined if p.id == first.id else p for p in people if p.id == first.id or p.id not in ids
        ]
    if edit.action in ("split", "move"):
        chosen = {t.id for t in scan.tracks if any(m.fits(t) > 0.5 for m in edit.tracks)}
        if edit.action == "split":
            chosen &= set(first.track_ids)
            if not chosen or chosen == set(first.track_ids):
                return people
        kept = []
        for person in people:
            rest_ids = tuple(t for t in person.track_ids if t not in chosen)
            if edit.action == "move" and person.id == first.id:
                rest_ids = (*rest_ids, *sorted(chosen, key=_number))
            if rest_ids:
                kept.append(replace(person, track_ids=rest_ids))
        if edit.action == "split":
            number = max(_number(p.id) for p in [*people, *scan.people]) + 1
            kept.append(
                replace(
                    first,
                    id=f"P{number}",
                    name=None,
                    track_ids=tuple(sorted(chosen, key=_number)),
                    thumbnails=_thumbnails_of(scan, chosen),
                    confidence=1.0,
                    unsure=False,
                )
            )
        return kept
    every: dict[str, dict[str, Any]] = {
        "rename": {"name": edit.name},
        "ignore": {"ignored": True},
        "unignore": {"ignored": False},
        "include": {"unsure": False},
    }
    changes = every[edit.action]
    return [replace(p, **changes) if p.id == first.id else p for p in people]


def _thumbnails_of(scan: Scan, tracks: set[str]) -> tuple[str, ...]:
    """The picture that the scan keeps of each track, of the longest ones."""
    chosen = sorted((t for t in scan.tracks if t.id in tracks), key=lambda t: (-len(t), t.start))
    names = [f"{t.id}.jpg" for t in chosen]
    return tuple(name for name in names if (Path(scan.folder) / name).is_file())[:5]


def _owner(scan: Scan, people: Sequence[Identity], marks: Sequence[Mark]) -> Identity | None:
    """The person who holds most of what is marked, counted in frames."""
    votes = {p.id: 0.0 for p in people}
    holder = {t: p.id for p in people for t in p.track_ids}
    for mark in marks:
        for track in scan.tracks:
            fit = mark.fits(track)
            if fit > 0.3 and track.id in holder:
                shared = min(mark.stop, track.stop) - max(mark.start, track.start)
                votes[holder[track.id]] += fit * shared
    best = max(people, key=lambda p: votes[p.id], default=None)
    return best if best is not None and votes[best.id] > 0 else None


def _counted(scan: Scan, person: Identity) -> Identity:
    """With frames, time and track order as the tracks now are."""
    tracks = [t for t in scan.tracks if t.id in set(person.track_ids)]
    frames = np.unique(np.concatenate([t.frames for t in tracks]))
    shown = np.append(np.diff(scan.pts), scan.duration_pts)
    seconds = Fraction(int(shown[frames].sum())) * scan.video.time_base
    return replace(
        person,
        track_ids=tuple(t.id for t in tracks),
        frames=len(frames),
        screen_time=seconds,
    )


def _people(scan: Scan, keys: Sequence[str], *, at_least: int) -> list[Identity]:
    found = list({p.id: p for p in (scan.person(key) for key in keys)}.values())
    if len(found) < at_least:
        raise SelectionError(f"{at_least} different people are needed.")
    return found


def _tracks(scan: Scan, owner: Identity, keys: Sequence[str]) -> list[FaceTrack]:
    wanted = set(keys)
    strange = wanted - set(owner.track_ids)
    if strange or not wanted:
        raise SelectionError(
            f"{owner.label} has the tracks {', '.join(owner.track_ids)}; "
            f"asked for {', '.join(sorted(wanted)) or 'none'}."
        )
    return [t for t in scan.tracks if t.id in wanted]


def _marks(scan: Scan, person: Identity) -> tuple[Mark, ...]:
    return tuple(Mark.of(t) for t in scan.tracks if t.id in set(person.track_ids))


def _together(scan: Scan, a: Identity, b: Identity) -> int | None:
    for first in scan.tracks_of(a.id):
        for second in scan.tracks_of(b.id):
            shared = np.intersect1d(first.frames, second.frames)
            if len(shared):
                return int(shared[0])
    return None


def _number(identifier: str) -> int:
    digits = identifier[1:]
    return int(digits) if digits.isdigit() else 0


def _edit_from(entry: Any) -> Edit:
    def mark(plain: Any) -> Mark:
        rows = tuple((int(row[0]), *(float(v) for v in row[1:5])) for row in plain["at"])
        if not rows or any(len(row) != 5 for row in rows):
            raise ValueError("a mark needs rows of five numbers")
        return Mark(int(plain["start"]), int(plain["stop"]), rows)

    action = entry["action"]
    name = entry.get("name")
    if action not in _ACTIONS or not (name is None or isinstance(name, str)):
        raise ValueError(f"unknown correction {action!r}")
    return Edit(
        action=cast(Action, action),
        people=tuple(tuple(mark(m) for m in person) for person in entry["people"]),
        tracks=tuple(mark(m) for m in entry.get("tracks", ())),
        name=name,
    )
