"""Warps of a face's picture that do not alias, and the small arithmetic of blending."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray

__all__ = [
    "Halvings",
    "cut_out",
    "halved",
    "inverted",
    "mixed",
    "sampled_at",
    "scaled",
    "smoothstep",
    "to_uint8",
]

Matrix = npt.NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


def halved(
    image: npt.NDArray[T], scale: float, *, coarsest: float = 0.5
) -> tuple[npt.NDArray[T], Matrix]:
    """Halve a picture by area until sampling it at `scale` skips no pixels.

    Args:
        image: (h, w[, c]) uint8 or float32.
        scale: pixels of what will be drawn per pixel of `image`.
        coarsest: smallest scale that bilinear sampling may have.

    Returns:
        The picture, and its (width, height) over those of `image`: (2,) float64.
    """
    small = Halvings(image).at(scale, coarsest=coarsest)
    return small, np.array([small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]])


class Halvings(Generic[T]):
    """A picture and its halvings by area, each made once: for several cuts out of one picture.

    Attributes:
        image: (h, w[, c]) uint8 or float32.
    """

    def __init__(self, image: npt.NDArray[T]) -> None:
        self.image = image
        self._levels = [image]

    def at(self, scale: float, *, coarsest: float = 0.5) -> npt.NDArray[T]:
        """Give the first that can be sampled at `scale` without skipping pixels; see `halved`."""
        import cv2

        level = 0
        while scale < coarsest and min(self._levels[level].shape[:2]) >= 2:
            large = self._levels[level]
            size = (large.shape[1] // 2, large.shape[0] // 2)
            scale *= float(np.sqrt(large.shape[1] / size[0] * large.shape[0] / size[1]))
            level += 1
            if level == len(self._levels):
                half = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
                self._levels.append(np.asarray(half, large.dtype))
        return self._levels[level]


def inverted(matrix: Matrix) -> Matrix:
    """Invert a (2, 3) map."""
    import cv2

    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def cut_out(
    image: npt.NDArray[np.uint8] | Halvings[np.uint8],
    inverse: Matrix,
    side: int,
    *,
    scale: float | None = None,
    coarsest: float = 0.5,
    black: bool = False,
) -> npt.NDArray[np.uint8]:
    """Cut out a square chip, without aliasing where the face is larger than the chip.

    Args:
        image: (h, w, c) uint8, or its halvings where it is cut more than once.
        inverse: (2, 3) map of the chip's pixels to those of `image`, both counted from the centre
            of the first pixel.
        side: of the chip in pixels.
        scale: chip pixels per pixel of `image`; by default what `inverse` says.
        coarsest: see `halved`.
        black: beyond the picture's border there is black, else its border repeats.

    Returns:
        (side, side, c) uint8.
    """
    import cv2

    if scale is None:
        scale = 1 / max(float(np.sqrt(abs(np.linalg.det(inverse[:, :2])))), 1e-9)
    halvings = image if isinstance(image, Halvings) else Halvings(image)
    small, whole = halvings.at(scale, coarsest=coarsest), halvings.image
    ratio = np.array([small.shape[1] / whole.shape[1], small.shape[0] / whole.shape[0]])
    matrix = inverse.copy()
    # Pixel centres: x' + 0.5 = (x + 0.5) * ratio.
    matrix[:, 2] = (matrix[:, 2] + 0.5) * ratio - 0.5
    matrix[:, :2] *= ratio[:, None]
    chip = cv2.warpAffine(
        small,
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE,
    )
    return np.asarray(chip, np.uint8)


def smoothstep(t: npt.ArrayLike) -> FloatArray:
    """Ease from 0 at 0 to 1 at 1, level at both ends.

    >>> smoothstep([-1.0, 0.0, 0.5, 1.0, 2.0]).tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    t = np.clip(t, 0, 1)
    eased = 3 - 2 * t
    eased *= t
    eased *= t
    return np.asarray(eased, np.float32)


def to_uint8(picture: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Round to the nearest of 0 to 255.

    >>> to_uint8([-3.0, 1.6, 300.0]).tolist()
    [0, 2, 255]
    """
    import cv2

    # It would round the size of what is negative, too.
    positive = np.maximum(np.asarray(picture, np.float32), np.float32(0))
    if not positive.size:
        return positive.astype(np.uint8)
    return np.asarray(cv2.convertScaleAbs(positive), np.uint8).reshape(positive.shape)


def scaled(picture: FloatArray, factor: FloatArray) -> FloatArray:
    """Multiply every channel of (h, w, c) float32 by (h, w) float32.

    (numpy's own way, with a third axis of length 1, takes four times as long: it begins anew at
    every pixel.)
    """
    import cv2

    factors = np.asarray(cv2.merge([factor] * picture.shape[2]), np.float32)
    return np.asarray(picture * factors.reshape(picture.shape), np.float32)


def mixed(under: npt.NDArray[Any], over: npt.NDArray[Any], share: FloatArray) -> FloatArray:
    """Mix two pictures (h, w, c), uint8 or float32: ``under + share * (over - under)``.

    Args:
        share: (h, w) float32, of `over`.
    """
    away = np.subtract(over, under, dtype=np.float32)
    away = scaled(away, share)
    away += under
    return away


def sampled_at(shift_x: FloatArray, shift_y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Turn displacements, (h, w) float32 each, into the places that ``cv2.remap`` wants."""
    height, width = shift_x.shape
    columns = np.arange(width, dtype=np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    return shift_x + columns, shift_y + rows
