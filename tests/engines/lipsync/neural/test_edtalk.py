"""EdTalk: the tensors it is given, and what is made of its picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contracts.engine_cases import _speech, context_for
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FacePatch, FaceRequest
from facepick.engines.lipsync.gating import Gating
from facepick.engines.lipsync.neural.crop import warp_back, warp_out
from facepick.engines.lipsync.neural.edtalk import (
    SIDE,
    EdTalkEngine,
    EdTalkSession,
    five_points,
    load_edtalk,
)
from facepick.engines.lipsync.neural.mel import mel_spectrogram
from facepick.engines.lipsync.neural.settings import EdTalkSettings
from facepick.engines.restore.restorer import NoRestorer
from facepick.errors import MissingModelError, ModelMismatchError, UserInputError
from facepick.progress import CancelToken
from facepick.speech.line import Speech
from facepick.speech.vad import Stretch


@pytest.fixture(scope="module")
def standin() -> Any:
    from tests.engines.lipsync.neural import edtalk_standin

    return edtalk_standin


@pytest.fixture(scope="module")
def faces(odd: Callable[[str], Path]) -> list[FaceRequest]:
    return face_requests(odd("base_640x360.mp4"), (0, 1), margin=0.75, mesh=True)


class Recorder:
    """Gives the face back and remembers what it was given."""

    def __init__(self) -> None:
        self.mel: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []

    def __call__(self, mel: np.ndarray, face: np.ndarray) -> np.ndarray:
        self.mel.extend(mel)
        self.faces.extend(face)
        return face.copy()


def session_of(
    faces: list[FaceRequest], folder: Path, network: Any, samples: np.ndarray, **settings: Any
) -> EdTalkSession:
    context = context_for(
        EdTalkEngine(),
        folder,
        faces,
        cancel=CancelToken(),
        settings=EdTalkSettings(**settings),
        speech=Speech(samples=samples),
    )
    gating = Gating(speak=(Stretch(0, 1000),))
    return EdTalkSession(context, network, gating, NoRestorer(), Path("edtalk_256.onnx"))


def test_the_network_is_fed_rgb_the_sound_and_the_weight(standin: Any, tmp_path: Path) -> None:
    draw = load_edtalk(standin.write_standin(tmp_path / "e.onnx", "tag"), weight=0.25)
    faces = np.zeros((3, 3, SIDE, SIDE), np.float32)
    faces[:, 2] = np.array([0.1, 0.5, 0.9], np.float32)[:, None, None]  # Red, in BGR.
    mel = np.full((3, 1, 80, 16), -2.0, np.float32)
    pictures = draw(mel, faces)
    assert pictures.shape == faces.shape
    np.testing.assert_allclose(pictures[:, 2], faces[:, 2], atol=1e-6)
    np.testing.assert_allclose(pictures[:, 1], 0.25, atol=1e-6)
    np.testing.assert_allclose(pictures[:, 0], 0.25, atol=1e-6)
    assert draw(mel[:0], faces[:0]).shape == (0, 3, SIDE, SIDE)


def test_half_precision_files_run_too(standin: Any, tmp_path: Path) -> None:
    from onnx import TensorProto

    path = standin.write_standin(tmp_path / "half.onnx", dtype=TensorProto.FLOAT16)
    face = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    picture = load_edtalk(path)(np.zeros((1, 1, 80, 16), np.float32), face)
    assert picture.dtype == np.float32
    np.testing.assert_allclose(picture, face, atol=1e-3)


def test_other_files_are_refused(
    standin: Any, seeded_onnx: Path, vad_model: Path, tmp_path: Path
) -> None:
    for path in (
        seeded_onnx,
        vad_model,
        standin.write_standin(tmp_path / "small.onnx", side=128),
    ):
        with pytest.raises(ModelMismatchError, match="is not edtalk_256"):
            load_edtalk(path)
    with pytest.raises(ModelMismatchError, match="no ONNX"):
        load_edtalk(tmp_path / "edtalk.pth")
    broken = load_edtalk(standin.write_standin(tmp_path / "nan.onnx", "broken"))
    with pytest.raises(ModelMismatchError, match="drew no picture"):
        broken(np.zeros((1, 1, 80, 16), np.float32), np.zeros((1, 3, SIDE, SIDE), np.float32))


def test_the_face_is_aligned_and_comes_back_to_its_place(
    faces: list[FaceRequest], tmp_path: Path
) -> None:
    network = Recorder()
    samples = (0.1 * np.random.default_rng(0).standard_normal(32_000)).astype(np.float32)
    times = [Fraction(0), Fraction(7, 25)]
    requests = [replace(f, time=t) for f, t in zip(faces, times, strict=True)]
    session = session_of(requests, tmp_path, network, samples, keep_grain=False)
    answers = session.process(requests)
    assert [f.shape for f in network.faces] == [(3, SIDE, SIDE)] * 2
    whole = mel_spectrogram(samples)
    # As EDTalk's scripts: 80 columns a second, from int(80 (i - 2) / 25); the first one repeats.
    for mel, i in zip(network.mel, (0, 7), strict=True):
        start = int(80.0 * ((i - 2) / 25.0))
        columns = [min(max(c, 0), whole.shape[1] - 1) for c in range(start, start + 16)]
        np.testing.assert_array_equal(mel[0], whole[:, columns])
    request = requests[0]
    assert request.mesh is not None
    cut = session._cut(request)
    inverse = np.linalg.inv(np.vstack([cut.to_crop, [0, 0, 1]]))
    points = request.local(five_points(request.mesh)).astype(float)
    placed = points @ inverse[:2, :2].T + inverse[:2, 2]
    # FFHQ: the eyes at 0.38 and 0.62 of the width, the mouth at 0.73 of the height.
    wanted = SIDE * np.array([[0.38, 0.47], [0.62, 0.47], [0.50, 0.61], [0.39, 0.73], [0.61, 0.73]])
    assert np.abs(placed - wanted).max() < 0.06 * SIDE
    picture = warp_out(request.crop, cut, side=SIDE).astype(np.float32)
    height, width = request.crop.shape[:2]
    back = warp_back(picture, cut, origin=(0, 0), size=(width, height))
    patch = answers[0]
    assert isinstance(patch, FacePatch)
    x, y = patch.origin[0] - request.origin[0], patch.origin[1] - request.origin[1]
    rows = slice(y, y + patch.image.shape[0])
    columns = slice(x, x + patch.image.shape[1])
    sure = patch.alpha > 0.5
    assert sure.sum() > 100
    for shown in (back[rows, columns], patch.image.astype(np.float32)):
        gap = np.abs(shown - request.crop[rows, columns])[sure]
        assert gap.mean() < 3.0


def test_opened_with_a_file_it_renders_and_without_one_it_says_what_to_do(
    standin: Any, faces: list[FaceRequest], shared_media: Path, tmp_path: Path
) -> None:
    engine = EdTalkEngine()
    assert engine.spec.commercial_use
    extra = _speech(tmp_path, faces, shared_media)
    context = context_for(engine, tmp_path, faces, cancel=CancelToken(), **extra)
    with pytest.raises(MissingModelError, match=r"edtalk_256\.onnx"):
        engine.open(context)
    named = replace(context, settings=EdTalkSettings(checkpoint="nowhere.onnx"))
    with pytest.raises(UserInputError, match="no checkpoint"):
        engine.open(named)
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    standin.write_standin(folder / "edtalk_256.onnx")
    session = engine.open(replace(context, settings=EdTalkSettings(debug=True)))
    assert all(isinstance(a, FacePatch) for a in session.process(faces))
    report = session.report()
    assert report["checkpoint"] == "edtalk_256.onnx"
    assert report["frames"] == {"speak": 2}
    import cv2

    (sheet,) = (tmp_path / "workspace" / "debug").iterdir()
    assert cv2.imread(str(sheet)).shape == (256, 5 * 256, 3)
    session.close()
