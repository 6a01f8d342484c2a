"""Opening of a page: its session is found and shown as it was left, in the user's language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.cast import KnownPeople
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.engines import Engines
from facepick_ui.handlers.event import Event, names
from facepick_ui.handlers.form import Form
from facepick_ui.handlers.graphics_card import GraphicsCard
from facepick_ui.handlers.jobs import Jobs
from facepick_ui.handlers.offers import Offers
from facepick_ui.handlers.people import People
from facepick_ui.handlers.queue import Queue
from facepick_ui.handlers.results import Results
from facepick_ui.handlers.speech import Speech
from facepick_ui.handlers.video import Video
from facepick_ui.handlers.watcher import Watcher
from facepick_ui.page import REVIEW
from facepick_ui.session import Session
from facepick_ui.views import Standing

__all__ = ["Opening"]

CARDS = ("video", "people", "what", "render")
"""In the order of the page."""


class Opening:
    """The page as a whole.

    Attributes:
        outputs: what `draw` changes.
        words_outputs: what another language changes.
        open_outputs: what the opening of a page changes.
    """

    HELLO = ("config",)
    """What `hello` changes."""

    def __init__(
        self,
        context: Context,
        *,
        video: Video,
        people: People,
        known: KnownPeople,
        offers: Offers,
        engines: Engines,
        form: Form,
        speech: Speech,
        results: Results,
        card: GraphicsCard,
        jobs: Jobs,
        queue: Queue,
        watcher: Watcher,
    ) -> None:
        self._context = context
        self._app = context.app
        self._page = context.page
        self._video = video
        self._people = people
        self._known = known
        self._offers = offers
        self._engines = engines
        self._form = form
        self._speech = speech
        self._results = results
        self._card = card
        self._jobs = jobs
        self._queue = queue
        self._watcher = watcher
        self.outputs = names(
            ("header", *(f"{key}_title" for key in CARDS)),
            self._page.hints,
            Video.OPEN,
            KnownPeople.OUTPUTS,
            Offers.OUTPUTS,
            GraphicsCard.OUTPUTS,
            Jobs.OUTPUTS,
            Queue.OUTPUTS,
            watcher.outputs,
        )
        self.words_outputs = names(
            self.outputs,
            self._page.words(self._page.language),
            engines.outputs,
            ("language",) if "language" in self._page.components else (),
            ("config",),
        )
        self.open_outputs = names(self.words_outputs, form.outputs)

    def events(self) -> list[Event]:
        """List what is answered."""
        tick = Event(
            component="tick",
            trigger="click",
            handler=self.tick,
            outputs=self.outputs,
            queued=False,
        )
        if "language" not in self._page.components:
            return [tick]
        # Not `change`: that is told of what the page itself sets, too, and of two quick choices
        # the first would come back.
        language = Event(
            component="language",
            trigger="input",
            handler=self.choose_language,
            inputs=("language",),
            place="facts",
            then=Event(
                component="language",
                trigger="then",
                handler=self.speak,
                outputs=self.words_outputs,
                place="facts",
            ),
        )
        return [tick, language]

    def hello(self, greeting: Any) -> tuple[str, Changes]:
        """Find the session of a page that has opened.

        Args:
            greeting: the browser's secret and its language, ``SECRET|zh-CN``.

        Returns:
            The session's key for ``gr.State``, and what tells the page that it was heard.
        """
        token, _, browser = str(greeting or "").partition("|")
        session = self._context.sessions.by_token(token)
        chosen, _, wanted = browser.partition("|")
        session.language = session.spoken or messages.language_of(
            wanted or chosen, self._app.host.language()
        )
        self._context.sessions.touch(session)
        return session.key, self._config(session, "heard")

    def open(self, session: Session) -> Changes:
        """Show everything as it was left."""
        session.watcher += 1
        session.told_in = session.language
        return merged(
            self._words(session, *self._form.chosen(session)),
            self.draw(session),
            self._form.draw(session),
            self._config(session),
        )

    def choose_language(self, session: Session, name: Any) -> Changes:
        """Note in which language everything is shown, also when the page is opened again."""
        codes = {label: code for code, label in messages.LANGUAGES.items()}
        before = session.language
        session.language = codes.get(str(name), str(name))
        if session.language not in messages.LANGUAGES:
            session.language = "en"
        session.spoken = session.language
        if session.form.get(REVIEW) == before:
            session.form[REVIEW] = session.language
        self._context.save(session)
        return {}

    def speak(self, session: Session) -> Changes:
        """Show everything in the language that was chosen last, unless that is on its way."""
        with session.speaking:
            while session.told_in != session.language:
                session.told_in = session.language
                changes = merged(
                    self._words(session, *self._form.chosen(session)),
                    self.draw(session),
                    self._speech.follow_pick(session),
                    self._config(session),
                )
                # Another choice that came meanwhile would leave half of the page in the one before.
                if session.language == session.told_in:
                    changes.pop("language", None)
                    return changes
        return {}

    def tick(self, session: Session) -> Changes:
        """Look at the jobs for a page that nothing has reached for a while."""
        changes, active = self._watcher.poll(session)
        return changes if active else self.draw(session)

    def draw(self, session: Session) -> Changes:
        """Show everything as it stands, but for the values of the form."""
        if session.video and not Path(session.video).is_file():
            session.open(None)
        if session.video and session.scan is None:
            self._recall_scan(session)
        language = session.language
        titles: Changes = {
            f"{key}_title": {"value": views.card_title(number, f"step_{key}", language)}
            for number, key in enumerate(CARDS, 1)
            if key != "video"
        }
        parts = merged(
            {"header": shown(views.header(language))},
            titles,
            self._video.draw(session, with_player=True),
            self._people.draw(session),
            self._known.draw(session),
            self._offers.draw(session),
        )
        hints = {
            name: {"value": views.hint(key, language)} for name, key in self._page.hints.items()
        }
        return merged(
            parts,
            hints,
            self._results.draw(session),
            self._card.draw(session),
            self._jobs.draw(session),
            self._queue.draw(session),
        )

    def _config(self, session: Session, standing: Standing = "greeted") -> Changes:
        drawn = views.config(self._page.tick_ms, session.language, standing=standing)
        return {"config": {"value": drawn}}

    def _words(self, session: Session, flow: str, style: str) -> Changes:
        changes = merged(
            self._page.words(session.language), self._engines.draw_panel(session, flow, style)
        )
        for widget in self._page.widgets():
            if widget.field.kind == "choice" and "value" not in changes[widget.name]:
                # Gradio 3 shows a choice by its label, which is another one in another language.
                default = session.language if widget.name == REVIEW else widget.field.default
                value = session.form.get(widget.name, default)
                known = value in widget.field.ui.choices
                changes[widget.name]["value"] = value if known else default
        if "language" in self._page.components:
            changes["language"] = {"value": session.language}
        choices = self._page.style_choices(flow, session.language, style)
        return merged(changes, {"style": {"choices": choices}})

    def _recall_scan(self, session: Session) -> None:
        """Take the scan of the open video from the cache, when its job is done."""
        job = self._context.record(session, "scan")
        if job is not None and job.state == "done":
            try:
                session.scan = self._app.scan_of_job(job.id)
            except FacepickError:
                session.watched.pop("scan", None)
