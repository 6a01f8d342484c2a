"""The source face without what hangs over it in the photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.contracts.face_footage import frames_of

from facepick.engines.swap.face_mask import hairy_share
from facepick.engines.swap.light import fit_light
from facepick.engines.swap.portrait import Portrait
from facepick.engines.swap.settings import MeshSettings
from facepick.engines.swap.source import SourceFace, load_sources
from facepick.faces.mesh_topology import extended, topology, vertex_normals
from facepick.models.store import ModelStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def face(
    shared_media: Path, shared_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> SourceFace:
    """A clean-shaven man with short hair."""
    (image,) = frames_of(shared_media / "video" / "latentsync_demo3.mp4", (8,))
    folder = tmp_path_factory.mktemp("portrait")
    cv2.imwrite(str(folder / "photo.png"), image)
    store = ModelStore([shared_models], folder)
    return load_sources([str(folder / "photo.png")], store)[0]


def _texels(portrait: Portrait, points: tuple[int, ...]) -> np.ndarray:
    image = portrait.texture.levels[0]
    at = (topology().uv[list(points)] * len(image)).astype(int)
    return np.array([image[y - 6 : y + 7, x - 6 : x + 7].mean(axis=(0, 1)) for x, y in at])


CHEEK, TEMPLE, FOREHEAD = (123, 352), 21, 69


def test_a_black_lock_over_the_face_becomes_skin(face: SourceFace) -> None:
    clean = Portrait([face], MeshSettings())
    image = face.image.copy()
    lock = face.mesh[[FOREHEAD, TEMPLE, 127, 234, 93, 50], :2]
    hull = cv2.convexHull(lock.astype(np.int32))
    cv2.fillConvexPoly(image, hull, (20, 20, 25))
    covered = Portrait([replace(face, image=image)], MeshSettings())
    inside = _texels(covered, (127, 234, 93))
    skin = _texels(clean, CHEEK).mean(axis=0)
    assert inside.min() > 0.5 * skin.min()
    assert np.abs(inside.mean(axis=0) - skin).max() < 45
    # What was made up is not passed off as seen.
    at = (topology().uv[93] * len(covered.texture.weight)).astype(int)
    assert covered.texture.weight[at[1], at[0]] < 0.05


def test_features_and_skin_stay_as_they_are(face: SourceFace) -> None:
    """Brows stay dark and the middle of the face keeps the photo's own pixels."""
    portrait = Portrait([face], MeshSettings())
    brows, cheeks = _texels(portrait, (52, 65, 282, 295)), _texels(portrait, CHEEK)
    assert brows.mean() < 0.85 * cheeks.mean()
    for point in (4, 50, 280):
        x, y = face.mesh[point, :2].astype(int)
        filmed = face.image[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1))
        np.testing.assert_allclose(_texels(portrait, (point,))[0], filmed, atol=14)


def test_hair_beside_brow_and_eye_becomes_skin_and_the_brow_runs_out(face: SourceFace) -> None:
    image = face.image.copy()
    right = (54, 103, 63, 46, 124, 35, 143, 34, 127, 162, 21)
    left = (284, 332, 293, 276, 353, 265, 372, 264, 356, 389, 251)
    for points in (right, left):
        hull = cv2.convexHull(face.mesh[list(points), :2].astype(np.int32))
        cv2.fillConvexPoly(image, hull, (30, 30, 38))
    portrait = Portrait([replace(face, image=image)], MeshSettings())
    skin = _texels(portrait, CHEEK).mean(axis=0)
    beside = _texels(portrait, (143, 372))
    assert beside.min() > 0.5 * skin.min()
    assert _texels(portrait, (52, 282)).mean() < 0.8 * skin.mean()


def test_a_beard_is_told_from_a_clean_chin(
    face: SourceFace, shared_media: Path, shared_models: Path, tmp_path: Path
) -> None:
    (image,) = frames_of(shared_media / "video" / "dev_gt2.mp4", (200,))
    cv2.imwrite(str(tmp_path / "bearded.png"), image)
    store = ModelStore([shared_models], tmp_path)
    bearded = load_sources([str(tmp_path / "bearded.png")], store)[0]
    shares = []
    for one in (face, bearded):
        vertices = extended(one.mesh)
        normals = vertex_normals(vertices, topology().triangles)
        light = fit_light(one.image, vertices, normals)
        assert light is not None
        shares.append(hairy_share(one.image, vertices, normals, light))
    assert shares[0] < 0.2
    assert shares[1] > 0.45
