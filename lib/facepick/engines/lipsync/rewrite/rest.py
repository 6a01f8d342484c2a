"""Rest of a closed mouth: a little breath, and lips that go with the cheeks around them.

A mouth that is shut for long stretches while the face around it laughs on looks sulky, and one
that is quite still looks dead.  So its width and corners follow the smile that was filmed, slowly,
within what this person's closed mouths have; and it moves as the person's own mouth does
while somebody else talks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.original_motion import FilmedMouth
from facepick.engines.lipsync.rewrite.features import in_head_frame
from facepick.engines.lipsync.rewrite.inventory import Inventory

__all__ = ["Smile", "breath", "smile"]

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

SMILE_SECONDS = 0.5
"""Sigma over which a smile is averaged: words change lips within 0.2 s, it lasts for seconds."""
SHUT = 25
"""Percentile of openings up to which a mouth counts as shut; wanted smiles are within the tenth and
the ninetieth of theirs."""
BREATH_SECONDS = 0.12
"""Sigma that leaves breath and takes out the mesh network's scatter, 0.002 to 0.004."""
REST_SECONDS = 0.6
"""A listener's stretch is at least so long; shorter ones are pauses for breath."""
ENDS = 5
"""Frames."""
BREATH_MOST = 0.008
"""Eye distances.  More is a word, or a swallow that would be shown over and over."""


@dataclass(frozen=True, eq=False)
class Smile:
    """How much of a smile is seen at the mouth, in deviations of this person.

    Attributes:
        wanted: (n,) float32, of the face around the mouth in every output frame.
        own: (k,) float32, of every stored mouth.
    """

    wanted: Array
    own: Array


def smile(inventory: Inventory, rows: Numbers) -> Smile:
    """Find the smile that goes with the face around the mouth.

    Words move width and corners, too: what a line through all of this person's mouths tells by
    their opening and jaw is taken off.

    Args:
        rows: (n,) of the inventory's frames, of every output frame.
    """
    shape = inventory.shape[inventory.rows]
    lift = np.array([_lift(mesh, inventory.reference) for mesh in inventory.mesh])
    words = np.column_stack([np.ones(len(shape)), shape[:, 0], shape[:, 2]])
    own = np.zeros(len(shape))
    for seen in (shape[:, 1].astype(np.float64), lift):
        rest = seen - words @ np.linalg.lstsq(words, seen, rcond=None)[0]
        own += rest / (rest.std() + 1e-6)
    own = (own / (own.std() + 1e-6)).astype(np.float32)
    closed = own[shape[:, 0] <= np.percentile(shape[:, 0], SHUT)]
    low, high = np.percentile(closed, [10, 90])
    values = np.interp(inventory.seconds, inventory.seconds[inventory.rows], own)
    slow = np.empty(len(values), np.float32)
    for run in _runs(inventory, np.ones(len(values), np.bool_)):
        slow[run] = _smoothed(values[run].astype(np.float32), inventory.seconds[run], SMILE_SECONDS)
    return Smile(np.clip(slow, low, high)[rows].astype(np.float32), own)


def _lift(mesh: Array, reference: Array) -> float:
    """Measure how high the mouth's corners are against the nose, eye distances."""
    face = in_head_frame(mesh, reference)
    return float(face[2, 1] - face[[61, 291], 1].mean())


def breath(inventory: Inventory, count: int, rate: float) -> Array:
    """Find how a closed mouth moves, (count,) float32, to add to its opening in eye distances.

    The longest stretch in which this person did not talk, there and back again; 0 where the clip
    shows none.

    Args:
        count: frames of the output.
        rate: of them a second.
    """
    seconds, opening = inventory.seconds, inventory.shape[:, 0]
    talking = FilmedMouth(times=seconds, opening=opening, shot=inventory.shots).talking()
    still = np.ones(len(seconds), np.bool_)
    for stretch in talking:
        still &= (seconds < stretch.start) | (seconds > stretch.stop)
    # Its ends belong to the words before and after.
    longest = max(_runs(inventory, still), key=len, default=np.zeros(0, np.int64))[ENDS:-ENDS]
    if len(longest) < 5 or seconds[longest[-1]] - seconds[longest[0]] < REST_SECONDS:
        return np.zeros(count, np.float32)
    times = seconds[longest]
    moves = _smoothed(opening[longest], times, BREATH_SECONDS)
    moves = np.clip(moves - np.median(moves), -BREATH_MOST, BREATH_MOST)
    length = float(times[-1] - times[0])
    at = np.arange(count) / rate % (2 * length)
    at = np.minimum(at, 2 * length - at) + times[0]
    return np.asarray(np.interp(at, times, moves), np.float32)


def _runs(inventory: Inventory, among: npt.NDArray[np.bool_]) -> list[Numbers]:
    """Part the rows that count into runs of frames that follow each other in a shot."""
    rows = np.flatnonzero(among)
    breaks = (np.diff(inventory.frames[rows]) > 1) | (np.diff(inventory.shots[rows]) != 0)
    return [run for run in np.split(rows, np.flatnonzero(breaks) + 1) if len(run)]


def _smoothed(values: Array, seconds: npt.NDArray[np.float64], sigma: float) -> Array:
    """Average with a Gaussian weight in time, (n,)."""
    out = np.empty(len(values), np.float32)
    reach = 3 * sigma
    first = np.searchsorted(seconds, seconds - reach)
    last = np.searchsorted(seconds, seconds + reach, side="right")
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        weight = np.exp(-0.5 * ((seconds[a:b] - seconds[i]) / sigma) ** 2)
        out[i] = float(weight @ values[a:b] / weight.sum())
    return out
