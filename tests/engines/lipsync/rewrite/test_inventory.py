from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.lipsync.rewrite import inventory as inventories
from facepick.engines.lipsync.rewrite.features import in_head_frame, mouth_features
from facepick.engines.lipsync.rewrite.reading import MouthReader
from facepick.errors import Cancelled, EngineError
from facepick.faces.detection import FloatArray
from facepick.faces.mesh import FaceMesh
from facepick.models.store import default_store
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken

pytestmark = pytest.mark.slow

Reader = Callable[[BgrImage, FloatArray], FloatArray]


@pytest.fixture(scope="module")
def read() -> Reader:
    return MouthReader(default_store()).read


def test_pictures_are_the_clips_own_pixels(
    talker: list[FaceRequest], tmp_path: Path, read: Reader
) -> None:
    inventory = inventories.learn(talker[:12], tmp_path, read=read)
    assert inventory is not None
    mouth = inventory.mouth(4)
    h, w = mouth.image.shape[:2]
    crop = talker[4].crop
    x, y = np.rint(talker[4].local(talker[4].mesh)[0] - mouth.mesh[0]).astype(int)
    np.testing.assert_array_equal(mouth.image, crop[y : y + h, x : x + w])


def test_the_bank_stays_small_and_spread(
    talker: list[FaceRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Reader
) -> None:
    monkeypatch.setattr(inventories, "MAX_MOUTHS", 25)
    inventory = inventories.learn(talker, tmp_path, read=read)
    assert inventory is not None
    assert len(inventory) == 25
    assert len(inventory.frames) == len(talker)
    kept, seen = inventory.shape[inventory.rows, 0], inventory.shape[:, 0]
    # A quarter of the frames still spans nearly all openings.
    assert np.ptp(kept) > 0.9 * np.ptp(seen)
    assert (np.diff(inventory.frames[inventory.rows]) > 0).all()


def test_footage_is_not_held(talker: list[FaceRequest], tmp_path: Path, read: Reader) -> None:
    """Memory does not grow with the video: a request is let go once it is learned from."""
    alive: list[weakref.ref[FaceRequest]] = []

    def stream() -> Iterator[FaceRequest]:
        for request in talker[:30]:
            copied = replace(request, crop=request.crop.copy())
            alive.append(weakref.ref(copied))
            yield copied
            del copied
            assert sum(r() is not None for r in alive) <= 2

    assert inventories.learn(stream(), tmp_path, read=read) is not None
    assert len(alive) == 30


def test_guessed_and_meshless_faces_are_not_learned_from(
    talker: list[FaceRequest], tmp_path: Path, read: Reader
) -> None:
    doubtful = [replace(talker[0], seen=BRIDGED), replace(talker[1], mesh=None, mesh_score=0.0)]
    assert inventories.learn(doubtful, tmp_path, read=read) is None
    inventory = inventories.learn([*doubtful, *talker[2:5]], tmp_path, read=read)
    assert inventory is not None
    assert inventory.frames.tolist() == [2, 3, 4]


def test_cancel_leaves_no_bank(talker: list[FaceRequest], tmp_path: Path, read: Reader) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        inventories.learn(talker, tmp_path, read=read, cancel=cancel)
    assert inventories.load(tmp_path) is None


def test_a_damaged_pack_is_an_error(
    talker: list[FaceRequest], tmp_path: Path, read: Reader
) -> None:
    inventory = inventories.learn(talker[:5], tmp_path, read=read)
    assert inventory is not None
    pack = tmp_path / inventories.PACK
    pack.write_bytes(b"\0" * pack.stat().st_size)
    with pytest.raises(EngineError, match="damaged"):
        inventory.mouth(0)


def test_a_mouth_is_read_the_same_from_another_cut(talker: list[FaceRequest], read: Reader) -> None:
    """One look of the network scatters with what it is shown around the face; several do less."""

    def opening(mesh: FloatArray) -> float:
        return float(mouth_features(in_head_frame(mesh))[0])

    network = FaceMesh(default_store())
    once, several = [], []
    for request in talker[::5]:
        mesh = request.local(request.mesh)
        wider = (mesh - mesh.mean(axis=0)) * np.float32(1.05) + mesh.mean(axis=0)
        once.append(
            opening(network.locate_again(request.crop, wider)[0])
            - opening(network.locate_again(request.crop, mesh)[0])
        )
        several.append(opening(read(request.crop, wider)) - opening(read(request.crop, mesh)))
    assert np.std(several) < 0.8 * np.std(once)


def test_a_picture_without_a_face_leaves_the_mesh(talker: list[FaceRequest], read: Reader) -> None:
    mesh = talker[0].local(talker[0].mesh)
    blank = np.full_like(talker[0].crop, 127)
    np.testing.assert_array_equal(read(blank, mesh), mesh)
