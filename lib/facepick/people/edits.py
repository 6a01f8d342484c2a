"""Corrections by the user: merge, split, move, cut, add, rename, ignore, include.

An edit names people and tracks by their ids in the scan that the user sees.  What is stored of
it, a correction, is stored apart from the scan, and says which faces it is about by where and when
they are on screen - not by ``P2``, which may be somebody else after a scan with other settings.
`apply_edits` finds the tracks that cover the same frames and places, and replays the list.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from facepick.errors import SelectionError, UserInputError
from facepick.faces.detection import Box
from facepick.faces.five_points import five_of_box
from facepick.files import read_json, write_json
from facepick.locks import locked
from facepick.notices import Notice
from facepick.people.person import Person, Scan
from facepick.people.store import load_scan
from facepick.people.track import BRIDGED, TRACKED, FaceTrack
from facepick.publishing import set_aside

__all__ = [
    "Add",
    "Corrected",
    "Correction",
    "Cut",
    "Edit",
    "Ignore",
    "Include",
    "Mark",
    "Merge",
    "Move",
    "Rename",
    "Split",
    "add_edit",
    "apply_edits",
    "edits_problem",
    "load_edits",
    "marks_of",
    "owner_of",
    "replace_edits",
    "store_edits",
    "try_edits",
    "undo_edit",
]

log = logging.getLogger("facepick.people.edits")

Action = Literal[
    "merge", "split", "move", "cut", "add", "rename", "ignore", "unignore", "include", "exclude"
]
_ACTIONS = get_args(Action)
_VERSION = 1
_MAX_NAME = 80
_MAX_BYTES = 64 * 2**20
"""A correction of a person with 1000 appearances takes 200 kB."""


@dataclass(frozen=True)
class Mark:
    """Place of a track, by which it is found again in another scan of the same video.

    Attributes:
        start, stop: its frames, half-open.
        at: ``(frame, x0, y0, x1, y1)`` of its first, middle and last frame, display pixels.
    """

    start: int
    stop: int
    at: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, track: FaceTrack) -> Mark:
        """Mark a track by its first, middle and last frame."""
        rows = sorted({0, len(track) // 2, len(track) - 1})
        at = tuple(
            (int(track.frames[r]), *(round(float(v), 1) for v in track.boxes[r])) for r in rows
        )
        return cls(track.start, track.stop, at)

    def fits(self, track: FaceTrack) -> float:
        """Measure how well a track is the marked one, in [0, 1].

        The mean overlap of the boxes where both are, times the share of the shorter one that they
        share.
        """
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
class Merge:
    """Statement that these are one person; the first keeps id and name.

    Where they share frames the face that was seen less well is cut off, and is nobody's.
    """

    people: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Statement that these appearances (track ids) are somebody else than the rest of `person`."""

    person: str
    tracks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Move:
    """Statement that these appearances, of whomever or of nobody, are `to`."""

    tracks: tuple[str, ...]
    to: str


@dataclass(frozen=True, kw_only=True)
class Rename:
    """New name of a person; None or an empty name takes the name away."""

    person: str
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Ignore:
    """Wish to leave a person out of the gallery, or to show them again."""

    person: str
    ignored: bool = True


@dataclass(frozen=True, kw_only=True)
class Include:
    """Statement that an unsure person is one after all, or that a sure one is not."""

    person: str
    unsure: bool = False


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Statement that a track is somebody else from a frame on, or before it.

    Attributes:
        track: its id.
        frame: the first frame of its later part.
        before: whether the part before the frame is cut off, and not the one from it on.
    """

    track: str
    frame: int
    before: bool = False


@dataclass(frozen=True, kw_only=True)
class Add:
    """Face that the scan has not found: where a box drawn by hand was followed to.

    Attributes:
        rows: ``(frame, x0, y0, x1, y1)`` of every frame, rising, display pixels; see
            `facepick.people.follow.follow_box`.
        to: id or name of the person it is; a name that nobody has is a new person's.
    """

    rows: tuple[tuple[float, ...], ...]
    to: str


Edit = Merge | Split | Move | Cut | Add | Rename | Ignore | Include


@dataclass(frozen=True, kw_only=True)
class Correction:
    """An edit as it is stored.

    Attributes:
        action: what is done.
        people: the marks of every track of each person it is about; the first stays.
        tracks: the marks of the tracks that are split off or moved.
        name: the new name, or None to take it away; of an added face that of a new person.
        frame: where a track is cut.
        before: whether what lies before the cut goes.
        rows: of an added face.
    """

    action: Action
    people: tuple[tuple[Mark, ...], ...]
    tracks: tuple[Mark, ...] = ()
    name: str | None = None
    frame: int = 0
    before: bool = False
    rows: tuple[tuple[float, ...], ...] = ()


def load_edits(cache: Path, content_hash: str) -> tuple[Correction, ...]:
    """Load the corrections of a video, oldest first; none when none can be read.

    What cannot be read stays where it is: `edits_problem` says so, and whoever stores the next
    correction sets it aside.
    """
    try:
        return _load(cache, content_hash)
    except FileNotFoundError:
        return ()
    except _UNREADABLE as error:
        log.warning("The corrections of %s cannot be read: %s", content_hash[:16], error)
        return ()


def edits_problem(cache: Path, content_hash: str) -> Notice | None:
    """Say why the corrections of a video are not applied; None when they are."""
    try:
        _load(cache, content_hash)
    except FileNotFoundError:
        pass
    except _UNREADABLE as error:
        facts = {"problem": str(error), "kept": str(_path(cache, content_hash))}
        return Notice(code="corrections_unread", facts=facts)
    return None


_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError)


def _load(cache: Path, content_hash: str) -> tuple[Correction, ...]:
    plain = read_json(_path(cache, content_hash), max_bytes=_MAX_BYTES)
    if not isinstance(plain, dict):
        raise ValueError("they are no list of corrections")
    if plain.get("version") != _VERSION:
        raise ValueError(f"they are of version {plain.get('version')!r}, not {_VERSION}")
    if plain.get("content_hash") != content_hash:
        raise ValueError("they are of another video")
    return tuple(_from_json(entry) for entry in plain["edits"])


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """Edits that were tried on a scan and are not stored yet.

    Attributes:
        before: the scan as the user saw it.
        scan: with the edits applied.
        undone: whether the newest stored correction is taken back first.
        corrections: what is to be stored.
    """

    before: Scan
    scan: Scan
    undone: bool
    corrections: tuple[Correction, ...]


def try_edits(cache: Path, scan: Scan, edits: Sequence[Edit], *, undo: bool = False) -> Corrected:
    """Apply edits one after the other without storing any.

    Args:
        cache: folder of stored scans.
        scan: as the user sees it, with all earlier edits applied.
        edits: each names people and tracks of the scan with those before it applied.
        undo: take the newest stored correction back first.

    Raises:
        SelectionError: an edit names somebody who is not there, would make two people one who
            are on screen together most of the time, or gives a name that cannot be.
        UserInputError: what was before all edits is no longer stored, so that nothing can be
            taken back.
    """
    stored = load_edits(cache, scan.content_hash) if undo else ()
    undone = bool(stored)
    before = scan
    if undone:
        bare = load_scan(Path(scan.folder), info=scan.video, content_hash=scan.content_hash)
        if bare is None:
            raise UserInputError(
                f"The stored scan of {scan.video.path.name} is gone.",
                hint="Scan the video again, then undo.",
            )
        scan = apply_edits(bare, stored[:-1])
    corrections = []
    for edit in edits:
        corrections.append(_recorded(scan, edit))
        scan = apply_edits(scan, corrections[-1:])
    return Corrected(before=before, scan=scan, undone=undone, corrections=tuple(corrections))


def store_edits(cache: Path, corrected: Corrected) -> Path | None:
    """Store what was tried, all of it or nothing.

    Returns:
        Where corrections that cannot be read were set aside; None when there were none.

    Raises:
        OSError: the disk refuses; what was stored before still is.
    """
    digest = corrected.before.content_hash
    if not corrected.corrections and not corrected.undone:
        return None
    aside = None
    with _alone(cache, digest):
        if edits_problem(cache, digest) is not None:
            aside = set_aside(_path(cache, digest))
        stored = load_edits(cache, digest)
        if corrected.undone:
            stored = stored[:-1]
        _store(cache, digest, (*stored, *corrected.corrections))
    return aside


def add_edit(cache: Path, scan: Scan, edit: Edit) -> Scan:
    """Store an edit and apply it.

    Raises what `try_edits` and `store_edits` raise; nothing is stored then.
    """
    corrected = try_edits(cache, scan, [edit])
    store_edits(cache, corrected)
    return corrected.scan


def replace_edits(cache: Path, content_hash: str, entries: Sequence[Any]) -> None:
    """Put others in the place of a video's corrections; those before are set aside.

    Args:
        entries: plain JSON, perhaps by a stranger.

    Raises:
        UserInputError: they are no corrections.
    """
    try:
        edits = tuple(_from_json(entry) for entry in entries)
    except _UNREADABLE as error:
        raise UserInputError(
            "These corrections cannot be read.", hint="Save them again with this version."
        ) from error
    path = _path(cache, content_hash)
    with _alone(cache, content_hash):
        if path.is_file() and load_edits(cache, content_hash) != edits:
            set_aside(path, "replaced")
        _store(cache, content_hash, edits)


def undo_edit(cache: Path, scan: Scan) -> Scan:
    """Take the newest edit back; the same scan when there is none.

    Raises what `try_edits` and `store_edits` raise.
    """
    corrected = try_edits(cache, scan, [], undo=True)
    store_edits(cache, corrected)
    return corrected.scan


def _recorded(scan: Scan, edit: Edit) -> Correction:
    if isinstance(edit, Merge):
        return _merge(scan, edit.people)
    if isinstance(edit, Split):
        return _split(scan, edit.person, edit.tracks)
    if isinstance(edit, Move):
        return _move(scan, edit.tracks, edit.to)
    if isinstance(edit, Cut):
        return _cut(scan, edit)
    if isinstance(edit, Add):
        return _add(scan, edit)
    owner = scan.person(edit.person)
    about = (marks_of(scan, owner),)
    if isinstance(edit, Rename):
        return Correction(action="rename", people=about, name=_checked_name(scan, owner, edit.name))
    if isinstance(edit, Ignore):
        return Correction(action="ignore" if edit.ignored else "unignore", people=about)
    return Correction(action="exclude" if edit.unsure else "include", people=about)


def _merge(scan: Scan, people: Sequence[str]) -> Correction:
    found = list({p.id: p for p in (scan.person(key) for key in people)}.values())
    if len(found) < 2:
        raise SelectionError("Two different people are needed to make one of.")
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            shared = np.intersect1d(_frames_of(scan, a), _frames_of(scan, b))
            if 2 * len(shared) > min(a.frames, b.frames):
                raise SelectionError(
                    f"{a.label} and {b.label} are both on screen in frame {int(shared[0])}, and in "
                    f"{len(shared)} in all.",
                    hint="Nobody is in two places: split the wrong appearance off first.",
                )
    return Correction(action="merge", people=tuple(marks_of(scan, p) for p in found))


def _split(scan: Scan, person: str, tracks: Sequence[str]) -> Correction:
    owner = scan.person(person)
    strange = set(tracks) - set(owner.track_ids)
    if strange or not tracks:
        raise SelectionError(
            f"{owner.label} has no track {', '.join(sorted(strange)) or '(none was named)'}.",
            hint=f"Their tracks: {', '.join(owner.track_ids)}.",
        )
    chosen = [t for t in scan.tracks if t.id in set(tracks)]
    if len(chosen) == len(owner.track_ids):
        raise SelectionError(f"Nothing would be left of {owner.label}.")
    return Correction(
        action="split", people=(marks_of(scan, owner),), tracks=tuple(map(Mark.of, chosen))
    )


def _move(scan: Scan, tracks: Sequence[str], to: str) -> Correction:
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
    return Correction(
        action="move", people=(marks_of(scan, target),), tracks=tuple(map(Mark.of, chosen))
    )


def _cut(scan: Scan, edit: Cut) -> Correction:
    try:
        track = scan.track(edit.track)
    except KeyError:
        raise SelectionError(f"There is no track {edit.track!r:.60}.") from None
    if not track.start < edit.frame <= int(track.frames[-1]):
        at = (scan.pts[[track.start, int(track.frames[-1])]] - scan.pts[0]) * float(
            scan.video.time_base
        )
        raise SelectionError(
            f"{track.id} is not cut there: it lasts from {at[0]:.2f} to {at[1]:.2f} s."
        )
    owner = next((p for p in scan.people if track.id in p.track_ids), None)
    return Correction(
        action="cut",
        people=() if owner is None else (marks_of(scan, owner),),
        tracks=(Mark.of(track),),
        frame=edit.frame,
        before=edit.before,
    )


def _add(scan: Scan, edit: Add) -> Correction:
    if not edit.rows:
        raise SelectionError("Nothing can be followed from there.")
    wanted = edit.to.strip().lower()
    if not wanted:
        raise SelectionError("Whose face it is, is not said.", hint="Give an id or a name.")
    owner = next((p for p in scan.people if wanted in (p.id.lower(), (p.name or "").lower())), None)
    if owner is None:
        return Correction(
            action="add", people=(), name=_checked_name(scan, None, edit.to), rows=edit.rows
        )
    mine = _frames_of(scan, owner)
    shared = np.intersect1d(mine, [int(row[0]) for row in edit.rows])
    if len(shared) == len(edit.rows):
        raise SelectionError(f"{owner.label} is elsewhere in frame {int(shared[0])} already.")
    return Correction(action="add", people=(marks_of(scan, owner),), rows=edit.rows)


def _checked_name(scan: Scan, owner: Person | None, name: str | None) -> str | None:
    text = (name or "").strip()
    if not text:
        return None
    if len(text) > _MAX_NAME or not text.isprintable():
        raise SelectionError(f"A name has at most {_MAX_NAME} printable letters.")
    if re.fullmatch(r"[PpTt]\d+", text):
        raise SelectionError(f"{text!r} looks like an id.", hint="Take another name.")
    for other in scan.people:
        if (owner is None or other.id != owner.id) and (other.name or "").lower() == text.lower():
            raise SelectionError(
                f"{other.id} is called {text!r} already.", hint="Merge them if they are one."
            )
    return text


def _path(cache: Path, content_hash: str) -> Path:
    return Path(cache) / f"{content_hash[:16]}.edits.json"


def _alone(cache: Path, content_hash: str) -> AbstractContextManager[None]:
    """Keep all others from reading the list, adding to it and writing it back meanwhile."""
    path = _path(cache, content_hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    return locked(path.with_name(f".{path.name}.lock"))


def _store(cache: Path, content_hash: str, edits: Sequence[Correction]) -> None:
    path = _path(cache, content_hash)
    plain = {
        "version": _VERSION,
        "content_hash": content_hash,
        "edits": [asdict(edit) for edit in edits],
    }
    write_json(path, plain, durable=True)


def apply_edits(scan: Scan, edits: Sequence[Correction]) -> Scan:
    """Apply every correction to the scan, in order.

    What a correction is about and cannot be found again is passed over.  People keep their ids
    as long as they exist; somebody split off gets the next free one, so that ids a user has
    seen never change their meaning.
    """
    people = list(scan.people)
    for edit in edits:
        scan, people = _applied(scan, people, edit)
    people = _near([_counted(scan, p) for p in people])
    sure = [p for p in people if not p.unsure]
    return replace(scan, people=(*sure, *(p for p in people if p.unsure)))


def _near(people: list[Person]) -> list[Person]:
    """Clean `may_be` of people who are gone or unsure, and empty it for sure people."""
    sure = {p.id for p in people if not p.unsure}
    return [
        replace(
            p,
            may_be=tuple(item for item in p.may_be if item[0] in sure) if p.unsure else (),
            group=p.group if p.unsure else None,
            doubt=p.doubt if p.unsure else None,
        )
        for p in people
    ]


def _renamed(person: Person, merged: Sequence[str]) -> Person:
    """Put the first of the merged ids for the others in `may_be`."""
    scores: dict[str, float] = {}
    for key, score in person.may_be:
        name = merged[0] if key in merged else key
        scores[name] = max(score, scores.get(name, 0.0))
    return replace(person, may_be=tuple(scores.items()))


def _applied(scan: Scan, people: list[Person], edit: Correction) -> tuple[Scan, list[Person]]:
    if edit.action == "cut":
        return _apply_cut(scan, people, edit)
    if edit.action == "add":
        return _apply_add(scan, people, edit)
    found = [owner_of(scan, people, marks) for marks in edit.people]
    if not found or found[0] is None:
        log.info("A correction (%s) is about nobody in this scan.", edit.action)
        return scan, people
    first = found[0]
    if edit.action == "merge":
        return _apply_merge(scan, people, [first, *(p for p in found[1:] if p is not None)])
    if edit.action == "split":
        return scan, _apply_split(scan, people, first, edit)
    if edit.action == "move":
        return scan, _apply_move(scan, people, first, edit)
    every: dict[str, dict[str, Any]] = {
        "rename": {"name": edit.name},
        "ignore": {"ignored": True},
        "unignore": {"ignored": False},
        "include": {"unsure": False},
        "exclude": {"unsure": True},
    }
    changes = every[edit.action]
    return scan, [replace(p, **changes) if p.id == first.id else p for p in people]


def _apply_merge(
    scan: Scan, people: list[Person], found: Sequence[Person]
) -> tuple[Scan, list[Person]]:
    first = found[0]
    rest = [p for p in found[1:] if p.id != first.id]
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
    scan, joined = _in_one_place(scan, joined)
    left = [p for p in people if p.id == first.id or p.id not in ids]
    return scan, [joined if p.id == first.id else _renamed(p, ids) for p in left]


def _marked(scan: Scan, edit: Correction) -> set[str]:
    """Find the tracks that a correction marks, by id."""
    return {t.id for t in scan.tracks if any(m.fits(t) > 0.5 for m in edit.tracks)}


def _without(people: list[Person], tracks: set[str]) -> list[Person]:
    """Take tracks from everybody; whoever has none left is gone."""
    return [
        replace(p, track_ids=tuple(t for t in p.track_ids if t not in tracks))
        for p in people
        if set(p.track_ids) - tracks
    ]


def _next_id(scan: Scan, people: list[Person]) -> str:
    return f"P{max((_number(p.id) for p in [*people, *scan.people]), default=0) + 1}"


def _apply_split(scan: Scan, people: list[Person], first: Person, edit: Correction) -> list[Person]:
    chosen = _marked(scan, edit) & set(first.track_ids)
    if not chosen or chosen == set(first.track_ids):
        return people
    apart = replace(
        first,
        id=_next_id(scan, people),
        name=None,
        track_ids=tuple(sorted(chosen, key=_number)),
        thumbnails=_thumbnails_of(scan, chosen),
        confidence=1.0,
        unsure=False,
    )
    return [*_without(people, chosen), apart]


def _apply_move(scan: Scan, people: list[Person], first: Person, edit: Correction) -> list[Person]:
    chosen = _marked(scan, edit)
    others = _without([p for p in people if p.id != first.id], chosen)
    mine = (*(t for t in first.track_ids if t not in chosen), *sorted(chosen, key=_number))
    moved = {p.id: p for p in others} | {first.id: replace(first, track_ids=mine)}
    return [moved[p.id] for p in people if p.id in moved]


def _apply_cut(scan: Scan, people: list[Person], edit: Correction) -> tuple[Scan, list[Person]]:
    """Part a track; what is cut off is an unsure person of its own, for whoever it is."""
    track = next((t for t in scan.tracks if t.id in _marked(scan, edit)), None)
    if track is None or not track.start < edit.frame <= int(track.frames[-1]):
        log.info("A cut is about no track of this scan.")
        return scan, people
    late = track.frames >= edit.frame
    off = ~late if edit.before else late
    apart = replace(track.only(off), id=_next_track(scan))
    tracks = [track.only(~off) if t.id == track.id else t for t in scan.tracks]
    stranger = Person.of_track(_next_id(scan, people), apart, scan, unsure=True)
    return replace(scan, tracks=(*tracks, apart)), [*people, stranger]


def _apply_add(scan: Scan, people: list[Person], edit: Correction) -> tuple[Scan, list[Person]]:
    """Add a followed face as a track of a person who is there, or of a new one."""
    owner = owner_of(scan, people, edit.people[0]) if edit.people else None
    if edit.people and owner is None:
        log.info("An added face is of nobody in this scan.")
        return scan, people
    taken = set() if owner is None else set(_frames_of(scan, owner).tolist())
    rows = np.array([r for r in edit.rows if int(r[0]) not in taken and r[0] < scan.frames])
    if not len(rows):
        return scan, people
    frames = rows[:, 0].astype(np.int32)
    boxes = rows[:, 1:].astype(np.float32)
    shot = next((s.index for s in scan.shots if s.start <= frames[0] < s.stop), 0)
    track = FaceTrack(
        id=_next_track(scan),
        shot=shot,
        frames=frames,
        boxes=boxes,
        landmarks5=np.stack([five_of_box(Box(*map(float, box))) for box in boxes]),
        score=np.ones(len(rows), np.float32),
        origin=np.full(len(rows), TRACKED, np.uint8),
    )
    scan = replace(scan, tracks=(*scan.tracks, track))
    if owner is not None:
        grown = replace(owner, track_ids=(*owner.track_ids, track.id))
        return scan, [grown if p.id == owner.id else p for p in people]
    new = Person.of_track(_next_id(scan, people), track, scan, name=edit.name)
    return scan, [*people, new]


def _next_track(scan: Scan) -> str:
    return f"T{max((_number(t.id) for t in scan.tracks), default=0) + 1}"


def _thumbnails_of(scan: Scan, tracks: set[str]) -> tuple[str, ...]:
    """Pick the pictures that the scan keeps of the longest tracks."""
    chosen = sorted((t for t in scan.tracks if t.id in tracks), key=lambda t: (-len(t), t.start))
    names = [f"{t.id}.jpg" for t in chosen]
    return tuple(name for name in names if (Path(scan.folder) / name).is_file())[:5]


def owner_of(scan: Scan, people: Sequence[Person], marks: Sequence[Mark]) -> Person | None:
    """Find the person who holds most of what is marked, counted in frames."""
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


def _counted(scan: Scan, person: Person) -> Person:
    """Recount frames, time and track order as the tracks now are."""
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


def marks_of(scan: Scan, person: Person) -> tuple[Mark, ...]:
    """List the marks by which a correction finds the person's tracks again."""
    return tuple(Mark.of(t) for t in scan.tracks if t.id in set(person.track_ids))


def _frames_of(scan: Scan, person: Person) -> npt.NDArray[np.int32]:
    """List the frames with a person, rising."""
    tracks = [t.frames for t in scan.tracks if t.id in set(person.track_ids)]
    return np.asarray(np.unique(np.concatenate(tracks)), np.int32)


def _in_one_place(scan: Scan, person: Person) -> tuple[Scan, Person]:
    """Leave a person one face a frame: of two tracks that share frames the weaker loses them.

    What is cut off becomes a track of nobody.  Where a face was seen is stronger than where its
    place is a guess, a higher score of the detector is stronger than a lower one.
    """
    tracks = {t.id: t for t in scan.tracks}
    mine = sorted((t for t in scan.tracks if t.id in set(person.track_ids)), key=lambda t: -len(t))
    number = max((_number(key) for key in tracks), default=0)
    for i, first in enumerate(mine):
        for second in mine[i + 1 :]:
            a, b = tracks.get(first.id), tracks.get(second.id)
            if a is None or b is None:
                continue
            shared, in_a, in_b = np.intersect1d(a.frames, b.frames, return_indices=True)
            if not len(shared):
                continue
            weak, rows = (b, in_b) if _seen(a, in_a) >= _seen(b, in_b) else (a, in_a)
            number += 1
            off = np.zeros(len(weak), bool)
            off[rows] = True
            tracks[f"T{number}"] = replace(weak.only(off), id=f"T{number}")
            del tracks[weak.id]
            if not off.all():
                tracks[weak.id] = weak.only(~off)
    kept = tuple(key for key in person.track_ids if key in tracks)
    ordered = tuple(tracks[key] for key in sorted(tracks, key=_number))
    return replace(scan, tracks=ordered), replace(person, track_ids=kept)


def _seen(track: FaceTrack, rows: npt.NDArray[np.integer]) -> float:
    """Measure how well a face was seen in some rows of a track."""
    return float(np.mean(np.where(track.origin[rows] == BRIDGED, 0.0, track.score[rows])))


def _number(identifier: str) -> int:
    digits = identifier[1:]
    return int(digits) if digits.isdigit() else 0


def _from_json(entry: Any) -> Correction:
    def mark(plain: Any) -> Mark:
        rows = tuple((int(row[0]), *(float(v) for v in row[1:5])) for row in plain["at"])
        if not rows or any(len(row) != 5 for row in rows):
            raise ValueError("a mark needs rows of five numbers")
        return Mark(int(plain["start"]), int(plain["stop"]), rows)

    action = entry["action"]
    name = entry.get("name")
    if action not in _ACTIONS or not (name is None or isinstance(name, str)):
        raise ValueError(f"unknown correction {action!r}")
    return Correction(
        action=cast(Action, action),
        people=tuple(tuple(mark(m) for m in person) for person in entry["people"]),
        tracks=tuple(mark(m) for m in entry.get("tracks", ())),
        name=name,
        frame=int(entry.get("frame", 0)),
        before=bool(entry.get("before", False)),
        rows=tuple(_row(row) for row in entry.get("rows", ())),
    )


def _row(row: Any) -> tuple[float, ...]:
    values = (int(row[0]), *(float(v) for v in row[1:5]))
    if len(values) != 5 or not all(np.isfinite(values)):
        raise ValueError("an added face needs rows of five numbers")
    return values
