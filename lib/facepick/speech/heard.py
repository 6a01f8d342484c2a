"""Lines as they are heard: a sound to play, and its level to draw."""

from __future__ import annotations

import io
import wave
from fractions import Fraction

import numpy as np

from facepick.media.audio import read_audio
from facepick.progress import CancelToken, never
from facepick.speech.line import Speech, SpeechLine

__all__ = ["LEVEL_SECONDS", "line_sound"]

LEVEL_SECONDS = 0.05

MAX_SECONDS = 60
"""A minute is 1.9 MB: enough to hear what is said, and little enough for a page."""


def line_sound(line: SpeechLine, *, cancel: CancelToken = never) -> tuple[bytes, list[float]]:
    """Read a line's first minute.

    Returns:
        A WAV file, 16 kHz mono, and its level every `LEVEL_SECONDS`, in [0, 1].

    Raises:
        VideoOpenError, NoAudioError: its file has no sound.
    """
    rate = Speech.SAMPLE_RATE
    wanted = min(line.duration_seconds or MAX_SECONDS, MAX_SECONDS)
    end = Fraction(line.offset_seconds + wanted)
    samples, _ = read_audio(line.path, rate=rate, channels=1, duration=end, cancel=cancel)
    mono = samples[round(line.offset_seconds * rate) :, 0]
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((mono.clip(-1, 1) * 32767).astype("<i2").tobytes())
    hop = round(LEVEL_SECONDS * rate)
    whole = mono[: len(mono) // hop * hop].reshape(-1, hop)
    # 0 at -60 dB, 1 at full level.
    power = np.sqrt(np.maximum((whole.astype(np.float64) ** 2).mean(axis=1), 1e-12))
    level = np.clip(1 + 20 * np.log10(power) / 60, 0, 1)
    return file.getvalue(), [round(float(v), 3) for v in level]
