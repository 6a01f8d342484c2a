"""A render that was stopped goes on with what is finished, and never mixes two makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facepick.app import App
from facepick.engines.registry import default_registry
from facepick.errors import Cancelled, UserInputError
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.progress import CancelToken, Progress
from facepick.render import made_of as made_of_module
from facepick.render import segments as module
from facepick.render.plan import Assignment, RenderPlan
from facepick.render.renderer import Renderer
from facepick.render.target import check_target


@pytest.fixture
def app(app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    # 150 frames in three segments.
    monkeypatch.setattr(module, "SEGMENT_FRAMES", 50)
    monkeypatch.setattr(module, "CUT_REACH_FRAMES", 5)
    return app


@pytest.fixture
def scan(app: App, shared_media: Path) -> Scan:
    return app.find_people(shared_media / "odd" / "base_640x360.mp4")


def _plan(scan: Scan, picture: Path) -> RenderPlan:
    item = Assignment(
        selection=Selection(("P1",)),
        flow="hide",
        engine="cover",
        settings={"picture": str(picture)},
    )
    return RenderPlan(video=str(scan.video.path), assignments=(item,))


def _stopped(app: App, scan: Scan, plan: RenderPlan, workspace: Path, out: Path) -> dict[str, int]:
    """Render until two segments are finished; gives when each was written."""
    token = CancelToken()

    def watch(report: Progress) -> None:
        if report.stage == "render" and report.done > 110:
            token.cancel()

    with pytest.raises(Cancelled):
        Renderer(
            plan, scan, workspace=workspace, registry=default_registry(), models=app.models,
            progress=watch, cancel=token,
        ).run(out)  # fmt: skip
    assert not out.exists()
    return _written(workspace)


def _written(workspace: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in (workspace / "segments").glob("*.nut")}


def _finish(
    app: App, scan: Scan, plan: RenderPlan, workspace: Path, out: Path, kept: list[dict[str, int]]
) -> None:
    def watch(report: Progress) -> None:
        if report.stage == "publish":
            kept.append(_written(workspace))

    result = Renderer(
        plan, scan, workspace=workspace, registry=default_registry(), models=app.models,
        progress=watch,
    ).run(out)  # fmt: skip
    assert result.frames == scan.frames
    assert result.report is not None


def _picture(path: Path, grey: int) -> Path:
    import cv2
    import numpy as np

    data = cv2.imencode(".png", np.full((64, 64, 3), grey, np.uint8))[1]
    path.write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize(
    "change",
    [
        "picture",
        pytest.param("nothing", marks=pytest.mark.slow),
        pytest.param("version", marks=pytest.mark.slow),
        pytest.param("notes", marks=pytest.mark.slow),
        pytest.param("older", marks=pytest.mark.slow),
    ],
)
def test_what_is_finished_is_kept_unless_what_it_is_made_of_changed(
    app: App, scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    workspace, out = tmp_path / "work", tmp_path / "out.mp4"
    workspace.mkdir()
    picture = _picture(tmp_path / "cover.png", 255)
    plan = _plan(scan, picture)
    before = _stopped(app, scan, plan, workspace, out)
    assert len(before) == 2
    if change == "picture":
        _picture(picture, 0)
    elif change == "version":
        monkeypatch.setattr(made_of_module, "__version__", "99")
    elif change == "older":
        # Of a version that knew inputs by their absolute paths.
        note = {"version": made_of_module.__version__, "encode": {}, "inputs": {str(picture): "0"}}
        (workspace / "made_of.json").write_text(json.dumps(note))
    elif change == "notes":
        # A power cut may leave an empty file.
        (workspace / "segments" / "00000.json").write_bytes(b"")
    seen: list[dict[str, int]] = []
    _finish(app, scan, plan, workspace, out, seen)
    same = {name for name, when in before.items() if seen[0][name] == when}
    assert (
        same
        == {
            "nothing": {"00000.nut", "00001.nut"},
            "notes": {"00001.nut"},
            "picture": set(),
            "version": set(),
            "older": set(),
        }[change]
    )


def test_a_result_never_takes_the_place_of_what_it_is_made_of(scan: Scan, tmp_path: Path) -> None:
    picture = _picture(tmp_path / "cover.png", 255)
    with pytest.raises(UserInputError, match="overwrite"):
        check_target(scan.video.path, _plan(scan, picture))
