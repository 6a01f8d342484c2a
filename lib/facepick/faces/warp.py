"""Warps of a face's picture that do not alias, and the small arithmetic of blending."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray

__all__ = ["cut_out", "halved", "inverted", "smoothstep", "to_uint8"]

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
    import cv2

    height, width = image.shape[:2]
    while scale < coarsest and min(image.shape[:2]) >= 2:
        size = (image.shape[1] // 2, image.shape[0] // 2)
        scale *= float(np.sqrt(image.shape[1] / size[0] * image.shape[0] / size[1]))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), image.dtype)
    return image, np.array([image.shape[1] / width, image.shape[0] / height])


def inverted(matrix: Matrix) -> Matrix:
    """Invert a (2, 3) map."""
    import cv2

    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def cut_out(
    image: npt.NDArray[np.uint8],
    inverse: Matrix,
    side: int,
    *,
    scale: float | None = None,
    coarsest: float = 0.5,
    black: bool = False,
) -> npt.NDArray[np.uint8]:
    """Cut out a square chip, without aliasing where the face is larger than the chip.

    Args:
        image: (h, w, c) uint8.
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
    small, ratio = halved(image, scale, coarsest=coarsest)
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
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def to_uint8(picture: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Round to the nearest of 0 to 255.

    >>> to_uint8([-3.0, 1.6, 300.0]).tolist()
    [0, 2, 255]
    """
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
