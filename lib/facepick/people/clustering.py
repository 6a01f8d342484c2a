"""Groups tracks into people.

Constrained agglomerative clustering with average linkage over all pairs of exemplars: a single
pair of look-alike pictures moves the mean of many pairs little, so one wrong link cannot merge
two people.  Two tracks that share a frame are two people, whatever they look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzer import FaceEmbedder
from facepick.faces.detection import FloatArray
from facepick.people.evidence import TrackEvidence
from facepick.people.stillness import STILL_BELOW
from facepick.people.track import FaceTrack

__all__ = ["ClusterOptions", "Group", "group_tracks"]


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """When two groups are one person.

    Attributes:
        link: mean cosine of all pairs of exemplars from which two groups are joined.
        weak_margin: a face that is poorly seen joins the group it is most like only when it is
            that much more like it than any other.
        good_value: quality from which an exemplar counts as well seen.
        min_frames: a person who is surely one is seen in that many frames.
    """

    link: float = 0.363
    weak_margin: float = 0.12
    good_value: float = 0.25
    min_frames: int = 8

    @classmethod
    def for_embedder(cls, embedder: FaceEmbedder, strictness: float = 0.5) -> ClusterOptions:
        """The options for a model; `strictness` in [0, 1] moves the threshold by 0.12 at most."""
        return cls(link=embedder.same_person + 0.24 * (strictness - 0.5))


@dataclass(frozen=True, eq=False)
class Group:
    """Tracks that are held to be one person.

    Attributes:
        members: positions of the tracks, in time order.
        confidence: in [0, 1].
        unsure: whether they are only kept apart.
    """

    members: tuple[int, ...]
    confidence: float
    unsure: bool

    EXEMPLARS = 12
    THUMBNAILS = 5

    def exemplars(self, evidence: Sequence[TrackEvidence]) -> FloatArray:
        """(k, d) embeddings of the best faces, best first."""
        rows = np.concatenate([evidence[i].embeddings for i in self.members])
        value = np.concatenate([evidence[i].value for i in self.members])
        best = np.argsort(-value, kind="stable")[: self.EXEMPLARS]
        return np.asarray(rows[best], np.float32)

    def thumbnails(self, evidence: Sequence[TrackEvidence]) -> list[bytes]:
        """3 to 5 pictures, the best of each track before the second of any."""
        ranked = [
            (rank, -thumbnail.value, thumbnail.frame, thumbnail.jpeg)
            for i in self.members
            for rank, thumbnail in enumerate(evidence[i].thumbnails)
        ]
        ranked.sort(key=lambda item: item[:3])
        chosen = ranked[: self.THUMBNAILS]
        chosen.sort(key=lambda item: item[1:3])
        return [jpeg for *_, jpeg in chosen]


def group_tracks(
    tracks: Sequence[FaceTrack], evidence: Sequence[TrackEvidence], options: ClusterOptions
) -> list[Group]:
    """People, sure and unsure.

    Args:
        tracks: of the whole video.
        evidence: one for each track.
        options: thresholds.

    Returns:
        Groups by first track; every track is in one at most.
    """
    n = len(tracks)
    clear = [i for i in range(n) if evidence[i].best >= options.good_value]
    cosines = _Cosines(evidence)
    apart = _together(tracks)
    groups: list[list[int]] = [[i] for i in clear]
    _agglomerate(groups, cosines, apart, options.link)
    leftovers = [i for i in range(n) if i not in set(clear)]
    unsure: list[list[int]] = []
    for i in leftovers:
        home = _home(i, groups, cosines, apart, options)
        if home is None:
            unsure.append([i])
        else:
            home.append(i)
    _agglomerate(unsure, cosines, apart, options.link)
    made = []
    for members in groups:
        made.append(_group(sorted(members), tracks, evidence, cosines, groups, options))
    for members in unsure:
        confidence = float(np.mean([tracks[i].confidence for i in members])) / 2
        made.append(Group(tuple(sorted(members)), confidence, unsure=True))
    return sorted(made, key=lambda g: g.members)


class _Cosines:
    """Mean cosine of two groups of tracks over all pairs of exemplars, weighted by quality."""

    def __init__(self, evidence: Sequence[TrackEvidence]) -> None:
        # The weighted sum of a track's exemplars is all that average linkage needs:
        # sum over pairs of w_a w_b <a, b> = <sum w_a a, sum w_b b>.
        self._weights = [np.maximum(e.value.astype(np.float64), 0.02) for e in evidence]
        self.sums = [w @ e.embeddings.astype(np.float64) for w, e in zip(self._weights, evidence, strict=True)]
        self.totals = [float(w.sum()) for w in self._weights]

    def of(self, a: Sequence[int], b: Sequence[int]) -> float:
        left = np.sum([self.sums[i] for i in a], axis=0)
        right = np.sum([self.sums[i] for i in b], axis=0)
        weight = sum(self.totals[i] for i in a) * sum(self.totals[i] for i in b)
        return float(left @ right) / weight


def _together(tracks: Sequence[FaceTrack]) -> npt.NDArray[np.bool_]:
    """(n, n): whether two tracks share a frame."""
    n = len(tracks)
    apart = np.zeros((n, n), bool)
    for i in range(n):
        for j in range(i + 1, n):
            a, b = tracks[i], tracks[j]
            if a.start < b.stop and b.start < a.stop:
                shared = np.intersect1d(a.frames, b.frames, assume_unique=True).size > 0
                apart[i, j] = apart[j, i] = shared
    return apart


def _agglomerate(
    groups: list[list[int]], cosines: _Cosines, apart: npt.NDArray[np.bool_], link: float
) -> None:
    """Join the two nearest groups, again and again, while they are nearer than `link`."""
    while len(groups) > 1:
        best, pair = link, (-1, -1)
        for x in range(len(groups)):
            for y in range(x + 1, len(groups)):
                if apart[np.ix_(groups[x], groups[y])].any():
                    continue
                value = cosines.of(groups[x], groups[y])
                if value > best:
                    best, pair = value, (x, y)
        if pair[0] < 0:
            return
        groups[pair[0]].extend(groups.pop(pair[1]))


def _home(
    i: int,
    groups: list[list[int]],
    cosines: _Cosines,
    apart: npt.NDArray[np.bool_],
    options: ClusterOptions,
) -> list[int] | None:
    """The group that a poorly seen track belongs to beyond doubt, or None."""
    ranked = sorted(
        ((cosines.of([i], g), k) for k, g in enumerate(groups) if not apart[i, g].any()),
        reverse=True,
    )
    if not ranked or ranked[0][0] < options.link:
        return None
    if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < options.weak_margin:
        return None
    return groups[ranked[0][1]]


def _group(
    members: list[int],
    tracks: Sequence[FaceTrack],
    evidence: Sequence[TrackEvidence],
    cosines: _Cosines,
    groups: list[list[int]],
    options: ClusterOptions,
) -> Group:
    frames = sum(len(tracks[i]) for i in members)
    stills = [evidence[i].stillness for i in members]
    measured = [s for s in stills if s is not None]
    picture = bool(measured) and max(measured) < STILL_BELOW
    seen = float(np.average([tracks[i].confidence for i in members], weights=[len(tracks[i]) for i in members]))
    return Group(tuple(members), seen, unsure=picture or frames < options.min_frames)
