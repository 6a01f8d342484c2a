"""A hidden person's voice is changed, and only where that person is heard."""

from __future__ import annotations

import itertools
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facepick.errors import UserInputError
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.render.voice_disguise import (
    VoiceDisguise,
    VoiceSpan,
    check_disguise,
    disguise_notices,
    hidden_voices,
)
from facepick.speech.speakers import Candidate, Speakers, State, Turn

RATE = 16_000
SPANS = (
    VoiceSpan(start=1.0, stop=2.5, voice="P1"),
    VoiceSpan(start=2.5, stop=3.5, voice="P2", sure=False),
)


def changed(
    samples: np.ndarray,
    size: int,
    spans: tuple[VoiceSpan, ...] = SPANS,
    *,
    seed: int | None = None,
) -> np.ndarray:
    pieces = (samples[i : i + size] for i in range(0, len(samples), size))
    # The sound begins 0.5 s before the picture.
    disguise = VoiceDisguise(spans, Fraction(1, 2), _random=np.random.default_rng(seed))
    return np.concatenate(list(disguise(pieces, Fraction(0), RATE)))


@pytest.mark.parametrize("size", [999, 16_000, 10**7])
def test_only_the_voice_is_changed_and_never_twice_alike(jfk: np.ndarray, size: int) -> None:
    pytest.importorskip("pyworld", reason="facepick[voice] is not installed")
    sound = np.stack([jfk[: 5 * RATE], 0.5 * jfk[: 5 * RATE]], axis=1)
    heard, again = changed(sound, size), changed(sound, size)
    assert heard.shape == sound.shape
    first, last = round(1.5 * RATE), 4 * RATE
    np.testing.assert_array_equal(heard[:first], sound[:first])
    np.testing.assert_array_equal(heard[last:], sound[last:])
    inside = slice(first, last)
    for one, other in ((heard, sound), (heard, again)):
        likeness = np.corrcoef(one[inside, 0], other[inside, 0])[0, 1]
        assert abs(likeness) < 0.5
    # As loud as before, and each channel by its share.
    levels = [np.sqrt(np.mean(s[inside] ** 2, axis=0)) for s in (heard, sound)]
    assert np.all(levels[0] > 0.9 * levels[1])
    assert np.all(levels[0] < 1.1 * levels[1])
    assert np.abs(heard).max() <= 1


def test_the_pitch_is_another_one_and_the_words_stay_where_they_were(jfk: np.ndarray) -> None:
    world = pytest.importorskip("pyworld", reason="facepick[voice] is not installed")
    sound = jfk[: 6 * RATE]
    heard = changed(sound[:, None], RATE, (VoiceSpan(start=-0.5, stop=6.0, voice="P1"),), seed=1)[
        :, 0
    ]
    pitches, loud = [], []
    for one in (sound, heard):
        pitch, _ = world.dio(np.ascontiguousarray(one, np.float64), RATE)
        pitches.append(np.median(pitch[pitch > 0]))
        tenths = one[: len(one) // 1600 * 1600].reshape(-1, 1600)
        loud.append(np.log(np.sqrt(np.mean(tenths**2, axis=1)) + 1e-3))
    # Three semitones at least, less what wanders.
    assert abs(np.log2(pitches[1] / pitches[0])) > 0.15
    assert np.corrcoef(*loud)[0, 1] > 0.7


def test_no_voice_is_known_where_there_is_none() -> None:
    pytest.importorskip("pyworld", reason="facepick[voice] is not installed")
    silence = np.zeros((3 * RATE, 1), np.float32)
    assert not changed(silence, 500).any()
    short = changed(np.zeros((RATE, 1), np.float32), 500)
    assert short.shape == (RATE, 1)


def turn(person: str | None, state: State, start: float, **scores: float) -> Turn:
    candidates = tuple(Candidate(person=p, score=s) for p, s in scores.items())
    return Turn(
        id="L1", start=start, end=start + 1, person=person, voice="V1", state=state, score=1.0,
        candidates=candidates,
    )  # fmt: skip


TURNS = (
    turn("P1", "sure", 0),
    turn("P2", "sure", 2),
    turn("P2", "unsure", 4, P2=0.6, P1=0.3),
    turn("P1", "off_screen", 6),
    turn(None, "off_screen", 8),
    turn("P1", "silent", 10),
)


@pytest.mark.parametrize(
    ("hidden", "everyone_but", "starts"),
    [
        (("P1",), (), [0, 4, 6]),
        (("P2",), (), [2, 4]),
        (("P2",), ("P1",), [2, 4, 6, 8]),
    ],
)
def test_what_is_unsure_counts_as_theirs(
    hidden: tuple[str, ...], everyone_but: tuple[str, ...], starts: list[float]
) -> None:
    people = [SimpleNamespace(id=p) for p in hidden]
    selection = SimpleNamespace(everyone_but=everyone_but, resolve=lambda scan: people)
    plan: Any = SimpleNamespace(assignments=[SimpleNamespace(flow="hide", selection=selection)])
    spans = hidden_voices(plan, SimpleNamespace(), Speakers(voices=(), turns=TURNS))  # type: ignore[arg-type]
    assert [round(span.start + 0.15) for span in spans] == starts
    assert all(a.stop <= b.start for a, b in itertools.pairwise(spans))


def plan_of(flow: str, **output: Any) -> RenderPlan:
    item = Assignment(selection=Selection(("P1",)), flow=flow, engine="pixelate")
    return RenderPlan(video="a.mp4", assignments=(item,), output=OutputSettings(**output))


def test_a_wish_that_cannot_be_met_is_told() -> None:
    with pytest.raises(UserInputError, match="nobody is hidden"):
        check_disguise(plan_of("swap", voice="disguise"))
    with pytest.raises(UserInputError, match="remap"):
        check_disguise(plan_of("hide", voice="disguise", length="remap"))
    check_disguise(plan_of("swap"))
    assert not plan_of("hide", voice="disguise", background="b.wav").disguises_voices


def test_what_was_done_is_told() -> None:
    assert [n.code for n in disguise_notices((), 1)] == ["voice_not_heard"]
    told = disguise_notices(SPANS, 2)
    assert [n.code for n in told] == ["voice_disguised", "voice_unsure", "voice_other_tracks"]
    assert told[0].facts == {"seconds": 2.5, "stretches": 2}


def test_strangers_lend_their_sounds_to_the_same_phones(jfk: np.ndarray) -> None:
    from facepick.speech.disguise import taken_apart
    from facepick.speech.strangers import Strangers, sounds_of

    pytest.importorskip("pyworld", reason="facepick[voice] is not installed")
    known = Strangers.load()
    speech = jfk[: 3 * RATE]
    numbers = taken_apart(speech, RATE).numbers
    sounds, mean, loud = sounds_of(numbers, speech)
    said = known.say(sounds, np.eye(len(known))[0])
    assert said.shape == numbers.shape
    assert not said[:, 0].any()
    # The first formant opens and closes as it did: the second number is its slope.
    own = (numbers - mean)[loud, 1]
    assert np.corrcoef(said[loud, 1], own)[0, 1] > 0.5
    # Whoever lends says it: other numbers than those of the voice itself.
    assert np.abs(said[loud, 1] - own).mean() > 0.05 * np.abs(own).mean()
    half = known.say(sounds, np.full(len(known), 1 / len(known)))
    assert np.abs(half - said).max() > 0


def test_masks_mix_two_strangers() -> None:
    from facepick.speech.disguise import LEAST_SHARE, random_mask

    for seed in range(5):
        shares = random_mask(np.random.default_rng(seed)).shares
        assert np.isclose(shares.sum(), 1)
        assert (shares > 0).sum() == 2
        assert shares[shares > 0].min() >= LEAST_SHARE - 1e-9
