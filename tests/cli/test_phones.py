"""Times of phones beside the speech: from the command line, from a plan, over HTTP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from facepick.cli import main
from facepick.errors import UserInputError
from facepick.render.plan import RenderPlan
from facepick.speech.line import Timed

PHONES = Path(__file__).parents[1] / "media" / "phones"
SPEAK = ("render", "clip.mp4", "-o", "o.mp4", "--person", "P1", "--flow", "lipsync")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, shared_media: Path) -> Path:
    """A clip of one second that brings its own sound, and times that are of no use to it."""
    folder = tmp_path_factory.mktemp("phones")
    shutil.copy(shared_media / "video" / "cisco_2people_320x192.mp4", folder / "clip.mp4")
    shutil.copy(shared_media / "speech" / "en_ljspeech_f_22k.wav", folder / "speech.wav")
    for file in PHONES.iterdir():
        shutil.copy(file, folder)
    (folder / "diary.txt").write_text("Dear diary,\n" * 9)
    (folder / "empty.ctm").write_bytes(b"")
    (folder / "nan.ctm").write_text("u 1 nan 0.1 AA1\n")
    (folder / "both.ctm").write_text("u 1 0 0.5 AA1\nu 1 0.1 0.5 B\n")
    (folder / "late.ctm").write_text("u 1 90 0.5 AA1\n")
    return folder


@pytest.fixture(autouse=True)
def here(desk: Path, shared_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("FACEPICK_HOME", str(desk / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--audio", "speech.wav", "--phones", "missing.ctm"), "There is no file missing.ctm"),
        (("--audio", "speech.wav", "--phones", "."), ". cannot be read: it is a folder"),
        (("--audio", "speech.wav", "--phones", "speech.wav"), "is not UTF-8 text"),
        (("--audio", "speech.wav", "--phones", "diary.txt"), "diary.txt is of no known form"),
        (("--audio", "speech.wav", "--phones", "empty.ctm"), "empty.ctm is empty"),
        (("--audio", "speech.wav", "--phones", "nan.ctm"), "nan.ctm, line 1: nan to nan s"),
        (("--audio", "speech.wav", "--phones", "both.ctm"), "both.ctm, line 2: 'B' starts at"),
        (("--audio", "speech.wav", "--phones", "late.ctm"), "speaks until 90.5 s, but the sound"),
        (("--audio", "speech.wav", "--phones", "binary.TextGrid"), "is a binary TextGrid"),
        (("--audio", "diary.txt", "--phones", "long.TextGrid"), "diary.txt"),
        (("--phones", "long.TextGrid"), "--phones goes with one sound file"),
        (
            ("--audio", "speech.wav", "--audio", "speech.wav", "--phones", "long.TextGrid"),
            "--phones goes with one sound file",
        ),
    ],
)
def test_wrong_times_are_refused_before_anything_is_done(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str], desk: Path
) -> None:
    assert main([*SPEAK, *arguments]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert words in line
    assert printed.out == ""
    assert not (desk / "home").exists()


def test_what_is_left_out_is_told(capsys: pytest.CaptureFixture[str], desk: Path) -> None:
    rows = [f"u 1 {k / 10:.1f} 0.1 {'XQ' if k == 7 else 'AA1'}" for k in range(90)]
    (desk / "some.ctm").write_text("\n".join(rows))
    speak = ["render", "clip.mp4", "-o", "o.mp4", "--person", "P99", "--flow", "lipsync"]
    assert main([*speak, "--audio", "speech.wav", "--phones", "some.ctm"]) == 2
    told = capsys.readouterr().err
    assert "not known and left to the sound are 'XQ' (1 of 90 phones)" in told
    assert "some.ctm: 13 entries after the end of the sound are left out" in told


def plan_of(phones: Any) -> dict[str, Any]:
    return {
        "format": "facepick-plan/1",
        "video": "clip.mp4",
        "assignments": [
            {
                "person": "P1",
                "flow": "lipsync",
                "engine": "rewrite",
                "speech": [{"file": "speech.wav", "phones": phones}],
            }
        ],
    }


@pytest.mark.parametrize(
    "phones",
    [
        "utf16.TextGrid",
        [{"start": 0.62, "end": 0.729, "phone": "b"}, {"duration": 0.098, "phone": "r"}],
    ],
)
def test_a_plan_names_a_file_or_holds_the_phones(desk: Path, phones: Any) -> None:
    (desk / "plan.json").write_text(json.dumps(plan_of(phones)), encoding="utf-8")
    plan = RenderPlan.load(desk / "plan.json")
    (line,) = plan.assignments[0].speech
    assert line.phones is not None
    assert Timed(0.62, 0.729, "B") in line.phones.phones
    # What jobs and reports keep needs no file any more.
    assert RenderPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    ("phones", "words"),
    [
        ("gone.TextGrid", "There is no file"),
        (7, "must be a list of phones"),
        ([{"start": 90, "end": 91, "phone": "b"}], "but the sound ends at 7.7 s"),
    ],
)
def test_a_plan_with_wrong_phones(desk: Path, phones: Any, words: str) -> None:
    (desk / "plan.json").write_text(json.dumps(plan_of(phones)), encoding="utf-8")
    with pytest.raises(UserInputError, match=words):
        RenderPlan.load(desk / "plan.json")


def test_a_stored_plan_names_no_file_of_phones() -> None:
    with pytest.raises(UserInputError, match='"phones"'):
        RenderPlan.from_json(plan_of("utf16.TextGrid"))
