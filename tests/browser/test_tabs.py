"""Two tabs of one browser at once: each has its own work, and a reload brings it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.support import TabPage, browser, serving_the_app, small_film
from tests.sounds import silent_wav

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, shared_models: Path) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with serving_the_app(home, {"FACEPICK_MODELS": str(shared_models)}) as found:
        yield found


@pytest.fixture(scope="module")
def anna() -> Iterator[Any]:
    with browser() as found:
        yield found.new_context(
            viewport={"width": 1280, "height": 900}, color_scheme="light", locale="en-US"
        )


def seen_share(tab: TabPage, name: str) -> bool:
    """Whether a widget is wholly inside the window."""
    return bool(
        tab.page.evaluate(
            "id => { const box = document.querySelector(id).getBoundingClientRect();"
            "return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight; }",
            f"#facepick_{name}",
        )
    )


def checked(tab: TabPage, name: str) -> str:
    """The label of the chosen button of a radio group."""
    place = tab.page.query_selector(f"#facepick_{name} label:has(input:checked)")
    return "" if place is None else str(place.inner_text()).strip()


def trim_a_line_by_keyboard(tab: TabPage, folder: Path) -> None:
    """Give lines to the one who is picked, make the second one shorter, and reload."""
    sound = silent_wav(folder / "mix.wav", 5.0)
    script = folder / "lines.srt"
    script.write_text(
        "1\n00:00:00,500 --> 00:00:01,500\nGood morning\n\n"
        "2\n00:00:02,000 --> 00:00:03,000\nGood night\n"
    )
    tab.page.click("#facepick_lines_fold >> text=Several lines")
    tab.page.set_input_files("#facepick_lines input[type=file]", [str(script), str(sound)])
    tab.page.wait_for_selector(".facepick-said >> nth=1")
    tab.page.focus(".facepick-said >> nth=0")
    tab.page.keyboard.press("ArrowRight")
    tab.page.keyboard.press("Space")
    tab.page.focus(".facepick-strip input[type=range] >> nth=1")
    for _ in range(25):
        tab.page.keyboard.press("ArrowLeft")
    tab.page.click("[data-facepick-strip-do='trim']")
    second = "[data-facepick-row='2.000']"
    tab.page.wait_for_selector(f"{second} .facepick-tag:has-text('trimmed')")
    tab.shot("trimmed")
    tab.page.reload()
    tab.greeted()
    row = tab.page.wait_for_selector(f"{second} .facepick-tag:has-text('trimmed')")
    assert "0:02.00 – 0:02.75" in row.evaluate("tag => tag.closest('tr').innerText")
    assert tab.faults == []


def test_two_tabs_do_not_touch_each_others_work_and_a_reload_brings_it_back(
    anna: Any, address: str, tmp_path: Path, shared_media: Path
) -> None:
    first = TabPage(anna, address, "first")
    first.begin(small_film(shared_media))
    second = TabPage(anna, address, "second")
    assert "No video yet" in second.text("facts")
    first.scan()
    second.press("demo")
    second.wait_text("facts", "1280 x 720")

    first.pick(0)
    first.choose("flow", "Lip sync")
    first.wait_text("render_note", "Still missing: speech for P1")
    # However long the card of lip sync is, Render is in sight.
    first.page.evaluate("document.querySelector('#facepick_flow').scrollIntoView()")
    assert seen_share(first, "render")
    first.page.fill("#facepick_speech_text textarea", "Good morning")
    first.page.wait_for_timeout(1500)
    first.shot("lipsync")

    # The other tab clears its video, and this one keeps all of its work.
    second.page.click(
        "#facepick_video button[aria-label='Clear'], #facepick_video button[title='Clear']"
    )
    second.wait_text("facts", "No video yet")
    first.page.reload()
    first.greeted()
    first.wait_text("facts", "640 x 360")
    first.page.wait_for_selector("#facepick_people .thumbnail-item")
    first.wait_text("picked", "1 picked")
    first.wait_text("render_note", "Still missing: speech for P1")
    assert checked(first, "flow") == "Lip sync"
    assert first.page.input_value("#facepick_speech_text textarea") == "Good morning"
    second.page.reload()
    second.greeted()
    assert "No video yet" in second.text("facts")
    assert first.faults == second.faults == []

    trim_a_line_by_keyboard(first, tmp_path)

    # A tab that is opened after all were closed goes on with the first one's work.
    first.page.close()
    second.page.close()
    again = TabPage(anna, address, "again")
    again.wait_text("facts", "640 x 360")
    again.page.close()
