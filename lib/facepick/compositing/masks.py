"""Masks: how strongly a patch covers each pixel of the picture.

Every function draws on an `Area`, an integer rectangle of the picture, and gives float32 alpha of
that size.  Lengths are in pixels; callers multiply by the face's size, so that a setting looks the
same on a small face and on a large one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box, FloatArray
from facepick.faces.landmarks468 import FACE_OVAL
from facepick.faces.warp import smoothstep

__all__ = [
    "Area",
    "area_around",
    "ellipse",
    "feather_in",
    "feather_out",
    "grow",
    "mesh_region",
    "outline",
    "polygon",
    "rectangle",
    "roll_degrees",
    "shrink",
]

# Sixteenths of a pixel: the precision at which OpenCV draws polygon corners here.
_SHIFT = 4
# 72 corners put a polygon within 0.1 % of its ellipse (1 - cos(2.5 degrees)).
_ELLIPSE_CORNERS = 72


class Area(NamedTuple):
    """An integer rectangle in display pixels; may reach past the picture."""

    x0: int
    y0: int
    width: int
    height: int

    @property
    def origin(self) -> tuple[int, int]:
        """Its upper left corner (x, y)."""
        return self.x0, self.y0

    def clipped(self, x0: int, y0: int, x1: int, y1: int) -> Area:
        """Clip the area to ``[x0, x1) x [y0, y1)``; size 0 when nothing is left."""
        left, top = max(self.x0, x0), max(self.y0, y0)
        right, bottom = min(self.x0 + self.width, x1), min(self.y0 + self.height, y1)
        return Area(left, top, max(0, right - left), max(0, bottom - top))


def area_around(points: npt.ArrayLike, *, pad: float = 0.0) -> Area:
    """Find the smallest area that holds all points (n, >=2), with `pad` pixels on each side."""
    xy = np.asarray(points, np.float64)[:, :2]
    x0, y0 = (math.floor(v) for v in xy.min(axis=0) - pad)
    x1, y1 = (math.ceil(v) for v in xy.max(axis=0) + pad)
    return Area(x0, y0, max(1, x1 - x0), max(1, y1 - y0))


def rectangle(area: Area, box: Box) -> FloatArray:
    """Draw the box; a pixel that it covers in part has that share as alpha."""
    x = np.arange(area.width) + area.x0
    y = np.arange(area.height) + area.y0
    across = np.clip(np.minimum(x + 1, box.x1) - np.maximum(x, box.x0), 0, 1)
    down = np.clip(np.minimum(y + 1, box.y1) - np.maximum(y, box.y0), 0, 1)
    return np.outer(down, across).astype(np.float32)


def ellipse(
    area: Area,
    center: tuple[float, float],
    radii: tuple[float, float],
    *,
    degrees: float = 0.0,
) -> FloatArray:
    """Draw an ellipse turned by `degrees` (clockwise on the screen, since y points down).

    Args:
        center: display pixels.
        radii: along the ellipse's own x and y, in pixels.
    """
    turn = np.linspace(0, 2 * math.pi, _ELLIPSE_CORNERS, endpoint=False)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    points = np.stack([center[0] + cos * x - sin * y, center[1] + sin * x + cos * y], axis=1)
    return polygon(area, points)


def polygon(area: Area, points: npt.ArrayLike) -> FloatArray:
    """Fill a closed line through `points` (n, >=2) display pixels, smooth at its edge."""
    import cv2

    # A pixel's centre is at +0.5 in display pixels, and at the integer for OpenCV.
    local = np.asarray(points, np.float64)[:, :2] - (area.x0 + 0.5, area.y0 + 0.5)
    # Far corners would overflow OpenCV's fixed point; nothing is drawn there anyway.
    local = np.clip(local, -20_000, 20_000)
    mask = np.zeros((area.height, area.width), np.uint8)
    fixed = np.round(local * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return np.asarray(mask, np.float32) / np.float32(255)


def outline(area: Area, mesh: FloatArray, *, forehead: float = 0.0) -> FloatArray:
    """Fill the face oval of a mesh.

    Args:
        mesh: (468, >=2) display pixels.
        forehead: how far the upper edge is moved away from the chin, as a share of the face's
            height; the mesh ends below the hair line.
    """
    ring = np.asarray(mesh[list(FACE_OVAL), :2], np.float64)
    if forehead:
        top, chin = ring[0], ring[18]
        up = top - chin
        height = float(np.hypot(*up))
        along = (ring - chin) @ up / max(height * height, 1e-6)
        # Nothing moves below the eyes (about 0.6 of the height), the top moves fully.
        weight = np.clip((along - 0.6) / 0.4, 0, 1)
        ring = ring + weight[:, None] * forehead * up
    return polygon(area, ring)


def mesh_region(area: Area, mesh: FloatArray, ring: tuple[int, ...]) -> FloatArray:
    """Fill one of the rings above, such as `LIPS_INNER`."""
    return polygon(area, mesh[list(ring), :2])


def feather_out(mask: FloatArray, width: float) -> FloatArray:
    """Add a soft edge of `width` pixels outside the mask; what was covered stays covered."""
    if width <= 0:
        return mask
    # Half a pixel of error in a soft edge is not seen, and costs a quarter.
    away = _distance_outside(mask, exact=False)
    away /= np.float32(-(width + 1))
    away += 1
    return np.maximum(mask, smoothstep(away))


def feather_in(mask: FloatArray, width: float) -> FloatArray:
    """Soften the last `width` pixels inside the mask; nothing outside is touched."""
    if width <= 0:
        return mask
    return np.asarray(mask * smoothstep(_distance_inside(mask) / np.float32(width + 1)))


def grow(mask: FloatArray, radius: float) -> FloatArray:
    """Dilate by `radius` pixels (round, any fraction)."""
    if radius <= 0:
        return mask
    near = np.clip(np.float32(radius + 1) - _distance_outside(mask), 0, 1)
    return np.asarray(np.maximum(mask, near))


def shrink(mask: FloatArray, radius: float) -> FloatArray:
    """Erode by `radius` pixels (round, any fraction)."""
    if radius <= 0:
        return mask
    deep = np.clip(_distance_inside(mask) - np.float32(radius), 0, 1)
    return np.asarray(np.minimum(mask, deep))


def roll_degrees(landmarks5: FloatArray) -> float:
    """Measure how far the eye line is turned clockwise on the screen, in degrees."""
    dx, dy = np.asarray(landmarks5[1], np.float64) - np.asarray(landmarks5[0], np.float64)
    return math.degrees(math.atan2(dy, dx)) if dx or dy else 0.0


def _distance_outside(mask: FloatArray, *, exact: bool = True) -> FloatArray:
    """Measure each pixel's way to the mask, (h, w) float32; 2 % off unless `exact`."""
    import cv2

    outside = mask < 0.5
    if outside.all():
        return np.asarray(np.full(mask.shape, np.inf), np.float32)
    size = cv2.DIST_MASK_PRECISE if exact else cv2.DIST_MASK_5
    return np.asarray(cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, size), np.float32)


def _distance_inside(mask: FloatArray) -> FloatArray:
    import cv2

    if np.all(mask >= 0.5):
        return np.asarray(np.full(mask.shape, np.inf), np.float32)
    return np.asarray(
        cv2.distanceTransform((mask >= 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE),
        np.float32,
    )
