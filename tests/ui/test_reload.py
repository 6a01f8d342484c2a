"""What is set on the page is there again after a reload, and says what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.ui.support import ask, note, opened, pick, plan_values, speak

from facepick_ui.handlers import Handlers

SECRET = f"{'anna':x<24}|en-US"


def reloaded(tab: Any, fake_app: Any) -> dict[str, dict[str, Any]]:
    """The page after a reload, on a program that was started anew."""
    _, page = opened(Handlers(fake_app, tab.page), SECRET)
    return dict(page)


def test_flow_engine_speech_words_and_options_survive(
    tab: Any, scanned: str, fake_app: Any, tmp_path: Path
) -> None:
    speech = tmp_path / "hello.wav"
    speech.write_bytes(b"RIFF")
    pick(tab, scanned, 0)
    ask(tab, "choose_flow", scanned, "lipsync")
    ask(tab, "choose_style", scanned, "lipsync", "wav2lip")
    noted = {
        "speech": str(speech), "speech_text": "Good morning", "speech_start": 1.5,
        "lipsync_wav2lip_mouth_mask_dilate": 21, "encode_crf": 23, "preview_seconds": 5,
        "consent_note": "Anna, 3 May",
    }  # fmt: skip
    noted = {name: value for name, value in noted.items() if name in tab.page.components}
    for name, value in noted.items():
        note(tab, scanned, name, value)
    page = reloaded(tab, fake_app)
    assert page["flow"]["value"] == "lipsync"
    assert page["style"]["value"] == "wav2lip"
    assert page["speech_inputs"]["visible"] is True
    assert page["panel_lipsync_wav2lip"]["visible"] is True
    assert Path(page["speech"]["value"]).name == "hello.wav"
    assert str(tmp_path / "home") in page["speech"]["value"]
    for name in set(noted) - {"speech"}:
        assert page[name]["value"] == noted[name], name
    assert tab.handlers.session(scanned).picked == ["P1"]


def test_the_language_that_was_chosen_and_what_is_ticked_survive(
    tab: Any, scanned: str, fake_app: Any
) -> None:
    speak(tab, scanned, "zh")
    note(tab, scanned, "live_frame", True)
    note(tab, scanned, "source_name", "Zoe")
    note(tab, scanned, "hide_pixelate_shape", "rectangle")
    page = reloaded(tab, fake_app)
    assert page["language"]["value"] == "zh"
    # Gradio 3 shows a choice by its label: without its value it would stay in English.
    assert page["hide_pixelate_shape"]["value"] == "rectangle"
    assert page["hide_blur_shape"]["value"] == "ellipse"
    assert page["scan"]["value"] == "重新查找"
    assert page["live_frame"]["value"] is True
    assert page["source_name"]["value"] == "Zoe"


def test_the_review_is_in_the_language_that_the_page_shows(tab: Any, scanned: str) -> None:
    pick(tab, scanned, 0)
    assert speak(tab, scanned, "zh")["output_review"]["value"] == "zh"
    ask(tab, "render", scanned, *plan_values(tab, output_review="zh"))
    assert tab.page.app.jobs()[0].request["plan"]["output"]["review"] == "zh"
    # As gradio tells of what the page has set.
    note(tab, scanned, "output_review", "zh")
    assert speak(tab, scanned, "en")["output_review"]["value"] == "en"
    note(tab, scanned, "output_review", "off")
    assert speak(tab, scanned, "zh")["output_review"]["value"] == "off"


def test_a_speech_that_was_shown_again_is_not_copied_again(
    tab: Any, scanned: str, fake_app: Any, tmp_path: Path
) -> None:
    speech = tmp_path / "hello.wav"
    speech.write_bytes(b"RIFF")
    note(tab, scanned, "speech", str(speech))
    uploads = tab.handlers.sessions.folder_of(tab.handlers.session(scanned)) / "uploads"
    before = sorted(uploads.iterdir())
    cached = tmp_path / "cache" / "hello.wav"
    cached.parent.mkdir()
    cached.write_bytes(b"RIFF")
    note(tab, scanned, "speech", str(cached))
    assert sorted(uploads.iterdir()) == before
    note(tab, scanned, "speech", None)
    assert "speech" not in reloaded(tab, fake_app) or not reloaded(tab, fake_app)["speech"].get(
        "value"
    )


def test_a_value_that_no_longer_fits_keeps_its_default(tab: Any, scanned: str) -> None:
    session = tab.handlers.session(scanned)
    widget = next(w for w in tab.page.encode_widgets if w.field.kind in ("int", "float"))
    session.form.update({widget.name: 1e9, "gone_widget": 1, "flow": "dance"})
    tab.handlers.sessions.save(session)
    _, page = opened(tab.handlers, SECRET)
    assert page.get(widget.name, {}).get("value") != 1e9
    assert page["flow"]["value"] == tab.page.flows()[0]


def test_a_flow_comes_back_with_the_engine_it_had(tab: Any, scanned: str) -> None:
    ask(tab, "choose_style", scanned, "hide", "blur")
    ask(tab, "choose_flow", scanned, "lipsync")
    assert ask(tab, "choose_flow", scanned, "hide")["style"]["value"] == "blur"


def test_a_style_of_the_flow_before_is_no_error(tab: Any, scanned: str) -> None:
    """While a page is filled, the browser may send what the widgets held before."""
    ask(tab, "choose_flow", scanned, "lipsync")
    style = tab.page.components["style"]
    lipsync = tab.page.style_choices("lipsync", "en")
    # As gradio makes anew what has got other choices.
    again = type(style)(choices=lipsync, value=lipsync[0][1])
    assert again.preprocess("pixelate") == "pixelate"
    assert again.get_block_name() == "radio"
    page = ask(tab, "choose_style", scanned, "lipsync", "pixelate")
    assert page[f"panel_lipsync_{lipsync[0][1]}"]["visible"] is True
    page = speak(tab, scanned, "zh")
    assert {value for _, value in page["style"]["choices"]} == {value for _, value in lipsync}
    assert page[f"panel_lipsync_{lipsync[0][1]}"]["visible"] is True


def test_what_is_missing_is_said_until_it_is_there(tab: Any, scanned: str, tmp_path: Path) -> None:
    pick(tab, scanned, 0)
    assert "Ready when you are" in tab.handlers.restore(scanned)["render_note"]["value"]
    page = ask(tab, "choose_flow", scanned, "lipsync")
    assert "Still missing: speech for P1" in page["render_note"]["value"]
    assert "facepick-missing" in page["render_note"]["value"]
    speech = tmp_path / "hello.wav"
    speech.write_bytes(b"RIFF")
    page = note(tab, scanned, "speech", str(speech))
    assert "missing" not in page["render_note"]["value"]
    page = ask(tab, "choose_flow", scanned, "swap")
    assert "a new face for P1, your statement for P1" in page["render_note"]["value"]


def test_a_complaint_goes_away_when_something_changes(tab: Any, scanned: str) -> None:
    page = ask(tab, "render", scanned, *plan_values(tab))
    assert "facepick-box" in page["progress"]["value"]
    assert pick(tab, scanned, 0)["progress"]["value"] == ""


def test_the_own_face_is_not_offered(tab: Any, scanned: str) -> None:
    page = pick(tab, scanned, 0)
    drawn = page["source_list"]["value"]
    assert "face:person:P2" in drawn
    assert "face:person:P1" not in drawn


def test_tabs_with_seats_of_their_own_share_nothing(tab: Any, scanned: str) -> None:
    secret = f"{'anna':x<24}"
    second, page = opened(tab.handlers, f"{secret}-2|en-US")
    assert second != scanned
    assert page["facts"]["value"].count("No video yet") == 1
    ask(tab, "upload", second, None)
    assert tab.handlers.session(scanned).video is not None


def test_a_session_of_an_older_version_still_loads(tab: Any, scanned: str) -> None:
    sessions = tab.handlers.sessions
    file = sessions.folder_of(tab.handlers.session(scanned)) / "session.json"
    data = json.loads(file.read_text())
    for name in ("form", "styles"):
        del data[name]
    file.write_text(json.dumps(data))
    sessions.forget(scanned)
    again = tab.handlers.session(scanned)
    assert (again.video, again.form) == (data["video"], {})
