"""Naming of people in videos: who is who, and who is in which episode."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facepick.errors import UserInputError
from facepick.faces.detection import FloatArray
from facepick.people.person import Person, Scan
from facepick.recognition.cast import Cast, CastKey, Match, vote
from facepick.recognition.classifiers import classifier
from facepick.recognition.pipeline import Recognizer
from facepick.recognition.registry import embedder_info

__all__ = [
    "SeriesRow",
    "SeriesTable",
    "add_from_scan",
    "add_photos",
    "key_of_scan",
    "match",
    "name_people",
    "series_table",
]


log = logging.getLogger("facepick.recognition.naming")


def key_of_scan(scan: Scan) -> CastKey:
    """Identify the model by which the people of a scan were described.

    Raises:
        UserInputError: nobody is in it, or it is a model that is not known.
    """
    models = {person.exemplar_model for person in scan.people if len(person.exemplars)}
    if len(models) != 1:
        raise UserInputError(
            f"{scan.video.path.name} has no faces that could be compared.",
            hint="Scan it with more accuracy.",
        )
    (model,) = models
    return key_of_model(model)


def key_of_model(model: str) -> CastKey:
    """Make the key of a scan's embedder, whose faces are always aligned by five points."""
    from facepick.models.catalog import SFACE

    if model == "sface":
        return CastKey("sface", SFACE.sha256[:12], "five")
    return CastKey(embedder_info(model).id, "", "five")


def add_photos(cast: Cast, name: str, photos: Sequence[Path | str], recognizer: Recognizer) -> int:
    """Add the main face of each photo; returns how many were new.

    Raises:
        UserInputError: a photo cannot be read, or the cast is of another model.
        NoFacesFound: nobody is in one of them; nothing is added then.
    """
    key = CastKey(recognizer.embedder.id, recognizer.version, recognizer.alignment)
    target = Cast(cast.path, key=key)
    seen = [recognizer.describe(photo) for photo in photos]
    return target.add(
        name,
        np.stack([embedding for _, embedding in seen]),
        qualities=[face.quality.value for face, _ in seen],
        sources=[str(photo) for photo in photos],
        thumbnails=[_jpeg(face.chip) for face, _ in seen],
    )


def _jpeg(chip: np.ndarray[Any, Any]) -> bytes:
    import cv2

    _, data = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()


def add_from_scan(cast: Cast, name: str, scan: Scan, person: str) -> int:
    """Add the best faces of a person of a scanned video; returns how many were new.

    Raises:
        SelectionError: there is no such person.
        UserInputError: the person has no face good enough, or the cast is of another model.
    """
    found = scan.person(person)
    if not len(found.exemplars):
        raise UserInputError(
            f"{found.id} of {scan.video.path.name} has no face good enough to be recognised by.",
            hint="Add photos of the person instead.",
        )
    target = Cast(cast.path, key=key_of_model(found.exemplar_model))
    pictures: list[bytes | None] = [None] * len(found.exemplars)
    if found.thumbnails and scan.folder:
        path = Path(scan.folder) / found.thumbnails[0]
        if path.is_file():
            pictures[0] = path.read_bytes()
    source = f"{scan.video.path}:{found.id}"
    return target.add(
        name,
        found.exemplars,
        # The finder keeps only the best faces of a track.
        qualities=[max(0.5, found.confidence)] * len(found.exemplars),
        sources=[source] * len(found.exemplars),
        thumbnails=pictures,
    )


def match(scan: Scan, cast: Cast, kind: str = "vote") -> dict[str, tuple[str, float]]:
    """Match the people of a video with the cast.

    People marked as unsure are left nameless.  Two people who are on screen at the same time
    never get one name: the surer one keeps it.

    Args:
        kind: of the classifier, see `facepick.recognition.classifiers`.

    Returns:
        Name and confidence by person id, of those who were recognised.

    Raises:
        UserInputError: the cast is of another model than the scan.
        PackageMissing: the classifier needs scikit-learn.
    """
    people = [p for p in scan.people if len(p.exemplars) and not p.unsure]
    if not people or not cast.members():
        return {}
    checked = Cast(cast.path, key=key_of_scan(scan))
    tell = classifier(kind, *checked.vectors(), checked.threshold())
    matches = {person.id: tell(person.exemplars) for person in people}
    return _one_at_a_time(scan, people, matches)


def _frames_of(scan: Scan, person: Person) -> set[int]:
    wanted = set(person.track_ids)
    return {int(f) for track in scan.tracks if track.id in wanted for f in track.frames}


def _one_at_a_time(
    scan: Scan, people: Sequence[Person], matches: dict[str, Match]
) -> dict[str, tuple[str, float]]:
    by_name: dict[str, list[Person]] = {}
    for person in people:
        name = matches[person.id].name
        if name is not None:
            by_name.setdefault(name, []).append(person)
    result: dict[str, tuple[str, float]] = {}
    for name, claimants in by_name.items():
        claimants.sort(key=lambda p: -matches[p.id].confidence)
        taken: set[int] = set()
        for person in claimants:
            frames = _frames_of(scan, person) if len(claimants) > 1 else set()
            if taken & frames:
                continue
            taken |= frames
            result[person.id] = (name, matches[person.id].confidence)
    return {p.id: result[p.id] for p in people if p.id in result}


def name_people(scan: Scan, cast: Cast) -> Scan:
    """Name known people in the scan; a name that the user gave stays.

    A cast of another model names nobody: a scan must not fail for it.
    """
    models = {p.exemplar_model for p in scan.people if len(p.exemplars)}
    key = cast.key
    if key is None or {key} != {key_of_model(model) for model in models}:
        if key is not None and models:
            log.warning("%s is a cast of %s and names nobody here", cast.path, key)
        return scan
    known = match(scan, cast)
    taken = {p.name for p in scan.people if p.name}
    people = tuple(
        replace(p, name=known[p.id][0])
        if p.id in known and p.name is None and known[p.id][0] not in taken
        else p
        for p in scan.people
    )
    return replace(scan, people=people)


@dataclass(frozen=True)
class SeriesRow:
    """One person over all episodes.

    Attributes:
        name: from the cast, or ``new 1``, ``new 2``, ... for people who are not in it.
        known: is in the cast.
        people: for each episode the ids of the people who are this one.
        seconds: for each episode the time on screen.
    """

    name: str
    known: bool
    people: tuple[tuple[str, ...], ...]
    seconds: tuple[Fraction, ...]

    @property
    def total(self) -> Fraction:
        """Seconds on screen over all episodes."""
        return sum(self.seconds, Fraction(0))


@dataclass(frozen=True)
class SeriesTable:
    """Table of persons over episodes.

    Attributes:
        episodes: the videos, in the order given.
        rows: known people by name first, then the others, each kind by time on screen.
    """

    episodes: tuple[Path, ...]
    rows: tuple[SeriesRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON, format ``facepick-series/1``."""
        return {
            "format": "facepick-series/1",
            "episodes": [str(path) for path in self.episodes],
            "people": [
                {
                    "name": row.name,
                    "known": row.known,
                    "seconds": [round(float(s), 3) for s in row.seconds],
                    "ids": [list(ids) for ids in row.people],
                }
                for row in self.rows
            ],
        }


def series_table(scans: Sequence[Scan], cast: Cast, kind: str = "vote") -> SeriesTable:
    """List everybody over a series.

    The cast's people by name, and strangers linked from one episode to the next by voting.

    Args:
        kind: of the classifier that names the cast's people.

    Raises:
        UserInputError: the cast is of another model than a scan.
    """
    presence = _Presence(len(scans))
    strangers = _Strangers()
    for episode, scan in enumerate(scans):
        known = match(scan, cast, kind)
        usable = [p for p in scan.people if len(p.exemplars) and not p.unsure]
        threshold = _threshold_for(scan, cast) if usable else None
        fresh: list[tuple[str, FloatArray]] = []
        for person in usable:
            name = person.name or known.get(person.id, (None, 0.0))[0]
            if name is None:
                name = strangers.name_of(person, threshold)
                fresh.append((name, person.exemplars))
            presence.note(name, episode, person)
        # Only after the episode: its own people were told apart by the finder already.
        strangers.remember(fresh)
    return SeriesTable(
        tuple(scan.video.path for scan in scans), presence.rows(unknown=strangers.names)
    )


class _Presence:
    """Who is in which episode, under which ids and for how long."""

    def __init__(self, episodes: int) -> None:
        self._episodes = episodes
        self._seconds: dict[str, list[Fraction]] = {}
        self._ids: dict[str, list[list[str]]] = {}

    def note(self, name: str, episode: int, person: Person) -> None:
        """Note that an entry of an episode's list is somebody."""
        seconds = self._seconds.setdefault(name, [Fraction(0)] * self._episodes)
        seconds[episode] += person.screen_time
        self._ids.setdefault(name, [[] for _ in range(self._episodes)])[episode].append(person.id)

    def rows(self, *, unknown: Sequence[str]) -> tuple[SeriesRow, ...]:
        """List everybody, those first who are known, then by their time."""
        rows = [
            SeriesRow(name, name not in unknown, tuple(map(tuple, self._ids[name])), tuple(seconds))
            for name, seconds in self._seconds.items()
        ]
        return tuple(sorted(rows, key=lambda r: (not r.known, -r.total, r.name)))


class _Strangers:
    """People whom the cast does not know, found again in later episodes by their faces."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._memory: list[tuple[str, FloatArray]] = []

    def name_of(self, person: Person, threshold: Any) -> str:
        """Find the name of somebody who was seen in an earlier episode, or make one."""
        name = None
        if self._memory and threshold is not None:
            rows = np.concatenate([faces for _, faces in self._memory])
            owners = [owner for owner, faces in self._memory for _ in range(len(faces))]
            match = vote(
                person.exemplars,
                np.asarray(rows, np.float32),
                owners,
                np.ones(len(rows), np.float32),
                threshold,
                neighbours=Cast.NEIGHBOURS,
                accept=Cast.ACCEPT,
            )
            name = match.name
        if name is None:
            name = f"new {len(self.names) + 1}"
            self.names.append(name)
        return name

    def remember(self, faces: Sequence[tuple[str, FloatArray]]) -> None:
        """Keep names with their faces (k, d) for the episodes to come."""
        self._memory.extend(faces)


def _threshold_for(scan: Scan, cast: Cast) -> Any:
    if cast.members():
        return Cast(cast.path, key=key_of_scan(scan)).threshold()
    return _threshold_of(scan)


def _threshold_of(scan: Scan) -> Any:
    from facepick.recognition.thresholds import find_threshold

    key = key_of_scan(scan)
    return find_threshold(
        detector="yunet",
        alignment=key.alignment,
        model=key.model,
        version=key.version,
        metric="cosine",
    )
