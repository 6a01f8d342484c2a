"""Engine `rewrite`: the person's own mouth, re-timed to new speech.

After Bregler, Covell and Slaney, "Video Rewrite: driving visual speech with audio" (SIGGRAPH
1997), and Suwajanakorn, Seitz and Kemelmacher-Shlizerman, "Synthesizing Obama: learning lip sync
from audio" (2017).  Everything is decided in `RewriteEngine.open`: the clip is learned from once,
the speech becomes wanted mouth shapes, and one path through the person's own mouths is chosen for
the whole output.  `process` only draws.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.decisions import MESH_SCORE, Decisions, Sight, SightObserver, sights_of
from facepick.engines.engine import (
    Engine,
    EngineContext,
    EngineResult,
    EngineSession,
    EngineSpec,
    Observer,
    show,
)
from facepick.engines.lipsync.original_motion import output_sources
from facepick.engines.lipsync.rewrite import inventory as inventories
from facepick.engines.lipsync.rewrite.features import eye_distance, in_head_frame
from facepick.engines.lipsync.rewrite.reading import MouthReader
from facepick.engines.lipsync.rewrite.settings import RewriteSettings
from facepick.engines.lipsync.rewrite.stages import CLOSE, KEEP, Plan, make_plan
from facepick.engines.lipsync.rewrite.warp import Layer, parted, render
from facepick.engines.occlusion.masker import check_masker, occlusion_observers, open_masker
from facepick.engines.occlusion.session import behind_occluders
from facepick.errors import EngineError, NoAudioError
from facepick.models.store import ModelStore
from facepick.notices import Notice
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken
from facepick.speech.align import words_notices
from facepick.speech.languages import check_language

__all__ = ["RewriteEngine", "RewriteSession"]

Array = npt.NDArray[np.float32]

PLAN = "plan.npz"
# Having been left alone, a face must be this much better than the limit to be re-made again.
_YAW_SLACK_DEGREES = 4.0
_SIZE_SLACK = 1.1
VERSION = 12
"""Raised when plans made by an earlier version must not be used any more."""


class RewriteEngine(Engine):
    """Lip sync without a network: see the module."""

    spec = EngineSpec(
        id="rewrite",
        flow="lipsync",
        label="Rewrite (built in)",
        help="Shows the person's own mouths from the clip, chosen to fit the new speech; needs no "
        "model file, and keeps the video's full resolution.",
        settings=RewriteSettings,
        needs_mesh=True,
        needs_audio=True,
        margin=0.4,
        prepares=("selfcheck",),
        notices=lambda settings, lines: words_notices(lines, settings.language),
        licence="MIT; acoustic model and dictionary BSD-2-Clause",
    )

    def preflight(self, settings: RewriteSettings, models: ModelStore) -> None:
        """See `Engine`."""
        check_language(settings.language)
        check_masker(settings.occlusion, models)

    def observers(self, context: EngineContext) -> list[Observer]:
        """See `Engine`."""
        return [*occlusion_observers(context), _inventory_observer(context), SightObserver(context)]

    def open(self, context: EngineContext) -> EngineSession:
        """Learn the person's mouths and choose one for every frame.

        Raises:
            NoAudioError: no speech was given.
            Cancelled: the user stopped it.
        """
        if context.speech is None or not len(context.speech.samples):
            raise NoAudioError(
                "Lip sync needs speech.", hint="Give an audio or video file with --audio."
            )
        masker = open_masker(context, part="mouth")
        inventory = inventories.load(context.workspace)
        if inventory is None:
            show(context.footage(), [_inventory_observer(context)])
            inventory = inventories.load(context.workspace)
        if inventory is None or not len(inventory):
            nothing = Notice(code="no_mouths", person=context.person.label)
            facts = {"mouths": 0, "notices": [nothing.to_json()]}
            return RewriteSession(None, None, rewrite_decisions(context), facts, context.cancel)
        plan, facts = _plan(context, inventory)
        decisions = rewrite_decisions(context)
        session = RewriteSession(inventory, plan, decisions, facts, context.cancel)
        return behind_occluders(session, context, part="mouth", masker=masker)


def rewrite_decisions(context: EngineContext) -> Decisions:
    """Decide for every sighting of the person whether the mouth is re-made.

    Raises:
        Cancelled: the user stopped it.
    """
    settings: RewriteSettings = context.settings

    def problem(sight: Sight, strict: bool) -> Reason | None:
        if sight.seen == BRIDGED or sight.mesh_score < MESH_SCORE:
            return Reason.LOW_CONFIDENCE
        if sight.eyes < settings.min_eyes_px * (_SIZE_SLACK if strict else 1.0):
            return Reason.TOO_SMALL
        if sight.turn > settings.max_yaw - (_YAW_SLACK_DEGREES if strict else 0.0):
            return Reason.PROFILE
        return None

    return Decisions(problem, sights_of(context))


def _inventory_observer(context: EngineContext) -> inventories.InventoryObserver:
    masker = occlusion_observers(context)
    return inventories.InventoryObserver(
        context.workspace,
        read=MouthReader(context.models).read,
        clear=lambda: open_masker(context, part="mouth").lips_clear,
        cancel=context.cancel,
        masker=masker[0].key if masker else "off",
    )


def _key(context: EngineContext, inventory: inventories.Inventory) -> str:
    """Identify a plan: other speech, settings or footage give another key."""
    assert context.speech is not None
    digest = hashlib.sha256()
    digest.update(f"{VERSION} {context.settings} {context.frames} {context.speech.lines}".encode())
    digest.update(f"{context.speech.original_heard} {context.speech.of_all}".encode())
    digest.update(np.ascontiguousarray(context.speech.samples).tobytes())
    if context.speech.original is not None:
        digest.update(np.ascontiguousarray(context.speech.original).tobytes())
    digest.update(output_sources(context).tobytes())
    digest.update(inventory.frames.tobytes() + inventory.shape.tobytes() + inventory.rows.tobytes())
    return digest.hexdigest()


def _plan(context: EngineContext, inventory: inventories.Inventory) -> tuple[Plan, dict[str, Any]]:
    """Load the plan kept in the workspace, or make a new one."""
    key = _key(context, inventory)
    file = context.workspace / PLAN
    if file.is_file():
        with np.load(file, allow_pickle=False) as stored:
            if str(stored["key"]) == key:
                arrays = {name: stored[name] for name in Plan.__dataclass_fields__}
                return Plan(**arrays), json.loads(str(stored["facts"]))
    plan, facts = make_plan(context, inventory)
    part = file.with_name("part_" + PLAN)
    arrays = {name: getattr(plan, name) for name in Plan.__dataclass_fields__}
    np.savez(part, key=np.array(key), facts=np.array(json.dumps(facts)), **arrays)
    part.replace(file)
    return plan, facts


class RewriteSession:
    """Session that draws what the plan says."""

    def __init__(
        self,
        inventory: inventories.Inventory | None,
        plan: Plan | None,
        decisions: Decisions,
        facts: dict[str, Any],
        cancel: CancelToken,
    ) -> None:
        self._bank = inventory
        self._plan = plan
        self._decisions = decisions
        self._facts = facts
        self._cancel = cancel
        self._closed = False

    def process(self, requests: Sequence[FaceRequest]) -> list[EngineResult]:
        """Give one answer per request; raises Cancelled, and EngineError after `close`."""
        if self._closed:
            raise EngineError("The rewrite session is closed.")
        out: list[EngineResult] = []
        for request in requests:
            self._cancel.raise_if_cancelled()
            out.append(self._one(request))
        return out

    def _one(self, request: FaceRequest) -> EngineResult:
        plan, inventory = self._plan, self._bank
        decision = self._decisions.of(request)
        if decision.reason is not None:
            return decision.reason
        if request.mesh is None or not np.isfinite(request.mesh).all():
            return Reason.LOW_CONFIDENCE
        if plan is None or inventory is None or request.frame >= len(plan.mouth):
            return Reason.LOW_CONFIDENCE
        if plan.action[request.frame] == KEEP or plan.weight[request.frame] <= 0:
            return Reason.SILENCE
        k = int(plan.mouth[request.frame])
        if k < 0:
            return Reason.LOW_CONFIDENCE
        mesh = request.mesh - np.array([*request.origin, 0], np.float32)
        own = in_head_frame(mesh, inventory.reference)
        face = parted(plan.face(inventory, request.frame), float(plan.opening[request.frame]))
        old = int(plan.fading[request.frame])
        layers = [Layer(inventory.mouth(k))]
        if old >= 0:
            layers = [Layer(inventory.mouth(k), 0.6), Layer(inventory.mouth(old), 0.4)]
        weight = float(plan.weight[request.frame]) * decision.strength
        unit = eye_distance(request.mesh)
        made = render(request.crop, mesh, own, unit, face, layers, weight)
        if made is None:
            return Reason.LOW_CONFIDENCE
        return FacePatch(
            image=made.image,
            alpha=made.alpha,
            origin=(request.origin[0] + made.origin[0], request.origin[1] + made.origin[1]),
            kind=PatchKind.CLOSED if plan.action[request.frame] == CLOSE else PatchKind.DRAWN,
            note=f"mouth of frame {int(inventory.frames[inventory.rows[k]])}",
        )

    def report(self) -> dict[str, Any]:
        """See `EngineSession`."""
        return dict(self._facts)

    def close(self) -> None:
        """See `EngineSession`."""
        self._closed = True
        self._bank = None
        self._plan = None
