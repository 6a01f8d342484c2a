from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.rewrite import bank as banks
from facepick.errors import Cancelled, EngineError
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken


def test_pictures_are_the_clips_own_pixels(talker: list[FaceRequest], tmp_path: Path) -> None:
    bank = banks.learn(talker[:12], tmp_path)
    assert bank is not None
    mouth = bank.mouth(4)
    h, w = mouth.image.shape[:2]
    crop = talker[4].crop
    x, y = np.rint(talker[4].local(talker[4].mesh)[0] - mouth.mesh[0]).astype(int)
    np.testing.assert_array_equal(mouth.image, crop[y : y + h, x : x + w])


def test_the_bank_stays_small_and_spread(
    talker: list[FaceRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banks, "MAX_MOUTHS", 25)
    bank = banks.learn(talker, tmp_path)
    assert bank is not None
    assert len(bank) == 25
    assert len(bank.frames) == len(talker)
    kept, seen = bank.shape[bank.rows, 0], bank.shape[:, 0]
    # A quarter of the frames still spans nearly all openings.
    assert np.ptp(kept) > 0.9 * np.ptp(seen)
    assert (np.diff(bank.frames[bank.rows]) > 0).all()


def test_footage_is_not_held(talker: list[FaceRequest], tmp_path: Path) -> None:
    """Memory does not grow with the video: a request is let go once it is learned from."""
    alive: list[weakref.ref[FaceRequest]] = []

    def stream() -> Iterator[FaceRequest]:
        for request in talker[:30]:
            copied = replace(request, crop=request.crop.copy())
            alive.append(weakref.ref(copied))
            yield copied
            del copied
            assert sum(r() is not None for r in alive) <= 2

    assert banks.learn(stream(), tmp_path) is not None
    assert len(alive) == 30


def test_guessed_and_meshless_faces_are_not_learned_from(
    talker: list[FaceRequest], tmp_path: Path
) -> None:
    doubtful = [replace(talker[0], seen=BRIDGED), replace(talker[1], mesh=None, mesh_score=0.0)]
    assert banks.learn(doubtful, tmp_path) is None
    bank = banks.learn([*doubtful, *talker[2:5]], tmp_path)
    assert bank is not None
    assert bank.frames.tolist() == [2, 3, 4]


def test_cancel_leaves_no_bank(talker: list[FaceRequest], tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        banks.learn(talker, tmp_path, cancel=cancel)
    assert banks.load(tmp_path) is None


def test_a_damaged_pack_is_an_error(talker: list[FaceRequest], tmp_path: Path) -> None:
    bank = banks.learn(talker[:5], tmp_path)
    assert bank is not None
    pack = tmp_path / banks.PACK
    pack.write_bytes(b"\0" * pack.stat().st_size)
    with pytest.raises(EngineError, match="damaged"):
        bank.mouth(0)
