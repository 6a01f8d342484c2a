"""`facepick ui` in a real browser: the whole click-through with real models and processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.players import HEVC, MATROSKA, keeps_the_users_files, spies
from tests.browser.support import (
    PATIENCE_MS,
    ROOT,
    TabPage,
    browser,
    click_through,
    halted,
    serving_the_app,
)
from tests.contracts.face_footage import frames_of

pytestmark = pytest.mark.browser

CLIP = ROOT / "lib" / "facepick" / "data" / "demo" / "two_people.mp4"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path, shared_models: Path) -> Iterator[str]:
    """A server of its own home, with one folder that users may open files of."""
    environment = {"FACEPICK_MODELS": str(shared_models)}
    with serving_the_app(home, environment, "--allow", str(CLIP.parent)) as found:
        yield found


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def anna(chrome: Any) -> Any:
    """A user of a desktop browser in light colours."""
    return chrome.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light", locale="en-US"
    )


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_MS / 1000
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_from_the_clip_to_the_result(anna: Any, address: str, home: Path) -> None:
    tab = TabPage(anna, address, "light")
    click_through(tab)
    assert tab.faults == []
    [result] = home.glob("outputs/*/two_people_facepick_001.mp4")
    report = json.loads(result.with_name(result.name + ".facepick.json").read_text())
    assert report["result"]["frames"] == 355
    [person] = report["people"]
    assert (person["id"], person["engine"]) == ("P1", "blur")
    jobs = tab.page.request.get(f"{address}/facepick/v1/jobs").json()
    assert {job["kind"] for job in jobs} == {"scan", "preview", "render"}
    tab.page.close()


def test_a_reloaded_page_shows_what_was_there(anna: Any, address: str) -> None:
    tab = TabPage(anna, address, "reload")
    tab.page.wait_for_selector("#facepick_people .thumbnail-item")
    assert "1 picked" in tab.text("picked")
    assert tab.is_playing_file("result")["seconds"] > 14
    assert tab.faults == []
    tab.page.close()


def test_one_job_for_two_clicks_and_it_outlives_the_page(
    anna: Any, address: str, home: Path
) -> None:
    jobs = home / "jobs"
    before = set(jobs.iterdir())
    tab = TabPage(anna, address, "jobs")
    tab.page.dblclick("button#facepick_render:not([disabled])")
    tab.page.wait_for_selector("#facepick_progress .facepick-progress")
    [job] = set(jobs.iterdir()) - before
    with halted(job):
        tab.page.close()
        again = TabPage(anna, address, "jobs")
        again.press("stop")
        wait_until((job / "cancel").exists)
    again.wait_text("progress", "Stopped")
    assert set(jobs.iterdir()) - before == {job}
    again.page.click("#facepick_earlier >> text=Earlier jobs")
    again.page.wait_for_selector("[data-facepick-act^='resume:']")
    again.shot("stopped")
    again.page.click("[data-facepick-act^='resume:']")
    again.wait_text("progress", "Done")
    assert again.is_playing_file("result")["seconds"] > 14
    assert again.faults == []
    again.page.close()


def test_a_remembered_person_is_named_and_can_be_forgotten(
    anna: Any, address: str, home: Path
) -> None:
    from facepick.recognition.cast import Cast

    tab = TabPage(anna, address, "known")
    tab.page.wait_for_selector("#facepick_people .thumbnail-item")
    tab.page.click("#facepick_edit >> text=Correct the list")
    tab.page.fill("#facepick_name textarea, #facepick_name input", "Zoe")
    tab.press("remember")
    tab.wait_text("edit_note", "Zoe is remembered")
    assert [c.split(" - ")[0] for c in tab.captions()] == ["Zoe", "P2"]
    assert [m.name for m in Cast(home / "cast.sqlite").members()] == ["Zoe"]
    tab.page.click("#facepick_known >> text=People known by name")
    tab.page.wait_for_selector("[data-facepick-act='forget:Zoe']")
    tab.shot("list")
    tab.page.click("[data-facepick-act='forget:Zoe']")
    tab.page.wait_for_selector("#facepick_known", state="hidden")
    assert Cast(home / "cast.sqlite").members() == []
    assert tab.faults == []
    tab.page.close()


def test_why_two_photos_are_one_person(
    chrome: Any, address: str, photos: Callable[[str], Path]
) -> None:
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    tab = TabPage(context, address, "explain")
    tab.page.click("#facepick_explain >> text=Why the same person?")
    tab.press("explain_run")
    tab.wait_text("explain_note", "Add two photos first.")
    for name, photo in (("explain_a", "1.jpg"), ("explain_b", "2.jpg")):
        place = f"#facepick_{name}"
        tab.page.set_input_files(f"{place} input[type=file]", str(photos(f"anna/{photo}")))
        tab.page.wait_for_selector(f"{place} img")
    tab.press("explain_run")
    tab.wait_text("explain_note", "The same person")
    tab.wait_text("explain_note", "threshold of 0.678")
    sheet = tab.page.wait_for_selector("#facepick_explain_sheet img")
    assert sheet.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1004
    tab.shot("same")
    assert tab.faults == []
    context.close()


def test_the_face_of_a_swap_is_chosen_saved_and_previewed(
    chrome: Any, address: str, shared_media: Path, tmp_path: Path
) -> None:
    import cv2

    clip = shared_media / "odd" / "base_640x360.mp4"
    (image,) = frames_of(clip, (4,))
    pair, blank = tmp_path / "pair.png", tmp_path / "blank.png"
    cv2.imwrite(str(pair), cv2.resize(image, None, fx=2, fy=2))
    cv2.imwrite(str(blank), image[:40, :40])
    context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    tab = TabPage(context, address, "swap")
    tab.upload(clip)
    tab.wait_text("facts", "640 x 360")
    tab.scan()
    tab.pick(0)
    tab.choose("flow", "Face swap")
    tab.page.wait_for_selector("[data-facepick-act='face:person:P2']")
    tab.page.set_input_files("#facepick_source input[type=file]", [str(pair), str(blank)])
    faces = "#facepick_source_faces .thumbnail-item"
    tab.page.wait_for_selector(f"{faces} >> nth=1")
    tab.wait_text("source_note", "blank.png: shows no face")
    tab.wait_text("source_count", "1 chosen")
    tab.page.fill("#facepick_source_name textarea, #facepick_source_name input", "Zoe")
    tab.press("source_save")
    tab.page.wait_for_selector("[data-facepick-act='face:saved:Zoe']")
    tab.shot("source")
    tab.press("preview")
    tab.wait_text("consent_problem", "Tick the statement")
    tab.page.click("#facepick_consent input")
    tab.page.click("[data-facepick-act='face:person:P2']")
    tab.page.wait_for_selector(f"{faces} .caption-label:has-text('P2')")
    tab.press("preview")
    tab.wait_text("progress", "The preview is ready")
    tab.is_playing_file("preview_video")
    tab.shot("preview")
    tab.page.click("[data-facepick-act='unsave:Zoe']")
    tab.page.wait_for_selector("[data-facepick-act='face:saved:Zoe']", state="detached")
    assert tab.faults == []
    context.close()


def test_only_what_was_changed_is_marked_beside_a_small_copy(chrome: Any, address: str) -> None:
    context = chrome.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    tab = TabPage(context, address, "marks")
    tab.upload(ROOT / "tests" / "media" / "video" / "latentsync_demo3.mp4")
    tab.wait_text("facts", "1080 x 1920")
    tab.scan()
    tab.pick(0)
    tab.press("render")
    # With the button of the queue there are five.
    tab.page.wait_for_selector("button#facepick_enqueue")
    wide = tab.page.eval_on_selector_all(
        "#facepick_render_row button", "all => all.map(b => b.scrollWidth - b.clientWidth)"
    )
    assert max(wide) <= 0
    for player in ("result", "original"):
        tab.is_playing_file(player)
    tab.page.click("#facepick_compare summary")
    tab.page.check("#facepick_compare [data-facepick-mark]")
    marked = tab.page.wait_for_function(
        """() => {
          const canvas = document.querySelector("#facepick_compare canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const tenths = Array(10).fill(0);
          data.forEach((value, at) => {
            if (at % 4 === 3 && value) tenths[Math.floor((10 * at) / data.length)] += 1;
          });
          return tenths.some(Boolean) && tenths;
        }"""
    ).json_value()
    tab.shot("marked")
    # His face is between a quarter and a half of the picture's height.
    assert marked[3] > 500
    assert [*marked[:2], *marked[5:]] == [0] * 7
    context.close()


def test_another_user_sees_nothing_of_the_first(chrome: Any, address: str) -> None:
    context = chrome.new_context(locale="en-US")
    tab = TabPage(context, address, "other")
    assert "No video yet" in tab.text("facts")
    assert tab.page.query_selector("#facepick_people .thumbnail-item") is None
    assert tab.page.query_selector("[data-facepick-act^='show:']") is None
    tab.page.close()
    context.close()


def test_a_file_that_is_no_video_is_told_in_words(
    chrome: Any, address: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "holiday.mp4"
    wrong.write_bytes(b"no video at all" * 100)
    context = chrome.new_context(locale="en-US")
    tab = TabPage(context, address, "wrong")
    tab.upload(wrong)
    tab.wait_text("facts", "not a video that can be read")
    tab.shot("file")
    context.close()


def test_dark_and_chinese_on_a_phone(chrome: Any, address: str) -> None:
    context = chrome.new_context(
        viewport={"width": 390, "height": 844}, color_scheme="dark", locale="zh-CN",
        has_touch=True, device_scale_factor=2,
    )  # fmt: skip
    tab = TabPage(context, f"{address}/?__theme=dark", "phone_dark_zh")
    tab.wait_text("scan", "查找人物")
    tab.page.click("#facepick_video_advanced >> text=如何查找人物")
    tab.page.fill("#facepick_path textarea, #facepick_path input", "two_people.mp4")
    tab.press("open")
    tab.wait_text("facts", "1280 x 720")
    tab.scan()
    tab.pick(1)
    tab.wait_text("for_people", "对 P2")
    assert tab.overflow_px() <= 0
    tab.page.click("#facepick_earlier >> text=以前的任务")
    tab.page.set_viewport_size({"width": 320, "height": 844})
    job = tab.page.wait_for_selector("#facepick_jobs .facepick-job > div")
    assert job.bounding_box()["width"] > 100
    tab.page.set_viewport_size({"width": 390, "height": 844})
    tab.shot("picked")
    tab.choose("flow", "换脸")
    tab.page.wait_for_selector("#facepick_consent")
    tab.press("render")
    tab.wait_text("source_note", "请先添加照片，选好要换上的脸")
    tab.shot("swap")
    assert tab.overflow_px() <= 0
    assert tab.faults == []
    context.close()


def test_the_users_videos_stay_as_they_are(chrome: Any, tmp_path: Path) -> None:
    inputs, home = tmp_path / "inputs", tmp_path / "home"
    inputs.mkdir()
    environment, calls = spies(tmp_path)
    with serving_the_app(home, environment, "--allow", str(inputs)) as found:
        context = chrome.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
        keeps_the_users_files(context, found, "standalone", inputs, home, calls, (HEVC, MATROSKA))
        context.close()
