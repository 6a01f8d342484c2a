"""The least-squares similarity, in two and three dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from facepick.faces.similarity import fit_similarity

RNG = np.random.default_rng(7)


def rotation(dimensions: int) -> np.ndarray:
    q, _ = np.linalg.qr(RNG.standard_normal((dimensions, dimensions)))
    q[:, 0] *= np.sign(np.linalg.det(q))
    return q


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_known_motion_is_found_again(dimensions: int) -> None:
    source = RNG.standard_normal((12, dimensions))
    turn = rotation(dimensions)
    target = 2.5 * source @ turn.T + 4.0
    found = fit_similarity(source, target)
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.rotation, turn, atol=1e-9)
    np.testing.assert_allclose(found(source), target, atol=1e-9)
    linear, shift = found.matrix[:, :-1], found.matrix[:, -1]
    np.testing.assert_allclose(source @ linear.T + shift, target, atol=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_mirror_image_is_never_mirrored(dimensions: int) -> None:
    source = RNG.standard_normal((12, dimensions))
    mirrored = source * np.array([-1.0] + [1.0] * (dimensions - 1))
    assert np.linalg.det(fit_similarity(source, mirrored).rotation) == pytest.approx(1.0)


def test_no_other_similarity_is_nearer() -> None:
    source = RNG.standard_normal((20, 3))
    target = source @ rotation(3).T + 0.1 * RNG.standard_normal((20, 3))
    found = fit_similarity(source, target)
    best = ((found(source) - target) ** 2).sum()
    for _ in range(50):
        near, _ = np.linalg.qr(found.rotation + 0.05 * RNG.standard_normal((3, 3)))
        near = near * np.sign(np.diag(near.T @ found.rotation))
        moved = found.scale * (source - found.source) @ near.T + found.target
        assert ((moved - target) ** 2).sum() >= best - 1e-9


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="equal sets"):
        fit_similarity(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="all the same"):
        fit_similarity(np.ones((5, 2)), np.ones((5, 2)))
