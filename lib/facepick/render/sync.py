"""Measures the lips of a finished result against its sound, person by person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.sync_report import SyncMeter
from facepick.media.reader import VideoReader
from facepick.models.store import ModelStore
from facepick.people.identity import Identity, Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.render.footage import crop_region
from facepick.render.geometry import FacePath, paths_of
from facepick.render.plan import RenderPlan
from facepick.render.sound import prepare_sound

if TYPE_CHECKING:
    from facepick.faces.mesh import FaceMesh
    from facepick.media.picture import Picture

__all__ = ["measure_sync"]

# The mesh network looks at 1.5 x the face, rotated: 0.75 on each side holds its corners.
_MARGIN = 0.75


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
    reasons = _reasons(report)
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
    for i, (new, old) in enumerate(_pairs(result, scan, part, cancel)):
        meter.update(i)
        for person, paths, sync in meters:
            reason = reasons.get((i, person.id), "absent")
            for path in paths:
                request = _request(path, part[0] + i, i, sound.time_of(i), old, mesh)
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


def _reasons(report: Mapping[str, Any]) -> dict[tuple[int, str], str | None]:
    """Why each person's lips were left alone in each output frame; None where they were not."""
    return {
        (entry["frame"], change["person"]): None
        if change.get("done")
        else str(change.get("reason", "absent"))
        for entry in report.get("frames", ())
        for change in entry.get("changes", ())
        if change.get("flow") == "lipsync"
    }


def _pairs(
    result: Path, scan: Scan, part: tuple[int, int], cancel: CancelToken
) -> Iterator[tuple[Picture, Picture]]:
    """Pictures of the result and of the source, until one of them ends."""
    with (
        VideoReader(result, cancel=cancel) as shown,
        VideoReader(scan.video.path, cancel=cancel) as filmed,
    ):
        sources = filmed.frames(start=part[0], pts=scan.pts.tolist())
        # The result may be longer (loop, bounce, freeze), the source too (a part of it).
        for new, old in zip(shown.frames(), sources, strict=False):
            if old.index >= part[1]:
                return
            yield new.picture, old.picture


def _request(
    path: FacePath, source: int, output: int, time: Fraction, picture: Picture, mesh: FaceMesh
) -> FaceRequest | None:
    state = path.at(source)
    if state is None:
        return None
    region = crop_region(state.box, _MARGIN, picture.width, picture.height)
    if region is None:
        return None
    x0, y0, x1, y1 = region
    crop = picture.crop(x0, y0, x1, y1)
    points, score = mesh.locate(crop, state.landmarks5, (x0, y0))
    return FaceRequest(
        frame=output,
        time=time,
        crop=crop,
        origin=(x0, y0),
        box=state.box,
        landmarks5=state.landmarks5,
        mesh=points,
        mesh_score=score,
        confidence=state.confidence,
        seen=state.seen,
        shot=state.shot,
        discontinuity=state.discontinuity,
        source_frame=source,
    )
