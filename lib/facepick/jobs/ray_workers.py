"""Workers on a Ray cluster: an actor each, which holds a process with the engines open.

The actor needs facepick on its machine and nothing of the driver's code: it starts a
`SegmentProcess` there, which sees the graphics card that Ray has given to the actor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from facepick.errors import Cancelled, FacepickError
from facepick.jobs.segment_process import SegmentProcess, WorkerDied, answer_of, error_of

__all__ = ["RayWorker", "connect"]

POLL_SECONDS = 0.5


def connect(ray: Any, workers: int) -> None:
    """Connect to the cluster that ``RAY_ADDRESS`` names, or make one of this machine."""
    if ray.is_initialized():
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level="ERROR")
        return
    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )


class _Actor:
    """What lives on the cluster."""

    def __init__(self, folder: str, plan: Mapping[str, Any]) -> None:
        self._order = folder, plan
        self._process: SegmentProcess | None = None

    def draw(self, segment: int) -> dict[str, Any]:
        """Draw a segment; gives what went wrong, or nothing."""
        folder, plan = self._order
        if self._process is None:
            self._process = SegmentProcess(folder, plan)
        try:
            self._process.draw(segment)
        except FacepickError as error:
            answer = answer_of(error)
            return {**answer, "error": f"{answer['error']} (on {socket.gethostname()})"}
        except WorkerDied:
            self._process = None
            return {"died": True}
        return {}

    def pid(self) -> int:
        """Process id of the actor."""
        return os.getpid()


class RayWorker:
    """An actor on the cluster.

    Args:
        ray: the package.
        folder: of the render, prepared.
        plan: plain JSON.
        gpus: share of a graphics card.
    """

    def __init__(self, ray: Any, folder: str, plan: Mapping[str, Any], *, gpus: float) -> None:
        self._ray = ray
        made = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(_Actor)
        self._actor = made.remote(folder, dict(plan))

    def draw(
        self,
        segment: int,
        *,
        told: Callable[[int], object] = lambda _: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """See `SegmentProcess.draw`; of the frames on the way nothing is heard."""
        answer = self._actor.draw.remote(segment)
        while not self._ray.wait([answer], timeout=POLL_SECONDS)[0]:
            if is_cancelled():
                raise Cancelled
        try:
            given = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            raise WorkerDied(str(error).splitlines()[0]) from error
        if given.get("died"):
            raise WorkerDied("the actor's process")
        if given:
            raise error_of(given)

    def close(self) -> None:
        """End the actor, and with it its process."""
        self._ray.kill(self._actor)
