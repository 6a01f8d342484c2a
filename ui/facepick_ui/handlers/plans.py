"""Plans: what the page and the list of changes say, in the core's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.notices import Notice
from facepick.people.selection import Selection
from facepick.render.plan import CONSENT_SENTENCE, Assignment, OutputSettings
from facepick.speech.line import SpeechLine
from facepick_ui.handlers.context import Context, scan_of
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.sources import Sources
from facepick_ui.handlers.speech import Speech
from facepick_ui.page import REVIEW
from facepick_ui.session import Session
from facepick_ui.settings_form import changed_values

if TYPE_CHECKING:
    from facepick.render.plan import RenderPlan

__all__ = ["Plans"]


class Plans:
    """Makes assignments and plans of the values of the page's widgets."""

    def __init__(self, context: Context, speech: Speech, sources: Sources) -> None:
        self._context = context
        self._app = context.app
        self._page = context.page
        self._speech = speech
        self._sources = sources

    def current(
        self, session: Session, values: Mapping[str, Any]
    ) -> tuple[list[Assignment], tuple[Notice, ...]]:
        """Read the choice that is on the page now, for those picked who are not in the list yet.

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
        scan = scan_of(session)
        spec = self._app.registry.get(flow, engine).spec
        panel = next(p for p in self._page.panels if p.spec is spec or p.spec == spec)
        settings = changed_values(panel.widgets, [values[w.name] for w in panel.widgets])
        for widget in panel.widgets:
            if widget.field.kind == "file" and settings.get(widget.field.name):
                upload = Path(settings[widget.field.name])
                settings[widget.field.name] = str(
                    self._context.keep_upload(session, upload, "picture")
                )
        source: tuple[str, ...] = ()
        consent = None
        if spec.needs_source:
            source = tuple(face.image for face in self._sources.chosen_faces(session))
        if spec.needs_consent:
            consent = _consent(values)
        spoken: list[tuple[tuple[str, ...], tuple[SpeechLine, ...]]] = [(people, ())]
        told: tuple[Notice, ...] = ()
        if spec.needs_audio:
            spoken, told = self._speech.lines(session, values, people)
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

    def plan(
        self, session: Session, values: Sequence[Any]
    ) -> tuple[RenderPlan, tuple[Notice, ...]]:
        """Make the plan of what is in the list and on the page.

        Returns:
            The plan, and what was found out while it was made.

        Raises:
            Say: something is missing.
            FacepickError: something is wrong.
        """
        from facepick.media.writer import EncodeSettings
        from facepick.settings import from_mapping

        if session.video is None:
            raise Say("open_video_first")
        scan = scan_of(session)
        named = self._page.plan_values(values)
        current, told = self.current(session, named)
        assignments = [*session.kept, *current]
        if not assignments:
            raise Say("pick_first")
        encode = changed_values(
            self._page.encode_widgets, [named[w.name] for w in self._page.encode_widgets]
        )
        output = changed_values(
            self._page.output_widgets, [named[w.name] for w in self._page.output_widgets]
        )
        # Also where it is the core's default: the page shows its own language.
        output["review"] = str(named[REVIEW])
        for widget in self._page.output_widgets:
            if widget.field.kind == "file" and output.get(widget.field.name):
                upload = Path(output[widget.field.name])
                output[widget.field.name] = str(self._context.keep_upload(session, upload, "sound"))
        plan = self._app.make_plan(
            session.video,
            assignments,
            encode=from_mapping(EncodeSettings, encode),
            output=from_mapping(OutputSettings, output),
            scan_settings=session.scan_settings,
        )
        plan.validate(scan, self._app.registry)
        return plan, (*(n for kept in session.kept_notices for n in kept), *told)


def _consent(values: Mapping[str, Any]) -> str:
    """Give the statement, with what the user has added in own words.

    Raises:
        Say: it is not made.
    """
    if values["consent"] is not True:
        raise Say("consent_needed", "consent_problem")
    added = " ".join(str(values["consent_note"] or "").split())[:500]
    return f"{CONSENT_SENTENCE} {added}".strip()
