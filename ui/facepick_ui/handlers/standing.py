"""Standing of jobs, as HTML: how far they are, and how they ended."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.jobs.job import JobRecord
from facepick_ui import messages, pictures, views

if TYPE_CHECKING:
    from facepick.app import App

__all__ = ["busy", "end_note", "lacking_note", "progress_bar"]


def progress_bar(record: JobRecord, language: str, *, stage: str = "queued") -> str:
    """Draw how far a job is.

    Args:
        stage: what is shown before its first report.
    """
    progress = record.progress
    picture = None
    if progress is not None and progress.thumbnail:
        picture = pictures.file_uri(record.folder / progress.thumbnail)
    return views.progress_view(progress, language, thumbnail=picture, stage=stage)


def busy(language: str) -> str:
    """Draw that faces are being looked for."""
    return views.progress_view(None, language, stage="faces")


def lacking_note(language: str) -> str:
    """Draw that a model file is missing."""
    words = messages.text("models_needed_help", language)
    return views.notice(messages.text("models_needed", language), words, kind="calm")


def end_note(app: App, record: JobRecord, language: str) -> str:
    """Draw how a job ended."""
    text = functools.partial(messages.text, language=language)
    if record.state == "failed" and record.missing and app.missing_models(record.missing):
        return lacking_note(language)
    if record.state == "done":
        rendered = record.kind == "render"
        return views.ended_view(
            text("render_done" if rendered else "preview_done"),
            Path(record.out or "").name,
            "result_row" if rendered else "preview_video",
            language,
        )
    if record.state in ("stopped", "interrupted"):
        if record.kind == "scan":
            return views.notice(text(record.state), text("scan_stopped_help"), kind="calm")
        if record.can_resume:
            kept = _kept_words(app, record, language)
            return views.stopped_view(text(record.state), kept, f"resume:{record.id}", language)
        return views.notice(text(record.state), kind="calm")
    return views.failure_box(record.error or "", record.exit_code, language)


_BEFORE = ("wait", "open", "scan", "separate", "load", "check")
_LEARNING = ("prepare", "selfcheck")


def _kept_words(app: App, record: JobRecord, language: str) -> str:
    """Say what a stopped job has kept, and where it would go on."""
    text = functools.partial(messages.text, language=language)
    stage = record.progress.stage if record.progress is not None else "wait"
    if stage in _BEFORE:
        return text("stopped_early")
    if stage in _LEARNING:
        return text("stopped_learning")
    if stage != "render":
        return text("stopped_late")
    kept, total = app.kept_frames(record)
    return text("stopped_drawing" if kept else "stopped_first", kept=kept, total=total)
