"""Season: what is chosen for the open video, done to all videos of a folder, as a batch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepick.jobs.batch import find_episodes
from facepick.people.person import Scan
from facepick_ui import messages, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, scan_of
from facepick_ui.handlers.event import Event, names
from facepick_ui.handlers.plans import Plans
from facepick_ui.handlers.problems import GIVEN_AT, Say
from facepick_ui.handlers.queue import Queue
from facepick_ui.session import Session
from facepick_ui.uploads import plain_name

__all__ = ["Season"]


class Season:
    """Begins batches, for whoever sits at the machine."""

    def __init__(self, context: Context, plans: Plans, queue: Queue) -> None:
        self._context = context
        self._app = context.app
        self._page = context.page
        self._plans = plans
        self._queue = queue

    def events(self) -> list[Event]:
        """List what is answered."""
        return [
            Event(
                component="season_run",
                trigger="click",
                handler=self.begin,
                name="season",
                inputs=("season_path", *self._page.plan_names()),
                outputs=names(Queue.OUTPUTS, GIVEN_AT),
                place="season_note",
                watch=True,
            )
        ]

    def begin(self, session: Session, place: Any, *values: Any) -> Changes:
        """Add a batch at the end of the queue.

        Its people are named as they are known, or by their picture: ids differ from video to video.

        Raises:
            Say: something is missing, or the page is not this machine's.
            FacepickError: something is wrong.
        """
        if not self._page.at_machine:
            raise Say("season_elsewhere", "season_note")
        plan, _ = self._plans.plan(session, values)
        folder = self._app.allowed_path(str(place or ""), folders=True)
        out = self._app.host.outputs() / session.key[:16] / plain_name(folder.stem, "season")
        episodes = find_episodes([folder], out)
        # A link in an allowed folder may lead out of it.
        videos = [str(self._app.allowed_path(str(episode.video))) for episode in episodes]
        scan = scan_of(session)
        template = replace(
            plan,
            content_hash="",
            assignments=tuple(
                replace(
                    item,
                    speech=(),
                    selection=replace(
                        item.selection,
                        people=self._named(session, scan, item.selection.people),
                        everyone_but=self._named(session, scan, item.selection.everyone_but),
                    ),
                )
                for item in plan.assignments
            ),
        )
        self._app.batches.add(videos, out, template.to_json())
        told = messages.text("season_begun", session.language, n=len(videos), out=str(out))
        return merged(self._queue.draw(session), {"season_note": shown(views.notice(told))})

    def _named(self, session: Session, scan: Scan, people: Sequence[str]) -> tuple[str, ...]:
        return tuple(self._name(session, scan, key) for key in people)

    def _name(self, session: Session, scan: Scan, key: str) -> str:
        """Name a person for other videos: as the cast does, or by the best picture there is."""
        person = scan.person(key)
        if person.name in self._app.known_names():
            return str(person.name)
        if not person.thumbnails:
            raise Say("season_no_picture", "season_note")
        folder = self._context.sessions.folder_of(session) / "season"
        folder.mkdir(parents=True, exist_ok=True)
        picture = Path(scan.folder) / Path(person.thumbnails[0]).name
        # The cache may be cleared while the batch waits.
        kept = folder / f"{scan.content_hash[:12]}-{person.id}{picture.suffix}"
        shutil.copyfile(picture, kept)
        return f"photo:{kept}"
