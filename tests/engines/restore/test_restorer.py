"""Face restorers: sharpening, those of a host, and those that need packages or files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FaceRequest
from facepick.engines.restore.restorer import RESTORERS, open_restorer
from facepick.errors import MissingModelError, PackageMissing, SettingsError
from facepick.models.store import ModelStore


@pytest.fixture(scope="module")
def face(odd: Callable[[str], Path]) -> FaceRequest:
    return face_requests(odd("base_640x360.mp4"), (0,), margin=0.5)[0]


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    return ModelStore([tmp_path], tmp_path)


def detail(picture: np.ndarray) -> float:
    import cv2

    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.CV_32F).var())


def test_none_changes_nothing(face: FaceRequest, models: ModelStore) -> None:
    restorer = open_restorer("none", models=models)
    out = restorer.restore(face.crop, face.local(face.landmarks5), fidelity=0.5)
    np.testing.assert_array_equal(out, face.crop)


def test_sharpen_brings_detail_back_without_a_colour_shift(
    face: FaceRequest, models: ModelStore
) -> None:
    import cv2

    soft = cv2.GaussianBlur(face.crop, (0, 0), 1.2)
    given = soft.copy()
    restorer = open_restorer("sharpen", models=models)
    out = restorer.restore(soft, face.local(face.landmarks5), fidelity=0.5)
    np.testing.assert_array_equal(soft, given)
    assert out.dtype == np.uint8
    assert out.shape == soft.shape
    assert detail(out) > 1.3 * detail(soft)
    error = [np.abs(p.astype(float) - face.crop).mean() for p in (out, soft)]
    assert error[0] < error[1]
    assert np.abs(out.mean((0, 1)) - soft.mean((0, 1))).max() < 0.5


def test_sharpen_bears_points_that_coincide(face: FaceRequest, models: ModelStore) -> None:
    points = np.full((5, 2), 20, np.float32)
    out = open_restorer("sharpen", models=models).restore(face.crop, points, fidelity=1)
    assert out.shape == face.crop.shape


def test_unknown_name(models: ModelStore) -> None:
    with pytest.raises(SettingsError, match="Gfpgun"):
        open_restorer("Gfpgun", models=models)


@pytest.mark.parametrize("name", [r for r in RESTORERS if r not in ("none", "sharpen")])
def test_without_the_file_it_says_where_to_put_it(name: str, models: ModelStore) -> None:
    with pytest.raises(MissingModelError) as caught:
        open_restorer(name, models=models)
    assert caught.value.hint


def test_without_spandrel_it_says_what_to_install(
    models: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "RestoreFormer.pth").write_bytes(b"weights")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(PackageMissing, match="spandrel"):
        open_restorer("RestoreFormer", models=models)


@pytest.mark.skipif(importlib.util.find_spec("spandrel") is None, reason="spandrel not installed")
def test_another_network_is_refused(models: ModelStore, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch writes the file")
    from facepick.errors import ModelMismatchError

    torch.save({"params_ema": {"weight": torch.zeros(3)}}, tmp_path / "RestoreFormer.pth")
    with pytest.raises(ModelMismatchError, match="does not hold RestoreFormer"):
        open_restorer("RestoreFormer", models=models)
