"""Second pass: decode, let the engines change the picked faces, blend, encode, publish.

The work is cut into segments that depend on nothing but the plan and what the engines prepared.
A finished segment is kept in the workspace, so that a render that was stopped, or killed, goes
on where it was and ends with the same frames; and so that several processes, on as many machines,
may each render some of them.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.engines.registry import EngineRegistry
from facepick.errors import SourceChanged, UserInputError
from facepick.files import write_json
from facepick.media.dub import SoundChange
from facepick.media.encode import EncodeSettings
from facepick.models.store import ModelStore
from facepick.notices import Notice, as_notices
from facepick.people.person import Scan
from facepick.progress import (
    CancelToken,
    Progress,
    ProgressMeter,
    ProgressSink,
    never,
    no_progress,
)
from facepick.render.drawing import SegmentDrawer
from facepick.render.joining import Joiner
from facepick.render.made_of import NOTE, MadeOf
from facepick.render.nudity import NudityCheck, check_before_swap
from facepick.render.plan import RenderPlan
from facepick.render.publish import FinishedResult, refuse_existing
from facepick.render.report import is_review, review_of, sidecar_of
from facepick.render.retake import Retake, Takes
from facepick.render.segments import Segment, as_ranges, segments_to
from facepick.render.sessions import EngineWork, classroom_of, open_sessions
from facepick.render.sound import prepare_sound
from facepick.render.space import SpaceNeed, need_of
from facepick.render.target import check_target
from facepick.render.task import RenderTask, part_of
from facepick.unchanged import Pins, watching

__all__ = ["PreparedRender", "RenderResult", "Renderer"]

log = logging.getLogger("facepick.render")


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    """A finished render.

    Attributes:
        path: the video.
        report: the sidecar, or None when provenance was switched off.
        review: the page for people, or None when none was made.
        frames: number of output frames.
        changed: frames changed, by person id and flow.
        closed: those of them in which a mouth was only shut.
        left: frames left alone by reason, by person id and flow.
        left_out: what of the source could not be kept, a phrase each.
        unheard: speech for which the video is too short, `Unheard.to_json` each.
        segments, kept: how many segments it has, and how many of them are an earlier result's.
        notices: all that people should know of it, these two included.
    """

    path: Path
    report: Path | None
    review: Path | None
    frames: int
    changed: dict[str, int]
    closed: dict[str, int]
    left: dict[str, dict[str, int]]
    left_out: tuple[str, ...] = ()
    unheard: tuple[Mapping[str, Any], ...] = ()
    segments: int = 0
    kept: int = 0
    notices: tuple[Notice, ...] = ()

    @classmethod
    def of(cls, out: Path, finished: FinishedResult) -> RenderResult:
        """Describe a finished result, once it is published at `out`."""
        facts = finished.facts
        return cls(
            path=out,
            report=None if finished.report is None else sidecar_of(out),
            review=review_of(out) if is_review(review_of(out)) else None,
            frames=facts["frames"],
            changed=facts["changed"],
            closed=facts["closed"],
            left=facts["left"],
            left_out=tuple(facts["left_out"]),
            unheard=tuple(facts["unheard"]),
            segments=int(facts.get("segments", 0)),
            kept=int(facts.get("kept", 0)),
            notices=as_notices(facts["notices"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON, for the job's record."""
        return {
            "out": str(self.path),
            "report": None if self.report is None else str(self.report),
            "review": None if self.review is None else str(self.review),
            "frames": self.frames,
            "changed": self.changed,
            "closed": self.closed,
            "left": self.left,
            "left_out": list(self.left_out),
            "unheard": [dict(u) for u in self.unheard],
            "segments": self.segments,
            "kept": self.kept,
            "notices": [n.to_json() for n in self.notices],
        }


class Renderer:
    """Renderer of one plan.

    Args:
        plan: what to change.
        scan: the people of the plan's video.
        workspace: folder of this render alone; holds what a resumed render takes up again.
        registry: the engines.
        models: where model files are.
        device: see `EngineContext`.
        rest, change: see `facepick.render.sound.prepare_sound`.
        notices: what was found out when the plan was made.
        learned: folder of what was learnt from videos, see `LearnedStore`; None keeps nothing.
        quick: learn from no more of the footage than a part that is rendered alone needs.
        takes: folder of segments of earlier results, see `facepick.render.retake`; None keeps none.
        update_of: an earlier result, of which all that no change reaches is taken up.
    """

    def __init__(
        self,
        plan: RenderPlan,
        scan: Scan,
        *,
        workspace: Path,
        registry: EngineRegistry,
        models: ModelStore,
        device: str = "auto",
        rest: Path | None = None,
        change: SoundChange | None = None,
        notices: Sequence[Notice] = (),
        learned: Path | None = None,
        quick: bool = False,
        takes: Path | None = None,
        update_of: Path | None = None,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> None:
        plan.validate(scan, registry)
        self.notices = tuple(notices)
        self.learned_folder = learned
        self.quick = quick
        self._kept = 0
        self._pins = Pins((scan.video.path, *plan.input_files(registry)))
        self._pins.expect(scan.video.path, scan.content_hash)
        part = part_of(plan, scan)
        sound = prepare_sound(plan, scan, part, rest=rest, change=change, cancel=cancel)
        self._retake = Retake.of(
            plan, scan, sound, Takes(takes) if takes else None, update_of, cancel=cancel
        )
        self.task = RenderTask.of(
            plan,
            scan,
            sound=sound,
            segments=self._retake.segments,
            workspace=workspace,
            registry=registry,
            models=models,
            device=device,
            progress=progress,
            cancel=cancel,
        )

    @property
    def _note(self) -> Path:
        """File that says what the work in the workspace is made of."""
        return self.task.workspace / NOTE

    def space_needed(self, out: Path) -> SpaceNeed:
        """Estimate disk space for what is not rendered yet, in the workspace and at `out`."""
        task = self.task
        entries = task.plan.engines(task.scan, task.registry)
        return need_of(
            task.scan,
            task.plan.encode,
            frames=task.frames,
            meshes=sum(engine.spec.needs_mesh for _, engine, _ in entries),
            sound_seconds=float(task.sound.seconds) if task.sound.lines else 0.0,
            workspace=task.workspace,
            folder=out.parent,
        )

    def run(self, out: Path, *, force: bool = False) -> RenderResult:
        """Render everything that is not there yet and publish the result at `out`.

        Args:
            force: overwrite what lies there.

        Raises:
            Cancelled: stopped; the workspace keeps finished segments, `out` is untouched.
            TargetTaken: something lies at `out`; the workspace keeps the finished result.
            FacepickError: one sentence; `out` is untouched.
        """
        check_target(out, self.task.plan)
        refuse_existing(out, force=force)
        finished = self.finish(out.suffix)
        finished.publish(out, force=force, cancel=self.task.cancel)
        return RenderResult.of(out, finished)

    def finish(
        self, suffix: str, *, draw: Callable[[RenderTask], None] | None = None
    ) -> FinishedResult:
        """Render everything that is not there yet into the workspace.

        Args:
            suffix: of the result, with its dot.
            draw: lets others draw the segments of what is prepared; None draws them here.

        Raises:
            Cancelled: stopped; the workspace keeps finished segments.
            SourceChanged: a file that it is made of was replaced or written to meanwhile.
            FacepickError: one sentence.
        """
        if draw is not None:
            self.prepare(suffix, force=True)
            draw(self.task)
        with watching(self._pins), ExitStack() as stack:
            if draw is not None:
                prepared = self.open_prepared(stack)
            else:
                prepared = self._learnt(self._begin(self._encode_for(suffix)), stack)
                prepared.draw_missing()
            finished = prepared.join(suffix, kept=self._kept)
        self._retake.keep(finished.sha256, self.task)
        self._remove_work(keep_debug=True)
        return finished

    def draw_frame(self, source_frame: int) -> tuple[BgrImage, BgrImage]:
        """Draw one frame and give it before and after, (h, w, 3) uint8 BGR each.

        Raises:
            Cancelled: stopped.
            SourceChanged: a file that it is made of was replaced or written to meanwhile.
            FacepickError: one sentence.
        """
        at = int(np.flatnonzero(self.task.sources == source_frame)[0])
        with watching(self._pins), ExitStack() as stack:
            made_of = self._begin(self.task.plan.encode)
            return self._learnt(made_of, stack).drawer.draw_frame(at)

    # --- on several machines -----------------------------------------------------------------

    def prepare(self, suffix: str, *, force: bool = False) -> None:
        """Learn all that segments need, and keep it in the workspace.

        Args:
            suffix: of the result, with its dot; it decides how segments are encoded.
            force: drop segments that were made of something else.

        Raises:
            Cancelled: stopped; what was learnt is kept.
            UserInputError: such segments are there, and `force` is not given.
            SourceChanged: a file that it is made of was replaced or written to meanwhile.
            FacepickError: one sentence.
        """
        with watching(self._pins), ExitStack() as stack:
            encode = self._encode_for(suffix)
            self._learnt(self._begin(encode, keep=not force), stack)

    def open_prepared(self, stack: ExitStack) -> PreparedRender:
        """Open what `prepare` has left, on this machine or another one.

        Args:
            stack: closes it.

        Raises:
            UserInputError: nothing is prepared, or for another plan or version.
            SourceChanged: a file holds something else than when it was prepared.
            FacepickError: one sentence.
        """
        stack.enter_context(watching(self._pins))
        made_of = self._same_as_prepared()
        self.task = replace(self.task, segments=segments_to(made_of.stops))
        nudity = self._check_nudity()
        classroom = classroom_of(self.task, learned=None)
        classroom.open_learnt()
        return PreparedRender(
            self.task,
            open_sessions(classroom, stack),
            made_of=made_of,
            note=self._note,
            pins=self._pins,
            nudity=nudity,
            notices=self.notices,
        )

    def _same_as_prepared(self) -> MadeOf:
        task = self.task
        there = MadeOf.load(self._note)
        if there is None:
            raise UserInputError(
                f"Nothing is prepared in {task.workspace}.", hint="Prepare it first: --prepare."
            )
        self._pins.hash_all(cancel=task.cancel)
        now = MadeOf.of(
            task.plan, task.registry, self._pins, encode=there.encoder, stops=there.stops
        )
        if there.version != now.version:
            raise UserInputError(
                f"{task.workspace} was prepared by facepick {there.version}, and this is "
                f"{now.version}.",
                hint="Use one version on all machines, or prepare it again.",
            )
        if there.plan != now.plan:
            raise UserInputError(
                f"{task.workspace} was prepared for another plan.",
                hint="Give the plan and the options with which it was prepared.",
            )
        changed = there.changed_inputs(now)
        if changed:
            raise SourceChanged(
                f"{changed[0]} is not what it was when {task.workspace} was prepared.",
                hint="Bring the file back, or prepare it again.",
            )
        return there

    # --- steps -------------------------------------------------------------------------------

    def _encode_for(self, suffix: str) -> EncodeSettings:
        return self.task.plan.encode.for_output(f"result{suffix}", self.task.scan.video)

    def _check_nudity(self) -> NudityCheck | None:
        return check_before_swap(
            self.task.plan,
            self.task.scan,
            self.task.registry,
            self.task.models,
            note=self.task.workspace / "nudity.json",
            progress=self.task.progress,
            cancel=self.task.cancel,
        )

    def _begin(self, encode: EncodeSettings, *, keep: bool = False) -> MadeOf:
        """Begin anew where what an earlier run left was made of something else.

        Args:
            keep: refuse to, where there are segments.
        """
        self._pins.hash_all(cancel=self.task.cancel)
        task = self.task
        stops = tuple(segment.stop for segment in task.segments)
        made_of = MadeOf.of(task.plan, task.registry, self._pins, encode=encode, stops=stops)
        folder = self.task.store.folder
        if MadeOf.load(self._note) != made_of and (self._note.exists() or folder.exists()):
            if keep and any(folder.glob("*.nut")):
                raise UserInputError(
                    f"{folder.parent} holds segments of another plan, or of files that have "
                    "changed.",
                    hint="Take another folder, or drop them with --force.",
                )
            log.info("%s: something it is made of has changed; beginning anew", folder.parent)
            self._remove_work(keep_debug=False)
        write_json(self._note, made_of.to_json(), durable=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._kept = self._retake.take_up(self.task, made_of.encoder, self._pins)
        return made_of

    def _learnt(self, made_of: MadeOf, stack: ExitStack) -> PreparedRender:
        """Learn what is missing and open the engines."""
        self.task.progress(Progress(stage="load", done=0, total=1))
        nudity = self._check_nudity()
        classroom = classroom_of(self.task, learned=self.learned_folder, quick=self.quick)
        self.notices = (*self.notices, *classroom.learn())
        return PreparedRender(
            self.task,
            open_sessions(classroom, stack),
            made_of=made_of,
            note=self._note,
            pins=self._pins,
            nudity=nudity,
            notices=self.notices,
        )

    def _remove_work(self, *, keep_debug: bool) -> None:
        """Remove segments and what engines prepared."""
        workspace = self.task.workspace
        shutil.rmtree(self.task.store.folder, ignore_errors=True)
        for folder in workspace.glob("[0-9][0-9]-*"):
            # What an engine was asked to keep for looking at stays with the job.
            if keep_debug and (folder / "debug").is_dir():
                kept = workspace / f"debug-{folder.name}"
                shutil.rmtree(kept, ignore_errors=True)
                (folder / "debug").rename(kept)
            shutil.rmtree(folder, ignore_errors=True)


class PreparedRender:
    """A render whose engines have learnt and are open: its segments can be drawn and joined.

    Args:
        task: what is rendered.
        work: the open sessions of the engines.
        made_of: what it is made of.
        note: file that says so, for as long as that is true.
        pins: on the files that it is made of.
        nudity: what a look for nudity found, if there was one.
        notices: what was found out until now.
    """

    def __init__(
        self,
        task: RenderTask,
        work: Sequence[EngineWork],
        *,
        made_of: MadeOf,
        note: Path,
        pins: Pins,
        nudity: NudityCheck | None,
        notices: Sequence[Notice],
    ) -> None:
        self.task, self._made_of, self._note, self._pins = task, made_of, note, pins
        self.drawer = SegmentDrawer(
            task, work, encode=made_of.encoder, still_same=self._check_still_same
        )
        self._work, self._nudity, self._notices = work, nudity, notices

    def draw_missing(self, segments: Sequence[Segment] | None = None) -> list[Segment]:
        """Draw those segments that are not there yet.

        Args:
            segments: of the task; None for all.

        Returns:
            Those that were drawn.

        Raises:
            Cancelled: stopped; finished segments are kept.
            FacepickError: one sentence.
        """
        task = self.task
        missing = task.store.missing(task.segments if segments is None else segments)
        meter = ProgressMeter(task.progress, "render", task.frames)
        for segment in missing:
            task.cancel.raise_if_cancelled()
            meter.update(segment.start, force=True)
            self.drawer.draw(segment, meter)
        if segments is None:
            meter.update(task.frames)
        return missing

    def join(self, suffix: str, *, kept: int = 0) -> FinishedResult:
        """Join the segments as one finished result in the workspace.

        Args:
            suffix: of the result, with its dot.
            kept: how many segments are those of an earlier result.

        Raises:
            UserInputError: some segments are not there, or are encoded for another kind of file.
            SourceChanged: a file that it is made of is not what it was.
            Cancelled, RenderError.
        """
        task = self.task
        missing = task.store.missing(task.segments)
        if missing:
            names = as_ranges([segment.index for segment in missing])
            raise UserInputError(
                f"{len(missing)} of {len(task.segments)} segments are not there: {names}.",
                hint=f"Render them first: --segments {names}.",
            )
        wanted = task.plan.encode.for_output(f"result{suffix}", task.scan.video)
        if task.plan.encode.encoder != "hardware" and wanted != self._made_of.encoder:
            raise UserInputError(
                f"The segments are {self._made_of.encoder.encoder} video, and a {suffix} file "
                f"would get {wanted.encoder}.",
                hint="Give the result another suffix, or prepare it again for this one.",
            )
        self._check_still_same()
        return Joiner(
            task,
            self._work,
            pins=self._pins,
            nudity=self._nudity,
            notices=self._notices,
            kept=kept,
        ).join(suffix)

    def _check_still_same(self) -> None:
        self._pins.check()
        if MadeOf.load(self._note) != self._made_of:
            raise UserInputError(
                f"{self.task.workspace} was prepared anew meanwhile, for something else.",
                hint="Start again.",
            )
