"""Frames that are held: large ones reduced, read as if they were not."""

from __future__ import annotations

import numpy as np
import pytest

from facepick.media.picture import Picture
from facepick.people import held
from facepick.people.held import HeldPicture


@pytest.fixture
def picture() -> Picture:
    y, x = np.mgrid[:360, :640].astype(np.float32)
    return Picture.from_bgr(
        np.stack([x / 3, y / 2, 255 - x / 3], axis=2).astype(np.uint8), format="yuv444p"
    )


def test_a_picture_within_the_limit_is_held_as_it_is(picture: Picture) -> None:
    kept = HeldPicture(picture)
    assert np.array_equal(kept.crop(3, 5, 90, 77), picture.crop(3, 5, 90, 77))
    assert np.array_equal(kept.small(100)[0], picture.small(100)[0])


def test_a_large_one_takes_little_and_keeps_its_coordinates(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "HELD_BYTES", 200_000)
    monkeypatch.setattr(held, "REDUCED_BYTES", 200_000)
    kept = HeldPicture(picture)
    assert sum(p.nbytes for p in kept._picture.planes()) < 205_000
    assert (kept.width, kept.height) == (640, 360)
    for box in ((0, 0, 640, 360), (101, 57, 333, 200), (600, 300, 640, 360)):
        read, exact = kept.crop(*box), picture.crop(*box)
        assert read.shape == exact.shape
        assert np.abs(read.astype(int) - exact).max() <= 4
    small, scale = kept.small(100)
    assert small.shape[:2] == (56, 100)
    assert scale == pytest.approx(100 / 640)
    with pytest.raises(ValueError, match="inside"):
        kept.crop(600, 0, 641, 5)
