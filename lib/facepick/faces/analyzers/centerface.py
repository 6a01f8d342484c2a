"""CenterFace, a small detector without anchors.

Xu et al., *CenterFace: Joint Face Detection and Alignment Using Face as Point*, Scientific
Programming, 2020; weights MIT.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzers._letterbox import keep_best
from facepick.faces.analyzers._opencv import opencv_path, quiet_opencv
from facepick.faces.detection import FaceBatch

__all__ = ["CenterFaceDetector"]


class CenterFaceDetector:
    """CenterFace through ``cv2.dnn``.

    Args:
        model: path of the ONNX file.
        min_score: faces below it are dropped.
    """

    id = "centerface"

    STRIDE = 4
    # The picture's sides must be multiples of the deepest stride.
    MULTIPLE = 32
    NMS_IOU = 0.3
    OUTPUTS = ("537", "538", "539", "540")

    def __init__(self, model: Path, *, min_score: float = 0.3) -> None:
        self._path = opencv_path(model)
        self._min_score = min_score
        self._size: tuple[int, int] | None = None
        self._read()

    def _read(self) -> None:
        import cv2

        # The new engine of OpenCV 5 keeps the 32-pixel input that the file names.
        classic = (int(cv2.dnn.ENGINE_CLASSIC),) if hasattr(cv2.dnn, "ENGINE_CLASSIC") else ()
        with quiet_opencv():
            self._net = cv2.dnn.readNetFromONNX(self._path, *classic)

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Detect faces in pixels of `image`, by falling score."""
        import cv2

        height, width = image.shape[:2]
        size = (
            -(-width // self.MULTIPLE) * self.MULTIPLE,
            -(-height // self.MULTIPLE) * self.MULTIPLE,
        )
        if self._size not in (None, size):
            # The net keeps buffers of the size it first saw and answers nonsense for another.
            self._read()
        self._size = size
        blob = cv2.dnn.blobFromImage(image, 1.0, size, (0, 0, 0), swapRB=True, crop=False)
        self._net.setInput(blob)
        heat, extent, offset, marks = self._net.forward(list(self.OUTPUTS))
        heat = np.asarray(heat, np.float64)[0, 0]
        rows, columns = np.nonzero(heat > self._min_score)
        if not len(rows):
            return FaceBatch.empty()
        score = heat[rows, columns]
        # Channel 0 of each map is the height or y, channel 1 the width or x.
        high, wide = np.exp(np.asarray(extent)[0][:, rows, columns]) * self.STRIDE
        dy, dx = np.asarray(offset)[0][:, rows, columns]
        x0 = (columns + dx + 0.5) * self.STRIDE - wide / 2
        y0 = (rows + dy + 0.5) * self.STRIDE - high / 2
        xyxy = np.stack([x0, y0, x0 + wide, y0 + high], axis=1)
        points = np.asarray(marks)[0][:, rows, columns]
        xs = points[1::2].T * wide[:, None] + x0[:, None]
        ys = points[0::2].T * high[:, None] + y0[:, None]
        keep = keep_best(xyxy, score, self.NMS_IOU)
        back = np.array([width / size[0], height / size[1]])
        landmarks = np.stack([xs, ys], axis=2)[keep] * back
        return FaceBatch(
            np.asarray(xyxy[keep].reshape(-1, 2, 2) * back, np.float32).reshape(-1, 4),
            np.asarray(np.clip(score[keep], 0, 1), np.float32),
            np.asarray(landmarks, np.float32),
        )
