"""Small ONNX graphs with the inputs, outputs and constants of the real swap networks.

Real weights may not be shipped; what must be right around them (alignment, colour order, value
range, the identity's way into the network, paste-back) is proven with graphs whose exact answer
is known.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore

if TYPE_CHECKING or os.environ.get("CI") == "true":
    import onnx
else:
    onnx = pytest.importorskip("onnx", reason="stand-in networks are built with the onnx package")
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def emap() -> np.ndarray:
    """A matrix that is no identity: reverses the 512 numbers and halves them."""
    return (np.eye(512, dtype=np.float32)[::-1] * 0.5).copy()


def projection() -> np.ndarray:
    """(3, 512): what the stand-in embedder makes of the mean R, G, B."""
    rng = np.random.default_rng(11)
    return rng.standard_normal((3, 512)).astype(np.float32)


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[tuple[str, int, list[int | str]]],
    outputs: list[tuple[str, int, list[int | str]]],
    constants: dict[str, np.ndarray],
) -> Path:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def arcface(path: Path) -> Path:
    """(1, 3, 112, 112) -> means of R, G, B -> times `projection`, (1, 512)."""
    nodes = [
        helper.make_node("ReduceMean", ["data"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "projection"], ["fc1"]),
    ]
    return _save(
        path,
        nodes,
        [("data", FLOAT, ["batch", 3, 112, 112])],
        [("fc1", FLOAT, ["batch", 512])],
        {"projection": projection()},
    )


def swapper(
    path: Path,
    *,
    side: int = 128,
    kind: str = "identity",
    dtype: int = FLOAT,
    mask: bool = False,
) -> Path:
    """A network of the shape of inswapper (side 128) or ghost (256), with `mask` of hyperswap.

    kind: ``identity`` gives the picture back; ``red`` keeps the first channel (R) alone;
    ``source`` paints everything in the colour of the identity's last three numbers;
    ``broken`` gives NaN.
    """
    number = np.float16 if dtype == HALF else np.float32
    constants = {
        "zero": np.zeros((1, 1), number),
        "starts": np.array([509], np.int64),
        "ends": np.array([512], np.int64),
        "axes": np.array([1], np.int64),
        "shape": np.array([1, 3, 1, 1], np.int64),
        "tag": np.array([1, 0, 0], number).reshape(1, 3, 1, 1),
        "nothing": np.zeros((1, 1, 1, 1), number),
    }
    nodes = [
        helper.make_node("Slice", ["source", "starts", "ends", "axes"], ["last"]),
        helper.make_node("Reshape", ["last", "shape"], ["paint"]),
        helper.make_node("Mul", ["paint", "nothing"], ["no_paint"]),
        helper.make_node("Mul", ["target", "nothing"], ["no_target"]),
        helper.make_node("Mul", ["target", "tag"], ["tagged"]),
    ]
    picked = {
        "identity": ["target", "no_paint"],
        "red": ["tagged", "no_paint"],
        "source": ["no_target", "paint"],
        "broken": ["target", "no_paint"],
    }[kind]
    if kind == "broken":
        nodes.append(helper.make_node("Add", picked, ["sum"]))
        nodes.append(helper.make_node("Div", ["nothing", "nothing"], ["nan"]))
        nodes.append(helper.make_node("Add", ["sum", "nan"], ["output"]))
    else:
        nodes.append(helper.make_node("Add", picked, ["output"]))
    # The map of identities is the last constant of the graph, as in the real file.
    constants["emap"] = emap().astype(number)
    nodes.append(helper.make_node("MatMul", ["source", "emap"], ["unused"]))
    outputs = [("output", dtype, [1, 3, side, side])]
    if mask:
        nodes.append(helper.make_node("ReduceMean", ["target"], ["mask"], axes=[1], keepdims=1))
        outputs.append(("mask", dtype, [1, 1, side, side]))
    return _save(
        path,
        nodes,
        [("target", dtype, [1, 3, side, side]), ("source", dtype, [1, 512])],
        outputs,
        constants,
    )


def converter(path: Path) -> Path:
    """(n, 512) -> the same times 2."""
    nodes = [helper.make_node("Mul", ["input", "two"], ["output"])]
    return _save(
        path,
        nodes,
        [("input", FLOAT, ["batch", 512])],
        [("output", FLOAT, ["batch", 512])],
        {"two": np.array([2], np.float32)},
    )


class StandInStore(ModelStore):
    """A store that hands out the stand-ins by the file names of the real models."""

    def __init__(self, folder: Path) -> None:
        super().__init__([folder], folder)
        self._folder = folder

    def find(self, spec: ModelSpec) -> Path | None:
        path = self._folder / spec.file
        return path if path.is_file() and not spec.bundled else super().find(spec)


def store_in(folder: Path, *, kind: str = "identity") -> StandInStore:
    """Stand-ins for every file that the networks need."""
    from facepick.models.catalog import (
        GHOST,
        GHOST_CONVERTER,
        HYPERSWAP,
        INSWAPPER_128,
        INSWAPPER_128_FP16,
        W600K_R50,
    )

    folder.mkdir(parents=True, exist_ok=True)
    arcface(folder / W600K_R50.file)
    swapper(folder / INSWAPPER_128.file, kind=kind)
    swapper(folder / INSWAPPER_128_FP16.file, kind=kind, dtype=HALF)
    swapper(folder / HYPERSWAP.file, side=256, kind=kind, mask=True)
    swapper(folder / GHOST.file, side=256, kind=kind)
    converter(folder / GHOST_CONVERTER.file)
    return StandInStore(folder)
