"""Old uploads go, and nothing else does."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.support import CLIP, ask, pick, plan_values, run, scan_values, upload

from facepick_ui.cleanup import KEEP_SECONDS, tidy

LATER = 2 * KEEP_SECONDS


def sweep(tab: Any, *, ahead: float = LATER) -> int:
    """Tidy as if so much time had passed since everything was last used."""
    app, handlers = tab.page.app, tab.handlers
    return tidy(handlers.sessions, app.jobs(), app.host.outputs(), now=time.time() + ahead)


def uploads(tab: Any, key: str) -> list[Path]:
    folder = tab.handlers.sessions.folder_of(tab.handlers.session(key))
    return sorted(p for p in (folder / "uploads").glob("*/*"))


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_what_an_open_session_shows_stays_what_it_replaced_goes(
    tab: Any, new_user: Callable[[str], str], tmp_path: Path
) -> None:
    key = new_user("anna")
    upload(tab, key, tmp_path)
    (first,) = uploads(tab, key)
    second = tmp_path / "second.mp4"
    shutil.copyfile(CLIP, second)
    ask(tab, "upload", key, str(second))
    assert len(uploads(tab, key)) == 2
    assert sweep(tab, ahead=0) == 0
    for path in uploads(tab, key):
        age(path.parent, LATER)
    tab.handlers.session(key)
    assert sweep(tab, ahead=0) == 1
    assert [p.name for p in uploads(tab, key)] == ["second.mp4"]
    assert not first.exists()
    assert (tmp_path / "gradio" / "upload" / CLIP.name).is_file()


def test_a_session_that_was_left_goes_with_its_uploads(tab: Any, scanned: str) -> None:
    folder = tab.handlers.sessions.folder_of(tab.handlers.session(scanned))
    assert sweep(tab, ahead=KEEP_SECONDS - 60) == 0
    assert folder.is_dir()
    assert sweep(tab) > 0
    assert not folder.exists()
    assert tab.handlers.session(scanned).video is None


def test_a_job_that_can_go_on_keeps_its_video_and_results_stay(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    pick(tab, scanned, 0)
    page = run(tab, scanned, ask(tab, "render", scanned, *plan_values(tab)))
    result = Path(page["download"]["value"][0])
    tab.page.app.seconds_per_job = 120
    ask(tab, "render", scanned, *plan_values(tab))
    (video,) = uploads(tab, scanned)
    mark = result.with_name(result.name + ".reserved")  # as older versions left them
    mark.touch()
    assert sweep(tab) == 1
    assert not mark.exists()
    assert video.is_file()
    ask(tab, "stop", scanned)
    run(tab, scanned, {})
    sweep(tab)
    assert video.is_file()  # it can be resumed
    assert result.is_file()
    assert result.with_name(result.name + ".facepick.json").is_file()


def test_a_video_that_was_opened_by_its_path_is_never_removed(
    tab: Any, fake_app: Any, new_user: Callable[[str], str]
) -> None:
    own = fake_app.roots[0] / "own.mp4"
    shutil.copyfile(CLIP, own)
    key = new_user("anna")
    ask(tab, "open_path", key, "own.mp4")
    # As older versions did.
    link = tab.handlers.sessions.folder / key / "opened" / "x" / "own.mp4"
    link.parent.mkdir(parents=True)
    os.link(own, link)
    sweep(tab)
    assert not link.exists()
    assert own.read_bytes() == CLIP.read_bytes()


def test_links_lead_the_broom_nowhere(tab: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "mine").mkdir(parents=True)
    (outside / "mine" / "photo.jpg").write_text("mine")
    home = tab.handlers.sessions.folder
    key = "0" * 32
    (home / key).mkdir(parents=True)
    (home / "not-a-session" / "uploads" / "x").mkdir(parents=True)
    try:
        (home / key / "uploads").symlink_to(outside)
        (home / ("1" * 32)).symlink_to(outside)
    except OSError:
        pytest.skip("this system gives no right to make links")
    sweep(tab)
    assert (outside / "mine" / "photo.jpg").read_text() == "mine"
    assert (home / "not-a-session" / "uploads" / "x").is_dir()


def test_saved_sources_and_the_cast_are_not_uploads(tab: Any, scanned: str, tmp_path: Path) -> None:
    photo = tmp_path / "1a.png"
    photo.write_text("a")
    run(tab, scanned, ask(tab, "add_photos", scanned, [str(photo)]))
    run(tab, scanned, ask(tab, "save_source", scanned, "Zoe"))
    pick(tab, scanned, 0)
    ask(tab, "remember", scanned, "Ann")
    sweep(tab)
    assert tab.page.app.sources.names() == ["Zoe"]
    assert [m.name for m in tab.page.app.cast().members()] == ["Ann"]


def test_it_is_done_when_the_tab_is_built_and_when_a_page_has_gone(
    tab: Any, fake_app: Any, scanned: str
) -> None:
    from facepick_ui.tab import build_tab

    store = tab.handlers.sessions
    folder = store.folder_of(tab.handlers.session(scanned))
    for path in [folder / "session.json", *folder.glob("*/*")]:
        age(path, LATER)
    again = build_tab(fake_app).handlers
    until = time.monotonic() + 60
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()
    assert again.tidy() is None  # not twice within the hour
    again._tidied = None
    thread = again.tidy("the key of a page that has gone")
    assert thread is not None
    thread.join(60)


def test_the_page_still_scans_after_its_files_were_removed(
    tab: Any, scanned: str, tmp_path: Path
) -> None:
    sweep(tab)
    page = tab.handlers.restore(scanned)
    assert "No video yet" in page["facts"]["value"]
    upload(tab, scanned, tmp_path)
    page = run(tab, scanned, ask(tab, "scan", scanned, *scan_values(tab)))
    assert len(page["people"]["value"]) == 2
