"""The video that is open, and the search for its people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facepick.host.host import allowed_path
from facepick_ui import messages, views
from facepick_ui.compat import Changes, path_of
from facepick_ui.flow_panels import changed_values
from facepick_ui.handlers.base import Say, explained, shown, starting
from facepick_ui.handlers.models import Models
from facepick_ui.session import Session
from facepick_ui.uploads import servable

__all__ = ["Video"]


class Video(Models):
    """The first card of the page."""

    @explained("facts")
    def upload(self, session: Session, value: Any) -> Changes:
        """A video was uploaded, or the player was cleared."""
        path = path_of(value)
        if path is None:
            session.open("", None)
            session.video = None
            self.sessions.save(session)
            return {**self._video(session), **self._people(session), **self._results(session)}
        kept = self._keep_upload(session, Path(path), "video")
        return self._open(session, kept, kept)

    @explained("facts")
    def open_path(self, session: Session, name: Any) -> Changes:
        """The user named a file of this machine."""
        path = allowed_path(self.app.host, str(name or ""))
        return self._open(
            session, path, servable(self.sessions.folder_of(session), path), with_player=True
        )

    @explained("facts")
    def open_demo(self, session: Session) -> Changes:
        """The clip that comes with facepick."""
        path = self.page.demo
        if path is None:
            raise Say("no_video")
        return self._open(
            session, path, servable(self.sessions.folder_of(session), path), with_player=True
        )

    def _open(
        self, session: Session, path: Path, served: Path | None, *, with_player: bool = False
    ) -> Changes:
        self.app.facts(path)
        session.open(str(path), None if served is None else str(served))
        self.sessions.save(session)
        return {
            **self._video(session, with_player=with_player),
            **self._people(session),
            **self._results(session),
        }

    def _video(self, session: Session, *, with_player: bool = False) -> Changes:
        changes: Changes = {}
        language = session.language
        if with_player:
            changes["video"] = {"value": session.served}
        if session.video is None:
            changes["facts"] = shown(views.empty("no_video", language))
            changes["scan"] = {"interactive": False, "value": messages.text("scan", language)}
        else:
            info = self.app.facts(session.video)
            changes["facts"] = shown(views.facts(info, language))
            running = self._active(session, "scan") is not None
            word = "scan_again" if session.scan is not None else "scan"
            changes["scan"] = {
                "interactive": not running,
                "value": messages.text(word, language),
                "variant": "primary" if session.scan is None else "secondary",
            }
        changes["demo"] = {"visible": self.page.demo is not None and session.video is None}
        changes["scan_stop"] = {"visible": self._active(session, "scan") is not None}
        changes["scan_progress"] = shown(self._scan_line(session))
        return changes

    @explained("scan_progress")
    def scan(self, session: Session, *values: Any) -> Changes:
        """Start the search for people in a child process."""
        if session.video is None:
            raise Say("open_video_first")
        with starting(session) as mine:
            if mine and self._active(session, "scan") is None:
                settings = changed_values(self.page.scan_widgets, values)
                session.scan_settings = settings
                job = self.app.start_scan(session.video, settings=settings, owner=session.key)
                session.watched["scan"] = job.id
                self.sessions.save(session)
        return self._scan_started(session)

    def _scan_started(self, session: Session) -> Changes:
        return {
            "scan": {"interactive": False},
            "scan_stop": {"visible": True},
            "scan_progress": shown(views.progress_view(None, session.language)),
        }

    @explained("scan_progress")
    def stop_scan(self, session: Session) -> Changes:
        job = self._active(session, "scan")
        if job is not None:
            self.app.cancel_job(job.id)
        return {"scan_stop": {"visible": False}}
