"""Standby: a child process that has loaded what a job needs before there is one.

Half of the time of a job that makes one picture is Python loading its libraries.  A process that
waits with them answers at once; it is ``facepick jobs run -`` and reads the id of its job from its
standard input.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress

from facepick.engines.registry import default_registry
from facepick.jobs.runner import reap, start_worker

__all__ = ["Standby", "load_libraries"]

IDLE_SECONDS = 180.0
"""For so long a process waits for a job; it holds about 110 MB meanwhile, half of it libraries."""

LIBRARIES = (
    "av",
    "cv2",
    "onnxruntime",
    "facepick.compositing.compositor",
    "facepick.faces.mesh",
    "facepick.jobs.work",
    "facepick.speech.spoken",
)
"""What most jobs import in the course of their work."""


def load_libraries() -> None:
    """Import what most jobs need; what is not installed is said by the job that needs it."""
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    default_registry().all()


class Standby:
    """A child process that waits for the next job that shall begin at once.

    It ends when this process does, and when nothing has come for `IDLE_SECONDS`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._end: threading.Timer | None = None

    def prepare(self, environment: Mapping[str, str]) -> None:
        """Start a process that waits, unless there is one.

        Args:
            environment: what jobs need besides this process' own.
        """
        wanted = {**os.environ, **environment}
        with self._lock:
            if self._waiting(wanted):
                return
            self._dismiss()
            self._child = start_worker(
                "-", wanted, stdin=subprocess.PIPE, output=subprocess.DEVNULL
            )
            self._environment = wanted
            self._end = threading.Timer(IDLE_SECONDS, self.close)
            self._end.daemon = True
            self._end.start()

    def take(self, job_id: str, environment: Mapping[str, str]) -> int | None:
        """Give the job to the process that waits; gives its id, None where none waits."""
        with self._lock:
            if not self._waiting({**os.environ, **environment}):
                self._dismiss()
                return None
            child = self._child
            assert child is not None
            assert child.stdin is not None
            self._forget()
            try:
                with child.stdin as told:
                    told.write(f"{job_id}\n".encode())
            except OSError:
                _end(child)
                return None
        reap(child)
        return child.pid

    def close(self) -> None:
        """End the process that waits."""
        with self._lock:
            self._dismiss()

    def _waiting(self, environment: Mapping[str, str]) -> bool:
        """Tell whether a process waits that was started as one would be now."""
        alive = self._child is not None and self._child.poll() is None
        return alive and self._environment == environment

    def _forget(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._child = self._end = None

    def _dismiss(self) -> None:
        child = self._child
        self._forget()
        if child is not None:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with suppress(OSError):
            child.stdin.close()
    child.kill()
    child.wait()
