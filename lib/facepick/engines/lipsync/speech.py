"""New speech of one person, from lines to samples."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from facepick.media.dub import OriginalSound, analysis_original, analysis_speech
from facepick.progress import CancelToken, never
from facepick.speech.line import Speech, SpeechLine

__all__ = ["person_speech"]


def person_speech(
    lines: Sequence[SpeechLine],
    *,
    seconds: Fraction | float,
    original: OriginalSound | None = None,
    cancel: CancelToken = never,
) -> Speech:
    """Mix one person's lines on the output's clock, 16 kHz mono, `seconds` long.

    Args:
        lines: of one person.
        seconds: length of the output.
        original: the video's own sound, when it has some.

    Raises:
        NoAudioError, VideoOpenError: a line's file has no sound.
    """
    return Speech(
        samples=analysis_speech(lines, seconds=seconds, cancel=cancel),
        lines=tuple(lines),
        original=None
        if original is None
        else analysis_original(original, seconds=seconds, cancel=cancel),
    )
