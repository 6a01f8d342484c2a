"""The standalone app: the same tab, served by gradio on this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.errors import PackageMissing, ToolError

if TYPE_CHECKING:
    from facepick.app import App

__all__ = ["asset", "launch"]

FIRST_PORT, LAST_PORT = 7870, 7899
"""Beside the WebUI's 7860, so that both can run."""


def asset(name: str) -> Path:
    """A file of the page: ``style.css``, ``facepick.js``, ``icon.png``.

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
) -> str:
    """Serve the tab and, if `block`, keep serving until the process is stopped.

    Args:
        app: the core; None for the standalone one.
        host: address to listen on; anything but this machine's own lets others reach the page.
        port: None for the first free one from `FIRST_PORT` on.
        open_browser: whether to show it.
        block: whether to wait.

    Returns:
        The address of the page.

    Raises:
        PackageMissing: gradio is not installed.
        ToolError: the port is taken.
    """
    # Read when gradio is imported: no calls home, and no Node server beside this one.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from facepick_ui import compat
        from facepick_ui.tab import build_tab
        from facepick_ui.theme import theme
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "gradio":
            raise
        raise PackageMissing("gradio", needed_for="the app", extra="ui") from error

    from facepick.http_api import add_routes

    if app is None:
        from facepick.app import App
        from facepick.host.standalone import StandaloneHost

        app = App(StandaloneHost(page=True))
    outputs = app.host.outputs()
    own = app.host.home() / "ui"
    for folder in (outputs, own):
        folder.mkdir(parents=True, exist_ok=True)
    look = {
        "css": asset("style.css").read_text(encoding="utf-8"),
        "head": f"<script>{asset('facepick.js').read_text(encoding='utf-8')}</script>",
        "theme": theme(),
    }
    demo = build_tab(app, standalone=True, **look).blocks
    compat.set_queue(demo)
    chosen = _free_port(host, port)
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
        favicon_path=str(asset("icon.png")),
        allowed_paths=[str(outputs), str(own)],
        **look,
    )
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{chosen}"
    server = demo.launch(**options)[0]
    if _is_loopback(host):
        # The API knows no users, so it is only there when nobody else can reach the page.
        add_routes(server, app)
    sys.stdout.write(f"facepick is at {address} (Ctrl-C stops it)\n")
    sys.stdout.flush()
    if block:
        demo.block_thread()
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
