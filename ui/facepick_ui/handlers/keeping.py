"""Keeping of a choice in the list of changes, so that one render does several things."""

from __future__ import annotations

from typing import Any

from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, scan_of
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.people import People
from facepick_ui.handlers.plans import Plans
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.speech import Speech
from facepick_ui.session import Session

__all__ = ["Keeping"]


class Keeping:
    """Puts choices into the list, and takes them out."""

    def __init__(self, context: Context, plans: Plans, people: People, speech: Speech) -> None:
        self._context = context
        self._page = context.page
        self._plans = plans
        self._people = people
        self._speech = speech

    def events(self) -> list[Event]:
        """List what is answered."""
        return [
            Event(
                component="keep",
                trigger="click",
                handler=self.keep,
                inputs=tuple(self._page.plan_names()),
                outputs=names(People.PICK, Speech.CLEARED, ("consent_problem",)),
                place="what_problem",
            )
        ]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (Act(verb="drop", handler=self.drop, outputs=People.AFTER_PICK),)

    def keep(self, session: Session, *values: Any) -> Changes:
        """Put the current choice into the list and make room for the next person."""
        scan_of(session)
        current, told = self._plans.current(session, self._page.plan_values(values))
        if not current:
            raise Say("pick_first")
        session.kept.extend(current)
        session.kept_notices.extend((told, *[()] * (len(current) - 1)))
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
            del session.kept[int(argument)]
            del session.kept_notices[int(argument)]
            self._context.save(session)
        return self._people.draw_after_pick(session)
