"""What is cut off a track so that it follows one face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facepick.people.exemplars import TrackEvidence
from facepick.people.purity import kept_to_one_face
from facepick.people.track import BRIDGED, FaceTrack

RATE = 25.0


def piece(
    start: int, stop: int, x: np.ndarray | float, *, score: np.ndarray | float = 0.9,
    strengths: tuple[float, ...] = (1.5, 1.5),
) -> tuple[FaceTrack, TrackEvidence]:  # fmt: skip
    n, k = stop - start, len(strengths)
    left = np.broadcast_to(np.asarray(x, np.float32), (n,))
    boxes = np.stack([left, np.full(n, 100), left + 80, np.full(n, 200)], axis=1)
    track = FaceTrack(
        "T0",
        0,
        np.arange(start, stop, dtype=np.int32),
        boxes.astype(np.float32),
        np.zeros((n, 5, 2), np.float32),
        np.broadcast_to(np.asarray(score, np.float32), (n,)).copy(),
        np.zeros(n, np.uint8),
    )
    ones = np.ones(k, np.float32)
    evidence = TrackEvidence(
        frames=np.linspace(start, stop - 1, k).astype(np.int32),
        embeddings=np.eye(k, 4, dtype=np.float32),
        value=ones,
        eye_distance=30 * ones,
        off_frontal=10 * ones,
        sharpness=ones,
        inside=ones,
        strengths=np.float32(strengths),
    )
    return track, evidence


def spans(pieces: list[tuple[FaceTrack, TrackEvidence]]) -> list[tuple[int, int]]:
    return [(t.start, t.stop) for t, _ in kept_to_one_face(pieces, rate=RATE)]


def test_a_track_that_follows_somebody_elses_face_for_a_while_is_none_meanwhile() -> None:
    """Hidden behind another from frame 20 to 40, and guessed for four frames on either side."""
    x = np.full(60, 500.0)
    x[20:40] = 100
    hidden, known = piece(0, 60, x)
    origin = hidden.origin.copy()
    origin[16:20] = origin[40:44] = BRIDGED
    hidden = replace(hidden, origin=origin)
    assert spans([piece(0, 100, 100.0), (hidden, known)]) == [(0, 100), (0, 16), (44, 60)]


def test_two_who_pass_before_each_other_keep_their_frames() -> None:
    left, right = np.linspace(0, 900, 100), np.linspace(900, 0, 100)
    assert spans([piece(0, 100, left), piece(0, 100, right)]) == [(0, 100), (0, 100)]


def test_an_end_that_slid_onto_a_hand_is_cut_off_and_judged_by_itself() -> None:
    score = np.full(100, 0.9)
    score[80:] = 0.45
    hand = piece(0, 100, 100.0, score=score, strengths=(1.5, 1.5, 0.7))
    (face, seen), (rest, nothing) = kept_to_one_face([hand], rate=RATE)
    assert ((face.start, face.stop), (rest.start, rest.stop)) == ((0, 80), (80, 100))
    assert (len(seen.frames), len(nothing.frames)) == (2, 1)


def test_a_face_that_turns_away_keeps_its_end() -> None:
    """The detector is as unsure of it, the embedder is not."""
    score = np.full(100, 0.9)
    score[80:] = 0.45
    assert spans([piece(0, 100, 100.0, score=score, strengths=(1.5, 1.5, 1.1))]) == [(0, 100)]
