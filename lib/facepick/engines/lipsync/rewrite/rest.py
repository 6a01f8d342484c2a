"""Rest of a closed mouth: a little breath, and lips that go with the cheeks around them.

A mouth that is shut for long stretches while the face around it laughs on looks sulky, and one
that is quite still looks dead.  So a mouth is chosen that goes with the smile that was filmed, and
where the clip has none that smiles, its corners are bent after those of the filmed smile, slowly;
and it moves as the person's own mouth does while somebody else talks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.original_motion import FilmedMouth
from facepick.engines.lipsync.rewrite.features import in_head_frame
from facepick.engines.lipsync.rewrite.inventory import Inventory

__all__ = ["Smile", "bends", "bent", "breath", "smile"]

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

SMILE_SECONDS = 0.5
"""Sigma over which a smile is averaged: words change lips within 0.2 s, it lasts for seconds."""
SHUT = 25
"""Percentile of openings up to which a mouth counts as shut; wanted smiles are within the tenth and
the ninetieth of theirs."""
BREATH_SECONDS = 0.12
"""Sigma that leaves breath and takes out the mesh network's scatter, 0.002 to 0.004."""
BEND_MOST = 0.06
"""How far the corners of a mouth without the filmed smile are bent at most, in eye distances.
Filmed smiles move them by 0.03 to 0.06; with more, lips of a pout look stretched."""
BEND_SECONDS = 0.2
"""Sigma over which it comes and goes, also from one stored mouth to the next."""
CORNER = 0.2
"""How far around a corner of the mouth skin goes with it, in eye distances."""
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
        wanted_corners: (n, 2) float32, how far out and up the filmed corners of the mouth are, in
            eye distances, slowly.
        own_corners: (k, 2) float32, the same of every stored mouth.
    """

    wanted: Array
    own: Array
    wanted_corners: Array
    own_corners: Array


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
    # Each corner is moved by half of what the width changes.
    corners = np.column_stack([shape[:, 1] / 2, lift])
    rest = corners - words @ np.linalg.lstsq(words, corners, rcond=None)[0]
    own = (rest / (rest.std(axis=0) + 1e-6)).sum(axis=1)
    own = (own / (own.std() + 1e-6)).astype(np.float32)
    closed = own[shape[:, 0] <= np.percentile(shape[:, 0], SHUT)]
    low, high = np.percentile(closed, [10, 90])
    wanted = np.clip(_slow(inventory, own), low, high)
    # People smile with an open mouth: with what goes with the opening taken off, a fifth of the
    # smile would be left.  Where the filmed corners are, the cheeks around them are, too.
    out, up = (_slow(inventory, part) for part in corners.T)
    return Smile(
        wanted[rows].astype(np.float32),
        own,
        np.column_stack([out, up])[rows].astype(np.float32),
        corners.astype(np.float32),
    )


def _slow(inventory: Inventory, values: npt.NDArray[np.floating[Any]]) -> Array:
    """Average what every stored mouth has over the frames of the clip, (n,), slowly."""
    spread = np.interp(inventory.seconds, inventory.seconds[inventory.rows], values)
    slow = np.empty(len(spread), np.float32)
    for run in _runs(inventory, np.ones(len(spread), np.bool_)):
        slow[run] = _smoothed(spread[run].astype(np.float32), inventory.seconds[run], SMILE_SECONDS)
    return slow


def bends(
    found: Smile,
    mouth: npt.NDArray[np.int32],
    closing: npt.NDArray[np.bool_],
    stretch: npt.NDArray[np.int32],
    seconds: npt.NDArray[np.float64],
) -> Array:
    """Find how far the corners of closed mouths are bent outward and up, (n, 2) eye distances.

    Args:
        mouth: (n,) stored mouth that is shown, -1 for none.
        closing: (n,) where a closed mouth is shown.
        stretch: (n,) the same number in frames that belong together.
        seconds: (n,) of the output.
    """
    bend = np.zeros((len(mouth), 2), np.float32)
    shown = closing & (mouth >= 0)
    missing = found.wanted_corners[shown] - found.own_corners[mouth[shown]]
    bend[shown] = np.clip(missing, -BEND_MOST, BEND_MOST)
    for number in np.unique(stretch[shown]):
        rows = np.flatnonzero(stretch == number)
        # It fades where words begin.
        bend[rows] = np.column_stack(
            [_smoothed(part, seconds[rows], BEND_SECONDS) for part in bend[rows].T]
        )
    return bend


def bent(face: Array, bend: Array) -> Array:
    """Bend the corners of a mouth outward and up, and the skin around them less and less.

    Args:
        face: (468, 3) in the head frame.
        bend: (2,) eye distances.
    """
    if not bend.any():
        return face
    face = face.copy()
    for corner, side in ((61, -1.0), (291, 1.0)):
        away = np.linalg.norm((face - face[corner])[:, :2], axis=1)
        share = np.exp(-((away / CORNER) ** 2)).astype(np.float32)
        face[:, 0] += np.float32(side) * bend[0] * share
        face[:, 1] -= bend[1] * share
    return face


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
