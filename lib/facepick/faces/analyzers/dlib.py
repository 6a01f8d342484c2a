"""dlib: the HOG detector and the ResNet embedder.

King, *Dlib-ml: A Machine Learning Toolkit*, JMLR 10, 2009; *Max-Margin Object Detection*, 2015;
the landmarks after Kazemi and Sullivan, *One Millisecond Face Alignment with an Ensemble of
Regression Trees*, CVPR 2014.  Code Boost-1.0; the recognition network and the 5-point model are
in the public domain, the 68-point one may not be used commercially (trained on iBUG 300-W).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError, PackageMissing
from facepick.faces.analyzer import FaceMesher
from facepick.faces.detection import Box, FaceBatch, FloatArray
from facepick.faces.five_points import batch_of, five_points

__all__ = ["DlibEmbedder", "DlibHogDetector"]


def _dlib(needed_for: str) -> Any:
    try:
        return importlib.import_module("dlib")
    except ImportError as error:
        raise PackageMissing("dlib-bin", needed_for=needed_for) from error


class DlibHogDetector:
    """Frontal and half-turned faces by histograms of gradients; no model file is needed.

    Args:
        mesher: gives the five points.
        upsample: how often the picture is doubled first; once finds faces from 40 pixels.

    Raises:
        PackageMissing: dlib is not installed.
    """

    id = "dlib_hog"

    # The detector's margin is at 0 for a face it just takes and rarely above 3; the logistic
    # curve puts 0 at 0.5.
    MARGIN_WIDTH = 0.6

    def __init__(self, mesher: FaceMesher, *, upsample: int = 1) -> None:
        self._dlib = _dlib("the dlib detector")
        self._detector = self._dlib.get_frontal_face_detector()
        self._mesher = mesher
        self._upsample = upsample

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Detect faces in pixels of `image`, by falling score."""
        rgb = np.ascontiguousarray(image[:, :, ::-1])
        found, margins, _ = self._detector.run(rgb, self._upsample, 0.0)
        boxes: list[Box] = []
        scores: list[float] = []
        landmarks: list[FloatArray] = []
        for place, margin in zip(found, margins, strict=True):
            box = Box(
                float(place.left()),
                float(place.top()),
                float(place.right() + 1),
                float(place.bottom() + 1),
            )
            boxes.append(box)
            scores.append(1.0 / (1.0 + float(np.exp(-margin / self.MARGIN_WIDTH))))
            landmarks.append(five_points(image, box, self._mesher))
        return batch_of(boxes, scores, landmarks)


class DlibEmbedder:
    """dlib's ResNet of 2017: 128 numbers from a chip of 150 pixels.

    Args:
        model: path of ``dlib_face_recognition_resnet_model_v1.dat``.

    Raises:
        PackageMissing: dlib is not installed.
        ModelMismatchError: the file is another one.
    """

    id = "dlib"
    size = 150
    dimension = 128
    # Cosine 0.945 between unit vectors is the 0.6 of the authors between raw ones on LFW, whose
    # length is about 1.4: 1 - 0.6^2 / (2 * 1.4^2) = 0.908; measured on aligned photos 0.925.
    same_person = 0.925

    # Eye centres, nose tip and mouth corners of dlib's mean face shape in its own chip: points
    # p of the unit square lie at (0.25 + p) / 1.5 of the side (padding 0.25).
    template: FloatArray = np.array(
        [[47.55, 46.60], [100.48, 46.60], [74.01, 76.56], [50.41, 103.02], [97.61, 103.02]],
        dtype=np.float32,
    )

    def __init__(self, model: Path) -> None:
        dlib = _dlib("the dlib embedder")
        try:
            self._net = dlib.face_recognition_model_v1(str(model))
        except RuntimeError as error:
            raise ModelMismatchError(
                f"{model.name} is not dlib's recognition network.", hint="Replace the file."
            ) from error

    def raw(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 150, 150, 3) uint8 BGR as (n, 128) float32, as the network gives them."""
        if chips.ndim != 4 or chips.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"chips must be (n, 150, 150, 3), got {chips.shape}")
        rows = np.zeros((len(chips), self.dimension), np.float32)
        for i, chip in enumerate(chips):
            rgb = np.ascontiguousarray(chip[:, :, ::-1])
            rows[i] = np.asarray(self._net.compute_face_descriptor(rgb), np.float32)
        return rows

    def embed(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 150, 150, 3) uint8 BGR as (n, 128) float32 of length 1."""
        rows = self.raw(chips)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), np.float32)
