"""The cast: storage, mixing refused, voting with a reject option, handing on."""

from __future__ import annotations

import base64
import json
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.recognition.people_footage import KEY, faces, made_up_scan, recognised

from facepick.errors import SelectionError, UserInputError
from facepick.recognition.cast import Cast, CastKey, vote
from facepick.recognition.naming import (
    add_from_scan,
    match,
    name_people,
    series_table,
)
from facepick.recognition.thresholds import Threshold


@pytest.fixture
def cast(tmp_path: Path) -> Cast:
    """Anna, Ben and Chen with four faces each."""
    made = Cast(tmp_path / "cast.sqlite", key=KEY)
    for number, name in enumerate(("Anna", "Ben", "Chen")):
        made.add(name, faces(number, 4), qualities=[0.9, 0.8, 0.7, 0.6], sources=["a.jpg"] * 4)
    return made


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))


# --- storage ------------------------------------------------------------------------------------


def test_people_come_back_as_they_were_added(cast: Cast) -> None:
    again = Cast(cast.path)
    assert [(m.name, m.faces) for m in again.members()] == [("Anna", 4), ("Ben", 4), ("Chen", 4)]
    assert again.members()[0].quality == pytest.approx(0.75)
    assert again.key == KEY
    matrix, names, weights = again.vectors()
    np.testing.assert_allclose(matrix[:4], faces(0, 4), atol=1e-6)
    assert names[:5] == ["Anna"] * 4 + ["Ben"]
    np.testing.assert_allclose(weights[:4], [0.9, 0.8, 0.7, 0.6], atol=1e-6)


def test_the_same_face_is_not_added_twice_and_names_know_no_case(cast: Cast) -> None:
    assert cast.add("anna", faces(0, 5)) == 1
    assert [m.faces for m in cast.members()] == [5, 4, 4]


def test_remove_and_rename(cast: Cast) -> None:
    assert cast.remove("BEN") == 4
    cast.rename("chen", "陈")
    assert [m.name for m in cast.members()] == ["Anna", "陈"]
    assert len(cast.vectors()[0]) == 8
    with pytest.raises(UserInputError, match="Ben is not in the cast"):
        cast.remove("Ben")
    with pytest.raises(UserInputError, match="in the cast already"):
        cast.rename("陈", "anna")


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "x" * 101, "a\u202eb\x1b[2J"])
def test_names_that_would_break_a_list_are_refused(cast: Cast, name: str) -> None:
    with pytest.raises(UserInputError, match="no name for a person"):
        cast.add(name, faces(5, 1))
    assert len(cast.members()) == 3


def test_another_model_file_or_alignment_is_refused(cast: Cast) -> None:
    for other in (
        replace(KEY, model="dlib"),
        replace(KEY, version="0123456789ab"),
        replace(KEY, alignment="eyes"),
    ):
        with pytest.raises(UserInputError, match="cannot be used with"):
            Cast(cast.path, key=other)
    with pytest.raises(UserInputError, match="cannot take 64"):
        cast.add("Dora", np.ones((1, 64)))
    assert len(cast.members()) == 3


def test_two_openers_of_an_empty_file_cannot_mix(tmp_path: Path) -> None:
    first = Cast(tmp_path / "c.sqlite", key=KEY)
    second = Cast(tmp_path / "c.sqlite", key=replace(KEY, model="dlib"))
    first.add("Anna", faces(0, 1))
    with pytest.raises(UserInputError, match="was made with"):
        second.add("Ben", faces(1, 1))
    assert [m.name for m in first.members()] == ["Anna"]


def test_a_row_smuggled_in_from_another_model_is_found(cast: Cast) -> None:
    with sqlite3.connect(cast.path) as base:
        base.execute("UPDATE face SET model = 'dlib' WHERE id = 2")
    with pytest.raises(UserInputError, match="another model"):
        cast.vectors()


@pytest.mark.parametrize("rows", [np.full((1, 128), np.nan), np.zeros((1, 128)), np.ones(128)])
def test_useless_embeddings_are_refused(cast: Cast, rows: np.ndarray) -> None:
    with pytest.raises(UserInputError):
        cast.add("Dora", rows)
    assert len(cast.members()) == 3


def test_a_file_that_is_no_cast(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("not a database " * 100)
    with pytest.raises(UserInputError, match="no cast that can be read"):
        Cast(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as base:
        base.execute("CREATE TABLE photos (id INTEGER)")
    with pytest.raises(UserInputError, match="something else"):
        Cast(other)


# --- voting -------------------------------------------------------------------------------------


def test_known_people_are_named_and_strangers_are_not(cast: Cast) -> None:
    for number, name in enumerate(("Anna", "Ben", "Chen")):
        match = recognised(cast, faces(number, 3, seed=2))
        assert match.name == name
        assert match.confidence > 0.9
    for stranger in range(10, 30):
        assert recognised(cast, faces(stranger, 3)).name is None


def test_a_person_with_one_photo_is_not_outvoted_by_one_with_many(tmp_path: Path) -> None:
    cast = Cast(tmp_path / "c.sqlite", key=KEY)
    cast.add("One", faces(0, 1, spread=0.4))
    cast.add("Many", faces(1, 40))
    assert recognised(cast, faces(0, 2, spread=0.4, seed=4)).name == "One"


def _threshold() -> Threshold:
    return Threshold(
        detector="d",
        alignment="five",
        model="m",
        model_version="v",
        metric="cosine",
        threshold=0.5,
        slope=20.0,
        dataset="made up",
        pairs_same=1,
        pairs_different=1,
        accuracy=1.0,
        auc=1.0,
        made="",
        tool="",
    )


def _planar(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_face_between_two_people_is_nobody() -> None:
    weights = np.ones(2, np.float32)
    match = vote(
        _planar(45), _planar(0, 90), ["A", "B"], weights, _threshold(), neighbours=2, accept=0.7
    )
    assert match.name is None
    assert dict(match.votes)["A"] == pytest.approx(dict(match.votes)["B"])


def test_good_pictures_count_more() -> None:
    def share(quality: float) -> float:
        weights = np.array([quality, 0.5], np.float32)
        match = vote(
            _planar(30), _planar(0, 60), ["A", "B"], weights, _threshold(), neighbours=2, accept=0.7
        )
        return dict(match.votes)["A"]

    assert share(0.1) < share(0.5) < share(1.0)
    assert share(0.5) == pytest.approx(0.5, abs=0.01)


# --- scans --------------------------------------------------------------------------------------


def test_a_scan_gets_the_names_of_people_it_knows(cast: Cast) -> None:
    scan = made_up_scan("e1.mp4", [(1, range(50)), (40, range(50)), (0, range(60, 90))])
    assert {i: n for i, (n, _) in match(scan, cast).items()} == {"P1": "Ben", "P3": "Anna"}
    assert [p.name for p in name_people(scan, cast).people] == ["Ben", None, "Anna"]
    assert [p.name for p in scan.people] == [None, None, None]


def test_a_name_given_by_the_user_stays_and_is_not_given_twice(cast: Cast) -> None:
    scan = made_up_scan("e1.mp4", [(1, range(50)), (0, range(60, 90))])
    people = (replace(scan.people[0], name="Anna"), scan.people[1])
    named = name_people(replace(scan, people=people), cast)
    assert [p.name for p in named.people] == ["Anna", None]


def test_people_on_screen_together_never_share_a_name(cast: Cast) -> None:
    together = made_up_scan("e1.mp4", [(0, range(50)), (0, range(20, 60))])
    assert len(match(together, cast)) == 1
    apart = made_up_scan("e1.mp4", [(0, range(50)), (0, range(50, 60))])
    assert len(match(apart, cast)) == 2


def test_unsure_people_stay_nameless(cast: Cast) -> None:
    scan = made_up_scan("e1.mp4", [(0, range(50)), (1, range(20, 60))], unsure=(2,))
    assert list(match(scan, cast)) == ["P1"]


def test_a_scan_of_another_model_is_refused(cast: Cast) -> None:
    scan = made_up_scan("e1.mp4", [(0, range(50))])
    people = (replace(scan.people[0], exemplar_model="dlib"),)
    with pytest.raises(UserInputError, match="cannot be used with"):
        match(replace(scan, people=people), cast)
    # Naming a scan goes on without it.
    assert name_people(replace(scan, people=people), cast).people == people


def test_an_empty_cast_names_nobody(tmp_path: Path) -> None:
    scan = made_up_scan("e1.mp4", [(0, range(50))])
    assert match(scan, Cast(tmp_path / "none.sqlite")) == {}
    assert name_people(scan, Cast(tmp_path / "none.sqlite")) is scan
    assert not (tmp_path / "none.sqlite").exists()


def test_a_person_of_one_video_is_known_in_the_next(tmp_path: Path) -> None:
    cast = Cast(tmp_path / "c.sqlite")
    first = made_up_scan("e1.mp4", [(3, range(50)), (4, range(50))])
    assert add_from_scan(cast, "Dora", first, "p2") == 5
    second = made_up_scan("e2.mp4", [(5, range(50)), (4, range(20))], seed=2)
    assert {i: n for i, (n, _) in match(second, cast).items()} == {"P2": "Dora"}
    with pytest.raises(SelectionError):
        add_from_scan(cast, "Eve", first, "P9")


def test_a_series_is_one_table_with_strangers_linked(cast: Cast) -> None:
    scans = [
        made_up_scan("e1.mp4", [(0, range(50)), (40, range(25))], seed=1),
        made_up_scan("e2.mp4", [(40, range(75)), (41, range(50))], seed=2),
        made_up_scan("e3.mp4", [(1, range(25)), (0, range(25)), (40, range(5))], seed=3),
    ]
    table = series_table(scans, cast)
    rows = {row.name: [float(s) for s in row.seconds] for row in table.rows}
    assert rows == {
        "Anna": [2.0, 0.0, 1.0],
        "Ben": [0.0, 0.0, 1.0],
        "new 1": [1.0, 3.0, 0.2],
        "new 2": [0.0, 2.0, 0.0],
    }
    assert [row.name for row in table.rows] == ["Anna", "Ben", "new 1", "new 2"]
    assert json.loads(json.dumps(table.to_json()))["people"][2]["ids"] == [["P2"], ["P1"], ["P3"]]


def test_a_series_without_a_cast_still_links_people(tmp_path: Path) -> None:
    scans = [
        made_up_scan("e1.mp4", [(7, range(50))]),
        made_up_scan("e2.mp4", [(7, range(50))], seed=2),
    ]
    table = series_table(scans, Cast(tmp_path / "none.sqlite"))
    assert [(row.name, len(row.seconds)) for row in table.rows] == [("new 1", 2)]


# --- handing on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".zip", ".json"])
def test_a_cast_survives_export_and_import(cast: Cast, tmp_path: Path, suffix: str) -> None:
    jpeg = b"\xff\xd8\xff\xe0 small"
    cast.add("Dora", faces(9, 1), thumbnails=[jpeg], sources=["/home/somebody/private/d.jpg"])
    out = tmp_path / f"cast{suffix}"
    assert cast.export(out) == 4
    other = Cast(tmp_path / "other.sqlite")
    assert other.load(out) == 13
    np.testing.assert_array_equal(cast.vectors()[0], other.vectors()[0])
    assert other.thumbnail("dora") == jpeg
    assert other.key == KEY
    # Where the files of the sender lie is not told.
    assert other.members()[-1].sources == ("d.jpg",)
    # Importing again adds nothing.
    assert other.load(out) == 0


def _exported(cast: Cast, tmp_path: Path) -> dict:
    cast.export(tmp_path / "good.json")
    return json.loads((tmp_path / "good.json").read_text(encoding="utf-8"))


def _b64(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(format="facepick-cast/9"),
        lambda d: d.update(dimension=10**9),
        lambda d: d.update(people={"a": 1}),
        lambda d: d["people"][1].update(name="x\x1b[2J"),
        lambda d: d["people"][1].update(name=["x"]),
        lambda d: d["people"][1]["faces"][0].update(embedding="AAAA"),
        lambda d: d["people"][1]["faces"][0].update(embedding="!!!"),
        lambda d: d["people"][1]["faces"][0].update(embedding=_b64(np.full(128, np.inf))),
        lambda d: d["people"][1]["faces"][0].update(embedding=_b64(np.zeros(128))),
        lambda d: d["people"][1]["faces"][0].update(quality=float("nan")),
        lambda d: d["people"][1]["faces"][0].update(thumbnail=base64.b64encode(b"GIF8").decode()),
        lambda d: d["people"][1]["faces"][0].update(source="s" * 1000),
        lambda d: d["people"][1]["faces"].append(None),
        lambda d: d.pop("model"),
    ],
)
def test_a_spoilt_export_changes_nothing(cast: Cast, tmp_path: Path, spoil) -> None:
    data = _exported(cast, tmp_path)
    spoil(data)
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(data))
    target = Cast(tmp_path / "target.sqlite")
    with pytest.raises(UserInputError):
        target.load(bad)
    assert target.members() == []


def test_files_that_are_no_export(tmp_path: Path) -> None:
    target = Cast(tmp_path / "target.sqlite")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("../../evil.json", "{}")
    for path in (deep, empty, tmp_path / "missing.json"):
        with pytest.raises(UserInputError, match="no cast that can be imported"):
            target.load(path)
    assert not (tmp_path.parent / "evil.json").exists()


def test_a_zip_that_unfolds_without_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facepick.recognition.cast._MAX_BYTES", 100_000)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cast.json", " " * 10_000_000)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(UserInputError, match="larger than"):
        Cast(tmp_path / "target.sqlite").load(bomb)


def test_import_of_another_model_is_refused(cast: Cast, tmp_path: Path) -> None:
    data = _exported(cast, tmp_path)
    data["version"] = "0123456789ab"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(data))
    with pytest.raises(UserInputError, match="cannot be used with"):
        cast.load(other)
    assert cast.key == CastKey("sface", KEY.version, "five")
