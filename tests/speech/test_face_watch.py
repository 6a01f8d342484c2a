"""What is looked at of faces: speech and what is around it, and mouths that move."""

from __future__ import annotations

import numpy as np
import pytest

from facepick.speech import face_watch
from facepick.speech.active_speaker import ActiveSpeaker
from facepick.speech.vad import Stretch


class Counting(ActiveSpeaker):
    """The network as it ships, which tells how many pictures it was given."""

    looked = 0

    def stream(self):  # type: ignore[no-untyped-def]
        inner, outer = super().stream(), self
        add = inner.add

        def counted(faces):  # type: ignore[no-untyped-def]
            outer.looked += len(faces)
            add(faces)

        inner.add = counted  # type: ignore[method-assign]
        return inner


def scores_of(openings: np.ndarray, tmp_path) -> tuple[np.ndarray, int]:  # type: ignore[no-untyped-def]
    from facepick.models.store import ModelStore

    network = Counting(ModelStore([], tmp_path))
    run = face_watch._Run(0, network, None)  # type: ignore[arg-type]
    for opening in openings:
        run._crops.append(np.zeros((112, 112), np.uint8))
        run.openings.append(float(opening))
        while len(run._crops) >= face_watch._BLOCK + face_watch._BESIDE:
            run._decide(face_watch._BLOCK)
    return run.scores(np.zeros(len(openings) * 640, np.float32)), network.looked


def test_a_mouth_that_does_not_move_is_not_looked_at(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(2)
    still, moving = np.full(100, 0.05), 0.1 + 0.05 * rng.random(100)
    scores, looked = scores_of(np.concatenate([still, moving, still]), tmp_path)
    assert 100 <= looked <= 175
    assert (scores[:75] == face_watch.STILL_SCORE).all()
    assert (scores[225:] == face_watch.STILL_SCORE).all()
    assert (scores[100:200] != face_watch.STILL_SCORE).all()
    # A mouth that cannot be read is looked at.
    assert scores_of(np.full(60, np.nan), tmp_path)[1] == 60


def test_moments_between_two_looks_at_the_lips_have_their_mean() -> None:
    inf, nan = float("inf"), float("nan")
    found = face_watch._between([0.2, inf, 0.4, inf, nan, inf, 0.6, inf])
    assert found == pytest.approx([0.2, 0.3, 0.4, nan, nan, nan, 0.6, 0.6], nan_ok=True)


def test_pauses_are_looked_at_only_where_they_are_short() -> None:
    speech = (Stretch(2.0, 3.0), Stretch(4.5, 5.0), Stretch(12.0, 13.0))
    near = face_watch._near(speech, 400)
    runs = [(a / 25, b / 25) for a, b in face_watch._runs(near)]
    assert runs == [pytest.approx((1.6, 5.44)), pytest.approx((11.6, 13.44))]
    assert list(face_watch._spans(near)) == [(40, 136), (290, 336)]
