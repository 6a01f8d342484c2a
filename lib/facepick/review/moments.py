"""Moments of a result that deserve a look, and their pictures before and after."""

from __future__ import annotations

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

__all__ = ["Moment", "Strip", "left_alone", "strips_of", "worst_moments"]

MOMENTS = 5
"""Moments of one person and flow."""

_FRAMES = 5
"""Pictures of a strip: what comes before and after is 0.08 s away at 25 frames a second."""

_APART_SECONDS = 0.6
"""Two moments nearer than this are one to the eye."""

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

    def seconds(run: Run) -> float:
        return _seconds(times, run.start, run.stop)

    for run in sorted(left_alone(outcome), key=len, reverse=True)[:_LONGEST_LEFT]:
        take(Moment(frame=run.start, why="left", state=run.state, seconds=seconds(run)))
    for run in sorted(_true_runs(outcome.guessed & outcome.changed), key=len, reverse=True)[
        :_LONGEST_GUESSED
    ]:
        middle = (run.start + run.stop) // 2
        take(Moment(frame=middle, why="guessed", seconds=seconds(run)))
    # Far more candidates than moments, for most lie next to each other.
    for frame in np.argsort(-restless, kind="stable")[: 50 * MOMENTS]:
        if len(chosen) >= MOMENTS or restless[frame] <= 0:
            break
        take(Moment(frame=int(frame), why="restless", amount=float(restless[frame])))
    return sorted(chosen, key=lambda m: m.frame)


def _seconds(times: npt.NDArray[np.float64], start: int, stop: int) -> float:
    end = times[stop] if stop < len(times) else times[-1] + (times[-1] - times[-2])
    return float(end - times[start]) if len(times) > 1 else 0.0


def _true_runs(flags: npt.NDArray[np.bool_]) -> list[Run]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [Run(state="", start=a, stop=b) for a, b in pairs]


# --- pictures ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class _Wanted:
    """A cut-out of some frames."""

    frames: tuple[int, ...]
    area: tuple[int, int, int, int]
    before: bool


def strips_of(
    result: Path,
    scan: Scan,
    outcomes: Outcomes,
    pts: Sequence[int],
    frames: Mapping[tuple[str, str], Sequence[int]],
    *,
    first: int,
    show_hidden: bool = False,
    count: int = _FRAMES,
    cancel: CancelToken = never,
) -> dict[Key, Strip]:
    """Cut strips out of result and source, decoding no more than is near them.

    A hidden face is not shown again: in the source's pictures it is as in the result, and a
    hidden person's own strip has no "before".

    Args:
        pts: times of the result's frames, see `Comparison`.
        frames: by person and flow, the frames in the middle of a strip.
        first: frame of the source that the result's first frame shows.
        show_hidden: show what was hidden as it was.
        count: pictures of a strip.

    Returns:
        By person, flow and frame.

    Raises:
        VideoOpenError: one of them cannot be read.
        Cancelled.
    """
    wanted: dict[Key, _Wanted] = {}
    for flow, middles in frames.items():
        for middle in middles:
            start = max(0, min(middle - count // 2, len(pts) - count))
            around = tuple(range(start, min(start + count, len(pts))))
            area = _area(scan, scan.person(flow[0]), outcomes.by[flow], around, first)
            if area is not None:
                before = show_hidden or flow[1] != "hide"
                wanted[(*flow, middle)] = _Wanted(frames=around, area=area, before=before)
    hidden = [] if show_hidden else [o for (_, flow), o in outcomes.by.items() if flow == "hide"]
    tiles: dict[tuple[Key, int], tuple[BgrImage, BgrImage]] = {}
    for some in _near(sorted({f for item in wanted.values() for f in item.frames})):
        shown = _pictures(result, some, pts, cancel)
        filmed = _pictures(scan.video.path, [f + first for f in some], scan.pts.tolist(), cancel)
        for frame, new, old in zip(some, shown, filmed, strict=False):
            for key, item in wanted.items():
                if frame in item.frames:
                    after, before_it = new.crop(*item.area), old.crop(*item.area)
                    for outcome in hidden:
                        _as_shown(before_it, after, item.area, outcome.boxes[frame])
                    tiles[key, frame] = _tile(before_it), _tile(after)
    strips = {}
    for key, item in wanted.items():
        mine = [tiles[key, f] for f in item.frames if (key, f) in tiles]
        strips[key] = Strip(
            before=_joined([old for old, _ in mine]) if item.before else b"",
            after=_joined([new for _, new in mine]),
            frames=item.frames,
        )
    return strips


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
