from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facepick.engines.lipsync.gating import Gate, Gating, gating_of, merged
from facepick.engines.lipsync.original_motion import FilmedMouth
from facepick.speech.line import Speech
from facepick.speech.vad import Stretch


def test_weight_rises_before_speech_and_falls_after() -> None:
    gating = Gating(speak=(Stretch(1.0, 2.0),), fade_seconds=0.2)
    assert gating.at(0.5) == Gate("keep", 0.0)
    assert gating.at(0.8).weight == pytest.approx(0.0)
    assert gating.at(0.9).weight == pytest.approx(0.5)
    assert gating.at(1.0) == Gate("speak", 1.0)
    assert gating.at(2.0) == Gate("speak", 1.0)
    assert gating.at(2.05).weight == pytest.approx(0.75)
    assert gating.at(Fraction(5, 2)) == Gate("keep", 0.0)


def test_no_fade_is_a_switch() -> None:
    gating = Gating(speak=(Stretch(1.0, 2.0),), fade_seconds=0.0)
    assert [gating.at(t).weight for t in (0.99, 1.0, 2.0, 2.01)] == [0, 1, 1, 0]


def test_between_speaking_and_closing_the_original_never_shines_through() -> None:
    gating = Gating(speak=(Stretch(1.0, 2.0),), close=(Stretch(2.0, 3.0),), fade_seconds=0.2)
    times = np.linspace(1.0, 3.0, 201)
    assert all(gating.at(t).weight == 1.0 for t in times)
    assert gating.at(1.5).action == "speak"
    assert gating.at(2.5).action == "close"


def test_depends_on_time_alone() -> None:
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.uniform(0.5, 2.0, 200))
    gating = Gating(speak=tuple(Stretch(float(s), float(s) + 0.4) for s in starts))
    times = rng.uniform(0, float(starts[-1]) + 1, 500)
    forwards = [gating.at(t) for t in times]
    backwards = [gating.at(t) for t in times[::-1]][::-1]
    assert forwards == backwards
    near = [
        max((1 - max(s - t, t - s - 0.4, 0) / gating.fade_seconds for s in starts), default=0)
        for t in times
    ]
    assert [g.weight for g in forwards] == pytest.approx([max(0, n) for n in near], abs=1e-9)


def test_merged_joins_what_overlaps() -> None:
    assert merged([Stretch(3, 4), Stretch(0, 2), Stretch(1, 3)]) == (Stretch(0, 4),)


def moved(amount: float, seconds: float = 12.0) -> Callable[[], FilmedMouth]:
    """A mouth that opens and closes four times a second, by `amount` eye distances."""
    times = np.arange(int(25 * seconds)) / 25
    opening = (0.05 + amount / 2 * np.sin(2 * np.pi * 4 * times)).astype(np.float32)
    return lambda: FilmedMouth(times=times, opening=opening, shot=np.zeros(len(times), np.int64))


TALKED, LISTENED = moved(0.1), moved(0.006)


def after(seconds: float, spoken: np.ndarray) -> np.ndarray:
    """`spoken` after so much silence."""
    return np.concatenate([np.zeros(int(16_000 * seconds), np.float32), spoken])


@pytest.fixture(scope="module")
def jfk(shared_media: Path) -> np.ndarray:
    import av

    resampler = av.AudioResampler("fltp", "mono", 16_000)
    pieces = []
    with av.open(str(shared_media / "speech" / "en_jfk_m_11s_44k.flac")) as container:
        for frame in container.decode(audio=0):
            pieces += [f.to_ndarray()[0] for f in resampler.resample(frame)]
    return np.concatenate(pieces)[: 16_000 * 3]


def test_the_mouth_is_closed_only_where_the_original_talked_and_the_new_speech_is_silent(
    jfk: np.ndarray, vad_model: Path
) -> None:
    new = after(4.0, jfk)  # speaks from 4.3 s
    original = after(0.0, jfk)  # spoke from 0.3 s to 2.3 s
    speech = Speech(samples=new, original=original)
    close = gating_of(speech, when_silent="close", mouth=TALKED, vad_model=vad_model)
    assert close.at(1.0).action == "close"
    assert close.at(3.5).action == "keep"
    assert close.at(5.0).action == "speak"
    keep = gating_of(speech, when_silent="keep", mouth=TALKED, vad_model=vad_model)
    assert keep.at(1.0) == Gate("keep", 0.0)
    assert keep.at(5.0).action == "speak"


def test_a_listeners_mouth_is_left_alone_while_somebody_else_talks(
    jfk: np.ndarray, vad_model: Path
) -> None:
    speech = Speech(samples=after(4.0, jfk), original=after(0.0, jfk))
    listener = gating_of(speech, when_silent="close", mouth=LISTENED, vad_model=vad_model)
    assert listener.close == ()
    assert listener.at(5.0).action == "speak"
    # Somebody who listens, and answers from 1.5 s on, within one stretch of sound.
    times = np.arange(100) / 25
    moving = np.where(times < 1.5, 0.0, 0.05 * np.sin(2 * np.pi * 4 * times))
    mouth = FilmedMouth(
        times=times, opening=moving.astype(np.float32), shot=np.zeros(100, np.int64)
    )
    answers = gating_of(speech, when_silent="close", mouth=lambda: mouth, vad_model=vad_model)
    assert answers.at(0.8).action == "keep"
    assert answers.at(1.9).action == "close"


def test_the_mouth_is_looked_at_only_when_something_may_have_to_be_closed(
    jfk: np.ndarray, vad_model: Path
) -> None:
    def forbidden() -> FilmedMouth:
        raise AssertionError("a pass over the video for nothing")

    same = Speech(samples=jfk, original=jfk)
    gating_of(same, when_silent="close", mouth=forbidden, vad_model=vad_model)
    talked = Speech(samples=np.zeros(64_000, np.float32), original=jfk)
    gating_of(talked, when_silent="keep", mouth=forbidden, vad_model=vad_model)
    with pytest.raises(AssertionError, match="for nothing"):
        gating_of(talked, when_silent="close", mouth=forbidden, vad_model=vad_model)


def test_a_video_without_sound_closes_nothing(jfk: np.ndarray, vad_model: Path) -> None:
    gating = gating_of(Speech(samples=jfk), when_silent="close", mouth=TALKED, vad_model=vad_model)
    assert gating.close == ()


def test_silent_speech_touches_nothing(vad_model: Path) -> None:
    silence = Speech(samples=np.zeros(32_000, np.float32))
    gating = gating_of(silence, when_silent="close", mouth=TALKED, vad_model=vad_model)
    assert gating == Gating(speak=())


def test_no_mouth_is_shut_under_its_own_voice(jfk: np.ndarray, vad_model: Path) -> None:
    def gating(*heard: tuple[float, float]) -> Gating:
        speech = Speech(
            samples=after(4.0, jfk), original=after(0.0, jfk), original_heard=tuple(heard)
        )
        return gating_of(speech, when_silent="close", mouth=TALKED, vad_model=vad_model)

    times = np.arange(0, 2.5, 0.01)
    muted = gating()
    shut = [t for t in times if muted.at(t).weight > 0]
    assert min(shut) < 0.5
    assert max(shut) > 2.0
    assert gating((0.0, 60.0)).close == ()
    # Half shut counts, too, and so does the time that a frame stays on screen.
    for a, b in ((0.0, 1.2), (1.2, 7.0), (0.8, 1.5)):
        partly = gating((a, b))
        shut = [t for t in times if partly.at(t).weight > 0]
        assert shut
        assert not [t for t in shut if t < b and t + 0.05 > a]
    assert gating((0.0, 60.0)).at(5.0).action == "speak"


@pytest.mark.parametrize(("pause", "shown"), [(0.3, False), (0.9, True)])
def test_between_two_stretches_the_filmed_mouth_does_not_flash(
    jfk: np.ndarray, vad_model: Path, pause: float, shown: bool
) -> None:
    """The face is out of sight for a moment, while its voice goes on."""
    words = np.concatenate([jfk[6000:36_000]] * 3)
    times = np.arange(0, len(words) / 16_000, 0.04)
    moving = 0.05 * np.sin(2 * np.pi * 4 * times)
    seen = np.abs(times - 2.8) > pause / 2
    mouth = FilmedMouth(
        times=times,
        opening=np.where(seen, moving, np.nan).astype(np.float32),
        shot=(times > 2.8).astype(np.int64),
    )
    speech = Speech(samples=np.zeros(len(words), np.float32), original=words)
    gating = gating_of(speech, when_silent="close", mouth=lambda: mouth, vad_model=vad_model)
    near = [gating.at(t).weight for t in np.arange(2.2, 3.4, 0.01)]
    assert (min(near) == 0.0) == shown
    assert max(near) == 1.0
    if not shown:
        assert min(near) == 1.0
    # Under the old voice it stays open.
    under = Speech(samples=speech.samples, original=words, original_heard=((2.75, 2.85),))
    partly = gating_of(under, when_silent="close", mouth=lambda: mouth, vad_model=vad_model)
    assert partly.at(2.8).weight == 0.0


def test_in_a_mix_of_all_a_person_speaks_where_the_lips_moved(
    jfk: np.ndarray, vad_model: Path
) -> None:
    mix = np.concatenate([jfk, jfk])  # speaks from 0.3 s and from 3.3 s
    moving = np.where(np.arange(200) / 25 < 2.6, 0.05 * np.sin(np.arange(200)), 0.0)
    mouth = FilmedMouth(
        times=np.arange(200) / 25, opening=moving.astype(np.float32), shot=np.zeros(200, np.int64)
    )
    one, of_all = (
        gating_of(
            Speech(samples=mix, of_all=of_all),
            when_silent="close",
            mouth=lambda: mouth,
            vad_model=vad_model,
        )
        for of_all in (False, True)
    )
    assert one.at(1.0).action == of_all.at(1.0).action == "speak"
    assert one.at(4.5).action == "speak"
    assert of_all.at(4.5).action == "keep"
