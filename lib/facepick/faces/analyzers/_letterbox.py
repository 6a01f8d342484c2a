"""Letterboxing and non-maximum suppression for detectors with fixed strides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["keep_best", "letterbox"]


def letterbox(image: npt.NDArray[np.uint8], side: int) -> tuple[npt.NDArray[np.uint8], float]:
    """Scale `image` into the upper left of a black square.

    Returns:
        (side, side, 3) uint8 BGR and the scale: picture pixels x scale = its pixels.
    """
    import cv2

    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((side, side, 3), np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=method)
    return canvas, scale


def keep_best(
    xyxy: npt.NDArray[np.floating], score: npt.NDArray[np.floating], max_iou: float
) -> npt.NDArray[np.intp]:
    """Suppress non-maxima: indices by falling score, none overlapping a better one."""
    order = list(np.argsort(-score, kind="stable"))
    area = np.prod(np.maximum(xyxy[:, 2:] - xyxy[:, :2], 0), axis=1)
    kept: list[int] = []
    while order:
        best = order.pop(0)
        kept.append(int(best))
        rest = np.array(order, np.intp)
        if not len(rest):
            break
        low = np.maximum(xyxy[best, :2], xyxy[rest, :2])
        high = np.minimum(xyxy[best, 2:], xyxy[rest, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = area[best] + area[rest] - shared
        order = list(rest[shared <= max_iou * np.maximum(union, 1e-9)])
    return np.array(kept, np.intp)
