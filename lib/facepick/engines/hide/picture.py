"""A picture that is laid over a face."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from facepick.compositing.masks import Area
from facepick.compositing.pictures import load_picture
from facepick.engines.hide.shape import Oval
from facepick.faces.detection import FloatArray

__all__ = ["Sticker"]

# Faces are rarely shown larger; a bigger picture would only cost time at every frame.
_MAX_SIDE_PX = 1024


class Sticker:
    """A picture with transparency, ready to be drawn at any size and turn.

    Halves of it are kept, so that a small face is drawn from a picture of nearly its own size and
    does not sparkle.

    Args:
        path: a PNG, JPEG or WebP file.

    Raises:
        UserInputError: the file cannot be used.
    """

    def __init__(self, path: str) -> None:
        import cv2

        image = load_picture(path, keep_alpha=True).astype(np.float32)
        # Colours are weighted with alpha before they are mixed, or hidden ones would bleed out.
        image[:, :, :3] *= image[:, :, 3:] / np.float32(255)
        shrink = min(1.0, _MAX_SIDE_PX / max(image.shape[:2]))
        if shrink < 1:
            size = (
                max(1, round(image.shape[1] * shrink)),
                max(1, round(image.shape[0] * shrink)),
            )
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
        self._levels: list[npt.NDArray[np.float32]] = [image]
        while min(self._levels[-1].shape[:2]) >= 16:
            last = self._levels[-1]
            half = (last.shape[1] // 2, last.shape[0] // 2)
            self._levels.append(
                np.asarray(cv2.resize(last, half, interpolation=cv2.INTER_AREA), np.float32)
            )

    def area(self, oval: Oval, size: float) -> Oval:
        """Where the picture lies: as large as the oval times `size`, its own aspect kept."""
        height, width = self._levels[0].shape[:2]
        scale = size * max(2 * oval.radii[0] / width, 2 * oval.radii[1] / height)
        return Oval(oval.center, (width * scale / 2, height * scale / 2), oval.degrees)

    def draw(self, area: Area, place: Oval) -> tuple[FloatArray, FloatArray]:
        """Colour times alpha (h, w, 3) in 0..255, and alpha (h, w) in [0, 1]."""
        import cv2

        wanted = 2 * place.radii[0]
        level = self._levels[0]
        for smaller in self._levels[1:]:
            if smaller.shape[1] < wanted:
                break
            level = smaller
        height, width = level.shape[:2]
        scale = wanted / width
        cos = scale * math.cos(math.radians(place.degrees))
        sin = scale * math.sin(math.radians(place.degrees))
        # Pixel centres: the picture's middle is at (width - 1) / 2 in OpenCV's coordinates.
        mx, my = (width - 1) / 2, (height - 1) / 2
        cx, cy = place.center[0] - area.x0 - 0.5, place.center[1] - area.y0 - 0.5
        matrix = np.array(
            [[cos, -sin, cx - cos * mx + sin * my], [sin, cos, cy - sin * mx - cos * my]]
        )
        drawn = cv2.warpAffine(
            level,
            matrix,
            (area.width, area.height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(0, 0, 0, 0),
        )
        values = np.clip(np.asarray(drawn, np.float32), 0, 255)
        return values[:, :, :3], values[:, :, 3] / np.float32(255)
