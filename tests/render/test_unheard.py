"""Speech for which the video is too short is never left out without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sounds import silent_wav

from facepick.cli import main
from facepick.errors import UserInputError
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.render.report import read_report
from facepick.render.sound import unheard_speech
from facepick.speech.line import SpeechLine

pytestmark = pytest.mark.slow


def plan_of(lines: dict[str, tuple[SpeechLine, ...]], length: str = "cut") -> RenderPlan:
    return RenderPlan(
        video="clip.mp4",
        assignments=tuple(
            Assignment(selection=Selection((who,)), flow="lipsync", engine="rewrite", speech=spoken)
            for who, spoken in lines.items()
        ),
        output=OutputSettings(length=length),
    )


def test_what_goes_on_after_the_end(tmp_path: Path) -> None:
    two = str(silent_wav(tmp_path / "two.wav", 2.0))
    lines = {
        "P1": (SpeechLine(path=two), SpeechLine(path=two, start_seconds=4.5)),
        "P2": (
            SpeechLine(path=two, start_seconds=5.0, duration_seconds=1.5, offset_seconds=0.25),
            # A frame's worth of padding is no speech.
            SpeechLine(path=two, start_seconds=4.04),
        ),
    }
    found = unheard_speech(plan_of(lines), 6)
    assert [(u.file, u.people, u.start, u.seconds) for u in found] == [
        ("two.wav", ("P1",), 4.5, 0.5),
        ("two.wav", ("P2",), 5.0, 0.5),
    ]
    assert unheard_speech(plan_of(lines, "silence"), 6) == found
    for longer in ("loop", "bounce", "freeze"):
        assert unheard_speech(plan_of(lines, longer), 6) == ()


def test_a_line_that_skips_all_of_its_file_is_refused(tmp_path: Path) -> None:
    two = str(silent_wav(tmp_path / "two.wav", 2.0))
    with pytest.raises(UserInputError, match="holds nothing after 2 s"):
        unheard_speech(plan_of({"P1": (SpeechLine(path=two, offset_seconds=2.0),)}), 6)


def test_the_command_and_the_report_tell(
    odd: Callable[[str], Path],
    shared_media: Path,
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Eleven seconds of speech on a single frame, which is left alone: one open mouth is no
    footage to speak with."""
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    out = tmp_path / "out.mp4"
    speech = shared_media / "speech" / "en_jfk_m_11s_44k.flac"
    who = ["--person", "P1", "--flow", "lipsync", "--audio", str(speech)]
    assert main(["render", str(odd("one_frame.mp4")), "-o", str(out), *who]) == 0
    told = capsys.readouterr()
    assert "The last 11.0 s of en_jfk_m_11s_44k.flac are left out" in told.err
    assert "P1 lipsync: 0 of 1 frames changed (left alone:" in told.out
    assert [(u["people"], u["start"]) for u in read_report(out)["result"]["unheard"]] == [
        (["P1"], 0.0)
    ]
    assert main(["inspect", str(out)]) == 0
    assert "The last 11.0 s of en_jfk" in capsys.readouterr().err
