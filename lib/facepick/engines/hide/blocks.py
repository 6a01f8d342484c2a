"""A face as a handful of colours.

Pixelating and blurring both start from the means of a few blocks, so that nothing finer than a
block reaches the result, whatever is done to it afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.compositing.masks import Area
from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.faces.warp import to_uint8

__all__ = ["BlockGrid", "face_grid"]

# Below 4 pixels a block is no larger than what video compression smears anyway.
_MIN_BLOCK_PX = 4.0
# Width of the bell that turns block means into a smooth picture, in blocks: 0.7 hides the grid.
_BELL_BLOCKS = 0.7


def face_grid(request: FaceRequest, across: float) -> tuple[float, float, float]:
    """Choose block side and the grid's origin, ``(side, x, y)`` in display pixels.

    The grid hangs between the eyes and grows with the face: when the head moves, each block keeps
    showing the same part of it, so that colours stay steady, and averaging many frames of a
    moving face tells nothing that one frame does not.
    """
    side = max(_MIN_BLOCK_PX, request.box.width / across)
    x, y = (float(v) for v in np.mean(request.landmarks5[:2], axis=0))
    box = request.box
    if not (box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1):
        x, y = box.center
    return side, x, y


@dataclass(frozen=True, eq=False)
class BlockGrid:
    """Mean colours of square blocks.

    Attributes:
        means: (rows, columns, 3) float64 BGR.
        first: (row, column) number of the first block, counted from the grid's origin.
        side: in pixels, any fraction.
        origin: (x, y) of the grid's origin, display pixels.
    """

    means: npt.NDArray[np.float64]
    first: tuple[int, int]
    side: float
    origin: tuple[float, float]

    def __repr__(self) -> str:
        return f"BlockGrid({self.means.shape[0]}x{self.means.shape[1]} of {self.side:.1f} px)"

    @classmethod
    def of(cls, request: FaceRequest, area: Area, across: float) -> BlockGrid:
        """Average the blocks that touch `area`, which lies inside the request's crop.

        Block borders fall between pixels, so sums are read from the integral image between its
        nodes, where it is exactly bilinear; a block that the crop cuts off is the mean of the
        part inside.
        """
        import cv2

        side, x, y = face_grid(request, across)
        columns = _edges(area.x0, area.width, x, side)
        rows = _edges(area.y0, area.height, y, side)
        height, width = request.crop.shape[:2]
        # Only the part under the grid is summed.
        x0, x1 = _span(x + columns[[0, -1]] * side - request.origin[0], width)
        y0, y1 = _span(y + rows[[0, -1]] * side - request.origin[1], height)
        part = request.crop[y0:y1, x0:x1]
        # Whole numbers are summed in half the memory, as long as the sum of all fits.
        fits = 255 * part.shape[0] * part.shape[1] < 2**31
        total = np.asarray(cv2.integral(part, sdepth=cv2.CV_32S if fits else cv2.CV_64F))
        xs = np.clip(x + columns * side - request.origin[0] - x0, 0, x1 - x0)
        ys = np.clip(y + rows * side - request.origin[1] - y0, 0, y1 - y0)
        nodes = _between(_between(total, ys).swapaxes(0, 1), xs).swapaxes(0, 1)
        sums = np.diff(np.diff(nodes, axis=0), axis=1)
        covered = np.outer(np.diff(ys), np.diff(xs))[:, :, None]
        return cls(
            means=sums / np.maximum(covered, 1e-9),
            first=(int(rows[0]), int(columns[0])),
            side=side,
            origin=(x, y),
        )

    def mosaic(self, area: Area) -> BgrImage:
        """Draw the blocks with hard borders."""
        ys = self._positions(area.y0, area.height, axis=1)
        xs = self._positions(area.x0, area.width, axis=0)
        rows = np.clip(np.floor(ys).astype(int) - self.first[0], 0, self.means.shape[0] - 1)
        columns = np.clip(np.floor(xs).astype(int) - self.first[1], 0, self.means.shape[1] - 1)
        small = to_uint8(self.means)
        # Columns first: then whole rows are copied, by `take` twenty times as fast as by an index.
        return np.asarray(np.take(np.take(small, columns, axis=1), rows, axis=0), np.uint8)

    def smooth(self, area: Area) -> BgrImage:
        """Melt the blocks into each other."""
        down = self._bells(self._positions(area.y0, area.height, axis=1), self.first[0], 0)
        across = self._bells(self._positions(area.x0, area.width, axis=0), self.first[1], 1)
        # Rows first, then columns: (h, i) (i, j * 3) -> (h, j, 3), then (w, j) (h, j, 3).
        rows = down @ self.means.reshape(len(self.means), -1)
        image = across @ rows.reshape(len(down), -1, 3)
        return to_uint8(image)

    def _positions(self, start: int, length: int, *, axis: int) -> npt.NDArray[np.float64]:
        """Place pixel centres in blocks from the grid's origin."""
        return np.asarray((start + np.arange(length) + 0.5 - self.origin[axis]) / self.side)

    def _bells(
        self, positions: npt.NDArray[np.float64], first: int, axis: int
    ) -> npt.NDArray[np.float64]:
        centers = first + np.arange(self.means.shape[axis]) + 0.5
        distance = (positions[:, None] - centers[None, :]) / _BELL_BLOCKS
        weights = np.exp(-0.5 * distance**2) + 1e-12
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _edges(start: int, length: int, origin: float, side: float) -> npt.NDArray[np.float64]:
    """List the numbers of the block borders from the one at or before `start` to past its end."""
    first = int(np.floor((start - origin) / side))
    last = int(np.ceil((start + length - origin) / side))
    return np.arange(first, max(last, first + 1) + 1).astype(np.float64)


def _span(ends: npt.NDArray[np.float64], size: int) -> tuple[int, int]:
    low = int(np.clip(np.floor(ends[0]), 0, size - 1))
    return low, int(np.clip(np.ceil(ends[1]), low + 1, size))


def _between(
    values: npt.NDArray[np.float64] | npt.NDArray[np.int32], at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Interpolate rows of `values` at fractional positions, linear in between."""
    low = np.minimum(np.floor(at).astype(int), len(values) - 2)
    share = (at - low).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(values[low] * (1 - share) + values[low + 1] * share)
