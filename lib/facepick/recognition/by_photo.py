"""People of a video found by a photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facepick.compositing.pictures import load_picture
from facepick.errors import NotInVideo, SelectionError
from facepick.faces.detection import FloatArray
from facepick.models.store import ModelStore
from facepick.people.person import Person, Scan
from facepick.recognition.pipeline import Recognizer, open_recognizer

__all__ = ["face_in_photo", "person_by_photo"]

CLEAR_LEAD = 0.08
"""Cosine by which the likeliest person must lead: of two people of one video the one in a photo is
nearer by more than this in 19 of 20 pairs (mean .48 and more against .33 and less)."""

STRANGER_SHARE = 0.5
"""Of the threshold: less than half of it is somebody else, such as 0.14 against 0.40."""

SURE_FACE, SECOND_FACE = 0.6, 0.35
"""Scores of faces that count, and how large a second one must be beside the largest to be meant:
passers-by in the background are smaller."""


def face_in_photo(recognizer: Recognizer, photo: Path) -> FloatArray:
    """Describe the one who is in a photo: (d,) float32 of length 1.

    Raises:
        UserInputError: the photo cannot be read.
        NoFacesFound: nobody is in it.
        SelectionError: several are.
    """
    image = load_picture(photo)
    found = recognizer.find(image)
    areas = [found.box(i).area for i in range(len(found)) if found.score[i] > SURE_FACE]
    large = sum(area > SECOND_FACE * max(areas) for area in areas)
    if large > 1:
        raise SelectionError(
            f"{photo.name} shows {large} faces.", hint="Cut out the one that is meant."
        )
    seen = recognizer.main_face(image, name=photo.name)
    row = recognizer.embed(seen.chip[None])[0]
    return np.asarray(row / max(float(np.linalg.norm(row)), 1e-9), np.float32)


def person_by_photo(scan: Scan, photo: Path, *, models: ModelStore) -> Person:
    """Find the person of a video who is in a photo.

    Raises:
        UserInputError: the photo cannot be read.
        NoFacesFound: nobody is in it.
        NotInVideo: nobody of the video is anywhere near the one.
        SelectionError: several faces are in it, or nobody of the video, or more than one, may be
            the one; it says who.
    """
    described = [p for p in scan.people if len(p.exemplars)]
    name = photo.name
    if not described:
        raise SelectionError(f"{scan.video.path.name} has no face that can be compared.")
    recognizer = open_recognizer(models, model=described[0].exemplar_model)
    row = face_in_photo(recognizer, photo)
    near = sorted(((float((p.exemplars @ row).max()), p) for p in described), key=lambda x: -x[0])
    score, best = near[0]
    limit = recognizer.embedder.same_person
    if score < limit:
        kind = NotInVideo if score < limit * STRANGER_SHARE else SelectionError
        raise kind(
            f"Nobody in {scan.video.path.name} is surely the one in {name}: the most alike is "
            f"{best.label}, {score:.2f}; one person from {limit:.2f}.",
            hint=f"Look at the gallery, then pick by id: --person {best.id}.",
        )
    others = [p for other, p in near[1:] if other > max(limit, score - CLEAR_LEAD)]
    if others:
        may = ", ".join(p.label for p in (best, *others))
        raise SelectionError(
            f"The one in {name} may be {may}.",
            hint="Pick by id, or merge them if they are one.",
        )
    return best
