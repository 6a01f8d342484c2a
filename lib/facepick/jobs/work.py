"""Work of each kind of job."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepick.errors import (
    FacepickError,
    JobConflict,
    NoFacesFound,
    RenderError,
    SourceChanged,
    TargetTaken,
    UserInputError,
    VideoOpenError,
)
from facepick.files import read_json, write_json
from facepick.jobs.job import JobRecord
from facepick.jobs.resources import Resources
from facepick.jobs.workspace import Workspace
from facepick.media.probe import probe
from facepick.media.proxies import PROXIES, ProxyStore
from facepick.media.video import VideoInfo
from facepick.models.catalog import spec_by_id
from facepick.notices import Notice, as_notices
from facepick.people.edits import apply_edits, edits_problem, load_edits
from facepick.people.finder import ScanSettings, content_hash, find_people
from facepick.people.person import Person, Scan
from facepick.people.store import load_scan, save_scan, stored_hash
from facepick.progress import CancelToken, Progress, ProgressSink
from facepick.render.learned_store import LEARNED
from facepick.render.plan import RenderPlan
from facepick.render.preflight import check_photos
from facepick.render.preview import FRAME_REACH, frame_sheet, hardest_moment, side_by_side
from facepick.render.publish import FinishedResult, refuse_existing
from facepick.render.renderer import Renderer, RenderResult, check_target
from facepick.render.separation import without_voices
from facepick.render.sound import original_of, video_seconds
from facepick.render.space import check_space
from facepick.review.page import review_page
from facepick.settings import from_mapping
from facepick.unchanged import FileIdentity, pinned

__all__ = [
    "fetch",
    "finished_of",
    "preview",
    "proxy",
    "render",
    "scan",
    "scan_video",
    "stored_scan",
]

log = logging.getLogger("facepick.jobs")


def scan_video(
    video: Path,
    settings: Mapping[str, Any],
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
    known: tuple[VideoInfo, str] | None = None,
) -> Scan:
    """Find the people of a video with the user's edits and the names of known people; cached."""
    found = find_people(
        video,
        from_mapping(ScanSettings, settings),
        models=resources.models,
        cache=resources.cache,
        known=known,
        progress=progress,
        cancel=cancel,
    )
    corrected = apply_edits(found, load_edits(resources.cache, found.content_hash))
    return _named(corrected, resources.cast)


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
    workspace: Workspace, resources: Resources, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Find the people of the job's video."""
    record = workspace.record()
    video = Path(record.video)
    with pinned([video]) as pins:
        found = scan_video(video, record.request.get("settings") or {}, resources, progress, cancel)
    identity = pins.identity(video)
    return {
        "people": len(found.people),
        "frames": found.frames,
        "folder": found.folder,
        "content_hash": found.content_hash,
        "file": None if identity is None else identity.to_json(),
    }


def stored_scan(record: JobRecord, resources: Resources) -> Scan:
    """Load what a scan job has found, with the user's edits and the names of known people.

    The video is read only to tell whether it is still the same, and never searched.

    Raises:
        JobConflict: the job is no finished scan, what it stored is gone, or another video lies at
            its path by now.
    """
    if record.kind != "scan" or record.state != "done":
        raise JobConflict(f"Job {record.id} is no finished scan.", hint="Wait until it is done.")
    again = "Find the people again."
    video, folder = Path(record.video), Path(str(record.result.get("folder") or ""))
    digest = str(record.result.get("content_hash") or "") or stored_hash(folder)
    if digest is None:
        raise JobConflict(f"What job {record.id} has found is no longer stored.", hint=again)
    then = FileIdentity.from_json(record.result.get("file"))
    try:
        with pinned([video]) as pins:
            now = pins.identity(video)
            # A copy, or a file that was merely touched, is the same video.
            if now is None or (now != then and not _holds(video, now, then, digest)):
                raise JobConflict(
                    f"{video.name} is not the video that job {record.id} has looked through.",
                    hint=again,
                )
            found = load_scan(folder, info=probe(video), content_hash=digest)
    except (VideoOpenError, SourceChanged) as error:
        raise JobConflict(f"{video.name} cannot be read now.", hint=again) from error
    if found is None:
        raise JobConflict(f"What job {record.id} has found is no longer stored.", hint=again)
    return _named(apply_edits(found, load_edits(resources.cache, digest)), resources.cast)


def _holds(video: Path, now: FileIdentity, then: FileIdentity | None, digest: str) -> bool:
    if then is not None and now.size != then.size:
        return False
    return content_hash(video) == digest


def _frozen_scan(
    workspace: Workspace,
    plan: RenderPlan,
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Scan:
    """Load the scan this job started with: later edits must not change a resumed job.

    Raises:
        UserInputError: the video is another one than when the job started.
    """
    folder = workspace.folder / "scan"
    video = Path(plan.video)
    digest = content_hash(video, cancel=cancel) if video.is_file() else ""
    info = probe(video)
    kept = load_scan(folder, info=info, content_hash=digest)
    if kept is not None:
        return kept
    if folder.exists():
        raise SourceChanged(
            f"{video.name} has changed, or facepick has, since job {workspace.id} began.",
            hint="Start a new render.",
        )
    if plan.content_hash and digest and plan.content_hash != digest:
        raise SourceChanged(
            f"{video.name} is another video than the one that the plan was made for.",
            hint="Find its people again and make a new plan.",
        )
    # A look through a film takes minutes; what is wrong with a photo can be said now.
    check_photos(plan, resources.registry, resources.models, cancel=cancel)
    found = scan_video(video, plan.scan_settings, resources, progress, cancel, (info, digest))
    # Thumbnails stay in the cache: a render does not need them.
    plain = replace(found, people=tuple(replace(p, thumbnails=()) for p in found.people))
    save_scan(folder, plain, {})
    problem = edits_problem(resources.cache, found.content_hash)
    if problem is not None:
        write_json(workspace.folder / "notices.json", [problem.to_json()])
    return found


def _renderer(
    workspace: Workspace,
    plan: RenderPlan,
    found: Scan,
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
    *,
    quick: bool = False,
) -> Renderer:
    if not found.people:
        raise NoFacesFound(
            f"Nobody was found in {found.video.path.name}.",
            hint="Try a scan with more accuracy, or a smaller least face.",
        )
    return Renderer(
        replace(plan, content_hash=found.content_hash),
        found,
        rest=_rest(workspace, plan, found, resources, progress, cancel),
        workspace=workspace.folder,
        registry=resources.registry,
        models=resources.models,
        device=resources.device,
        notices=_notices(workspace),
        learned=resources.cache / LEARNED,
        quick=quick,
        progress=progress,
        cancel=cancel,
    )


def _rest(
    workspace: Workspace,
    plan: RenderPlan,
    found: Scan,
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Path | None:
    """Take the voices out of the original, where the plan wants it and it would be heard."""
    original = original_of(found)
    if original is None or not plan.takes_voices_out:
        return None
    return without_voices(
        original,
        workspace.record().request.get("separator"),
        seconds=video_seconds(found),
        folder=resources.cache / "separated",
        key=found.content_hash,
        device=resources.device,
        progress=progress,
        cancel=cancel,
    )


def render(
    workspace: Workspace, resources: Resources, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Render the job's plan and publish the result."""
    record = workspace.record()
    plan = RenderPlan.from_json(record.request["plan"])
    out = Path(record.out or "")
    check_target(out, plan)
    finished = finished_of(workspace)
    with _kept(workspace, finished):
        refuse_existing(out, force=record.force)
    if finished is None:
        with pinned((plan.video, *plan.input_files(resources.registry))):
            found = plan.scan_of_all(_frozen_scan(workspace, plan, resources, progress, cancel))
            renderer = _renderer(workspace, plan, found, resources, progress, cancel)
            check_space(renderer.space_needed(out), workspace.folder, out.parent)
            finished = renderer.finish(out.suffix)
    _review(workspace, plan, finished, out, resources, progress, cancel)
    with _kept(workspace, finished):
        finished.publish(out, force=record.force, cancel=cancel)
    return RenderResult.of(out, finished).to_json()


def _review(
    workspace: Workspace,
    plan: RenderPlan,
    finished: FinishedResult,
    out: Path,
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
) -> None:
    """Make the review of a finished result; a result without one is better than none."""
    finished.review.unlink(missing_ok=True)
    language = plan.output.review
    if language == "off" or finished.report is None:
        return
    try:
        page = review_page(
            finished.video,
            finished.report,
            finished.frames(),
            _frozen_scan(workspace, plan, resources, progress, cancel),
            name=out.name,
            language=language,
            models=resources.models,
            registry=resources.registry,
            progress=progress,
            cancel=cancel,
        )
        finished.review.write_text(page, encoding="utf-8")
    except (FacepickError, OSError) as error:
        log.warning("%s gets no review: %s", out.name, error)


def preview(
    workspace: Workspace, resources: Resources, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Render some seconds of the job's plan beside the original, and publish them."""
    record = workspace.record()
    plan = RenderPlan.from_json(record.request["plan"])
    out = Path(record.out or "")
    check_target(out, plan.unsigned(), picture=record.request["seconds"] == 0)
    finished = finished_of(workspace)
    with _kept(workspace, finished):
        refuse_existing(out, force=record.force)
    if finished is None:
        with pinned((plan.video, *plan.input_files(resources.registry))):
            found = plan.scan_of_all(_frozen_scan(workspace, plan, resources, progress, cancel))
            finished = _made_preview(workspace, plan, found, out, resources, progress, cancel)
    with _kept(workspace, finished):
        finished.publish(out, force=record.force, cancel=cancel)
    return {"out": str(out), **finished.facts}


def _notices(workspace: Workspace) -> tuple[Notice, ...]:
    """Collect what was found out before the render began."""
    asked = as_notices(workspace.record().request.get("notices"))
    try:
        return (*asked, *as_notices(read_json(workspace.folder / "notices.json")))
    except (OSError, ValueError):
        return asked


def finished_of(workspace: Workspace) -> FinishedResult | None:
    """Load what a job has finished and not published yet."""
    name = _FINISHED.get(workspace.record().kind)
    return None if name is None else FinishedResult.load(workspace.folder / name)


_FINISHED = {"render": "finished", "preview": "preview"}
"""Where it lies: a preview has a finished render of its own, of which it is made."""


def _made_preview(
    workspace: Workspace,
    plan: RenderPlan,
    found: Scan,
    out: Path,
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
) -> FinishedResult:
    request = workspace.record().request
    people = [p for item in plan.assignments for p in item.selection.resolve(found)]
    if request["seconds"] == 0:
        return _made_frame(workspace, plan, found, out, people, resources, progress, cancel)
    part = hardest_moment(found, people, at=request.get("at"), seconds=float(request["seconds"]))
    seen = plan.part(*part).unsigned()
    renderer = _renderer(workspace, seen, found, resources, progress, cancel, quick=True)
    check_space(renderer.space_needed(out), workspace.folder, out.parent)
    after = renderer.finish(".mp4")

    def write(video: Path) -> None:
        side_by_side(
            found, part, after.video, video, workspace.folder, plan.encode, progress, cancel
        )

    told = {key: after.facts[key] for key in ("unheard", "notices")}
    facts = {"start": part[0], "stop": part[1], **told}
    finished = FinishedResult.make(
        workspace.folder / "preview", out.suffix, write, lambda _, __: (facts, None), cancel=cancel
    )
    shutil.rmtree(after.folder, ignore_errors=True)
    return finished


def _made_frame(
    workspace: Workspace,
    plan: RenderPlan,
    found: Scan,
    out: Path,
    people: Sequence[Person],
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
) -> FinishedResult:
    """Make a picture of one frame before, after, and of what was changed."""
    frame, _ = hardest_moment(found, people, at=workspace.record().request.get("at"), seconds=0.0)
    part = max(0, frame - FRAME_REACH), min(found.frames, frame + FRAME_REACH + 1)
    renderer = _renderer(
        workspace, plan.part(*part), found, resources, progress, cancel, quick=True
    )
    before, after = renderer.draw_frame(frame)
    told = [notice.to_json() for notice in renderer.notices]
    facts = {"start": frame, "stop": frame + 1, "unheard": [], "notices": told}
    return FinishedResult.make(
        workspace.folder / "preview",
        out.suffix,
        lambda picture: frame_sheet(before, after, picture),
        lambda _, __: (facts, None),
        cancel=cancel,
    )


@contextmanager
def _kept(workspace: Workspace, finished: FinishedResult | None) -> Iterator[None]:
    """Say how to get a result that is done, but could not be put in its place."""
    try:
        yield
    except (TargetTaken, RenderError) as error:
        kept = "The finished result is kept" if finished else "What is done so far is kept"
        other = "OTHER" + Path(workspace.record().out or "").suffix
        again = f"facepick jobs resume {workspace.id}"
        if isinstance(error, TargetTaken):
            hint = f"{kept}: {again} -o {other}, or with --force."
        else:
            hint = f"{kept}: free some space, then {again} (-o {other} puts it elsewhere)."
        raise type(error)(error.message, hint=hint) from error


def fetch(
    workspace: Workspace, resources: Resources, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Fetch model files, one after the other; progress counts the bytes of all of them."""
    specs = [spec_by_id(name) for name in workspace.record().request["models"]]
    total = sum(spec.size for spec in specs)
    before = 0
    paths = {}
    for spec in specs:

        def report(step: Progress, before: int = before) -> None:
            progress(replace(step, done=before + step.done, total=total))

        paths[spec.id] = str(resources.models.fetch(spec, progress=report, cancel=cancel))
        before += spec.size
    return {"models": paths}


def proxy(
    workspace: Workspace, resources: Resources, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Make the small copy that players show of a video."""
    store = ProxyStore(resources.cache / PROXIES)
    poster = workspace.folder / "poster.jpg"

    def report(step: Progress) -> None:
        progress(replace(step, thumbnail=poster.name) if poster.is_file() else step)

    video = Path(workspace.record().video)
    made = store.make(video, poster=poster, progress=report, cancel=cancel)
    return {"out": str(made)}
