"""Where faces land in their chips."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facepick.errors import SettingsError
from facepick.faces.alignment import ARCFACE_112
from facepick.faces.detection import Box
from facepick.faces.five_points import five_of_68, five_of_box, five_of_mesh, five_points
from facepick.models.store import ModelStore
from facepick.recognition.alignment import (
    ALIGNMENTS,
    MESH_68,
    check_alignment,
    chip_matrix,
    cut_chip,
    mean_mesh,
)
from facepick.recognition.pipeline import load_picture
from facepick.recognition.registry import open_detector, open_mesher


def _turned(points: np.ndarray, degrees: float, scale: float, shift: tuple) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ (scale * np.array([[c, s], [-s, c]])) + np.array(shift)


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _mesh(degrees: float, scale: float, shift: tuple) -> np.ndarray:
    flat = _turned(mean_mesh().astype(float), degrees, scale, shift)
    return np.concatenate([flat, np.zeros((468, 1))], axis=1).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 30, -75])
def test_points_return_to_the_template(degrees: float) -> None:
    place = (degrees, 3.0, (400.0, 250.0))
    five = _turned(ARCFACE_112.astype(float), *place).astype(np.float32)
    box = Box(0, 0, 1, 1)
    exact = chip_matrix("five", box, five, ARCFACE_112, 112)
    np.testing.assert_allclose(_apply(exact, five), ARCFACE_112, atol=1e-3)
    for alignment in ("mesh68", "mesh468"):
        matrix = chip_matrix(alignment, box, five, ARCFACE_112, 112, mesh=_mesh(*place))
        np.testing.assert_allclose(_apply(matrix, five), ARCFACE_112, atol=1e-2)


def test_the_eye_line_only_levels_the_box() -> None:
    five = _turned(ARCFACE_112.astype(float), 20, 2.0, (100.0, 90.0)).astype(np.float32)
    box = Box(100, 80, 300, 330)
    matrix = chip_matrix("eyes", box, five, ARCFACE_112, 100)
    right, left = _apply(matrix, five[:2])
    assert right[1] == pytest.approx(left[1], abs=0.02)
    # Its centre is the chip's, its longer side (250) fills it.
    np.testing.assert_allclose(_apply(matrix, np.array([box.center])), [[49.5, 49.5]])
    assert math.sqrt(np.linalg.det(matrix[:, :2])) == pytest.approx(100 / 250)
    upright = chip_matrix("none", box, five, ARCFACE_112, 100)
    np.testing.assert_allclose(upright[:, :2], np.eye(2) * 100 / 250)


def test_a_mesh_alignment_needs_the_mesh() -> None:
    with pytest.raises(ValueError, match="needs the mesh"):
        chip_matrix("mesh68", Box(0, 0, 9, 9), ARCFACE_112, ARCFACE_112, 112)
    with pytest.raises(SettingsError, match="six"):
        check_alignment("six")
    assert [check_alignment(a) for a in ALIGNMENTS] == list(ALIGNMENTS)


def test_the_mean_mesh_is_a_symmetric_face_in_the_template() -> None:
    mean = mean_mesh()
    five = five_of_mesh(np.concatenate([mean, np.zeros((468, 1), np.float32)], axis=1))
    # An eighth of the eye distance (35 px): the mesh takes the middle of the lids for the eye and
    # a higher point for the tip of the nose than the template does.
    assert np.abs(five - ARCFACE_112).max() < 35 / 8
    middle = ARCFACE_112[:, 0].mean()
    mirrored = mean * [-1, 1] + [2 * middle, 0]
    gaps = [np.min(np.linalg.norm(mean - p, axis=1)) for p in mirrored]
    # Twins are found by place, and on the lips two vertices may lie within a pixel.
    assert np.percentile(gaps, 95) < 0.1
    assert max(gaps) < 1.0
    assert len(set(MESH_68)) == 68
    # Chin lowest, brows highest, jaw widest: the 68 are where their names say.
    chosen = mean[list(MESH_68)]
    assert int(np.argmax(chosen[:, 1])) == 8
    assert int(np.argmin(chosen[:, 1])) in range(17, 27)
    np.testing.assert_allclose(five_of_68(chosen), five, atol=2.0)


def test_large_faces_are_not_aliased() -> None:
    # One-pixel stripes: sampled every 8th pixel they would be all black or all white.
    image = np.zeros((896, 896, 3), np.uint8)
    image[:, ::2] = 255
    chip = cut_chip(image, np.array([[0.125, 0, 0], [0, 0.125, 0]]), 112)
    inner = chip[10:-10, 10:-10].astype(int)
    assert 120 <= inner.min() <= inner.max() <= 135


def test_five_points_of_a_box_are_found_by_the_mesh(
    photos: Callable[[str], Path], shared_models: Path, tmp_path: Path
) -> None:
    store = ModelStore([shared_models], tmp_path)
    mesher = open_mesher(store)
    image = load_picture(photos("anna/1.jpg"))
    found = open_detector("yunet", store, mesher).detect(image)
    box = found.box(0)
    eye = float(np.linalg.norm(found.landmarks5[0][1] - found.landmarks5[0][0]))
    guess = np.linalg.norm(five_of_box(box) - found.landmarks5[0], axis=1).mean()
    sharp = np.linalg.norm(five_points(image, box, mesher) - found.landmarks5[0], axis=1).mean()
    assert sharp < 0.12 * eye
    assert sharp < guess
    # Where no face is, the average is all there is.
    nothing = np.full_like(image, 127)
    np.testing.assert_array_equal(five_points(nothing, box, mesher), five_of_box(box))
