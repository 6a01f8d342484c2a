"""Runner of batches: one episode after the other, or several at once in child processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from facepick.errors import Cancelled, FacepickError, JobNotFound, RenderError
from facepick.jobs.batch import (
    Episode,
    EpisodeResult,
    Template,
    is_made_of,
    load_state,
    made_of,
    save_state,
    short_name,
)
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.unchanged import sha256_of

if TYPE_CHECKING:
    from facepick.engines.registry import EngineRegistry
    from facepick.jobs.executors import Spread
    from facepick.jobs.job import JobRecord
    from facepick.jobs.workspace import Workspace
    from facepick.people.finder import ScanSettings
    from facepick.people.person import Person, Scan
    from facepick.render.plan import RenderPlan

__all__ = ["BatchApp", "run_batch"]

POLL_SECONDS = 0.3


class BatchApp(Protocol):
    """What a batch asks of `facepick.app.App`, where each of these is described."""

    registry: EngineRegistry

    def probe(self, path: str | Path, /) -> Any: ...

    def find_people(
        self,
        path: str | Path,
        settings: ScanSettings | None = None,
        *,
        progress: ProgressSink = ...,
        cancel: CancelToken = ...,
    ) -> Scan: ...

    def person_by_photo(self, scan: Scan, photo: Path) -> Person: ...

    def with_speech(
        self, plan: RenderPlan, episode: Episode, scan: Scan, *, cancel: CancelToken = ...
    ) -> RenderPlan: ...

    def start_scan(
        self, video: str | Path, *, settings: Mapping[str, Any] | None = None
    ) -> JobRecord: ...

    def scan_of_job(self, job_id: str) -> Scan: ...

    def new_render_job(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        force: bool = False,
        spread: Spread | None = ...,
    ) -> Workspace: ...

    def resumable(
        self, job_id: str, *, out: str | Path | None = None, force: bool = False
    ) -> Workspace: ...

    def run(
        self,
        workspace: Workspace,
        *,
        progress: ProgressSink = ...,
        cancel: CancelToken | None = ...,
    ) -> JobRecord: ...

    def start(self, workspace: Workspace) -> JobRecord: ...

    def job(self, job_id: str) -> JobRecord: ...

    def cancel_job(self, job_id: str, *, wait_seconds: float = 0.0) -> JobRecord: ...


def run_batch(
    app: BatchApp,
    episodes: Sequence[Episode],
    template: Template,
    *,
    jobs: int = 1,
    spread: Spread | None = None,
    force: bool = False,
    told: Callable[[EpisodeResult], None] = lambda _: None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> list[EpisodeResult]:
    """Do every episode that is not done yet; what goes wrong with one stops no other.

    Args:
        jobs: how many at once; more than one work in child processes.
        spread: over which workers the segments of each are spread; None for none.
        force: overwrite results that are made of something else.
        told: hears of every episode that has ended.

    Returns:
        An entry an episode, in their order.
    """

    def one(episode: Episode) -> EpisodeResult:
        began = time.monotonic()
        worker = _Worker(app, episode, template, jobs > 1, spread, force, progress, cancel)
        result = replace(worker.run(), seconds=time.monotonic() - began)
        told(result)
        return result

    if jobs == 1:
        return [one(episode) for episode in episodes]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, episodes))


class _Worker:
    """Work on one episode."""

    def __init__(
        self,
        app: BatchApp,
        episode: Episode,
        template: Template,
        apart: bool,
        spread: Spread | None,
        force: bool,
        progress: ProgressSink,
        cancel: CancelToken,
    ) -> None:
        self.app = app
        self.episode = episode
        self.template = template
        self.apart = apart
        self.spread = spread
        self.force = force
        self.progress = progress
        self.cancel = cancel
        self.people: dict[str, str | None] = {}

    def run(self) -> EpisodeResult:
        """Do the episode; every failure becomes a sentence in the outcome."""
        try:
            self.cancel.raise_if_cancelled()
            return self._run()
        except Cancelled:
            return self._ended("cancelled")
        except FacepickError as error:
            return self._ended("failed", error.sentence())
        except Exception as error:
            # The next episode must not suffer from whatever this one holds.
            return self._ended("failed", f"Unexpected {type(error).__name__}: {error}")

    def _ended(
        self, status: str, error: str | None = None, result: Path | None = None
    ) -> EpisodeResult:
        return EpisodeResult(
            episode=self.episode, status=status, error=error, result=result, people=self.people
        )

    def _run(self) -> EpisodeResult:
        self.app.probe(self.episode.video)
        scan = self._scan()
        self.people = self.template.people(scan, self.app.person_by_photo)
        plan = self.template.for_episode(self.episode, scan, self.people)
        if plan is None:
            names = ", ".join(map(short_name, self.template.names))
            return self._ended("skipped", f"Nobody to change: {names} is not in it.")
        if self.template.speaks:
            plan = self.app.with_speech(plan, self.episode, scan, cancel=self.cancel)
        digest = made_of(plan, plan.input_files(self.app.registry))
        state = load_state(self.episode)
        if is_made_of(self.episode, state, digest):
            return self._ended("skipped", None, self.episode.out)
        record = self._rendered(plan, digest, str(state.get("job") or ""), state.get("made_of"))
        if record.state == "stopped":
            raise Cancelled
        if record.state != "done":
            raise RenderError(record.error or f"The job {record.id} ended before it was done.")
        save_state(
            self.episode,
            {"made_of": digest, "job": record.id, "sha256": sha256_of(self.episode.out)},
        )
        return self._ended("done", None, self.episode.out)

    def _scan(self) -> Scan:
        from facepick.people.finder import ScanSettings
        from facepick.settings import from_mapping

        wanted = self.template.plan.scan_settings
        if self.apart:
            record = self._waited(self.app.start_scan(self.episode.video, settings=wanted))
            if record.state == "done":
                return self.app.scan_of_job(record.id)
            if record.state == "stopped":
                raise Cancelled
            raise RenderError(record.error or "The search for people ended before it was done.")
        settings = from_mapping(ScanSettings, wanted)
        return self.app.find_people(
            self.episode.video, settings, progress=self.progress, cancel=self.cancel
        )

    def _rendered(self, plan: RenderPlan, digest: str, before: str, was: object) -> JobRecord:
        """Go on with the job of an earlier run, or begin a new one."""
        known = self._earlier(before) if was == digest else None
        if known is not None and known.state == "done" and self.episode.out.is_file():
            # Killed between the result and the note of it.
            return known
        if known is not None and known.state == "running":
            return self._waited(known)
        if known is not None and known.can_resume:
            workspace = self.app.resumable(known.id, force=self.force)
        else:
            workspace = self.app.new_render_job(
                plan, self.episode.out, force=self.force, spread=self.spread
            )
        save_state(self.episode, {"made_of": digest, "job": workspace.id})
        if self.apart:
            return self._waited(self.app.start(workspace))
        return self.app.run(workspace, progress=self.progress, cancel=self.cancel)

    def _earlier(self, job_id: str) -> JobRecord | None:
        try:
            return self.app.job(job_id) if job_id else None
        except JobNotFound:
            return None

    def _waited(self, record: JobRecord) -> JobRecord:
        while record.is_active:
            if self.cancel.is_cancelled:
                self.app.cancel_job(record.id, wait_seconds=30.0)
            time.sleep(POLL_SECONDS)
            record = self.app.job(record.id)
        return record
