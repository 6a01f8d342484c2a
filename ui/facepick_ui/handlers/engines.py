"""Engines of the chosen flow: which there are, what they do and lack, and their settings."""

from __future__ import annotations

from facepick.engines.engine import EngineSpec
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.event import names
from facepick_ui.session import Session

__all__ = ["Engines"]


class Engines:
    """The choice of an engine, and the panel of the chosen one.

    Attributes:
        panel_outputs: what the choice of an engine changes.
        outputs: what the choice of a flow, or a file that has come, changes.
    """

    def __init__(self, context: Context) -> None:
        self._page = context.page
        self._app = context.app
        marked = [w.name for w in self._page.widgets() if self._page.may_lack(w)]
        self.panel_outputs = ("style_help", *(panel.name for panel in self._page.panels))
        self.outputs = names(
            ("style", "speech_inputs", "swap_inputs", "everyone_but", "what_problem"),
            self.panel_outputs,
            marked,
        )

    def last_of(self, session: Session, flow: str) -> str:
        """Give the engine that was last chosen for a flow, else the first that can be used."""
        ids = [spec.id for spec in self._page.specs(flow)]
        last = session.styles.get(flow, "")
        return last if last in ids else next(iter(ids), "")

    def draw_flow(self, session: Session, flow: str, style: str) -> Changes:
        """Show the widgets of a flow, with an engine chosen."""
        engines = self._page.specs(flow)
        return merged(
            {
                "style": {
                    "choices": self._page.style_choices(flow, session.language, style),
                    "value": style or None,
                    "visible": bool(engines),
                },
                "speech_inputs": {"visible": any(s.needs_audio for s in engines)},
                "swap_inputs": {"visible": any(s.needs_source for s in engines)},
                "everyone_but": {"visible": flow == "hide"},
                "what_problem": shown(""),
            },
            self.draw_panel(session, flow, style),
        )

    def draw_panel(self, session: Session, flow: str, style: str) -> Changes:
        """Show the settings of an engine."""
        session.shown = (flow, style)
        changes: Changes = {}
        for panel in self._page.panels:
            mine = panel.spec.flow == flow and panel.spec.id == style
            changes[panel.name] = {"visible": mine}
            if mine:
                changes["style_help"] = shown(self._help(panel.spec, session.language))
        return changes

    def draw_usable(self, session: Session) -> Changes:
        """List the ways that can be used, and mark choices that lack a file, after one has come."""
        flow, style = session.shown or self._page.first_choice()
        changes = self.draw_panel(session, flow, style)
        changes["style"] = {"choices": self._page.style_choices(flow, session.language, style)}
        for widget in self._page.widgets():
            if self._page.may_lack(widget):
                changes[widget.name] = {"choices": widget.words(session.language)["choices"]}
        return changes

    def _help(self, spec: EngineSpec, language: str) -> str:
        """Say what the engine does, what it lacks, and which others lack something."""
        words = [messages.engine_help(spec.label, spec.help, language)]
        if not spec.commercial_use:
            words.append(messages.text("licence_note", language, licence=spec.licence))
        body = views.paragraph(" ".join(words))
        folder = str(self._app.models.fetch_dir)
        if lacking := self._page.missing(spec):
            body += views.models_list(lacking, folder, language)
        others = [
            (messages.engine_label(other.label, language), lacking)
            for other in self._page.specs(spec.flow)
            if other is not spec and (lacking := self._page.missing(other))
        ]
        return body + views.unusable(others, folder, language)
