"""The speech panel says who will be heard when, before anything is rendered."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sounds import silent_wav
from tests.ui.support import ask, pick, plan_values, run, speak
from tests.ui.support import note as noted

from facepick.notices import Notice
from facepick.render.plan import RenderPlan
from facepick.speech.line import SpeechLine
from facepick.speech.speakers import Speakers, Turn
from facepick_ui import views
from facepick_ui.handlers import Handlers


def heard(tab: Any, key: str, **changed: Any) -> str:
    changes = ask(tab, "hear", key, *plan_values(tab, flow="lipsync", **changed))
    assert "speech_note" in changes
    note = changes["speech_note"]
    assert note["visible"] is bool(note["value"])
    return str(note["value"])


def asked(tab: Any, key: str, values: list[Any]) -> RenderPlan:
    """The plan of the render that the page starts."""
    assert "facepick-progress" in ask(tab, "render", key, *values)["progress"]["value"]
    plan = RenderPlan.from_json(tab.page.app.jobs()[0].request["plan"])
    for job in tab.page.app.jobs():
        tab.page.app.cancel_job(job.id)
    run(tab, key, {})
    return plan


def render_note(tab: Any, key: str) -> str:
    """What the bar says is missing, on a page that is opened again."""
    return str(tab.handlers.restore(key)["render_note"]["value"])


def test_nothing_is_said_without_speech_or_without_somebody(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    speech = str(silent_wav(tmp_path / "one.wav", 1.0))
    assert heard(tab, scanned, speech=speech) == ""
    pick(tab, scanned, 0)
    assert heard(tab, scanned) == ""
    assert heard(tab, scanned, speech=speech) != ""


def test_speech_that_is_too_long_is_told_before_the_render(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    pick(tab, scanned, 0)
    end = views.seconds_of(tab.handlers.session(scanned).scan)[-1]
    long = str(silent_wav(tmp_path / "long.wav", 60.0))
    note = heard(tab, scanned, speech=long, speech_start=1)
    assert "0:01.00 – 1:01.00" in note
    # One second of start, and what the last frame is shown for.
    assert f"The last {61 - end - 0.04:.1f} s of long.wav are left out" in note
    assert "left out" not in heard(tab, scanned, speech=long, output_length="freeze")
    assert "left out" not in heard(tab, scanned, speech=long, speech_duration=0.5)


def test_a_list_shows_who_says_what(tab: Any, scanned: str, tmp_path: Path) -> None:
    for index in (0, 1):
        pick(tab, scanned, index)
    first, second = tab.handlers.session(scanned).picked
    sounds = [str(silent_wav(tmp_path / f"{n}.wav", 0.5)) for n in ("a", "b")]
    script = tmp_path / "lines.json"
    script.write_text(
        json.dumps(
            [
                {"start": 1.5, "person": second, "file": "b.wav", "text": "Good <b>evening</b>."},
                {"start": 0.25, "person": first, "file": "a.wav"},
            ]
        )
    )
    note = heard(tab, scanned, lines=[str(script), *sounds])
    rows = note.split("data-facepick-row=")[1:]
    assert [("a.wav" in row, "Good &lt;b&gt;evening" in row) for row in rows] == [
        (True, False),
        (False, True),
    ]
    assert "0:00.25 – 0:00.75" in rows[0]
    assert views.color_of(first) in rows[0]
    assert views.color_of(second) in rows[1]
    # What is wrong with a list is said as soon as it is there.
    script.write_text(json.dumps([{"start": 0, "person": "P9", "file": "a.wav"}]))
    assert "P9" in heard(tab, scanned, lines=[str(script), *sounds])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_says_what_was_not_heard_and_what_was_only_closed(language: str) -> None:
    person = {
        "label": "P1", "what": "Lip sync", "color": "#fff", "changed": 90, "closed": 30,
        "left": {"silence": 10},
    }  # fmt: skip
    assert "30" in views.report_view([person], False, language)
    cut = Notice(code="speech_cut", facts={"file": "a<b>.wav", "seconds": 2.34})
    note = views.notices_view([cut], language)
    assert "2.3" in note
    assert "a&lt;b&gt;.wav" in note
    assert views.notices_view([], language) == ""


def test_what_is_noted_several_times_stands_once_with_its_people_and_moments() -> None:
    told = [
        Notice(code="other", person=who, start=start, facts={"text": "Too dark."})
        for who, start in (("P1", 1.5), ("P2", 1.5), ("P1", 63.0))
    ]
    note = views.notices_view(told, "en", names={"P1": "Anna"})
    assert note.count("<li>") == 1
    assert "Anna, P2" in note
    assert note.count("seek:1.500") == note.count("seek:63.000") == 1
    assert "1:03.00" in note


def test_the_recorder_is_there_when_it_is_asked_for(tab: Any, scanned: str) -> None:
    recorder = tab.page.components["recording"]
    assert recorder.interactive is False
    assert recorder.visible is False
    assert "recording" not in tab.handlers.restore(scanned)
    assert ask(tab, "record", scanned)["recording"] == {"visible": True, "interactive": True}


def test_subtitles_of_several_people(tab: Any, scanned: str, tmp_path: Path) -> None:
    """Lines of people who are not picked are left out and told, never given to whoever is."""
    pick(tab, scanned, 0)
    (first,) = tab.handlers.session(scanned).picked
    sound = str(silent_wav(tmp_path / "dub.wav", 20.0))
    script = tmp_path / "lines.vtt"
    script.write_text(
        "WEBVTT\n\n00:00.100 --> 00:01.000\n<v Narrator>Once</v>\n\n"
        f"00:01.000 --> 00:02.000\n{first}: Good evening.\n\n"
        "00:02.000 --> 00:03.000\nNobody is named.\n",
        encoding="utf-8",
    )
    note = heard(tab, scanned, lines=[str(script), sound])
    assert note.count("data-facepick-row=") == 2
    assert "Once" not in note
    assert "lines of Narrator (1) are left out and not heard" in note
    assert f"lines that name nobody (1) are given to {first}" in note
    script.write_text("a diary", encoding="utf-8")
    assert "is a text without times" in heard(tab, scanned, lines=[str(script), sound])
    # A file alone is named as what it is.
    assert "is a sound (WAV)" in heard(tab, scanned, lines=[sound])


def test_words_that_cannot_be_read_and_lines_nobody_is_there_for(
    tab: Any, scanned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facepick.speech.espeak.espeak_found", lambda: "")
    pick(tab, scanned, 0)
    session = tab.handlers.session(scanned)
    scan, (who,) = session.scan, session.picked
    shown = {int(f) for t in scan.tracks_of(who) for f in t.frames}
    times = views.seconds_of(scan)
    gone = next(i for i in range(scan.frames) if not shown & set(range(i, i + 10)))
    speech = str(silent_wav(tmp_path / "a.wav", 0.2))
    note = heard(
        tab, scanned, speech=speech, speech_text="早上好", speech_start=float(times[gone + 1])
    )
    assert "reading Chinese (Mandarin) needs espeak-ng" in note
    assert f"{who} is not on screen during the line" in note
    session.language = "zh"
    assert "需要 espeak-ng" in heard(tab, scanned, speech=speech, speech_text="早上好")


def test_what_was_found_out_goes_with_the_job(tab: Any, scanned: str, tmp_path: Path) -> None:
    pick(tab, scanned, 0)
    sound = str(silent_wav(tmp_path / "dub.wav", 20.0))
    script = tmp_path / "lines.srt"
    script.write_text("1\n00:00:00,100 --> 00:00:01,000\nhello\n", encoding="utf-8")
    values = plan_values(tab, flow="lipsync", style="rewrite", lines=[str(script), sound])
    ask(tab, "keep", scanned, *values)
    session = tab.handlers.session(scanned)
    assert [n.code for told in session.kept_notices for n in told] == ["lines_unnamed"]
    # Kept with the session, and gone with the line of the list that it was about.
    restored = type(session)(key=session.key)
    restored.restore(json.loads(json.dumps(session.to_json())))
    assert restored.kept_notices == session.kept_notices
    changes = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    assert "lines that name nobody (1) are given to" in changes["report"]["value"]
    jobs = tab.handlers.restore(scanned)["jobs"]["value"]
    assert "1 note" in jobs
    ask(tab, "act", scanned, "drop:0")
    assert session.kept_notices == []


def test_the_language_of_a_chinese_page_is_chinese(tab: Any) -> None:
    assert tab.page.words("zh")["lipsync_rewrite_language"]["value"] == "zh"
    assert tab.page.words("en")["lipsync_rewrite_language"]["value"] == "auto"


def test_the_choices_of_the_original_are_words(tab: Any) -> None:
    (widget,) = [w for w in tab.page.output_widgets if w.field.name == "original"]
    assert dict(widget.words("en")["choices"])["Replaced where there is new speech"] == "replace"
    assert dict(widget.words("zh")["choices"])["全程静音"] == "mute"


def test_a_finished_soundtrack_needs_no_speech(tab: Any, scanned: str, tmp_path: Path) -> None:
    pick(tab, scanned, 0)
    mix = str(silent_wav(tmp_path / "final mix.wav", 3.0))
    values = plan_values(tab, flow="lipsync", style="rewrite", output_soundtrack=mix)
    plan = asked(tab, scanned, values)
    (item,) = plan.assignments
    assert item.speech == ()
    (line,) = plan.lines_of(item)
    # The user's own copy, which no clean-up of the host removes.
    assert Path(line.path).name == "final mix.wav"
    assert line.path == plan.output.soundtrack != mix
    # Lines without sounds are cut from it.
    script = tmp_path / "lines.srt"
    script.write_text("1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n")
    values = plan_values(
        tab, flow="lipsync", style="rewrite", output_soundtrack=mix, lines=[str(script)]
    )
    ((line,),) = [a.speech for a in asked(tab, scanned, values).assignments]
    assert (line.start_seconds, line.offset_seconds, line.cue_seconds) == (1.0, 1.0, 1.0)
    assert line.path == plan.output.soundtrack


def test_a_line_is_given_to_somebody_else_and_played(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    for index in (0, 1):
        pick(tab, scanned, index)
    session = tab.handlers.session(scanned)
    first, second = session.picked
    sound = str(silent_wav(tmp_path / "all.wav", 6.0))
    script = tmp_path / "lines.srt"
    script.write_text(
        f"1\n00:00:00,250 --> 00:00:01,000\n{first}: Good <b>morning.\n\n"
        f"2\n00:00:02,000 --> 00:00:03,000\n{second}: Good night.\n"
    )
    note = heard(tab, scanned, lines=[str(script), sound])
    # Both are there to choose, nobody's mouth too; in the picture each has a row of its own.
    assert note.count("<select") == 2
    assert note.count('value="off_screen"') == 2
    assert note.count("facepick-desk-lane") == 2
    assert "<b>morning" not in note
    assert [said.people for said in session.said] == [(first,), (second,)]

    note = ask(tab, "act", scanned, f"who:0.250={second}")["speech_note"]["value"]
    assert [said.people for said in session.said] == [(second,), (second,)]
    assert note.count("facepick-desk-lane") == 1
    note = ask(tab, "act", scanned, "who:2.000=off_screen")["speech_note"]["value"]
    # It stands in a row of its own, and beside nobody's face.
    assert note.count("facepick-desk-lane") == 2
    row = note[note.index('data-facepick-row="2.000"') :]
    assert "facepick-dot" not in row[: row.index("<select")]
    assert [said.line.drawn for said in session.said] == [True, False]
    # A page that is opened again hands the same files over from another place.
    elsewhere = [tmp_path / "cache" / Path(name).name for name in (script, sound)]
    elsewhere[0].parent.mkdir()
    for copy, file in zip(elsewhere, (script, sound), strict=True):
        copy.write_bytes(Path(file).read_bytes())
    heard(tab, scanned, lines=[str(copy) for copy in elsewhere])
    assert [said.line.drawn for said in session.said] == [True, False]
    # What the page says is what is rendered, also after a reload.
    values = plan_values(tab, flow="lipsync", style="rewrite", lines=[str(script), sound])
    fresh = type(session)(key=session.key)
    fresh.restore(json.loads(json.dumps(session.to_json())))
    assert fresh.line_who == session.line_who
    plan = asked(tab, scanned, values)
    drawn = [(a.selection.people, line.drawn) for a in plan.assignments for line in a.speech]
    assert drawn == [((second,), True), ((second,), False)]

    # Nobody who is not picked, and no line that is not there.
    before = dict(session.line_who)
    ask(tab, "act", scanned, "who:0.250=P99")
    ask(tab, "act", scanned, f"who:7.000={first}")
    assert session.line_who == before

    player = ask(tab, "act", scanned, "hear:0.250")["line_player"]["value"]
    assert 'src="data:audio/wav;base64,UklGR' in player
    # Several widgets tell of one change; where nothing has changed the strip stays open.
    lines = [str(copy) for copy in elsewhere]
    values = plan_values(tab, flow="lipsync", style="rewrite", lines=lines)
    assert "line_player" not in ask(tab, "hear", scanned, *values)
    assert ask(tab, "act", scanned, "hear:nothing") == {}


def test_a_line_is_trimmed_and_recorded_anew(
    tab: Any, scanned: str, fake_app: Any, tmp_path: Path
) -> None:
    pick(tab, scanned, 0)
    mix = str(silent_wav(tmp_path / "all.wav", 6.0))
    script = tmp_path / "lines.srt"
    script.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nGood morning.\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\nGood night.\n"
    )
    given = {"flow": "lipsync", "style": "rewrite", "lines": [str(script), mix]}
    heard(tab, scanned, lines=given["lines"])

    def rendered() -> list[SpeechLine]:
        plan = asked(tab, scanned, plan_values(tab, **given))
        return [line for item in plan.assignments for line in item.speech]

    listed = rendered()
    # A second more of the mixed track on both sides can be let in.
    strip = ask(tab, "act", scanned, "hear:3.000")["line_player"]["value"]
    assert 'data-facepick-begin="2.000"' in strip
    changes = ask(tab, "act", scanned, "trim:3.000=3.250:4.500")
    assert "trimmed" in changes["speech_note"]["value"]
    assert "untake:3.000" in changes["line_player"]["value"]
    first, second = rendered()
    # What is left of the sound is heard when it was heard before.
    assert first == listed[0]
    assert (second.start_seconds, second.offset_seconds, second.duration_seconds) == (
        3.25,
        3.25,
        1.25,
    )

    sound = base64.b64encode(silent_wav(tmp_path / "take.wav", 0.8).read_bytes()).decode()
    changes = ask(tab, "act", scanned, f"take:1.000=data:audio/wav;base64,{sound}")
    assert "recorded here" in changes["speech_note"]["value"]
    first, _ = rendered()
    assert Path(first.path).name == "recorded-1.000.wav"
    assert (first.start_seconds, first.offset_seconds, first.text) == (1.0, 0.0, "Good morning.")
    # After a reload, in a program that was started anew, both are as they were left.
    again = Handlers(fake_app, tab.page).session(scanned)
    assert again.line_takes == tab.handlers.session(scanned).line_takes != {}

    for bad in ("=x:y", "=3.000:3.010", "=-1:2"):
        words = ask(tab, "act", scanned, f"trim:3.000{bad}")["line_player"]["value"]
        assert "twentieth of a second" in words
    for bad in (
        "data:text/html;base64,PGI+",
        "data:audio/wav;base64,%%",
        "data:audio/wav;base64,AAAA",
    ):
        assert (
            "facepick-problem"
            in ask(tab, "act", scanned, f"take:1.000={bad}")["line_player"]["value"]
        )
    assert rendered()[0] == first
    for key in ("1.000", "3.000"):
        ask(tab, "act", scanned, f"untake:{key}")
    assert rendered() == listed


def retakes(note: str) -> dict[str, bool]:
    """By line, whether its button can be pressed; one that cannot says why."""
    found = {}
    for row in note.split("data-facepick-row=")[1:]:
        button = row[row.index('data-facepick-act="retake:') :]
        button = button[: button.index("</button>")]
        found[button.split('"')[1].removeprefix("retake:")] = " disabled" not in button
        assert 'title=""' not in button
    return found


def test_one_line_is_taken_anew(tab: Any, scanned: str, tmp_path: Path) -> None:
    for index in (0, 1):
        pick(tab, scanned, index)
    session = tab.handlers.session(scanned)
    first, second = session.picked
    mix = str(silent_wav(tmp_path / "all.wav", 6.0))
    script = tmp_path / "lines.srt"
    script.write_text(
        f"1\n00:00:01,000 --> 00:00:02,000\n{first}: Good morning.\n\n"
        f"2\n00:00:03,000 --> 00:00:04,000\n{first}: Good night.\n\n"
        f"3\n00:00:04,500 --> 00:00:05,500\n{second}: Bye.\n"
    )
    given = {"flow": "lipsync", "style": "rewrite", "lines": [str(script), mix]}
    note = heard(tab, scanned, lines=given["lines"])
    assert retakes(note) == {"1.000": False, "3.000": False, "4.500": False}
    assert "once this video has a result" in note
    answer = ask(tab, "act", scanned, "retake:3.000")
    assert "once this video has a result" in answer["line_player"]["value"]
    assert {job.kind for job in tab.page.app.jobs()} == {"scan"}

    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab, **given)))
    result = tab.page.app.jobs()[0]
    # The result has the lines as they stand, which the page says by itself.
    assert retakes(page["speech_note"]["value"]) == dict.fromkeys(
        ("1.000", "3.000", "4.500"), False
    )
    assert "trim it, record it" in page["speech_note"]["value"]
    ask(tab, "act", scanned, "trim:1.000=1.200:1.900")
    ask(tab, "act", scanned, "trim:3.000=2.500:3.500")
    note = ask(tab, "act", scanned, f"who:4.500={first}")["speech_note"]["value"]
    assert retakes(note) == {"1.000": True, "3.000": True, "4.500": True}

    page = run(tab, scanned, ask(tab, "act", scanned, "retake:3.000"))
    made = tab.page.app.jobs()[0]
    assert made.request["update"] == result.out != made.out
    before, after = (RenderPlan.from_json(job.request["plan"]) for job in (result, made))
    (old, other), (new, same) = (plan.assignments for plan in (before, after))
    assert same == other
    assert new.speech[0] == old.speech[0]
    assert (new.speech[1].start_seconds, new.speech[1].duration_seconds) == (2.5, 1.0)
    # The other two still wait, and a render that fails takes no result away.
    waiting = {"1.000": True, "3.000": False, "4.500": True}
    assert retakes(page["speech_note"]["value"]) == waiting
    ask(tab, "act", scanned, "retake:1.000")
    busy = ask(tab, "act", scanned, "retake:4.500")["line_player"]["value"]
    assert "A render is at work" in busy
    tab.page.app.cancel_job(tab.page.app.jobs()[0].id)
    page = run(tab, scanned, {})
    assert retakes(page["speech_note"]["value"]) == waiting
    # Whose it is: gone from the one, said by the other.
    run(tab, scanned, ask(tab, "act", scanned, "retake:4.500"))
    moved = RenderPlan.from_json(tab.page.app.jobs()[0].request["plan"])
    assert [(a.selection.people, len(a.speech)) for a in moved.assignments] == [((first,), 3)]
    assert tab.page.app.jobs()[0].request["update"] == made.out


def test_the_one_speech_is_trimmed_through_its_fields(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    pick(tab, scanned, 0)
    heard(tab, scanned, speech=str(silent_wav(tmp_path / "one.wav", 2.0)))
    changes = ask(tab, "act", scanned, "trim:0.000=0.500:1.250")
    assert changes["speech_offset"]["value"] == 0.5
    assert changes["speech_duration"]["value"] == 0.75


def a_line_of_nobody(tab: Any, key: str, folder: Path) -> list[str]:
    """Picks two people for lip sync; gives a list that names nobody, and its sound."""
    for index in (0, 1):
        pick(tab, key, index)
    ask(tab, "choose_flow", key, "lipsync")
    script = folder / "lines.srt"
    script.write_text("1\n00:00:00,250 --> 00:00:01,000\nGood morning.\n")
    return [str(script), str(silent_wav(folder / "all.wav", 6.0))]


def test_lines_without_names_are_offered_to_be_looked_for(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    lines = a_line_of_nobody(tab, scanned, tmp_path)
    noted(tab, scanned, "lines", lines)
    note = heard(tab, scanned, lines=lines)
    assert "do not say who speaks" in note
    assert "who says which line" in render_note(tab, scanned)
    assert 'data-facepick-act="speakers:"' in note
    # Another fault has nothing to do with who speaks.
    Path(lines[0]).write_text(
        "1\n00:00:00,250 --> 00:00:01,000\nP1: Good morning.\nfile: gone.wav\n"
    )
    note = heard(tab, scanned, lines=lines)
    assert "gone.wav" in note
    assert "speakers:" not in note


def test_the_network_for_voices_is_offered_where_it_is_missing(
    tab: Any, scanned: str, fake_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def who_speaks(scan: Any, lines: Sequence[Any] | None = None, **_: Any) -> Speakers:
        turns = [
            Turn(
                id=f"L{i}", start=line.start, end=line.end, person="P1", voice="V1", state="sure",
                score=1.0,
            )
            for i, line in enumerate(lines or (), 1)
        ]  # fmt: skip
        return Speakers(voices=(), turns=tuple(turns), rough="speakers" in fake_app.lacking)

    monkeypatch.setattr(fake_app, "who_speaks", who_speaks, raising=False)
    fake_app.lacking = {"speakers"}
    heard(tab, scanned, lines=a_line_of_nobody(tab, scanned, tmp_path))
    note = run(tab, scanned, ask(tab, "act", scanned, "speakers:"))["speech_note"]["value"]
    assert "told apart roughly" in note
    assert 'data-facepick-act="get:speakers"' in note
    assert "(28.0 MB)" in note
    # With it, it is to be found out again.
    note = run(tab, scanned, ask(tab, "act", scanned, "get:speakers"))["speech_note"]["value"]
    assert "do not say who speaks" in note
    note = run(tab, scanned, ask(tab, "act", scanned, "speakers:"))["speech_note"]["value"]
    assert "Good morning." in note
    assert "get:speakers" not in note


def test_who_watches_may_show_who_was_found_to_speak(tab: Any) -> None:
    assert "speech_note" in tab.handlers.watched


def test_what_is_heard_is_told_in_the_language_that_is_chosen(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    pick(tab, scanned, 0)
    ask(tab, "choose_flow", scanned, "lipsync")
    assert "Seconds" in heard(tab, scanned, speech=str(silent_wav(tmp_path / "hello.wav", 0.5)))
    note = speak(tab, scanned, "zh")["speech_note"]["value"]
    assert "Seconds" not in note
    assert "hello.wav" in note


def test_speech_is_not_the_next_persons(tab: Any, scanned: str, tmp_path: Path) -> None:
    ask(tab, "choose_flow", scanned, "lipsync")
    pick(tab, scanned, 0)
    form = tab.handlers.session(scanned).form
    noted(tab, scanned, "speech", str(silent_wav(tmp_path / "one.wav", 1.0)))
    noted(tab, scanned, "speech_text", "Good morning")
    noted(tab, scanned, "lines", [str(silent_wav(tmp_path / "all.wav", 1.0))])
    # Another person beside the first says the same; the first one let go and picked again keeps it.
    assert "speech" not in pick(tab, scanned, 1)
    pick(tab, scanned, 1)
    pick(tab, scanned, 0)
    assert "speech" not in pick(tab, scanned, 0)
    # The first one is in the program's memory after a restart, too.
    fresh = type(tab.handlers.session(scanned))(key=scanned)
    fresh.restore(json.loads(json.dumps(tab.handlers.session(scanned).to_json())))
    assert fresh.speech_for == ["P1"]
    pick(tab, scanned, 1)
    page = pick(tab, scanned, 0)
    assert (page["speech"]["value"], page["speech_text"]["value"]) == (None, "")
    assert "lines" not in page
    noted(tab, scanned, "speech", None)
    assert not form.get("speech")
    assert not form.get("speech_text")
    # A list says itself who speaks.
    assert form["lines"]
    noted(tab, scanned, "lines", None)
    assert "speech for P2" in render_note(tab, scanned)


def test_what_is_heard_follows_who_is_picked(tab: Any, scanned: str, tmp_path: Path) -> None:
    ask(tab, "choose_flow", scanned, "lipsync")
    one = str(silent_wav(tmp_path / "one.wav", 1.0))
    # Given before anybody was picked.
    assert heard(tab, scanned, speech=one) == ""
    assert "<b>P1</b>" in pick(tab, scanned, 0)["speech_note"]["value"]
    both = pick(tab, scanned, 1)["speech_note"]["value"]
    assert "<b>P1</b>" in both
    assert "<b>P2</b>" in both
    pick(tab, scanned, 0)
    assert pick(tab, scanned, 1)["speech_note"] == {"value": "", "visible": False}
    ask(tab, "choose_flow", scanned, "hide")
    assert "speech_note" not in pick(tab, scanned, 0)


def test_speech_is_not_the_next_videos(tab: Any, scanned: str, tmp_path: Path) -> None:
    pick(tab, scanned, 0)
    session = tab.handlers.session(scanned)
    noted(tab, scanned, "speech", str(silent_wav(tmp_path / "one.wav", 1.0)))
    noted(tab, scanned, "lines", [str(silent_wav(tmp_path / "all.wav", 1.0))])
    again = tmp_path / "again.mp4"
    again.write_bytes(Path(session.video).read_bytes())
    # The same video under another name.
    assert "speech" not in ask(tab, "upload", scanned, str(again))
    assert session.form["speech"]
    # Taken away, and back again.
    assert ask(tab, "upload", scanned, None)["speech"]["value"] is None
    for name in ("speech", "lines"):
        noted(tab, scanned, name, None)
    page = ask(tab, "upload", scanned, str(again))
    assert Path(page["speech"]["value"]).name == "one.wav"
    assert Path(page["lines"]["value"][0]).name == "all.wav"
    assert session.speech_for == ["P1"]
    other = tmp_path / "other.mp4"
    other.write_bytes(again.read_bytes() + b"free")
    page = ask(tab, "upload", scanned, str(other))
    for name in ("speech", "lines", "source", "output_soundtrack"):
        assert page[name]["value"] is None
        assert not session.form.get(name)
    assert page["speech_text"]["value"] == ""


@pytest.mark.parametrize(
    ("language", "said"), [("en", "The sound cannot be read"), ("zh", "无法读取这段声音")]
)
def test_a_broken_sound_is_missing_speech(
    tab: Any, scanned: str, tmp_path: Path, language: str, said: str
) -> None:
    speak(tab, scanned, language)
    ask(tab, "choose_flow", scanned, "lipsync")
    pick(tab, scanned, 0)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF no sound at all" * 50)
    noted(tab, scanned, "speech", str(broken))
    note = heard(tab, scanned, speech=str(broken))
    assert said in note
    assert "broken.wav" in note
    assert views.text("error_VideoOpenError", language) not in note
    missing = views.text("missing_speech", language, who="P1")
    assert missing in render_note(tab, scanned)
    whole = str(silent_wav(tmp_path / "whole.wav", 1.0))
    noted(tab, scanned, "speech", whole)
    assert said not in heard(tab, scanned, speech=whole)
    assert missing not in render_note(tab, scanned)
