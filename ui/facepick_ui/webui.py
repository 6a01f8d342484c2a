"""The tab inside the Stable Diffusion WebUI."""

from __future__ import annotations

from typing import Any

from facepick.app import App
from facepick.host.webui import WebuiHost
from facepick_ui import compat
from facepick_ui.tab import build_tab

__all__ = ["add_api", "tab"]


def add_api(server: Any) -> None:
    """Add facepick's HTTP API to the WebUI's, where the WebUI was asked for one (``--api``).

    With ``--api-auth`` it stays out: the WebUI's password does not guard routes of extensions.
    """
    host = WebuiHost()
    if host.wants_api():
        from facepick.http_api import add_routes

        add_routes(server, App(host))


def tab() -> Any:
    """Build a tab with a host and a core of its own; called again by Reload UI."""
    host = WebuiHost()
    streaming = host.has_queue() or not compat.needs_queue_for_generators()
    return build_tab(App(host), queue=streaming).blocks
