"""Unit selection: which mouth each frame shows, by one path of least cost through all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Candidates", "Wanted", "choose"]

Array = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

BEAM = 64
"""Candidates that compete in a frame: those that fit it best by themselves."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The mouths there are.

    Attributes:
        shape: (k, 3) float32, opening, width and jaw in deviations of this person.
        pose: (k, 3) float32, yaw, pitch, roll in degrees.
        scale: (k,) float32, eye distance in pixels.
        look: (k, d) float32, a tiny picture of the mouth, so that distances tell visible jumps.
        frame: (k,) int64, source frame.
        penalty: (k,) float32, cost of using it at all (blur, doubtful mesh).
        smile: (k,) float32, in deviations; None if unknown.
    """

    shape: Array
    pose: Array
    scale: Array
    look: Array
    frame: Index
    penalty: Array
    smile: Array | None = None


@dataclass(frozen=True, eq=False)
class Wanted:
    """Wishes for a stretch of frames without a break.

    Attributes:
        shape: (n, 3) float32 like `Candidates.shape`.
        pose: (n, 3) float32.
        scale: (n,) float32.
        stress: (n,) float32 in [0, 1]: 1 where the opening must be right (closures, silence).
        smile: (n,) float32 like `Candidates.smile`, NaN where any will do; None if unknown.
    """

    shape: Array
    pose: Array
    scale: Array
    stress: Array
    smile: Array | None = None


SHAPE_WEIGHT = np.array([4.0, 1.0, 0.7], np.float32)
POSE_STEP_DEGREES = 8.0
POSE_WEIGHT = 1.5
SCALE_WEIGHT = 3.0
STRESS_WEIGHT = 10.0
SMILE_WEIGHT = 0.5
"""Little: at 4 smiling mouths that were not quite shut won."""
SKIP_COST = 0.35
JUMP_COST = 2.5
JUMP_CAP = 12.0


def _unary(wanted: Wanted, candidates: Candidates, rows: slice) -> Array:
    """Compute the cost of showing a candidate in a frame, (n, k)."""
    difference = wanted.shape[rows, None] - candidates.shape[None]
    weight = np.broadcast_to(SHAPE_WEIGHT, (*difference.shape[:1], 1, 3)).copy()
    weight[:, 0, 0] += STRESS_WEIGHT * wanted.stress[rows]
    cost = (weight * difference**2).sum(axis=2)
    if wanted.smile is not None and candidates.smile is not None:
        other = wanted.smile[rows, None] - candidates.smile[None]
        cost += np.nan_to_num(np.float32(SMILE_WEIGHT) * other**2)
    turned = (wanted.pose[rows, None] - candidates.pose[None]) / POSE_STEP_DEGREES
    # Roll is undone by the warp; only turns that show another side of the mouth cost in full.
    turned[..., 2] *= 0.7
    cost += POSE_WEIGHT * (turned**2).sum(axis=2)
    zoom = np.log(wanted.scale[rows, None] / candidates.scale[None])
    # Enlarging a small mouth blurs it, shrinking a large one does not.
    cost += np.where(zoom > 0, 4.0, 1.0) * SCALE_WEIGHT * zoom**2
    return np.asarray(cost + candidates.penalty, dtype=np.float32)


def choose(wanted: Wanted, candidates: Candidates) -> Index:
    """Choose the candidate for every frame, (n,), by Viterbi over the whole stretch.

    Following the source's own next frame is free, holding or skipping one costs little, and a
    jump costs by how different the two mouths look, against what the wanted shape changes.
    """
    n, k = len(wanted.shape), len(candidates.frame)
    beam = min(BEAM, k)
    # Looks are compared often; their squared distances are made once.
    look = candidates.look
    norms = (look**2).sum(axis=1)
    apart = np.maximum(norms[:, None] + norms[None] - 2 * look @ look.T, 0)
    step = candidates.frame[None] - candidates.frame[:, None]
    move = np.minimum(JUMP_COST + JUMP_COST * apart / max(float(np.median(apart)), 1e-6), JUMP_CAP)
    move = np.where((step == 0) | (step == 2), SKIP_COST, move)
    move = np.where(step == 1, 0.0, move).astype(np.float32)
    kept = np.empty((n, beam), np.int32)
    back = np.empty((n, beam), np.int16)
    total = np.zeros(beam, np.float32)
    chunk = 256
    for first in range(0, n, chunk):
        unary = _unary(wanted, candidates, slice(first, first + chunk))
        for t, costs in enumerate(unary, start=first):
            best = np.argpartition(costs, beam - 1)[:beam] if beam < k else np.arange(k)
            best.sort()
            if t == 0:
                total = costs[best]
                back[t] = 0
            else:
                through = total[:, None] + move[np.ix_(kept[t - 1], best)]
                back[t] = through.argmin(axis=0)
                total = through[back[t], np.arange(beam)] + costs[best]
            kept[t] = best
    path = np.empty(n, np.int64)
    at = int(total.argmin())
    for t in range(n - 1, -1, -1):
        path[t] = kept[t, at]
        at = int(back[t, at])
    return path
