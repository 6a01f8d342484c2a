from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facepick.engines.lipsync.neural.mel import (
    MEL_FLOOR,
    mel_columns,
    mel_spectrogram,
    mel_window,
    window_start,
)


def noise(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(3).standard_normal(samples)).astype(np.float32)


def test_equals_the_reference_front_end(golden: Path) -> None:
    with np.load(golden / "wav2lip_mel_golden.npz") as recorded:
        mel = mel_spectrogram(recorded["wav"])
        assert mel.dtype == np.float32
        assert mel.shape == recorded["mel"].shape
        assert np.abs(mel - recorded["mel"]).max() < 1e-3


def test_slices_equal_the_whole_so_long_audio_can_be_worked_in_pieces() -> None:
    wav = noise(16_000 * 60)
    whole = mel_spectrogram(wav)
    pieces = [mel_columns(wav, at, min(at + 777, whole.shape[1])) for at in range(0, 4801, 777)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)


def test_silence_is_the_floor() -> None:
    assert (mel_spectrogram(np.zeros(16_000, np.float32)) == MEL_FLOOR).all()


@pytest.mark.parametrize("samples", [0, 1, 2, 199, 400, 401])
def test_audio_shorter_than_a_window_is_mirrored(samples: int) -> None:
    mel = mel_spectrogram(noise(samples))
    assert mel.shape == (80, 1 + samples // 200)
    assert np.isfinite(mel).all()


@pytest.mark.parametrize(
    ("time", "column"),
    [
        (Fraction(0), 0),
        (Fraction(1, 25), 3),
        (Fraction(2, 25), 6),
        (Fraction(5, 25), 16),
        # 0.7875 s is column 63 exactly; 80 * 0.7875 in floats of another frame rate may fall short.
        (Fraction(63, 80), 63),
        (Fraction(1001, 30_000) * 29, 77),
    ],
)
def test_window_starts_at_the_frames_exact_time(time: Fraction, column: int) -> None:
    assert window_start(time) == column


def test_a_frame_before_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="never negative"):
        window_start(Fraction(-1, 25))


def test_window_holds_the_columns_of_the_whole() -> None:
    wav = noise(16_000 * 3)
    whole = mel_spectrogram(wav)
    for frame in range(60):
        time = Fraction(frame, 25)
        start = window_start(time)
        np.testing.assert_array_equal(mel_window(wav, time), whole[:, start : start + 16])


def test_past_the_end_is_silence_and_no_sound_is_shown_twice() -> None:
    wav = noise(16_000)  # columns 0..80
    window = mel_window(wav, Fraction(9, 10))
    np.testing.assert_array_equal(window[:, :9], mel_spectrogram(wav)[:, 72:81])
    assert (window[:, 9:] == MEL_FLOOR).all()
    assert (mel_window(wav, Fraction(5)) == MEL_FLOOR).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_samples_are_refused(bad: float) -> None:
    wav = noise(1000)
    wav[500] = bad
    with pytest.raises(ValueError, match="finite"):
        mel_spectrogram(wav)


def test_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        mel_spectrogram(np.zeros((2, 100), np.float32))
