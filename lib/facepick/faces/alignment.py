"""Alignment of a face by its five points.

The template is the one ArcFace was trained on (Deng et al., *ArcFace: Additive Angular Margin
Loss for Deep Face Recognition*, CVPR 2019; published with InsightFace): where eyes, nose tip and
mouth corners lie in a 112x112 chip.  SFace and most models after it use the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.similarity import fit_similarity
from facepick.faces.warp import cut_out, inverted

__all__ = ["ARCFACE_112", "ARCFACE_128", "FFHQ_512", "align", "similarity", "template"]

ARCFACE_112: FloatArray = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    dtype=np.float32,
)
"""(5, 2): right eye, left eye (the person's own), nose tip, right and left mouth corner."""

ARCFACE_128: FloatArray = ARCFACE_112 + np.array([8.0, 0.0], np.float32)
"""The same for a chip of 128 pixels: not larger, but moved to its middle (as insightface does)."""

FFHQ_512: FloatArray = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.19360],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ],
    dtype=np.float32,
)
"""The same for faces aligned as in FFHQ (Karras et al. 2019) at 512 pixels; as in facexlib."""


def template(size: int) -> FloatArray:
    """Scale the five reference points to a chip of `size` pixels a side, (5, 2) float32."""
    return np.asarray(ARCFACE_112 * np.float32(size / 112.0), dtype=np.float32)


def similarity(source: npt.ArrayLike, target: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Fit the similarity that brings `source` nearest to `target`, see `fit_similarity`.

    Args:
        source, target: (n, 2) points, n >= 2.

    Returns:
        (2, 3) matrix: target ~ matrix[:, :2] @ source + matrix[:, 2].

    Raises:
        ValueError: shapes differ, or all source points are one.
    """
    src = np.asarray(source, dtype=np.float64)
    dst = np.asarray(target, dtype=np.float64)
    if src.shape != dst.shape or src.ndim != 2 or src.shape[1] != 2:
        raise ValueError(f"two sets of (n, 2) points are needed, got {src.shape} and {dst.shape}")
    return fit_similarity(src, dst).matrix


def align(
    image: npt.NDArray[np.uint8],
    landmarks5: FloatArray,
    *,
    size: int = 112,
    origin: tuple[float, float] = (0.0, 0.0),
    pixel_aspect: float = 1.0,
) -> npt.NDArray[np.uint8]:
    """Cut out the aligned chip of a face.

    Args:
        image: (h, w, 3) uint8 BGR.
        landmarks5: (5, 2) in display pixels.
        size: side of the chip in pixels.
        origin: (x, y) of the first pixel of `image` in display pixels.
        pixel_aspect: width of a pixel over its height; faces of anamorphic footage are
            unsqueezed by it.

    Returns:
        (size, size, 3) uint8 BGR; what lies outside `image` repeats its border.
    """
    points = np.asarray(landmarks5, np.float64) - np.asarray(origin, np.float64)
    stretch = np.array([pixel_aspect, 1.0])
    matrix = similarity(points * stretch, template(size))
    matrix[:, :2] = matrix[:, :2] * stretch
    return cut_out(image, inverted(matrix), size)
