"""Quality of a face for recognising somebody, and for a thumbnail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.head_pose import HeadPose, pose_of_points

__all__ = [
    "FaceQuality",
    "assess",
    "eye_openness",
    "patch_correlation",
    "sharpness",
]

# Rings of the mesh around an eye: outer corner, inner corner, two upper, two lower lid points.
_RIGHT_EYE = (33, 133, 159, 158, 145, 153)
_LEFT_EYE = (263, 362, 386, 385, 374, 380)


@dataclass(frozen=True)
class FaceQuality:
    """Measurements of one picture of a face.

    Attributes:
        eye_distance: between the eyes as seen, made up for the turn of the head, in pixels.
        sharpness: in [0, 1]; 1 for a face in focus, below about 0.3 nobody is recognisable.
        pose: of the head.
        score: of the detector, in [0, 1].
        inside: share of the face that lies inside the picture, in [0, 1].
    """

    eye_distance: float
    sharpness: float
    pose: HeadPose
    score: float
    inside: float = 1.0

    @property
    def value(self) -> float:
        """One number in [0, 1] to choose the best picture of a track by.

        Size counts up to the 35 pixels between the eyes that fill a 112-pixel chip; the turn of
        the head falls off as embeddings do: little up to 30 degrees, to nothing at 75.  Of a
        face that is cut off by the edge of the picture only what is inside counts.
        """
        size = min(1.0, self.eye_distance / 35.0)
        turn = max(0.0, 1.0 - (self.pose.off_frontal / 75.0) ** 2)
        return float(size * (0.3 + 0.7 * self.sharpness) * turn * self.score * self.inside)


def sharpness(chip: npt.NDArray[np.uint8]) -> float:
    """Measure sharpness in [0, 1] of an aligned chip (s, s, 3) uint8 BGR, whatever its contrast.

    The share of the contrast that lives in the finest octave - what a blur of 1.5 pixels takes
    away, over the deviation of the whole - measured between brows and chin, because a caption or
    a lit background beside a blurred face is sharp too.  Faces in focus measure 0.12 and more
    (which counts as 1), those blurred by depth or motion 0.02 to 0.04, dark noise nothing.
    """
    import cv2

    side = chip.shape[0]
    gray = cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY).astype(np.float32)
    fine = gray - cv2.GaussianBlur(gray, (0, 0), 1.5 * side / 112)
    # Rows and columns 40 to 102 and 24 to 88 of 112 hold eyes, nose and mouth.
    rows = slice(round(0.36 * side), round(0.91 * side))
    columns = slice(round(0.21 * side), round(0.79 * side))
    # One grey step of coding noise counts as no detail, a deviation of 8 as no contrast.
    detail = max(0.0, float(fine[rows, columns].std()) - 1.0)
    contrast = max(float(gray[rows, columns].std()), 8.0)
    return float(min(1.0, detail / contrast / 0.12))


def assess(
    chip: npt.NDArray[np.uint8],
    landmarks5: npt.ArrayLike,
    score: float,
    *,
    pixel_aspect: float = 1.0,
    inside: float = 1.0,
) -> FaceQuality:
    """Measure the quality of one face.

    Args:
        chip: (s, s, 3) uint8 BGR, the aligned face.
        landmarks5: (5, 2) in display pixels.
        score: of the detector.
        pixel_aspect: width of a pixel over its height.
        inside: see `FaceQuality`.
    """
    points = np.asarray(landmarks5, np.float64) * np.array([pixel_aspect, 1.0])
    pose = pose_of_points(points)
    # A profile's eyes fall together; eyes to mouth (1.16 eye distances on the mean head, whose
    # mouth lies 73 mm below eyes that are 63 apart) does not shrink with yaw.
    across = float(np.linalg.norm(points[1] - points[0]))
    down = float(np.linalg.norm(points[:2].mean(axis=0) - points[3:].mean(axis=0)))
    return FaceQuality(
        eye_distance=max(across, down / 1.16),
        sharpness=sharpness(chip),
        pose=pose,
        score=float(score),
        inside=float(inside),
    )


def eye_openness(mesh: FloatArray) -> float:
    """Measure how far the eyes are open: lid distance over eye width, mean of both (Soukupova
    and Cech, *Real-Time Eye Blink Detection using Facial Landmarks*, 2016).

    Args:
        mesh: (468, 3) in pixels.

    Returns:
        About 0.25 to 0.4 for open eyes, below 0.15 for closed ones.
    """
    ratios = []
    for outer, inner, up_a, up_b, low_a, low_b in (_RIGHT_EYE, _LEFT_EYE):
        width = float(np.linalg.norm(mesh[outer, :2] - mesh[inner, :2]))
        lids = float(
            np.linalg.norm(mesh[up_a, :2] - mesh[low_a, :2])
            + np.linalg.norm(mesh[up_b, :2] - mesh[low_b, :2])
        )
        ratios.append(lids / 2 / max(width, 1e-6))
    return float(np.mean(ratios))


def patch_correlation(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Correlate two chips after taking off their means, in [-1, 1]; light cancels out."""
    import cv2

    def flat(chip: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        gray = chip if chip.ndim == 2 else cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        return np.asarray(small - small.mean(), np.float32)

    x, y = flat(a), flat(b)
    norm = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / norm if norm > 1e-6 else 0.0
