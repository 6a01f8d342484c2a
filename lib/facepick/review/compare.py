"""Comparison of a result with its source, sample by sample: what changed where nothing should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.media.picture import FORMATS, Picture
from facepick.media.reader import Frame
from facepick.people.person import Scan
from facepick.review.outcomes import Outcome, Outcomes

__all__ = ["Comparer", "Comparison", "Drift"]

Plane = npt.NDArray[Any]

_SIDE = 32
"""Side of the small pictures in which motion is measured: a face of any size gives 1024 samples."""


@dataclass(kw_only=True)
class Drift:
    """Mean change of luma, in steps of 255.

    Attributes:
        samples: how many samples were looked at.
        changed: how many of them are not what they were.
        total: sum of all changes.
        worst: largest mean of a frame.
        worst_frame: which frame that is.
    """

    samples: int = 0
    changed: int = 0
    total: float = 0.0
    worst: float = 0.0
    worst_frame: int = 0

    def add(self, frame: int, change: Plane, samples: int, step: float) -> None:
        """Add what changed in a frame.

        Args:
            change: absolute differences; those that do not count are 0.
            samples: how many count.
            step: luma codes of a step of 255: 4 with ten bits.
        """
        if samples <= 0:
            return
        total = float(change.sum(dtype=np.float64)) / step
        self.samples += samples
        self.changed += int(np.count_nonzero(change))
        self.total += total
        if total / samples > self.worst:
            self.worst, self.worst_frame = total / samples, frame

    @property
    def mean(self) -> float | None:
        """Mean change of a sample; None without any."""
        return self.total / self.samples if self.samples else None


@dataclass(eq=False, kw_only=True)
class Comparison:
    """What comparing a result with its source has found.

    Attributes:
        pts: times of the result's frames that were compared, in its own units.
        outside: outside of what was written, in frames in which something was.
        untouched: in frames in which nothing was written: what the encoder alone does.
        bystanders: in the faces of those who were not picked, by id.
        restless: by person and flow, (n,) float32: by how much a changed face moves more from one
            frame to the next than the filmed one, in steps of 255; 0 where it was not changed.
    """

    pts: list[int] = field(default_factory=list)
    outside: Drift = field(default_factory=Drift)
    untouched: Drift = field(default_factory=Drift)
    bystanders: dict[str, Drift] = field(default_factory=dict)
    restless: dict[tuple[str, str], npt.NDArray[np.float32]] = field(default_factory=dict)


class Comparer:
    """Comparison of the luma of a result and its source, pair by pair of frames.

    Args:
        part: frames of the source that were rendered, half-open.
        picked: ids of those who were to be changed.
        labelled_seconds: how long a label is drawn into the picture; left out.
    """

    def __init__(
        self,
        scan: Scan,
        outcomes: Outcomes,
        *,
        part: tuple[int, int],
        picked: Sequence[str],
        labelled_seconds: float = 0.0,
    ) -> None:
        self.found = Comparison()
        self._outcomes, self._first, self._labelled = outcomes, part[0], labelled_seconds
        self._others = _Faces(scan, [p.id for p in scan.people if p.id not in picked])
        self._cuts = {shot.start for shot in scan.shots}
        self._motions = {key: _Motion(outcome) for key, outcome in outcomes.by.items()}
        self.found.restless = {key: motion.excess for key, motion in self._motions.items()}

    def add(self, new: Frame, old: Frame) -> None:
        """Compare a frame of the result with what it was made of."""
        i, outcomes = new.index, self._outcomes
        self.found.pts.append(new.time.pts)
        fresh = self._first + i in self._cuts
        for motion in self._motions.values():
            motion.add(i, new.picture, old.picture, fresh=fresh)
        if outcomes.times[i] >= self._labelled:
            written = [b for o in outcomes.by.values() if (b := o.boxes[i])[2] > b[0]]
            others = self._others.at(self._first + i)
            _add(self.found, i, new.picture, old.picture, written, others)


def _add(
    found: Comparison,
    frame: int,
    new: Picture,
    old: Picture,
    written: Sequence[npt.NDArray[np.int32]],
    others: Sequence[tuple[str, npt.NDArray[np.int32]]],
) -> None:
    import cv2

    ours, theirs = new.planes()[0], old.planes()[0]
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return
    change = cv2.absdiff(ours, theirs)
    step = float(1 << (FORMATS[new.format][2] - 8))
    apart = np.ones(change.shape, np.bool_) if written else None
    for box in written:
        part = _slices(box, change.shape)
        change[part] = 0
        if apart is not None:
            apart[part] = False
    count = change.size if apart is None else int(np.count_nonzero(apart))
    (found.outside if written else found.untouched).add(frame, change, count, step)
    for person, box in others:
        part = _slices(box, change.shape)
        mine = change[part]
        count = mine.size if apart is None else int(np.count_nonzero(apart[part]))
        found.bystanders.setdefault(person, Drift()).add(frame, mine, count, step)


def _slices(box: npt.NDArray[np.int32], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Cut a box to the picture, as slices of rows and columns."""
    x0, y0, x1, y1 = (int(v) for v in box)
    return (
        slice(max(0, min(y0, shape[0])), max(0, min(y1, shape[0]))),
        slice(max(0, min(x0, shape[1])), max(0, min(x1, shape[1]))),
    )


class _Faces:
    """Faces of some people by frame of the source."""

    def __init__(self, scan: Scan, people: Sequence[str]) -> None:
        self._tracks = [(person, t) for person in people for t in scan.tracks_of(person)]

    def at(self, frame: int) -> list[tuple[str, npt.NDArray[np.int32]]]:
        found = []
        for person, track in self._tracks:
            if track.start <= frame < track.stop:
                row = track.position(frame)
                if row is not None:
                    found.append((person, np.rint(track.boxes[row]).astype(np.int32)))
        return found


class _Motion:
    """Motion of one person's changed face beside that of the filmed one."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self.excess = np.zeros(len(outcome.state), np.float32)
        self._before: tuple[Plane, Plane] | None = None
        self._box: npt.NDArray[np.int32] | None = None

    def add(self, frame: int, new: Picture, old: Picture, *, fresh: bool) -> None:
        """Look at a frame; `fresh` when a new shot begins with it."""
        if fresh:
            self._before = self._box = None
        box = self._outcome.boxes[frame]
        done = bool(box[2] > box[0])
        # Where a change ends, the first frame without it counts: it is there that it pops.
        area = box if done else self._box
        self._box = box if done else None
        if area is None:
            self._before = None
            return
        now = _small(new, area), _small(old, area)
        if self._before is not None and now[0].size:
            made, filmed = (
                float(np.abs(a - b).mean()) for a, b in zip(now, self._before, strict=True)
            )
            self.excess[frame] = max(0.0, made - filmed)
        self._before = now if now[0].size else None


def _small(picture: Picture, box: npt.NDArray[np.int32]) -> Plane:
    """Scale the luma of a box down, in steps of 255; empty where it lies outside."""
    import cv2

    luma = picture.planes()[0]
    part = luma[_slices(box, luma.shape)]
    if part.size == 0:
        return np.zeros((0, 0), np.float32)
    small = cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / float(1 << (FORMATS[picture.format][2] - 8))
