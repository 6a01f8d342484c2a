"""What each kind of job does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepick.errors import NoFacesFound, UserInputError
from facepick.jobs.runner import Toolbox
from facepick.jobs.workspace import Workspace
from facepick.media.probe import probe
from facepick.media.proxies import PROXIES, ProxyStore
from facepick.models.catalog import spec_by_id
from facepick.notices import as_notices
from facepick.people.edits import apply_edits, load_edits
from facepick.people.finder import ScanSettings, content_hash, find_people
from facepick.people.identity import Scan
from facepick.people.store import load_scan, save_scan
from facepick.progress import CancelToken, Progress, ProgressSink
from facepick.render.plan import RenderPlan
from facepick.render.preview import hardest_moment, side_by_side
from facepick.render.ready import check_photos
from facepick.render.renderer import Renderer, check_target
from facepick.render.report import sidecar_of
from facepick.render.separation import without_voices
from facepick.render.sound import original_of, video_seconds
from facepick.settings import from_mapping

__all__ = ["fetch", "preview", "proxy", "render", "scan", "scan_video"]

log = logging.getLogger("facepick.jobs")


def scan_video(
    video: Path,
    settings: Mapping[str, Any],
    toolbox: Toolbox,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Scan:
    """The people of a video with the user's edits and the names of known people; cached."""
    found = find_people(
        video,
        from_mapping(ScanSettings, settings),
        models=toolbox.models,
        cache=toolbox.cache,
        progress=progress,
        cancel=cancel,
    )
    corrected = apply_edits(found, load_edits(toolbox.cache, found.content_hash))
    return _named(corrected, toolbox.cast)


def _named(found: Scan, file: Path | None) -> Scan:
    if file is None or not file.is_file():
        return found
    from facepick.recognition.cast import Cast
    from facepick.recognition.naming import name_people

    try:
        return name_people(found, Cast(file))
    except UserInputError as error:
        # A cast of another model can name nobody here; the scan itself is as good without it.
        log.warning("%s", error.sentence())
        return found


def scan(
    workspace: Workspace, toolbox: Toolbox, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    record = workspace.record()
    found = scan_video(
        Path(record.video), record.request.get("settings") or {}, toolbox, progress, cancel
    )
    return {"people": len(found.people), "frames": found.frames, "folder": found.folder}


def _frozen_scan(
    workspace: Workspace,
    plan: RenderPlan,
    toolbox: Toolbox,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Scan:
    """The scan this job started with: later edits of the people must not change a resumed job.

    Raises:
        UserInputError: the video is another one than when the job started.
    """
    folder = workspace.folder / "scan"
    video = Path(plan.video)
    digest = content_hash(video, cancel=cancel) if video.is_file() else ""
    kept = load_scan(folder, info=probe(video), content_hash=digest)
    if kept is not None:
        return kept
    if folder.exists():
        raise UserInputError(
            f"{video.name} has changed, or facepick has, since job {workspace.id} began.",
            hint="Start a new render.",
        )
    # A look through a film takes minutes; what is wrong with a photo can be said now.
    check_photos(plan, toolbox.registry, toolbox.models, cancel=cancel)
    found = scan_video(video, plan.scan_settings, toolbox, progress, cancel)
    # Thumbnails stay in the cache: a render does not need them.
    plain = replace(found, people=tuple(replace(p, thumbnails=()) for p in found.people))
    save_scan(folder, plain, {})
    return found


def _renderer(
    workspace: Workspace,
    plan: RenderPlan,
    found: Scan,
    toolbox: Toolbox,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Renderer:
    if not found.people:
        raise NoFacesFound(
            f"Nobody was found in {found.video.path.name}.",
            hint="Try a scan with more accuracy, or a smaller least face.",
        )
    return Renderer(
        replace(plan, content_hash=found.content_hash),
        found,
        rest=_rest(workspace, plan, found, toolbox, progress, cancel),
        workspace=workspace.folder,
        registry=toolbox.registry,
        models=toolbox.models,
        device=toolbox.device,
        host_restorers=toolbox.host_restorers,
        notices=as_notices(workspace.record().request.get("notices")),
        progress=progress,
        cancel=cancel,
    )


def _rest(
    workspace: Workspace,
    plan: RenderPlan,
    found: Scan,
    toolbox: Toolbox,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Path | None:
    """The original without its voices, where the plan wants it and it would be heard."""
    original = original_of(found)
    if original is None or not plan.takes_voices_out:
        return None
    return without_voices(
        original,
        workspace.record().request.get("separator"),
        seconds=video_seconds(found),
        folder=toolbox.cache / "separated",
        key=found.content_hash,
        device=toolbox.device,
        progress=progress,
        cancel=cancel,
    )


def render(
    workspace: Workspace, toolbox: Toolbox, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    record = workspace.record()
    plan = RenderPlan.from_json(record.request["plan"])
    out = Path(record.out or "")
    check_target(out, plan)
    found = _frozen_scan(workspace, plan, toolbox, progress, cancel)
    result = _renderer(workspace, plan, found, toolbox, progress, cancel).run(out)
    return {
        "out": str(result.path),
        "report": None if result.report is None else str(result.report),
        "frames": result.frames,
        "changed": result.changed,
        "closed": result.closed,
        "left": result.left,
        "left_out": list(result.left_out),
        "unheard": [u.to_json() for u in result.unheard],
        "notices": [n.to_json() for n in result.notices],
    }


def preview(
    workspace: Workspace, toolbox: Toolbox, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    record = workspace.record()
    plan = RenderPlan.from_json(record.request["plan"])
    out = Path(record.out or "")
    check_target(out, plan)
    found = _frozen_scan(workspace, plan, toolbox, progress, cancel)
    people = [p for item in plan.assignments for p in item.selection.resolve(found)]
    part = hardest_moment(
        found, people, at=record.request.get("at"), seconds=float(record.request["seconds"])
    )
    after = workspace.folder / "after.mp4"
    result = _renderer(workspace, plan.part(*part), found, toolbox, progress, cancel).run(after)
    side_by_side(found, part, after, out, workspace.folder, plan.encode, progress, cancel)
    after.unlink()
    sidecar_of(after).unlink(missing_ok=True)
    return {
        "out": str(out),
        "start": part[0],
        "stop": part[1],
        "unheard": [u.to_json() for u in result.unheard],
        "notices": [n.to_json() for n in result.notices],
    }


def fetch(
    workspace: Workspace, toolbox: Toolbox, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Fetch model files, one after the other; progress counts the bytes of all of them."""
    specs = [spec_by_id(name) for name in workspace.record().request["models"]]
    total = sum(spec.size for spec in specs)
    before = 0
    paths = {}
    for spec in specs:

        def report(step: Progress, before: int = before) -> None:
            progress(replace(step, done=before + step.done, total=total))

        paths[spec.id] = str(toolbox.models.fetch(spec, progress=report, cancel=cancel))
        before += spec.size
    return {"models": paths}


def proxy(
    workspace: Workspace, toolbox: Toolbox, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Make the small copy that players show of a video."""
    store = ProxyStore(toolbox.cache / PROXIES)
    poster = workspace.folder / "poster.jpg"

    def report(step: Progress) -> None:
        progress(replace(step, thumbnail=poster.name) if poster.is_file() else step)

    video = Path(workspace.record().video)
    made = store.make(video, poster=poster, progress=report, cancel=cancel)
    return {"out": str(made)}
