"""Features of a mouth, in numbers that do not depend on where the head is.

Distances between points of the 468-point face mesh are taken in the frame of the head: a 3-D
similarity (Umeyama 1991) fitted on points that speech does not move, in units of the distance of
the outer eye corners.  Point numbers are those of the MediaPipe face mesh.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.similarity import fit_similarity

__all__ = [
    "INNER_LIP",
    "OUTER_LIP",
    "eye_distance",
    "in_head_frame",
    "mouth_features",
]

Array = npt.NDArray[np.float32]

OUTER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40,
             185)  # fmt: skip
INNER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80,
             191)  # fmt: skip
LEFT_EYE, RIGHT_EYE = 33, 263
# Eye corners, brow ridge, bridge and sides of the nose, forehead, temples: 28 points.
RIGID = (33, 133, 362, 263, 130, 359, 168, 6, 197, 195, 5, 4, 98, 327, 10, 151, 9, 8, 127, 356,
         234, 454, 21, 251, 54, 284, 67, 297)  # fmt: skip


def _axes(mesh: Array) -> tuple[Array, Array, Array, float]:
    """Compute unit vectors to the picture's right, down and into the head, and the eye distance."""
    across = (mesh[RIGHT_EYE] - mesh[LEFT_EYE]) + (mesh[454] - mesh[234])
    x = across / max(float(np.linalg.norm(across)), 1e-6)
    down = (mesh[2] - mesh[10]).astype(np.float32)
    down = down - x * float(down @ x)
    y = down / max(float(np.linalg.norm(down)), 1e-6)
    return x, y, np.cross(x, y).astype(np.float32), eye_distance(mesh)


def eye_distance(mesh: FloatArray) -> float:
    """Measure the distance of the outer eye corners in pixels, as if seen from the front."""
    return max(float(np.linalg.norm(mesh[RIGHT_EYE] - mesh[LEFT_EYE])), 1e-6)


def in_head_frame(mesh: FloatArray, reference: FloatArray | None = None) -> Array:
    """Bring the mesh (468, 3) upright, centred between the eyes, outer eye corners 1 apart.

    Args:
        reference: (468, 3) face in that frame; when given, the mesh is fitted to it on the
            points that speech does not move, which is steadier than the axes of one face.
    """
    x, y, z, eyes = _axes(mesh)
    turned = (mesh - (mesh[LEFT_EYE] + mesh[RIGHT_EYE]) / 2) @ np.stack([x, y, z], axis=1) / eyes
    if reference is None:
        return np.asarray(turned, dtype=np.float32)
    fitted = fit_similarity(turned[list(RIGID)], reference[list(RIGID)])
    return np.asarray(fitted(turned), dtype=np.float32)


def mouth_features(face: Array) -> Array:
    """Measure opening, width and jaw drop of a face in the head frame, (3,) float32 eye
    distances."""

    def apart(i: int, j: int) -> float:
        return float(np.linalg.norm(face[i] - face[j]))

    opening = (apart(13, 14) + apart(82, 87) + apart(312, 317)) / 3
    return np.array([opening, apart(61, 291), apart(2, 152)], np.float32)
