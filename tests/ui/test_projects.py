"""A project is saved to a file, and opened again by somebody else."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.sounds import silent_wav
from tests.ui.support import CLIP, ask, note, pick, plan_values, run, upload

from facepick.errors import UserInputError
from facepick_ui.project import read_project


@pytest.fixture
def saved(tab: Any, scanned: str, tmp_path: Path) -> Path:
    """The project of somebody who has named one person, kept a line and begun with another."""
    pick(tab, scanned, 0)
    ask(tab, "rename", scanned, "Anna")
    sound = str(silent_wav(tmp_path / "hello.wav", 0.5))
    style = tab.page.specs("lipsync")[0].id
    values = plan_values(tab, flow="lipsync", style=style, speech=sound, speech_text="Hello")
    ask(tab, "keep", scanned, *values)
    pick(tab, scanned, 1)
    ask(tab, "choose_flow", scanned, "hide")
    ask(tab, "choose_style", scanned, "hide", "blur")
    note(tab, scanned, "preview_seconds", 7)
    said = ask(tab, "save_project", scanned, True)
    assert "two_people.facepick" in said["project_note"]["value"]
    return Path(said["project_file"]["value"])


def test_a_project_is_whole_for_somebody_else(
    tab: Any, saved: Path, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    handed = tmp_path / "handed.facepick"
    shutil.copyfile(saved, handed)
    # Everything that it needs is in it: what it was made of may go, and so may the corrections.
    shutil.rmtree(saved.parents[2])
    for file in (tmp_path / "home" / "cache").rglob("*edits*.json"):
        file.unlink()
    key = new_user("berta")
    page = run(tab, key, ask(tab, "open_project", key, str(handed)))
    session = tab.handlers.session(key)
    assert [p.label for p in session.scan.people] == ["Anna", "P2"]
    assert session.picked == ["P2"]
    (item,) = session.kept
    assert item.selection.people == ("P1",)
    (line,) = item.speech
    assert (Path(line.path).name, line.text) == ("hello.wav", "Hello")
    assert Path(line.path).is_file()
    assert str(tab.handlers.sessions.folder_of(session)) in line.path
    assert (page["flow"]["value"], page["style"]["value"]) == ("hide", "blur")
    assert page["preview_seconds"]["value"] == 7
    assert Path(session.video).read_bytes() == CLIP.read_bytes()
    assert "edit:0" in page["assignments"]["value"]
    run(tab, key, ask(tab, "render", key, *plan_values(tab, style="blur")))
    assert len(tab.page.app.jobs()[0].request["plan"]["assignments"]) == 2


def test_a_project_brings_its_lines_as_they_were_made(
    tab: Any, scanned: str, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    for index in (0, 1):
        pick(tab, scanned, index)
    mix = str(silent_wav(tmp_path / "all.wav", 6.0))
    script = tmp_path / "lines.srt"
    script.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nP1: Good morning.\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\nP1: Good night.\n"
    )
    ask(tab, "choose_flow", scanned, "lipsync")
    given = {"flow": "lipsync", "style": "rewrite"}
    note(tab, scanned, "lines", [str(script), mix])
    ask(tab, "hear", scanned, *plan_values(tab, lines=[str(script), mix], **given))
    ask(tab, "act", scanned, "trim:3.000=3.250:4.500")
    ask(tab, "act", scanned, "who:1.000=P2")
    file = ask(tab, "save_project", scanned, True)["project_file"]["value"]

    key = new_user("berta")
    first = ask(tab, "open_project", key, file)
    # Gradio tells of the files that it was given, which may be before the people are found.
    ask(tab, "hear", key, *plan_values(tab, lines=first["lines"]["value"], **given))
    page = run(tab, key, first)
    assert "trimmed" in page["speech_note"]["value"]
    said = tab.handlers.session(key).said
    assert [(s.people, s.line.start_seconds) for s in said] == [(("P2",), 1.0), (("P1",), 3.25)]


def test_a_project_without_its_video_asks_for_it(
    tab: Any, scanned: str, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    said = ask(tab, "save_project", scanned, False)
    file = said["project_file"]["value"]
    assert Path(file).stat().st_size < 100_000
    key = new_user("berta")
    asked = ask(tab, "open_project", key, file)
    assert "does not hold its video, two_people.mp4" in asked["project_note"]["value"]
    upload(tab, key, tmp_path)
    page = run(tab, key, ask(tab, "open_project", key, file))
    assert len(page["people"]["value"]) == 2


def test_nothing_can_be_saved_before_there_is_a_video(
    tab: Any, new_user: Callable[[str], str]
) -> None:
    said = ask(tab, "save_project", new_user("berta"), True)
    assert "Open a video first" in said["project_note"]["value"]


@pytest.mark.parametrize(
    "change",
    [
        {"work": {"form": {"speech": ["/etc/passwd"]}}},
        {"work": {"source": {"texts": ["/etc/hostname:P1"]}}},
        {"work": {"form": {"speech": ["file:9_gone.wav"]}}},
        {"work": []},
        {"corrections": 3},
        {"format": "facepick-project/99"},
    ],
)
def test_what_a_stranger_wrote_is_refused_in_a_sentence(
    tab: Any, saved: Path, new_user: Callable[[str], str], tmp_path: Path, change: Any
) -> None:
    with zipfile.ZipFile(saved) as archive:
        plain = json.loads(archive.read("project.json"))
    wrong = tmp_path / "wrong.facepick"
    with zipfile.ZipFile(wrong, "w") as archive:
        archive.writestr("project.json", json.dumps({**plain, **change}))
        archive.writestr("files/../../../escape.wav", "x")
        archive.writestr("video/two_people.mp4", CLIP.read_bytes())
    key = new_user("berta")
    said = ask(tab, "open_project", key, str(wrong))
    assert "facepick-problem" in said["project_note"]["value"]
    assert tab.handlers.session(key).video is None
    assert list(tmp_path.rglob("escape*")) == []


def test_what_is_no_project_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.facepick"
    wrong.write_text("a diary")
    with pytest.raises(UserInputError, match="is no project"):
        read_project(wrong, tmp_path / "out")
