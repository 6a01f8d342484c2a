"""The graphics card is shared with the host: what a job needs, what is free, making room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from facepick.models.memory import CardMemory
from facepick_ui import messages, views
from facepick_ui.compat import Changes
from facepick_ui.handlers.base import Base, Say, shown
from facepick_ui.session import Session

if TYPE_CHECKING:
    from facepick.render.plan import RenderPlan

__all__ = ["Card", "Crowded"]


class Crowded(Say):
    """There is not enough room on the card; the user decides."""

    def __init__(self, need: int, card: CardMemory) -> None:
        super().__init__("card_crowded")
        self.need, self.card = need, card

    def box(self, language: str) -> str:
        def word(key: str) -> str:
            return messages.text(key, language)

        said = views.notice(
            word("card_crowded"), _amounts(self.need, self.card, language), kind="calm"
        )
        buttons = views.act_button("card:unload", word("card_unload")) + views.act_button(
            "card:go", word("card_go")
        )
        return f'<div class="facepick-card-room">{said}{buttons}</div>'


class Card(Base):
    """Asked before each render and preview that runs on a card."""

    def _ask_for_room(
        self, session: Session, kind: str, plan: RenderPlan, how: Mapping[str, Any]
    ) -> None:
        """Raises: Crowded, when the host could make room that the job lacks."""
        need = self.app.card_need(plan)
        card = self.app.card() if need else None
        session.card_note = ""
        if card is None:
            return
        if need <= card.free or how.get("room_asked"):
            key = "card_fits" if need <= card.free else "card_short"
            session.card_note = views.paragraph(
                _amounts(need, card, session.language) + " " + messages.text(key, session.language)
            )
            return
        if self.app.host.can_unload():
            session.asked_room = {"kind": kind, "plan": plan.to_json(), **how}
            raise Crowded(need, card)
        session.card_note = views.paragraph(
            _amounts(need, card, session.language)
            + " "
            + messages.text("card_short", session.language)
        )

    def _card(self, session: Session) -> Changes:
        """The line about the card, with the way back for what was unloaded."""
        note = session.card_note
        if self.app.host.can_load_back():
            button = views.act_button("card:back", messages.text("card_back", session.language))
            words = views.paragraph(messages.text("card_unloaded", session.language))
            note += f'<div class="facepick-card-room">{words}{button}</div>'
        return {"card_note": shown(note)}

    def _make_room(self, session: Session, argument: str) -> Changes:
        """``unload``, ``go`` or ``back`` was clicked."""
        if argument == "back":
            if not self.app.host.load_back():
                raise Say("card_busy")
            return self._card(session)
        asked = session.asked_room
        if asked is None or argument not in ("unload", "go"):
            return {}
        if argument == "unload" and not self.app.host.unload():
            raise Say("card_busy")
        session.asked_room = None
        return {**self._go_on(session, {**asked, "room_asked": True}), **self._card(session)}

    def _go_on(self, session: Session, asked: Mapping[str, Any] | None) -> Changes:
        raise NotImplementedError


def _amounts(need: int, card: CardMemory, language: str) -> str:
    return messages.text(
        "card_amounts",
        language,
        need=f"{need / 1e9:.1f}",
        free=f"{card.free / 1e9:.1f}",
        total=f"{card.total / 1e9:.1f}",
    )
