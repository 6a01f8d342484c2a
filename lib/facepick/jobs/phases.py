"""Phases of each kind of job, from which one estimate over all of it is made."""

from __future__ import annotations

from facepick.engines.registry import EngineRegistry
from facepick.progress import Phase
from facepick.render.learning import PREVIEW_FRAMES
from facepick.render.plan import RenderPlan
from facepick.render.preview import FRAME_REACH

__all__ = ["phases_of_preview", "phases_of_render"]

_LOADING = Phase("load", 200.0, 1)
"""Networks take about as long as ten frames, whatever the video."""

_BESIDE = 20.0
"""Of a frame of a preview that is written beside the original, for both are decoded again."""

_COST = {
    "scan": 7.0,
    "separate": 20.0,
    "check": 5.0,
    "prepare": 20.0,
    "selfcheck": 15.0,
    "render": 20.0,
    "publish": 1.0,
    "review": 8.0,
    "measure": 15.0,
}
"""Milliseconds of CPU a frame at 720p, about; how they compare is all that counts.  What an engine
does itself is told by its own pace once it has begun."""

_USUAL_RATE = 25
"""Frames a second of a preview, whose length is known before its video is."""


def phases_of_render(plan: RenderPlan, registry: EngineRegistry) -> tuple[Phase, ...]:
    """List the phases of a whole render; each has as many frames as the video."""
    phases = [
        _LOADING if stage == "load" else Phase(stage, _COST[stage])
        for stage in _stages(plan, registry)
    ]
    if plan.output.review != "off" and plan.output.provenance:
        cost = _COST["review"] + (_COST["measure"] if plan.has_speech else 0.0)
        phases.append(Phase("review", cost))
    return tuple(phases)


def phases_of_preview(
    plan: RenderPlan, registry: EngineRegistry, seconds: float
) -> tuple[Phase, ...]:
    """List the phases of a preview.

    Args:
        seconds: its length, 0 for one frame.
    """
    shown = max(1, round(seconds * _USUAL_RATE))
    learnt = PREVIEW_FRAMES + (shown if seconds else 2 * FRAME_REACH)
    units = {"scan": None, "check": learnt, "prepare": learnt, "selfcheck": shown, "render": shown}
    cost = {**_COST, "publish": _BESIDE if seconds else _COST["publish"]}
    return tuple(
        _LOADING if stage == "load" else Phase(stage, cost[stage], units.get(stage, shown))
        for stage in _stages(plan, registry)
    )


def _stages(plan: RenderPlan, registry: EngineRegistry) -> list[str]:
    specs = [registry.get(item.flow, item.engine).spec for item in plan.assignments]
    stages = ["scan"]
    if plan.takes_voices_out:
        stages.append("separate")
    stages.append("load")
    if any(spec.needs_consent for spec in specs):
        stages.append("check")
    if any(spec.needs_mesh for spec in specs):
        stages.append("prepare")
    stages += [stage for spec in specs for stage in spec.prepares]
    return [*stages, "render", "publish"]
