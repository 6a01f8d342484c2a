"""Projects: the work on a video, saved to a file and opened again."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context
from facepick_ui.handlers.event import Event, names
from facepick_ui.handlers.form import Form
from facepick_ui.handlers.people import People
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.scan_line import SCAN_STARTED, scan_started
from facepick_ui.handlers.speech import emptied
from facepick_ui.handlers.video import Video
from facepick_ui.project import SUFFIX, Project, read_project, write_project
from facepick_ui.session import GIVEN_FOR_VIDEO, Session
from facepick_ui.uploads import path_of, plain_name

__all__ = ["Projects"]

KEPT_APART = ("watched", "offer", "language", "corrections")
"""Parts of a session that belong to a browser and not to a piece of work."""


class Projects:
    """The fold that saves and opens projects."""

    OUTPUTS = ("project_note", "project_file")

    def __init__(self, context: Context, video: Video, people: People, form: Form) -> None:
        self._context = context
        self._app = context.app
        self._video = video
        self._people = people
        self._form = form

    def events(self) -> list[Event]:
        """List what is answered."""
        place = "project_note"
        return [
            Event(
                component="project_save",
                trigger="click",
                handler=self.save_project,
                inputs=("project_video",),
                outputs=self.OUTPUTS,
                place=place,
            ),
            Event(
                component="project_open",
                trigger="upload",
                handler=self.open_project,
                inputs=("project_open",),
                outputs=names(self.OUTPUTS, Video.OTHER, self._form.outputs, SCAN_STARTED),
                place=place,
                watch=True,
            ),
        ]

    def save_project(self, session: Session, with_video: Any) -> Changes:
        """Write everything into one file, to be downloaded."""
        if session.video is None:
            raise Say("open_video_first")
        own = self._context.sessions.folder_of(session)
        stem = plain_name(Path(session.video).stem, "video")
        place = own / "uploads" / f"project-{secrets.token_hex(4)}"
        place.mkdir(parents=True)
        target = place / f"{stem}{SUFFIX}"
        scan = session.scan
        work = {k: v for k, v in session.to_json().items() if k not in KEPT_APART}
        write_project(
            target,
            work,
            own=own,
            with_video=with_video is True,
            content_hash="" if scan is None else scan.content_hash,
            corrections=[] if scan is None else self._app.corrections(scan),
        )
        said = messages.text("project_saved", session.language)
        return {
            "project_note": shown(views.notice(said, target.name)),
            "project_file": {"visible": True, "value": str(target)},
        }

    def open_project(self, session: Session, value: Any) -> Changes:
        """Open a project file: its video, what was set and listed, and the search for people."""
        path = path_of(value)
        if path is None:
            return {}
        own = self._context.sessions.folder_of(session)
        project = read_project(Path(path), own / "uploads" / f"project-{secrets.token_hex(4)}")
        video = self._find_video(session, project)
        self._app.facts(video)
        opened = Session(key=session.key)
        try:
            opened.restore(project.with_video(video))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserInputError(
                "The project cannot be read.", hint="Save it again with this version."
            ) from error
        changes = self._video.open_file(session, video)
        session.take_work(opened)
        if project.content_hash:
            session.corrections = {
                "content_hash": project.content_hash, "entries": project.corrections
            }  # fmt: skip
            job = self._app.start_scan(
                str(video), settings=session.scan_settings, owner=session.key
            )
            session.watched["scan"] = job.id
        self._context.save(session)
        said = messages.text("project_opened", session.language)
        return merged(
            changes,
            self._people.draw(session),
            emptied(GIVEN_FOR_VIDEO),
            self._form.draw(session),
            scan_started(session.language) if project.content_hash else {},
            {
                "project_note": shown(views.notice(said, project.video)),
                "project_file": {"visible": False, "value": None},
            },
        )

    def _find_video(self, session: Session, project: Project) -> Path:
        """Find the project's video: in it, open already, or where it lay if that is allowed.

        Raises:
            UserInputError: it is in none of these places.
        """
        if project.embedded is not None:
            return project.embedded
        if session.video is not None:
            current = Path(session.video)
            if current.is_file() and current.stat().st_size == project.video_bytes:
                return current
        try:
            found = self._app.allowed_path(project.video_path)
        except UserInputError:
            found = None
        if found is None or found.stat().st_size != project.video_bytes:
            raise UserInputError(
                f"The project does not hold its video, {project.video}.",
                hint="Open the video first, then the project again.",
            )
        return found
