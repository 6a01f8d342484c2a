"""deepface as a back end.  Needs the packages deepface and werkzeug; the weights are stand-ins but
for SFace, whose real file is among the shared models."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from tests.faces_analyzers import tiny_onnx
from tests.faces_analyzers.conftest import need

from facepick.errors import MissingModelError, ModelMismatchError, PackageMissing
from facepick.faces.alignment import align
from facepick.faces.analyzers import deepface_backend
from facepick.faces.analyzers.deepface_backend import (
    DEEPFACE_EMBEDDERS,
    DeepFaceDetector,
    DeepFaceEmbedder,
    DeepFaceModelInfo,
)
from facepick.models.store import ModelStore
from facepick.recognition.registry import open_detector, open_embedder, open_mesher

ONNX = [info for info in DEEPFACE_EMBEDDERS if info.file.endswith(".onnx") and not info.packages]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights, and no way to the network."""
    need("deepface")
    need("werkzeug")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setattr(socket.socket, "connect", _no_network)
    modeling = deepface_backend._import("deepface.modules.modeling", "the test")
    # deepface keeps models by name for the life of the process.
    monkeypatch.setattr(
        modeling, "cached_models", {task: {} for task in modeling.AVAILABLE_MODELS}, raising=False
    )
    return tmp_path / ".deepface" / "weights"


def _no_network(*arguments: object) -> None:
    raise AssertionError("deepface went out")


@pytest.mark.slow
def test_sface_through_deepface_is_sface(
    home: Path, store: ModelStore, shared_models: Path, group: np.ndarray
) -> None:
    home.mkdir(parents=True)
    name = "face_recognition_sface_2021dec.onnx"
    shutil.copy(shared_models / name, home / name)
    found = open_detector("yunet", store, open_mesher(store)).detect(group)
    chips = np.stack([align(group, points) for points in found.landmarks5])
    direct = open_embedder("sface", store).embed(chips)
    through = DeepFaceEmbedder("SFace").embed(chips)
    cosine = np.sum(direct * through, axis=1)
    assert cosine.min() > 0.999
    # One face takes another way through deepface than several.
    assert np.sum(direct[0] * DeepFaceEmbedder("SFace").embed(chips[:1])[0]) > 0.999


@pytest.mark.parametrize("info", [i for i in ONNX if i.name != "SFace"], ids=lambda i: i.id)
def test_models_get_our_chips_as_they_are(info: DeepFaceModelInfo, home: Path) -> None:
    matrix = tiny_onnx.mean_color_embedder(
        home / info.file, height=info.height, width=info.width, dimension=info.dimension
    )
    embedder = DeepFaceEmbedder(info.id)
    assert embedder.dimension == info.dimension
    chips = np.zeros((40, embedder.size, embedder.size, 3), np.uint8)
    chips[:] = np.random.default_rng(2).integers(1, 256, (40, 1, 1, 3))
    rows = embedder.raw(chips)
    # BGR in [0, 1], not letterboxed and not detected again; more than one batch of 32.
    expected = chips[:, 0, 0].astype(np.float64) / 255 @ matrix
    if info.id == "vgg_face":
        # deepface itself brings these to length 1.
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, expected, atol=2e-3)


def test_deepid_gets_the_middle_of_a_square_chip(home: Path) -> None:
    info = next(i for i in DEEPFACE_EMBEDDERS if i.id == "deepid")
    tiny_onnx.mean_color_embedder(
        home / info.file, height=info.height, width=info.width, dimension=info.dimension
    )
    embedder = DeepFaceEmbedder("deepid")
    assert (info.width, info.height, embedder.size) == (47, 55, 55)
    plain = np.full((1, 55, 55, 3), 100, np.uint8)
    framed = plain.copy()
    framed[:, :, :4] = framed[:, :, -4:] = 0
    np.testing.assert_array_equal(embedder.raw(plain), embedder.raw(framed))


def test_a_missing_file_is_named_and_never_downloaded(home: Path) -> None:
    with pytest.raises(MissingModelError) as failure:
        DeepFaceEmbedder("Facenet512")
    assert "facenet512_weights.onnx" in failure.value.message
    assert str(home / "facenet512_weights.onnx") in failure.value.hint
    assert "https://github.com/serengil/deepface_models" in failure.value.hint


def test_a_file_of_the_store_is_found_by_its_name(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    tiny_onnx.mean_color_embedder(
        folder / "ghostfacenet_v1.onnx", height=112, width=112, dimension=512
    )
    store = ModelStore([folder], tmp_path / "fetched")
    assert open_embedder("ghostfacenet", store).embed(
        np.full((1, 112, 112, 3), 90, np.uint8)
    ).shape == (1, 512)
    assert (home / "ghostfacenet_v1.onnx").is_file()


def test_the_wrong_file_is_refused(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "arcface_weights.onnx").write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelMismatchError, match="ArcFace"):
        DeepFaceEmbedder("ArcFace")
    tiny_onnx.mean_color_embedder(
        home / "facenet_weights.onnx", height=160, width=160, dimension=100
    )
    with pytest.raises(ModelMismatchError, match="gives 100 numbers"):
        DeepFaceEmbedder("Facenet")


def test_the_process_around_it_stays_as_it_was(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_onnx.mean_color_embedder(
        home / "openface_weights.onnx", height=96, width=96, dimension=128
    )
    monkeypatch.delenv("DEEPFACE_BACKEND_ENGINE", raising=False)
    environment, filters = dict(os.environ), list(warnings.filters)
    DeepFaceEmbedder("OpenFace")
    assert dict(os.environ) == environment
    assert list(warnings.filters) == filters
    # Its front door would have changed both.
    assert "deepface.DeepFace" not in sys.modules


def test_detectors_without_their_package_say_which(home: Path, store: ModelStore) -> None:
    for name, package in (("yolov8n", "ultralytics"), ("mtcnn", "mtcnn")):
        try:
            __import__(package)
        except ImportError:
            with pytest.raises(PackageMissing, match=package):
                DeepFaceDetector(name, open_mesher(store))


def test_without_deepface_the_extra_is_named(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "deepface.modules.representation", None)
    monkeypatch.setitem(sys.modules, "deepface", None)
    with pytest.raises(PackageMissing) as failure:
        DeepFaceEmbedder("ArcFace")
    assert "facepick[deepface]" in failure.value.hint
