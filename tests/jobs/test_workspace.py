"""Jobs on disk: states, dead workers, foreign ids."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from facepick.engines.registry import default_registry
from facepick.errors import Cancelled, JobNotFound, RenderError, UserInputError
from facepick.jobs.resources import Resources
from facepick.jobs.runner import run_job
from facepick.jobs.workspace import Workspace, Workspaces
from facepick.models.store import ModelStore
from facepick.progress import Progress, ProgressSink


def test_a_job_goes_from_queued_to_done(tmp_path: Path) -> None:
    jobs = Workspaces(tmp_path)
    job = jobs.new("scan", video="a.mp4", out=None, request={"settings": {}})
    assert job.record().state == "queued"
    job.claim()
    job.report(Progress(stage="scan", done=3, total=10))
    record = job.record()
    assert record.state == "running"
    assert record.progress is not None
    assert record.progress.fraction == pytest.approx(0.3)
    job.finish("done", exit_code=0, result={"people": 2})
    assert [r.id for r in jobs.all()] == [job.id]
    assert jobs.get(job.id).record().result == {"people": 2}


def test_a_killed_worker_leaves_an_interrupted_job(tmp_path: Path) -> None:
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from facepick.jobs.workspace import Workspace;"
        "Workspace(Path(sys.argv[1])).claim(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(job.folder)], check=False)
    record = job.record()
    assert record.state == "interrupted"
    assert record.can_resume


def test_a_process_id_used_again_is_not_taken_for_the_worker(tmp_path: Path) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system does not tell when a process started")
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    state = {"state": "running", "pid": os.getppid(), "pid_started": "1"}
    (job.folder / "state.json").write_text(json.dumps(state))
    assert job.record().state == "interrupted"


def test_a_running_job_cannot_be_claimed_twice(tmp_path: Path) -> None:
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        state = {"state": "running", "pid": sleeper.pid, "pid_started": None}
        (job.folder / "state.json").write_text(json.dumps(state))
        with pytest.raises(UserInputError, match="running"):
            job.claim()
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_job_that_was_stopped_before_it_began_does_not_begin(tmp_path: Path) -> None:
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    job.ask_to_cancel()
    with pytest.raises(Cancelled):
        job.claim()
    assert job.record().state == "stopped"
    job.mark_queued()
    assert job.record().state == "queued"
    job.claim()
    assert job.record().state == "running"
    job.finish("done", exit_code=0)


def test_a_child_that_ends_before_it_begins_leaves_an_interrupted_job(tmp_path: Path) -> None:
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    job.mark_queued()
    job.mark_child(child.pid)
    assert job.record().state == "interrupted"


@pytest.mark.parametrize("name", ["", "..", "../../etc", "20261122-215701-4f2a", "x"])
def test_ids_from_outside_open_no_other_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobNotFound):
        Workspaces(tmp_path / "jobs").get(name)


def test_a_folder_that_is_no_job_is_passed_over(tmp_path: Path) -> None:
    jobs = Workspaces(tmp_path)
    (tmp_path / "20261122-215701-4f2a").mkdir()
    (tmp_path / "20261122-215701-4f2a" / "job.json").write_text("{broken")
    assert jobs.all() == []


def test_prune_takes_what_is_done_or_abandoned_and_nothing_else(tmp_path: Path) -> None:
    jobs = Workspaces(tmp_path)
    far = time.time() + 40 * 86_400
    done = jobs.new("scan", video="a.mp4", out=None, request={})
    done.finish("done", exit_code=0)
    jobs.new("scan", video="a.mp4", out=None, request={})  # never begun
    killed = jobs.new("scan", video="a.mp4", out=None, request={})
    state = {"state": "running", "pid": 2**22 + 1, "pid_started": None}
    (killed.folder / "state.json").write_text(json.dumps(state))
    (tmp_path / "20261122-215701-4f2a").mkdir()  # its maker was killed
    working = jobs.new("scan", video="a.mp4", out=None, request={})
    working.claim()
    starting = jobs.new("scan", video="a.mp4", out=None, request={})
    starting.mark_queued()
    starting.mark_child(os.getpid())
    unreadable = jobs.new("scan", video="a.mp4", out=None, request={})
    (unreadable.folder / "job.json").write_text("{broken")
    assert jobs.prune(keep_days=30) == 0
    assert jobs.prune(keep_days=30, now=far) == 4
    kept = {working.id, starting.id, unreadable.id}
    assert {p.name for p in tmp_path.iterdir()} == kept
    working.finish("done", exit_code=0)


def test_a_job_that_was_touched_lately_is_not_old(tmp_path: Path) -> None:
    """It was made long ago, but stopped today."""
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    plain = json.loads((job.folder / "job.json").read_text())
    (job.folder / "job.json").write_text(json.dumps({**plain, "created": 0.0}))
    for path in (job.folder / "job.json", job.folder):
        os.utime(path, (0, 0))
    job.mark_stopped()
    assert Workspaces(tmp_path).prune(keep_days=1) == 0


def test_of_two_workers_at_the_same_moment_one_gets_the_job(tmp_path: Path) -> None:
    """Both saw it queued: what is noted cannot tell them apart, only a lock can."""
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    first, second = Workspace(job.folder), Workspace(job.folder)
    first.claim()
    (job.folder / "state.json").unlink()
    with pytest.raises(UserInputError, match="running"):
        second.claim()
    first.finish("stopped", exit_code=4)
    second.claim()
    second.finish("done", exit_code=0)


def test_a_full_disk_does_not_hide_why_a_job_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither progress nor the end can be noted; the reason is told all the same."""
    workspace = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    store = ModelStore([], tmp_path)
    resources = Resources(registry=default_registry(), models=store, cache=tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def scan(_w: object, _t: object, sink: ProgressSink, _c: object) -> dict[str, Any]:
        monkeypatch.setattr("facepick.files.os.replace", full)
        sink(Progress(stage="scan", done=1))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("facepick.jobs.work.scan", scan)
    with pytest.raises(RenderError, match="No space left"):
        run_job(workspace, resources)


def test_progress_of_a_spawned_job_never_goes_back_to_queued(tmp_path: Path) -> None:
    """The child may have begun, or even ended, before its starter notes its id."""
    job = Workspaces(tmp_path).new("scan", video="a.mp4", out=None, request={})
    job.mark_queued()
    job.finish("done", exit_code=0)
    job.mark_child(os.getpid())
    assert job.record().state == "done"
