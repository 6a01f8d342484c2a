"""Questions to a library: a photo, a person of a video, or somebody of the cast, as embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facepick.errors import SelectionError, UserInputError
from facepick.faces.detection import FloatArray
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.recognition.by_photo import face_in_photo
from facepick.recognition.cast import Cast, CastKey
from facepick.recognition.naming import key_of_model
from facepick.recognition.pipeline import open_recognizer

__all__ = ["Query", "describe"]

CAST = "cast:"


@dataclass(frozen=True, eq=False, kw_only=True)
class Query:
    """One who is looked for.

    Attributes:
        rows: (m, d) float32 of length 1.
        key: what they were made with.
    """

    rows: FloatArray
    key: CastKey

    def __repr__(self) -> str:
        return f"Query({len(self.rows)} faces, {self.key})"


def describe(
    texts: Sequence[str],
    model: str,
    *,
    models: ModelStore,
    cast: Cast,
    scan_of: Callable[[Path], Scan],
) -> Query:
    """Describe one person by all that is named: photos, ``VIDEO:P2``, ``cast:NAME``.

    Args:
        model: id of the embedder for photos.
        scan_of: finds everyone in a video.

    Raises:
        UserInputError: there is no such file or name, or nobody is in it.
        SelectionError: a photo shows several people, or there is no such person.
    """
    parts = [_described(text, model, models, cast, scan_of) for text in texts]
    keys = {part.key for part in parts}
    if len(keys) != 1:
        raise UserInputError("What is named was described by several models.")
    return Query(rows=np.concatenate([part.rows for part in parts]), key=keys.pop())


def _described(
    text: str, model: str, models: ModelStore, cast: Cast, scan_of: Callable[[Path], Scan]
) -> Query:
    if text.startswith(CAST):
        return _of_cast(text.removeprefix(CAST), cast)
    if not Path(text).is_file():
        # The last colon: a path may hold others (C:\clip.mp4:P2).
        video, colon, who = text.rpartition(":")
        if colon and Path(video).is_file():
            person = scan_of(Path(video)).person(who)
            if not len(person.exemplars):
                raise SelectionError(
                    f"{person.label} of {Path(video).name} has no face good enough to be "
                    "recognised by.",
                    hint="Look by a photo instead.",
                )
            return Query(rows=person.exemplars, key=key_of_model(person.exemplar_model))
        raise UserInputError(
            f"There is no file {text}.",
            hint="Give a photo, a person of a video (VIDEO:P2), or cast:NAME.",
        )
    row = face_in_photo(open_recognizer(models, model=model), Path(text))
    return Query(rows=row[None], key=key_of_model(model))


def _of_cast(name: str, cast: Cast) -> Query:
    matrix, names, _ = cast.vectors()
    mine = [i for i, other in enumerate(names) if other.casefold() == name.strip().casefold()]
    if not mine or cast.key is None:
        known = ", ".join(dict.fromkeys(names)) or "nobody yet"
        raise UserInputError(f"{name} is not in the cast.", hint=f"In it: {known:.300}.")
    return Query(rows=matrix[mine], key=cast.key)
