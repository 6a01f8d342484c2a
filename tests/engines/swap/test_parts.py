"""The parts of the swap: surface, light, decisions over time, the steadier, finishing."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.compositing.patch import FaceRequest, Reason
from facepick.engines.decisions import Sight
from facepick.engines.swap import color_grain, skin
from facepick.engines.swap.gating import swap_decisions
from facepick.engines.swap.light import basis, fit_light, gain
from facepick.engines.swap.settings import MeshSettings
from facepick.engines.swap.shape import FeatureShift, over
from facepick.engines.swap.stabilization import MeshSteadier
from facepick.faces.detection import Box
from facepick.faces.head_pose import pose_of_mesh
from facepick.faces.landmarks468 import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_BROW,
    RIGHT_EYE,
)
from facepick.faces.mesh_surface import Surface, Texture, spread, texture_from
from facepick.faces.mesh_topology import (
    VERTICES,
    extended,
    topology,
    vertex_normals,
)


def head(scale: float = 100.0, at: tuple[float, float] = (200.0, 180.0)) -> np.ndarray:
    """The mean head, `scale` pixels between the eyes."""
    mesh = topology().shape * np.float32(scale)
    mesh[:, :2] += np.asarray(at, np.float32)
    return mesh


def turned(mesh: np.ndarray, *, yaw: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """The head turned to the right of the picture and clockwise, in degrees."""
    a, b = math.radians(yaw), math.radians(roll)
    center = mesh.mean(axis=0)
    x, y, z = (mesh - center).T
    x, z = math.cos(a) * x - math.sin(a) * z, math.sin(a) * x + math.cos(a) * z
    x, y = math.cos(b) * x - math.sin(b) * y, math.sin(b) * x + math.cos(b) * y
    return (np.stack([x, y, z], axis=1) + center).astype(np.float32)


def test_topology_is_one_sheet_with_three_holes() -> None:
    surface = topology()
    assert surface.uv.shape == (VERTICES, 2)
    assert surface.uv.min() >= 0
    assert surface.uv.max() <= 1
    edges: dict[frozenset[int], int] = {}
    for triangle in surface.triangles.tolist():
        for i in range(3):
            edge = frozenset((triangle[i], triangle[i - 1]))
            edges[edge] = edges.get(edge, 0) + 1
    border = {e for e, count in edges.items() if count == 1}
    holes = (LIPS_INNER, RIGHT_EYE, LEFT_EYE, tuple(range(468, VERTICES)))
    rings = {
        frozenset(pair) for ring in holes for pair in zip(ring, (*ring[1:], ring[0]), strict=True)
    }
    assert border == rings
    assert max(edges.values()) == 2
    used = set(surface.triangles.ravel().tolist())
    # Four points of the upper lip fall into the opened mouth; the sheet does without them.
    assert set(range(VERTICES)) - used == {42, 183, 272, 407}
    # Euler's formula for a disc with three holes: V - E + F = 1 - 3.
    assert len(used) - len(edges) + len(surface.triangles) == -2


def test_normals_point_at_the_camera_and_to_the_sides() -> None:
    normals = vertex_normals(extended(head()), topology().triangles)
    assert normals[1, 2] < -0.7
    assert normals[234, 0] < -0.5
    assert normals[454, 0] > 0.5


@pytest.mark.parametrize(("yaw", "roll"), [(0, 0), (25, 0), (-40, 10), (10, -30)])
def test_pose_is_read_off_the_mesh(yaw: float, roll: float) -> None:
    pose = pose_of_mesh(turned(head(), yaw=yaw, roll=roll))
    assert pose.yaw == pytest.approx(yaw, abs=1.5)
    assert pose.roll == pytest.approx(roll, abs=6)


def test_a_picture_pulled_into_the_texture_and_drawn_again_is_the_same_picture() -> None:
    """On the mesh it came from, every pixel must come back where it was."""
    y, x = np.mgrid[:400, :400].astype(np.float32)
    picture = np.dstack([128 + 60 * np.sin(x / 25), 128 + 60 * np.cos(y / 30), (x + y) / 4])
    mesh = head()
    vertices = extended(mesh)
    colors, weight = texture_from(picture.astype(np.float32), vertices, topology())
    known = (weight > 0).astype(np.float32)
    seen = known[:, :, None]
    texture = Texture.of(colors * seen + spread(colors, known) * (1 - seen), weight)
    surface = Surface.draw(vertices, topology(), (400, 400))
    drawn = texture.onto(surface, vertices, topology())
    inside = cv2.erode((surface.index > 0).astype(np.uint8), np.ones((9, 9))) > 0
    inside &= masks.outline(masks.Area(0, 0, 400, 400), mesh) == 1
    assert inside.sum() > 20_000
    assert np.abs(drawn - picture)[inside].mean() < 1.0


def test_unknown_values_go_smoothly_from_one_known_side_to_the_other() -> None:
    ramp = np.repeat(np.linspace(0, 100, 120, dtype=np.float32)[None, :], 80, axis=0)
    known = np.ones_like(ramp)
    known[:, 40:80] = 0
    values = np.where(known > 0, ramp, np.float32(500))[:, :, None]
    found = spread(values, known)[:, :, 0]
    np.testing.assert_allclose(found[known > 0], ramp[known > 0], atol=1e-3)
    assert np.abs(found - ramp)[:, 40:80].max() < 12
    assert np.diff(found[40, 38:82]).min() > -2


def test_what_faces_away_has_no_weight() -> None:
    picture = np.full((400, 400, 3), 128, np.float32)
    _, front = texture_from(picture, extended(head()), topology())
    _, side = texture_from(picture, extended(turned(head(), yaw=50)), topology())
    half = front.shape[1] // 2
    assert front[:, :half].sum() == pytest.approx(front[:, half:].sum(), rel=0.1)
    assert side[:, half:].sum() < 0.5 * side[:, :half].sum()


def test_light_is_found_on_skin_that_is_partly_covered() -> None:
    """A head painted with a known light; a third of the forehead is black."""
    mesh = head()
    vertices = extended(mesh)
    normals = vertex_normals(vertices, topology().triangles)
    truth = np.array([[4.6, 4.7, 4.9], [0.3, 0.3, 0.3], [0.1, 0.1, 0.1], [-0.2, -0.2, -0.2]])
    surface = Surface.draw(vertices, topology(), (400, 400))
    planes = surface.interpolate(np.exp(basis(normals) @ truth) - 4)
    picture = np.clip(np.dstack(planes), 0, 255).astype(np.uint8)
    picture[surface.index == 0] = 60
    covered = picture.copy()
    covered[60:110, 120:180] = 5
    found = fit_light(covered, vertices, normals)
    assert found is not None
    factor = gain(found, normals, truth, normals)
    assert np.median(np.abs(factor[:468] - 1)) < 0.06
    assert fit_light(picture[:5, :5], vertices, normals) is None
    # Most of the face behind something dark, which is known of.
    dark = picture.copy()
    dark[:, :210] = 10
    visible = np.zeros(picture.shape[:2], np.float32)
    # Fading: what is seen best counts.
    visible[:, 215:] = 0.25
    errors = []
    for seen in (None, visible):
        found = fit_light(dark, vertices, normals, seen)
        assert found is not None
        bright = vertices[:468, 0] > 215
        errors.append(np.median(np.abs(gain(found, normals, truth, normals)[:468][bright] - 1)))
    assert errors[0] > 0.2
    # Three tenths of the slopes are taken over.
    assert errors[1] < 0.09


def sight(frame: int, turn: float, **changes: object) -> Sight:
    base = Sight(
        path=0, row=frame, frame=frame, shot=0, seconds=frame / 25, turn=turn, height=200.0,
        eyes=80.0, mesh_score=1.0, confidence=1.0, seen=0,
    )  # fmt: skip
    return replace(base, **changes)


def request_of(s: Sight) -> FaceRequest:
    box = Box(20, 0, 180, 200)
    return FaceRequest(
        row=s.row, frame=s.frame, time=Fraction(s.frame, 25), crop=np.zeros((8, 8, 3), np.uint8),
        origin=(0, 0), box=box, landmarks5=np.zeros((5, 2), np.float32), source_frame=s.frame,
    )  # fmt: skip


def decisions(turns: list[float]) -> list[tuple[Reason | None, float]]:
    sights = [sight(i, t) for i, t in enumerate(turns)]
    gate = swap_decisions(MeshSettings(max_turn=40), sights)
    found = [gate.of(request_of(s)) for s in sights]
    return [(d.reason, d.strength) for d in found]


def test_a_face_that_trembles_at_the_limit_does_not_flicker() -> None:
    trembling = [41.0, 39.0, 41.0, 39.0, 38.0, 41.0, 39.0, 38.5, 37.0]
    reasons = [r for r, _ in decisions([20.0] * 5 + trembling + [20.0] * 8)]
    changes = sum(a != b for a, b in pairwise(reasons))
    assert changes == 2
    assert reasons[5:14] == [Reason.PROFILE] * 9


def test_a_turn_of_three_frames_between_two_swaps_is_swapped_too() -> None:
    assert decisions([10.0] * 5 + [60.0] * 3 + [10.0] * 5) == [(None, 1.0)] * 13


def test_a_swap_of_three_frames_between_two_profiles_is_no_swap() -> None:
    reasons = [r for r, _ in decisions([60.0] * 5 + [10.0] * 3 + [60.0] * 5)]
    assert reasons == [Reason.PROFILE] * 13


def test_the_new_face_comes_and_goes_softly_but_is_full_at_cuts() -> None:
    strengths = [s for _, s in decisions([10.0] * 10 + [60.0] * 5 + [10.0] * 10)]
    assert strengths[0] == 1
    assert strengths[6:10] == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert strengths[10:15] == [0] * 5
    assert strengths[15:19] == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_decisions_do_not_reach_over_a_cut() -> None:
    sights = [sight(i, 60.0 if i < 5 else 38.0, shot=0 if i < 5 else 1) for i in range(12)]
    gate = swap_decisions(MeshSettings(max_turn=40), sights)
    after = [gate.of(request_of(s)) for s in sights[5:]]
    assert all(d.reason is None and d.strength == 1 for d in after)


def test_two_faces_of_one_person_in_a_frame_keep_their_own_decisions() -> None:
    both = [[sight(i, turn, path=path) for path, turn in enumerate((10.0, 60.0))] for i in range(9)]
    sights = [s for pair in both for s in pair]
    gate = swap_decisions(MeshSettings(max_turn=40), sights)
    reasons = [gate.of(replace(request_of(s), path=s.path)).reason for s in sights]
    assert reasons == [None, Reason.PROFILE] * 9


def test_the_steadier_removes_tremble_and_follows_motion() -> None:
    """A textured picture moves by a pixel a frame; the mesh follows it, trembling."""
    rng = np.random.default_rng(2)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (500, 500), dtype=np.uint8), (0, 0), 3)
    picture = np.repeat(cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)[:, :, None], 3, axis=2)
    truth, raw, steady = [], [], []
    steadier = MeshSteadier()
    for i in range(30):
        crop = np.ascontiguousarray(picture[:400, 60 - i : 460 - i])
        mesh = head(at=(200.0 + i, 180.0))
        trembling = mesh + rng.normal(0, 0.8, mesh.shape).astype(np.float32)
        request = FaceRequest(
            row=i, frame=i, time=Fraction(i, 25), crop=crop, origin=(0, 0),
            box=Box(110.0 + i, 60, 290.0 + i, 320), landmarks5=np.zeros((5, 2), np.float32),
            mesh=trembling, mesh_score=1.0, source_frame=i,
        )  # fmt: skip
        found = steadier.push(request)
        assert found is not None
        truth.append(mesh[:, :2])
        raw.append(trembling[:, :2])
        steady.append(found[:, :2])
    before = np.std(np.array(raw[10:]) - np.array(truth[10:]))
    after = np.std(np.array(steady[10:]) - np.array(truth[10:]))
    assert after < 0.65 * before
    lag = np.mean(np.array(steady[10:]) - np.array(truth[10:]), axis=(0, 1))
    assert np.abs(lag).max() < 0.3


def test_lab_match_takes_mean_and_spread() -> None:
    rng = np.random.default_rng(4)
    old = np.clip(rng.normal((90, 110, 160), 12, (60, 60, 3)), 0, 255).astype(np.uint8)
    new = np.clip(rng.normal((160, 150, 140), 15, (60, 60, 3)), 0, 255).astype(np.float32)
    weight = np.ones((60, 60), np.float32)
    matched = color_grain.match_lab(new, old, weight)
    assert np.allclose(matched.mean(axis=(0, 1)), old.mean(axis=(0, 1)), atol=4)
    assert np.array_equal(color_grain.match_lab(new, old, 0 * weight), new)


def test_low_frequencies_follow_a_slope_of_light_and_keep_detail() -> None:
    x = np.linspace(0, 1, 120, dtype=np.float32)
    old = np.repeat(np.repeat((60 + 120 * x)[None, :, None], 120, 0), 3, 2).astype(np.uint8)
    detail = np.zeros((120, 120, 3), np.float32)
    detail[::4] = 30
    new = 120 + detail
    matched = color_grain.match_low_frequencies(new, old, np.ones((120, 120), np.float32))
    rows = matched.mean(axis=(0, 2))
    assert rows[100] - rows[20] > 50
    assert matched[60].mean() - matched[61].mean() == pytest.approx(30, abs=1)


@pytest.mark.parametrize("sigma", [2.0, 6.0])
def test_noise_is_measured_and_added(sigma: float) -> None:
    rng = np.random.default_rng(6)
    flat = np.full((200, 200, 3), 128, np.float32)
    noisy = flat + rng.normal(0, sigma, (200, 200, 1)).astype(np.float32)
    weight = np.ones((200, 200), np.float32)
    assert color_grain.noise_of(noisy, weight) == pytest.approx(sigma, rel=0.1)
    assert color_grain.noise_of(flat, weight) < 0.001
    grained = color_grain.add_grain(flat, sigma, seed=1)
    assert (grained - flat).std() == pytest.approx(sigma, rel=0.1)
    assert np.array_equal(grained, color_grain.add_grain(flat, sigma, seed=1))


def test_closed_lids_take_the_new_skins_colour_and_keep_their_line() -> None:
    old = np.full((80, 120, 3), (90, 110, 150), np.uint8)
    old[39:41, 40:80] = 40
    new = np.full((80, 120, 3), (150, 170, 210), np.float32)
    eyes = np.zeros((80, 120), np.float32)
    eyes[34:46, 40:80] = 1
    closed = color_grain.lids(new, old, 1 - eyes, eyes, 400.0)
    assert np.abs(closed[35:38, 45:75].mean(axis=(0, 1)) - (150, 170, 210)).max() < 3
    assert closed[39:41, 45:75].mean() < 0.5 * closed[36, 60].mean()
    assert np.array_equal(closed[eyes == 0], new[eyes == 0])


def test_pores_come_from_the_screen_in_the_new_colour() -> None:
    rng = np.random.default_rng(3)
    old = np.clip(120 + rng.normal(0, 3, (120, 120, 1)), 0, 255).astype(np.uint8).repeat(3, axis=2)
    old[60:, :] //= 2
    new = np.full((120, 120, 3), (60, 90, 150), np.float32)
    where = np.zeros((120, 120), np.float32)
    where[:, :60] = 1
    made = skin.pores(new, old, where, 400.0)
    np.testing.assert_array_equal(made[:, 60:], new[:, 60:])
    fine = made[10:50, 10:50]
    assert 0.5 < fine[:, :, 2].std() < 6
    np.testing.assert_allclose(fine.mean(axis=(0, 1)), new[0, 0], rtol=0.01)
    # An edge of light is no pore.
    assert np.abs(made[:, :60] / new[:, :60] - 1).max() < 0.05


def test_a_dark_rim_under_the_new_jaw_is_painted_and_a_dark_shirt_is_not() -> None:
    mesh = head(at=(200.0, 180.0))
    area = Area(0, 0, 400, 460)
    height = float(np.linalg.norm(mesh[10, :2] - mesh[152, :2]))
    face = masks.outline(area, mesh)
    chin = int(mesh[152, 1])
    old = np.full((460, 400, 3), (150, 170, 210), np.uint8)
    old[chin + 3 : chin + 11, 120:280] = 40
    old[chin + 90 :] = 40
    new = np.full((460, 400, 3), (140, 165, 205), np.float32)
    holes = np.zeros_like(face)
    holes[:, 300:] = 1
    made, alpha = skin.shaved(area, mesh, new, old, face, holes, height)
    shown = old + (made - old) * alpha[:, :, None]
    assert shown[chin + 6, 190:210].min() > 100
    np.testing.assert_array_equal(alpha[chin + 100 :], 0)
    np.testing.assert_array_equal(alpha[: int(mesh[2, 1])], face[: int(mesh[2, 1])])
    np.testing.assert_array_equal(alpha[:, 310:], face[:, 310:])


def test_new_skin_settles_into_the_filmed_tone_at_its_outline() -> None:
    mesh = head()
    area = Area(0, 0, 400, 400)
    height = float(np.linalg.norm(mesh[10, :2] - mesh[152, :2]))
    alpha = masks.outline(area, mesh)
    # Light from the right, hair on the left.
    old = np.full((400, 400, 3), 110, np.uint8)
    old[:, 200:] = 170
    likely = np.ones((400, 400), np.float32)
    old[:, :150], likely[:, :150] = 20, 0
    new = np.full((400, 400, 3), 140, np.float32)
    made = skin.settled(new, old, alpha, likely, height)
    row = int(mesh[4, 1])
    edge = int(np.flatnonzero(alpha[row] > 0.9)[-1])
    assert made[row, edge, 0] > 158
    assert abs(made[row, 200, 0] - 140) < 3
    # What is no skin darkens nothing.
    assert made[row, : int(np.flatnonzero(alpha[row] > 0.9)[0]) + 2].min() > 125


def test_features_move_towards_the_new_faces_and_the_outline_stays() -> None:
    filmed, new = head(), head()
    brows = list(LEFT_BROW + RIGHT_BROW)
    new[brows, 1] -= 6
    new[list(LIPS_OUTER), 1] += 4
    shift = FeatureShift.between(new, [turned(filmed, yaw=10), filmed])
    moved = shift.moved(turned(filmed, roll=90))
    away = moved - turned(filmed, roll=90)
    # Up is to the right in a head that lies on its side.
    assert away[brows, 0].mean() > 2
    assert away[list(LIPS_OUTER), 0].mean() < -1
    assert np.abs(away[list(FACE_OVAL)]).max() < 0.5
    # All parts of the lips alike: the photo's are shut.
    assert np.ptp(away[list(LIPS_OUTER), 0]) < 1


def test_the_filmed_picture_goes_with_the_features() -> None:
    mesh = head()
    new = mesh.copy()
    new[list(LEFT_EYE), 1] -= 8
    shift = FeatureShift.between(new, [mesh])
    area, moved = Area(50, 30, 300, 320), shift.moved(mesh)
    eye = mesh[list(LEFT_EYE), :2].mean(axis=0) - (50, 30)
    there = moved[list(LEFT_EYE), :2].mean(axis=0) - (50, 30)
    assert 2 < eye[1] - there[1] < 8
    old = np.full((320, 300, 3), 200, np.uint8)
    cv2.circle(old, tuple(int(v) for v in eye), 5, (0, 0, 0), -1)
    surface = Surface.draw(extended(moved) - np.float32((50, 30, 0)), topology(), (300, 320))
    drawn, changed = shift.warped(old, area, mesh, moved, surface)
    rows, columns = np.nonzero(drawn[:, :, 0] < 100)
    assert abs(rows.mean() - there[1]) < 1.5
    assert abs(columns.mean() - there[0]) < 1.5
    assert changed[rows, columns].min() == 1
    # Around the face nothing moves, and what is not changed is as it was.
    assert changed[0].max() == 0
    np.testing.assert_array_equal(drawn[changed == 0], old[changed == 0])
    mixed, alpha = over(drawn.astype(np.float32), np.zeros((320, 300), np.float32), drawn, changed)
    np.testing.assert_allclose(mixed[changed == 1], drawn[changed == 1], atol=0.01)
    np.testing.assert_array_equal(alpha, changed)


def test_a_new_beard_thins_out_towards_the_jaw_alone() -> None:
    mesh = head()
    area = Area(0, 0, 400, 400)
    height = float(np.linalg.norm(mesh[10, :2] - mesh[152, :2]))
    alpha = masks.outline(area, mesh)
    thin = skin.thinned(area, mesh, alpha, height)
    x, chin = int(mesh[152, 0]), int(mesh[152, 1])
    column = thin[chin - 30 : chin - 1, x]
    assert np.all(np.diff(column) <= 1e-6)
    assert column[0] == 1
    assert column[-1] < 0.2
    np.testing.assert_array_equal(thin[: int(mesh[61, 1])], alpha[: int(mesh[61, 1])])
