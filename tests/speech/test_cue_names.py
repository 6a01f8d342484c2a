"""Who says a line, in every form in which other tools write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facepick.cli import main
from facepick.errors import UserInputError
from facepick.speech.cue_names import with_names
from facepick.speech.line_speakers import is_voice_name
from facepick.speech.rttm import rttm_text
from facepick.speech.script import read_script
from facepick.speech.subtitles import srt_text


def srt(*cues: str) -> str:
    return "\n".join(
        f"{n}\n00:00:{3 * n:02},000 --> 00:00:{3 * n + 2:02},000\n{cue}\n"
        for n, cue in enumerate(cues, 1)
    )


VTT = """WEBVTT

00:03.000 --> 00:05.000
<v {0}>one</v>

00:06.000 --> 00:08.000
<v {1}>two</v>
"""
ASS = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.00,0:00:05.00,Default,{0},0,0,0,,one
Dialogue: 0,0:00:06.00,0:00:08.00,Default,{1},0,0,0,,two
"""
RTTM = """SPEAKER file 1 3.0 2.0 <NA> <NA> {0} <NA> <NA>
SPEAKER file 1 6.0 2.0 <NA> <NA> {1} <NA> <NA>
"""
JSON = """[{{"start": 3, "end": 5, "person": "{0}", "text": "one"}},
 {{"start": "00:00:06,000", "end": 8, "person": "{1}", "text": "two"}}]"""
FORMS = {
    "colon.srt": srt("{0}: one", "{1}: two"),
    "wide.srt": srt("{0}：one", "{1}：two"),
    "bracket.srt": srt("[{0}] one", "[{1}] two"),
    "both.srt": srt("[{0}]: one", "[{1}]: two"),
    "dash.srt": srt("- {0}: one", "- {1}: two"),
    "tag.vtt": VTT,
    "actor.ass": ASS,
    "turns.rttm": RTTM,
    "lines.json": JSON,
}
NAMES = [("Anna", "Ben"), ("spk0", "spk1"), ("说话人1", "说话人2"), ("SPEAKER_00", "SPEAKER_01")]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_its_lines(tmp_path: Path, form: str, names: tuple[str, str]) -> None:
    path = tmp_path / form
    path.write_text(FORMS[form].format(*names), encoding="utf-8")
    spans = read_script(path).spans()
    assert [span.person for span in spans] == list(names)
    assert [(span.start, span.end) for span in spans] == [(3, 5), (6, 8)]
    if form != "turns.rttm":
        assert [span.text for span in spans] == ["one", "two"]
    assert is_voice_name(names[0]) == (names[0] != "Anna")


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_names_goes_before(tmp_path: Path, form: str) -> None:
    path, names = tmp_path / form, tmp_path / "speaker.json"
    path.write_text(FORMS[form].format("X", "Y"), encoding="utf-8")
    names.write_text(json.dumps(["spk1", None]), encoding="utf-8")
    spans = with_names(read_script(path), names).spans(["X", "Y"])
    assert [span.person for span in spans] == ["spk1", "Y"]


def test_a_list_of_names_for_cues_that_have_none(tmp_path: Path) -> None:
    path, names = tmp_path / "a.srt", tmp_path / "speaker.json"
    path.write_text(srt("one", "two\nmore", "three"), encoding="utf-8")
    names.write_text(json.dumps(["spk0", "spk1", None]), encoding="utf-8")
    spans = with_names(read_script(path), names).spans()
    assert [(s.person, s.text) for s in spans] == [
        ("spk0", "one"), ("spk1", "two more"), (None, "three"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('["a"]', "1 names, and a.srt has 2 lines"),
        ('{"a": 1}', "no list of names"),
        ('["a", 2]', "no list of names"),
        ("[", "not JSON"),
        (None, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_list_of_names_is_told(
    tmp_path: Path, content: str | None, words: str
) -> None:
    path, names = tmp_path / "a.srt", tmp_path / "speaker.json"
    path.write_text(srt("one", "two"), encoding="utf-8")
    if content is not None:
        names.write_text(content, encoding="utf-8")
    with pytest.raises(UserInputError, match=words):
        with_names(read_script(path), names)


def test_names_without_lines_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speakers", "a.mp4", "--names", str(tmp_path / "n.json")]) == 2
    assert "Add --lines" in capsys.readouterr().err


def test_what_is_written_is_read_by_others(tmp_path: Path) -> None:
    """Subtitles by pysubs2, and all of it by ourselves."""
    pysubs2: Any = pytest.importorskip("pysubs2")
    text = srt_text([(1.5, 3.0, "Anna", "one"), (3.25, 4.0, None, "two")])
    events = pysubs2.SSAFile.from_string(text)
    assert [(e.start, e.end, e.plaintext) for e in events] == [
        (1500, 3000, "[Anna]: one"), (3250, 4000, "two"),
    ]  # fmt: skip
    path = tmp_path / "out.rttm"
    path.write_text(rttm_text("my film", [(1.5, 3.0, "Anna"), (3.25, 4.0, None)]), encoding="utf-8")
    spans = read_script(path).spans()
    assert [(s.person, s.start, s.end) for s in spans] == [("Anna", 1.5, 3.0), (None, 3.25, 4.0)]
