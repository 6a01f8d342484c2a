"""What the players show: copies and proxies, never a user's own file."""

from __future__ import annotations

from pathlib import Path

from facepick.errors import FacepickError, JobNotFound
from facepick.jobs.job import JobRecord
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, starting
from facepick_ui.handlers.event import Act
from facepick_ui.handlers.standing import progress_bar
from facepick_ui.session import Session

__all__ = ["PLAYERS", "Players"]

PLAYERS = {"video": "video", "preview": "preview_video", "result": "result"}
"""What is played: name -> component.  The line below it is ``NAME_player``."""


def _kind(name: str) -> str:
    """Give the name under which a session watches the job of a player."""
    return f"proxy_{name}"


class Players:
    """One player each for the open video, the newest preview and the newest result.

    gradio re-encodes what browsers cannot play where it lies, so that players are given what the
    store of proxies holds, and nothing else.
    """

    OUTPUTS = (*PLAYERS.values(), *(f"{name}_player" for name in PLAYERS), "original")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._app = context.app

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (
            Act(verb="proxy", handler=self.make, outputs=self.OUTPUTS),
            Act(verb="noproxy", handler=self.cancel, outputs=()),
        )

    def play(self, session: Session, name: str, path: str) -> Changes:
        """Show `path`, or start its proxy and tell how that stands."""
        try:
            view = self._app.proxies.view(Path(path))
        except (FacepickError, OSError) as error:
            self.stop(session, name)
            return self._played(name, None, views.error_box(error, session.language))
        if view is not None:
            self.stop(session, name)
            note = self._shown_note(session, path) if self._app.proxies.is_proxy(view) else ""
            return self._played(name, str(view), note)
        record = self._context.record(session, _kind(name))
        if record is None or record.video != path:
            record = self._start(session, name, path)
        return self._played(name, None, self._note(name, record, session.language))

    def play_none(self, session: Session, name: str) -> Changes:
        """Show nothing."""
        self.stop(session, name)
        return self._played(name, None, "")

    def play_original(self, session: Session) -> Changes:
        """Show the open video beside the result.

        Its proxy is asked for where it has none, since an upload is played by the browser that
        sent it until then.
        """
        played = self.play(session, "video", session.video or "")
        value = played.pop("video")["value"]
        return {**played, "original": {"value": value, "visible": True}}

    def stop(self, session: Session, name: str) -> None:
        """Stop the making of a proxy that nobody waits for any more."""
        job_id = session.watched.pop(_kind(name), None)
        if job_id is None:
            return
        try:
            self._app.cancel_job(job_id)
            self._app.forget_job(job_id)
        except JobNotFound:
            return

    def stop_all(self, session: Session) -> None:
        """Stop the making of all proxies: another video is opened."""
        for name in PLAYERS:
            self.stop(session, name)

    def poll(self, session: Session) -> tuple[Changes, bool]:
        """Look at the proxies that are being made.

        Returns:
            What changed, and whether one is still being made.
        """
        changes: Changes = {}
        active = False
        for name in PLAYERS:
            record = self._context.record(session, _kind(name))
            if record is None:
                continue
            if record.state == "done":
                changes = merged(
                    changes,
                    self.play(session, name, record.video),
                    self._beside(session, record.video),
                )
                continue
            active = active or record.is_active
            changes[f"{name}_player"] = shown(self._note(name, record, session.language))
        return changes, active

    def make(self, session: Session, name: str) -> Changes:
        """Make the proxy that was stopped, or failed, after all."""
        record = self._context.record(session, _kind(name))
        if name not in PLAYERS or record is None:
            return {}
        with starting(session) as mine:
            if mine and not record.is_active:
                record = self._start(session, name, record.video)
        return {f"{name}_player": shown(self._note(name, record, session.language))}

    def cancel(self, session: Session, name: str) -> Changes:
        """Stop the making of a proxy; the page sees it end."""
        record = self._context.record(session, _kind(name)) if name in PLAYERS else None
        if record is not None:
            self._app.cancel_job(record.id)
        return {}

    def _played(self, name: str, value: str | None, note: str) -> Changes:
        return {PLAYERS[name]: {"value": value}, f"{name}_player": shown(note)}

    def _shown_note(self, session: Session, path: str) -> str:
        info = self._app.facts(path)
        return views.small_copy(messages.text("proxy_shown", session.language, codec=info.codec))

    def _start(self, session: Session, name: str, path: str) -> JobRecord:
        self.stop(session, name)
        record = self._app.start_proxy(path, owner=session.key)
        session.watched[_kind(name)] = record.id
        self._context.save(session)
        return record

    def _note(self, name: str, record: JobRecord, language: str) -> str:
        """How the making of a proxy stands, with what can be done about it."""
        if record.is_active:
            bar = progress_bar(record, language, stage="proxy")
            body = views.paragraph(messages.text("proxy_making", language)) + bar
            return views.proxy_note(body, f"noproxy:{name}", messages.text("stop", language))
        if record.state == "failed":
            said = views.failure_box(record.error or "", record.exit_code, language)
        else:
            said = views.notice(
                messages.text("proxy_none", language),
                messages.text("proxy_none_help", language),
                kind="calm",
            )
        return views.proxy_note(said, f"proxy:{name}", messages.text("proxy_make", language))

    def _beside(self, session: Session, path: str) -> Changes:
        """Fill the player beside the result, whose video can be played now."""
        render = self._context.record(session, "render")
        if render is None or render.video != path or render.state != "done":
            return {}
        found = self._app.proxies.find(Path(path))
        return {"original": {"value": None if found is None else str(found)}}
