"""Choice of the source face: every face of some photos, cut out for a person to pick one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.engines.swap.source import FaceFinder, FoundFace, SourceFace
from facepick.errors import MissingModelError, ModelMismatchError, UserInputError
from facepick.faces.alignment import align
from facepick.models.store import ModelStore
from facepick.progress import CancelToken, never
from facepick.publishing import write_output

__all__ = ["faces_in_photos"]

# The cosine above which SFace's authors call two faces one person.
_SAME_PERSON = 0.363


def faces_in_photos(
    photos: Sequence[tuple[Path, str]],
    models: ModelStore,
    *,
    folder: Path | None = None,
    force: bool = False,
    cancel: CancelToken = never,
) -> list[dict[str, Any]]:
    """Build what ``facepick sources faces --json`` prints.

    Args:
        photos: files, each with what it stands for.
        models: where detector, mesh and recogniser are.
        folder: every face is written there as a photo of its own; None for nowhere.
        force: overwrite files there that facepick did not write.

    Returns:
        An entry a photo with ``file``, ``from``, ``problem`` (why it cannot be read, or "") and
        ``faces``.  A face has ``number`` (from the left, from 1), ``height`` in pixels,
        ``usable``, ``reason`` (``too_small``, ``covered``, ``turned`` or ""), ``problem`` and
        ``hint`` (sentences, or ""), ``merit`` (higher is better, None when unusable), ``person``
        (the same number for faces of one person, from 1; None when that is not known) and
        ``image`` (the file in `folder`, or None).

    Raises:
        MissingModelError: detector or mesh are not there.
        Cancelled.
    """
    finder = FaceFinder(models)
    entries: list[dict[str, Any]] = []
    usable: list[tuple[dict[str, Any], SourceFace]] = []
    for place, (path, origin) in enumerate(photos, start=1):
        cancel.raise_if_cancelled()
        problem, found = "", []
        try:
            found = finder.faces(path)
        except UserInputError as error:
            problem = error.sentence()
        faces = []
        for item in found:
            image = None if folder is None else folder / f"{place:03}_{item.number:02}.png"
            if image is not None:
                _write(item.image, image, force=force)
            entry = _entry(item, image)
            faces.append(entry)
            if item.face is not None:
                usable.append((entry, item.face))
        entries.append({"file": str(path), "from": origin, "problem": problem, "faces": faces})
    for (entry, _), person in zip(
        usable, _people([face for _, face in usable], models), strict=True
    ):
        entry["person"] = person
    return entries


def _entry(item: FoundFace, image: Path | None) -> dict[str, Any]:
    problem = item.problem
    return {
        "number": item.number,
        "height": round(item.height),
        "usable": problem is None,
        "reason": "" if problem is None else problem.reason,
        "problem": "" if problem is None else problem.message,
        "hint": "" if problem is None else problem.hint,
        "merit": None if item.face is None else round(item.face.merit, 3),
        "person": None,
        "image": None if image is None else str(image),
    }


def _write(image: BgrImage, path: Path, *, force: bool) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, cv2.imencode(".png", image)[1].tobytes(), force=force)


def _people(faces: Sequence[SourceFace], models: ModelStore) -> list[int | None]:
    """Group the faces by person: each joins the nearest one before it, if that is near."""
    from facepick.faces.analyzers.sface import SFaceEmbedder
    from facepick.models.catalog import SFACE

    if not faces:
        return []
    try:
        embedder = SFaceEmbedder(models.require(SFACE))
    except (MissingModelError, ModelMismatchError):
        return [None] * len(faces)
    vectors = embedder.embed(np.stack([align(f.image, f.landmarks5) for f in faces]))
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    groups: list[int] = []
    for row, vector in enumerate(vectors):
        near = vectors[:row] @ vector
        best = int(np.argmax(near)) if row else -1
        known = row > 0 and near[best] >= _SAME_PERSON
        groups.append(groups[best] if known else max(groups, default=0) + 1)
    return list(groups)
