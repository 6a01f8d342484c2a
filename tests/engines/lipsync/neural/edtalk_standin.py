"""A small ONNX graph with the inputs and the output of ``edtalk_256.onnx``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

if TYPE_CHECKING or os.environ.get("CI") == "true":
    import onnx
else:
    onnx = pytest.importorskip("onnx", reason="the stand-in is built with the onnx package")
from onnx import TensorProto, helper, numpy_helper

Kind = Literal["identity", "tag", "broken"]


def write_standin(
    path: Path, kind: Kind = "identity", *, side: int = 256, dtype: int = TensorProto.FLOAT
) -> Path:
    """``identity`` gives the face back.  ``tag`` paints the channels: R the face's red, G the
    weight, B (mean of the mel columns + 4) / 8.  ``broken`` gives NaN.
    """
    number = helper.tensor_dtype_to_np_dtype(dtype)
    constants = {
        "zero": np.zeros((), number),
        "red": np.array([1, 0, 0], number).reshape(1, 3, 1, 1),
        "green": np.array([0, 1, 0], number).reshape(1, 3, 1, 1),
        "blue": np.array([0, 0, 1], number).reshape(1, 3, 1, 1),
        "four": np.array(4, number),
        "eight": np.array(8, number),
    }
    nodes = [
        helper.make_node("ReduceMean", ["source"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Add", ["mean", "four"], ["above"]),
        helper.make_node("Div", ["above", "eight"], ["sound"]),
        helper.make_node("Mul", ["target", "red"], ["r"]),
        helper.make_node("Mul", ["weight", "green"], ["g"]),
        helper.make_node("Mul", ["sound", "blue"], ["b"]),
        helper.make_node("Add", ["r", "g"], ["rg"]),
        helper.make_node("Add", ["rg", "b"], ["painted"]),
    ]
    if kind == "tag":
        nodes.append(helper.make_node("Identity", ["painted"], ["output"]))
    else:
        nodes.append(helper.make_node("Mul", ["painted", "zero"], ["nothing"]))
        if kind == "broken":
            nodes.append(helper.make_node("Div", ["nothing", "zero"], ["added"]))
        else:
            nodes.append(helper.make_node("Identity", ["nothing"], ["added"]))
        nodes.append(helper.make_node("Add", ["target", "added"], ["output"]))
    graph = helper.make_graph(
        nodes,
        "edtalk",
        [
            helper.make_tensor_value_info("source", dtype, [1, 1, 80, 16]),
            helper.make_tensor_value_info("target", dtype, [1, 3, side, side]),
            helper.make_tensor_value_info("weight", dtype, [1]),
        ],
        [helper.make_tensor_value_info("output", dtype, [1, 3, side, side])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
