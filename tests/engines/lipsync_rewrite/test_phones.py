from __future__ import annotations

import shutil

import numpy as np
import pytest
from tests.engines.lipsync_rewrite.conftest import LJSPEECH_WORDS

from facepick.engines.lipsync.rewrite import phones
from facepick.engines.lipsync.rewrite.acoustic import PHONES, PhoneScores, phone_scores
from facepick.engines.lipsync.rewrite.phones import (
    INDEX,
    SILENCE,
    align,
    phone_posteriors,
    pronounce,
)


def _names(word: tuple[int, ...]) -> list[str]:
    return [PHONES[p] for p in word]


@pytest.fixture
def no_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "spoken_ipa", lambda text, language: None)


@pytest.mark.usefixtures("no_espeak")
def test_english_words_come_from_the_dictionary() -> None:
    said = pronounce("My brother's MAP, please!")
    assert said is not None
    assert said.route == "dictionary"
    assert _names(said.words[0]) == ["M", "AY"]
    assert _names(said.words[2]) == ["M", "AE", "P"]
    assert len(said.words) == 4


@pytest.mark.usefixtures("no_espeak")
def test_other_languages_and_unknown_words_are_read_by_their_letters() -> None:
    said = pronounce("Schöne Bäume", language="de")
    assert said is not None
    assert said.route == "letters"
    assert _names(said.words[0]) == ["SH", "OW", "N", "EH"]
    assert _names(said.words[1])[0] == "B"
    unknown = pronounce("zzbpx")
    assert unknown is not None
    assert {"B", "P"} <= set(_names(unknown.words[0]))


@pytest.mark.usefixtures("no_espeak")
@pytest.mark.parametrize("text", ["", "  ", "?!…", "—"])
def test_nothing_to_say(text: str) -> None:
    assert pronounce(text) is None


def test_a_strange_language_never_reaches_the_command_line() -> None:
    said = pronounce("map", language="en; rm -rf /")
    assert said is None or said.route != "espeak-ng"


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize(
    ("text", "language", "lips"),
    [("Baum", "de", "B"), ("paix", "fr", "P"), ("妈妈", "cmn", "M"), ("папа", "ru", "P")],
)
def test_espeak_finds_the_lip_sounds_of_other_languages(
    text: str, language: str, lips: str
) -> None:
    said = pronounce(text, language=language)
    assert said is not None
    assert said.route == "espeak-ng"
    assert _names(said.words[0])[0] == lips


def _made_scores(sequence: list[tuple[str, int]]) -> PhoneScores:
    """Scores that know the answer: 0 for the state that is sounded, -10 for all others."""
    columns = sum(n for _, n in sequence)
    states = np.full((columns, len(PHONES), 3), -10.0, np.float32)
    at = 0
    for name, n in sequence:
        for k in range(n):
            states[at + k, INDEX[name], min(2, 3 * k // n)] = 0.0
        at += n
    return PhoneScores(states=states, features=np.zeros((columns, 39), np.float32))


def test_alignment_finds_the_true_times() -> None:
    truth = [("SIL", 12), ("M", 9), ("AE", 15), ("P", 6), ("SIL", 30), ("IY", 400), ("SIL", 5)]
    scores = _made_scores(truth)
    found = align(scores, [[INDEX["M"], INDEX["AE"], INDEX["P"]], [INDEX["IY"]]])
    assert found is not None
    assert [(PHONES[p], int(b - a)) for p, a, b in
            zip(found.phones, found.start, found.stop, strict=True)] == truth  # fmt: skip
    assert found.score == pytest.approx(0.0, abs=1e-4)
    assert found.posteriors(len(scores)).sum() == len(scores)


def test_words_without_a_pause_between_them_need_no_silence() -> None:
    scores = _made_scores([("M", 6), ("IY", 300), ("B", 6), ("AA", 300)])
    found = align(scores, [[INDEX["M"], INDEX["IY"]], [INDEX["B"], INDEX["AA"]]])
    assert found is not None
    assert [PHONES[p] for p in found.phones] == ["M", "IY", "B", "AA"]


def test_words_longer_than_the_sound_are_refused() -> None:
    assert align(_made_scores([("SIL", 8)]), [[INDEX["M"], INDEX["AE"], INDEX["P"]]]) is None


def test_posteriors_are_probabilities_and_hear_speech(ljspeech: np.ndarray) -> None:
    scores = phone_scores(ljspeech)
    assert len(scores) == -(-len(ljspeech) // 160)
    guessed = phone_posteriors(scores)
    np.testing.assert_allclose(guessed.sum(axis=1), 1.0, atol=1e-3)
    said = pronounce(LJSPEECH_WORDS)
    assert said is not None
    times = align(scores, said.words)
    assert times is not None
    # Chance is about 1 in 10: what the commonest phones would give.
    truth = times.posteriors(len(scores)).argmax(axis=1)
    assert (guessed.argmax(axis=1) == truth).mean() > 0.5


def test_windows_leave_no_seam(ljspeech: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = phone_scores(ljspeech[: 16_000 * 4])
    whole = phone_posteriors(scores)
    monkeypatch.setattr(phones, "WINDOW", 150)
    np.testing.assert_allclose(phone_posteriors(scores), whole, atol=0.01)


def test_silence_is_heard_as_silence() -> None:
    guessed = phone_posteriors(phone_scores(np.zeros(16_000, np.float32)))
    assert np.isfinite(guessed).all()
    assert (guessed.argmax(axis=1) == SILENCE).mean() > 0.9


def test_what_is_loud_is_never_heard_as_silence() -> None:
    # A dull hum, unlike any vowel of the model's speakers, between two pauses.
    time = np.arange(16_000) / 16_000
    hum = (0.3 * np.sin(2 * np.pi * 140 * time)).astype(np.float32)
    rest = np.zeros(8_000, np.float32)
    guessed = phone_posteriors(phone_scores(np.concatenate([rest, hum, rest])))
    assert guessed[60:140, SILENCE].max() < 0.1
    assert guessed[5:40, SILENCE].min() > 0.9
