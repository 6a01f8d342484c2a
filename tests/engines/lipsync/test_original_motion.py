"""Who talked in the original, told from the lips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.engine_cases import context_for
from tests.contracts.face_footage import face_requests

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import EngineContext
from facepick.engines.lipsync.neural.engine import Wav2LipEngine
from facepick.engines.lipsync.original_motion import FilmedMouth, filmed_mouth
from facepick.faces.mesh import mouth_opening
from facepick.progress import CancelToken

pytestmark = pytest.mark.slow


def mouth_of(opening: np.ndarray, *, shot: np.ndarray | None = None) -> FilmedMouth:
    return FilmedMouth(
        times=np.arange(len(opening)) / 25,
        opening=opening.astype(np.float32),
        shot=np.zeros(len(opening), np.int64) if shot is None else shot,
    )


TIMES = np.arange(100) / 25
TALK = 0.06 + 0.04 * np.sin(2 * np.pi * 3.7 * TIMES)


def test_talking_is_found_where_the_lips_move() -> None:
    still = 0.02 + np.random.default_rng(0).normal(0, 0.002, 100)
    (stretch,) = mouth_of(np.concatenate([still, TALK, still])).talking()
    # The window of 0.8 s sees the beginning at most half of it too early.
    assert 3.6 <= stretch.start <= 4.1
    assert 7.9 <= stretch.stop <= 8.4
    assert mouth_of(still).talking() == ()


def test_a_cut_is_no_movement() -> None:
    """Shown with closed lips in one shot and with open ones in the next, yet silent in both."""
    opening = np.repeat([0.01, 0.12, 0.01, 0.12], 25)
    assert mouth_of(opening, shot=np.repeat([0, 1, 2, 3], 25)).talking() == ()
    assert mouth_of(opening).talking() != ()


def test_a_breath_does_not_end_the_talking_and_a_gap_is_never_guessed() -> None:
    breath = np.full(15, 0.02)
    assert len(mouth_of(np.concatenate([TALK, breath, TALK])).talking()) == 1
    unseen = np.full(100, np.nan)
    first, second = mouth_of(np.concatenate([TALK, unseen, TALK])).talking()
    assert first.stop <= 4.1
    assert second.start >= 7.9
    assert mouth_of(unseen).talking() == ()
    assert mouth_of(np.zeros(0)).talking() == ()


@pytest.mark.parametrize("place", [0, 1])
def test_both_people_of_the_clip_talk_and_a_frozen_face_listens(
    odd: Callable[[str], Path], tmp_path: Path, place: int
) -> None:
    found = face_requests(
        odd("base_640x360.mp4"), tuple(range(40)), margin=0.75, mesh=True, place=place
    )
    (talks,) = filmed_mouth(context_of(found, tmp_path / "talks")).talking()
    assert talks.start <= 0.2
    assert talks.stop >= 1.3
    still = [replace(found[0], frame=i, source_frame=i, time=Fraction(i, 25)) for i in range(40)]
    assert filmed_mouth(context_of(still, tmp_path / "still")).talking() == ()


def context_of(requests: list[FaceRequest], folder: Path) -> EngineContext:
    folder.mkdir()
    return context_for(Wav2LipEngine(), folder, requests, cancel=CancelToken())


def test_the_output_may_show_the_frames_in_another_order_and_is_read_once(
    odd: Callable[[str], Path], tmp_path: Path
) -> None:
    found = face_requests(odd("base_640x360.mp4"), (0, 1, 2, 3), margin=0.75, mesh=True)
    passes = []

    def footage() -> list[FaceRequest]:
        passes.append(1)
        return [found[0], found[1], replace(found[2], mesh=None), found[3]]

    context = replace(
        context_of(found, tmp_path / "order"),
        footage=footage,
        frames=6,
        source_frames=np.array([0, 1, 2, 3, 2, 1]),
    )
    mouth = filmed_mouth(context)
    openings = [mouth_opening(r.mesh) for r in found if r.mesh is not None]
    wanted = [openings[0], openings[1], np.nan, openings[3], np.nan, openings[1]]
    np.testing.assert_allclose(mouth.opening, wanted, rtol=1e-6)
    np.testing.assert_allclose(mouth.times, np.arange(6) / 25)
    np.testing.assert_array_equal(filmed_mouth(context).opening, mouth.opening)
    assert len(passes) == 1
