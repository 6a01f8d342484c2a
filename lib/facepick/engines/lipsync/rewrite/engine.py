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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.engine import (
    Engine,
    EngineContext,
    EngineResult,
    EngineSession,
    EngineSpec,
    Observer,
    show,
)
from facepick.engines.lipsync.gating import gating_of
from facepick.engines.lipsync.original_motion import in_output_order, output_sources, output_times
from facepick.engines.lipsync.rewrite import inventory as inventories
from facepick.engines.lipsync.rewrite.adaptation import MIN_R, listen
from facepick.engines.lipsync.rewrite.features import head_pose, in_head_frame
from facepick.engines.lipsync.rewrite.reading import MouthReader
from facepick.engines.lipsync.rewrite.selection import Candidates, Wanted, choose
from facepick.engines.lipsync.rewrite.selfcheck import SEEN, corrections
from facepick.engines.lipsync.rewrite.settings import RewriteSettings
from facepick.engines.lipsync.rewrite.smoothness import (
    LIVELY,
    MOST_SEEN,
    bearable,
    calmed,
    restlessness,
)
from facepick.engines.lipsync.rewrite.warp import Layer, parted, render
from facepick.engines.occlusion.masker import check_masker, occlusion_observers, open_masker
from facepick.engines.occlusion.session import behind_occluders
from facepick.errors import EngineError, NoAudioError
from facepick.models.catalog import SILERO_VAD
from facepick.models.store import ModelStore
from facepick.notices import Notice
from facepick.progress import CancelToken, ProgressMeter
from facepick.speech.align import words_notices
from facepick.speech.languages import check_language
from facepick.speech.visemes import curves_of, sampled

__all__ = ["RewriteEngine", "RewriteSession"]

Array = npt.NDArray[np.float32]

KEEP, CLOSE, SPEAK = 0, 1, 2
PLAN = "plan.npz"
SMOOTHING = (0.25, 0.5, 0.25)
"""Of the shown face over the frame before, the frame and the one after: takes the edge off jumps
between runs; the opening is set afterwards, so closures keep their depth."""
VERSION = 9
"""Raised when plans made by an earlier version must not be used any more."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """Plan of what is shown in every output frame.

    Attributes:
        action: (n,) uint8, `KEEP`, `CLOSE` or `SPEAK`.
        weight: (n,) float32, of the new mouth over the filmed one.
        mouth: (n,) int32, row in the inventory, -1 where nothing is shown.
        stretch: (n,) int32, the same number in frames that follow each other without a cut or a
            gap.
        fading: (n,) int32, mouth that is faded out in this frame, or -1.
        opening: (n,) float32, opening that is drawn, in eye distances: the wanted one and what is
            needed on top for it to be seen.
    """

    action: npt.NDArray[np.uint8]
    weight: Array
    mouth: npt.NDArray[np.int32]
    stretch: npt.NDArray[np.int32]
    fading: npt.NDArray[np.int32]
    opening: Array

    def face(self, inventory: inventories.Inventory, frame: int) -> Array:
        """Average the chosen mouth's face in the head frame over its neighbours in time."""
        total, weight = np.zeros((468, 3), np.float32), 0.0
        for offset, share in zip((-1, 0, 1), SMOOTHING, strict=True):
            i = frame + offset
            if 0 <= i < len(self.mouth) and self.stretch[i] == self.stretch[frame]:
                total += np.float32(share) * in_head_frame(
                    inventory.mesh[int(self.mouth[i])], inventory.reference
                )
                weight += share
        return total / np.float32(weight)


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
        notices=lambda settings, lines: words_notices(lines, settings.language),
        licence="MIT; acoustic model and dictionary BSD-2-Clause",
    )

    def preflight(self, settings: RewriteSettings, models: ModelStore) -> None:
        """See `Engine`."""
        check_language(settings.language)
        check_masker(settings.occlusion, models)

    def observers(self, context: EngineContext) -> list[Observer]:
        """See `Engine`."""
        return [*occlusion_observers(context), _inventory_observer(context)]

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
            return RewriteSession(None, None, context.settings, facts, context.cancel)
        plan, facts = _plan(context, inventory)
        session = RewriteSession(inventory, plan, context.settings, facts, context.cancel)
        return behind_occluders(session, context, part="mouth", masker=masker)


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
    plan, facts = _make_plan(context, inventory)
    part = file.with_name("part_" + PLAN)
    arrays = {name: getattr(plan, name) for name in Plan.__dataclass_fields__}
    np.savez(part, key=np.array(key), facts=np.array(json.dumps(facts)), **arrays)
    part.replace(file)
    return plan, facts


def _make_plan(
    context: EngineContext, inventory: inventories.Inventory
) -> tuple[Plan, dict[str, Any]]:
    settings: RewriteSettings = context.settings
    speech = context.speech
    assert speech is not None
    n = context.frames
    sources = output_sources(context)
    times = output_times(context, sources)
    curves = curves_of(speech, language=settings.language)
    gating = gating_of(
        speech,
        when_silent="keep" if settings.when_silent == "keep" else "close",
        mouth=lambda: in_output_order(
            context, inventory.frames, inventory.shape[:, 0], inventory.shots
        ),
        vad_model=context.models.require(SILERO_VAD),
        cancel=context.cancel,
    )
    gates = [gating.at(t) for t in times]
    action = np.array(
        [{"keep": KEEP, "close": CLOSE, "speak": SPEAK}[g.action] for g in gates], np.uint8
    )
    weight = np.array([g.weight for g in gates], np.float32)

    heard = times - settings.offset_ms / 1000
    low, high = np.percentile(inventory.shape[:, 0], [2, 95])
    opening = sampled(curves.opening, heard)
    closure = sampled(curves.closure, heard)
    width = sampled(curves.width, heard)
    mean, deviation = inventory.shape.mean(axis=0), np.maximum(inventory.shape.std(axis=0), 1e-4)
    own = None
    if speech.original is not None:
        # The original is on the output's clock too: a preview starts in the middle of the clip.
        shown_first, at = np.unique(sources, return_index=True)
        seen = np.isin(inventory.frames, shown_first)
        own = listen(
            speech.original,
            times[at[np.searchsorted(shown_first, inventory.frames[seen])]],
            ((inventory.shape[seen] - mean) / deviation).astype(np.float32),
            inventory.shots[seen],
        )
    quiet = action != SPEAK
    opening[quiet], closure[quiet], width[quiet] = 0.0, 1.0, 0.0
    # 0.65 is the opening of a vowel after smoothing: 19 of 20 frames of speech stay below it.
    amount = np.clip((opening - 0.05) / 0.6, 0.0, 1.15)
    z = np.empty((n, 3), np.float32)
    z[:, 0] = (low + (high - low) * amount - mean[0]) / deviation[0]
    z[:, 1] = 2.5 * width
    z[:, 2] = 0.8 * z[:, 0]
    if own is not None and own.share > 0:
        habit = own.shapes(curves.posteriors, heard)
        # Its openings are drawn to the mean by the little it explains; closures stay the table's.
        habit[:, 0] /= max(own.r[0], MIN_R)
        share = (own.share * (1.0 - closure) * ~quiet)[:, None]
        z += share * (habit - z)
    closed = (low - mean[0]) / deviation[0]
    z[:, 0] = closed + (z[:, 0] - closed) * settings.strength
    z[:, 1] *= settings.strength
    own_restlessness = restlessness(inventory.shape[:, 0], np.diff(inventory.frames) == 1)
    limit = settings.strength * bearable(own_restlessness, float(high - low))
    asked_opening = (mean[0] + deviation[0] * z[:, 0]).astype(np.float32)
    wanted_opening = calmed(asked_opening, closure, ~quiet, limit)
    z[:, 0] = (wanted_opening - mean[0]) / deviation[0]

    rows = np.searchsorted(inventory.frames, sources)
    rows = np.clip(rows, 0, len(inventory.frames) - 1)
    present = inventory.frames[rows] == sources
    shown = present & (action != KEEP) & (weight > 0)
    candidates = Candidates(
        shape=((inventory.shape[inventory.rows] - mean) / deviation).astype(np.float32),
        pose=inventory.pose[inventory.rows, :3],
        scale=inventory.pose[inventory.rows, 3],
        look=inventory.look,
        frame=inventory.frames[inventory.rows],
        penalty=_penalty(inventory),
    )
    mouth = np.full(n, -1, np.int32)
    fading = np.full(n, -1, np.int32)
    breaks = (
        np.flatnonzero(
            (np.diff(shown.astype(int)) != 0)
            | (inventory.shots[rows][1:] != inventory.shots[rows][:-1])
        )
        + 1
    )
    for stretch in np.split(np.arange(n), breaks):
        if not len(stretch) or not shown[stretch[0]]:
            continue
        context.cancel.raise_if_cancelled()
        wanted = Wanted(
            shape=z[stretch],
            pose=inventory.pose[rows[stretch], :3],
            scale=inventory.pose[rows[stretch], 3],
            stress=closure[stretch],
        )
        path = choose(wanted, candidates)
        mouth[stretch] = path
        step = np.diff(candidates.frame[path])
        jumps = np.flatnonzero((step < 0) | (step > 2)) + 1
        fading[stretch[jumps]] = path[jumps - 1]
    number = np.zeros(n, np.int32)
    number[breaks] = 1
    plan = Plan(
        action=action,
        weight=weight,
        mouth=mouth,
        stretch=np.cumsum(number, dtype=np.int32),
        fading=fading,
        opening=wanted_opening,
    )
    drawn_over = np.unique(sources[mouth >= 0])
    added, proof = corrections(
        context.look_again(drawn_over),
        inventory,
        sources=sources,
        mouth=mouth,
        stretch=plan.stretch,
        opening=wanted_opening,
        face=lambda frame: plan.face(inventory, frame),
        read=MouthReader(context.models).read,
        progress=ProgressMeter(context.progress, "prepare", len(drawn_over)),
        cancel=context.cancel,
    )
    moving = mouth >= 0
    facts: dict[str, Any] = {
        "mouths": len(inventory),
        "footage_frames": len(inventory.frames),
        "phones_from": curves.route,
        "pronunciation": curves.pronunciation,
        "notices": [n.to_json() for n in curves.notices],
        "planned_frames": int(moving.sum()),
        "jumps": int((fading >= 0).sum()),
        "own_voice": None
        if own is None
        else {
            "held_out_r": [round(v, 3) for v in own.r],
            "table_r": round(own.table_r, 3),
            "offset_ms": round(1000 * own.offset_seconds),
            "speech_frames": int(own.spoken.sum()),
            "share": round(own.share, 2),
        },
        "corrected": round(float(np.abs(added[moving]).mean()), 4) if moving.any() else 0.0,
        "opening_range": [round(float(low), 4), round(float(high), 4)],
    }
    drawn = _held(
        (calmed(asked_opening, closure, ~quiet, share * limit) for share in TRACKS),
        wanted_opening,
        added,
        np.where(quiet, np.nan, proof).astype(np.float32),
        plan.stretch,
        limit * MOST_SEEN / LIVELY,
    )
    return replace(plan, opening=np.maximum(drawn, 0.0)), facts


TRACKS = (1.4, 1.2, 1.1, 1.0, 0.92, 0.84, 0.76, 0.68, 0.6)
"""Restlessness of the tracks that are tried, as shares of what may be asked for: the
proof tells which is seen to be calm enough."""
HALVINGS = 4
"""Of the way between two tracks: a sixteenth of their distance is not seen."""


def _held(
    tracks: Iterable[Array],
    wanted: Array,
    added: Array,
    seen: Array,
    stretch: npt.NDArray[np.int32],
    limit: float,
) -> Array:
    """Choose the opening to draw, (n,): the liveliest track that is seen within the limit.

    Mouths and drawing add to what was asked for, more for some people than for others; the proof
    tells how much.

    Args:
        tracks: (n,) each, wanted openings from the liveliest to the calmest.
        wanted: (n,) the one that the proof was drawn for.
        added: (n,) what is drawn on top of a track.
        seen: (n,) read off the proof, NaN where it does not count.
        stretch: (n,) the same number in frames that belong together.
        limit: greatest restlessness.
    """
    follows = np.diff(stretch) == 0

    def calm(drawn: Array) -> bool:
        return restlessness(seen + np.float32(SEEN) * (drawn - wanted), follows) <= limit

    livelier = drawn = wanted
    for i, track in enumerate(tracks):
        livelier, drawn = drawn, np.asarray(track + added, np.float32)
        if not calm(drawn):
            continue
        # Between this track and the one before, which was too lively.
        for _ in range(HALVINGS if i else 0):
            middle = (livelier + drawn) / np.float32(2)
            livelier, drawn = (livelier, middle) if calm(middle) else (middle, drawn)
        break
    return drawn


def _penalty(inventory: inventories.Inventory) -> Array:
    """Weigh blurred mouths: those less sharp than the person's are at that opening and size.

    Teeth are sharper than lips and small faces sharper than enlarged ones; that explains
    half to nine tenths of the variance of log sharpness, and most of the rest is motion blur.
    """
    shape, scale = inventory.shape[inventory.rows], np.log(inventory.pose[inventory.rows, 3])
    known = np.column_stack([np.ones(len(inventory)), shape[:, 0], shape[:, 1], scale])
    sharpness = np.log(np.maximum(inventory.sharpness, 1e-3))
    usual = known @ np.linalg.lstsq(known, sharpness, rcond=None)[0]
    # 0.1 is noise; at 0.4, seen in a fast turn of the head, the lips' edge is gone.
    return np.asarray(5.0 * np.clip(usual - sharpness - 0.1, 0.0, 0.8), np.float32)


class RewriteSession:
    """Session that draws what the plan says."""

    def __init__(
        self,
        inventory: inventories.Inventory | None,
        plan: Plan | None,
        settings: RewriteSettings,
        facts: dict[str, Any],
        cancel: CancelToken,
    ) -> None:
        self._bank = inventory
        self._plan = plan
        self._settings = settings
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
        if request.mesh is None or not np.isfinite(request.mesh).all():
            return Reason.LOW_CONFIDENCE
        pose = head_pose(request.mesh)
        if pose.scale < self._settings.min_eyes_px:
            return Reason.TOO_SMALL
        if abs(pose.yaw) > self._settings.max_yaw:
            return Reason.PROFILE
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
        made = render(
            request.crop, mesh, own, pose.scale, face, layers, float(plan.weight[request.frame])
        )
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
