"""Task of a render: the plan, the people, the clock, and where everything lies."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facepick.engines.registry import EngineRegistry
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressSink
from facepick.render.plan import RenderPlan
from facepick.render.segments import SEGMENTS, Segment, SegmentStore, segments_of
from facepick.render.sound import Sound

__all__ = ["RenderTask"]

LEARNED_FRAMES = 750
"""How far around a part that is rendered alone (a preview) engines look at the person: 30 s at 25
frames a second on either side, so that a preview of seconds shows nearly what the whole will."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RenderTask:
    """What is rendered, and with what.

    Attributes:
        plan, scan: what is changed, and of whom.
        sound: clock of the output, and what is heard.
        segments: the output cut into pieces.
        workspace: folder of this render alone.
        registry, models, device: as `facepick.render.renderer.Renderer` takes them.
    """

    plan: RenderPlan
    scan: Scan
    sound: Sound
    segments: tuple[Segment, ...]
    workspace: Path
    registry: EngineRegistry
    models: ModelStore
    device: str
    progress: ProgressSink
    cancel: CancelToken

    @classmethod
    def of(
        cls,
        plan: RenderPlan,
        scan: Scan,
        *,
        sound: Sound,
        segments: tuple[Segment, ...] | None = None,
        **more: Any,
    ) -> RenderTask:
        """Make a task.

        Args:
            segments: those of an earlier result, or None for new ones.
        """
        if segments is None:
            segments = segments_of(scan, sound.source_frames)
        return cls(plan=plan, scan=scan, sound=sound, segments=segments, **more)

    @property
    def store(self) -> SegmentStore:
        """Where finished segments are."""
        return SegmentStore(self.workspace / SEGMENTS)

    @property
    def sources(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(n,) int64: for every output frame the source frame whose picture it shows."""
        return self.sound.source_frames

    @property
    def frames(self) -> int:
        """Number of output frames."""
        return len(self.sources)

    @property
    def part(self) -> tuple[int, int]:
        """The half-open part of the source that is rendered, in frames."""
        return part_of(self.plan, self.scan)

    @property
    def learned(self) -> tuple[int, int]:
        """The half-open part of the source that engines learn from."""
        start, stop = self.part
        return max(0, start - LEARNED_FRAMES), min(self.scan.frames, stop + LEARNED_FRAMES)

    def filmed_at(self, output_frame: int) -> Fraction:
        """Compute the seconds into the source at which the picture of an output frame was
        filmed."""
        pts = self.scan.pts
        return (int(pts[self.sources[output_frame]]) - int(pts[0])) * self.scan.video.time_base


def part_of(plan: RenderPlan, scan: Scan) -> tuple[int, int]:
    """Return the half-open part of the source that a plan renders, in frames."""
    return plan.start, scan.frames if plan.stop is None else min(plan.stop, scan.frames)
