"""Nothing is overwritten unasked, and nothing is left half done."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from facepick import publishing
from facepick.errors import TargetTaken
from facepick.publishing import Staging, place, set_aside, sweep, write_output

WAYS = ("_renamed", "_linked", "_reserved")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    (tmp_path / "user").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_is_taken_is_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(publishing, "_WAYS", (getattr(publishing, way),))
    part, target = tmp_path / "part", tmp_path / "target"
    part.write_text("new")
    target.write_text("precious")
    with pytest.raises(FileExistsError):
        place(part, target)
    assert (part.read_text(), target.read_text()) == ("new", "precious")
    target.unlink()
    target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        place(part, target)
    target.unlink()
    place(part, target)
    assert target.read_text() == "new"
    assert not part.exists()


@pytest.mark.parametrize("way", WAYS)
def test_of_many_that_want_a_name_one_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(publishing, "_WAYS", (getattr(publishing, way),))
    target = tmp_path / "target"
    parts = [tmp_path / f"part{number}" for number in range(16)]
    for part in parts:
        part.write_text(part.name)

    def taken(part: Path) -> bool:
        try:
            place(part, target)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(taken, parts))
    assert won.count(True) == 1
    assert target.read_text() == parts[won.index(True)].name
    assert [p for p in parts if p.exists()] == [
        p for p, mine in zip(parts, won, strict=True) if not mine
    ]


def test_a_file_system_without_the_quick_ways_uses_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """exFAT and network shares know neither links nor, at times, exclusive renames."""

    def unsupported(*_: Any) -> None:
        raise publishing._Unsupported

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(
        publishing, "_WAYS", (unsupported, publishing._linked, publishing._reserved)
    )
    monkeypatch.setattr(publishing.os, "link", refuse)
    part = tmp_path / "part"
    part.write_text("new")
    place(part, tmp_path / "target")
    assert (tmp_path / "target").read_text() == "new"


def test_what_is_set_aside_is_kept_every_time(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "a.json").write_text(f"{number}")
        set_aside(tmp_path / "a.json")
    kept = sorted(p.read_text() for p in tmp_path.glob("a.json.unreadable-*"))
    assert kept == ["0", "1", "2"]
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "x").write_text("x")
    aside = set_aside(tmp_path / "scan")
    assert aside is not None
    assert (aside / "x").is_file()
    assert set_aside(tmp_path / "nothing") is None


def test_an_output_replaces_only_what_facepick_wrote_and_nobody_changed(tmp_path: Path) -> None:
    file = tmp_path / "user" / "people.json"
    write_output(file, "one")
    write_output(file, "two")
    assert file.read_text() == "two"
    file.write_text("my own notes")
    with pytest.raises(TargetTaken, match="people"):
        write_output(file, "three")
    assert file.read_text() == "my own notes"
    write_output(file, b"four", force=True)
    assert file.read_text() == "four"
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_leaves_the_old_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "user" / "people.json"
    write_output(file, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(publishing.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_output(file, "new")
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_files_that_belong_together_come_together_or_not_at_all(tmp_path: Path, home: Path) -> None:
    user = tmp_path / "user"
    report, video = user / "a.json", user / "a.mp4"
    report.write_text("old report")
    video.write_text("precious")

    def publish(*replaceable: Path) -> None:
        with Staging() as staging:
            parts = [staging.part(report), staging.part(video)]
            for part in parts:
                part.write_text("new")
            pairs = [(parts[0], report), (parts[1], video)]
            staging.publish(pairs, may_replace=lambda path: path in replaceable)

    with pytest.raises(TargetTaken):
        publish(report)
    assert (report.read_text(), video.read_text()) == ("old report", "precious")
    publish(report, video)
    assert (report.read_text(), video.read_text()) == ("new", "new")
    assert sorted(user.iterdir()) == [report, video]
    assert not list((home / "unfinished").iterdir())


def test_a_sweep_leaves_what_is_at_work_alone(tmp_path: Path, home: Path) -> None:
    target = tmp_path / "user" / "a.mp4"
    with Staging() as staging:
        part = staging.part(target)
        part.write_text("half")
        assert sweep() == 0
        assert part.exists()
    assert not part.exists()


def test_a_note_that_leads_elsewhere_removes_nothing(tmp_path: Path, home: Path) -> None:
    precious = tmp_path / "user" / "a.mp4"
    precious.write_text("precious")
    folder = home / "unfinished"
    folder.mkdir(parents=True)
    (folder / "1.lock").touch()
    (folder / "1.json").write_text(f'{{"parts": ["{precious.as_posix()}"], "steps": []}}')
    (folder / "2.lock").touch()
    (folder / "2.json").write_text("{broken")
    assert sweep() == 2
    assert precious.read_text() == "precious"
    assert [p.name.split(".unreadable")[0] for p in folder.iterdir()] == ["2.json"]


def test_parts_have_short_names(tmp_path: Path) -> None:
    """The target's own name may be as long as the file system allows."""
    target = tmp_path / "user" / ("b" * 251 + ".mp4")
    write_output(target, "x")
    assert target.read_text() == "x"
    assert os.listdir(target.parent) == [target.name]
