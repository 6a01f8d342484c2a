"""Form: flow, engine and what else is set on the page, kept so that it survives a reload."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facepick.errors import SettingsError
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, is_file
from facepick_ui.handlers.engines import Engines
from facepick_ui.handlers.event import Event, names
from facepick_ui.handlers.players import PLAYERS
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.results import Results
from facepick_ui.session import GIVEN_FOR_ONE, Session, SourceChoice
from facepick_ui.settings_form import Widget, is_shown, plain_value
from facepick_ui.uploads import paths_of, plain_name

__all__ = ["Form"]


class Form:
    """The values of the widgets, in the session.

    Attributes:
        outputs: what `draw` changes.
    """

    def __init__(
        self, context: Context, engines: Engines, results: Results, bar: RenderBar
    ) -> None:
        self._context = context
        self._page = context.page
        self._engines = engines
        self._results = results
        self._bar = bar
        dependent = [w.name for w in self._page.widgets() if w.field.ui.only_when is not None]
        self.outputs = names(
            ("flow", "record"), engines.outputs, self._page.noted_names(), dependent
        )

    def events(self) -> list[Event]:
        """List what is answered."""
        beside = ("progress", "told", PLAYERS["preview"], "preview_player", "frame_sheet")
        found = [
            Event(
                component="flow",
                trigger="change",
                handler=self.choose_flow,
                inputs=("flow",),
                outputs=names(self._engines.outputs, beside, RenderBar.OUTPUTS),
                place="what_problem",
            ),
            Event(
                component="style",
                trigger="change",
                handler=self.choose_style,
                inputs=("flow", "style"),
                outputs=self._engines.panel_outputs,
                place="what_problem",
            ),
        ]
        found += [
            Event(
                component=name,
                trigger="change",
                handler=functools.partial(self.note, name=name),
                name="note",
                inputs=(name,),
                outputs=names(("what_problem", "consent_problem", "progress"), RenderBar.OUTPUTS),
                place="what_problem",
            )
            for name in self._page.noted_names()
            if name not in ("flow", "style")
        ]
        for widgets in self._page.groups.values():
            leaders = {w.field.ui.only_when[0] for w in widgets if w.field.ui.only_when}
            found += [
                Event(
                    component=widget.name,
                    trigger="change",
                    handler=functools.partial(self.show_dependent, widgets),
                    name="show_dependent",
                    inputs=tuple(w.name for w in widgets),
                    outputs=tuple(w.name for w in widgets if w.field.ui.only_when),
                    place="what_problem",
                )
                for widget in widgets
                if widget.field.name in leaders
            ]
        return found

    def choose_flow(self, session: Session, flow: Any) -> Changes:
        """Show the engines of a flow."""
        changes = self._engines.draw_flow(
            session, str(flow), self._engines.last_of(session, str(flow))
        )
        self._keep(session, "flow", str(flow))
        # A frame that was tried is of the flow before.
        changes["frame_sheet"] = shown("")
        return merged(changes, self._results.follow_flow(session), self._bar.draw(session))

    def choose_style(self, session: Session, flow: Any, style: Any) -> Changes:
        """Show the settings of an engine."""
        if str(style) in {spec.id for spec in self._page.specs(str(flow))}:
            session.styles[str(flow)] = str(style)
            self._keep(session, "style", str(style))
            return self._engines.draw_panel(session, str(flow), str(style))
        # A page that is being filled may still tell of the flow before.
        return self._engines.draw_panel(session, *self.chosen(session))

    def note(self, session: Session, value: Any, *, name: str) -> Changes:
        """Keep the value of a widget that has changed, and say what is still missing."""
        self._keep(session, name, value)
        changes = merged({"what_problem": shown("")}, self._bar.draw(session))
        if name == "consent" and value is True:
            changes["consent_problem"] = shown("")
        return merged(changes, self._bar.forget_problem(session))

    def show_dependent(self, widgets: list[Widget], _: Session, *values: Any) -> Changes:
        """Show and hide settings that depend on another one."""
        plain = {
            w.field.name: plain_value(w.field, v) for w, v in zip(widgets, values, strict=True)
        }
        return {
            w.name: {"visible": is_shown(w.field, plain)}
            for w in widgets
            if w.field.ui.only_when is not None
        }

    def chosen(self, session: Session) -> tuple[str, str]:
        """Give flow and engine as they were left."""
        flow, style = self._page.first_choice()
        flow = session.form.get("flow", flow)
        if flow not in self._page.flows():
            return self._page.first_choice()
        ids = [spec.id for spec in self._page.specs(flow)]
        last = session.styles.get(flow) or session.form.get("style", style)
        return flow, last if last in ids else next(iter(ids), "")

    def draw(self, session: Session) -> Changes:
        """Fill the widgets with what they had; what no longer fits keeps its default."""
        flow, style = self.chosen(session)
        changes = merged({"flow": {"value": flow}}, self._engines.draw_flow(session, flow, style))
        changes = merged(changes, self.filled(session.form))
        if "recording" in changes:
            changes["recording"] |= {"visible": True, "interactive": True}
            changes["record"] = {"visible": False}
        return merged(changes, self._shown_settings(session))

    def filled(self, form: Mapping[str, Any]) -> Changes:
        """Fill widgets with what they had, by name; what no longer fits is passed over."""
        changes: Changes = {}
        fields = {w.name: w.field for w in self._page.widgets()}
        files = self._page.file_names()
        for name, value in form.items():
            if name in ("flow", "style") or name not in self._page.components:
                continue
            if name in files:
                found = [p for p in value or () if is_file(p)]
                if found:
                    changes[name] = {"value": found if name == "lines" else found[0]}
                continue
            field = fields.get(name)
            if field is not None:
                try:
                    field.check(plain_value(field, value))
                except SettingsError:
                    continue
            changes[name] = {"value": value}
        return changes

    def snapshot(self, session: Session, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give what makes an entry of the list, so that it can be edited later.

        Args:
            values: of the plan's widgets, by name.
        """
        files = self._page.file_names()
        return {
            "picked": list(session.picked),
            "source": None if session.source is None else session.source.to_json(),
            "values": {
                name: self._kept_files(session, session.form.get(name), value)
                if name in files
                else value
                for name, value in values.items()
            },
        }

    def take_back(self, session: Session, snapshot: Mapping[str, Any]) -> None:
        """Set everything as it was when `snapshot` was taken."""
        values = dict(snapshot["values"])
        session.form.update(values)
        session.styles[str(values["flow"])] = str(values["style"])
        session.picked = [str(key) for key in snapshot["picked"]]
        session.speech_for = list(session.picked)
        source = snapshot["source"]
        session.source = None if source is None else SourceChoice.from_json(source)

    def _keep(self, session: Session, name: str, value: Any) -> None:
        if name in self._page.file_names():
            value = self._kept_files(session, session.form.get(name), value)
        if session.form.get(name) == value:
            return
        session.form[name] = value
        if name in GIVEN_FOR_ONE and value and session.picked:
            session.speech_for = list(session.picked)
        self._context.save(session)

    def _kept_files(self, session: Session, before: Any, value: Any) -> list[str]:
        """Keep uploads in the user's own folder; those already there are not copied again."""
        old = {(Path(p).name, Path(p).stat().st_size): p for p in before or () if is_file(p)}
        kept = []
        for path in map(Path, paths_of(value)):
            if not path.is_file():
                continue
            mark = (plain_name(path.name, "file"), path.stat().st_size)
            kept.append(old.get(mark) or str(self._context.keep_upload(session, path, "file")))
        return kept

    def _shown_settings(self, session: Session) -> Changes:
        """Show and hide settings that depend on another one, as that one stands."""
        changes: Changes = {}
        for widgets in self._page.groups.values():
            values = {
                w.field.name: plain_value(w.field, session.form.get(w.name, w.field.default))
                for w in widgets
            }
            for widget in widgets:
                if widget.field.ui.only_when is not None:
                    changes[widget.name] = {"visible": is_shown(widget.field, values)}
        return changes
