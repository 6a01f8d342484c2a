"""Masks cover what they say, and soft edges keep to their side."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.faces.detection import Box
from facepick.faces.landmarks468 import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_BROW,
    RIGHT_EYE,
)

AREA = Area(100, 50, 80, 60)


def test_rectangle_has_the_covered_share_of_every_pixel() -> None:
    mask = masks.rectangle(AREA, Box(110.25, 60, 120.5, 61.5))
    assert mask.dtype == np.float32
    assert mask[10, 10] == pytest.approx(0.75)
    assert mask[10, 20] == pytest.approx(0.5)
    assert mask[11, 15] == pytest.approx(0.5)
    assert mask.sum() == pytest.approx(10.25 * 1.5, rel=1e-5)


def test_a_box_outside_the_area_gives_an_empty_mask() -> None:
    assert not masks.rectangle(AREA, Box(0, 0, 20, 20)).any()
    assert not masks.ellipse(AREA, (0, 0), (20, 20)).any()


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_ellipse_has_its_area_whatever_its_turn(degrees: float) -> None:
    mask = masks.ellipse(AREA, (140, 80), (25, 15), degrees=degrees)
    # OpenCV draws an edge two thirds of a pixel too wide: 85 of 1178 px here.
    assert mask.sum() == pytest.approx(math.pi * 25 * 15, rel=0.08)


def test_ellipse_turns_clockwise_on_the_screen() -> None:
    mask = masks.ellipse(AREA, (140, 80), (28, 6), degrees=45)
    assert mask[30 + 15, 40 + 15] == 1
    assert mask[30 - 15, 40 + 15] == 0


def test_feather_out_keeps_everything_that_was_covered() -> None:
    mask = masks.ellipse(AREA, (140, 80), (15, 15))
    soft = masks.feather_out(mask, 8)
    assert np.all(soft >= mask)
    assert soft[30, 40 + 19] == pytest.approx(0.5, abs=0.2)
    assert soft[30, 40 + 26] == 0


def test_feather_in_touches_nothing_outside() -> None:
    mask = masks.ellipse(AREA, (140, 80), (20, 20))
    soft = masks.feather_in(mask, 8)
    assert np.all(soft <= mask)
    assert soft[30, 40] == 1
    assert 0.2 < soft[30, 40 + 16] < 0.8


def test_grow_and_shrink_move_the_edge_by_the_radius() -> None:
    mask = masks.rectangle(AREA, Box(120, 70, 150, 90))
    grown = masks.grow(mask, 5) >= 0.5
    shrunk = masks.shrink(mask, 5) >= 0.5
    assert np.flatnonzero(grown[30])[[0, -1]].tolist() == [15, 54]
    assert np.flatnonzero(shrunk[30])[[0, -1]].tolist() == [25, 44]


def test_an_empty_and_a_full_mask_survive_every_operation() -> None:
    empty, full = np.zeros((9, 9), np.float32), np.ones((9, 9), np.float32)
    for change in (masks.feather_in, masks.feather_out, masks.grow, masks.shrink):
        assert not change(empty, 3).any(), change
        assert change(full, 3).all(), change


def test_outline_follows_the_oval_and_grows_up_only_at_the_forehead() -> None:
    mesh = np.zeros((468, 3), np.float32)
    turn = np.linspace(0, 2 * math.pi, len(FACE_OVAL), endpoint=False)
    mesh[list(FACE_OVAL), 0] = 140 + 15 * np.sin(turn)
    mesh[list(FACE_OVAL), 1] = 84 - 20 * np.cos(turn)
    plain = masks.outline(AREA, mesh)
    tall = masks.outline(AREA, mesh, forehead=0.2)
    assert plain.sum() == pytest.approx(math.pi * 15 * 20, rel=0.08)
    top = np.flatnonzero(plain[:, 40])[0]
    assert np.flatnonzero(tall[:, 40])[0] == pytest.approx(top - 8, abs=1)
    assert np.array_equal(tall[40:], plain[40:])


def test_regions_of_the_mesh_do_not_overlap() -> None:
    rings = (LIPS_OUTER, RIGHT_EYE, LEFT_EYE, RIGHT_BROW, LEFT_BROW)
    points = [i for ring in rings for i in ring]
    assert len(points) == len(set(points))
    assert not set(LIPS_INNER) & set(LIPS_OUTER)


def test_roll_of_a_level_and_a_tilted_face() -> None:
    level = np.array([[0, 0], [10, 0], [5, 5], [2, 9], [8, 9]], np.float32)
    assert masks.roll_degrees(level) == 0
    tilted = level.copy()
    tilted[1] = (10, 10)
    assert masks.roll_degrees(tilted) == pytest.approx(45)
    assert masks.roll_degrees(np.zeros((5, 2), np.float32)) == 0


def test_area_around_and_clipping() -> None:
    area = masks.area_around([[10.2, 5], [20, 8.5]], pad=1)
    assert area == Area(9, 4, 12, 6)
    assert area.clipped(12, 0, 15, 100) == Area(12, 4, 3, 6)
    outside = area.clipped(50, 50, 60, 60)
    assert outside.width == 0
    assert outside.height == 0
