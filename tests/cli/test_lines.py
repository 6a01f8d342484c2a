"""Lists of lines on the command line: whose lines are whose, and what is told of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.sounds import silent_wav

from facepick.cli import main
from facepick.render.report import read_report

SRT = """1
00:00:00,000 --> 00:00:02,000
P1: 今天天气很好

2
00:00:00,010 --> 00:00:02,000
Narrator: hello there

3
00:00:05,000 --> 00:00:06,000
P1: late
"""


@pytest.fixture
def desk(
    odd: Callable[[str], Path],
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """One frame of two people, a list, and a sound without a voice."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    shutil.copy(odd("one_frame.mp4"), tmp_path / "clip.mp4")
    (tmp_path / "lines.srt").write_text(SRT, encoding="utf-8")
    silent_wav(tmp_path / "dub.wav", 8.0)
    return tmp_path


JOB = ("render", "clip.mp4", "-o", "o.mp4", "--flow", "lipsync", "--lines", "lines.srt")
CODES = ["line_after_end", "lines_of_others", "speech_cut", "no_voice"]


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_wrong_requests_are_refused_before_the_scan(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*JOB]) == 2
    assert "lines.srt, cue 1: names no sound file" in sentence(capsys)
    assert main([*JOB, "--audio", "dub.wav", "--language", "klingon"]) == 2
    assert "No language is called 'klingon'. Nearest: piqd (Klingon)." in sentence(capsys)
    (desk / "lines.srt").write_bytes((desk / "clip.mp4").read_bytes())
    assert main([*JOB, "--audio", "dub.wav"]) == 2
    assert "lines.srt is a video (MP4, MOV), no list of lines." in sentence(capsys)
    assert not (desk / "home").exists()


def test_a_name_that_nobody_has_is_refused_with_what_to_do(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*JOB, "--audio", "dub.wav"]) == 2
    told = sentence(capsys)
    assert "nobody in clip.mp4 is called Narrator (1 of the lines)" in told
    assert "People found: P1, P2." in told
    assert not (desk / "o.mp4").exists()
    # Once somebody has that name, it counts like the id.
    assert main(["people", "clip.mp4", "--rename", "P2=Narrator"]) == 0
    capsys.readouterr()
    assert main([*JOB, "--audio", "dub.wav", "--person", "NARRATOR"]) == 0
    assert "lines of P1 (1) are left out and not heard" in capsys.readouterr().err
    assert {p["id"] for p in read_report(desk / "o.mp4")["people"]} == {"P2"}


def test_notices_are_told_wherever_people_look(
    desk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pick = ["--audio", "dub.wav", "--person", "P1", "--progress", "jsonl"]
    # Without espeak-ng Chinese words cannot be said.
    monkeypatch.setattr("facepick.speech.espeak.espeak_found", lambda: "")
    assert main([*JOB, *pick]) == 0
    told = capsys.readouterr()
    events: list[dict[str, Any]] = [json.loads(line) for line in told.out.splitlines()]
    at = {e["event"]: i for i, e in enumerate(events)}
    early = [e for e in events[: at["started"]] if e["event"] == "notice"]
    late = [e for e in events[at["started"] :] if e["event"] == "notice"]
    assert [e["code"] for e in early] == [*CODES[:2], "words_unread", "speech_cut"]
    # What was told before is not repeated.
    assert [e["code"] for e in late] == ["no_voice"]
    both = [*early, *late]
    assert events[-1]["event"] == "done"
    assert all(f"facepick: {e['text']}\n" in told.err for e in both)
    assert "pip install espeakng-loader" in told.err

    report = read_report(desk / "o.mp4")
    assert [n["code"] for n in report["notices"]] == [e["code"] for e in both]
    assert main(["inspect", "o.mp4"]) == 0
    read_back = capsys.readouterr().err
    assert all(f"facepick: {e['text']}\n" in read_back for e in both)
    assert main(["jobs", "list"]) == 0
    listed = capsys.readouterr().out
    header, row = listed.splitlines()
    job, what, state, *_, notices, _ = row.split()
    assert header.split()[:2] == ["JOB", "WHAT"]
    assert (what, state, notices) == ("render", "done", "5")
    assert main(["jobs", "show", job]) == 0
    shown = capsys.readouterr().out
    assert all(f"notice: {e['text']}\n" in shown for e in both)
    assert main(["jobs", "show", job, "--json"]) == 0
    assert [n["code"] for n in json.loads(capsys.readouterr().out)["notices"]] == [
        e["code"] for e in both
    ]
