"""What is set on the page, kept so that it survives a reload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facepick.errors import SettingsError
from facepick_ui.compat import Changes, paths_of
from facepick_ui.flow_panels import is_shown, plain_value
from facepick_ui.handlers.base import Base, explained, is_file, shown
from facepick_ui.session import Session
from facepick_ui.uploads import plain_name

__all__ = ["FILES", "Form"]

FILES = ("speech", "recording", "phones", "lines")
"""Inputs of a plan that are files; settings say so themselves."""


class Form(Base):
    """The values of the widgets, in the session."""

    def noted_names(self) -> list[str]:
        """Widgets whose values are kept: those of a plan, and the settings of the scan."""
        return [*self.page.plan_names(), *(w.name for w in self.page.scan_widgets)]

    @explained("what_problem")
    def note(self, session: Session, name: Any, value: Any) -> Changes:
        """A widget has changed: keep its value, and say what is still missing."""
        self._note_value(session, str(name), value)
        changes: Changes = {"what_problem": shown(""), **self._buttons(session)}
        if name == "consent" and value is True:
            changes["consent_problem"] = shown("")
        if session.problem:
            session.problem = False
            changes["progress"] = shown("")
        return changes

    def _note_value(self, session: Session, name: str, value: Any) -> None:
        if name in self._file_names():
            value = self._kept_files(session, session.form.get(name), value)
        if session.form.get(name) == value:
            return
        session.form[name] = value
        self.sessions.save(session)

    def _file_names(self) -> set[str]:
        return {*FILES, *(w.name for w in self.page.widgets() if w.field.kind == "file")}

    def _kept_files(self, session: Session, before: Any, value: Any) -> list[str]:
        """The uploads in the user's own folder; those already there are not copied again."""
        old = {(Path(p).name, Path(p).stat().st_size): p for p in before or () if is_file(p)}
        kept = []
        for path in map(Path, paths_of(value)):
            if not path.is_file():
                continue
            mark = (plain_name(path.name, "file"), path.stat().st_size)
            kept.append(old.get(mark) or str(self._keep_upload(session, path, "file")))
        return kept

    def _chosen(self, session: Session) -> tuple[str, str]:
        """Flow and engine as they were left."""
        flow, style = self.page.first_choice()
        flow = session.form.get("flow", flow)
        if flow not in self.page.flows():
            return self.page.first_choice()
        ids = [spec.id for spec in self.page.specs(flow)]
        last = session.styles.get(flow) or session.form.get("style", style)
        return flow, last if last in ids else next(iter(ids), "")

    def _filled(self, session: Session, flow: str, style: str) -> Changes:
        """The widgets with the values that they had; what no longer fits keeps its default."""
        changes: Changes = {"flow": {"value": flow}, **self._flow(session, flow, style)}
        fields = {w.name: w.field for w in self.page.widgets()}
        files = self._file_names()
        for name, value in session.form.items():
            if name in ("flow", "style") or name not in self.page.components:
                continue
            if name in files:
                found = [p for p in value or () if is_file(p)]
                if found:
                    many = name == "lines"
                    changes[name] = {"value": found if many else found[0]}
                continue
            field = fields.get(name)
            if field is not None:
                try:
                    field.check(plain_value(field, value))
                except SettingsError:
                    continue
            changes[name] = {"value": value}
        if "recording" in changes:
            changes["recording"] |= {"visible": True, "interactive": True}
            changes["record"] = {"visible": False}
        for name, shows in self._shown_settings(session).items():
            changes.setdefault(name, {}).update(shows)
        return changes

    def _shown_settings(self, session: Session) -> Changes:
        """Settings that depend on another one, as their leaders stand."""
        changes: Changes = {}
        for widgets in self.page.groups.values():
            values = {
                w.field.name: plain_value(w.field, session.form.get(w.name, w.field.default))
                for w in widgets
            }
            for widget in widgets:
                if widget.field.ui.only_when is not None:
                    changes[widget.name] = {"visible": is_shown(widget.field, values)}
        return changes
