from __future__ import annotations

import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from tests.sounds import LJSPEECH_WORDS

from facepick.speech import acoustic, espeak
from facepick.speech import align as aligner
from facepick.speech.acoustic import PHONES, PhoneScores, phone_scores
from facepick.speech.align import (
    INDEX,
    SILENCE,
    adapted,
    align,
    phone_posteriors,
    pronounce,
    shut_stops,
)


def _names(word: tuple[int, ...]) -> list[str]:
    return [PHONES[p] for p in word]


@pytest.fixture
def no_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligner, "spoken_ipa", lambda text, language: None)


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


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("language", ["cmn", "zh"])
def test_mandarin_is_not_read_as_english_letters_and_numbers(language: str) -> None:
    # espeak-ng 1.51 says "ma one ma one" with its voice cmn.
    said = pronounce("妈妈", language=language)
    assert said is not None
    assert [n for word in said.words for n in _names(word)] == ["M", "AA", "M", "AA"]


@pytest.mark.skipif(
    find_spec("espeakng_loader") is None, reason="the wheel espeakng-loader is not installed"
)
def test_the_library_speaks_where_the_program_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak.shutil, "which", lambda name: None)
    said = pronounce("Der Baum", language="de")
    assert said is not None
    assert said.route == "espeak-ng"
    assert _names(said.words[1]) == ["B", "AW", "M"]
    assert espeak.spoken_ipa("Baum", "xx") is None


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
    monkeypatch.setattr(aligner, "WINDOW", 150)
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


def test_a_silent_closure_belongs_to_its_stop() -> None:
    scores = _made_scores([("M", 9), ("AE", 15), ("SIL", 8), ("P", 6), ("IY", 20), ("SIL", 9)])
    # To the model this silence is, if anything, a vowel that fades.
    scores.states[24:32, INDEX["AE"]] = -8.0
    word = [[INDEX[p] for p in ("M", "AE", "P", "IY")]]
    starts = []
    for heard in (scores, shut_stops(scores)):
        found = align(heard, word)
        assert found is not None
        starts.append(int(found.start[list(found.phones).index(INDEX["P"])]))
    assert starts[0] >= 30
    assert starts[1] == 24


def test_a_voice_that_the_model_mistakes_is_learnt_from_its_own_phones() -> None:
    # "AA M" six times.  For 3 columns after each edge the model would rather hear the phone before;
    # the features tell the two apart by 5 deviations.
    rng = np.random.default_rng(1)
    truth = [("AA", 22), ("M", 18)] * 6
    scores = _made_scores(truth)
    labels = np.repeat([name == "M" for name, _ in truth], [n for _, n in truth])
    features = scores.features
    features[:] = rng.standard_normal(features.shape)
    features[:, 0] += 5.0 * labels
    edges = np.flatnonzero(np.diff(labels)) + 1
    for edge in edges:
        scores.states[edge : edge + 3] = -1.0
        scores.states[edge : edge + 3, INDEX["M" if labels[edge - 1] else "AA"]] = 0.0
    words = [[INDEX["AA"], INDEX["M"]]] * 6
    before = align(scores, words)
    assert before is not None
    after = before
    for _ in range(aligner.VOICE_PASSES):
        again = align(adapted(scores, after.posteriors(len(scores))), words)
        assert again is not None
        after = again
    wrong = [int(np.abs(found.start[1:] - edges).sum()) for found in (before, after)]
    assert wrong[0] >= 3 * len(edges)
    assert wrong[1] <= len(edges)


def test_a_voice_is_not_learnt_from_too_little() -> None:
    scores = _made_scores([("M", 9), ("AE", 15)])
    assert adapted(scores, np.zeros((24, len(PHONES)), np.float32)) is scores
    assert adapted(scores, np.full((24, len(PHONES)), 1 / 42, np.float32)) is scores


def test_learning_a_natural_voice_moves_little(ljspeech: np.ndarray) -> None:
    scores = shut_stops(phone_scores(ljspeech))
    said = pronounce(LJSPEECH_WORDS)
    assert said is not None
    before = align(scores, said.words)
    assert before is not None
    after = align(adapted(scores, before.posteriors(len(scores))), said.words)
    assert after is not None
    rows = [found.posteriors(len(scores)).argmax(axis=1) for found in (before, after)]
    assert (rows[0] == rows[1]).mean() > 0.85


def test_a_familiar_voice_is_heard_as_the_model_hears_it(ljspeech: np.ndarray) -> None:
    scores = phone_scores(ljspeech[: 16_000 * 3])
    heard = phone_posteriors(scores)
    # The same, as if nothing in the model were near this voice.
    strange = PhoneScores(states=scores.states - 60.0, features=scores.features)
    learnt = phone_posteriors(strange)
    np.testing.assert_allclose(learnt.sum(axis=1), 1.0, atol=1e-3)
    np.testing.assert_array_equal(heard, aligner._loop_posteriors(scores))
    assert not np.allclose(learnt, heard, atol=0.05)


@pytest.mark.slow
def test_a_longer_vocal_tract_is_heard_alike(
    ljspeech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Played a sixth slower her formants are those of a large man.
    speech = ljspeech[: 16_000 * 5]
    at = np.arange(0, len(speech) - 1, 1 / 1.17)
    slow = np.interp(at, np.arange(len(speech)), speech).astype(np.float32)
    columns = np.minimum((np.arange(len(slow) // 160) / 1.17).astype(int), len(speech) // 160 - 1)

    def agreement() -> float:
        normal = phone_posteriors(phone_scores(speech))[columns]
        other = phone_posteriors(phone_scores(slow))[: len(columns)]
        return float((normal.argmax(axis=1) == other.argmax(axis=1)).mean())

    adjusted = agreement()
    monkeypatch.setattr(acoustic, "WARP_STEP", 0.0)
    assert adjusted > agreement() + 0.03
