"""Phones and words whose times were given."""

from __future__ import annotations

import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.sounds import LJSPEECH_WORDS

from facepick.measure.sync_report import SyncMeter
from facepick.speech.acoustic import PHONES, phone_scores
from facepick.speech.align import INDEX, SILENCE, align, pronounce
from facepick.speech.line import Speech, SpeechLine, Timed, Timings
from facepick.speech.timed_phones import given_phones
from facepick.speech.visemes import Curves, curves_of

# A pause, "baba", a stretch that nobody knows, "ma".
BABA = Timings(
    phones=(
        Timed(0.0, 0.5, "SIL"), Timed(0.5, 0.6, "B"), Timed(0.6, 0.8, "AA"),
        Timed(0.8, 0.9, "B"), Timed(0.9, 1.2, "AA"), Timed(1.6, 1.7, "M"), Timed(1.7, 2.0, "AA"),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(3).standard_normal(32_000).astype(np.float32) * 0.05


def curves(samples: np.ndarray, *lines: SpeechLine) -> Curves:
    return curves_of(Speech(samples=samples, lines=lines), language="en-us")


def phone_at(found: Curves, seconds: float) -> str:
    return PHONES[int(found.posteriors[round(100 * seconds)].argmax())]


def test_given_phones_are_taken_as_they_are(noise: np.ndarray) -> None:
    """Whatever the sound is like; only where nothing is known is it asked."""
    found = curves(noise, SpeechLine(path="a.wav", phones=BABA))
    assert found.route == "phones"
    assert found.notices == ()
    heard = curves(noise)
    for item in BABA.phones:
        rows = found.posteriors[round(100 * item.start) : round(100 * item.stop)]
        assert (rows[:, INDEX[item.label]] == 1).all()
    np.testing.assert_array_equal(found.posteriors[120:160], heard.posteriors[120:160])
    assert found.closure[55] == found.closure[85] == 1.0
    assert found.opening[70] > 0.8
    assert found.closure[70] < 0.2


def test_times_move_with_the_sound(noise: np.ndarray) -> None:
    """A line that starts later and skips the file's beginning."""
    line = SpeechLine(path="a.wav", start_seconds=0.4, offset_seconds=0.75, phones=BABA)
    found = curves(noise, line)
    # The second "B", 0.8 s into the file, is heard at 0.4 + 0.8 - 0.75 s.
    assert phone_at(found, 0.46) == "B"
    assert phone_at(found, 0.42) == "AA"
    assert phone_at(found, 0.6) == "AA"
    # What is cut off the end is not said.
    cut = SpeechLine(path="a.wav", duration_seconds=0.7, phones=BABA)
    np.testing.assert_array_equal(curves(noise, cut).posteriors[70:], curves(noise).posteriors[70:])


def test_short_closures_are_held_for_a_frame(noise: np.ndarray) -> None:
    """Espeak's "b" may last 20 ms, which no frame would show."""
    phones = (Timed(0.1, 0.5, "AA"), Timed(0.5, 0.52, "B"), Timed(0.52, 0.9, "AA"))
    found = curves(noise, SpeechLine(path="a.wav", phones=Timings(phones=phones)))
    shut = np.flatnonzero(found.posteriors[:90].argmax(axis=1) == INDEX["B"])
    np.testing.assert_array_equal(shut, np.arange(48, 53))
    assert found.closure[50] > 0.9
    assert found.opening[50] < 0.1


def test_lines_of_all_kinds_in_one_speech(ljspeech: np.ndarray, noise: np.ndarray) -> None:
    told = SpeechLine(path="a.wav", duration_seconds=2.0, phones=BABA)
    alone = SpeechLine(path="a.wav", start_seconds=2.0, duration_seconds=2.0)
    assert curves(np.concatenate([noise, noise]), told, alone).route == "phones and sound"
    read = SpeechLine(path="a.wav", start_seconds=2.0, text=LJSPEECH_WORDS)
    assert curves(np.concatenate([noise, ljspeech]), told, read).route == "phones and words"


@pytest.mark.slow
def test_words_are_found_about_where_they_were_told(ljspeech: np.ndarray) -> None:
    """Each edge is wrong by up to 80 ms."""
    off_by = 0.08
    labels = LJSPEECH_WORDS.replace(".", "").split()
    said = [pronounce(label) for label in labels]
    spoken = [tuple(p for word in one.words for p in word) for one in said if one is not None]
    scores = phone_scores(ljspeech)
    true = align(scores, spoken)
    assert true is not None
    voiced = [(int(a), int(b)) for p, a, b in zip(true.phones, true.start, true.stop, strict=True)
              if p != SILENCE]  # fmt: skip
    edges = np.cumsum([0, *map(len, spoken)])
    rng = np.random.default_rng(7)
    words: list[Timed] = []
    for label, (first, last) in zip(labels, pairwise(edges), strict=True):
        start = voiced[first][0] / 100 + off_by * rng.uniform(-1, 1)
        stop = voiced[last - 1][1] / 100 + off_by * rng.uniform(-1, 1)
        start = max(start, words[-1].stop if words else 0.0)
        words.append(Timed(start, max(stop, start + 0.01), label))
    right = true.posteriors(len(scores)).argmax(axis=1)

    def agreement(told: list[Timed]) -> float:
        line = SpeechLine(path="a.wav", phones=Timings(words=tuple(told)))
        given = given_phones(line, scores, language="en-us")
        assert given is not None
        assert given.route == "words"
        assert given.pronunciation in ("espeak-ng", "dictionary")
        late = round(100 * told[1].start)
        same = given.posteriors.argmax(axis=1) == right
        return float(same[late:][given.known[late:]].mean())

    assert agreement(words) > 0.8
    # Nothing wanders where the first words are not given.
    assert agreement(words[8:]) > 0.8


def test_words_that_cannot_be_where_they_are_told_to_be_fill_their_time() -> None:
    """Thirty milliseconds are too short for four phones, and the sound is silence."""
    scores = phone_scores(np.zeros(16_000, np.float32))
    words = (Timed(0.30, 0.31, "butter"), Timed(0.32, 0.33, "butter"), Timed(0.34, 0.35, "butter"))
    line = SpeechLine(path="a.wav", phones=Timings(words=words))
    given = given_phones(line, scores, language="en-us")
    assert given is not None
    assert given.known[30]
    assert not given.known[:20].any()


def test_nothing_given() -> None:
    scores = phone_scores(np.zeros(16_000, np.float32))
    assert given_phones(SpeechLine(path="a.wav"), scores, language="en-us") is None
    beyond = Timings(words=(Timed(5.0, 5.5, "late"),))
    line = SpeechLine(path="a.wav", phones=beyond)
    assert given_phones(line, scores, language="en-us") is None
    assert curves(np.zeros(16_000, np.float32), line).route == "sound"


def test_the_sync_report_counts_given_closures(noise: np.ndarray, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((noise * 32_767).astype("<i2").tobytes())
    line = SpeechLine(path=str(tmp_path / "a.wav"), phones=BABA)
    meter = SyncMeter(Speech(samples=noise, lines=(line,)))
    assert meter.report()["phones_from"] == "phones"
