"""What the page holds, in the words of gradio's own configuration."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.support import ask, opened, speak

import facepick.engines
from facepick.errors import FacepickError
from facepick.settings import fields_of
from facepick_ui import compat, messages, uploads, views
from facepick_ui.messages import EXIT_CODES, LANGUAGES, catalogue

FIXED_IDS = {
    "facepick_video", "facepick_scan", "facepick_people", "facepick_flow", "facepick_style",
    "facepick_render", "facepick_stop", "facepick_progress", "facepick_result",
}  # fmt: skip


def element_ids(tab: Any) -> set[str]:
    config = tab.blocks.get_config_file()
    return {
        c["props"]["elem_id"] for c in config["components"] if c.get("props", {}).get("elem_id")
    }


def test_the_ids_others_rely_on_are_there(tab: Any) -> None:
    assert element_ids(tab) >= FIXED_IDS


def test_the_panels_of_recognition_are_on_the_page(tab: Any) -> None:
    names = ("remember", "known", "known_list", "explain", "explain_run", "explain_sheet")
    assert element_ids(tab) >= {f"facepick_{name}" for name in names}
    types = {
        c["props"].get("elem_id"): c["type"] for c in tab.blocks.get_config_file()["components"]
    }
    assert types["facepick_explain_a"] == types["facepick_explain_b"] == "image"
    assert tab.page.components["explain_a"].type == "filepath"


def test_every_id_is_ours(tab: Any) -> None:
    assert [i for i in element_ids(tab) if not i.startswith("facepick_")] == []


def test_no_id_is_used_twice(tab: Any) -> None:
    config = tab.blocks.get_config_file()
    ids = [c["props"]["elem_id"] for c in config["components"] if c["props"].get("elem_id")]
    assert sorted(set(ids)) == sorted(ids)


def test_every_setting_of_every_engine_has_a_widget_with_its_default(tab: Any) -> None:
    for engine in tab.page.app.registry.all():
        spec = engine.spec
        for field in fields_of(spec.settings):
            if spec.needs_source and field.name == "face":
                continue  # chosen by a click on it
            component = tab.page.components[f"{spec.flow}_{spec.id}_{field.name}"]
            assert component.label.startswith(field.ui.label)
            if field.kind == "file":
                continue
            assert (component.value or "") == (field.default or ""), field.name


def test_choices_without_their_model_file_say_so(tab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def labels(name: str, language: str = "en") -> dict[str, str]:
        changes = tab.page.words(language)[name]["choices"]
        return {value: label for label, value in changes}

    restorers = labels("lipsync_wav2lip_restorer")
    assert (restorers["none"], restorers["sharpen"]) == ("None", "Sharpen")
    assert restorers["GFPGAN"] == "GFPGAN (needs a file)"
    assert labels("swap_mesh_occlusion")["xseg"].endswith("(needs a file)")
    assert labels("swap_mesh_occlusion")["built-in"] == "built-in"
    assert labels("lipsync_wav2lip_restorer", "zh")["GPEN"].endswith("（需要文件）")
    # A file that is put there is seen when the page is opened again.
    monkeypatch.setattr(
        type(tab.page.app.models), "find",
        lambda self, spec: Path(spec.file) if spec.file.startswith("gfpgan") else None,
    )  # fmt: skip
    assert labels("lipsync_wav2lip_restorer")["GFPGAN"] == "GFPGAN"
    assert labels("lipsync_wav2lip_restorer")["GPEN"].endswith("(needs a file)")


def test_flows_without_engines_are_absent(fake_app: Any) -> None:
    from facepick.engines.registry import EngineRegistry
    from facepick_ui.tab import build_tab

    hide = fake_app.registry.of_flow("hide")
    fake_app.registry = EngineRegistry(hide)
    page = build_tab(fake_app).page
    assert page.flow_choices("en") == [("Hide", "hide")]
    assert [p.spec.flow for p in page.panels] == ["hide"] * len(hide)


def test_the_page_holds_no_state_but_the_key_of_the_session(tab: Any) -> None:
    config = tab.blocks.get_config_file()
    states = [c for c in config["components"] if c["type"] == "state"]
    assert [c["props"].get("value") for c in states] == [None]


def test_no_handler_is_a_public_endpoint(tab: Any) -> None:
    named = tab.blocks.get_api_info()["named_endpoints"]
    assert named == {}


def holes(words: str) -> list[str]:
    return sorted(re.findall(r"{(\w+)}", words))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_is_whole_in_every_language(language: str) -> None:
    english, words = catalogue("en").words, catalogue(language).words
    assert set(words) == set(english)
    assert [key for key in words if not words[key].strip()] == []
    assert [key for key in words if holes(words[key]) != holes(english[key])] == []
    assert {"en", "zh"} <= set(LANGUAGES)


def test_a_further_language_is_a_further_file_and_lacks_fall_back_to_english(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "de.json"
    file.write_text('{"language": "Deutsch", "words": {"stop": "Anhalten"}}')
    monkeypatch.setitem(messages._CATALOGUES, "de", messages._load(file))
    assert messages.text("stop", "de") == "Anhalten"
    assert messages.text("scan", "de") == messages.text("scan", "en")
    assert messages.setting_label("Margin", "de", "px") == "Margin (px)"
    assert "No frame." in views.failure_box("No frame.", 2, "de")


def test_gradios_own_words_are_those_of_the_page_whatever_the_browser_speaks() -> None:
    chinese, english = messages.gradio_words("zh"), messages.gradio_words("en")
    assert chinese["Drop Video Here"] == "将视频拖放到此处"
    assert english["拖放视频至此处"] == english["将视频拖放到此处"] == "Drop Video Here"
    assert "Drop Video Here" not in english


def test_every_word_used_is_in_the_catalogue(tab: Any) -> None:
    for _, _, key in tab.page.labelled:
        assert messages.has(key)


def core_errors() -> list[type[FacepickError]]:
    """The whole tree, with those that modules of the core derive for themselves."""
    for module in pkgutil.walk_packages(facepick.engines.__path__, "facepick.engines."):
        importlib.import_module(module.name)

    def below(cls: type[FacepickError]) -> list[type[FacepickError]]:
        return [cls, *(c for sub in cls.__subclasses__() for c in below(sub))]

    return [c for c in below(FacepickError) if c.__module__.startswith("facepick.")]


def made(cls: type[FacepickError]) -> FacepickError:
    """An error of this class, whatever its constructor wants."""
    error = cls.__new__(cls)
    FacepickError.__init__(error, "What happened.", hint="What to do.")
    return error


def test_every_error_of_the_core_has_a_headline() -> None:
    for cls in core_errors():
        assert any(messages.has(f"error_{base.__name__}") for base in cls.__mro__), cls


def test_every_error_of_the_core_is_told_in_chinese_with_the_detail_after_it() -> None:
    found = core_errors()
    assert {"UnusableFace", "FfmpegFailed"} <= {cls.__name__ for cls in found}
    # One sentence each, and none for a class that is no more.
    assert {cls.__name__ for cls in found} == set(catalogue("zh").errors)
    for cls in found:
        box = views.error_box(made(cls), "zh")
        sentence, hint = catalogue("zh").errors[cls.__name__].values()
        assert box.index(sentence) < box.index(hint) < box.index("What happened. What to do.")
        assert all(re.search("[\u4e00-\u9fff]", words) for words in (sentence, hint))
        assert sentence not in views.error_box(made(cls), "en")


def test_a_failed_job_is_told_in_chinese_by_its_exit_code() -> None:
    codes = {cls.exit_code for cls in core_errors()}
    assert codes == set(EXIT_CODES)
    for code in (*codes, None):
        box = views.failure_box("No frame.", code, "zh")
        assert box.index("。") < box.index("No frame.")
    assert "No frame." in views.failure_box("No frame.", 2, "en")


def test_every_setting_and_engine_has_chinese_words(tab: Any) -> None:
    missing, chinese = set(), catalogue("zh")
    for widget in tab.page.widgets():
        ui = widget.field.ui
        if ui.label not in chinese.settings:
            missing.add(f"setting {ui.label!r}: {ui.help}")
        if ui.unit and ui.unit not in chinese.units:
            missing.add(f"unit {ui.unit!r} of {ui.label!r}")
        for choice in ui.choices:
            if choice not in chinese.choices and choice not in chinese.names:
                missing.add(f"choice {choice!r} of {ui.label!r}")
    for panel in tab.page.panels:
        if panel.spec.label not in chinese.engines:
            missing.add(f"engine {panel.spec.label!r}: {panel.spec.help}")
    assert sorted(missing) == []


def test_hello_speaks_the_browsers_language(tab: Any) -> None:
    _, changes = opened(tab.handlers, "zh-user-0123456789abcdef|zh-CN")
    assert changes["render"]["value"] == "生成视频"
    assert ("遮脸", "hide") in changes["flow"]["choices"]
    assert "还没有视频" in changes["facts"]["value"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("/a/b.mp4", "/a/b.mp4"),
        ({"path": "/a/b.mp4"}, "/a/b.mp4"),
        ({"name": "/a/b.mp4", "is_file": True}, "/a/b.mp4"),
        ({"video": {"path": "/a/b.mp4"}, "subtitles": None}, "/a/b.mp4"),
        (["/a/b.mp4"], "/a/b.mp4"),
        ([], None),
        ("", None),
    ],
)
def test_an_upload_is_a_path_however_it_is_wrapped(given: Any, expected: str | None) -> None:
    assert uploads.path_of(given) == expected


def test_a_tempfile_wrapper_is_a_path(tmp_path: Path) -> None:
    with open(tmp_path / "x.bin", "wb") as wrapper:
        assert uploads.path_of(wrapper) == str(tmp_path / "x.bin")


def test_a_dropdown_that_knows_no_labels_shows_them_and_gives_the_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compat, "_takes_pairs", lambda kind: kind != "Dropdown")
    pairs = [("in English", "en"), ("none", "off")]
    dropdown = compat.build("Dropdown", choices=pairs, value="off", label="Page")
    assert dropdown.value == "none"
    assert [compat.value_of(dropdown, v) for v in ("in English", "none", None)] == [
        "en", "off", None
    ]  # fmt: skip
    told = compat.as_update(dropdown, {"choices": [("英文", "en"), ("不写", "off")]})
    assert told["choices"] == ["英文", "不写"]
    assert compat.as_update(dropdown, {"value": "en"})["value"] == "英文"
    # Whoever has the page in English still chooses.
    assert compat.value_of(dropdown, "in English") == compat.value_of(dropdown, "英文") == "en"


def test_components_get_only_what_their_gradio_knows() -> None:
    component = compat.build("Gallery", no_such_argument=1, columns=3, label="x")
    assert component.label == "x"
    assert component.do_not_save_to_config is True


def test_widgets_words_change_with_the_language(tab: Any, new_user: Callable[[str], str]) -> None:
    key = new_user("anna")
    changes = speak(tab, key, "zh")
    assert set(changes) <= set(tab.page.components)
    assert changes["stop"]["value"] == "停止"
    english = speak(tab, key, "en")
    assert english["stop"]["value"] == "Stop"


def test_of_two_quick_choices_of_a_language_the_last_is_shown(
    tab: Any, new_user: Callable[[str], str]
) -> None:
    key = new_user("anna")
    tab.handlers.open(key)
    for language in ("zh", "en", "zh"):
        ask(tab, "choose_language", key, language)
    assert ask(tab, "speak", key)["stop"]["value"] == "停止"
    # What is on its way is not sent again.
    assert ask(tab, "speak", key) == ask(tab, "speak", key) == {}


def test_settings_of_the_same_name_have_their_own_chinese_help(tab: Any) -> None:
    helps: dict[str, set[str]] = {}
    for widget in tab.page.widgets():
        helps.setdefault(widget.field.ui.label, set()).add(widget.field.ui.help)
    known = {help_text for texts in helps.values() for help_text in texts}
    assert set(catalogue("zh").helps) <= known


def test_every_quiet_line_speaks_the_browsers_language(tab: Any) -> None:
    _, changes = opened(tab.handlers, "zh-user-0123456789abcdef|zh-CN")
    drawn = {name: changes[name]["value"] for name in tab.page.hints}
    assert {"phones_help", "people_hint", "speech_hint"} <= set(drawn)
    assert [n for n, words in drawn.items() if not re.search("[\u4e00-\u9fff]", words)] == []


def test_things_are_listed_as_the_language_does() -> None:
    assert messages.listed(["P1", "P2"], "en") == "P1, P2"
    assert messages.listed(["P1", "P2"], "zh") == "P1、P2"
