"""Plot of the sync report: the opening of the mouth over the opening that the sound asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage

__all__ = ["SyncCurves", "draw_sync"]

Array = npt.NDArray[np.float64]
Color = tuple[int, int, int]

ROW_SECONDS = 10.0
"""Time that one row shows: at 920 pixels a frame at 25 a second is 3.7 pixels wide."""
MAX_ROWS = 60
"""Ten minutes; rows of longer videos show more, so that the picture stays below 8 megapixels."""
WIDTH, ROW_HEIGHT, HEAD, LEFT = 960, 130, 66, 20
GAP_SECONDS = 0.25
"""Frames farther apart than this are not joined by a line: the mouth was not seen between them."""

PAPER: Color = (250, 250, 250)
INK: Color = (60, 60, 60)
FAINT: Color = (215, 215, 215)
SHUT: Color = (200, 220, 250)
WANTED: Color = (60, 140, 60)
MOUTH: Color = (180, 60, 30)
LINE: Color = (150, 60, 150)


@dataclass(frozen=True, eq=False, kw_only=True)
class SyncCurves:
    """Curves of the plot, on the output's clock.

    Attributes:
        seconds: length.
        level: (t,) dB, every `step` seconds.
        wanted: (t,) what the mouth is held against, likewise.
        wanted_by: where that comes from, in words.
        shut: [start, stop) seconds in which "p", "b" or "m" shut the lips.
        times: (n,) of the frames in which the mouth was seen, rising.
        opening: (n,) of the mouth there.
        made: (n,) whether the frame was made.
        starts: when lines begin.
        step: seconds between columns.
    """

    seconds: float
    level: Array
    wanted: Array
    wanted_by: str
    shut: Sequence[tuple[float, float]]
    times: Array
    opening: Array
    made: npt.NDArray[np.bool_]
    starts: Sequence[float]
    step: float


def draw_sync(curves: SyncCurves, headline: Sequence[str]) -> BgrImage:
    """Draw (h, 960, 3) uint8: rows of ten seconds below two lines of words (ASCII)."""
    import cv2

    row_seconds = max(ROW_SECONDS, math.ceil(curves.seconds / MAX_ROWS))
    count = max(1, math.ceil(curves.seconds / row_seconds - 1e-6))
    picture = np.full((HEAD + count * ROW_HEIGHT, WIDTH, 3), PAPER, np.uint8)
    key = (
        ("mouth", MOUTH),
        (f"wanted by {curves.wanted_by}", WANTED),
        ("p b m", (90, 150, 240)),
        ("level of the sound", (160, 160, 160)),
        ("line begins", LINE),
        ("grey dots: left alone", INK),
    )
    for i, words in enumerate(headline[:2]):
        cv2.putText(
            picture, words, (LEFT, 18 + 18 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA
        )
    x = LEFT
    for words, color in key:
        cv2.putText(picture, words, (x, 56), cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)
        x += 24 + cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0]
    for row in range(count):
        top = HEAD + row * ROW_HEIGHT
        _draw_row(picture[top : top + ROW_HEIGHT], curves, row * row_seconds, row_seconds)
    return picture


def _draw_row(part: BgrImage, curves: SyncCurves, start: float, length: float) -> None:
    """Draw one row, in place."""
    import cv2

    top, bottom = 6, ROW_HEIGHT - 26
    stop = start + length

    def across(time: Array | float) -> Array:
        return LEFT + (np.asarray(time) - start) / length * (WIDTH - 2 * LEFT)

    def points(times: Array, values: Array) -> npt.NDArray[np.int32]:
        return np.stack([across(times), bottom - values * (bottom - top)], 1).round().astype("i4")

    for a, b in curves.shut:
        if a < stop and b > start:
            left, right = (int(across(min(max(t, start), stop))) for t in (a, b))
            cv2.rectangle(part, (left, top), (max(right, left + 1), bottom), SHUT, -1)
    grid: Array = np.arange(len(curves.wanted), dtype=np.float64) * curves.step
    here = (grid >= start - curves.step) & (grid <= stop + curves.step)
    if here.any():
        loud = np.clip((curves.level + 60) / 60, 0, 1)
        hill = points(grid[here], loud[here])
        base = [[hill[-1, 0], bottom], [hill[0, 0], bottom]]
        cv2.fillPoly(part, [np.concatenate([hill, np.array(base, np.int32)])], (236, 236, 236))
        for a, b in curves.shut:
            # Drawn again, as a frame, where the level covers it.
            if a < stop and b > start:
                left, right = (int(across(min(max(t, start), stop))) for t in (a, b))
                cv2.rectangle(part, (left, top), (max(right, left + 1), bottom), SHUT, 1)
        wanted = _scaled(curves.wanted)
        cv2.polylines(part, [points(grid[here], wanted[here])], False, WANTED, 1, cv2.LINE_AA)
    seen = np.flatnonzero((curves.times >= start - 0.1) & (curves.times <= stop + 0.1))
    if len(seen):
        opening = _scaled(curves.opening)
        gaps = np.flatnonzero(np.diff(curves.times[seen]) > GAP_SECONDS) + 1
        for run in np.split(seen, gaps):
            line = points(curves.times[run], opening[run])
            cv2.polylines(part, [line], False, MOUTH, 1, cv2.LINE_AA)
        for time in curves.times[seen[~curves.made[seen]]]:
            cv2.circle(part, (int(across(float(time))), bottom + 5), 1, (150, 150, 150), -1)
    for time in curves.starts:
        if start <= time < stop:
            x = int(across(time))
            cv2.line(part, (x, top), (x, bottom), LINE, 1)
    cv2.line(part, (LEFT, bottom), (WIDTH - LEFT, bottom), FAINT, 1)
    for i in range(11):
        time = start + i * length / 10
        x = int(across(time))
        cv2.line(part, (x, bottom), (x, bottom + 3), INK, 1)
        if time <= curves.seconds + length / 10:
            words = f"{time:g} s"
            cv2.putText(part, words, (x - 8, bottom + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.35, INK, 1)


def _scaled(values: Array) -> Array:
    """Scale the range from the 2nd to the 98th percentile to 0 to 1."""
    if not len(values):
        return values
    low, high = np.percentile(values, [2, 98])
    return np.asarray(np.clip((values - low) / max(high - low, 1e-6), 0, 1), np.float64)
