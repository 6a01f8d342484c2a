from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepick.models.catalog import LR_ASD_FACE, LR_ASD_SPEECH
from facepick.models.device import ort_session
from facepick.models.store import ModelStore
from facepick.speech.active_speaker import ActiveSpeaker, face_crop, face_squares, mfcc


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> ActiveSpeaker:
    """The network as it ships."""
    return ActiveSpeaker(ModelStore([], tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def golden(shared_models: Path) -> dict[str, np.ndarray]:
    """What the public network gave in PyTorch for the same numbers."""
    file = shared_models.parent / "golden" / "lr_asd_golden.npz"
    if not file.is_file():
        pytest.skip(f"no file {file}")
    with np.load(file) as data:
        return {name: data[name] for name in data.files}


@pytest.fixture(scope="module")
def tool() -> Any:
    """What makes the files that ship."""
    path = Path(__file__).resolve().parents[2] / "tools" / "make_lr_asd.py"
    spec = importlib.util.spec_from_file_location("make_lr_asd", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_network_before_it_is_rounded_gives_what_the_public_one_gives(
    tool: Any, golden: dict[str, np.ndarray], shared_models: Path
) -> None:
    import onnxruntime

    file = shared_models / "lr_asd_pretrain_ava.model"
    if not file.is_file():
        pytest.skip(f"no file {file}")
    session = onnxruntime.InferenceSession(
        tool.float_face_model(tool.Weights(file)), providers=["CPUExecutionProvider"]
    )
    (seen,) = session.run(["visual"], {"faces": golden["faces"][0]})
    assert np.abs(seen - golden["pretrain_AVA_visual"][0]).max() < 1e-4


def test_the_network_gives_nearly_what_the_public_one_gives(
    network: ActiveSpeaker, golden: dict[str, np.ndarray], tmp_path: Path
) -> None:
    wanted = golden["pretrain_AVA_visual"][0]
    logits = golden["pretrain_AVA_logits"]
    session = ort_session(ModelStore([], tmp_path).require(LR_ASD_SPEECH), "cpu")
    heard = session.run(None, {"mfcc": golden["mfcc"], "visual": wanted[None]})[0][0]
    assert np.abs(heard - logits).max() < 1e-4
    # In 8 bits: 0.006 in mean of numbers of 0.51 in mean, and 0.015 at most of a score; scores of
    # one face deviate by 0.8 from their mean.
    seen = network.look(golden["faces"][0])
    assert np.abs(seen - wanted).mean() < 0.01
    score = network.listen(golden["mfcc"][0], seen)
    assert np.abs(score - (logits[:, 1] - logits[:, 0])).max() < 0.03


def test_no_processor_overflows(tool: Any, tmp_path: Path) -> None:
    """Older ones add two products of an activation and a weight in 16 bits."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(ModelStore([], tmp_path).require(LR_ASD_FACE))
    arrays = [onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer]
    kernels = [a.astype(int) for a in arrays if a.dtype == np.int8 and a.ndim == 4]
    assert len(kernels) == 12
    for kernel in kernels:
        rows = kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1)
        assert 255 * tool.of_one_sign(rows).max() < 2**15


@pytest.mark.parametrize("count", [1, 8, 50, 51, 130])
def test_pictures_in_parts_give_the_same_numbers(network: ActiveSpeaker, count: int) -> None:
    faces = np.random.default_rng(1).integers(0, 256, (count, 112, 112), dtype=np.uint8)
    whole = network.look(faces)
    assert whole.shape == (count, 128)
    stream = network.stream()
    for at in range(0, count, 7):
        stream.add(faces[at : at + 7])
    assert np.array_equal(whole, stream.end()), "whole numbers, whatever the calls"
    # From nine pictures on, what came before does not matter.
    if count > 100:
        later = network.look(faces[60:])
        assert np.array_equal(whole[60 + 9 :], later[9:])


def test_cepstra_are_those_that_the_weights_were_trained_with() -> None:
    samples = np.random.default_rng(3).standard_normal(16_000).astype(np.float32) * 0.1
    whole = mfcc(samples, 0, 100)
    assert whole.shape == (100, 13)
    assert np.array_equal(mfcc(samples, 40, 60), whole[40:60])
    # The first is the log energy of the pre-emphasised window, on the scale of 16-bit samples.
    x = np.concatenate([[samples[1599]], samples[1600:2000]]).astype(np.float64) * 32768
    power = np.abs(np.fft.rfft(x[1:] - 0.97 * x[:-1], 512)) ** 2 / 512
    assert whole[10, 0] == pytest.approx(np.log(power.sum()), abs=1e-4)
    assert np.isfinite(mfcc(samples, -4, 400)).all()


def test_a_face_is_cut_where_its_mouth_is() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[210:230, 180:220] = 255
    boxes = np.tile(np.array([[150, 100, 250, 240]], np.float32), (20, 1))
    (x, y, half), *_ = face_squares(boxes)
    assert (x, y, half) == (200, 170, 70)
    crop = face_crop(image[50:], face_squares(boxes)[0], (0, 50))
    assert crop.shape == (112, 112)
    rows, columns = np.nonzero(crop > 127)
    # 1.4 halves of the face are 112 pixels; the crop begins 0.3 halves above the centre.
    assert rows.mean() == pytest.approx((220 - (170 - 21)) * 112 / 98, abs=1.5)
    assert columns.mean() == pytest.approx(56, abs=1.5)
