"""Tests of the warps that do not alias."""

from __future__ import annotations

import numpy as np
import pytest

from facepick.faces.warp import Halvings, cut_out, halved, inverted


@pytest.mark.parametrize("size", [(640, 512), (641, 511)])
def test_stripes_of_a_pixel_become_grey_at_an_eighth(size: tuple[int, int]) -> None:
    stripes = np.zeros((size[1], size[0], 3), np.uint8)
    stripes[:, ::2] = 255
    chip = cut_out(stripes, np.array([[8.0, 0, 3.5], [0, 8.0, 3.5]]), 60)
    assert np.abs(chip.astype(int) - 128).max() <= 6


def test_a_point_stays_where_it_was() -> None:
    columns = np.arange(400, dtype=np.float32)
    ramp = np.repeat(np.tile(columns / 2, (300, 1))[:, :, None], 3, axis=2).astype(np.uint8)
    matrix = np.array([[5.0, 0, 12.0], [0, 5.0, 20.0]])
    chip = cut_out(ramp, matrix, 50)
    expected = (12.0 + 5.0 * np.arange(50)) / 2
    assert np.abs(chip[25, :, 0] - expected).max() < 1.5


def test_nothing_is_halved_that_is_fine_enough() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    same, ratio = halved(picture, 0.5)
    assert same is picture
    assert ratio.tolist() == [1.0, 1.0]
    small, ratio = halved(picture, 0.2)
    assert small.shape == (10, 15, 3)
    assert ratio.tolist() == [0.25, 0.25]


def test_the_inverse_undoes_a_map() -> None:
    matrix = np.array([[1.5, -0.5, 7.0], [0.5, 1.5, -2.0]])
    back = inverted(matrix)
    assert np.allclose(back[:, :2] @ (matrix @ (3.0, 4.0, 1.0)) + back[:, 2], (3.0, 4.0))


def test_halvings_made_once_give_the_same_chip() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (400, 300, 3), dtype=np.uint8)
    halvings = Halvings(picture)
    for step in (1.5, 3.0, 7.0, 3.0):
        matrix = np.array([[step, 0, 4.0], [0, step, 6.0]])
        assert np.array_equal(cut_out(halvings, matrix, 40), cut_out(picture, matrix, 40))
