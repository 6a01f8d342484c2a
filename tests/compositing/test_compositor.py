"""Several patches, one picture: order, borders, and every other sample untouched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facepick.compositing.compositor import composite
from facepick.compositing.patch import FacePatch
from facepick.errors import EngineError
from facepick.faces.detection import Box
from facepick.media.picture import Picture
from facepick.media.reader import VideoReader


@pytest.fixture
def picture(odd: Callable[[str], Path]) -> Picture:
    """The first frame of a 640x360 clip, planes as decoded."""
    with VideoReader(odd("base_640x360.mp4")) as reader:
        return next(iter(reader.frames())).picture.copy()


def patch_of(
    color: tuple[int, int, int], origin: tuple[int, int], size: tuple[int, int], alpha: float = 1.0
) -> FacePatch:
    height, width = size
    return FacePatch(
        image=np.full((height, width, 3), color, np.uint8),
        alpha=np.full((height, width), alpha, np.float32),
        origin=origin,
    )


def lumas(picture: Picture) -> np.ndarray:
    return np.array(picture.planes()[0])


def test_nothing_to_do_touches_nothing(picture: Picture) -> None:
    before = [np.array(p) for p in picture.planes()]
    empty = patch_of((0, 0, 255), (10, 10), (20, 20), alpha=0.0)
    outside = patch_of((0, 0, 255), (-500, 10), (20, 20))
    below = patch_of((0, 0, 255), (10, 360), (20, 20))
    assert composite(picture, [empty, outside, below]) is None
    for was, now in zip(before, picture.planes(), strict=True):
        assert np.array_equal(was, now)


def test_luma_outside_the_alpha_is_bit_equal(picture: Picture) -> None:
    before = lumas(picture)
    alpha = np.zeros((60, 80), np.float32)
    alpha[20:31, 10:41] = 0.7
    patch = FacePatch(image=np.full((60, 80, 3), 255, np.uint8), alpha=alpha, origin=(101, 57))
    touched = composite(picture, [patch])
    assert touched == Box(111, 77, 142, 88)
    changed = before != lumas(picture)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 77
    assert rows.max() < 88
    assert columns.min() >= 111
    assert columns.max() < 142


def test_a_later_patch_lies_on_top(picture: Picture) -> None:
    red = patch_of((0, 0, 200), (100, 100), (40, 40))
    blue = patch_of((200, 0, 0), (120, 100), (40, 40))
    other = picture.copy()
    assert composite(picture, [red, blue]) == Box(100, 100, 160, 140)
    composite(other, [blue, red])
    # 2 of 255: rounding of Y'CbCr and back.
    assert np.allclose(picture.crop(124, 104, 136, 136), (200, 0, 0), atol=3)
    assert np.allclose(other.crop(124, 104, 136, 136), (0, 0, 200), atol=3)


@pytest.mark.parametrize("origin", [(-15, -7), (630, 350), (-5, 200), (300, 355), (-100, -100)])
def test_a_patch_over_the_border_is_cut(picture: Picture, origin: tuple[int, int]) -> None:
    size = (400, 700) if origin == (-100, -100) else (30, 30)
    touched = composite(picture, [patch_of((0, 255, 0), origin, size)])
    assert touched is not None
    assert touched.x0 == max(0, origin[0])
    assert touched.y1 == min(360, origin[1] + size[0])
    x, y = int(touched.x0), int(touched.y0)
    inside = picture.crop(x, y, int(touched.x1), int(touched.y1))
    # A chroma sample on the patch's own edge is shared with the pixel outside.
    assert np.allclose(inside[1:-1, 1:-1], (0, 255, 0), atol=4)


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan])
def test_a_bad_alpha_is_refused_before_anything_is_blended(picture: Picture, bad: float) -> None:
    before = lumas(picture)
    patch = patch_of((0, 0, 255), (10, 10), (20, 20))
    patch.alpha[3, 3] = bad
    with pytest.raises(EngineError, match="alpha"):
        composite(picture, [patch])
    assert np.array_equal(before, lumas(picture))
