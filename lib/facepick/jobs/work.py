"""Work of each kind of job."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepick.errors import (
    JobConflict,
    RenderError,
    SourceChanged,
    TargetTaken,
    VideoOpenError,
)
from facepick.files import read_json
from facepick.jobs.estimate import note_render
from facepick.jobs.executors import Spread, draw_all, open_executor
from facepick.jobs.job import JobRecord
from facepick.jobs.phases import phases_of_preview, phases_of_render
from facepick.jobs.preparation import Preparation, named, scan_video
from facepick.jobs.resources import Resources
from facepick.jobs.workspace import Workspace
from facepick.media.probe import probe
from facepick.media.proxies import PROXIES, ProxyStore
from facepick.models.catalog import spec_by_id
from facepick.notices import Notice, as_notices
from facepick.people.edits import apply_edits, load_edits
from facepick.people.finder import content_hash
from facepick.people.person import Person, Scan
from facepick.people.store import load_scan, stored_hash
from facepick.progress import CancelToken, Phase, Phases, Progress, ProgressSink
from facepick.render.plan import RenderPlan
from facepick.render.preview import (
    FRAME_REACH,
    encoded_again,
    frame_sheet,
    hardest_moment,
    shown_soon,
    side_by_side,
)
from facepick.render.publish import FinishedResult, refuse_existing
from facepick.render.renderer import RenderResult
from facepick.render.space import check_space
from facepick.render.target import check_target
from facepick.render.task import RenderTask
from facepick.speech.listening import SPEAKERS, listen
from facepick.unchanged import FileIdentity, pinned

__all__ = [
    "fetch",
    "finished_of",
    "preview",
    "proxy",
    "render",
    "scan",
    "stored_scan",
]


def scan(
    workspace: Workspace, resources: Resources, progress: ProgressSink, cancel: CancelToken
) -> Mapping[str, Any]:
    """Find the people of the job's video, and if it is asked for, watch who speaks."""
    record = workspace.record()
    video = Path(record.video)
    asked = record.request.get("speakers")
    # Watching costs about twice the scan, see docs/speakers.md.
    watching = () if asked is None else (Phase("speakers", 2.0),)
    progress = Phases(progress, (Phase("scan", 1.0), *watching))
    with pinned([video]) as pins:
        found = scan_video(video, record.request.get("settings") or {}, resources, progress, cancel)
        if asked is not None:
            listen(
                found,
                resources.models,
                resources.cache / SPEAKERS,
                num_speakers=asked.get("num_speakers"),
                progress=progress,
                cancel=cancel,
            )
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
    return named(apply_edits(found, load_edits(resources.cache, digest)), resources.cast)


def _holds(video: Path, now: FileIdentity, then: FileIdentity | None, digest: str) -> bool:
    if then is not None and now.size != then.size:
        return False
    return content_hash(video) == digest


def _preparation(
    workspace: Workspace,
    plan: RenderPlan,
    resources: Resources,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Preparation:
    return Preparation(
        plan=plan,
        folder=workspace.folder,
        began=f"job {workspace.id} began",
        resources=resources,
        separator=workspace.record().request.get("separator"),
        progress=progress,
        cancel=cancel,
    )


def _crew(spread: Spread, plan: RenderPlan) -> Callable[[RenderTask], None]:
    """Make what lets workers draw the segments of a render."""

    def draw(task: RenderTask) -> None:
        with open_executor(spread, task.workspace, plan.to_json(), task.cancel) as executor:
            draw_all(
                executor, task.segments, task.store, progress=task.progress, cancel=task.cancel
            )

    return draw


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
    progress = Phases(progress, phases_of_render(plan, resources.registry))
    preparation = _preparation(workspace, plan, resources, progress, cancel)
    fresh, whole, began = not (workspace.folder / "scan").exists(), False, 0.0
    if finished is None:
        with pinned((plan.video, *plan.input_files(resources.registry))):
            found = plan.scan_of_all(preparation.frozen_scan())
            spread = Spread.from_json(record.request.get("spread"))
            own = preparation if spread.is_one_process else preparation.sharing(found)
            earlier = Path(str(record.request.get("update") or ""))
            # What is resumed, taken over or spread says nothing of how long the whole takes.
            whole = fresh and spread.is_one_process and not earlier.is_file()
            began = time.monotonic()
            renderer = own.renderer(
                found,
                notices=_notices(workspace),
                retakes=True,
                update_of=earlier if earlier.is_file() else None,
            )
            check_space(renderer.space_needed(out), workspace.folder, out.parent)
            draw = None if spread.is_one_process else _crew(spread, plan)
            finished = renderer.finish(out.suffix, draw=draw)
    preparation.write_review(finished, out)
    if whole:
        note_render(resources, plan, preparation.frozen_scan(), time.monotonic() - began)
    with _kept(workspace, finished):
        finished.publish(out, force=record.force, cancel=cancel)
    return RenderResult.of(out, finished).to_json()


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
    seconds = float(record.request["seconds"])
    progress = Phases(progress, phases_of_preview(plan, resources.registry, seconds))
    if finished is None:
        with pinned((plan.video, *plan.input_files(resources.registry))):
            preparation = _preparation(workspace, plan, resources, progress, cancel)
            found = plan.scan_of_all(preparation.frozen_scan())
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
    seen = replace(plan.part(*part).unsigned(), encode=encoded_again(plan.encode))
    preparation = _preparation(workspace, seen, resources, progress, cancel)
    renderer = preparation.renderer(found, notices=_notices(workspace), quick=True)
    check_space(renderer.space_needed(out), workspace.folder, out.parent)
    after = renderer.finish(".mp4")

    def write(video: Path) -> None:
        side_by_side(
            found,
            part,
            after.video,
            video,
            workspace.folder,
            shown_soon(plan.encode),
            progress,
            cancel,
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
    preparation = _preparation(workspace, plan.part(*part), resources, progress, cancel)
    renderer = preparation.renderer(found, notices=_notices(workspace), quick=True)
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
            progress(replace(step, done=min(before + step.done, total), total=total))

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
