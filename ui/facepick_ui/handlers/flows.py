"""What shall happen to whom: flow, engine, settings, and the list of assignments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facepick.engines.engine import EngineSpec
from facepick.notices import Notice
from facepick.people.person import Person, Scan
from facepick.people.selection import Selection
from facepick.render.plan import CONSENT_SENTENCE, Assignment
from facepick.speech.line import SpeechLine
from facepick_ui import messages, pictures, views
from facepick_ui.compat import Changes
from facepick_ui.flow_panels import changed_values, is_shown, plain_value
from facepick_ui.handlers.base import Say, explained, shown
from facepick_ui.handlers.form import Form
from facepick_ui.handlers.sources import Sources
from facepick_ui.handlers.speech import Speech
from facepick_ui.session import Session

__all__ = ["Flows"]


class Flows(Sources, Speech, Form):
    """The third card of the page."""

    @explained("what_problem")
    def choose_flow(self, session: Session, flow: Any) -> Changes:
        """Show the engines of a flow."""
        changes = self._flow(session, str(flow), self._style_of(session, str(flow)))
        self._note_value(session, "flow", str(flow))
        return {**changes, **self._outdated(session), **self._buttons(session)}

    def _style_of(self, session: Session, flow: str) -> str:
        """The engine that was last chosen for a flow, else the first that can be used."""
        ids = [spec.id for spec in self.page.specs(flow)]
        last = session.styles.get(flow, "")
        return last if last in ids else next(iter(ids), "")

    def _flow(self, session: Session, flow: str, style: str) -> Changes:
        """The widgets of a flow, with an engine chosen."""
        engines = self.page.specs(flow)
        changes: Changes = {
            "style": {
                "choices": self.page.style_choices(flow, session.language),
                "value": style or None,
                "visible": bool(engines),
            },
            "speech_inputs": {"visible": any(s.needs_audio for s in engines)},
            "swap_inputs": {"visible": any(s.needs_source for s in engines)},
            "everyone_but": {"visible": str(flow) == "hide"},
            "what_problem": shown(""),
        }
        changes.update(self._panels(session, flow, style))
        return changes

    @explained("what_problem")
    def choose_style(self, session: Session, flow: Any, style: Any) -> Changes:
        """Show the settings of an engine."""
        if str(style) in {spec.id for spec in self.page.specs(str(flow))}:
            session.styles[str(flow)] = str(style)
            self._note_value(session, "style", str(style))
        return self._panels(session, str(flow), str(style))

    def _panels(self, session: Session, flow: str, style: str) -> Changes:
        session.shown = (flow, style)
        changes: Changes = {}
        for panel in self.page.panels:
            mine = panel.spec.flow == flow and panel.spec.id == style
            changes[panel.name] = {"visible": mine}
            if mine:
                changes["style_help"] = shown(self._style_help(panel.spec, session.language))
        return changes

    def _style_help(self, spec: EngineSpec, language: str) -> str:
        """What the engine does, what it lacks, and which others lack something."""
        words = [messages.engine_help(spec.label, spec.help, language)]
        if not spec.commercial_use:
            words.append(messages.text("licence_note", language, licence=spec.licence))
        body = views.paragraph(" ".join(words))
        folder = str(self.app.models.fetch_dir)
        if lacking := self.page.missing(spec):
            body += views.models_list(lacking, folder, language)
        others = [
            (messages.engine_label(other.label, language), lacking)
            for other in self.page.specs(spec.flow)
            if other is not spec and (lacking := self.page.missing(other))
        ]
        return body + views.unusable(others, folder, language)

    def _usable(self, session: Session) -> Changes:
        """Marks of ways and choices that lack a file, after one has come."""
        flow, style = session.shown or self.page.first_choice()
        changes = self._panels(session, flow, style)
        changes["style"] = {"choices": self.page.style_choices(flow, session.language)}
        for widget in self.page.widgets():
            if self.page.may_lack(widget):
                changes[widget.name] = {"choices": widget.words(session.language)["choices"]}
        return changes

    @explained("what_problem")
    def setting_changed(self, session: Session, group: Any, *values: Any) -> Changes:
        """Show and hide settings that depend on another one."""
        widgets = self.page.groups[str(group)]
        plain = {
            w.field.name: plain_value(w.field, v) for w, v in zip(widgets, values, strict=True)
        }
        return {
            w.name: {"visible": is_shown(w.field, plain)}
            for w in widgets
            if w.field.ui.only_when is not None
        }

    def _current(
        self, session: Session, values: Mapping[str, Any]
    ) -> tuple[list[Assignment], tuple[Notice, ...]]:
        """The choice that is on the page now, for those picked who are not in the list yet.

        One assignment, or with a list of spoken lines one for each speaker; and what was found
        out about those lines.
        """
        if not session.picked:
            return [], ()
        flow, engine = str(values["flow"]), str(values["style"])
        taken = {
            person for item in session.kept if item.flow == flow for person in item.selection.people
        }
        people = tuple(key for key in session.picked if key not in taken)
        all_but = flow == "hide" and values.get("everyone_but") is True
        if not people and not all_but:
            return [], ()
        scan = self._scan_or_say(session)
        spec = self.app.registry.get(flow, engine).spec
        panel = next(p for p in self.page.panels if p.spec is spec or p.spec == spec)
        settings = changed_values(panel.widgets, [values[w.name] for w in panel.widgets])
        for widget in panel.widgets:
            if widget.field.kind == "file" and settings.get(widget.field.name):
                upload = Path(settings[widget.field.name])
                settings[widget.field.name] = str(self._keep_upload(session, upload, "picture"))
        source: tuple[str, ...] = ()
        consent = None
        if spec.needs_source:
            source = tuple(face.image for face in self._chosen_faces(session))
        if flow == "swap":
            consent = _consent(values)
        spoken: list[tuple[tuple[str, ...], tuple[SpeechLine, ...]]] = [(people, ())]
        told: tuple[Notice, ...] = ()
        if spec.needs_audio:
            spoken, told = self._lines(session, values, people)
        made = [
            Assignment(
                selection=(
                    Selection((), everyone_but=tuple(session.picked))
                    if all_but
                    else Selection(who, include_unsure=any(scan.person(key).unsure for key in who))
                ),
                flow=flow,
                engine=engine,
                settings=settings,
                speech=lines,
                source=source,
                consent=consent,
            )
            for who, lines in spoken
        ]
        return made, told

    def _list(self, session: Session) -> Changes:
        scan = session.scan
        if scan is None:
            return {"assignments": shown("")}
        rows = [
            self._list_row(session, scan, item, f"drop:{number}")
            for number, item in enumerate(session.kept)
        ]
        return {"assignments": shown(views.assignments_table(rows, session.language))}

    def _list_row(
        self, session: Session, scan: Scan, item: Assignment, act: str | None
    ) -> views.Row:
        people = item.selection.resolve(scan)
        spec = self.app.registry.get(item.flow, item.engine).spec
        how = [messages.engine_label(spec.label, session.language)]
        labels = {w.field.name: w for p in self.page.panels if p.spec == spec for w in p.widgets}
        for name, value in item.settings.items():
            widget = labels.get(name)
            if widget is None:
                continue
            label = messages.setting_label(widget.field.ui.label, session.language)
            if widget.field.kind == "file":
                value = Path(str(value)).name
            how.append(f"{label} {value:g}" if isinstance(value, float) else f"{label} {value}")
        how += [_line_words(line, session.language) for line in item.speech[:3]]
        if len(item.speech) > 3:
            how.append(messages.text("lines_more", session.language, n=len(item.speech) - 3))
        return {
            "faces": [pictures.face_uri(scan, p) for p in people[:6]],
            "who": _who(item, scan, people, session.language),
            "what": messages.text(f"flow_{item.flow}", session.language),
            "how": " · ".join(how),
            "into": [uri for name in item.source if (uri := pictures.photo_uri(Path(name)))],
            "act": act,
        }


def _who(item: Assignment, scan: Scan, people: Sequence[Person], language: str) -> str:
    spared = item.selection.everyone_but
    if not spared:
        return ", ".join(p.label for p in people)
    return messages.text("all_but", language, who=", ".join(scan.person(k).label for k in spared))


def _line_words(line: SpeechLine, language: str) -> str:
    """``hello.wav 0:02 "Good morning"``, as short as it goes."""
    words = Path(line.path).name
    if line.start_seconds:
        words += f" @ {views.clock(line.start_seconds)}"
    if line.text:
        words += f" “{line.text if len(line.text) <= 40 else line.text[:39] + '…'}”"
    if line.phones:
        words += f" ({messages.text('phones_given', language)})"
    return words


def _consent(values: Mapping[str, Any]) -> str:
    """The statement, with what the user has added in own words.

    Raises:
        Say: it is not made.
    """
    if values["consent"] is not True:
        raise Say("consent_needed", "consent_problem")
    added = " ".join(str(values["consent_note"] or "").split())[:500]
    return f"{CONSENT_SENTENCE} {added}".strip()
