"""What the players show: copies and proxies, never a user's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facepick.errors import FacepickError, JobNotFound
from facepick.jobs.job import JobRecord
from facepick_ui import messages, views
from facepick_ui.compat import Changes
from facepick_ui.handlers.base import Base, shown, starting
from facepick_ui.session import Session

__all__ = ["PLAYERS", "Players"]

PLAYERS = {"video": "video", "preview": "preview_video", "result": "result"}
"""What is played: name -> component.  The line below it is ``NAME_player``."""


def _kind(name: str) -> str:
    """The name under which a session watches the job of a player."""
    return f"proxy_{name}"


class Players(Base):
    """One player each for the open video, the newest preview and the newest result.

    gradio re-encodes what browsers cannot play where it lies, so that players are given what the
    store of proxies holds, and nothing else.
    """

    def _player(self, session: Session, name: str, path: str) -> Changes:
        """Show `path`, or start its proxy and tell how that stands."""
        try:
            view = self.app.proxies.view(Path(path))
        except (FacepickError, OSError) as error:
            self._stop_proxy(session, name)
            return self._played(name, None, messages.error_html(error, session.language))
        if view is not None:
            self._stop_proxy(session, name)
            note = self._shown_note(session, path) if self.app.proxies.is_proxy(view) else ""
            return self._played(name, str(view), note)
        record = self._record(session, _kind(name))
        if record is None or record.video != path:
            record = self._start_proxy(session, name, path)
        return self._played(name, None, self._proxy_note(session, name, record))

    def _played(self, name: str, value: str | None, note: str) -> Changes:
        return {PLAYERS[name]: {"value": value}, f"{name}_player": shown(note)}

    def _no_player(self, session: Session, name: str) -> Changes:
        self._stop_proxy(session, name)
        return self._played(name, None, "")

    def _shown_note(self, session: Session, path: str) -> str:
        info = self.app.facts(path)
        words = messages.text("proxy_shown", session.language, codec=info.codec)
        # style.css takes gradio's scissors away: they would cut the copy, not the file.
        return f'<div class="facepick-small-copy">{views.paragraph(words)}</div>'

    def _start_proxy(self, session: Session, name: str, path: str) -> JobRecord:
        self._stop_proxy(session, name)
        record = self.app.start_proxy(path, owner=session.key)
        session.watched[_kind(name)] = record.id
        self.sessions.save(session)
        return record

    def _stop_proxy(self, session: Session, name: str) -> None:
        """Nobody waits for it any more."""
        job_id = session.watched.pop(_kind(name), None)
        if job_id is None:
            return
        try:
            self.app.cancel_job(job_id)
            self.app.forget_job(job_id)
        except JobNotFound:
            return

    def _proxy_note(self, session: Session, name: str, record: JobRecord) -> str:
        """How the making of a proxy stands, with what can be done about it."""
        language = session.language
        if record.is_active:
            stop = views.act_button(f"noproxy:{name}", messages.text("stop", language))
            words = views.paragraph(messages.text("proxy_making", language))
            bar = self._progress(session, record, stage="proxy")
            return f'<div class="facepick-proxy">{words}{bar}{stop}</div>'
        again = views.act_button(f"proxy:{name}", messages.text("proxy_make", language))
        if record.state == "failed":
            said = messages.failure_html(record.error or "", record.exit_code, language)
        else:
            said = views.notice(
                messages.text("proxy_none", language),
                messages.text("proxy_none_help", language),
                kind="calm",
            )
        return f'<div class="facepick-proxy">{said}{again}</div>'

    def _proxies(self, session: Session) -> tuple[Changes, bool]:
        """What changed about the proxies that are being made, and whether one still is."""
        changes: Changes = {}
        active = False
        for name in PLAYERS:
            record = self._record(session, _kind(name))
            if record is None:
                continue
            if record.state == "done":
                changes.update(self._player(session, name, record.video))
                changes.update(self._beside(session, record.video))
                continue
            active = active or record.is_active
            changes[f"{name}_player"] = shown(self._proxy_note(session, name, record))
        return changes, active

    def _beside(self, session: Session, path: str) -> Changes:
        """The player beside the result, whose video can be played now."""
        render = self._record(session, "render")
        if render is None or render.video != path or render.state != "done":
            return {}
        found = self.app.proxies.find(Path(path))
        return {"original": {"value": None if found is None else str(found)}}

    def _original(self, session: Session) -> Changes:
        """The open video in the player beside the result; its proxy is asked for where it has
        none, since an upload is played by the browser that sent it until then."""
        played = self._player(session, "video", session.video or "")
        value = played.pop("video")["value"]
        return {**played, "original": {"value": value, "visible": True}}

    def _make_proxy(self, session: Session, name: str) -> Changes:
        """The user wants what was stopped, or failed, after all."""
        record = self._record(session, _kind(name))
        if name not in PLAYERS or record is None:
            return {}
        with starting(session) as mine:
            if mine and not record.is_active:
                record = self._start_proxy(session, name, record.video)
        return {f"{name}_player": shown(self._proxy_note(session, name, record))}

    def _cancel_proxy(self, session: Session, name: str) -> Changes:
        record: Any = self._record(session, _kind(name)) if name in PLAYERS else None
        if record is not None:
            self.app.cancel_job(record.id)
        return {}
