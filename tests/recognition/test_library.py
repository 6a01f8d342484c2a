"""The library: what is known by content, who is found where, and what of it can be used."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.recognition.people_footage import faces, made_up_scan

from facepick.cli.main import main
from facepick.errors import UserInputError
from facepick.people.person import Scan
from facepick.recognition import library as module
from facepick.recognition.library import Library
from facepick.recognition.library_page import page_files
from facepick.recognition.naming import key_of_model

KEY = key_of_model("sface")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library.sqlite")


def scan_of(path: Path, *people: int, content: bytes = b"") -> Scan:
    """A made-up scan of a file that is there; P1, P2, ... by their numbers in `faces`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or path.name.encode())
    seen = [(person, range(40 * at, 40 * at + 30)) for at, person in enumerate(people)]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(made_up_scan(str(path), seen), content_hash=digest)


def labels(library: Library, person: int, **more: float) -> list[tuple[str, str]]:
    found = library.find(faces(person, 1, seed=9), KEY, **more)
    return [(item.video.name, item.person) for item in found]


def test_a_person_is_found_in_every_video_and_nobody_else(library: Library, tmp_path: Path) -> None:
    library.add(scan_of(tmp_path / "a.mp4", 0, 1))
    library.add(scan_of(tmp_path / "b.mp4", 2, 0))
    library.add(scan_of(tmp_path / "c.mp4", 3))
    assert sorted(labels(library, 0)) == [("a.mp4", "P1"), ("b.mp4", "P2")]
    assert labels(library, 7) == []
    best = library.find(faces(1, 1, seed=9), KEY)[0]
    assert best.sure > 0.9
    assert best.spans
    assert all(0 <= a < b for a, b in best.spans)


def test_a_video_is_known_by_content_wherever_it_lies(library: Library, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    library.add(scan_of(video, 0))
    assert library.knows(video)
    moved = tmp_path / "elsewhere" / "b.mp4"
    moved.parent.mkdir()
    video.rename(moved)
    assert library.knows(moved)
    assert labels(library, 0) == [("b.mp4", "P1")]
    assert library.forget_missing() == 0
    assert [p.name for p in library.videos()[0].places] == ["b.mp4"]
    # Another video at a known place is another video, and the old one is nowhere.
    scan = scan_of(moved, 1, content=b"something else")
    assert not library.knows(moved)
    library.add(scan)
    assert labels(library, 0) == []
    assert labels(library, 1) == [("b.mp4", "P1")]


def test_adding_again_takes_the_place_of_what_was_known(library: Library, tmp_path: Path) -> None:
    for _ in range(2):
        library.add(scan_of(tmp_path / "a.mp4", 0, 1))
    assert [video.people for video in library.videos()] == [2]
    assert labels(library, 0) == [("a.mp4", "P1")]


def test_a_video_without_anybody_is_known(library: Library, tmp_path: Path) -> None:
    video = tmp_path / "nobody.mp4"
    library.add(scan_of(video))
    assert library.knows(video)
    library.add(scan_of(tmp_path / "a.mp4", 0))
    assert labels(library, 0) == [("a.mp4", "P1")]


def test_forgetting_a_folder_leaves_its_neighbour(library: Library, tmp_path: Path) -> None:
    library.add(scan_of(tmp_path / "one" / "a.mp4", 0))
    library.add(scan_of(tmp_path / "one more" / "b.mp4", 0))
    assert library.forget([tmp_path / "one"]) == 1
    assert labels(library, 0) == [("b.mp4", "P1")]


def test_an_index_finds_whom_comparing_everything_finds(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    for number in range(60):
        library.add(scan_of(tmp_path / f"{number:02}.mp4", number % 20, 100 + number))
    exact = sorted(labels(library, 3))
    assert len(exact) == 3
    monkeypatch.setattr(module, "EXACT_UP_TO", 50)
    monkeypatch.setattr("facepick.recognition.face_index.EXACT_UP_TO", 50)
    assert sorted(labels(library, 3)) == exact
    # What came since is compared one by one, what was forgotten is not found.
    library.add(scan_of(tmp_path / "late.mp4", 3))
    library.forget([tmp_path / "03.mp4"])
    late = sorted({*exact, ("late.mp4", "P1")} - {("03.mp4", "P1")})
    assert sorted(labels(library, 3)) == late


def test_without_faiss_a_large_library_is_compared_one_by_one(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(scan_of(tmp_path / "a.mp4", 0))
    monkeypatch.setattr(module, "EXACT_UP_TO", 1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert labels(library, 0) == [("a.mp4", "P1")]


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, by far not a database")
    with pytest.raises(UserInputError, match="no library that can be read"):
        Library(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as base:
        base.execute("CREATE TABLE things (id INTEGER)")
    with pytest.raises(UserInputError, match="database of something else"):
        Library(other)


def test_the_page_escapes_what_comes_from_files(library: Library, tmp_path: Path) -> None:
    library.add(scan_of(tmp_path / "<b>&.mp4", 0))
    found = library.find(faces(0, 1), KEY)
    for language in ("en", "zh"):
        page = page_files(['<script>"'], found, language=language)["index.html"].decode()
        assert "<b>&.mp4" not in page
        assert "<script" not in page
        assert "%3Cb%3E&amp;.mp4#t=" in page or "%3Cb%3E%26.mp4#t=" in page


# --- real media ---------------------------------------------------------------------------------


@pytest.fixture
def season(
    tmp_path: Path,
    odd: Callable[[str], Path],
    shared_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    people_known: Callable[[Path], None],
) -> Path:
    """A folder with one clip of two people, a copy of it, and a broken file."""
    people_known(tmp_path / "home")
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    folder = tmp_path / "season"
    (folder / "below").mkdir(parents=True)
    shutil.copyfile(odd("base_640x360.mp4"), folder / "ep01.mp4")
    shutil.copyfile(odd("base_640x360.mp4"), folder / "below" / "copy.mp4")
    (folder / "ep02.mp4").write_bytes(b"no video\n")
    return folder


def test_a_folder_is_added_once_and_a_photo_finds_the_one_in_it(
    season: Path, photos: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["library", "add", str(season), "--json", "-", "--progress", "none"]) == 5
    told = capsys.readouterr()
    data = json.loads(told.out)
    by_name = {Path(v["video"]).name: v for v in data["videos"]}
    # What is in a file counts, not its name: the second of the two is known.
    assert sorted(v["status"] for v in data["videos"]) == ["added", "failed", "known"]
    assert by_name["ep02.mp4"]["status"] == "failed"
    assert "ep02.mp4" in told.err
    (season / "ep02.mp4").unlink()
    assert main(["library", "add", str(season), "--progress", "none"]) == 0
    assert "0 videos added, 2 known, 0 failed" in capsys.readouterr().out

    found = season.parent / "found.json"
    page = season.parent / "page"
    anna = str(photos("anna/1.jpg"))
    words = ["--json", str(found), "--gallery", str(page), "--progress", "none"]
    assert main(["library", "find", anna, *words]) == 0
    (entry,) = json.loads(found.read_text())["found"]
    assert entry["sure"] > 0.9
    assert 0 <= entry["appearances"][0]["from"] < entry["appearances"][0]["to"] <= 6.1
    assert sorted(p.name for p in page.iterdir()) == ["0001.jpg", "index.html"]
    capsys.readouterr()

    # The same person by a person of a video, and what was found as a batch.
    assert main(["library", "find", f"{season / 'ep01.mp4'}:{entry['person']}", "--json", "-"]) == 0
    same = json.loads(capsys.readouterr().out)["found"]
    assert [item["person"] for item in same] == [entry["person"]]
    assert main(["cast", "add", "Anna", anna, "--progress", "none"]) == 0
    capsys.readouterr()
    assert main(["library", "find", "cast:anna", "--videos", "--progress", "none"]) == 0
    assert capsys.readouterr().out.splitlines() == [entry["video"]]
    assert main(["library", "find", "cast:nobody", "--progress", "none"]) == 2
    assert "In it: Anna" in capsys.readouterr().err
    flow = ["--person", f"photo:{anna}", "--flow", "hide"]
    out = str(season.parent / "out")
    assert main(["batch", str(found), "-o", out, *flow, "--dry-run"]) == 0
    assert Path(entry["video"]).name in capsys.readouterr().out

    assert main(["library", "find", str(photos("carl/1.jpg"))]) == 0
    assert "Nobody in the library" in capsys.readouterr().err


def test_two_at_once_add_what_one_adds(
    season: Path, odd: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (season / "ep02.mp4").unlink()
    assert main(["library", "add", str(season), "--jobs", "2", "--progress", "none"]) == 0
    videos = Library(season.parent / "home" / "library.sqlite").videos()
    assert [len(video.places) for video in videos] in ([1], [2])
    assert [video.people for video in videos] == [2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["find", "nowhere.jpg"], "The library is empty"),
        (["forget"], "No video is named"),
        (["add", "nowhere"], "There is no file nowhere"),
        (["find", "x.jpg", "--sure", "2"], "must be a number from 0 to 1"),
    ],
)
def test_wrong_requests_are_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["library", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_list_that_was_not_found_is_refused_as_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "found.json").write_text('{"format": "something"}')
    words = ["batch", str(tmp_path / "found.json"), "-o", str(tmp_path / "out")]
    assert main([*words, "--person", "P1", "--flow", "hide"]) == 2
    assert "no list of found videos" in capsys.readouterr().err
