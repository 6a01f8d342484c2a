from __future__ import annotations

import numpy as np
import pytest
from tests.sounds import LJSPEECH_WORDS

from facepick.speech.acoustic import PHONES
from facepick.speech.align import INDEX
from facepick.speech.line import Speech, SpeechLine
from facepick.speech.visemes import (
    Curves,
    curves_of,
    lips_of,
    sampled,
    stop_dips,
)


def _one_hot(*parts: tuple[str, int]) -> np.ndarray:
    rows = [np.eye(len(PHONES), dtype=np.float32)[INDEX[p]] for p, n in parts for _ in range(n)]
    return np.stack(rows)


def test_lips_meet_in_a_short_p_and_open_in_a_long_a() -> None:
    opening, _, closure = lips_of(_one_hot(("AA", 20), ("P", 6), ("AA", 20)))
    assert opening[8] > 0.8
    assert opening[23] < 0.15
    assert closure[23] > 0.8
    assert closure[8] < 0.05


def test_a_t_of_the_same_length_closes_far_less() -> None:
    with_t, _, _ = lips_of(_one_hot(("AA", 20), ("T", 6), ("AA", 20)))
    assert with_t[23] > 0.3


@pytest.mark.parametrize(("labial", "shut"), [(0.5, True), (0.01, False)])
def test_a_closure_that_is_heard_is_whole_or_none(labial: float, shut: bool) -> None:
    guessed = _one_hot(("AA", 20), ("P", 6), ("AA", 20))
    guessed[20:26] = 0
    guessed[20:26, INDEX["P"]] = labial
    guessed[20:26, INDEX["T"]] = 1 - labial
    dips = np.zeros(len(guessed), np.float32)
    dips[20:26] = 0.9
    opening, _, closure = lips_of(guessed, dips=dips)
    assert (closure[23] > 0.9) == shut
    assert (opening[23] < 0.05) == shut
    # Where the phones are known, a dip says nothing new.
    never = np.ones(len(guessed), bool)
    _, _, told = lips_of(guessed, dips=dips, known=never)
    np.testing.assert_array_equal(told, lips_of(guessed)[2])


def test_rounded_and_spread_vowels() -> None:
    _, round_, _ = lips_of(_one_hot(("UW", 30)))
    _, spread, _ = lips_of(_one_hot(("IY", 30)))
    assert round_[15] < -0.5 < 0.5 < spread[15]


def test_a_gap_in_the_sound_is_a_stop() -> None:
    noise = np.random.default_rng(3).standard_normal(16_000).astype(np.float32) * 0.1
    noise[8_000:8_960] *= 0.001
    dips = stop_dips(noise)
    assert dips[50:56].max() > 0.9
    assert dips[:45].max() < 0.1


def test_known_words_are_taken_and_wrong_ones_refused(ljspeech: np.ndarray) -> None:
    def curves(text: str | None) -> Curves:
        return curves_of(
            Speech(samples=ljspeech, lines=(SpeechLine(path="a.wav", text=text),)),
            language="en-us",
        )

    right = curves(LJSPEECH_WORDS)
    wrong = curves("Peter Piper picked a peck of pickled peppers on the purple bumpy path")
    alone = curves(None)
    assert right.route == "words"
    assert wrong.route == "sound"
    assert [n.code for n in wrong.notices] == ["words_unlike_sound"]
    np.testing.assert_array_equal(wrong.opening, alone.opening)
    # Two independent ways to the same lips agree.
    assert np.corrcoef(right.opening, alone.opening)[0, 1] > 0.75


@pytest.mark.slow
def test_sound_stands_in_for_words_that_are_missing(ljspeech: np.ndarray) -> None:
    def curves(text: str | None) -> Curves:
        lines = (SpeechLine(path="a.wav", text=text),)
        return curves_of(Speech(samples=ljspeech, lines=lines), language="en-us")

    whole, half = curves(LJSPEECH_WORDS), curves(" ".join(LJSPEECH_WORDS.split()[:10]))
    assert [n.code for n in half.notices] == ["words_too_few"]
    assert not whole.notices
    assert np.corrcoef(whole.opening, half.opening)[0, 1] > 0.75


def test_silence_asks_for_closed_lips() -> None:
    silent = curves_of(
        Speech(samples=np.zeros(16_000, np.float32), lines=(SpeechLine(path="a.wav"),)),
        language="en-us",
    )
    assert silent.opening.max() < 0.1


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.3])
def test_very_short_speech(seconds: float) -> None:
    samples = np.full(max(1, int(16_000 * seconds)), 0.01, np.float32)
    found = curves_of(
        Speech(samples=samples, lines=(SpeechLine(path="a.wav", text="hello"),)),
        language="en-us",
    )
    assert len(found) >= 1
    assert np.isfinite(found.opening).all()


def test_sampling_past_the_end_holds_the_last_value() -> None:
    values = sampled(np.linspace(0, 1, 11, dtype=np.float32), np.array([0.0, 0.05, 5.0]))
    assert values[1] == pytest.approx(0.5, abs=0.02)
    assert values[2] == 1.0


def test_a_guess_between_two_phones_still_moves_the_lips() -> None:
    """Half "n", half "ae" all the time, now more of the one, now of the other."""
    more = 0.5 + 0.1 * np.sin(np.arange(300) * 2 * np.pi / 30)
    guessed = np.zeros((300, len(PHONES)), np.float32)
    guessed[:, INDEX["AE"]], guessed[:, INDEX["N"]] = more, 1 - more
    dips = np.zeros(300, np.float32)
    told = lips_of(guessed, dips=dips, known=np.ones(300, bool))[0]
    heard = lips_of(guessed, dips=dips)[0]
    middle = slice(60, 240)
    assert heard[middle].std() > 2 * told[middle].std()
    assert np.corrcoef(heard[middle], told[middle])[0, 1] > 0.99
    silent = _one_hot(("SIL", 300))
    quiet = 0.9 * silent + 0.1 * guessed
    assert lips_of(quiet, dips=dips)[0].std() < 0.05
