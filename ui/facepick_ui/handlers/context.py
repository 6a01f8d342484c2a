"""Context of all handlers: the core, the page's widgets, and the user's session, files and jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.errors import JobNotFound
from facepick.jobs.job import JobRecord
from facepick.people.person import Scan
from facepick_ui.handlers.problems import Say
from facepick_ui.session import Session, SessionStore
from facepick_ui.uploads import keep_upload

if TYPE_CHECKING:
    from facepick.app import App
    from facepick_ui.page import Page

__all__ = ["Context", "is_file", "names_of", "one_picked", "scan_of", "starting"]


@dataclass(frozen=True, eq=False)
class Context:
    """What every handler works with.

    Attributes:
        app: the core.
        page: names, engines and settings that the tab was built with.
        sessions: of all users.
    """

    app: App
    page: Page
    sessions: SessionStore

    def session(self, key: Any) -> Session:
        """Find the session of a page; an empty one when the page has lost its key."""
        if isinstance(key, str) and re.fullmatch(r"[0-9a-f]{32}", key):
            return self.sessions.by_key(key)
        return self.sessions.by_token(None)

    def flow(self, session: Session) -> str:
        """Name the flow that is chosen on the page."""
        return str(session.form.get("flow") or self.page.first_choice()[0])

    def save(self, session: Session) -> None:
        """Store the session."""
        self.sessions.save(session)

    def record(self, session: Session, kind: str) -> JobRecord | None:
        """Look at the newest job of a kind; None when there is none, or it is not this user's."""
        job_id = session.watched.get(kind)
        if not job_id:
            return None
        try:
            record = self.app.job(job_id)
        except JobNotFound:
            session.watched.pop(kind, None)
            return None
        return record if record.owner == session.key else None

    def active(self, session: Session, kind: str) -> JobRecord | None:
        """Look at the newest job of a kind, if it still waits or runs."""
        record = self.record(session, kind)
        return record if record is not None and record.is_active else None

    def last_result(self, session: Session) -> JobRecord | None:
        """Find the newest render of the open video that has ended well and still lies there."""
        newest = self.record(session, "render")
        found = [newest] if newest is not None else []
        # A later one may have failed, or been stopped.
        if newest is None or newest.state != "done":
            found += self.app.jobs(owner=session.key)
        return next(
            (
                record
                for record in found
                if record.kind == "render"
                and record.state == "done"
                and record.video == session.video
                and is_file(record.out)
            ),
            None,
        )

    def own(self, session: Session, job_id: str) -> JobRecord:
        """Look at a job of this user.

        Raises:
            JobNotFound: also for a job of somebody else.
        """
        record = self.app.job(job_id)
        if record.owner != session.key:
            raise JobNotFound(f"There is no job {job_id!r}.")
        return record

    def keep_upload(self, session: Session, path: Path, kind: str) -> Path:
        """Keep an upload in the user's own folder; see `facepick_ui.uploads`."""
        return keep_upload(self.sessions.folder_of(session), path, kind)


class starting:
    """Holds the session's lock without waiting: the second of two clicks gets False."""

    def __init__(self, session: Session) -> None:
        self._lock = session.lock
        self._mine = False

    def __enter__(self) -> bool:
        """Take the lock, if it is free."""
        self._mine = self._lock.acquire(blocking=False)
        return self._mine

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        if self._mine:
            self._lock.release()


def is_file(path: str | Path | None) -> bool:
    """Say whether there is such a file."""
    return bool(path) and Path(str(path)).is_file()


def scan_of(session: Session) -> Scan:
    """Give the people of the open video.  Raises: Say, when it was not searched yet."""
    if session.scan is None:
        raise Say("scan_first")
    return session.scan


def names_of(scan: Scan | None) -> dict[str, str]:
    """Say how people are called, by id."""
    return {} if scan is None else {person.id: person.label for person in scan.people}


def one_picked(session: Session) -> str:
    """Give the id of the one person who is picked.  Raises: Say, when it is not one."""
    if len(session.picked) != 1:
        raise Say("one_needed")
    return session.picked[0]
