"""What the players are given: never the user's own file, whatever a browser can play."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from tests.ui.support import CLIP, TRUTH, ask, pick, plan_values, run, scan_values


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def hevc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled clip's first second as a phone would have recorded it."""
    path = tmp_path_factory.mktemp("hevc") / "phone.mp4"
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"x265-params": "log-level=none", "preset": "ultrafast"}
        for number, frame in enumerate(source.decode(video=0)):
            if number == 25:
                break
            small = frame.reformat(320, 180, "yuv420p")
            small.pts, small.pict_type = number, 0
            small.time_base = Fraction(1, 25)
            target.mux(stream.encode(small))
        target.mux(stream.encode(None))
    return path


@pytest.fixture
def phone(fake_app: Any, hevc: Path) -> Path:
    """The HEVC clip in a folder from which the page may open files."""
    own = fake_app.roots[0] / "phone.mp4"
    shutil.copyfile(hevc, own)
    truth = json.loads(TRUTH.read_text())
    truth["n_frames"], truth["cuts"] = 25, []
    truth["frames"] = [f for f in truth["frames"] if f["i"] < 25]
    for frame in truth["frames"]:
        for face in frame["faces"]:
            face["box"] = [v / 4 for v in face["box"]]
    note = fake_app.folder / "truth.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(truth))
    fake_app.truth = {**fake_app.truth, own.stat().st_size: note}
    return own


def given(page: dict[str, dict[str, Any]], name: str) -> Path | None:
    value = page[name]["value"]
    return None if value is None else Path(value)


def test_a_phones_video_is_shown_by_a_proxy_and_stays_as_it_is(
    tab: Any, fake_app: Any, phone: Path, new_user: Callable[[str], str]
) -> None:
    before = digest(phone)
    key = new_user("anna")
    opened = ask(tab, "open_path", key, "phone.mp4")
    assert given(opened, "video") is None
    assert "Making a small copy" in opened["video_player"]["value"]
    assert "320 x 180 · hevc" in opened["facts"]["value"]
    # The search does not wait for it.
    assert opened["scan"]["interactive"] is True
    page = run(tab, key, ask(tab, "scan", key, *scan_values(tab)))
    proxy = given(page, "video")
    assert proxy is not None
    assert fake_app.proxies.is_proxy(proxy)
    assert "hevc" in page["video_player"]["value"]
    # After a reload it is there at once, and nothing is made again.
    again = tab.handlers.restore(key)
    assert given(again, "video") == proxy
    assert "320 x 180 · hevc" in again["facts"]["value"]
    assert fake_app.starts["proxy"] == 1
    assert fake_app.jobs() == fake_app.jobs(owner=key)
    assert "proxy" not in {job.kind for job in fake_app.jobs()}
    assert digest(phone) == before


def test_results_and_previews_that_no_browser_plays(
    tab: Any, fake_app: Any, phone: Path, new_user: Callable[[str], str]
) -> None:
    key = new_user("anna")
    run(tab, key, ask(tab, "open_path", key, "phone.mp4"))
    run(tab, key, ask(tab, "scan", key, *scan_values(tab)))
    pick(tab, key, 0)
    page = run(tab, key, ask(tab, "render", key, *plan_values(tab)))
    result = Path(page["download"]["value"][0])
    assert digest(result) == digest(phone)  # this core copies
    for name in ("result", "original"):
        shown = given(page, name)
        assert shown is not None
        assert fake_app.proxies.is_proxy(shown)
    page = run(tab, key, ask(tab, "preview_here", key, *plan_values(tab)))
    assert fake_app.proxies.is_proxy(given(page, "preview_video"))
    assert digest(result) == digest(phone)


def test_an_upload_is_kept_as_it_came(
    tab: Any, fake_app: Any, phone: Path, tmp_path: Path, new_user: Callable[[str], str]
) -> None:
    place = tmp_path / "gradio" / "x"
    place.mkdir(parents=True)
    shutil.copyfile(phone, place / "phone.mp4")
    key = new_user("anna")
    first = ask(tab, "upload", key, str(place / "phone.mp4"))
    # The player keeps what the user dropped in until there is something to play.
    assert "video" not in first
    page = run(tab, key, first)
    assert fake_app.proxies.is_proxy(given(page, "video"))
    assert fake_app.proxies.is_proxy(given(tab.handlers.restore(key), "video"))
    assert digest(Path(tab.handlers.session(key).video)) == digest(phone)


def test_a_proxy_can_be_stopped_and_asked_for_again(
    tab: Any, fake_app: Any, phone: Path, new_user: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from facepick.media.proxies import ProxyStore

    make = ProxyStore.make

    def slow(self: Any, video: Path, *, progress: Any, cancel: Any) -> Path:
        while True:
            cancel.raise_if_cancelled()
            time.sleep(0.01)

    monkeypatch.setattr(ProxyStore, "make", slow)
    key = new_user("anna")
    opened = ask(tab, "open_path", key, "phone.mp4")
    assert "noproxy:video" in opened["video_player"]["value"]
    page = run(tab, key, ask(tab, "act", key, "noproxy:video"))
    assert "Nothing to play" in page["video_player"]["value"]
    # A look at the page does not start it again; a click does.
    tab.handlers.restore(key)
    assert fake_app.starts["proxy"] == 1
    monkeypatch.setattr(ProxyStore, "make", make)
    page = run(tab, key, ask(tab, "act", key, "proxy:video"))
    assert fake_app.proxies.is_proxy(given(page, "video"))


def test_another_video_ends_the_wait_for_the_first(
    tab: Any, fake_app: Any, phone: Path, new_user: Callable[[str], str]
) -> None:
    shutil.copyfile(CLIP, phone.with_name("clip.mp4"))
    key = new_user("anna")
    ask(tab, "open_path", key, "phone.mp4")
    page = run(tab, key, ask(tab, "open_path", key, "clip.mp4"))
    shown = given(page, "video")
    assert shown is not None
    assert shown.name == "clip.mp4"
    assert not fake_app.proxies.is_proxy(shown)
    assert not shown.samefile(phone.with_name("clip.mp4"))
    assert page["video_player"]["value"] == ""


def test_gradio_is_refused_whatever_is_no_copy(tab: Any, phone: Path) -> None:
    from facepick_ui.wiring import Wiring

    wiring = Wiring(tab.page, tab.handlers, None, queue=True)
    for name in ("video", "preview_video", "result", "original"):
        with pytest.raises(ValueError, match="may not be given"):
            wiring.updates({name: {"value": str(phone)}})
        wiring.updates({name: {"value": None}})
