"""Who is in the video: galleries, the picture, the timeline, and who is picked."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick.people.person import Person, Scan
from facepick_ui import messages, pictures, views
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.assignments import Assignments
from facepick_ui.handlers.context import Context, scan_of
from facepick_ui.handlers.event import Act, Event, names
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.sources import Sources
from facepick_ui.handlers.speech import Speech, emptied
from facepick_ui.session import GIVEN_FOR_ONE, Session
from facepick_ui.uploads import paths_of

__all__ = ["People"]


class People:
    """The second card of the page."""

    LOOK = ("frame", "timeline", "preview")
    """What moves with the moment that is looked at."""

    AFTER_PICK = names(
        (
            "picked",
            "what_note",
            "what",
            "for_people",
            "name",
            "what_problem",
            "frame_sheet",
            "progress",
        ),
        LOOK,
        Assignments.OUTPUTS,
        Sources.OUTPUTS,
        RenderBar.OUTPUTS,
    )
    """What depends on who is picked, besides the galleries."""

    PICK = names(
        ("people", "unsure_people", "bystanders", "time", "tracks", "tracks_hint", "split"),
        GIVEN_FOR_ONE,
        ("speech_note", "line_player"),
        AFTER_PICK,
    )
    """What a pick changes."""

    OUTPUTS = names(
        (
            "people_note", "crowd", "people_hint", "unsure_hint", "unignore", "picking", "looking",
            "edit", "edit_note",
        ),
        PICK,
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        sources: Sources,
        assignments: Assignments,
        bar: RenderBar,
        speech: Speech,
    ) -> None:
        self._context = context
        self._speech = speech
        self._app = context.app
        self._sources = sources
        self._assignments = assignments
        self._bar = bar

    def events(self) -> list[Event]:
        """List what is answered."""
        clicked: dict[str, tuple[str, Callable[..., Changes]]] = {
            "people": ("select", self.pick_sure),
            "unsure_people": ("select", self.pick_unsure),
            "bystanders": ("select", self.pick_bystander),
            "pick_all": ("click", self.pick_everyone),
            "pick_none": ("click", self.pick_nobody),
        }
        found = [
            Event(
                component=name, trigger=trigger, handler=handler, outputs=self.PICK, place="picked"
            )
            for name, (trigger, handler) in clicked.items()
        ]
        by_photo = Event(
            component="by_photo",
            trigger="upload",
            handler=self.pick_by_photo,
            inputs=("by_photo",),
            outputs=self.PICK,
            place="people_note",
        )
        look = Event(
            component="time",
            trigger="release",
            handler=self.look_at,
            inputs=("time",),
            outputs=self.LOOK,
            place="picked",
        )
        return [*found, by_photo, look]

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        return (
            Act(verb="pick", handler=self.toggle, outputs=self.PICK),
            Act(verb="seek", handler=self.seek, outputs=(*self.LOOK, "time")),
        )

    def _shown_people(self, session: Session, *, unsure: bool) -> list[Person]:
        """Who stands in the gallery of sure people, or in that of unsure ones."""
        people = session.scan.people if session.scan else ()
        return [
            p for p in people if not p.ignored and p.unsure is unsure and p.group != "bystanders"
        ]

    def _bystanders(self, session: Session) -> list[Person]:
        people = session.scan.people if session.scan else ()
        return [p for p in people if not p.ignored and p.group == "bystanders"]

    def draw(self, session: Session) -> Changes:
        """Show gallery, chips, picture, timeline and everything below that depends on the pick."""
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
        changes.update(self.draw_after_pick(session))
        return changes

    def _gallery(self, session: Session, people: Sequence[Person]) -> list[tuple[Any, str]]:
        scan = session.scan
        if scan is None:
            return []
        return [
            (
                pictures.marked_face(
                    pictures.face_thumbnail(self._app, scan, p),
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

    def draw_galleries(self, session: Session) -> Changes:
        """Show everybody, with a tick at those who are picked."""
        sure = self._shown_people(session, unsure=False)
        unsure = self._shown_people(session, unsure=True)
        return {
            "people": {"value": self._gallery(session, sure)},
            "unsure_people": {"value": self._gallery(session, unsure)},
            "bystanders": {"value": self._gallery(session, self._bystanders(session))},
        }

    def draw_after_pick(self, session: Session) -> Changes:
        """Show what depends on who is picked, besides the galleries."""
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
        changes.update(self._assignments.draw(session))
        changes.update(self._sources.draw(session))
        changes.update(self._bar.draw(session))
        changes["what_problem"] = shown("")
        changes["frame_sheet"] = shown("")
        changes.update(self._bar.forget_problem(session))
        if not picked and not session.kept and not changes["stop"]["interactive"]:
            changes["progress"] = shown("")  # how something ended that is over
        return changes

    def _for_people(self, session: Session) -> str:
        if session.scan is None or not session.picked:
            return ""
        people = [session.scan.person(key).label for key in session.picked]
        names = messages.listed(people, session.language)
        words = messages.text("for_people", session.language, people=names)
        faces = [
            pictures.face_uri(self._app, session.scan, p)
            for p in map(session.scan.person, session.picked)
        ]
        return views.for_people(faces, words)

    def _one_name(self, session: Session) -> str:
        if session.scan is None or len(session.picked) != 1:
            return ""
        return session.scan.person(session.picked[0]).name or ""

    def _look(self, session: Session) -> Changes:
        """Show the picture at the chosen moment, and the timeline."""
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
            picture = pictures.frame_uri(self._app, scan, frame)
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
            view = views.error_box(error, session.language)
        return {
            "frame": shown(view),
            "timeline": shown(
                views.timeline(scan, people, session.picked, times[frame], session.language)
            ),
            "preview": self._bar.draw_preview(session),
        }

    def look_at(self, session: Session, seconds: Any) -> Changes:
        """Look at the moment of the slider."""
        if session.scan is None:
            return {}
        session.at_seconds = max(0.0, float(seconds or 0.0))
        return self._look(session)

    def seek(self, session: Session, argument: str) -> Changes:
        """Look at a moment that was clicked on the timeline."""
        try:
            seconds = float(argument)
        except ValueError:
            return {}
        if session.scan is None or not 0 <= seconds < 1e7:
            return {}
        session.at_seconds = seconds
        return {**self._look(session), "time": {"value": round(seconds, 3)}}

    def pick_sure(self, session: Session, index: int) -> Changes:
        """Pick somebody by a click on a thumbnail, or let them go."""
        return self._pick_from(session, self._shown_people(session, unsure=False), index)

    def pick_unsure(self, session: Session, index: int) -> Changes:
        """Pick an unsure face by a click on a thumbnail, or let it go."""
        return self._pick_from(session, self._shown_people(session, unsure=True), index)

    def pick_bystander(self, session: Session, index: int) -> Changes:
        """Pick somebody of the crowd by a click on a thumbnail, or let them go."""
        return self._pick_from(session, self._bystanders(session), index)

    def _pick_from(self, session: Session, people: Sequence[Person], index: int) -> Changes:
        return self.toggle(session, people[index].id) if 0 <= index < len(people) else {}

    def toggle(self, session: Session, person_id: str) -> Changes:
        """Pick a person, or let them go."""
        scan = session.scan
        if scan is None or person_id not in {p.id for p in scan.people}:
            return {}
        if person_id in session.picked:
            session.picked.remove(person_id)
        else:
            session.picked.append(person_id)
            self._go_where_seen(session, scan, person_id)
        return self.draw_picked(session)

    def _go_where_seen(self, session: Session, scan: Scan, person_id: str) -> None:
        """Move the picture to where the person is, when it is not on screen there."""
        times = views.seconds_of(scan)
        frame = max(0, bisect.bisect_right(times, session.at_seconds + 0.0006) - 1)
        tracks = scan.tracks_of(person_id)
        if all(t.position(frame) is None for t in tracks):
            longest = max(tracks, key=len)
            session.at_seconds = times[int(longest.frames[len(longest) // 2])]

    def draw_picked(self, session: Session) -> Changes:
        """Store who is picked, and show it."""
        taken_away: Changes = {}
        if session.speech_is_of_others():
            session.forget_given(GIVEN_FOR_ONE)
            session.heard = None
            taken_away = emptied(GIVEN_FOR_ONE)
        self._context.save(session)
        heard = self._speech.follow_pick(session)
        changes = {**taken_away, **self.draw_galleries(session), **self.draw_after_pick(session)}
        changes["time"] = {"value": round(session.at_seconds, 3)}
        changes["tracks"] = {"visible": False, "value": None}
        changes["split"] = {"visible": False}
        changes["tracks_hint"] = {"visible": False}
        session.marked = []
        return {**changes, **heard}

    def pick_by_photo(self, session: Session, value: Any) -> Changes:
        """Pick who is in a photo."""
        scan = scan_of(session)
        uploads = [self._context.keep_upload(session, Path(p), "photo") for p in paths_of(value)]
        if not uploads:
            return {}
        person = self._app.person_by_photo(scan, uploads[0])
        cleared: Changes = {"people_note": shown("")}
        if person.id not in session.picked:
            return {**self.toggle(session, person.id), **cleared}
        return cleared

    def pick_everyone(self, session: Session) -> Changes:
        """Pick all who are sure."""
        session.picked = [p.id for p in self._shown_people(session, unsure=False)]
        return self.draw_picked(session)

    def pick_nobody(self, session: Session) -> Changes:
        """Let everybody go."""
        session.picked = []
        return self.draw_picked(session)
