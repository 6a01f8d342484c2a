"""Decisions which frames are better left alone.

Decisions are made for the whole clip before the first frame is rendered, from the person's own
footage.  That allows hysteresis and a soft start and end, and keeps the answer to a request the
same whichever frame a render starts at.
"""

from __future__ import annotations

from dataclasses import dataclass

from facepick.compositing.patch import FaceRequest, Reason
from facepick.engines.swap.settings import SwapSettings
from facepick.faces.head_pose import pose_of_mesh
from facepick.people.track import BRIDGED

__all__ = ["Decision", "Gate", "Sight", "look"]

# Having been left alone, a face must be this much better than the limit to be swapped again.
_TURN_SLACK_DEGREES = 4.0
_SIZE_SLACK = 1.1
_MIN_MESH_SCORE = 0.5
# Swaps shorter than 4 frames between two kept stretches are a flash, not a face.
_SHORTEST_RUN = 4
# The new face comes and goes over 2 frames, 0.08 s at 25 a second: one is seen as a pop, and every
# frame of a fade shows two faces.
_RAMP_FRAMES = 2


@dataclass(frozen=True)
class Sight:
    """Facts that decide about one request: key, turn in degrees, height in pixels, certainties."""

    path: int
    row: int
    frame: int
    shot: int
    turn: float
    height: float
    mesh_score: float
    confidence: float
    seen: int


def look(request: FaceRequest) -> Sight:
    """Collect the facts of one request that a decision rests on."""
    turn = abs(pose_of_mesh(request.mesh).yaw) if request.mesh is not None else 90.0
    return Sight(
        path=request.path,
        row=request.row,
        frame=request.source_frame,
        shot=request.shot,
        turn=turn,
        height=request.box.height,
        mesh_score=request.mesh_score if request.mesh is not None else 0.0,
        confidence=request.confidence,
        seen=request.seen,
    )


@dataclass(frozen=True)
class Decision:
    """Outcome: `reason` to leave the frame alone, or None and the strength of the new face in
    (0, 1]."""

    reason: Reason | None
    strength: float = 1.0


class Gate:
    """The decisions of one session.

    Args:
        settings: limits.
        sights: of the person's footage in time order; may be empty, then every request is
            judged by itself.
    """

    def __init__(self, settings: SwapSettings, sights: list[Sight]) -> None:
        self._settings = settings
        self._known = {
            (sight.path, sight.row): decision
            for strand in _strands(sights)
            for sight, decision in zip(strand, self._decide(strand), strict=True)
        }

    def decide(self, request: FaceRequest) -> Decision:
        """Decide what to do with `request`."""
        known = self._known.get(request.key)
        return known or Decision(self._problem(look(request), strict=False))

    def _problem(self, sight: Sight, *, strict: bool) -> Reason | None:
        limits = self._settings
        if sight.seen == BRIDGED:
            return Reason.ABSENT
        if sight.height < limits.min_face * (_SIZE_SLACK if strict else 1.0):
            return Reason.TOO_SMALL
        if sight.confidence < limits.min_confidence:
            return Reason.LOW_CONFIDENCE
        if sight.mesh_score < _MIN_MESH_SCORE:
            return Reason.LOW_CONFIDENCE
        if sight.turn > limits.max_turn - (_TURN_SLACK_DEGREES if strict else 0.0):
            return Reason.PROFILE
        return None

    def _decide(self, strand: list[Sight]) -> list[Decision]:
        reasons: list[Reason | None] = []
        kept = False
        for sight in strand:
            reason = self._problem(sight, strict=kept)
            kept = reason is not None
            reasons.append(reason)
        _drop_flashes(reasons)
        return [Decision(reason, _strength(reasons, i)) for i, reason in enumerate(reasons)]


def _strands(sights: list[Sight]) -> list[list[Sight]]:
    """Split sights into strands that follow each other on one path in one shot."""
    strands: list[list[Sight]] = []
    for sight in sorted(sights, key=lambda s: (s.path, s.row)):
        last = strands[-1][-1] if strands else None
        if (
            last is not None
            and (last.path, last.shot) == (sight.path, sight.shot)
            and sight.frame - last.frame <= 2
        ):
            strands[-1].append(sight)
        else:
            strands.append([sight])
    return strands


def _drop_flashes(reasons: list[Reason | None]) -> None:
    """Drop short swapped runs between kept ones; they take the reason before them."""
    start = 0
    while start < len(reasons):
        stop = start
        while stop < len(reasons) and (reasons[stop] is None) == (reasons[start] is None):
            stop += 1
        inner = start > 0 and stop < len(reasons)
        if reasons[start] is None and inner and stop - start < _SHORTEST_RUN:
            reasons[start:stop] = [reasons[start - 1]] * (stop - start)
        start = stop


def _strength(reasons: list[Reason | None], i: int) -> float:
    """Ramp up after a kept frame and down before one; full strength at a strand's ends."""
    if reasons[i] is not None:
        return 0.0
    for distance in range(1, _RAMP_FRAMES + 1):
        near = reasons[max(0, i - distance) : i + distance + 1]
        if any(r is not None for r in near):
            return distance / (_RAMP_FRAMES + 1)
    return 1.0
