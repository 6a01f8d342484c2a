"""What every detector must do; one that is not on this machine must say what to get."""

from __future__ import annotations

import os

import numpy as np
import pytest

from facepick.errors import FacepickError, MissingModelError, PackageMissing
from facepick.faces.analyzer import FaceDetector
from facepick.models.store import ModelStore
from facepick.recognition.registry import (
    detectors,
    embedders,
    open_detector,
    open_embedder,
    open_mesher,
)

# What runs wherever facepick runs; the others need packages or files.
ALWAYS = {"yunet"}


def says_what_to_get(error: FacepickError) -> bool:
    """The hint names a command or a place, not only a regret."""
    words = ("pip install", "models fetch", "http", "yourself")
    return any(word in error.hint for word in words)


@pytest.fixture(params=[info.id for info in detectors()])
def detector(
    request: pytest.FixtureRequest,
    store: ModelStore,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> FaceDetector:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("DEEPFACE_HOME", raising=False)
    try:
        return open_detector(request.param, store, open_mesher(store))
    except (MissingModelError, PackageMissing) as error:
        if request.param in ALWAYS or not says_what_to_get(error):
            raise
        required = os.environ.get("FACEPICK_REQUIRE_DEEPFACE") == "1"
        if required and os.environ.get("CI") == "true" and "deepface" in error.message:
            pytest.fail(error.sentence())
        pytest.skip(error.sentence())


def test_it_finds_the_two_people_of_a_photo(detector: FaceDetector, group: np.ndarray) -> None:
    found = detector.detect(group)
    assert len(found) >= 2
    assert np.all(np.diff(found.score) <= 0)
    assert 0.3 <= found.score[-1] <= found.score[0] <= 1.0
    height, width = group.shape[:2]
    for i in range(2):
        box = found.box(i)
        assert 0.05 * width < box.width < 0.8 * width
        wide = box.grown(0.15)
        for x, y in found.landmarks5[i]:
            assert wide.x0 <= x <= wide.x1
            assert wide.y0 <= y <= wide.y1
            assert 0 <= x < width
            assert 0 <= y < height
        right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks5[i]
        assert right_eye[0] < left_eye[0]
        assert right_mouth[0] < left_mouth[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_its_points_are_near_those_of_yunet(
    detector: FaceDetector, group: np.ndarray, store: ModelStore
) -> None:
    reference = open_detector("yunet", store, open_mesher(store)).detect(group)
    found = detector.detect(group)
    for i in range(2):
        overlaps = [reference.box(i).iou(found.box(k)) for k in range(len(found))]
        best = int(np.argmax(overlaps))
        assert overlaps[best] > 0.35
        eyes = float(np.linalg.norm(reference.landmarks5[i][1] - reference.landmarks5[i][0]))
        error = np.linalg.norm(found.landmarks5[best] - reference.landmarks5[i], axis=1)
        # A fifth of the eye distance: two networks disagree on where a nose tip is.
        assert error.mean() < 0.2 * eyes


def test_it_finds_nobody_where_nobody_is(detector: FaceDetector, nobody: np.ndarray) -> None:
    found = detector.detect(nobody)
    # The classic ones see a face in this or that texture, but none is sure of it.
    if detector.id == "haar":
        assert len(found) <= 3
    else:
        assert len(found) == 0
    black = detector.detect(np.zeros((240, 320, 3), np.uint8))
    assert len(black) == 0
    assert black.landmarks5.shape == (0, 5, 2)


def test_its_answer_depends_on_the_picture_alone(
    detector: FaceDetector, group: np.ndarray, nobody: np.ndarray
) -> None:
    kept = group.copy()
    first = detector.detect(group)
    detector.detect(nobody[:300, :320])
    again = detector.detect(group)
    np.testing.assert_array_equal(first.xyxy, again.xyxy)
    np.testing.assert_array_equal(first.landmarks5, again.landmarks5)
    np.testing.assert_array_equal(group, kept)


@pytest.mark.parametrize("model", [info.id for info in embedders()])
def test_every_embedder_opens_or_says_what_to_get(
    model: str, store: ModelStore, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path))
    monkeypatch.delenv("DEEPFACE_HOME", raising=False)
    try:
        embedder = open_embedder(model, store)
    except (MissingModelError, PackageMissing) as error:
        if model == "sface" or not says_what_to_get(error):
            raise
        return
    chips = np.random.default_rng(0).integers(0, 256, (3, embedder.size, embedder.size, 3))
    chips = chips.astype(np.uint8)
    rows = embedder.embed(chips)
    assert rows.shape == (3, embedder.dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)
    # One at a time or together, and an empty batch.
    alone = np.concatenate([embedder.embed(chips[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(rows, alone, atol=1e-4)
    assert embedder.embed(chips[:0]).shape == (0, embedder.dimension)
    assert 0.0 < embedder.same_person < 1.0
    with pytest.raises(ValueError, match="chips must be"):
        embedder.embed(chips[:, :50])
