"""Second pass: decode, let the engines change the picked faces, blend, encode, publish.

The work is cut into segments that depend on nothing but the plan and what the engines prepared.
A finished segment is kept in the workspace, so that a render that was stopped, or killed, goes
on where it was and ends with the same frames.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facepick import __version__
from facepick.compositing.patch import BgrImage, FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.engine import (
    Engine,
    EngineContext,
    EngineResult,
    EngineSession,
    EngineSpec,
)
from facepick.engines.registry import EngineRegistry
from facepick.errors import EngineError, RenderError, UserInputError
from facepick.faces.detection import Box, FloatArray
from facepick.files import read_json, write_json
from facepick.media.encode import container_of
from facepick.media.marks import read_marks
from facepick.media.reader import VideoReader
from facepick.media.timeline import constant_rate
from facepick.media.writer import SegmentWriter, join_segments
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore, sha256_of
from facepick.notices import Notice, as_notices, without_repeats
from facepick.people.person import Person, Scan
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.render.footage import PersonFootage
from facepick.render.label import LABEL_SECONDS, Label
from facepick.render.learned_store import LearnedStore
from facepick.render.learning import Classroom, Lesson
from facepick.render.notices import (
    Clock,
    cut_notices,
    end_notices,
    engine_notices,
    off_screen_notices,
    sound_notices,
    speech_notices,
)
from facepick.render.nudity import NudityCheck, check_before_swap
from facepick.render.pipeline import BackgroundConsumer, prefetched
from facepick.render.plan import Assignment, RenderPlan
from facepick.render.preview import PICTURES
from facepick.render.publish import FinishedResult, refuse_existing
from facepick.render.report import (
    DIGITAL_SOURCE_TYPE,
    FrameNote,
    Tally,
    build_report,
    container_metadata,
    is_review,
    review_of,
    sidecar_of,
    tallied,
)
from facepick.render.signing import check_signing, load_signing, sign_video
from facepick.render.sound import Sound, prepare_sound, video_seconds
from facepick.render.space import SpaceNeed, need_of
from facepick.settings import from_mapping, to_mapping
from facepick.speech.line import Speech
from facepick.unchanged import Pins, watching

if TYPE_CHECKING:
    from facepick.media.picture import Picture

__all__ = ["RenderResult", "Renderer", "check_target"]

log = logging.getLogger("facepick.render")

SEGMENT_FRAMES = 250
"""Frames of a segment: 10 s at 25 a second, the usual distance of keyframes, so that segments cost
no bits; at most this much work is lost when a job is killed."""

CUT_REACH_FRAMES = 60
"""A segment ends at a cut instead when one lies this near, where a keyframe is due anyhow."""

LEARNED_FRAMES = 750
"""How far around a part that is rendered alone (a preview) engines look at the person: 30 s at 25
frames a second on either side, so that a preview of seconds shows nearly what the whole will."""

BATCH_BYTES = 64 * 2**20
"""Decoded pictures that wait for one call of an engine: 16 at 1080p (3.1 MB each at 4:2:0, with
room for crops), 5 at 2160p."""

MAX_BATCH = 16
"""Beyond 8 faces a call no engine gains on a CPU; 16 leaves room on a GPU."""

BACKWARD_BLOCK = 24
"""Frames held at once while a clip plays backwards (`bounce`)."""

THUMBNAIL_EVERY = 50
"""Frames between two live thumbnails."""


NEIGHBOUR_REACH = 0.58
"""Half the side of the square around a neighbour that is kept, as a share of the face box's height.
The box spans brow to chin and eye corner to eye corner; against boxes drawn round whole heads, 99 %
of 5000 faces reach 0.59 to a side and 0.58 down at most."""


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
            "notices": [n.to_json() for n in self.notices],
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class _Work:
    """One engine at work on one person."""

    assignment: Assignment
    engine: Engine
    person: Person
    footage: PersonFootage
    session: EngineSession


@dataclass(frozen=True)
class Segment:
    """Output frames ``start <= i < stop``."""

    index: int
    start: int
    stop: int


class Renderer:
    """Renderer of one plan.

    Args:
        plan: what to change.
        scan: the people of the plan's video.
        workspace: folder of this render alone; holds what a resumed render takes up again.
        registry: the engines.
        models: where model files are.
        device: see `EngineContext`.
        rest: see `facepick.render.sound.prepare_sound`.
        notices: what was found out when the plan was made.
        learned: folder of what was learnt from videos, see `LearnedStore`; None keeps nothing.
        quick: learn from no more of the footage than a part that is rendered alone needs.
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
        notices: Sequence[Notice] = (),
        learned: Path | None = None,
        quick: bool = False,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> None:
        plan.validate(scan, registry)
        self.plan = plan
        self.scan = scan
        self.workspace = workspace
        self.registry = registry
        self.models = models
        self.device = device
        self.notices = tuple(notices)
        self.learned_folder = learned
        self.quick = quick
        self.progress = progress
        self.cancel = cancel
        stop = scan.frames if plan.stop is None else min(plan.stop, scan.frames)
        self.part = (plan.start, stop)
        self.learned = (
            max(0, plan.start - LEARNED_FRAMES),
            min(scan.frames, stop + LEARNED_FRAMES),
        )
        """The part of the source that engines learn from."""
        self._pins = Pins((scan.video.path, *plan.input_files(registry)))
        self._pins.expect(scan.video.path, scan.content_hash)
        self.sound: Sound = prepare_sound(plan, scan, self.part, rest=rest, cancel=cancel)
        self.sources = self.sound.source_frames
        """(n,) int64: for every output frame the source frame whose picture it shows."""
        self.segments = segments_of(scan, self.sources)
        self._drawn_label: Label | None = None
        self._live: str | None = None
        self._next_thumbnail = 0
        self._encode = plan.encode
        self._nudity: NudityCheck | None = None
        base, likely = self.sound.info.time_base, scan.video.average_rate
        self._rate = constant_rate(self.sound.pts, base, likely)

    @property
    def frames(self) -> int:
        """Number of output frames."""
        return len(self.sources)

    def space_needed(self, out: Path) -> SpaceNeed:
        """Estimate disk space for what is not rendered yet, in the workspace and at `out`."""
        entries = self.plan.engines(self.scan, self.registry)
        return need_of(
            self.scan,
            self.plan.encode,
            frames=self.frames,
            meshes=sum(engine.spec.needs_mesh for _, engine, _ in entries),
            sound_seconds=float(self.sound.seconds) if self.sound.lines else 0.0,
            workspace=self.workspace,
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
        check_target(out, self.plan)
        refuse_existing(out, force=force)
        finished = self.finish(out.suffix)
        finished.publish(out, force=force, cancel=self.cancel)
        return RenderResult.of(out, finished)

    def finish(self, suffix: str) -> FinishedResult:
        """Render everything that is not there yet into the workspace.

        Args:
            suffix: of the result, with its dot.

        Raises:
            Cancelled: stopped; the workspace keeps finished segments.
            SourceChanged: a file that it is made of was replaced or written to meanwhile.
            FacepickError: one sentence.
        """
        with watching(self._pins):
            return self._finish(suffix)

    def draw_frame(self, source_frame: int) -> tuple[BgrImage, BgrImage]:
        """Draw one frame and give it before and after, (h, w, 3) uint8 BGR each.

        Raises:
            Cancelled: stopped.
            SourceChanged: a file that it is made of was replaced or written to meanwhile.
            FacepickError: one sentence.
        """
        at = int(np.flatnonzero(self.sources == source_frame)[0])
        with watching(self._pins), ExitStack() as stack:
            self._drop_other_work()
            self._check_nudity()
            work = self._open(stack)
            batch = list(self._pictures(range(at, at + 1)))
            picture = batch[0][2]
            before = picture.bgr().copy()
            for item in work:
                for _ in self._apply(item, batch):
                    pass
            self._label(batch)
            return before, picture.bgr().copy()

    def _finish(self, suffix: str) -> FinishedResult:
        self._encode = self.plan.encode.for_output(f"result{suffix}", self.scan.video)
        self._drop_other_work()
        (self.workspace / "segments").mkdir(parents=True, exist_ok=True)
        self._check_nudity()
        with ExitStack() as stack:
            work = self._open(stack)
            self._render_missing(work)
            reports = [item.session.report() for item in work]
        return self._joined(suffix, work, reports)

    def _check_nudity(self) -> None:
        self._nudity = check_before_swap(
            self.plan,
            self.scan,
            self.registry,
            self.models,
            note=self.workspace / "nudity.json",
            progress=self.progress,
            cancel=self.cancel,
        )

    def _drop_other_work(self) -> None:
        """Begin anew where what an earlier run left was made of something else.

        A photo or a recording may have been replaced since, `hardware` may stand for another
        encoder on another machine, and another version may draw otherwise: a result must not be
        half one and half the other.
        """
        self._pins.hash_all(cancel=self.cancel)
        made_of = {
            "version": __version__,
            "encode": to_mapping(self._encode),
            "inputs": {
                name: self._pins.hashes[os.path.abspath(name)]
                for name in self.plan.input_files(self.registry)
            },
        }
        note = self.workspace / "made_of.json"
        try:
            same = read_json(note) == made_of
        except (OSError, ValueError):
            same = not (self.workspace / "segments").exists()
        if not same:
            log.info("%s: something it is made of has changed; beginning anew", self.workspace)
            self._remove_work(keep_debug=False)
        write_json(note, made_of, durable=True)

    # --- engines ---------------------------------------------------------------------------

    def _open(self, stack: ExitStack) -> list[_Work]:
        lessons = [
            self._lesson(number, *entry)
            for number, entry in enumerate(self.plan.engines(self.scan, self.registry))
        ]
        learned = Classroom(
            self.scan,
            lessons,
            part=self.part,
            window=self.learned,
            quick=self.quick,
            store=LearnedStore(self.learned_folder),
            models=self.models,
            progress=self.progress,
            cancel=self.cancel,
        ).learn()
        self.notices = (*self.notices, *learned)
        return [
            _Work(
                assignment=lesson.assignment,
                engine=lesson.engine,
                person=lesson.context.person,
                footage=lesson.footage,
                session=stack.enter_context(closing(lesson.engine.open(lesson.context))),
            )
            for lesson in lessons
        ]

    def _lesson(
        self, number: int, assignment: Assignment, engine: Engine, person: Person
    ) -> Lesson:
        folder = self.workspace / f"{number:02d}-{assignment.flow}-{person.id}"
        folder.mkdir(parents=True, exist_ok=True)
        hidden: set[str] = set()
        if assignment.selection.everyone_but:
            # Of two who are both hidden neither is spared: no ear shows between two masks.
            hidden = {p.id for p in assignment.selection.resolve(self.scan)}
        footage = PersonFootage(self.scan, person, engine.spec, folder, hidden=hidden)
        context = EngineContext(
            settings=from_mapping(engine.spec.settings, assignment.settings),
            scan=self.scan,
            person=person,
            frames=self.frames,
            source_frames=self.sources,
            times=self.sound.times,
            workspace=folder,
            models=self.models,
            device=self.device,
            speech=self._speech(assignment),
            source=assignment.source,
            footage=lambda: footage.stream(self.learned, self.cancel),
            footage_of=lambda frames: footage.stream_of(frames, self.cancel),
            progress=self.progress,
            cancel=self.cancel,
        )
        return Lesson(assignment, engine, footage, context)

    def _speech(self, assignment: Assignment) -> Speech | None:
        return self.sound.speech_of(assignment) if self.plan.lines_of(assignment) else None

    # --- segments --------------------------------------------------------------------------

    def _video_file(self, segment: Segment) -> Path:
        return self.workspace / "segments" / f"{segment.index:05d}.nut"

    def _notes_file(self, segment: Segment) -> Path:
        return self.workspace / "segments" / f"{segment.index:05d}.json"

    def _is_finished(self, segment: Segment) -> bool:
        # The notes are written before the video gets its final name: both there means whole.
        if not self._video_file(segment).is_file():
            return False
        try:
            return isinstance(read_json(self._notes_file(segment)), list)
        except (OSError, ValueError):
            return False

    def _render_missing(self, work: Sequence[_Work]) -> None:
        meter = ProgressMeter(self.progress, "render", self.frames)
        for segment in self.segments:
            self.cancel.raise_if_cancelled()
            if self._is_finished(segment):
                continue
            meter.update(segment.start, force=True)
            self._render_segment(segment, work, meter)
        meter.update(self.frames)

    def _render_segment(
        self, segment: Segment, work: Sequence[_Work], meter: ProgressMeter
    ) -> None:
        notes: list[dict[str, Any]] = []
        writer = SegmentWriter(
            self._video_file(segment),
            info=self.sound.info,
            encode=self._encode,
            rate=self._rate,
        )
        try:
            encoding: BackgroundConsumer[tuple[Picture, int]] = BackgroundConsumer(
                lambda item: writer.write(*item), depth=self._batch_size
            )
            with encoding as encoder:
                for batch in self._batches(segment):
                    self.cancel.raise_if_cancelled()
                    for item in work:
                        notes.extend(self._apply(item, batch))
                    self._label(batch)
                    for output_frame, _, picture in batch:
                        encoder.put((picture, self.sound.pts[output_frame]))
                    last = batch[-1]
                    self._keep_thumbnail(last[0], last[2])
                    meter.update(last[0] + 1, thumbnail=self._live)
            self._pins.check()
            write_json(self._notes_file(segment), notes, durable=True)
            writer.close()
        except BaseException:
            writer.abort()
            raise

    @property
    def _batch_size(self) -> int:
        video = self.scan.video
        return max(1, min(MAX_BATCH, BATCH_BYTES // (video.width * video.height * 2)))

    def _batches(self, segment: Segment) -> Iterator[list[tuple[int, int, Picture]]]:
        size = self._batch_size
        wanted = range(segment.start, segment.stop)
        pictures = prefetched(self._pictures(wanted), depth=size)
        batch: list[tuple[int, int, Picture]] = []
        with closing(pictures):  # type: ignore[type-var]
            for item in pictures:
                batch.append(item)
                if len(batch) == size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _pictures(self, output_frames: range) -> Iterator[tuple[int, int, Picture]]:
        """Yield (output frame, source frame, picture of its own) in output order."""
        sources = self.sources[output_frames.start : output_frames.stop]
        at = 0
        while at < len(sources):
            run = _run_length(sources, at)
            first, last = int(sources[at]), int(sources[at + run - 1])
            if last < first:
                run = min(run, BACKWARD_BLOCK)
                last = int(sources[at + run - 1])
            held = self._decode(min(first, last), max(first, last) + 1)
            if last < first:
                held = iter(list(held)[::-1])
            still: Picture | None = None
            if last == first:
                still = next(held)
            for k in range(run):
                self.cancel.raise_if_cancelled()
                picture = next(held) if still is None else still.copy()
                yield output_frames.start + at + k, int(sources[at + k]), picture
            at += run

    def _decode(self, start: int, stop: int) -> Iterator[Picture]:
        with VideoReader(self.scan.video.path, info=self.scan.video, cancel=self.cancel) as reader:
            expected = start
            for frame in reader.frames(start=start, pts=self.scan.pts.tolist()):
                if frame.index != expected:
                    break
                yield frame.picture
                expected += 1
                if expected >= stop:
                    return
        raise RenderError(
            f"{self.scan.video.path.name} gave other frames than when it was scanned "
            f"(frame {expected} is missing).",
            hint="The file has changed or is damaged; scan it again.",
        )

    def _apply(
        self, item: _Work, batch: Sequence[tuple[int, int, Picture]]
    ) -> Iterator[dict[str, Any]]:
        from facepick.compositing.compositor import composite

        requests: list[FaceRequest] = []
        owners: list[int] = []
        for row, (output_frame, source_frame, picture) in enumerate(batch):
            found = item.footage.requests(
                source_frame,
                picture,
                output_frame=output_frame,
                time=self.sound.time_of(output_frame),
            )
            requests.extend(found)
            owners.extend([row] * len(found))
        results: list[EngineResult] = item.session.process(requests) if requests else []
        if len(results) != len(requests):
            raise EngineError(
                f"The engine {item.engine.spec.id} gave {len(results)} answers "
                f"to {len(requests)} requests."
            )
        for row, (output_frame, _, picture) in enumerate(batch):
            mine = [i for i, owner in enumerate(owners) if owner == row]
            patches = [
                guarded(answer, requests[i])
                for i in mine
                if isinstance(answer := results[i], FacePatch)
            ]
            box = composite(picture, patches) if patches else None
            note = FrameNote(
                frame=output_frame,
                person=item.person.id,
                flow=item.engine.spec.flow,
                engine=item.engine.spec.id,
                done=box is not None,
                reason=None if box is not None else _reason([results[i] for i in mine]),
                box=None if box is None else whole_box(box),
                guessed=bool(mine) and all(requests[i].seen == BRIDGED for i in mine),
                kind=next(
                    (p.kind for p in patches if p.kind is not PatchKind.DRAWN), PatchKind.DRAWN
                ),
                note=" ".join(p.note for p in patches if p.note),
            )
            yield {"frame": output_frame, "engine": note.engine, **note.to_json()}

    def _label(self, batch: Sequence[tuple[int, int, Picture]]) -> None:
        language = self.plan.output.label_card
        if language == "off":
            return
        if self._drawn_label is None:
            self._drawn_label = Label(language)
        for output_frame, _, picture in batch:
            if self.sound.time_of(output_frame) < LABEL_SECONDS:
                self._drawn_label.draw(picture)

    def _keep_thumbnail(self, output_frame: int, picture: Picture) -> None:
        """Write the newest picture now and then, for whoever watches."""
        if self._live is not None and output_frame < self._next_thumbnail:
            return
        import cv2

        small, _ = picture.small(360)
        done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
        if not done:
            return
        path = self.workspace / "live.jpg"
        part = self.workspace / "live.part.jpg"
        part.write_bytes(data.tobytes())
        part.replace(path)
        self._live = str(path)
        self._next_thumbnail = output_frame + THUMBNAIL_EVERY

    # --- publishing ------------------------------------------------------------------------

    def _notes(self) -> Iterator[list[FrameNote]]:
        """Yield what became of everybody, frame by frame; only a segment's is in memory."""
        for segment in self.segments:
            notes: list[list[FrameNote]] = [[] for _ in range(segment.start, segment.stop)]
            for row in read_json(self._notes_file(segment)):
                note = FrameNote.from_json(row["frame"], row["engine"], row)
                notes[note.frame - segment.start].append(note)
            yield from notes

    def _report_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the "frames" of the report."""
        for frame, notes in enumerate(self._notes()):
            row: dict[str, Any] = {"frame": frame, "time": str(self.sound.time_of(frame))}
            if self.sound.stretch != 1:
                row["source_time"] = str(self._filmed_at(frame))
            yield {**row, "changes": [note.to_json() for note in notes]}

    def _filmed_at(self, output_frame: int) -> Fraction:
        """Compute the seconds into the source at which the picture of an output frame was
        filmed."""
        pts = self.scan.pts
        ticks = int(pts[self.sources[output_frame]]) - int(pts[0])
        return ticks * self.scan.video.time_base

    def _joined(
        self, suffix: str, work: Sequence[_Work], reports: Sequence[Mapping[str, Any]]
    ) -> FinishedResult:
        """Join segments, sound and report as one finished result in the workspace."""
        meter = ProgressMeter(self.progress, "publish", None)
        meter.update(0, force=True)
        pairs = [(item.engine.spec, item.person) for item in work]

        def write(video: Path) -> tuple[str, ...]:
            left_out = join_segments(
                [self._video_file(s) for s in self.segments],
                out=video,
                info=self.sound.info,
                pts=self.sound.pts,
                duration_pts=self.sound.last_duration_pts,
                audio=self.sound.audio(video, cancel=self.cancel),
                metadata=container_metadata(self.plan, pairs, read_marks(self.scan.video.path)),
                origin=self.sound.origin,
                stop=self.sound.stop,
                stretch=self.sound.stretch,
                cancel=self.cancel,
            )
            self._sign(video, pairs)
            # What was read before the first look at the files, and while nobody looked, counts too.
            self._pins.verify(cancel=self.cancel)
            return left_out

        def describe(
            left_out: tuple[str, ...], digest: str
        ) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
            tallies = tallied(note for notes in self._notes() for note in notes)
            unheard = [u.to_json() for u in self.sound.unheard]
            notices = self._all_notices(work, reports, tallies, left_out)
            facts = _facts(self.frames, tallies, left_out, unheard)
            facts["notices"] = [n.to_json() for n in notices]
            if not self.plan.output.provenance:
                return facts, None
            return facts, build_report(
                plan=self.plan,
                scan=self.scan,
                work=pairs,
                tallies=tallies,
                frames=self.frames,
                result_hash=digest,
                models=self._models(work, reports),
                engine_reports=reports,
                left_out=left_out,
                unheard=unheard,
                stretch=self.sound.stretch,
                notices=notices,
                nudity=None if self._nudity is None else self._nudity.to_json(),
            )

        finished = FinishedResult.make(
            self.workspace / "finished",
            suffix,
            write,
            describe,
            frames=self._report_rows(),
            cancel=self.cancel,
        )
        self._remove_work(keep_debug=True)
        return finished

    def _sign(self, video: Path, pairs: Sequence[tuple[EngineSpec, Person]]) -> None:
        output = self.plan.output
        settings = load_signing()
        if not (output.provenance and output.sign and settings.active):
            return
        sign_video(
            settings,
            video,
            source=self.scan.video.path,
            digital_source_type=DIGITAL_SOURCE_TYPE if any(s.synthetic for s, _ in pairs) else None,
        )

    @property
    def _clock(self) -> Clock:
        """Clock of what is shown when, on the clock of the plan's lines."""
        pts = self.scan.pts
        begin = float(int(pts[self.part[0]] - pts[0]) * self.scan.video.time_base)
        return Clock(
            times=self.sound.times + begin,
            sources=self.sources,
            end=float(self.sound.seconds) + begin,
        )

    def _all_notices(
        self,
        work: Sequence[_Work],
        reports: Sequence[Mapping[str, Any]],
        tallies: Mapping[tuple[str, str], Tally],
        left_out: Sequence[str],
    ) -> tuple[Notice, ...]:
        """Collect all that people should know, in the order in which it came to be known."""
        speaking = {
            item.person.id: item.person for item in work if self.plan.lines_of(item.assignment)
        }
        told = (
            engine_notices(report, item.person) for item, report in zip(work, reports, strict=True)
        )
        return without_repeats(
            (
                # What is cut off was told by the length that the file declares; now it is known.
                *(notice for notice in self.notices if notice.code != "speech_cut"),
                *speech_notices(self.plan, self.registry),
                *sound_notices(
                    self.plan,
                    video_seconds(self.scan),
                    has_sound=bool(self.scan.video.audio),
                    cancel=self.cancel,
                ),
                *cut_notices(self.sound.unheard),
                *off_screen_notices(
                    self.plan.assignments, self.scan, clock=self._clock, cancel=self.cancel
                ),
                *(notice for group in told for notice in group),
                *end_notices(self.scan, tallies, left_out, speaking),
            )
        )

    def _models(
        self, work: Sequence[_Work], reports: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        from facepick.models import catalog

        specs = {spec.id: spec for spec in (catalog.YUNET, catalog.SFACE)}
        used: dict[str, dict[str, Any]] = {}
        for item, report in zip(work, reports, strict=True):
            if "checkpoint" in report:
                # The engine took a file by its content or by a setting.
                first = item.engine.spec.models[0].id
                used[first] = {"file": report["checkpoint"], "sha256": report["checkpoint_sha256"]}
            if item.engine.spec.needs_mesh:
                specs[catalog.FACE_MESH.id] = catalog.FACE_MESH
            settings = from_mapping(item.engine.spec.settings, item.assignment.settings)
            in_use = item.engine.models_in_use(settings, self.models)
            specs.update({spec.id: spec for spec in in_use})
        if self._nudity is not None:
            specs[catalog.OPEN_NSFW.id] = catalog.OPEN_NSFW
        return [
            {"id": spec.id, **(used.get(spec.id) or self._file(spec)), "licence": spec.licence}
            for spec in specs.values()
        ]

    def _file(self, spec: ModelSpec) -> dict[str, Any]:
        """Identify a file by name and sha256, and by version where it circulates in several."""
        path = None if spec.sha256 else self.models.find(spec)
        if path is None:
            return {"file": spec.file, "sha256": spec.sha256}
        return {"file": path.name, "sha256": sha256_of(path, cancel=self.cancel)}

    def _remove_work(self, *, keep_debug: bool) -> None:
        """Remove segments and what engines prepared."""
        shutil.rmtree(self.workspace / "segments", ignore_errors=True)
        for folder in self.workspace.glob("[0-9][0-9]-*"):
            # What an engine was asked to keep for looking at stays with the job.
            if keep_debug and (folder / "debug").is_dir():
                kept = self.workspace / f"debug-{folder.name}"
                shutil.rmtree(kept, ignore_errors=True)
                (folder / "debug").rename(kept)
            shutil.rmtree(folder, ignore_errors=True)


def _facts(
    frames: int,
    tallies: Mapping[tuple[str, str], Tally],
    left_out: Sequence[str],
    unheard: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Collect what the job tells of a result."""
    named = {f"{person} {flow}": tally for (person, flow), tally in tallies.items()}
    return {
        "frames": frames,
        "changed": {name: tally.frames_changed for name, tally in named.items()},
        "closed": {n: tally.frames_closed for n, tally in named.items() if tally.frames_closed},
        "left": {name: dict(tally.left.most_common()) for name, tally in named.items()},
        "left_out": list(left_out),
        "unheard": [dict(u) for u in unheard],
    }


def check_target(
    out: Path, plan: RenderPlan, *, picture: bool = False, home: Path | None = None
) -> None:
    """Check that a result can be written to `out` without losing anything of the user's.

    Args:
        picture: it is a picture of one frame.
        home: folder with the settings of signing; that of the environment when None.

    Raises:
        UserInputError: no folder, a name that cannot be, or one of the files it is made of.
        SettingsError: facepick does not write files with this suffix, or they cannot hold what
            the encoder makes, or the audio codec that is asked for.
    """
    if picture and out.suffix.lower() not in PICTURES:
        raise UserInputError(
            f"A preview of one frame is a picture, which {out.name!r} does not name.",
            hint="Give a name that ends in .png or .jpg.",
        )
    if not picture:
        plan.encode.for_output(out)
        plan.encode.audio_encoder(container_of(out), lossless=False)
        if plan.output.provenance and plan.output.sign:
            check_signing(load_signing(home), out)
    try:
        if out.is_dir():
            raise UserInputError(f"{out} is a folder.", hint="Give a file name, such as out.mp4.")
        if not out.parent.is_dir():
            raise UserInputError(f"There is no folder {out.parent}.", hint="Make it first.")
        os.stat(sidecar_of(out))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UserInputError(
            f"A result cannot be called {out.name[:80]!r} ({error.strerror}).",
            hint="Give it a shorter name.",
        ) from error
    if not os.access(out.parent, os.W_OK):
        raise UserInputError(
            f"Nothing can be written into {out.parent}.", hint="Choose another folder."
        )
    for name in (plan.video, *plan.files()):
        path = Path(name)
        if out.exists() and path.exists() and out.samefile(path):
            raise UserInputError(
                f"The result would overwrite {path.name}, which it is made of.",
                hint="Give another name with -o.",
            )


def guarded(patch: FacePatch, request: FaceRequest) -> FacePatch:
    """Cut the pixels that belong to somebody else out of the patch.

    Around another person's face, and outside the picked person's own box, nothing is written:
    a wide mask must never reach over to a neighbour.
    """
    x, y = patch.origin
    height, width = patch.alpha.shape
    alpha: FloatArray | None = None
    for face in request.others:
        (cx, cy), reach = face.center, face.height * NEIGHBOUR_REACH
        other = Box(cx - reach, cy - reach, cx + reach, cy + reach)
        x0, y0 = max(0, int(np.floor(other.x0)) - x), max(0, int(np.floor(other.y0)) - y)
        x1, y1 = min(width, int(np.ceil(other.x1)) - x), min(height, int(np.ceil(other.y1)) - y)
        if x1 <= x0 or y1 <= y0:
            continue
        if alpha is None:
            alpha = patch.alpha.copy()
        own = request.box
        ox0, oy0 = max(0, int(np.floor(own.x0)) - x), max(0, int(np.floor(own.y0)) - y)
        ox1, oy1 = max(0, int(np.ceil(own.x1)) - x), max(0, int(np.ceil(own.y1)) - y)
        kept = alpha[oy0:oy1, ox0:ox1].copy()
        alpha[y0:y1, x0:x1] = 0.0
        alpha[oy0:oy1, ox0:ox1] = kept
    if alpha is None:
        return patch
    return replace(patch, alpha=alpha)


def whole_box(box: Box) -> tuple[int, int, int, int]:
    return round(box.x0), round(box.y0), round(box.x1), round(box.y1)


def _reason(results: Sequence[EngineResult]) -> str:
    if not results:
        return Reason.ABSENT.value
    for result in results:
        if isinstance(result, Reason):
            return result.value
    return Reason.LOW_CONFIDENCE.value


def _run_length(sources: np.ndarray[Any, Any], at: int) -> int:
    """Measure the stretch from `at` that goes forward, stands still, or goes backward."""
    if at + 1 >= len(sources):
        return 1
    step = int(sources[at + 1] - sources[at])
    if step not in (-1, 0, 1):
        return 1
    run = 2
    while at + run < len(sources) and int(sources[at + run] - sources[at + run - 1]) == step:
        run += 1
    return run


def segments_of(scan: Scan, sources: np.ndarray[Any, Any]) -> tuple[Segment, ...]:
    """Cut the output into segments of about `SEGMENT_FRAMES`, at cuts where one is near."""
    count = len(sources)
    cuts = {shot.start for shot in scan.shots}
    found: list[Segment] = []
    start = 0
    while start < count:
        stop = min(count, start + SEGMENT_FRAMES)
        if stop < count:
            near = sorted(
                range(max(start + 1, stop - CUT_REACH_FRAMES), min(count, stop + CUT_REACH_FRAMES)),
                key=lambda i: abs(i - stop),
            )
            stop = next((i for i in near if int(sources[i]) in cuts), stop)
        found.append(Segment(len(found), start, stop))
        start = stop
    return tuple(found)
