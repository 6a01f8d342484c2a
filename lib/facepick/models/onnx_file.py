"""Writer and reader of ONNX models, with numpy alone.

ONNX files are protocol buffers; the message fields that a feed-forward or recurrent network needs
are written and read here by hand.  Neither PyTorch nor the onnx package has to be there, and the
onnx package cannot be installed beside the pinned protobuf of the WebUIs.

Layout: ``onnx.proto3``; IR 7 and opset 13 are read by every onnxruntime since 1.8.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["OnnxGraph", "Shapes", "onnx_matrix", "onnx_signature"]

Shapes = dict[str, tuple[int | None, ...]]
"""Sizes by name; None for one that is free."""

_IR_VERSION, _OPSET = 7, 13
# Element types of onnx.proto3, and types of attributes.
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10}
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
        self._domains = {""}

    def node(
        self, kind: str, inputs: Sequence[str], out: str | None = None, **attributes: Attribute
    ) -> str:
        """Add a node; gives the name of its output.

        Args:
            kind: of ONNX, or one of onnxruntime's own: ``com.microsoft.QLinearConv``.
        """
        domain, _, kind = kind.rpartition(".")
        self._count += 1
        self._domains.add(domain)
        out = out or f"{kind.lower()}_{self._count}"
        body = b"".join(_text(1, name) for name in inputs)
        body += _text(2, out) + _text(3, out) + _text(4, kind)
        if domain:
            body += _text(7, domain)
        for name, value in attributes.items():
            body += _message(5, _attribute(name, value))
        self._pieces.append(_message(1, body))
        return out

    def weight(self, array: npt.NDArray[Any], name: str | None = None) -> str:
        """Add a constant; gives its name.  Numbers of 64 bits that are not whole become float32."""
        self._count += 1
        name = name or f"weight_{self._count}"
        kind = str(np.asarray(array).dtype)
        kind = kind if kind in _TYPES else "float32"
        data = np.ascontiguousarray(array, np.dtype(kind).newbyteorder("<"))
        body = b"".join(_number(1, n) for n in data.shape)
        body += _number(2, _TYPES[kind])
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
        outputs: Mapping[str, Sequence[int | str] | None],
        kinds: Mapping[str, str] | None = None,
    ) -> bytes:
        """Give the bytes of the model, see `pieces`."""
        return b"".join(self.pieces(inputs, outputs, kinds))

    def pieces(
        self,
        inputs: Mapping[str, tuple[str, Sequence[int | str]]],
        outputs: Mapping[str, Sequence[int | str] | None],
        kinds: Mapping[str, str] | None = None,
    ) -> list[bytes]:
        """Give the bytes of the model in pieces, so that large weights need not be there twice.

        Args:
            inputs: by name, the element type (``float32``, ``uint8``) and the shape, in which a
                text names a size that is free.
            outputs: by name, the shape, or None where it follows.
            kinds: element types of those outputs that are not float32.
        """
        kinds = kinds or {}
        body = [
            *self._pieces,
            _text(2, self._name),
            *(_message(11, _value(n, _TYPES[kind], shape)) for n, (kind, shape) in inputs.items()),
            *(
                _message(12, _value(n, _TYPES[kinds.get(n, "float32")], shape))
                for n, shape in outputs.items()
            ),
        ]
        head = _number(1, _IR_VERSION) + _text(2, "facepick")
        for domain in sorted(self._domains | {""}):
            named = _text(1, domain) + _number(2, 1) if domain else _number(2, _OPSET)
            head += _message(8, named)
        return [head, _varint(7 << 3 | 2) + _varint(sum(map(len, body))), *body]


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _ATTRIBUTE_INT)
    if isinstance(value, str):
        return _text(1, name) + _text(4, value) + _number(20, _ATTRIBUTE_TEXT)
    numbers = b"".join(_number(8, v) for v in value)
    return _text(1, name) + numbers + _number(20, _ATTRIBUTE_INTS)


def _value(name: str, kind: int, shape: Sequence[int | str] | None) -> bytes:
    tensor = _number(1, kind)
    if shape is not None:
        sizes = (_text(2, n) if isinstance(n, str) else _number(1, n) for n in shape)
        tensor += _message(2, b"".join(_message(1, size) for size in sizes))
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
    return _varint(field << 3) + _varint(int(value))


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _message(field: int, value: bytes) -> bytes:
    return _bytes(field, value)


class _Message:
    """A protocol-buffer message inside a mapped file.

    Args:
        data: of the whole file.
        start, stop: where the message lies.
    """

    def __init__(self, data: mmap.mmap, start: int, stop: int) -> None:
        self._data, self._start, self._stop = data, start, stop

    def __bytes__(self) -> bytes:
        return self._data[self._start : self._stop]

    def _fields(self) -> Iterator[tuple[int, int | _Message]]:
        """Yield every number, and every message, text or block of bytes, with its field.

        Raises:
            ValueError: this is no protocol buffer.
        """
        at = self._start
        while at < self._stop:
            key, at = self._varint(at)
            field, kind = key >> 3, key & 7
            if field == 0 or kind not in (0, 1, 2, 5):
                raise ValueError("no protocol buffer")
            if kind == 0:
                number, at = self._varint(at)
                yield field, number
                continue
            length, at = self._varint(at) if kind == 2 else (8 if kind == 1 else 4, at)
            if at + length > self._stop:
                raise ValueError("a field reaches past its message")
            if kind == 2:
                yield field, _Message(self._data, at, at + length)
            at += length

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for i, byte in enumerate(self._data[at : min(at + 10, self._stop)]):
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return value, at + i + 1
        raise ValueError("broken number")

    def messages(self, wanted: int) -> Iterator[_Message]:
        """Yield the messages in a field."""
        for field, value in self._fields():
            if field == wanted and isinstance(value, _Message):
                yield value

    def numbers(self, wanted: int) -> list[int]:
        """List the numbers in a field, which may be packed."""
        found = []
        for field, value in self._fields():
            if field != wanted:
                continue
            if isinstance(value, int):
                found.append(value)
                continue
            at = value._start
            while at < value._stop:
                number, at = value._varint(at)
                found.append(number)
        return found

    def text(self, wanted: int) -> str:
        """Read the first text in a field; empty where there is none."""
        for value in self.messages(wanted):
            return bytes(value)[:1024].decode(errors="replace")
        return ""


@contextmanager
def _graph(path: Path) -> Iterator[_Message]:
    """Open the graph of an ONNX file; its weights are not loaded.

    Raises:
        ValueError: this is no ONNX file.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        graphs = list(_Message(data, 0, len(data)).messages(7))
        if len(graphs) != 1:
            raise ValueError("no ONNX file")
        yield graphs[0]


def onnx_signature(path: Path) -> tuple[Shapes, Shapes]:
    """Read inputs and outputs of an ONNX file, without loading its weights.

    Returns:
        Name -> shape for both.  Initialisers that old files list among the inputs are left out.

    Raises:
        ValueError: not an ONNX file.
        OSError: the file cannot be read.
    """
    with _graph(path) as graph:
        weights = {tensor.text(8) for tensor in graph.messages(5)}
        inputs, outputs = (
            {value.text(1): _shape(value) for value in graph.messages(field)} for field in (11, 12)
        )
    return {name: shape for name, shape in inputs.items() if name not in weights}, outputs


def _shape(value: _Message) -> tuple[int | None, ...]:
    """Read ValueInfo.type (2) . tensor_type (1) . shape (2) . dim (1) . dim_value (1)."""
    found = [value]
    for field in (2, 1, 2, 1):
        found = [inner for outer in found for inner in outer.messages(field)]
    sizes = [dim.numbers(1) for dim in found]
    return tuple(size[0] if size else None for size in sizes)


def onnx_matrix(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.float32] | None:
    """Read the last constant of this shape in an ONNX file, without loading any other.

    Returns:
        float32, or None where there is none, or it holds no floating numbers.

    Raises:
        ValueError: not an ONNX file.
        OSError: the file cannot be read.
    """
    with _graph(path) as graph:
        # TensorProto: dims = 1, data_type = 2, float_data = 4, raw_data = 9.
        found = [tensor for tensor in graph.messages(5) if tuple(tensor.numbers(1)) == shape]
        if not found:
            return None
        kinds = found[-1].numbers(2)
        body = b"".join(bytes(part) for part in found[-1].messages(9))
        body = body or b"".join(bytes(part) for part in found[-1].messages(4))
    # TensorProto.DataType: 1 float, 10 float16, 11 double.
    dtype = {1: "<f4", 10: "<f2", 11: "<f8"}.get(kinds[-1] if kinds else 0)
    if dtype is None or len(body) != shape[0] * shape[1] * np.dtype(dtype).itemsize:
        return None
    return np.frombuffer(body, dtype).astype(np.float32).reshape(shape)
