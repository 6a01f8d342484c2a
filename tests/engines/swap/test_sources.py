"""What may be named as a source face: photos, people of videos, the cast, saved sources."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.contracts.face_footage import frames_of

from facepick.app import App
from facepick.cli import main
from facepick.engines.swap.resolve import SourceResolver, split_person
from facepick.engines.swap.saved import SavedSources
from facepick.engines.swap.source import best_photos, load_sources, mouth_openness
from facepick.engines.swap.source_picker import faces_in_photos
from facepick.errors import NoFacesFound, SelectionError, UserInputError
from facepick.faces.alignment import align
from facepick.faces.analyzers.sface import SFaceEmbedder
from facepick.host.standalone import StandaloneHost
from facepick.models.catalog import SFACE
from facepick.models.store import ModelStore, default_store
from facepick.people.finder import find_people
from facepick.people.person import Scan
from facepick.recognition.cast import Cast, CastKey
from facepick.render.plan import RenderPlan


@pytest.fixture(scope="module")
def models(shared_models: Path) -> ModelStore:
    return default_store([shared_models])


@pytest.fixture(scope="module")
def scan(
    odd: Callable[[str], Path], models: ModelStore, tmp_path_factory: pytest.TempPathFactory
) -> Scan:
    """Two people side by side, then one of them alone."""
    clip = odd("base_640x360.mp4")
    return find_people(clip, models=models, cache=tmp_path_factory.mktemp("scan"))


@pytest.fixture(scope="module")
def photo(shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (image,) = frames_of(shared_media / "video" / "latentsync_demo3.mp4", (8,))
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    path = tmp_path_factory.mktemp("source") / "photo.png"
    cv2.imwrite(str(path), small)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> SavedSources:
    return SavedSources(tmp_path / "sources")


@pytest.fixture
def resolver(scan: Scan, models: ModelStore, saved: SavedSources, tmp_path: Path) -> SourceResolver:
    def scan_of(video: Path) -> Scan:
        assert video == scan.video.path.absolute()
        return scan

    return SourceResolver(
        models,
        saved=saved,
        cast=tmp_path / "cast.sqlite",
        folder=tmp_path / "cut",
        scan_of=scan_of,
    )


def describe(paths: list[Path], models: ModelStore) -> np.ndarray:
    """Mean SFace embedding of the largest faces."""
    embedder = SFaceEmbedder(models.require(SFACE))
    faces = load_sources([str(p) for p in paths], models)
    mean = embedder.embed(np.stack([align(f.image, f.landmarks5) for f in faces])).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


# --- people of videos ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_best_photos_show_the_person_asked_for(
    scan: Scan, models: ModelStore, tmp_path: Path
) -> None:
    for person in (scan.person("P1"), scan.person("P2")):
        paths = best_photos(scan, person.id, models, tmp_path / person.id)
        assert 1 <= len(paths) <= 3
        found = describe(paths, models)
        likeness = {p.id: float(np.max(p.exemplars @ found)) for p in scan.people[:2]}
        assert likeness[person.id] > 0.6
        assert max(likeness, key=lambda key: likeness[key]) == person.id
        photos = [load_sources([str(p)], models)[0] for p in paths]
        # The first photo's lips are closed, though the people speak most of the time.
        assert mouth_openness(photos[0].mesh) < 0.02
        assert photos[0].merit > max(f.merit for f in photos) - 0.3
        # No two photos are of one moment.
        moments = [int(p.stem.rsplit("frame", 1)[1]) for p in paths]
        assert min(abs(a - b) for a, b in combinations(moments, 2)) >= 8


def test_a_person_of_a_video_is_cut_out_once(resolver: SourceResolver, scan: Scan) -> None:
    text = f"{scan.video.path}:P2"
    first = resolver.photos([text])
    assert {origin for _, origin in first} == {text}
    stamps = [path.stat().st_mtime_ns for path, _ in first]
    assert [p.stat().st_mtime_ns for p, _ in resolver.photos([text])] == stamps
    other = resolver.photos([f"{scan.video.path}:P1"])
    assert {p.parent for p, _ in other}.isdisjoint({p.parent for p, _ in first})
    with pytest.raises(SelectionError):
        resolver.photos([f"{scan.video.path}:P77"])


def test_a_colon_alone_makes_no_video(tmp_path: Path) -> None:
    clip, odd_name = tmp_path / "clip.mp4", tmp_path / "clip.mp4:P1"
    clip.touch()
    assert split_person(f"{clip}:P1") == (clip, "P1")
    assert split_person(f"{clip}:") is None
    assert split_person(f"{tmp_path / 'gone.mp4'}:P1") is None
    odd_name.touch()
    assert split_person(str(odd_name)) is None


# --- saved sources ------------------------------------------------------------------------------


def test_a_saved_source_outlives_its_photo(
    resolver: SourceResolver, saved: SavedSources, photo: Path, models: ModelStore, tmp_path: Path
) -> None:
    original = tmp_path / "mine.png"
    shutil.copy(photo, original)
    made = saved.add("Lead actor", [original], models)
    original.unlink()
    assert (made.model, made.version) == ("sface", SFACE.sha256[:12])
    ((path, origin),) = resolver.photos(["lead ACTOR"])
    assert origin == "lead ACTOR"
    assert path.read_bytes() == photo.read_bytes()
    assert path.is_relative_to(saved.folder / "Lead actor")
    kept = json.loads((saved.folder / "Lead actor" / "source.json").read_text())
    vector = np.array(kept["embedding"]["vector"])
    assert float(vector @ describe([photo], models)) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(UserInputError, match="already"):
        saved.add("LEAD actor", [photo], models)
    saved.remove("lead actor")
    assert saved.names() == []
    assert not (saved.folder / "Lead actor").exists()


def test_an_unusable_photo_leaves_nothing_behind(
    saved: SavedSources, photo: Path, models: ModelStore, tmp_path: Path
) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((300, 300, 3), 128, np.uint8))
    with pytest.raises(NoFacesFound):
        saved.add("Nobody", [photo, blank], models)
    assert saved.all() == []
    assert not saved.folder.exists() or list(saved.folder.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "a\\b", ".hidden", "CON", "nul.txt", "a:b", "x."]
)
def test_a_name_that_is_no_folder_is_refused(
    saved: SavedSources, photo: Path, models: ModelStore, name: str
) -> None:
    with pytest.raises(UserInputError, match="no name"):
        saved.add(name, [photo], models)


def test_a_changed_photo_or_file_is_noticed(
    saved: SavedSources, photo: Path, models: ModelStore
) -> None:
    made = saved.add("名字", [photo], models)
    made.photos[0].write_bytes(b"another picture")
    with pytest.raises(UserInputError, match="damaged"):
        saved.get("名字")
    file = saved.folder / "名字" / "source.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["photos"][0]["file"] = "../../secret.png"
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserInputError, match="damaged"):
        saved.all()
    with pytest.raises(UserInputError, match="no source Anna"):
        saved.get("Anna")


# --- the cast -----------------------------------------------------------------------------------


def test_the_cast_leads_back_to_the_pictures_it_was_made_from(
    resolver: SourceResolver, scan: Scan, photo: Path, tmp_path: Path
) -> None:
    cast = Cast(tmp_path / "cast.sqlite", key=CastKey("sface", SFACE.sha256[:12]))
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((300, 300, 3), 128, np.uint8))
    rows = np.eye(128, dtype=np.float32)
    cast.add("Anna", rows[:2], qualities=[0.9, 0.9], sources=[str(blank), str(photo)])
    cast.add("Ben", rows[2:3], qualities=[0.9], sources=[f"{scan.video.path}:P1"])
    cast.add("Chen", rows[3:4], qualities=[0.9], sources=["//server/share/chen.png"])
    cast.add("Dora", rows[4:5], qualities=[0.9], sources=[str(blank)])
    assert resolver.photos(["cast:anna"]) == [(photo, str(photo))]
    of_video = resolver.photos([f"{scan.video.path}:P1"])
    assert [p for p, _ in resolver.photos(["cast:Ben"])] == [p for p, _ in of_video]
    with pytest.raises(UserInputError, match="embeddings and small crops of Chen"):
        resolver.photos(["cast:Chen"])
    with pytest.raises(UserInputError, match="shows no face"):
        resolver.photos(["cast:Dora"])
    with pytest.raises(UserInputError, match="not in the cast"):
        resolver.photos(["cast:Emil"])


# --- the command line ---------------------------------------------------------------------------


def test_the_commands_keep_list_and_remove(
    photo: Path,
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    assert main(["sources", "add", "Anna", str(photo)]) == 0
    assert main(["sources", "list"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split("\t")[:2] == ["Anna", "1 photos"]
    assert main(["sources", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["embedding"] == {"model": "sface", "version": SFACE.sha256[:12]}
    assert main(["sources", "add", "Ben", "nothing.jpg"]) == 2
    assert "no file and no saved source nothing.jpg" in capsys.readouterr().err
    assert main(["sources", "remove", "Anna"]) == 0
    assert main(["sources", "remove", "Anna"]) == 2


@pytest.fixture(scope="module")
def pair(scan: Scan, photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of two people, with the one of `photo` small at the right edge as a third."""
    (image,) = frames_of(scan.video.path, (4,))
    big = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(cv2.imread(str(photo)), (120, 120), interpolation=cv2.INTER_AREA)
    canvas = np.full((big.shape[0], big.shape[1] + 160, 3), 200, np.uint8)
    canvas[:, : big.shape[1]] = big
    canvas[40:160, big.shape[1] + 20 : big.shape[1] + 140] = small
    path = tmp_path_factory.mktemp("pair") / "pair.png"
    cv2.imwrite(str(path), canvas)
    return path


def test_every_face_of_a_photo_is_shown_the_unusable_ones_with_the_reason(
    pair: Path, photo: Path, models: ModelStore, tmp_path: Path
) -> None:
    (first, second) = faces_in_photos(
        [(pair, "pair"), (photo, "photo")], models, folder=tmp_path / "cuts"
    )
    assert [face["number"] for face in first["faces"]] == [1, 2, 3]
    assert [face["usable"] for face in first["faces"]] == [True, True, False]
    assert first["faces"][2]["reason"] == "too_small"
    assert "pixels high" in first["faces"][2]["problem"]
    (alone,) = second["faces"]
    # Three people, and nobody is taken for another one.
    people = [face["person"] for face in (*first["faces"][:2], alone)]
    assert people == [1, 2, 3]
    # A cut stands for its face: the largest face of the cut is the same person's.
    embedder = SFaceEmbedder(models.require(SFACE))
    for number in (1, 2):
        (whole,) = load_sources([str(pair)], models, face=number)
        (cut,) = load_sources([first["faces"][number - 1]["image"]], models)
        a, b = embedder.embed(np.stack([align(f.image, f.landmarks5) for f in (whole, cut)]))
        assert float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) > 0.9
        assert cut.height == pytest.approx(whole.height, rel=0.03)


def test_what_is_no_photo_is_told_beside_those_that_are(
    photo: Path, models: ModelStore, tmp_path: Path
) -> None:
    wrong, blank = tmp_path / "wrong.jpg", tmp_path / "blank.png"
    wrong.write_text("no photo")
    cv2.imwrite(str(blank), np.full((200, 200, 3), 128, np.uint8))
    found = faces_in_photos([(wrong, "a"), (blank, "b"), (photo, "c")], models)
    assert [len(entry["faces"]) for entry in found] == [0, 0, 1]
    assert "no PNG, JPEG or WebP" in found[0]["problem"]
    assert found[1]["problem"] == ""


def test_one_face_of_a_group_is_kept_under_a_name(
    pair: Path, models: ModelStore, saved: SavedSources
) -> None:
    whole = {n: load_sources([str(pair)], models, face=n)[0] for n in (1, 2)}
    kept = saved.add("second", [pair], models, face=2)
    (face,) = load_sources([str(p) for p in kept.photos], models)
    embedder = SFaceEmbedder(models.require(SFACE))
    chips = np.stack([align(f.image, f.landmarks5) for f in (whole[1], whole[2], face)])
    one, two, mine = embedder.embed(chips)
    assert mine @ two > mine @ one
    with pytest.raises(UserInputError, match="3 faces, there is no number 4"):
        saved.add("fourth", [pair], models, face=4)
    assert saved.names() == ["second"]


def test_the_commands_list_faces_and_keep_one(
    pair: Path, shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    assert main(["sources", "faces", str(pair), "--progress", "none"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 3
    assert rows[0].endswith("good")
    assert "pixels high" in rows[2]
    assert main(["sources", "add", "two", str(pair), "--face", "2", "--progress", "none"]) == 0
    assert main(["sources", "add", "three", str(pair), "--face", "3", "--progress", "none"]) == 2
    assert "pixels high" in capsys.readouterr().err


def test_a_plan_file_may_name_its_source(
    photo: Path, shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    app = App(StandaloneHost())
    kept = app.sources.add("Anna", [photo], app.models)
    shutil.copy(photo, tmp_path / "near.png")
    assignment = {"people": ["P1"], "flow": "swap", "engine": "mesh", "consent": "yes"}
    plan = {"format": "facepick-plan/1", "video": "clip.mp4"}
    file = tmp_path / "plan.json"
    sources = ["Anna", "near.png"]
    file.write_text(json.dumps({**plan, "assignments": [{**assignment, "source": sources}]}))
    loaded = RenderPlan.load(file)
    assert loaded.assignments[0].source == ("Anna", str(tmp_path / "near.png"))
    ready = app.with_source_photos(loaded)
    assert ready.assignments[0].source == (str(kept.photos[0]), str(tmp_path / "near.png"))
    file.write_text(json.dumps({**plan, "assignments": [{**assignment, "source": ["Ann"]}]}))
    with pytest.raises(UserInputError, match="no file and no saved source Ann"):
        app.with_source_photos(RenderPlan.load(file))
