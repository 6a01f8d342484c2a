"""Grouping of tracks into people.

Constrained agglomerative clustering with average linkage over all pairs of exemplars: a single
pair of look-alike pictures moves the mean of many pairs little, so one wrong link cannot merge
two people.  Two tracks that share a frame are two people, whatever they look like.  Within a
shot, time, place and colours speak, too; what is no face is nobody (`facepick.people.faceness`).
Whoever cannot be told for certain is kept apart, with the people whom he may be.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzer import FaceEmbedder
from facepick.faces.detection import FloatArray
from facepick.faces.quality import patch_correlation
from facepick.people.continuity import continuity
from facepick.people.exemplars import StoredPicture, TrackEvidence
from facepick.people.faceness import NOTHING, SURE, face_evidence
from facepick.people.liveness import STILL_BELOW, STILL_SECONDS
from facepick.people.person import Doubt
from facepick.people.track import BRIDGED, FaceTrack
from facepick.people.tracker import ShotTracker

__all__ = ["ClusterOptions", "Group", "group_tracks", "split_changed"]


POOR_PENALTY = 0.12
"""What a pair of groups must agree more when one of them was never seen well: small, blurred and
turned faces are all alike to the network."""

NEAR_MISS, MARGIN = 0.03, 0.18
"""Two groups may agree less by the first, when they agree with nobody else nearly as much: by the
second."""

UNSURE_EXTRA = 0.12
"""What faces that nobody could recognise must agree more."""

CONTINUITY = 0.2
"""What two tracks may agree less when everything else speaks for one person, see
`facepick.people.continuity`."""

DOUBT_SECONDS, DOUBT_QUALITY = 2.0, 0.5
"""See `ClusterOptions.doubt`."""

COUPLE_MARGIN = 0.35
"""See `ClusterOptions.couple`."""

GLIMPSE_SECONDS = 0.5
"""Who is unsure and seen less long is one of the crowd."""

CROWD_SECONDS, CROWD_HEIGHT = 1.5, 0.08
"""Who is seen less long, or lower than this share of the picture, and never clearly, is one of the
crowd."""

MIN_FRAMES = 8
"""Somebody seen in fewer frames is kept apart."""


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Limits that decide when two groups are one person.

    Attributes:
        link: mean cosine of all pairs of exemplars from which two groups are joined.  Tracks of
            one person in one video measure 0.60 and more on constructed and filmed footage, of
            two people up to 0.38; photos years apart still above 0.41 but for sunglasses.
        home: what a poorly seen track must agree with somebody at least, where nobody else
            comes near: by `MARGIN`.
        doubt: groups that agree by this may be one person, and are not told apart for certain
            when one of them is on screen for less than `DOUBT_SECONDS` and has no view of the
            quality `DOUBT_QUALITY`.
        couple: two people who are on screen together are the two who are together elsewhere,
            where each agrees by this with his own, and both together by `COUPLE_MARGIN` more
            than crosswise.
        near: what a group must agree with somebody to be shown as one whom it may be.
        picture_side: shorter side of the picture in display pixels; 0 when not known.
        rate: frames per second, roughly.
    """

    link: float = 0.44
    home: float = 0.36
    doubt: float = 0.36
    couple: float = 0.31
    near: float = 0.27
    picture_side: float = 0.0
    rate: float = 25.0

    @classmethod
    def for_embedder(
        cls,
        embedder: FaceEmbedder,
        *,
        strictness: float = 0.5,
        rate: float = 25.0,
        picture_side: float = 0.0,
    ) -> ClusterOptions:
        """Return the options for a model.

        A video holds many pairs of tracks, and joining two people is worse than finding one
        twice, so that the threshold lies 0.03 above that for a single pair; `strictness` in
        [0, 1] moves it by 0.15 at most.
        """
        moved = embedder.same_person - cls.link + 0.03 + 0.3 * (strictness - 0.5)
        return cls(
            link=cls.link + moved,
            home=cls.home + moved,
            doubt=cls.doubt + moved,
            couple=cls.couple + moved,
            near=cls.near + moved,
            rate=rate,
            picture_side=picture_side,
        )


@dataclass(frozen=True, eq=False)
class Group:
    """Tracks that are held to be one person.

    Attributes:
        members: positions of the tracks, in time order.
        confidence: in [0, 1].
        unsure: whether they are only kept apart.
        may_be: of an unsure group, ``(member, score)``: people whom it may be, by a track of
            theirs, and how likely that is, in [0, 1]; the likeliest first.
        crowd: whether it is somebody of a few blurred frames, or far away.
        doubt: of an unsure group, why it is kept apart.
    """

    members: tuple[int, ...]
    confidence: float
    unsure: bool
    may_be: tuple[tuple[int, float], ...] = ()
    crowd: bool = False
    doubt: Doubt | None = None

    EXEMPLARS = 12
    THUMBNAILS = 5

    def exemplars(self, evidence: Sequence[TrackEvidence]) -> FloatArray:
        """Collect (k, d) embeddings of the best faces, best first."""
        rows = np.concatenate([evidence[i].embeddings for i in self.members])
        value = np.concatenate([evidence[i].value for i in self.members])
        best = np.argsort(-value, kind="stable")[: self.EXEMPLARS]
        return np.asarray(rows[best], np.float32)

    def thumbnails(self, evidence: Sequence[TrackEvidence]) -> list[StoredPicture]:
        """Choose 3 to 5 pictures, the best of each track before the second of any."""
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
    tracks: Sequence[FaceTrack],
    evidence: Sequence[TrackEvidence],
    options: ClusterOptions,
    *,
    damaged: Container[int] = (),
) -> list[Group]:
    """Group tracks into people, sure and unsure.

    Args:
        tracks: of the whole video.
        evidence: one for each track.
        options: thresholds.
        damaged: shots whose pictures are broken: whoever is in them is unsure.

    Returns:
        Groups by first track; every track is in one at most.
    """
    n = len(tracks)
    if len(evidence) != n:
        raise ValueError(f"{n} tracks need as much evidence, got {len(evidence)}")
    affinity = _Affinity(tracks, evidence, options)
    faces = [face_evidence(t, e) for t, e in zip(tracks, evidence, strict=True)]
    clear = {i for i in range(n) if evidence[i].clear and faces[i] >= SURE}
    poor = {i for i in range(n) if faces[i] >= NOTHING and len(evidence[i].frames)} - clear
    broken = {i for i in clear | poor if tracks[i].shot in damaged}
    groups, apart = _joined(sorted((clear | poor) - broken), clear, affinity, options)
    apart += [[i] for i in sorted(broken)]
    unsure = _agglomerate(apart, affinity.of, options.link + UNSURE_EXTRA, affinity)
    groups = [part for members in groups for part in _alive(members, tracks, evidence, options)]
    sure, doubts = _outstanding(groups, tracks, affinity)
    unsure += [list(members) for members in doubts]
    made = [
        Group(tuple(members), _confidence(members, sure, tracks, affinity, options), unsure=False)
        for members in sure
    ]
    for members in unsure:
        members.sort()
        other: Doubt = "damaged" if tracks[members[0]].shot in damaged else "unclear"
        made.append(
            Group(
                tuple(members),
                0.5 * _confidence(members, [], tracks, affinity, options),
                unsure=True,
                may_be=_may_be(members, sure, affinity, options),
                crowd=_of_the_crowd(members, tracks, evidence, options),
                doubt=doubts.get(tuple(members), other),
            )
        )
    return sorted(made, key=lambda g: g.members)


@dataclass(frozen=True, eq=False)
class _Summary:
    """What of a group is compared.

    Attributes:
        members: (m,) its tracks.
        weights: (m,) what each counts; their sum is `total`.
        sum: (d,) its exemplars, weighted by quality and summed: all that the mean over pairs
            needs, for the sum over pairs of v w <a, b> is <sum v a, sum w b>.
        best: quality of the best exemplar.
        rows: (k, d) float32, the best exemplars.
        shots: in which it is seen.
        haired: (h,) its tracks whose hair is seen.
    """

    members: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    total: float
    sum: npt.NDArray[np.float64]
    best: float
    rows: FloatArray
    shots: frozenset[int]
    haired: npt.NDArray[np.int64]


def _joined(
    whole: Sequence[int], clear: set[int], affinity: _Affinity, options: ClusterOptions
) -> tuple[list[list[int]], list[list[int]]]:
    """Join tracks: those with somebody seen well, and those that stay apart.

    Args:
        whole: tracks of shots that are not damaged, rising.
        clear: tracks of faces that were seen well.
    """

    def followed(a: Sequence[int], b: Sequence[int], *, least: float = 0.0) -> float:
        """Compute the affinity; of who was never seen well only where place and time speak, too."""
        well = not clear.isdisjoint(a) and not clear.isdisjoint(b)
        if not well and affinity.share(a, b) < 0.5:
            return float("-inf")
        return affinity.of(a, b, least=least)

    groups = _agglomerate([[i] for i in whole], followed, options.link, affinity)
    groups = _join_outstanding(groups, followed, options)
    groups = _join_couples(groups, affinity, options)
    poor = [g for g in groups if clear.isdisjoint(g)]
    seen = [g for g in groups if not clear.isdisjoint(g)]
    return seen, _take_home(poor, seen, affinity, options)


def _outstanding(
    groups: Sequence[list[int]], tracks: Sequence[FaceTrack], affinity: _Affinity
) -> tuple[list[list[int]], dict[tuple[int, ...], Doubt]]:
    """Part groups into sure people and those in doubt: whoever is on screen longest is himself,
    and of the others some may be him."""
    total = max((t.stop for t in tracks), default=0)
    min_frames = min(MIN_FRAMES, max(1, total // 2))
    sure: list[list[int]] = []
    doubts: dict[tuple[int, ...], Doubt] = {}
    for members in sorted(groups, key=lambda g: (-sum(len(tracks[i]) for i in g), g)):
        members.sort()
        doubt = _doubt(members, sure, affinity, min_frames)
        if doubt is None:
            sure.append(members)
        else:
            doubts[tuple(members)] = doubt
    return sure, doubts


class _Affinity:
    """Likeness of two groups of tracks as one person.

    Of all pairs of exemplars, one from each, the most alike quarter: a head seen from the side
    and from the front agrees little with itself, so that the pairs of like views tell.  (Of
    tracks against people in movement, that quarter's mean ranks 99.1 % of pairs rightly, the mean
    of all pairs 96.8 %.)  All pairs together must not disagree: one look-alike picture, or one
    track that stands between two people, is no bridge.  Less a penalty for poor views, plus what
    place and time say in one shot, less what colours say against it between shots.
    """

    # So many exemplars, the best ones, stand for a group.
    MOST = 32
    # What the mean of all pairs may lie below the best quarter: the tracks of one person measure
    # up to 0.17.
    SPREAD = 0.17
    # Hair of one person agrees by 0.49 and more from shot to shot (`looks.alike`), of two by
    # 0.27 and more.
    HAIR, HAIR_RANGE, HAIR_WEIGHT = 0.5, 0.2, 0.12
    # Summaries of groups that are remembered: those that are compared with everybody else.
    KNOWN = 128

    def __init__(
        self,
        tracks: Sequence[FaceTrack],
        evidence: Sequence[TrackEvidence],
        options: ClusterOptions,
    ) -> None:
        n = len(tracks)
        self.tracks, self.evidence, self.options = tracks, evidence, options
        self._shots = np.array([t.shot for t in tracks], np.int64)
        self._has_hair = np.array([e.hair is not None for e in evidence], bool)
        # `alike` of two is the product of their roots.
        self._hair = np.zeros((n, max((len(e.hair) for e in evidence if e.hair is not None),
                                      default=0)), np.float32)  # fmt: skip
        for i, found in enumerate(evidence):
            if found.hair is not None:
                self._hair[i] = np.sqrt(found.hair)
        self._single = [self._track(i) for i in range(n)]
        self._known: dict[tuple[int, ...], _Summary] = {}
        self._poor_penalty = POOR_PENALTY
        self.apart = np.zeros((n, n), bool)
        self._continuity = CONTINUITY
        self._comes_back = continuity(tracks, evidence, rate=options.rate)
        # Nobody but who is in the same shot can be in the same frame.
        by_shot: dict[int, list[int]] = {}
        for i, track in enumerate(tracks):
            by_shot.setdefault(track.shot, []).append(i)
        for members in by_shot.values():
            for x, i in enumerate(members):
                for j in members[x + 1 :]:
                    a, b = tracks[i], tracks[j]
                    if a.start < b.stop and b.start < a.stop:
                        shared = np.intersect1d(a.frames, b.frames, assume_unique=True).size > 0
                        self.apart[i, j] = self.apart[j, i] = shared

    def _track(self, i: int) -> _Summary:
        found = self.evidence[i]
        weights = np.maximum(found.value.astype(np.float64), 0.02)
        total = max(float(weights.sum()), 1e-9)
        return _Summary(
            members=np.array([i], np.int64),
            weights=np.array([total]),
            total=total,
            sum=weights @ found.embeddings.astype(np.float64),
            best=found.best,
            rows=self._rows([i]),
            shots=frozenset([self.tracks[i].shot]),
            haired=np.flatnonzero(self._has_hair[i : i + 1]) + i,
        )

    def summary(self, group: Sequence[int]) -> _Summary:
        """Summarise a group of tracks."""
        if len(group) == 1:
            return self._single[group[0]]
        key = tuple(group)
        found = self._known.get(key)
        if found is None:
            parts = [self._single[i] for i in key]
            members = np.array(key, np.int64)
            found = _Summary(
                members=members,
                weights=np.array([p.total for p in parts]),
                total=sum(p.total for p in parts),
                sum=np.sum([p.sum for p in parts], axis=0),
                best=max(p.best for p in parts),
                rows=self._rows(key),
                shots=frozenset(self._shots[members].tolist()),
                haired=members[self._has_hair[members]],
            )
            if len(self._known) >= self.KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = found
        return found

    def cosine(self, a: Sequence[int], b: Sequence[int]) -> float:
        """Compute the mean cosine over all pairs of exemplars, weighted by their quality."""
        left, right = self.summary(a), self.summary(b)
        return float(left.sum @ right.sum) / (left.total * right.total)

    def likeness(self, a: Sequence[int], b: Sequence[int], *, least: float = -1.0) -> float:
        """Compare the faces of two groups: a cosine.

        Args:
            least: below it, a value that is no less than the true one may be given.
        """
        limit = self.cosine(a, b) + self.SPREAD
        if limit < least:
            return limit
        pairs = np.sort((self.summary(a).rows @ self.summary(b).rows.T).ravel())
        return min(limit, float(pairs[-(-3 * len(pairs) // 4) - 1 :].mean()))

    def of(self, a: Sequence[int], b: Sequence[int], *, least: float = 0.0) -> float:
        """Compute the affinity of two groups; minus infinity when they share a frame.

        Args:
            least: below it, a value that is no less than the true one may be given.
        """
        left, right = self.summary(a), self.summary(b)
        met = not left.shots.isdisjoint(right.shots)
        if met and self.apart[np.ix_(left.members, right.members)].any():
            return float("-inf")
        return self.faces(a, b, least=least)

    def faces(self, a: Sequence[int], b: Sequence[int], *, least: float = 0.0) -> float:
        """Compute the affinity of two groups, sharing a frame or not; see `of`."""
        # Views of quality 0.5 and better count as good ones.
        worse = min(self.summary(a).best, self.summary(b).best)
        penalty = self._poor_penalty * max(0.0, 1.0 - worse / 0.5)
        # Where the place speaks for one person the poor view no longer speaks against it.  It
        # speaks for these tracks only: two people must not be joined by one of each.
        share = self.share(a, b)
        other = share * self._continuity - (1 - share) * penalty
        most = self.cosine(a, b) + self.SPREAD + other
        if most < least:
            return most
        other -= self._strange(a, b)
        return self.likeness(a, b, least=least - other) + other

    def share(self, a: Sequence[int], b: Sequence[int]) -> float:
        """Compute how far place and time speak for one person, in [0, 1]: the mean over all
        pairs."""
        left, right = self.summary(a), self.summary(b)
        # It speaks of one shot only.
        if left.shots.isdisjoint(right.shots):
            return 0.0
        table = self._comes_back[np.ix_(left.members, right.members)]
        return float(left.weights @ table @ right.weights) / (left.total * right.total)

    def _rows(self, group: Sequence[int]) -> FloatArray:
        rows = np.concatenate([self.evidence[i].embeddings for i in group])
        if len(rows) <= self.MOST:
            return rows
        value = np.concatenate([self.evidence[i].value for i in group])
        return rows[np.argsort(-value, kind="stable")[: self.MOST]]

    def _strange(self, a: Sequence[int], b: Sequence[int]) -> float:
        """Weigh hair of other colours as evidence against one person in two shots.

        Light changes with the shot, so that it is little; like colours there say nothing.
        """
        left, right = self.summary(a).haired, self.summary(b).haired
        told = (self._shots[left][:, None] != self._shots[right]).ravel()
        if not told.any():
            return 0.0
        likes = (self._hair[left] @ self._hair[right].T).ravel()
        doubt = (self.HAIR - float(likes[told].max())) / self.HAIR_RANGE
        return self.HAIR_WEIGHT * max(0.0, min(1.0, doubt))


class _Measure(Protocol):
    def __call__(self, a: Sequence[int], b: Sequence[int], /, *, least: float = 0.0) -> float: ...


class _Nearness:
    """Bounds of what groups may have in common, so that few pairs need be looked at closely.

    Args:
        groups: of tracks; joined groups keep the place of the first.
        affinity: of the tracks.
    """

    def __init__(self, groups: Sequence[Sequence[int]], affinity: _Affinity) -> None:
        parts = [affinity.summary(group) for group in groups]
        self._sums = np.stack([part.sum for part in parts])
        self._totals = np.array([part.total for part in parts])
        self._together = np.zeros((len(parts), len(parts)), bool)
        by_shot: dict[int, list[int]] = {}
        for place, part in enumerate(parts):
            for shot in part.shots:
                by_shot.setdefault(shot, []).append(place)
        for places in by_shot.values():
            self._together[np.ix_(places, places)] = True

    def candidates(self, place: int, least: float) -> npt.NDArray[np.int64]:
        """List the groups whose affinity to this one may reach `least`, rising."""
        cosine = self._sums @ self._sums[place] / (self._totals * self._totals[place])
        most = cosine + _Affinity.SPREAD + CONTINUITY * self._together[place]
        return np.flatnonzero(most >= least - 1e-9)

    def join(self, place: int, other: int) -> None:
        """Add one group to another."""
        self._sums[place] += self._sums[other]
        self._totals[place] += self._totals[other]
        self._together[place] |= self._together[other]
        self._together[:, place] |= self._together[:, other]


def _agglomerate(
    groups: list[list[int]], measure: _Measure, link: float, affinity: _Affinity
) -> list[list[int]]:
    """Join the two nearest groups, again and again, while they are nearer than `link`."""
    groups = [list(g) for g in groups]
    count = len(groups)
    if not count:
        return []
    nearness = _Nearness(groups, affinity)
    # Of an hour's film thousands of tracks are compared: half of float64's memory.
    table = np.full((count, count), -np.inf, np.float32)
    for x in range(count):
        for y in nearness.candidates(x, link):
            if y > x:
                table[x, y] = measure(groups[x], groups[y], least=link)
    while True:
        x, y = divmod(int(np.argmax(table)), count)
        if not table[x, y] >= link:
            return [g for g in groups if g]
        groups[x].extend(groups[y])
        groups[y] = []
        nearness.join(x, y)
        table[y, :] = table[:, y] = table[x, :] = table[:, x] = -np.inf
        for other in nearness.candidates(x, link):
            if groups[other] and other != x:
                low, high = min(x, int(other)), max(x, int(other))
                table[low, high] = measure(groups[low], groups[high], least=link)


def _join_outstanding(
    groups: list[list[int]], measure: _Measure, options: ClusterOptions
) -> list[list[int]]:
    """Join groups that are a little less alike, where nobody else comes near either of them.

    Both must be each other's nearest by a wide margin over everybody else - and over 0.25, what
    two strangers reach when they are the only ones there.
    """
    while len(groups) > 1:
        count = len(groups)
        table = np.full((count, count), -np.inf)
        for x in range(count):
            for y in range(x + 1, count):
                table[x, y] = table[y, x] = measure(groups[x], groups[y])
        x, y = divmod(int(np.argmax(table)), count)
        value = float(table[x, y])
        others = [table[g, k] for g in (x, y) for k in range(count) if k not in (x, y)]
        rival = max([0.25, *others])
        if value < options.link - NEAR_MISS or value - rival < MARGIN:
            return groups
        x, y = min(x, y), max(x, y)
        groups = [*groups[:x], groups[x] + groups[y], *groups[x + 1 : y], *groups[y + 1 :]]
    return groups


def _join_couples(
    groups: list[list[int]], affinity: _Affinity, options: ClusterOptions
) -> list[list[int]]:
    """Join two people who are on screen together with the two who are together elsewhere.

    Far away or in other light both may be little like themselves; but if each were somebody
    else, it would be chance that they agree the right way round, and only that way.
    """
    groups = [list(g) for g in groups]
    while True:
        count = len(groups)
        table = np.full((count, count), -np.inf)
        together = np.zeros((count, count), bool)
        for x in range(count):
            for y in range(x + 1, count):
                together[x, y] = together[y, x] = affinity.apart[np.ix_(groups[x], groups[y])].any()
                if not together[x, y]:
                    table[x, y] = table[y, x] = affinity.of(groups[x], groups[y])
        near = [(int(x), int(y)) for x, y in np.argwhere(table >= options.couple)]
        best: tuple[float, int, int, int, int] | None = None
        for x, y in near:
            for u, v in near:
                if not (x < u and together[x, u] and together[y, v]):
                    continue
                # Who is elsewhere together with the other one is surely not the other one.
                crosswise = max(0.0, table[x, v]) + max(0.0, table[u, y])
                margin = float(table[x, y] + table[u, v] - crosswise)
                if margin >= COUPLE_MARGIN:
                    best = max(best or (margin, x, y, u, v), (margin, x, y, u, v))
        if best is None:
            return groups
        _, x, y, u, v = best
        joined = [groups[x] + groups[y], groups[u] + groups[v]]
        groups = [*joined, *(g for k, g in enumerate(groups) if k not in (x, y, u, v))]


def _doubt(
    members: Sequence[int],
    sure: Sequence[Sequence[int]],
    affinity: _Affinity,
    min_frames: int,
) -> Doubt | None:
    """Tell why somebody who was seen well is kept apart all the same; None for a person."""
    tracks, evidence, options = affinity.tracks, affinity.evidence, affinity.options
    frames = sum(len(tracks[i]) for i in members)
    if frames < min_frames:
        return "brief"
    if _is_picture(members, tracks, evidence, options):
        return "picture"
    poorly = max(evidence[i].best for i in members) < DOUBT_QUALITY
    if not poorly or frames >= DOUBT_SECONDS * options.rate:
        return None
    # A face found twice for a moment shares frames with itself.
    glimpse = frames < GLIMPSE_SECONDS * options.rate
    near = affinity.faces if glimpse else affinity.of
    return "alike" if any(near(members, other) >= options.doubt for other in sure) else None


def _take_home(
    poor: list[list[int]],
    groups: list[list[int]],
    affinity: _Affinity,
    options: ClusterOptions,
) -> list[list[int]]:
    """Add who was poorly seen to the people whom they belong to beyond doubt, the surest first.

    Returns:
        Those who belong to nobody.
    """
    left = list(poor)
    while left and groups:
        best: tuple[float, int, int] | None = None
        for i, members in enumerate(left):
            values = [affinity.of(members, g) for g in groups]
            home = int(np.argmax(values))
            # Nearly as much like somebody else: nobody can tell.  0.15 is what strangers reach
            # on average when they are the only ones there.
            rival = max([0.15, *values[:home], *values[home + 1 :]])
            if values[home] >= options.home and values[home] - rival >= MARGIN:
                best = max(best or (values[home], home, i), (values[home], home, i))
        if best is None:
            break
        groups[best[1]].extend(left.pop(best[2]))
    return left


def _may_be(
    members: Sequence[int],
    sure: Sequence[Sequence[int]],
    affinity: _Affinity,
    options: ClusterOptions,
) -> tuple[tuple[int, float], ...]:
    """List whom a group may be: at most three people, likeliest first.

    The score rises from 0.25 at `ClusterOptions.near` to 0.5 at the threshold for joining: of
    groups that agree so much about a quarter and a half are one person.
    """
    ranked = sorted(((affinity.of(members, g), -g[0]) for g in sure), reverse=True)[:3]
    span = options.link - options.near
    return tuple(
        (-first, round(float(min(0.95, 0.25 + 0.25 * (value - options.near) / span)), 2))
        for value, first in ranked
        if value >= options.near
    )


def _of_the_crowd(
    members: Sequence[int],
    tracks: Sequence[FaceTrack],
    evidence: Sequence[TrackEvidence],
    options: ClusterOptions,
) -> bool:
    """Tell whether somebody is seen only for a glimpse, for a few blurred frames, or small."""
    frames = sum(len(tracks[i]) for i in members)
    if frames < GLIMPSE_SECONDS * options.rate:
        return True
    if any(evidence[i].clear for i in members):
        return False
    heights = np.concatenate([tracks[i].boxes[:, 3] - tracks[i].boxes[:, 1] for i in members])
    small = float(np.median(heights)) < CROWD_HEIGHT * options.picture_side
    return small or frames < CROWD_SECONDS * options.rate


def _alive(
    members: list[int],
    tracks: Sequence[FaceTrack],
    evidence: Sequence[TrackEvidence],
    options: ClusterOptions,
) -> list[list[int]]:
    """Drop those of a person's tracks that show one and the same photograph of him.

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
    """Tell whether a person is only ever seen as a photograph: rigid, for long enough to tell."""
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
    """Estimate how sure it is that these tracks, and no others, are one person.

    The tracks' own confidence, times two doubts: the least that a track agrees with the rest,
    and the most that another person does who could be the same, both against the threshold.
    """
    lengths = [len(tracks[i]) for i in members]
    faces = float(np.average([tracks[i].confidence for i in members], weights=lengths))
    doubt = 1.0
    for i in members:
        rest = [j for j in members if j != i]
        if rest:
            above = affinity.likeness([i], rest) - options.link
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
    """Split a track where its faces before and after some frame are of two people.

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
        part = track.only(rows_of)
        pieces.extend(split_changed(part, evidence.part(*span), link=link, patches=patches))
    return pieces


def _from_first_to_last(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.logical_or.accumulate(chosen) & np.logical_or.accumulate(chosen[::-1])[::-1]


def _jump(low: int, high: int, patches: Mapping[int, npt.NDArray[np.uint8]]) -> int | None:
    """Find the frame, ``low < frame <= high``, in which the pixels change at once, if there is
    one."""
    seen = [f for f in sorted(patches) if low <= f <= high]
    steps = [(patch_correlation(patches[a], patches[b]), b) for a, b in pairwise(seen)]
    weakest, frame = min(steps, default=(1.0, high))
    return frame if weakest < ShotTracker.CHANGED_PATCH else None


def _handover(low: int, high: int, patches: Mapping[int, npt.NDArray[np.uint8]]) -> int:
    """Find the first frame, ``low < frame <= high``, that is more like `high` than like `low`."""
    seen = sorted(f for f in patches if low <= f <= high)
    likes = [
        patch_correlation(patches[f], patches[low]) - patch_correlation(patches[f], patches[high])
        for f in seen
    ]
    # As few frames as can be on the wrong side: where the sum of the likes to the left less that
    # to the right is greatest.
    cut = int(np.argmax(np.cumsum(likes)[:-1])) + 1
    return (seen[cut - 1] + seen[cut] + 1) // 2
