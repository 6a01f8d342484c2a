"""Evidence for one person in two tracks of one shot, apart from the face itself.

Somebody who is hidden for a moment, turns away or is blurred is lost, and found again as another
track: about where he was lost, about as large, in the same clothes, while he was nowhere else.
None of it says anything from one shot to another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from facepick.faces.detection import Box, FloatArray
from facepick.people.exemplars import TrackEvidence
from facepick.people.looks import alike
from facepick.people.track import FaceTrack

__all__ = ["continuity"]

# People come back within seconds, or they are as good as new.
_LASTS_SECONDS = 4.0
# A head moves by no more than this share of its size while it is out of sight, and by so much
# more a second.
_SHIFT, _SHIFT_A_SECOND = 0.8, 1.5
_ZOOM = 1.67
# Half of the evidence is that he is in this shot at all.
_PRESENT = 0.4
# Colours of hair and clothes: those of one person in one shot agree by 0.8 to 0.97, those of two
# by 0.3 to 0.95, so that little agreement speaks against one person and much for nobody.
_UNLIKE, _ALIKE = 0.6, 0.82


def continuity(
    tracks: Sequence[FaceTrack], evidence: Sequence[TrackEvidence], *, rate: float
) -> FloatArray:
    """Compute how far place, size, time and colours speak for one person: (n, n) symmetric, in
    [0, 1].

    0 where two tracks are in different shots, or share a frame.

    Args:
        tracks: of the whole video.
        evidence: one for each track.
        rate: frames per second, roughly.
    """
    n = len(tracks)
    table = np.zeros((n, n), np.float32)
    by_shot: dict[int, list[int]] = {}
    for i, track in enumerate(tracks):
        by_shot.setdefault(track.shot, []).append(i)
    for members in by_shot.values():
        everybody = [tracks[i] for i in members]
        for x, i in enumerate(members):
            for j in members[x + 1 :]:
                a, b = (i, j) if tracks[i].start <= tracks[j].start else (j, i)
                if tracks[b].start < tracks[a].stop:
                    continue
                place = _place(tracks[a], tracks[b], everybody, rate)
                table[i, j] = table[j, i] = place * _colours(evidence[a], evidence[b])
    return table


def _place(
    before: FaceTrack, after: FaceTrack, everybody: Sequence[FaceTrack], rate: float
) -> float:
    gap = after.start - before.stop
    seconds = gap / rate
    a, b = before.boxes[-1], after.boxes[0]
    size_a = math.sqrt(max(1.0, float((a[2] - a[0]) * (a[3] - a[1]))))
    size_b = math.sqrt(max(1.0, float((b[2] - b[0]) * (b[3] - b[1]))))
    shift = float(np.hypot(*((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2)))
    shift /= (size_a + size_b) / 2
    near = _SHIFT + _SHIFT_A_SECOND * min(seconds, 1.0)
    here = max(0.0, min(1.0, 2.0 - shift / near))
    if not 1 / _ZOOM < size_a / size_b < _ZOOM:
        here *= 0.5
    # A track that goes on without a gap was cut on purpose: somebody else may have come.
    if here and (gap < 2 or _taken(before, after, everybody)):
        here = 0.0
    return math.exp(-seconds / _LASTS_SECONDS) * (_PRESENT + (1 - _PRESENT) * here)


def _taken(before: FaceTrack, after: FaceTrack, everybody: Sequence[FaceTrack]) -> bool:
    """Tell whether somebody else was seen where one was lost, until the other was found."""
    place = Box(*map(float, before.boxes[-1]))
    for track in everybody:
        if track is before or track is after:
            continue
        rows = (track.frames >= before.stop) & (track.frames < after.start)
        if any(Box(*map(float, box)).iou(place) > 0.2 for box in track.boxes[rows]):
            return True
    return False


def _colours(a: TrackEvidence, b: TrackEvidence) -> float:
    told = [v for v in (alike(a.hair, b.hair), alike(a.clothes, b.clothes)) if v is not None]
    if not told:
        return 1.0
    return max(0.0, min(1.0, (sum(told) / len(told) - _UNLIKE) / (_ALIKE - _UNLIKE)))
