"""Moments of a result that deserve a look, and their pictures before and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, Reason
from facepick.faces.detection import Box
from facepick.media.picture import Picture
from facepick.media.reader import VideoReader
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, never
from facepick.review.outcomes import LEFT, Outcome, Outcomes, Run

__all__ = ["Moment", "Strip", "StripKeeper", "left_alone", "worst_moments"]

MOMENTS = 5
"""Moments of one person and flow."""

_FRAMES = 5
"""Pictures of a strip: what comes before and after is 0.08 s away at 25 frames a second."""

_APART_SECONDS = 0.6
"""Two moments nearer than this are one to the eye."""

_KEPT = 8
"""Restless moments that are kept of one person and flow while the videos are read: of the five that
are shown at most, one is rarely not among them."""

_TILE_PIXELS = 144
_QUALITY = 80
_AROUND = 0.15
"""Room around the face, as a share of its box."""

_LONGEST_LEFT, _LONGEST_GUESSED = 2, 1
"""Of the five so many show where somebody was left alone longest, and where the face was guessed;
the rest shows where the change jumps most."""

_NEAR_FRAMES = 150
"""Frames that are decoded rather than sought: a key frame may lie as far back."""

_NO_FAULT = {Reason.ABSENT.value, Reason.SILENCE.value}
"""Reasons for which nothing was to be changed in the first place."""


Key = tuple[str, str, int]
"""Person, flow and the frame in the middle of a strip."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment that deserves a look.

    Attributes:
        frame: of the result.
        why: ``left``, ``guessed`` or ``restless``.
        state: of what was left alone, the reason.
        seconds: how long it lasts; 0 for what is one frame.
        amount: of what is restless, steps of 255 by which the changed face moves more than the
            filmed one.
    """

    frame: int
    why: str
    state: str = ""
    seconds: float = 0.0
    amount: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Frames next to each other, as JPEG.

    Attributes:
        before, after: the source and the result; `before` is empty where it would show a hidden
            face.
        frames: of the result, in order.
    """

    before: bytes
    after: bytes
    frames: tuple[int, ...]


def left_alone(outcome: Outcome) -> list[Run]:
    """List stretches in which somebody was on screen and to be changed, and was left alone."""
    return [run for run in outcome.runs() if run.state in LEFT - _NO_FAULT]


def worst_moments(
    outcome: Outcome, restless: npt.NDArray[np.float32], times: npt.NDArray[np.float64]
) -> list[Moment]:
    """Choose the moments of one person that deserve a look most, in order of time."""
    chosen: list[Moment] = []

    def take(moment: Moment) -> bool:
        when = times[moment.frame]
        if any(abs(times[m.frame] - when) < _APART_SECONDS for m in chosen):
            return False
        chosen.append(moment)
        return True

    for moment in _known_moments(outcome, times):
        take(moment)
    # Far more candidates than moments, for most lie next to each other.
    for frame in np.argsort(-restless, kind="stable")[: 50 * MOMENTS]:
        if len(chosen) >= MOMENTS or restless[frame] <= 0:
            break
        take(Moment(frame=int(frame), why="restless", amount=float(restless[frame])))
    return sorted(chosen, key=lambda m: m.frame)


def _known_moments(outcome: Outcome, times: npt.NDArray[np.float64]) -> Iterator[Moment]:
    """List moments that are known before anything is looked at, the worst first."""
    for run in sorted(left_alone(outcome), key=len, reverse=True)[:_LONGEST_LEFT]:
        seconds = _seconds(times, run.start, run.stop)
        yield Moment(frame=run.start, why="left", state=run.state, seconds=seconds)
    guessed = _true_runs(outcome.guessed & outcome.changed)
    for run in sorted(guessed, key=len, reverse=True)[:_LONGEST_GUESSED]:
        seconds = _seconds(times, run.start, run.stop)
        yield Moment(frame=(run.start + run.stop) // 2, why="guessed", seconds=seconds)


def _seconds(times: npt.NDArray[np.float64], start: int, stop: int) -> float:
    end = times[stop] if stop < len(times) else times[-1] + (times[-1] - times[-2])
    return float(end - times[start]) if len(times) > 1 else 0.0


def _true_runs(flags: npt.NDArray[np.bool_]) -> list[Run]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [Run(state="", start=a, stop=b) for a, b in pairs]


# --- pictures ----------------------------------------------------------------------------------


class StripKeeper:
    """Strips cut out while a result and its source are read side by side.

    Which moments are the worst is known only at the end; some more than are shown are cut out as
    they come, the most restless so far.  What is asked for and was not kept is read again.

    A hidden face is not shown again: in the source's pictures it is as in the result, and a
    hidden person's own strip has no "before".

    Args:
        first: frame of the source that the result's first frame shows.
        frames: how many frames will come.
        show_hidden: show what was hidden as it was.
    """

    def __init__(
        self, scan: Scan, outcomes: Outcomes, *, first: int, frames: int, show_hidden: bool = False
    ) -> None:
        self._scan, self._outcomes = scan, outcomes
        self._first, self._frames, self._show_hidden = first, frames, show_hidden
        hidden = [o for (_, flow), o in outcomes.by.items() if flow == "hide"]
        self._hidden = [] if show_hidden else hidden
        self._latest: deque[tuple[int, Picture, Picture]] = deque(maxlen=_FRAMES)
        self._known = {
            key: {m.frame for m in _known_moments(o, outcomes.times)}
            for key, o in outcomes.by.items()
        }
        # By person and flow: how restless the frame in the middle is.
        self._amounts: dict[tuple[str, str], dict[int, float]] = {key: {} for key in outcomes.by}
        self._kept: dict[Key, Strip] = {}
        self._middle = 0

    def add(
        self,
        frame: int,
        new: Picture,
        old: Picture,
        restless: Mapping[tuple[str, str], npt.NDArray[np.float32]],
    ) -> None:
        """Take a frame; `restless` is known up to it."""
        self._latest.append((frame, new, old))
        while self._middle <= frame and self._around(self._middle)[-1] <= frame:
            for key in self._outcomes.by:
                if self._wanted(key, self._middle, float(restless[key][self._middle])):
                    self._cut((*key, self._middle))
            self._middle += 1

    def _around(self, middle: int) -> tuple[int, ...]:
        start = max(0, min(middle - _FRAMES // 2, self._frames - _FRAMES))
        return tuple(range(start, min(start + _FRAMES, self._frames)))

    def _wanted(self, key: tuple[str, str], middle: int, amount: float) -> bool:
        if middle in self._known[key]:
            return True
        if amount <= 0:
            return False
        amounts, times = self._amounts[key], self._outcomes.times
        near = [m for m in amounts if abs(times[m] - times[middle]) < _APART_SECONDS]
        if any(amounts[m] >= amount for m in near):
            return False
        for m in near:
            self._drop(key, m)
        if len(amounts) >= _KEPT:
            least = min(amounts, key=lambda m: amounts[m])
            if amounts[least] >= amount:
                return False
            self._drop(key, least)
        amounts[middle] = amount
        return True

    def _drop(self, key: tuple[str, str], middle: int) -> None:
        del self._amounts[key][middle]
        if middle not in self._known[key]:
            self._kept.pop((*key, middle), None)

    def _cut(self, key: Key) -> None:
        frames = self._around(key[2])
        pictures = {frame: (new, old) for frame, new, old in self._latest}
        if all(frame in pictures for frame in frames):
            strip = self._strip(key, frames, [pictures[f] for f in frames])
            if strip is not None:
                self._kept[key] = strip

    def _strip(
        self, key: Key, frames: tuple[int, ...], pictures: Sequence[tuple[Picture, Picture]]
    ) -> Strip | None:
        person, flow, _ = key
        outcome = self._outcomes.by[person, flow]
        area = _area(self._scan, self._scan.person(person), outcome, frames, self._first)
        if area is None:
            return None
        before, after = [], []
        for frame, (new, old) in zip(frames, pictures, strict=True):
            shown, filmed = new.crop(*area), old.crop(*area)
            for hidden in self._hidden:
                _as_shown(filmed, shown, area, hidden.boxes[frame])
            before.append(_tile(filmed))
            after.append(_tile(shown))
        told = self._show_hidden or flow != "hide"
        return Strip(before=_joined(before) if told else b"", after=_joined(after), frames=frames)

    def strips(
        self,
        result: Path,
        pts: Sequence[int],
        frames: Mapping[tuple[str, str], Sequence[int]],
        *,
        cancel: CancelToken = never,
    ) -> dict[Key, Strip]:
        """Give the strips of some moments, reading again near those that were not kept.

        Args:
            pts: times of the result's frames, see `Comparison`.
            frames: by person and flow, the frames in the middle of a strip.

        Returns:
            By person, flow and frame.

        Raises:
            VideoOpenError: one of the videos cannot be read.
            Cancelled.
        """
        found, missing = {}, {}
        # The result may have been shorter than was said.
        self._frames = len(pts)
        for flow, middles in frames.items():
            for middle in middles:
                key = (*flow, middle)
                kept, around = self._kept.get(key), self._around(middle)
                if kept is not None and kept.frames == around:
                    found[key] = kept
                else:
                    missing[key] = around
        for some in _near(sorted({f for around in missing.values() for f in around})):
            shown = _pictures(result, some, pts, cancel)
            source, times = self._scan.video.path, self._scan.pts.tolist()
            filmed = _pictures(source, [f + self._first for f in some], times, cancel)
            pictures: dict[int, tuple[Picture, Picture]] = {}
            for frame, pair in zip(some, zip(shown, filmed, strict=False), strict=False):
                pictures[frame] = pair
                for key, around in missing.items():
                    if around[-1] == frame and all(f in pictures for f in around):
                        strip = self._strip(key, around, [pictures[f] for f in around])
                        if strip is not None:
                            found[key] = strip
                for old in [f for f in pictures if f <= frame - _FRAMES]:
                    del pictures[old]
        return found


def _near(frames: Sequence[int]) -> list[list[int]]:
    """Group frames that are read in one go."""
    groups: list[list[int]] = []
    for frame in frames:
        if groups and frame - groups[-1][-1] <= _NEAR_FRAMES:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return groups


def _pictures(
    path: Path, frames: Sequence[int], pts: Sequence[int], cancel: CancelToken
) -> Iterator[Picture]:
    """Yield the pictures of some frames, one by one."""
    wanted = set(frames)
    with VideoReader(path, cancel=cancel) as reader:
        for frame in reader.frames(start=frames[0], pts=pts):
            if frame.index in wanted:
                yield frame.picture
            if frame.index >= frames[-1]:
                return


def _area(
    scan: Scan, person: Person, outcome: Outcome, frames: Sequence[int], first: int
) -> tuple[int, int, int, int] | None:
    """Choose the part of the picture that shows the face in all of the frames."""
    wanted = set(person.track_ids)
    tracks = [t for t in scan.tracks if t.id in wanted]
    boxes = [b for f in frames for t in tracks if (b := t.box_at(f + first)) is not None]
    boxes += [Box(*map(float, b)) for f in frames if (b := outcome.boxes[f])[2] > b[0]]
    if not boxes:
        return None
    x0, y0 = min(b.x0 for b in boxes), min(b.y0 for b in boxes)
    x1, y1 = max(b.x1 for b in boxes), max(b.y1 for b in boxes)
    side = max(x1 - x0, y1 - y0) * (1 + 2 * _AROUND)
    width, height = scan.video.width, scan.video.height
    side = min(side, width, height)
    left = min(max(0.0, (x0 + x1 - side) / 2), width - side)
    top = min(max(0.0, (y0 + y1 - side) / 2), height - side)
    return int(left), int(top), int(left + side), int(top + side)


def _as_shown(
    before: BgrImage,
    after: BgrImage,
    area: tuple[int, int, int, int],
    box: npt.NDArray[np.int32],
) -> None:
    """Copy what the result shows in a box into the picture of the source, in place."""
    x0, y0 = max(0, int(box[0]) - area[0]), max(0, int(box[1]) - area[1])
    x1, y1 = max(0, int(box[2]) - area[0]), max(0, int(box[3]) - area[1])
    before[y0:y1, x0:x1] = after[y0:y1, x0:x1]


def _tile(picture: BgrImage) -> BgrImage:
    import cv2

    method = cv2.INTER_AREA if picture.shape[0] > _TILE_PIXELS else cv2.INTER_CUBIC
    small = cv2.resize(picture, (_TILE_PIXELS, _TILE_PIXELS), interpolation=method)
    return np.asarray(small, np.uint8)


def _joined(tiles: Sequence[BgrImage]) -> bytes:
    import cv2

    if not tiles:
        return b""
    done, data = cv2.imencode(".jpg", np.hstack(tiles), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data) if done else b""
