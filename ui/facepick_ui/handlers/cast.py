"""People known by name, and the comparison of two photos."""

from __future__ import annotations

import functools
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import FacepickError
from facepick_ui import messages, pictures, views
from facepick_ui.compat import Changes, path_of
from facepick_ui.handlers.base import Say, explained, shown
from facepick_ui.handlers.corrections import Corrections
from facepick_ui.session import Session

if TYPE_CHECKING:
    from facepick.app import App
    from facepick_ui.tab import Page

__all__ = ["KnownPeople"]

KNOWN_SHOWN = 200
"""People of the cast that are listed: about 3 kB each."""

BUSY_SECONDS = 20.0
"""How long a comparison of photos waits for another user's, which takes 2 to 5 s."""


class KnownPeople(Corrections):
    """The cast, and why two photos show one person."""

    def __init__(self, app: App, page: Page) -> None:
        super().__init__(app, page)
        self._comparing = threading.Lock()

    @explained("edit_note")
    def remember(self, session: Session, name: Any) -> Changes:
        """Put the one picked person into the cast, under the name that is written or known."""
        from facepick.people import edits

        scan = self._scan_or_say(session)
        person = scan.person(self._one(session))
        wanted = " ".join(str(name or "").split()) or person.name
        if not wanted:
            raise Say("name_needed")
        self.app.remember(scan, person.id, wanted)
        changes: Changes = {}
        if wanted != person.name:
            changes = self._edited(session, edits.Rename(person=person.id, name=wanted))
        text = functools.partial(messages.text, language=session.language)
        done = views.notice(text("remembered", name=wanted), text("remembered_help"))
        return {**changes, **self._known(session), "edit_note": shown(done)}

    def _forget(self, session: Session, name: str) -> Changes:
        """Take somebody out of the cast; names that were given by hand stay."""
        try:
            self.app.cast().remove(name)
        except FacepickError as error:
            # Another page was quicker: the list that it left is shown as well.
            problem = messages.error_html(error, session.language)
            return {
                **self._known(session),
                "known": {"visible": True},
                "known_note": shown(problem),
            }
        return self._known(session)

    def _known(self, session: Session) -> Changes:
        """The list of the cast; the page goes on without it when the file cannot be read."""
        language = session.language
        try:
            cast = self.app.cast()
            members = cast.members()
            rows = [
                {
                    "name": member.name,
                    "faces": member.faces,
                    "face": pictures.avatar_uri(cast.thumbnail(member.name) or b""),
                }
                for member in members[:KNOWN_SHOWN]
            ]
            body, note = views.known_list(rows, max(0, len(members) - KNOWN_SHOWN), language), ""
        except FacepickError as error:
            body, note = "", messages.error_html(error, language)
        return {
            "known": {"visible": bool(body or note)},
            "known_hint": shown(views.hint("known_hint", language)),
            "known_note": shown(note),
            "known_list": shown(body),
        }

    @explained("explain_note")
    def begin_explain(self, session: Session) -> Changes:
        """Say that the comparison has begun."""
        words = messages.text("explain_running", session.language)
        return {
            "explain_note": shown(views.notice(words, kind="calm")),
            "explain_sheet": shown(""),
        }

    @explained("explain_note")
    def explain(self, session: Session, first: Any, second: Any) -> Changes:
        """Compare two photos in a child process and show every step."""
        a, b = path_of(first), path_of(second)
        if a is None or b is None:
            raise Say("explain_needed")
        if not self._comparing.acquire(timeout=BUSY_SECONDS):
            raise Say("explain_busy")
        try:
            with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
                sheet = Path(folder) / "sheet.jpg"
                answer = self.app.explain_faces(Path(a), Path(b), sheet)
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
