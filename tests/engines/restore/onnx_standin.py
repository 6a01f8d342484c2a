"""Small ONNX graphs with the tensors of the public face restorers."""

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

Kind = Literal["identity", "tag", "dots", "broken"]


def write_restorer(
    path: Path,
    kind: Kind = "identity",
    *,
    side: int = 512,
    weight: bool = False,
    dots: np.ndarray | None = None,
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """``identity`` gives the picture back.  ``tag`` keeps channel 0 (R), puts the weight into G
    and 0 into B.  ``dots`` paints white squares of 9 pixels at the points `dots` (n, 2).
    ``broken`` gives NaN.
    """
    number = helper.tensor_dtype_to_np_dtype(dtype)
    constants = {
        "red": np.array([1, 0, 0], number).reshape(1, 3, 1, 1),
        "green": np.array([0, 1, 0], number).reshape(1, 3, 1, 1),
        "zero": np.zeros((1, 1, 1, 1), number),
    }
    inputs = [helper.make_tensor_value_info("input", dtype, [1, 3, side, side])]
    nodes = []
    if weight:
        inputs.append(helper.make_tensor_value_info("weight", TensorProto.DOUBLE, [1]))
        nodes.append(helper.make_node("Cast", ["weight"], ["w"], to=dtype))
    else:
        constants["w"] = np.zeros(1, number)
    nodes += [
        helper.make_node("Mul", ["w", "green"], ["g"]),
        helper.make_node("Mul", ["input", "red"], ["r"]),
        helper.make_node("Mul", ["g", "zero"], ["none"]),
    ]
    if kind == "tag":
        nodes.append(helper.make_node("Add", ["r", "g"], ["output"]))
    elif kind == "broken":
        nodes.append(helper.make_node("Div", ["none", "zero"], ["nan"]))
        nodes.append(helper.make_node("Add", ["input", "nan"], ["output"]))
    else:
        keep = np.ones((1, 1, side, side), number)
        for x, y in np.rint(np.zeros((0, 2)) if dots is None else dots).astype(int):
            keep[..., y - 4 : y + 5, x - 4 : x + 5] = 0
        constants["keep"], constants["white"] = keep, 1 - keep
        nodes += [
            helper.make_node("Mul", ["input", "keep"], ["kept"]),
            helper.make_node("Add", ["kept", "white"], ["painted"]),
            helper.make_node("Add", ["painted", "none"], ["output"]),
        ]
    graph = helper.make_graph(
        nodes,
        "restorer",
        inputs,
        [helper.make_tensor_value_info("output", dtype, [1, 3, side, side])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
