"""The video that is open, and the search for its people."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facepick.unchanged import sha256_of
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, starting
from facepick_ui.handlers.event import Event, names
from facepick_ui.handlers.form import Form
from facepick_ui.handlers.people import People
from facepick_ui.handlers.players import Players
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.results import Results
from facepick_ui.handlers.scan_line import SCAN_STARTED, scan_line, scan_started
from facepick_ui.handlers.speech import emptied
from facepick_ui.session import GIVEN_FOR_VIDEO, Session
from facepick_ui.settings_form import changed_values
from facepick_ui.uploads import path_of

__all__ = ["Video"]


class Video:
    """The first card of the page."""

    OUTPUTS = (
        "video_title", "facts", "scan", "demo", "scan_stop", "scan_progress", "scan_running",
        "video", "video_player",
    )  # fmt: skip

    OPEN = names(OUTPUTS, People.OUTPUTS, Results.OUTPUTS)
    """What an opened video changes."""

    OTHER = names(OPEN, GIVEN_FOR_VIDEO, ("source",))
    """What another video changes: nothing that was given for the one before may be done to it."""

    def __init__(
        self,
        context: Context,
        players: Players,
        people: People,
        results: Results,
        form: Form,
    ) -> None:
        self._context = context
        self._form = form
        self._app = context.app
        self._page = context.page
        self._players = players
        self._people = people
        self._results = results

    def events(self) -> list[Event]:
        """List what is answered."""
        # Video: `upload` and `clear`, not `change`, which answers our own updates as well.
        opened: list[tuple[str, str, Callable[..., Changes], tuple[str, ...]]] = [
            ("video", "upload", self.upload, ("video",)),
            ("video", "clear", self.upload, ("video",)),
            ("demo", "click", self.open_demo, ()),
            ("open", "click", self.open_path, ("path",)),
            ("path", "submit", self.open_path, ("path",)),
        ]
        found = [
            Event(
                component=name,
                trigger=trigger,
                handler=handler,
                inputs=inputs,
                outputs=self.OTHER,
                place="facts",
                watch=trigger != "clear",
            )
            for name, trigger, handler, inputs in opened
        ]
        return [
            *found,
            Event(
                component="scan",
                trigger="click",
                handler=self.scan,
                inputs=tuple(w.name for w in self._page.scan_widgets),
                outputs=SCAN_STARTED,
                place="scan_progress",
                watch=True,
            ),
            Event(
                component="scan_stop",
                trigger="click",
                handler=self.stop_scan,
                outputs=("scan_stop",),
                place="scan_progress",
            ),
        ]

    def upload(self, session: Session, value: Any) -> Changes:
        """Open a video that was uploaded, or none when the player was cleared."""
        path = path_of(value)
        if path is None:
            self._players.stop_all(session)
            session.open(None)
            self._context.save(session)
            return merged(
                self.draw(session),
                self._people.draw(session),
                self._results.draw(session),
                _nothing_given(),
                {"video_player": shown("")},
            )
        kept = self._context.keep_upload(session, Path(path), "video")
        changes = self._open(session, kept)
        if self._app.can_play(kept):
            # The browser plays what it has just sent; a page that is opened later gets a copy.
            return merged(changes, {"video_player": shown("")})
        played = self._players.play(session, "video", str(kept))
        if played["video"]["value"] is None:
            # An empty player would look as if nothing had been uploaded.
            del played["video"]
        return merged(changes, played)

    def open_path(self, session: Session, name: Any) -> Changes:
        """Open a file of this machine."""
        path = self._app.allowed_path(str(name or ""))
        return self._open(session, path, with_player=True)

    def open_demo(self, session: Session) -> Changes:
        """Open the clip that comes with facepick."""
        path = self._page.demo
        if path is None:
            raise Say("no_video")
        return self._open(session, path, with_player=True)

    def open_file(self, session: Session, path: Path) -> Changes:
        """Open a video that may be opened.

        Raises:
            VideoOpenError: it is no video.
        """
        return self._open(session, path, with_player=True)

    def _open(self, session: Session, path: Path, *, with_player: bool = False) -> Changes:
        self._app.facts(path)
        self._players.stop_all(session)
        same = session.video is not None and _same_content(Path(session.video), path)
        away = session.put_away
        back = session.video is None and away is not None and _same_content(Path(away[0]), path)
        session.open(str(path), same=same)
        given = session.bring_back() if back else {}
        self._context.save(session)
        return merged(
            self.draw(session, with_player=with_player),
            self._people.draw(session),
            self._results.draw(session),
            {} if same else merged(_nothing_given(), self._form.filled(given)),
        )

    def draw(self, session: Session, *, with_player: bool = False) -> Changes:
        """Show what is open, and how its scan stands.

        Args:
            with_player: whether the player is given the video, too.
        """
        changes: Changes = {}
        language = session.language
        if with_player and session.video is not None:
            changes.update(self._players.play(session, "video", session.video))
        elif with_player:
            changes.update(self._players.play_none(session, "video"))
        if session.video is None:
            changes["facts"] = shown(views.empty("no_video", language))
            changes["scan"] = {"interactive": False, "value": messages.text("scan", language)}
        else:
            info = self._app.facts(session.video)
            changes["facts"] = shown(views.facts(info, language))
            running = self._context.active(session, "scan") is not None
            word = "scan_again" if session.scan is not None else "scan"
            changes["scan"] = {
                "interactive": not running,
                "value": messages.text(word, language),
                "variant": "primary" if session.scan is None else "secondary",
            }
        summary = self._summary(session)
        changes["video_title"] = {"value": views.video_title(summary, language)}
        changes["demo"] = {"visible": self._page.demo is not None and session.video is None}
        changes["scan_stop"] = {"visible": self._context.active(session, "scan") is not None}
        line = scan_line(self._context, session)
        changes["scan_progress"] = shown(line)
        running = self._context.active(session, "scan") is not None
        changes["scan_running"] = shown(line if running else "")
        return changes

    def _summary(self, session: Session) -> str:
        """Say which video it is, once its people are found."""
        if session.video is None or session.scan is None or not session.scan.people:
            return ""
        text = functools.partial(messages.text, language=session.language)
        count = len(session.scan.people)
        seconds = views.clock(views.seconds_of(session.scan)[-1])
        people = text("video_one") if count == 1 else text("video_people", n=count)
        return " · ".join((Path(session.video).name, seconds, people))

    def scan(self, session: Session, *values: Any) -> Changes:
        """Start the search for people in a child process."""
        if session.video is None:
            raise Say("open_video_first")
        with starting(session) as mine:
            if mine and self._context.active(session, "scan") is None:
                settings = changed_values(self._page.scan_widgets, values)
                session.scan_settings = settings
                job = self._app.start_scan(session.video, settings=settings, owner=session.key)
                session.watched["scan"] = job.id
                self._context.save(session)
        return scan_started(session.language)

    def stop_scan(self, session: Session) -> Changes:
        """Ask the search to stop."""
        job = self._context.active(session, "scan")
        if job is not None:
            self._app.cancel_job(job.id)
        return {"scan_stop": {"visible": False}}


def _nothing_given() -> Changes:
    return {**emptied(GIVEN_FOR_VIDEO), "source": {"value": None}}


def _same_content(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same bytes; these are read only when the sizes are equal."""
    if one == other:
        return True
    try:
        alike = one.stat().st_size == other.stat().st_size
        return alike and sha256_of(one) == sha256_of(other)
    except OSError:
        return False
