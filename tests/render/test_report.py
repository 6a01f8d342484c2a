"""The sidecar's counts, and that it is written row by row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facepick.compositing.patch import PatchKind
from facepick.errors import UserInputError
from facepick.files import write_json, write_json_rows
from facepick.render.report import FrameNote, kind_of, read_report, tallied


def note(frame: int, *, person: str = "P1", done: bool = True, guessed: bool = False) -> FrameNote:
    return FrameNote(
        frame=frame,
        person=person,
        flow="hide",
        engine="pixelate",
        done=done,
        reason=None if done else "absent",
        box=(1, 2, 3, 4) if done else None,
        guessed=guessed,
        note="a word" if guessed else "",
    )


def test_tallies_count_people_apart_and_join_neighbouring_frames() -> None:
    notes = [
        *(note(i) for i in (0, 1)),
        note(1, person="P2", done=False),
        note(2, done=False),
        note(3, guessed=True),
    ]
    found = tallied(notes)
    mine = found["P1", "hide"]
    assert (mine.frames_changed, mine.frames_guessed) == (3, 1)
    assert mine.changed == [[0, 2], [3, 4]]
    assert mine.left == {"absent": 1}
    assert found["P2", "hide"].changed == []


def test_frames_in_which_a_mouth_was_only_shut_are_counted() -> None:
    kinds = [PatchKind.DRAWN, *[PatchKind.CLOSED] * 3, PatchKind.HIDDEN]
    notes = [replace(note(i), kind=kind) for i, kind in enumerate(kinds)]
    notes.append(replace(note(5, done=False), reason="silence"))
    tally = tallied(notes)["P1", "hide"]
    assert (tally.frames_changed, tally.frames_closed) == (5, 3)
    assert tally.left == {"silence": 1}


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({}, "drawn"),
        ({"note": "mouth of frame 3"}, "drawn"),
        ({"note": "closed, mouth of frame 4"}, "closed"),
        ({"note": "hidden"}, "hidden"),
        ({"note": "fading"}, "fading"),
        ({"kind": "closed", "note": "mouth of frame 4"}, "closed"),
        ({"kind": "what a later version knows"}, "drawn"),
    ],
)
def test_the_kind_of_a_change_is_read_from_older_reports_too(
    entry: dict[str, str], kind: str
) -> None:
    assert kind_of(entry).value == kind


def test_a_note_survives_json() -> None:
    for one in (
        note(0),
        replace(note(3), kind=PatchKind.CLOSED),
        note(1, done=False),
        note(2, guessed=True),
    ):
        entry = json.loads(json.dumps(one.to_json()))
        assert FrameNote.from_json(one.frame, one.engine, entry) == one


@pytest.mark.parametrize("rows", [[], [{"frame": 0}], [1, "\udcff", {"a": []}]])
def test_rows_are_written_as_one_list(tmp_path: Path, rows: list[object]) -> None:
    whole, streamed = tmp_path / "whole.json", tmp_path / "streamed.json"
    write_json(whole, rows)
    write_json_rows(streamed, iter(rows))
    assert json.loads(streamed.read_text()) == json.loads(whole.read_text())


def test_a_failure_among_the_rows_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, "old")

    def failing() -> Iterator[int]:
        yield 1
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        write_json_rows(file, failing())
    assert json.loads(file.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("people", 0, "measured"), [], "people.0.measured"),
        (("people", 0), None, "people.0"),
        (("people", 0, "frames_left"), {"absent": "x"}, "people.0.frames_left.absent"),
        (("source", "path"), None, "source.path"),
        (("result", "unheard"), [1], "result.unheard.0"),
        (("frames", 0, "changes"), [{"person": 1}], "frames.0.changes.0.person"),
        (("tool",), {}, "tool.name"),
    ],
)
def test_a_damaged_report_is_told_with_the_place(
    place: tuple[Any, ...], value: Any, named: str, tmp_path: Path
) -> None:
    person = {
        "id": "P1", "flow": "hide", "engine": "blur", "frames_changed": 1,
        "frames_left": {}, "measured": {},
    }  # fmt: skip
    report: dict[str, Any] = {
        "format": "facepick-report/1",
        "tool": {"name": "facepick", "version": "0"},
        "created": "",
        "plan": {},
        "source": {"path": "a.mp4", "frames": 1},
        "result": {"path": "b.mp4"},
        "people": [person],
        "frames": [{"frame": 0, "changes": [{"person": "P1", "flow": "hide"}]}],
    }
    path = tmp_path / "b.mp4.facepick.json"
    path.write_text(json.dumps(report))
    assert read_report(path) == report
    part: Any = report
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path.write_text(json.dumps(report))
    with pytest.raises(UserInputError, match=re.escape(f'"{named}"')):
        read_report(path)
