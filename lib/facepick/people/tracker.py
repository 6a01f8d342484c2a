"""Tracking of faces through one shot.

The detector sees the whole of every other sampled frame; in the samples between, it sees only
small cut-outs where faces are expected, at an eighth of the cost each.  Between two samples that
agree about who is there, a face is interpolated.  Where they disagree - somebody appeared,
vanished, or the pixels around a face changed at once - cut-outs of every frame between them are
looked at, so that entering and leaving are exact to the frame.  Faces are joined by overlap with
the Hungarian method, confident detections first and doubtful ones only where a face is expected
already (the order of Zhang et al., *ByteTrack: Multi-Object Tracking by Associating Every
Detection Box*, ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box, FaceBatch, FloatArray
from facepick.faces.quality import patch_correlation
from facepick.people.assignment import assign
from facepick.people.track import BRIDGED, DETECTED, TRACKED

__all__ = ["FaceSource", "Observation", "RawTrack", "ShotTracker", "TrackerOptions"]

Gray = npt.NDArray[np.uint8]

SAME_FACE = 0.5
"""Boxes of one face overlap by more than this, those of two hardly ever: then one hides the
other."""


class FaceSource(Protocol):
    """The frames of a shot as the tracker sees them; boxes are in display pixels."""

    width: int
    height: int

    def detect(self, frame: int) -> FaceBatch:
        """Detect all faces of a frame."""
        ...

    def look(self, frame: int, box: Box) -> FaceBatch:
        """Look again for faces near `box`, in a magnified and padded cut-out."""
        ...

    def patch(self, frame: int, box: Box) -> Gray:
        """Cut out the face with its surroundings as a small grey picture."""
        ...


START_SCORE, SURE_SCORE, KEEP_SCORE = 0.6, 0.75, 0.35
"""Scores of the detector: from the first on a face starts a track, a track must reach the second
once to be held for a face, and a face that is expected is taken from the third on."""

MIN_FRAMES = 3
"""Shorter tracks are dropped, unless the shot is shorter itself."""


@dataclass(frozen=True, kw_only=True)
class TrackerOptions:
    """Limits of how faces are followed.

    Attributes:
        step: distance of the sampled frames.
        whole_every: the whole picture is looked at in every so many samples.
        max_gap: frames that a face may be out of sight and still be the same track.
    """

    step: int = 4
    whole_every: int = 2
    max_gap: int = 15

    def __post_init__(self) -> None:
        if self.step < 1 or self.whole_every < 1 or self.max_gap < 0:
            raise ValueError(f"step and whole_every must be >= 1, max_gap >= 0, got {self}")


@dataclass(frozen=True, eq=False)
class Observation:
    """One sighting of a face.

    Attributes:
        frame: index of the frame.
        box, landmarks5: (4,) and (5, 2) float32, display pixels.
        score: of the detector.
        patch: grey picture of the face and its surroundings.
    """

    frame: int
    box: FloatArray
    landmarks5: FloatArray
    score: float
    patch: Gray = field(repr=False)


class RawTrack:
    """A face that is being followed."""

    def __init__(self, first: Observation, *, trust: float = 0.0) -> None:
        # A face that left the picture and came back is still the face that was found before.
        self._trust = trust
        self.observations: list[Observation] = [first]
        self.missed: list[int] = []

    def __repr__(self) -> str:
        return f"RawTrack({self.first.frame}..{self.last.frame})"

    @property
    def first(self) -> Observation:
        """First sighting of the face."""
        return self.observations[0]

    @property
    def last(self) -> Observation:
        """Last sighting of the face."""
        return self.observations[-1]

    @property
    def best_score(self) -> float:
        """Best score of the detector over the track."""
        return max(self._trust, max(o.score for o in self.observations))

    def predicted(self, frame: int) -> npt.NDArray[np.float64]:
        """Predict where the box should be: it goes on as it went, but not for long."""
        box = self.last.box.astype(np.float64)
        if len(self.observations) < 2:
            return box
        before = self.observations[-2]
        span = self.last.frame - before.frame
        if span > 8:
            return box
        velocity = (self.last.box.astype(np.float64) - before.box) / span
        # A head that is lost did not keep its speed; 6 frames are a quarter of a second.
        ahead = min(frame - self.last.frame, 6)
        shift = velocity * ahead
        centre = np.array([shift[0] + shift[2], shift[1] + shift[3]]) / 2
        return np.asarray(box + np.concatenate([centre, centre]), np.float64)

    def arrays(
        self,
    ) -> tuple[npt.NDArray[np.int32], FloatArray, FloatArray, FloatArray, npt.NDArray[np.uint8]]:
        """Fill frames, boxes, landmarks5, score and origin for every frame from first to last."""
        seen = np.array([o.frame for o in self.observations])
        frames = np.arange(seen[0], seen[-1] + 1)

        def between(values: npt.NDArray[np.float64]) -> FloatArray:
            flat = values.reshape(len(values), -1)
            columns = [np.interp(frames, seen, flat[:, c]) for c in range(flat.shape[1])]
            stacked = np.stack(columns, axis=1).reshape(len(frames), *values.shape[1:])
            return np.asarray(stacked, np.float32)

        boxes = between(np.array([o.box for o in self.observations], np.float64))
        landmarks = between(np.array([o.landmarks5 for o in self.observations], np.float64))
        score = between(np.array([[o.score] for o in self.observations], np.float64))[:, 0]
        origin = np.full(len(frames), TRACKED, np.uint8)
        for frame in self.missed:
            if seen[0] < frame < seen[-1]:
                # Everything between the sightings on both sides of a miss is a guess.
                after = int(np.searchsorted(seen, frame))
                origin[seen[after - 1] - seen[0] : seen[after] - seen[0]] = BRIDGED
        origin[seen - seen[0]] = DETECTED
        return frames.astype(np.int32), boxes, landmarks, score, origin


class ShotTracker:
    """Tracker of the faces of one shot; frames are asked for in rising order.

    Args:
        source: the frames.
        start: first frame of the shot.
        options: how.
        on_seen: called for every observation, as soon as it belongs to a track.
    """

    # Two samples of one face overlap by more than this unless it jumps.
    MIN_IOU = 0.2
    # Or, for a fast head, its centre moved by less than this share of its size a sample.
    MAX_SHIFT = 0.7
    MAX_ZOOM = 1.7
    # A face with its surroundings correlates by more than 0.8 with itself in the next frame.
    # When one pane of a split screen changes to somebody else it does hardly at all, or by 0.36
    # to 0.56 where both are framed alike.
    CHANGED_PATCH = 0.65
    OTHER_PATCH = 0.35
    # A face with more than this share of its box outside the picture is leaving it.
    LEAVING_SHARE = 0.2
    # So many cut-outs cost as much as half a look at the whole picture.
    MAX_CUT_OUTS = 4

    def __init__(
        self,
        source: FaceSource,
        start: int,
        options: TrackerOptions,
        *,
        on_seen: Callable[[RawTrack, Observation], None] = lambda _track, _seen: None,
    ) -> None:
        self._source = source
        self._options = options
        self._on_seen = on_seen
        self._start = start
        self._sampled: int | None = None
        self._whole: int | None = None
        self._samples_since_whole = 0
        self._active: list[RawTrack] = []
        self._done: list[RawTrack] = []

    @property
    def needed_from(self) -> int:
        """Frames before this one will not be asked for again."""
        return self._start if self._whole is None else self._whole + 1

    def advance(self, last: int, *, final: bool, swings: Sequence[int] = ()) -> None:
        """Look at the frames up to `last`.

        Args:
            last: newest frame that may be asked for.
            final: it is the last frame of the shot.
            swings: frames up to `last` before which the camera swung round: a face may then
                move by its own width from frame to frame, and every one of them is sampled.
        """
        if self._sampled is None:
            if last < self._start:
                return
            self._commit(self._start, self._pair(self._start, self._source.detect(self._start)))
            self._sampled = self._whole = self._start
        while self._sampled < last:
            target = self._sampled + self._options.step
            for swing in swings:
                if swing > self._sampled:
                    target = min(target, max(swing - 1, self._sampled + 1))
            if target > last:
                if not final:
                    return
                target = last
            pairing = self._sample(target, whole=final and target == last)
            self._fill(self._sampled, target, pairing)
            self._commit(target, pairing)
            self._sampled = target
            if pairing.whole:
                self._whole, self._samples_since_whole = target, 0

    def finish(self) -> list[RawTrack]:
        """Return the tracks of the shot, weak ones dropped, by first frame and left edge."""
        self._done.extend(self._active)
        self._active = []
        length = 0 if self._sampled is None else self._sampled - self._start + 1
        wanted = min(MIN_FRAMES, length)
        kept = [
            t
            for t in self._done
            if t.best_score >= SURE_SCORE and t.last.frame - t.first.frame + 1 >= wanted
        ]
        self._done = []
        kept = _without_doubles(kept)
        return sorted(kept, key=lambda t: (t.first.frame, float(t.first.box[0])))

    # ------------------------------------------------------------------ one sample

    def _sample(self, frame: int, *, whole: bool) -> _Pairing:
        """Pair tracks and faces in `frame`; changes no track."""
        self._samples_since_whole += 1
        whole = whole or self._samples_since_whole >= self._options.whole_every
        if not whole and len(self._active) <= self.MAX_CUT_OUTS:
            pairing = self._pair(frame, self._cut_outs(frame))
            lost = [
                k
                for k, t in enumerate(self._active)
                if k not in pairing.pairs and t.last.frame == self._sampled
            ]
            if not lost:
                return pairing
        return replace(self._pair(frame, self._source.detect(frame)), whole=True)

    def _cut_outs(self, frame: int) -> FaceBatch:
        """Detect what is where faces are expected, each face once."""
        parts = [
            self._source.look(frame, Box(*map(float, track.predicted(frame))))
            for track in self._active
        ]
        if not parts:
            return FaceBatch.empty()
        merged = FaceBatch(
            np.concatenate([p.xyxy for p in parts]),
            np.concatenate([p.score for p in parts]),
            np.concatenate([p.landmarks5 for p in parts]),
        )
        return merged.take(np.argsort(-merged.score, kind="stable"))

    def _pair(self, frame: int, found: FaceBatch) -> _Pairing:
        found = _without_nested(found)
        pairs: dict[int, Observation] = {}
        free = set(range(len(found)))
        strong = [i for i in range(len(found)) if found.score[i] >= START_SCORE]
        weak = [i for i in range(len(found)) if KEEP_SCORE <= found.score[i] < START_SCORE]
        for candidates in (strong, weak):
            tracks = [k for k in range(len(self._active)) if k not in pairs]
            for track, face in self._match(frame, tracks, candidates, found):
                pairs[track] = self._observe(frame, found, face)
                free.discard(face)
        others = [found.box(j) for j in range(len(found))]
        for k, item in enumerate(self._active):
            if k not in pairs and item.best_score >= SURE_SCORE:
                expected = item.predicted(frame)
                again = self._look(frame, expected, others, near=expected)
                if again is not None:
                    pairs[k] = again
        taken = [Box(*map(float, o.box)) for o in pairs.values()]
        new = [
            self._observe(frame, found, i)
            for i in strong
            if i in free and all(found.box(i).iou(b) < 0.3 for b in taken)
        ]
        return _Pairing(pairs, new)

    def _match(
        self, frame: int, tracks: list[int], faces: list[int], found: FaceBatch
    ) -> list[tuple[int, int]]:
        cost = np.full((len(tracks), len(faces)), np.inf)
        for r, k in enumerate(tracks):
            track = self._active[k]
            expected = track.predicted(frame)
            patient = 1.0 + 0.5 * min(1.0, (frame - track.last.frame) / self._options.max_gap)
            for c, i in enumerate(faces):
                cost[r, c] = self._distance(expected, found.xyxy[i], patient)
        # 1.5: above any distance that `_distance` allows.
        return [(tracks[r], faces[c]) for r, c in assign(cost, limit=1.5)]

    def _distance(
        self, expected: npt.NDArray[np.float64], box: FloatArray, patient: float
    ) -> float:
        a, b = Box(*map(float, expected)), Box(*map(float, box))
        size_a, size_b = max(a.area, 1.0) ** 0.5, max(b.area, 1.0) ** 0.5
        if not 1 / self.MAX_ZOOM < size_a / size_b < self.MAX_ZOOM:
            return float("inf")
        (ax, ay), (bx, by) = a.center, b.center
        shift = float(np.hypot(ax - bx, ay - by)) / ((size_a + size_b) / 2)
        overlap = float(a.iou(b))
        if overlap < self.MIN_IOU and shift > self.MAX_SHIFT * patient:
            return float("inf")
        return float(1.0 - overlap + 0.25 * shift)

    def _look(
        self,
        frame: int,
        where: npt.NDArray[np.float64],
        others: list[Box],
        *,
        near: npt.NDArray[np.float64],
    ) -> Observation | None:
        """Look again where a face should be: magnified, and past the edge of the picture.

        `others` are faces that are somebody else's already.
        """
        found = self._source.look(frame, Box(*map(float, where)))
        best, best_distance = -1, float("inf")
        for i in range(len(found)):
            if found.score[i] < KEEP_SCORE:
                continue
            if any(found.box(i).iou(other) > 0.4 for other in others):
                continue
            distance = self._distance(near, found.xyxy[i], 1.0)
            if distance < best_distance:
                best, best_distance = i, distance
        return None if best < 0 else self._observe(frame, found, best)

    def _observe(self, frame: int, found: FaceBatch, face: int) -> Observation:
        return Observation(
            frame,
            found.xyxy[face],
            found.landmarks5[face],
            float(found.score[face]),
            self._source.patch(frame, found.box(face)),
        )

    # ------------------------------------------------------------------ between two samples

    def _fill(self, start: int, stop: int, pairing: _Pairing) -> None:
        """Look into the frames between two samples where the samples disagree."""
        between = range(start + 1, stop)
        for k, track in enumerate(self._active):
            seen = pairing.pairs.get(k)
            fresh = track.last.frame == start
            if seen is None:
                if fresh and track.best_score >= SURE_SCORE:
                    pairing.before[k] = self._forwards(track, between, pairing)
            elif not fresh:
                pairing.before[k] = self._backwards(seen, between, pairing, but=k)
            elif patch_correlation(track.last.patch, seen.patch) < self.CHANGED_PATCH:
                pairing.before[k] = self._across(track, seen, between, pairing)
        for n, seen in enumerate(pairing.new):
            # It may have come before the last sample, which saw cut-outs only.
            since = range((start if self._whole is None else self._whole) + 1, stop)
            pairing.before_new[n] = self._backwards(seen, since, pairing, but=None)

    def _forwards(self, track: RawTrack, between: range, pairing: _Pairing) -> list[Observation]:
        """Find until when a face was there that is gone at the next sample."""
        found: list[Observation] = []
        for frame in between:
            expected = track.predicted(frame)
            others = self._others(frame, pairing, but=None)
            near = expected if not found else found[-1].box.astype(np.float64)
            seen = self._look(frame, expected, others, near=near)
            if seen is None:
                break
            found.append(seen)
        return found

    def _backwards(
        self, seen: Observation, between: range, pairing: _Pairing, *, but: int | None
    ) -> list[Observation]:
        """Find since when a face has been there that is new at a sample."""
        found: list[Observation] = []
        for frame in reversed(between):
            near = (found[-1] if found else seen).box.astype(np.float64)
            earlier = self._look(frame, near, self._others(frame, pairing, but=but), near=near)
            last = found[-1] if found else seen
            if earlier is None or patch_correlation(earlier.patch, last.patch) < self.OTHER_PATCH:
                break
            found.append(earlier)
        return found[::-1]

    def _across(
        self, track: RawTrack, seen: Observation, between: range, pairing: _Pairing
    ) -> list[Observation]:
        """Follow a face around which the pixels changed through every frame in between."""
        found: list[Observation] = []
        first, last = track.last.box.astype(np.float64), seen.box.astype(np.float64)
        span = seen.frame - track.last.frame
        for frame in between:
            share = (frame - track.last.frame) / span
            expected = (1 - share) * first + share * last
            again = self._look(frame, expected, [], near=expected)
            if again is not None:
                found.append(again)
        return found

    def _others(self, frame: int, pairing: _Pairing, *, but: int | None) -> list[Box]:
        """Interpolate where everybody else is between the samples."""
        boxes: list[Box] = []
        for k, seen in pairing.pairs.items():
            last = self._active[k].last
            if k == but:
                continue
            # Before the last sample (where only a new face is looked for) the last box serves.
            share = max(0.0, (frame - last.frame) / (seen.frame - last.frame))
            boxes.append(Box(*map(float, (1 - share) * last.box + share * seen.box)))
        return boxes

    def _commit(self, frame: int, pairing: _Pairing) -> None:
        still: list[RawTrack] = []
        for k, track in enumerate(self._active):
            seen = pairing.pairs.get(k)
            chain = [*pairing.before.get(k, ()), *([] if seen is None else [seen])]
            for item in chain:
                track = self._extend(track, item)
            if seen is None:
                track.missed.append(frame)
                if frame - track.last.frame > self._options.max_gap:
                    self._done.append(track)
                    continue
            still.append(track)
        for n, seen in enumerate(pairing.new):
            chain = [*pairing.before_new.get(n, ()), seen]
            track = RawTrack(chain[0])
            self._on_seen(track, chain[0])
            for item in chain[1:]:
                track = self._extend(track, item)
            still.append(track)
        self._active = still

    def _extend(self, track: RawTrack, seen: Observation) -> RawTrack:
        """Extend the track with `seen`, or begin a new one when it is somebody else."""
        adjacent = seen.frame - track.last.frame == 1
        missed = bool(track.missed) and track.missed[-1] > track.last.frame
        other = adjacent and patch_correlation(track.last.patch, seen.patch) < self.OTHER_PATCH
        left = missed and self._left_between(track.last, seen)
        if other or left:
            self._done.append(track)
            track = RawTrack(seen, trust=0.0 if other else track.best_score)
        else:
            track.observations.append(seen)
        self._on_seen(track, seen)
        return track

    def _left_between(self, before: Observation, after: Observation) -> bool:
        """Tell whether a face that was missed for a while went out of the picture meanwhile.

        A face that is leaving is seen as a narrower and narrower one at the edge, so that
        touching the same side on both ends of the gap says as much as lying outside.
        """
        width = float(self._source.width)
        touch = 0.08
        for at_left in (True, False):
            sides = []
            for o in (before, after):
                x0, x1 = float(o.box[0]), float(o.box[2])
                reach = touch * (x1 - x0)
                sides.append(x0 < reach if at_left else x1 > width - reach)
            if all(sides):
                return True
        size = self._source.width, self._source.height
        return any(
            1 - Box(*map(float, o.box)).inside(*size) > self.LEAVING_SHARE for o in (before, after)
        )


@dataclass(frozen=True, eq=False)
class _Pairing:
    """Pairing of tracks and faces at a sample.

    Attributes:
        pairs: what was seen of active track k.
        new: faces of nobody yet.
        before, before_new: what was seen of them between the last sample and this one.
        whole: the whole picture was looked at.
    """

    pairs: dict[int, Observation]
    new: list[Observation]
    before: dict[int, list[Observation]] = field(default_factory=dict)
    before_new: dict[int, list[Observation]] = field(default_factory=dict)
    whole: bool = False


def _without_doubles(tracks: list[RawTrack]) -> list[RawTrack]:
    """Drop what of each track follows a face which a longer one follows already.

    That is a whole track, or its end or beginning: a track that is losing its face may go over
    to that of another.  Two that pass before each other keep their middle.
    """
    kept: list[RawTrack] = []
    for track in sorted(tracks, key=lambda t: -len(t.observations)):
        frames, boxes, *_ = track.arrays()
        same = np.zeros(len(frames), bool)
        for other in kept:
            other_frames, other_boxes, *_ = other.arrays()
            _, mine, theirs = np.intersect1d(frames, other_frames, return_indices=True)
            for a, b in zip(mine, theirs, strict=True):
                overlap = Box(*map(float, boxes[a])).iou(Box(*map(float, other_boxes[b])))
                same[a] |= overlap > SAME_FACE
        if np.mean(same) > 0.5:
            continue
        own = frames[~same]
        track.observations = [o for o in track.observations if own[0] <= o.frame <= own[-1]]
        if track.observations:
            kept.append(track)
    return kept


def _without_nested(found: FaceBatch) -> FaceBatch:
    """Drop faces that lie inside a better one: a mouth or a chin taken for a face."""
    keep: list[int] = []
    for i in range(len(found)):
        box = found.box(i)
        nested = False
        for j in keep:
            other = found.box(j)
            w = min(box.x1, other.x1) - max(box.x0, other.x0)
            h = min(box.y1, other.y1) - max(box.y0, other.y0)
            if w > 0 and h > 0 and w * h > 0.7 * min(box.area, other.area):
                nested = True
                break
        if not nested:
            keep.append(i)
    return found.take(np.array(keep, dtype=np.intp))
