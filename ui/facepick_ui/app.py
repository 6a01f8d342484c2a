"""The standalone app: the same tab, served by gradio on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from facepick.errors import PackageMissing, ToolError
from facepick.http_guard import Guard, is_loopback

if TYPE_CHECKING:
    from facepick.app import App

__all__ = ["asset", "head", "launch"]

MAX_UPLOAD_BYTES = 20 * 2**30
"""Two hours at 20 Mbit/s; larger ones are opened where they lie (``--allow``)."""

# Copies of what a page shows are looked through once an hour, and kept for a day.
_TIDY_SECONDS, _SHOWN_SECONDS = 3600, 86_400

FIRST_PORT, LAST_PORT = 7870, 7899
"""Beside the WebUI's 7860, so that both can run."""


def asset(name: str) -> Path:
    """Find a file of the page: ``style.css``, ``facepick.js``, ``icon.png``.

    In the repository the first two lie where the WebUI looks for them; a wheel carries copies
    beside this file.
    """
    here = Path(__file__).resolve().parent
    root = here.parents[1]
    places = {
        "style.css": root / "style.css",
        "facepick.js": root / "javascript" / "facepick.js",
    }
    found = here / "assets" / name
    return found if found.is_file() else places.get(name, found)


def launch(
    app: App | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    block: bool = True,
    allow_hosts: Sequence[str] = (),
    token: str | None = None,
) -> str:
    """Serve the tab and, if `block`, keep serving until the process is stopped.

    Args:
        app: the core; None for the standalone one.
        host: address to listen on; anything but this machine's own lets others reach the page.
        port: None for the first free one from `FIRST_PORT` on.
        open_browser: whether to show it.
        block: whether to wait.
        allow_hosts: names by which the page may be called, besides addresses and ``localhost``.
        token: what browsers must know; None for a new one where others can reach the page, and
            none elsewhere; "" for none.

    Returns:
        The address of the page.

    Raises:
        PackageMissing: gradio is not installed.
        ToolError: the port is taken.
    """
    if app is None:
        from facepick.app import App
        from facepick.host.standalone import StandaloneHost

        app = App(StandaloneHost(page=True))
    # The command line shows errors only; who broke off what belongs into a server's log, too.
    logging.getLogger("facepick.http").setLevel(logging.WARNING)
    folders = _prepare_folders(app)
    compat = _gradio()
    look = _look(app)
    blocks = _page(app, look, local=is_loopback(host))
    compat.set_queue(blocks)
    chosen = _free_port(host, port)
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(16)
    names = {host.lower(), *(name.lower() for name in allow_hosts)}
    options = compat.launch_options(
        server_name=host,
        server_port=chosen,
        inbrowser=open_browser,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_api=False,
        footer_links=[],
        ssr_mode=False,
        # Gradio asks for its own page within 3 s and gives up: on a busy machine, or behind a proxy
        # that is set for everything, it would not start at all.
        _frontend=False,
        favicon_path=str(asset("icon.png")),
        allowed_paths=[str(folder) for folder in folders],
        max_file_size=MAX_UPLOAD_BYTES,
        app_kwargs={"middleware": [_guard(names, token or None)]},
        **look,
    )
    server = blocks.launch(**options)[0]
    if is_loopback(host):
        from facepick.http_api import add_routes

        # The API knows no users, so it is only there when nobody else can reach the page.
        add_routes(server, app)
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{chosen}"
    _greet(address, host, token or None)
    if block:
        blocks.block_thread()
    return address


def _prepare_folders(app: App) -> tuple[Path, ...]:
    """Make the folders whose files the page may show: results, sessions, copies to play."""
    outputs, own, players = app.host.outputs(), app.host.home() / "ui", app.proxies.folder
    outputs.mkdir(parents=True, exist_ok=True)
    _make_private(own)
    _make_private(players)
    # What is uploaded and shown would else lie in the system's temporary folder, for everybody.
    _make_private(own / "shown")
    _sweep(own / "shown")
    os.environ["GRADIO_TEMP_DIR"] = str(own / "shown")
    return outputs, own, players


def _gradio() -> ModuleType:
    """Import gradio, and give what is different in its versions.

    Raises:
        PackageMissing: it is not installed.
    """
    # Read when gradio is imported: no calls home, and no Node server beside this one.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from facepick_ui import compat
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "gradio":
            raise
        raise PackageMissing("gradio", needed_for="the app", extra="ui") from error
    return compat


def _look(app: App) -> dict[str, Any]:
    from facepick_ui.theme import theme

    return {
        "css": asset("style.css").read_text(encoding="utf-8"),
        "head": head(app.host.language()),
        "theme": theme(),
    }


def _page(app: App, look: Mapping[str, Any], *, local: bool) -> Any:
    """Build the page as gradio's blocks."""
    from facepick_ui.tab import build_tab

    keep = (_TIDY_SECONDS, _SHOWN_SECONDS)
    return build_tab(app, standalone=True, local=local, delete_cache=keep, **look).blocks


def _greet(address: str, host: str, token: str | None) -> None:
    """Say where the page is, and who can use it."""
    sys.stdout.write(f"facepick is at {address} (Ctrl-C stops it)\n")
    if token:
        sys.stdout.write(f"To open it: {address}/?token={token}\n")
    if not is_loopback(host):
        who = "who knows the token" if token else "who can reach it"
        sys.stdout.write(
            f"Everybody {who} can use this machine through it; what is sent is not encrypted.\n"
        )
    sys.stdout.flush()


def head(language: str | None) -> str:
    """Give what stands in the page's head: its script, and what it says before gradio is there.

    Args:
        language: the one for everybody, or None.
    """
    from facepick_ui.views import opening_words

    script = asset("facepick.js").read_text(encoding="utf-8")
    said = f"window.facepickOpening = {opening_words(language)};"
    return f"<script>{said}</script><script>{script}</script>"


def _make_private(folder: Path) -> None:
    """Make a folder that only this user may look into."""
    folder.mkdir(parents=True, exist_ok=True)
    # Not every file system knows who may do what.
    with suppress(OSError):
        folder.chmod(0o700)


def _sweep(folder: Path) -> None:
    """Remove what an earlier server left behind, such as uploads that were broken off."""
    limit = time.time() - _SHOWN_SECONDS
    for item in folder.iterdir():
        with suppress(OSError):
            if item.lstat().st_mtime < limit:
                if item.is_dir() and not item.is_symlink():
                    shutil.rmtree(item)
                else:
                    item.unlink()


def _guard(names: Collection[str], token: str | None) -> Any:
    from starlette.middleware import Middleware

    return Middleware(Guard, names=names, token=token)


def _free_port(host: str, port: int | None) -> int:
    for candidate in [port] if port is not None else range(FIRST_PORT, LAST_PORT + 1):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ToolError(
        f"Port {port} is taken." if port else f"Ports {FIRST_PORT} to {LAST_PORT} are all taken.",
        hint="Close the other program, or choose one: facepick ui --port 8000",
    )
