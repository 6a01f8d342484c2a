"""What a listener may not expect of a result is told, once, and nothing is told in vain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.sounds import silent_wav

from facepick.people.selection import Selection
from facepick.render.notices import sound_notices
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.speech.line import SpeechLine
from facepick.speech.spoken import SPOKEN

SECONDS = 6


@pytest.fixture
def said(tmp_path: Path) -> Any:
    """What is told of a plan with a line of two seconds."""
    spoken = str(silent_wav(tmp_path / "line.wav", 2.0))

    def of(
        *,
        given: tuple[str, ...] = (),
        has_sound: bool = True,
        cue: float | None = None,
        **output: Any,
    ) -> list[str]:
        line = SpeechLine(path=spoken, start_seconds=1.5, cue_seconds=cue)
        item = Assignment(
            selection=Selection(("P1",)), flow="lipsync", engine="rewrite", speech=(line,)
        )
        plan = RenderPlan(video="clip.mp4", assignments=(item,), output=OutputSettings(**output))
        found = sound_notices(plan, SECONDS, has_sound=has_sound, given=given)
        return [notice.sentence() for notice in found]

    return of


def test_music_drops_out_only_where_it_does(said: Any, tmp_path: Path) -> None:
    stem = str(silent_wav(tmp_path / "stem.wav", SECONDS))
    (sentence,) = said()
    assert "music" in sentence
    assert "--original duck" in sentence
    for quiet in (
        {"original": "duck"}, {"original": "keep"}, {"original": "mute"}, {"background": stem},
        {"soundtrack": stem}, {"separate": "voices"}, {"has_sound": False},
    ):  # fmt: skip
        assert said(**quiet) == [], quiet


def test_options_that_do_not_apply(said: Any, tmp_path: Path) -> None:
    mix = str(silent_wav(tmp_path / "mix.wav", SECONDS))
    (sentence,) = said(soundtrack=mix, original="duck", background=mix, separate="voices")
    assert "mix.wav is the sound of the result" in sentence
    assert "--original, --background, --separate and loudness do not apply" in sentence
    # Asked for by name, the usual value is told, too.
    assert "--original and loudness" in said(soundtrack=mix, given=("original", "soundtrack"))[0]
    assert said(soundtrack=mix, given=("soundtrack",)) == []
    (sentence,) = said(background=mix, original="keep")
    assert "--original keep does not apply" in sentence
    (sentence,) = said(separate="voices", original="keep")
    assert "--separate does not apply" in sentence


def test_a_dub_longer_than_its_line(said: Any) -> None:
    assert "line.wav is 0.5 s longer than its line at 1.5 s." in said(cue=1.5, original="duck")
    assert said(cue=2.0, original="duck") == said(cue=3.0, original="duck") == []


def test_a_line_that_a_command_spoke_is_called_by_its_words(tmp_path: Path) -> None:
    (tmp_path / SPOKEN).mkdir()
    sound = str(silent_wav(tmp_path / SPOKEN / "0a1b.wav", 2.0))
    line = SpeechLine(path=sound, text="Good morning, and welcome.", cue_seconds=1.5)
    item = Assignment(
        selection=Selection(("P1",)), flow="lipsync", engine="rewrite", speech=(line,)
    )
    plan = RenderPlan(video="clip.mp4", assignments=(item,), output=OutputSettings())
    told = [notice.sentence() for notice in sound_notices(plan, SECONDS, has_sound=True)]
    assert any(s.startswith("'Good morning, and welcome.' is 0.5 s longer") for s in told)


def test_sound_of_another_length(said: Any, tmp_path: Path) -> None:
    short, long = (str(silent_wav(tmp_path / f"{s}.wav", s)) for s in (4.0, 8.0))
    near = str(silent_wav(tmp_path / "near.wav", SECONDS + 0.3))
    assert said(background=short) == ["4.0.wav ends 2.0 s before the video; the rest is silent."]
    assert said(soundtrack=long) == [
        "The last 2.0 s of 8.0.wav are left out: the video ends before."
    ]
    assert said(background=long, length="freeze") == []
    assert said(soundtrack=near) == []


def test_a_stretched_picture(said: Any, tmp_path: Path) -> None:
    (sentence,) = said(length="remap")
    assert "0.58 times as long" in sentence
    assert "left out" in sentence
    mix = str(silent_wav(tmp_path / "mix.wav", 9.0))
    assert said(length="remap", soundtrack=mix) == []
    assert said(length="remap", has_sound=False) == []
