"""The picker of the source face, and the speech panel."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.support import ask, pick, plan_values, run

PHONES = Path(__file__).parents[1] / "media" / "phones"


def photos(folder: Path, *names: str) -> list[str]:
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def chosen(tab: Any, key: str) -> list[tuple[str, int]]:
    source = tab.handlers.session(key).source
    return [(Path(f.photo).name, f.number) for f in source.faces if f.chosen]


def assignments(tab: Any) -> list[dict[str, Any]]:
    return list(tab.page.app.jobs()[0].request["plan"]["assignments"])


def test_every_face_of_several_photos_is_shown_the_refused_with_their_reason(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    files = photos(tmp_path, "2faces_small.png", "1face.png", "nobody.png")
    first = ask(tab, "add_photos", scanned, files)
    assert "Looking for faces" in first["source_note"]["value"]
    page = run(tab, scanned, first)
    captions = [caption for _, caption in page["source_faces"]["value"]]
    assert captions == ["2faces_small.png", "2faces_small.png", "too small", "1face.png"]
    assert "only 40 pixels high" in page["source_note"]["value"]
    assert "nobody.png: shows no face" in page["source_note"]["value"]
    # The best face and the same person's in the other photo; not the second person.
    assert chosen(tab, scanned) == [("2faces_small.png", 1), ("1face.png", 1)]
    assert "2 chosen" in page["source_count"]["value"]


def test_a_click_takes_another_person_and_never_a_refused_face(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    run(tab, scanned, ask(tab, "add_photos", scanned, photos(tmp_path, "2faces_small.png")))
    assert chosen(tab, scanned) == [("2faces_small.png", 1)]
    ask(tab, "choose_face", scanned, 1)
    assert chosen(tab, scanned) == [("2faces_small.png", 2)]
    ask(tab, "choose_face", scanned, 2)
    assert chosen(tab, scanned) == [("2faces_small.png", 2)]
    ask(tab, "choose_face", scanned, 1)
    assert chosen(tab, scanned) == []
    # More photos are added to those that are there; a choice that was made stays.
    ask(tab, "choose_face", scanned, 1)
    run(tab, scanned, ask(tab, "add_photos", scanned, photos(tmp_path, "2other.png")))
    assert chosen(tab, scanned) == [("2faces_small.png", 2), ("2other.png", 2)]


def test_a_swap_needs_source_and_statement(tab: Any, scanned: str, tmp_path: Path) -> None:
    pick(tab, scanned, 0)
    style = tab.page.specs("swap")[0].id
    ask(tab, "choose_flow", scanned, "swap")
    answer = ask(tab, "render", scanned, *plan_values(tab, flow="swap", style=style))
    assert "add a photo" in answer["source_note"]["value"]
    page = run(tab, scanned, ask(tab, "add_photos", scanned, photos(tmp_path, "1a.png", "1b.png")))
    assert "Still missing: your statement for P1" in page["render_note"]["value"]
    answer = ask(tab, "render", scanned, *plan_values(tab, flow="swap", style=style))
    assert "Tick the statement" in answer["consent_problem"]["value"]
    assert tab.page.app.starts["render"] == 0
    values = plan_values(
        tab, flow="swap", style=style, consent=True, consent_note=" Contract of\n May 3 "
    )
    ask(tab, "render", scanned, *values)
    (assignment,) = assignments(tab)
    assert assignment["consent"].endswith("both faces in this way. Contract of May 3")
    faces = tab.handlers.session(scanned).source.faces
    assert assignment["source"] == [face.image for face in faces]
    assert all(Path(name).is_file() for name in assignment["source"])


def test_faces_are_saved_under_a_name_taken_again_and_removed(
    tab: Any, scanned: str, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    empty = ask(tab, "save_source", scanned, "Zoe")
    assert "add a photo" in empty["source_note"]["value"]
    run(tab, scanned, ask(tab, "add_photos", scanned, photos(tmp_path, "1a.png")))
    assert "name" in ask(tab, "save_source", scanned, "  ")["source_note"]["value"]
    page = run(tab, scanned, ask(tab, "save_source", scanned, " Zoe "))
    assert "Zoe is saved" in page["source_note"]["value"]
    page = run(tab, scanned, ask(tab, "save_source", scanned, "Zoe"))
    assert "a source Zoe already" in page["source_note"]["value"]
    other = new_user("bert")
    assert "face:saved:Zoe" in tab.handlers.restore(other)["source_list"]["value"]
    page = run(tab, other, ask(tab, "act", other, "face:saved:Zoe"))
    assert [caption for _, caption in page["source_faces"]["value"]] == ["Zoe"]
    page = ask(tab, "act", scanned, "unsave:Zoe")
    assert "face:saved:Zoe" not in page["source_list"]["value"]
    again = ask(tab, "act", scanned, "face:saved:Zoe")
    assert "There is no source Zoe" in again["source_note"]["value"]


def test_a_person_of_the_video_is_a_source(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    drawn = tab.handlers.restore(scanned)["source_list"]["value"]
    assert "face:person:P2" in drawn
    page = run(tab, scanned, ask(tab, "act", scanned, "face:person:P2"))
    assert [caption for _, caption in page["source_faces"]["value"]] == ["P2"]
    session = tab.handlers.session(scanned)
    assert session.source.texts == (f"{session.video}:P2",)


@pytest.mark.slow
def test_a_choice_outlives_the_program_and_can_be_cleared(
    tab: Any, fake_app: Any, scanned: str, tmp_path: Path
) -> None:
    from facepick_ui.tab import build_tab

    run(tab, scanned, ask(tab, "add_photos", scanned, photos(tmp_path, "1a.png")))
    again = build_tab(fake_app)
    assert again.handlers.session(scanned).source == tab.handlers.session(scanned).source
    cleared = ask(again, "clear_source", scanned)
    assert cleared["source_faces"]["visible"] is False
    assert build_tab(fake_app).handlers.session(scanned).source is None


def test_what_cannot_be_searched_is_told_in_words(tab: Any, scanned: str, tmp_path: Path) -> None:
    page = run(tab, scanned, ask(tab, "add_photos", scanned, photos(tmp_path, "broken.png")))
    assert "broken.png is damaged. Use another picture." in page["source_note"]["value"]
    many = photos(tmp_path, *(f"1n{i}.png" for i in range(21)))
    assert "Twenty photos" in ask(tab, "add_photos", scanned, many)["source_note"]["value"]


# --- speech ---


def test_lip_sync_needs_speech(tab: Any, scanned: str, tmp_path: Path) -> None:
    pick(tab, scanned, 0)
    style = tab.page.specs("lipsync")[0].id
    answer = ask(tab, "render", scanned, *plan_values(tab, flow="lipsync", style=style))
    assert "Add the new speech" in answer["speech_note"]["value"]
    (sound,) = photos(tmp_path, "speech.wav")
    values = plan_values(
        tab, flow="lipsync", style=style, speech=sound, speech_start=1.5, speech_offset=0.25,
        speech_duration=2, speech_text=" Good morning. ", output_original="duck",
    )  # fmt: skip
    ask(tab, "render", scanned, *values)
    (item,) = assignments(tab)
    (line,) = item["speech"]
    assert Path(line.pop("file")).name == "speech.wav"
    assert line == {"start": 1.5, "offset": 0.25, "duration": 2.0, "text": "Good morning."}
    assert tab.page.app.jobs()[0].request["plan"]["output"]["original"] == "duck"


def test_times_of_phones_go_with_the_speech(tab: Any, scanned: str, tmp_path: Path) -> None:
    times = PHONES / "flite_psdur.txt"
    with wave.open(str(tmp_path / "hello.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 21_072)
    sound = str(tmp_path / "hello.wav")
    style = tab.page.specs("lipsync")[0].id
    pick(tab, scanned, 0)
    values = plan_values(tab, flow="lipsync", style=style, speech=sound, phones=str(times))
    kept = ask(tab, "keep", scanned, *values)
    assert "hello.wav (times of its sounds)" in kept["assignments"]["value"]
    assert kept["phones"] == {"value": None}
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("Good morning.")
    pick(tab, scanned, 1)
    values = plan_values(tab, flow="lipsync", style=style, speech=sound, phones=str(wrong))
    assert "wrong.txt is of no known form" in str(ask(tab, "keep", scanned, *values))
    # A list names its own; beside it lie the sound and the times.
    listed = tmp_path / "list.srt"
    srt = "1\n00:00:00,000 --> 00:00:02,000\nfile: hello.wav\nphones: flite_psdur.txt\n"
    listed.write_text(srt)
    files = [str(listed), sound, str(times)]
    ask(tab, "render", scanned, *plan_values(tab, flow="lipsync", style=style, lines=files))
    for item in assignments(tab):
        (line,) = item["speech"]
        assert line["phones"]["phones"][5] == [0.62, 0.729, "B"]
    assert len(assignments(tab)) == 2


def test_a_recording_is_taken_where_there_is_no_file(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    pick(tab, scanned, 0)
    (sound,) = photos(tmp_path, "recorded.wav")
    style = tab.page.specs("lipsync")[0].id
    ask(tab, "render", scanned, *plan_values(tab, flow="lipsync", style=style, recording=sound))
    assert Path(assignments(tab)[0]["speech"][0]["file"]).name == "recorded.wav"


def test_two_people_say_their_own_words(tab: Any, scanned: str, tmp_path: Path) -> None:
    one, two = photos(tmp_path, "one.wav", "two.wav")
    style = tab.page.specs("lipsync")[0].id
    pick(tab, scanned, 0)
    values = plan_values(tab, flow="lipsync", style=style, speech=one, speech_text="One")
    kept = ask(tab, "keep", scanned, *values)
    # The panel is empty for the next person, so that nobody says the first one's words.
    assert kept["speech"] == {"value": None}
    assert kept["speech_text"] == {"value": ""}
    assert "one.wav" in kept["assignments"]["value"]
    pick(tab, scanned, 1)
    ask(tab, "render", scanned, *plan_values(tab, flow="lipsync", style=style, speech=two))
    said = [(item["people"], Path(item["speech"][0]["file"]).name) for item in assignments(tab)]
    assert said == [(["P1"], "one.wav"), (["P2"], "two.wav")]


def listed(tab: Any, key: str, folder: Path, lines: Any, *sounds: str) -> Any:
    script = folder / "lines.json"
    script.write_text(json.dumps(lines))
    style = tab.page.specs("lipsync")[0].id
    values = plan_values(
        tab, flow="lipsync", style=style, lines=[str(script), *photos(folder, *sounds)]
    )
    return ask(tab, "render", key, *values)


def test_a_list_gives_everybody_their_lines(tab: Any, scanned: str, tmp_path: Path) -> None:
    ask(tab, "pick_everyone", scanned)
    lines = [
        {"start": 0.5, "person": "P1", "file": "a.wav", "text": "Hello"},
        {"start": 2, "person": "P2", "file": "b.wav"},
        {"start": 4, "person": "P1", "file": "a.wav", "offset": 1},
    ]
    listed(tab, scanned, tmp_path, lines, "a.wav", "b.wav")
    found = assignments(tab)
    assert [item["people"] for item in found] == [["P1"], ["P2"]]
    assert [line["start"] for line in found[0]["speech"]] == [0.5, 4.0]
    assert all(Path(line["file"]).is_file() for item in found for line in item["speech"])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{"start": 0, "person": "P2", "file": "a.wav"}], "Nobody of P1 speaks"),
        ([{"start": 0, "person": "P1", "file": "/etc/hostname"}], "another folder"),
        ([{"start": 0, "person": "P1", "file": "../../session.json"}], "another folder"),
        ([{"start": 0, "person": "P1", "file": "gone.wav"}], "no file gone.wav"),
        ([{"start": -1, "person": "P1", "file": "a.wav"}], "no time"),
    ],
)
def test_a_wrong_list_is_refused_in_words(
    tab: Any, scanned: str, tmp_path: Path, lines: Any, words: str
) -> None:
    pick(tab, scanned, 0)
    answer = listed(tab, scanned, tmp_path, lines, "a.wav")
    assert words in answer["progress"]["value"]
    assert tab.page.app.starts["render"] == 0
