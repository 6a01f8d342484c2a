"""Measurement of the lips of a finished result against its sound, person by person."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.rewrite.reading import SURE, MouthReader
from facepick.errors import ModelMismatchError, PackageMissing
from facepick.faces.mesh import FaceMesh
from facepick.measure.result_reader import picture_pairs, reasons_of, request_at
from facepick.measure.sync_report import SyncMeter
from facepick.measure.syncnet import SyncNet, SyncNetMeter
from facepick.media.picture import Picture
from facepick.models.catalog import SYNCNET
from facepick.models.store import ModelStore
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.render.geometry import FacePath, paths_of
from facepick.render.learned_store import LearnedStore
from facepick.render.learning import KnownMeshes
from facepick.render.plan import RenderPlan
from facepick.render.sound import Sound, prepare_sound
from facepick.speech.line import Speech

__all__ = ["LipMeter", "measure_sync"]

log = logging.getLogger("facepick.measure.lip_sync")


def measure_sync(
    result: Path,
    report: Mapping[str, Any],
    scan: Scan,
    *,
    models: ModelStore,
    plots: Path | None = None,
    force: bool = False,
    only_lines: bool = False,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> list[dict[str, Any]]:
    """Measure how well the lips of every person who got new speech follow it.

    One decoding pass over the result and the source side by side, with the mesh found on both.
    Where the result is longer than the source, the part after the source's end is left out: it
    shows the same pictures again.

    Args:
        result: the video.
        report: its sidecar, see `facepick.render.report.read_report`.
        scan: the people of the source.
        models: where the mesh network is.
        plots: a folder for one PNG per person, or None.
        force: overwrite pictures there that facepick did not write.
        only_lines: look at re-made mouths alone, which is less work: frames left alone and mouths
            that are only shut are not counted then.

    Returns:
        One entry per person in the order of the plan: ``person`` and what
        `facepick.measure.sync_report.SyncMeter.report` gives; empty without lip sync.
        ``syncnet`` too where the user has the weights of SyncNet: LSE-C, LSE-D and the shift.

    Raises:
        VideoOpenError, NoAudioError: source, result or speech cannot be read.
        UserInputError: the report holds no plan.
        Cancelled: the user stopped it.
    """
    part = rendered_part(report, scan)
    lips = LipMeter(report, scan, models=models, only_lines=only_lines, cancel=cancel)
    if not lips.anybody:
        return []
    meter = ProgressMeter(progress, "measure", part[1] - part[0])
    for i, (new, old) in enumerate(picture_pairs(result, scan, part, cancel)):
        meter.update(i)
        lips.add(i, new, old)
    return lips.entries(plots=plots, force=force)


def rendered_part(report: Mapping[str, Any], scan: Scan) -> tuple[int, int]:
    """Tell which frames of the source a result shows, half-open."""
    plan = RenderPlan.from_json(report["plan"])
    return plan.start, scan.frames if plan.stop is None else min(plan.stop, scan.frames)


class LipMeter:
    """Lips of a finished result against its sound, measured pair by pair of frames.

    Args:
        report, scan, models, only_lines: see `measure_sync`.
        learnt: where renders keep the meshes that they find; what lies there is not looked for.

    Raises:
        VideoOpenError, NoAudioError: the speech cannot be read.
        UserInputError: the report holds no plan.
        Cancelled: the user stopped it.
    """

    def __init__(
        self,
        report: Mapping[str, Any],
        scan: Scan,
        *,
        models: ModelStore,
        only_lines: bool = False,
        learnt: LearnedStore | None = None,
        cancel: CancelToken = never,
    ) -> None:
        plan, part = RenderPlan.from_json(report["plan"]), rendered_part(report, scan)
        self._first, self._only_lines = part[0], only_lines
        self._sound = prepare_sound(plan, scan, part, cancel=cancel)
        self._reasons = reasons_of(report, "lipsync")
        self._meters = _meters(plan, scan, self._sound)
        self._known = [
            None if learnt is None else KnownMeshes(learnt, scan, paths)
            for _, paths, _, _ in self._meters
        ]
        if self._meters:
            self._mesh, self._mouths = FaceMesh(models), MouthReader(models)
            self._judges = _judges(models, [speech for _, _, _, speech in self._meters])

    @property
    def anybody(self) -> bool:
        """Whether there is somebody to be measured."""
        return bool(self._meters)

    def add(self, i: int, new: Picture, old: Picture) -> None:
        """Look at frame `i` of the result, and at what it was made of."""
        time = self._sound.time_of(i) if self._meters else None
        for k, (person, paths, sync, _) in enumerate(self._meters):
            assert time is not None
            reason = self._reasons.get((i, person.id), "absent")
            if self._only_lines and not (reason is None and sync.spoken_at(float(time))):
                continue
            for path in paths:
                request = request_at(
                    path, self._first + i, i, time, old, self._mesh, self._known[k]
                )
                if request is None:
                    continue
                shown = _shown(request, new, self._mesh, self._mouths)
                sync.add(shown, original=request, reason=reason)
                if self._judges and reason is None:
                    self._judges[k].add(shown)

    def entries(self, *, plots: Path | None = None, force: bool = False) -> list[dict[str, Any]]:
        """Give what `measure_sync` gives."""
        entries = []
        for k, (person, _, sync, _) in enumerate(self._meters):
            entry = {"person": person.id, **sync.report()}
            if self._judges:
                entry["syncnet"] = self._judges[k].report()
            entries.append(entry)
            if plots is not None:
                plots.mkdir(parents=True, exist_ok=True)
                sync.plot(plots / f"{person.id}.sync.png", title=person.id, force=force)
        return entries


def _meters(
    plan: RenderPlan, scan: Scan, sound: Sound
) -> list[tuple[Person, tuple[FacePath, ...], SyncMeter, Speech]]:
    """Make a meter for everybody who got new speech."""
    meters = []
    for item in plan.assignments:
        if item.flow == "lipsync" and plan.lines_of(item):
            speech = sound.speech_of(item)
            language = str(item.settings.get("language", "auto"))
            for person in item.selection.resolve(scan):
                paths = paths_of(scan, person, cover_gaps=False)
                meters.append((person, paths, SyncMeter(speech, language=language), speech))
    return meters


def _shown(request: FaceRequest, new: Picture, mesh: FaceMesh, mouths: MouthReader) -> FaceRequest:
    """Find the face of `request` in the result."""
    x, y = request.origin
    height, width = request.crop.shape[:2]
    crop = new.crop(x, y, x + width, y + height)
    points, score = request.mesh, request.mesh_score
    if points is None or score < SURE:
        points, score = mesh.locate(crop, request.landmarks5, (x, y))
    # One look at a mouth scatters by a fifth of what speech moves.  But for the mouth the face is
    # where it was filmed, so that the filmed one's mesh says where to look.
    offset = np.array([x, y, 0], np.float32)
    points, seen = mouths.look(crop, points - offset)
    return replace(request, crop=crop, mesh=points + offset, mesh_score=min(score, seen))


def _judges(models: ModelStore, speeches: Sequence[Speech]) -> list[SyncNetMeter]:
    """Make one SyncNet meter per person, where the user has its weights and PyTorch; else none."""
    path = models.find(SYNCNET)
    if path is None:
        return []
    try:
        network = SyncNet(path)
    except (ModelMismatchError, PackageMissing) as error:
        log.warning("no LSE-C and LSE-D: %s", error.sentence())
        return []
    return [SyncNetMeter(network, speech.samples) for speech in speeches]
