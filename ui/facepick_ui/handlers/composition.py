"""Composition of the handlers of a tab: each is given those that it needs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from facepick_ui.changes import Changes
from facepick_ui.cleanup import tidy
from facepick_ui.handlers.assignments import Assignments
from facepick_ui.handlers.cast import KnownPeople
from facepick_ui.handlers.comparison import Comparison
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.corrections import Corrections
from facepick_ui.handlers.engines import Engines
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.explainer import Explainer
from facepick_ui.handlers.form import Form
from facepick_ui.handlers.graphics_card import GraphicsCard
from facepick_ui.handlers.jobs import Jobs
from facepick_ui.handlers.keeping import Keeping
from facepick_ui.handlers.lines import Lines
from facepick_ui.handlers.models import Models
from facepick_ui.handlers.offers import Offers
from facepick_ui.handlers.opening import Opening
from facepick_ui.handlers.people import People
from facepick_ui.handlers.plans import Plans
from facepick_ui.handlers.players import Players
from facepick_ui.handlers.projects import Projects
from facepick_ui.handlers.queue import Queue
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.renders import Renders
from facepick_ui.handlers.results import Results
from facepick_ui.handlers.season import Season
from facepick_ui.handlers.sources import Sources
from facepick_ui.handlers.speech import Speech
from facepick_ui.handlers.video import Video
from facepick_ui.handlers.watcher import Watcher
from facepick_ui.session import Session, SessionStore

if TYPE_CHECKING:
    from facepick.app import App
    from facepick_ui.page import Page

__all__ = ["Handlers"]

TIDY_SECONDS = 3600.0
"""Between two looks for old uploads."""

log = logging.getLogger("facepick_ui.handlers")


class Handlers:
    """All handlers of one tab.

    Args:
        app: the core.
        page: names, engines and settings that the tab was built with.

    Attributes:
        sessions: of all users.
        events: what happens when a widget is used.
        greeted: the widgets that the greeting of a page changes.
        opened: the widgets that the opening of a page changes.
        watched: the widgets that the watching of jobs may change.
        offered: the widgets that any answer may change, when it lacks a model file.
    """

    def __init__(self, app: App, page: Page) -> None:
        self.sessions = SessionStore(app.host.home() / "ui")
        self._app = app
        self._tidied: float | None = None
        context = Context(app, page, self.sessions)
        players, offers, bar = Players(context), Offers(context), RenderBar(context)
        engines, card, jobs = Engines(context), GraphicsCard(context), Jobs(context)
        speech, sources = Speech(context, bar), Sources(context, bar)
        assignments = Assignments(context)
        results = Results(context, players, bar)
        form = Form(context, engines, results, bar)
        plans = Plans(context, speech, sources)
        people = People(context, sources, assignments, bar, speech)
        corrections = Corrections(context, people)
        known = KnownPeople(context, corrections)
        keeping = Keeping(context, plans, people, speech, form)
        renders = Renders(context, plans, card, offers, bar, jobs)
        queue = Queue(context, renders, jobs, bar)
        season = Season(context, plans, queue)
        models = Models(context, offers, engines, renders, speech)
        video = Video(context, players, people, results, form)
        watcher = Watcher(
            context,
            players=players,
            offers=offers,
            models=models,
            engines=engines,
            video=video,
            people=people,
            speech=speech,
            results=results,
            jobs=jobs,
            queue=queue,
        )
        opening = Opening(
            context,
            video=video,
            people=people,
            known=known,
            offers=offers,
            engines=engines,
            form=form,
            speech=speech,
            results=results,
            card=card,
            jobs=jobs,
            queue=queue,
            watcher=watcher,
        )
        lines = Lines(context, speech, renders)
        acting = (
            queue,
            lines,
            players,
            results,
            jobs,
            sources,
            people,
            known,
            keeping,
            renders,
            models,
        )
        answering = (
            opening, video, people, corrections, known, Comparison(context), form, speech, sources,
            keeping, renders, queue, season, models, Projects(context, video, people, form),
        )  # fmt: skip
        self._context = context
        self._explainer = Explainer(offers)
        self._opening = opening
        self._watcher = watcher
        self.greeted = opening.HELLO
        self.opened = opening.open_outputs
        self.watched = watcher.outputs
        self.offered = Offers.OUTPUTS
        self.events: list[Event] = [event for part in answering for event in part.events()]
        again = [_clicked_again(event) for event in self.events if event.trigger == "select"]
        acts = [*again, *(act for part in acting for act in part.acts())]
        self._acts: dict[str, Act] = {act.verb: act for act in acts}
        self.events.append(
            Event(
                component="act",
                trigger="click",
                handler=self.act,
                inputs=("message",),
                outputs=names(*((*act.outputs, act.place) for act in self._acts.values())),
                script="facepickAction",
                watch=True,
            )
        )

    def session(self, key: Any) -> Session:
        """Find the session of a page; an empty one when the page has lost its key."""
        return self._context.session(key)

    def answer(self, event: Event, key: Any, values: Sequence[Any]) -> Changes:
        """Do what the user asks for, or say why that cannot be done.

        Args:
            event: what was done.
            key: of the session.
            values: of the event's inputs.

        Raises:
            ValueError: the handler changed what its event does not list.
        """
        session = self.session(key)
        changes = self._explainer.explained(
            session, event.place, lambda: event.handler(session, *values)
        )
        unlisted = set(changes).difference(event.may_change, Offers.OUTPUTS)
        if unlisted:
            raise ValueError(f"{event.called} of {event.component} changes {sorted(unlisted)}")
        return changes

    def act(self, session: Session, action: Any) -> Changes:
        """Answer a click on something drawn as HTML: ``verb:argument``."""
        verb, _, argument = str(action or "").partition(":")
        act = self._acts.get(verb)
        if act is None:
            return {}
        return self._explainer.explained(session, act.place, lambda: act.handler(session, argument))

    def hello(self, greeting: Any) -> tuple[str, Changes]:
        """Find the session of a page; see `facepick_ui.handlers.opening`."""
        self.tidy()
        return self._opening.hello(greeting)

    def open(self, key: Any) -> Changes:
        """Show a page as it was left; see `facepick_ui.handlers.opening`."""
        return self._opening.open(self.session(key))

    def restore(self, key: Any) -> Changes:
        """Show everything as it stands."""
        return self._opening.draw(self.session(key))

    def watch(self, key: Any) -> Iterator[Changes]:
        """Watch the jobs of a session; see `facepick_ui.handlers.watcher`."""
        return self._watcher.watch(self.session(key))

    def tidy(self, *_: Any) -> threading.Thread | None:
        """Remove files that nobody needs, in the background; at most once an hour.

        Called when the tab is built, when a page is opened and when a page has gone.
        """
        now = time.monotonic()
        if self._tidied is not None and now - self._tidied < TIDY_SECONDS:
            return None
        self._tidied = now
        thread = threading.Thread(target=self._tidy, daemon=True)
        thread.start()
        return thread

    def _tidy(self) -> None:
        try:
            tidy(self.sessions, self._app.jobs(), self._app.host.outputs())
            self._app.proxies.trim()
        except OSError as error:
            log.warning("old uploads could not be removed: %s", error)


def _clicked_again(select: Event) -> Act:
    """Give what answers a click on that picture of a gallery that was clicked last.

    Gradio 3 and 4 tell of it only when another one was clicked in between.
    """

    def answer(session: Session, index: str) -> Changes:
        return select.handler(session, int(index)) if index.isdecimal() else {}

    return Act(verb=select.component, handler=answer, outputs=select.outputs, place=select.place)
