"""Runner of jobs: in this process (`run_job`) or in a child process (`spawn`)."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from facepick.errors import (
    Cancelled,
    FacepickError,
    MissingModelError,
    OutOfMemory,
    RenderError,
    UserInputError,
)
from facepick.jobs.job import JobRecord, JobState
from facepick.jobs.resources import Resources, Work
from facepick.jobs.workspace import Workspace
from facepick.programs import own_session, python_module
from facepick.progress import STOPPING, CancelToken, Progress, ProgressSink, no_progress

__all__ = ["cancel_on_signals", "explained", "reap", "run_job", "spawn", "start_worker"]

log = logging.getLogger("facepick.jobs")

_OPENING = ("scan", "render", "preview")
"""Kinds that read videos, sounds and networks before their first frame."""


def run_job(
    workspace: Workspace,
    resources: Resources,
    *,
    progress: ProgressSink = no_progress,
    cancel: CancelToken | None = None,
) -> JobRecord:
    """Do the work of a job in this process, when it is its turn, and note how it ended.

    At most `facepick.paths.jobs_at_once` jobs of one home work at once.  The job is stopped when
    `cancel` is set or somebody calls `Workspace.ask_to_cancel`.

    Raises:
        Cancelled: it was stopped; state ``stopped``, finished segments are kept.
        FacepickError: it failed; state ``failed`` with the sentence.
        ToolError: too many jobs wait; the state is as it was.
    """
    token = cancel or CancelToken()
    # Fetching a model waits for the network and not for the machine.
    if workspace.record().kind == "fetch":
        return _run(workspace, resources, progress, token)
    try:
        with _watching(workspace, token):
            workspace.wait_for_turn(token, progress)
        return _run(workspace, resources, progress, token)
    finally:
        workspace.line.leave(workspace.id)


def _run(
    workspace: Workspace, resources: Resources, progress: ProgressSink, token: CancelToken
) -> JobRecord:
    workspace.claim()
    record = workspace.record()

    def sink(report: Progress) -> None:
        workspace.report(report)
        progress(report)

    if record.kind in _OPENING:
        # Before the imports, which take a second or more, so that whoever looks sees it move.
        sink(Progress(stage="open", done=0, total=1))
    work = _work_of(record.kind)
    with _watching(workspace, token):
        try:
            result = work(workspace, resources, sink, token)
        except Cancelled as error:
            _note_end(workspace, "stopped", error.exit_code)
            raise
        except FacepickError as error:
            missing = error.models if isinstance(error, MissingModelError) else ()
            _note_end(workspace, "failed", error.exit_code, error.sentence(), missing)
            raise
        except Exception as error:
            # Anything else is a fault of ours or of a library: the log gets the trace, the user
            # a sentence.  This is the one place where a worker ends.
            log.debug("job %s failed", workspace.id, exc_info=True)
            known = explained(error)
            _note_end(workspace, "failed", known.exit_code, known.sentence())
            raise known from error
    workspace.finish("done", exit_code=0, result=result)
    return workspace.record()


def _note_end(
    workspace: Workspace,
    state: JobState,
    exit_code: int,
    error: str | None = None,
    missing: Sequence[str] = (),
) -> None:
    # On a full disk what is to be noted matters more than that it cannot be.
    with suppress(OSError):
        workspace.finish(state, exit_code=exit_code, error=error, missing=missing)


def _work_of(kind: str) -> Work:
    from facepick.jobs import work

    return {
        "scan": work.scan,
        "render": work.render,
        "preview": work.preview,
        "fetch": work.fetch,
        "proxy": work.proxy,
    }[kind]


def explained(error: Exception) -> FacepickError:
    """Word an error that nobody foresaw: of the machine, or a fault of ours."""
    if isinstance(error, MemoryError):
        return OutOfMemory(
            "There is not enough memory.", hint="Close other programs, or use a smaller video."
        )
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return UserInputError(
            "The name of a file is too long for this disk.", hint="Give it a shorter name."
        )
    if isinstance(error, OSError):
        where = f" ({Path(error.filename).name})" if error.filename else ""
        return RenderError(
            f"The machine refused: {error.strerror or error}{where}.",
            hint="Check free disk space and permissions.",
        )
    return RenderError(
        f"Unexpected {type(error).__name__}: {error}",
        hint="Run again with --verbose and report what it prints.",
    )


@contextmanager
def _watching(workspace: Workspace, token: CancelToken) -> Iterator[None]:
    """Turn the workspace's ``cancel`` file into the token."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            if workspace.cancel_asked:
                token.cancel()
                return

    thread = threading.Thread(target=watch, name="facepick-cancel", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def cancel_on_signals(token: CancelToken) -> Iterator[None]:
    """Set `token` on SIGINT, SIGTERM and SIGHUP, unless they are ignored.

    A second SIGINT ends at once. Main thread only.
    """

    def handle(number: int, frame: object) -> None:
        if token.is_cancelled and number == signal.SIGINT:
            raise KeyboardInterrupt
        token.cancel()

    heeded = [s for s in STOPPING if signal.getsignal(s) != signal.SIG_IGN]
    before = {s: signal.signal(s, handle) for s in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def spawn(workspace: Workspace, environment: Mapping[str, str]) -> int:
    """Start a child process that does the job; gives its process id.

    The child is in a session of its own: it survives the one that started it, and a Ctrl-C in
    the terminal of a WebUI does not reach it.  Its output goes to ``log.txt`` in the workspace.
    """
    with open(workspace.folder / "log.txt", "ab") as output:
        child = start_worker(
            workspace.id, {**os.environ, **environment}, stdin=subprocess.DEVNULL, output=output
        )
    reap(child)
    return child.pid


def start_worker(
    job: str, environment: Mapping[str, str], *, stdin: int, output: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start ``facepick jobs run`` in a session of its own.

    Args:
        job: its id, or ``-`` for a process that reads it from its standard input.
        environment: all of it.
        stdin, output: as of `subprocess.Popen`; what it says and its errors go to one place.
    """
    argv = python_module("facepick", "jobs", "run", job)
    return subprocess.Popen(
        argv, stdin=stdin, stdout=output, stderr=output, env=dict(environment), **own_session()
    )


def reap(child: subprocess.Popen[bytes]) -> None:
    """Wait in a thread for a child's end, so that no zombie is taken for a living worker."""
    threading.Thread(target=child.wait, name="facepick-reaper", daemon=True).start()
