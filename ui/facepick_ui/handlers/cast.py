"""People known by name."""

from __future__ import annotations

import functools
from typing import Any

from facepick.errors import FacepickError
from facepick_ui import messages, pictures, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, one_picked, scan_of
from facepick_ui.handlers.corrections import Corrections
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.problems import Say
from facepick_ui.session import Session

__all__ = ["KnownPeople"]

KNOWN_SHOWN = 200
"""People of the cast that are listed: about 3 kB each."""


class KnownPeople:
    """The cast."""

    OUTPUTS = ("known", "known_hint", "known_note", "known_list")

    def __init__(self, context: Context, corrections: Corrections) -> None:
        self._app = context.app
        self._corrections = corrections

    def events(self) -> list[Event]:
        """List what is answered."""
        return [
            Event(
                component="remember",
                trigger="click",
                handler=self.remember,
                inputs=("name",),
                outputs=names(self.OUTPUTS, Corrections.OUTPUTS),
                place="edit_note",
            )
        ]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (Act(verb="forget", handler=self.forget, outputs=self.OUTPUTS, place="known_note"),)

    def remember(self, session: Session, name: Any) -> Changes:
        """Put the one picked person into the cast, under the name that is written or known."""
        from facepick.people import edits

        scan = scan_of(session)
        person = scan.person(one_picked(session))
        wanted = " ".join(str(name or "").split()) or person.name
        if not wanted:
            raise Say("name_needed")
        self._app.remember(scan, person.id, wanted)
        changes: Changes = {}
        if wanted != person.name:
            changes = self._corrections.apply(session, edits.Rename(person=person.id, name=wanted))
        text = functools.partial(messages.text, language=session.language)
        done = views.notice(text("remembered", name=wanted), text("remembered_help"))
        return merged(changes, self.draw(session), {"edit_note": shown(done)})

    def forget(self, session: Session, name: str) -> Changes:
        """Take somebody out of the cast; names that were given by hand stay."""
        try:
            self._app.cast().remove(name)
        except FacepickError as error:
            # Another page was quicker: the list that it left is shown as well.
            problem = views.error_box(error, session.language)
            told = {"known": {"visible": True}, "known_note": shown(problem)}
            return merged(self.draw(session), told)
        return self.draw(session)

    def draw(self, session: Session) -> Changes:
        """Show the cast; the page goes on without it when the file cannot be read."""
        language = session.language
        try:
            cast = self._app.cast()
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
            body, note = "", views.error_box(error, language)
        return {
            "known": {"visible": bool(body or note)},
            "known_hint": shown(views.hint("known_hint", language)),
            "known_note": shown(note),
            "known_list": shown(body),
        }
