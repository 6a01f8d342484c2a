"""Devices: what is chosen, what is said when it is not there, and what a session refuses."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from facepick.errors import FacepickError, ModelMismatchError, SettingsError
from facepick.models.catalog import SILERO_VAD
from facepick.models.device import (
    DEVICES,
    choose,
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
