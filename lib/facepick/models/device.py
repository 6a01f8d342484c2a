"""Devices that networks run on: onnxruntime's providers and torch's devices."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import ModelMismatchError, OutOfMemory, PackageMissing, SettingsError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

__all__ = [
    "DEVICES",
    "OrtSession",
    "ProviderChoice",
    "choose",
    "is_out_of_memory",
    "ort_errors",
    "ort_session",
    "providers",
    "torch_device",
]

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

# What onnxruntime is told about each provider, after its documentation.  CUDA: the memory arena
# grows by what is needed (it would otherwise double, and the card is often shared with a WebUI's
# own models), and convolutions are picked by rule (the default tries all of them out at every new
# shape, and the number of faces in a batch changes all the time).
_OPTIONS: dict[str, dict[str, str]] = {
    _PROVIDER["cuda"]: {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    },
}

# What the providers and torch say when the device's memory is full; lower case.
_FULL = (
    "out of memory",  # CUDA, torch, MPS
    "failed to allocate",  # onnxruntime's arena
    "alloc_failed",  # cuDNN, cuBLAS
    "not enough memory",  # DirectML
    "8007000e",  # E_OUTOFMEMORY of DirectX
    "bad_alloc",  # the CPU
)

# Beyond about eight threads these small networks (1 to 10 GFLOP a face) get no faster, while
# every thread takes time from the decoder and the encoder that run beside them.
_MAX_THREADS = 8


@dataclass(frozen=True)
class ProviderChoice:
    """The providers that were chosen, and why.

    Attributes:
        providers: for onnxruntime, best first; ends with the CPU.
        device: the one that is used, one of `DEVICES` without ``auto``.
        note: a sentence when it is not the one that was asked for, else empty.
    """

    providers: tuple[str, ...]
    device: str
    note: str = ""


def choose(device: str, available: Sequence[str]) -> ProviderChoice:
    """Choose the providers for `device` among those that onnxruntime offers.

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
    """List providers for onnxruntime, best first, ending with the CPU; a fall-back is logged.

    Raises:
        PackageMissing: onnxruntime is not installed.
        SettingsError: `device` is none of `DEVICES`.
    """
    choice = choose(device, _onnxruntime().get_available_providers())
    if choice.note:
        log.warning(choice.note)
    return list(choice.providers)


class OrtSession:
    """An onnxruntime session that goes on on the CPU when its device gives up.

    Graphics cards are shared, with the WebUI's own models or with games, and drivers are older or
    newer than libraries.  A long job shall not fail at its last minute because of that.

    Args:
        path: of the network.
        device: one of `DEVICES`.
        threads: of one operator; None takes the cores this process may use, at most eight.

    Raises:
        PackageMissing, ModelMismatchError, SettingsError: as `ort_session`.
    """

    def __init__(self, path: Path, device: str, threads: int | None = None) -> None:
        self._path, self._threads = path, threads
        self._session = _opened(path, device, threads)
        self._types = {i.name: _NUMBERS.get(i.type) for i in self._session.get_inputs()}

    @property
    def on_cpu(self) -> bool:
        """True when it runs on the CPU, from the start or by now."""
        return bool(self._session.get_providers()[0] == _CPU)

    def get_inputs(self) -> list[Any]:
        """Return the inputs as onnxruntime does: each has `name`, `shape` and `type`."""
        return list(self._session.get_inputs())

    def get_outputs(self) -> list[Any]:
        """Return the outputs as onnxruntime does."""
        return list(self._session.get_outputs())

    def get_providers(self) -> list[str]:
        """Return the providers as onnxruntime does."""
        return list(self._session.get_providers())

    def run(
        self, outputs: Sequence[str] | None, feed: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """Run the network; on the CPU from now on if the device's memory is full.

        Raises:
            OutOfMemory: there is no room on the CPU either.
            ModelMismatchError: the network fails on this input.
        """
        try:
            return self.attempt(outputs, feed)
        except OutOfMemory:
            if self.on_cpu:
                raise
            log.warning(
                "%s has no more room for %s; it goes on on the CPU, which is slower",
                self._session.get_providers()[0], self._path.name,
            )  # fmt: skip
            self.move_to_cpu()
            return self.attempt(outputs, feed)

    def attempt(
        self, outputs: Sequence[str] | None, feed: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        """Run the network where the session is; retry on the CPU what failed for another reason
        than memory.

        Args:
            outputs: names; None for all.
            feed: arrays by input name; real numbers are converted to the input's own type.

        Raises:
            OutOfMemory: the device's memory is full; a smaller batch may do.
            ModelMismatchError: the network fails on this input, on the CPU as well.
        """
        import numpy as np

        inputs = {
            name: np.ascontiguousarray(array, self._types[name] or array.dtype)
            if array.dtype.kind == "f"
            else array
            for name, array in feed.items()
        }
        errors: tuple[type[Exception], ...] = (*ort_errors(), MemoryError)
        try:
            return list(self._session.run(outputs, inputs))
        except errors as error:
            if is_out_of_memory(error):
                raise OutOfMemory(
                    f"The memory is full; {self._path.name} cannot run.",
                    hint="Close other programs, or take --device cpu.",
                ) from error
            if self.on_cpu:
                raise ModelMismatchError(
                    f"{self._path.name} failed: {_first_line(error)}",
                    hint="Try another copy of the file.",
                ) from error
            log.warning(
                "%s fails on %s, which now runs on the CPU: %s",
                self._session.get_providers()[0], self._path.name, _first_line(error),
            )  # fmt: skip
        self.move_to_cpu()
        return self.attempt(outputs, feed)

    def move_to_cpu(self) -> None:
        """Give the device's memory back and run on the CPU from now on."""
        # The old session must be gone before the new one is made, or both are in memory.
        del self._session
        self._session = _opened(self._path, "cpu", self._threads)


# numpy's names of onnxruntime's types of real inputs.
_NUMBERS = {
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


def ort_session(path: Path, device: str = "auto", *, threads: int | None = None) -> OrtSession:
    """Open a session of the network in `path`.

    Args:
        threads: of one operator; None takes the cores this process may use, at most eight.

    Raises:
        PackageMissing: onnxruntime is not installed.
        ModelMismatchError: the file is no ONNX network that this onnxruntime can read.
        SettingsError: `device` is none of `DEVICES`.
    """
    return OrtSession(path, device, threads)


def _opened(path: Path, device: str, threads: int | None) -> Any:
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
    if _PROVIDER["directml"] in wanted:
        options.enable_mem_pattern = False  # DirectML demands both
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    if _PROVIDER["cuda"] in wanted:
        _preload_cuda()
    if not path.is_file():
        raise ModelMismatchError(
            f"{path} is not a file.", hint="docs/models.md says which files there are."
        )
    try:
        session = ort.InferenceSession(
            str(path),
            sess_options=options,
            providers=[(name, _OPTIONS.get(name, {})) for name in wanted],
        )
    except ort_errors() as error:
        if is_out_of_memory(error) and wanted[0] != _CPU:
            log.warning("%s has no room for %s; the CPU is used", wanted[0], path.name)
            return _opened(path, "cpu", threads)
        raise ModelMismatchError(
            f"onnxruntime cannot load {path.name}: {_first_line(error)}",
            hint="Replace the file; docs/models.md says where it comes from.",
        ) from error
    used = session.get_providers()
    if used and used[0] != wanted[0]:
        log.warning(
            "%s could not be started and %s runs on %s; `facepick doctor` shows what is missing",
            wanted[0], path.name, used[0],
        )  # fmt: skip
    return session


@cache
def _preload_cuda() -> None:
    """Let onnxruntime find the CUDA libraries that came with torch or as packages from NVIDIA.

    onnxruntime-gpu 1.21 and later offers that; they need not be on the system's search path then.
    """
    preload = getattr(_onnxruntime(), "preload_dlls", None)
    if preload is None:
        return
    # It prints what it does not find; whether CUDA works is seen when a session starts.
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(RuntimeError, OSError):
        preload()
    if said.getvalue():
        log.info("onnxruntime's CUDA libraries: %s", said.getvalue().strip())


def torch_device(device: str = "auto") -> torch.device:
    """Choose the torch device for `device`; ``auto`` takes CUDA, else Apple's MPS, else the CPU.

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
    """Count the cores that this process may use, at least one and at most eight."""
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


@cache
def ort_errors() -> tuple[type[Exception], ...]:
    """List every error class of onnxruntime; they share no base below `Exception`."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    classes = [c for c in vars(state).values() if isinstance(c, type)]
    return tuple(c for c in classes if issubclass(c, Exception))


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of onnxruntime or torch means that the memory is full."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _FULL)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
