"""Lines one by one: whose they are, what they sound like, and who the video shows to speak."""

from __future__ import annotations

import base64

from facepick_ui import views
from facepick_ui.background_tasks import BackgroundTask
from facepick_ui.changes import Changes, shown
from facepick_ui.handlers.context import Context, scan_of
from facepick_ui.handlers.event import Act
from facepick_ui.handlers.speech import Speech
from facepick_ui.handlers.standing import busy
from facepick_ui.session import Session

__all__ = ["Lines"]


class Lines:
    """Clicks on the desk of the lines."""

    PLACE = "speech_note"

    def __init__(self, context: Context, speech: Speech) -> None:
        self._context = context
        self._app = context.app
        self._speech = speech

    def acts(self) -> tuple[Act, ...]:
        """List what is answered of clicks on drawn places."""
        place = self.PLACE
        return (
            Act(verb="who", handler=self.say_who, outputs=(place,), place=place),
            Act(verb="hear", handler=self.hear_line, outputs=("line_player",), place=place),
            Act(verb="speakers", handler=self.find_speakers, outputs=(place,), place=place),
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
        """Play a line."""
        for said in session.said:
            if said.key == key:
                sound, _ = self._app.line_sound(said.line)
                uri = f"data:audio/wav;base64,{base64.b64encode(sound).decode()}"
                return {"line_player": shown(views.line_player(uri, said.line.text or ""))}
        return {}

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
