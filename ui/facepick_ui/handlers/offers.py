"""Model files that are missing: what is offered on top of the page."""

from __future__ import annotations

from facepick.errors import MissingModelError
from facepick.jobs.job import JobRecord
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.standing import lacking_note, progress_bar
from facepick_ui.session import Offer, Session

__all__ = ["Offers"]


class Offers:
    """The block that shows up when a model file is missing."""

    OUTPUTS = ("models_block", "models_note", "models_progress", "get_models", "models_later")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._app = context.app

    def draw(self, session: Session) -> Changes:
        """Show what is offered now; nothing where nothing is missing."""
        language = session.language
        job = self._context.record(session, "fetch")
        running = job is not None and job.is_active
        offer = session.offer or self.first(session)
        lacking = [] if offer is None else self._app.missing_models(offer.models)
        if job is not None and running:
            lacking = self._app.missing_models(job.request["models"])
        elif offer is not None and not lacking:
            session.offer = None
        progress = ""
        if job is not None and running:
            progress = progress_bar(job, language)
        elif lacking and job is not None and job.state != "done":
            progress = self._fetch_note(job, language)
        fetched = [spec for spec in lacking if spec.can_fetch]
        size = sum(spec.size for spec in fetched) / 1e6
        asked = offer.asked if offer is not None else None
        note = views.models_note(
            lacking, str(self._app.models.fetch_dir), asked is not None and bool(fetched), language
        )
        return {
            "models_block": {"visible": bool(lacking)},
            "models_note": shown(note),
            "models_progress": shown(progress),
            "get_models": {
                "visible": bool(fetched) and not running,
                "value": messages.text("get_models_size", language, size=f"{size:.1f}"),
            },
            "models_later": {
                "visible": bool(lacking),
                "value": messages.text("stop" if running else "models_later", language),
            },
        }

    def first(self, session: Session) -> Offer | None:
        """Offer what every scan needs, unless the user has put it off."""
        if session.put_off:
            return None
        return Offer(models=tuple(spec.id for spec in self._app.missing_models()))

    def lacking(self, session: Session, place: str, error: MissingModelError) -> Changes:
        """Offer the model file that is missing, and say so at `place`."""
        problem = {place: shown(views.error_box(error, session.language))}
        if not error.models:
            return problem
        session.offer = Offer(models=error.models, asked=getattr(error, "asked", None))
        self._context.save(session)
        changes = self.draw(session)
        if not changes["models_block"]["visible"]:
            # It is here after all, and something else is wrong with it.
            return merged(problem, changes)
        return merged({place: shown(lacking_note(session.language))}, changes)

    def _fetch_note(self, job: JobRecord, language: str) -> str:
        """Why the files are still not here."""
        if job.state == "failed":
            return views.failure_box(job.error or "", job.exit_code, language, fetch=True)
        words = messages.text("models_stopped_help", language)
        return views.notice(messages.text("stopped", language), words, kind="calm")
