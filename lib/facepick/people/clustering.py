"""Groups tracks into people.

Constrained agglomerative clustering with average linkage over all pairs of exemplars: a single
pair of look-alike pictures moves the mean of many pairs little, so one wrong link cannot merge
two people.  Two tracks that share a frame are two people, whatever they look like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzer import FaceEmbedder
from facepick.faces.detection import Box, FloatArray
from facepick.faces.quality import patch_correlation
from facepick.people.evidence import TrackEvidence
from facepick.people.stillness import STILL_BELOW, STILL_SECONDS
from facepick.people.track import BRIDGED, FaceTrack
from facepick.people.tracker import ShotTracker

__all__ = ["ClusterOptions", "Group", "group_tracks", "split_changed"]


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """When two groups are one person.

    Attributes:
        link: mean cosine of all pairs of exemplars from which two groups are joined.  Tracks of
            one person in one video measure 0.60 and more on constructed and filmed footage, of
            two people up to 0.38; photos years apart still above 0.41 but for sunglasses.
        poor_penalty: what a pair of groups must agree more when one of them was never seen well:
            small, blurred and turned faces are all alike to the network.
        near_miss: two groups may agree less by this, when they agree with nobody else nearly as
            much: by `margin`.
        margin: see `near_miss`.
        unsure_extra: what faces that nobody could recognise must agree more.
        continuity: what two tracks may agree less when the second begins in the same shot where
            the first ended.
        continuity_seconds: how long after.
        min_frames: somebody seen in fewer frames is kept apart.
        rate: frames per second, roughly.
    """

    link: float = 0.43
    poor_penalty: float = 0.12
    near_miss: float = 0.03
    margin: float = 0.18
    unsure_extra: float = 0.12
    continuity: float = 0.2
    continuity_seconds: float = 2.0
    min_frames: int = 8
    rate: float = 25.0

    @classmethod
    def for_embedder(
        cls, embedder: FaceEmbedder, *, strictness: float = 0.5, rate: float = 25.0
    ) -> ClusterOptions:
        """The options for a model.

        A video holds many pairs of tracks, and joining two people is worse than finding one
        twice, so that the threshold lies 0.03 above that for a single pair; `strictness` in
        [0, 1] moves it by 0.15 at most.
        """
        return cls(link=embedder.same_person + 0.03 + 0.3 * (strictness - 0.5), rate=rate)


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
    if len(evidence) != n:
        raise ValueError(f"{n} tracks need as much evidence, got {len(evidence)}")
    total = max((t.stop for t in tracks), default=0)
    min_frames = min(options.min_frames, max(1, total // 2))
    affinity = _Affinity(tracks, evidence, options)
    groups = _agglomerate([[i] for i in range(n) if evidence[i].clear], affinity, options.link)
    groups = _join_outstanding(groups, affinity, options)
    unsure: list[list[int]] = []
    for i in range(n):
        if evidence[i].clear:
            continue
        home = _home(i, groups, affinity, options)
        if home is not None:
            home.append(i)
        elif _is_face(evidence[i]):
            unsure.append([i])
    unsure = _agglomerate(unsure, affinity, options.link + options.unsure_extra)
    groups = [part for members in groups for part in _alive(members, tracks, evidence, options)]
    made: list[Group] = []
    for members in groups:
        members.sort()
        frames = sum(len(tracks[i]) for i in members)
        doubtful = frames < min_frames or _is_picture(members, tracks, evidence, options)
        confidence = _confidence(members, groups, tracks, affinity, options)
        made.append(Group(tuple(members), confidence, unsure=doubtful))
    for members in unsure:
        members.sort()
        confidence = 0.5 * _confidence(members, [], tracks, affinity, options)
        made.append(Group(tuple(members), confidence, unsure=True))
    return sorted(made, key=lambda g: g.members)


class _Affinity:
    """How much two groups of tracks look like one person.

    The mean cosine over all pairs of exemplars, weighted by their quality, less a penalty for
    poor views, plus a bonus for continuity.
    """

    def __init__(
        self,
        tracks: Sequence[FaceTrack],
        evidence: Sequence[TrackEvidence],
        options: ClusterOptions,
    ) -> None:
        n = len(tracks)
        # The weighted sum of a track's exemplars is all that the mean over pairs needs:
        # sum over pairs of v w <a, b> = <sum v a, sum w b>.
        weights = [np.maximum(e.value.astype(np.float64), 0.02) for e in evidence]
        self._sums = [
            w @ e.embeddings.astype(np.float64) for w, e in zip(weights, evidence, strict=True)
        ]
        self._totals = [float(w.sum()) for w in weights]
        self._best = [e.best for e in evidence]
        self._poor_penalty = options.poor_penalty
        self.apart = np.zeros((n, n), bool)
        self._continuity = options.continuity
        self._comes_back = np.zeros((n, n))
        for i in range(n):
            for j in range(i + 1, n):
                a, b = tracks[i], tracks[j]
                if a.start < b.stop and b.start < a.stop:
                    shared = np.intersect1d(a.frames, b.frames, assume_unique=True).size > 0
                    self.apart[i, j] = self.apart[j, i] = shared
                elif _continues(a, b, tracks, options) or _continues(b, a, tracks, options):
                    self._comes_back[i, j] = self._comes_back[j, i] = 1.0

    def cosine(self, a: Sequence[int], b: Sequence[int]) -> float:
        """Mean cosine over all pairs of exemplars."""
        left = np.sum([self._sums[i] for i in a], axis=0)
        right = np.sum([self._sums[i] for i in b], axis=0)
        weight = sum(self._totals[i] for i in a) * sum(self._totals[i] for i in b)
        return float(left @ right) / weight

    def of(self, a: Sequence[int], b: Sequence[int]) -> float:
        """Affinity of two groups; minus infinity when they share a frame."""
        if self.apart[np.ix_(a, b)].any():
            return float("-inf")
        # Views of quality 0.5 and better count as good ones.
        worse = min(max(self._best[i] for i in a), max(self._best[i] for i in b))
        penalty = self._poor_penalty * max(0.0, 1.0 - worse / 0.5)
        # Where the place speaks for one person the poor view no longer speaks against it.  It
        # speaks for these tracks only: two people must not be joined by one of each.
        left, right = (np.array([self._totals[i] for i in g]) for g in (a, b))
        share = float(left @ self._comes_back[np.ix_(a, b)] @ right) / (left.sum() * right.sum())
        return float(self.cosine(a, b) + share * self._continuity - (1 - share) * penalty)


def _continues(
    before: FaceTrack, after: FaceTrack, tracks: Sequence[FaceTrack], options: ClusterOptions
) -> bool:
    """Whether a face comes back in a shot about where another was lost, and nobody else was
    there meanwhile.

    A track that goes on without a gap was cut on purpose, because somebody else took the place.
    """
    gap = after.start - before.stop
    if before.shot != after.shot or not 2 <= gap <= options.continuity_seconds * options.rate:
        return False
    a, b = before.boxes[-1], after.boxes[0]
    size_a = float(np.sqrt(max(1.0, (a[2] - a[0]) * (a[3] - a[1]))))
    size_b = float(np.sqrt(max(1.0, (b[2] - b[0]) * (b[3] - b[1]))))
    shift = np.hypot(*((a[:2] + a[2:]) / 2 - (b[:2] + b[2:]) / 2))
    if not (0.6 < size_a / size_b < 1.67 and shift < 0.8 * (size_a + size_b) / 2):
        return False
    place = Box(*map(float, a))
    between = (t.box_at(f) for t in tracks for f in range(before.stop, after.start, 2))
    return not any(box is not None and box.iou(place) > 0.2 for box in between)


def _agglomerate(groups: list[list[int]], affinity: _Affinity, link: float) -> list[list[int]]:
    """Join the two nearest groups, again and again, while they are nearer than `link`."""
    groups = [list(g) for g in groups]
    count = len(groups)
    table = np.full((count, count), -np.inf)
    for x in range(count):
        for y in range(x + 1, count):
            table[x, y] = affinity.of(groups[x], groups[y])
    while count:
        x, y = divmod(int(np.argmax(table)), len(groups))
        if not table[x, y] >= link:
            break
        groups[x].extend(groups[y])
        groups[y] = []
        table[y, :] = table[:, y] = -np.inf
        for other, members in enumerate(groups):
            if members and other != x:
                low, high = min(x, other), max(x, other)
                table[low, high] = affinity.of(groups[low], groups[high])
    return [g for g in groups if g]


def _join_outstanding(
    groups: list[list[int]], affinity: _Affinity, options: ClusterOptions
) -> list[list[int]]:
    """Join groups that are a little less alike, where nobody else comes near either of them.

    Both must be each other's nearest by a wide margin over everybody else - and over 0.2, what
    two strangers reach when they are the only ones there.
    """
    while len(groups) > 1:
        count = len(groups)
        table = np.full((count, count), -np.inf)
        for x in range(count):
            for y in range(x + 1, count):
                table[x, y] = table[y, x] = affinity.of(groups[x], groups[y])
        x, y = divmod(int(np.argmax(table)), count)
        value = float(table[x, y])
        others = [table[g, k] for g in (x, y) for k in range(count) if k not in (x, y)]
        rival = max([0.2, *others])
        if value < options.link - options.near_miss or value - rival < options.margin:
            return groups
        x, y = min(x, y), max(x, y)
        groups = [*groups[:x], groups[x] + groups[y], *groups[x + 1 : y], *groups[y + 1 :]]
    return groups


def _home(
    i: int, groups: list[list[int]], affinity: _Affinity, options: ClusterOptions
) -> list[int] | None:
    """The group that a poorly seen track belongs to beyond doubt, or None."""
    ranked = sorted(((affinity.of([i], g), -k) for k, g in enumerate(groups)), reverse=True)
    if not ranked or ranked[0][0] < options.link:
        return None
    # Nearly as much like somebody else: nobody can tell.
    if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < options.margin:
        return None
    return groups[-ranked[0][1]]


def _is_face(evidence: TrackEvidence) -> bool:
    """Whether a poorly seen track is worth showing at all.

    The mesh network confirms a face in any light; without it, only a profile that is not
    altogether blurred will do.
    """
    sharp = float(evidence.sharpness.max()) if len(evidence.sharpness) else 0.0
    return evidence.mesh_score >= 0.5 or (evidence.profile and sharp > 0.1)


def _alive(
    members: list[int],
    tracks: Sequence[FaceTrack],
    evidence: Sequence[TrackEvidence],
    options: ClusterOptions,
) -> list[list[int]]:
    """A person's tracks, those apart that show one and the same photograph of him.

    A listener holds still, too, but no two looks at him are one picture: exemplars of one
    photograph agree by 0.9 and more, those of one person in two shots by 0.6 to 0.85.
    """
    still = [i for i in members if (evidence[i].stillness or 1.0) < STILL_BELOW]
    rest = [i for i in members if i not in still]
    if not still or not rest or not _is_picture(still, tracks, evidence, options):
        return [members]
    if not _one_photograph(still, evidence):
        return [members]
    # Noise may have moved the same photograph in another shot.
    still += [i for i in rest if _one_photograph([*still, i], evidence)]
    rest = [i for i in rest if i not in still]
    return [part for part in (rest, still) if part]


def _one_photograph(members: Sequence[int], evidence: Sequence[TrackEvidence]) -> bool:
    rows = np.concatenate([evidence[i].embeddings for i in members])
    return float((rows @ rows.T).min()) > 0.87


def _is_picture(
    members: Sequence[int],
    tracks: Sequence[FaceTrack],
    evidence: Sequence[TrackEvidence],
    options: ClusterOptions,
) -> bool:
    """Whether a person is only ever seen as a photograph: rigid, for long enough to tell."""
    measured = [
        (value, len(tracks[i])) for i in members if (value := evidence[i].stillness) is not None
    ]
    still = sum(length for value, length in measured if value < STILL_BELOW)
    if still < STILL_SECONDS * options.rate:
        return False
    # Noise and captions stir a photograph, too; then it is known by being the same all the time.
    limit = 2 * STILL_BELOW if _one_photograph(members, evidence) else STILL_BELOW
    return max(value for value, _ in measured) < limit


def _confidence(
    members: Sequence[int],
    groups: Sequence[Sequence[int]],
    tracks: Sequence[FaceTrack],
    affinity: _Affinity,
    options: ClusterOptions,
) -> float:
    """How sure it is that these tracks, and no others, are one person.

    The tracks' own confidence, times two doubts: the least that a track agrees with the rest,
    and the most that another person does who could be the same, both against the threshold.
    """
    lengths = [len(tracks[i]) for i in members]
    faces = float(np.average([tracks[i].confidence for i in members], weights=lengths))
    doubt = 1.0
    for i in members:
        rest = [j for j in members if j != i]
        if rest:
            above = affinity.cosine([i], rest) - options.link
            doubt = min(doubt, 0.75 + 1.25 * max(-0.2, min(0.2, above)))
    for other in groups:
        if other is not members and not set(other) & set(members):
            below = options.link - affinity.of(members, other)
            doubt = min(doubt, 0.75 + 1.25 * max(-0.2, min(0.2, below)))
    return float(np.clip(faces * doubt, 0.0, 1.0))


def split_changed(
    track: FaceTrack,
    evidence: TrackEvidence,
    *,
    link: float,
    patches: Mapping[int, npt.NDArray[np.uint8]],
) -> list[tuple[FaceTrack, TrackEvidence]]:
    """A track in pieces, where its faces before and after some frame are of two people.

    When one face passes before another, or one picture dissolves into the next, the tracker may
    go over to the other person.  The exemplars of the two stretches then agree among themselves
    and not with each other; between them, the pixels say from which frame on it is the other.

    Args:
        track: of one shot.
        evidence: what is known of it.
        link: see `ClusterOptions`.
        patches: small grey pictures of the face by frame, where it was seen.
    """
    good = np.flatnonzero((evidence.value >= 0.4) & (evidence.inside >= 0.8))
    frames, rows = evidence.frames[good], evidence.embeddings[good]
    doubts: list[tuple[float, int]] = []
    for c in range(1, len(rows)):
        # Two on either side: a hand before the face for a moment is no other person, and whoever
        # comes later may be the first one again.
        across = float(np.mean(rows[max(0, c - 2) : c] @ rows[c : c + 2].T))
        # A head that turns is itself all the way.  Where the pixels jump it must be recognised
        # again like that of any other track.
        jump = _jump(int(frames[c - 1]), int(frames[c]), patches)
        doubts.append((across - (link if jump is not None else link - 0.2), c))
    if not doubts or min(doubts)[0] >= 0:
        return [(track, evidence)]
    low, high = (int(frames[min(doubts)[1] + k]) for k in (-1, 0))
    at = _jump(low, high, patches) or _handover(low, high, patches)
    pieces = []
    for rows_of, span in (
        (track.frames < at, (0, at)),
        (track.frames >= at, (at, 1 << 62)),
    ):
        # A guess that leads over to somebody else is nobody's face.
        rows_of &= _from_first_to_last(rows_of & (track.origin != BRIDGED))
        part = replace(
            track,
            frames=track.frames[rows_of],
            boxes=track.boxes[rows_of],
            landmarks5=track.landmarks5[rows_of],
            score=track.score[rows_of],
            origin=track.origin[rows_of],
        )
        pieces.extend(split_changed(part, evidence.part(*span), link=link, patches=patches))
    return pieces


def _from_first_to_last(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.logical_or.accumulate(chosen) & np.logical_or.accumulate(chosen[::-1])[::-1]


def _jump(low: int, high: int, patches: Mapping[int, npt.NDArray[np.uint8]]) -> int | None:
    """The frame, ``low < frame <= high``, in which the pixels change at once, if there is one."""
    seen = [f for f in sorted(patches) if low <= f <= high]
    steps = [(patch_correlation(patches[a], patches[b]), b) for a, b in pairwise(seen)]
    weakest, frame = min(steps, default=(1.0, high))
    return frame if weakest < ShotTracker.CHANGED_PATCH else None


def _handover(low: int, high: int, patches: Mapping[int, npt.NDArray[np.uint8]]) -> int:
    """The first frame, ``low < frame <= high``, that is more like `high` than like `low`."""
    seen = sorted(f for f in patches if low <= f <= high)
    likes = [
        patch_correlation(patches[f], patches[low]) - patch_correlation(patches[f], patches[high])
        for f in seen
    ]
    # As few frames as can be on the wrong side: where the sum of the likes to the left less that
    # to the right is greatest.
    cut = int(np.argmax(np.cumsum(likes)[:-1])) + 1
    return (seen[cut - 1] + seen[cut] + 1) // 2
