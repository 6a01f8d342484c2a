"""Reader of TensorFlow Lite networks that gives them to onnxruntime as ONNX.

The mesh network takes 1.1 ms of CPU a face this way and 2.5 ms in ``cv2.dnn``, with the same points
to 0.0002 pixels.  Only what it and the network that finds palms are made of is known: convolutions,
PReLU, sums, maximum pooling, padding of channels, doubling, and lists put together.

Layouts: the FlatBuffers schema of TensorFlow Lite (``schema.fbs``, version 3) and ``onnx.proto3``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError, PackageMissing
from facepick.models.onnx_file import OnnxGraph

__all__ = ["TfliteNetwork", "open_network", "read_network", "to_onnx"]

Array = npt.NDArray[Any]

# BuiltinOperator of schema.fbs.
_ADD, _CONCATENATE, _CONV, _DEPTHWISE, _DEQUANTIZE, _MAX_POOL = 0, 2, 3, 4, 6, 17
_RESHAPE, _RESIZE, _PAD, _PRELU = 22, 23, 34, 54
# TensorType of schema.fbs.
_TYPES: dict[int, str] = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8"}
_SAME = 0
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    data: Array | None


@dataclass(frozen=True, eq=False)
class _Operator:
    kind: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: int


@dataclass(frozen=True, eq=False)
class TfliteNetwork:
    """The first subgraph of a file.

    Attributes:
        tensors: with their data where they are constant.
        operators: in the order in which they run.
        inputs, outputs: numbers of tensors.
    """

    tensors: tuple[_Tensor, ...]
    operators: tuple[_Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    buffer: _FlatBuffer

    def __repr__(self) -> str:
        return f"TfliteNetwork({len(self.operators)} operators)"


class _FlatBuffer:
    """Tables, vectors and numbers of a FlatBuffers file; offsets are from its start."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.data, at)[0])

    def target(self, at: int) -> int:
        return at + self.u32(at)

    def field(self, table: int, number: int) -> int:
        """Find where a field lies, 0 when it has its default."""
        vtable = table - int(struct.unpack_from("<i", self.data, table)[0])
        size = int(struct.unpack_from("<H", self.data, vtable)[0])
        if 4 + 2 * number >= size:
            return 0
        offset = int(struct.unpack_from("<H", self.data, vtable + 4 + 2 * number)[0])
        return table + offset if offset else 0

    def vector(self, table: int, number: int) -> tuple[int, int]:
        """Find where the first element lies, and how many there are."""
        at = self.field(table, number)
        if not at:
            return 0, 0
        start = self.target(at)
        return start + 4, self.u32(start)

    def tables(self, table: int, number: int) -> list[int]:
        start, count = self.vector(table, number)
        return [self.target(start + 4 * i) for i in range(count)]

    def ints(self, table: int, number: int) -> tuple[int, ...]:
        start, count = self.vector(table, number)
        return struct.unpack_from(f"<{count}i", self.data, start) if count else ()

    def text(self, table: int, number: int) -> str:
        start, count = self.vector(table, number)
        return self.data[start : start + count].decode("utf-8", "replace")

    def number(self, table: int, number: int, kind: str = "<i", default: int = 0) -> int:
        at = self.field(table, number) if table else 0
        return int(struct.unpack_from(kind, self.data, at)[0]) if at else default


def read_network(path: Path) -> TfliteNetwork:
    """Read a TensorFlow Lite file.

    Raises:
        ModelMismatchError: the file is none, damaged, or too large to be one of ours.
    """
    wrong = ModelMismatchError(
        f"{path.name} is no TensorFlow Lite network.", hint="Replace it by the file it should be."
    )
    if path.stat().st_size > MAX_BYTES:
        raise wrong
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise wrong
    try:
        return _read(_FlatBuffer(data))
    except (struct.error, ValueError, IndexError, KeyError) as error:
        raise wrong from error


def _read(file: _FlatBuffer) -> TfliteNetwork:
    model = file.target(0)
    kinds = [
        max(file.number(code, 0, "<b"), file.number(code, 3)) for code in file.tables(model, 1)
    ]
    graph = file.tables(model, 2)[0]
    buffers = file.tables(model, 4)
    tensors = []
    for table in file.tables(graph, 0):
        shape = file.ints(table, 0)
        start, count = file.vector(buffers[file.number(table, 2)], 0)
        values: Array | None = None
        if count:
            kind = np.dtype(_TYPES[file.number(table, 1, "<b")])
            values = np.frombuffer(file.data, kind, count // kind.itemsize, start).reshape(shape)
        tensors.append(_Tensor(file.text(table, 3), shape, values))
    operators = [
        _Operator(
            kinds[file.number(table, 0)],
            file.ints(table, 1),
            file.ints(table, 2),
            file.target(at) if (at := file.field(table, 4)) else 0,
        )
        for table in file.tables(graph, 3)
    ]
    return TfliteNetwork(
        tuple(tensors), tuple(operators), file.ints(graph, 1), file.ints(graph, 2), file
    )


def to_onnx(network: TfliteNetwork, outputs: Sequence[str]) -> bytes:
    """Write the network as an ONNX model: channels first, any number of pictures.

    The input is called ``input`` and is (N, channels, height, width) float32; outputs keep their
    names and are (N, channels, height, width), or lists (N, count, numbers).

    Args:
        outputs: names of the tensors that are wanted.

    Raises:
        ModelMismatchError: it has an operator that is not known here, or lacks an output.
    """
    graph = _Graph(network)
    for operator in network.operators:
        graph.add(operator)
    names = {network.tensors[i].name: i for i in network.outputs}
    if not set(outputs) <= set(names):
        raise ModelMismatchError(
            f"The network lacks {', '.join(sorted(set(outputs) - set(names)))}.",
            hint="Replace its file by the one it should be.",
        )
    for name in outputs:
        graph.node("Identity", [f"t{names[name]}"], name)
    _, height, width, channels = network.tensors[network.inputs[0]].shape
    return graph.model(
        {"input": ("float32", ("batch", channels, height, width))}, dict.fromkeys(outputs)
    )


def open_network(path: Path, outputs: Sequence[str], *, needed_for: str) -> Any:
    """Open a TensorFlow Lite network as ``onnxruntime.InferenceSession`` on one core.

    Args:
        outputs: see `to_onnx`.
        needed_for: for people who lack onnxruntime.

    Raises:
        PackageMissing: onnxruntime is not installed.
        ModelMismatchError: see `read_network` and `to_onnx`.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise PackageMissing("onnxruntime", needed_for=needed_for) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # These networks are too small to be worth the waking of a second thread.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = to_onnx(read_network(path), outputs)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class _Graph(OnnxGraph):
    """Graph of a network's operators."""

    def __init__(self, network: TfliteNetwork) -> None:
        super().__init__("tflite")
        self._network = network
        self._file = network.buffer
        self._constants = {
            i: tensor.data for i, tensor in enumerate(network.tensors) if tensor.data is not None
        }
        self._names = {network.inputs[0]: "input"}

    def add(self, operator: _Operator) -> None:
        """Add one operator of the file."""
        out = operator.outputs[0]
        if operator.kind == _DEQUANTIZE:
            self._constants[out] = self._constants[operator.inputs[0]].astype(np.float32)
        elif operator.kind in (_CONV, _DEPTHWISE):
            self._convolution(operator)
        elif operator.kind == _PRELU:
            self._prelu(operator)
        elif operator.kind == _ADD and not self._file.number(operator.options, 0, "<b"):
            self.node("Add", [self._tensor(i) for i in operator.inputs], f"t{out}")
        elif operator.kind == _MAX_POOL:
            stride = self._stride(operator, 1)
            window = (
                self._file.number(operator.options, 4, default=1),
                self._file.number(operator.options, 3, default=1),
            )
            self.node(
                "MaxPool",
                [self._tensor(operator.inputs[0])],
                f"t{out}",
                kernel_shape=window,
                strides=stride,
                pads=self._pads(operator, window, stride),
            )
        elif operator.kind in (_RESIZE, _RESHAPE, _CONCATENATE):
            self._arrange(operator)
        elif operator.kind == _PAD:
            before = self._constants[operator.inputs[1]].reshape(4, 2)
            if before[:3].any():
                raise _unknown("padding of the picture")
            # As a convolution of one pixel: onnxruntime keeps its own layout for those, and adds
            # the other branch on the way.
            channels = self._network.tensors[operator.inputs[0]].shape[3]
            same = np.eye(channels, dtype=np.float32)
            weight = np.pad(same, (tuple(before[3]), (0, 0)))[:, :, None, None]
            self._convolve(self._tensor(operator.inputs[0]), f"t{out}", weight)
        else:
            raise _unknown(f"operator {operator.kind}")

    def _arrange(self, operator: _Operator) -> None:
        """Enlarge a picture, make a list of its places, or join lists."""
        name, shapes = (
            f"t{operator.outputs[0]}",
            [self._network.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0])],
        )
        if operator.kind == _CONCATENATE:
            lists = [self._tensor(i) for i in operator.inputs]
            if len(shapes[1]) != 3 or self._file.number(operator.options, 0) != 1:
                raise _unknown("joint of pictures")
            self.node("Concat", lists, name, axis=1)
        elif operator.kind == _RESHAPE:
            if len(shapes[0]) != 4 or len(shapes[1]) != 3:
                raise _unknown("shape")
            places = self.node(
                "Transpose", [self._tensor(operator.inputs[0])], f"{name}_places", perm=(0, 2, 3, 1)
            )
            shape = self.weight(np.array((-1, *shapes[1][1:]), np.int64), f"{name}_shape")
            self.node("Reshape", [places, shape], name)
        else:
            if not self._file.number(operator.options, 3, "<b"):
                raise _unknown("enlargement from the corners")
            times = [after / before for before, after in zip(*shapes, strict=True)]
            scales = self.weight(np.array([1, 1, times[1], times[2]], np.float32), f"{name}_scales")
            self.node("Resize", [self._tensor(operator.inputs[0]), "", scales], name, mode="linear")

    def _tensor(self, tensor: int) -> str:
        return self._names.get(tensor, f"t{tensor}")

    def _stride(self, operator: _Operator, first: int) -> tuple[int, int]:
        across, down = (self._file.number(operator.options, first + i, default=1) for i in range(2))
        return down, across

    def _pads(
        self, operator: _Operator, window: tuple[int, int], stride: tuple[int, int]
    ) -> tuple[int, ...]:
        if self._file.number(operator.options, 0, "<b") != _SAME:
            return (0, 0, 0, 0)
        sizes = self._network.tensors[operator.inputs[0]].shape[1:3]
        total = [
            max((math.ceil(size / step) - 1) * step + reach - size, 0)
            for size, step, reach in zip(sizes, stride, window, strict=True)
        ]
        return (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)

    def _convolution(self, operator: _Operator) -> None:
        weight, bias = (self._constants[i] for i in operator.inputs[1:3])
        depthwise = operator.kind == _DEPTHWISE
        if self._file.number(operator.options, 4 if depthwise else 3, "<b"):
            raise _unknown("activation inside a convolution")
        weight = weight.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        window, stride = (weight.shape[2], weight.shape[3]), self._stride(operator, 1)
        self._convolve(
            self._tensor(operator.inputs[0]),
            f"t{operator.outputs[0]}",
            weight,
            bias,
            group=len(weight) if depthwise else 1,
            strides=stride,
            pads=self._pads(operator, window, stride),
        )

    def _prelu(self, operator: _Operator) -> None:
        """PReLU(x) = x + max((a - 1) x, 0), with the product as a convolution of one pixel.

        onnxruntime has fast kernels for those, of which a maximum is a part, and none for PReLU,
        which alone would take twice as long as all convolutions together.  Where a > 1 it is
        x - max((1 - a) x, 0).
        """
        x, out = self._tensor(operator.inputs[0]), f"t{operator.outputs[0]}"
        slope = self._constants[operator.inputs[1]].astype(np.float32).reshape(-1, 1, 1, 1)
        channels = len(slope)
        product = self._convolve(x, f"{out}_product", -np.abs(1 - slope), group=channels)
        bend = self.node("Relu", [product], f"{out}_bend")
        if (slope > 1).any():
            sign = np.where(slope > 1, -1, 1).astype(np.float32)
            bend = self._convolve(bend, f"{out}_signed", sign, group=channels)
        self.node("Add", [bend, x], out)

    def _convolve(
        self,
        x: str,
        out: str,
        weight: Array,
        bias: Array | None = None,
        **attributes: int | Sequence[int],
    ) -> str:
        names = [x, self.weight(weight, f"{out}_w")]
        if bias is not None:
            names.append(self.weight(bias, f"{out}_b"))
        return self.node("Conv", names, out, kernel_shape=weight.shape[2:], **attributes)


def _unknown(what: str) -> ModelMismatchError:
    return ModelMismatchError(
        f"The network has an {what} that is not known here.",
        hint="Replace its file by the one it should be.",
    )
