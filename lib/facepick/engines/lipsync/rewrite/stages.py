"""Stages of a rewrite plan: when, which shapes are wanted, which mouths, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.engines.decisions import bridge_short_gaps
from facepick.engines.engine import EngineContext
from facepick.engines.lipsync.gating import gating_of
from facepick.engines.lipsync.original_motion import in_output_order, output_sources, output_times
from facepick.engines.lipsync.rewrite.adaptation import MIN_R, OwnVoice, listen
from facepick.engines.lipsync.rewrite.inventory import Inventory
from facepick.engines.lipsync.rewrite.reading import MouthReader
from facepick.engines.lipsync.rewrite.rest import Smile, bends, bent, breath, smile
from facepick.engines.lipsync.rewrite.selection import Candidates, Wanted, choose
from facepick.engines.lipsync.rewrite.selfcheck import SEEN, corrections, looks_of
from facepick.engines.lipsync.rewrite.settings import RewriteSettings
from facepick.engines.lipsync.rewrite.small import SmallFace, SmallFaces, small_of, usable
from facepick.engines.lipsync.rewrite.smoothness import (
    LIVELY,
    MOST_SEEN,
    bearable,
    calmed,
    restlessness,
)
from facepick.models.catalog import SILERO_VAD
from facepick.progress import ProgressMeter
from facepick.speech.visemes import Curves, curves_of, sampled

__all__ = ["CLOSE", "KEEP", "SPEAK", "Plan", "make_plan"]

Array = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

KEEP, CLOSE, SPEAK = 0, 1, 2
SMOOTHING = (0.25, 0.5, 0.25)
"""Of the shown face over the frame before, the frame and the one after: takes the edge off jumps
between runs; the opening is set afterwards, so closures keep their depth."""


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
        bend: (n, 2) float32, how far the corners of the mouth are bent; see `bends`.
    """

    action: npt.NDArray[np.uint8]
    weight: Array
    mouth: npt.NDArray[np.int32]
    stretch: npt.NDArray[np.int32]
    fading: npt.NDArray[np.int32]
    opening: Array
    bend: Array

    def face(self, inventory: Inventory, frame: int) -> Array:
        """Average the chosen mouth's face in the head frame over its neighbours in time."""
        total, weight = np.zeros((468, 3), np.float32), 0.0
        for offset, share in zip((-1, 0, 1), SMOOTHING, strict=True):
            i = frame + offset
            if 0 <= i < len(self.mouth) and self.stretch[i] == self.stretch[frame]:
                total += np.float32(share) * inventory.face(int(self.mouth[i]))
                weight += share
        return bent(total / np.float32(weight), self.bend[frame])


@dataclass(frozen=True, eq=False)
class Timing:
    """First stage: what is done in every frame.

    Attributes:
        sources: (n,) frame of the clip that is shown.
        times: (n,) seconds of the output.
        action, weight: see `Plan`.
    """

    sources: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    action: npt.NDArray[np.uint8]
    weight: Array

    @property
    def quiet(self) -> npt.NDArray[np.bool_]:
        """Frames in which the speech does not move the mouth, (n,)."""
        return np.asarray(self.action != SPEAK)


@dataclass(frozen=True, eq=False)
class Wish:
    """Second stage: the mouth that the speech asks for.

    Attributes:
        curves: of the speech.
        own: what was learnt from the original voice, or None.
        shape: (n, 3) float32, in deviations from the person's mean mouth.
        closure: (n,) how much a closed mouth matters.
        asked: (n,) float32, the opening before it is calmed, in eye distances.
        opening: (n,) float32, the opening that is wanted.
        limit: greatest restlessness of the opening.
        reach: lowest and highest opening of the person.
        resting: the smile that closed mouths go with, or None.
    """

    curves: Curves
    own: OwnVoice | None
    shape: Array
    closure: Array
    asked: Array
    opening: Array
    limit: float
    reach: tuple[float, float]
    resting: Smile | None


def make_plan(context: EngineContext, inventory: Inventory) -> tuple[Plan, dict[str, Any]]:
    """Plan every frame of the output; also gives the facts of the report."""
    timing = _timing(context, inventory)
    wish = _wish(context, inventory, timing)
    plan = _mouths(context, inventory, timing, wish)
    added, proof = _proof(context, inventory, timing, plan)
    drawn = _held(
        (calmed(wish.asked, wish.closure, ~timing.quiet, share * wish.limit) for share in TRACKS),
        wish.opening,
        added,
        np.where(timing.quiet, np.nan, proof).astype(np.float32),
        plan.stretch,
        wish.limit * MOST_SEEN / LIVELY,
    )
    facts = _facts(inventory, wish, plan, added)
    return replace(plan, opening=np.maximum(drawn, 0.0)), facts


def _timing(context: EngineContext, inventory: Inventory) -> Timing:
    """Decide when the mouth speaks, is closed, or is left alone."""
    settings: RewriteSettings = context.settings
    speech = context.speech
    assert speech is not None
    sources = output_sources(context)
    times = output_times(context, sources)
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
    actions = {"keep": KEEP, "close": CLOSE, "speak": SPEAK}
    return Timing(
        sources=sources,
        times=times,
        action=np.array([actions[g.action] for g in gates], np.uint8),
        weight=np.array([g.weight for g in gates], np.float32),
    )


def _wish(context: EngineContext, inventory: Inventory, timing: Timing) -> Wish:
    """Turn the speech into wanted mouth shapes within this person's reach."""
    settings: RewriteSettings = context.settings
    assert context.speech is not None
    curves = curves_of(context.speech, language=settings.language)
    heard = timing.times - settings.offset_ms / 1000
    quiet = timing.quiet
    low, high = np.percentile(inventory.shape[:, 0], [2, 95])
    opening = sampled(curves.opening, heard)
    closure = sampled(curves.closure, heard)
    width = sampled(curves.width, heard)
    mean, deviation = _usual(inventory)
    own = _own_voice(context, inventory, timing)
    opening[quiet], closure[quiet], width[quiet] = 0.0, 1.0, 0.0
    # 0.65 is the opening of a vowel after smoothing: 19 of 20 frames of speech stay below it.
    amount = np.clip((opening - 0.05) / 0.6, 0.0, 1.15)
    z = np.empty((context.frames, 3), np.float32)
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
    resting, breathing = _rest(inventory, timing)
    own_restlessness = restlessness(inventory.shape[:, 0], np.diff(inventory.frames) == 1)
    limit = settings.strength * bearable(own_restlessness, float(high - low))
    asked = (mean[0] + deviation[0] * z[:, 0]).astype(np.float32)
    # Breath is no opening to choose another mouth by.
    wanted = calmed(asked, closure, ~quiet, limit)
    z[:, 0] = (wanted - mean[0]) / deviation[0]
    asked, wanted = asked + breathing, wanted + breathing
    reach = (float(low), float(high))
    return Wish(curves, own, z, closure, asked, wanted, limit, reach, resting)


def _rest(inventory: Inventory, timing: Timing) -> tuple[Smile | None, Array]:
    """Find the smile that closed mouths go with, None where none is shut, and their breath."""
    closing = timing.action == CLOSE
    if not closing.any() or len(inventory.rows) < 2:
        return None, np.zeros(len(closing), np.float32)
    rows = np.searchsorted(inventory.frames, timing.sources)
    rows = np.clip(rows, 0, len(inventory.frames) - 1)
    steps = np.diff(timing.times)
    rate = 1.0 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else 25.0
    # Both ends of a stretch stay shut, where it meets speech or the filmed mouth.
    held = np.convolve(closing, np.ones(5) / 5, mode="same")
    moves = breath(inventory, len(closing), rate) * closing * held
    return smile(inventory, rows), np.asarray(moves, np.float32)


def _usual(inventory: Inventory) -> tuple[Array, Array]:
    """Compute mean and deviation of the person's mouth shapes, (3,) each."""
    return inventory.shape.mean(axis=0), np.maximum(inventory.shape.std(axis=0), 1e-4)


def _own_voice(context: EngineContext, inventory: Inventory, timing: Timing) -> OwnVoice | None:
    """Learn how this person's mouth goes with the original voice; None without one."""
    assert context.speech is not None
    if context.speech.original is None:
        return None
    mean, deviation = _usual(inventory)
    # The original is on the output's clock too: a preview starts in the middle of the clip.
    shown_first, at = np.unique(timing.sources, return_index=True)
    seen = np.isin(inventory.frames, shown_first)
    return listen(
        context.speech.original,
        timing.times[at[np.searchsorted(shown_first, inventory.frames[seen])]],
        ((inventory.shape[seen] - mean) / deviation).astype(np.float32),
        inventory.shots[seen],
    )


def _mouths(context: EngineContext, inventory: Inventory, timing: Timing, wish: Wish) -> Plan:
    """Choose one path through the person's own mouths for every stretch that is shown."""
    n = context.frames
    rows = np.searchsorted(inventory.frames, timing.sources)
    rows = np.clip(rows, 0, len(inventory.frames) - 1)
    present = inventory.frames[rows] == timing.sources
    present = _bridged(timing, present, inventory.shots[rows])
    shown = present & (timing.action != KEEP) & (timing.weight > 0)
    candidates, smiles = _candidates(inventory), None
    if wish.resting is not None:
        candidates = replace(candidates, smile=wish.resting.own)
        smiles = wish.resting.wanted.copy()
        smiles[timing.action != CLOSE] = np.nan
    mouth = np.full(n, -1, np.int32)
    fading = np.full(n, -1, np.int32)
    shots = inventory.shots[rows]
    breaks = np.flatnonzero((np.diff(shown.astype(int)) != 0) | (shots[1:] != shots[:-1])) + 1
    for stretch in np.split(np.arange(n), breaks):
        if not len(stretch) or not shown[stretch[0]]:
            continue
        context.cancel.raise_if_cancelled()
        wanted = Wanted(
            shape=wish.shape[stretch],
            pose=inventory.pose[rows[stretch], :3],
            scale=inventory.pose[rows[stretch], 3],
            stress=wish.closure[stretch],
            smile=None if smiles is None else smiles[stretch],
        )
        path = choose(wanted, candidates)
        mouth[stretch] = path
        step = np.diff(candidates.frame[path])
        jumps = np.flatnonzero((step < 0) | (step > 2)) + 1
        fading[stretch[jumps]] = path[jumps - 1]
    number = np.zeros(n, np.int32)
    number[breaks] = 1
    parts = np.cumsum(number, dtype=np.int32)
    bend = np.zeros((n, 2), np.float32)
    if wish.resting is not None:
        bend = bends(wish.resting, mouth, timing.action == CLOSE, parts, timing.times)
    return Plan(
        action=timing.action,
        weight=timing.weight,
        mouth=mouth,
        stretch=parts,
        fading=fading,
        opening=wish.opening,
        bend=bend,
    )


def _bridged(timing: Timing, present: Bools, shots: npt.NDArray[np.int64]) -> Bools:
    """Count frames as present, (n,), in which the mouth was not read for a moment.

    Args:
        shots: (n,) of the reading nearest to each frame.
    """
    follows = np.zeros(len(present), bool)
    # A clip may be played slower, or backwards.
    follows[1:] = (np.abs(np.diff(timing.sources)) <= 1) & (np.diff(shots) == 0)
    return ~bridge_short_gaps(~present, follows, timing.times)


def _candidates(inventory: Inventory) -> Candidates:
    mean, deviation = _usual(inventory)
    return Candidates(
        shape=((inventory.shape[inventory.rows] - mean) / deviation).astype(np.float32),
        pose=inventory.pose[inventory.rows, :3],
        scale=inventory.pose[inventory.rows, 3],
        look=inventory.look,
        frame=inventory.frames[inventory.rows],
        penalty=_penalty(inventory),
    )


def _proof(
    context: EngineContext, inventory: Inventory, timing: Timing, plan: Plan
) -> tuple[Array, Array]:
    """Draw the plan and read it: what the opening needs on top, and what was seen, (n,) each."""
    looked_at = looks_of(timing.quiet, plan.fading, plan.stretch)
    drawn_over = np.unique(timing.sources[(plan.mouth >= 0) & looked_at])
    kept = SmallFaces(context.workspace)
    found = corrections(
        _small_faces(context, kept, drawn_over),
        inventory,
        sources=timing.sources,
        mouth=plan.mouth,
        stretch=plan.stretch,
        opening=plan.opening,
        looked_at=looked_at,
        face=lambda frame: plan.face(inventory, frame),
        read=MouthReader(context.models).read,
        progress=ProgressMeter(context.progress, "selfcheck", len(drawn_over)),
        cancel=context.cancel,
    )
    kept.drop()
    return found


def _small_faces(
    context: EngineContext, kept: SmallFaces, frames: npt.NDArray[np.int64]
) -> Iterator[SmallFace]:
    """Give the person's face in these source frames: as kept, else decoded again."""
    there = np.isin(frames, list(kept.load()))
    yield from kept.faces(frames[there].tolist())
    if not there.all():
        for request in context.look_again(frames[~there]):
            if usable(request):
                yield small_of(request)


def _facts(inventory: Inventory, wish: Wish, plan: Plan, added: Array) -> dict[str, Any]:
    """Collect what the report tells."""
    moving, own, curves = plan.mouth >= 0, wish.own, wish.curves
    return {
        "mouths": len(inventory),
        "footage_frames": len(inventory.frames),
        "phones_from": curves.route,
        "pronunciation": curves.pronunciation,
        "notices": [n.to_json() for n in curves.notices],
        "planned_frames": int(moving.sum()),
        "jumps": int((plan.fading >= 0).sum()),
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
        "opening_range": [round(v, 4) for v in wish.reach],
    }


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


def _penalty(inventory: Inventory) -> Array:
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
