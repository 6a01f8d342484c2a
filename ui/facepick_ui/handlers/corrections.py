"""Rename, join, split and hide people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facepick.people.person import Scan
from facepick_ui import pictures, views
from facepick_ui.compat import Changes
from facepick_ui.handlers.base import Say, explained, shown
from facepick_ui.handlers.people import People
from facepick_ui.session import Session

__all__ = ["Corrections"]


class Corrections(People):
    """Corrections of the list of people."""

    def _edited(self, session: Session, edit: Any, picked: list[str] | None = None) -> Changes:
        scan = self._scan_or_say(session)
        before = {p.id: p.track_ids for p in scan.people}
        session.scan = self.app.edit_people(scan, edit)
        session.picked = follow(before, session.scan, session.picked if picked is None else picked)
        session.kept, session.kept_notices = [], []
        self.sessions.save(session)
        return {**self._people(session), "scan_progress": shown(self._scan_line(session))}

    @explained("edit_note")
    def rename(self, session: Session, name: Any) -> Changes:
        from facepick.people import edits

        self._scan_or_say(session)
        wanted = str(name or "").strip() or None
        return self._edited(session, edits.Rename(person=self._one(session), name=wanted))

    @explained("edit_note")
    def merge(self, session: Session) -> Changes:
        from facepick.people import edits

        self._scan_or_say(session)
        if len(session.picked) < 2:
            raise Say("two_needed")
        return self._edited(session, edits.Merge(people=tuple(session.picked)))

    @explained("edit_note")
    def join_likely(self, session: Session) -> Changes:
        """Merge the picked unsure face with whom it may be."""
        from facepick.people import edits

        scan = self._scan_or_say(session)
        person = scan.person(session.picked[0]) if len(session.picked) == 1 else None
        if person is None or not person.may_be:
            raise Say("nobody_likely")
        return self._edited(session, edits.Merge(people=(person.may_be[0][0], person.id)))

    @explained("edit_note")
    def ignore(self, session: Session) -> Changes:
        """Hide the picked people from the list."""
        from facepick.people import edits

        self._scan_or_say(session)
        if not session.picked:
            raise Say("some_needed")
        changes: Changes = {}
        for person in list(session.picked):
            changes = self._edited(session, edits.Ignore(person=person))
        return changes

    @explained("edit_note")
    def unignore(self, session: Session) -> Changes:
        """Show everybody again who was hidden from the list."""
        from facepick.people import edits

        changes: Changes = {}
        for person in [p.id for p in self._scan_or_say(session).people if p.ignored]:
            changes = self._edited(session, edits.Ignore(person=person, ignored=False))
        return changes

    @explained("edit_note")
    def undo(self, session: Session) -> Changes:
        scan = self._scan_or_say(session)
        before = {p.id: p.track_ids for p in scan.people}
        session.scan = self.app.undo_edit(scan)
        session.picked = follow(before, session.scan, session.picked)
        self.sessions.save(session)
        return {**self._people(session), "scan_progress": shown(self._scan_line(session))}

    @explained("edit_note")
    def show_tracks(self, session: Session) -> Changes:
        """Every appearance of the one picked person, to mark those of somebody else."""
        scan = self._scan_or_say(session)
        self._one(session)
        session.marked = []
        return {
            "tracks": {"value": self._track_gallery(session, scan), "visible": True},
            "tracks_hint": shown(views.hint("tracks", session.language)),
            "split": {"visible": True},
            "edit_note": shown(""),
        }

    def _track_gallery(self, session: Session, scan: Scan) -> list[tuple[Any, str]]:
        times = views.seconds_of(scan)
        person = self._one(session)
        return [
            (
                pictures.marked_face(
                    pictures.track_face(scan, track),
                    views.color_of(person),
                    picked=track.id in session.marked,
                ),
                views.clock(times[track.start]) + " - " + views.clock(times[track.stop - 1]),
            )
            for track in scan.tracks_of(person)
        ]

    @explained("edit_note")
    def mark_track(self, session: Session, index: int) -> Changes:
        scan = self._scan_or_say(session)
        tracks = scan.tracks_of(self._one(session))
        if 0 <= index < len(tracks):
            key = tracks[index].id
            if key in session.marked:
                session.marked.remove(key)
            else:
                session.marked.append(key)
        return {"tracks": {"value": self._track_gallery(session, scan)}}

    @explained("edit_note")
    def split(self, session: Session) -> Changes:
        from facepick.people import edits

        self._scan_or_say(session)
        if not session.marked:
            raise Say("marks_needed")
        edit = edits.Split(person=self._one(session), tracks=tuple(session.marked))
        return self._edited(session, edit)


def follow(before: Mapping[str, tuple[str, ...]], scan: Scan, picked: Sequence[str]) -> list[str]:
    """The picked people after an edit: those who hold most of the same tracks."""
    owner = {track: p.id for p in scan.people if not p.ignored for track in p.track_ids}
    found: list[str] = []
    for person in picked:
        votes = [owner[t] for t in before.get(person, ()) if t in owner]
        if votes:
            best = max(dict.fromkeys(votes), key=votes.count)
            if best not in found:
                found.append(best)
    return found
