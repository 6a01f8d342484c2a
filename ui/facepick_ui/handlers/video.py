"""The video that is open, and the search for its people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facepick.host.host import allowed_path
from facepick.media.proxy import playable_suffix
from facepick_ui import messages, views
from facepick_ui.compat import Changes, path_of
from facepick_ui.flow_panels import changed_values
from facepick_ui.handlers.base import Say, explained, shown, starting
from facepick_ui.handlers.models import Models
from facepick_ui.handlers.players import PLAYERS
from facepick_ui.session import Session

__all__ = ["Video"]


class Video(Models):
    """The first card of the page."""

    @explained("facts")
    def upload(self, session: Session, value: Any) -> Changes:
        """A video was uploaded, or the player was cleared."""
        path = path_of(value)
        if path is None:
            self._leave(session)
            session.open(None)
            self.sessions.save(session)
            return {
                **self._video(session),
                **self._people(session),
                **self._results(session),
                "video_player": shown(""),
            }
        kept = self._keep_upload(session, Path(path), "video")
        changes = self._open(session, kept)
        if playable_suffix(kept) is not None:
            # The browser plays what it has just sent; a page that is opened later gets a copy.
            return {**changes, "video_player": shown("")}
        played = self._player(session, "video", str(kept))
        if played["video"]["value"] is None:
            # An empty player would look as if nothing had been uploaded.
            del played["video"]
        return {**changes, **played}

    @explained("facts")
    def open_path(self, session: Session, name: Any) -> Changes:
        """The user named a file of this machine."""
        path = allowed_path(self.app.host, str(name or ""))
        return self._open(session, path, with_player=True)

    @explained("facts")
    def open_demo(self, session: Session) -> Changes:
        """The clip that comes with facepick."""
        path = self.page.demo
        if path is None:
            raise Say("no_video")
        return self._open(session, path, with_player=True)

    def _leave(self, session: Session) -> None:
        """Nobody waits for the proxies of the video that was open."""
        for name in PLAYERS:
            self._stop_proxy(session, name)

    def _open(self, session: Session, path: Path, *, with_player: bool = False) -> Changes:
        self.app.facts(path)
        self._leave(session)
        session.open(str(path))
        self.sessions.save(session)
        return {
            **self._video(session, with_player=with_player),
            **self._people(session),
            **self._results(session),
        }

    def _video(self, session: Session, *, with_player: bool = False) -> Changes:
        changes: Changes = {}
        language = session.language
        if with_player and session.video is not None:
            changes.update(self._player(session, "video", session.video))
        elif with_player:
            changes.update(self._no_player(session, "video"))
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

    @explained("scan_progress")
    def stop_scan(self, session: Session) -> Changes:
        job = self._active(session, "scan")
        if job is not None:
            self.app.cancel_job(job.id)
        return {"scan_stop": {"visible": False}}
