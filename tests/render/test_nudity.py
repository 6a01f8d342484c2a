"""The check for nudity before a swap, with stand-in networks whose answer is known.

The stand-ins score a picture by its mean blue, so that a blue frame is "unsafe".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.engines.swap.standins import helper, numpy_helper, onnx

from facepick.app import App
from facepick.cli import main
from facepick.engines.registry import default_registry
from facepick.errors import ModelMismatchError, UserInputError
from facepick.models.catalog import OPEN_NSFW
from facepick.models.store import ModelStore, sha256_of
from facepick.people.person import Scan
from facepick.people.selection import Selection
from facepick.render.nudity import NudityClassifier, check_before_swap, frames_to_check
from facepick.render.plan import Assignment, RenderPlan
from facepick.render.report import read_report

pytestmark = pytest.mark.slow

CONSENT = "Both are contracted models."

REGISTRY = default_registry()


def network(
    folder: Path, *, channels_first: bool = False, always: float | None = None, side: int = 224
) -> Path:
    """P(unsafe) = (mean blue as the network sees it + 104) / 255, or a constant."""
    shape = [1, 3, side, side] if channels_first else [1, side, side, 3]
    weights = np.zeros((2, 3), np.float32)
    offset = np.array([[1, 0]], np.float32)
    if always is None:
        weights[:, 0] = (-1 / 255, 1 / 255)
        offset += np.array([[-104, 104]], np.float32) / np.float32(255)
    else:
        offset = np.array([[1 - always, always]], np.float32)
    axes = [2, 3] if channels_first else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "open_nsfw",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [1, 2])],
        [
            numpy_helper.from_array(np.ascontiguousarray(weights.T), "weights"),
            numpy_helper.from_array(offset, "offset"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OPEN_NSFW.file
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def scan(
    odd: Callable[[str], Path],
    shared_models: Path,
    tmp_path_factory: pytest.TempPathFactory,
    people_known: Callable[[Path], None],
) -> Scan:
    home = tmp_path_factory.mktemp("home")
    people_known(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEPICK_HOME", str(home))
        patch.setenv("FACEPICK_MODELS", str(shared_models))
        return App().find_people(odd("base_640x360.mp4"))


def plan_for(
    scan: Scan, *, flow: str = "swap", who: str = "P1", start: int = 0, stop: int | None = None
) -> RenderPlan:
    item = Assignment(
        selection=Selection((who,)),
        flow=flow,
        engine="mesh" if flow == "swap" else "pixelate",
        consent=CONSENT,
    )
    return RenderPlan(video=str(scan.video.path), assignments=(item,), start=start, stop=stop)


@pytest.mark.parametrize("channels_first", [False, True])
def test_colours_and_mean_reach_the_network_in_order(tmp_path: Path, channels_first: bool) -> None:
    classifier = NudityClassifier(network(tmp_path, channels_first=channels_first))
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:] = (51, 200, 250)
    assert classifier.score(picture) == pytest.approx(51 / 255, abs=1e-5)
    # The outer 16 of 256 rows and columns are not looked at.
    framed = np.zeros((512, 512, 3), np.uint8)
    framed[32:-32, 32:-32, 0] = 255
    assert classifier.score(framed) == pytest.approx(1.0, abs=1e-5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match="its input is"):
        NudityClassifier(network(tmp_path, side=112))
    odd_answer = NudityClassifier(network(tmp_path, always=7.0))
    with pytest.raises(ModelMismatchError, match="its answer"):
        odd_answer.score(np.zeros((64, 64, 3), np.uint8))


def test_one_frame_of_each_second_that_is_changed_is_looked_at(scan: Scan) -> None:
    """Frames 0..149 at 25 a second; nothing outside the part, nothing for other flows."""
    frames = frames_to_check(plan_for(scan, start=30, stop=110), scan, REGISTRY)
    seconds = [int(scan.pts[f] * scan.video.time_base) for f in frames]
    assert seconds == sorted(set(seconds))
    assert all(30 <= f < 110 for f in frames)
    everywhere = {
        int(f)
        for who in ("P1", "P2")
        for t in scan.tracks_of(who)
        for f in np.asarray(t.frames).tolist()
    }
    assert set(frames) <= everywhere
    assert 3 <= len(frames) <= 4
    assert frames_to_check(plan_for(scan, flow="hide"), scan, REGISTRY) == []


def test_above_the_limit_a_swap_is_refused_and_hiding_is_not(scan: Scan, tmp_path: Path) -> None:
    def store(name: str, always: float) -> ModelStore:
        network(tmp_path / name, always=always)
        return ModelStore([tmp_path / name], tmp_path)

    swap, hide = plan_for(scan), plan_for(scan, flow="hide")
    check = check_before_swap(swap, scan, REGISTRY, store("safe", 0.79))
    assert check is not None
    assert check.frames == len(frames_to_check(swap, scan, REGISTRY))
    assert check.highest == pytest.approx(0.79)
    with pytest.raises(UserInputError, match=r"nudity at 0\.0 s \(score 0\.81\)"):
        check_before_swap(swap, scan, REGISTRY, store("unsafe", 0.81))
    assert check_before_swap(hide, scan, REGISTRY, store("unsafe", 0.81)) is None
    assert check_before_swap(swap, scan, REGISTRY, ModelStore([], tmp_path / "none")) is None


def test_a_finished_check_is_not_repeated_unless_something_changed(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "nudity.json"
    store = ModelStore([tmp_path / "models"], tmp_path)
    network(tmp_path / "models", always=0.3)
    swap = plan_for(scan, stop=60)
    looked = []
    score = NudityClassifier.score

    def counted(self: NudityClassifier, picture: np.ndarray) -> float:
        looked.append(1)
        return score(self, picture)

    monkeypatch.setattr(NudityClassifier, "score", counted)
    first = check_before_swap(swap, scan, REGISTRY, store, note=note)
    assert len(looked) == len(frames_to_check(swap, scan, REGISTRY)) > 0
    assert check_before_swap(swap, scan, REGISTRY, store, note=note) == first
    assert len(looked) == len(frames_to_check(swap, scan, REGISTRY))
    # Another part, another file, and a note that somebody wrote into.
    check_before_swap(plan_for(scan, stop=110), scan, REGISTRY, store, note=note)
    before = len(looked)
    assert before > 2 * len(frames_to_check(swap, scan, REGISTRY))
    network(tmp_path / "models", always=0.9)
    with pytest.raises(UserInputError, match="nudity"):
        check_before_swap(plan_for(scan, stop=110), scan, REGISTRY, store, note=note)
    network(tmp_path / "models", always=0.3)
    for damage in ("", "[1]", "{}", "[null, null]"):
        note.write_text(damage)
        before = len(looked)
        assert check_before_swap(swap, scan, REGISTRY, store, note=note) == first
        assert len(looked) > before


def test_the_command_ends_with_2_and_without_a_result(
    scan: Scan,
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network(tmp_path / "models", always=0.95)
    folders = os.pathsep.join(map(str, (shared_models, tmp_path / "models")))
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", folders)
    out = tmp_path / "out.mp4"
    clip = str(scan.video.path)
    arguments = ["render", clip, "-o", str(out), "--person", "P1"]
    # P2 of the same clip is a source that is cleared for it.
    swap = ["--flow", "swap", "--source", f"{clip}:P2", "--i-have-the-right", CONSENT]
    assert main([*arguments, *swap]) == 2
    assert "nudity" in capsys.readouterr().err
    assert not out.exists()


def test_a_video_that_passes_says_so_in_its_report(
    scan: Scan,
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    people_known: Callable[[Path], None],
) -> None:
    import cv2
    from tests.contracts.face_footage import face_requests

    people_known(tmp_path / "home")
    file = network(tmp_path / "models", always=0.25)
    folders = os.pathsep.join(map(str, (shared_models, tmp_path / "models")))
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", folders)
    (face,) = face_requests(scan.video.path, (0,), margin=0.8)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), face.crop)
    plan = plan_for(scan, stop=5)
    (item,) = plan.assignments
    plan = replace(plan, assignments=(replace(item, source=(str(photo),)),))
    App().render(plan, tmp_path / "out.mp4")
    report = read_report(tmp_path / "out.mp4")
    assert report["nudity"] == {
        "frames": 1, "highest": 0.25, "limit": 0.8, "model_sha256": sha256_of(file),
    }  # fmt: skip
    (entry,) = (m for m in report["models"] if m["id"] == "open_nsfw")
    assert entry["sha256"] == sha256_of(file)
