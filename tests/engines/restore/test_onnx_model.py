"""Restorers as ONNX: the tensors they are given, and the way back into the picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FaceRequest
from facepick.engines.restore.restorer import RESTORERS, Restorer, open_restorer
from facepick.errors import MissingModelError, ModelMismatchError
from facepick.faces.alignment import FFHQ_512
from facepick.models.store import ModelStore

FILES = {
    "GFPGAN": "gfpgan_1.4.onnx",
    "CodeFormer": "codeformer.onnx",
    "RestoreFormer": "restoreformer_plus_plus.onnx",
    "GPEN": "GPEN-BFR-512.onnx",
}


@pytest.fixture(scope="module")
def standin() -> Any:
    from tests.engines.restore import onnx_standin

    return onnx_standin


@pytest.fixture(scope="module")
def face(odd: Callable[[str], Path]) -> FaceRequest:
    return face_requests(odd("base_640x360.mp4"), (0,), margin=0.8)[0]


def opened(name: str, folder: Path) -> Restorer:
    return open_restorer(name, models=ModelStore([folder], folder), device="cpu")


def restored(restorer: Restorer, face: FaceRequest, fidelity: float = 0.5) -> np.ndarray:
    return restorer.restore(face.crop, face.local(face.landmarks5), fidelity=fidelity)


def test_every_network_of_the_menu_has_a_file() -> None:
    assert {"none", "sharpen", *FILES} == set(RESTORERS)


@pytest.mark.parametrize("name", FILES)
def test_an_identity_network_gives_the_picture_back_without_torch(
    name: str, standin: Any, face: FaceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "spandrel"):
        monkeypatch.setitem(sys.modules, package, None)
    standin.write_restorer(tmp_path / FILES[name], weight=name == "CodeFormer")
    before = face.crop.copy()
    restorer = opened(name, tmp_path)
    out = restored(restorer, face)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(face.crop, before)
    # Resampling there and back; half a pixel of misplacement would give more than 1.6.
    assert np.abs(out.astype(int) - before).mean() < 0.5
    restorer.close()


def test_red_comes_first_and_the_weight_arrives(
    standin: Any, face: FaceRequest, tmp_path: Path
) -> None:
    standin.write_restorer(tmp_path / "codeformer.onnx", "tag", weight=True)
    out = restored(opened("CodeFormer", tmp_path), face, fidelity=0.75)
    x, y = face.local(face.landmarks5)[2].astype(int)
    blue, green, red = out[y - 5 : y + 5, x - 5 : x + 5].reshape(-1, 3).mean(axis=0)
    wanted = face.crop[y - 5 : y + 5, x - 5 : x + 5, 2].mean()
    assert red == pytest.approx(wanted, abs=3)
    # 0.75 and 0 of [-1, 1].
    assert green == pytest.approx(1.75 * 127.5, abs=1)
    assert blue == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize(
    ("name", "file", "side", "points"),
    [
        ("GFPGAN", "GFPGANv1.4.onnx", 512, FFHQ_512),
        ("GPEN", "GPEN-BFR-1024.onnx", 1024, FFHQ_512 * 2),
        # facefusion cuts closer for this one: its template arcface_128.
        (
            "GPEN",
            "gpen_bfr_256.onnx",
            256,
            256
            * np.array(
                [
                    [0.36167656, 0.40387734],
                    [0.63696719, 0.40235469],
                    [0.50019687, 0.56044219],
                    [0.38710391, 0.72160547],
                    [0.61507734, 0.72034453],
                ]
            ),
        ),
    ],
)
def test_the_face_lies_where_the_network_expects_it(
    name: str,
    file: str,
    side: int,
    points: np.ndarray,
    standin: Any,
    face: FaceRequest,
    tmp_path: Path,
) -> None:
    """White dots at the template's points come back on eyes, nose and mouth corners."""
    standin.write_restorer(tmp_path / file, "dots", side=side, dots=points)
    out = restored(opened(name, tmp_path), face)
    white = (out.astype(int).min(axis=2) > 235) & (face.crop.min(axis=2) < 200)
    rows, columns = np.nonzero(white)
    for x, y in face.local(face.landmarks5):
        near = np.hypot(columns - x, rows - y) < 12
        assert near.any()
        # Five points of a face are never exactly those of the template, even when it fits best.
        assert np.hypot(columns[near].mean() - x, rows[near].mean() - y) < 5


def test_onnx_is_preferred_to_pth(standin: Any, face: FaceRequest, tmp_path: Path) -> None:
    (tmp_path / "RestoreFormer.pth").write_bytes(b"weights")
    standin.write_restorer(tmp_path / "restoreformer_plus_plus.onnx")
    store = ModelStore([tmp_path], tmp_path)
    restorer = open_restorer("RestoreFormer", models=store)
    assert np.abs(restored(restorer, face).astype(int) - face.crop).mean() < 0.5


def test_half_precision_files_run_too(standin: Any, face: FaceRequest, tmp_path: Path) -> None:
    from onnx import TensorProto

    standin.write_restorer(tmp_path / "gfpgan_1.4.onnx", dtype=TensorProto.FLOAT16)
    out = restored(opened("GFPGAN", tmp_path), face)
    assert np.abs(out.astype(int) - face.crop).mean() < 0.6


def test_points_that_coincide_change_nothing(
    standin: Any, face: FaceRequest, tmp_path: Path
) -> None:
    standin.write_restorer(tmp_path / "gfpgan_1.4.onnx", "tag")
    same = np.full((5, 2), 20, np.float32)
    out = opened("GFPGAN", tmp_path).restore(face.crop, same, fidelity=1)
    np.testing.assert_array_equal(out, face.crop)


def test_other_networks_are_refused(
    standin: Any, seeded_onnx_like: Path, face: FaceRequest, tmp_path: Path
) -> None:
    (tmp_path / "gfpgan_1.4.onnx").write_bytes(seeded_onnx_like.read_bytes())
    with pytest.raises(ModelMismatchError, match="no face restorer"):
        opened("GFPGAN", tmp_path)
    standin.write_restorer(tmp_path / "codeformer.onnx", "broken")
    with pytest.raises(ModelMismatchError, match="no picture"):
        restored(opened("CodeFormer", tmp_path), face)


@pytest.fixture
def seeded_onnx_like() -> Path:
    """Some other ONNX network."""
    from facepick.models.catalog import SILERO_VAD
    from facepick.models.store import BUNDLED_DIR

    return BUNDLED_DIR / SILERO_VAD.file


def test_gpen_without_its_file_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match=r"gpen_bfr_512\.onnx"):
        opened("GPEN", tmp_path)
