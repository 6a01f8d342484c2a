"""Segments: the output cut into pieces that depend on nothing but the plan and what was learnt."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facepick.errors import UserInputError
from facepick.files import read_json, write_json
from facepick.people.person import Scan
from facepick.render.report import FrameNote

__all__ = [
    "SEGMENTS",
    "Segment",
    "SegmentStore",
    "as_ranges",
    "numbers_of",
    "segments_of",
    "segments_to",
]

SEGMENTS = "segments"
"""Folder of finished segments in that of a render."""

SEGMENT_FRAMES = 250
"""Frames of a segment: 10 s at 25 a second, the usual distance of keyframes, so that segments cost
no bits; at most this much work is lost when a job is killed."""

CUT_REACH_FRAMES = 60
"""A segment ends at a cut instead when one lies this near, where a keyframe is due anyhow."""


@dataclass(frozen=True)
class Segment:
    """Output frames ``start <= i < stop``."""

    index: int
    start: int
    stop: int


def segments_of(scan: Scan, sources: np.ndarray[Any, Any]) -> tuple[Segment, ...]:
    """Cut the output into segments of about `SEGMENT_FRAMES`, at cuts where one is near.

    Args:
        sources: (n,) the source frame that each output frame shows.
    """
    count = len(sources)
    cuts = {shot.start for shot in scan.shots}
    stops: list[int] = []
    start = 0
    while start < count:
        stop = min(count, start + SEGMENT_FRAMES)
        if stop < count:
            near = sorted(
                range(max(start + 1, stop - CUT_REACH_FRAMES), min(count, stop + CUT_REACH_FRAMES)),
                key=lambda i: abs(i - stop),
            )
            stop = next((i for i in near if int(sources[i]) in cuts), stop)
        stops.append(stop)
        start = stop
    return segments_to(stops)


def segments_to(stops: Sequence[int]) -> tuple[Segment, ...]:
    """Make segments that end at these output frames.

    >>> segments_to([250, 300])[1]
    Segment(index=1, start=250, stop=300)
    """
    starts = (0, *stops[:-1])
    return tuple(Segment(i, a, b) for i, (a, b) in enumerate(zip(starts, stops, strict=True)))


class SegmentStore:
    """Finished segments in a folder: ``00000.nut`` is the video, ``00000.json`` its notes.

    The notes are written before the video gets its name: both there means whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def video(self, segment: Segment) -> Path:
        """Name the video of a segment."""
        return self.folder / f"{segment.index:05d}.nut"

    def part(self, segment: Segment) -> Path:
        """Name the video while it is written: two machines may be at one segment."""
        return self.folder / f"{segment.index:05d}.{os.getpid()}-{os.urandom(3).hex()}.nut"

    def _notes(self, segment: Segment) -> Path:
        return self.folder / f"{segment.index:05d}.json"

    def files(self, segment: Segment) -> tuple[str, str]:
        """Name the files of a segment: the video, then its notes."""
        return self.video(segment).name, self._notes(segment).name

    def is_finished(self, segment: Segment) -> bool:
        """Tell whether a segment is there and whole."""
        if not self.video(segment).is_file():
            return False
        try:
            notes = read_json(self._notes(segment))
            return isinstance(notes["frames"], list) and isinstance(notes["counts"], list)
        except (OSError, ValueError, TypeError, KeyError):
            return False

    def missing(self, segments: Sequence[Segment]) -> list[Segment]:
        """List those that are not finished."""
        return [segment for segment in segments if not self.is_finished(segment)]

    def finish(
        self,
        segment: Segment,
        notes: Sequence[Any],
        counts: Sequence[Any],
        close: Callable[[], Path],
    ) -> None:
        """Put a segment in its place.

        Args:
            notes: what became of everybody, a row a frame, person and flow.
            counts: what each session of an engine has counted, see `CountingSession`.
            close: ends the writing of the video and gives where it lies.
        """
        write_json(self._notes(segment), {"frames": notes, "counts": counts}, durable=True)
        os.replace(close(), self.video(segment))

    def notes(self, segments: Sequence[Segment]) -> Iterator[list[FrameNote]]:
        """Yield what became of everybody, frame by frame; only a segment's is in memory."""
        for segment in segments:
            notes: list[list[FrameNote]] = [[] for _ in range(segment.start, segment.stop)]
            for row in read_json(self._notes(segment))["frames"]:
                note = FrameNote.from_json(row["frame"], row["engine"], row)
                notes[note.frame - segment.start].append(note)
            yield from notes

    def counts(self, segments: Sequence[Segment]) -> Iterator[list[Any]]:
        """Yield what the sessions of engines have counted, segment by segment."""
        for segment in segments:
            yield read_json(self._notes(segment))["counts"]


def as_ranges(numbers: Collection[int]) -> str:
    """Write numbers as ranges.

    >>> as_ranges([3, 0, 1, 2, 7])
    '0-3,7'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def numbers_of(text: str, count: int) -> list[int]:
    """Read ranges of segments, rising and each once.

    Args:
        count: how many segments there are.

    Raises:
        UserInputError: it is no list of ranges, or one of them is not there.

    >>> numbers_of("0-2,5", 6)
    [0, 1, 2, 5]
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        ends = (first, last if dash else first)
        # int() takes other digits and underscores, too, and a long number takes long.
        if not all(end.isascii() and end.isdigit() and len(end) <= 7 for end in ends):
            raise UserInputError(
                f"{text[:60]!r} names no segments.", hint="Give numbers, such as --segments 0-11."
            )
        start, stop = map(int, ends)
        if start > stop or stop >= count:
            raise UserInputError(
                f"There is no segment {part.strip()}: the segments are 0 to {count - 1}.",
                hint="Give others; --prepare --json lists them.",
            )
        found.update(range(start, stop + 1))
    return sorted(found)
