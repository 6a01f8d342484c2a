"""What all handlers share: the user's session, files and jobs, and how failures are told."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from facepick.errors import FacepickError, JobNotFound, MissingModelError
from facepick.jobs.job import JobRecord
from facepick.people.person import Scan
from facepick_ui import messages, pictures, views
from facepick_ui.compat import Changes
from facepick_ui.session import Offer, Session, SessionStore
from facepick_ui.uploads import keep_upload

if TYPE_CHECKING:
    from facepick.app import App
    from facepick_ui.tab import Page

__all__ = ["Base", "Lacking", "Say", "asking", "explained", "is_file", "shown", "starting"]

log = logging.getLogger("facepick_ui.handlers")

F = TypeVar("F", bound=Callable[..., Any])


def explained(place: str) -> Callable[[F], F]:
    """Turns what a handler raises into a box at `place` that says what to do."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapper(self: Base, key: Any, *values: Any) -> Changes:
            session = self.session(key)
            try:
                return function(self, session, *values)  # type: ignore[no-any-return]
            except MissingModelError as error:
                return self._lacking(session, place, error)
            except FacepickError as error:
                session.problem = place == "progress"
                return {place: shown(messages.error_html(error, session.language))}
            except Say as say:
                there = say.place or place
                session.problem = there == "progress"
                return {there: shown(say.box(session.language))}
            except Exception as error:
                # The page must say something, whatever happened; the log keeps the trace.
                log.exception("%s failed", function.__name__)
                session.problem = place == "progress"
                return {place: shown(messages.error_html(error, session.language))}

        return wrapper  # type: ignore[return-value]

    return decorate


@contextlib.contextmanager
def asking(**asked: Any) -> Iterator[None]:
    """Notes what is being asked for, so that it can go on when a missing model file has come.

    Args:
        asked: see `facepick_ui.session.Offer`.
    """
    try:
        yield
    except MissingModelError as error:
        raise Lacking(error, asked) from error


class Lacking(MissingModelError):
    """A model file is missing, and this could not be done for want of it."""

    def __init__(self, error: MissingModelError, asked: Mapping[str, Any]) -> None:
        super().__init__(error.message, hint=error.hint, models=error.models)
        self.asked = asked


class Say(Exception):
    """A sentence of the catalogue for the user.

    Args:
        key: of the catalogue.
        place: where it stands; None for where the handler tells its failures.
    """

    def __init__(self, key: str, place: str | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.place = place

    def box(self, language: str) -> str:
        return views.notice(messages.text(self.key, language), kind="calm")


def shown(value: str) -> dict[str, Any]:
    return {"value": value, "visible": bool(value)}


class starting:
    """Holds the session's lock without waiting: the second of two clicks gets False."""

    def __init__(self, session: Session) -> None:
        self._lock = session.lock
        self._mine = False

    def __enter__(self) -> bool:
        self._mine = self._lock.acquire(blocking=False)
        return self._mine

    def __exit__(self, *_: object) -> None:
        if self._mine:
            self._lock.release()


def is_file(path: str | Path | None) -> bool:
    return bool(path) and Path(str(path)).is_file()


class Base:
    """The session behind a page, and its jobs."""

    def __init__(self, app: App, page: Page) -> None:
        self.app = app
        self.page = page
        self.sessions = SessionStore(app.host.home() / "ui")

    def session(self, key: Any) -> Session:
        """The session of a page; an empty one when the page has lost its key."""
        if isinstance(key, str) and re.fullmatch(r"[0-9a-f]{32}", key):
            return self.sessions.by_key(key)
        return self.sessions.by_token(None)

    def _models(self, session: Session) -> Changes:
        """What is offered of missing model files; see `facepick_ui.handlers.models`."""
        raise NotImplementedError

    def _buttons(self, session: Session) -> Changes:
        """What can be started now, and what is missing; see `facepick_ui.handlers.results`."""
        raise NotImplementedError

    def _outdated(self, session: Session) -> Changes:
        """What no longer fits the chosen flow; see `facepick_ui.handlers.results`."""
        raise NotImplementedError

    def _flow(self, session: Session, flow: str, style: str) -> Changes:
        """The widgets of a flow; see `facepick_ui.handlers.flows`."""
        raise NotImplementedError

    def _lacking(self, session: Session, place: str, error: MissingModelError) -> Changes:
        """A model file is missing: offer it, and say so at `place`."""
        if not error.models:
            return {place: shown(messages.error_html(error, session.language))}
        session.offer = Offer(models=error.models, asked=getattr(error, "asked", None))
        self.sessions.save(session)
        changes = self._models(session)
        if not changes["models_block"]["visible"]:
            # It is here after all, and something else is wrong with it.
            return {place: shown(messages.error_html(error, session.language)), **changes}
        return {place: shown(self._lacking_note(session.language)), **changes}

    def _lacking_note(self, language: str) -> str:
        words = messages.text("models_needed_help", language)
        return views.notice(messages.text("models_needed", language), words, kind="calm")

    def _record(self, session: Session, kind: str) -> JobRecord | None:
        """The newest job of a kind; None when there is none, or it is not this user's."""
        job_id = session.watched.get(kind)
        if not job_id:
            return None
        try:
            record = self.app.job(job_id)
        except JobNotFound:
            session.watched.pop(kind, None)
            return None
        return record if record.owner == session.key else None

    def _active(self, session: Session, kind: str) -> JobRecord | None:
        record = self._record(session, kind)
        return record if record is not None and record.is_active else None

    def _own(self, session: Session, job_id: str) -> JobRecord:
        """Raises: JobNotFound, also for a job of somebody else."""
        record = self.app.job(job_id)
        if record.owner != session.key:
            raise JobNotFound(f"There is no job {job_id!r}.")
        return record

    def _keep_upload(self, session: Session, path: Path, kind: str) -> Path:
        return keep_upload(self.sessions.folder_of(session), path, kind)

    def _progress(self, session: Session, record: JobRecord, *, stage: str = "queued") -> str:
        progress = record.progress
        picture = None
        if progress is not None and progress.thumbnail:
            picture = pictures.file_uri(record.folder / progress.thumbnail)
        return views.progress_view(progress, session.language, thumbnail=picture, stage=stage)

    def _end_note(self, record: JobRecord, language: str) -> str:
        text = functools.partial(messages.text, language=language)
        if record.state == "failed" and record.missing and self.app.missing_models(record.missing):
            return self._lacking_note(language)
        if record.state == "done":
            key = "render_done" if record.kind == "render" else "preview_done"
            done = views.notice(text(key), Path(record.out or "").name)
            if record.kind == "preview":
                # A render tells it with its report.
                done += views.notices_view(record.notices, language)
            return done
        if record.state in ("stopped", "interrupted"):
            help_key = "scan_stopped_help" if record.kind == "scan" else "stopped_help"
            return views.notice(text(record.state), text(help_key), kind="calm")
        return messages.failure_html(record.error or "", record.exit_code, language)

    def _scan_line(self, session: Session) -> str:
        """How the scan stands: running, found so many, stopped or failed."""
        record = self._record(session, "scan")
        if record is not None and record.is_active:
            return self._progress(session, record)
        scan = session.scan
        if scan is None:
            return "" if record is None else self._end_note(record, session.language)
        count = sum(1 for p in scan.people if not p.ignored and not p.unsure)
        key = "scan_done_one" if count == 1 else "scan_done"
        line = views.notice(messages.text(key, session.language, n=count, frames=scan.frames))
        lost = self.app.edits_problem(scan)
        if lost is not None:
            line += views.notices_view([lost], session.language)
        return line

    def _scan_or_say(self, session: Session) -> Scan:
        if session.scan is None:
            raise Say("scan_first")
        return session.scan

    def _one(self, session: Session) -> str:
        if len(session.picked) != 1:
            raise Say("one_needed")
        return session.picked[0]
