"""Wav2Lip generator: from a file that users have to a function on arrays."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.neural import generator_arch as arch
from facepick.engines.lipsync.neural.checkpoints import generator_tensors, identify
from facepick.errors import ModelMismatchError, OutOfMemory, PackageMissing
from facepick.models.device import choose, is_out_of_memory, ort_session, torch_device
from facepick.models.store import sha256_of
from facepick.paths import home_dir

__all__ = ["FACE_SIZE", "Generator", "Runtime", "exported", "load_generator"]

log = logging.getLogger("facepick.engines.lipsync.neural.wav2lip")

FloatArray = npt.NDArray[np.float32]
Generator = Callable[[FloatArray, FloatArray], FloatArray]
"""mel (N, 1, 80, 16), face (N, 6, 96, 96) -> (N, 3, 96, 96), all float32."""
Runtime = Literal["auto", "onnxruntime", "torch"]

FACE_SIZE = 96
# Beyond eight faces at once the network gets no faster on a CPU; a GPU is fed 32.  Inner results
# take about 20 MB a face.
_BATCH_CPU, _BATCH_GPU = 8, 32
# Part of the cached file's name: raise it when the exported graph changes.
_EXPORT_VERSION = 1


def load_generator(
    path: Path | str, *, device: str = "cpu", runtime: Runtime = "auto"
) -> Generator:
    """Load the 96-pixel Wav2Lip generator in `path` as a function.

    ``load_generator(path)(mel, face)`` takes mel (N, 1, 80, 16) and face (N, 6, 96, 96) and gives
    (N, 3, 96, 96), all float32 numpy; N may be 0.  Faces are BGR in [0, 1]: channels 0-2 the face
    with its lower half black, 3-5 a reference face of the same size.  The result is BGR in
    [0, 1].

    The file is recognised by its content: a state dict with or without a ``state_dict`` wrapper
    and a ``module.`` prefix, a TorchScript archive with named parameters, safetensors, or an
    ONNX graph with those two inputs (also one that takes a single face at a time).  Nothing in
    a pickle is run.

    Args:
        path: the checkpoint.
        device: as in `facepick.models.device.DEVICES`.  On CUDA the network runs in float16.
        runtime: ``auto`` takes onnxruntime, for which a state dict is exported once (batch
            normalisation folded in) and kept under its hash in the user's cache folder; torch
            where onnxruntime is missing or cannot use the GPU and torch can.

    Raises:
        ModelMismatchError: the file is something else, damaged, or unsafe.
        PackageMissing: neither onnxruntime nor torch is installed.
        SettingsError: no such device.
        OSError: the file cannot be read.
    """
    path = Path(path)
    checkpoint = identify(path)
    chosen = _runtime(runtime, device, onnx=checkpoint.format == "onnx")
    if chosen == "torch":
        return _TorchGenerator(generator_tensors(path), device)
    if checkpoint.format == "onnx":
        return _OnnxGenerator(path, device)
    if _device(device) == "cuda":
        return _OnnxGenerator(exported(path, half=True), device, exact=lambda: exported(path))
    return _OnnxGenerator(exported(path), device)


def exported(path: Path, *, half: bool = False) -> Path:
    """Export the generator in `path` to the user's cache as ONNX, at the first call.

    Raises:
        ModelMismatchError, OSError: as `load_generator`.
    """
    from facepick.engines.lipsync.neural.onnx_export import write_generator

    kind = "fp16" if half else "fp32"
    name = f"{sha256_of(path)}.{kind}.v{_EXPORT_VERSION}.onnx"
    target = home_dir() / "cache" / "wav2lip" / name
    if not target.is_file():
        write_generator(target, generator_tensors(path), half=half)
        log.info("%s was exported to %s", path.name, target)
    return target


def _runtime(runtime: Runtime, device: str, *, onnx: bool) -> Literal["onnxruntime", "torch"]:
    if runtime != "auto":
        if onnx and runtime == "torch":
            raise ModelMismatchError(
                "An ONNX file cannot be run by torch; leave the runtime at auto."
            )
        return runtime
    has_onnxruntime = importlib.util.find_spec("onnxruntime") is not None
    has_torch = not onnx and importlib.util.find_spec("torch") is not None
    if not has_onnxruntime and not has_torch:
        raise PackageMissing("onnxruntime", needed_for="Wav2Lip")
    if has_onnxruntime and has_torch and device in ("auto", "cuda") and _device(device) == "cpu":
        # The WebUIs come with a torch that knows the GPU and often an onnxruntime that does not.
        return "torch" if torch_device("auto").type != "cpu" else "onnxruntime"
    return "onnxruntime" if has_onnxruntime else "torch"


def _device(device: str) -> str:
    import onnxruntime

    return choose(device, onnxruntime.get_available_providers()).device


def _checked(mel: Any, face: Any) -> tuple[FloatArray, FloatArray]:
    mel, face = np.asarray(mel, np.float32), np.asarray(face, np.float32)
    if mel.shape[1:] != (1, 80, 16) or face.shape[1:] != (6, FACE_SIZE, FACE_SIZE):
        raise ValueError(
            f"mel must be (N, 1, 80, 16) and face (N, 6, 96, 96), got {mel.shape} and {face.shape}"
        )
    if len(mel) != len(face):
        raise ValueError(f"mel and face must be as many, got {len(mel)} and {len(face)}")
    return mel, face


# Some cards (GeForce GTX 16xx) give NaN in half precision.
_NO_HALF = "Half precision gives no picture on this card; Wav2Lip goes on in single precision"


class _OnnxGenerator:
    """The generator by onnxruntime.

    Args:
        exact: gives the same network in single precision, if `path` holds it in half.
    """

    def __init__(self, path: Path, device: str, *, exact: Callable[[], Path] | None = None) -> None:
        self._path, self._device, self._exact = path, device, exact
        self._session = ort_session(path, device)
        inputs = {tuple(i.shape[1:]): i for i in self._session.get_inputs()}
        try:
            mel, face = inputs[1, 80, 16], inputs[6, FACE_SIZE, FACE_SIZE]
        except KeyError:
            raise ModelMismatchError(f"{path.name} is no Wav2Lip generator.") from None
        self._names = (mel.name, face.name)
        fixed = [i.shape[0] for i in (mel, face) if isinstance(i.shape[0], int)]
        self._fixed = fixed[0] if fixed else None
        self._batch = self._fixed or (_BATCH_CPU if self._session.on_cpu else _BATCH_GPU)

    def __call__(self, mel: FloatArray, face: FloatArray) -> FloatArray:
        mel, face = _checked(mel, face)
        out = np.empty((len(face), 3, FACE_SIZE, FACE_SIZE), np.float32)
        at = 0
        while at < len(face):
            piece = slice(at, at + self._batch)
            try:
                out[piece] = self._run(mel[piece], face[piece])
            except OutOfMemory:
                if self._fixed or self._batch == 1:
                    raise
                # A card that others use, too, may have room for fewer faces at a time.
                self._batch //= 2
                log.warning("The memory is full; Wav2Lip goes on with %d at once", self._batch)
                continue
            at += self._batch
        return out

    def _run(self, mel: FloatArray, face: FloatArray) -> FloatArray:
        count = len(face)
        if self._fixed and count < self._fixed:
            # A graph made for exactly so many faces: the last ones are filled up and dropped.
            short = self._fixed - count
            mel, face = (np.concatenate([a, np.repeat(a[-1:], short, 0)]) for a in (mel, face))
        feed = dict(zip(self._names, (mel, face), strict=True))
        last_resort = self._fixed is not None or self._batch == 1
        run = self._session.run if last_resort else self._session.attempt
        (picture,) = run(None, feed)
        out = np.asarray(picture[:count], np.float32)
        if np.isfinite(out).all():
            return out
        if self._exact is None:
            raise ModelMismatchError(
                f"{self._path.name} draws no picture: its result is not finite.",
                hint="Try --device cpu, or another copy of the checkpoint.",
            )
        log.warning(_NO_HALF)
        self._session = ort_session(self._exact(), self._device)
        self._exact = None
        return self._run(mel[:count], face[:count])


class _TorchGenerator:
    """The generator by torch, batch normalisation folded in."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], device: str) -> None:
        self._folded = {layer.key: arch.folded(layer, tensors) for layer in arch.layers()}
        chosen = torch_device(device)
        self._place(chosen, half=chosen.type == "cuda")
        self._batch = _BATCH_CPU if self._device.type == "cpu" else _BATCH_GPU

    def _place(self, device: Any, *, half: bool = False) -> None:
        import torch

        self._device, self._half = device, half
        self._dtype = torch.float16 if half else torch.float32
        self._weights = {
            key: tuple(torch.from_numpy(a).to(device, self._dtype) for a in arrays)
            for key, arrays in self._folded.items()
        }

    def __call__(self, mel: FloatArray, face: FloatArray) -> FloatArray:
        mel, face = _checked(mel, face)
        out = np.empty((len(face), 3, FACE_SIZE, FACE_SIZE), np.float32)
        at = 0
        while at < len(face):
            piece = slice(at, at + self._batch)
            try:
                out[piece] = self._run(mel[piece], face[piece])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise ModelMismatchError(
                        f"The Wav2Lip network failed: {error}", hint="Try --device cpu."
                    ) from error
                self._make_room(error)
                continue
            if not np.isfinite(out[piece]).all():
                if not self._half:
                    raise ModelMismatchError(
                        "The Wav2Lip network draws no picture: its result is not finite.",
                        hint="Try --device cpu, or another copy of the checkpoint.",
                    )
                log.warning(_NO_HALF)
                self._place(self._device)
                continue
            at += self._batch
        return out

    def _make_room(self, error: RuntimeError) -> None:
        import torch

        if self._batch > 1:
            self._batch //= 2
            log.warning("The memory is full; Wav2Lip goes on with %d at once", self._batch)
        elif self._device.type != "cpu":
            log.warning("%s has no more room; Wav2Lip goes on on the CPU", self._device)
            self._place(torch.device("cpu"))
        else:
            raise OutOfMemory(
                "The memory is full; Wav2Lip cannot run.", hint="Close other programs."
            ) from error
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _run(self, mel: FloatArray, face: FloatArray) -> FloatArray:
        import torch

        with torch.inference_mode():
            inputs = (
                torch.from_numpy(np.ascontiguousarray(a)).to(self._device, self._dtype)
                for a in (mel, face)
            )
            return np.asarray(self._forward(*inputs).float().cpu().numpy(), np.float32)

    def _forward(self, mel: Any, face: Any) -> Any:
        import torch

        skips = []
        for block in arch.FACE_ENCODER:
            for layer in block:
                face = self._layer(layer, face)
            skips.append(face)
        for layer in arch.AUDIO_ENCODER:
            mel = self._layer(layer, mel)
        value = mel
        for i, block in enumerate(arch.FACE_DECODER):
            for layer in block:
                value = self._layer(layer, value)
            value = torch.cat((value, skips[-1 - i]), dim=1)
        for layer in arch.OUTPUT:
            value = self._layer(layer, value)
        return torch.sigmoid(value)

    def _layer(self, layer: arch.Layer, value: Any) -> Any:
        from torch.nn import functional

        weight, bias = self._weights[layer.key]
        if layer.transposed:
            out = functional.conv_transpose2d(
                value, weight, bias, layer.stride, layer.padding, layer.output_padding
            )
        else:
            out = functional.conv2d(value, weight, bias, layer.stride, layer.padding)
        if layer.plain:
            return out
        return functional.relu(out + value if layer.residual else out)
