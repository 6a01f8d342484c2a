"""TensorFlow Lite networks give the same numbers through onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facepick.engines.occlusion.hands import HandFinder
from facepick.errors import ModelMismatchError
from facepick.faces.analyzers._opencv import read_tflite
from facepick.faces.mesh import FaceMesh
from facepick.models.catalog import FACE_MESH, HAND_LANDMARK, PALM_DETECTION
from facepick.models.spec import ModelSpec
from facepick.models.store import default_store
from facepick.models.tflite_file import read_network, to_onnx

OUTPUTS = (FaceMesh.COORDINATES, FaceMesh.PRESENCE)


@pytest.mark.parametrize(
    ("spec", "outputs"),
    [(FACE_MESH, OUTPUTS), (PALM_DETECTION, (HandFinder.BOXES, HandFinder.SCORES))],
    ids=["mesh", "palms"],
)
def test_networks_agree_with_opencv(spec: ModelSpec, outputs: tuple[str, ...]) -> None:
    """Two programs of different making read the same weights."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = default_store().require(spec)
    session = onnxruntime.InferenceSession(
        to_onnx(read_network(path), outputs), providers=["CPUExecutionProvider"]
    )
    other = read_tflite(path, needed_for="this test")
    chips = np.random.default_rng(7).random((3, 3, 192, 192), np.float32)
    ours = session.run(list(outputs), {"input": chips})
    for i, chip in enumerate(chips):
        other.setInput(np.ascontiguousarray(chip[None]))
        for mine, theirs in zip(ours, other.forward(list(outputs)), strict=True):
            np.testing.assert_allclose(mine[i].ravel(), np.asarray(theirs).ravel(), atol=2e-3)


def test_other_files_are_refused(tmp_path: Path) -> None:
    whole = default_store().require(FACE_MESH).read_bytes()
    for name, data in (("text", b"no network at all"), ("short", whole[:2000]), ("empty", b"")):
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(ModelMismatchError, match="no TensorFlow Lite network"):
            read_network(file)


def test_what_is_not_known_is_said() -> None:
    network = read_network(default_store().require(HAND_LANDMARK))
    with pytest.raises(ModelMismatchError, match="activation"):
        to_onnx(network, ("Identity",))
    mesh = read_network(default_store().require(FACE_MESH))
    with pytest.raises(ModelMismatchError, match="lacks nothing_of_that_name"):
        to_onnx(mesh, ("nothing_of_that_name",))
