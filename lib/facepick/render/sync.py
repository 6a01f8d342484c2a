"""Measures the lips of a finished result against its sound, person by person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepick.engines.lipsync.sync_report import SyncMeter
from facepick.models.store import ModelStore
from facepick.people.identity import Identity, Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.render.geometry import FacePath, paths_of
from facepick.render.plan import RenderPlan
from facepick.render.readback import picture_pairs, reasons_of, request_at
from facepick.render.sound import prepare_sound

__all__ = ["measure_sync"]


def measure_sync(
    result: Path,
    report: Mapping[str, Any],
    scan: Scan,
    *,
    models: ModelStore,
    plots: Path | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> list[dict[str, Any]]:
    """How well the lips of every person who got new speech follow it.

    One decoding pass over the result and the source side by side, with the mesh found on both.
    Where the result is longer than the source, the part after the source's end is left out: it
    shows the same pictures again.

    Args:
        result: the video.
        report: its sidecar, see `facepick.render.report.read_report`.
        scan: the people of the source.
        models: where the mesh network is.
        plots: a folder for one PNG per person, or None.

    Returns:
        One entry per person in the order of the plan: ``person`` and what
        `facepick.engines.lipsync.sync_report.SyncMeter.report` gives; empty without lip sync.

    Raises:
        VideoOpenError, NoAudioError: source, result or speech cannot be read.
        UserInputError: the report holds no plan.
        Cancelled: the user stopped it.
    """
    plan = RenderPlan.from_json(report["plan"])
    part = (plan.start, scan.frames if plan.stop is None else min(plan.stop, scan.frames))
    sound = prepare_sound(plan, scan, part, cancel=cancel)
    reasons = reasons_of(report, "lipsync")
    meters: list[tuple[Identity, tuple[FacePath, ...], SyncMeter]] = []
    for item in plan.assignments:
        if item.flow == "lipsync" and item.speech:
            speech = sound.speech_of(item)
            language = str(item.settings.get("language", "en-us"))
            for person in item.selection.resolve(scan):
                paths = paths_of(scan, person, cover_gaps=False)
                meters.append((person, paths, SyncMeter(speech, language=language)))
    if not meters:
        return []
    from facepick.faces.mesh import FaceMesh

    mesh = FaceMesh(models)
    meter = ProgressMeter(progress, "measure", part[1] - part[0])
    for i, (new, old) in enumerate(picture_pairs(result, scan, part, cancel)):
        meter.update(i)
        for person, paths, sync in meters:
            reason = reasons.get((i, person.id), "absent")
            for path in paths:
                request = request_at(path, part[0] + i, i, sound.time_of(i), old, mesh)
                if request is None:
                    continue
                x, y = request.origin
                height, width = request.crop.shape[:2]
                crop = new.crop(x, y, x + width, y + height)
                points, score = mesh.locate(crop, request.landmarks5, (x, y))
                shown = replace(request, crop=crop, mesh=points, mesh_score=score)
                sync.add(shown, original=request, reason=reason)
    entries = []
    for person, _, sync in meters:
        entries.append({"person": person.id, **sync.report()})
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            sync.plot(plots / f"{person.id}.sync.png")
    return entries
