from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.contracts.face_footage import with_mesh

from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.rewrite.features import (
    INNER_LIP,
    eye_distance,
    in_head_frame,
    mouth_features,
)
from facepick.engines.lipsync.rewrite.inventory import Inventory, learn
from facepick.engines.lipsync.rewrite.reading import MouthReader
from facepick.engines.lipsync.rewrite.warp import (
    CHIN_SKIN,
    EXTRA_OPENING,
    INNER_LOWER,
    JAW,
    OUTER_LOWER,
    SEAL,
    Layer,
    Overlay,
    parted,
    render,
)
from facepick.faces.head_pose import pose_of_mesh
from facepick.models.store import default_store


@pytest.fixture(scope="module")
def inventory(talker: list[FaceRequest], tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    read = MouthReader(default_store()).read
    found = learn(talker, tmp_path_factory.mktemp("inventory"), read=read)
    assert found is not None
    return found


def _shown(
    request: FaceRequest, inventory: Inventory, mouth: int, *, opening: float = 0.0
) -> Overlay:
    mesh = request.mesh - np.array([*request.origin, 0], np.float32)
    face = in_head_frame(inventory.mesh[mouth], inventory.reference)
    if opening:
        face = parted(face, float(mouth_features(face)[0]) + opening)
    own = in_head_frame(mesh, inventory.reference)
    layers = [Layer(inventory.mouth(mouth))]
    made = render(request.crop, mesh, own, eye_distance(request.mesh), face, layers, 1.0)
    assert made is not None
    return made


def _laid_over(request: FaceRequest, made: Overlay) -> np.ndarray:
    out = request.crop.astype(np.float32)
    x, y = made.origin
    h, w = made.alpha.shape
    part = out[y : y + h, x : x + w]
    part += (made.image - part) * made.alpha[..., None]
    return np.rint(out).astype(np.uint8)


def _opening(request: FaceRequest, picture: np.ndarray) -> float:
    from dataclasses import replace

    seen = with_mesh(replace(request, crop=picture))
    return float(mouth_features(in_head_frame(seen.mesh))[0])


@pytest.mark.slow
def test_a_mouth_laid_over_its_own_frame_changes_next_to_nothing(
    talker: list[FaceRequest], inventory: Inventory
) -> None:
    changes = []
    read = MouthReader(default_store()).read
    for row in range(20, 60, 5):
        k = int(np.flatnonzero(inventory.frames[inventory.rows] == talker[row].source_frame)[0])
        # The request's mesh is smoothed over time and was seen but once: the picture's own here.
        shift = np.array([*talker[row].origin, 0], np.float32)
        mesh = read(talker[row].crop, talker[row].mesh - shift) + shift
        request = replace(talker[row], mesh=mesh)
        made = _shown(request, inventory, k)
        after = _laid_over(request, made)
        x, y = made.origin
        h, w = made.alpha.shape
        inside = np.zeros(after.shape[:2], bool)
        inside[y : y + h, x : x + w] = made.alpha > 0
        assert inside.mean() > 0.01, "nothing was drawn: the test proves nothing"
        difference = cv2.absdiff(after, talker[row].crop)
        assert not difference[~inside].any()
        changes.append(difference[inside].mean())
    assert np.mean(changes) < 1.0


@pytest.mark.slow
def test_the_widest_mouth_opens_a_closed_one(
    talker: list[FaceRequest], inventory: Inventory
) -> None:
    opening = inventory.shape[inventory.rows, 0]
    closed = int(np.argmin([mouth_features(in_head_frame(r.mesh))[0] for r in talker]))
    request = talker[closed]
    wide = int(np.argmax(opening))
    before = _opening(request, request.crop)
    after = _opening(request, _laid_over(request, _shown(request, inventory, wide)))
    assert after > before + 0.5 * (float(opening[wide]) - before)


def test_further_opening_parts_the_lips(talker: list[FaceRequest], inventory: Inventory) -> None:
    request = talker[20]
    # An open mouth: one whose lips meet has nothing between them to be shown.
    k = int(np.argsort(inventory.shape[inventory.rows, 0])[len(inventory) * 8 // 10])
    less = _opening(request, _laid_over(request, _shown(request, inventory, k, opening=-0.03)))
    more = _opening(request, _laid_over(request, _shown(request, inventory, k, opening=0.05)))
    assert more > less + 0.03


def test_the_lips_are_covered_and_the_eyes_are_not(
    talker: list[FaceRequest], inventory: Inventory
) -> None:
    request = talker[40]
    made = _shown(request, inventory, int(np.argmax(inventory.shape[inventory.rows, 0])))
    points = np.rint(request.local(request.mesh)).astype(int) - made.origin
    for i in INNER_LIP:
        x, y = points[i]
        assert made.alpha[y, x] > 0.99
    for i in (33, 263, 159, 386, 4):
        x, y = points[i]
        inside = 0 <= x < made.alpha.shape[1] and 0 <= y < made.alpha.shape[0]
        assert not inside or made.alpha[y, x] == 0


def test_both_mouths_of_a_cross_fade_stand_as_the_wanted_face_does(
    talker: list[FaceRequest], inventory: Inventory
) -> None:
    """Two open mouths, each bent onto the face between them: no lips are seen twice."""
    request = talker[10]
    mesh = request.mesh - np.array([*request.origin, 0], np.float32)
    own = in_head_frame(mesh, inventory.reference)
    order = np.argsort(inventory.shape[inventory.rows, 0])
    pair = int(order[len(order) * 6 // 10]), int(order[-1])
    ends = [in_head_frame(inventory.mesh[k], inventory.reference) for k in pair]
    face = (ends[0] + ends[1]) / 2
    first, second = (Layer(inventory.mouth(k)) for k in pair)
    mixed = Layer(second.mouth, 0.4)
    openings, sharp = [], []
    for layers in ([first], [first, mixed], [second]):
        made = render(request.crop, mesh, own, eye_distance(request.mesh), face, layers, 1.0)
        assert made is not None
        openings.append(_opening(request, _laid_over(request, made)))
        sharp.append(cv2.Laplacian(made.image, cv2.CV_32F)[made.alpha > 0.99].var())
    apart = float(mouth_features(ends[1])[0] - mouth_features(ends[0])[0])
    assert max(openings) - min(openings) < 0.5 * apart
    assert sharp[1] > 0.85 * sharp[0], "edges of both mouths were averaged away"


def test_lips_are_parted_by_what_is_asked_within_bounds(
    talker: list[FaceRequest], inventory: Inventory
) -> None:
    middle = int(np.argsort(inventory.shape[inventory.rows, 0])[len(inventory) // 2])
    face = in_head_frame(inventory.mesh[middle], inventory.reference)
    has = float(mouth_features(face)[0])
    for asked in (0.7 * has, has, has + 0.03):
        assert float(mouth_features(parted(face, asked))[0]) == pytest.approx(asked, abs=0.004)
    assert float(mouth_features(parted(face, has + 1.0))[0]) < has + 1.2 * EXTRA_OPENING
    shut = parted(face, 0.0)
    over = shut[[82, 13, 312], 1] - shut[[87, 14, 317], 1]
    assert (over < SEAL + 1e-4).all(), "the lips lie over each other further than to seal them"


def test_weight_scales_alpha(talker: list[FaceRequest], inventory: Inventory) -> None:
    request = talker[5]
    mesh = request.mesh - np.array([*request.origin, 0], np.float32)
    own = in_head_frame(mesh, inventory.reference)
    layers = [Layer(inventory.mouth(0))]
    half = render(request.crop, mesh, own, eye_distance(request.mesh), own, layers, 0.5)
    assert half is not None
    assert half.alpha.max() == pytest.approx(0.5, abs=1e-3)


def test_a_mouth_outside_the_crop_is_left_alone(
    talker: list[FaceRequest], inventory: Inventory
) -> None:
    request = talker[5]
    away = request.mesh + np.array([5000, 5000, 0], np.float32)
    own = in_head_frame(away, inventory.reference)
    layers = [Layer(inventory.mouth(0))]
    assert render(request.crop, away, own, eye_distance(away), own, layers, 1.0) is None


def test_head_frame_does_not_depend_on_place_size_and_turn(talker: list[FaceRequest]) -> None:
    mesh = talker[0].mesh
    angle = np.radians(20)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    moved = (1.7 * mesh @ turn.T + np.array([90, -40, 5])).astype(np.float32)
    np.testing.assert_allclose(
        mouth_features(in_head_frame(moved)), mouth_features(in_head_frame(mesh)), atol=1e-3
    )
    assert pose_of_mesh(moved).roll == pytest.approx(pose_of_mesh(mesh).roll + 20, abs=0.5)
    assert eye_distance(moved) == pytest.approx(1.7 * eye_distance(mesh), rel=1e-3)


def test_bank_file_is_read_back(inventory: Inventory, tmp_path: Path) -> None:
    from facepick.engines.lipsync.rewrite.inventory import load

    again = load(inventory.folder)
    assert again is not None
    assert len(again) == len(inventory)
    np.testing.assert_array_equal(again.mouth(3).image, inventory.mouth(3).image)
    assert load(tmp_path) is None


def test_a_chin_that_drops_far_does_not_fold_the_neck(
    talker: list[FaceRequest], inventory: Inventory
) -> None:
    request = talker[20]
    mesh = request.mesh - np.array([*request.origin, 0], np.float32)
    own = in_head_frame(mesh, inventory.reference)
    face = own.copy()
    face[[*JAW, *CHIN_SKIN, *OUTER_LOWER[1:-1], *INNER_LOWER[1:-1]], 1] += 0.22
    # Every row has its own level, so a place that is shown twice is seen as a step back.
    height, width = request.crop.shape[:2]
    levels = np.linspace(0, 255, height).astype(np.uint8)
    ramp = np.repeat(np.repeat(levels[:, None, None], width, 1), 3, 2)
    unit = eye_distance(request.mesh)
    made = render(ramp, mesh, own, unit, face, [Layer(inventory.mouth(0))], 1.0)
    assert made is not None
    x, y = (mesh[152, :2] - made.origin).astype(int)
    neck = made.image[y:, x, 0].astype(int)
    assert np.diff(neck).min() >= -1
