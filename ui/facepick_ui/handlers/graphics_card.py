"""Graphics card that is shared with the host: what a job needs, what is free, making room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from facepick.models.memory import CardMemory
from facepick_ui import messages, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.problems import Say
from facepick_ui.session import Session

if TYPE_CHECKING:
    from facepick.render.plan import RenderPlan

__all__ = ["Crowded", "GraphicsCard"]


class Crowded(Say):
    """There is not enough room on the card; the user decides."""

    def __init__(self, need: int, card: CardMemory) -> None:
        super().__init__("card_crowded")
        self.need, self.card = need, card

    def box(self, language: str) -> str:
        """Draw what is needed and free, with the ways to go on."""
        said = views.notice(
            messages.text("card_crowded", language),
            _amounts(self.need, self.card, language),
            kind="calm",
        )
        return views.card_room(
            said,
            [
                ("card:unload", messages.text("card_unload", language)),
                ("card:go", messages.text("card_go", language)),
            ],
        )


class GraphicsCard:
    """Asked before each render and preview that runs on a card."""

    OUTPUTS = ("card_note",)

    def __init__(self, context: Context) -> None:
        self._app = context.app

    def ask_for_room(
        self, session: Session, kind: str, plan: RenderPlan, how: Mapping[str, Any]
    ) -> None:
        """Note what a job takes of the card.

        Raises:
            Crowded: the host could make room that the job lacks.
        """
        need = self._app.card_need(plan)
        card = self._app.card() if need else None
        session.card_note = ""
        if card is None:
            return
        fits = need <= card.free
        if not fits and not how.get("room_asked") and self._app.host.can_unload():
            session.asked_room = {"kind": kind, "plan": plan.to_json(), **how}
            raise Crowded(need, card)
        said = messages.text("card_fits" if fits else "card_short", session.language)
        session.card_note = views.paragraph(f"{_amounts(need, card, session.language)} {said}")

    def draw(self, session: Session) -> Changes:
        """Show the line about the card, with the way back for what was unloaded."""
        note = session.card_note
        if self._app.host.can_load_back():
            words = views.paragraph(messages.text("card_unloaded", session.language))
            back = ("card:back", messages.text("card_back", session.language))
            note += views.card_room(words, [back])
        return {"card_note": shown(note)}

    def load_back(self, session: Session) -> Changes:
        """Let the host load again what was unloaded.  Raises: Say, when it is busy."""
        if not self._app.host.load_back():
            raise Say("card_busy")
        return self.draw(session)

    def unload(self) -> None:
        """Let the host make room.  Raises: Say, when it is busy."""
        if not self._app.host.unload():
            raise Say("card_busy")


def _amounts(need: int, card: CardMemory, language: str) -> str:
    return messages.text(
        "card_amounts",
        language,
        need=f"{need / 1e9:.1f}",
        free=f"{card.free / 1e9:.1f}",
        total=f"{card.total / 1e9:.1f}",
    )
