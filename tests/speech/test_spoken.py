"""Lines that a command speaks: once a text, without a shell, and never on a stranger's word."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facepick.cli import main
from facepick.errors import Cancelled, ToolError, UserInputError
from facepick.progress import CancelToken
from facepick.speech.line import SpeechLine
from facepick.speech.script import read_script
from facepick.speech.spoken import SpokenLines, Voices

TONE = """
import math, struct, sys, wave
words = sys.stdin.read()
open(sys.argv[1] + ".said", "a", encoding="utf-8").write(words)
with wave.open(sys.argv[2], "wb") as file:
    file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
    count = 1600 * len(words.split())
    file.writeframes(b"".join(
        struct.pack("<h", int(9000 * math.sin(i / 9))) for i in range(count)
    ))
"""


def line(text: str, path: str = "") -> SpeechLine:
    return SpeechLine(path=path, start_seconds=1.0, text=text)


@pytest.fixture
def tone(tmp_path: Path) -> str:
    """A command that gives a tenth of a second a word, and notes the words."""
    script = tmp_path / "a tone.py"
    script.write_text(TONE)
    return f"'{sys.executable}' '{script}' '{tmp_path / 'noted'}' {{out}}"


def said(tmp_path: Path) -> str:
    file = tmp_path / "noted.said"
    return file.read_text("utf-8") if file.exists() else ""


def python(code: str) -> str:
    return f"'{sys.executable}' -c \"{code}\" {{out}}"


def test_each_text_is_spoken_once(tone: str, tmp_path: Path) -> None:
    speaker = SpokenLines(voices=Voices.parse([tone]), folder=tmp_path / "spoken")
    lines = [line("one two"), line("three"), line("one  two"), line("kept", "own.wav")]
    found = speaker.fill(lines)
    assert found[0].path == found[2].path != found[1].path
    assert found[3] == lines[3]
    assert [item.text for item in found] == [item.text for item in lines]
    assert said(tmp_path) == "one two\nthree\n"
    assert speaker.fill(lines) == found
    assert said(tmp_path) == "one two\nthree\n", "what was spoken is kept"
    assert sorted(p.name for p in (tmp_path / "spoken").iterdir()) == sorted(
        {Path(item.path).name for item in found[:3]}
    )


def test_words_are_only_words(tone: str, tmp_path: Path) -> None:
    words = "--help $(touch here) ; touch here `touch here` {out} \u4f60\u597d"
    speaker = SpokenLines(voices=Voices.parse([tone]), folder=tmp_path / "spoken")
    speaker.fill([line(words)])
    assert said(tmp_path) == words + "\n"
    assert not Path("here").exists()


def test_who_has_a_voice_is_spoken_by_it() -> None:
    voices = Voices.parse(["say {out}", "Anna=say -v anna {out}", "P2=say --rate=2 {out}"])
    assert voices.of("P1", "Anna") == ("say", "-v", "anna", "{out}")
    assert voices.of("p2", None) == ("say", "--rate=2", "{out}")
    assert voices.of("P3", "Ben") == voices.any() == ("say", "{out}")
    with pytest.raises(UserInputError, match="No command speaks for P3"):
        Voices.parse(["Anna=say {out}"]).of("P3")


@pytest.mark.parametrize(
    ("command", "words"),
    [("say", "names no file"), ("", "names no file"), ("say '{out}", "quotation")],
)
def test_what_is_no_command_is_refused(command: str, words: str) -> None:
    with pytest.raises(UserInputError, match=words):
        Voices.parse([command])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (python("import sys; print('no such voice'); sys.exit(3)"), "code 3: no such voice"),
        (python("pass"), "has written no file for 'hello'"),
        (python("import sys; open(sys.argv[1], 'w').write('x' * 99)"), "has written no sound"),
        (python("import time; time.sleep(60)"), "took longer than 1 s"),
        ("no-such-program-here {out}", "there is no program no-such-program-here"),
    ],
)
def test_a_command_that_fails_is_told_in_a_sentence(
    command: str, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "spoken"
    speaker = SpokenLines(voices=Voices.parse([command]), folder=folder, timeout=1.0)
    with pytest.raises(ToolError, match=words):
        speaker.fill([line("hello")])
    assert not folder.exists() or list(folder.iterdir()) == []


def test_stopping_ends_the_command(tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel()
    speaker = SpokenLines(
        voices=Voices.parse([python("import time; time.sleep(60)")]), folder=tmp_path / "spoken"
    )
    with pytest.raises(Cancelled):
        speaker.fill([line("hello")], cancel=token)


def test_a_list_of_lines_names_no_command(tmp_path: Path) -> None:
    file = tmp_path / "lines.json"
    file.write_text(json.dumps([{"start": 0, "text": "hello", "tts": ["touch", "here"]}]))
    with pytest.raises(UserInputError, match="unknown key 'tts'"):
        read_script(file, speaks=True)
    file.write_text(json.dumps([{"start": 0, "text": "hello"}, {"start": 1}]))
    with pytest.raises(UserInputError, match="line 2: names no sound file"):
        read_script(file, speaks=True).lines()


@pytest.mark.slow
def test_a_script_is_spoken_and_its_plan_holds_the_sounds(
    tone: str,
    tmp_path: Path,
    odd: Callable[[str], Path],
    shared_models: Path,
    people_known: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    people_known(tmp_path / "home")
    script, plan = tmp_path / "s.srt", tmp_path / "plan.json"
    script.write_text(
        "1\n00:00:00,500 --> 00:00:02,000\nP1: one two three\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\nP2: four\n"
    )
    # Where espeak-ng is there it speaks for one of them, as a user would have it.
    espeak = shutil.which("espeak-ng")
    own = ["--tts", f"P2={espeak} --stdin -w {{out}}"] if espeak else []
    words = [
        "preview",
        str(odd("base_640x360.mp4")),
        "-o",
        str(tmp_path / "a.png"),
        "--seconds",
        "0",
    ]
    words += ["--flow", "lipsync", "--lines", str(script), "--tts", tone, *own, "--at", "1"]
    words += ["--save-plan", str(plan), "--progress", "none"]
    assert main(words) == 0
    assignments = json.loads(plan.read_text())["assignments"]
    lines = {item["people"][0]: item["speech"][0] for item in assignments}
    assert lines["P1"]["text"] == "one two three"
    assert lines["P1"]["cue"] == 1.5
    assert all(Path(entry["file"]).parent.name == "spoken" for entry in lines.values())
    assert "one two three\n" in said(tmp_path)
    assert ("four" in said(tmp_path)) is not bool(espeak)
    # With a sound there is nothing to speak.
    words[words.index("--tts")] = "--audio"
    assert main([*words, "--force", "--tts", tone]) == 2
    assert "Leave out --tts" in capsys.readouterr().err
