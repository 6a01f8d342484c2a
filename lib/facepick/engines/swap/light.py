"""Light on a face, as a few numbers.

Skin reflects nearly evenly in all directions, so that the light on it is a smooth function of the
surface normal: spherical harmonics (Ramamoorthi and Hanrahan, *An Efficient Representation for
Irradiance Environment Maps*, SIGGRAPH 2001).  First order (4 numbers a channel) is used: the
second over-brightens the jaw, whose normals no training point has.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_BROW,
    RIGHT_EYE,
)
from facepick.faces.mesh_topology import topology

__all__ = [
    "COEFFICIENTS",
    "basis",
    "fit_light",
    "gain",
    "sample_skin",
    "skin_points",
    "solve_light",
]

COEFFICIENTS = 4

# No photo is matched by more than a factor of exp(1.1) = 3 in a channel.
_MAX_LOG_GAIN = 1.1
_ROUNDS = 4
_MIN_POINTS = 12
# How much of the slopes is taken over.  What a face's own relief and colours do to its shading is
# found as slope, too: taking over all of it draws the target's features (it cost 0.03 of SFace to
# the source in the two pairs tried), half of it 0.01; three tenths still show from where the light
# comes.
_SLOPE_SHARE = 0.3


@cache
def skin_points() -> tuple[int, ...]:
    """List points of cheeks, nose and forehead: no lips, eyes, brows, beard, nor the oval's
    edge."""
    shape = topology().shape
    skip = {
        *FACE_OVAL, *LIPS_INNER, *LIPS_OUTER, *RIGHT_EYE, *LEFT_EYE,
        *RIGHT_BROW, *LEFT_BROW,
    }  # fmt: skip
    nose_y = float(shape[2, 1])
    rings = np.array([shape[i, :2] for i in (*RIGHT_EYE, *LEFT_EYE)])
    brows = np.array([shape[i, :2] for i in (*RIGHT_BROW, *LEFT_BROW)])
    nostrils = shape[[98, 97, 2, 326, 327, 19, 94], :2]
    keep = []
    for i, point in enumerate(shape[:, :2]):
        if i in skip or point[1] > nose_y:
            continue
        near = min(
            float(np.min(np.hypot(*(rings - point).T))) / 0.12,
            float(np.min(np.hypot(*(brows - point).T))) / 0.10,
            float(np.min(np.hypot(*(nostrils - point).T))) / 0.08,
        )
        if near > 1:
            keep.append(i)
    return tuple(keep)


def basis(normals: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Compute real spherical harmonics up to first order without their constants, (n, 4)."""
    return np.concatenate([np.ones((len(normals), 1)), normals.astype(np.float64)], axis=1)


def fit_light(
    image: BgrImage,
    vertices: FloatArray,
    normals: FloatArray,
    visible: FloatArray | None = None,
) -> npt.NDArray[np.float64] | None:
    """Fit coefficients (4, 3) of log colour (BGR) over normals, or None with too little skin in
    view.

    Args:
        image: (h, w, 3) uint8 BGR.
        vertices: (n, 3) in pixels of `image`.
        normals: (n, 3), see `vertex_normals`.
        visible: (h, w), see `OcclusionMasker.visible`; what is in front of the face is left out.

    Robust: reweighted least squares with Tukey's biweight, so that hair, glasses, a hand and
    highlights do not count; a ridge keeps the slopes small where few normals are seen.
    """
    chosen, logs = sample_skin(image, vertices, normals, visible)
    return solve_light(normals[chosen], logs)


def sample_skin(
    image: BgrImage,
    vertices: FloatArray,
    normals: FloatArray,
    visible: FloatArray | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Sample the skin that is in view: numbers of points (n,), rising, and log colours (n, 3).

    Args:
        image, vertices, normals, visible: as for `fit_light`.
    """
    import cv2

    chosen = np.array(skin_points())
    height, width = image.shape[:2]
    x, y = vertices[chosen, 0], vertices[chosen, 1]
    seen = (normals[chosen, 2] < -0.25) & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    chosen = chosen[seen]
    if visible is not None:
        column, row = vertices[chosen, :2].astype(int).T
        chosen = chosen[visible[row, column] > 0.5 * visible.max()]
    if len(chosen) < _MIN_POINTS:
        return chosen[:0], np.zeros((0, 3))
    # A mean over 2 % of the face takes out pores and noise.
    size = max(1.0, 0.02 * float(np.ptp(vertices[:468, 1])))
    x0, y0 = (int(max(0, v)) for v in vertices[chosen, :2].min(axis=0) - 3 * size)
    x1, y1 = (int(v) + 1 for v in vertices[chosen, :2].max(axis=0) + 3 * size)
    part = cv2.GaussianBlur(image[y0:y1, x0:x1], (0, 0), size)
    column = np.clip(vertices[chosen, 0].astype(int) - x0, 0, part.shape[1] - 1)
    row = np.clip(vertices[chosen, 1].astype(int) - y0, 0, part.shape[0] - 1)
    return chosen, np.log(part[row, column].astype(np.float64) + 4.0)


def solve_light(
    normals: npt.NDArray[np.floating[Any]], logs: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    """Solve for the light of a sample: coefficients (4, 3), or None with too few points.

    Args:
        normals, logs: (n, 3), of the points of `sample_skin`.
    """
    if len(logs) < _MIN_POINTS:
        return None
    terms = basis(normals)
    ridge = np.diag([0.0, 1.0, 1.0, 1.0]) * 0.02 * len(logs)
    weight = np.ones(len(logs))
    solved: npt.NDArray[np.float64] = np.zeros((COEFFICIENTS, 3))
    for _ in range(_ROUNDS):
        left = terms.T @ (terms * weight[:, None]) + ridge
        solved = np.asarray(np.linalg.solve(left, terms.T @ (logs * weight[:, None])))
        rest = np.linalg.norm(logs - terms @ solved, axis=1)
        limit = 4.685 * max(1.4826 * float(np.median(rest)), 0.02)
        weight = np.clip(1 - (rest / limit) ** 2, 0, 1) ** 2 + 1e-6
    return np.asarray(solved)


def gain(
    target: npt.NDArray[np.float64],
    target_normals: FloatArray,
    source: npt.NDArray[np.float64],
    source_normals: FloatArray,
) -> npt.NDArray[np.float64]:
    """Compute the factor (n, 3) from the source's colour at each vertex to the target's light."""
    change = basis(target_normals) @ target - basis(source_normals) @ source
    even = change.mean(axis=0)
    change = even + _SLOPE_SHARE * (change - even)
    return np.asarray(np.exp(np.clip(change, -_MAX_LOG_GAIN, _MAX_LOG_GAIN)))
