"""Who is in the video: galleries, the picture, the timeline, and who is picked."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick.people.person import Person, Scan
from facepick_ui import messages, pictures, views
from facepick_ui.compat import Changes, paths_of
from facepick_ui.handlers.base import explained, shown
from facepick_ui.handlers.flows import Flows
from facepick_ui.handlers.results import Results
from facepick_ui.session import Session

__all__ = ["People"]


class People(Flows, Results):
    """The second card of the page."""

    def _shown_people(self, session: Session, *, unsure: bool) -> list[Person]:
        """Who stands in the gallery of sure people, or in that of unsure ones."""
        people = session.scan.people if session.scan else ()
        return [
            p for p in people if not p.ignored and p.unsure is unsure and p.group != "bystanders"
        ]

    def _bystanders(self, session: Session) -> list[Person]:
        people = session.scan.people if session.scan else ()
        return [p for p in people if not p.ignored and p.group == "bystanders"]

    def _people(self, session: Session) -> Changes:
        """Gallery, chips, picture, timeline and everything below that depends on the pick."""
        language = session.language
        scan = session.scan
        if scan is not None:
            known = {p.id for p in scan.people if not p.ignored}
            session.picked = [key for key in session.picked if key in known]
        sure = self._shown_people(session, unsure=False)
        unsure = self._shown_people(session, unsure=True)
        crowd = self._bystanders(session)
        note = ""
        if scan is None:
            note = views.empty("people_empty", language)
        elif not sure and not unsure and not crowd:
            note = views.empty("people_none", language)
        changes: Changes = {
            "people_note": shown(note),
            "people": {"value": self._gallery(session, sure), "visible": bool(sure)},
            "unsure_people": {"value": self._gallery(session, unsure), "visible": bool(unsure)},
            "bystanders": {"value": self._gallery(session, crowd), "visible": bool(crowd)},
            "crowd": {"visible": bool(crowd)},
            "people_hint": {"value": views.hint("people", language), "visible": bool(sure)},
            "unsure_hint": {
                "value": views.hint("unsure_people", language),
                "visible": bool(unsure),
            },
            "tracks_hint": {"visible": False},
            "unignore": {"visible": scan is not None and any(p.ignored for p in scan.people)},
            "picking": {"visible": scan is not None and bool(sure or unsure or crowd)},
            "looking": {"visible": scan is not None and bool(sure or unsure or crowd)},
            "edit": {"visible": scan is not None and bool(sure or unsure or crowd)},
            "tracks": {"visible": False, "value": None},
            "split": {"visible": False},
            "edit_note": shown(""),
        }
        session.marked = []
        if scan is not None:
            length = views.seconds_of(scan)[-1] if scan.frames else 0.0
            session.at_seconds = min(session.at_seconds, length)
            step = round(length / max(1, scan.frames - 1), 3) or 0.04
            changes["time"] = {
                "maximum": round(max(length, step), 3),
                "step": step,
                "value": round(session.at_seconds, 3),
            }
        changes.update(self._after_pick(session))
        return changes

    def _gallery(self, session: Session, people: Sequence[Person]) -> list[tuple[Any, str]]:
        scan = session.scan
        if scan is None:
            return []
        return [
            (
                pictures.marked_face(
                    pictures.face_thumbnail(scan, p),
                    views.color_of(p.id),
                    picked=p.id in session.picked,
                ),
                self._caption(scan, p, session.language),
            )
            for p in people
        ]

    def _caption(self, scan: Scan, person: Person, language: str) -> str:
        seconds = messages.text("seconds", language, s=f"{float(person.screen_time):.1f}")
        words = f"{person.label} - {seconds}"
        if person.may_be:
            likeliest = scan.person(person.may_be[0][0]).label
            words += f" - {messages.text('may_be', language, who=likeliest)}"
        return words

    def _galleries(self, session: Session) -> Changes:
        sure = self._shown_people(session, unsure=False)
        unsure = self._shown_people(session, unsure=True)
        return {
            "people": {"value": self._gallery(session, sure)},
            "unsure_people": {"value": self._gallery(session, unsure)},
            "bystanders": {"value": self._gallery(session, self._bystanders(session))},
        }

    def _after_pick(self, session: Session) -> Changes:
        """What depends on who is picked, besides the galleries."""
        scan = session.scan
        language = session.language
        picked = bool(session.picked)
        changes: Changes = {
            "picked": shown(views.people_chips(scan, session.picked, language) if scan else ""),
            "what_note": shown(
                "" if picked or session.kept else views.empty("what_empty", language)
            ),
            "what": {"visible": picked},
            "for_people": shown(self._for_people(session)),
            "name": {"value": self._one_name(session)},
        }
        changes.update(self._look(session))
        changes.update(self._list(session))
        changes.update(self._sources(session))
        changes.update(self._buttons(session))
        changes["what_problem"] = shown("")
        if session.problem:
            session.problem = False
            changes["progress"] = shown("")
        return changes

    def _for_people(self, session: Session) -> str:
        if session.scan is None or not session.picked:
            return ""
        names = ", ".join(session.scan.person(key).label for key in session.picked)
        words = messages.text("for_people", session.language, people=names)
        faces = "".join(
            f'<img class="facepick-avatar" alt="" src="{pictures.face_uri(session.scan, p)}">'
            for p in map(session.scan.person, session.picked)
        )
        return f'<div class="facepick-for">{faces}<b>{views.escape(words)}</b></div>'

    def _one_name(self, session: Session) -> str:
        if session.scan is None or len(session.picked) != 1:
            return ""
        return session.scan.person(session.picked[0]).name or ""

    def _look(self, session: Session) -> Changes:
        """The picture at the chosen moment and the timeline."""
        scan = session.scan
        if scan is None or not scan.frames:
            return {"frame": shown(""), "timeline": shown("")}
        times = views.seconds_of(scan)
        # The last frame that has begun; a hair of slack because sliders round to three digits.
        frame = max(0, bisect.bisect_right(times, session.at_seconds + 0.0006) - 1)
        people = [
            p.id for p in scan.people if not p.ignored and (not p.unsure or p.id in session.picked)
        ]
        try:
            picture = pictures.frame_uri(scan, frame)
            view = views.frame_view(
                picture,
                (scan.video.width, scan.video.height),
                scan,
                frame,
                session.picked,
                times[frame],
                session.language,
            )
        except FacepickError as error:
            view = messages.error_html(error, session.language)
        return {
            "frame": shown(view),
            "timeline": shown(
                views.timeline(scan, people, session.picked, times[frame], session.language)
            ),
        }

    @explained("picked")
    def look_at(self, session: Session, seconds: Any) -> Changes:
        """The slider was moved."""
        if session.scan is None:
            return {}
        session.at_seconds = max(0.0, float(seconds or 0.0))
        return self._look(session)

    def _seek(self, session: Session, argument: str) -> Changes:
        try:
            seconds = float(argument)
        except ValueError:
            return {}
        if session.scan is None or not 0 <= seconds < 1e7:
            return {}
        session.at_seconds = seconds
        return {**self._look(session), "time": {"value": round(seconds, 3)}}

    @explained("picked")
    def pick_index(self, session: Session, index: int, unsure: bool) -> Changes:
        """A thumbnail was clicked: pick the person, or let it go."""
        people = self._shown_people(session, unsure=unsure)
        if not 0 <= index < len(people):
            return {}
        return self._toggle(session, people[index].id)

    @explained("picked")
    def pick_bystander(self, session: Session, index: int) -> Changes:
        """A thumbnail of the crowd was clicked."""
        people = self._bystanders(session)
        return self._toggle(session, people[index].id) if 0 <= index < len(people) else {}

    def _toggle(self, session: Session, person_id: str) -> Changes:
        scan = session.scan
        if scan is None or person_id not in {p.id for p in scan.people}:
            return {}
        if person_id in session.picked:
            session.picked.remove(person_id)
        else:
            session.picked.append(person_id)
            self._go_where_seen(session, scan, person_id)
        return self._picked_changed(session)

    def _go_where_seen(self, session: Session, scan: Scan, person_id: str) -> None:
        """Move the picture to where the person is, when it is not on screen there."""
        times = views.seconds_of(scan)
        frame = max(0, bisect.bisect_right(times, session.at_seconds + 0.0006) - 1)
        tracks = scan.tracks_of(person_id)
        if all(t.position(frame) is None for t in tracks):
            longest = max(tracks, key=len)
            session.at_seconds = times[int(longest.frames[len(longest) // 2])]

    def _picked_changed(self, session: Session) -> Changes:
        self.sessions.save(session)
        changes = {**self._galleries(session), **self._after_pick(session)}
        changes["time"] = {"value": round(session.at_seconds, 3)}
        changes["tracks"] = {"visible": False, "value": None}
        changes["split"] = {"visible": False}
        changes["tracks_hint"] = {"visible": False}
        session.marked = []
        return changes

    @explained("people_note")
    def pick_by_photo(self, session: Session, value: Any) -> Changes:
        """A photo was uploaded: pick who is in it."""
        scan = self._scan_or_say(session)
        uploads = [self._keep_upload(session, Path(p), "photo") for p in paths_of(value)]
        if not uploads:
            return {}
        person = self.app.person_by_photo(scan, uploads[0])
        cleared: Changes = {"people_note": shown("")}
        if person.id not in session.picked:
            return {**self._toggle(session, person.id), **cleared}
        return cleared

    @explained("picked")
    def pick_everyone(self, session: Session) -> Changes:
        session.picked = [p.id for p in self._shown_people(session, unsure=False)]
        return self._picked_changed(session)

    @explained("picked")
    def pick_nobody(self, session: Session) -> Changes:
        session.picked = []
        return self._picked_changed(session)
