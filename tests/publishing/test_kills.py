"""A process is killed at every line of publishing: there is nothing, or all of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from facepick import publishing
from facepick.render import publish
from facepick.render.publish import FinishedResult
from facepick.render.report import sidecar_of

pytestmark = pytest.mark.slow

NEW, OLD = b"new" * 3000, b"old" * 2000
WATCHED = (publishing.__file__, publish.__file__)

STRIDE = int(os.environ.get("FACEPICK_KILL_EVERY", "11"))
"""Lines from one kill to the next; 1 kills at each, which takes a minute."""

fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def report_of(data: bytes) -> dict[str, Any]:
    return {"format": "facepick-report/1", "result": {"sha256": digest(data)}}


def finished(folder: Path) -> FinishedResult:
    def write(video: Path) -> None:
        video.write_bytes(NEW)

    return FinishedResult.make(
        folder, ".mp4", write, lambda _, __: ({}, report_of(NEW)), frames=[{"frame": 0}]
    )


def killed_at(number: int, work: Callable[[], None]) -> bool:
    """Do the work in a child that is killed at the so-and-so-manieth line; False: it was done."""
    child = os.fork()
    if child == 0:
        count = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal count
            if frame.f_code.co_filename not in WATCHED:
                return None
            if event == "line":
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def pair(out: Path) -> tuple[bytes | None, str | None]:
    """What lies at the target, and of what the report beside it is."""
    video = out.read_bytes() if out.exists() else None
    report = json.loads(sidecar_of(out).read_text()) if sidecar_of(out).exists() else None
    return video, None if report is None else report["result"]["sha256"]


@fork
@pytest.mark.parametrize("way", ["_renamed", "_linked", "_reserved"])
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("links", [True, False])
def test_a_kill_leaves_nothing_or_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, force: bool, links: bool
) -> None:
    monkeypatch.setattr(publishing, "_WAYS", (getattr(publishing, way),))
    home, user, job = tmp_path / "home", tmp_path / "user", tmp_path / "home" / "job"
    monkeypatch.setenv("FACEPICK_HOME", str(home))
    if not links:

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(1, "no links here")

        if way == "_linked":
            pytest.skip("that way makes links")
        monkeypatch.setattr(publishing.os, "link", refuse)
    out = user / "out.mp4"
    before = (OLD, digest(OLD)) if force else (None, None)
    after = (NEW, digest(NEW))

    def work() -> None:
        done = FinishedResult.load(job)
        assert done is not None
        done.publish(out, force=force)

    # Names survive a kill without it; what it costs are minutes.
    monkeypatch.setattr(publishing.os, "fsync", lambda _: None)
    kills = 0
    for number in range(1, 10_000, STRIDE):
        shutil.rmtree(tmp_path / "user", ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)
        user.mkdir()
        finished(job)
        if force:
            out.write_bytes(OLD)
            sidecar_of(out).write_text(json.dumps(report_of(OLD)))
        if not killed_at(number, work):
            break
        kills += 1
        there = out.read_bytes() if out.exists() else None
        # Without links, what is there may be away for a moment, in a file that is found again.
        whole = {before[0], NEW, *(() if links else (None,))}
        if way != "_reserved":
            assert there in whole, number
        if there == NEW:
            assert pair(out) == after, number
        publishing.sweep()
        assert pair(out) in (before, after), number
        assert not list(user.glob(".*")), number
        assert not list((home / "unfinished").glob("*")), number
        if pair(out) == before:
            work()
        elif FinishedResult.load(job) is not None:
            work()  # it was killed between the last name and the end of the job
        assert pair(out) == after, number
        assert sorted(p.name for p in user.iterdir()) == ["out.mp4", "out.mp4.facepick.json"]
        assert not job.exists()
    assert kills > 60 // STRIDE
    assert pair(out) == after
