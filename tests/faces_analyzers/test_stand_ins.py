"""Detectors and embedders whose weights cannot be had offline, on graphs with the same inputs and
outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.faces_analyzers import tiny_onnx

from facepick.errors import ModelMismatchError
from facepick.faces.analyzers._letterbox import keep_best, letterbox
from facepick.faces.analyzers.arcface import ArcFaceOnnxEmbedder
from facepick.faces.analyzers.centerface import CenterFaceDetector
from facepick.faces.analyzers.scrfd import ScrfdDetector


def test_centerface_decodes_boxes_and_points(tmp_path: Path) -> None:
    tiny_onnx.bright_spot_centerface(tmp_path / "centerface.onnx", extent=60)
    detector = CenterFaceDetector(tmp_path / "centerface.onnx")
    image = np.zeros((256, 320, 3), np.uint8)
    image[128:132, 160:164] = 255  # cell (40, 32): its middle is at 162, 130
    image[40:44, 60:64] = 200
    found = detector.detect(image)
    assert len(found) == 2
    np.testing.assert_allclose(found.xyxy[0], [132, 100, 192, 160], atol=0.01)
    np.testing.assert_allclose(found.landmarks5[0][:2], [[152, 120], [172, 120]], atol=0.01)
    np.testing.assert_allclose(found.score, [1.0, 200 / 255], atol=1e-5)


def test_centerface_answers_pictures_of_any_size_in_any_order(tmp_path: Path) -> None:
    tiny_onnx.bright_spot_centerface(tmp_path / "centerface.onnx", extent=40)
    detector = CenterFaceDetector(tmp_path / "centerface.onnx")
    for height, width in ((256, 320), (96, 64), (256, 320)):
        image = np.zeros((height, width, 3), np.uint8)
        image[48:52, 32:36] = 255
        found = detector.detect(image)
        np.testing.assert_allclose(found.xyxy, [[14, 30, 54, 70]], atol=0.01)
    assert len(detector.detect(np.zeros((100, 70, 3), np.uint8))) == 0


def test_centerface_maps_back_from_padded_sizes(tmp_path: Path) -> None:
    tiny_onnx.bright_spot_centerface(tmp_path / "centerface.onnx", extent=32)
    # 250 x 310 is seen as 256 x 320: the answer must be in the smaller one's pixels.
    image = np.zeros((250, 310, 3), np.uint8)
    image[100:130, 100:130] = 255
    found = CenterFaceDetector(tmp_path / "centerface.onnx").detect(image)
    assert len(found) >= 1
    centre = np.array(found.box(0).center)
    assert np.all(np.abs(centre - 115) < 20)


def test_scrfd_decodes_and_drops_the_weaker_anchor(tmp_path: Path) -> None:
    tiny_onnx.one_face_scrfd(tmp_path / "scrfd.onnx", side=320, cell=(10, 12))
    # 640 x 480 is seen at half its size.
    found = ScrfdDetector(tmp_path / "scrfd.onnx", side=320).detect(
        np.zeros((480, 640, 3), np.uint8)
    )
    assert len(found) == 1
    np.testing.assert_allclose(found.xyxy[0], np.array([64, 80, 96, 120]) * 2)
    np.testing.assert_allclose(
        found.landmarks5[0], np.array([[72, 88], [88, 88], [80, 96], [72, 104], [88, 104]]) * 2
    )
    assert found.score[0] == pytest.approx(0.9)


def test_scrfd_without_landmarks_is_refused(tmp_path: Path) -> None:
    tiny_onnx.mean_color_embedder(tmp_path / "other.onnx", height=8, width=8, dimension=4)
    with pytest.raises(ModelMismatchError, match="has 1 outputs"):
        ScrfdDetector(tmp_path / "other.onnx")


def test_arcface_files_take_rgb_in_minus_one_to_one_in_batches(tmp_path: Path) -> None:
    matrix = tiny_onnx.mean_color_embedder(
        tmp_path / "w600k_r50.onnx", height=112, width=112, dimension=16, channels_first=True
    )
    embedder = ArcFaceOnnxEmbedder(tmp_path / "w600k_r50.onnx")
    chips = np.random.default_rng(1).integers(0, 256, (20, 112, 112, 3)).astype(np.uint8)
    means = (chips[..., ::-1].reshape(20, -1, 3).mean(axis=1) - 127.5) / 127.5
    np.testing.assert_allclose(embedder.raw(chips), means @ matrix, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(embedder.embed(chips), axis=1), 1, atol=1e-5)
    assert embedder.dimension == 16
    with pytest.raises(ValueError, match="112, 112"):
        embedder.embed(chips[:, :100])


def test_another_graph_is_no_arcface(tmp_path: Path) -> None:
    tiny_onnx.mean_color_embedder(tmp_path / "x.onnx", height=160, width=160, dimension=16)
    with pytest.raises(ModelMismatchError, match="takes"):
        ArcFaceOnnxEmbedder(tmp_path / "x.onnx")


def test_letterbox_keeps_the_shape() -> None:
    image = np.full((100, 400, 3), 50, np.uint8)
    square, scale = letterbox(image, 200)
    assert scale == 0.5
    assert (square[:50] == 50).all()
    assert not square[50:].any()


def test_of_overlapping_boxes_the_best_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], float)
    assert keep_best(boxes, np.array([0.5, 0.9, 0.7]), 0.4).tolist() == [1, 2]
    assert keep_best(boxes, np.array([0.5, 0.9, 0.7]), 0.9).tolist() == [1, 2, 0]
    assert keep_best(np.zeros((0, 4)), np.zeros(0), 0.4).tolist() == []
