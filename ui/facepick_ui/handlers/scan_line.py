"""Line below the search for people: running, found so many, stopped or failed."""

from __future__ import annotations

from facepick_ui import messages, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.standing import end_note, progress_bar
from facepick_ui.session import Session

__all__ = ["SCAN_STARTED", "scan_line", "scan_started"]

SCAN_STARTED = ("scan", "scan_stop", "scan_progress", "scan_running", "render_note")
"""What `scan_started` changes."""


def scan_line(context: Context, session: Session) -> str:
    """Draw how the scan stands."""
    record = context.record(session, "scan")
    language = session.language
    if record is not None and record.is_active:
        return progress_bar(record, language)
    scan = session.scan
    if scan is None:
        return "" if record is None else end_note(context.app, record, language)
    count = sum(1 for p in scan.people if not p.ignored and not p.unsure)
    key = "scan_done_one" if count == 1 else "scan_done"
    line = views.notice(messages.text(key, language, n=count, frames=scan.frames))
    lost = context.app.edits_problem(scan)
    if lost is not None:
        line += views.notices_view([lost], language)
    return line


def scan_started(language: str) -> Changes:
    """Show that the search has begun."""
    bar = shown(views.progress_view(None, language))
    return {
        "scan": {"interactive": False},
        "scan_stop": {"visible": True},
        "scan_progress": bar,
        "scan_running": bar,
        "render_note": shown(""),
    }
