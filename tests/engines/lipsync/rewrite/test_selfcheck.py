"""Openings are corrected by what is seen of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.rewrite import inventory as inventories
from facepick.engines.lipsync.rewrite import selfcheck
from facepick.engines.lipsync.rewrite.features import eye_distance, in_head_frame, mouth_features
from facepick.engines.lipsync.rewrite.reading import MouthReader
from facepick.engines.lipsync.rewrite.small import small_of, usable
from facepick.engines.lipsync.rewrite.warp import Layer, parted, render
from facepick.errors import Cancelled
from facepick.models.store import default_store
from facepick.progress import CancelToken

FRAMES = 24


@pytest.fixture(scope="module")
def reader() -> MouthReader:
    return MouthReader(default_store())


@pytest.fixture(scope="module")
def inventory(
    talker: list[FaceRequest], reader: MouthReader, tmp_path_factory: pytest.TempPathFactory
) -> inventories.Inventory:
    found = inventories.learn(
        talker[:FRAMES], tmp_path_factory.mktemp("inventory"), read=reader.read
    )
    assert found is not None
    return found


def _corrections(
    footage: list[FaceRequest],
    inventory: inventories.Inventory,
    reader: MouthReader,
    **changed: object,
) -> tuple[np.ndarray, np.ndarray]:
    mouth = np.full(FRAMES, int(inventory.shape[inventory.rows, 0].argmax()), np.int32)
    asked = {
        "sources": np.arange(FRAMES),
        "mouth": mouth,
        "stretch": np.zeros(FRAMES, np.int32),
        "opening": np.full(FRAMES, 0.06, np.float32),
        "looked_at": np.ones(FRAMES, bool),
        "face": lambda frame: in_head_frame(inventory.mesh[mouth[frame]], inventory.reference),
        "read": reader.read,
    }
    faces = [small_of(request) for request in footage if usable(request)]
    return selfcheck.corrections(faces, inventory, **(asked | changed))  # type: ignore[arg-type]


@pytest.mark.slow
def test_corrected_openings_are_seen_nearer_to_what_was_wanted(
    talker: list[FaceRequest], inventory: inventories.Inventory, reader: MouthReader
) -> None:
    """The widest mouth is shown half open everywhere; measured on the full picture."""
    mouth = int(inventory.shape[inventory.rows, 0].argmax())
    wanted = np.full(FRAMES, 0.06, np.float32)
    added, _ = _corrections(talker[:FRAMES], inventory, reader)
    assert np.abs(added).max() <= selfcheck.MOST
    misses = []
    for opening in (wanted, wanted + added):
        seen = []
        for i in range(0, FRAMES, 4):
            request = talker[i]
            mesh = np.asarray(request.mesh - np.array([*request.origin, 0]), np.float32)
            own = in_head_frame(mesh, inventory.reference)
            face = parted(
                in_head_frame(inventory.mesh[mouth], inventory.reference), float(opening[i])
            )
            picture = request.crop.copy()
            made = render(
                picture,
                mesh,
                own,
                eye_distance(mesh),
                face,
                [Layer(inventory.mouth(mouth))],
                1.0,
            )
            assert made is not None
            (x, y), (h, w) = made.origin, made.alpha.shape
            part = picture[y : y + h, x : x + w]
            part[:] = np.rint(part + (made.image.astype(float) - part) * made.alpha[..., None])
            seen.append(mouth_features(in_head_frame(reader.read(picture, mesh)))[0])
        misses.append(float(np.abs(np.mean(seen) - 0.06)))
    assert misses[1] < 0.7 * misses[0] + 0.002


def test_frames_that_show_nothing_or_are_not_seen_are_not_corrected(
    talker: list[FaceRequest], inventory: inventories.Inventory, reader: MouthReader
) -> None:
    mouth = np.where(np.arange(FRAMES) < 4, -1, 0).astype(np.int32)
    footage = [replace(r, mesh=None, mesh_score=0.0) if i == 6 else r for i, r in
               enumerate(talker[:8])]  # fmt: skip
    added, seen = _corrections(footage, inventory, reader, mouth=mouth)
    assert np.flatnonzero(np.isfinite(seen)).tolist() == [4, 5, 7]
    assert not added[~np.isfinite(seen)].any()


def test_a_source_frame_shown_twice_is_corrected_twice(
    talker: list[FaceRequest], inventory: inventories.Inventory, reader: MouthReader
) -> None:
    opening = np.where(np.arange(FRAMES) < 4, 0.03, 0.1).astype(np.float32)
    sources = np.arange(FRAMES) % 4
    _, seen = _corrections(talker[:4], inventory, reader, sources=sources, opening=opening)
    assert np.isfinite(seen).all()
    np.testing.assert_array_equal(seen[4:8], seen[8:12])
    assert (seen[4:8] > seen[:4]).all()


def test_a_mouth_that_stays_closed_is_looked_at_in_every_third_frame() -> None:
    quiet = np.zeros(20, bool)
    quiet[4:16] = True
    fading = np.full(20, -1, np.int32)
    stretch = np.repeat([0, 1], [11, 9]).astype(np.int32)
    looked_at = selfcheck.looks_of(quiet, fading, stretch)
    # The ends of the run, and both sides of a cut, are looked at as speech is.
    assert np.flatnonzero(~looked_at).tolist() == [5, 7, 8, 13, 14]
    fading[14] = 3
    assert selfcheck.looks_of(quiet, fading, stretch)[13:15].all()


def test_what_a_frame_misses_that_is_not_looked_at_is_between_its_neighbours(
    talker: list[FaceRequest], inventory: inventories.Inventory, reader: MouthReader
) -> None:
    looked_at = np.arange(FRAMES) % 3 == 0
    opening = np.linspace(0.03, 0.06, FRAMES).astype(np.float32)
    asked = {"opening": opening, "looked_at": looked_at}
    _, seen = _corrections(talker[:FRAMES], inventory, reader, **asked)
    missing = opening - seen
    last = int(np.flatnonzero(looked_at)[-1])
    assert np.isfinite(seen[: last + 1]).all()
    assert np.isnan(seen[last + 1 :]).all()
    np.testing.assert_allclose(missing[4], (2 * missing[3] + missing[6]) / 3, atol=1e-6)


def test_cancel_stops_it(
    talker: list[FaceRequest], inventory: inventories.Inventory, reader: MouthReader
) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        _corrections(talker[:2], inventory, reader, cancel=cancel)
