"""The tab in a real browser: finding Chromium, serving, and using the page as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ARTIFACTS = os.environ.get("FACEPICK_ARTIFACTS", "")
"""Folder for screenshots; none are made without it, as each takes a second or two."""

CHROMIUM_FLAGS = (
    "--no-sandbox",  # a container's root has no user namespaces
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)

# Two cores that are shared with other work: generous, because nothing is measured here.
PATIENCE_MS = 300_000


def chromium() -> str:
    """The browser's path.  Missing is a reason to skip at home and a failure where CI is set."""
    named = os.environ.get("FACEPICK_CHROMIUM", "")
    for name in (named, "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    reason = "no chromium; install it or name it in FACEPICK_CHROMIUM"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A port that nobody listens on, below those that systems give to outgoing connections.

    The server binds it seconds later: a port the system had chosen might be somebody's by then.
    """
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def serving(
    argv: Sequence[str], port: int, log: Path, environment: Mapping[str, str], cwd: Path
) -> Iterator[str]:
    """Runs a server until it answers; gives its address, and stops it afterwards."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*argv], stdout=output, stderr=output, env={**os.environ, **environment}, cwd=cwd
        )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + PATIENCE_MS / 1000
        while True:
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')}")
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(address, timeout=30).close()
                break
            time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serving_the_app(
    home: Path, environment: Mapping[str, str], *options: str
) -> contextlib.AbstractContextManager[str]:
    """Runs `facepick ui` with a home of its own; gives its address.

    Args:
        home: facepick's; the log lies in it.
        environment: what it needs besides.
        options: of `facepick ui`.
    """
    port = free_port()
    argv = [sys.executable, "-m", "facepick", "ui", "--no-browser", "--port", str(port), *options]
    own = {"FACEPICK_HOME": str(home), "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT / 'ui'}"}
    home.mkdir(parents=True, exist_ok=True)
    return serving(argv, port, home / "server.log", {**environment, **own}, home)


@contextlib.contextmanager
def halted(job: Path) -> Iterator[None]:
    """Keeps a job that works from going on, so that it is not done before it is asked to stop.

    Args:
        job: its folder.
    """
    state = job / "state.json"
    until = time.monotonic() + PATIENCE_MS / 1000
    # Before that it would stand in the line of those that wait.
    while not state.exists() or json.loads(state.read_text())["state"] != "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    pid = json.loads(state.read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_FLAGS))
        try:
            yield found
        finally:
            found.close()


class TabPage:
    """The tab on a page of the browser.

    Args:
        context: a browser context of playwright: one user.
        address: where the server is.
        name: first part of the names of the screenshots.
    """

    def __init__(self, context: Any, address: str, name: str) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.name = name
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        # The hosts' themes ask Google for fonts, which tests must not wait for.
        self.page.route("**/*googleapis.com/**", lambda route: route.abort())
        self.open(address)

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.greeted()

    def greeted(self) -> None:
        """Wait until the page has told who it is and got its state."""
        self.page.wait_for_selector("[data-facepick-greeted]", state="attached")

    def shot(self, what: str) -> None:
        """Take a picture of the whole page for people, where `ARTIFACTS` names a folder."""
        if ARTIFACTS:
            path = Path(ARTIFACTS) / "browser" / f"{self.name}_{what}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(400)
            self.page.screenshot(path=path, full_page=True)

    def text(self, name: str) -> str:
        place = self.page.query_selector(f"#facepick_{name}")
        return "" if place is None else str(place.inner_text())

    def press(self, name: str) -> None:
        self.page.click(f"button#facepick_{name}:not([disabled])")

    def wait_text(self, name: str, words: str) -> None:
        self.page.wait_for_function(
            "([id, words]) => document.querySelector(id)?.innerText.includes(words)",
            arg=[f"#facepick_{name}", words],
        )

    def upload(self, path: Path) -> None:
        self.page.set_input_files("#facepick_video input[type=file]", str(path))

    def begin(self, film: Film) -> None:
        """Open a film and wait for what is said of it."""
        if film.path is None:
            self.press("demo")
        else:
            self.upload(film.path)
        self.wait_text("facts", f"{film.width} x {film.height}")

    def scan(self) -> None:
        self.press("scan")
        self.page.wait_for_selector("#facepick_people .thumbnail-item")

    def get_models(self) -> None:
        """Asks for the people, is told what is missing, fetches it, and sees the scan go on."""
        self.press("scan")
        self.wait_text("scan_progress", "A model file is missing")
        self.wait_text("models_note", "face_recognition_sface_2021dec.onnx")
        self.wait_text("models_note", "goes on with what you asked for")
        # Whoever pressed something far below must see it, too.
        self.page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        self.page.wait_for_function(
            "() => { const box = document.querySelector('#facepick_get_models')"
            ".getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; }"
        )
        self.page.evaluate("window.scrollTo(0, 0)")
        self.shot("missing")
        self.press("get_models")
        self.page.wait_for_selector("#facepick_people .thumbnail-item")
        self.page.wait_for_selector("#facepick_get_models", state="hidden")

    def captions(self) -> list[str]:
        return [e.inner_text() for e in self.page.query_selector_all(
            "#facepick_people .thumbnail-item .caption-label"
        )]  # fmt: skip

    def pick(self, number: int) -> None:
        before = self.text("picked")
        self.page.click(f"#facepick_people .thumbnail-item >> nth={number}")
        self.page.wait_for_function(
            "before => document.querySelector('#facepick_picked').innerText !== before",
            arg=before,
        )

    def choose(self, name: str, label: str) -> None:
        self.page.click(f"#facepick_{name} label:has-text('{label}')")

    def is_playing_file(self, name: str) -> dict[str, float]:
        """Waits until the browser has decoded the first picture of a player's video."""
        self.page.wait_for_selector(f"#facepick_{name} video")
        self.page.wait_for_function(
            "id => (document.querySelector(id)?.readyState ?? 0) >= 2",
            arg=f"#facepick_{name} video",
        )
        facts = self.page.eval_on_selector(
            f"#facepick_{name} video",
            "v => ({seconds: v.duration, width: v.videoWidth, height: v.videoHeight})",
        )
        return dict(facts)

    def overflow_px(self) -> int:
        """How far the page reaches past the window's right edge."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )


class Film(NamedTuple):
    """A video of two people that is uploaded, or the bundled one."""

    width: int
    height: int
    seconds: float
    path: Path | None = None


BUNDLED = Film(1280, 720, 14.2)


def small_film(media: Path) -> Film:
    """The film that takes the least to look through and to render, in the tests' footage."""
    return Film(640, 360, 6.0, media / "odd" / "base_640x360.mp4")


def click_through(
    tab: TabPage, film: Film = BUNDLED, *, preview: bool = True, get_models: bool = False
) -> None:
    """Clip, people, pick, flow, preview, render, result: what every host must be able to do.

    Args:
        get_models: whether the recogniser is missing, and fetched by the page's button.
    """
    tab.shot("1_empty")
    tab.begin(film)
    if get_models:
        tab.get_models()
    else:
        tab.page.wait_for_selector("#facepick_get_models", state="hidden")
        tab.scan()
    assert [c.split(" - ")[0] for c in tab.captions()] == ["P1", "P2"]
    tab.pick(0)
    tab.page.wait_for_selector("#facepick_frame .facepick-face")
    tab.wait_text("for_people", "P1")
    tab.wait_text("timeline", "P1")
    tab.choose("style", "Blur")
    tab.wait_text("style_help", "sharpened")
    tab.shot("2_picked")
    if preview:
        tab.press("preview")
        tab.wait_text("progress", "The preview is ready")
        shown = tab.is_playing_file("preview_video")
        assert 2.5 < shown["seconds"] < 3.5
        tab.shot("3_preview")
    tab.press("render")
    tab.page.wait_for_selector("#facepick_progress .facepick-progress")
    tab.is_playing_file("result")
    result = tab.is_playing_file("result")
    assert abs(result["seconds"] - film.seconds) < 0.1
    assert (result["width"], result["height"]) == (film.width, film.height)
    tab.is_playing_file("original")
    tab.wait_text("report", "P1")
    assert tab.page.query_selector("#facepick_download a, #facepick_download button")
    tab.shot("4_result")
