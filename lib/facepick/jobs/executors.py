"""Executors: who draws the segments of a render, on this machine or on a cluster.

An executor is given segments and gives futures; results are files in the render's folder.  What is
on disk is not given out again, and a worker that dies costs the segment that it was at.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from facepick.errors import PackageMissing, RenderError, SettingsError
from facepick.jobs.segment_process import SegmentProcess, WorkerDied
from facepick.progress import CancelToken, ProgressMeter, ProgressSink
from facepick.render.segments import Segment, SegmentStore, as_ranges

__all__ = ["EXECUTORS", "Crew", "SegmentExecutor", "Spread", "draw_all", "open_executor"]

log = logging.getLogger("facepick.jobs")

EXECUTORS = ("local", "ray")
TRIES = 3
"""A segment at which three workers die would kill the next one, too."""
POLL_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Over how many workers a render is spread, and where they are.

    Attributes:
        executor: one of `EXECUTORS`.
        workers: how many draw at once.
        gpus: share of a graphics card that each takes from the cluster (ray).
    """

    executor: str = "local"
    workers: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise SettingsError(
                f"There is no executor {self.executor!r}.", hint="Known: local, ray."
            )
        if not 1 <= self.workers <= 256 or not 0 <= self.gpus <= 64:
            raise SettingsError(
                f"{self.workers} workers with {self.gpus:g} graphics cards each cannot be.",
                hint="Give 1 to 256 workers.",
            )

    @property
    def is_one_process(self) -> bool:
        """True when the process that has the work does it alone."""
        return self.executor == "local" and self.workers == 1

    def check(self) -> None:
        """Check that the executor can be used here.

        Raises:
            PackageMissing: ray is not installed.
        """
        if self.executor == "ray":
            _ray()

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON; `from_json` takes it back."""
        return {"executor": self.executor, "workers": self.workers, "gpus": self.gpus}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Spread:
        """Read what `to_json` gave; None is one process."""
        return cls(**data) if data else cls()


class SegmentExecutor(Protocol):
    """Somebody who draws segments of one render."""

    def submit(self, segment: int, told: Callable[[int], object] = ..., /) -> Future[None]:
        """Give a segment out.

        Args:
            told: hears how many of its frames are done, where that is known.

        Returns:
            A future that ends when the segment is there, or raises `WorkerDied`, `Cancelled` or a
            `FacepickError`.
        """
        ...

    def close(self) -> None:
        """End all workers."""
        ...

    def __enter__(self) -> SegmentExecutor: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Worker(Protocol):
    """One of a crew."""

    def draw(
        self,
        segment: int,
        *,
        told: Callable[[int], object] = ...,
        is_cancelled: Callable[[], bool] = ...,
    ) -> None:
        """Draw a segment, as `SegmentProcess.draw` does."""
        ...

    def close(self) -> None:
        """End the worker."""
        ...


class Crew:
    """Executor with a fixed number of workers; who dies is replaced at the next segment.

    Args:
        hire: starts a worker.
        workers: how many.
        cancel: ends them all.
    """

    def __init__(self, hire: Callable[[], Worker], workers: int, cancel: CancelToken) -> None:
        self._hire, self._cancel = hire, cancel
        self._free: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="facepick-crew")

    def submit(
        self, segment: int, told: Callable[[int], object] = lambda _: None, /
    ) -> Future[None]:
        """See `SegmentExecutor`."""
        return self._pool.submit(self._draw, segment, told)

    def _draw(self, segment: int, told: Callable[[int], object]) -> None:
        self._cancel.raise_if_cancelled()
        try:
            worker = self._free.get_nowait()
        except queue.Empty:
            worker = self._hire()
        try:
            worker.draw(segment, told=told, is_cancelled=lambda: self._cancel.is_cancelled)
        except BaseException:
            # Whatever state it is in: the next segment gets a new one.
            worker.close()
            raise
        self._free.put(worker)

    def close(self) -> None:
        """See `SegmentExecutor`."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        while not self._free.empty():
            self._free.get_nowait().close()

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self.close()


def open_executor(
    spread: Spread,
    folder: Path,
    plan: Mapping[str, Any],
    cancel: CancelToken,
) -> SegmentExecutor:
    """Open the executor that is asked for.

    Args:
        folder: of the render, prepared; every worker sees it under this name.
        plan: what is drawn, plain JSON.

    Raises:
        PackageMissing: ray is not installed.
    """
    if spread.executor == "ray":
        from facepick.jobs.ray_workers import RayWorker, connect

        ray = _ray()
        connect(ray, spread.workers)

        def hire() -> Worker:
            return RayWorker(ray, str(folder), plan, gpus=spread.gpus)
    else:

        def hire() -> Worker:
            return SegmentProcess(folder, plan)

    return Crew(hire, spread.workers, cancel)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise PackageMissing("ray", needed_for="--executor ray", extra="ray") from error
    return ray


def draw_all(
    executor: SegmentExecutor,
    segments: Sequence[Segment],
    store: SegmentStore,
    *,
    progress: ProgressSink,
    cancel: CancelToken,
) -> None:
    """Let all segments be drawn that are not there yet.

    Raises:
        Cancelled: stopped; finished segments are kept.
        RenderError: workers died again and again.
        FacepickError: the first sentence of a worker.
    """
    meter = ProgressMeter(progress, "render", sum(s.stop - s.start for s in segments))
    done = {s.index: s.stop - s.start for s in segments if store.is_finished(s)}
    deaths = 0
    while missing := store.missing(segments):
        waiting: set[Future[None]] = set()
        for segment in missing:
            waiting.add(executor.submit(segment.index, _counter(done, segment.index)))
        try:
            died = _wait(waiting, lambda: meter.update(sum(done.values())), cancel)
        finally:
            for future in waiting:
                future.cancel()
        left = store.missing(segments)
        deaths = deaths + 1 if len(left) == len(missing) else 0
        if left and (deaths >= TRIES or not died):
            names = as_ranges([segment.index for segment in left])
            raise RenderError(
                f"Workers ended again and again at segments {names}.",
                hint=f"What is there is kept. Look at what they do: --segments {left[0].index}.",
            )
    meter.update(sum(s.stop - s.start for s in segments))


def _counter(done: dict[int, int], index: int) -> Callable[[int], None]:
    return lambda frames: done.__setitem__(index, frames)


def _wait(waiting: set[Future[None]], tell: Callable[[], None], cancel: CancelToken) -> int:
    """Wait for all; gives how many workers died."""
    died = 0
    left = set(waiting)
    while left:
        cancel.raise_if_cancelled()
        ended, left = wait(left, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        tell()
        for future in ended:
            error = future.exception()
            if isinstance(error, WorkerDied):
                died += 1
                log.warning("a worker has ended in the middle of a segment (%s)", error)
            elif error is not None:
                raise error
    return died
