"""Segments drawn by processes of this machine and by a Ray cluster: the frames of one process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.plans import hiding

from facepick.app import App
from facepick.cli.main import main
from facepick.errors import Cancelled, MissingModelError, RenderError, SettingsError
from facepick.jobs.executors import Crew, Spread, draw_all
from facepick.jobs.segment_process import WorkerDied, answer_of, error_of
from facepick.media.reader import VideoReader
from facepick.progress import CancelToken, no_progress
from facepick.render import segments as module
from facepick.render.segments import SegmentStore, segments_to


@pytest.fixture
def place(
    tmp_path: Path,
    odd: Callable[[str], Path],
    app: App,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a clip of 150 frames in five segments."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(module, "SEGMENT_FRAMES", 30)
    monkeypatch.setattr(module, "CUT_REACH_FRAMES", 3)
    shutil.copyfile(odd("base_640x360.mp4"), tmp_path / "ep01.mp4")
    return tmp_path


@pytest.fixture
def words(shared_media: Path, photos: Callable[[str], Path]) -> dict[str, list[str]]:
    """What is asked for, by engine."""
    speech = shared_media / "speech" / "en_jfk_m_11s_44k.flac"
    return {
        "hide": ["--flow", "hide", "--style", "blur"],
        "rewrite": ["--flow", "lipsync", "--audio", str(speech)],
        "mesh": [
            "--flow", "swap", "--engine", "mesh", "--source", str(photos("carl/1.jpg")),
            "--i-have-the-right", "The people of the tests have agreed.",
        ],
    }  # fmt: skip


def frames_of(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    with VideoReader(path) as reader:
        return [(frame.time.seconds, frame.picture.bgr().copy()) for frame in reader.frames()]


def render(place: Path, name: str, *more: str) -> int:
    clip = str(place / "ep01.mp4")
    quick = ["--preset", "ultrafast", "--progress", "none", "--review", "off"]
    words = ["-o", str(place / name), *quick]
    return main(["render", clip, "--person", "P1", *words, *more])


class Killer(threading.Thread):
    """Kills the first worker that is in the middle of a segment, or its parent."""

    def __init__(self, home: Path, parent: bool) -> None:
        super().__init__(daemon=True)
        self.home, self.parent, self.killed = home, parent, 0

    def run(self) -> None:
        while not self.killed:
            for part in self.home.glob("jobs/*/segments/*.nut.part"):
                pid = int(part.name.split(".")[1].partition("-")[0])
                if self.parent:
                    text = Path(f"/proc/{pid}/stat").read_text()
                    pid = int(text.rpartition(")")[2].split()[1])
                assert pid not in (1, os.getpid())
                os.kill(pid, signal.SIGKILL)
                self.killed = pid
                return
            time.sleep(0.002)


def assert_same(place: Path, one: str, two: str) -> None:
    first, second = frames_of(place / one), frames_of(place / two)
    assert [when for when, _ in first] == [when for when, _ in second]
    assert all((a == b).all() for (_, a), (_, b) in zip(first, second, strict=True))
    reports = [json.loads((place / f"{n}.facepick.json").read_text()) for n in (one, two)]
    # What engines have counted is whole, too.
    for key in reports[0].keys() - {"created", "result"}:
        assert reports[0][key] == reports[1][key], key


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
@pytest.mark.parametrize("what", ["hide", "rewrite"])
def test_two_processes_of_which_one_is_killed(
    place: Path, words: dict[str, list[str]], what: str
) -> None:
    assert render(place, "one.mp4", *words[what]) == 0
    killer = Killer(place / "home", parent=False)
    killer.start()
    assert render(place, "two.mp4", *words[what], "--workers", "2") == 0
    assert killer.killed
    assert_same(place, "one.mp4", "two.mp4")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install ray")
@pytest.mark.parametrize("what", ["hide", "rewrite", "mesh"])
def test_a_ray_cluster_of_two_workers_of_which_one_is_killed(
    place: Path, words: dict[str, list[str]], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert render(place, "one.mp4", *words[what]) == 0
    killer = Killer(place / "home", parent=True)
    killer.start()
    try:
        more = ["--executor", "ray", "--workers", "2"]
        assert render(place, "two.mp4", *words[what], *more) == 0
    finally:
        ray.shutdown()
    assert killer.killed
    assert_same(place, "one.mp4", "two.mp4")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install ray")
def test_a_folder_that_a_worker_does_not_see_is_told_in_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    from facepick.errors import UserInputError
    from facepick.jobs.executors import open_executor

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    plan = hiding(place / "ep01.mp4")
    spread = Spread(executor="ray", workers=1)
    try:
        with (
            open_executor(spread, place / "elsewhere", plan, CancelToken()) as executor,
            pytest.raises(UserInputError, match=r"is not seen from this machine.*\(on ") as told,
        ):
            executor.submit(0).result()
    finally:
        ray.shutdown()
    assert "Mount it" in told.value.hint


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_its_package_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(place, "out.mp4", "--flow", "hide", "--executor", "ray") == 3
    assert "facepick[ray]" in capsys.readouterr().err


# --- who dies, who is wrong ------------------------------------------------------------------


NOTES = '{"frames": [], "counts": []}'


class Drawer:
    """Writes what a worker writes, and dies at some segments for as often as it is told."""

    def __init__(self, folder: Path, deaths: dict[int, int]) -> None:
        self.folder, self.deaths, self.closed = folder, deaths, False

    def draw(self, segment: int, *, told: Callable[[int], object], is_cancelled: Any) -> None:
        told(1)
        if self.deaths.get(segment):
            self.deaths[segment] -= 1
            raise WorkerDied("killed")
        (self.folder / f"{segment:05d}.json").write_text(NOTES)
        (self.folder / f"{segment:05d}.nut").touch()

    def close(self) -> None:
        self.closed = True


def crew(folder: Path, deaths: dict[int, int], hired: list[Drawer], cancel: CancelToken) -> Crew:
    def hire() -> Drawer:
        hired.append(Drawer(folder, deaths))
        return hired[-1]

    return Crew(hire, 2, cancel)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    segments, hired, token = segments_to((10, 20, 30, 40)), [], CancelToken()
    (tmp_path / "00001.json").write_text(NOTES)
    (tmp_path / "00001.nut").touch()
    before = (tmp_path / "00001.nut").stat().st_mtime_ns
    seen: list[int] = []
    with crew(tmp_path, {0: 1, 3: 2}, hired, token) as executor:
        draw_all(
            executor,
            segments,
            SegmentStore(tmp_path),
            progress=lambda report: seen.append(report.done),
            cancel=token,
        )
    assert not SegmentStore(tmp_path).missing(segments)
    assert (tmp_path / "00001.nut").stat().st_mtime_ns == before
    assert seen[-1] == 40
    assert all(worker.closed for worker in hired)


def test_workers_that_die_again_and_again_end_it(tmp_path: Path) -> None:
    segments, hired, token = segments_to((10, 20)), [], CancelToken()
    with (
        crew(tmp_path, {1: 99}, hired, token) as executor,
        pytest.raises(RenderError, match="at segments 1"),
    ):
        draw_all(executor, segments, SegmentStore(tmp_path), progress=no_progress, cancel=token)
    assert SegmentStore(tmp_path).is_finished(segments[0])
    token.cancel()
    with crew(tmp_path, {}, hired, token) as executor, pytest.raises(Cancelled):
        draw_all(executor, segments, SegmentStore(tmp_path), progress=no_progress, cancel=token)


def test_errors_of_workers_keep_their_kind() -> None:
    error = MissingModelError("No file.", hint="Fetch it.", models=("sface",))
    back = error_of(answer_of(error))
    assert type(back) is MissingModelError
    assert (back.message, back.hint) == ("No file.", "Fetch it.")
    assert error_of({"error": "x", "kind": "os"}).exit_code == 5


def test_what_cannot_be_spread_is_refused() -> None:
    for wrong in ({"workers": 0}, {"executor": "slurm"}, {"gpus": -1.0}):
        with pytest.raises(SettingsError):
            Spread(**wrong)
    assert Spread.from_json(None).is_one_process
    spread = Spread(executor="ray", workers=3, gpus=0.25)
    assert Spread.from_json(spread.to_json()) == spread
