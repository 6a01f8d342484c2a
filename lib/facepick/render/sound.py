"""The output's clock and sound: which source frame is shown when, and what is heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from facepick.engines.engine import Speech
from facepick.media.writer import AudioOut
from facepick.people.identity import Scan
from facepick.render.plan import Assignment, RenderPlan

__all__ = ["Sound", "prepare_sound"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sound:
    """The output's clock and what is heard.

    Attributes:
        source_frames: (n,) int64, the source frame that every output frame shows.
        pts: presentation time of every output frame on the source's clock, in its time base.
        time_base: that time base.
        last_duration_pts: how long the last frame is shown.
        audio: what the muxer does about sound.
        origin, stop: the part of the source's clock that is written, in seconds; None and None
            for the whole video.
        speech: the new speech of each assignment, by position in the plan.
    """

    source_frames: npt.NDArray[np.int64]
    pts: list[int]
    time_base: Fraction
    last_duration_pts: int
    audio: AudioOut
    plan: RenderPlan
    origin: Fraction | None = None
    stop: Fraction | None = None
    speech: Mapping[int, Speech] = field(default_factory=dict)

    def time_of(self, frame: int) -> Fraction:
        """Seconds from the first to this output frame, exact."""
        return (self.pts[frame] - self.pts[0]) * self.time_base

    def speech_of(self, assignment: Assignment) -> Speech:
        return self.speech[self.plan.assignments.index(assignment)]


def prepare_sound(plan: RenderPlan, scan: Scan, part: tuple[int, int]) -> Sound:
    """The clock and sound of the output.

    Args:
        part: the half-open part of the source that is rendered, in frames.
    """
    start, stop = part
    end = int(scan.pts[stop]) if stop < scan.frames else int(scan.pts[-1]) + scan.duration_pts
    base = scan.video.time_base
    whole = part == (0, scan.frames)
    return Sound(
        source_frames=np.arange(start, stop, dtype=np.int64),
        pts=[int(p) for p in scan.pts[start:stop]],
        time_base=base,
        last_duration_pts=end - int(scan.pts[stop - 1]),
        audio=AudioOut.keep(scan.video),
        plan=plan,
        origin=None if whole else int(scan.pts[start]) * base,
        stop=None if whole else end * base,
    )
