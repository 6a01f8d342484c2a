"""Keeping of a choice in the list of changes, so that one render does several things."""

from __future__ import annotations

import secrets
from typing import Any

from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, scan_of
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.form import Form
from facepick_ui.handlers.people import People
from facepick_ui.handlers.plans import Plans
from facepick_ui.handlers.problems import GIVEN_AT, Say
from facepick_ui.handlers.speech import Speech, emptied
from facepick_ui.session import GIVEN_FOR_VIDEO, Session

__all__ = ["Keeping"]


class Keeping:
    """Puts choices into the list, and takes them out."""

    def __init__(
        self, context: Context, plans: Plans, people: People, speech: Speech, form: Form
    ) -> None:
        self._context = context
        self._page = context.page
        self._plans = plans
        self._people = people
        self._speech = speech
        self._form = form

    def events(self) -> list[Event]:
        """List what is answered."""
        return [
            Event(
                component="keep",
                trigger="click",
                handler=self.keep,
                inputs=tuple(self._page.plan_names()),
                outputs=names(People.PICK, Speech.CLEARED, GIVEN_AT),
                place="what_problem",
            )
        ]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        place = "what_problem"
        return (
            Act(verb="drop", handler=self.drop, outputs=People.AFTER_PICK, place=place),
            Act(
                verb="edit",
                handler=self.edit,
                outputs=names(self._form.outputs, People.PICK),
                place=place,
            ),
        )

    def keep(self, session: Session, *values: Any) -> Changes:
        """Put the current choice into the list and make room for the next person."""
        scan_of(session)
        named = self._page.plan_values(values)
        current, told = self._plans.current(session, named)
        if not current:
            raise Say("pick_first")
        form = self._form.snapshot(session, named)
        session.keep(current, told, {"mark": secrets.token_hex(4), **form})
        session.picked = []
        self._context.save(session)
        return merged(
            self._people.draw_galleries(session),
            self._people.draw_after_pick(session),
            self._speech.cleared(),
            {"what_problem": shown("")},
        )

    def drop(self, session: Session, argument: str) -> Changes:
        """Take an entry out of the list."""
        if argument.isdigit() and int(argument) < len(session.kept):
            session.drop(int(argument))
            self._context.save(session)
        return self._people.draw_after_pick(session)

    def edit(self, session: Session, argument: str) -> Changes:
        """Take an entry, and those that were made with it, out of the list and back into the form.

        Whoever is picked and set then is given up: it was not in the list.
        """
        number = int(argument) if argument.isdigit() else -1
        if not 0 <= number < len(session.kept_forms) or not session.kept_forms[number]:
            return {}
        form = session.kept_forms[number]
        for index in reversed(range(len(session.kept))):
            if session.kept_forms[index].get("mark") == form["mark"]:
                session.drop(index)
        self._form.take_back(session, form)
        self._context.save(session)
        return merged(
            # What was given up must not look as if it were still there.
            emptied(GIVEN_FOR_VIDEO),
            self._form.draw(session),
            self._people.draw_galleries(session),
            self._people.draw_after_pick(session),
        )
