"""Process that draws segments of a prepared render, and holds its engines open between them.

It is ``facepick jobs draw DIR``: its standard input is the plan, one line of JSON, then a number a
line; its standard output is a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from facepick import errors
from facepick.errors import Cancelled, FacepickError
from facepick.files import as_json
from facepick.programs import own_session, python_module

__all__ = ["SegmentProcess", "WorkerDied", "answer_of", "error_of"]

POLL_SECONDS = 0.2


class WorkerDied(Exception):
    """End of a worker in the middle of a segment, which somebody else has to draw."""


def answer_of(error: FacepickError) -> dict[str, Any]:
    """Describe an error as the answer to a segment."""
    return {"error": error.message, "hint": error.hint, "kind": type(error).__name__}


def error_of(answer: Mapping[str, Any]) -> FacepickError:
    """Make the error that an answer describes."""
    kind = getattr(errors, str(answer.get("kind")), FacepickError)
    message, hint = str(answer["error"]), str(answer.get("hint") or "")
    try:
        error = kind(message, hint=hint)
    except TypeError:
        # Some are made of something else than a sentence.
        error = None
    return error if isinstance(error, FacepickError) else FacepickError(message, hint=hint)


class SegmentProcess:
    """A child process that draws segments.

    Args:
        folder: of the render, prepared.
        plan: what is drawn, plain JSON, with its files where this machine sees them.
    """

    def __init__(self, folder: Path | str, plan: Mapping[str, Any]) -> None:
        self._child = subprocess.Popen(
            python_module("facepick", "jobs", "draw", str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            text=True,
            encoding="utf-8",
            **own_session(),
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, name="facepick-worker", daemon=True).start()
        self._say(as_json(dict(plan)))

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def draw(
        self,
        segment: int,
        *,
        told: Callable[[int], object] = lambda _: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Draw a segment and wait until it is there.

        Args:
            told: hears how many of its frames are done.

        Raises:
            WorkerDied: the child has ended.
            Cancelled: `is_cancelled` says so; the child is ended.
            FacepickError: one sentence.
        """
        self._say(str(segment))
        while True:
            if is_cancelled():
                self.close()
                raise Cancelled
            try:
                line = self._lines.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if line is None:
                raise WorkerDied(f"process {self.pid}")
            try:
                answer = json.loads(line)
            except ValueError:
                # Some library has printed it.
                continue
            if "frames" in answer:
                told(int(answer["frames"]))
            elif "error" in answer:
                raise error_of(answer)
            else:
                return

    def close(self) -> None:
        """End the child; what it has not finished is lost."""
        self._child.kill()
        self._child.wait()
        if self._child.stdin is not None:
            with suppress(OSError):
                self._child.stdin.close()

    def _say(self, line: str) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()
        except OSError as error:
            raise WorkerDied(f"process {self.pid}") from error

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)
