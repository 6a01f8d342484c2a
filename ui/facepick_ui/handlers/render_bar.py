"""Render bar: the buttons that start and stop, and what is still missing."""

from __future__ import annotations

import functools
from typing import Any

from facepick_ui import messages, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.estimates import NO_ESTIMATE, draw_estimate
from facepick_ui.session import Session

__all__ = ["RenderBar"]


class RenderBar:
    """The bar at the window's lower edge."""

    OUTPUTS = ("render", "preview", "preview_hard", "stop", "render_note", "estimate")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._page = context.page

    def draw(self, session: Session) -> Changes:
        """Show what can be started now, and what is missing."""
        rendering = self._context.active(session, "render") is not None
        previewing = self._context.active(session, "preview") is not None
        ready = session.scan is not None and bool(session.picked or session.kept)
        changes: Changes = {
            "render": {"interactive": ready and not rendering},
            "preview": {"interactive": ready and not previewing, **self.draw_preview(session)},
            "preview_hard": {"interactive": ready and not previewing},
            "stop": {"interactive": rendering or previewing},
        }
        if not rendering and not previewing:
            missing = self._missing(session) if ready else ""
            idle = ready and not any(session.watched.get(k) for k in ("render", "preview"))
            note = views.empty("render_empty", session.language) if idle else ""
            kind = "missing" if missing else "calm"
            missing = missing or ("" if ready else self._first_step(session))
            changes["render_note"] = shown(views.notice(missing, kind=kind) if missing else note)
        told = ready and not rendering and not previewing
        return {**changes, **(draw_estimate(self._context, session) if told else NO_ESTIMATE)}

    def _first_step(self, session: Session) -> str:
        """Say what comes before anything can be rendered."""
        if session.scan is not None:
            return messages.text("what_empty", session.language)
        if self._context.active(session, "scan") is not None:
            return ""
        key = "open_video_first" if session.video is None else "scan_first"
        return messages.text(key, session.language)

    def draw_preview(self, session: Session) -> dict[str, Any]:
        """Name the moment that a preview would show on its button."""
        if session.scan is None:
            return {"value": messages.text("preview", session.language)}
        moment = views.clock_exact(session.at_seconds)
        return {"value": messages.text("preview_at", session.language, time=moment)}

    def forget_problem(self, session: Session) -> Changes:
        """Take an old complaint away: something has changed since."""
        if not session.problem:
            return {}
        session.problem = False
        return {"progress": shown("")}

    def _missing(self, session: Session) -> str:
        """Say what a render lacks as the page stands; "" when it lacks nothing."""
        scan = session.scan
        flow = self._context.flow(session)
        engines = self._page.specs(flow)
        taken = {p for item in session.kept if item.flow == flow for p in item.selection.people}
        picked = [key for key in session.picked if key not in taken]
        if scan is None or not engines or not picked:
            return ""
        text = functools.partial(messages.text, language=session.language)
        who = messages.listed((scan.person(key).label for key in picked), session.language)
        form = session.form
        lacking = []
        sounds = ("speech", "recording", "lines", "output_soundtrack")
        given = any(form.get(name) for name in sounds) and not session.unreadable
        if any(s.needs_audio for s in engines) and not given:
            lacking.append(text("missing_speech", who=who))
        if session.nameless and any(s.needs_audio for s in engines) and form.get("lines"):
            lacking.append(text("missing_speakers"))
        if any(s.needs_source for s in engines):
            if session.source is None or not session.source.chosen_keys():
                lacking.append(text("missing_face", who=who))
            if form.get("consent") is not True:
                lacking.append(text("missing_consent", who=who))
        what = messages.listed(lacking, session.language)
        return text("still_missing", what=what) if lacking else ""
