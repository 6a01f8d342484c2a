"""ONNX files written and read back without the onnx package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facepick.models.onnx_file import OnnxGraph, onnx_matrix, onnx_signature


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A product with the second of two matrices."""
    graph = OnnxGraph("small")
    graph.weight(np.zeros((2, 2), np.float32), "unused")
    weight = graph.weight(np.array([[1.0, 2.0], [3.0, 4.0]], np.float16), "w")
    wide = graph.node("Cast", [weight], to=1)
    graph.node("MatMul", ["x", wide], "y")
    path = tmp_path / "small.onnx"
    path.write_bytes(graph.model({"x": ("float32", ("batch", 2))}, {"y": ("batch", 2)}))
    return path


def test_what_is_written_is_read_back_and_runs(written: Path) -> None:
    import onnxruntime

    assert onnx_signature(written) == ({"x": (None, 2)}, {"y": (None, 2)})
    matrix = onnx_matrix(written, (2, 2))
    assert matrix is not None
    assert matrix.tolist() == [[1, 2], [3, 4]], "the last one, float16 read as float32"
    assert onnx_matrix(written, (3, 2)) is None
    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.array([[1.0, 1.0]], np.float32)})
    assert found.tolist() == [[4, 6]]


def test_an_output_may_be_left_without_a_shape(tmp_path: Path) -> None:
    graph = OnnxGraph("same")
    graph.node("Identity", ["x"], "y")
    path = tmp_path / "same.onnx"
    path.write_bytes(graph.model({"x": ("uint8", (3,))}, {"y": None}))
    assert onnx_signature(path) == ({"x": (3,)}, {"y": ()})


def test_operators_of_onnxruntime_and_whole_numbers_are_written(tmp_path: Path) -> None:
    import onnxruntime

    graph = OnnxGraph("pool")
    offset = graph.weight(np.uint8(7))
    graph.node("Max", ["x", offset], "most")
    graph.node("com.microsoft.NhwcMaxPool", ["most"], "y", kernel_shape=(2, 2))
    path = tmp_path / "pool.onnx"
    shapes = {"x": ("uint8", (1, 2, 2, 3))}, {"y": (1, 1, 1, 3)}
    path.write_bytes(graph.model(*shapes, {"y": "uint8"}))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)})
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == [9, 10, 11]


def test_damage_is_told_wherever_it_is(written: Path, tmp_path: Path) -> None:
    """Every shortened file is refused or read in part, never an endless loop or another error."""
    whole = written.read_bytes()
    part = tmp_path / "part.onnx"
    refused = 0
    for length in range(len(whole)):
        part.write_bytes(whole[:length])
        try:
            onnx_signature(part)
        except ValueError:
            refused += 1
    assert refused == len(whole)
    part.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(ValueError, match=r"protocol buffer|number|message"):
        onnx_signature(part)
