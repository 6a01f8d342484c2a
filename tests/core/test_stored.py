"""What an older version stored still loads; what a newer one stored is never overwritten."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.cli import main

STORED = Path(__file__).resolve().parent.parent / "stored"
JOB = "20261130-045900-7792"


@pytest.fixture
def here(
    tmp_path: Path,
    odd: Callable[[str], Path],
    shared_models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with the stored files, as if they had been written in it."""
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*.json"):
        text = path.read_text(encoding="utf-8").replace("@HERE@", tmp_path.as_posix())
        path.write_text(text, encoding="utf-8")
    shutil.copy(odd("base_640x360.mp4"), tmp_path / "clip.mp4")
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    return tmp_path


def run(*arguments: object) -> int:
    return main([*map(str, arguments), "--progress", "none"])


def people_of(here: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Id, frames, name and state of everybody in the clip, and what a person reads of them."""
    capsys.readouterr()
    # The cast would give names, too.
    (here / "home/cast.sqlite").unlink(missing_ok=True)
    assert run("people", here / "clip.mp4") == 0
    read = capsys.readouterr().out
    assert main(["people", str(here / "clip.mp4"), "--json", "--progress", "none"]) == 0
    found = []
    for person in json.loads(capsys.readouterr().out)["people"]:
        name, left_out = person["name"] or "-", person.get("ignored", False)
        assert f"--ignore): {person['id']}" in read or f"\n{person['id']}  {name}" in read
        state = ["ignored"] if left_out else []
        found.append(" ".join((person["id"], str(person["frames"]), name, *state)))
    return found


def test_a_scan_and_its_corrections(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = next((here / "home/cache").glob("*/scan.json"))
    before = stored.stat().st_mtime_ns
    assert people_of(here, capsys) == ["P1 150 Anna", "P2 100 - ignored"]
    assert stored.stat().st_mtime_ns == before
    # The newest correction is taken back: the second person is no longer left out.
    assert run("people", here / "clip.mp4", "--undo") == 0
    assert people_of(here, capsys) == ["P1 150 Anna", "P2 100 -"]


@pytest.mark.slow
def test_corrections_outlive_the_scan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new version may count stored scans as not there, and scans again."""
    for folder in (here / "home/cache").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    assert people_of(here, capsys) == ["P1 150 Anna", "P2 100 - ignored"]


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["plan-1.json", "plan-2.json"])
def test_a_plan(here: Path, plan: str) -> None:
    out = here / "out.mp4"
    saved = here / "saved.json"
    assert run("render", "--plan", here / plan, "--save-plan", saved, "-o", out) == 0
    assert out.stat().st_size > 10_000
    # What plans of the first format called "replace" is "mute" today.
    original = json.loads(saved.read_text(encoding="utf-8"))["output"]["original"]
    assert original == ("mute" if plan == "plan-1.json" else "replace")


@pytest.mark.slow
def test_a_killed_render(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list"]) == 0
    told = capsys.readouterr().out
    assert JOB in told
    assert "interrupted" in told
    assert run("jobs", "resume", JOB) == 0
    assert (here / "out.mp4").stat().st_size > 10_000


def test_a_cast(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cast", "list"]) == 0
    assert "Anna" in capsys.readouterr().out
    assert run("cast", "match", here / "clip.mp4") == 0
    assert "Anna" in capsys.readouterr().out
    other = here / "other.sqlite"
    assert main(["cast", "import", str(here / "cast.json"), "--cast", str(other)]) == 0
    assert main(["cast", "list", "--cast", str(other)]) == 0
    assert "Anna" in capsys.readouterr().out


def test_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    assert "7.5" in capsys.readouterr().out


def test_corrections_of_an_unknown_version_are_set_aside(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next((here / "home/cache").glob("*.edits.json"))
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "version": 99}), encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    assert people_of(here, capsys) == ["P1 150 -", "P2 100 -"]
    assert path.read_text(encoding="utf-8") == text
    assert run("people", here / "clip.mp4", "--rename", "P1=Berta") == 0
    aside = [p for p in path.parent.glob(f"{path.name}*") if p != path]
    assert [p.read_text(encoding="utf-8") for p in aside] == [text]


def test_a_cast_of_an_unknown_version_is_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / "home/cast.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("UPDATE meta SET value = 'facepick-cast/99' WHERE key = 'format'")
    base.close()
    data = path.read_bytes()
    assert run("cast", "add", "Carl", "--from", f"{here / 'clip.mp4'}:P1") == 2
    assert "another version" in capsys.readouterr().err
    assert path.read_bytes() == data


def test_a_plan_and_a_job_of_an_unknown_version_are_refused_and_kept(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, job = here / "plan-2.json", here / "home/jobs" / JOB / "job.json"
    for path, name in ((plan, "plan/2"), (job, "job/1")):
        text = path.read_text(encoding="utf-8").replace(name, name[:-1] + "99")
        path.write_text(text, encoding="utf-8")
    assert run("render", "--plan", plan, "-o", here / "out.mp4") == 2
    assert "facepick-plan/99" in capsys.readouterr().err
    assert run("jobs", "resume", JOB) == 2
    assert main(["jobs", "prune", "--days", "0"]) == 0
    assert "facepick-job/99" in job.read_text(encoding="utf-8")
    assert not (here / "out.mp4").exists()
