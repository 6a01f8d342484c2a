"""Devices: what is chosen, what is said when it is not there, and what a session refuses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepick.errors import FacepickError, ModelMismatchError, OutOfMemory, SettingsError
from facepick.models import device as device_module
from facepick.models.catalog import SILERO_VAD
from facepick.models.device import (
    DEVICES,
    choose,
    is_out_of_memory,
    ort_errors,
    ort_session,
    providers,
    torch_device,
    usable_cores,
)
from facepick.models.store import BUNDLED_DIR

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
DML = "DmlExecutionProvider"
COREML = "CoreMLExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        ([CPU], (CPU,)),
        ([CUDA, CPU], (CUDA, CPU)),
        (["TensorrtExecutionProvider", CUDA, CPU], (CUDA, CPU)),
        ([DML, CPU], (DML, CPU)),
        ([OPENVINO, CPU], (OPENVINO, CPU)),
        # Half precision only when somebody asks for it.
        ([COREML, CPU], (CPU,)),
        (["AzureExecutionProvider", CPU], (CPU,)),
    ],
)
def test_auto_takes_the_fastest_that_is_there(
    available: list[str], expected: tuple[str, ...]
) -> None:
    choice = choose("auto", available)
    assert choice.providers == expected
    assert choice.note == ""


@pytest.mark.parametrize(
    ("device", "provider"),
    [("cuda", CUDA), ("directml", DML), ("coreml", COREML), ("openvino", OPENVINO)],
)
def test_a_named_device_is_taken_or_its_absence_explained(device: str, provider: str) -> None:
    assert choose(device, [provider, CPU]).providers == (provider, CPU)
    assert choose(device, [provider, CPU]).note == ""
    fallen_back = choose(device, [CPU])
    assert fallen_back.providers == (CPU,)
    assert fallen_back.device == "cpu"
    assert device in fallen_back.note
    assert "It needs onnxruntime" in fallen_back.note


def test_cpu_means_cpu_even_beside_a_gpu() -> None:
    assert choose("cpu", [CUDA, CPU]).providers == (CPU,)


@pytest.mark.parametrize("device", ["gpu", "CUDA", "", "cuda:1"])
def test_an_unknown_device_is_refused_everywhere(device: str) -> None:
    for refuse in (providers, torch_device):
        with pytest.raises(SettingsError, match="device"):
            refuse(device)


def test_a_session_runs_on_every_device_name(caplog: pytest.LogCaptureFixture) -> None:
    path = BUNDLED_DIR / SILERO_VAD.file
    inputs = {
        "input": np.zeros((1, 576), np.float32),
        "state": np.zeros((2, 1, 128), np.float32),
        "sr": np.array(16000, np.int64),
    }
    for device in DEVICES:
        with caplog.at_level(logging.WARNING, logger="facepick"):
            caplog.clear()
            session = ort_session(path, device, threads=1)
        probability = session.run(None, inputs)[0]
        assert probability.shape == (1, 1)
        assert 0 <= probability[0, 0] < 0.1  # silence
        # Whoever asked for a device that did not start is told.
        on_cpu = session.get_providers()[0] == CPU
        assert bool(caplog.records) == (on_cpu and device not in ("auto", "cpu"))


SILENCE = {
    "input": np.zeros((1, 576), np.float32),
    "state": np.zeros((2, 1, 128), np.float32),
    "sr": np.array(16000, np.int64),
}


class FullCard:
    """A session that says it runs on a graphics card without memory, as onnxruntime words it."""

    def __init__(self, session: Any, text: str) -> None:
        self._session, self._text = session, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def run(self, *_: Any) -> None:
        (kind,) = (c for c in ort_errors() if c.__name__ == "RuntimeException")
        raise kind(self._text)


ARENA = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running "
    "FusedConv node. bfc_arena.cc:376 onnxruntime::BFCArena::AllocateRawInternal Failed to "
    "allocate memory for requested buffer of size 643840"
)


@pytest.fixture(params=[ARENA])
def full_card(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions on CUDA start and then find no memory, or fail as the parameter says."""
    opened = device_module._opened

    def fake(path: Path, device: str, threads: int | None) -> Any:
        session = opened(path, "cpu", threads)
        return FullCard(session, request.param) if device == "cuda" else session

    monkeypatch.setattr(device_module, "_opened", fake)


@pytest.mark.usefixtures("full_card")
def test_a_card_without_memory_is_left_for_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    """A WebUI's own models often hold the card."""
    session = ort_session(BUNDLED_DIR / SILERO_VAD.file, "cuda", threads=1)
    assert not session.on_cpu
    with pytest.raises(OutOfMemory, match="memory is full"):
        session.attempt(None, SILENCE)
    with caplog.at_level(logging.WARNING, logger="facepick"):
        assert 0 <= session.run(None, SILENCE)[0][0, 0] < 0.1
    assert session.on_cpu
    assert "no more room" in caplog.text
    caplog.clear()
    session.run(None, SILENCE)
    assert not caplog.records


OLD = "CUDA error cudaErrorNoKernelImageForDevice: no kernel image is available for execution"


@pytest.mark.parametrize("full_card", [OLD], indirect=True)
@pytest.mark.usefixtures("full_card")
def test_a_card_that_the_libraries_do_not_know_is_left_for_the_cpu(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = ort_session(BUNDLED_DIR / SILERO_VAD.file, "cuda", threads=1)
    with caplog.at_level(logging.WARNING, logger="facepick"):
        assert 0 <= session.attempt(None, SILENCE)[0][0, 0] < 0.1
    assert session.on_cpu
    assert "no kernel image" in caplog.text


def test_a_network_that_fails_is_one_clear_error() -> None:
    session = ort_session(BUNDLED_DIR / SILERO_VAD.file, "cpu", threads=1)
    with pytest.raises(ModelMismatchError, match=r"silero_vad_16k_op15\.onnx failed"):
        session.run(None, {**SILENCE, "state": np.zeros((2, 7, 128), np.float32)})


def test_real_numbers_become_what_the_input_wants() -> None:
    session = ort_session(BUNDLED_DIR / SILERO_VAD.file, "cpu", threads=1)
    wide = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in SILENCE.items()}
    np.testing.assert_array_equal(session.run(None, wide)[0], session.run(None, SILENCE)[0])


@pytest.mark.parametrize(
    ("text", "full"),
    [
        (ARENA, True),
        ("CUDA out of memory. Tried to allocate 2.00 MiB", True),
        ("MPS backend out of memory (MPS allocated: 9.01 GB)", True),
        ("CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED ; GPU=0", True),
        ("Exception(1) tid(a) 8007000E Not enough memory resources are available", True),
        ("Non-zero status code returned while running Conv node: wrong shape", False),
    ],
)
def test_what_a_full_memory_is_called(text: str, full: bool) -> None:
    assert is_out_of_memory(RuntimeError(text)) == full


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x07\x12"])
def test_what_is_no_network_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelMismatchError, match=r"broken\.onnx"):
        ort_session(path)
    with pytest.raises(FacepickError, match="not a file"):
        ort_session(tmp_path / "absent.onnx")


def test_torch_device() -> None:
    torch = pytest.importorskip("torch", reason="torch is optional")
    assert torch_device("cpu") == torch.device("cpu")
    chosen = torch_device("auto")
    assert (torch.zeros(2, device=chosen) + 1).sum().item() == 2


def test_cores_are_few_and_never_none() -> None:
    assert 1 <= usable_cores() <= 8
