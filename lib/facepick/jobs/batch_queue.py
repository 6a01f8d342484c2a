"""Queue of batches: one after the other, each a child process, in an order that can be changed.

A batch is a folder: ``batch.json`` is the request, ``template.json`` the plan, ``state.json`` who
works on it, ``events.jsonl`` what the child says, ``result.json`` how every episode ended.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.errors import JobConflict, JobNotFound
from facepick.files import parsed_json, read_json, write_json
from facepick.jobs.batch import short_name
from facepick.jobs.workspace import is_alive, started_mark
from facepick.locks import locked
from facepick.programs import own_session, python_module

__all__ = ["BatchQueue", "BatchRecord"]

FORMAT = "facepick-batch-request/1"
_ID = re.compile(r"b[0-9]{8}-[0-9]{6}-[0-9a-f]{4}")
_LAST_BYTES = 64 * 1024
"""Of the events: the newest progress and the episodes are in there, for they are short lines."""


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """State of a batch as seen from outside.

    Attributes:
        id: ``b20261130-091501-4f2a``.
        state: ``queued``, ``running``, ``done``, ``failed`` (some episodes, or the whole),
            ``stopped`` (by the user) or ``interrupted`` (its process died; it can be resumed).
        place: of a queued batch among those that wait, from 1.
        out: folder of the results.
        what: what is done, such as ``hide blur``, each once.
        people: whom it is done to, by name; who is spared has a minus before the name.
        episodes: how each has ended, as in ``facepick-batch/1``; those that have not are not there.
        total: how many there are; None while that is unknown.
        progress: the newest report of the episode that is worked on, plain JSON.
        error: one sentence, or None.
        created: seconds since the epoch.
    """

    id: str
    state: str
    place: int | None
    out: str
    what: tuple[str, ...]
    people: tuple[str, ...]
    episodes: Sequence[Mapping[str, Any]]
    total: int | None
    progress: Mapping[str, Any] | None
    error: str | None
    created: float

    @property
    def is_active(self) -> bool:
        """True while it works or waits to."""
        return self.state in ("queued", "running")

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return {
            "id": self.id,
            "state": self.state,
            "place": self.place,
            "out": self.out,
            "what": list(self.what),
            "people": list(self.people),
            "episodes": [dict(episode) for episode in self.episodes],
            "total": self.total,
            "progress": None if self.progress is None else dict(self.progress),
            "error": self.error,
            "created": self.created,
        }


class BatchQueue:
    """Batches of one home folder.

    Args:
        folder: holds a folder for each.
        environment: what a child needs besides this process' own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment

    def add(
        self, videos: Sequence[str], out: Path, template: Mapping[str, Any], *, jobs: int = 1
    ) -> BatchRecord:
        """Add a batch at the end; it begins when those before it have ended.

        Args:
            videos: files, and folders of files.
            template: a plan whose people are names, plain JSON.
            jobs: how many episodes at once.
        """
        name = time.strftime("b%Y%m%d-%H%M%S") + "-" + secrets.token_hex(2)
        folder = self._folder / name
        folder.mkdir(parents=True)
        write_json(folder / "template.json", dict(template))
        request = {"videos": list(videos), "out": str(out), "jobs": jobs, "created": time.time()}
        write_json(folder / "batch.json", {"format": FORMAT, **request}, durable=True)
        self._set(name, "queued", place=time.time())
        self.pump()
        return self.get(name)

    def all(self) -> list[BatchRecord]:
        """List all batches, newest first."""
        self.pump()
        return [self._record(name) for name in sorted(self._names(), reverse=True)]

    def get(self, name: str) -> BatchRecord:
        """Find a batch.

        Raises:
            JobNotFound.
        """
        self._check(name)
        self.pump()
        return self._record(name)

    def cancel(self, name: str) -> BatchRecord:
        """Stop a batch; what its episodes have finished is kept.

        Raises:
            JobNotFound.
        """
        self._check(name)
        with self._lock():
            state = self._state(name)
            if self._state_of(state) == "running":
                self._set(name, "stopping", pid=state["pid"], pid_started=state["pid_started"])
                with suppress(ProcessLookupError):
                    os.kill(int(state["pid"]), signal.SIGTERM)
            elif self._state_of(state) == "queued":
                self._set(name, "stopped")
        return self._record(name)

    def resume(self, name: str) -> BatchRecord:
        """Let a batch that has ended go on: what is done is skipped, what failed is tried again.

        Raises:
            JobNotFound.
            JobConflict: it works or waits.
        """
        self._check(name)
        with self._lock():
            if self._record(name).is_active:
                raise JobConflict(f"Batch {name} works or waits already.")
            for old in ("result.json", "events.jsonl"):
                (self._folder / name / old).unlink(missing_ok=True)
            self._set(name, "queued", place=time.time())
        self.pump()
        return self._record(name)

    def move(self, name: str, place: int) -> BatchRecord:
        """Move a batch that waits to another place among those that wait, from 1.

        Raises:
            JobNotFound.
            JobConflict: it does not wait.
        """
        self._check(name)
        with self._lock():
            waiting = self._waiting()
            if name not in waiting:
                raise JobConflict(f"Batch {name} does not wait.")
            waiting.remove(name)
            waiting.insert(max(0, place - 1), name)
            for number, each in enumerate(waiting):
                self._set(each, "queued", place=float(number))
        return self._record(name)

    def remove(self, name: str) -> None:
        """Forget a batch that has ended; its results stay.

        Raises:
            JobNotFound.
            JobConflict: it works or waits.
        """
        self._check(name)
        with self._lock():
            if self._record(name).is_active:
                raise JobConflict(f"Batch {name} works or waits.", hint="Cancel it first.")
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def pump(self) -> None:
        """Begin the next batch, if none works."""
        if not self._folder.is_dir():
            return
        with self._lock():
            states = (self._state_of(self._state(name)) for name in self._names())
            waiting = self._waiting()
            if waiting and "running" not in states:
                self._begin(waiting[0])

    # --- folders -----------------------------------------------------------------------------

    def _lock(self) -> Any:
        return locked(self._folder / "lock")

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return [p.name for p in self._folder.iterdir() if _ID.fullmatch(p.name) and p.is_dir()]

    def _check(self, name: str) -> None:
        if not _ID.fullmatch(name) or not (self._folder / name / "batch.json").is_file():
            raise JobNotFound(f"There is no batch {name[:40]!r}.")

    def _waiting(self) -> list[str]:
        states = {name: self._state(name) for name in self._names()}
        queued = [name for name, state in states.items() if state.get("state") == "queued"]
        return sorted(queued, key=lambda name: (states[name].get("place", 0.0), name))

    def _state(self, name: str) -> dict[str, Any]:
        return _read(self._folder / name / "state.json")

    def _set(self, name: str, state: str, **more: Any) -> None:
        write_json(self._folder / name / "state.json", {"state": state, **more}, durable=True)

    @staticmethod
    def _state_of(state: Mapping[str, Any]) -> str:
        kind = str(state.get("state", "interrupted"))
        if kind in ("running", "stopping"):
            alive = is_alive(state.get("pid"), state.get("pid_started"))
            return "running" if alive else "ended" if kind == "running" else "stopped"
        return kind

    def _begin(self, name: str) -> None:
        """Start the child; whoever has started it looks for the next batch when it has ended."""
        folder = self._folder / name
        request = read_json(folder / "batch.json")
        words = [
            "batch", "--progress", "jsonl", "--jobs", str(request["jobs"]),
            "--plan", str(folder / "template.json"), "--json", str(folder / "result.json"),
            "-o", request["out"], "--", *request["videos"],
        ]  # fmt: skip
        with (
            open(folder / "events.jsonl", "wb") as events,
            open(folder / "log.txt", "ab") as log,
        ):
            child = subprocess.Popen(
                python_module("facepick", *words),
                stdin=subprocess.DEVNULL,
                stdout=events,
                stderr=log,
                env={**os.environ, **self._environment, "PYTHONIOENCODING": "utf-8"},
                **own_session(),
            )
        self._set(name, "running", pid=child.pid, pid_started=started_mark(child.pid))

        def reap() -> None:
            child.wait()
            self.pump()

        threading.Thread(target=reap, name="facepick-batches", daemon=True).start()

    def _record(self, name: str) -> BatchRecord:
        folder = self._folder / name
        template = _read(folder / "template.json").get("assignments") or []
        request, result = _read(folder / "batch.json"), _read(folder / "result.json")
        kind = self._state_of(self._state(name))
        events = _events(folder / "events.jsonl")
        episodes = result.get("episodes") or [e for e in events if e.get("event") == "episode"]
        failed = [e for e in episodes if e.get("status") == "failed"]
        error = None
        if kind == "ended":
            cancelled = any(e.get("status") == "cancelled" for e in episodes)
            kind = "failed" if failed else "stopped" if cancelled else "done"
            if not result:
                error = _last_sentence(folder / "log.txt")
                kind = "failed" if error else "interrupted"
        totals = [e["total"] for e in events if e.get("event") == "batch"]
        progress = [e for e in events if e.get("event") == "progress"]
        waiting = self._waiting()
        return BatchRecord(
            id=name,
            state=kind,
            place=waiting.index(name) + 1 if name in waiting else None,
            out=str(request.get("out", "")),
            what=tuple(dict.fromkeys(f"{item['flow']} {item['engine']}" for item in template)),
            people=tuple(dict.fromkeys(name for item in template for name in _whom(item))),
            episodes=[{k: v for k, v in e.items() if k != "event"} for e in episodes],
            total=totals[-1] if totals else None,
            progress=progress[-1] if progress and kind == "running" else None,
            error=error,
            created=float(request.get("created", 0.0)),
        )


def _whom(item: Mapping[str, Any]) -> list[str]:
    named = [short_name(name) for name in item.get("people") or []]
    return named + [f"-{short_name(name)}" for name in item.get("everyone_but") or []]


def _events(path: Path) -> list[dict[str, Any]]:
    """Read the newest lines that a child has printed."""
    try:
        with open(path, "rb") as file:
            head = file.readline()
            size = file.seek(0, os.SEEK_END)
            file.seek(max(len(head), size - _LAST_BYTES))
            lines = [head, *file.read().splitlines()]
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            entry = parsed_json(line)
            if isinstance(entry, dict):
                found.append(entry)
    return found


def _last_sentence(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    said = [line.removeprefix("facepick: ") for line in lines if line.startswith("facepick: ")]
    return said[-1][:600] if said else None


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
