"""Estimates: what is known of this machine, and what a plan takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from facepick.app import App
from facepick.cli.main import main
from facepick.jobs import paces as paces_module
from facepick.jobs.paces import Paces
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, RenderPlan


def plan_of(video: Path, engine: str = "blur", flow: str = "hide", **more: object) -> RenderPlan:
    return RenderPlan(
        video=str(video),
        assignments=(Assignment(selection=Selection(("P1",)), flow=flow, engine=engine),),
        **more,
    )


def test_more_of_everything_takes_longer(app: App, odd: Callable[[str], Path]) -> None:
    plan = plan_of(odd("base_640x360.mp4"))
    scan = app.stored_people(plan.video)
    assert scan is not None
    found = app.estimate(plan, scan)
    assert found.scan_seconds == 0
    assert found.scanned
    assert not found.measured
    half = app.estimate(plan.part(0, scan.frames // 2), scan)
    assert half.render_seconds < found.render_seconds
    assert half.result_bytes < found.result_bytes
    slower = replace(plan, encode=replace(plan.encode, preset="slow"))
    assert app.estimate(slower, scan).seconds > found.seconds
    lips = app.estimate(plan_of(Path(plan.video), "rewrite", "lipsync"), scan)
    assert lips.seconds > found.seconds
    assert lips.work_bytes > found.work_bytes
    unknown = app.estimate(plan)
    assert not unknown.scanned
    assert unknown.scan_seconds > 0


def test_what_was_done_here_sets_the_pace(app: App, odd: Callable[[str], Path]) -> None:
    plan = plan_of(odd("base_640x360.mp4"))
    scan = app.stored_people(plan.video)
    before = app.estimate(plan, scan)
    paces = Paces(app.cache / "paces.json")
    for ratio in (3.0, 100.0, 3.0):
        paces.note(["hide/blur"], ratio, 10.0)
    after = app.estimate(plan, scan)
    assert after.measured
    # The one that something else had disturbed does not count.
    assert after.render_seconds == pytest.approx(3 * before.render_seconds)
    # Of what was not done yet, the pace of the rest is the best guess.
    other = app.estimate(plan_of(Path(plan.video), "pixelate"), scan)
    assert other.render_seconds == pytest.approx(after.render_seconds, rel=0.01)
    assert not other.measured


def test_a_damaged_file_of_paces_is_no_pace(tmp_path: Path) -> None:
    for text in ("", "[]", '{"format": "facepick-paces/1", "ratios": {"scan": ["x"]}}'):
        (tmp_path / "paces.json").write_text(text)
        paces = Paces(tmp_path / "paces.json")
        assert paces.ratio("scan") is None
        assert paces.usual() is None
    paces.note(["scan"], 2.0, 5.0)
    # Too short to say anything.
    paces.note(["scan"], 50.0, 0.2)
    assert paces.ratio("scan") == 2.0


def test_a_render_leaves_its_pace_and_batch_tells_what_will_be(
    app: App,
    odd: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Six seconds of video may take less than that on a machine that does nothing else.
    monkeypatch.setattr(paces_module, "LEAST_SECONDS", 0.01)
    season = tmp_path / "season"
    season.mkdir()
    shutil.copyfile(odd("base_640x360.mp4"), season / "ep01.mp4")
    words = ["--person", "P1", "--flow", "hide", "--style", "cover", "--preset", "ultrafast"]
    quiet = ["--review", "off", "--progress", "none"]
    out = str(tmp_path / "out.mp4")
    assert main(["render", str(season / "ep01.mp4"), "-o", out, *words, *quiet]) == 0
    assert Paces(app.cache / "paces.json").ratio("hide/cover") is not None
    capsys.readouterr()
    (season / "ep02.mp4").write_bytes(b"no video\n")
    assert main(["batch", str(season), "-o", str(tmp_path / "o"), *words, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "about" in lines[0]
    assert "MB" in lines[0] or "kB" in lines[0]
    assert "ep02.mp4" in lines[1]
    assert "about" not in lines[1]
    assert lines[2].startswith("in all")


@pytest.mark.slow
def test_the_command_calibrates_once_and_tells_every_video(
    app: App, odd: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video\n")
    words = ["estimate", str(odd("base_640x360.mp4")), str(broken), "--person", "P1"]
    assert main([*words, "--flow", "hide", "--json", "-"]) == 0
    first, second = json.loads(capsys.readouterr().out)["videos"]
    assert first["estimate"]["scanned"]
    assert first["estimate"]["seconds"] > 0
    assert second["estimate"] is None
    assert "broken.mp4" in second["error"]
    paces = (app.cache / "paces.json").read_bytes()
    assert json.loads(paces)["ratios"].keys() == {"scan", "hide/pixelate"}
    assert main([*words, "--flow", "hide"]) == 0
    assert "base_640x360.mp4" in capsys.readouterr().out
    assert (app.cache / "paces.json").read_bytes() == paces
    assert main(["estimate", str(broken), "--person", "P1", "--flow", "hide"]) == 5
