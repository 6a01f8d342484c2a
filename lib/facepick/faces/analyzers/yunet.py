"""YuNet, the default detector.

Wu, Peng and Yu, *YuNet: A Tiny Millisecond-level Face Detector*, Machine Intelligence Research
20, 2023; weights from the OpenCV zoo (MIT).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzers._opencv import opencv_path, quiet_opencv
from facepick.faces.detection import FaceBatch

__all__ = ["YuNetDetector"]


class YuNetDetector:
    """YuNet through ``cv2.FaceDetectorYN``.

    Args:
        model: path of the ONNX file.
        min_score: faces below it are dropped.  Low, because a tracker makes good use of a
            doubtful face where it already expects one.
    """

    id = "yunet"

    # Overlapping boxes of one face; the authors' own value.
    NMS_IOU = 0.3
    TOP_K = 750

    def __init__(self, model: Path, *, min_score: float = 0.3) -> None:
        import cv2

        with quiet_opencv():
            self._net = cv2.FaceDetectorYN.create(
                opencv_path(model), "", (320, 320), min_score, self.NMS_IOU, self.TOP_K
            )
        self._size: tuple[int, int] | None = None

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Faces in pixels of `image`, by falling score."""
        height, width = image.shape[:2]
        if self._size != (width, height):
            with quiet_opencv():
                self._net.setInputSize((width, height))
            self._size = (width, height)
        _, rows = self._net.detect(image)
        if rows is None:
            return FaceBatch.empty()
        rows = np.asarray(rows, np.float32)
        rows = rows[np.isfinite(rows).all(axis=1)]
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        xyxy = np.concatenate([rows[:, 0:2], rows[:, 0:2] + rows[:, 2:4]], axis=1)
        return FaceBatch(
            np.ascontiguousarray(xyxy),
            np.ascontiguousarray(np.clip(rows[:, 14], 0.0, 1.0)),
            np.ascontiguousarray(rows[:, 4:14].reshape(-1, 5, 2)),
        )
