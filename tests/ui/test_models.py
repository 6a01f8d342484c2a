"""What the page says and does when a model file is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.ui.support import ask, opened, pick, plan_values, run, scan_values, upload

from facepick.models import catalog
from facepick_ui import messages, views


def block(page: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the block of missing models shows, by the end of its widget's name."""
    names = ("models_block", "models_note", "models_progress", "get_models", "models_later")
    return {name: page[name] for name in names}


@pytest.fixture
def bare(tab: Any, new_user: Any, tmp_path: Any) -> str:
    """Somebody with the clip open and no recogniser on the machine."""
    tab.page.app.lacking = {"sface"}
    key = str(new_user("anna"))
    upload(tab, key, tmp_path)
    return key


def test_a_fresh_page_offers_what_every_scan_needs(tab: Any) -> None:
    tab.page.app.lacking = {"sface"}
    _, page = opened(tab.handlers, "anna" + "x" * 20 + "|en-US")
    shown = block(page)
    assert shown["models_block"]["visible"]
    assert shown["get_models"] == {"visible": True, "value": "Get the models (38.7 MB)"}
    note = shown["models_note"]["value"]
    for words in ("Tells people apart", catalog.SFACE.file, "38.7 MB", "licence: Apache-2.0"):
        assert words in note
    assert str(tab.page.app.models.fetch_dir) in note
    assert "goes on" not in note


def test_nothing_is_offered_where_nothing_is_missing(tab: Any) -> None:
    _, page = opened(tab.handlers, "anna" + "x" * 20 + "|en-US")
    assert not page["models_block"]["visible"]


def test_the_scan_goes_on_when_the_model_has_come(tab: Any, bare: str) -> None:
    page = run(tab, bare, ask(tab, "scan", bare, *scan_values(tab)))
    assert "A model file is missing" in page["scan_progress"]["value"]
    assert "goes on with what you asked for" in page["models_note"]["value"]
    page = run(tab, bare, ask(tab, "get_models", bare))
    assert len(page["people"]["value"]) == 2
    assert not page["models_block"]["visible"]
    # One download, and the failed scan was resumed instead of a second one.
    assert {k: n for k, n in tab.page.app.starts.items() if n} == {"scan": 1, "fetch": 1}


def test_the_render_goes_on_with_the_plan_that_was_asked_for(tab: Any, scanned: str) -> None:
    tab.page.app.lacking = {"gfpgan"}
    pick(tab, scanned, 0)
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab, style="blur")))
    assert "A model file is missing" in page["progress"]["value"]
    assert "GFPGANv1.4.pth" in page["models_note"]["value"]
    assert page["get_models"]["value"] == "Get the models (348.6 MB)"
    # Meanwhile somebody else is picked: what was asked for counts.
    pick(tab, scanned, 0)
    pick(tab, scanned, 1)
    page = run(tab, scanned, ask(tab, "get_models", scanned))
    assert "Done" in page["progress"]["value"]
    [job] = [job for job in tab.page.app.jobs() if job.kind == "render"]
    [item] = job.request["plan"]["assignments"]
    assert (item["people"], item["engine"]) == (["P1"], "blur")


def test_a_stopped_download_is_offered_again(tab: Any, bare: str) -> None:
    run(tab, bare, ask(tab, "scan", bare, *scan_values(tab)))
    first = ask(tab, "get_models", bare)
    assert not first["get_models"]["visible"]
    assert first["models_later"]["value"] == "Stop"
    ask(tab, "put_off_models", bare)
    page = run(tab, bare, {})
    assert "Stopped" in page["models_progress"]["value"]
    assert page["get_models"]["visible"]
    assert page["models_later"] == {"interactive": True, "visible": True, "value": "Not now"}
    page = run(tab, bare, ask(tab, "get_models", bare))
    assert len(page["people"]["value"]) == 2


def test_put_off_until_something_needs_it(tab: Any, bare: str) -> None:
    assert not ask(tab, "put_off_models", bare)["models_block"]["visible"]
    assert not tab.handlers.restore(bare)["models_block"]["visible"]
    page = run(tab, bare, ask(tab, "scan", bare, *scan_values(tab)))
    assert page["models_block"]["visible"]


def test_two_clicks_start_one_download(tab: Any, bare: str) -> None:
    ask(tab, "get_models", bare)
    ask(tab, "get_models", bare)
    assert tab.page.app.starts["fetch"] == 1


def test_a_reloaded_page_knows_the_offer_and_goes_on(tab: Any, bare: str) -> None:
    run(tab, bare, ask(tab, "scan", bare, *scan_values(tab)))
    stored = json.loads(
        (tab.handlers.sessions.folder / bare / "session.json").read_text(encoding="utf-8")
    )
    assert stored["offer"]["models"] == ["sface"]
    tab.handlers.sessions.forget(bare)
    assert "goes on" in tab.handlers.restore(bare)["models_note"]["value"]
    page = run(tab, bare, ask(tab, "get_models", bare))
    assert len(page["people"]["value"]) == 2


def test_a_session_that_an_older_version_stored_is_read(tab: Any, bare: str) -> None:
    path = tab.handlers.sessions.folder / bare / "session.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    del stored["offer"]
    path.write_text(json.dumps(stored), encoding="utf-8")
    tab.handlers.sessions.forget(bare)
    assert tab.handlers.session(bare).video is not None


def test_another_video_leaves_nothing_to_go_on_with(tab: Any, bare: str, tmp_path: Any) -> None:
    run(tab, bare, ask(tab, "scan", bare, *scan_values(tab)))
    upload(tab, bare, tmp_path)
    page = run(tab, bare, ask(tab, "get_models", bare))
    assert tab.page.app.starts["scan"] == 1
    assert not page["models_block"]["visible"]


def test_an_engine_that_lacks_a_file_has_its_button_and_its_licence(tab: Any, scanned: str) -> None:
    tab.page.app.lacking = {"wav2lip"}
    help_text = ask(tab, "choose_style", scanned, "lipsync", "wav2lip")["style_help"]["value"]
    for words in ("wav2lip.pth", "435.8 MB", "LRS2", "not for commercial use", "get:wav2lip"):
        assert words in help_text
    page = run(tab, scanned, ask(tab, "act", scanned, "get:wav2lip"))
    assert tab.page.app.starts["fetch"] == 1
    assert not page["models_block"]["visible"]
    # Marks of what can be used are drawn anew for the engine that the page shows.
    assert page["style"]["choices"] == tab.page.style_choices("lipsync", "en", "wav2lip")


def test_files_to_be_brought_show_the_folder_and_a_link(tab: Any) -> None:
    for language in ("en", "zh"):
        drawn = views.models_list([catalog.INSWAPPER_128], "/a/<b>", language)
        assert "data-facepick-act" not in drawn
        assert f'href="{catalog.INSWAPPER_128.homepage}"' in drawn
        assert 'data-facepick-copy="1">/a/&lt;b&gt;</code>' in drawn


def test_no_hint_of_the_page_names_a_command(tab: Any, bare: str) -> None:
    """Whoever sits in a WebUI has none."""
    told: list[str] = []
    for language in messages.LANGUAGES:
        found = messages.catalogue(language)
        told += found.words.values()
        told += [words for error in found.errors.values() for words in error.values()]
    assert [words for words in told if "facepick doctor" in words or "models fetch" in words] == []


def test_every_purpose_has_its_chinese_words() -> None:
    known = messages.catalogue("zh").purposes
    assert [s.purpose for s in catalog.all_specs() if s.purpose not in known] == []


def test_a_download_that_failed_says_why_in_both_languages() -> None:
    said = "x.onnx could not be fetched. github.com: no connection."
    for language, words in (("en", "could not be fetched"), ("zh", "无法下载模型")):
        box = views.failure_box(said, 3, language, fetch=True)
        assert words in box
        assert "github.com" in box


def test_sentences_that_name_a_command_are_left_out_of_the_page() -> None:
    from facepick.errors import JobNotFound

    error = JobNotFound("There is no job 1.2.", hint="See: facepick jobs list")
    box = views.error_box(error, "en")
    assert "There is no job 1.2." in box
    assert "jobs list" not in box
    box = views.failure_box("It is gone. Stop it first: facepick jobs cancel 7", 2, "en")
    assert "It is gone." in box
    assert "cancel 7" not in box
