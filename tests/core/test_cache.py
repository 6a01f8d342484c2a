"""What is kept, what may be cleared, and the limit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from facepick.cache import Cache, StorageSettings, load_settings, needed_by, save_settings
from facepick.cli import main
from facepick.jobs.workspace import Workspaces

SCANS = ("aaaaaaaaaaaaaaaa-00000001", "bbbbbbbbbbbbbbbb-00000002", "cccccccccccccccc-00000003")
NOW = 2_000_000_000.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with three scans of 1000 bytes, the first unused for longest, and all else."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path))
    cache = tmp_path / "cache"
    for age, name in zip((30, 20, 10), SCANS, strict=True):
        (cache / name).mkdir(parents=True)
        (cache / name / "scan.json").write_bytes(b"x" * 1000)
        os.utime(cache / name, (NOW - age * 86_400,) * 2)
    for name in ("sources/abc/1.png", "wav2lip/m.onnx"):
        (cache / name).parent.mkdir(parents=True)
        (cache / name).write_bytes(b"x" * 10)
        os.utime(cache / name, (NOW, NOW))
        os.utime((cache / name).parent, (NOW, NOW))
    (cache / f"{SCANS[0][:16]}.edits.json").write_text("{}")
    (cache / f"{SCANS[1][:16]}.edits.json.unreadable-20260101-000000").write_text("{}")
    return tmp_path


def test_the_longest_unused_goes_first_and_only_beyond_the_limit(home: Path) -> None:
    cache = Cache(home / "cache")
    assert cache.trim(10_000, now=NOW) == []
    removed = cache.trim(2100, now=NOW)
    assert [e.path.name for e in removed] == [SCANS[0]]
    assert (home / "cache" / SCANS[1]).is_dir()


def test_what_was_used_a_moment_ago_stays(home: Path) -> None:
    os.utime(home / "cache" / SCANS[0], (NOW - 60, NOW - 60))
    removed = Cache(home / "cache").trim(0, now=NOW)
    assert [e.path.name for e in removed] == list(SCANS[1:])


def test_what_a_job_needs_stays_until_it_is_done(home: Path) -> None:
    photo = home / "cache" / "sources" / "abc" / "1.png"
    jobs = Workspaces(home / "jobs")
    job = jobs.new("render", video="v", out="o", request={"plan": {"source": [str(photo)]}})
    cache = Cache(home / "cache")
    assert "faces" not in {e.kind for e in cache.clear(keep=needed_by(jobs.all()))}
    assert photo.exists()
    job.finish("done", exit_code=0)
    assert [e.kind for e in cache.clear(keep=needed_by(jobs.all()))] == ["faces"]


def test_clearing_spares_the_work_of_the_user(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "clear", "scans"]) == 0
    assert "3 entries removed, 3.0 kB freed" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert "2 entries" in capsys.readouterr().out
    left = {p.name for p in (home / "cache").iterdir()}
    assert {n for n in left if ".edits." in n} == {
        f"{SCANS[0][:16]}.edits.json",
        f"{SCANS[1][:16]}.edits.json.unreadable-20260101-000000",
    }
    assert main(["cache", "clear", "everything"]) == 2


def test_the_command_shows_one_row_a_kind(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == [
        "scans", "faces", "models", "proxies", "learned", "spoken", "retakes", "corrections",
        "jobs", "sources", "limit", "free",
    ]  # fmt: skip
    assert rows[0][1:3] == ["3", "3.0 kB"]
    assert main(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["limit_gb"] == 20.0


def test_the_limit_is_kept_and_obeyed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in SCANS:
        os.utime(home / "cache" / name, (1e9 + int(name[-1]),) * 2)
    assert main(["cache", "limit", "0.0000015"]) == 0
    assert load_settings(home).cache_limit_gb == 0.0000015
    assert len(list((home / "cache").glob("*-0000000?"))) == 1
    assert main(["cache", "limit", "-1"]) == 2
    assert main(["cache", "limit", "lots"]) == 2


def test_a_limit_in_the_environment_goes_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_settings(home, StorageSettings(cache_limit_gb=3.0))
    monkeypatch.setenv("FACEPICK_CACHE_GB", "7.5")
    assert load_settings(home).cache_limit_gb == 7.5
    monkeypatch.setenv("FACEPICK_CACHE_GB", "much")
    assert load_settings(home).cache_limit_gb == 3.0


def test_settings_that_cannot_be_read_are_set_aside(home: Path) -> None:
    file = home / "settings.json"
    file.write_text('{"format": "facepick-settings/9", "storage": []}')
    assert load_settings(home) == StorageSettings()
    assert file.exists(), "looking leaves it where it is"
    aside = save_settings(home, StorageSettings(cache_limit_gb=3.0))
    assert aside is not None
    assert "facepick-settings/9" in aside.read_text()
    assert load_settings(home).cache_limit_gb == 3.0
