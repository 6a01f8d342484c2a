"""A picture that is laid over a face."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from facepick.compositing.masks import Area
from facepick.compositing.patch import BgrImage
from facepick.compositing.pictures import load_picture
from facepick.engines.hide.shape import Oval
from facepick.faces.detection import FloatArray

__all__ = ["Sticker"]

# Faces are rarely shown larger; a bigger picture would only cost time at every frame.
_MAX_SIDE_PX = 1024
# 64 MB as four float32 channels.
_STRIP_PIXELS = 4_000_000


def _premultiplied(image: BgrImage) -> npt.NDArray[np.float32]:
    """Premultiply with alpha, (h, w, 4) float32 with BGR in 0..255.

    Hidden colours would bleed out of what is mixed later.

    A picture more than twice as large as is needed becomes smaller by a whole factor, strip by
    strip: as float32 it would take four times its memory.
    """
    import cv2

    height, width = image.shape[:2]
    factor = max(1, min(max(height, width) // (2 * _MAX_SIDE_PX), height, width))
    rows = factor * max(1, _STRIP_PIXELS // (width * factor)) if factor > 1 else height
    strips = []
    for top in range(0, height - height % factor, rows):
        strip = image[top : min(top + rows, height - height % factor), : width - width % factor]
        part = strip.astype(np.float32)
        part[:, :, :3] *= part[:, :, 3:] / np.float32(255)
        if factor > 1:
            size = (part.shape[1] // factor, part.shape[0] // factor)
            part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32)
        strips.append(part)
    return np.concatenate(strips)


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

        image = _premultiplied(load_picture(path, keep_alpha=True))
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
        """Place the picture: as large as the oval times `size`, its own aspect kept."""
        height, width = self._levels[0].shape[:2]
        scale = size * max(2 * oval.radii[0] / width, 2 * oval.radii[1] / height)
        return Oval(oval.center, (width * scale / 2, height * scale / 2), oval.degrees)

    def draw(self, area: Area, place: Oval) -> tuple[FloatArray, FloatArray]:
        """Draw colour times alpha (h, w, 3) in 0..255, and alpha (h, w) in [0, 1]."""
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
