"""Least-squares similarity between two point sets, in any number of dimensions.

Rotation, scale and shift without shear or mirror image: Umeyama, *Least-squares estimation of
transformation parameters between two point patterns*, TPAMI 13(4), 1991, equations 40 to 43.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Similarity", "fit_similarity"]

Points = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Similarity:
    """Map ``y = scale * rotation @ (x - source) + target``.

    Attributes:
        rotation: (d, d), of determinant 1.
        scale: of lengths.
        source, target: (d,) means of the point sets it was fitted to.
    """

    rotation: Points
    scale: float
    source: Points
    target: Points

    def turned(self, vectors: Points) -> Points:
        """Turn and scale differences of points, (n, d)."""
        return np.asarray(self.scale * vectors @ self.rotation.T)

    def __call__(self, points: Points) -> Points:
        """Map points, (n, d)."""
        return np.asarray(self.turned(points - self.source) + self.target)

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """As one (d, d + 1) matrix."""
        linear = self.scale * np.asarray(self.rotation, np.float64)
        return np.column_stack([linear, self.target - linear @ self.source])


def fit_similarity(source: Points, target: Points) -> Similarity:
    """Fit the similarity that brings `source` nearest to `target`.

    Args:
        source, target: (n, d) points of one floating type, which the fit is computed in.

    Raises:
        ValueError: shapes differ, or all source points are one.

    >>> import numpy as np
    >>> corner = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> fit_similarity(corner, 3 * corner[:, ::-1] * (-1, 1) + 5).matrix.round(6).tolist()
    [[0.0, -3.0, 5.0], [3.0, 0.0, 5.0]]
    """
    if source.shape != target.shape or source.ndim != 2 or len(source) < 2:
        raise ValueError(f"two equal sets of points are needed, got {source.shape}, {target.shape}")
    source_middle, target_middle = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_middle, target - target_middle
    variance = float((a * a).sum())
    if variance < 1e-12 * len(source):
        raise ValueError("the source points are all the same")
    u, s, vt = np.linalg.svd(b.T @ a)
    # The best orthogonal matrix may mirror; a face never does.
    sign = np.ones(source.shape[1], u.dtype)
    sign[-1] = -1.0 if np.linalg.det(u @ vt) < 0 else 1.0
    scale = float((s * sign).sum()) / variance
    return Similarity((u * sign) @ vt, scale, source_middle, target_middle)
