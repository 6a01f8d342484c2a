"""The new speech: a file or a recording, its words and its place, or a list of lines."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facepick.engines.engine import SpeechLine
from facepick.errors import UserInputError
from facepick.people.identity import Scan
from facepick.people.selection import Selection
from facepick_ui import views
from facepick_ui.compat import Changes, path_of, paths_of
from facepick_ui.handlers.base import Base, Say, explained, shown
from facepick_ui.session import Session
from facepick_ui.uploads import plain_name

__all__ = ["Speech"]

TIMES = (".textgrid", ".ctm", ".lab", ".pho", ".csv", ".txt", ".json")
"""Of a list's files those that are no sounds."""


class Speech(Base):
    """What the lip-sync panel holds, as lines."""

    def _lines(
        self, session: Session, values: Mapping[str, Any], people: Sequence[str]
    ) -> list[tuple[tuple[str, ...], tuple[SpeechLine, ...]]]:
        """Who says what: one entry for all picked people, or one for each speaker of a list.

        Raises:
            Say: there is no speech.
            UserInputError: the list is wrong, or names somebody who is not picked.
        """
        uploads = [Path(p) for p in paths_of(values["lines"])]
        if uploads:
            return self._listed(session, uploads, people, path_of(values["output_soundtrack"]))
        path = path_of(values["speech"]) or path_of(values["recording"])
        if path is None:
            if values["output_soundtrack"]:
                # The lips follow the finished soundtrack.
                return [(tuple(people), ())]
            raise Say("speech_needed")
        kept = self._keep_upload(session, Path(path), "speech")
        duration = _seconds(values["speech_duration"])
        phones = path_of(values["phones"])
        if phones is not None:
            from facepick.engines.lipsync.timings import timings_of
        line = SpeechLine(
            path=str(kept),
            start_seconds=_seconds(values["speech_start"]),
            offset_seconds=_seconds(values["speech_offset"]),
            duration_seconds=duration or None,
            text=str(values["speech_text"] or "").strip() or None,
            phones=None if phones is None else timings_of(Path(phones), kept),
        )
        return [(tuple(people), (line,))]

    def _listed(
        self,
        session: Session,
        uploads: Sequence[Path],
        people: Sequence[str],
        soundtrack: str | None,
    ) -> list[tuple[tuple[str, ...], tuple[SpeechLine, ...]]]:
        from facepick.engines.lipsync.lines import read_lines

        # Beside an SRT a JSON file can only hold times of phones.
        lists = [p for p in uploads if p.suffix.lower() == ".srt"] or [
            p for p in uploads if p.suffix.lower() == ".json"
        ]
        sounds = [p for p in uploads if p not in lists and p.suffix.lower() not in TIMES]
        if len(lists) != 1:
            raise Say("lines_one_list")
        folder = self._side_by_side(session, uploads)
        audio = folder / plain_name(sounds[0].name, "speech") if len(sounds) == 1 else None
        if not sounds and soundtrack:
            # Lines without sounds of their own are cut from the finished mix.
            audio = self._keep_upload(session, Path(soundtrack), "speech")
        scan = self._scan_or_say(session)
        speakers: dict[str, list[SpeechLine]] = {}
        script = folder / plain_name(lists[0].name, "lines")
        for item in read_lines(script, audio=audio, beside=True):
            who = self._speaker(scan, item.person, people, item.line.start_seconds)
            speakers.setdefault(who, []).append(item.line)
        return [((who,), tuple(lines)) for who, lines in speakers.items()]

    def _speaker(self, scan: Scan, name: str | None, people: Sequence[str], start: float) -> str:
        if name is None:
            if len(people) == 1:
                return people[0]
            raise UserInputError(
                f"The line at {start:g} s does not say who speaks.",
                hint='Add "person" to the line, or pick one person only.',
            )
        (person,) = Selection((name,), include_unsure=True).resolve(scan)
        if person.id not in people:
            raise UserInputError(
                f"{person.label} speaks in the list and is not picked.",
                hint="Pick everybody who speaks in it, or take those lines out.",
            )
        return person.id

    def _side_by_side(self, session: Session, uploads: Sequence[Path]) -> Path:
        """The uploads in one folder, since a list names its sounds by their place beside it."""
        kept = [self._keep_upload(session, path, "speech") for path in uploads]
        mark = hashlib.sha256("|".join(map(str, kept)).encode()).hexdigest()[:12]
        folder = self.sessions.folder_of(session) / "uploads" / f"lines-{mark}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in kept:
            place = folder / path.name
            if not place.exists():
                try:
                    os.link(path, place)
                except OSError:
                    shutil.copyfile(path, place)
        return folder

    @explained("speech_note")
    def hear(self, session: Session, *values: Any) -> Changes:
        """Who is heard when, as the panel stands, and what the video is too short for."""
        from facepick.media.dub import line_seconds
        from facepick.media.timeline import KEEPS_LENGTH
        from facepick.render.sound import LEAST_UNHEARD_SECONDS, video_seconds

        named = self.page.plan_values(values)
        given = named["speech"] or named["recording"] or named["lines"]
        if session.scan is None or not session.picked or not given:
            return {"speech_note": shown("")}
        end = float(video_seconds(session.scan))
        rows: list[views.Row] = []
        for who, lines in self._lines(session, named, tuple(session.picked)):
            people = [session.scan.person(key) for key in who]
            for line in lines:
                stop = line.start_seconds + float(line_seconds(line))
                over = stop - end if named["output_length"] in KEEPS_LENGTH else 0.0
                rows.append(
                    {
                        "people": [(p.label, views.color_of(p.id)) for p in people],
                        "start": line.start_seconds,
                        "stop": stop,
                        "file": Path(line.path).name,
                        "words": line.text or "",
                        "over": over if over >= LEAST_UNHEARD_SECONDS else 0.0,
                    }
                )
        rows.sort(key=lambda row: float(row["start"]))
        return {"speech_note": shown(views.speech_view(rows, session.language))}

    def _no_speech(self) -> Changes:
        """The panel as it was at first, for the next person's speech."""
        return {
            "speech_note": shown(""),
            "speech": {"value": None},
            "recording": {"value": None},
            "speech_text": {"value": ""},
            "phones": {"value": None},
            "lines": {"value": None},
            "speech_start": {"value": 0},
            "speech_offset": {"value": 0},
            "speech_duration": {"value": 0},
        }


def _seconds(value: Any) -> float:
    return max(0.0, float(value or 0.0))
