"""Distances between two embeddings."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from facepick.errors import SettingsError

__all__ = ["METRICS", "Metric", "check_metric", "distance", "paired_distances"]

Metric = Literal["cosine", "euclidean", "euclidean_l2", "angular"]

METRICS: tuple[Metric, ...] = ("cosine", "euclidean", "euclidean_l2", "angular")
"""cosine: 1 - cos, in [0, 2].  euclidean: between raw vectors.  euclidean_l2: between vectors of
length 1, in [0, 2].  angular: the angle over pi, in [0, 1].  On vectors of length 1 all but
`euclidean` order pairs alike, and differ only in what a threshold looks like."""


def check_metric(name: str) -> Metric:
    """Check that a metric exists.

    Raises:
        SettingsError when there is no such metric.
    """
    for metric in METRICS:
        if name == metric:
            return metric
    raise SettingsError(
        f"There is no metric {name!r}.", hint="Known metrics: " + ", ".join(METRICS) + "."
    )


def paired_distances(a: npt.ArrayLike, b: npt.ArrayLike, metric: Metric) -> npt.NDArray[np.float64]:
    """Compute the distance of each row of `a` from the same row of `b`.

    Args:
        a, b: (n, d) raw embeddings.

    Returns:
        (n,) float64.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or x.ndim != 2:
        raise ValueError(f"two (n, d) arrays are needed, got {x.shape} and {y.shape}")
    if metric == "euclidean":
        return np.asarray(np.linalg.norm(x - y, axis=1))
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    y = y / np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
    if metric == "euclidean_l2":
        return np.asarray(np.linalg.norm(x - y, axis=1))
    cosine = np.clip(np.sum(x * y, axis=1), -1.0, 1.0)
    if metric == "cosine":
        return np.asarray(1.0 - cosine)
    return np.asarray(np.arccos(cosine) / np.pi)


def distance(a: npt.ArrayLike, b: npt.ArrayLike, metric: Metric) -> float:
    """Compute the distance of two embeddings (d,)."""
    return float(paired_distances(np.atleast_2d(a), np.atleast_2d(b), metric)[0])
