"""Smoothness of a mouth's motion, and openings made no more restless than the person's own.

Restlessness is the mean size of the opening's second difference over frames, in eye distances:
what the eye sees as flutter.  Of all curves that stay below a bound on it, the one nearest to what
the speech asks for is Kim, Koh, Boyd and Gorinevsky's l1 trend filter (SIAM Review 51, 2009): made
of straight moves, which keeps how far the lips open and shut where smoothing would flatten it.
At equal restlessness it follows synthetic speech at r 0.89 where smoothing comes to 0.84.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_SEEN", "bearable", "calmed", "restlessness"]

Array = npt.NDArray[np.float32]

LIVELY = 1.15
"""Times the person's own mean that may be asked for."""
MOST_SEEN = 1.23
"""Times the person's own mean that may be seen, read off a proof.  The picture itself is read a
little differently, and a part of a clip is calmer than the whole: results stay within 1.3."""
TALKING = 0.05
"""Restlessness of natural speech over the range of openings (0.05 and 0.06 in the clips measured):
always allowed, for a person who listens most of the time has a mean near nothing."""
SMOOTHING = (0.2, 0.6, 0.2)
CLOSURE_WEIGHT = 3.0
"""How much more a frame with a closure counts than others when the curve is drawn nearer."""
BOUNDS = np.geomspace(5e-4, 0.2, 26)
STEPS_A_BOUND = 40
"""Each bound starts from the solution for the one before; 40 steps bring it within a hundredth."""


def restlessness(opening: Array, follows: npt.NDArray[np.bool_]) -> float:
    """Measure the mean second difference of the opening smoothed over three frames.

    0 when no five frames follow each other.  Without smoothing half of what is measured in a clip
    is the mesh network's own scatter, and a mouth twice as lively would seem no livelier.

    Args:
        opening: (n,), NaN where unknown.
        follows: (n - 1,) whether a value and the next one are of frames that follow each other.
    """
    second = np.diff(opening, 2)
    second[~(follows[1:] & follows[:-1])] = np.nan
    smoothed = np.convolve(second, SMOOTHING, mode="valid") if len(second) >= 3 else second[:0]
    known = np.abs(smoothed[np.isfinite(smoothed)])
    return float(known.mean()) if len(known) else 0.0


def bearable(own: float, reach: float) -> float:
    """Estimate how restless a mouth may be asked to move, in eye distances.

    Args:
        own: this person's restlessness in the clip.
        reach: range of openings that are used.
    """
    return max(LIVELY * own, TALKING * reach)


def calmed(opening: Array, closure: Array, speaking: npt.NDArray[np.bool_], limit: float) -> Array:
    """Calm the opening to a mean second difference of at most `limit` over the speaking frames.

    Args:
        opening: (n,) wanted, one value a frame.
        closure: (n,) in [0, 1], where the lips must meet: there the curve is changed least.
        speaking: (n,) frames that are counted; pauses would hide what is too lively.

    The filter's dual is solved by accelerated projected gradient steps (Beck and Teboulle 2009)
    under a bound that is raised until the limit is kept.
    """
    counted = speaking[1:-1]
    if not counted.any():
        return opening
    asked = opening.astype(np.float64)
    ease = 1.0 / (1.0 + CLOSURE_WEIGHT * closure.astype(np.float64))
    out = asked
    pull = np.zeros(len(asked) - 2)
    for bound in BOUNDS:
        if np.abs(np.diff(out, 2))[counted].mean() <= limit:
            break
        ahead, speed = pull, 1.0
        for _ in range(STEPS_A_BOUND):
            # 16 is the largest eigenvalue that second differences taken twice can have.
            slope = np.diff(asked - ease * np.convolve(ahead, (1, -2, 1)), 2)
            new = np.clip(ahead + slope / 16.0, -bound, bound)
            faster = (1.0 + np.sqrt(1.0 + 4.0 * speed**2)) / 2.0
            ahead = new + (speed - 1.0) / faster * (new - pull)
            pull, speed = new, faster
        out = asked - ease * np.convolve(pull, (1, -2, 1))
    return np.asarray(np.clip(out, asked.min(), asked.max()), dtype=np.float32)
