"""The new speech: a file or a recording, its words and its place, or a list of lines."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError, NoAudioError, UserInputError, VideoOpenError
from facepick.notices import Notice
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, OutputSettings
from facepick.settings import from_mapping
from facepick.speech.line import SpeechLine, line_key
from facepick_ui import pictures, views
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, is_file, names_of, scan_of
from facepick_ui.handlers.event import Event, names
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.render_bar import RenderBar
from facepick_ui.handlers.retakes import no_retake
from facepick_ui.lines_desk import MOST_LEVELS, lines_desk
from facepick_ui.page import SOUND_FILES, SPEECH_OUTPUT, SPEECH_PARTS
from facepick_ui.session import GIVEN_FOR_ONE, SaidLine, Session, Take
from facepick_ui.settings_form import changed_values
from facepick_ui.uploads import digest_of, path_of, paths_of, plain_name

__all__ = ["VOICES", "Speech", "emptied"]

Spoken = list[tuple[tuple[str, ...], tuple[SpeechLine, ...]]]
"""Ids of people and what they say."""

SUBTITLES = (".srt", ".vtt", ".ass", ".ssa", ".sub")
TIMES = (".textgrid", ".ctm", ".lab", ".pho", ".csv", ".txt", ".json")
"""Of a list's files those that are no sounds."""
VOICES = "speakers"
"""The network that tells voices apart, in the catalogue of models."""


class Speech:
    """What the lip-sync panel holds, as lines."""

    CLEARED = (
        "speech_note", "line_player", "speech", "recording", "speech_text", "phones", "lines",
        "speech_start", "speech_offset", "speech_duration",
    )  # fmt: skip
    """What `cleared` changes."""

    HEARD = names(("speech_note", "line_player"), RenderBar.OUTPUTS)
    """What `hear` changes."""

    def __init__(self, context: Context, bar: RenderBar) -> None:
        self._context = context
        self._bar = bar
        self._app = context.app
        self._page = context.page

    def events(self) -> list[Event]:
        """List what is answered."""
        plan = tuple(self._page.plan_names())
        # `change`: a recording, and a file taken away, have no event of their own in gradio 3.
        sound = [f"output_{name}" for name in (*SPEECH_OUTPUT, *SOUND_FILES)]
        heard = [(name, "change") for name in (*SPEECH_PARTS, "phones", "style", *sound)]
        words = {"speech_text", "lipsync_rewrite_language"} & set(self._page.components)
        heard += [(name, "blur") for name in sorted(words)]
        found = [
            Event(
                component=name,
                trigger=trigger,
                handler=self.hear,
                inputs=plan,
                outputs=self.HEARD,
                place="speech_note",
            )
            for name, trigger in heard
        ]
        record = Event(
            component="record",
            trigger="click",
            handler=self.record,
            outputs=("recording", "record"),
            place="speech_note",
        )
        return [*found, record]

    def lines(
        self, session: Session, values: Mapping[str, Any], people: Sequence[str]
    ) -> tuple[Spoken, tuple[Notice, ...]]:
        """Say who says what: one entry for all picked people, or one for each speaker of a list.

        Raises:
            Say: there is no speech.
            UserInputError: the list is wrong, or nobody who is picked speaks in it.
        """
        uploads = [Path(p) for p in paths_of(values["lines"])]
        if uploads:
            return self._listed(session, values, uploads, people)
        path = path_of(values["speech"]) or path_of(values["recording"])
        if path is None:
            if values["output_soundtrack"]:
                # The lips follow the finished soundtrack.
                return [(tuple(people), ())], ()
            raise Say("speech_needed", "speech_note")
        kept = self._context.keep_upload(session, Path(path), "speech")
        duration = _seconds(values["speech_duration"])
        phones = path_of(values["phones"])
        line = SpeechLine(
            path=str(kept),
            start_seconds=_seconds(values["speech_start"]),
            offset_seconds=_seconds(values["speech_offset"]),
            duration_seconds=duration or None,
            text=str(values["speech_text"] or "").strip() or None,
            phones=None if phones is None else self._app.phones(Path(phones), kept),
        )
        return [(tuple(people), (line,))], ()

    def _listed(
        self,
        session: Session,
        values: Mapping[str, Any],
        uploads: Sequence[Path],
        people: Sequence[str],
    ) -> tuple[Spoken, tuple[Notice, ...]]:
        # Beside subtitles a JSON file can only hold times of phones.
        lists = [p for p in uploads if p.suffix.lower() in SUBTITLES] or [
            p for p in uploads if p.suffix.lower() == ".json"
        ]
        sounds = [p for p in uploads if p not in lists and p.suffix.lower() not in TIMES]
        if not lists and len(uploads) == 1:
            # Whoever reads it says what it is.
            lists = list(uploads)
        if len(lists) != 1:
            raise Say("lines_one_list")
        folder = self._side_by_side(session, uploads)
        session.said_of = folder.name
        audio = folder / plain_name(sounds[0].name, "speech") if len(sounds) == 1 else None
        soundtrack = path_of(values["output_soundtrack"])
        if not sounds and soundtrack:
            # Lines without sounds of their own are cut from the finished mix.
            audio = self._context.keep_upload(session, Path(soundtrack), "speech")
        given = self._app.spoken_lines(
            folder / plain_name(lists[0].name, "lines"),
            scan_of(session),
            people,
            audio=audio,
            length=str(values["output_length"]),
            told=session.line_who.get(folder.name),
            by_sight=session.by_sight,
        )
        return self._taken(session, given.speakers), given.notices

    def _taken(
        self, session: Session, speakers: Sequence[tuple[str, tuple[SpeechLine, ...]]]
    ) -> Spoken:
        """Give the lines the sounds that the user has trimmed or recorded."""
        takes = session.line_takes.get(session.said_of, {})
        session.own_lines = {}
        spoken: Spoken = []
        for who, lines in speakers:
            heard = []
            for line in lines:
                take = takes.get(line_key(line.start_seconds), Take())
                if take.path and not is_file(take.path):
                    take = Take()
                heard.append(take.applied(line))
                session.own_lines[line_key(heard[-1].start_seconds)] = line
            spoken.append(((who,), tuple(heard)))
        return spoken

    def _side_by_side(self, session: Session, uploads: Sequence[Path]) -> Path:
        """Put the uploads into one folder: a list names its sounds by their place beside it.

        The folder is named by what they hold: what was said of the lines goes with it, and a page
        that is opened again hands the same files over under other paths.
        """
        kept = [self._context.keep_upload(session, path, "speech") for path in uploads]
        marks = sorted(f"{path.name}|{digest_of(path)}" for path in kept)
        mark = hashlib.sha256("|".join(marks).encode()).hexdigest()[:12]
        folder = self._context.sessions.folder_of(session) / "uploads" / f"lines-{mark}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in kept:
            place = folder / path.name
            if not place.exists():
                try:
                    os.link(path, place)
                except OSError:
                    shutil.copyfile(path, place)
        return folder

    def hear(self, session: Session, *values: Any) -> Changes:
        """Show who is heard when, as the panel stands, and what people should know of it."""
        session.nameless = session.unreadable = False
        try:
            note = self._note(session, values)
        except (VideoOpenError, NoAudioError) as error:
            session.unreadable = True
            # The core's sentence begins with the name of the file.
            file = error.message.partition(": ")[0]
            note = _noted(views.unreadable_sound(file, session.language))
        return merged(note, self._bar.draw(session))

    def follow_pick(self, session: Session) -> Changes:
        """Show what is heard of those who are picked now, as the panel stands."""
        flow = self._context.flow(session)
        if not any(spec.needs_audio for spec in self._page.specs(flow)):
            return {}
        if session.heard is None:
            return _noted("")
        session.nameless = False
        try:
            return self._note(session, session.heard)
        except (FacepickError, Say):
            # What is wrong with it stands there since it was given.
            return {}

    def again(self, session: Session) -> Changes:
        """Draw the desk of the lines anew, as it stands, if there is one."""
        if session.heard is None or not session.said:
            return {}
        try:
            note = self._note(session, session.heard)["speech_note"]
        except FacepickError:
            # A sound was taken away meanwhile; the next change of the panel says so.
            return {}
        return {"speech_note": note}

    def _note(self, session: Session, values: tuple[Any, ...]) -> Changes:
        named = self._page.plan_values(values)
        sounds = ("speech", "recording", "lines", "output_soundtrack")
        given = any(named[name] for name in sounds)
        session.heard = values if given else None
        if session.scan is None or session.video is None or not session.picked or not given:
            return _noted("")
        panels = [
            p for p in self._page.panels if p.spec.flow == named["flow"] and p.spec.needs_audio
        ]
        if not panels:
            return _noted("")
        panel = next((p for p in panels if p.spec.id == named["style"]), panels[0])
        before, session.said_of, session.said = session.said, "", []
        try:
            spoken, told = self.lines(session, named, tuple(session.picked))
        except UserInputError:
            if session.by_sight or self._names_everybody(session, named):
                raise
            session.nameless = True
            return _noted(views.speakers_offer(session.language))
        session.said = self._said(session, spoken)
        settings = changed_values(panel.widgets, [named[w.name] for w in panel.widgets])
        chosen = self._page.output_widgets
        output = changed_values(chosen, [named[w.name] for w in chosen])
        plan = self._app.make_plan(
            session.video,
            [
                Assignment(
                    selection=Selection(who, include_unsure=True),
                    flow=panel.spec.flow,
                    engine=panel.spec.id,
                    settings=settings,
                    speech=lines,
                )
                for who, lines in spoken
            ],
            output=from_mapping(OutputSettings, output),
        )
        notices = (*told, *self._app.heard_notices(plan, session.scan))
        note = lines_desk(
            session.scan,
            session.said,
            session.language,
            choose=session.picked if session.said_of else (),
            told=session.line_who.get(session.said_of),
            faces=self._faces(session) if len(session.said) <= MOST_LEVELS else {},
            no_retake=no_retake(self._context, session),
            look=len(session.picked) > 1
            and not session.by_sight
            and not self._names_everybody(session, named),
        )
        # Before the desk, which may be long: below it the bar would cover them.
        known = views.notices_view(notices, session.language, names=names_of(session.scan))
        missing = self._app.missing_models([VOICES])
        if missing and any(notice.code == "voices_rough" for notice in told):
            known += views.voices_offer(missing[0], session.language)
        noted = _noted(known + note)
        if session.said == before:
            # Several widgets tell of one change: the strip may have been opened after the first.
            del noted["line_player"]
        return noted

    def hear_anew(self, session: Session) -> Changes:
        """Offer to find out again who speaks, with a network that has come meanwhile."""
        session.by_sight = False
        return {} if session.heard is None else self.hear(session, *session.heard)

    def _faces(self, session: Session) -> dict[str, str | None]:
        scan = scan_of(session)
        return {key: pictures.face_uri(self._app, scan, scan.person(key)) for key in session.picked}

    def _names_everybody(self, session: Session, values: Mapping[str, Any]) -> bool:
        """Tell whether the panel's list says whose every line is; True without a list."""
        uploads = [Path(p) for p in paths_of(values["lines"])]
        if not session.said_of or not uploads:
            return True
        folder = self._context.sessions.folder_of(session) / "uploads" / session.said_of
        lists = [p for p in uploads if p.suffix.lower() in (*SUBTITLES, ".json")]
        file = folder / plain_name((lists or uploads)[0].name, "lines")
        return self._app.names_everybody(file, scan_of(session))

    def _said(self, session: Session, spoken: Spoken) -> list[SaidLine]:
        """Read how long lines are heard, and how loud they are."""
        takes = session.line_takes.get(session.said_of, {})
        said = []
        for who, lines in spoken:
            for line in lines:
                listed = session.own_lines.get(line_key(line.start_seconds), line)
                key = line_key(listed.start_seconds)
                take = takes.get(key, Take())
                said.append(
                    SaidLine(
                        key=key,
                        people=who,
                        line=line,
                        own=take.recorded(listed) if session.said_of else line,
                        seconds=self._app.line_seconds(line),
                        recorded=bool(take.path),
                    )
                )
        said.sort(key=lambda item: item.line.start_seconds)
        if len(said) <= MOST_LEVELS:
            said = [replace(s, level=tuple(self._app.line_sound(s.line)[1])) for s in said]
        return said

    def record(self, session: Session) -> Changes:
        """Show the recorder: only now may the page ask for the microphone."""
        return {
            "recording": {"visible": True, "interactive": True},
            "record": {"visible": False},
        }

    def cleared(self) -> Changes:
        """Empty the panel for the next person's speech."""
        return {**_noted(""), **emptied((*GIVEN_FOR_ONE, "lines"))}


def emptied(widgets: Sequence[str]) -> Changes:
    """Empty widgets of the panel."""
    empty: dict[str, Any] = {
        "speech_text": "", "speech_start": 0, "speech_offset": 0, "speech_duration": 0
    }  # fmt: skip
    return {name: {"value": empty.get(name)} for name in widgets}


def _noted(note: str) -> Changes:
    """Show a note, or none, and no strip of a single line: that may have gone."""
    return {"speech_note": shown(note), "line_player": shown("")}


def _seconds(value: Any) -> float:
    return max(0.0, float(value or 0.0))
