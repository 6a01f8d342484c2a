"""Standby: a process that waits with everything loaded, and the job that it is given."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.app import App
from facepick.files import read_json
from facepick.jobs.standby import Standby
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, RenderPlan


def hidden(app: App, video: Path) -> RenderPlan:
    item = Assignment(selection=Selection(("P1",)), flow="hide", engine="pixelate", settings={})
    return app.make_plan(video, [item])


def ended(app: App, job: str) -> str:
    """Wait until a job is over; gives its state."""
    until = time.monotonic() + 120
    while app.job(job).is_active:
        assert time.monotonic() < until, "the job does not end"
        time.sleep(0.1)
    return str(app.job(job).state)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_second_frame_is_drawn_by_the_process_that_waited(
    app: App, odd: Callable[[str], Path], tmp_path: Path
) -> None:
    plan = hidden(app, odd("base_640x360.mp4"))
    first = app.start_preview(plan, tmp_path / "first.jpg", at=1.0, seconds=0)
    waiting = app._standby._child
    assert waiting is not None
    assert ended(app, first.id) == "done"
    second = app.start_preview(plan, tmp_path / "second.jpg", at=1.0, seconds=0)
    try:
        folder = app.jobs_folder.get(second.id).folder
        assert read_json(folder / "child.json")["pid"] == waiting.pid
        assert ended(app, second.id) == "done"
        assert (tmp_path / "first.jpg").read_bytes() == (tmp_path / "second.jpg").read_bytes()
        assert (folder / "log.txt").is_file()
    finally:
        app._standby.close()


@pytest.mark.skipif(os.name == "nt", reason="asks for processes as POSIX does")
def test_a_process_that_waits_ends_with_its_owner_and_serves_no_other_environment() -> None:
    standby = Standby()
    standby.prepare({"FACEPICK_DEVICE": "cpu"})
    child = standby._child
    assert child is not None
    assert standby.take("20260101-000000-0000", {"FACEPICK_DEVICE": "cuda"}) is None
    assert gone(child.pid)

    standby.prepare({})
    child = standby._child
    assert child is not None
    assert child.stdin is not None
    child.stdin.close()  # as when the process that started it is killed
    assert child.wait(timeout=60) == 0
    assert standby.take("20260101-000000-0000", {}) is None
