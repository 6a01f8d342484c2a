"""Paths of a person's face through the frames, smoothed, with gaps covered where wanted.

Everything is computed over whole tracks before the first frame is rendered.  Smoothing can
therefore look both ways (no lag), and a frame's geometry is the same whichever frame a render
starts at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box, FloatArray
from facepick.people.person import Person, Scan
from facepick.people.track import BRIDGED, FaceTrack
from facepick.shots.shot import Shot

__all__ = ["FacePath", "FaceState", "Others", "paths_of"]

SMOOTHING_SECONDS = 0.04
"""Sigma of the Gaussian over boxes and landmarks: one frame at 25 frames a second.  Detector
noise is about 1 % of the face's width from frame to frame; a longer kernel would cut the tops of
real nods, which take about 0.2 s."""

GAP_SECONDS = 1.0
"""A face that vanishes and comes back in the same shot within this time is held to be there in
between (a hand, a turn of the head) by engines that cover gaps."""

EDGE_SECONDS = 0.4
"""How far before its first and after its last sighting in a shot a face is covered.  The detector
finds a face that turns or enters a few frames late: 0.4 s are 10 frames at 25 a second."""

VELOCITY_FRAMES = 5
"""Frames over which the speed of an entering or leaving face is taken."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceState:
    """One row of a `FacePath`."""

    path: int
    row: int
    frame: int
    box: Box
    landmarks5: FloatArray
    confidence: float
    seen: int
    shot: int


@dataclass(frozen=True, eq=False, kw_only=True)
class FacePath:
    """A face of one person through the video, at most one place per frame.

    Attributes:
        person: id of the person.
        number: which of the person's paths.
        frames: (n,) int32, strictly rising.
        boxes: (n, 4) float32, landmarks5: (n, 5, 2) float32, display pixels, smoothed.
        confidence: (n,) float32.
        seen: (n,) uint8, see `facepick.people.track`.
        shots: (n,) int32, index of the shot of each frame.
        track_ids: the tracks it is made of.
    """

    person: str
    number: int
    frames: npt.NDArray[np.int32]
    boxes: FloatArray
    landmarks5: FloatArray
    confidence: FloatArray
    seen: npt.NDArray[np.uint8]
    shots: npt.NDArray[np.int32]
    track_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"FacePath({self.person}, {len(self)} frames)"

    def at(self, frame: int) -> FaceState | None:
        """Find the face in `frame`, or None when it is not there."""
        i = int(np.searchsorted(self.frames, frame))
        if i >= len(self.frames) or self.frames[i] != frame:
            return None
        return FaceState(
            path=self.number,
            row=i,
            frame=frame,
            box=Box(*map(float, self.boxes[i])),
            landmarks5=self.landmarks5[i],
            confidence=float(self.confidence[i]),
            seen=int(self.seen[i]),
            shot=int(self.shots[i]),
        )


class Others:
    """The boxes of everybody else, by frame.

    Args:
        scan: the result of the first pass.
        person: who is not among them.
        hidden: ids of people who are hidden, too, so that nothing of them is to be spared.
    """

    def __init__(self, scan: Scan, person: Person, hidden: Collection[str] = ()) -> None:
        own = {key for p in scan.people if p.id in hidden for key in p.track_ids}
        own |= set(person.track_ids)
        self._tracks = [t for t in scan.tracks if t.id not in own]

    def at(self, frame: int) -> tuple[Box, ...]:
        """List the boxes of everybody else in a frame."""
        boxes = (t.box_at(frame) for t in self._tracks if t.start <= frame < t.stop)
        return tuple(b for b in boxes if b is not None)


def paths_of(scan: Scan, person: Person, *, cover_gaps: bool) -> tuple[FacePath, ...]:
    """Lay the paths of one person; more than one only when tracks that the user merged overlap.

    Args:
        scan: the result of the first pass.
        person: one of its people.
        cover_gaps: also give frames in which the face is a guess: gaps up to `GAP_SECONDS`
            inside a shot, and `EDGE_SECONDS` before the first and after the last sighting.
    """
    tracks = sorted(scan.tracks_of(person.id), key=lambda t: (t.start, t.id))
    strands: list[list[FaceTrack]] = []
    for track in tracks:
        for strand in strands:
            if strand[-1].stop <= track.start:
                strand.append(track)
                break
        else:
            strands.append([track])
    return tuple(
        _path(scan, person.id, number, strand, cover_gaps) for number, strand in enumerate(strands)
    )


def _path(
    scan: Scan, person: str, number: int, tracks: Sequence[FaceTrack], cover_gaps: bool
) -> FacePath:
    seconds = scan.pts.astype(np.float64) * float(scan.video.time_base)
    parts: list[_Run] = []
    for shot in scan.shots:
        runs = [run for t in tracks if t.shot == shot.index for run in _runs(t)]
        if not runs:
            continue
        if cover_gaps:
            runs = _bridge(runs, seconds)
            runs = [_extend(r, shot, seconds, scan, i, runs) for i, r in enumerate(runs)]
        parts.extend(_smooth(run, seconds) for run in runs)
    return FacePath(
        person=person,
        number=number,
        frames=np.concatenate([p.frames for p in parts]),
        boxes=np.concatenate([p.boxes for p in parts]),
        landmarks5=np.concatenate([p.landmarks5 for p in parts]),
        confidence=np.concatenate([p.confidence for p in parts]),
        seen=np.concatenate([p.seen for p in parts]),
        shots=np.concatenate([np.full(len(p.frames), p.shot, np.int32) for p in parts]),
        track_ids=tuple(t.id for t in tracks),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Run:
    """Consecutive frames of one shot, without a gap."""

    shot: int
    frames: npt.NDArray[np.int32]
    boxes: FloatArray
    landmarks5: FloatArray
    confidence: FloatArray
    seen: npt.NDArray[np.uint8]

    def joined(self, *others: _Run) -> _Run:
        runs = (self, *others)
        return replace(
            self,
            frames=np.concatenate([r.frames for r in runs]),
            boxes=np.concatenate([r.boxes for r in runs]),
            landmarks5=np.concatenate([r.landmarks5 for r in runs]),
            confidence=np.concatenate([r.confidence for r in runs]),
            seen=np.concatenate([r.seen for r in runs]),
        )

    def guessed(
        self, frames: npt.NDArray[np.int32], boxes: FloatArray, landmarks5: FloatArray
    ) -> _Run:
        n = len(frames)
        return replace(
            self,
            frames=frames,
            boxes=boxes.astype(np.float32),
            landmarks5=landmarks5.astype(np.float32),
            confidence=np.full(n, self.confidence.min(), np.float32),
            seen=np.full(n, BRIDGED, np.uint8),
        )


def _runs(track: FaceTrack) -> Iterator[_Run]:
    breaks = np.flatnonzero(np.diff(track.frames) > 1) + 1
    for rows in np.split(np.arange(len(track)), breaks):
        yield _Run(
            shot=track.shot,
            frames=track.frames[rows],
            boxes=track.boxes[rows],
            landmarks5=track.landmarks5[rows],
            confidence=np.full(len(rows), track.confidence, np.float32),
            seen=track.origin[rows],
        )


def _bridge(runs: list[_Run], seconds: npt.NDArray[np.float64]) -> list[_Run]:
    """Fill gaps of at most `GAP_SECONDS` by linear interpolation."""
    done = [runs[0]]
    for run in runs[1:]:
        last = done[-1]
        a, b = int(last.frames[-1]), int(run.frames[0])
        if b - a == 1:
            done[-1] = last.joined(run)
        elif seconds[b] - seconds[a] <= GAP_SECONDS:
            frames = np.arange(a + 1, b, dtype=np.int32)
            w = ((seconds[frames] - seconds[a]) / (seconds[b] - seconds[a]))[:, None]
            boxes = (1 - w) * last.boxes[-1] + w * run.boxes[0]
            points = (1 - w[..., None]) * last.landmarks5[-1] + w[..., None] * run.landmarks5[0]
            done[-1] = last.joined(last.guessed(frames, boxes, points), run)
        else:
            done.append(run)
    return done


def _extend(
    run: _Run,
    shot: Shot,
    seconds: npt.NDArray[np.float64],
    scan: Scan,
    index: int,
    runs: Sequence[_Run],
) -> _Run:
    """Add guessed frames before and behind, at the face's own speed, while it is in the picture."""
    low = shot.start if index == 0 else int(runs[index - 1].frames[-1]) + 1
    high = shot.stop if index == len(runs) - 1 else int(runs[index + 1].frames[0])
    first, last = int(run.frames[0]), int(run.frames[-1])
    before = [
        f for f in range(first - 1, low - 1, -1) if seconds[first] - seconds[f] <= EDGE_SECONDS
    ]
    after = [f for f in range(last + 1, high) if seconds[f] - seconds[last] <= EDGE_SECONDS]
    if index > 0:
        # The frames between two runs are shared: each side takes its own half.
        before = [f for f in before if f - low >= first - 1 - f]
    if index < len(runs) - 1:
        after = [f for f in after if f - last <= high - f]
    head = _extrapolated(run, 0, -1, before, seconds, scan)
    tail = _extrapolated(run, len(run.frames) - 1, 1, after, seconds, scan)
    joined = run
    if head is not None:
        joined = head.joined(joined)
    if tail is not None:
        joined = joined.joined(tail)
    return joined


def _extrapolated(
    run: _Run,
    row: int,
    direction: int,
    frames: list[int],
    seconds: npt.NDArray[np.float64],
    scan: Scan,
) -> _Run | None:
    if not frames:
        return None
    far = int(np.clip(row - direction * VELOCITY_FRAMES, 0, len(run.frames) - 1))
    elapsed = seconds[run.frames[row]] - seconds[run.frames[far]]
    box, points = run.boxes[row], run.landmarks5[row]
    speed = np.zeros(2)
    if elapsed != 0:
        speed = (points.mean(0) - run.landmarks5[far].mean(0)) / elapsed
    kept: list[int] = []
    boxes, landmarks = [], []
    for frame in frames:
        shift = speed * (seconds[frame] - seconds[run.frames[row]])
        moved = box + np.concatenate([shift, shift])
        if (
            moved[2] <= 0
            or moved[3] <= 0
            or moved[0] >= scan.video.width
            or moved[1] >= scan.video.height
        ):
            break
        kept.append(frame)
        boxes.append(moved)
        landmarks.append(points + shift)
    if not kept:
        return None
    order = np.argsort(kept)
    return run.guessed(
        np.asarray(kept, np.int32)[order], np.asarray(boxes)[order], np.asarray(landmarks)[order]
    )


def _smooth(run: _Run, seconds: npt.NDArray[np.float64]) -> _Run:
    n = len(run.frames)
    if n < 3:
        return run
    step = (seconds[run.frames[-1]] - seconds[run.frames[0]]) / (n - 1)
    sigma = SMOOTHING_SECONDS / step if step > 0 else 0.0
    if sigma < 0.3:
        # A kernel this narrow (under 8 frames a second) leaves every sample as it is.
        return run
    radius = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    values = np.concatenate([run.boxes, run.landmarks5.reshape(n, 10)], axis=1).astype(np.float64)
    # Odd reflection keeps the speed at both ends, so that a moving face is not pulled back.
    head = 2 * values[0] - values[1 : radius + 1][::-1]
    tail = 2 * values[-1] - values[-radius - 1 : -1][::-1]
    if len(head) < radius:
        return run
    padded = np.concatenate([head, values, tail])
    smooth = np.stack(
        [np.convolve(padded[:, c], kernel, mode="valid") for c in range(values.shape[1])], axis=1
    ).astype(np.float32)
    return replace(run, boxes=smooth[:, :4], landmarks5=smooth[:, 4:].reshape(n, 5, 2))
