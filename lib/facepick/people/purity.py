"""Purity of tracks: what slid onto somebody else, or onto nothing, is cut off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box
from facepick.people.exemplars import TrackEvidence
from facepick.people.track import BRIDGED, FaceTrack
from facepick.people.tracker import SAME_FACE

__all__ = ["kept_to_one_face"]

Piece = tuple[FaceTrack, TrackEvidence]
_Rows = npt.NDArray[np.bool_]

# Two who pass before each other share a place for a few frames; a track that stays there longer
# follows the one in front.
_PASSING_SECONDS = 0.2
# A tail of this length and more is cut off where the detector is so much less sure of it than of
# the rest, and the embedder finds nothing in it.
_TAIL_SECONDS = 0.2
_TAIL_SCORE, _REST_SCORE, _TAIL_STRENGTH = 0.6, 0.75, 0.9


def kept_to_one_face(pieces: Sequence[Piece], *, rate: float) -> list[Piece]:
    """Cut the tracks of one shot into pieces that each follow one face.

    * Where two tracks follow one face for longer than two people need to pass, it is the longer
      track's; the other one loses these frames, and the guesses that lead there.
    * A beginning or an end that is no face is cut off: to be judged by itself, as nobody's.

    Args:
        pieces: tracks of one shot with what is known of each.
        rate: frames per second, roughly.
    """
    longest = sorted(pieces, key=lambda p: (-len(p[0]), p[0].start))
    done: list[Piece] = []
    for track, evidence in longest:
        taken = _follows(track, [t for t, _ in done], round(_PASSING_SECONDS * rate))
        done.extend(_parts(track, evidence, ~taken))
    cut = [p for piece in done for p in _without_tails(piece, round(_TAIL_SECONDS * rate))]
    return sorted(cut, key=lambda p: (p[0].start, float(p[0].boxes[0][0])))


def _follows(track: FaceTrack, others: Sequence[FaceTrack], passing: int) -> _Rows:
    """Find the rows in which a track follows a face that is another's."""
    same = np.zeros(len(track), bool)
    for other in others:
        _, mine, theirs = np.intersect1d(track.frames, other.frames, return_indices=True)
        for a, b in zip(mine, theirs, strict=True):
            box = Box(*map(float, other.boxes[b]))
            same[a] |= Box(*map(float, track.boxes[a])).iou(box) > SAME_FACE
    taken = np.zeros(len(track), bool)
    for start, stop in _stretches(same):
        if stop - start > passing:
            while start and track.origin[start - 1] == BRIDGED:
                start -= 1
            while stop < len(track) and track.origin[stop] == BRIDGED:
                stop += 1
            taken[start:stop] = True
    return taken


def _without_tails(piece: Piece, least: int) -> list[Piece]:
    track, evidence = piece
    low = track.score < _TAIL_SCORE
    rest = track.score[~low]
    if not low.any() or not len(rest) or float(np.median(rest)) < _REST_SCORE:
        return [piece]
    tails = [
        (start, stop)
        for start, stop in _stretches(low)
        if (start == 0) != (stop == len(track)) and stop - start >= least
    ]
    cut = np.zeros(len(track), bool)
    for start, stop in tails:
        frames = track.frames[start], track.frames[stop - 1] + 1
        strength = evidence.part(int(frames[0]), int(frames[1])).strength
        if strength is not None and strength < _TAIL_STRENGTH:
            cut[start:stop] = True
    return [*_parts(track, evidence, ~cut), *_parts(track, evidence, cut)]


def _parts(track: FaceTrack, evidence: TrackEvidence, rows: _Rows) -> list[Piece]:
    """Cut the chosen rows into one piece for each stretch without a gap; all rows stay as they
    were."""
    if rows.all():
        return [(track, evidence)]
    pieces = []
    for start, stop in _stretches(rows):
        seen = np.flatnonzero(track.origin[start:stop] != BRIDGED)
        if not len(seen):
            continue
        # A guess that leads to what was cut off is nobody's face.
        part = track.only(np.arange(start + int(seen[0]), start + int(seen[-1]) + 1))
        pieces.append((part, evidence.part(part.start, part.stop)))
    return pieces


def _stretches(rows: _Rows) -> list[tuple[int, int]]:
    """Find runs of true values, half-open."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
