"""Voices of the cast: how those sound who are known by name, one voice a video.

They lie in the cast's own SQLite file, beside the faces, and go with the person: renamed with it
and forgotten with it.  An exported cast holds none.
"""

from __future__ import annotations

import datetime
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["CastVoices"]

log = logging.getLogger("facepick.recognition.cast_voices")

Array = npt.NDArray[np.float32]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS voice (
    person INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    source TEXT NOT NULL,
    embedding BLOB NOT NULL,
    seconds REAL NOT NULL,
    added TEXT NOT NULL,
    PRIMARY KEY (person, model, source)
)
"""


class CastVoices:
    """The voices in a cast; where the file is none, there are none, and none are kept.

    Args:
        path: of the cast.
        model: what the voices were described with, and of which file; others are passed over.
    """

    def __init__(self, path: Path, model: str) -> None:
        self._path, self._model = path, model

    def known(self, *, but: str = "") -> dict[str, Array]:
        """Load the voice of everybody, by name: the mean over videos, of length 1.

        Args:
            but: content hash of a video whose own voices do not count.
        """
        query = (
            "SELECT person.name, voice.embedding, voice.seconds FROM voice "
            "JOIN person ON person.id = voice.person WHERE model = ? AND source != ?"
        )
        sums: dict[str, Array] = {}
        try:
            if not self._path.is_file():
                return {}
            with closing(sqlite3.connect(self._path, timeout=30.0)) as base:
                for name, blob, seconds in base.execute(query, (self._model, but)):
                    row = np.frombuffer(blob, "<f4") * np.float32(min(float(seconds), 60.0))
                    sums[name] = sums.get(name, np.zeros_like(row)) + row
        except (sqlite3.DatabaseError, ValueError) as error:
            if "no such table" not in str(error):
                log.warning("The voices of %s cannot be read: %s", self._path, error)
            return {}
        return {
            name: np.asarray(total / np.linalg.norm(total), np.float32)
            for name, total in sums.items()
            if np.isfinite(total).all() and np.linalg.norm(total) > 0
        }

    def keep(self, voices: Mapping[str, tuple[Array, float]], *, source: str) -> int:
        """Keep how people sound in a video, in the place of what was kept of it before.

        Args:
            voices: by name, the voice, of length 1, and for how many seconds it is heard.
            source: content hash of the video.

        Returns:
            Of how many of them: those who are in the cast.
        """
        if not voices or not self._path.is_file():
            return 0
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        kept = 0
        try:
            with closing(sqlite3.connect(self._path, timeout=30.0)) as base, base:
                base.execute("PRAGMA foreign_keys = ON")
                base.execute(_SCHEMA)
                for name, (voice, seconds) in voices.items():
                    row = (self._model, source, np.asarray(voice, "<f4").tobytes(), seconds, now)
                    done = base.execute(
                        "INSERT OR REPLACE INTO voice SELECT id, ?, ?, ?, ?, ? FROM person "
                        "WHERE folded = ?",
                        (*row, name.casefold()),
                    )
                    kept += done.rowcount
        except sqlite3.DatabaseError as error:
            log.warning("The voices of %s cannot be kept: %s", self._path, error)
        return kept
