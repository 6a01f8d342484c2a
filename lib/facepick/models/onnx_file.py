"""Writer of ONNX models, with numpy alone.

ONNX files are protocol buffers; the message fields that a feed-forward or recurrent network needs
are written here by hand.  Neither PyTorch nor the onnx package has to be there, and the onnx
package cannot be installed beside the pinned protobuf of the WebUIs.

Layout: ``onnx.proto3``; IR 7 and opset 13 are read by every onnxruntime since 1.8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["OnnxGraph"]

_IR_VERSION, _OPSET = 7, 13
# Element types of onnx.proto3, and types of attributes.
_TYPES = {"float32": 1, "uint8": 2, "int64": 7}
_ATTRIBUTE_INT, _ATTRIBUTE_TEXT, _ATTRIBUTE_INTS = 2, 3, 7

Attribute = int | str | Sequence[int]


class OnnxGraph:
    """Nodes and weights in the order in which they are added.

    Args:
        name: of the graph.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._pieces: list[bytes] = []
        self._count = 0

    def node(
        self, kind: str, inputs: Sequence[str], out: str | None = None, **attributes: Attribute
    ) -> str:
        """Add a node; gives the name of its output."""
        self._count += 1
        out = out or f"{kind.lower()}_{self._count}"
        body = b"".join(_text(1, name) for name in inputs)
        body += _text(2, out) + _text(3, out) + _text(4, kind)
        for name, value in attributes.items():
            body += _message(5, _attribute(name, value))
        self._pieces.append(_message(1, body))
        return out

    def weight(self, array: npt.NDArray[Any], name: str | None = None) -> str:
        """Add a constant, float32 or int64; gives its name."""
        self._count += 1
        name = name or f"weight_{self._count}"
        whole = np.asarray(array).dtype.kind in "iu"
        data = np.ascontiguousarray(array, "<i8" if whole else "<f4")
        body = b"".join(_number(1, n) for n in data.shape)
        body += _number(2, _TYPES["int64" if whole else "float32"])
        self._pieces.append(_message(5, body + _text(8, name) + _bytes(9, data.tobytes())))
        return name

    def conv(
        self,
        x: str,
        weight: npt.NDArray[Any],
        bias: npt.NDArray[Any] | None = None,
        **attributes: Attribute,
    ) -> str:
        """Add a convolution; gives the name of its output."""
        names = [x, self.weight(weight)]
        if bias is not None:
            names.append(self.weight(bias))
        return self.node("Conv", names, None, kernel_shape=weight.shape[2:], **attributes)

    def model(
        self,
        inputs: Mapping[str, tuple[str, Sequence[int | str]]],
        outputs: Mapping[str, Sequence[int | str]],
    ) -> bytes:
        """Give the bytes of the model.

        Args:
            inputs: by name, the element type (``float32``, ``uint8``) and the shape, in which a
                text names a size that is free.
            outputs: by name, the shape; all are float32.
        """
        body = [
            *self._pieces,
            _text(2, self._name),
            *(_message(11, _value(n, _TYPES[kind], shape)) for n, (kind, shape) in inputs.items()),
            *(_message(12, _value(n, 1, shape)) for n, shape in outputs.items()),
        ]
        head = _number(1, _IR_VERSION) + _text(2, "facepick")
        head += _message(8, _number(2, _OPSET))
        return head + _message(7, b"".join(body))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _ATTRIBUTE_INT)
    if isinstance(value, str):
        return _text(1, name) + _text(4, value) + _number(20, _ATTRIBUTE_TEXT)
    numbers = b"".join(_number(8, v) for v in value)
    return _text(1, name) + numbers + _number(20, _ATTRIBUTE_INTS)


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _message(1, _text(2, n) if isinstance(n, str) else _number(1, n)) for n in shape
    )
    tensor = _number(1, kind) + _message(2, dims)
    return _text(1, name) + _message(2, _message(1, tensor))


# The wire format of protocol buffers: a key (field number and wire type), then the value.
def _varint(value: int) -> bytes:
    # Negative numbers are written as 64 bits.
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _message(field: int, value: bytes) -> bytes:
    return _bytes(field, value)
