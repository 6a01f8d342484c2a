"""Test of a track for being a face at all, by several weak witnesses together.

Hands with a cup, the back of a head, a kettle: what a detector takes for a face now and then is
one to nobody else.  None of the witnesses decides alone.  A quarter of the faces in movement -
profiles, small ones - are none to the mesh network; small ones have short vectors; the
detector's score of a hidden face is low.
"""

from __future__ import annotations

import numpy as np

from facepick.people.exemplars import TrackEvidence
from facepick.people.track import BRIDGED, FaceTrack

__all__ = ["NOTHING", "SURE", "face_evidence"]

NOTHING, SURE = -0.8, 0.6
"""Below the first a track is nobody's face; from the second on it may be somebody for certain."""

# Medians over measured tracks: of nothing 0.42 to 0.69, of faces 0.77 to 0.91.
_SCORE, _SCORE_STEP = 0.70, 0.10
# In units of the embedder's own middle (`TrackEvidence.strength`): nothing 0.62 to 0.95, faces
# 1.12 to 1.72.
_STRENGTH, _STRENGTH_STEP = 1.02, 0.15
# No witness outweighs the other two.
_MOST = 1.5


def face_evidence(track: FaceTrack, evidence: TrackEvidence) -> float:
    """Compute how much speaks for a face, from about -3 to 4.5; 0 when nothing speaks either way.

    The sum of three witnesses: the detector's median score where it saw the face, the length of
    the embedder's vectors, and the mesh network, which says little when it says no.
    """
    seen = track.score[track.origin != BRIDGED]
    score = float(np.median(seen if len(seen) else track.score))
    said = _witness((score - _SCORE) / _SCORE_STEP)
    if evidence.strength is None:
        # An embedder that does not tell: the detector speaks for both.
        said *= 2
    else:
        said += _witness((evidence.strength - _STRENGTH) / _STRENGTH_STEP)
    mesh = evidence.mesh_score
    if mesh > 0.2:
        return said + _MOST * (mesh - 0.2) / 0.8
    # Profiles and small faces it does not know; a large one that looks this way it would.
    large = bool(np.any((evidence.eye_distance >= 35.0) & (evidence.off_frontal <= 45.0)))
    return said + (4.5 if large else 1.5) * (mesh - 0.2)


def _witness(value: float) -> float:
    return max(-_MOST, min(_MOST, value))
