"""SFace, the default embedder.

Zhong et al., *SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition*, IEEE TIP
30, 2021; weights from the OpenCV zoo (Apache-2.0).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzers._opencv import opencv_path, quiet_opencv
from facepick.faces.detection import FloatArray

__all__ = ["SFaceEmbedder"]


class SFaceEmbedder:
    """SFace through ``cv2.FaceRecognizerSF``, the faster of the two runtimes at hand.

    (20 to 30 ms of CPU a face, onnxruntime 37: the file declares its weights as inputs, which
    keeps the latter from folding them.  The numbers agree to 1e-5.)

    Args:
        model: path of the ONNX file.
    """

    id = "sface"
    size = 112
    dimension = 128
    # Of 2306 pairs of two people none, of 109 pairs of one person 3 lie on the wrong side (photos
    # years apart, people of several origins, aligned by these five points); the zoo's 0.363,
    # made on LFW, lets 6 false pairs through.
    same_person = 0.40
    # Faces in movement measure 6.5 to 10 (middle half), hands, cups and backs of heads 3.6 to 5.5.
    face_length = 5.8

    def __init__(self, model: Path) -> None:
        import cv2

        with quiet_opencv():
            self._net = cv2.FaceRecognizerSF.create(opencv_path(model), "")

    def raw(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 112, 112, 3) uint8 BGR as (n, 128) float32, as the network gives them."""
        if chips.ndim != 4 or chips.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"chips must be (n, 112, 112, 3), got {chips.shape}")
        # The graph is fixed to one face a call; on a CPU a batch would bring nothing.
        rows = np.zeros((len(chips), self.dimension), np.float32)
        for i, chip in enumerate(chips):
            rows[i] = np.asarray(self._net.feature(np.ascontiguousarray(chip))).reshape(-1)
        return rows

    def embed(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 112, 112, 3) uint8 BGR as (n, 128) float32 of length 1."""
        rows = self.raw(chips)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), np.float32)
