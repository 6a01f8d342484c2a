"""Sound files that tests make."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

LJSPEECH_WORDS = (
    "unless a system is established for the frequent formal review of activities thereunder. "
    "In this regard"
)
"""What `ljspeech` says."""

RATE = 16_000


def written_wav(path: Path, samples: npt.NDArray[np.int16]) -> Path:
    """16-bit mono at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def silent_wav(path: Path, seconds: float) -> Path:
    return written_wav(path, np.zeros(round(RATE * seconds), np.int16))


def pcm_wav(path: Path, samples: npt.NDArray[np.int16], rate: int) -> Path:
    """16-bit, (n, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    return path
