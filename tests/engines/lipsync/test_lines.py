from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facepick.engines.lipsync.lines import read_lines
from facepick.errors import UserInputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.wav", "zwei drei.wav", "all.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    return tmp_path


def listed(folder: Path, content: Any, name: str = "list.json") -> Path:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def test_json(folder: Path) -> None:
    path = listed(
        folder,
        [
            {"start": "00:00:04,200", "person": "Änna", "file": "zwei drei.wav", "offset": 0.3},
            {"start": 1.5, "person": "P1", "file": "one.wav", "text": "Good morning.", "end": 3},
        ],
    )
    first, second = read_lines(path)
    assert first.person == "P1"
    assert first.line.path == str(folder / "one.wav")
    assert (first.line.start_seconds, first.line.duration_seconds) == (1.5, 1.5)
    assert first.line.text == "Good morning."
    assert second.person == "Änna"
    assert second.line.start_seconds == pytest.approx(4.2)
    assert (second.line.offset_seconds, second.line.duration_seconds) == (0.3, None)
    assert second.line.text is None


SRT = """\ufeff1
00:00:01,500 --> 00:00:03,000
P1: Good <i>morning</i>.
file: one.wav

2
00:01:04,200 --> 00:01:05.700
[李明]: 你好，世界
今天

3
00:02:00,000 --> 00:02:01,000
Meet me at 12:30, not before.
"""


def test_srt_with_one_long_sound_file(folder: Path) -> None:
    lines = read_lines(listed(folder, SRT.replace("\n", "\r\n"), "a.srt"), audio=folder / "all.wav")
    assert [item.person for item in lines] == ["P1", "李明", None]
    assert [item.line.text for item in lines] == [
        "Good morning.",
        "你好，世界 今天",
        "Meet me at 12:30, not before.",
    ]
    own, cue, last = (item.line for item in lines)
    assert own.path == str(folder / "one.wav")
    assert (own.start_seconds, own.offset_seconds, own.duration_seconds) == (1.5, 0.0, None)
    assert cue.path == str(folder / "all.wav")
    assert (cue.start_seconds, cue.offset_seconds) == (64.2, 64.2)
    assert cue.duration_seconds == pytest.approx(1.5)
    assert last.start_seconds == 120


def test_utf_16(folder: Path) -> None:
    path = folder / "a.srt"
    path.write_bytes(SRT.lstrip("\ufeff").encode("utf-16"))
    assert read_lines(path, audio=folder / "all.wav")[1].person == "李明"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "not JSON"),
        ("{}", "list of lines"),
        ([], "holds no line"),
        ([3], "line 1: must be an object"),
        ([{"file": "one.wav"}], '"start" is missing'),
        ([{"start": 0, "file": "one.wav"}, {"start": -1, "file": "one.wav"}], "line 2"),
        ([{"start": "soon", "file": "one.wav"}], "'soon', which is no time"),
        ([{"start": float("nan"), "file": "one.wav"}], "no time"),
        ([{"start": True, "file": "one.wav"}], "no time"),
        ([{"start": 1, "end": 1, "file": "one.wav"}], "before it starts"),
        ([{"start": 1, "duration": 0, "file": "one.wav"}], "lasts 0"),
        ([{"start": 1, "file": 7}], '"file" must be a text'),
        ([{"start": 1, "file": "none.wav"}], "there is no file"),
        ([{"start": 1}], "names no sound file"),
        ([{"start": 1, "file": "one.wav", "begin": 2}], "unknown key 'begin'"),
    ],
)
def test_wrong_json_is_named(folder: Path, content: Any, words: str) -> None:
    with pytest.raises(UserInputError) as caught:
        read_lines(listed(folder, content))
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no line"),
        ("1\nhello\n", "cue 1: 'hello' is no time line"),
        ("1\n00:00:02,000 --> 00:00:01,000\nhi\n", "before it starts"),
        ("7\n00:00:xx,000 --> 00:00:01,000\nhi\n", "cue 7"),
        ("1\n00:00:01,000 --> 00:00:02,000\nP1: hi\n", "names no sound file"),
    ],
)
def test_wrong_srt_is_named(folder: Path, content: str, words: str) -> None:
    with pytest.raises(UserInputError) as caught:
        read_lines(listed(folder, content, "a.srt"))
    assert words in caught.value.message


def test_other_files(folder: Path) -> None:
    with pytest.raises(UserInputError, match="cannot be read"):
        read_lines(folder / "nothing.srt")
    binary = folder / "a.srt"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(UserInputError, match="not UTF-8"):
        read_lines(binary)
    binary.write_bytes(b" " * 5_000_001)
    with pytest.raises(UserInputError, match="larger than"):
        read_lines(binary)
