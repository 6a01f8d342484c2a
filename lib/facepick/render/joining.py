"""Joining of segments, sound and report as one finished result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from facepick.engines.engine import CountingSession
from facepick.media.marks import read_marks
from facepick.media.writer import join_segments
from facepick.models.spec import ModelSpec
from facepick.models.store import sha256_of
from facepick.notices import Notice, without_repeats
from facepick.progress import ProgressMeter
from facepick.render.notices import (
    Clock,
    cut_notices,
    end_notices,
    engine_notices,
    off_screen_notices,
    sound_notices,
    speech_notices,
)
from facepick.render.nudity import NudityCheck
from facepick.render.publish import FinishedResult
from facepick.render.report import (
    DIGITAL_SOURCE_TYPE,
    Tally,
    build_report,
    container_metadata,
    tallied,
)
from facepick.render.sessions import EngineWork
from facepick.render.signing import load_signing, sign_video
from facepick.render.sound import video_seconds
from facepick.render.task import RenderTask
from facepick.settings import from_mapping
from facepick.unchanged import Pins

__all__ = ["Joiner"]


class Joiner:
    """Joiner of the segments of one render.

    Args:
        task: what was rendered; all its segments are there.
        work: the open sessions of the engines.
        pins: on the files that it is made of.
        nudity: what a look for nudity found, if there was one.
        notices: what was found out until now.
        kept: how many segments are those of an earlier result.
    """

    def __init__(
        self,
        task: RenderTask,
        work: Sequence[EngineWork],
        *,
        pins: Pins,
        nudity: NudityCheck | None,
        notices: Sequence[Notice],
        kept: int = 0,
    ) -> None:
        self._task, self._work, self._pins = task, work, pins
        self._kept = kept
        self._nudity, self._notices = nudity, notices
        for counts in task.store.counts(task.segments):
            for item, counted in zip(work, counts, strict=True):
                if isinstance(item.session, CountingSession):
                    item.session.add_counts(counted)
        self._reports = [item.session.report() for item in work]
        self._pairs = [item.pair for item in work]

    def join(self, suffix: str) -> FinishedResult:
        """Join what was rendered as one finished result in the workspace.

        Args:
            suffix: of the result, with its dot.

        Raises:
            SourceChanged: a file that it is made of is not what it was.
            Cancelled, and what `FinishedResult.make` raises.
        """
        meter = ProgressMeter(self._task.progress, "publish", None)
        meter.update(0, force=True)
        return FinishedResult.make(
            self._task.workspace / "finished",
            suffix,
            self._write,
            self._describe,
            frames=self._report_rows(),
            cancel=self._task.cancel,
        )

    def _write(self, video: Path) -> tuple[str, ...]:
        task, sound = self._task, self._task.sound
        left_out = join_segments(
            [task.store.video(s) for s in task.segments],
            out=video,
            info=sound.info,
            pts=sound.pts,
            duration_pts=sound.last_duration_pts,
            audio=sound.audio(video, cancel=task.cancel),
            metadata=container_metadata(task.plan, self._pairs, read_marks(task.scan.video.path)),
            origin=sound.origin,
            stop=sound.stop,
            stretch=sound.stretch,
            cancel=task.cancel,
        )
        self._sign(video)
        # What was read before the first look at the files, and while nobody looked, counts too.
        self._pins.verify(cancel=task.cancel)
        return left_out

    def _describe(
        self, left_out: tuple[str, ...], digest: str
    ) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
        task = self._task
        tallies = tallied(note for notes in task.store.notes(task.segments) for note in notes)
        unheard = [u.to_json() for u in task.sound.unheard]
        notices = self._all_notices(tallies, left_out)
        facts = _facts(task.frames, tallies, left_out, unheard)
        facts.update(segments=len(task.segments), kept=self._kept)
        facts["notices"] = [n.to_json() for n in notices]
        if not task.plan.output.provenance:
            return facts, None
        return facts, build_report(
            plan=task.plan,
            scan=task.scan,
            work=self._pairs,
            tallies=tallies,
            frames=task.frames,
            result_hash=digest,
            models=self._models(),
            engine_reports=self._reports,
            left_out=left_out,
            unheard=unheard,
            stretch=task.sound.stretch,
            notices=notices,
            nudity=None if self._nudity is None else self._nudity.to_json(),
        )

    def _report_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the "frames" of the report."""
        for frame, notes in enumerate(self._task.store.notes(self._task.segments)):
            row: dict[str, Any] = {"frame": frame, "time": str(self._task.sound.time_of(frame))}
            if self._task.sound.stretch != 1:
                row["source_time"] = str(self._task.filmed_at(frame))
            yield {**row, "changes": [note.to_json() for note in notes]}

    def _sign(self, video: Path) -> None:
        output = self._task.plan.output
        settings = load_signing()
        if not (output.provenance and output.sign and settings.active):
            return
        sign_video(
            settings,
            video,
            source=self._task.scan.video.path,
            digital_source_type=DIGITAL_SOURCE_TYPE
            if any(s.synthetic for s, _ in self._pairs)
            else None,
        )

    @property
    def _clock(self) -> Clock:
        """Clock of what is shown when, on the clock of the plan's lines."""
        pts = self._task.scan.pts
        begin = float(int(pts[self._task.part[0]] - pts[0]) * self._task.scan.video.time_base)
        return Clock(
            times=self._task.sound.times + begin,
            sources=self._task.sources,
            end=float(self._task.sound.seconds) + begin,
        )

    def _all_notices(
        self,
        tallies: Mapping[tuple[str, str], Tally],
        left_out: Sequence[str],
    ) -> tuple[Notice, ...]:
        """Collect all that people should know, in the order in which it came to be known."""
        speaking = {
            item.person.id: item.person
            for item in self._work
            if self._task.plan.lines_of(item.assignment)
        }
        told = (
            engine_notices(report, item.person)
            for item, report in zip(self._work, self._reports, strict=True)
        )
        return without_repeats(
            (
                # What is cut off was told by the length that the file declares; now it is known.
                *(notice for notice in self._notices if notice.code != "speech_cut"),
                *speech_notices(self._task.plan, self._task.registry),
                *sound_notices(
                    self._task.plan,
                    video_seconds(self._task.scan),
                    has_sound=bool(self._task.scan.video.audio),
                    cancel=self._task.cancel,
                ),
                *cut_notices(self._task.sound.unheard),
                *off_screen_notices(
                    self._task.plan.assignments,
                    self._task.scan,
                    clock=self._clock,
                    cancel=self._task.cancel,
                ),
                *(notice for group in told for notice in group),
                *end_notices(self._task.scan, tallies, left_out, speaking),
            )
        )

    def _models(self) -> list[dict[str, Any]]:
        from facepick.models import catalog

        specs = {spec.id: spec for spec in (catalog.YUNET, catalog.SFACE)}
        used: dict[str, dict[str, Any]] = {}
        for item, report in zip(self._work, self._reports, strict=True):
            if "checkpoint" in report:
                # The engine took a file by its content or by a setting.
                first = item.engine.spec.models[0].id
                used[first] = {"file": report["checkpoint"], "sha256": report["checkpoint_sha256"]}
            if item.engine.spec.needs_mesh:
                specs[catalog.FACE_MESH.id] = catalog.FACE_MESH
            settings = from_mapping(item.engine.spec.settings, item.assignment.settings)
            in_use = item.engine.models_in_use(settings, self._task.models)
            specs.update({spec.id: spec for spec in in_use})
        if self._nudity is not None:
            specs[catalog.OPEN_NSFW.id] = catalog.OPEN_NSFW
        return [
            {"id": spec.id, **(used.get(spec.id) or self._file(spec)), "licence": spec.licence}
            for spec in specs.values()
        ]

    def _file(self, spec: ModelSpec) -> dict[str, Any]:
        """Identify a file by name and sha256, and by version where it circulates in several."""
        path = None if spec.sha256 else self._task.models.find(spec)
        if path is None:
            return {"file": spec.file, "sha256": spec.sha256}
        return {"file": path.name, "sha256": sha256_of(path, cancel=self._task.cancel)}


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
