"""Search for everyone in a video, in one streaming pass.

decode -> a small picture -> shot cuts and the detector on sampled frames -> tracks -> a few of
the best faces of each track, embedded -> people.  Only the last dozen frames are held, and of a
finished track only its boxes, a handful of embeddings and three thumbnails, so that memory does
not grow with the video's length but for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facepick.faces.analyzer import FaceDetector, FaceEmbedder, FaceMesher
from facepick.faces.detection import Box, FaceBatch
from facepick.models.store import ModelStore
from facepick.people.clustering import ClusterOptions, Group, group_tracks, split_changed
from facepick.people.exemplars import (
    Collector,
    PictureFile,
    StoredPicture,
    TrackEvidence,
    track_confidence,
)
from facepick.people.held import HeldPicture
from facepick.people.person import Person, Scan
from facepick.people.purity import kept_to_one_face
from facepick.people.store import load_scan, save_scan, scan_folder
from facepick.people.track import FaceTrack
from facepick.people.tracker import ShotTracker, TrackerOptions
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.publishing import set_aside
from facepick.settings import setting, to_mapping
from facepick.shots.detect import ShotDetector
from facepick.shots.shot import Shot
from facepick.unchanged import check, pinned, sha256_of

if TYPE_CHECKING:
    from facepick.media.picture import Picture
    from facepick.media.video import VideoInfo

__all__ = ["ScanSettings", "content_hash", "find_people"]


@dataclass(frozen=True, kw_only=True)
class ScanSettings:
    """Settings of the search for people.

    >>> from facepick import ScanSettings
    >>> ScanSettings(accuracy="thorough").min_face
    2.5
    """

    accuracy: str = setting(
        "balanced",
        label="Accuracy",
        help="How closely the video is searched; thorough finds smaller and briefer faces "
        "and takes about three times as long as balanced.",
        choices=("fast", "balanced", "thorough"),
    )
    min_face: float = setting(
        2.5,
        label="Smallest face",
        help="Faces lower than this share of the picture's shorter side are left out.",
        min=1.0,
        max=50.0,
        step=0.5,
        unit="%",
        advanced=True,
    )
    strictness: float = setting(
        0.5,
        label="Strictness",
        help="Higher splits look-alikes apart, lower joins a person whose look changes much.",
        min=0.0,
        max=1.0,
        step=0.05,
        advanced=True,
    )
    keep_unsure: bool = setting(
        True,
        label="List unsure faces",
        help="Also list faces that are too small, too blurred or too brief to be recognised.",
        advanced=True,
    )


@dataclass(frozen=True)
class _Effort:
    long_side: int  # of the picture that the detector sees, in pixels
    every_seconds: Fraction  # distance of the sampled frames
    whole_every: int  # samples from one look at the whole picture to the next


_EFFORT = {
    "fast": _Effort(480, Fraction(24, 100), 2),
    "balanced": _Effort(640, Fraction(16, 100), 2),
    "thorough": _Effort(1280, Fraction(8, 100), 1),
}
# A gap of 0.6 s: a hand that passes the face, a turn of the head away and back.
_MAX_GAP_SECONDS = Fraction(6, 10)
_USUAL_RATE = Fraction(25)


def content_hash(path: Path, *, cancel: CancelToken = never) -> str:
    """Compute the sha256 of a video's bytes, hex, by which scans and corrections are kept.

    Raises:
        OSError: it cannot be read.
        Cancelled: the user stopped it.
    """
    return sha256_of(path, cancel=cancel)


def find_people(
    path: Path | str,
    settings: ScanSettings = ScanSettings(),
    *,
    models: ModelStore,
    cache: Path,
    known: tuple[VideoInfo, str] | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> Scan:
    """Find everyone in a video; a second call with the same settings reads the stored answer.

    Args:
        path: the video.
        settings: how it is searched.
        models: where model files are found.
        cache: folder of stored scans.
        known: what `probe` and `content_hash` give, from whom has just asked them.
        progress, cancel: the stage is ``scan``.

    Raises:
        VideoOpenError: the file is no video that can be decoded.
        MissingModelError: a model file is not there.
        SourceChanged: the video was replaced or written to meanwhile; nothing is stored.
        Cancelled: the user stopped it; nothing is stored.

    >>> from facepick import App, ScanSettings, find_people
    >>> app = App()
    >>> scan = find_people("interview.mp4", ScanSettings(), models=app.models, cache=app.cache)
    >>> [len(shot) for shot in scan.shots]
    [100, 50]
    """
    with pinned([path]):
        return _find_people(path, settings, models, cache, known, progress, cancel)


def stored_people(path: Path | str, settings: ScanSettings, cache: Path) -> Scan | None:
    """Load what an earlier search for the people of a video has found; None when there is none.

    Raises:
        VideoOpenError: the file is no video that can be decoded.
    """
    from facepick.media.probe import probe

    info = probe(path)
    digest = content_hash(info.path)
    return load_scan(_folder_of(settings, digest, cache), info=info, content_hash=digest)


def _folder_of(settings: ScanSettings, digest: str, cache: Path) -> Path:
    plain = to_mapping(settings)
    return scan_folder(cache, digest, {**plain, "detector": "yunet", "embedder": "sface"})


def _find_people(
    path: Path | str,
    settings: ScanSettings,
    models: ModelStore,
    cache: Path,
    known: tuple[VideoInfo, str] | None,
    progress: ProgressSink,
    cancel: CancelToken,
) -> Scan:
    from facepick.media.probe import probe

    if known is None:
        info = probe(path)
        known = info, content_hash(info.path, cancel=cancel)
    info, digest = known
    plain = to_mapping(settings)
    folder = _folder_of(settings, digest, cache)
    stored = load_scan(folder, info=info, content_hash=digest)
    if stored is not None:
        return stored
    with suppress(OSError):
        # Damaged, or of another version: kept, until the cache is cleared.
        set_aside(folder)

    from facepick.faces.analyzers.sface import SFaceEmbedder
    from facepick.faces.analyzers.yunet import YuNetDetector
    from facepick.faces.mesh import FaceMesh
    from facepick.models.catalog import SFACE, YUNET

    scanner = _Scanner(
        settings,
        YuNetDetector(models.require(YUNET)),
        SFaceEmbedder(models.require(SFACE)),
        FaceMesh(models, refine=False),
    )
    with closing(scanner):
        pts, duration, failures = scanner.run(info, progress=progress, cancel=cancel)
        scan, jpegs = scanner.result(info, digest, pts, duration, failures, plain, folder)
        check(info.path)
        save_scan(folder, scan, jpegs)
    return scan


class _Footage:
    """The frames that are held, as the tracker sees them."""

    # A face of 64 pixels is easy for the detector; the small picture serves as long as it has
    # that many.
    LOOK_SIDE = 160
    PATCH = 32

    def __init__(
        self,
        width: int,
        height: int,
        aspect: Fraction,
        detector: FaceDetector,
        long_side: int,
        min_height: float,
    ) -> None:
        self.width, self.height = width, height
        self.aspect = float(aspect)
        self._detector = detector
        self._long_side = long_side
        self._min_height = min_height
        self._pictures: dict[int, HeldPicture] = {}
        self._small: dict[int, npt.NDArray[np.uint8]] = {}
        self._found: dict[int, FaceBatch] = {}

    def add(self, index: int, picture: Picture) -> npt.NDArray[np.uint8]:
        """Hold a frame; returns a glance at it for the cut detectors, (h, w, 3) uint8 BGR."""
        import cv2

        self._pictures[index] = HeldPicture(picture)
        # From the planes, each reduced by itself: a fifth of the cost of a scaled conversion.  Four
        # samples of the plane for each of the glance, averaged, are enough to tell cuts, and cost
        # a fifteenth of averaging all of them.
        scale = min(1.0, ShotDetector.LONG_SIDE / max(self.width, self.height))
        size = (max(1, round(self.width * scale)), max(1, round(self.height * scale)))
        double = (2 * size[0], 2 * size[1])
        parts = [
            cv2.resize(
                cv2.resize(plane, double, interpolation=cv2.INTER_NEAREST),
                size,
                interpolation=cv2.INTER_AREA,
            )
            for plane in picture.planes()
        ]
        glance = cv2.merge([parts[0], parts[2], parts[1]])
        if glance.dtype != np.uint8:
            glance = cv2.convertScaleAbs(glance, alpha=0.25)
        return np.asarray(cv2.cvtColor(glance, cv2.COLOR_YCrCb2BGR), np.uint8)

    def _reduced(self, index: int) -> npt.NDArray[np.uint8]:
        """Reduce a frame for the detector, with square pixels."""
        small, _ = self._pictures[index].small(self._long_side)
        if abs(self.aspect - 1.0) > 0.01:
            import cv2

            # Squeezed faces are found badly, so pixels are made square first.
            height, width = small.shape[:2]
            size = (
                (width, max(1, round(height / self.aspect)))
                if self.aspect > 1
                else (max(1, round(width * self.aspect)), height)
            )
            small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
        return small

    def forget_before(self, index: int) -> None:
        for held in (self._pictures, self._small, self._found):
            for key in [k for k in held if k < index]:
                del held[key]

    def picture(self, index: int) -> HeldPicture:
        return self._pictures[index]

    def small(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Return the reduced frame and its (x, y) scale: display pixels x scale = its pixels."""
        small = self._small.get(index)
        if small is None:
            small = self._small[index] = self._reduced(index)
        return small, np.array([small.shape[1] / self.width, small.shape[0] / self.height])

    def detect(self, frame: int) -> FaceBatch:
        found = self._found.get(frame)
        if found is None:
            small, scale = self.small(frame)
            found = self._large_enough(_mapped(self._detector.detect(small), 1 / scale, (0, 0)))
            self._found[frame] = found
        return found

    def look(self, frame: int, box: Box) -> FaceBatch:
        import cv2

        side = max(box.width * self.aspect, box.height) * 2.0
        half_x, half_y = side / 2 / self.aspect, side / 2
        cx, cy = box.center
        small, scale = self.small(frame)
        if box.height * scale[1] >= 64:
            image, (sx, sy) = small, scale
        else:
            image, (sx, sy) = None, (1.0, 1.0)
        x0, y0 = round((cx - half_x) * sx), round((cy - half_y) * sy)
        x1, y1 = round((cx + half_x) * sx), round((cy + half_y) * sy)
        limit_x = small.shape[1] if image is not None else self.width
        limit_y = small.shape[0] if image is not None else self.height
        inside = (max(0, x0), max(0, y0), min(limit_x, x1), min(limit_y, y1))
        if inside[2] - inside[0] < 8 or inside[3] - inside[1] < 8:
            return FaceBatch.empty()
        if image is None:
            part = self._pictures[frame].crop(*inside)
        else:
            part = image[inside[1] : inside[3], inside[0] : inside[2]]
        padded = cv2.copyMakeBorder(
            part,
            inside[1] - y0,
            y1 - inside[3],
            inside[0] - x0,
            x1 - inside[2],
            cv2.BORDER_CONSTANT,
        )
        size = (self.LOOK_SIDE, self.LOOK_SIDE)
        shrink = padded.shape[0] > self.LOOK_SIDE
        square = cv2.resize(
            padded, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
        )
        found = self._detector.detect(np.asarray(square, np.uint8))
        back = np.array([(x1 - x0) / sx, (y1 - y0) / sy]) / self.LOOK_SIDE
        return self._large_enough(_mapped(found, back, (x0 / sx, y0 / sy)))

    def patch(self, frame: int, box: Box) -> npt.NDArray[np.uint8]:
        import cv2

        small, scale = self.small(frame)
        area = box.grown(0.4)
        across, down = area.width * scale[0] / self.PATCH, area.height * scale[1] / self.PATCH
        # Taps are apart by a pixel or more only for large faces, and then smoothed below.
        matrix = np.array([[across, 0, area.x0 * scale[0]], [0, down, area.y0 * scale[1]]])
        cut = cv2.warpAffine(
            small,
            matrix,
            (self.PATCH, self.PATCH),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        gray = cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY)
        return np.asarray(cv2.GaussianBlur(gray, (3, 3), 0), np.uint8)

    def _large_enough(self, found: FaceBatch) -> FaceBatch:
        return found.take(found.xyxy[:, 3] - found.xyxy[:, 1] >= self._min_height)


def _mapped(
    found: FaceBatch, scale: npt.NDArray[np.float64], offset: tuple[float, float]
) -> FaceBatch:
    """Scale faces by `scale` (x, y), then move them by `offset`."""
    shift = np.asarray(offset, np.float64)
    xyxy = found.xyxy.reshape(-1, 2, 2) * scale + shift
    landmarks = found.landmarks5 * scale + shift
    return FaceBatch(
        np.asarray(xyxy.reshape(-1, 4), np.float32),
        found.score,
        np.asarray(landmarks, np.float32),
    )


class _Scanner:
    """One pass over one video."""

    def __init__(
        self,
        settings: ScanSettings,
        detector: FaceDetector,
        embedder: FaceEmbedder,
        mesher: FaceMesher,
    ) -> None:
        self._settings = settings
        self._detector = detector
        self._embedder = embedder
        self._mesher = mesher
        self._effort = _EFFORT[settings.accuracy]
        self._pieces: list[tuple[FaceTrack, TrackEvidence]] = []
        self._shots: tuple[Shot, ...] = ()
        self._shot = 0
        self._damaged: set[int] = set()
        self._pictures = PictureFile()

    def close(self) -> None:
        """Give up the thumbnails, which can be read until then."""
        self._pictures.close()

    def run(
        self, info: VideoInfo, *, progress: ProgressSink, cancel: CancelToken
    ) -> tuple[npt.NDArray[np.int64], int, int]:
        """Read the video; returns pts, display time of the last frame, decode failures."""
        from facepick.media.reader import VideoReader

        pts: list[int] = []
        duration = 1
        with VideoReader(info.path, info=info, cancel=cancel) as reader:
            meter = ProgressMeter(progress, "scan", info.declared_frames)
            footage = _Footage(
                info.width,
                info.height,
                info.sample_aspect_ratio,
                self._detector,
                self._effort.long_side,
                min(info.width, info.height) * self._settings.min_face / 100,
            )
            rate = info.average_rate or _USUAL_RATE
            # The rate only says how densely to look; a wrong one costs time, not correctness.
            step = max(1, min(12, round(rate * self._effort.every_seconds)))
            self._options = TrackerOptions(
                step=step,
                max_gap=max(2, round(rate * _MAX_GAP_SECONDS)),
                whole_every=self._effort.whole_every,
            )
            self._rate = max(1.0, min(120.0, float(rate)))
            self._cluster = ClusterOptions.for_embedder(
                self._embedder,
                strictness=self._settings.strictness,
                rate=self._rate,
                picture_side=min(info.width, info.height),
            )
            cuts = ShotDetector()
            self._open_shot(footage, 0)
            failures, failed = 0, []
            for frame in reader.frames():
                cancel.raise_if_cancelled()
                if reader.decode_failures > failures:
                    failures = reader.decode_failures
                    failed.append(frame.index)
                pts.append(frame.time.pts)
                duration = frame.duration
                cuts.push(frame.index, footage.add(frame.index, frame.picture))
                self._follow(footage, cuts, cuts.settled, ended=False)
                meter.update(frame.index + 1)
            self._shots = cuts.finish()
            self._follow(footage, cuts, len(pts), ended=True)
            # A key frame that is broken looks like a cut, and what follows it is no more than a
            # smear of whoever was there.
            self._damaged = {
                shot.index
                for shot in self._shots[1:]
                if any(abs(frame - shot.start) <= 1 for frame in failed)
            }
            meter.update(len(pts), force=True)
            return np.array(pts, np.int64), max(1, int(duration)), reader.decode_failures

    def _follow(self, footage: _Footage, cuts: ShotDetector, settled: int, *, ended: bool) -> None:
        """Track on through the frames whose shot is known; the last frame is there if `ended`."""
        for cut in cuts.cuts[self._shot :]:
            if cut < settled:
                self._tracker.advance(cut - 1, final=True, swings=cuts.swings)
                self._close_shot()
                self._shot += 1
                self._open_shot(footage, cut)
        if settled > self._shot_start:
            self._tracker.advance(settled - 1, final=ended, swings=cuts.swings)
        if ended:
            self._close_shot()
        else:
            footage.forget_before(self._tracker.needed_from)

    def _open_shot(self, footage: _Footage, start: int) -> None:
        self._shot_start = start
        self._collector = Collector(footage, rate=self._rate, pictures=self._pictures)
        self._tracker = ShotTracker(footage, start, self._options, on_seen=self._collector.seen)

    def _close_shot(self) -> None:
        pieces: list[tuple[FaceTrack, TrackEvidence]] = []
        for raw in self._tracker.finish():
            found = self._collector.evidence(raw, self._embedder, self._mesher)
            track = FaceTrack("T0", self._shot, *raw.arrays())
            patches = {o.frame: o.patch for o in raw.observations}
            link = self._cluster.link
            pieces.extend(split_changed(track, found, link=link, patches=patches))
        self._pieces.extend(kept_to_one_face(pieces, rate=self._rate))

    def result(
        self,
        info: Any,
        digest: str,
        pts: npt.NDArray[np.int64],
        duration: int,
        failures: int,
        plain: dict[str, Any],
        folder: Path,
    ) -> tuple[Scan, dict[str, StoredPicture]]:
        """Return the scan and its thumbnails by file name."""
        pieces = sorted(self._pieces, key=lambda p: (p[0].start, float(p[0].boxes[0][0])))
        evidence = [found for _, found in pieces]
        tracks = [
            replace(
                track,
                id=f"T{number}",
                confidence=track_confidence(track.score, track.origin, found),
            )
            for number, (track, found) in enumerate(pieces, 1)
        ]
        groups = group_tracks(tracks, evidence, self._cluster, damaged=self._damaged)
        if not self._settings.keep_unsure:
            groups = [g for g in groups if not g.unsure]
        # Whoever splits a person needs a picture of each part.
        jpegs = {
            f"{track.id}.jpg": found.thumbnails[0].jpeg
            for track, found in zip(tracks, evidence, strict=True)
            if found.thumbnails
        }
        shown = np.append(np.diff(pts), duration)
        people = self._people(groups, tracks, evidence, shown, info.time_base, jpegs)
        scan = Scan(
            video=info,
            content_hash=digest,
            pts=pts,
            duration_pts=duration,
            shots=self._shots,
            tracks=tuple(tracks),
            people=tuple(people),
            decode_failures=failures,
            settings=plain,
            folder=str(folder),
        )
        return scan, jpegs

    def _people(
        self,
        groups: Sequence[Group],
        tracks: Sequence[FaceTrack],
        evidence: Sequence[TrackEvidence],
        shown: npt.NDArray[np.int64],
        time_base: Fraction,
        jpegs: dict[str, StoredPicture],
    ) -> list[Person]:
        """Give the people their numbers: sure ones first, the crowd last, by time on screen.

        Args:
            shown: (frames,) how long each frame is shown, in units of `time_base`.
            jpegs: thumbnails by file name; theirs are added.
        """
        frames = [
            np.unique(np.concatenate([tracks[i].frames for i in group.members])) for group in groups
        ]
        seconds = [Fraction(int(shown[on].sum())) * time_base for on in frames]
        ranked = sorted(
            zip(groups, frames, seconds, strict=True),
            key=lambda item: (item[0].unsure, item[0].crowd, -item[2], int(item[1][0])),
        )
        holder = {i: f"P{n}" for n, (group, *_) in enumerate(ranked, 1) for i in group.members}
        people = []
        for number, (group, on, length) in enumerate(ranked, 1):
            person = f"P{number}"
            pictures = {
                f"{person}_{k}.jpg": jpeg for k, jpeg in enumerate(group.thumbnails(evidence), 1)
            }
            jpegs.update(pictures)
            people.append(
                Person(
                    id=person,
                    track_ids=tuple(tracks[i].id for i in group.members),
                    exemplars=group.exemplars(evidence),
                    exemplar_model=self._embedder.id,
                    frames=len(on),
                    screen_time=length,
                    confidence=group.confidence,
                    unsure=group.unsure,
                    thumbnails=tuple(pictures),
                    may_be=tuple((holder[i], score) for i, score in group.may_be),
                    group="bystanders" if group.crowd else None,
                    doubt=group.doubt,
                )
            )
        return people
