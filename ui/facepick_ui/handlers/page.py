"""The page as a whole: opening it, watching jobs, and clicks on what is drawn as HTML."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick.jobs.job import JobRecord
from facepick_ui import messages, views
from facepick_ui.background_tasks import BackgroundTask
from facepick_ui.cleanup import tidy
from facepick_ui.compat import Changes
from facepick_ui.handlers.base import explained, shown
from facepick_ui.handlers.cast import KnownPeople
from facepick_ui.handlers.video import Video
from facepick_ui.session import Offer, Session

__all__ = ["Handlers"]

POLL_SECONDS = 0.4
"""Between two looks at a job: brisk for the eye, and a file of a few hundred bytes to read."""

KINDS = ("fetch", "scan", "render", "preview")
"""The first may start one of the others."""

TIDY_SECONDS = 3600.0
"""Between two looks for old uploads."""

log = logging.getLogger("facepick_ui.handlers")


class Handlers(Video, KnownPeople):
    """All handlers of one tab.

    Args:
        app: the core.
        page: names, engines and settings that the tab was built with.
    """

    _tidied: float | None = None

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
            tidy(self.sessions, self.app.jobs(), self.app.host.outputs())
            self.app.proxies.trim()
        except OSError as error:
            log.warning("old uploads could not be removed: %s", error)

    def hello(self, greeting: Any) -> tuple[str, Changes]:
        """A page has opened: find its session and show everything as it was left.

        Args:
            greeting: the browser's secret and its language, ``SECRET|zh-CN``.

        Returns:
            The session's key for ``gr.State``, and the changes.
        """
        token, _, browser = str(greeting or "").partition("|")
        session = self.sessions.by_token(token)
        chosen, _, wanted = browser.partition("|")
        session.language = messages.language_of(wanted or chosen, self.app.host.language())
        session.watcher += 1
        self.sessions.touch(session)
        self.tidy()
        flow, style = self._chosen(session)
        changes = self._words(session, flow, style)
        for name, what in self._everything(session).items():
            changes.setdefault(name, {}).update(what)
        for name, what in self._filled(session, flow, style).items():
            changes.setdefault(name, {}).update(what)
        changes["config"] = {"value": views.config(self.page.tick_ms, greeted=True)}
        return session.key, changes

    @explained("facts")
    def choose_language(self, session: Session, name: Any, flow: Any, style: Any) -> Changes:
        """The user picks a language for this visit."""
        codes = {label: code for code, label in messages.LANGUAGES.items()}
        session.language = codes.get(str(name), str(name))
        if session.language not in messages.LANGUAGES:
            session.language = "en"
        self.sessions.save(session)
        changes = self._words(session, str(flow), str(style))
        for name, what in self._everything(session).items():
            changes.setdefault(name, {}).update(what)
        return changes

    def _words(self, session: Session, flow: str, style: str) -> Changes:
        changes = self.page.words(session.language)
        changes.update(self._panels(session, flow, style))
        if "language" in self.page.components:
            changes["language"] = {"value": session.language}
        changes.setdefault("style", {})["choices"] = self.page.style_choices(flow, session.language)
        return changes

    def _everything(self, session: Session) -> Changes:
        changes: Changes = {"header": shown(views.header(session.language))}
        for number, key in enumerate(("video", "people", "what", "render"), 1):
            title = views.card_title(number, f"step_{key}", session.language)
            changes[f"{key}_title"] = {"value": title}
        if session.video and not Path(session.video).is_file():
            session.open(None)
        if session.video and session.scan is None:
            self._recall_scan(session)
        changes.update(self._video(session, with_player=True))
        changes.update(self._people(session))
        changes.update(self._known(session))
        changes.update(self._models(session))
        for name, key in self.page.hints.items():
            changes.setdefault(name, {})["value"] = views.hint(key, session.language)
        changes.update(self._results(session))
        changes.update(self._card(session))
        changes.update(self._jobs(session))
        return changes

    def _recall_scan(self, session: Session) -> None:
        """The scan of the open video, from the cache, when its job is done."""
        job = self._record(session, "scan")
        if job is not None and job.state == "done":
            try:
                session.scan = self.app.scan_of_job(job.id)
            except FacepickError:
                session.watched.pop("scan", None)

    def poll(self, key: Any) -> tuple[Changes, bool]:
        """One look at the running jobs.

        Returns:
            What changed on the page, and whether something still runs.
        """
        session = self.session(key)
        changes: Changes = {}
        active = False
        for kind in KINDS:
            record = self._record(session, kind)
            if record is None:
                continue
            if record.is_active:
                active = True
                changes.update(self._running(session, record))
            elif record.id not in session.finished:
                session.finished.add(record.id)
                changes.update(self._ended(session, record))
        # After the jobs: one that has just ended may have asked for a proxy.
        proxies, waiting = self._proxies(session)
        changes.update(proxies)
        active = active or waiting
        task = session.task
        if task is not None and task.runs:
            active = True
            changes[task.place] = shown(self._busy(session))
        elif task is not None:
            session.task = None
            changes.update(self._done(session, task))
        return changes, active

    def _done(self, session: Session, task: BackgroundTask) -> Changes:
        try:
            return task.changes()
        except FacepickError as error:
            return {task.place: shown(messages.error_html(error, session.language))}

    @explained("progress")
    def tick(self, session: Session) -> Changes:
        """The page asks by itself, because nothing has reached it for a while."""
        changes, active = self.poll(session.key)
        return changes if active else self._everything(session)

    def restore(self, key: Any) -> Changes:
        """Everything as it stands."""
        return self._everything(self.session(key))

    def watch(self, key: Any) -> Iterator[Changes]:
        """Looks at the running jobs until all have ended, or a newer watcher took over."""
        session = self.session(key)
        session.watcher += 1
        mine = session.watcher
        last: Changes = {}
        while session.watcher == mine:
            try:
                changes, active = self.poll(key)
            except FacepickError as error:
                yield {"progress": shown(messages.error_html(error, session.language))}
                return
            fresh = {name: value for name, value in changes.items() if last.get(name) != value}
            last.update(fresh)
            if fresh:
                yield fresh
            if not active:
                return
            time.sleep(POLL_SECONDS)

    def _running(self, session: Session, record: JobRecord) -> Changes:
        if record.kind == "fetch":
            return {"models_progress": shown(self._progress(session, record))}
        place = "scan_progress" if record.kind == "scan" else "progress"
        return {place: shown(self._progress(session, record))}

    def _ended(self, session: Session, record: JobRecord) -> Changes:
        language = session.language
        if record.kind == "fetch":
            return self._fetched(session, record)
        offer: Changes = {}
        if record.state == "failed" and self.app.missing_models(record.missing):
            asked = {"kind": "resume", "job": record.id}
            session.offer = Offer(models=record.missing, asked=asked)
            self.sessions.save(session)
            offer = self._models(session)
        if record.kind == "scan":
            if record.state == "done":
                session.scan = self.app.scan_of_job(record.id)
                self.sessions.save(session)
            changes = {**self._video(session), **self._people(session), **offer}
            if record.state != "done":
                changes["scan_progress"] = shown(self._end_note(record, language))
                if session.scan is None:
                    changes["people_note"] = shown(views.empty("people_empty", language))
            return changes
        return {
            **self._results(session),
            **self._buttons(session),
            **self._jobs(session),
            **offer,
        }

    @explained("progress")
    def act(self, session: Session, action: Any) -> Changes:
        """Something drawn as HTML was clicked: ``verb:argument``."""
        verb, _, argument = str(action or "").partition(":")
        known: Mapping[str, Callable[[Session, str], Changes]] = {
            "pick": self._toggle,
            "seek": self._seek,
            "drop": self._drop,
            "show": self._show_job,
            "resume": self._resume_job,
            "stop": self._stop_job,
            "forget": self._forget,
            "face": self._take_face,
            "unsave": self._unsave,
            "get": self._get_model,
            "proxy": self._make_proxy,
            "noproxy": self._cancel_proxy,
            "card": self._make_room,
        }
        handler = known.get(verb)
        return {} if handler is None else handler(session, argument)
