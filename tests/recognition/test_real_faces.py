"""Verification, evaluation and explanation on photos of real people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.recognition.people_footage import recognised

from facepick.errors import NoFacesFound, UserInputError
from facepick.models.store import ModelStore
from facepick.recognition.cast import Cast, CastKey
from facepick.recognition.evaluate import Evaluation, evaluate, read_dataset
from facepick.recognition.explain import draw_explanation
from facepick.recognition.naming import add_photos
from facepick.recognition.pipeline import Recognizer, open_recognizer
from facepick.recognition.plots import draw_histogram, draw_roc
from facepick.recognition.registry import model_version
from facepick.recognition.thresholds import (
    PACKAGED,
    find_threshold,
    load_thresholds,
    save_thresholds,
    user_table,
)
from facepick.recognition.verify import verify


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def recognizer(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return open_recognizer(ModelStore([shared_models], tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def evaluation(
    recognizer: Recognizer,
    media: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Evaluation:
    """Five people with two to four photos each, and one photo without a face."""
    folder = tmp_path_factory.mktemp("faces")
    for name in ("obama", "biden", "rose_leslie", "family1_dad", "compre_A"):
        (folder / name).mkdir()
        for photo in media(f"faces/{name}").iterdir():
            shutil.copy(photo, folder / name)
    shutil.copy(media("faces/_groups/017_0.jpg"), folder / "biden" / "0.jpg")
    return evaluate(recognizer, read_dataset(folder))


def test_people_are_told_apart(evaluation: Evaluation) -> None:
    assert (evaluation.found, evaluation.photos) == (15, 16)
    assert evaluation.missed == ("biden/0.jpg",)
    assert evaluation.genuine == 6 + 1 + 1 + 3 + 6
    for report in evaluation.reports:
        assert report.auc > 0.999
        assert report.accuracy > 0.98
    angular, cosine = evaluation.report("angular"), evaluation.report("cosine")
    # Two spellings of one order: the thresholds must say the same angle, within the gap.
    assert np.cos(np.pi * angular.threshold) == pytest.approx(1 - cosine.threshold, abs=0.05)
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_thresholds_are_kept_with_where_they_come_from(evaluation: Evaluation) -> None:
    save_thresholds(evaluation, user_table())
    again = save_thresholds(evaluation, user_table())
    assert len(load_thresholds(user_table())) == len(again) == 4
    found = find_threshold(
        detector="yunet",
        alignment="five",
        model="sface",
        version=evaluation.version,
        metric="cosine",
    )
    assert found.threshold == pytest.approx(evaluation.report("cosine").threshold, abs=1e-5)
    assert (found.pairs_same, found.dataset) == (evaluation.genuine, evaluation.dataset)
    assert found.confidence(found.threshold) == pytest.approx(0.5)
    assert found.confidence(found.threshold / 2) > 0.9


def test_the_packaged_table_holds_the_default_choice(recognizer: Recognizer) -> None:
    assert model_version("sface", ModelStore([], Path("nowhere"))) == recognizer.version
    lines = load_thresholds(PACKAGED)
    assert lines
    for metric in ("cosine", "euclidean", "euclidean_l2", "angular"):
        line = find_threshold(
            detector="yunet",
            alignment="five",
            model="sface",
            version=recognizer.version,
            metric=metric,
        )
        assert line.calibrated
        assert line.accuracy > 0.97
    with pytest.raises(UserInputError, match="No threshold is known"):
        find_threshold(
            detector="yunet", alignment="five", model="sface", version="other", metric="cosine"
        )


@pytest.mark.parametrize("text", ["", "[]", '{"format": "x"}', '{"format": 1e999}'])
def test_a_broken_table_is_an_error_not_a_guess(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(UserInputError, match="no table of thresholds"):
        load_thresholds(path)


def test_charts_are_drawn(evaluation: Evaluation) -> None:
    report = evaluation.report("cosine")
    for draw in (draw_roc, draw_histogram):
        chart = draw(evaluation, report)
        assert chart.shape == (480, 640, 3)
        assert 0.005 < np.mean(chart != 255) < 0.6


def test_verify_says_same_and_different(
    recognizer: Recognizer, photos: Callable[[str], Path]
) -> None:
    same = verify(photos("anna/1.jpg"), photos("anna/3.jpg"), recognizer)
    other = verify(photos("anna/1.jpg"), photos("ben/1.jpg"), recognizer)
    assert same.same
    assert not other.same
    assert same.distance < same.threshold.threshold < other.distance
    assert min(same.confidence, other.confidence) > 0.9
    with pytest.raises(NoFacesFound, match=r"nobody\.jpg"):
        verify(photos("anna/1.jpg"), photos("nobody.jpg"), recognizer)


def test_a_face_that_fills_the_photo_is_found(
    recognizer: Recognizer, photos: Callable[[str], Path]
) -> None:
    image = recognizer.main_face
    from facepick.recognition.pipeline import load_picture

    photo = load_picture(photos("anna/1.jpg"))
    seen = image(photo)
    box = seen.box
    tight = photo[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    again = recognizer.main_face(np.ascontiguousarray(tight))
    assert again.box.width > 0.6 * tight.shape[1]
    a, b = recognizer.embed(np.stack([seen.chip, again.chip]))
    assert np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) > 0.6


def test_the_explanation_shows_both_photos(
    recognizer: Recognizer, photos: Callable[[str], Path]
) -> None:
    a, b = photos("anna/1.jpg"), photos("anna/2.jpg")
    verdict = verify(a, b, recognizer)
    sheet = draw_explanation(a, b, verdict, recognizer)
    assert sheet.dtype == np.uint8
    # The aligned chips are on it, rings aside.
    import cv2

    for seen in verdict.faces:
        chip = cv2.resize(seen.chip, (224, 224), interpolation=cv2.INTER_CUBIC)
        score = cv2.matchTemplate(sheet, chip, cv2.TM_CCOEFF_NORMED)
        assert score.max() > 0.95


def test_photos_make_a_cast_that_knows_the_others(
    recognizer: Recognizer, photos: Callable[[str], Path], tmp_path: Path
) -> None:
    cast = Cast(tmp_path / "cast.sqlite")
    assert add_photos(cast, "Anna", [photos("anna/1.jpg"), photos("anna/3.jpg")], recognizer) == 2
    add_photos(cast, "Ben", [photos("ben/1.jpg")], recognizer)
    assert cast.key == CastKey("sface", recognizer.version, "five")
    thumbnail = cast.thumbnail("Anna")
    assert thumbnail is not None
    assert thumbnail[:3] == b"\xff\xd8\xff"
    for photo, name in (
        ("anna/2.jpg", "Anna"),
        ("ben/3.jpg", "Ben"),
        ("carl/1.jpg", None),
    ):
        _, code = recognizer.describe(photos(photo))
        assert recognised(cast, code[None]).name == name
    # One photo without a face: nothing of the batch is kept.
    with pytest.raises(NoFacesFound):
        add_photos(cast, "Carl", [photos("carl/1.jpg"), photos("nobody.jpg")], recognizer)
    assert [m.name for m in cast.members()] == ["Anna", "Ben"]
