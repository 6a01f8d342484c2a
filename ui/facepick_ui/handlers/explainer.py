"""Explainer: what a handler raises, told in words where it was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable

from facepick.errors import FacepickError, MissingModelError
from facepick_ui import views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.offers import Offers
from facepick_ui.handlers.problems import Say
from facepick_ui.session import Session

__all__ = ["Explainer"]

log = logging.getLogger("facepick_ui.handlers")


class Explainer:
    """Turns what a handler raises into a box that says what to do.

    Args:
        offers: shows which model files are missing.
    """

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def explained(self, session: Session, place: str, work: Callable[[], Changes]) -> Changes:
        """Do the work, or tell at `place` why it could not be done."""
        try:
            return work()
        except MissingModelError as error:
            return self._offers.lacking(session, place, error)
        except FacepickError as error:
            said = views.error_box(error, session.language)
        except Say as say:
            place = say.place or place
            said = say.box(session.language)
        except Exception as error:
            # The page must say something, whatever happened; the log keeps the trace.
            log.exception("an answer of the page failed")
            said = views.error_box(error, session.language)
        session.problem = place == "progress"
        return {place: shown(said)}
