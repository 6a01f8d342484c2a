"""The tab inside the Stable Diffusion WebUI."""

from __future__ import annotations

from typing import Any

from facepick.app import App
from facepick.host.webui import WebuiHost
from facepick_ui import compat
from facepick_ui.tab import build_tab

__all__ = ["tab"]


def tab() -> Any:
    """A new tab with a host and a core of its own; called again by Reload UI."""
    host = WebuiHost()
    streaming = host.has_queue() or not compat.needs_queue_for_generators()
    return build_tab(App(host), queue=streaming).blocks
