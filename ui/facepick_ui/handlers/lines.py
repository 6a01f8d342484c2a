"""Lines one by one: whose they are, what they sound like, and who the video shows to speak."""

from __future__ import annotations

import base64
import binascii
import tempfile
from dataclasses import replace
from pathlib import Path

from facepick.errors import UserInputError
from facepick.speech.line import SpeechLine
from facepick_ui import messages
from facepick_ui.background_tasks import BackgroundTask
from facepick_ui.changes import Changes, merged, shown
from facepick_ui.handlers.context import Context, scan_of
from facepick_ui.handlers.event import Act, names
from facepick_ui.handlers.problems import Say
from facepick_ui.handlers.renders import Renders
from facepick_ui.handlers.retakes import retaken
from facepick_ui.handlers.speech import Speech
from facepick_ui.handlers.standing import busy
from facepick_ui.lines_desk import line_strip
from facepick_ui.session import SaidLine, Session, Take

__all__ = ["Lines"]

AROUND_SECONDS = 1.0
"""How much more of a line's file can be let in before and after it: a cue cuts a mixed track short
by less."""

SHORTEST_SECONDS = 0.05

LARGEST_RECORDING = 12_000_000
"""Bytes: the page records a minute of 16 bit at 48 kHz at most, which is 5.8 MB, or 96 kHz."""

WAV_HEAD = "data:audio/wav;base64,"


class Lines:
    """Clicks on the desk of the lines."""

    PLACE = "speech_note"

    STRIP = "line_player"

    def __init__(self, context: Context, speech: Speech, renders: Renders) -> None:
        self._context = context
        self._app = context.app
        self._speech = speech
        self._renders = renders

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        place, strip = self.PLACE, self.STRIP
        heard = Speech.HEARD
        trimmed = names(heard, ("speech_offset", "speech_duration"))
        return (
            Act(verb="who", handler=self.say_who, outputs=heard, place=place),
            Act(verb="hear", handler=self.hear_line, outputs=(strip,), place=strip),
            Act(verb="trim", handler=self.trim, outputs=trimmed, place=strip),
            Act(verb="take", handler=self.take, outputs=heard, place=strip),
            Act(verb="untake", handler=self.untake, outputs=trimmed, place=strip),
            Act(verb="speakers", handler=self.find_speakers, outputs=heard, place=place),
            Act(verb="unstrip", handler=self.close, outputs=(strip,), place=strip),
            Act(verb="retake", handler=self.retake, outputs=Renders.OUTPUTS, place=strip),
        )

    def say_who(self, session: Session, argument: str) -> Changes:
        """Keep whose a line is: ``START=P2`` or ``START=off_screen``."""
        key, _, who = argument.partition("=")
        known = {said.key for said in session.said}
        if key in known and (who in session.picked or who == "off_screen"):
            session.line_who.setdefault(session.said_of, {})[key] = who
            self._context.save(session)
        return self._again(session)

    def hear_line(self, session: Session, key: str) -> Changes:
        """Play a line, and show where it begins and ends."""
        return self._strip(session, key, plays=True)

    def close(self, session: Session, _: str) -> Changes:
        """Put the strip away."""
        return {self.STRIP: shown("")}

    def trim(self, session: Session, argument: str) -> Changes:
        """Keep which part of a line's file is heard: ``START=FROM:TO``, seconds of the file.

        Raises:
            Say: nothing would be left.
        """
        key, _, span = argument.partition("=")
        said = _find(session, key)
        begin, end = _span(span)
        if said is None:
            return {}
        if not 0 <= begin <= end - SHORTEST_SECONDS:
            raise Say("line_too_short")
        if not session.said_of:
            # The one speech of the panel has fields of its own for that.
            return {
                "speech_offset": {"value": round(begin, 3)},
                "speech_duration": {"value": round(end - begin, 3)},
                self.STRIP: shown(""),
            }
        takes = session.line_takes.setdefault(session.said_of, {})
        takes[key] = replace(takes.get(key, Take()), begin=begin, end=end)
        return self._changed(session, key)

    def take(self, session: Session, argument: str) -> Changes:
        """Put a recording in the place of a line's sound: ``START=`` and a WAV file as data URI.

        Raises:
            UserInputError: it is no sound.
        """
        key, _, uri = argument.partition("=")
        if _find(session, key) is None or not session.said_of:
            return {}
        path = self._kept(session, key, _wav(uri))
        session.line_takes.setdefault(session.said_of, {})[key] = Take(path=str(path))
        return self._changed(session, key)

    def untake(self, session: Session, key: str) -> Changes:
        """Give a line back the sound it had."""
        if not session.said_of:
            none = {"value": 0}
            return {"speech_offset": none, "speech_duration": none, self.STRIP: shown("")}
        session.line_takes.get(session.said_of, {}).pop(key, None)
        return self._changed(session, key)

    def retake(self, session: Session, key: str) -> Changes:
        """Render the newest result again with this one line as it stands now.

        Raises:
            Say: there is no result, a render runs, or the line is in the result as it stands.
        """
        said = _find(session, key)
        if said is None:
            return {}
        if self._context.active(session, "render") is not None:
            raise Say("retake_busy")
        scan = scan_of(session)
        unsure = any(scan.person(p).unsure for p in said.people)
        number = session.said.index(said)
        plan = retaken(self._context, session, number, include_unsure=unsure)
        plan.validate(scan, self._app.registry)
        return self._renders.begin(session, lambda: (plan, ()))

    def find_speakers(self, session: Session, _: str) -> Changes:
        """Find out in the background who the video shows to speak; once a video."""
        scan = scan_of(session)
        session.task = BackgroundTask(
            lambda: self._app.who_speaks(scan),
            lambda _: self._found(session),
            self.PLACE,
        )
        return {self.PLACE: shown(busy(session.language))}

    def _found(self, session: Session) -> Changes:
        session.by_sight = True
        self._context.save(session)
        return self._again(session)

    def _again(self, session: Session) -> Changes:
        if session.heard is None:
            return {}
        return self._speech.hear(session, *session.heard)

    def _changed(self, session: Session, key: str) -> Changes:
        self._context.save(session)
        return merged(self._again(session), self._strip(session, key, plays=False))

    def _kept(self, session: Session, key: str, sound: bytes) -> Path:
        """Keep a recording in the user's own folder, if it can be read.

        Raises:
            VideoOpenError, NoAudioError: it cannot.
        """
        with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
            file = Path(folder) / f"recorded-{key}.wav"
            file.write_bytes(sound)
            self._app.line_seconds(SpeechLine(path=str(file)))
            return self._context.keep_upload(session, file, "speech")

    def _strip(self, session: Session, key: str, *, plays: bool) -> Changes:
        """Show a line's sound with a little more on both sides, and what is heard of it."""
        said = _find(session, key)
        if said is None:
            return {}
        own, line = said.own, said.line
        begin = max(0.0, own.offset_seconds - min(AROUND_SECONDS, own.start_seconds))
        end = own.offset_seconds + self._app.line_seconds(own) + AROUND_SECONDS
        whole = replace(own, offset_seconds=begin, duration_seconds=end - begin)
        sound, level = self._app.line_sound(whole)
        uri = f"data:audio/wav;base64,{base64.b64encode(sound).decode()}"
        who = [scan_of(session).person(p).label for p in said.people]
        strip = line_strip(
            said,
            uri,
            level,
            begin=begin,
            heard=(line.offset_seconds, line.offset_seconds + said.seconds),
            who=messages.listed(who, session.language),
            plays=plays,
            records=bool(session.said_of),
            language=session.language,
        )
        return {self.STRIP: shown(strip)}


def _find(session: Session, key: str) -> SaidLine | None:
    return next((said for said in session.said if said.key == key), None)


def _span(text: str) -> tuple[float, float]:
    """Read ``FROM:TO``.  Raises: Say, when it is not that."""
    begin, _, end = text.partition(":")
    try:
        return float(begin), float(end)
    except ValueError:
        raise Say("line_too_short") from None


def _wav(uri: str) -> bytes:
    """Read a WAV file that is a data URI.

    Raises:
        UserInputError: it is none, or too large.
    """
    if not uri.startswith(WAV_HEAD) or len(uri) > LARGEST_RECORDING * 4 // 3 + len(WAV_HEAD):
        raise UserInputError(
            "This is no recording of a line.", hint="Record a minute at most, and try again."
        )
    try:
        return base64.b64decode(uri.removeprefix(WAV_HEAD), validate=True)
    except binascii.Error:
        raise UserInputError("This is no recording of a line.", hint="Record it again.") from None
