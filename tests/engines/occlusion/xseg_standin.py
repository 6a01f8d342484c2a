"""A small graph with the input and output of facefusion's XSeg networks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING or os.environ.get("CI") == "true":
    import onnx
else:
    onnx = pytest.importorskip("onnx", reason="stand-in networks are built with the onnx package")
from onnx import TensorProto, helper, numpy_helper


def write_xseg(path: Path, *, channels: int = 3, side: int = 256) -> Path:
    """Whatever is neither green nor red is no face: 0.4 + 4 max(G, R), with BGR in [0, 1]."""
    nodes = [
        helper.make_node("Slice", ["input", "one", "three", "axis"], ["green_red"]),
        helper.make_node("ReduceMax", ["green_red"], ["most"], axes=[3], keepdims=1),
        helper.make_node("Mul", ["most", "four"], ["bright"]),
        helper.make_node("Add", ["bright", "level"], ["output"]),
    ]
    constants = {
        "one": np.array([1], np.int64),
        "three": np.array([3], np.int64),
        "axis": np.array([3], np.int64),
        "four": np.array(4.0, np.float32),
        "level": np.array(0.4, np.float32),
    }
    shapes = {"input": channels, "output": 1}
    tensors = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", side, side, depth])
        for name, depth in shapes.items()
    }
    graph = helper.make_graph(
        nodes,
        path.stem,
        [tensors["input"]],
        [tensors["output"]],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path
