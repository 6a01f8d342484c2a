"""Mel spectrogram that Wav2Lip's audio encoder was trained on, in numpy alone.

After the public Wav2Lip front end (Prajwal et al., *A Lip Sync Expert Is All You Need for Speech
to Lip Generation In the Wild*, 2020): 16 kHz mono, pre-emphasis, a short-time Fourier transform
of 800 samples every 200, the Slaney mel filter bank (Slaney, *Auditory Toolbox*, 1998), decibels,
and a range of [-4, 4].  librosa is not used: its newer versions pad the ends of the signal with
zeros where the weights were trained with the signal mirrored, which moves the edge columns by up
to 0.6.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

from facepick.speech.spectrum import slaney_hz, slaney_mel, triangles, windows

__all__ = [
    "COLUMNS_PER_SECOND",
    "MEL_BANDS",
    "MEL_FLOOR",
    "WINDOW_COLUMNS",
    "mel_columns",
    "mel_count",
    "mel_spectrogram",
    "mel_window",
    "window_start",
]

FloatArray = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
MEL_BANDS = 80
HOP = 200
COLUMNS_PER_SECOND = SAMPLE_RATE // HOP
WINDOW_COLUMNS = 16
"""Columns that one video frame takes: 0.2 s."""
MEL_FLOOR = -4.0
"""What a band holds in silence."""

_N_FFT = 800
_PRE_EMPHASIS = np.float32(0.97)
_LOWEST_HZ, _HIGHEST_HZ = 55.0, 7600.0
_REFERENCE_DB, _LOWEST_DB = 20.0, -100.0
# 2048 columns of 800 float64 samples are 13 MB, whatever the length of the audio.
_COLUMNS_AT_ONCE = 2048


def mel_count(samples: int) -> int:
    """Count the columns that `mel_spectrogram` gives for this many samples."""
    return 1 + samples // HOP


def mel_spectrogram(wav16k: npt.ArrayLike) -> FloatArray:
    """Compute the whole mel spectrogram.

    Args:
        wav16k: (n,) mono samples in [-1, 1] at 16 kHz.

    Returns:
        (80, 1 + n // 200) float32 in [-4, 4]; column c is centred on sample 200 c.  Beyond both
        ends the signal is mirrored.  Worked out in slices, so that memory beside the result
        does not grow with the audio.

    Raises:
        ValueError: not one-dimensional, or NaN or infinity in it.
    """
    wav = _checked(wav16k)
    return mel_columns(wav, 0, mel_count(len(wav)))


def mel_columns(wav16k: npt.ArrayLike, start: int, stop: int) -> FloatArray:
    """Compute columns ``start <= c < stop`` of the spectrogram, the same values as in the whole.

    Columns before the first and past the last hold `MEL_FLOOR`: outside the audio it is silent.

    Returns:
        (80, stop - start) float32.

    Raises:
        ValueError: as `mel_spectrogram`.
    """
    wav = _checked(wav16k)
    mel = np.full((MEL_BANDS, max(0, stop - start)), MEL_FLOOR, np.float32)
    first, last = max(start, 0), min(stop, mel_count(len(wav)))
    for at in range(first, last, _COLUMNS_AT_ONCE):
        until = min(at + _COLUMNS_AT_ONCE, last)
        mel[:, at - start : until - start] = _columns(wav, at, until)
    return mel


def window_start(time: Fraction | float) -> int:
    """Find the first column of the frame shown at `time`: ``int(80 t)``, exact for a `Fraction`."""
    if time < 0:
        raise ValueError(f"a frame's time is never negative, got {time}")
    return int(COLUMNS_PER_SECOND * time)


def mel_window(wav16k: npt.ArrayLike, time: Fraction | float) -> FloatArray:
    """Cut the (80, 16) float32 columns that the network takes for the frame shown at `time`.

    They reach 0.2 s ahead of `window_start`.  Where the audio ends inside or before them, the
    rest is silence; the public scripts slide the last window back instead, which shows the last
    sounds again in the final 0.2 s.
    """
    start = window_start(time)
    return mel_columns(wav16k, start, start + WINDOW_COLUMNS)


def _checked(wav16k: npt.ArrayLike) -> FloatArray:
    wav = np.asarray(wav16k, np.float32)
    if wav.ndim != 1:
        raise ValueError(f"audio must be one-dimensional, got shape {wav.shape}")
    return wav


def _columns(wav: FloatArray, start: int, stop: int) -> FloatArray:
    """Compute columns of the signal's own range, in one go."""
    emphasised = _emphasised(wav, start * HOP - _N_FFT // 2, (stop - 1) * HOP + _N_FFT // 2)
    if not np.isfinite(emphasised).all():
        raise ValueError("audio must be finite, got NaN or infinity")
    frames = windows(emphasised, _N_FFT, HOP)
    spectrum = np.abs(np.fft.rfft(frames * _window(), axis=1))
    energy = _filter_bank() @ spectrum.T
    decibels = 20 * np.log10(np.maximum(1e-5, energy)) - _REFERENCE_DB
    scaled = 8 * (decibels - _LOWEST_DB) / -_LOWEST_DB + MEL_FLOOR
    return np.clip(scaled, MEL_FLOOR, -MEL_FLOOR).astype(np.float32)


def _emphasised(wav: FloatArray, start: int, stop: int) -> FloatArray:
    """Emphasise samples ``start <= i < stop``: ``x[i] - 0.97 x[i-1]``, mirrored beyond both
    ends."""
    count = len(wav)
    if count == 0:
        return np.zeros(stop - start, np.float32)
    index = np.arange(start, stop)
    if count == 1:
        index[:] = 0
    else:
        # Mirroring without repeating the end sample has the period 2 (n - 1).
        index = np.abs(index) % (2 * (count - 1))
        index = np.minimum(index, 2 * (count - 1) - index)
    before = np.where(index > 0, wav[np.maximum(index - 1, 0)], np.float32(0))
    return np.asarray(wav[index] - _PRE_EMPHASIS * before, np.float32)


@cache
def _window() -> npt.NDArray[np.float64]:
    """Build the periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)


@cache
def _filter_bank() -> npt.NDArray[np.float64]:
    """Build (80, 401) triangles on Slaney's mel scale, each of unit area."""
    edges = slaney_hz(np.linspace(slaney_mel(_LOWEST_HZ), slaney_mel(_HIGHEST_HZ), MEL_BANDS + 2))
    hz = np.arange(_N_FFT // 2 + 1) * (SAMPLE_RATE / _N_FFT)
    return triangles(edges, hz, unit_area=True)
