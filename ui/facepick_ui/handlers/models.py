"""Model files that are missing: what is offered, fetching it, and going on with what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facepick.errors import FacepickError, JobNotFound
from facepick.jobs.job import JobRecord
from facepick_ui import messages, views
from facepick_ui.compat import Changes
from facepick_ui.handlers.base import explained, shown, starting
from facepick_ui.handlers.render import Render
from facepick_ui.session import Offer, Session

__all__ = ["Models"]


class Models(Render):
    """The block that shows up when a model file is missing."""

    def _models(self, session: Session) -> Changes:
        """What is offered now; nothing where nothing is missing."""
        language = session.language
        job = self._record(session, "fetch")
        running = job is not None and job.is_active
        offer = session.offer or self._first_offer(session)
        lacking = [] if offer is None else self.app.missing_models(offer.models)
        if job is not None and running:
            lacking = self.app.missing_models(job.request["models"])
        elif offer is not None and not lacking:
            session.offer = None
        progress = ""
        if job is not None and running:
            progress = self._progress(session, job)
        elif lacking and job is not None and job.state != "done":
            progress = self._fetch_note(job, language)
        fetched = [spec for spec in lacking if spec.can_fetch]
        size = sum(spec.size for spec in fetched) / 1e6
        asked = offer.asked if offer is not None else None
        note = views.models_note(
            lacking, str(self.app.models.fetch_dir), asked is not None and bool(fetched), language
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

    def _fetch_note(self, job: JobRecord, language: str) -> str:
        """Why the files are still not here."""
        if job.state == "failed":
            return messages.failure_html(job.error or "", job.exit_code, language, fetch=True)
        words = messages.text("models_stopped_help", language)
        return views.notice(messages.text("stopped", language), words, kind="calm")

    def _first_offer(self, session: Session) -> Offer | None:
        """What every scan needs, unless the user has put it off."""
        if session.put_off:
            return None
        return Offer(models=tuple(spec.id for spec in self.app.missing_models()))

    @explained("models_progress")
    def get_models(self, session: Session) -> Changes:
        """Fetch what is offered, in a child process."""
        offer = session.offer or self._first_offer(session)
        lacking = [] if offer is None else self.app.missing_models(offer.models)
        return self._fetch(session, [spec.id for spec in lacking if spec.can_fetch])

    def _fetch(self, session: Session, ids: list[str]) -> Changes:
        with starting(session) as mine:
            if ids and mine and self._active(session, "fetch") is None:
                job = self.app.start_fetch(ids, owner=session.key)
                session.watched["fetch"] = job.id
                session.finished.discard(job.id)
        self.sessions.save(session)
        return self._models(session)

    def _get_model(self, session: Session, argument: str) -> Changes:
        """The button beside an engine that lacks a file."""
        session.offer = Offer(models=(argument,))
        return self._fetch(session, [argument])

    @explained("models_progress")
    def put_off_models(self, session: Session) -> Changes:
        """Stop the download; or close the block until something needs the files again."""
        job = self._active(session, "fetch")
        if job is not None:
            self.app.cancel_job(job.id)
            return {"models_later": {"interactive": False}}
        session.put_off = True
        session.offer = None
        session.watched.pop("fetch", None)
        self.sessions.save(session)
        return self._models(session)

    def _fetched(self, session: Session, record: JobRecord) -> Changes:
        """A download has ended: mark what can be used now, and go on with what was asked."""
        changes: Changes = {"models_later": {"interactive": True}}
        offer = session.offer
        if record.state == "done":
            changes.update(self._usable(session))
            if offer is not None and not self.app.missing_models(offer.models):
                session.offer = None
                try:
                    changes.update(self._go_on(session, offer.asked))
                except FacepickError as error:
                    changes["progress"] = shown(messages.error_html(error, session.language))
            self.sessions.save(session)
        for name, what in self._models(session).items():
            changes.setdefault(name, {}).update(what)
        return changes

    def _go_on(self, session: Session, asked: Mapping[str, Any] | None) -> Changes:
        """Start what could not be started, or failed, for want of the files."""
        from facepick.render.plan import RenderPlan

        if asked is None:
            return {}
        if asked["kind"] == "resume":
            try:
                record = self.app.resume_job(self._own(session, asked["job"]).id)
            except JobNotFound:
                return {}  # somebody has removed it meanwhile
        else:
            plan = RenderPlan.from_json(asked["plan"])
            record = self._start(session, asked["kind"], plan, asked)
        session.watched[record.kind] = record.id
        session.finished.discard(record.id)
        if record.kind == "scan":
            return self._scan_started(session)
        return self._started(session)

    def _scan_started(self, session: Session) -> Changes:
        return {
            "scan": {"interactive": False},
            "scan_stop": {"visible": True},
            "scan_progress": shown(views.progress_view(None, session.language)),
        }
