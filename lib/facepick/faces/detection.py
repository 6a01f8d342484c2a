"""The faces of one picture, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Box", "FaceBatch", "FloatArray"]

FloatArray = npt.NDArray[np.float32]


class Box(NamedTuple):
    """A rectangle in display pixels; x to the right, y down; may reach past the picture."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y1 - self.y0

    @property
    def center(self) -> tuple[float, float]:
        """Centre (x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def area(self) -> float:
        """Area in square pixels; 0 for an empty box."""
        return max(0.0, self.width) * max(0.0, self.height)

    def iou(self, other: Box) -> float:
        """Compute the intersection over union in [0, 1].

        >>> Box(0, 0, 2, 2).iou(Box(0, 1, 2, 3)) == 1 / 3
        True
        """
        w = min(self.x1, other.x1) - max(self.x0, other.x0)
        h = min(self.y1, other.y1) - max(self.y0, other.y0)
        if w <= 0 or h <= 0:
            return 0.0
        return w * h / (self.area + other.area - w * h)

    def inside(self, width: float, height: float) -> float:
        """Compute the share of the area inside a picture of this size, in [0, 1]."""
        w = min(self.x1, width) - max(self.x0, 0.0)
        h = min(self.y1, height) - max(self.y0, 0.0)
        return w * h / self.area if w > 0 and h > 0 else 0.0

    def grown(self, share: float) -> Box:
        """Grow the box around its centre, each side moved out by `share` of the width or height."""
        dx, dy = self.width * share, self.height * share
        return Box(self.x0 - dx, self.y0 - dy, self.x1 + dx, self.y1 + dy)


@dataclass(frozen=True, eq=False)
class FaceBatch:
    """All faces found in one frame.

    Attributes:
        xyxy: (n, 4) float32, boxes in display pixels.
        score: (n,) float32 in [0, 1].
        landmarks5: (n, 5, 2) float32 in display pixels, in the order right eye, left eye, nose
            tip, right mouth corner, left mouth corner; right and left are the person's own, so
            the right eye comes first from the left of the picture.
    """

    xyxy: FloatArray
    score: FloatArray
    landmarks5: FloatArray

    def __post_init__(self) -> None:
        n = len(self.xyxy)
        for name, shape in (("xyxy", (n, 4)), ("score", (n,)), ("landmarks5", (n, 5, 2))):
            value = getattr(self, name)
            if value.shape != shape or value.dtype != np.float32:
                raise ValueError(
                    f"{name} must be float32 of shape {shape}, got {value.dtype} {value.shape}"
                )

    def __len__(self) -> int:
        return len(self.xyxy)

    def __repr__(self) -> str:
        return f"FaceBatch({len(self)} faces)"

    @classmethod
    def empty(cls) -> FaceBatch:
        """Make a frame without faces."""
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros((0,), np.float32),
            np.zeros((0, 5, 2), np.float32),
        )

    def box(self, i: int) -> Box:
        """Return the box of the i-th face."""
        return Box(*map(float, self.xyxy[i]))

    def take(self, keep: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> FaceBatch:
        """Select the faces of `keep` (indices or mask)."""
        return FaceBatch(self.xyxy[keep], self.score[keep], self.landmarks5[keep])
