"""YuNet, the default detector.

Wu, Peng and Yu, *YuNet: A Tiny Millisecond-level Face Detector*, Machine Intelligence Research
20, 2023; weights from the OpenCV zoo (MIT).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzers._opencv import opencv_path, quiet_opencv
from facepick.faces.detection import FaceBatch

if TYPE_CHECKING:
    import cv2

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
    MAX_SIZES = 4

    def __init__(self, model: Path, *, min_score: float = 0.3) -> None:
        import cv2

        def load(size: tuple[int, int]) -> cv2.FaceDetectorYN:
            with quiet_opencv():
                return cv2.FaceDetectorYN.create(
                    opencv_path(model), "", size, min_score, self.NMS_IOU, self.TOP_K
                )

        self._load = load
        # A network for each size of picture: changing the size of one costs a tenth of a
        # detection.
        self._nets: dict[tuple[int, int], cv2.FaceDetectorYN] = {}

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Faces in pixels of `image`, by falling score."""
        height, width = image.shape[:2]
        net = self._nets.get((width, height))
        if net is None:
            if len(self._nets) >= self.MAX_SIZES:
                self._nets.clear()
            net = self._nets[width, height] = self._load((width, height))
        _, rows = net.detect(image)
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
