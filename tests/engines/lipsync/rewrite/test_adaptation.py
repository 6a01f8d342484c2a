"""Faces that are made up: their mouths move as the table asks of a recording, with noise."""

from __future__ import annotations

import numpy as np
import pytest

from facepick.engines.lipsync.rewrite.adaptation import listen
from facepick.speech.line import Speech, SpeechLine
from facepick.speech.visemes import curves_of, sampled, smooth

pytestmark = pytest.mark.slow


def _face(said: np.ndarray, seconds: np.ndarray, noise: float, seed: int = 5) -> np.ndarray:
    speech = Speech(samples=said, lines=(SpeechLine(path="said"),))
    curves = curves_of(speech, language="en-us")
    asked = np.stack([sampled(c, seconds) for c in (curves.opening, curves.width)], axis=1)
    asked = (asked - asked.mean(axis=0)) / asked.std(axis=0)
    wander = np.random.default_rng(seed).standard_normal((len(seconds), 3)).astype(np.float32)
    wander = smooth(wander, 0.08, 0.04)
    shape = asked[:, [0, 1, 0]] + noise * wander / wander.std()
    return np.asarray(shape, np.float32)


def test_people_are_not_taught_by_voices_heard_without_them(
    jfk: np.ndarray, ljspeech: np.ndarray
) -> None:
    """He speaks; then she does, and he is seen listening for two seconds of her seven."""
    said = np.concatenate([jfk / jfk.std(), ljspeech / ljspeech.std()]).astype(np.float32) * 0.05
    seconds = np.arange(0, 13.0, 0.04)
    own = listen(said, seconds, _face(said, seconds, noise=0.7))
    assert own is not None
    assert own.spoken[seconds < 11.0].mean() > 0.5
    assert not own.spoken[seconds > 11.3].any()
    everything = np.arange(0, 18.6, 0.04)
    both = listen(said, everything, _face(said, everything, noise=0.7))
    assert both is not None
    assert both.spoken[everything > 11.3].mean() > 0.5


def test_a_repeated_scene_is_no_evidence(jfk: np.ndarray) -> None:
    """Noise of a mouth that is seen twice with the same sound is not learned by heart."""
    once = np.arange(0, 10.9, 0.04)
    twice = listen(
        np.tile(jfk, 2),
        np.concatenate([once, once + len(jfk) / 16_000]),
        np.tile(_face(jfk, once, noise=2.0), (2, 1)),
        np.repeat([0, 1], len(once)),
    )
    assert twice is not None
    assert twice.r[0] < twice.table_r + 0.04


def test_a_habit_is_learned(jfk: np.ndarray) -> None:
    """A mouth that opens for what the table calls rounding."""
    seconds = np.arange(0, 10.9, 0.04)
    shape = _face(jfk, seconds, noise=0.5)
    shape[:, 0] -= 1.5 * shape[:, 1]
    own = listen(jfk, seconds, shape)
    if own is None:
        pytest.fail("the person was not found speaking")
    assert own.r[0] > own.table_r + 0.1
    assert own.r[0] > 0.6
    assert own.share > 0.0


def test_shots_of_other_size_do_not_count_as_moves(jfk: np.ndarray) -> None:
    """A shot in which all mouths measure larger changes neither figure."""
    seconds = np.arange(0, 10.9, 0.04)
    shape = _face(jfk, seconds, noise=0.7)
    shots = (seconds > 5.0).astype(np.int64)
    plain = listen(jfk, seconds, shape, shots)
    shifted = listen(jfk, seconds, shape + 3.0 * shots[:, None].astype(np.float32), shots)
    assert plain is not None
    assert shifted is not None
    assert shifted.r == pytest.approx(plain.r, abs=0.02)
