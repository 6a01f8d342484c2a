"""Jobs wait in order, and at most so many work at once, whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from facepick.app import App
from facepick.errors import Cancelled, JobConflict, ToolError
from facepick.host.standalone import StandaloneHost
from facepick.jobs import line
from facepick.jobs.workspace import Workspace
from facepick.paths import DEFAULT_JOBS, jobs_at_once
from facepick.progress import CancelToken, no_progress


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_JOBS", "1")
    return App(StandaloneHost())


@pytest.fixture
def working(app: App) -> Iterator[Workspace]:
    """A job that works, in a process of its own."""
    job = app.new_scan_job("film.mp4")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    job.line.enter(job.id, process.pid)
    yield job
    process.kill()
    process.wait()


def until(true: object) -> None:
    limit = time.monotonic() + 120
    while not true():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.1)


@pytest.mark.parametrize(("text", "count"), [("3", 3), ("0", 2), ("-1", 2), ("x", 2), ("", 2)])
def test_how_many_is_a_setting(text: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPICK_JOBS", text)
    assert jobs_at_once() == count
    assert DEFAULT_JOBS == 2


@pytest.mark.slow
def test_jobs_wait_in_the_order_in_which_they_were_handed_over(
    app: App, working: Workspace
) -> None:
    first, second = (app.start_scan(f"none{n}.mp4") for n in (1, 2))
    assert [app.job(r.id).state for r in (first, second)] == ["queued", "queued"]
    assert [app.job(r.id).place for r in (first, second)] == [1, 2]
    assert app.job(second.id).to_json()["place"] == 2
    time.sleep(2)
    assert [app.job(r.id).state for r in (first, second)] == ["queued", "queued"]
    # The process that works is killed and never says that it is gone.
    place = next(working.line._folder.glob(f"*-{working.id}"))
    place.write_text('{"pid": 4194303, "pid_started": "1"}')
    until(lambda: all(not app.job(r.id).is_active for r in (first, second)))
    ended = [(app.job(r.id).folder / "state.json").stat().st_mtime_ns for r in (first, second)]
    assert ended == sorted(ended)
    assert [app.job(r.id).state for r in (first, second)] == ["failed", "failed"]
    assert not list(working.line._folder.glob("0*"))


def test_a_job_that_waits_can_be_moved(app: App, working: Workspace) -> None:
    jobs = [app.new_scan_job(f"none{n}.mp4") for n in range(3)]
    for job in jobs:
        job.mark_queued()
        job.line.enter(job.id, os.getpid())
    app.move_job(jobs[2].id, 1)
    assert [app.job(job.id).place for job in jobs] == [2, 3, 1]
    app.move_job(jobs[2].id, 99)
    assert [app.job(job.id).place for job in jobs] == [1, 2, 3]
    with pytest.raises(JobConflict):
        app.move_job(working.id, 1)


def test_a_job_that_waits_can_be_stopped_and_resumed(app: App, working: Workspace) -> None:
    job = app.start_scan("none.mp4")
    assert app.cancel_job(job.id).state == "stopped"
    again = app.resume_job(job.id)
    assert again.place == 1
    app.cancel_job(job.id)
    until(lambda: app.job(job.id).state == "stopped" and app.job(job.id).place is None)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_waiting_job_whose_process_dies_is_interrupted(app: App, working: Workspace) -> None:
    job = app.start_scan("none.mp4")
    child = int((job.folder / "child.json").read_text().split('"pid": ')[1].split(",")[0])
    os.kill(child, signal.SIGKILL)
    until(lambda: app.job(job.id).state == "interrupted")


def test_a_job_in_this_process_waits_too(app: App, working: Workspace) -> None:
    told: list[int] = []
    cancel = CancelToken()

    def progress(report: object) -> None:
        told.append(report.done)  # type: ignore[attr-defined]
        cancel.cancel()

    job = app.new_scan_job("none.mp4")
    with pytest.raises(Cancelled):
        app.run(job, progress=progress, cancel=cancel)
    assert told == [1]
    assert job.record().state == "stopped"


def test_a_line_has_an_end(app: App, working: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MAX_WAITING", 0)
    with pytest.raises(ToolError, match="work or wait"):
        app.start_scan("none.mp4")
    assert [r.state for r in app.jobs() if r.video.endswith("none.mp4")] == ["stopped"]


def test_fetching_models_does_not_wait(app: App, working: Workspace) -> None:
    job = app.jobs_folder.new("fetch", video="", out=None, request={"models": []})
    assert app.run(job, progress=no_progress).state == "done"
