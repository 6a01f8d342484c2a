"""A result is searched for the face that was to be hidden."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.app import App
from facepick.cli import main
from facepick.cli.inspect import ranges_text
from facepick.people.selection import Selection
from facepick.render.plan import Assignment

pytestmark = pytest.mark.slow


def rendered(app: App, video: Path, folder: Path, **settings: object) -> Path:
    out = folder / "out.mp4"
    hide = Assignment(
        selection=Selection(("P1",)), flow="hide", engine="cover", settings=dict(settings)
    )
    app.run(app.new_render_job(app.make_plan(video, [hide]), out))
    return out


def test_a_hidden_face_is_not_seen_again(
    app: App, odd: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = rendered(app, odd("base_640x360.mp4"), tmp_path, shape="head")
    assert main(["inspect", str(out), "--hidden", "--progress", "none"]) == 0
    told = capsys.readouterr().out
    assert "P1: not seen in 150 frames" in told


def test_a_face_that_shows_is_named_by_its_frames(
    app: App,
    odd: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sticker that is transparent with nothing under it covers nobody."""
    import cv2
    import numpy as np

    sticker = np.zeros((8, 8, 4), np.uint8)
    sticker[0, 0] = 255
    cv2.imwrite(str(tmp_path / "clear.png"), sticker)
    out = rendered(
        app,
        odd("base_640x360.mp4"),
        tmp_path,
        picture=str(tmp_path / "clear.png"),
        under="nothing",
    )
    assert main(["inspect", str(out), "--hidden", "--json", "--progress", "none"]) == 5
    (entry,) = json.loads(capsys.readouterr().out)["hidden"]
    scan = app.find_people(odd("base_640x360.mp4"))
    there = {frame for track in scan.tracks_of("P1") for frame in track.frames.tolist()}
    seen = {face["frame"] for face in entry["seen"]}
    assert entry["person"] == "P1"
    assert len(seen) > 0.95 * len(there)
    assert seen <= there, "nobody else is taken for the hidden person"
    # The same in words, without another search.
    monkeypatch.setattr(App, "measure_hidden", lambda *_, **__: [entry])
    assert main(["inspect", str(out), "--hidden", "--progress", "none"]) == 5
    assert f"seen in {len(entry['seen'])} of 150 frames: 0-" in capsys.readouterr().out


def test_frames_are_told_as_ranges() -> None:
    assert ranges_text([3, 7, 8, 9, 12]) == "3, 7-9, 12"
    assert ranges_text(range(0, 60, 3)).endswith("27 and 10 stretches more")
