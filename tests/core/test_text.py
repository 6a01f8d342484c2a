"""Nothing that is printed moves a cursor, breaks a line or turns words round."""

from __future__ import annotations

import io
import json

import pytest

from facepick.cli import main
from facepick.cli.console import print_json
from facepick.text import printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 视频 é", "plain 视频 é"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x9b31m\x7f\0", r"\x9b31m\x7f\x00"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("\u2066x\u2069\u200f\u2028", r"\u2066x\u2069\u200f\u2028"),
        ("\udcff\ufeff\U000e0041", r"\udcff\ufeff\U000e0041"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    file = io.StringIO()
    say(text, file=file)
    assert file.getvalue() == shown.replace(r"\t", "\t") + "\n"


def test_errors_and_json_obey_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    name = "no\x1b]0;pwn\x07\u202e.mp4"
    assert main(["people", name]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said
    print_json({"name": "\x9b\u202e\u2028\x1b é"})
    line = capsys.readouterr().out
    assert len(line.splitlines()) == 1
    assert not set("\x9b\u202e\u2028\x1b") & set(line)
    assert json.loads(line)["name"] == "\x9b\u202e\u2028\x1b é"
