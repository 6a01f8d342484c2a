"""Work folder: a render whose segments any process draws, on any machine that sees the folder.

``work.json`` says that all is prepared, and lists the segments; ``scan/`` holds the people,
``made_of.json`` what the work is made of, ``NN-FLOW-PERSON/`` what engines have learnt, and
``segments/`` what is finished.  Nothing in it depends on where files lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick.files import read_json, write_json
from facepick.jobs.executors import Spread, draw_all, open_executor
from facepick.jobs.preparation import REST, Preparation
from facepick.jobs.resources import Resources
from facepick.locks import FileLock
from facepick.notices import Notice, as_notices
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.render.places import check_places
from facepick.render.plan import RenderPlan
from facepick.render.publish import refuse_existing
from facepick.render.renderer import PreparedRender, RenderResult
from facepick.render.segments import SEGMENTS, Segment, SegmentStore, numbers_of
from facepick.render.space import check_space
from facepick.render.target import check_target
from facepick.render.task import RenderTask
from facepick.unchanged import pinned

__all__ = ["WorkFolder"]

FORMAT = "facepick-work/1"
_NOTE = "work.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class WorkFolder:
    """Folder in which one plan is rendered by several processes.

    Attributes:
        folder: where; on another machine it may have another name.
        plan: what is to be done, with its files where this machine sees them.
        resources: what the work is done with.
        separator: what takes voices out of the original, where the plan wants it.
    """

    folder: Path
    plan: RenderPlan
    resources: Resources
    separator: str | None = None
    progress: ProgressSink = no_progress
    cancel: CancelToken = never

    def prepare(
        self, suffix: str, notices: Sequence[Notice] = (), *, force: bool = False
    ) -> dict[str, Any]:
        """Find the people and let engines learn; what is there already is kept.

        Args:
            suffix: of the result, with its dot.
            notices: what was found out when the plan was made; told with the result.
            force: drop segments that were made of something else.

        Returns:
            Description of the segments, see `describe`.

        Raises:
            Cancelled: stopped; what was learnt is kept.
            UserInputError: another process prepares it, or segments of something else are there.
            FacepickError: one sentence.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone("prepared"), pinned(self._inputs):
            check_places(self.plan)
            preparation = self._preparation(None)
            found = self.plan.scan_of_all(preparation.frozen_scan())
            renderer = preparation.sharing(found).renderer(found, notices=notices)
            check_space(renderer.space_needed(self.folder / "result"), self.folder, self.folder)
            renderer.prepare(suffix, force=force)
            self._write_note(renderer.task, suffix, renderer.notices)
            return describe(renderer.task, suffix)

    def draw(self, ranges: str, spread: Spread | None = None) -> tuple[list[int], list[int]]:
        """Draw segments.

        Args:
            ranges: which, see `facepick.render.segments.numbers_of`.
            spread: over workers; None draws them in this process.

        Returns:
            Numbers of those that were drawn, and of those that were there.

        Raises:
            UserInputError: nothing is prepared, or for something else; there is no such segment.
            SourceChanged: a file holds something else than when it was prepared.
            Cancelled: stopped; finished segments are kept.
            FacepickError: one sentence.
        """
        segments = [
            Segment(at, entry["start"], entry["start"] + entry["frames"])
            for at, entry in enumerate(self._note()["segments"])
        ]
        wanted = [segments[number] for number in numbers_of(ranges, len(segments))]
        store = SegmentStore(self.folder / SEGMENTS)
        missing = [segment.index for segment in store.missing(wanted)]
        if spread is None or spread.is_one_process:
            with ExitStack() as stack:
                self.open(stack).draw_missing(wanted)
        else:
            with open_executor(spread, self.folder, self.plan.to_json(), self.cancel) as executor:
                draw_all(executor, wanted, store, progress=self.progress, cancel=self.cancel)
        return missing, [s.index for s in wanted if s.index not in missing]

    def join(self, out: Path, *, force: bool = False) -> RenderResult:
        """Join the segments and publish the result; the folder keeps what it holds.

        Args:
            force: overwrite what lies there.

        Raises:
            UserInputError: nothing is prepared, or for something else; segments are not there.
            TargetTaken: something lies at `out`.
            Cancelled, FacepickError: one sentence; `out` is untouched.
        """
        notices = as_notices(self._note().get("notices"))
        check_target(out, self.plan)
        refuse_existing(out, force=force)
        with self._alone("joined"), ExitStack() as stack:
            finished = self.open(stack, notices).join(out.suffix)
            self._preparation(None).write_review(finished, out)
            finished.publish(out, force=force, cancel=self.cancel)
            return RenderResult.of(out, finished)

    def open(self, stack: ExitStack, notices: Sequence[Notice] = ()) -> PreparedRender:
        """Open what is prepared, for a process that draws or joins it.

        Args:
            stack: closes it.
            notices: what was found out when it was prepared.

        Raises:
            What `draw` raises.
        """
        self._check_seen()
        check_places(self.plan)
        rest = self.folder / REST
        preparation = self._preparation(rest if rest.is_file() else None)
        found = self.plan.scan_of_all(preparation.frozen_scan())
        renderer = preparation.renderer(found, notices=notices)
        return renderer.open_prepared(stack)

    @property
    def _inputs(self) -> tuple[str, ...]:
        return (self.plan.video, *self.plan.input_files(self.resources.registry))

    def _preparation(self, rest: Path | None) -> Preparation:
        return Preparation(
            plan=self.plan,
            folder=self.folder,
            began=f"{self.folder} was prepared",
            resources=self.resources,
            separator=self.separator,
            progress=self.progress,
            cancel=self.cancel,
            rest=rest,
        )

    def _write_note(self, task: RenderTask, suffix: str, notices: Sequence[Notice]) -> None:
        told = [notice.to_json() for notice in notices]
        write_json(self.folder / _NOTE, {**describe(task, suffix), "notices": told}, durable=True)

    def _note(self) -> dict[str, Any]:
        self._check_seen()
        try:
            note = read_json(self.folder / _NOTE)
            if note["format"] == FORMAT and isinstance(note["segments"], list):
                return dict(note)
        except (OSError, ValueError, TypeError, KeyError):
            pass
        raise UserInputError(
            f"Nothing is prepared in {self.folder}.", hint="Prepare it first: --prepare."
        )

    def _check_seen(self) -> None:
        if not self.folder.is_dir():
            raise UserInputError(
                f"{self.folder} is not seen from this machine.",
                hint="Mount it or copy it here, or prepare it first: --prepare.",
            )

    @contextmanager
    def _alone(self, doing: str) -> Iterator[None]:
        lock = FileLock(self.folder / "lock")
        if not lock.take():
            raise UserInputError(
                f"{self.folder} is being {doing} by another process.", hint="Wait until it is done."
            )
        try:
            yield
        finally:
            lock.free()


def describe(task: RenderTask, suffix: str) -> dict[str, Any]:
    """Describe the segments of a task, format ``facepick-work/1``.

    ``seconds`` is how long a segment plays, ``done`` whether it is there.
    """
    sound = task.sound
    ends = [*(sound.time_of(s.start) for s in task.segments), sound.seconds]
    return {
        "format": FORMAT,
        "suffix": suffix,
        "frames": task.frames,
        "segments": [
            {
                "segment": segment.index,
                "start": segment.start,
                "frames": segment.stop - segment.start,
                "seconds": round(float(ends[segment.index + 1] - ends[segment.index]), 3),
                "done": task.store.is_finished(segment),
            }
            for segment in task.segments
        ],
    }
