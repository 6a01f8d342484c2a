"""A wanted opening is made no more restless than the person is, and closures stay closed."""

from __future__ import annotations

import numpy as np
import pytest

from facepick.engines.lipsync.rewrite.smoothness import bearable, calmed, restlessness


def _restless(opening: np.ndarray) -> float:
    return float(np.abs(np.diff(opening, 2)).mean())


def _chatter(frames: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Openings of 0 to 0.15 with a closure at every fifth frame."""
    opening = np.random.default_rng(4).uniform(0.03, 0.15, frames).astype(np.float32)
    closure = (np.arange(frames) % 5 == 0).astype(np.float32)
    return opening * (1 - closure), closure


def test_what_is_calm_enough_is_left_alone() -> None:
    opening = (0.05 + 0.05 * np.sin(np.arange(100) / 5)).astype(np.float32)
    calm = calmed(opening, np.zeros(100, np.float32), np.ones(100, bool), 0.01)
    np.testing.assert_array_equal(calm, opening)


def test_chatter_is_calmed_to_the_limit_and_follows_better_than_smoothing() -> None:
    opening, closure = _chatter()
    limit = 0.4 * _restless(opening)
    calm = calmed(opening, closure, np.ones(200, bool), limit)
    assert 0.7 * limit < _restless(calm) <= limit
    assert calm.min() >= opening.min()
    assert calm.max() <= opening.max()
    smooth = opening
    while _restless(smooth) > limit:
        smooth = np.convolve(np.pad(smooth, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    assert np.corrcoef(calm, opening)[0, 1] > np.corrcoef(smooth, opening)[0, 1] + 0.02
    shut = closure == 1
    assert calm[shut].mean() < 0.8 * smooth[shut].mean()


def test_pauses_do_not_hide_what_is_too_lively() -> None:
    opening, closure = _chatter()
    padded = np.concatenate([opening, np.zeros(1800, np.float32)])
    speaking = np.arange(2000) < 200
    limit = 0.5 * _restless(opening)
    calm = calmed(padded, np.pad(closure, (0, 1800)), speaking, limit)
    assert _restless(calm[:200]) < 1.1 * limit


def test_a_listener_may_speak_as_lively_as_people_do() -> None:
    assert bearable(0.0, 0.1) == 0.05 * 0.1
    assert bearable(0.1, 0.1) > 0.1


def test_restlessness_is_of_frames_that_follow_each_other() -> None:
    still = np.full(30, 0.02, np.float32)
    follows = np.ones(29, bool)
    assert restlessness(still, follows) == 0.0
    # Two frames open, two shut: second differences of 0.05, of which smoothing leaves 0.6.
    lively = still + np.where(np.arange(30) % 4 < 2, 0.05, 0).astype(np.float32)
    assert restlessness(lively, follows) == pytest.approx(0.03, rel=1e-3)
    # Neither a cut nor a frame in which nothing is known is a move.
    cut = np.where(np.arange(30) < 15, still, still + 0.3).astype(np.float32)
    follows[14] = False
    assert restlessness(cut, follows) == 0.0
    lively[10:] = np.nan
    assert restlessness(lively, np.ones(29, bool)) == pytest.approx(0.03, rel=1e-3)
    assert restlessness(still[:1], follows[:0]) == 0.0
