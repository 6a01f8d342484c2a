"""Segments of a render, drawn by several processes in a folder that moves between machines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.plans import hiding

from facepick.app import App
from facepick.cli.main import main
from facepick.errors import UserInputError
from facepick.media.reader import VideoReader
from facepick.render import segments as module
from facepick.render.places import PlaceMap
from facepick.render.segments import as_ranges, numbers_of


@pytest.fixture
def place(
    tmp_path: Path,
    odd: Callable[[str], Path],
    app: App,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a clip of 150 frames in three segments, and a plan for it."""
    monkeypatch.setattr(module, "SEGMENT_FRAMES", 50)
    monkeypatch.setattr(module, "CUT_REACH_FRAMES", 5)
    (tmp_path / "in").mkdir()
    clip = tmp_path / "in" / "ep01.mp4"
    shutil.copyfile(odd("base_640x360.mp4"), clip)
    (tmp_path / "plan.json").write_text(json.dumps(hiding(clip)))
    return tmp_path


def step(place: Path, *words: str, work: str = "work", plan: str = "plan.json") -> int:
    where = ["--plan", str(place / plan), "--workspace", str(place / work)]
    return main(["render", *where, "--progress", "none", *words])


def frames_of(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    with VideoReader(path) as reader:
        return [(frame.time.seconds, frame.picture.bgr().copy()) for frame in reader.frames()]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_folder_that_moved_gives_the_frames_of_one_process(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ["render", "--plan", str(place / "plan.json"), "-o", str(place / "one.mp4")]
    assert main([*whole, "--progress", "none"]) == 0
    capsys.readouterr()
    assert step(place, "--prepare", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["frames"] for entry in told["segments"]] == [50, 50, 50]
    assert sum(entry["seconds"] for entry in told["segments"]) == pytest.approx(6, abs=0.01)
    assert step(place, "--segments", "2") == 0

    # On another machine: the folder and the video lie elsewhere, and nothing else is there.
    written = [path for path in (place / "work").rglob("*") if path.is_file()]
    assert not [path for path in written if str(place).encode() in path.read_bytes()]
    (place / "work").rename(place / "mounted")
    (place / "in").rename(place / "data")
    monkeypatch.setenv("FACEPICK_HOME", str(place / "other-home"))
    moved = f"{place / 'in'}={place / 'data'}"
    assert step(place, "--join", "-o", str(place / "two.mp4"), "--map", moved, work="mounted") == 2
    assert "2 of 3 segments are not there: 0-1." in said(capsys)
    assert step(place, "--segments", "0-2", "--map", moved, work="mounted") == 0
    assert capsys.readouterr().out.splitlines() == ["0-1\tdrawn", "2\tthere already"]
    assert step(place, "--join", "-o", str(place / "two.mp4"), "--map", moved, work="mounted") == 0

    one, two = (frames_of(place / name) for name in ("one.mp4", "two.mp4"))
    assert [pts for pts, _ in one] == [pts for pts, _ in two]
    assert all((a == b).all() for (_, a), (_, b) in zip(one, two, strict=True))
    reports = [
        json.loads((place / f"{name}.mp4.facepick.json").read_text())["frames"]
        for name in ("one", "two")
    ]
    assert reports[0] == reports[1]


@pytest.mark.slow
def test_what_does_not_fit_is_told_in_a_sentence(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step(place, "--segments", "0") == 2
    assert "is not seen from this machine" in said(capsys)
    (place / "empty").mkdir()
    assert step(place, "--segments", "0", work="empty") == 2
    assert "Nothing is prepared" in said(capsys)
    assert step(place, "--prepare") == 0
    assert step(place, "--segments", "3") == 2
    assert "the segments are 0 to 2" in said(capsys)
    assert step(place, "--segments", "0-1", "--preset", "veryfast") == 2
    assert "prepared for another plan" in said(capsys)
    assert step(place, "--segments", "0") == 0
    capsys.readouterr()
    # What was drawn is not dropped because of an option that was forgotten.
    assert step(place, "--prepare", "--preset", "veryfast") == 2
    assert "holds segments of another plan" in said(capsys)
    assert step(place, "--join", "-o", str(place / "out.webm")) == 2
    capsys.readouterr()
    clip = place / "in" / "ep01.mp4"
    clip.rename(place / "in" / "away.mp4")
    assert step(place, "--segments", "1") == 2
    assert "--map" in said(capsys)
    clip.write_bytes((place / "in" / "away.mp4").read_bytes() + b"\0")
    assert step(place, "--segments", "1") == 2
    assert "has changed" in said(capsys)


def test_steps_need_a_plan_and_a_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--plan", str(place / "plan.json"), "--prepare"]) == 2
    assert "needs --workspace and --plan" in said(capsys)
    assert main(["render", "--plan", str(place / "plan.json"), "--workspace", "x"]) == 2
    assert "goes with a step" in said(capsys)
    assert step(place, "--join") == 2
    assert "No result is named" in said(capsys)


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-2", "0,,1", "²", "0-9999999999", "6"])
def test_what_names_no_segments_is_refused(text: str) -> None:
    with pytest.raises(UserInputError):
        numbers_of(text, 6)


def test_ranges_are_read_and_written() -> None:
    assert numbers_of("0-2, 5,1", 6) == [0, 1, 2, 5]
    assert as_ranges(numbers_of("5,0-2", 6)) == "0-2,5"


def test_files_are_found_on_another_machine() -> None:
    place = PlaceMap(["/mnt/a=/data", "/mnt/a/b=/fast", "C:\\clips=/clips", "/x=/x/y"])
    assert place("/mnt/a/ep.mp4") == str(Path("/data/ep.mp4"))
    assert place("/mnt/a/b/ep.mp4") == str(Path("/fast/ep.mp4"))
    assert place("/mnt/ab/ep.mp4") == "/mnt/ab/ep.mp4"
    assert place("c:\\CLIPS\\1\\ep.mp4") == str(Path("/clips/1/ep.mp4"))
    assert place("/x/z") == str(Path("/x/y/z"))
    for wrong in ("/a", "=/b", "/a="):
        with pytest.raises(UserInputError):
            PlaceMap([wrong])
