"""Alignment, mesh, embedder and quality on real faces and on drawn points."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from facepick.faces.alignment import ARCFACE_112, align, similarity, template
from facepick.faces.analyzer import FaceDetector, FaceEmbedder, FaceMesher
from facepick.faces.analyzers.sface import SFaceEmbedder
from facepick.faces.analyzers.yunet import YuNetDetector
from facepick.faces.head_pose import pose_of_points
from facepick.faces.mesh import MESH_POINTS, FaceMesh
from facepick.faces.quality import (
    eye_openness,
    patch_correlation,
    sharpness,
)
from facepick.models.catalog import SFACE, YUNET
from facepick.models.store import ModelStore

Bgr = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def store(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore([shared_models], tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def detector(store: ModelStore) -> YuNetDetector:
    return YuNetDetector(store.require(YUNET))


@pytest.fixture(scope="module")
def mesher(store: ModelStore) -> FaceMesh:
    return FaceMesh(store)


@pytest.fixture(scope="module")
def picture(odd: Callable[[str], Path]) -> Bgr:
    """Frame 0 of dev_gt2 at half size: A on the left, B on the right."""
    with av.open(str(odd("base_640x360.mp4"))) as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="bgr24"), np.uint8)


def test_the_defaults_fulfil_the_protocols(
    detector: YuNetDetector, mesher: FaceMesh, store: ModelStore
) -> None:
    assert isinstance(detector, FaceDetector)
    assert isinstance(mesher, FaceMesher)
    assert isinstance(SFaceEmbedder(store.require(SFACE)), FaceEmbedder)


def test_similarity_is_found_exactly() -> None:
    angle, scale = 0.4, 2.5
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    target = ARCFACE_112 @ turn.T + [30, -7]
    np.testing.assert_allclose(similarity(ARCFACE_112, target)[:, :2], turn, atol=1e-6)
    np.testing.assert_allclose(similarity(ARCFACE_112, target)[:, 2], [30, -7], atol=1e-4)


def test_a_mirrored_face_is_never_mirrored_back() -> None:
    mirrored = ARCFACE_112 * [-1, 1]
    assert np.linalg.det(similarity(ARCFACE_112, mirrored)[:, :2]) > 0


def test_points_in_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="all the same"):
        similarity(np.ones((5, 2)), ARCFACE_112)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_chip_has_the_points_where_the_template_wants_them(scale: float) -> None:
    image = np.zeros((600, 600, 3), np.uint8)
    points = (ARCFACE_112 * scale + 100).astype(np.float32)
    for x, y in points:
        radius = int(2 * scale)
        image[int(y) - radius : int(y) + radius + 1, int(x) - radius : int(x) + radius + 1] = 255
    chip = align(image, points)
    for x, y in template(112):
        assert chip[round(float(y)), round(float(x))].min() > 100


def test_anamorphic_faces_are_unsqueezed() -> None:
    squeezed = ARCFACE_112 * [0.75, 1.0] + 50
    image = np.zeros((300, 300, 3), np.uint8)
    for x, y in squeezed:
        image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    chip = align(image, squeezed.astype(np.float32), pixel_aspect=4 / 3)
    for x, y in template(112):
        assert chip[round(float(y)), round(float(x))].min() > 100


def test_detections_are_ordered_and_inside_the_truth(
    detector: YuNetDetector, picture: Bgr, shared_media: Path
) -> None:
    found = detector.detect(picture)
    assert len(found) == 2
    assert np.all(np.diff(found.score) <= 0)
    truth = json.loads((shared_media / "gt" / "dev_gt2.json").read_text())["frames"][0]
    for face in truth["faces"]:
        x0, y0, x1, y1 = (v / 2 for v in face["box"])
        inside = [p for p in found.landmarks5 if x0 < p[2, 0] < x1 and y0 < p[2, 1] < y1]
        assert len(inside) == 1
        right_eye, left_eye, nose, *mouth = inside[0]
        assert right_eye[0] < nose[0] < left_eye[0]
        assert all(m[1] > nose[1] for m in mouth)


@pytest.mark.parametrize("size", [(640, 360), (333, 250), (160, 160)])
def test_yunet_agrees_with_opencv(
    store: ModelStore, detector: YuNetDetector, picture: Bgr, size: tuple[int, int]
) -> None:
    import cv2

    image = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    found = detector.detect(image)
    model = str(store.require(YUNET))
    _, rows = cv2.FaceDetectorYN.create(model, "", size, 0.3, 0.3, 750).detect(image)
    rows = rows[np.argsort(-rows[:, 14], kind="stable")]
    assert len(found) == len(rows) == 2
    np.testing.assert_allclose(found.score, rows[:, 14], atol=1e-4)
    np.testing.assert_allclose(found.xyxy[:, :2], rows[:, :2], atol=0.01)
    np.testing.assert_allclose(found.xyxy[:, 2:] - found.xyxy[:, :2], rows[:, 2:4], atol=0.01)
    np.testing.assert_allclose(found.landmarks5.reshape(-1, 10), rows[:, 4:14], atol=0.01)


def test_yunet_finds_nobody_on_a_blank(detector: YuNetDetector) -> None:
    assert len(detector.detect(np.full((90, 120, 3), 127, np.uint8))) == 0


def test_sface_agrees_with_onnxruntime(
    store: ModelStore, picture: Bgr, detector: YuNetDetector
) -> None:
    import onnxruntime

    found = detector.detect(picture)
    chips = np.stack([align(picture, p) for p in found.landmarks5])
    ours = SFaceEmbedder(store.require(SFACE)).embed(chips)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(store.require(SFACE)), options, providers=["CPUExecutionProvider"]
    )
    for chip, row in zip(chips, ours, strict=True):
        blob = chip[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32)
        other = session.run(None, {session.get_inputs()[0].name: blob})[0][0]
        assert float(row @ other / np.linalg.norm(other)) > 0.9999
    # A and B are two people.
    assert float(ours[0] @ ours[1]) < 0.3


def test_the_mesh_lies_on_the_face(mesher: FaceMesh, detector: YuNetDetector, picture: Bgr) -> None:
    found = detector.detect(picture)
    for box, points in zip(found.xyxy, found.landmarks5, strict=True):
        mesh, score = mesher.locate(picture, points)
        assert mesh.shape == (MESH_POINTS, 3)
        assert score > 0.99
        width = float(box[2] - box[0])
        # Point 1 is the nose tip; 61 and 291 the mouth corners; 33 and 263 outer eye corners.
        assert np.linalg.norm(mesh[1, :2] - points[2]) < 0.12 * width
        assert np.linalg.norm(mesh[61, :2] - points[3]) < 0.12 * width
        assert np.linalg.norm(mesh[291, :2] - points[4]) < 0.12 * width
        assert mesh[33, 0] < points[0, 0] < points[1, 0] < mesh[263, 0]
        assert 0.1 < eye_openness(mesh) < 0.6


def test_the_mesh_of_a_crop_is_the_mesh_of_the_picture(
    mesher: FaceMesh, detector: YuNetDetector, picture: Bgr
) -> None:
    points = detector.detect(picture).landmarks5[0]
    x0, y0 = (int(v) for v in points.min(axis=0) - 60)
    crop = np.ascontiguousarray(picture[max(0, y0) : y0 + 260, max(0, x0) : x0 + 260])
    whole, _ = mesher.locate(picture, points)
    part, _ = mesher.locate(crop, points, (max(0, x0), max(0, y0)))
    np.testing.assert_allclose(part[:, :2], whole[:, :2], atol=1.0)


def test_no_face_no_mesh_score(mesher: FaceMesh) -> None:
    image = np.full((200, 200, 3), 90, np.uint8)
    _, score = mesher.locate(image, (ARCFACE_112 + 40).astype(np.float32))
    assert score < 0.5


def test_the_template_looks_straight_ahead() -> None:
    pose = pose_of_points(ARCFACE_112)
    assert abs(pose.yaw) < 5
    assert abs(pose.roll) < 2


def test_turning_the_picture_turns_the_roll() -> None:
    turn = math.radians(20)
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    assert pose_of_points(ARCFACE_112 @ matrix.T).roll == pytest.approx(20, abs=2)


def test_a_nose_to_the_right_is_a_positive_yaw() -> None:
    turned = ARCFACE_112.copy()
    turned[2, 0] += 12
    assert pose_of_points(turned).yaw > 15
    assert pose_of_points(turned).off_frontal > 15


def test_blur_takes_the_sharpness(detector: YuNetDetector, picture: Bgr) -> None:
    import cv2

    chip = align(picture, detector.detect(picture).landmarks5[0])
    blurred = np.asarray(cv2.GaussianBlur(chip, (0, 0), 4), np.uint8)
    dim = (chip * 0.5).astype(np.uint8)
    assert sharpness(chip) > 0.6
    assert sharpness(blurred) < 0.2
    assert sharpness(dim) > 0.4


def test_near_duplicates(detector: YuNetDetector, picture: Bgr) -> None:
    chips = [align(picture, p) for p in detector.detect(picture).landmarks5]
    dim = np.clip(chips[0] * 0.6 + 20, 0, 255).astype(np.uint8)
    assert patch_correlation(chips[0], dim) > 0.97
    assert patch_correlation(chips[0], chips[1]) < 0.97
    assert patch_correlation(chips[0], chips[0]) == pytest.approx(1.0, abs=1e-5)
