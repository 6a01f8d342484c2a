"""Renders as jobs: what they are made of, and what lies where they go, is never lost or mixed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facepick.app import App
from facepick.errors import Cancelled, RenderError, SourceChanged, TargetTaken, UserInputError
from facepick.jobs.workspace import Workspace
from facepick.people.selection import Selection
from facepick.progress import CancelToken, Progress
from facepick.render import segments as module
from facepick.render.plan import Assignment, RenderPlan
from facepick.render.report import sidecar_of

pytestmark = pytest.mark.slow

Sink = Callable[[Progress], None]


@pytest.fixture
def app(app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    # 150 frames in three segments.
    monkeypatch.setattr(module, "SEGMENT_FRAMES", 50)
    monkeypatch.setattr(module, "CUT_REACH_FRAMES", 5)
    return app


@pytest.fixture
def clip(tmp_path: Path, odd: Callable[[str], Path]) -> Path:
    """A copy that may be changed."""
    path = tmp_path / "clip.mp4"
    shutil.copyfile(odd("base_640x360.mp4"), path)
    return path


def plan_of(app: App, clip: Path, **settings: Any) -> RenderPlan:
    item = Assignment(selection=Selection(("P1",)), flow="hide", engine="cover", settings=settings)
    plan = app.make_plan(clip, [item])
    return RenderPlan.from_json({**plan.to_json(), "encode": {"preset": "ultrafast"}})


def at(stage: str, frame: int, act: Callable[[], object]) -> Sink:
    """Does something once, in the middle of a job."""
    done = []

    def sink(report: Progress) -> None:
        if report.stage == stage and report.done >= frame and not done:
            done.append(act())

    return sink


def things_beside(clip: Path) -> set[str]:
    return {p.name for p in clip.parent.iterdir()} - {"home", clip.name}


def picture(path: Path, grey: int) -> Path:
    import cv2
    import numpy as np

    data = cv2.imencode(".png", np.full((64, 64, 3), grey, np.uint8))[1]
    path.write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize("how", ["replaced", "written to", "replaced and put back"])
def test_a_video_that_changes_while_it_renders_gives_no_result(
    app: App, clip: Path, odd: Callable[[str], Path], tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out.mp4"

    def change() -> None:
        if how == "written to":
            with open(clip, "r+b") as file:
                file.seek(100_000)
                file.write(b"\0" * 1000)
            return
        other = tmp_path / "home" / "other.mp4"
        shutil.copyfile(odd("base_640x360.mp4"), other)
        os.replace(other, clip)

    job = app.new_render_job(plan_of(app, clip), out)
    with pytest.raises(SourceChanged, match="clip"):
        app.run(job, progress=at("render", 60, change))
    assert things_beside(clip) == set()
    assert app.job(job.id).state == "failed"


def test_a_picture_that_changes_while_it_renders_gives_no_result(
    app: App, clip: Path, tmp_path: Path
) -> None:
    cover = picture(tmp_path / "cover.png", 255)
    job = app.new_render_job(plan_of(app, clip, picture=str(cover)), tmp_path / "out.mp4")
    with pytest.raises(SourceChanged, match="cover"):
        app.run(job, progress=at("render", 60, lambda: picture(cover, 0)))
    assert things_beside(clip) == {"cover.png"}


def test_a_video_that_changes_while_it_is_looked_through_is_not_remembered(
    app: App, clip: Path, odd: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copyfile(odd("no_audio.mp4"), clip)
    before = set((tmp_path / "home" / "cache").iterdir())

    def change() -> None:
        shutil.copyfile(odd("base_640x360.mp4"), clip)

    with pytest.raises(SourceChanged, match="clip"):
        app.find_people(clip, progress=at("scan", 30, change))
    assert set((tmp_path / "home" / "cache").iterdir()) == before


def test_a_plan_for_another_video_is_refused(
    app: App, clip: Path, odd: Callable[[str], Path], tmp_path: Path
) -> None:
    digest = app.find_people(clip).content_hash
    plan = RenderPlan.from_json({**plan_of(app, clip).to_json(), "content_hash": digest})
    shutil.copyfile(odd("no_audio.mp4"), clip)
    with pytest.raises(SourceChanged, match="another video"):
        app.render(plan, tmp_path / "out.mp4")


def appears(path: Path) -> Callable[[], object]:
    return lambda: path.write_text("precious")


@pytest.mark.parametrize("kind", ["render", "preview"])
def test_a_file_that_appears_at_the_target_stays_and_so_does_the_result(
    app: App, clip: Path, tmp_path: Path, kind: str
) -> None:
    out, other = tmp_path / "out.mp4", tmp_path / "other.mp4"
    plan = plan_of(app, clip)
    if kind == "render":
        job = app.new_render_job(plan, out)
    else:
        job = app.new_preview_job(plan, out, at=1.0, seconds=0.4)
    with pytest.raises(TargetTaken, match="out") as told:
        app.run(job, progress=at("render", 1, appears(out)))
    assert f"facepick jobs resume {job.id} -o OTHER.mp4" in told.value.hint
    assert out.read_text() == "precious"
    assert things_beside(clip) == {"out.mp4"}
    with pytest.raises(UserInputError, match="finished result is a"):
        app.resumable(job.id, out=tmp_path / "other.mkv")

    def never_again(report: Progress) -> None:
        assert report.stage not in ("scan", "render"), "it was done already"

    record = app.run(app.resumable(job.id, out=other), progress=never_again)
    assert record.state == "done"
    assert record.result["out"] == str(other)
    assert out.read_text() == "precious"
    if kind == "render":
        assert app.inspect(other)["unchanged_since"]
        assert app.inspect(other)["result"]["path"] == str(other)
    assert app.probe(other).declared_frames == (150 if kind == "render" else 10)
    assert not list(record.folder.rglob("result.mp4"))


def test_force_is_remembered_by_the_job(app: App, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("old")
    plan = plan_of(app, clip)
    with pytest.raises(TargetTaken):
        app.new_render_job(plan, out)
    job = app.new_render_job(plan, out, force=True)
    token = CancelToken()
    with pytest.raises(Cancelled):
        app.run(job, progress=at("render", 60, token.cancel), cancel=token)
    assert out.read_text() == "old"
    assert app.run(app.resumable(job.id)).state == "done"
    assert app.inspect(out)["unchanged_since"]


def test_force_on_resume_is_for_the_place_that_it_was_given_for(
    app: App, clip: Path, tmp_path: Path
) -> None:
    out, third = tmp_path / "out.mp4", tmp_path / "third.mp4"
    third.write_text("precious")
    job = app.new_render_job(plan_of(app, clip), out, force=True)
    with pytest.raises(TargetTaken, match="third"):
        app.resumable(job.id, out=third)
    assert app.job(job.id).out == str(out)
    app.resumable(job.id, out=third, force=True)
    assert (app.job(job.id).out, app.job(job.id).force) == (str(third), True)


def test_of_two_renders_to_one_target_one_is_published_and_one_is_kept(
    app: App, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    first = app.new_render_job(plan_of(app, clip), out)
    second = app.new_render_job(plan_of(app, clip, color="#ff0000"), out)
    inner = at("render", 60, lambda: app.run(second))
    with pytest.raises(TargetTaken):
        app.run(first, progress=inner)
    report = app.inspect(out)
    assert report["unchanged_since"]
    assert report["plan"]["assignments"][0]["settings"] == {"color": "#ff0000"}
    app.run(app.resumable(first.id, out=tmp_path / "b.mp4"))
    assert app.inspect(tmp_path / "b.mp4")["unchanged_since"]
    assert app.inspect(out) == report


def test_a_foreign_file_where_the_report_goes_stays(app: App, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    sidecar_of(out).write_text("my notes")
    with pytest.raises(TargetTaken, match="facepick"):
        app.new_render_job(plan_of(app, clip), out)
    # The report of a result that was deleted is no loss.
    sidecar_of(out).write_text('{"format": "facepick-report/1", "result": {}}')
    app.render(plan_of(app, clip), out)
    assert app.inspect(out)["unchanged_since"]


def test_a_full_disk_at_the_report_publishes_nothing_and_keeps_the_result(
    app: App, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"
    job = app.new_render_job(plan_of(app, clip), out)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("facepick.render.publish.shutil.copyfileobj", full)
        with pytest.raises(RenderError, match="No space left") as told:
            app.run(job)
    assert job.id in told.value.hint
    assert things_beside(clip) == set()
    app.run(app.resumable(job.id))
    assert things_beside(clip) == {
        "out.mp4",
        "out.mp4.facepick.json",
        "out.mp4.review.html",
    }
    assert app.inspect(out)["unchanged_since"]


def test_jobs_of_older_versions_go_on(app: App, clip: Path, tmp_path: Path) -> None:
    """They know neither `force` nor where else a result may go."""
    job = app.new_render_job(plan_of(app, clip), tmp_path / "out.mp4")
    file = job.folder / "job.json"
    plain = json.loads(file.read_text())
    del plain["force"]
    file.write_text(json.dumps(plain))
    assert app.run(Workspace(job.folder)).state == "done"
