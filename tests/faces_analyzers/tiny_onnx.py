"""Stand-in networks: ONNX files of a few nodes, written as protocol buffers by hand.

The real weights cannot be had offline, and the onnx package is no dependency of the tests.  Field
numbers are those of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

Node = tuple[str, Sequence[str], Sequence[str], dict[str, int | Sequence[int]]]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _bytes(5, _bytes(1, name) + _number(3, value) + _number(20, 2))
    packed = b"".join(_number(8, item) for item in value)
    return _bytes(5, _bytes(1, name) + packed + _number(20, 7))


def _node(node: Node) -> bytes:
    kind, takes, gives, attributes = node
    return (
        b"".join(_bytes(1, name) for name in takes)
        + b"".join(_bytes(2, name) for name in gives)
        + _bytes(4, kind)
        + b"".join(_attribute(key, value) for key, value in attributes.items())
    )


def _tensor(name: str, value: np.ndarray) -> bytes:
    dims = b"".join(_number(1, side) for side in value.shape)
    return dims + _number(2, 1) + _bytes(8, name) + _bytes(9, value.astype("<f4").tobytes())


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _bytes(1, _number(1, side) if isinstance(side, int) else _bytes(2, side)) for side in shape
    )
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, dims)))


def write(
    path: Path,
    nodes: Sequence[Node],
    weights: dict[str, np.ndarray],
    inputs: dict[str, Sequence[int | str]],
    outputs: dict[str, Sequence[int | str]],
) -> Path:
    """Write a graph of float tensors; opset 13, IR 7."""
    graph = (
        b"".join(_bytes(1, _node(node)) for node in nodes)
        + _bytes(2, "stand-in")
        + b"".join(_bytes(5, _tensor(name, value)) for name, value in weights.items())
        + b"".join(_bytes(11, _value(name, shape)) for name, shape in inputs.items())
        + b"".join(_bytes(12, _value(name, shape)) for name, shape in outputs.items())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_number(1, 7) + _bytes(7, graph) + _bytes(8, _number(2, 13)))
    return path


def mean_color_embedder(
    path: Path, *, height: int, width: int, dimension: int, channels_first: bool = False
) -> np.ndarray:
    """An "embedder" that multiplies the mean colour of a chip by a fixed matrix.

    Returns:
        That matrix (3, dimension).
    """
    matrix = np.random.default_rng(5).normal(size=(3, dimension)).astype(np.float32)
    shape = ("n", 3, height, width) if channels_first else ("n", height, width, 3)
    axes = [2, 3] if channels_first else [1, 2]
    write(
        path,
        [
            ("ReduceMean", ["x"], ["mean"], {"axes": axes, "keepdims": 0}),
            ("MatMul", ["mean", "w"], ["y"], {}),
        ],
        {"w": matrix},
        {"x": shape},
        {"y": ("n", dimension)},
    )
    return matrix


def bright_spot_centerface(path: Path, *, extent: float) -> None:
    """A "CenterFace" that takes every bright 4x4 block for the middle of a face.

    Its faces are squares of `extent` pixels, with eyes at a third and two thirds.
    """
    places = [(1 / 3, 1 / 3), (2 / 3, 1 / 3), (1 / 2, 1 / 2), (2 / 5, 3 / 4), (3 / 5, 3 / 4)]
    marks = np.array([[y, x] for x, y in places], np.float32).reshape(10)
    zeros = {n: np.zeros((c, 3, 1, 1), np.float32) for n, c in (("w2", 2), ("wo", 2), ("wm", 10))}
    write(
        path,
        [
            ("AveragePool", ["x"], ["p"], {"kernel_shape": [4, 4], "strides": [4, 4]}),
            ("Conv", ["p", "wh"], ["537"], {"kernel_shape": [1, 1]}),
            ("Conv", ["p", "w2", "bs"], ["538"], {"kernel_shape": [1, 1]}),
            ("Conv", ["p", "wo", "bo"], ["539"], {"kernel_shape": [1, 1]}),
            ("Conv", ["p", "wm", "bm"], ["540"], {"kernel_shape": [1, 1]}),
        ],
        {
            "wh": np.full((1, 3, 1, 1), 1 / 765, np.float32),
            **zeros,
            "bs": np.full(2, np.log(extent / 4), np.float32),
            "bo": np.zeros(2, np.float32),
            "bm": marks,
        },
        # The real file, too, names a size that is not the one it is used with.
        {"x": (10, 3, 32, 32)},
        {"537": (10, 1, 8, 8), "538": (10, 2, 8, 8), "539": (10, 2, 8, 8), "540": (10, 10, 8, 8)},
    )


def one_face_scrfd(path: Path, *, side: int, cell: tuple[int, int]) -> None:
    """An "SCRFD" that sees one face in cell (column, row) of its stride of 8, whatever the picture:
    4 cells wide, 5 high, with its five points 1 cell from the middle."""
    weights: dict[str, np.ndarray] = {}
    shapes: dict[str, Sequence[int | str]] = {}
    for kind, width in (("score", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            rows = np.zeros(((side // stride) ** 2 * 2, width), np.float32)
            if stride == 8:
                at = (cell[1] * (side // 8) + cell[0]) * 2
                value = {
                    "score": [0.9],
                    "bbox": [2, 2, 2, 3],
                    "kps": [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1],
                }[kind]
                # Both anchors of the cell see it; the second is less sure and must be dropped.
                rows[at : at + 2] = value
                if kind == "score":
                    rows[at + 1] = 0.6
            weights[f"c_{kind}{stride}"] = rows
            shapes[f"{kind}{stride}"] = rows.shape
    nodes = [("Identity", [f"c_{name}"], [name], {}) for name in shapes]
    write(path, nodes, weights, {"x": (1, 3, "h", "w")}, shapes)
