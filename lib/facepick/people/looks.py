"""Hair and clothes: colours around a face, weak evidence of who it is within one shot.

Histograms over L*a*b* (CIE 1976), compared by the coefficient of Bhattacharyya (1943).  Light and
background change with the camera, so that they say little from one shot to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box, FloatArray

__all__ = ["Looks", "alike", "look_at", "mean_look"]

# 4 steps of lightness, 7 of each chroma axis over -48 to 48, where nearly all colours are.
_LIGHT, _CHROMA, _REACH = 4, 7, 48.0
# So much of the region must lie inside the picture.
_INSIDE = 0.4
_MOST = 32


@dataclass(frozen=True, eq=False)
class Looks:
    """Colours around one face, (c,) float32 each, or None where they are outside the picture."""

    hair: FloatArray | None
    clothes: FloatArray | None


def look_at(image: npt.NDArray[np.uint8], scale: npt.NDArray[np.float64], box: Box) -> Looks:
    """Collect the colours around a face.

    Args:
        image: (h, w, 3) uint8 BGR.
        scale: (2,), display pixels times this are pixels of `image`.
        box: of the face, in display pixels.
    """
    w, h = box.width, box.height
    cx, _ = box.center
    hair = Box(box.x0, box.y0 - 0.35 * h, box.x1, box.y0 + 0.1 * h)
    clothes = Box(cx - w, box.y1 + 0.35 * h, cx + w, box.y1 + 1.35 * h)
    return Looks(_colours(image, scale, hair), _colours(image, scale, clothes))


def mean_look(looks: Sequence[FloatArray | None]) -> FloatArray | None:
    """Average the histograms that are there."""
    there = [look for look in looks if look is not None]
    return np.asarray(np.mean(there, axis=0), np.float32) if there else None


def alike(a: FloatArray | None, b: FloatArray | None) -> float | None:
    """Compare two histograms, in [0, 1]; None where one is missing."""
    if a is None or b is None:
        return None
    return float(np.sum(np.sqrt(a * b)))


def _colours(
    image: npt.NDArray[np.uint8], scale: npt.NDArray[np.float64], area: Box
) -> FloatArray | None:
    import cv2

    height, width = image.shape[:2]
    scaled = Box(area.x0 * scale[0], area.y0 * scale[1], area.x1 * scale[0], area.y1 * scale[1])
    if scaled.inside(width, height) < _INSIDE:
        return None
    x0, y0 = max(0, round(scaled.x0)), max(0, round(scaled.y0))
    x1, y1 = min(width, round(scaled.x1)), min(height, round(scaled.y1))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    part = image[y0:y1, x0:x1]
    if max(part.shape[:2]) > _MOST:
        size = (min(_MOST, part.shape[1]), min(_MOST, part.shape[0]))
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    lab = cv2.cvtColor(part, cv2.COLOR_BGR2LAB).reshape(-1, 3).astype(np.float64)
    light = lab[:, 0] / 256 * _LIGHT
    chroma = (np.clip(lab[:, 1:] - 128, -_REACH, _REACH - 1e-6) + _REACH) / (2 * _REACH) * _CHROMA
    first, second = chroma.astype(int).T
    cells = (light.astype(int) * _CHROMA + first) * _CHROMA + second
    rows = np.bincount(cells, minlength=_LIGHT * _CHROMA * _CHROMA)
    return np.asarray(rows / max(1.0, rows.sum()), np.float32)
