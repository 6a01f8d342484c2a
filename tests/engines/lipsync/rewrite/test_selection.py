from __future__ import annotations

import numpy as np

from facepick.engines.lipsync.rewrite.selection import Candidates, Wanted, choose


def _candidates(n: int) -> Candidates:
    """A mouth that opens and closes once every 20 frames, always in the same pose."""
    turn = np.arange(n) * 2 * np.pi / 20
    shape = np.stack([np.sin(turn), np.zeros(n), 0.8 * np.sin(turn)], axis=1)
    look = np.stack([np.sin(turn), np.cos(turn) * 0.2], axis=1)
    return Candidates(
        shape=shape.astype(np.float32),
        pose=np.zeros((n, 3), np.float32),
        scale=np.full(n, 100, np.float32),
        look=look.astype(np.float32),
        frame=np.arange(n, dtype=np.int64),
        penalty=np.zeros(n, np.float32),
    )


def _wanted(opening: np.ndarray, **changes: np.ndarray) -> Wanted:
    n = len(opening)
    values = {
        "shape": np.stack([opening, 0 * opening, 0.8 * opening], axis=1).astype(np.float32),
        "pose": np.zeros((n, 3), np.float32),
        "scale": np.full(n, 100, np.float32),
        "stress": np.zeros(n, np.float32),
    }
    return Wanted(**{**values, **changes})


def test_the_shown_opening_follows_the_wanted_one() -> None:
    mouths = _candidates(200)
    asked = np.sin(np.arange(120) * 2 * np.pi / 33).astype(np.float32)
    path = choose(_wanted(asked), mouths)
    assert np.corrcoef(mouths.shape[path, 0], asked)[0, 1] > 0.95


def test_the_clips_own_run_is_kept_where_it_fits() -> None:
    mouths = _candidates(200)
    path = choose(_wanted(mouths.shape[40:90, 0]), mouths)
    steps = np.diff(mouths.frame[path])
    assert (steps == 1).mean() > 0.9


def test_a_mouth_seen_from_another_side_is_passed_over() -> None:
    mouths = _candidates(40)
    mouths.pose[:20, 0] = 25.0
    path = choose(_wanted(mouths.shape[:20, 0]), mouths)
    assert (path >= 20).all()


def test_blurred_mouths_are_passed_over() -> None:
    mouths = _candidates(40)
    mouths.penalty[:20] = 4.0
    path = choose(_wanted(mouths.shape[:20, 0]), mouths)
    assert (path >= 20).all()


def test_stress_makes_the_closure_right() -> None:
    mouths = _candidates(40)
    asked = np.full(30, 0.9, np.float32)
    asked[15] = -1.0
    stress = np.zeros(30, np.float32)
    stress[15] = 1.0
    loose = mouths.shape[choose(_wanted(asked), mouths)[15], 0]
    tight = mouths.shape[choose(_wanted(asked, stress=stress), mouths)[15], 0]
    assert tight <= loose
    assert tight < -0.5


def test_one_mouth_and_one_frame() -> None:
    assert choose(_wanted(np.zeros(1, np.float32)), _candidates(1)).tolist() == [0]
    assert choose(_wanted(np.zeros(5, np.float32)), _candidates(1)).tolist() == [0] * 5


def test_deterministic() -> None:
    asked = np.random.default_rng(1).standard_normal(300).astype(np.float32)
    mouths = _candidates(120)
    np.testing.assert_array_equal(choose(_wanted(asked), mouths), choose(_wanted(asked), mouths))
