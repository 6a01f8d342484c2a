"""Export of the Wav2Lip generator as an ONNX graph, with numpy alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.neural import generator_arch as arch
from facepick.models.onnx_file import OnnxGraph

__all__ = ["FACE_INPUT", "FACE_OUTPUT", "MEL_INPUT", "generator_model", "write_generator"]

# The names that other programs' exports of this network use.
MEL_INPUT, FACE_INPUT, FACE_OUTPUT = "source", "target", "output"

# Element types of onnx.proto3, for Cast.
_FLOAT, _FLOAT16 = 1, 10


def write_generator(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], *, half: bool = False
) -> None:
    """Write `generator_model` to `path`; a reader never sees an unfinished file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in generator_model(tensors, half=half):
                file.write(piece)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def generator_model(tensors: Mapping[str, npt.NDArray[Any]], *, half: bool = False) -> list[bytes]:
    """Export the generator as the bytes of an ONNX model, in pieces.

    Inputs ``source`` (N, 1, 80, 16) and ``target`` (N, 6, 96, 96), output ``output``
    (N, 3, 96, 96), all float32; N is free.  Batch normalisation is folded in.

    Args:
        tensors: the checkpoint's, by the keys of `generator_arch.expected_shapes`.
        half: weights and inner results in float16.
    """
    graph = _Generator(tensors, half=half)
    mel, face = MEL_INPUT, FACE_INPUT
    if half:
        mel = graph.node("Cast", [mel], "mel_half", to=_FLOAT16)
        face = graph.node("Cast", [face], "face_half", to=_FLOAT16)
    skips = []
    for block in arch.FACE_ENCODER:
        face = graph.chain(face, block)
        skips.append(face)
    value = graph.chain(mel, arch.AUDIO_ENCODER)
    for i, block in enumerate(arch.FACE_DECODER):
        value = graph.chain(value, block)
        value = graph.node("Concat", [value, skips[-1 - i]], f"join_{i}", axis=1)
    value = graph.chain(value, arch.OUTPUT)
    if half:
        value = graph.node("Sigmoid", [value], "picture")
        graph.node("Cast", [value], FACE_OUTPUT, to=_FLOAT)
    else:
        graph.node("Sigmoid", [value], FACE_OUTPUT)
    return graph.pieces(
        {
            MEL_INPUT: ("float32", ("batch", 1, 80, 16)),
            FACE_INPUT: ("float32", ("batch", 6, 96, 96)),
        },
        {FACE_OUTPUT: ("batch", 3, 96, 96)},
    )


class _Generator(OnnxGraph):
    """Graph of the generator's layers.

    Args:
        tensors: the checkpoint's.
        half: weights in float16.
    """

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], *, half: bool) -> None:
        super().__init__("wav2lip_96")
        self._tensors, self._dtype = tensors, np.float16 if half else np.float32

    def chain(self, value: str, layers: Iterable[arch.Layer]) -> str:
        for layer in layers:
            value = self._layer(value, layer)
        return value

    def _layer(self, value: str, layer: arch.Layer) -> str:
        weight, bias = arch.folded(layer, self._tensors)
        names = [
            self.weight(weight.astype(self._dtype), f"{layer.key}.weight"),
            self.weight(bias.astype(self._dtype), f"{layer.key}.bias"),
        ]
        attributes: dict[str, int | Sequence[int]] = {
            "kernel_shape": (layer.kernel, layer.kernel),
            "strides": layer.stride,
            "pads": (layer.padding,) * 4,
        }
        if layer.output_padding:
            attributes["output_padding"] = (layer.output_padding,) * 2
        kind = "ConvTranspose" if layer.transposed else "Conv"
        out = self.node(kind, [value, *names], f"{layer.key}.sum", **attributes)
        if layer.plain:
            return out
        if layer.residual:
            out = self.node("Add", [out, value], f"{layer.key}.added")
        return self.node("Relu", [out], layer.key)
