"""Five points for a face of which only the box is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from facepick.faces.alignment import ARCFACE_112
from facepick.faces.analyzer import FaceMesher
from facepick.faces.detection import Box, FaceBatch, FloatArray

__all__ = ["batch_of", "five_of_68", "five_of_box", "five_of_mesh", "five_points"]

# Vertices of the 468-point mesh: corners and lids around each eye, the tip of the nose, the
# corners of the mouth; right and left are the person's own.
_RIGHT_EYE = (33, 133, 159, 145, 158, 153)
_LEFT_EYE = (263, 362, 386, 374, 385, 380)
_NOSE_TIP = 4
_RIGHT_MOUTH, _LEFT_MOUTH = 61, 291

# A detector's box reaches from the brows or the hair line to the chin.  In the 112-pixel chip
# the face itself spans x 19..93 and y 18..112 on the mean head, 94 pixels high.
_CHIP_CENTRE = (56.0, 65.0)
_CHIP_HEIGHT = 94.0

# Below it the mesh network did not see a face in the box.
_MIN_PRESENCE = 0.5


def five_of_mesh(mesh: FloatArray) -> FloatArray:
    """Pick the five points of a mesh (468, 3), as (5, 2) float32."""
    points = np.asarray(mesh, np.float64)[:, :2]
    rows = [
        points[list(_RIGHT_EYE)].mean(axis=0),
        points[list(_LEFT_EYE)].mean(axis=0),
        points[_NOSE_TIP],
        points[_RIGHT_MOUTH],
        points[_LEFT_MOUTH],
    ]
    return np.asarray(rows, np.float32)


def five_of_68(points: npt.ArrayLike) -> FloatArray:
    """Pick the five points of the 68 of iBUG (Sagonas et al., *300 Faces In-The-Wild*, 2013).

    Args:
        points: (68, 2) in pixels.
    """
    rows = np.asarray(points, np.float64)
    if rows.shape != (68, 2):
        raise ValueError(f"68 points (68, 2) are needed, got {rows.shape}")
    five = [
        rows[36:42].mean(axis=0),
        rows[42:48].mean(axis=0),
        rows[30],
        rows[48],
        rows[54],
    ]
    return np.asarray(five, np.float32)


def five_of_box(box: Box, *, angle: float = 0.0) -> FloatArray:
    """Place the points of an average upright face in `box`, turned by `angle` radians."""
    side = max(box.height, box.width)
    offset = (ARCFACE_112.astype(np.float64) - np.array(_CHIP_CENTRE)) * (side / _CHIP_HEIGHT)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = offset @ np.array([[cos, sin], [-sin, cos]])
    return np.asarray(turned + np.array(box.center), np.float32)


def five_points(
    image: npt.NDArray[np.uint8],
    box: Box,
    mesher: FaceMesher,
    *,
    eyes: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> FloatArray:
    """Find the five points of the face in `box`: by its mesh, or the average where no mesh holds.

    Args:
        image: (h, w, 3) uint8 BGR.
        box: in pixels of `image`.
        mesher: asked twice, since a box alone places its region badly.
        eyes: the two eye centres, in any order, if the detector gives them.
    """
    angle = 0.0
    if eyes is not None:
        (ax, ay), (bx, by) = sorted(eyes)
        if bx - ax > 1e-3:
            angle = math.atan2(by - ay, bx - ax)
    guess = five_of_box(box, angle=angle)
    for _ in range(2):
        mesh, presence = mesher.locate(image, guess)
        if presence < _MIN_PRESENCE:
            return guess
        guess = five_of_mesh(mesh)
    return guess


def batch_of(
    boxes: list[Box], scores: list[float], landmarks: list[FloatArray], *, min_score: float = 0.3
) -> FaceBatch:
    """Make a batch by falling score, without faces below `min_score`."""
    if not boxes:
        return FaceBatch.empty()
    score = np.clip(np.asarray(scores, np.float32), 0.0, 1.0)
    order = np.argsort(-score, kind="stable")
    order = order[score[order] >= min_score]
    return FaceBatch(
        np.asarray(boxes, np.float32).reshape(-1, 4)[order],
        score[order],
        np.asarray(landmarks, np.float32).reshape(-1, 5, 2)[order],
    )
