"""Comparison of two photos: why they show one person."""

from __future__ import annotations

import functools
import tempfile
import threading
from pathlib import Path
from typing import Any

from facepick_ui import messages, pictures, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.event import Event
from facepick_ui.handlers.problems import Say
from facepick_ui.session import Session
from facepick_ui.uploads import path_of

__all__ = ["Comparison"]

BUSY_SECONDS = 20.0
"""How long a comparison of photos waits for another user's, which takes 2 to 5 s."""


class Comparison:
    """One comparison at a time."""

    OUTPUTS = ("explain_note", "explain_sheet")

    def __init__(self, context: Context) -> None:
        self._app = context.app
        self._comparing = threading.Lock()

    def events(self) -> list[Event]:
        """List what is answered."""
        compare = Event(
            component="explain_run",
            trigger="then",
            handler=self.compare,
            inputs=("explain_a", "explain_b"),
            outputs=self.OUTPUTS,
            place="explain_note",
        )
        return [
            Event(
                component="explain_run",
                trigger="click",
                handler=self.begin,
                outputs=self.OUTPUTS,
                place="explain_note",
                then=compare,
            )
        ]

    def begin(self, session: Session) -> Changes:
        """Say that the comparison has begun."""
        words = messages.text("explain_running", session.language)
        return {
            "explain_note": shown(views.notice(words, kind="calm")),
            "explain_sheet": shown(""),
        }

    def compare(self, session: Session, first: Any, second: Any) -> Changes:
        """Compare two photos in a child process and show every step."""
        a, b = path_of(first), path_of(second)
        if a is None or b is None:
            raise Say("explain_needed")
        if not self._comparing.acquire(timeout=BUSY_SECONDS):
            raise Say("explain_busy")
        try:
            with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
                sheet = Path(folder) / "sheet.jpg"
                answer = self._app.explain_faces(Path(a), Path(b), sheet)
                picture = pictures.file_uri(sheet, limit_bytes=4_000_000)
        finally:
            self._comparing.release()
        text = functools.partial(messages.text, language=session.language)
        key = "explain_same" if answer["same"] else "explain_different"
        sentence = text(
            f"{key}_help",
            distance=f"{answer['distance']:.3f}",
            threshold=f"{answer['threshold']:.3f}",
        )
        kind = "good" if answer["same"] else "calm"
        view = views.sheet_view(picture, session.language) if picture else ""
        return {
            "explain_note": shown(views.notice(text(key), sentence, kind=kind)),
            "explain_sheet": shown(view),
        }
