"""Rename, join, split and hide people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facepick.people.person import Scan
from facepick_ui import pictures, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, one_picked, scan_of
from facepick_ui.handlers.event import Event, names
from facepick_ui.handlers.people import People
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.scan_line import scan_line
from facepick_ui.session import Session

__all__ = ["Corrections"]


class Corrections:
    """Corrections of the list of people."""

    OUTPUTS = names(People.OUTPUTS, ("scan_progress",))

    def __init__(self, context: Context, people: People) -> None:
        self._context = context
        self._app = context.app
        self._people = people

    def events(self) -> list[Event]:
        """List what is answered."""
        clicked = {
            "merge": self.merge,
            "join_likely": self.join_likely,
            "ignore": self.ignore,
            "unignore": self.unignore,
            "undo": self.undo,
            "split": self.split,
        }
        found = [
            Event(
                component=name,
                trigger="click",
                handler=handler,
                outputs=self.OUTPUTS,
                place="edit_note",
            )
            for name, handler in clicked.items()
        ]
        found += [
            Event(
                component="rename",
                trigger="click",
                handler=self.rename,
                inputs=("name",),
                outputs=self.OUTPUTS,
                place="edit_note",
            ),
            Event(
                component="show_tracks",
                trigger="click",
                handler=self.show_tracks,
                outputs=("tracks", "tracks_hint", "split"),
                place="edit_note",
            ),
            Event(
                component="tracks",
                trigger="select",
                handler=self.mark_track,
                outputs=("tracks",),
                place="edit_note",
            ),
        ]
        return found

    def apply(self, session: Session, edit: Any, picked: list[str] | None = None) -> Changes:
        """Make an edit of the core's; picks and marks follow the faces.

        Args:
            picked: who was picked; None for who is.
        """
        scan = scan_of(session)
        before = {p.id: p.track_ids for p in scan.people}
        session.scan = self._app.edit_people(scan, edit)
        session.picked = follow(before, session.scan, session.picked if picked is None else picked)
        session.drop_all()
        self._context.save(session)
        return self._drawn(session)

    def _drawn(self, session: Session) -> Changes:
        line = scan_line(self._context, session)
        return merged(self._people.draw(session), {"scan_progress": shown(line)})

    def rename(self, session: Session, name: Any) -> Changes:
        """Give the one picked person a name, or take it away."""
        from facepick.people import edits

        scan_of(session)
        wanted = str(name or "").strip() or None
        return self.apply(session, edits.Rename(person=one_picked(session), name=wanted))

    def merge(self, session: Session) -> Changes:
        """Make one person of all who are picked."""
        from facepick.people import edits

        scan_of(session)
        if len(session.picked) < 2:
            raise Say("two_needed")
        return self.apply(session, edits.Merge(people=tuple(session.picked)))

    def join_likely(self, session: Session) -> Changes:
        """Merge the picked unsure face with whom it may be."""
        from facepick.people import edits

        scan = scan_of(session)
        person = scan.person(session.picked[0]) if len(session.picked) == 1 else None
        if person is None or not person.may_be:
            raise Say("nobody_likely")
        return self.apply(session, edits.Merge(people=(person.may_be[0][0], person.id)))

    def ignore(self, session: Session) -> Changes:
        """Hide the picked people from the list."""
        from facepick.people import edits

        scan_of(session)
        if not session.picked:
            raise Say("some_needed")
        changes: Changes = {}
        for person in list(session.picked):
            changes = self.apply(session, edits.Ignore(person=person))
        return changes

    def unignore(self, session: Session) -> Changes:
        """Show everybody again who was hidden from the list."""
        from facepick.people import edits

        changes: Changes = {}
        for person in [p.id for p in scan_of(session).people if p.ignored]:
            changes = self.apply(session, edits.Ignore(person=person, ignored=False))
        return changes

    def undo(self, session: Session) -> Changes:
        """Take the last correction back."""
        scan = scan_of(session)
        before = {p.id: p.track_ids for p in scan.people}
        session.scan = self._app.undo_edit(scan)
        session.picked = follow(before, session.scan, session.picked)
        self._context.save(session)
        return self._drawn(session)

    def show_tracks(self, session: Session) -> Changes:
        """Show every appearance of the one picked person, to mark those of somebody else."""
        scan = scan_of(session)
        one_picked(session)
        session.marked = []
        return {
            "tracks": {"value": self._track_gallery(session, scan), "visible": True},
            "tracks_hint": shown(views.hint("tracks", session.language)),
            "split": {"visible": True},
            "edit_note": shown(""),
        }

    def _track_gallery(self, session: Session, scan: Scan) -> list[tuple[Any, str]]:
        times = views.seconds_of(scan)
        person = one_picked(session)
        return [
            (
                pictures.marked_face(
                    pictures.track_face(self._app, scan, track),
                    views.color_of(person),
                    picked=track.id in session.marked,
                ),
                views.clock(times[track.start]) + " - " + views.clock(times[track.stop - 1]),
            )
            for track in scan.tracks_of(person)
        ]

    def mark_track(self, session: Session, index: int) -> Changes:
        """Mark an appearance as somebody else's, or take the mark away."""
        scan = scan_of(session)
        tracks = scan.tracks_of(one_picked(session))
        if 0 <= index < len(tracks):
            key = tracks[index].id
            if key in session.marked:
                session.marked.remove(key)
            else:
                session.marked.append(key)
        return {"tracks": {"value": self._track_gallery(session, scan)}}

    def split(self, session: Session) -> Changes:
        """Make another person of the marked appearances."""
        from facepick.people import edits

        scan_of(session)
        if not session.marked:
            raise Say("marks_needed")
        edit = edits.Split(person=one_picked(session), tracks=tuple(session.marked))
        return self.apply(session, edit)


def follow(before: Mapping[str, tuple[str, ...]], scan: Scan, picked: Sequence[str]) -> list[str]:
    """Find the picked people after an edit: those who hold most of the same tracks."""
    owner = {track: p.id for p in scan.people if not p.ignored for track in p.track_ids}
    found: list[str] = []
    for person in picked:
        votes = [owner[t] for t in before.get(person, ()) if t in owner]
        if votes:
            best = max(dict.fromkeys(votes), key=votes.count)
            if best not in found:
                found.append(best)
    return found
