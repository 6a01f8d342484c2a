"""Evidence of who a track is: a few good faces that a scan keeps, not every frame."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from facepick.errors import FacepickError
from facepick.faces.alignment import align
from facepick.faces.analyzer import FaceEmbedder, FaceMesher, MeasuringEmbedder
from facepick.faces.detection import Box, FloatArray
from facepick.faces.head_pose import pose_of_points
from facepick.faces.quality import (
    FaceQuality,
    assess,
    eye_openness,
    patch_correlation,
)
from facepick.faces.warp import cut_out
from facepick.people.liveness import StillnessProbe
from facepick.people.looks import Looks, look_at, mean_look
from facepick.people.track import BRIDGED
from facepick.people.tracker import Observation, RawTrack, ShotTracker

if TYPE_CHECKING:
    from facepick.people.held import HeldPicture

__all__ = [
    "Collector",
    "PictureFile",
    "StoredPicture",
    "Thumbnail",
    "TrackEvidence",
    "track_confidence",
]

Bgr = npt.NDArray[np.uint8]


class PictureFile:
    """File without a name for encoded pictures: of an hour's film there are thousands."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="facepick-")  # noqa: SIM115
        self._end = 0

    def put(self, data: bytes) -> StoredPicture:
        """Add a picture."""
        at, self._end = self._end, self._end + len(data)
        self._file.seek(at)
        self._file.write(data)
        return StoredPicture(self, at, len(data))

    def read(self, at: int, size: int) -> bytes:
        """Read a part of the file."""
        self._file.seek(at)
        return self._file.read(size)

    def close(self) -> None:
        """Give the file up."""
        self._file.close()


@dataclass(frozen=True)
class StoredPicture:
    """An encoded picture in a `PictureFile`, which ``bytes()`` reads."""

    file: PictureFile = field(repr=False)
    at: int
    size: int

    def __bytes__(self) -> bytes:
        return self.file.read(self.at, self.size)


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A small picture of a face.

    Attributes:
        frame: where it was taken.
        value: how good it is, in [0, 1].
        jpeg: the encoded picture.
        mesh: how sure the mesh network is that it shows a face.
    """

    frame: int
    value: float
    jpeg: StoredPicture
    mesh: float = 1.0


@dataclass(frozen=True, eq=False)
class TrackEvidence:
    """Faces, strengths and colours by which a track is told.

    Attributes:
        frames: (k,) int32, where the exemplars were taken, rising.
        embeddings: (k, d) float32, each of length 1.
        value: (k,) float32, quality of each exemplar in [0, 1].
        eye_distance: (k,) float32, in display pixels.
        off_frontal: (k,) float32, in degrees.
        sharpness: (k,) float32 in [0, 1].
        inside: (k,) float32, the share of the face that lies inside the picture.
        thumbnails: best first.
        mesh_score: how sure the mesh network is that the best picture shows a face.
        stillness: how rigid the face is, see `facepick.people.liveness`; None when the track
            is too short to tell.
        strengths: (k,) float32, how much the embedder found to say of each, where it tells: the
            length of its vector, over that of a chip which is as likely a face as not.
        hair, clothes: (c,) float32, colours above the face and of the shoulders below it, see
            `facepick.people.looks`; None where too little of it is inside the picture.
    """

    frames: npt.NDArray[np.int32]
    embeddings: FloatArray
    value: FloatArray
    eye_distance: FloatArray
    off_frontal: FloatArray
    sharpness: FloatArray
    inside: FloatArray
    thumbnails: tuple[Thumbnail, ...] = ()
    mesh_score: float = 1.0
    stillness: float | None = None
    strengths: FloatArray | None = None
    hair: FloatArray | None = None
    clothes: FloatArray | None = None

    def __repr__(self) -> str:
        return f"TrackEvidence({len(self.frames)} exemplars, best {self.best:.2f})"

    @property
    def best(self) -> float:
        """Quality of the best exemplar."""
        return float(self.value.max()) if len(self.value) else 0.0

    @property
    def strength(self) -> float | None:
        """The mean of `strengths`, weighted by quality; None where there are none."""
        if self.strengths is None or not len(self.strengths):
            return None
        return float(np.average(self.strengths, weights=np.maximum(self.value, 0.02)))

    @property
    def clear(self) -> bool:
        """True when somebody could be recognised by it, whatever way the head is turned.

        Some exemplar is sharp and has 14 pixels between the eyes; or it is so large that the
        mesh network is certain of it even where darkness leaves no fine detail.  Either way
        most of the face is inside the picture.
        """
        whole = self.inside >= 0.6
        sharp = whole & (self.sharpness >= 0.35) & (self.eye_distance >= 14.0)
        large = whole & (self.eye_distance >= 35.0) & (self.off_frontal <= 45.0)
        return bool(np.any(sharp) or (self.mesh_score >= 0.9 and np.any(large)))

    @property
    def profile(self) -> bool:
        """True when no exemplar shows more than the side of the face."""
        return bool(np.all(self.off_frontal > 45.0))

    def part(self, start: int, stop: int) -> TrackEvidence:
        """Take the part from frames ``start <= i < stop``."""
        rows = (self.frames >= start) & (self.frames < stop)
        thumbnails = tuple(t for t in self.thumbnails if start <= t.frame < stop)
        mesh = self.mesh_score
        if self.thumbnails:
            mesh = max((t.mesh for t in thumbnails), default=0.0)
        return replace(
            self,
            mesh_score=mesh,
            strengths=None if self.strengths is None else self.strengths[rows],
            frames=self.frames[rows],
            embeddings=self.embeddings[rows],
            value=self.value[rows],
            eye_distance=self.eye_distance[rows],
            off_frontal=self.off_frontal[rows],
            sharpness=self.sharpness[rows],
            inside=self.inside[rows],
            thumbnails=thumbnails,
        )


def track_confidence(
    score: FloatArray, origin: npt.NDArray[np.uint8], evidence: TrackEvidence
) -> float:
    """Estimate how sure a track is a face, in [0, 1].

    The detector's mean score, times the share of frames in which the face was really seen
    (half counts for nothing lost), times what the mesh network says of its best picture.  The
    mesh network knows no profiles: of them it is only asked for a little.
    """
    seen = float(np.mean(origin != BRIDGED))
    mesh = max(evidence.mesh_score, 0.75) if evidence.profile else evidence.mesh_score
    value = float(np.mean(score)) * (0.5 + 0.5 * seen) * (0.5 + 0.5 * mesh)
    return float(np.clip(value, 0.0, 1.0))


class _FrameSource(Protocol):
    aspect: float
    width: int
    height: int

    def picture(self, index: int) -> HeldPicture: ...

    def small(self, index: int) -> tuple[Bgr, npt.NDArray[np.float64]]: ...


@dataclass(frozen=True, eq=False)
class _Sample:
    frame: int
    look: int
    prior: float
    quality: FaceQuality
    chip: Bgr = field(repr=False)
    jpeg: bytes = field(repr=False)
    box: Box
    landmarks5: FloatArray
    looks: Looks


class _Samples:
    """The best sample of each stretch of a track; with one look never more than `LIMIT`.

    A stretch ends after a while, or where the pixels say that the head turned, the light changed
    or somebody else took the place: with another look.
    """

    LIMIT = 8
    MOST = 32
    # A talking head that stays where it is correlates by 0.6 and more with itself seconds ago,
    # one that turns away or dissolves into the next by 0.4 and less.
    SAME_LOOK = 0.5

    def __init__(self, first: Observation, length: int, probe: StillnessProbe) -> None:
        self._start = first.frame
        self._length = max(1, length)
        self._reference = self._last = first.patch
        self._look = 0
        self._fresh = True
        self.best: list[_Sample] = []
        self.probe = probe

    @property
    def look(self) -> int:
        """Number of the look that the observation shows which `wants` was asked about last."""
        return self._look

    def wants(self, seen: Observation, prior: float) -> bool:
        """Tell whether an observation is worth cutting out; asked of each in rising order."""
        jumped = patch_correlation(self._last, seen.patch) < ShotTracker.CHANGED_PATCH
        self._last = seen.patch
        if jumped or patch_correlation(self._reference, seen.patch) < self.SAME_LOOK:
            self._reference = seen.patch
            self._look += 1
            self._fresh = True
        if self._fresh or seen.frame - self._start >= self._length:
            self._start, self._fresh = seen.frame, True
            return True
        # A sample that only promises a tenth more is not worth cutting out again.
        return prior > 1.1 * self.best[-1].prior

    def put(self, sample: _Sample) -> None:
        if self._fresh:
            self.best.append(sample)
            self._fresh = False
        elif sample.quality.value > self.best[-1].quality.value:
            self.best[-1] = sample
        if len(self.best) > self.LIMIT:
            self._length *= 2
            thinned: list[_Sample] = []
            for item in self.best:
                # Neighbours of one look become one; of another look there may be no other sample.
                if thinned and thinned[-1].look == item.look and len(thinned) % 2:
                    thinned[-1] = max(thinned[-1], item, key=lambda s: s.quality.value)
                else:
                    thinned.append(item)
            if len(thinned) > self.MOST:
                thinned.remove(min(thinned, key=lambda s: s.quality.value))
            self.best = thinned


def _spread(samples: list[_Sample]) -> list[_Sample]:
    """Choose the best sample of every look.

    Of the two halves, where all look alike, so that a track which changes hands half-way shows
    both.
    """
    looks: dict[int, list[_Sample]] = {}
    for sample in samples:
        looks.setdefault(sample.look, []).append(sample)
    parts = list(looks.values())
    if len(parts) == 1 and len(samples) > 1:
        half = (len(samples) + 1) // 2
        parts = [samples[:half], samples[half:]]
    return [max(part, key=lambda s: s.quality.value) for part in parts]


def _embedded(
    embedder: FaceEmbedder, samples: list[_Sample]
) -> tuple[FloatArray, FloatArray | None]:
    """Embed the samples, and compute `TrackEvidence.strengths`."""
    chips = np.stack([s.chip for s in samples])
    if not isinstance(embedder, MeasuringEmbedder):
        return embedder.embed(chips), None
    rows = embedder.raw(chips)
    lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-9)
    unit = np.asarray(rows / lengths[:, None], np.float32)
    return unit, np.asarray(lengths / embedder.face_length, np.float32)


class Collector:
    """Collector of good faces while the tracks of one shot grow.

    Args:
        source: the frames that are held.
        rate: frames per second, roughly.
        pictures: where thumbnails are kept.
    """

    THUMBNAIL_SIDE = 192
    JPEG_QUALITY = 88
    THUMBNAILS = 3
    # Exemplars of one track agree by so much more than two people may, or there is doubt.
    AGREED = 0.15

    def __init__(self, source: _FrameSource, *, rate: float, pictures: PictureFile) -> None:
        self._source = source
        self._pictures = pictures
        self._rate = rate
        self._samples: dict[RawTrack, _Samples] = {}

    def seen(self, track: RawTrack, seen: Observation) -> None:
        """Take note of an observation; called while its frame is still held."""
        samples = self._samples.get(track)
        if samples is None:
            samples = _Samples(seen, round(self._rate * 0.6), StillnessProbe(self._rate))
            self._samples[track] = samples
        if samples.probe.wants(seen.frame):
            samples.probe.put(seen.frame, self._cut(seen, seen.box, grow=0.35, side=64)[0])
        aspect = self._source.aspect
        pose = pose_of_points(seen.landmarks5, pixel_aspect=aspect)
        turn = max(0.05, 1.0 - (pose.off_frontal / 75.0) ** 2)
        box = Box(*map(float, seen.box))
        inside = box.inside(self._source.width, self._source.height)
        prior = seen.score * turn * inside * float(np.sqrt(max(1.0, box.width)))
        if not samples.wants(seen, prior):
            return
        chip = self._chip(seen)
        quality = assess(chip, seen.landmarks5, seen.score, pixel_aspect=aspect, inside=inside)
        jpeg = self._jpeg(seen)
        samples.put(
            _Sample(
                seen.frame,
                samples.look,
                prior,
                quality,
                chip,
                jpeg,
                box,
                seen.landmarks5,
                look_at(*self._source.small(seen.frame), box),
            )
        )

    def evidence(
        self, track: RawTrack, embedder: FaceEmbedder, mesher: FaceMesher
    ) -> TrackEvidence:
        """Return what is kept of a finished track; its pictures are given up."""
        held = self._samples.pop(track)
        span = range(track.first.frame, track.last.frame + 1)
        samples = [s for s in held.best if s.frame in span] or held.best
        # Embedding a face costs as much as decoding ten frames, and one head in one look gives
        # nearly one vector.  Only where the vectors disagree all the samples are asked.
        chosen = _spread(samples)
        embeddings, strengths = _embedded(embedder, chosen)
        if float((embeddings @ embeddings.T).min()) < embedder.same_person + self.AGREED:
            chosen = samples
            embeddings, strengths = _embedded(embedder, chosen)
        thumbnails, mesh_score = self._thumbnails(samples, mesher)
        return TrackEvidence(
            frames=np.array([s.frame for s in chosen], np.int32),
            embeddings=embeddings,
            value=np.array([s.quality.value for s in chosen], np.float32),
            eye_distance=np.array([s.quality.eye_distance for s in chosen], np.float32),
            off_frontal=np.array([s.quality.pose.off_frontal for s in chosen], np.float32),
            sharpness=np.array([s.quality.sharpness for s in chosen], np.float32),
            inside=np.array([s.quality.inside for s in chosen], np.float32),
            thumbnails=thumbnails,
            mesh_score=mesh_score,
            stillness=held.probe.stillness(),
            strengths=strengths,
            hair=mean_look([s.looks.hair for s in samples]),
            clothes=mean_look([s.looks.clothes for s in samples]),
        )

    def _thumbnails(
        self, samples: list[_Sample], mesher: FaceMesher
    ) -> tuple[tuple[Thumbnail, ...], float]:
        import cv2

        best = sorted(samples, key=lambda s: -s.quality.value)[: self.THUMBNAILS]
        made: list[Thumbnail] = []
        mesh_score = 0.0
        for sample in best:
            image = cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise FacepickError("A thumbnail could not be read back.")
            area = self._area(sample.box, grow=0.45)
            ratio = np.array([image.shape[1] / area.width, image.shape[0] / area.height])
            points = (sample.landmarks5 - np.array([area.x0, area.y0])) * ratio
            mesh, score = mesher.locate(np.asarray(image, np.uint8), np.asarray(points, np.float32))
            mesh_score = max(mesh_score, score)
            # Eyes count as open from a lid distance of 0.2 eye widths on.
            opened = float(np.clip((eye_openness(mesh) - 0.1) / 0.12, 0.0, 1.0))
            value = sample.quality.value * (0.5 + 0.5 * opened * score)
            made.append(Thumbnail(sample.frame, value, self._pictures.put(sample.jpeg), score))
        made.sort(key=lambda t: -t.value)
        return tuple(made), mesh_score

    def _chip(self, seen: Observation) -> Bgr:
        small, scale = self._source.small(seen.frame)
        points = seen.landmarks5 * scale
        across = float(np.linalg.norm(points[1] - points[0]))
        # 35 pixels between the eyes fill the chip; more would be thrown away again.
        if across >= 35.0:
            return align(small, np.asarray(points, np.float32))
        area = self._area(Box(*map(float, seen.box)), grow=0.5)
        part, origin = self._crop(seen.frame, area)
        return align(part, seen.landmarks5, origin=origin, pixel_aspect=self._source.aspect)

    def _jpeg(self, seen: Observation) -> bytes:
        import cv2

        image, _ = self._cut(seen, seen.box, grow=0.45, side=self.THUMBNAIL_SIDE)
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.JPEG_QUALITY])
        if not done:
            raise FacepickError("A thumbnail could not be encoded.")
        return bytes(data)

    def _area(self, box: Box, *, grow: float) -> Box:
        """Compute the square (in square pixels) around a face with some margin, not clipped."""
        aspect = self._source.aspect
        side = max(box.width * aspect, box.height) * (1 + 2 * grow)
        cx, cy = box.center
        half_x, half_y = side / 2 / aspect, side / 2
        return Box(cx - half_x, cy - half_y, cx + half_x, cy + half_y)

    def _cut(
        self, seen: Observation, box: FloatArray, *, grow: float, side: int
    ) -> tuple[Bgr, Box]:
        """Cut out a square of `side` pixels around a face; what lies outside repeats the border."""
        area = self._area(Box(*map(float, box)), grow=grow)
        small, scale = self._source.small(seen.frame)
        if area.height * scale[1] >= side:
            matrix = np.array(
                [
                    [area.width * scale[0] / side, 0, area.x0 * scale[0]],
                    [0, area.height * scale[1] / side, area.y0 * scale[1]],
                ]
            )
            part = small
        else:
            part, (x0, y0) = self._crop(seen.frame, area)
            matrix = np.array(
                [
                    [area.width / side, 0, area.x0 - x0],
                    [0, area.height / side, area.y0 - y0],
                ]
            )
        # Pixel centres: source + 0.5 = matrix (target + 0.5).
        matrix[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5
        scale = 1 / min(matrix[0, 0], matrix[1, 1])
        return cut_out(part, matrix, side, scale=scale, coarsest=1 / 1.5), area

    def _crop(self, frame: int, area: Box) -> tuple[Bgr, tuple[int, int]]:
        width, height = self._source.width, self._source.height
        x0 = min(max(0, int(np.floor(area.x0))), width - 1)
        y0 = min(max(0, int(np.floor(area.y0))), height - 1)
        x1 = max(x0 + 1, min(width, int(np.ceil(area.x1))))
        y1 = max(y0 + 1, min(height, int(np.ceil(area.y1))))
        return self._source.picture(frame).crop(x0, y0, x1, y1), (x0, y0)
