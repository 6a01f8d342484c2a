"""Problems of handlers that have words of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from facepick.errors import MissingModelError
from facepick_ui import messages, views

__all__ = ["GIVEN_AT", "Lacking", "Say", "asking"]

GIVEN_AT = ("consent_problem", "speech_note", "source_note")
"""Places beside the widgets of what a plan may lack: there the page says that it is lacking."""


class Say(Exception):
    """A sentence of the catalogue for the user.

    Args:
        key: of the catalogue.
        place: where it stands; None for where the handler tells its failures.
    """

    def __init__(self, key: str, place: str | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.place = place

    def box(self, language: str) -> str:
        """Draw it."""
        return views.notice(messages.text(self.key, language), kind="calm")


class Lacking(MissingModelError):
    """A model file is missing, and this could not be done for want of it."""

    def __init__(self, error: MissingModelError, asked: Mapping[str, Any]) -> None:
        super().__init__(error.message, hint=error.hint, models=error.models)
        self.asked = asked


@contextlib.contextmanager
def asking(**asked: Any) -> Iterator[None]:
    """Note what is being asked for, so that it can go on when a missing model file has come.

    Args:
        asked: see `facepick_ui.session.Offer`.
    """
    try:
        yield
    except MissingModelError as error:
        raise Lacking(error, asked) from error
