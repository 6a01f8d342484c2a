"""Watching of running jobs, until all have ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from facepick.errors import FacepickError
from facepick.jobs.job import JobRecord
from facepick_ui import pictures, views
from facepick_ui.background_tasks import BackgroundTask
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.engines import Engines
from facepick_ui.handlers.event import names
from facepick_ui.handlers.jobs import Jobs
from facepick_ui.handlers.models import Models
from facepick_ui.handlers.offers import Offers
from facepick_ui.handlers.people import People
from facepick_ui.handlers.players import Players
from facepick_ui.handlers.queue import Queue
from facepick_ui.handlers.renders import Renders
from facepick_ui.handlers.results import Results
from facepick_ui.handlers.sources import Sources
from facepick_ui.handlers.speech import Speech
from facepick_ui.handlers.standing import busy, end_note, progress_bar
from facepick_ui.handlers.video import Video
from facepick_ui.session import Offer, Session

__all__ = ["Watcher"]

POLL_SECONDS = 0.4
"""Between two looks at a job: what has ended is shown soon, and files of a few hundred bytes are
read."""

BAR_SECONDS = 1.2
"""Between two changes of what only tells how far jobs are: each costs a browser a fifth of a
second, whatever changes, as gradio tells hundreds of widgets how the event stands."""

BARS = frozenset(("progress", "scan_progress", "scan_running", "models_progress", "jobs", "queue"))
"""Places that tell how far jobs are."""

KINDS = ("fetch", "scan", "render", "preview", "frame")
"""The first may start one of the others."""


FRAME_BYTES = 4_000_000
"""Three pictures beside each other; 4K at quality 95 is about 3 MB."""


class Watcher:
    """Looks at jobs, proxies and background tasks of a session.

    Attributes:
        outputs: what it may change.
    """

    def __init__(
        self,
        context: Context,
        *,
        players: Players,
        offers: Offers,
        models: Models,
        engines: Engines,
        video: Video,
        people: People,
        speech: Speech,
        results: Results,
        jobs: Jobs,
        queue: Queue,
    ) -> None:
        self._context = context
        self._app = context.app
        self._players = players
        self._offers = offers
        self._models = models
        self._video = video
        self._people = people
        self._speech = speech
        self._results = results
        self._jobs = jobs
        self._queue = queue
        self.outputs = names(
            Offers.OUTPUTS,
            engines.outputs,
            Renders.GO_ON,
            Video.OPEN,
            Jobs.OUTPUTS,
            Queue.OUTPUTS,
            Sources.OUTPUTS,
            ("source_name", "frame_sheet"),
            Speech.HEARD,
        )

    def poll(self, session: Session) -> tuple[Changes, bool]:
        """Look at the running jobs once.

        Returns:
            What changed on the page, and whether something still runs.
        """
        changes, active = self._queue.poll(session)
        ended = False
        for kind in KINDS:
            record = self._context.record(session, kind)
            if record is None:
                continue
            if record.is_active:
                active = True
                changes = merged(changes, self._running(session, kind, record))
            elif record.id not in session.finished:
                ended = True
                session.finished.add(record.id)
                changes = merged(changes, self._ended(session, kind, record))
        if active or ended:
            changes = merged(changes, self._jobs.draw(session))
        # After the jobs: one that has just ended may have asked for a proxy.
        proxies, waiting = self._players.poll(session)
        changes = merged(changes, proxies)
        active = active or waiting
        task = session.task
        if task is not None and task.runs:
            active = True
            changes[task.place] = shown(busy(session.language))
        elif task is not None:
            session.task = None
            changes = merged(changes, self._done(session, task))
        return changes, active

    def _done(self, session: Session, task: BackgroundTask) -> Changes:
        try:
            return task.changes()
        except FacepickError as error:
            return {task.place: shown(views.error_box(error, session.language))}

    def watch(self, session: Session) -> Iterator[Changes]:
        """Look at the running jobs until all have ended, or a newer watcher took over."""
        session.watcher += 1
        mine = session.watcher
        last: Changes = {}
        waiting: Changes = {}
        told = -BAR_SECONDS
        while session.watcher == mine:
            try:
                changes, active = self.poll(session)
            except FacepickError as error:
                yield {"progress": shown(views.error_box(error, session.language))}
                return
            waiting = merged(waiting, changes)
            fresh = {name: value for name, value in waiting.items() if last.get(name) != value}
            now = time.monotonic()
            if fresh and (now >= told + BAR_SECONDS or not active or not fresh.keys() <= BARS):
                last.update(fresh)
                waiting, told = {}, now
                yield fresh
            if not active:
                return
            time.sleep(POLL_SECONDS)

    def _running(self, session: Session, kind: str, record: JobRecord) -> Changes:
        if record.kind == "fetch":
            return {"models_progress": shown(progress_bar(record, session.language))}
        bar = shown(progress_bar(record, session.language))
        if record.kind == "scan":
            # Also at the window's edge, where it is in sight whatever else is looked at.
            return {"scan_progress": bar, "scan_running": bar}
        return {"frame_sheet" if kind == "frame" else "progress": bar}

    def _take_corrections(self, session: Session, record: JobRecord) -> None:
        """Apply the corrections of a project that was opened, if it is about this very video."""
        taken, scan = session.corrections, session.scan
        session.corrections = None
        if taken is None or scan is None or taken["content_hash"] != scan.content_hash:
            return
        self._app.take_corrections(scan, taken["entries"])
        session.scan = self._app.scan_of_job(record.id)

    def _frame(self, session: Session, record: JobRecord) -> Changes:
        """Show the picture of one frame, and remove what made it."""
        session.watched.pop("frame", None)
        path = Path(record.out or "")
        picture = pictures.file_uri(path, limit_bytes=FRAME_BYTES)
        if record.state == "failed":
            drawn = end_note(self._app, record, session.language)
        else:
            drawn = views.frame_sheet(picture, session.language) if picture else ""
        path.unlink(missing_ok=True)
        self._app.forget_job(record.id)
        return {"frame_sheet": shown(drawn)}

    def _ended(self, session: Session, kind: str, record: JobRecord) -> Changes:
        language = session.language
        if kind == "frame":
            return self._frame(session, record)
        if record.kind == "fetch":
            return self._models.fetched(session, record)
        offer: Changes = {}
        if record.state == "failed" and self._app.missing_models(record.missing):
            asked = {"kind": "resume", "job": record.id}
            session.offer = Offer(models=record.missing, asked=asked)
            self._context.save(session)
            offer = self._offers.draw(session)
        if record.kind == "scan":
            if record.state == "done":
                session.scan = self._app.scan_of_job(record.id)
                self._take_corrections(session, record)
                self._context.save(session)
            changes = merged(
                self._video.draw(session),
                self._people.draw(session),
                # Speech that was there before them, such as a project's.
                self._speech.follow_pick(session) if record.state == "done" else {},
                offer,
            )
            if record.state != "done":
                changes["scan_progress"] = shown(end_note(self._app, record, language))
                if session.scan is None:
                    changes["people_note"] = shown(views.empty("people_empty", language))
            return changes
        # Lines that the new result holds, or that it does not.
        lines = self._speech.again(session) if record.kind == "render" else {}
        return merged(self._results.draw(session), offer, lines)
