"""On what a network runs: onnxruntime's providers and torch's devices."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import ModelMismatchError, PackageMissing, SettingsError

if TYPE_CHECKING:
    import onnxruntime
    import torch

__all__ = ["DEVICES", "ProviderChoice", "choose", "ort_session", "providers", "torch_device"]

log = logging.getLogger("facepick.models.device")

DEVICES = ("auto", "cpu", "cuda", "directml", "coreml", "openvino")

_CPU = "CPUExecutionProvider"
_PROVIDER = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
_INSTALL = {
    "cuda": "onnxruntime-gpu, a driver and CUDA libraries that fit it",
    "directml": "onnxruntime-directml (Windows)",
    "openvino": "onnxruntime-openvino",
    "coreml": "onnxruntime on macOS",
}
# CoreML is not in this list: its neural engine computes in half precision, so that a result
# would depend on the machine without anybody having asked for it.
_AUTO_ORDER = ("cuda", "directml", "openvino")

# Beyond about eight threads these small networks (1 to 10 GFLOP a face) get no faster, while
# every thread takes time from the decoder and the encoder that run beside them.
_MAX_THREADS = 8


@dataclass(frozen=True)
class ProviderChoice:
    """What was chosen and why.

    Attributes:
        providers: for onnxruntime, best first; ends with the CPU.
        device: the one that is used, one of `DEVICES` without ``auto``.
        note: a sentence when it is not the one that was asked for, else empty.
    """

    providers: tuple[str, ...]
    device: str
    note: str = ""


def choose(device: str, available: Sequence[str]) -> ProviderChoice:
    """The providers for `device` among those that onnxruntime offers.

    Args:
        device: one of `DEVICES`.
        available: what ``onnxruntime.get_available_providers()`` says.

    Raises:
        SettingsError: `device` is none of `DEVICES`.
    """
    if device not in DEVICES:
        raise SettingsError(
            f"The device is {device!r} but must be one of {', '.join(DEVICES)}.",
            hint="Leave it at auto when in doubt.",
        )
    wanted = _AUTO_ORDER if device == "auto" else (device,)
    for name in wanted:
        provider = _PROVIDER.get(name)
        if provider in available and provider is not None:
            return ProviderChoice((provider, _CPU), name)
    if device in ("auto", "cpu"):
        return ProviderChoice((_CPU,), "cpu")
    return ProviderChoice(
        (_CPU,),
        "cpu",
        f"This onnxruntime cannot use {device}; the CPU is used. It needs {_INSTALL[device]}.",
    )


def providers(device: str = "auto") -> list[str]:
    """Providers for onnxruntime, best first, ending with the CPU; a fall-back is logged.

    Raises:
        PackageMissing: onnxruntime is not installed.
        SettingsError: `device` is none of `DEVICES`.
    """
    choice = choose(device, _onnxruntime().get_available_providers())
    if choice.note:
        log.warning(choice.note)
    return list(choice.providers)


def ort_session(
    path: Path, device: str = "auto", *, threads: int | None = None
) -> onnxruntime.InferenceSession:
    """An onnxruntime session of the network in `path`.

    Args:
        threads: of one operator; None takes the cores this process may use, at most eight.

    Raises:
        PackageMissing: onnxruntime is not installed.
        ModelMismatchError: the file is no ONNX network that this onnxruntime can read.
        SettingsError: `device` is none of `DEVICES`.
    """
    ort = _onnxruntime()
    wanted = providers(device)
    options = ort.SessionOptions()
    # Said explicitly, onnxruntime does not pin threads to cores (and complain about containers).
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; its warnings are about graph optimisations
    # Idle threads sleep instead of spinning, as decoding and encoding run on the same cores: on two
    # cores SFace takes 27 ms of CPU time a face instead of 54.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if "DmlExecutionProvider" in wanted:
        options.enable_mem_pattern = False  # DirectML demands both
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    if not path.is_file():
        raise ModelMismatchError(f"{path} is not a file.", hint="See: facepick models list")
    try:
        session = ort.InferenceSession(str(path), sess_options=options, providers=wanted)
    except _ort_errors() as error:
        raise ModelMismatchError(
            f"onnxruntime cannot load {path.name}: {_first_line(error)}",
            hint="Replace the file, or see `facepick models verify`.",
        ) from error
    used = session.get_providers()
    if used and used[0] != wanted[0]:
        log.warning(
            "%s could not be started and %s runs on %s; `facepick doctor` shows what is missing",
            wanted[0], path.name, used[0],
        )  # fmt: skip
    return session


def torch_device(device: str = "auto") -> torch.device:
    """The torch device for `device`; ``auto`` takes CUDA, else Apple's MPS, else the CPU.

    A device that torch cannot use falls back to the CPU and logs it.

    Raises:
        PackageMissing: torch is not installed.
        SettingsError: `device` is none of `DEVICES`.
    """
    if device not in DEVICES:
        choose(device, ())
    try:
        import torch
    except ImportError as error:
        raise PackageMissing("torch", needed_for="this model", extra="torch") from error
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if device in ("auto", "coreml") and torch.backends.mps.is_available():
        return torch.device("mps")
    if device not in ("auto", "cpu"):
        log.warning("torch cannot use %s here; the CPU is used", device)
    return torch.device("cpu")


def usable_cores() -> int:
    """Cores that this process may use, at least one and at most eight."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _MAX_THREADS))


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise PackageMissing("onnxruntime", needed_for="neural networks") from error
    return onnxruntime


def _ort_errors() -> tuple[type[BaseException], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
        state.NoSuchFile, state.NotImplemented, state.RuntimeException, state.EPFail,
    )  # fmt: skip


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
