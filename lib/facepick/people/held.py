"""A frame that is held while others are looked at; a very large one is held reduced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from facepick.media.picture import Picture

__all__ = ["HELD_BYTES", "HeldPicture"]

HELD_BYTES = 25_000_000
"""4K in 4:2:0 with 10 bits takes 24.9 MB.  A scan holds about 24 frames (the lag of the cut
detector, and from one sample to the next): 600 MB."""
REDUCED_BYTES = 16_000_000
"""What a larger one is reduced to: its decoder holds frames of full size as well."""

ByteImage = npt.NDArray[np.uint8]


class HeldPicture:
    """Frame that reads like a `Picture`; one of more than `HELD_BYTES` is reduced.

    What is reduced is enlarged again when it is read: coordinates stay those of the frame.  In 8K
    with 8 bits the sides become 0.57 of what they were, which costs no face that is large enough
    to be recognised.

    Args:
        picture: as it was decoded.

    Attributes:
        width, height: of the frame, in display pixels.
    """

    def __init__(self, picture: Picture) -> None:
        self.width, self.height = picture.width, picture.height
        size = sum(plane.nbytes for plane in picture.planes())
        self._scale = math.sqrt(REDUCED_BYTES / size) if size > HELD_BYTES else 1.0
        self._picture = picture if self._scale == 1 else picture.resized(self._scale)

    def small(self, long_side: int) -> tuple[ByteImage, float]:
        """Scale as `Picture.small`; a frame held in less than `long_side` is given as it is
        held."""
        image, _ = self._picture.small(long_side)
        return image, max(image.shape[:2]) / max(self.width, self.height)

    def crop(self, x0: int, y0: int, x1: int, y1: int) -> ByteImage:
        """Crop as `Picture.crop`: (y1 - y0, x1 - x0, 3) uint8 BGR.

        Raises:
            ValueError: the rectangle is empty or reaches outside the frame.
        """
        if self._scale == 1:
            return self._picture.crop(x0, y0, x1, y1)
        import cv2

        if not (0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height):
            raise ValueError(f"the rectangle ({x0}, {y0}, {x1}, {y1}) is empty or not inside")
        across, down = self._picture.width / self.width, self._picture.height / self.height
        # One pixel more on each side for the interpolation.
        left, top = max(0, int(x0 * across) - 1), max(0, int(y0 * down) - 1)
        right = min(self._picture.width, math.ceil(x1 * across) + 1)
        bottom = min(self._picture.height, math.ceil(y1 * down) + 1)
        part = self._picture.crop(left, top, right, bottom)
        # Pixel centres of the frame to pixel centres of the part.
        matrix = np.array(
            [
                [across, 0, (x0 + 0.5) * across - 0.5 - left],
                [0, down, (y0 + 0.5) * down - 0.5 - top],
            ]
        )
        whole = cv2.warpAffine(
            part,
            matrix,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(whole, np.uint8)
