"""A library: everybody who was found in many videos, and where, to be asked who is who.

An SQLite file holds a row for every person of every video: when they are seen, a picture, and the
exemplars by which they are known.  A video is known by its content, whatever its name and place.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import UserInputError
from facepick.faces.detection import FloatArray
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, never
from facepick.recognition.cast import CastKey
from facepick.recognition.database import opened, stored_facts
from facepick.recognition.face_index import EXACT_UP_TO, FaceIndex, near_exactly
from facepick.recognition.naming import key_of_model
from facepick.recognition.thresholds import Threshold, find_threshold
from facepick.unchanged import sha256_of

__all__ = [
    "Appearance",
    "Library",
    "StoredVideo",
    "appearances_json",
    "radius_of",
    "spans_of",
]

FORMAT = "facepick-library/1"
FOUND_FORMAT = "facepick-found/1"

JOINED_SECONDS = 1.0
"""Appearances with less than this between them are one: a cut to the other speaker and back."""

STRANGERS = 19
"""People of a library for each who is the one that is looked for.  A threshold is calibrated as if
one and two people were equally likely; among 99 people of 20 videos that would name 4 strangers for
each question, and so it names 1 for 15.  Photos of one person lose 1 of 70."""

_AT_ONCE = 20_000
"""People that are read at once: 20 000 of eight exemplars of 128 numbers are 82 MB."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS video (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL UNIQUE,
    seconds REAL NOT NULL,
    added TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS place (
    path TEXT PRIMARY KEY,
    video INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS place_video ON place(video);
CREATE TABLE IF NOT EXISTS person (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    video INTEGER NOT NULL REFERENCES video(id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    name TEXT,
    unsure INTEGER NOT NULL,
    seconds REAL NOT NULL,
    spans TEXT NOT NULL,
    faces INTEGER NOT NULL,
    exemplars BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS person_video ON person(video);
CREATE TABLE IF NOT EXISTS thumbnail (
    person INTEGER PRIMARY KEY REFERENCES person(id) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
);
"""


@dataclass(frozen=True, kw_only=True)
class StoredVideo:
    """One video of a library.

    Attributes:
        places: where it was seen, in order of names.
        seconds: its length.
        people: how many are known in it.
        added: when, ISO 8601.
    """

    places: tuple[Path, ...]
    seconds: float
    people: int
    added: str

    @property
    def path(self) -> Path:
        """The first place where it still lies, or the first of all."""
        return next((place for place in self.places if place.is_file()), self.places[0])

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return {
            "video": str(self.path),
            "places": [str(place) for place in self.places],
            "missing": not self.path.is_file(),
            "seconds": round(self.seconds, 3),
            "people": self.people,
            "added": self.added,
        }


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """One person of one video who may be the one who is looked for.

    Attributes:
        id: of the person in the library.
        video: where the video lies.
        person: id in that video, ``P2``.
        name: what the person was called there, or None.
        sure: how sure it is that this is the one, in [0, 1].
        cosine: of the likeness.
        seconds: time on screen.
        spans: from and to, in seconds, rising.
        unsure: the person is kept apart in that video: see `Person.unsure`.
        thumbnail: a small JPEG, or None.
    """

    id: int
    video: Path
    person: str
    name: str | None
    sure: float
    cosine: float
    seconds: float
    spans: tuple[tuple[float, float], ...]
    unsure: bool
    thumbnail: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return {
            "video": str(self.video),
            "person": self.person,
            "name": self.name,
            "sure": round(self.sure, 4),
            "cosine": round(self.cosine, 4),
            "seconds": round(self.seconds, 3),
            "unsure": self.unsure,
            "appearances": [{"from": round(a, 3), "to": round(b, 3)} for a, b in self.spans],
        }


def appearances_json(who: Sequence[str], found: Sequence[Appearance]) -> dict[str, Any]:
    """Describe what was found, format ``facepick-found/1``.

    Args:
        who: what was looked for, as it was given.
    """
    return {
        "format": FOUND_FORMAT,
        "who": list(who),
        "found": [item.to_json() for item in found],
    }


def spans_of(scan: Scan, person: Person) -> list[tuple[float, float]]:
    """List when a person is on screen, in seconds from the first frame; short gaps are bridged."""
    ends = np.append(scan.pts, scan.pts[-1] + scan.duration_pts) - scan.pts[0]
    seconds = ends * float(scan.video.time_base)
    wanted = set(person.track_ids)
    spans: list[tuple[float, float]] = []
    for track in sorted((t for t in scan.tracks if t.id in wanted), key=lambda t: t.start):
        start, stop = float(seconds[track.start]), float(seconds[track.stop])
        if spans and start - spans[-1][1] < JOINED_SECONDS:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return spans


class Library:
    """A library in an SQLite file; several processes may use it at once.

    Args:
        path: the file; made when the first video is added.

    Raises:
        UserInputError: the file is something else.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.key = self._stored_key()

    def __repr__(self) -> str:
        return f"Library({self.path.name}, {self.key})"

    # --- adding ----------------------------------------------------------------------------

    def knows(self, video: Path, *, cancel: CancelToken = never) -> bool:
        """Tell whether what is in a file is known, and note where it lies.

        A file of the same size and time of change at the same place is not read again.

        Raises:
            OSError: it cannot be read.
            Cancelled.
        """
        if self.key is None:
            return False
        place = _Place.of(video)
        with self._open() as base:
            if base.execute(
                "SELECT 1 FROM place WHERE path = ? AND size = ? AND mtime_ns = ?", place.row
            ).fetchone():
                return True
        digest = sha256_of(video, cancel=cancel)
        with self._open() as base:
            row = base.execute("SELECT id FROM video WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                return False
            _note_place(base, place, int(row[0]))
        return True

    def add(self, scan: Scan) -> int:
        """Add everybody of a video, in place of what was known of it; gives how many there are.

        Raises:
            UserInputError: the library is of another model.
            OSError: the video is gone.
        """
        people = [person for person in scan.people if len(person.exemplars)]
        models = {person.exemplar_model for person in people}
        if len(models) > 1:
            raise UserInputError(f"{scan.video.path.name} was described by several models.")
        # A video without anybody is known, too, and must not be scanned again.
        key = key_of_model(models.pop()) if models else self.key
        place = _Place.of(scan.video.path)
        with self._open(create=True) as base:
            self._claim(base, key, people)
            base.execute("DELETE FROM video WHERE digest = ?", (scan.content_hash,))
            video = base.execute(
                "INSERT INTO video (digest, seconds, added) VALUES (?, ?, ?)",
                (
                    scan.content_hash,
                    float((scan.pts[-1] - scan.pts[0] + scan.duration_pts) * scan.video.time_base)
                    if scan.frames
                    else 0.0,
                    datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                ),
            ).lastrowid
            assert video is not None
            _note_place(base, place, video)
            for person in people:
                _add_person(base, video, scan, person)
        self.key = self._stored_key()
        return len(people)

    def forget(self, places: Collection[Path]) -> int:
        """Forget that videos lie at these places or below them; gives how many videos went."""
        if self.key is None:
            return 0
        with self._open() as base:
            before = _count(base, "video")
            for place in places:
                path = os.path.abspath(place)
                below = path.rstrip(os.sep) + os.sep
                base.execute(
                    "DELETE FROM place WHERE path = ? OR substr(path, 1, ?) = ?",
                    (path, len(below), below),
                )
            _drop_placeless(base)
            return before - _count(base, "video")

    def forget_missing(self) -> int:
        """Forget videos that lie at none of their places any more; gives how many."""
        gone = [p for video in self.videos() for p in video.places if not p.is_file()]
        return self.forget(gone)

    # --- looking ---------------------------------------------------------------------------

    def videos(self) -> list[StoredVideo]:
        """List the videos, in order of their names."""
        if self.key is None:
            return []
        with self._open() as base:
            rows = base.execute(
                "SELECT video.id, place.path, video.seconds, video.added, "
                "(SELECT COUNT(*) FROM person WHERE person.video = video.id) "
                "FROM video JOIN place ON place.video = video.id ORDER BY place.path"
            ).fetchall()
        by_video: dict[int, list[tuple[Any, ...]]] = {}
        for number, *rest in rows:
            by_video.setdefault(number, []).append(tuple(rest))
        return [
            StoredVideo(
                places=tuple(Path(row[0]) for row in found),
                seconds=float(found[0][1]),
                added=str(found[0][2]),
                people=int(found[0][3]),
            )
            for found in by_video.values()
        ]

    def exemplars(self) -> int:
        """Count the exemplars of everybody."""
        if self.key is None:
            return 0
        with self._open() as base:
            (number,) = base.execute("SELECT COALESCE(SUM(faces), 0) FROM person").fetchone()
        return int(number)

    def rows(self, *, after: int = 0) -> Iterator[tuple[npt.NDArray[np.int64], FloatArray]]:
        """Read exemplars in pieces: (n,) whose each is, and (n, d) of length 1, by rising id.

        Args:
            after: only of people with a higher id.
        """
        if self.key is None:
            return
        while True:
            with self._open() as base:
                found = base.execute(
                    "SELECT id, faces, exemplars FROM person WHERE id > ? ORDER BY id LIMIT ?",
                    (after, _AT_ONCE),
                ).fetchall()
            if not found:
                return
            after = int(found[-1][0])
            owners = np.repeat(
                np.array([row[0] for row in found], np.int64), [row[1] for row in found]
            )
            yield (
                owners,
                np.frombuffer(b"".join(row[2] for row in found), "<f4").reshape(len(owners), -1),
            )

    def threshold(self) -> Threshold:
        """Look up the calibrated cosine threshold of its model.

        Raises:
            UserInputError: the library is empty, or none is known.
        """
        key = self.key
        if key is None:
            raise UserInputError(
                "The library is empty.", hint="Add videos: facepick library add FOLDER"
            )
        return find_threshold(
            detector="yunet",
            alignment=key.alignment,
            model=key.model,
            version=key.version,
            metric="cosine",
        )

    def find(
        self, queries: FloatArray, key: CastKey, *, least_sure: float = 0.5
    ) -> list[Appearance]:
        """Find where a person appears, surest first.

        Up to `EXACT_UP_TO` exemplars all are compared.  Beyond, an index names who may be near,
        and only those are compared.

        Args:
            queries: (m, d) of the one who is looked for.
            key: what they were made with.
            least_sure: how sure an entry must be.

        Raises:
            UserInputError: the library is empty, or of another model.
        """
        threshold = self.threshold()
        if key != self.key:
            raise UserInputError(
                f"The library {self.path.name} was made with {self.key} and cannot be asked "
                f"with {key}.",
                hint="Use that model, or make another library with --library FILE.",
            )
        unit = np.asarray(queries, np.float32)
        unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
        scores = self._scores(unit, radius_of(threshold, least_sure))
        found = [
            (sure, cosine, person)
            for person, cosine in scores.items()
            if (sure := _sure(threshold.confidence(1.0 - cosine))) >= least_sure
        ]
        found.sort(key=lambda entry: (-entry[0], entry[2]))
        return [a for a in map(self._appearance, found) if a is not None]

    def _scores(self, unit: FloatArray, radius: float) -> dict[int, float]:
        """Score everybody who has a face within the radius of one that is looked for."""
        if self.exemplars() <= EXACT_UP_TO:
            return near_exactly(unit, self.rows(), radius)
        index = FaceIndex(self.path.with_name(f"{self.path.name}.faiss"))
        if not index.usable:
            return near_exactly(unit, self.rows(), radius)
        last = index.refreshed(lambda after: self.rows(after=after), self.exemplars())
        likely = index.near(unit, radius)
        scores = near_exactly(unit, self._rows_of(likely), radius)
        return {**scores, **near_exactly(unit, self.rows(after=last), radius)}

    def _rows_of(
        self, people: Collection[int]
    ) -> Iterator[tuple[npt.NDArray[np.int64], FloatArray]]:
        with self._open() as base:
            for person in people:
                row = base.execute(
                    "SELECT faces, exemplars FROM person WHERE id = ?", (person,)
                ).fetchone()
                # The index may still hold somebody who was forgotten.
                if row is not None:
                    rows = np.frombuffer(row[1], "<f4").reshape(row[0], -1)
                    yield np.full(len(rows), person, np.int64), rows

    def _appearance(self, entry: tuple[float, float, int]) -> Appearance | None:
        sure, cosine, person = entry
        with self._open() as base:
            row = base.execute(
                "SELECT video, label, name, unsure, seconds, spans FROM person WHERE id = ?",
                (person,),
            ).fetchone()
            if row is None:
                return None
            picture = base.execute(
                "SELECT jpeg FROM thumbnail WHERE person = ?", (person,)
            ).fetchone()
            places = base.execute(
                "SELECT path FROM place WHERE video = ? ORDER BY path", (row[0],)
            ).fetchall()
        paths = [Path(path) for (path,) in places]
        return Appearance(
            id=person,
            video=next((path for path in paths if path.is_file()), paths[0]),
            person=row[1],
            name=row[2],
            unsure=bool(row[3]),
            seconds=float(row[4]),
            spans=tuple((float(a), float(b)) for a, b in json.loads(row[5])),
            sure=sure,
            cosine=cosine,
            thumbnail=None if picture is None else bytes(picture[0]),
        )

    # --- storage ---------------------------------------------------------------------------

    def _open(self, *, create: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self.path, _SCHEMA, what="library", option="--library", create=create)

    def _stored_key(self) -> CastKey | None:
        facts = stored_facts(
            self.path,
            tables={"meta", "video", "place", "person"},
            version=FORMAT,
            what="library",
            option="--library",
        )
        return CastKey.of(facts) if facts else None

    def _claim(
        self, base: sqlite3.Connection, key: CastKey | None, people: Sequence[Person]
    ) -> None:
        """Write what all exemplars have in common into a fresh library; refuse others later."""
        meta = dict(base.execute("SELECT key, value FROM meta"))
        # Before anybody was found, the default model is as good as any.
        key = key or key_of_model("sface")
        if not meta:
            base.executemany(
                "INSERT INTO meta (key, value) VALUES (?, ?)",
                [
                    ("format", FORMAT),
                    ("model", key.model),
                    ("version", key.version),
                    ("alignment", key.alignment),
                ],
            )
            return
        there = CastKey.of(meta)
        if people and there != key:
            raise UserInputError(
                f"The library {self.path.name} was made with {there} and cannot take {key}.",
                hint="Use that model, or make another library with --library FILE.",
            )


def radius_of(threshold: Threshold, least_sure: float) -> float:
    """Tell the cosine from which a pair is so sure; never less than the threshold's own."""
    odds = STRANGERS * least_sure / max(1.0 - least_sure, 1e-9)
    nearer = math.log(max(odds, 1e-9)) / threshold.slope
    return 1.0 - threshold.threshold + max(0.0, nearer)


def _sure(even: float) -> float:
    """Tell how likely it is that a stranger was not met, from a chance that takes it as even."""
    return even / (even + (1.0 - even) * STRANGERS)


@dataclass(frozen=True)
class _Place:
    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, video: Path) -> _Place:
        facts = os.stat(video)
        return cls(os.path.abspath(video), facts.st_size, facts.st_mtime_ns)

    @property
    def row(self) -> tuple[str, int, int]:
        return self.path, self.size, self.mtime_ns


def _note_place(base: sqlite3.Connection, place: _Place, video: int) -> None:
    base.execute(
        "INSERT OR REPLACE INTO place (path, size, mtime_ns, video) VALUES (?, ?, ?, ?)",
        (*place.row, video),
    )
    # What lay here before lies nowhere now.
    _drop_placeless(base)


def _drop_placeless(base: sqlite3.Connection) -> None:
    base.execute("DELETE FROM video WHERE id NOT IN (SELECT video FROM place)")


def _count(base: sqlite3.Connection, table: str) -> int:
    (number,) = base.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    return int(number)


def _add_person(base: sqlite3.Connection, video: int, scan: Scan, person: Person) -> None:
    rows = np.asarray(person.exemplars, "<f4")
    number = base.execute(
        "INSERT INTO person (video, label, name, unsure, seconds, spans, faces, exemplars) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            video,
            person.id,
            person.name,
            int(person.unsure),
            float(person.screen_time),
            json.dumps([[round(a, 3), round(b, 3)] for a, b in spans_of(scan, person)]),
            len(rows),
            rows.tobytes(),
        ),
    ).lastrowid
    for name in person.thumbnails[:1] if scan.folder else ():
        path = Path(scan.folder) / Path(name).name
        if path.is_file():
            base.execute(
                "INSERT INTO thumbnail (person, jpeg) VALUES (?, ?)", (number, path.read_bytes())
            )
