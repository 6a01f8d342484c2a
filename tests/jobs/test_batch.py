"""Batches: a season is one request, and what goes wrong with one episode stops no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.sounds import written_wav

from facepick.app import App
from facepick.cli.main import main
from facepick.errors import UserInputError
from facepick.jobs.batch import find_episodes, load_state


@pytest.fixture
def season(
    tmp_path: Path,
    odd: Callable[[str], Path],
    app: App,
) -> Path:
    folder = tmp_path / "season"
    folder.mkdir()
    shutil.copyfile(odd("base_640x360.mp4"), folder / "ep01.mp4")
    (folder / "ep02.mp4").write_bytes(b"no video\n")
    return folder


def batch(season: Path, *more: str) -> int:
    out = season.parent / "out"
    words = ["--person", "P1", "--flow", "hide", "--style", "cover", "--preset", "ultrafast"]
    return main(["batch", str(season), "-o", str(out), *words, "--progress", "none", *more])


@pytest.mark.slow
def test_one_broken_episode_stops_nothing_and_a_second_run_skips_what_is_done(
    season: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(season, "--json", "-") == 5
    told = capsys.readouterr()
    data = json.loads(told.out)
    assert data["format"] == "facepick-batch/1"
    assert [e["status"] for e in data["episodes"]] == ["done", "failed"]
    assert data["episodes"][0]["people"] == {"P1": "P1"}
    assert "ep02.mp4" in told.err
    out = season.parent / "out"
    before = (out / "ep01.mp4").stat().st_mtime_ns
    (season / "ep02.mp4").unlink()
    assert batch(season, "--json", "-") == 0
    data = json.loads(capsys.readouterr().out)
    assert [e["status"] for e in data["episodes"]] == ["skipped"]
    assert (out / "ep01.mp4").stat().st_mtime_ns == before
    assert "ep01.mp4" in (out / "index.html").read_text()


@pytest.mark.slow
def test_a_batch_that_was_killed_goes_on_with_its_job(
    season: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (season / "ep02.mp4").unlink()
    assert batch(season) == 0
    (episode,) = find_episodes([season], season.parent / "out")
    state = load_state(episode)
    # Killed between the result and the note of it.
    kept = season.parent / "out" / ".facepick" / "ep01.mp4.json"
    kept.write_text(json.dumps({key: state[key] for key in ("made_of", "job")}))
    assert batch(season) == 0
    assert load_state(episode) == state
    assert len([job for job in App().jobs() if job.kind == "render"]) == 1


def test_nobody_to_change_is_told_and_nothing_is_made(
    season: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (season / "ep02.mp4").unlink()
    out = season.parent / "out"
    words = ["--person", "Anna", "--flow", "hide", "--progress", "none"]
    assert main(["batch", str(season), "-o", str(out), *words]) == 0
    assert "Anna is not in it" in capsys.readouterr().out
    assert not (out / "ep01.mp4").exists()


def test_an_episode_without_speech_says_what_to_put_beside_it(
    season: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (season / "ep02.mp4").unlink()
    template = season.parent / "template.json"
    item = {"people": ["P1"], "flow": "lipsync", "engine": "rewrite"}
    template.write_text(json.dumps({"format": "facepick-plan/2", "assignments": [item]}))
    words = ["--plan", str(template), "--progress", "none"]
    assert main(["batch", str(season), "-o", str(season.parent / "out"), *words]) == 5
    assert "Put ep01.wav there" in capsys.readouterr().out


@pytest.mark.slow
def test_lines_without_a_pick_go_to_whoever_speaks(
    season: Path, ljspeech: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    out, video = season.parent / "out", season / "ep01.mp4"
    (season / "ep02.mp4").unlink()
    words = ["--flow", "lipsync", "--progress", "none", "--preset", "ultrafast"]
    asked = ["batch", str(season), "-o", str(out), *words]
    assert main(asked) == 5
    assert "ep01.srt" in capsys.readouterr().out
    written_wav(season / "ep01.wav", (ljspeech[: 16_000 * 5] * 32767).astype(np.int16))
    # The woman is heard and alone seen from 4 s on.
    line = "1\n00:00:04,200 --> 00:00:05,800\nwords\n"
    (season / "ep01.srt").write_text(line, encoding="utf-8")
    assert main(asked) == 0
    assert "whoever speaks" in capsys.readouterr().out
    report = json.loads((out / f"{video.name}.facepick.json").read_text())
    (item,) = report["plan"]["assignments"]
    assert item["people"] in (["P1"], ["P2"])
    assert item["speech"][0]["start"] == 4.2


def test_a_dry_run_writes_nothing(season: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch(season, "--dry-run") == 0
    assert "ep01.mp4" in capsys.readouterr().out
    assert not (season.parent / "out").exists()


def test_results_and_what_lies_beside_are_told_by_name(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.srt", "a.wav", "a.me.wav", "b.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b.mp4.facepick.json").write_text('{"format": "facepick-report/1"}')
    (episode,) = find_episodes([tmp_path], tmp_path / "out")
    assert episode.video.name == "a.mp4"
    assert {k: p.name for k, p in episode.beside.items()} == {
        "lines": "a.srt",
        "dub": "a.wav",
        "background": "a.me.wav",
    }


def test_a_wrong_request_is_told_before_anything_runs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserInputError, match="No video"):
        find_episodes([tmp_path], out)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserInputError, match="among the episodes"):
        find_episodes([tmp_path], tmp_path)
    (tmp_path / "a.avi").touch()
    with pytest.raises(UserInputError, match="Two episodes"):
        find_episodes([tmp_path], out)


def test_the_page_of_a_batch_says_what_failed_and_nothing_of_folders(tmp_path: Path) -> None:
    from facepick.jobs.batch import Episode, EpisodeResult, index_page

    video, out = tmp_path / "<i>ep 1.mp4", tmp_path / "out.mp4"
    done = EpisodeResult(
        episode=Episode(video=video, out=out), status="failed",
        people={f"photo:{tmp_path}/boy.jpg": None}, error="ep 1.mp4: <b>no</b> media file.",
    )  # fmt: skip
    page = index_page([done])
    assert "&lt;i&gt;ep 1.mp4" in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "photo:boy.jpg: -" in page
    assert str(tmp_path) not in page
    assert "1 failed" in page
