"""inswapper, hyperswap and ghost, proven around stand-in networks whose exact answer is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.contracts.engine_cases import context_for
from tests.contracts.face_footage import face_requests
from tests.engines.swap import standins
from tests.engines.swap.standins import onnx

from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.engines.engine import Engine
from facepick.engines.restore.restorer import NoRestorer
from facepick.engines.swap import neural
from facepick.engines.swap.network import SwapNetwork, boosted, last_square_initializer
from facepick.engines.swap.neural import GhostEngine, HyperswapEngine, InswapperEngine
from facepick.errors import MissingModelError, ModelMismatchError
from facepick.faces.alignment import align
from facepick.models.store import ModelStore
from facepick.progress import never

ENGINES = {
    "inswapper_128": InswapperEngine(),
    "inswapper_128_fp16": InswapperEngine.half(),
    "hyperswap": HyperswapEngine(),
    "ghost": GhostEngine(),
}


@pytest.fixture(scope="module")
def request_(shared_media: Path) -> FaceRequest:
    """The left face of a 640x360 clip, about 115 pixels wide, with its mesh."""
    clip = shared_media / "odd" / "base_640x360.mp4"
    (request,) = face_requests(clip, (0,), margin=0.8, mesh=True)
    return request


@pytest.fixture
def photo(tmp_path: Path, request_: FaceRequest) -> str:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), request_.crop)
    return str(path)


def swap(
    engine: Engine, request: FaceRequest, photo: str, folder: Path, kind: str, **settings: Any
) -> FacePatch:
    store = standins.store_in(folder / "models", kind=kind)
    context = context_for(
        engine, folder, [request], cancel=never, models=store, source=(photo,),
        settings=engine.spec.settings(**settings),
    )  # fmt: skip
    session = engine.open(context)
    (patch,) = session.process([request])
    session.close()
    assert isinstance(patch, FacePatch)
    return patch


def under(request: FaceRequest, patch: FacePatch) -> np.ndarray:
    """The crop's pixels under the patch."""
    x, y = patch.origin[0] - request.origin[0], patch.origin[1] - request.origin[1]
    return request.crop[y : y + patch.alpha.shape[0], x : x + patch.alpha.shape[1]]


@pytest.mark.parametrize("name", ENGINES)
def test_an_identity_network_gives_the_frame_back(
    name: str, request_: FaceRequest, photo: str, tmp_path: Path
) -> None:
    """Cut out, through the network and back: only what resampling twice takes may be missing."""
    patch = swap(ENGINES[name], request_, photo, tmp_path, "identity", pixel_boost="512")
    sure = patch.alpha > 0.9
    assert sure.sum() > 3000
    difference = cv2.absdiff(patch.image, under(request_, patch))[sure]
    # Half a pixel of misplacement would give 3.4 grey levels on this face.
    assert difference.mean() < 0.8


def test_half_a_pixel_of_misplacement_would_be_seen(request_: FaceRequest) -> None:
    """What the tolerance above is measured against."""
    matrix = np.array([[1, 0, 0.5], [0, 1, 0.5]])
    crop = request_.crop
    moved = cv2.warpAffine(crop, matrix, crop.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    box = request_.box
    x0, y0 = int(box.x0 - request_.origin[0]), int(box.y0 - request_.origin[1])
    part = (slice(y0, y0 + int(box.height)), slice(x0, x0 + int(box.width)))
    assert cv2.absdiff(moved, crop)[part].mean() > 1.6


@pytest.mark.parametrize("name", ENGINES)
def test_the_network_gets_red_first(
    name: str, request_: FaceRequest, photo: str, tmp_path: Path
) -> None:
    """A network that keeps channel 0 alone must leave red, the last channel of BGR."""
    patch = swap(ENGINES[name], request_, photo, tmp_path, "red", pixel_boost="256")
    sure = patch.alpha > 0.9
    blue, green, red = (float(patch.image[sure][:, c].mean()) for c in range(3))
    # Where 0 codes the middle of the range, channels that are 0 come out as 128.
    empty = 128 if name in ("ghost", "hyperswap") else 0
    assert blue == pytest.approx(empty, abs=1)
    assert green == pytest.approx(empty, abs=1)
    assert red == pytest.approx(float(under(request_, patch)[sure][:, 2].mean()), abs=3)


def embedding_of(photo: str) -> np.ndarray:
    """What the stand-in for ArcFace makes of the photo, worked out by hand."""
    from facepick.engines.swap.source import load_sources
    from facepick.models.store import default_store

    (face,) = load_sources([photo], default_store())
    chip = align(face.image, face.landmarks5, size=112)
    means = (chip[:, :, ::-1].astype(np.float32).mean(axis=(0, 1)) - 127.5) / 127.5
    return np.asarray(means @ standins.projection())


def test_the_identity_is_the_unit_embedding_times_the_map_at_length_1(
    request_: FaceRequest, photo: str, tmp_path: Path
) -> None:
    """As insightface does it; the stand-in paints with the identity's last three numbers, so the
    whole way is seen."""
    patch = swap(ENGINES["inswapper_128"], request_, photo, tmp_path, "source")
    identity = embedding_of(photo) @ standins.emap()
    identity /= np.linalg.norm(identity)
    wanted = np.clip(np.rint(identity[-3:][::-1] * 255), 0, 255)
    sure = patch.alpha > 0.9
    assert np.allclose(patch.image[sure].mean(axis=0), wanted, atol=1)
    assert wanted.max() > 0, "all numbers clipped to black would prove nothing"


@pytest.mark.parametrize(
    ("engine", "factor"), [(HyperswapEngine(), None), (GhostEngine(), 2.0)], ids=["unit", "ghost"]
)
def test_the_identity_of_the_others(
    engine: Engine, factor: float | None, request_: FaceRequest, photo: str, tmp_path: Path
) -> None:
    """hyperswap: the embedding at length 1.  ghost: through the converter at its own length (the
    stand-in doubles), as facefusion gives them."""
    store = standins.store_in(tmp_path / "models")
    context = context_for(engine, tmp_path, [request_], cancel=never, models=store, source=(photo,))
    embedding = embedding_of(photo)
    wanted = embedding / np.linalg.norm(embedding) if factor is None else factor * embedding
    assert np.allclose(engine._load(context).identity, wanted, atol=1e-4)  # type: ignore[attr-defined]
    assert np.linalg.norm(embedding) > 1.25, "of length 1 already it would prove nothing"


@pytest.mark.parametrize(
    ("engine", "points"),
    [
        # The fractions of facefusion's templates arcface_128 and arcface_112_v1.
        ("inswapper_128", [[0.36167656, 0.40387734], [0.63696719, 0.40235469],
                           [0.50019687, 0.56044219], [0.38710391, 0.72160547],
                           [0.61507734, 0.72034453]]),
        ("ghost", [[0.35473214, 0.45658929], [0.64526786, 0.45658929], [0.5, 0.61154464],
                   [0.37913393, 0.776875], [0.62086607, 0.776875]]),
    ],
)  # fmt: skip
def test_faces_are_cut_by_the_published_templates(engine: str, points: list[list[float]]) -> None:
    np.testing.assert_allclose(ENGINES[engine].template, points, atol=1e-6)
    assert ENGINES["hyperswap"].template is ENGINES["inswapper_128"].template


def test_a_restorer_sees_the_whole_head_with_the_new_face_in_it(
    request_: FaceRequest, photo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A face cut out along its mask is nothing that a restorer was trained on."""
    engine, seen = ENGINES["inswapper_128"], []

    class Brighter(NoRestorer):
        whole_face = True

        def restore(self, image: np.ndarray, landmarks5: Any, *, fidelity: float) -> np.ndarray:
            seen.append(image.copy())
            return cv2.add(image, np.full_like(image, 5))

    monkeypatch.setattr(neural, "open_restorer", lambda *_, **__: Brighter())

    store = standins.store_in(tmp_path / "models", kind="source")
    context = context_for(
        engine, tmp_path, [request_], cancel=never, models=store, source=(photo,),
        settings=engine.spec.settings(restorer="GFPGAN"),
    )  # fmt: skip
    (patch,) = engine.open(context).process([request_])
    assert isinstance(patch, FacePatch)
    (head,) = seen
    assert head.shape == request_.crop.shape
    outside = np.ones(head.shape[:2], bool)
    x, y = patch.origin[0] - request_.origin[0], patch.origin[1] - request_.origin[1]
    rows, columns = patch.alpha.shape
    outside[y : y + rows, x : x + columns] = patch.alpha == 0
    np.testing.assert_array_equal(head[outside], request_.crop[outside])
    sure = patch.alpha > 0.99
    inside = head[y : y + rows, x : x + columns]
    np.testing.assert_allclose(patch.image[sure], inside[sure].astype(int) + 5, atol=1)


@pytest.mark.parametrize("times", [1, 2, 4])
def test_pixel_boost_puts_every_pixel_back(tmp_path: Path, times: int) -> None:
    path = standins.swapper(tmp_path / "net.onnx")
    network = SwapNetwork(path, side=128, colors="unit", device="cpu")
    rng = np.random.default_rng(5)
    chip = rng.integers(0, 256, (128 * times, 128 * times, 3), dtype=np.uint8)
    assert np.array_equal(boosted(network, chip, np.zeros(512, np.float32)), chip)


def test_pixel_boost_is_sharper(request_: FaceRequest, photo: str, tmp_path: Path) -> None:
    errors = []
    for boost in ("128", "512"):
        patch = swap(
            ENGINES["inswapper_128"], request_, photo, tmp_path, "identity", pixel_boost=boost
        )
        errors.append(cv2.absdiff(patch.image, under(request_, patch))[patch.alpha > 0.9].mean())
    assert errors[1] < errors[0]


@pytest.mark.parametrize("dtype", [standins.FLOAT, standins.HALF])
def test_the_map_is_read_without_loading_the_graph(tmp_path: Path, dtype: int) -> None:
    path = standins.swapper(tmp_path / "net.onnx", dtype=dtype)
    assert np.array_equal(last_square_initializer(path), standins.emap())


def test_the_map_is_found_when_its_numbers_are_not_stored_raw(tmp_path: Path) -> None:
    path = standins.swapper(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    tensor = model.graph.initializer[-1]
    tensor.float_data.extend(standins.emap().ravel().tolist())
    tensor.ClearField("raw_data")
    onnx.save(model, str(path))
    assert np.array_equal(last_square_initializer(path), standins.emap())


@pytest.mark.parametrize("cut", [0, 1, 100, 5000])
def test_a_damaged_or_foreign_file_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    path = standins.swapper(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[:cut] if cut != 1 else b"\xff" * 4000)
    with pytest.raises(ModelMismatchError, match=r"net\.onnx"):
        last_square_initializer(path)
    with pytest.raises(ModelMismatchError):
        SwapNetwork(path, side=128, colors="unit", device="cpu")


def test_a_network_of_another_size_is_refused(tmp_path: Path) -> None:
    path = standins.swapper(tmp_path / "net.onnx", side=256)
    with pytest.raises(ModelMismatchError, match="128, 128"):
        SwapNetwork(path, side=128, colors="unit", device="cpu")


def test_numbers_that_are_no_colours_are_an_error(
    request_: FaceRequest, photo: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelMismatchError, match="no colours"):
        swap(ENGINES["inswapper_128"], request_, photo, tmp_path, "broken")


def test_a_missing_file_is_named(request_: FaceRequest, photo: str, tmp_path: Path) -> None:
    engine = ENGINES["inswapper_128"]
    context = context_for(
        engine, tmp_path, [request_], cancel=never, source=(photo,),
        models=ModelStore([tmp_path], tmp_path),
    )  # fmt: skip
    with pytest.raises(MissingModelError, match="inswapper"):
        engine.open(context)


def test_eyes_and_teeth_are_kept_when_asked(
    request_: FaceRequest, photo: str, tmp_path: Path
) -> None:
    full = swap(ENGINES["inswapper_128"], request_, photo, tmp_path, "source")
    kept = swap(
        ENGINES["inswapper_128"], request_, photo, tmp_path, "source",
        keep_eyes=True, keep_mouth=True,
    )  # fmt: skip
    assert request_.mesh is not None
    x, y = (request_.mesh[[159, 145], :2].mean(axis=0) - kept.origin).astype(int)
    assert full.alpha[y, x] > 0.95
    assert kept.alpha[y, x] < 0.05
    assert np.all(kept.alpha <= full.alpha + 1e-6)


def test_a_face_without_a_mesh_is_left_alone(
    request_: FaceRequest, photo: str, tmp_path: Path
) -> None:
    engine = ENGINES["inswapper_128"]
    bare = dataclasses.replace(request_, mesh=None, mesh_score=0.0)
    context = context_for(
        engine, tmp_path, [bare], cancel=never, source=(photo,),
        models=standins.store_in(tmp_path / "models"),
    )  # fmt: skip
    assert engine.open(context).process([bare]) == [Reason.LOW_CONFIDENCE]
