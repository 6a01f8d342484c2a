"""Fetching of model files that are missing, and going on with what was asked."""

from __future__ import annotations

from facepick.errors import FacepickError
from facepick.jobs.job import JobRecord
from facepick_ui import views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, starting
from facepick_ui.handlers.engines import Engines
from facepick_ui.handlers.event import Act, Event
from facepick_ui.handlers.offers import Offers
from facepick_ui.handlers.renders import Renders
from facepick_ui.handlers.speech import VOICES, Speech
from facepick_ui.session import Offer, Session

__all__ = ["Models"]


class Models:
    """The buttons of the block that shows up when a model file is missing."""

    def __init__(
        self,
        context: Context,
        offers: Offers,
        engines: Engines,
        renders: Renders,
        speech: Speech,
    ) -> None:
        self._context = context
        self._app = context.app
        self._offers = offers
        self._engines = engines
        self._renders = renders
        self._speech = speech

    def events(self) -> list[Event]:
        """List what is answered."""
        return [
            Event(
                component="get_models",
                trigger="click",
                handler=self.get_models,
                outputs=Offers.OUTPUTS,
                place="models_progress",
                watch=True,
            ),
            Event(
                component="models_later",
                trigger="click",
                handler=self.put_off_models,
                outputs=Offers.OUTPUTS,
                place="models_progress",
            ),
        ]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (Act(verb="get", handler=self.get_model, outputs=Offers.OUTPUTS),)

    def get_models(self, session: Session) -> Changes:
        """Fetch what is offered, in a child process."""
        offer = session.offer or self._offers.first(session)
        lacking = [] if offer is None else self._app.missing_models(offer.models)
        return self._fetch(session, [spec.id for spec in lacking if spec.can_fetch])

    def _fetch(self, session: Session, ids: list[str]) -> Changes:
        with starting(session) as mine:
            if ids and mine and self._context.active(session, "fetch") is None:
                job = self._app.start_fetch(ids, owner=session.key)
                session.watched["fetch"] = job.id
                session.finished.discard(job.id)
        self._context.save(session)
        return self._offers.draw(session)

    def get_model(self, session: Session, argument: str) -> Changes:
        """Fetch the file that an engine lacks."""
        session.offer = Offer(models=(argument,))
        return self._fetch(session, [argument])

    def put_off_models(self, session: Session) -> Changes:
        """Stop the download; or close the block until something needs the files again."""
        job = self._context.active(session, "fetch")
        if job is not None:
            self._app.cancel_job(job.id)
            return {"models_later": {"interactive": False}}
        session.put_off = True
        session.offer = None
        session.watched.pop("fetch", None)
        self._context.save(session)
        return self._offers.draw(session)

    def fetched(self, session: Session, record: JobRecord) -> Changes:
        """Mark what can be used after a download, and go on with what was asked."""
        changes: Changes = {"models_later": {"interactive": True}}
        offer = session.offer
        if record.state == "done":
            changes.update(self._engines.draw_usable(session))
            if offer is not None and not self._app.missing_models(offer.models):
                session.offer = None
                if VOICES in offer.models:
                    changes.update(self._speech.hear_anew(session))
                try:
                    changes.update(self._renders.go_on(session, offer.asked))
                except FacepickError as error:
                    changes["progress"] = shown(views.error_box(error, session.language))
            self._context.save(session)
        return merged(changes, self._offers.draw(session))
