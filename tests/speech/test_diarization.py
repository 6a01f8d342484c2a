from __future__ import annotations

import numpy as np

from facepick.speech.diarization import voices


def test_two_people_who_take_turns_are_told_apart(jfk: np.ndarray, ljspeech: np.ndarray) -> None:
    parts = [jfk[:64_000], ljspeech[:48_000], jfk[64_000:128_000], ljspeech[48_000:112_000]]
    # As loud as each other: the voices are meant to be told apart, not the microphones' levels.
    heard = voices(np.concatenate([p / p.std() * 0.05 for p in parts]).astype(np.float32))
    truth = np.repeat([0, 1, 0, 1], [len(p) // 160 for p in parts])
    assert len(heard) == len(truth)
    spoken = heard >= 0
    assert set(heard[spoken]) == {0, 1}
    right = (heard == truth)[spoken].mean()
    assert max(right, 1 - right) > 0.9


def test_one_person_stays_one_voice(jfk: np.ndarray, ljspeech: np.ndarray) -> None:
    for said in (jfk, ljspeech):
        assert set(voices(said)) == {-1, 0}


def test_silence_and_very_short_sound_have_at_most_one_voice() -> None:
    assert set(voices(np.zeros(16_000, np.float32))) <= {-1, 0}
    assert set(voices(np.ones(10, np.float32))) == {-1}
