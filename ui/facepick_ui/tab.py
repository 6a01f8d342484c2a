"""The tab: widgets, and the handlers that answer them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick_ui import compat, messages
from facepick_ui.handlers import Handlers
from facepick_ui.layout import Layout
from facepick_ui.page import Page
from facepick_ui.wiring import Wiring

if TYPE_CHECKING:
    from facepick.app import App

__all__ = ["Tab", "build_tab"]

TICK_MS = 4000
"""A stream brings changes at once; this is for one that broke off."""

TICK_WITHOUT_QUEUE_MS = 1000


@dataclass(frozen=True, eq=False)
class Tab:
    """A tab that was built.

    Attributes:
        blocks: gradio's.
        page: what it was built with.
        handlers: what answers it.
    """

    blocks: Any
    page: Page
    handlers: Handlers


def build_tab(
    app: App, *, standalone: bool = False, local: bool = False, queue: bool = True, **look: Any
) -> Tab:
    """Build the tab.

    Args:
        app: the core.
        standalone: whether the page is all there is, so that it brings its own language menu.
        local: whether only users of this machine can reach the page.
        queue: False when the host has switched gradio's queue off; progress is then asked for
            by the page, once a second.
        look: css, head and theme, for generations that take them here.
    """
    page = Page(
        app=app,
        language=app.host.language() or _machines_language(),
        demo=_demo_clip(),
        local=local and app.can_show_folder(),
        at_machine=local,
        tick_ms=TICK_MS if queue else TICK_WITHOUT_QUEUE_MS,
    )
    with compat.blocks(title="facepick", **look) as blocks:
        Layout(page, standalone=standalone).build()
        # The handlers know the widgets, so that they come after them.
        handlers = Handlers(app, page)
        state = compat.state(handlers.tidy)
        Wiring(page, handlers, state, queue=queue).connect()
    handlers.tidy()
    return Tab(blocks, page, handlers)


def _machines_language() -> str:
    """Guess the language of most pages by the machine's own: such pages open quicker."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    wanted = next((name for name in names if name), "")
    return messages.language_of(wanted.replace("_", "-"), None)


def _demo_clip() -> Path | None:
    import facepick

    path = Path(facepick.__file__).parent / "data" / "demo" / "two_people.mp4"
    return path if path.is_file() else None
