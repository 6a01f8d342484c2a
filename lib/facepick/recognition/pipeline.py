"""Pipeline from photo to face, chip and embedding, with every step at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.compositing.pictures import load_picture
from facepick.errors import NoFacesFound
from facepick.faces.analyzer import FaceDetector, FaceEmbedder, FaceMesher
from facepick.faces.detection import Box, FaceBatch, FloatArray
from facepick.faces.quality import FaceQuality, assess
from facepick.models.store import ModelStore
from facepick.recognition.alignment import (
    Alignment,
    check_alignment,
    chip_matrix,
    chip_template,
    cut_chip,
    mesh_for,
)
from facepick.recognition.registry import (
    model_version,
    open_detector,
    open_embedder,
    open_mesher,
)

__all__ = ["Recognizer", "SeenFace", "load_picture", "open_recognizer"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SeenFace:
    """One face of a photo and what was made of it.

    Attributes:
        box: in pixels of the photo.
        score: of the detector.
        landmarks5: (5, 2) float32 in pixels of the photo.
        chip: (size, size, 3) uint8 BGR, what the embedder saw.
        quality: how good a picture of the face it is.
    """

    box: Box
    score: float
    landmarks5: FloatArray
    chip: npt.NDArray[np.uint8]
    quality: FaceQuality

    def __repr__(self) -> str:
        return f"SeenFace({self.box}, score {self.score:.2f})"


class Recognizer:
    """One choice of detector, alignment and embedder.

    Args:
        detector, embedder: the models.
        alignment: how faces are cut out.
        mesher: needed for the alignments by mesh.
        version: of the embedder's file.
    """

    # Photos are searched at this size: a face that fills 5 % of it still has 32 pixels.
    LOOK_SIDE = 640
    # A face that fills the whole photo is not found; a border of this share helps.
    BORDER = 0.4

    def __init__(
        self,
        detector: FaceDetector,
        embedder: FaceEmbedder,
        *,
        alignment: Alignment = "five",
        mesher: FaceMesher | None = None,
        version: str = "",
    ) -> None:
        self.detector = detector
        self.embedder = embedder
        self.alignment = alignment
        self.version = version
        self._mesher = mesher

    def __repr__(self) -> str:
        return f"Recognizer({self.detector.id}, {self.alignment}, {self.embedder.id})"

    def find(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Find every face of a photo (h, w, 3) uint8 BGR, in its pixels, by falling score."""
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, self.LOOK_SIDE / max(height, width))
        small = image
        if scale < 1.0:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = self.detector.detect(small)
        shift = 0.0
        if not len(found):
            border = round(self.BORDER * max(small.shape[:2]))
            padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_CONSTANT)
            found, shift = self.detector.detect(np.asarray(padded, np.uint8)), float(border)
        back = np.array([width / small.shape[1], height / small.shape[0]])
        return FaceBatch(
            np.asarray((found.xyxy.reshape(-1, 2, 2) - shift) * back, np.float32).reshape(-1, 4),
            found.score,
            np.asarray((found.landmarks5 - shift) * back, np.float32),
        )

    def see(self, image: npt.NDArray[np.uint8], box: Box, landmarks5: FloatArray) -> SeenFace:
        """Cut one face out of a photo."""
        size, alignment = self.embedder.size, self.alignment
        mesh = mesh_for(alignment, image, landmarks5, self._mesher)
        if mesh is None and alignment not in ("none", "eyes"):
            # Nothing for the mesh to hold on to, as in a profile: five points are next best.
            alignment = "five"
        matrix = chip_matrix(
            alignment, box, landmarks5, chip_template(self.embedder), size, mesh=mesh
        )
        chip = cut_chip(image, matrix, size)
        quality = assess(chip, landmarks5, 1.0)
        return SeenFace(box=box, score=1.0, landmarks5=landmarks5, chip=chip, quality=quality)

    def main_face(self, image: npt.NDArray[np.uint8], *, name: str = "the photo") -> SeenFace:
        """Choose the face a photo is of: the largest, where those near the edge and doubtful
        count less.

        Raises:
            NoFacesFound: nobody is in it.
        """
        found = self.find(image)
        if not len(found):
            raise NoFacesFound(
                f"No face was found in {name}.", hint="Use a photo that shows the face clearly."
            )
        height, width = image.shape[:2]
        areas = []
        for i in range(len(found)):
            x, y = found.box(i).center
            off = max(abs(x / width - 0.5), abs(y / height - 0.5))
            areas.append(found.box(i).area * (1.2 - min(1.0, off)) * float(found.score[i]))
        best = int(np.argmax(areas))
        seen = self.see(image, found.box(best), found.landmarks5[best])
        score = float(found.score[best])
        quality = assess(seen.chip, seen.landmarks5, score)
        return SeenFace(
            box=seen.box,
            score=score,
            landmarks5=seen.landmarks5,
            chip=seen.chip,
            quality=quality,
        )

    def embed(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, size, size, 3) uint8 BGR as (n, d) float32, as the network gives them.

        Unscaled where the embedder can, since the euclidean metric needs their lengths.
        """
        raw = getattr(self.embedder, "raw", self.embedder.embed)
        return np.asarray(raw(chips), np.float32)

    def describe(self, path: Path | str) -> tuple[SeenFace, FloatArray]:
        """Find the main face of a photo file and its embedding (d,).

        Raises:
            UserInputError: it cannot be read.
            NoFacesFound: nobody is in it.
        """
        image = load_picture(path)
        seen = self.main_face(image, name=Path(path).name)
        return seen, self.embed(seen.chip[None])[0]


def open_recognizer(
    store: ModelStore,
    *,
    detector: str = "yunet",
    alignment: str = "five",
    model: str = "sface",
) -> Recognizer:
    """Open the recognizer of these names.

    Raises:
        UserInputError: a name is unknown.
        MissingModelError, PackageMissing, ModelMismatchError: with what to fetch.
    """
    kind = check_alignment(alignment)
    mesher = open_mesher(store)
    finder = open_detector(detector, store, mesher)
    embedder = open_embedder(model, store)
    return Recognizer(
        finder,
        embedder,
        alignment=kind,
        mesher=mesher,
        version=model_version(model, store),
    )
