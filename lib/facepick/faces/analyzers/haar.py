"""Haar cascades, the classic detector.

Viola and Jones, *Rapid Object Detection using a Boosted Cascade of Simple Features*, CVPR 2001;
the cascade that OpenCV ships (its own permissive licence is in the file).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.errors import MissingModelError, PackageMissing
from facepick.faces.analyzer import FaceMesher
from facepick.faces.analyzers._opencv import opencv_path
from facepick.faces.detection import Box, FaceBatch, FloatArray
from facepick.faces.five_points import batch_of, five_points

__all__ = ["CASCADE_FILE", "HaarDetector", "shipped_cascade"]

CASCADE_FILE = "haarcascade_frontalface_default.xml"


def shipped_cascade() -> Path | None:
    """Find the cascade inside the installed OpenCV, or None: wheels of OpenCV 5 carry none."""
    import cv2

    path = Path(cv2.__file__).parent / "data" / CASCADE_FILE
    return path if path.is_file() else None


class HaarDetector:
    """Upright frontal faces through ``cv2.CascadeClassifier``.

    Args:
        cascade: path of the cascade; None for the one inside OpenCV.
        mesher: gives the five points, which a cascade does not.

    Raises:
        PackageMissing: this OpenCV has no cascades (``opencv-python`` 5 moved them to contrib).
        MissingModelError: there is no cascade file.
    """

    id = "haar"

    SCALE_STEP = 1.1
    NEIGHBOURS = 5
    # Sum of the stage's margins at which half of the detections on photos are faces: the score
    # is the logistic curve through it, because the protocol wants [0, 1].
    EVEN_WEIGHT, WEIGHT_WIDTH = 1.0, 1.2

    def __init__(self, mesher: FaceMesher, *, cascade: Path | None = None) -> None:
        import cv2

        if not hasattr(cv2, "CascadeClassifier"):
            raise PackageMissing(
                "opencv-contrib-python-headless",
                needed_for=f"the Haar detector (OpenCV {cv2.__version__} moved it to contrib)",
            )
        path = cascade or shipped_cascade()
        if path is None or not path.is_file():
            raise MissingModelError(
                f"The cascade {CASCADE_FILE} is not on this machine: OpenCV 5 ships none.",
                hint="Fetch it with: facepick models fetch haar",
                models=("haar",),
            )
        self._cascade = cv2.CascadeClassifier(opencv_path(path))
        if self._cascade.empty():
            raise MissingModelError(
                f"{path.name} holds no cascade.",
                hint="Delete it and fetch it again: facepick models fetch haar",
                models=("haar",),
            )
        self._mesher = mesher

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Detect faces in pixels of `image`, by falling score."""
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        smallest = max(24, min(gray.shape[:2]) // 20)
        found, _, weights = self._cascade.detectMultiScale3(
            gray,
            scaleFactor=self.SCALE_STEP,
            minNeighbors=self.NEIGHBOURS,
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        boxes: list[Box] = []
        scores: list[float] = []
        landmarks: list[FloatArray] = []
        for (x, y, w, h), weight in zip(
            np.asarray(found).reshape(-1, 4), np.asarray(weights).reshape(-1), strict=True
        ):
            box = Box(float(x), float(y), float(x + w), float(y + h))
            boxes.append(box)
            margin = (float(weight) - self.EVEN_WEIGHT) / self.WEIGHT_WIDTH
            scores.append(1.0 / (1.0 + float(np.exp(-margin))))
            landmarks.append(five_points(image, box, self._mesher))
        return batch_of(boxes, scores, landmarks)
