"""``facepick speakers`` and lines without names, on six seconds of two people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sounds import silent_wav

from facepick.app import App
from facepick.cli import main
from facepick.media.audio import read_audio
from facepick.media.probe import probe

pytestmark = pytest.mark.slow

# The woman is heard all the time; from 4 s on she alone is seen.
SRT = """1
00:00:00,300 --> 00:00:02,500
one

2
00:00:04,200 --> 00:00:05,800
two
"""


@pytest.fixture
def desk(
    odd: Callable[[str], Path],
    people_known: Callable[[Path], None],
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    people_known(tmp_path / "home")
    shutil.copy(odd("base_640x360.mp4"), tmp_path / "clip.mp4")
    (tmp_path / "lines.srt").write_text(SRT, encoding="utf-8")
    return tmp_path


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["speakers", "clip.mp4", "--json", *arguments]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_who_speaks_is_found_kept_and_corrected_for_good(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = found(capsys)
    assert told["format"] == "facepick-speech/1"
    assert told["video"]["frames"] == 150
    alone = [t for t in told["turns"] if t["start"] > 4]
    who = alone[0]["person"] if alone else told["turns"][-1]["person"]
    assert {t["person"] for t in told["turns"] if t["state"] == "sure"} == {who}
    assert told["voices"][0]["person"] == who
    assert all(t["candidates"][0]["score"] <= 1 for t in told["turns"])
    # What was seen, and the voices.
    folder = desk / "home" / "cache" / "speakers"
    before = {kept.name: kept.read_bytes() for kept in folder.iterdir()}
    assert sorted(Path(name).suffix for name in before) == [".npz", ".npz"]

    lines = found(capsys, "--lines", "lines.srt")
    assert [(t["id"], t["start"], t["end"], t["text"]) for t in lines["turns"]] == [
        ("L1", 0.3, 2.5, "one"), ("L2", 4.2, 5.8, "two"),
    ]  # fmt: skip
    assert [t["person"] for t in lines["turns"]] == [who, who]
    assert {kept.name: kept.read_bytes() for kept in folder.iterdir()} == before

    other = "P2" if who == "P1" else "P1"
    set_ = found(capsys, "--lines", "lines.srt", "--set", f"L1={other}")
    assert set_["turns"][0]["person"] == other
    assert set_["turns"][0]["corrected"]
    again = found(capsys, "--lines", "lines.srt")
    assert [t["person"] for t in again["turns"]] == [other, who]
    away = found(capsys, "--lines", "lines.srt", "--set", "L1=off_screen")
    assert (away["turns"][0]["person"], away["turns"][0]["state"]) == (None, "off_screen")
    back = found(capsys, "--lines", "lines.srt", "--set", "l1=auto")
    assert [t["person"] for t in back["turns"]] == [who, who]


def test_results_are_written_as_rttm_and_named_subtitles(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ["speakers", "clip.mp4", "--lines", "lines.srt", "--rttm", "a.rttm", "--srt", "a.srt"]
    assert main(job) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("\t")[0] for row in rows] == ["L1", "L2"]
    assert (desk / "a.rttm").read_text().startswith("SPEAKER clip 1 0.300 2.200 <NA> <NA> P")
    # It can be given back as it is.
    named = found(capsys, "--lines", "a.srt")
    assert [t["text"] for t in named["turns"]] == ["one", "two"]
    for target in ("clip.mp4", "lines.srt"):
        assert main(["speakers", "clip.mp4", "--lines", "lines.srt", "--srt", target]) == 2
    assert (desk / "lines.srt").read_text() == SRT


@pytest.mark.parametrize(
    "wrong", [("--set", "L9=P1"), ("--set", "L1=P9"), ("--set", "L1"), ("--num-speakers", "0")]
)
def test_wrong_requests_are_one_sentence(
    desk: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]
) -> None:
    assert main(["speakers", "clip.mp4", "--lines", "lines.srt", *wrong]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list((desk / "home" / "cache").glob("*speakers.edits.json"))


def test_lines_without_names_are_given_to_whom_the_video_shows(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    who = found(capsys, "--lines", "lines.srt", "--set", "L1=off_screen")["turns"][1]["person"]
    silent_wav(desk / "dub.wav", 6.0)
    app = App()
    scan = app.find_people(desk / "clip.mp4")
    lines = desk / "lines.srt"
    # What `facepick render --lines` asks; whether it is drawn then is for other tests.
    given = app.spoken_lines(lines, scan, [], audio=desk / "dub.wav", length="cut", by_sight=True)
    told = {n.code for n in given.notices}
    assert told - {"voices_rough"} == {"lines_by_sight", "lines_unsure"}
    # Without the network for voices it is said that there is one.
    assert ("voices_rough" in told) == bool(app.missing_models(["speakers"]))
    (unsure,) = (n for n in given.notices if n.code == "lines_unsure")
    assert (unsure.start, unsure.facts["times"], unsure.facts["lines"]) == (0.3, "0.3", 1)
    ((person, speech),) = given.speakers
    assert person == who
    assert [(line.text, line.drawn) for line in speech] == [("one", False), ("two", True)]


def test_who_is_hidden_is_heard_in_another_voice(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyworld", reason="facepick[voice] is not installed")
    told = found(capsys)
    turns = [t for t in told["turns"] if t["person"]]
    who = turns[-1]["person"]
    hide = ["render", "clip.mp4", "-o", "hidden.mkv", "--person", who, "--flow", "hide"]
    assert main([*hide, "--voice", "disguise"]) == 0
    assert "voice" in capsys.readouterr().err
    clip = desk / "clip.mp4"
    start = probe(clip).start_seconds
    sounds = [
        read_audio(path, rate=16_000, channels=1, offset=start)[0][:, 0]
        for path in (clip, desk / "hidden.mkv")
    ]
    length = min(map(len, sounds))
    assert abs(len(sounds[0]) - len(sounds[1])) < 1600
    spoken = np.zeros(length, bool)
    for t in turns:
        if t["person"] == who:
            spoken[round(t["start"] * 16_000) : round(t["end"] * 16_000)] = True
    before, after = (s[:length] for s in sounds)
    assert abs(np.corrcoef(before[spoken], after[spoken])[0, 1]) < 0.5
    assert main(["render", "clip.mp4", "-o", "b.mp4", *hide[4:], "--voice", "loud"]) == 2
