from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facepick.errors import Cancelled, ModelMismatchError
from facepick.progress import CancelToken
from facepick.speech.vad import (
    STEP_SECONDS,
    Stretch,
    speech_probability,
    speech_stretches,
)


@pytest.fixture(scope="module")
def spoken(shared_media: Path) -> np.ndarray:
    """LJ Speech: 7.66 s of one woman reading; pauses at about 2.1, 4.3 and 6.3 s."""
    import wave

    with wave.open(str(shared_media / "speech" / "en_ljspeech_f_22k.wav")) as file:
        rate, data = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
    at = np.arange(int(len(samples) / rate * 16_000)) * (rate / 16_000)
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


def test_speech_is_found_and_its_pauses_too(spoken: np.ndarray, vad_model: Path) -> None:
    silence = np.zeros(16_000 * 2, np.float32)
    audio = np.concatenate([silence, spoken, silence])
    stretches = speech_stretches(speech_probability(audio, model=vad_model))
    assert stretches[0].start == pytest.approx(2.0, abs=0.15)
    assert stretches[-1].stop == pytest.approx(2.0 + len(spoken) / 16_000, abs=0.25)
    for pause in (2.0 + 2.08, 2.0 + 6.28):
        assert not any(s.start < pause < s.stop for s in stretches), stretches
    assert sum(s.stop - s.start for s in stretches) > 6


def test_a_recording_at_minus_forty_decibels_speaks_as_well(
    spoken: np.ndarray, vad_model: Path
) -> None:
    usual = speech_stretches(speech_probability(spoken, model=vad_model))
    quiet = speech_stretches(speech_probability(spoken * 0.01, model=vad_model))
    assert [s.start for s in quiet] == pytest.approx([s.start for s in usual], abs=0.05)


def test_silence_does_not_speak(vad_model: Path) -> None:
    probability = speech_probability(np.zeros(48_000, np.float32), model=vad_model)
    assert probability.shape == (94,)
    assert speech_stretches(probability) == ()
    assert speech_probability(np.zeros(0, np.float32), model=vad_model).shape == (0,)


def test_noise_does_not_speak(vad_model: Path) -> None:
    hiss = (0.05 * np.random.default_rng(1).standard_normal(48_000)).astype(np.float32)
    assert speech_stretches(speech_probability(hiss, model=vad_model)) == ()


def test_can_be_stopped(spoken: np.ndarray, vad_model: Path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        speech_probability(spoken, model=vad_model, cancel=token)


def test_another_network_is_refused(spoken: np.ndarray, seeded_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMismatchError, match="not silero VAD"):
        speech_probability(spoken, model=seeded_onnx)
    text = tmp_path / "vad.onnx"
    text.write_text("hello")
    with pytest.raises(ModelMismatchError, match="no ONNX model"):
        speech_probability(spoken, model=text)


def test_a_wavering_probability_does_not_chop_a_word() -> None:
    wavering = [0.0] * 10 + [0.9, 0.4, 0.9, 0.45, 0.9] * 4 + [0.0] * 10
    (stretch,) = speech_stretches(wavering)
    assert stretch == Stretch(10 * STEP_SECONDS - 0.03, 30 * STEP_SECONDS + 0.03)


def test_short_pauses_are_bridged_and_clicks_dropped() -> None:
    speech, click = [1.0] * 20, [1.0]
    bridged = speech_stretches([*speech, *[0.0] * 4, *speech])
    assert len(bridged) == 1
    apart = speech_stretches([*speech, *[0.0] * 10, *click, *[0.0] * 10, *speech])
    assert len(apart) == 2


def test_speech_up_to_the_last_sample_ends_there() -> None:
    (stretch,) = speech_stretches([0.0] * 5 + [1.0] * 10)
    assert stretch.stop == pytest.approx(15 * STEP_SECONDS)


def test_a_stretch_has_a_length() -> None:
    with pytest.raises(ValueError, match="length"):
        Stretch(1.0, 1.0)
