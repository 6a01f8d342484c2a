"""Classifiers beside voting: who it is, and that strangers stay strangers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.recognition.people_footage import KEY, faces

from facepick.cli.main import main
from facepick.errors import UserInputError
from facepick.recognition.cast import Cast
from facepick.recognition.classifiers import CLASSIFIERS, classifier, identify
from facepick.recognition.evaluate import evaluate, read_people
from facepick.recognition.pipeline import open_recognizer
from facepick.recognition.plots import draw_distances


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_models: Path) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_known_people_get_their_names_and_strangers_none(tmp_path: Path, kind: str) -> None:
    if kind != "vote":
        pytest.importorskip("sklearn")
    cast = Cast(tmp_path / "cast.sqlite", key=KEY)
    for number, name in enumerate(("Anna", "Ben", "Chen")):
        cast.add(name, faces(number, 4))
    tell = classifier(kind, *cast.vectors(), cast.threshold())
    for number, name in enumerate(("Anna", "Ben", "Chen")):
        found = tell(faces(number, 3, seed=5))
        assert found.name == name
        assert found.confidence > 0.9
    assert tell(faces(8, 3)).name is None
    told = identify(
        kind,
        np.concatenate([faces(n, 3) for n in range(5)]),
        [str(n) for n in range(5) for _ in range(3)],
        cast.threshold(),
    )
    assert (told.right, told.wrong, told.named) == (told.asked, 0, 0)
    assert told.asked == told.strangers == 15


def test_a_cast_of_one_person_names_that_one_alone(tmp_path: Path) -> None:
    cast = Cast(tmp_path / "cast.sqlite", key=KEY)
    cast.add("Anna", faces(0, 2))
    tell = classifier("svm", *cast.vectors(), cast.threshold())
    assert tell(faces(0, 1, seed=5)).name == "Anna"
    assert tell(faces(1, 1)).name is None


def test_what_is_no_classifier_is_told(tmp_path: Path) -> None:
    cast = Cast(tmp_path / "cast.sqlite", key=KEY)
    cast.add("Anna", faces(0, 2))
    with pytest.raises(UserInputError, match="no classifier"):
        classifier("forest", *cast.vectors(), cast.threshold())


# --- real photos --------------------------------------------------------------------------------


def test_a_folder_of_people_is_a_cast_and_is_measured(
    photos: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    folder = photos("anna").parent
    cast = str(tmp_path / "cast.sqlite")
    assert main(["cast", "add-folder", str(folder), "--cast", cast, "--progress", "none"]) == 0
    assert {m.name: m.faces for m in Cast(cast).members()} == {"anna": 3, "ben": 3, "carl": 3}
    capsys.readouterr()
    words = ["evaluate", str(folder), "--classifier", "svm", "--progress", "none"]
    pictures = tmp_path / "pictures"
    assert main([*words, "--json", "-", "--pictures", str(pictures)]) == 0
    told = json.loads(capsys.readouterr().out)["identification"]
    assert [row["classifier"] for row in told] == ["vote", "svm"]
    assert all(row["right"] == row["asked"] == 9 and row["wrong"] == 0 for row in told)
    assert (pictures / "yunet_five_sface_distances.png").is_file()
    assert main(["cast", "add-folder", str(tmp_path / "nowhere")]) == 2


def test_the_square_of_distances_is_dark_where_people_are_one(
    photos: Callable[[str], Path],
) -> None:
    from facepick.models.store import default_store

    data = read_people(photos("anna").parent)
    drawn = draw_distances(evaluate(open_recognizer(default_store()), data), data)
    # Nine photos of 16 pixels; three of each person stand beside each other.
    left, top = drawn.shape[1] - 20 - 144, 56
    cells = drawn[top + 8 : top + 144 : 16, left + 8 : left + 144 : 16].astype(int)
    same = np.kron(np.eye(3), np.ones((3, 3))).astype(bool)
    grey = (cells.max(axis=2) - cells.min(axis=2)) == 0
    assert grey.all()
    assert cells[same].max() < cells[~same].min()
