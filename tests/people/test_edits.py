"""Corrections, and that they survive a scan with other settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facepick.cli.main import main
from facepick.errors import SelectionError
from facepick.faces.detection import Box
from facepick.media.video import VideoInfo
from facepick.people.edits import (
    Add,
    Cut,
    Edit,
    Ignore,
    Include,
    Merge,
    Move,
    Rename,
    Split,
    add_edit,
    apply_edits,
    edits_problem,
    load_edits,
    store_edits,
    try_edits,
    undo_edit,
)
from facepick.people.follow import follow_box
from facepick.people.person import Person, Scan
from facepick.people.track import FaceTrack
from facepick.shots.shot import Shot

HASH = "ab" * 32


def track(name: str, start: int, stop: int, x: float, shot: int = 0) -> FaceTrack:
    n = stop - start
    return FaceTrack(
        name,
        shot,
        np.arange(start, stop, dtype=np.int32),
        np.tile(np.float32([x, 100, x + 100, 220]), (n, 1)),
        np.zeros((n, 5, 2), np.float32),
        np.ones(n, np.float32),
        np.zeros(n, np.uint8),
    )


def person(name: str, *tracks: str, unsure: bool = False) -> Person:
    return Person(
        id=name,
        track_ids=tracks,
        exemplars=np.zeros((1, 4), np.float32),
        frames=1,
        screen_time=Fraction(1),
        unsure=unsure,
    )


def scan_of(tracks: tuple[FaceTrack, ...], people: tuple[Person, ...]) -> Scan:
    info = VideoInfo(
        path=Path("a.mp4"), width=1280, height=720, pixel_format="yuv420p", codec="h264",
        time_base=Fraction(1, 25),
    )  # fmt: skip
    return Scan(
        video=info,
        content_hash=HASH,
        pts=np.arange(300, dtype=np.int64),
        duration_pts=1,
        shots=(Shot(0, 0, 100), Shot(1, 100, 200), Shot(2, 200, 300)),
        tracks=tracks,
        people=people,
    )


@pytest.fixture
def scan() -> Scan:
    tracks = (
        track("T1", 0, 100, 100),
        track("T2", 0, 100, 700),
        track("T3", 100, 200, 400, 1),
        track("T4", 200, 300, 300, 2),
        track("T5", 200, 240, 900, 2),
    )
    return scan_of(
        tracks,
        (
            person("P1", "T1", "T4"),
            person("P2", "T2"),
            person("P3", "T3"),
            person("P4", "T5", unsure=True),
        ),
    )


@pytest.fixture
def rescan() -> Scan:
    """The same video with other settings: boxes a little off, other ids, one track in two."""
    tracks = (
        track("T1", 2, 98, 706),
        track("T2", 1, 60, 104),
        track("T3", 62, 100, 97),
        track("T4", 101, 200, 405, 1),
        track("T5", 200, 299, 296, 2),
    )
    return scan_of(tracks, (person("P1", "T1"), person("P2", "T2", "T3", "T5"), person("P3", "T4")))


def owner_at(scan: Scan, frame: int, x: float) -> str | None:
    for p in scan.people:
        for t in scan.tracks_of(p.id):
            box = t.box_at(frame)
            if box is not None and abs(box.x0 - x) < 20:
                return p.id
    return None


def edited(scan: Scan, cache: Path, *edits: Edit) -> Scan:
    for edit in edits:
        scan = add_edit(cache, scan, edit)
    return scan


def test_merge_makes_one_of_two_and_counts_anew(scan: Scan, tmp_path: Path) -> None:
    after = edited(scan, tmp_path, Merge(people=("P2", "P3")))
    assert [p.id for p in after.people] == ["P1", "P2", "P4"]
    merged = after.person("P2")
    assert merged.track_ids == ("T2", "T3")
    assert merged.frames == 200
    assert merged.screen_time == Fraction(200, 25)


def test_who_is_on_screen_together_cannot_be_merged(scan: Scan, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="frame 0"):
        add_edit(tmp_path, scan, Merge(people=("P1", "P2")))
    assert load_edits(tmp_path, HASH) == ()


def test_where_a_merged_person_is_in_two_places_the_weaker_face_is_cut_off(
    tmp_path: Path,
) -> None:
    """T2 had slid onto a hand for its last twenty frames, where T1 begins with the face."""
    slid = track("T2", 40, 120, 300)
    score = slid.score.copy()
    score[60:] = 0.5
    scan = scan_of(
        (track("T1", 100, 200, 100), replace(slid, score=score)),
        (replace(person("P1", "T1"), frames=100), replace(person("P2", "T2"), frames=80)),
    )
    after = edited(scan, tmp_path, Merge(people=("P1", "P2")))
    (both,) = after.people
    assert {t.id: (t.start, t.stop) for t in after.tracks} == {
        "T1": (100, 200),
        "T2": (40, 100),
        "T3": (100, 120),
    }
    assert (both.track_ids, both.frames) == (("T1", "T2"), 160)
    assert owner_at(after, 110, 300) is None
    again = apply_edits(scan, load_edits(tmp_path, HASH))
    assert [(t.id, t.start, t.stop) for t in again.tracks] == [
        (t.id, t.start, t.stop) for t in after.tracks
    ]


def test_who_may_be_somebody_follows_the_corrections(scan: Scan, tmp_path: Path) -> None:
    *rest, last = scan.people
    doubtful = replace(last, may_be=(("P3", 0.4), ("P1", 0.3)), group="bystanders")
    scan = replace(scan, people=(*rest, doubtful))
    after = edited(scan, tmp_path, Merge(people=("P2", "P3")))
    assert after.person("P4").may_be == (("P2", 0.4), ("P1", 0.3))
    sure = edited(after, tmp_path, Include(person="P4")).person("P4")
    assert (sure.may_be, sure.group) == ((), None)


def test_split_gives_a_new_person_the_next_id(scan: Scan, tmp_path: Path) -> None:
    after = edited(scan, tmp_path, Split(person="P1", tracks=("T4",)))
    assert after.person("P1").track_ids == ("T1",)
    assert after.person("P5").track_ids == ("T4",)
    with pytest.raises(SelectionError, match="Nothing would be left"):
        add_edit(tmp_path, scan, Split(person="P2", tracks=("T2",)))
    with pytest.raises(SelectionError, match="no track T3"):
        add_edit(tmp_path, scan, Split(person="P2", tracks=("T3",)))


def test_move_takes_a_track_to_another(scan: Scan, tmp_path: Path) -> None:
    after = edited(scan, tmp_path, Move(tracks=("T4",), to="P2"))
    assert after.person("P2").track_ids == ("T2", "T4")
    assert after.person("P1").track_ids == ("T1",)
    with pytest.raises(SelectionError, match="elsewhere"):
        add_edit(tmp_path, scan, Move(tracks=("T1",), to="P2"))


def test_rename_ignore_include(scan: Scan, tmp_path: Path) -> None:
    after = edited(
        scan,
        tmp_path,
        Rename(person="P1", name=" Anna "),
        Ignore(person="P2"),
        Include(person="P4"),
    )
    assert after.person("anna").id == "P1"
    assert after.person("P2").ignored
    assert not after.person("P4").unsure
    assert not edited(after, tmp_path, Ignore(person="P2", ignored=False)).person("P2").ignored


@pytest.mark.parametrize("name", ["P3", "t12", "x" * 81, "a\nb"])
def test_names_that_cannot_be(scan: Scan, tmp_path: Path, name: str) -> None:
    with pytest.raises(SelectionError):
        add_edit(tmp_path, scan, Rename(person="P1", name=name))


def test_a_name_is_one_persons(scan: Scan, tmp_path: Path) -> None:
    named = edited(scan, tmp_path, Rename(person="P1", name="Anna"))
    with pytest.raises(SelectionError, match="called"):
        add_edit(tmp_path, named, Rename(person="P2", name="ANNA"))


def test_corrections_survive_a_scan_with_other_settings(
    scan: Scan, rescan: Scan, tmp_path: Path
) -> None:
    edited(
        scan,
        tmp_path,
        Rename(person="P1", name="Anna"),
        Split(person="P1", tracks=("T4",)),
        Merge(people=("P2", "P3")),
        Ignore(person="P2"),
    )
    after = apply_edits(rescan, load_edits(tmp_path, HASH))
    anna = after.person("Anna")
    assert owner_at(after, 50, 100) == anna.id
    assert owner_at(after, 80, 100) == anna.id
    assert owner_at(after, 250, 300) != anna.id
    both = owner_at(after, 50, 700)
    assert both is not None
    assert owner_at(after, 150, 400) == both
    assert after.person(both).ignored


def test_a_correction_about_nobody_is_passed_over(scan: Scan, tmp_path: Path) -> None:
    edited(scan, tmp_path, Rename(person="P4", name="Zoe"))
    bare = scan_of(scan.tracks[:2], (person("P1", "T1"), person("P2", "T2")))
    after = apply_edits(bare, load_edits(tmp_path, HASH))
    assert [p.name for p in after.people] == [None, None]


def test_replaying_the_stored_list_gives_the_same(scan: Scan, tmp_path: Path) -> None:
    after = edited(scan, tmp_path, Merge(people=("P3", "P2")), Split(person="P1", tracks=("T4",)))
    again = apply_edits(scan, load_edits(tmp_path, HASH))
    assert [(p.id, p.track_ids, p.frames) for p in again.people] == [
        (p.id, p.track_ids, p.frames) for p in after.people
    ]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"version": 1}', '{"version": 9, "content_hash": "x", "edits": []}', "\x00"],
)
def test_a_damaged_list_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{HASH[:16]}.edits.json").write_text(text)
    assert load_edits(tmp_path, HASH) == ()


def test_undo_on_a_real_scan(scanned: Callable[[str], Scan], cache: Path) -> None:
    scan = scanned("no_audio.mp4")
    first = scan.people[0].track_ids[-1]
    after = add_edit(cache, scan, Split(person="P1", tracks=(first,)))
    assert [p.id for p in after.people] == ["P1", "P2", "P3"]
    assert after.person("P3").thumbnails == (f"{first}.jpg",)
    named = add_edit(cache, after, Rename(person="P3", name="Somebody"))
    back = undo_edit(cache, named)
    assert back.person("P3").name is None
    whole = undo_edit(cache, back)
    assert [p.track_ids for p in whole.people] == [p.track_ids for p in scan.people]
    assert undo_edit(cache, whole) is whole


def test_a_scan_in_another_place_is_not_changed(scan: Scan, tmp_path: Path) -> None:
    edited(scan, tmp_path, Rename(person="P1", name="Anna"))
    other = replace(scan, content_hash="cd" * 32)
    assert load_edits(tmp_path, other.content_hash) == ()


def test_corrections_of_two_processes_are_all_kept(scan: Scan, tmp_path: Path) -> None:
    def rename(number: int) -> None:
        add_edit(tmp_path, scan, Rename(person="P1", name=f"name {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(rename, range(24)))
    kept = {edit.name for edit in load_edits(tmp_path, scan.content_hash)}
    assert kept == {f"name {number}" for number in range(24)}


UNREADABLE = [
    '{"version": 2, "content_hash": "HASH", "edits": [], "new": 1}',
    '{"version": 1, "content_hash": "HASH", "edits": [{"action": "beautify", "people": []}]}',
    "{broken",
]


@pytest.mark.parametrize("text", UNREADABLE)
@pytest.mark.parametrize("undo", [False, True])
def test_corrections_that_cannot_be_read_are_told_and_never_overwritten(
    scan: Scan, tmp_path: Path, text: str, undo: bool
) -> None:
    file = tmp_path / f"{HASH[:16]}.edits.json"
    text = text.replace("HASH", HASH)
    file.write_text(text)
    problem = edits_problem(tmp_path, HASH)
    assert problem is not None
    assert str(file) in problem.sentence()
    assert undo_edit(tmp_path, scan) is scan
    assert file.read_text() == text, "looking at them leaves them where they are"
    edit = [Rename(person="P1", name="Anna")]
    aside = store_edits(tmp_path, try_edits(tmp_path, scan, edit, undo=undo))
    assert aside is not None
    assert aside.read_text() == text
    assert [c.name for c in load_edits(tmp_path, HASH)] == ["Anna"]
    assert edits_problem(tmp_path, HASH) is None


def test_of_several_corrections_all_are_kept_or_none(scan: Scan, tmp_path: Path) -> None:
    add_edit(tmp_path, scan, Rename(person="P1", name="Anna"))
    before = load_edits(tmp_path, HASH)
    wanted = [Merge(people=("P2", "P3")), Rename(person="P9", name="Nobody")]
    with pytest.raises(SelectionError, match="P9"):
        try_edits(tmp_path, scan, wanted)
    assert load_edits(tmp_path, HASH) == before
    # A later one may name what an earlier one has made.
    tried = try_edits(
        tmp_path, scan, [Split(person="P1", tracks=("T4",)), Rename(person="P5", name="Ben")]
    )
    assert load_edits(tmp_path, HASH) == before
    store_edits(tmp_path, tried)
    assert len(load_edits(tmp_path, HASH)) == 3
    assert tried.scan.person("Ben").track_ids == ("T4",)


@pytest.mark.parametrize("before", [False, True])
def test_what_is_cut_off_a_track_is_somebody_unsure(tmp_path: Path, before: bool) -> None:
    scan = scan_of(
        (track("T1", 0, 100, 100), track("T2", 0, 100, 600)),
        (person("P1", "T1"), person("P2", "T2")),
    )
    cut = add_edit(tmp_path, scan, Cut(track="T1", frame=40, before=before))
    kept, off = cut.tracks_of("P1")[0], cut.tracks_of("P3")[0]
    assert cut.person("P3").unsure
    assert not cut.person("P1").unsure
    late, early = (kept, off) if before else (off, kept)
    assert (early.start, len(early)) == (0, 40)
    assert (late.start, len(late)) == (40, 60)
    assert cut.tracks_of("P2")[0].id == "T2"
    # After another scan, and taken back.
    again = apply_edits(scan, load_edits(tmp_path, HASH))
    assert [p.id for p in again.people] == [p.id for p in cut.people]
    assert [len(t) for t in again.tracks] == [len(t) for t in cut.tracks]


def test_a_cut_must_lie_inside_its_track(tmp_path: Path) -> None:
    scan = scan_of((track("T1", 10, 100, 100),), (person("P1", "T1"),))
    for edit in (Cut(track="T1", frame=10), Cut(track="T1", frame=100), Cut(track="T9", frame=20)):
        with pytest.raises(SelectionError):
            add_edit(tmp_path, scan, edit)
    assert load_edits(tmp_path, HASH) == ()


def test_an_added_face_is_of_somebody_there_or_of_somebody_new(tmp_path: Path) -> None:
    scan = scan_of((track("T1", 0, 50, 100),), (person("P1", "T1"),))
    rows = tuple((f, 600.0, 100.0, 700.0, 220.0) for f in range(40, 90))
    new = add_edit(tmp_path, scan, Add(rows=rows, to="Anna"))
    anna = new.person("Anna")
    assert anna.id == "P2"
    assert not anna.unsure
    assert anna.frames == 50
    assert new.tracks_of("P2")[0].box_at(60).iou(Box(600, 100, 700, 220)) > 0.99
    # P1 is elsewhere up to frame 50: nobody is in two places.
    other = add_edit(tmp_path / "b", scan, Add(rows=rows, to="P1"))
    assert other.person("P1").frames == 90
    assert [p.id for p in other.people] == ["P1"]
    assert apply_edits(scan, load_edits(tmp_path, HASH)).person("Anna").frames == 50
    with pytest.raises(SelectionError):
        add_edit(tmp_path, scan, Add(rows=rows[:5], to="P1"))


@pytest.mark.slow
def test_a_box_is_followed_as_the_scan_follows_the_face(scanned: Callable[[str], Scan]) -> None:
    found = scanned("base_640x360.mp4")
    truth = found.tracks_of("P2")[0]
    frame = int(truth.frames[len(truth) // 2])
    rows = follow_box(found, frame, truth.box_at(frame))
    boxes = {int(f): Box(*xyxy) for f, *xyxy in rows}
    assert frame in boxes
    shared = [f for f in truth.frames.tolist() if f in boxes]
    assert len(shared) > 0.95 * len(truth)
    overlap = [boxes[f].iou(truth.box_at(f)) for f in shared]
    assert np.quantile(overlap, 0.1) > 0.5


def test_the_command_cuts_and_adds(
    odd: Callable[[str], Path],
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    people_known: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    people_known(tmp_path / "home")
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    clip = str(odd("base_640x360.mp4"))
    out = tmp_path / "people.json"

    def people(*words: str) -> list[dict[str, object]]:
        assert main(["people", clip, "--json", str(out), "--force", *words]) == 0
        return json.loads(out.read_text("utf-8"))["people"]

    count = len(people())
    assert len(people("--cut", "T1@2.0")) == count + 1
    named = people("--add", "1.0:250,20,330,110=Somebody")
    assert "Somebody" in [p["name"] for p in named]
    assert len(people("--undo")) == count + 1
    assert len(people("--undo")) == count
    for wrong in (["--cut", "T1"], ["--cut", "T1@900"], ["--cut", "T99@1"], ["--add", "1:2,3=A"],
                  ["--add", "1:0,0,9000,10=A"], ["--add", "nan:0,0,50,50=A"]):  # fmt: skip
        assert main(["people", clip, *wrong]) == 2
    assert len(people()) == count
