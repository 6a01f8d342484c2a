"""Workspaces: one folder per job, every fact in it written atomically against kills."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from facepick.errors import Cancelled, JobNotFound, UserInputError
from facepick.files import read_json, write_json
from facepick.jobs.job import JobKind, JobRecord, JobState
from facepick.jobs.line import JobLine
from facepick.locks import FileLock
from facepick.progress import CancelToken, Progress, ProgressSink

__all__ = ["Workspace", "Workspaces"]

FORMAT = "facepick-job/1"
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")


class Workspace:
    """The folder of one job.

    ``job.json`` holds the request and never changes; ``target.json`` says where the result shall
    go, if that was changed since; ``state.json`` is rewritten as the work goes on; ``child.json``
    names the process that was started for the job; the file ``cancel`` asks the worker to stop;
    ``lock`` is held by the worker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / "lock")
        self.line = JobLine(folder.parent / ".line", is_alive=is_alive, started=started_mark)

    @property
    def id(self) -> str:
        """Id of the job: the folder's name."""
        return self.folder.name

    def __repr__(self) -> str:
        return f"Workspace({self.id})"

    def record(self) -> JobRecord:
        """Read the job's record.

        Raises:
            JobNotFound.
        """
        job = _read(self.folder / "job.json")
        if job.get("format") != FORMAT:
            raise JobNotFound(f"There is no job {self.id}.", hint="See: facepick jobs list")
        state = _read(self.folder / "state.json")
        name: JobState = state.get("state", "queued")
        if name == "running" and not is_alive(state.get("pid"), state.get("pid_started")):
            name = "interrupted"
        if name == "queued":
            child = _read(self.folder / "child.json")
            if child and not is_alive(child.get("pid"), child.get("pid_started")):
                # The child process ended before it could claim the job.
                name = "interrupted"
        progress = state.get("progress")
        place = self._place() if name == "queued" else None
        if place is not None:
            progress = {"stage": "wait", "done": place - 1}
        target = {**job, **_read(self.folder / "target.json")}
        return JobRecord(
            id=self.id,
            kind=job["kind"],
            state=name,
            place=place,
            video=job["video"],
            out=target.get("out"),
            force=bool(target.get("force", False)),
            request=job["request"],
            progress=Progress.from_json(progress) if progress else None,
            error=state.get("error"),
            missing=tuple(map(str, state.get("missing") or ())),
            exit_code=state.get("exit_code"),
            created=job["created"],
            owner=job.get("owner", ""),
            folder=self.folder,
            result=state.get("result") or {},
        )

    def _place(self) -> int | None:
        """Find its place among the jobs that wait, from 1; None when it is in no line."""
        before = self.line.before(self.id)
        if before is None:
            return None
        folders = (self.folder.with_name(name) for name in before)
        states = (_read(folder / "state.json").get("state") for folder in folders)
        return 1 + len([state for state in states if state == "queued"])

    def wait_for_turn(self, cancel: CancelToken, progress: ProgressSink) -> None:
        """Stand in line until this process may work on the job; whoever returns from here must
        `leave` the line.

        Raises:
            Cancelled: the user stopped it before it began.
            UserInputError: another process has done it, or does it.
            ToolError: too many jobs wait.
        """
        was = self.record().state
        self.line.enter(self.id, os.getpid())

        def report(left: int) -> None:
            progress(Progress(stage="wait", done=left))

        try:
            self.line.wait(self.id, cancel, report=report)
        except Cancelled:
            self.mark_stopped()
            raise
        now = self.record().state
        if now != was and now in ("running", "done"):
            raise UserInputError(f"Job {self.id} is {now}.", hint="See: facepick jobs list")

    def claim(self) -> None:
        """Become the worker of this job.

        Raises:
            UserInputError: another process works on it.
            Cancelled: the user stopped it before it began.
        """
        # Two processes may ask at the same moment: only the lock tells them apart.
        if self.record().state == "running" or not self._lock.take():
            raise UserInputError(
                f"Job {self.id} is running.", hint=f"Stop it first: facepick jobs cancel {self.id}"
            )
        if self.cancel_asked:
            self.mark_stopped()
            self._lock.free()
            raise Cancelled
        self._write("running")

    def _write(self, state: JobState, **more: Any) -> None:
        pid = os.getpid()
        write_json(
            self.folder / "state.json",
            {"state": state, "pid": pid, "pid_started": _own_mark(pid), **more},
        )

    def report(self, progress: Progress) -> None:
        """Keep the newest progress for whoever watches."""
        # Where the disk is full the work itself will say so, in better words.
        with contextlib.suppress(OSError):
            self._write("running", progress=dataclasses.asdict(progress))

    def finish(
        self,
        state: JobState,
        *,
        exit_code: int,
        error: str | None = None,
        missing: Sequence[str] = (),
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Note how the work ended, and stop being the worker.

        Raises:
            OSError: the note cannot be written; without it the job counts as interrupted.
        """
        try:
            self._write(
                state,
                exit_code=exit_code,
                error=error,
                missing=list(missing),
                result=dict(result or {}),
            )
        finally:
            self._lock.free()

    def ask_to_cancel(self) -> None:
        """Ask the worker to stop."""
        (self.folder / "cancel").touch()

    def mark_queued(self) -> None:
        """Let the job begin (again); an earlier wish to stop it is forgotten."""
        (self.folder / "cancel").unlink(missing_ok=True)
        (self.folder / "child.json").unlink(missing_ok=True)
        self._write("queued")

    def set_target(self, out: str | None, *, force: bool) -> None:
        """Let the result go elsewhere, or overwrite what lies where it shall go."""
        write_json(self.folder / "target.json", {"out": out, "force": force}, durable=True)

    def mark_child(self, pid: int) -> None:
        """Note which process was started for the job, so that its death is seen."""
        write_json(self.folder / "child.json", {"pid": pid, "pid_started": started_mark(pid)})

    def mark_stopped(self) -> None:
        """Note, for a job without a living worker, that the user does not want it."""
        self._write("stopped", exit_code=4)

    @property
    def cancel_asked(self) -> bool:
        """True when the worker was asked to stop."""
        return (self.folder / "cancel").exists()

    def last_change(self) -> float:
        """Find when something last happened to the job, seconds since the epoch."""
        names = ("job.json", "state.json", "target.json")
        times = []
        for path in (self.folder, *(self.folder / name for name in names)):
            with contextlib.suppress(OSError):
                times.append(path.stat().st_mtime)
        return max(times, default=0.0)

    def remove_if_idle(self) -> bool:
        """Remove the job and all that it keeps, unless somebody works on it or is about to."""
        try:
            if self.record().state == "running" or self._is_starting():
                return False
        except JobNotFound:
            # Killed while it was made, it holds nothing; one that cannot be read may hold a result.
            if (self.folder / "job.json").exists():
                return False
        with contextlib.suppress(OSError):
            if not self._lock.take():
                return False
        try:
            # Nobody takes up half a job when this is cut off.
            with contextlib.suppress(OSError):
                (self.folder / "job.json").unlink(missing_ok=True)
        finally:
            self._lock.free()
        shutil.rmtree(self.folder, ignore_errors=True)
        return not self.folder.exists()

    def _is_starting(self) -> bool:
        child = _read(self.folder / "child.json")
        return bool(child) and is_alive(child.get("pid"), child.get("pid_started"))


class Workspaces:
    """All jobs of one home folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def new(
        self,
        kind: JobKind,
        *,
        video: str,
        out: str | None,
        request: Mapping[str, Any],
        force: bool = False,
        owner: str = "",
    ) -> Workspace:
        """Make the workspace of a new job."""
        self.root.mkdir(parents=True, exist_ok=True)
        while True:
            name = time.strftime("%Y%m%d-%H%M%S") + "-" + secrets.token_hex(2)
            try:
                (self.root / name).mkdir()
            except FileExistsError:
                continue
            break
        workspace = Workspace(self.root / name)
        write_json(
            workspace.folder / "job.json",
            {
                "format": FORMAT,
                "kind": kind,
                "video": video,
                "out": out,
                "force": force,
                "request": dict(request),
                "created": time.time(),
                "owner": owner,
            },
        )
        return workspace

    def get(self, job_id: str) -> Workspace:
        """Find a job.

        Raises:
            JobNotFound.
        """
        if not _ID.fullmatch(job_id) or not (self.root / job_id / "job.json").is_file():
            raise JobNotFound(f"There is no job {job_id!r}.", hint="See: facepick jobs list")
        return Workspace(self.root / job_id)

    def all(self) -> list[JobRecord]:
        """List every job, newest first; folders that hold no job are passed over."""
        if not self.root.is_dir():
            return []
        found = []
        for folder in sorted(self.root.iterdir(), reverse=True):
            if not _ID.fullmatch(folder.name):
                continue
            try:
                found.append(Workspace(folder).record())
            except JobNotFound:
                continue
        return found

    def prune(self, *, keep_days: float, now: float | None = None) -> int:
        """Remove jobs that nobody works on and nobody has touched for `keep_days`; gives how many.

        Abandoned ones go, too: those that were never begun, and those whose process died.
        """
        limit = (time.time() if now is None else now) - keep_days * 86_400
        removed = 0
        for folder in self._folders():
            workspace = Workspace(folder)
            if workspace.last_change() < limit and workspace.remove_if_idle():
                removed += 1
        return removed

    def _folders(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return [p for p in self.root.iterdir() if _ID.fullmatch(p.name) and p.is_dir()]


def _read(path: Path) -> Mapping[str, Any]:
    """Read a file of a job; empty when it is not there or holds nothing that is one."""
    try:
        there = os.stat(path)
        return _parsed(path, there.st_ino, there.st_mtime_ns, there.st_size)
    except (OSError, ValueError):
        return {}


@lru_cache(maxsize=512)
def _parsed(path: Path, *_version: int) -> Mapping[str, Any]:
    """Read a version of a file once: a page looks at all jobs twice a second.

    Files are replaced, never written into, so that another content is another inode.
    """
    data = read_json(path)
    return data if isinstance(data, dict) else {}


def is_alive(pid: Any, started: Any) -> bool:
    """Tell whether the process still runs and is the same one (ids are used again)."""
    if not isinstance(pid, int):
        return False
    if pid == os.getpid():
        return True
    if sys.platform == "win32":
        return _is_alive_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if _is_zombie(pid):
        return False
    now = started_mark(pid)
    return now is None or started is None or now == started


def _stat_fields(pid: int) -> list[str]:
    """Read fields of /proc/PID/stat from the third on; empty where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    return text.rpartition(")")[2].split()


def _is_zombie(pid: int) -> bool:
    return _stat_fields(pid)[:1] == ["Z"]


def started_mark(pid: int) -> str | None:
    """Make a mark that differs when the id was given to another process; None where unknown."""
    fields = _stat_fields(pid)
    # starttime is field 22 of proc(5), the 20th after the name: ticks since the start of the
    # machine, which setting the clock does not move (psutil's create_time moves with it, and a
    # job at work would look dead).
    return fields[19] if len(fields) > 19 else None


@lru_cache(maxsize=1)
def _own_mark(pid: int) -> str | None:
    """Make the mark of this process, ten times a second while it works."""
    return started_mark(pid)


def _is_alive_windows(pid: int) -> bool:
    import ctypes

    query_limited_information = 0x1000
    still_active = 259
    kernel32 = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel32.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return False
    try:
        code = ctypes.c_ulong()
        kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        return code.value == still_active
    finally:
        kernel32.CloseHandle(handle)
