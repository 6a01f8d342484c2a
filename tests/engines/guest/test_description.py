"""Descriptions of guest engines: what they may say, and what is refused in a sentence."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from facepick.engines.guest.description import parse_description, read_description
from facepick.engines.guest.store import add_guest, guests, remove_guest
from facepick.errors import UserInputError

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")

GOOD = """
label = "Draws"
licence = "MIT"
flow = "lipsync"
command = ["python", "draw.py", "{video}", "{audio}", "{out}"]
"""


def test_what_is_not_said_has_a_usual_value() -> None:
    guest = parse_description(GOOD, name="draws")
    assert (guest.crop, guest.size, guest.fps, guest.container) == ("box", 256, 25.0, "mp4")
    assert guest.argv({"video": "a b.mp4", "audio": "$(x)", "out": "o.mp4"}) == [
        "python", "draw.py", "a b.mp4", "$(x)", "o.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("size = 8", "size"),
        ("size = 1.5", "whole number"),
        ("size = true", "whole number"),
        ("fps = -1", "fps"),
        ("fps = nan", "fps"),
        ("colour = 1", "colour"),
        ('flow = "hide"', "TOML|flow"),
        ('crop = "round"', "crop"),
        ('crop = "aligned"\nsize = 0', "aligned"),
        ('url = "http://127.0.0.1/"', "command"),
        ('environment = {"A B" = "x"}', "variable"),
        ('passed = "PATH"', "list"),
        ("[[[", "TOML"),
    ],
)
def test_what_cannot_be_is_refused(change: str, told: str) -> None:
    with pytest.raises(UserInputError, match=f"(?i){told}"):
        parse_description(GOOD + change + "\n", name="draws")


@pytest.mark.parametrize(
    "command", ['["x", "{video}", "{out}"]', '["x", "{video}", "{audio}", "{result}"]', '["x\\n"]']
)
def test_a_command_must_have_its_places(command: str) -> None:
    text = GOOD.replace('["python", "draw.py", "{video}", "{audio}", "{out}"]', command)
    with pytest.raises(UserInputError):
        parse_description(text, name="draws")


@pytest.mark.parametrize("name", ["", "../x", "A", "x y", "x" * 50, "con/x"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(UserInputError):
        parse_description(GOOD, name=name)


def test_the_program_sees_only_what_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "s3cret")
    monkeypatch.setenv("LANG", "C")
    guest = parse_description(GOOD + 'environment = {MODEL = "big"}\n', name="draws")
    seen = guest.child_environment()
    assert seen["MODEL"] == "big"
    assert seen["PATH"] == os.environ["PATH"]
    assert "SECRET_KEY" not in seen


def test_added_listed_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    file = tmp_path / "mine.toml"
    file.write_text(GOOD, encoding="utf-8")
    assert guests() == []
    add_guest("draws", file)
    assert [guest.name for guest in guests()] == ["draws"]
    with pytest.raises(UserInputError, match="already"):
        add_guest("draws", file)
    # One that somebody broke by hand takes nobody else with it.
    (tmp_path / "home" / "engines" / "broken.toml").write_text("label = 1", encoding="utf-8")
    assert [guest.name for guest in guests()] == ["draws"]
    remove_guest("broken")
    remove_guest("draws")
    assert guests() == []
    with pytest.raises(UserInputError, match="no guest"):
        remove_guest("draws")
    with pytest.raises(UserInputError, match="no guest"):
        remove_guest("../mine")
    assert file.is_file()


def test_json_says_the_same() -> None:
    """For Python 3.10, which knows no TOML."""
    text = json.dumps(
        {
            "label": "Draws",
            "licence": "MIT",
            "flow": "lipsync",
            "command": ["python", "draw.py", "{video}", "{audio}", "{out}"],
        }
    )
    assert parse_description(text, name="draws") == parse_description(GOOD, name="draws")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="There is no file"):
        read_description(tmp_path / "nothing.toml")
