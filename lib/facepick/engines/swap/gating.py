"""Decisions which frames are better not swapped."""

from __future__ import annotations

from collections.abc import Sequence

from facepick.compositing.patch import Reason
from facepick.engines.decisions import MESH_SCORE, Decisions, Sight
from facepick.engines.swap.settings import SwapSettings
from facepick.people.track import BRIDGED

__all__ = ["swap_decisions"]

# Having been left alone, a face must be this much better than the limit to be swapped again.
_TURN_SLACK_DEGREES = 4.0
_SIZE_SLACK = 1.1
# Swaps shorter than 4 frames between two kept stretches are a flash, not a face.
_SHORTEST_RUN = 4
# The new face comes and goes over 2 frames, 0.08 s at 25 a second: one is seen as a pop, and every
# frame of a fade shows two faces.
_RAMP_FRAMES = 2


def swap_decisions(settings: SwapSettings, sights: Sequence[Sight]) -> Decisions:
    """Decide for every sighting of the person whether the face is swapped."""

    def problem(sight: Sight, strict: bool) -> Reason | None:
        if sight.seen == BRIDGED:
            return Reason.ABSENT
        if sight.height < settings.min_face * (_SIZE_SLACK if strict else 1.0):
            return Reason.TOO_SMALL
        if sight.confidence < settings.min_confidence or sight.mesh_score < MESH_SCORE:
            return Reason.LOW_CONFIDENCE
        if sight.turn > settings.max_turn - (_TURN_SLACK_DEGREES if strict else 0.0):
            return Reason.PROFILE
        return None

    return Decisions(problem, sights, shortest=_SHORTEST_RUN, ramp=_RAMP_FRAMES)
