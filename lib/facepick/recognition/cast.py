"""A cast: the people that are known by name, and who of them is in a video.

An SQLite file holds some embeddings per person, each with the quality of the picture it came
from.  All of a cast are of one model, one model file and one alignment: numbers of different
networks have nothing to do with each other, so mixing is refused.
"""

from __future__ import annotations

import base64
import datetime
import io
import json
import lzma
import math
import sqlite3
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import UserInputError
from facepick.faces.detection import FloatArray
from facepick.files import parsed_json, read_plain
from facepick.paths import home_dir
from facepick.publishing import write_output
from facepick.recognition.database import opened, stored_facts
from facepick.recognition.thresholds import Threshold, find_threshold

__all__ = ["Cast", "CastKey", "Match", "Member", "default_cast", "vote"]

_FORMAT = "facepick-cast/1"

# Limits of what an imported file may hold; a series of 100 episodes with 200 people and 20 faces
# each stays far below them.
_MAX_BYTES = 256 * 2**20
_MAX_PEOPLE = 20_000
_MAX_FACES = 200_000
_MAX_DIMENSION = 8192
_MAX_NAME = 100
_MAX_THUMBNAIL_BYTES = 256 * 1024

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS person (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    folded TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS face (
    id INTEGER PRIMARY KEY,
    person INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    alignment TEXT NOT NULL,
    embedding BLOB NOT NULL,
    quality REAL NOT NULL,
    source TEXT NOT NULL,
    thumbnail BLOB,
    added TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS face_person ON face(person);
"""


@dataclass(frozen=True)
class CastKey:
    """Model, file and alignment that all embeddings of a cast have in common.

    Attributes:
        model: id of the embedder.
        version: first 12 hex digits of the sha256 of its file.
        alignment: how faces were cut out.
    """

    model: str
    version: str
    alignment: str = "five"

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> CastKey:
        """Take it from what a database says of itself."""
        return cls(facts["model"], facts["version"], facts["alignment"])

    def __str__(self) -> str:
        return f"{self.model} ({self.version or 'unknown file'}, alignment {self.alignment})"


@dataclass(frozen=True)
class Member:
    """One person of a cast.

    Attributes:
        name: of the person.
        faces: number of embeddings.
        quality: mean quality of their pictures, in [0, 1].
        sources: what they came from, without repeats.
    """

    name: str
    faces: int
    quality: float
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """Whom of the cast somebody matches, by a vote.

    Attributes:
        name: who it is, or None: nobody of the cast.
        confidence: in [0, 1]; of the name, or of its being nobody.
        votes: share of each name, highest first.
    """

    name: str | None
    confidence: float
    votes: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, shares: Mapping[str, float], accept: float) -> Match:
        """Decide by the share of each name; the best of them needs `accept`."""
        ranked = tuple(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
        if not ranked or ranked[0][1] < accept:
            return cls(None, 1.0 - (ranked[0][1] if ranked else 0.0), ranked)
        return cls(ranked[0][0], ranked[0][1], ranked)


def default_cast() -> Path:
    """Return the path of the user's cast."""
    return home_dir() / "cast.sqlite"


def _unit_rows(embeddings: npt.ArrayLike) -> FloatArray:
    """Bring embeddings (k, d) to length 1.  Raises: UserInputError, for what are none."""
    rows = np.asarray(embeddings, np.float32)
    if rows.ndim != 2 or not 1 <= rows.shape[1] <= _MAX_DIMENSION:
        raise UserInputError(f"Embeddings must be (k, d), got {rows.shape}.")
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(np.isfinite(rows)) or np.any(norms < 1e-9):
        raise UserInputError("An embedding is not finite or has no length.")
    return np.asarray(rows / norms, np.float32)


def clean_name(name: str) -> str:
    """Clean a name as it is stored.

    Raises:
        UserInputError: it is empty, too long, or holds control characters.
    """
    text = unicodedata.normalize("NFC", " ".join(name.split()))
    bad = any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") for c in text)
    if not text or len(text) > _MAX_NAME or bad:
        raise UserInputError(
            f"{name[:40]!r} is no name for a person.",
            hint=f"Use 1 to {_MAX_NAME} letters, without control characters.",
        )
    return text


class Cast:
    """A cast in an SQLite file; several processes may use it at once.

    Args:
        path: the file; made at the first `add`.
        key: what is about to be added or matched; None to take what is there.

    Raises:
        UserInputError: the file is no cast, or holds embeddings of another model.
    """

    # Neighbours that vote; with fewer faces than that per person all of them do.
    NEIGHBOURS = 7
    # Share of the votes a name needs.  On the development footage a stranger's best name stays
    # below 0.15 and a known person's is above 0.99.
    ACCEPT = 0.8

    def __init__(self, path: Path | str, *, key: CastKey | None = None) -> None:
        self.path = Path(path)
        self._key = key
        stored = self._stored_key()
        if stored is not None and key is not None and stored != key:
            raise UserInputError(
                f"The cast {self.path.name} was made with {stored} and cannot be used with {key}.",
                hint="Use that model, or make another cast with --cast FILE.",
            )
        self._key = stored or key

    def __repr__(self) -> str:
        return f"Cast({self.path.name}, {self._key})"

    @property
    def key(self) -> CastKey | None:
        """Key that its embeddings have in common; None while it is empty and none was given."""
        # Another object, or another process, may have added the first face meanwhile.
        return self._key or self._stored_key()

    # --- storage ---------------------------------------------------------------------------

    def _open(self, *, create: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self.path, _SCHEMA, what="cast", option="--cast", create=create)

    def _stored_key(self) -> CastKey | None:
        facts = stored_facts(
            self.path,
            tables={"meta", "person", "face"},
            version=_FORMAT,
            what="cast",
            option="--cast",
        )
        return CastKey.of(facts) if facts else None

    def members(self) -> list[Member]:
        """List everybody, by name."""
        if self._stored_key() is None:
            return []
        with self._open() as base:
            rows = base.execute(
                "SELECT person.name, COUNT(face.id), AVG(face.quality) FROM person "
                "LEFT JOIN face ON face.person = person.id GROUP BY person.id "
                "ORDER BY person.folded"
            ).fetchall()
            sources: dict[str, list[str]] = {}
            for name, source in base.execute(
                "SELECT DISTINCT person.name, face.source FROM face "
                "JOIN person ON person.id = face.person ORDER BY face.id"
            ):
                sources.setdefault(name, []).append(source)
        return [
            Member(name, int(faces), float(quality or 0.0), tuple(sources.get(name, ())))
            for name, faces, quality in rows
        ]

    def add(
        self,
        name: str,
        embeddings: npt.ArrayLike,
        *,
        qualities: Sequence[float] | None = None,
        sources: Sequence[str] | None = None,
        thumbnails: Sequence[bytes | None] | None = None,
    ) -> int:
        """Add faces of a person; an embedding that is there already is passed over.

        Args:
            name: of the person, new or known.
            embeddings: (k, d), of any length.
            qualities: (k,) in [0, 1]; 0.5 when not given.
            sources: what each came from, for the list.
            thumbnails: a small JPEG of each, or None.

        Returns:
            How many were added.

        Raises:
            UserInputError: the name is unusable, or the embeddings are.
            ValueError: the cast has no key yet.
        """
        if self._key is None:
            raise ValueError("a new cast needs a key")
        name, rows = clean_name(name), _unit_rows(embeddings)
        count = len(rows)
        weights = list(qualities) if qualities is not None else [0.5] * count
        origins = list(sources) if sources is not None else [""] * count
        pictures = list(thumbnails) if thumbnails is not None else [None] * count
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        key, added = self._key, 0
        with self._open(create=True) as base:
            self._claim(base, rows.shape[1])
            base.execute(
                "INSERT OR IGNORE INTO person (name, folded, created) VALUES (?, ?, ?)",
                (name, name.casefold(), now),
            )
            (person,) = base.execute(
                "SELECT id FROM person WHERE folded = ?", (name.casefold(),)
            ).fetchone()
            for row, weight, origin, picture in zip(rows, weights, origins, pictures, strict=True):
                blob = row.astype("<f4").tobytes()
                known = base.execute(
                    "SELECT 1 FROM face WHERE person = ? AND embedding = ?", (person, blob)
                ).fetchone()
                if known:
                    continue
                quality = float(min(1.0, max(0.0, weight)))
                base.execute(
                    "INSERT INTO face (person, model, version, alignment, embedding, quality, "
                    "source, thumbnail, added) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (person, key.model, key.version, key.alignment, blob, quality, origin[:500],
                     picture, now),
                )  # fmt: skip
                added += 1
        return added

    def _claim(self, base: sqlite3.Connection, dimension: int) -> None:
        """Write the key into a fresh cast; refuse if another process wrote another one."""
        assert self._key is not None
        meta = dict(base.execute("SELECT key, value FROM meta"))
        if not meta:
            base.executemany(
                "INSERT INTO meta (key, value) VALUES (?, ?)",
                [
                    ("format", _FORMAT),
                    ("model", self._key.model),
                    ("version", self._key.version),
                    ("alignment", self._key.alignment),
                    ("dimension", str(dimension)),
                ],
            )
            return
        there = CastKey.of(meta)
        if there != self._key or int(meta["dimension"]) != dimension:
            raise UserInputError(
                f"The cast {self.path.name} was made with {there}, {meta['dimension']} numbers a "
                f"face, and cannot take {dimension} of {self._key}.",
                hint="Use that model, or make another cast with --cast FILE.",
            )

    def remove(self, name: str) -> int:
        """Forget a person; returns how many faces went.

        Raises:
            UserInputError: nobody is called that.
        """
        self._require_member(name)
        with self._open() as base:
            (faces,) = base.execute(
                "SELECT COUNT(*) FROM face JOIN person ON person.id = face.person "
                "WHERE person.folded = ?",
                (name.strip().casefold(),),
            ).fetchone()
            base.execute("DELETE FROM person WHERE folded = ?", (name.strip().casefold(),))
        return int(faces)

    def rename(self, old: str, new: str) -> None:
        """Give a person another name.

        Raises:
            UserInputError: nobody has the old one, or somebody else has the new one.
        """
        self._require_member(old)
        fresh = clean_name(new)
        taken = {m.name.casefold() for m in self.members()} - {old.strip().casefold()}
        if fresh.casefold() in taken:
            raise UserInputError(
                f"{fresh} is in the cast already.", hint="Remove one of them, or take another name."
            )
        with self._open() as base:
            base.execute(
                "UPDATE person SET name = ?, folded = ? WHERE folded = ?",
                (fresh, fresh.casefold(), old.strip().casefold()),
            )

    def _require_member(self, name: str) -> None:
        names = [m.name for m in self.members()]
        if name.strip().casefold() not in {n.casefold() for n in names}:
            known = ", ".join(names[:20]) or "nobody yet"
            raise UserInputError(f"{name} is not in the cast.", hint=f"In it: {known}.")

    def thumbnail(self, name: str) -> bytes | None:
        """Load the best picture of a person as JPEG, or None."""
        if self._stored_key() is None:
            return None
        with self._open() as base:
            row = base.execute(
                "SELECT face.thumbnail FROM face JOIN person ON person.id = face.person "
                "WHERE person.folded = ? AND face.thumbnail IS NOT NULL "
                "ORDER BY face.quality DESC LIMIT 1",
                (name.strip().casefold(),),
            ).fetchone()
        return None if row is None else bytes(row[0])

    def vectors(self) -> tuple[FloatArray, list[str], FloatArray]:
        """Load all embeddings (n, d) of length 1, whose each is, and its quality (n,)."""
        key = self._stored_key()
        if key is None:
            return np.zeros((0, 1), np.float32), [], np.zeros(0, np.float32)
        with self._open() as base:
            dimension = int(
                base.execute("SELECT value FROM meta WHERE key = 'dimension'").fetchone()[0]
            )
            rows = base.execute(
                "SELECT person.name, face.embedding, face.quality, face.model, face.version, "
                "face.alignment FROM face JOIN person ON person.id = face.person ORDER BY face.id"
            ).fetchall()
        matrix = np.zeros((len(rows), dimension), np.float32)
        for i, (name, blob, _, *made_with) in enumerate(rows):
            if CastKey(*made_with) != key or len(blob) != 4 * dimension:
                raise UserInputError(
                    f"A face of {name} in {self.path.name} is of another model.",
                    hint=f"Remove {name} and add the person again.",
                )
            matrix[i] = np.frombuffer(blob, "<f4")
        return matrix, [row[0] for row in rows], np.array([row[2] for row in rows], np.float32)

    # --- matching --------------------------------------------------------------------------

    def threshold(self) -> Threshold:
        """Look up the calibrated cosine threshold of its model.

        Raises:
            UserInputError: none is known.
        """
        key = self.key
        if key is None:
            raise UserInputError("The cast is empty.", hint="Add somebody: facepick cast add")
        return find_threshold(
            detector="yunet",
            alignment=key.alignment,
            model=key.model,
            version=key.version,
            metric="cosine",
        )

    # --- handing on ------------------------------------------------------------------------

    def export(self, path: Path, *, force: bool = False) -> int:
        """Write the cast as JSON, or as a zip with that JSON inside when `path` ends in .zip.

        Returns:
            The number of people.

        Raises:
            UserInputError: the cast is empty.
        """
        key = self._stored_key()
        if key is None:
            raise UserInputError("The cast is empty.", hint="Add somebody: facepick cast add")
        matrix, names, weights = self.vectors()
        with self._open() as base:
            extra = base.execute("SELECT source, thumbnail FROM face ORDER BY id").fetchall()
        people: dict[str, list[dict[str, Any]]] = {}
        for row, name, weight, (source, picture) in zip(matrix, names, weights, extra, strict=True):
            entry: dict[str, Any] = {
                "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode("ascii"),
                "quality": round(float(weight), 4),
                # Where the user's files lie is nobody else's business.
                "source": source.replace("\\", "/").rsplit("/", 1)[-1],
            }
            if picture:
                entry["thumbnail"] = base64.b64encode(picture).decode("ascii")
            people.setdefault(name, []).append(entry)
        data = {
            "format": _FORMAT,
            "model": key.model,
            "version": key.version,
            "alignment": key.alignment,
            "dimension": int(matrix.shape[1]),
            "people": [{"name": name, "faces": faces} for name, faces in people.items()],
        }
        text = json.dumps(data, ensure_ascii=False)
        content = (text + "\n").encode("utf-8", "surrogateescape")
        if path.suffix.lower() == ".zip":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("cast.json", text)
            content = packed.getvalue()
        write_output(path, content, force=force)
        return len(people)

    def load(self, path: Path) -> int:
        """Add everybody of an exported cast.  The file is not trusted: nothing of it is run,
        unpacked to disk or taken unchecked, and a bad one changes nothing.

        Returns:
            The number of faces added.

        Raises:
            UserInputError: the file is no cast, too large, or of another model.
        """
        try:
            data = parsed_json(_read_export(path))
            if not isinstance(data, dict) or data.get("format") != _FORMAT:
                raise ValueError("no cast")
            key = CastKey(*(_short(data[k]) for k in ("model", "version", "alignment")))
            dimension = int(data["dimension"])
            if not 1 <= dimension <= _MAX_DIMENSION:
                raise ValueError(f"dimension {dimension}")
            people = [_imported(person, dimension) for person in _list(data["people"], _MAX_PEOPLE)]
            if sum(len(faces) for _, faces in people) > _MAX_FACES:
                raise ValueError(f"more than {_MAX_FACES} faces")
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise UserInputError(
                f"{path.name} is no cast that can be imported ({str(error)[:100]}).",
                hint="Export it again with: facepick cast export FILE.zip",
            ) from error
        target = Cast(self.path, key=key)
        self._key = target.key
        return sum(
            target.add(
                name,
                np.stack([face[0] for face in faces]),
                qualities=[face[1] for face in faces],
                sources=[face[2] for face in faces],
                thumbnails=[face[3] for face in faces],
            )
            for name, faces in people
            if faces
        )


def _read_export(path: Path) -> bytes:
    packed = read_plain(path, max_bytes=_MAX_BYTES)
    if not zipfile.is_zipfile(io.BytesIO(packed)):
        return packed
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive, archive.open("cast.json") as member:
            # The size in the directory may lie; what is read may not.
            data = member.read(_MAX_BYTES + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise ValueError(str(error)) from error
    if len(data) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES >> 20} MB")
    return data


def _short(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 100:
        raise ValueError("a short text is expected")
    return value


def _list(value: Any, longest: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > longest:
        raise ValueError(f"a list of at most {longest} is expected")
    return value


def _imported(
    person: Any, dimension: int
) -> tuple[str, list[tuple[FloatArray, float, str, bytes | None]]]:
    name = clean_name(_short(person["name"]))
    faces = []
    for face in _list(person["faces"], _MAX_FACES):
        blob = base64.b64decode(face["embedding"], validate=True)
        if len(blob) != 4 * dimension:
            raise ValueError(f"an embedding of {name} has the wrong length")
        row = np.frombuffer(blob, "<f4").astype(np.float32)
        if not np.all(np.isfinite(row)) or float(np.linalg.norm(row)) < 1e-9:
            raise ValueError(f"an embedding of {name} is not finite")
        quality = float(face["quality"])
        if not math.isfinite(quality):
            raise ValueError(f"a quality of {name} is not finite")
        picture = None
        if face.get("thumbnail"):
            picture = base64.b64decode(face["thumbnail"], validate=True)
            if len(picture) > _MAX_THUMBNAIL_BYTES or picture[:3] != b"\xff\xd8\xff":
                raise ValueError(f"a thumbnail of {name} is no small JPEG")
        faces.append((row, quality, _short(face.get("source", "")), picture))
    return name, faces


def vote(
    queries: FloatArray,
    matrix: FloatArray,
    names: Sequence[str],
    weights: FloatArray,
    threshold: Threshold,
    *,
    neighbours: int,
    accept: float,
) -> Match:
    """Vote by k nearest neighbours, with a reject option.

    Each query looks at its nearest faces of the cast.  Each of those within the threshold votes
    for its person with the odds that both are one person (the calibrated logistic curve) times
    its quality; what is missing to certainty of the best neighbour is a vote for nobody.  The
    votes of a query are brought to a sum of 1, and queries count alike.

    Args:
        queries: (m, d) of one unknown person.
        matrix: (n, d) of length 1.
        names: (n,) whose each row is.
        weights: (n,) quality in [0, 1].
        threshold: calibrated, for cosine distance.
        neighbours: how many vote.
        accept: share of all votes that a name needs.
    """
    if queries.ndim != 2 or not len(queries) or not len(matrix):
        return Match(None, 1.0, ())
    if queries.shape[1] != matrix.shape[1]:
        raise UserInputError(
            f"These faces have {queries.shape[1]} numbers, those of the cast {matrix.shape[1]}.",
            hint="Use the model that the cast was made with.",
        )
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    unit = np.asarray(queries / np.maximum(norms, 1e-9), np.float32)
    k = min(neighbours, len(matrix))
    # Brute force: 20 ms of CPU for 8 queries among 100 000 faces.  FAISS's exact index needs 35,
    # and building its approximate one takes longer than all questions a series can ask.
    cosine = unit @ matrix.T
    nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    nearest_cosine = np.take_along_axis(cosine, nearest, axis=1)
    shares: dict[str, float] = {}
    for rows, values in zip(nearest, nearest_cosine, strict=True):
        chances = [threshold.confidence(1.0 - float(c)) for c in values]
        # Bad pictures count less, none counts nothing.
        worth = [0.25 + 0.75 * float(weights[r]) for r in rows]
        best = max(chances)
        votes: dict[str, float] = {}
        for row, chance, weight in zip(rows, chances, worth, strict=True):
            # Those beyond the threshold are no likeness but the rest of the neighbourhood: in a
            # cast of many people with few faces each they would drown the right one.
            if chance < min(0.5, best):
                continue
            # Odds rather than chances: one face that is surely the person outweighs several that
            # may just be (benchmarks/recognition.py voting: 0.97 instead of 0.80 of single faces).
            odds = chance / (1.0 - chance + 1e-3)
            votes[names[row]] = votes.get(names[row], 0.0) + odds * weight
        # Fewer faces of a person than neighbours must not count against the person: only the
        # proportions among those who voted matter, and how sure the best of them is.
        total = max(sum(votes.values()), 1e-12)
        for name, value in votes.items():
            shares[name] = shares.get(name, 0.0) + best * value / total
    return Match.of({name: value / len(queries) for name, value in shares.items()}, accept)
