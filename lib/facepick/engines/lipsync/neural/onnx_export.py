"""Export of the generator as an ONNX graph, with numpy alone.

ONNX files are protocol buffers; the dozen message fields that a chain of convolutions needs are
written here by hand.  Neither PyTorch nor the onnx package has to be there, and the onnx package
cannot be installed beside the pinned protobuf of the WebUIs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.neural import generator_arch as arch

__all__ = ["FACE_INPUT", "FACE_OUTPUT", "MEL_INPUT", "generator_model", "write_generator"]

# The names that other programs' exports of this network use.
MEL_INPUT, FACE_INPUT, FACE_OUTPUT = "source", "target", "output"

# IR 7 and opset 13: read by every onnxruntime since 1.8.
_IR_VERSION, _OPSET = 7, 13
# Element types and attribute types of onnx.proto3.
_FLOAT, _FLOAT16 = 1, 10
_ATTRIBUTE_INT, _ATTRIBUTE_INTS = 2, 7


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
    graph = _Graph(tensors, half=half)
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
    body = [
        *graph.pieces,
        _text(2, "wav2lip_96"),
        _message(11, _value_info(MEL_INPUT, (1, 80, 16))),
        _message(11, _value_info(FACE_INPUT, (6, 96, 96))),
        _message(12, _value_info(FACE_OUTPUT, (3, 96, 96))),
    ]
    opset = _number(2, _OPSET)
    head = _number(1, _IR_VERSION) + _text(2, "facepick") + _message(8, opset)
    return [head, _tag(7, 2) + _varint(sum(map(len, body))), *body]


class _Graph:
    """Nodes and weights in the order they are added."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], *, half: bool) -> None:
        self._tensors, self._half = tensors, half
        self.pieces: list[bytes] = []

    def node(
        self, kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]
    ) -> str:
        body = b"".join(_text(1, name) for name in inputs)
        body += _text(2, output) + _text(3, output) + _text(4, kind)
        for name, value in attributes.items():
            body += _message(5, _attribute(name, value))
        self.pieces.append(_message(1, body))
        return output

    def chain(self, value: str, layers: Iterable[arch.Layer]) -> str:
        for layer in layers:
            value = self._layer(value, layer)
        return value

    def _layer(self, value: str, layer: arch.Layer) -> str:
        weight, bias = arch.folded(layer, self._tensors)
        names = [
            self._weight(f"{layer.key}.weight", weight),
            self._weight(f"{layer.key}.bias", bias),
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

    def _weight(self, name: str, array: npt.NDArray[np.float32]) -> str:
        data = array.astype("<f2" if self._half else "<f4")
        body = b"".join(_number(1, n) for n in data.shape)
        body += _number(2, _FLOAT16 if self._half else _FLOAT) + _text(8, name)
        self.pieces.append(_message(5, body + _bytes(9, data.tobytes())))
        return name


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _ATTRIBUTE_INT)
    numbers = b"".join(_number(8, v) for v in value)
    return _text(1, name) + numbers + _number(20, _ATTRIBUTE_INTS)


def _value_info(name: str, shape: Sequence[int]) -> bytes:
    dims = _message(1, _text(2, "batch")) + b"".join(_message(1, _number(1, n)) for n in shape)
    tensor = _number(1, _FLOAT) + _message(2, dims)
    return _text(1, name) + _message(2, _message(1, tensor))


# The wire format of protocol buffers: a key (field number and wire type), then the value.
def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _message(field: int, value: bytes) -> bytes:
    return _bytes(field, value)
