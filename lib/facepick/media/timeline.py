"""Tables of frame times: their rate, and which source frame an output frame shows.

Pure functions of numbers.  Six modes for speech that is longer than the video:

======== =====================================================================================
cut      the video's length; longer speech is cut off with it
silence  the video's length too; once the last line is over, the original sound is silent as well
loop     the video starts again from its first frame
bounce   the video runs backwards from its last frame to its first, then forwards, and so on
freeze   the last frame stands still
remap    every frame is shown longer, or shorter, in one and the same proportion, so that the
         picture ends with the last line
======== =====================================================================================

Only ``remap`` can make a video shorter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

__all__ = [
    "KEEPS_LENGTH",
    "LENGTH_MODES",
    "REMAP_LIMITS",
    "LengthMode",
    "constant_rate",
    "frames_needed",
    "output_pts",
    "remapped_pts",
    "source_frames",
]

LengthMode = Literal["cut", "loop", "bounce", "freeze", "silence", "remap"]
LENGTH_MODES: tuple[LengthMode, ...] = get_args(LengthMode)
KEEPS_LENGTH: tuple[LengthMode, ...] = ("cut", "silence")
"""Modes in which the result is as long as the video."""
REMAP_LIMITS = (Fraction(1, 4), Fraction(4))
"""How far ``remap`` goes: four times slower is 6 frames a second of 25, a row of stills."""
_FINEST = 90_000
"""Units a second that tell the times of stretched frames apart: 11 microseconds each, as in
broadcasts."""

Frames = npt.NDArray[np.int64]

# Rates of film, television and screens, which times rounded to 1 ms do not tell exactly.
_USUAL_RATES = (
    *(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)),
    *(Fraction(n) for n in (24, 25, 30, 50, 60, 12, 15, 48, 100, 120)),
)

# A container that claims more tells the unit of its clock.
_HIGHEST_RATE = 1000

# Matroska, and all that ever went through it, has times of whole milliseconds.
_ROUNDING_SECONDS = 1.01e-3

# A recording that lost a frame now and then still has a rate; one that shows every fifth picture
# longer than the others has none.
_LEAST_STEADY = 0.9


def constant_rate(
    pts: Sequence[int], time_base: Fraction, likely: Fraction | None = None
) -> Fraction | None:
    """Compute frames per second if frames come at one distance; None when they do not.

    Args:
        pts: times of all frames, strictly rising, in units of `time_base` seconds.
        likely: the rate that the container names; of several that fit it is taken.
    """
    if likely:
        # Matroska's rate is a whole number of nanoseconds, and comes back as 19001/317.
        likely = next((r for r in _USUAL_RATES if abs(r / likely - 1) < 1e-5), likely)
    if len(pts) < 2:
        return likely if likely and likely <= _HIGHEST_RATE else None
    ticks = np.asarray(pts, np.int64)
    times = (ticks - ticks[0]) * float(time_base)
    # So many frames would have been shown, had none been lost.
    places = np.rint(times / np.median(np.diff(times)))
    measured = Fraction(int(places[-1]), int(ticks[-1] - ticks[0])) / time_base
    rates: list[Fraction] = [*_USUAL_RATES, measured.limit_denominator(1001)]
    for rate in [likely, *rates] if likely else rates:
        places = np.rint(times * float(rate))
        off = np.abs(times - places / float(rate)).max()
        slack = min(max(_ROUNDING_SECONDS, float(time_base)), 0.25 / float(rate))
        steps = np.diff(places)
        if off <= slack and steps.min() >= 1 and (steps == 1).mean() >= _LEAST_STEADY:
            return rate
    return None


def source_frames(n_source: int, n_output: int, mode: LengthMode) -> Frames:
    """Find the source frame that each of the `n_output` output frames shows.

    In ``bounce`` the first and last frame are not shown twice at the turn: four frames run
    0 1 2 3 2 1 0 1 ...

    Raises:
        ValueError: no source frames, a mode that does not exist, or more output than source
            frames in a mode that keeps the length.

    >>> source_frames(4, 8, "bounce").tolist()
    [0, 1, 2, 3, 2, 1, 0, 1]
    """
    if n_source < 1 or n_output < 0:
        raise ValueError(f"{n_source} source frames cannot fill {n_output} output frames")
    if mode not in LENGTH_MODES:
        raise ValueError(f"mode must be one of {LENGTH_MODES}, got {mode!r}")
    at = np.arange(n_output, dtype=np.int64)
    if mode in KEEPS_LENGTH or mode == "remap":
        if n_output > n_source:
            raise ValueError(f"{mode} shows no frame twice: {n_output} of {n_source} frames")
        return at
    if mode == "freeze":
        return np.minimum(at, n_source - 1)
    if mode == "loop":
        return at % n_source
    period = max(1, 2 * (n_source - 1))
    at %= period
    return np.minimum(at, period - at) if n_source > 1 else np.zeros(n_output, np.int64)


def frames_needed(durations: Sequence[int], wanted: int, mode: LengthMode) -> int:
    """Count the output frames that it takes to fill `wanted` time.

    Args:
        durations: display time of every source frame, positive, in any unit.
        wanted: in the same unit: where the last line of speech ends.
        mode: as above.

    Returns:
        At least ``len(durations)``, and exactly that in ``remap`` and the modes that keep the
        length.

    Raises:
        ValueError: no frames, or a frame without a duration.

    >>> frames_needed([40, 40, 40], 200, "loop")
    5
    """
    n = len(durations)
    times = np.asarray(durations, np.int64)
    if n < 1 or times.min() <= 0:
        raise ValueError("every frame must have a positive display time")
    total = int(times.sum())
    if mode in KEEPS_LENGTH or mode == "remap" or wanted <= total:
        return n
    if mode == "freeze":
        return n + -(-(wanted - total) // int(times[-1]))
    # After the first run the video repeats with a period: itself, or backwards and forwards.
    period = source_frames(n, n + max(1, n if mode == "loop" else 2 * (n - 1)), mode)[n:]
    ends = np.cumsum(times[period])
    rounds, rest = divmod(wanted - total, int(ends[-1]))
    return n + rounds * len(period) + int(np.searchsorted(ends, rest)) + (1 if rest else 0)


def output_pts(pts: Sequence[int], last_duration: int, sources: Frames) -> tuple[list[int], int]:
    """Compute when each output frame is shown: as long as its picture is in the source.

    Args:
        pts: of the source frames, strictly rising.
        last_duration: display time of the last source frame, in the same unit.
        sources: what `source_frames` gave.

    Returns:
        The output's times, starting at ``pts[0]`` like the source's, and how long its last
        frame is shown.
    """
    durations = np.append(np.diff(np.asarray(pts, np.int64)), last_duration)
    shown = durations[sources]
    starts = int(pts[0]) + np.concatenate([[0], np.cumsum(shown)[:-1]])
    return [int(p) for p in starts[: len(sources)]], int(shown[-1]) if len(shown) else 0


def remapped_pts(
    pts: Sequence[int], last_duration: int, time_base: Fraction, stretch: Fraction
) -> tuple[list[int], int, Fraction]:
    """Compute when each frame is shown, if all are shown `stretch` times as long.

    Args:
        pts: of the source frames, strictly rising; the first stays where it is.
        last_duration: display time of the last source frame, in the same unit.
        time_base: seconds of that unit.

    Returns:
        The output's times, how long its last frame is shown, and the seconds of their unit: that
        of the source divided by a whole number, since in a coarse one (1/25 s) frames would
        fall together.
    """
    fine = max(1, math.ceil(_FINEST * time_base))
    first = int(pts[0])
    ends = [*pts, int(pts[-1]) + last_duration]
    moved = [first * fine + round((int(p) - first) * fine * stretch) for p in ends]
    return moved[:-1], max(1, moved[-1] - moved[-2]), time_base / fine
