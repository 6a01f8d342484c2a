"""Motion of a person's mouth in the original: when it talked, when it only listened.

A video's sound does not say whose it is.  Whoever talks moves the lips all the time: over any
0.8 s the opening of a talking mouth mostly varies by 0.014 eye distances or more (standard
deviation, measured with the mesh on four talking people), that of a listening one by 0.006 or
less and mostly by 0.001 (three people in a split-screen interview and a news panel).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import EngineContext, show
from facepick.faces.mesh import mouth_opening
from facepick.speech.vad import Stretch

__all__ = [
    "FilmedMouth",
    "MotionObserver",
    "filmed_mouth",
    "in_output_order",
    "output_sources",
    "output_times",
]

MOVING = 0.01
"""Least standard deviation of a talking mouth's opening, in distances of the outer eye corners."""
_HALF_WINDOW = 0.4
# Pauses for breath, and closed lips held for a moment, stay part of the talking.
_PAUSE = 0.8
# A sample stands for this much on both sides: half a frame at 25 per second.
_AROUND = 0.02
_MIN_SAMPLES = 5
_MIN_MESH_SCORE = 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class FilmedMouth:
    """One person's mouth in the original pictures, in the order in which the output shows them.

    Attributes:
        times: (n,) float64, seconds on the output's clock, rising.
        opening: (n,) float32, `facepick.measure.sync_report.mouth_opening`; NaN where
            the mouth was not seen.
        shot: (n,) int64, of the frame; only the frames of one shot are compared.
    """

    times: npt.NDArray[np.float64]
    opening: npt.NDArray[np.float32]
    shot: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.times.shape == self.opening.shape == self.shot.shape:
            raise ValueError("times, openings and shots must be as many")

    def talking(self) -> tuple[Stretch, ...]:
        """Find when the lips moved as a talking person's do; in time order, none overlapping."""
        found: list[Stretch] = []
        for rows in self._runs():
            times = self.times[rows]
            moving = times[_deviation(times, self.opening[rows]) > MOVING]
            for i, time in enumerate(moving):
                start, stop = float(time) - _AROUND, float(time) + _AROUND
                if i and start - found[-1].stop <= _PAUSE:
                    start, stop = found.pop().start, stop
                elif found:
                    start = max(start, found[-1].stop)
                found.append(Stretch(start, stop))
        return tuple(found)

    def _runs(self) -> Iterator[npt.NDArray[np.int64]]:
        """Find rows in which the mouth was seen, shot by shot."""
        seen = np.flatnonzero(np.isfinite(self.opening))
        cuts = np.flatnonzero(np.diff(self.shot[seen]) != 0) + 1
        for rows in np.split(seen, cuts):
            if len(rows) >= _MIN_SAMPLES:
                yield rows


def _deviation(
    times: npt.NDArray[np.float64], opening: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Measure the opening's deviation around each time, (n,); 0 where too little was seen."""
    values = opening.astype(np.float64) - float(opening.mean())
    first = np.searchsorted(times, times - _HALF_WINDOW, side="left")
    last = np.searchsorted(times, times + _HALF_WINDOW, side="right")
    count = last - first
    mean, square = (
        (total[last] - total[first]) / count
        for total in (np.concatenate([[0.0], np.cumsum(v)]) for v in (values, values**2))
    )
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    return np.where(count >= _MIN_SAMPLES, deviation, 0.0)


def output_sources(context: EngineContext) -> npt.NDArray[np.int64]:
    """List the source frame of every output frame, (frames,)."""
    if context.source_frames is not None:
        return np.asarray(context.source_frames, np.int64)
    return np.arange(context.frames, dtype=np.int64) % max(1, context.scan.frames)


def output_times(context: EngineContext, sources: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """List the seconds of every output frame, (frames,).

    As the renderer says, else the source's own steps where they are known, its mean step where they
    are not.
    """
    if context.times is not None:
        return np.asarray(context.times, np.float64)
    scan = context.scan
    pts = scan.pts.astype(np.float64)
    usual = (pts[-1] - pts[0]) / (len(pts) - 1) if len(pts) > 1 else float(scan.duration_pts)
    steps = np.where(np.diff(sources) == 1, np.diff(pts[sources]), usual)
    seconds = np.concatenate([[0.0], np.cumsum(steps)]) * float(scan.video.time_base)
    return np.asarray(seconds, np.float64)


def filmed_mouth(context: EngineContext) -> FilmedMouth:
    """Read the mouth of the session's person: one pass over the footage, kept in the workspace.

    Raises:
        Cancelled: the user stopped it.
    """
    file = context.workspace / MotionObserver.FILE
    if not file.is_file():
        show(context.footage(), [MotionObserver(context)])
    with np.load(file, allow_pickle=False) as stored:
        frames, opening, shot = stored["frames"], stored["opening"], stored["shot"]
    return in_output_order(context, frames, opening, shot)


class MotionObserver:
    """Observer that reads the opening of a person's mouth off the meshes; see `Observer`."""

    FILE = "filmed_mouth.npz"

    def __init__(self, context: EngineContext) -> None:
        self.key = "original motion 1"
        self.files: tuple[str, ...] = (self.FILE,)
        self._workspace, self._cancel = context.workspace, context.cancel
        self._rows: dict[int, tuple[float, int]] = {}

    def see(self, request: FaceRequest) -> None:
        """See `Observer`."""
        self._cancel.raise_if_cancelled()
        mesh = request.mesh
        if mesh is None or request.mesh_score < _MIN_MESH_SCORE or not np.isfinite(mesh).all():
            return
        self._rows[request.source_frame] = (mouth_opening(mesh), request.shot)

    def done(self) -> None:
        """See `Observer`."""
        frames = np.array(sorted(self._rows), np.int64)
        opening = np.array([self._rows[int(f)][0] for f in frames], np.float32)
        shot = np.array([self._rows[int(f)][1] for f in frames], np.int64)
        part = self._workspace / ("part_" + self.FILE)
        np.savez(part, frames=frames, opening=opening, shot=shot)
        part.replace(self._workspace / self.FILE)

    def drop(self) -> None:
        """See `Observer`; nothing is begun before `done`."""


def in_output_order(
    context: EngineContext,
    frames: npt.NDArray[np.int64],
    opening: npt.NDArray[np.float32],
    shot: npt.NDArray[np.int64],
) -> FilmedMouth:
    """Bring openings by source frame (rising) into the order in which the output shows them.

    Args:
        context: says which source frame each output frame shows.
        frames, opening, shot: (n,) of the source frames in which the mouth was seen.
    """
    sources = output_sources(context)
    times = output_times(context, sources)
    shown = np.full(len(sources), np.nan, np.float32)
    shots = np.full(len(sources), -1, np.int64)
    if len(frames):
        rows = np.clip(np.searchsorted(frames, sources), 0, len(frames) - 1)
        seen = frames[rows] == sources
        shown[seen], shots[seen] = opening[rows[seen]], shot[rows[seen]]
    return FilmedMouth(times=times, opening=shown, shot=shots)
