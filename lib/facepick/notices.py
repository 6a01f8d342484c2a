"""Notices: what a result is not as its maker may expect, told in words wherever people look.

No error: the work goes on.  A notice is made where something is found out, and shown by the
command line, ``inspect``, the list of jobs, HTTP, the review page and the tab.  Its English
sentence stands here, those of other languages in ``data/notices``, by their code; ``.page`` in a
name means words for a page.
"""

from __future__ import annotations

import contextlib
import json
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

__all__ = [
    "ESPEAK_HOW",
    "SENTENCES",
    "Fact",
    "Notice",
    "as_notices",
    "notices_of_result",
    "sentence_from",
    "without_repeats",
]

Fact = str | int | float

_LANGUAGES = Path(__file__).parent / "data" / "notices"

ESPEAK_HOW = (
    "apt install espeak-ng (Debian, Ubuntu), brew install espeak-ng (macOS), winget install "
    "eSpeak-NG.eSpeak-NG (Windows), or pip install espeakng-loader"
)

SENTENCES: dict[str, str] = {
    # Of lines and their people.
    "lines_unnamed": "{file}: lines that name nobody ({lines}) are given to {who}.",
    "lines_by_sight": (
        "{file}: who speaks the lines that name nobody ({lines}) was found out from the video. "
        "See and correct it: facepick speakers VIDEO --lines {file}"
    ),
    "lines_unsure": (
        "{file}: of {lines} lines it is unsure who speaks, or nobody is seen to: they are heard, "
        "and no mouth is changed for them (at {times} s). Say who it is: facepick speakers VIDEO "
        "--lines {file} numbers them, and with --set L1=P1 the first is P1's."
    ),
    "voices_rough": (
        "Voices are told apart roughly without their network: more lines are unsure, and some may "
        "be given to somebody else. Fetch it once: facepick models fetch speakers"
    ),
    "lines_of_others": (
        "{file}: lines of {names} ({lines}) are left out and not heard, for nobody who is picked "
        "is called so. Pick them too, or give somebody that name."
    ),
    "names_as_words": (
        "{file}: what stands before a colon or in brackets is taken for words where nobody is "
        "called so ({names}; lines: {lines}). Give somebody that name, or write [{first}]: if it "
        "is one."
    ),
    "cues_shared": (
        "{file}: cues in which several people speak ({lines}) are shared in proportion to their "
        "words."
    ),
    "line_after_end": (
        "{file}: lines that begin after the end of the video, at {end:.1f} s, are left out "
        "({lines}, the first at {start:.1f} s)."
    ),
    "line_off_screen": (
        "{who} is not on screen during the line at {start:.1f} s ({seconds:.1f} s long): it is "
        "heard, but no mouth says it."
    ),
    # Of speech and its words.
    "speech_cut": (
        "The last {seconds:.1f} s of {file} are left out: the video ends before. Make it longer "
        "with --length freeze, loop or bounce."
    ),
    # Of what is heard.
    "music_drops_out": (
        "During the lines music and effects of the original are off with its voices. --original "
        "duck only lowers them; --background takes a stem of music and effects, and --separate "
        "voices makes one."
    ),
    "line_too_long": "{file} is {seconds:.1f} s longer than its line at {start:.1f} s.",
    "options_unused": (
        "{file} is the sound of the result as it is; {options} and loudness do not apply."
    ),
    "background_whole": (
        "{file} is heard in the original's place all the time; {options} does not apply."
    ),
    "voice_disguised": (
        "The voices of who is hidden are disguised in {stretches} stretches, {seconds:.1f} s in "
        "all. Sounds without words, such as a laugh, may have been missed."
    ),
    "voice_unsure": (
        "In {seconds:.1f} s of these it is unsure who speaks (at {times} s). See and correct it: "
        "facepick speakers VIDEO"
    ),
    "voice_not_heard": (
        "Nobody who is hidden is heard to speak, so no voice is disguised. See who speaks: "
        "facepick speakers VIDEO"
    ),
    "voice_other_tracks": (
        "{tracks} further sound tracks are left out: the voices could be heard in them."
    ),
    "voice_brought": "The sound is brought or muted, so --voice disguise changes nothing in it.",
    "nothing_to_separate": (
        "The original is kept in the lines as it was; --separate does not apply."
    ),
    "sound_too_short": "{file} ends {seconds:.1f} s before the video; the rest is silent.",
    "sound_too_long": "The last {seconds:.1f} s of {file} are left out: the video ends before.",
    "picture_stretched": (
        "The picture is played {factor:.2f} times as long, to end with the speech. The original's "
        "sound cannot go with it and is left out."
    ),
    "no_voice": "{who}: no voice is heard in the speech while the person is seen.",
    "no_mouths": (
        "{who}: nothing was changed, for the clip shows this mouth too rarely or too small to "
        "learn it. Take a longer part of the video, or another engine."
    ),
    "learnt_from_part": (
        "{who}: this preview has learnt from {used} of {whole} frames, those near it and well seen "
        "ones; the whole render learns from all and may choose other mouths or light."
    ),
    "swap_close_up": (
        "{who}: the face is {percent} % as high as the picture. So near, the built-in swap is seen "
        "for what it is: eyes, teeth and the shape of the head stay those on screen. Close-ups "
        "need a network's model files, see docs/face-swap.md."
    ),
    "swap_beard": (
        "{who}: one of the two faces has a beard and the other has none. The built-in swap paints "
        "over a filmed one and thins out a new one, which is seen from near; a network's model "
        "files do it better, see docs/face-swap.md."
    ),
    "words_unread": (
        "{who}: words are not used (lines: {lines}), for reading {language} needs espeak-ng, which "
        "is not here. Get it with " + ESPEAK_HOW + "."
    ),
    "words_spelled": (
        "{who}: words are read letter by letter (lines: {lines}), for saying {language} rightly "
        "needs espeak-ng, which is not here. Get it with " + ESPEAK_HOW + "."
    ),
    "words_unlike_sound": (
        "{who}: the words of the line at {start:.1f} s do not fit its sound and are not used; the "
        "lips follow the sound. Check the words and their language."
    ),
    "words_too_few": (
        "{who}: the words of the line at {start:.1f} s leave {seconds:.1f} s of its sound "
        "unexplained; there the lips follow the sound."
    ),
    "phones_unknown": (
        "{file}: not known and left to the sound are {names} ({phones} of {all} phones)."
    ),
    "phones_after_end": "{file}: {phones} entries after the end of the sound are left out.",
    # Of the people.
    "corrections_unread": (
        "The corrections made to this video before cannot be read ({problem}) and are not applied. "
        "They are kept in {kept}; a newer facepick may read them."
    ),
    # Of the source.
    "stream_left_out": "The result is without the source's {what}.",
    "source_damaged": "{file}: damaged parts of the source ({parts}) were passed over.",
    # Of another version, known by its words only.
    "other": "{text}",
}
"""Sentence by code; a fact in braces is a value of `Notice.facts`."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing that people should know.

    Attributes:
        code: a key of `SENTENCES`.
        facts: the values that its sentence names.
        person: id or name of whom it is about; empty where it is about nobody.
        start: seconds into the video at which it matters, or None.
    """

    code: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    person: str = ""
    start: float | None = None

    def __post_init__(self) -> None:
        if self.code not in SENTENCES:
            raise ValueError(f"There is no notice {self.code!r}.")
        if not all(isinstance(value, str | int | float) for value in self.facts.values()):
            raise ValueError(f"Facts of {self.code!r} must be texts or numbers.")
        self.sentence()

    def sentence(self, language: str = "en") -> str:
        """Say it in a language; in English where there are no words of that language."""
        return sentence_from(_translations(language).get(self.code) or SENTENCES[self.code], self)

    def plain(self, language: str = "en") -> str:
        """Say it to readers of a page, who type no commands: what to do is named as it stands
        there."""
        words = _translations(f"{language}.page").get(self.code)
        return sentence_from(words, self) if words else self.sentence(language)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON with the sentence, for readers that do not know the code."""
        return {
            "code": self.code,
            "text": self.sentence(),
            "person": self.person or None,
            "start": self.start,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, data: Any) -> Notice:
        """Read what `to_json` gave; a notice of another version keeps its words."""
        entry: Mapping[str, Any] = data if isinstance(data, Mapping) else {"text": str(data)}
        person, start = entry.get("person"), entry.get("start")
        who = person if isinstance(person, str) else ""
        when = float(start) if isinstance(start, int | float) else None
        try:
            facts = dict(entry.get("facts") or {})
            return cls(code=entry["code"], facts=facts, person=who, start=when)
        except (KeyError, TypeError, ValueError):
            words = {"text": str(entry.get("text", ""))[:500]}
            return cls(code="other", facts=words, person=who, start=when)


@cache
def _translations(language: str) -> dict[str, str]:
    file = _LANGUAGES / f"{language}.json"
    if not file.is_file():
        return {}
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return found


def sentence_from(template: str, notice: Notice) -> str:
    """Fill the facts of a notice into a sentence.

    Raises:
        ValueError: it names a fact that the notice does not have, or of another kind.
    """
    values = {"who": notice.person, "start": notice.start or 0.0, **notice.facts}
    try:
        return string.Formatter().vformat(template, (), values)
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(f"A notice {notice.code!r} lacks {error}.") from error


def as_notices(data: Any) -> tuple[Notice, ...]:
    """Read notices of a report or a job."""
    return tuple(Notice.from_json(item) for item in data) if isinstance(data, list | tuple) else ()


def without_repeats(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Keep each once, in order."""
    kept: list[Notice] = []
    for item in notices:
        if item not in kept:
            kept.append(item)
    return tuple(kept)


def notices_of_result(result: Mapping[str, Any]) -> tuple[Notice, ...]:
    """Read the notices of what a job has made, also of one done before there were notices."""
    if "notices" in result:
        return as_notices(result["notices"])
    found = []
    for entry in result.get("unheard") or ():
        # A report may have been written by hand.
        with contextlib.suppress(KeyError, TypeError, ValueError):
            facts = {"file": entry["file"], "seconds": float(entry["seconds"])}
            found.append(Notice(code="speech_cut", start=float(entry["start"]), facts=facts))
    for phrase in result.get("left_out") or ():
        found.append(Notice(code="stream_left_out", facts={"what": str(phrase)}))
    closed, left = result.get("closed") or {}, result.get("left") or {}
    for what, frames in (result.get("changed") or {}).items():
        person, _, flow = what.partition(" ")
        only_shut = frames == closed.get(what, 0)
        if flow == "lipsync" and only_shut and (frames or "silence" in left.get(what, {})):
            found.append(Notice(code="no_voice", person=person))
    return tuple(found)
