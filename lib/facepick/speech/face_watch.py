"""Observation of every face of a video while somebody is heard, 25 times a second.

One pass over the video, in which frames without speech are not looked at, and in which the network
that tells who speaks does not look at mouths that do not move.  What is observed is kept by the
content of the video and the tracks of its people; who speaks is decided from it by
`facepick.speech.speakers` in no time, so that a correction costs nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.mesh import FaceMesh, mouth_opening
from facepick.media.audio import read_mono
from facepick.media.picture import Picture
from facepick.media.reader import Frame, VideoReader
from facepick.models.catalog import SILERO_VAD
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.people.track import FaceTrack
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.speech.acoustic import phone_scores
from facepick.speech.active_speaker import (
    COLUMNS_PER_FRAME,
    FRAMES_PER_SECOND,
    ActiveSpeaker,
    FaceStream,
    face_crop,
    face_squares,
    mfcc,
)
from facepick.speech.align import phone_posteriors
from facepick.speech.vad import Stretch, speech_probability, speech_stretches
from facepick.speech.visemes import lips_of

__all__ = ["RATE", "Watched", "WatchedFace", "observation_key", "sound_of", "watch_faces"]

log = logging.getLogger("facepick.speech.face_watch")

Array = npt.NDArray[np.float32]

RATE = FRAMES_PER_SECOND
"""Observations a second."""
VERSION = 2
AROUND_SECONDS = 0.4
"""Looked at before and after speech: lips part before a word is heard."""
BRIDGED_SECONDS = 1.0
"""Pauses that are looked at: pieces of a face's motion tell less than the whole."""
JOIN_SECONDS = 4.0
"""Pauses that are decoded, for a seek would decode as much again."""
MESH_EVERY = 2
"""Moments from one look at the lips to the next; between two, the mean.  Syllables come five a
second, and in all clips that were measured nothing that is decided changes by it."""
STILL = 0.01
"""Deviation of a mouth's opening, over two seconds, below which the mouth does not move.  What the
mesh scatters is 0.006; of the moments of people who speak 0 to 2 % lie below, but 9 % in a clip of
faces whose lips the mesh hardly reads, where the network sees no speech in them either."""
STILL_SCORE = -3.0
"""Given to a mouth that does not move; the network gives such mouths -2 to -7."""
LARGEST_FACE_PX = 240.0
"""Longer side; larger faces are scaled down to it, for neither network sees more: the one wants
168 pixels of it, the other 160."""
SMALLEST_FACE_PX = 24.0
"""Longer side; the mouth of a smaller face has a dozen pixels."""
MIN_FRAMES = 5
_SAMPLES = 16_000
# A minute of sound at a time: what the acoustic model holds of it takes 3 MB.
_CHUNK_SECONDS, _OVERLAP_SECONDS = 60, 2


@dataclass(frozen=True, eq=False)
class WatchedFace:
    """Motion of one track, on the common clock of 25 a second.

    Attributes:
        track: id of the track.
        start: first moment, in 1/25 s from the first frame.
        score: (n,) float32, how much it looks as if it spoke, see
            `facepick.speech.active_speaker`; NaN where it was not looked at.
        opening: (n,) float32, how far the lips are apart, see
            `facepick.faces.mesh.mouth_opening`; NaN where that is unknown.
    """

    track: str
    start: int
    score: Array
    opening: Array

    @property
    def stop(self) -> int:
        """One past the last moment."""
        return self.start + len(self.score)

    def __repr__(self) -> str:
        return f"WatchedFace({self.track}, {self.start}..{self.stop - 1})"


@dataclass(frozen=True, eq=False, kw_only=True)
class Watched:
    """Everything that is seen and heard.

    Attributes:
        moments: how many there are, 25 a second.
        speech: stretches in which somebody is heard, in seconds from the first frame.
        heard: (moments,) float32, how far a mouth is open that says what is heard.
        faces: of the tracks that were looked at.
    """

    moments: int
    speech: tuple[Stretch, ...]
    heard: Array
    faces: tuple[WatchedFace, ...]

    def __repr__(self) -> str:
        return f"Watched({self.moments} moments, {len(self.faces)} faces)"


def sound_of(scan: Scan, *, cancel: CancelToken = never) -> Array:
    """Read the video's own sound from its first frame on, (n,) float32 mono at 16 kHz.

    Empty where it has none.
    """
    if not scan.video.audio:
        return np.zeros(0, np.float32)
    main = next((a for a in scan.video.audio if a.is_default), scan.video.audio[0])
    first = Fraction(int(scan.pts[0])) * scan.video.time_base
    return read_mono(
        scan.video.path, rate=_SAMPLES, stream=main.index, align_to=first, cancel=cancel
    )


def watch_faces(
    scan: Scan,
    samples: Array,
    *,
    models: ModelStore,
    folder: Path | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> Watched:
    """Look at every face while somebody is heard; what was seen before is taken up.

    Args:
        samples: of `sound_of`.
        folder: where observations are kept, or None.

    Raises:
        MissingModelError, VideoOpenError, Cancelled.
    """
    tracks = _tracks(scan)
    file = folder / f"{observation_key(scan)}.npz" if folder else None
    if file is not None and (found := _load(file)) is not None:
        return found
    vad = models.require(SILERO_VAD)
    speech = speech_stretches(speech_probability(samples, model=vad, cancel=cancel))
    times = (scan.pts - scan.pts[0]).astype(np.float64) * float(scan.video.time_base)
    end = float(times[-1] + scan.duration_pts * float(scan.video.time_base))
    moments = max(1, round(end * RATE))
    speech = tuple(Stretch(s.start, min(s.stop, end)) for s in speech if s.start < end)
    # The frame that is shown at each moment.
    shown = np.searchsorted(times, np.arange(moments) / RATE + 1e-6, side="right") - 1
    faces = _Faces(tracks, shown, samples, models)
    meter = ProgressMeter(progress, "speakers", scan.frames)
    near = _near(speech, moments)
    for span in _spans(near):
        _look(scan, faces, shown, near, span, meter, cancel)
    heard = _heard(samples, moments, speech, cancel)
    watched = Watched(moments=moments, speech=speech, heard=heard, faces=faces.done())
    if file is not None:
        _store(file, watched)
    return watched


def _look(
    scan: Scan,
    faces: _Faces,
    shown: npt.NDArray[np.int64],
    near: npt.NDArray[np.bool_],
    span: tuple[int, int],
    meter: ProgressMeter,
    cancel: CancelToken,
) -> None:
    first, last = span
    reader = VideoReader(scan.video.path, info=scan.video, cancel=cancel)
    wanted = iter(range(first, last))
    moment = next(wanted)
    pts = [int(p) for p in scan.pts]
    frame: Frame
    for frame in reader.frames(start=int(shown[first]), pts=pts):
        if frame.index < shown[moment]:
            continue
        meter.update(frame.index)
        ready: int | None = moment
        same = []
        while ready is not None and shown[ready] == frame.index:
            if near[ready]:
                same.append(ready)
            ready = next(wanted, None)
        if same:
            faces.see(same, frame.index, frame.picture)
        if ready is None:
            return
        moment = ready


def _near(speech: Sequence[Stretch], moments: int) -> npt.NDArray[np.bool_]:
    """Tell which moments are looked at: speech, what is around it, and short pauses."""
    near = np.zeros(moments, np.bool_)
    for part in speech:
        first = max(0, int((part.start - AROUND_SECONDS) * RATE))
        near[first : int((part.stop + AROUND_SECONDS) * RATE) + 1] = True
    for start, stop in _runs(~near):
        if stop - start < BRIDGED_SECONDS * RATE and start > 0 and stop < moments:
            near[start:stop] = True
    return near


def _spans(near: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Half-open moments that are decoded in one go."""
    spans: list[tuple[int, int]] = []
    for first, last in _runs(near):
        if spans and first - spans[-1][1] < JOIN_SECONDS * RATE:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return iter(spans)


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open stretches that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _tracks(scan: Scan) -> tuple[FaceTrack, ...]:
    owners = {t for p in scan.people if not p.ignored and p.group is None for t in p.track_ids}
    return tuple(t for t in scan.tracks if t.id in owners)


class _Faces:
    """Pictures of faces on their way into the network."""

    def __init__(
        self,
        tracks: Sequence[FaceTrack],
        shown: npt.NDArray[np.int64],
        samples: Array,
        models: ModelStore,
    ) -> None:
        self._network = ActiveSpeaker(models)
        self._mesh = FaceMesh(models, refine=False)
        self._samples = samples
        self._open = [(t, face_squares(t.boxes)) for t in tracks]
        self._runs: dict[str, _Run] = {}
        self._done: list[WatchedFace] = []

    def see(self, moments: Sequence[int], index: int, picture: Picture) -> None:
        """Look at every face of one frame, shown at these successive moments."""
        for track, squares in self._open:
            row = track.position(index)
            if row is None or 2 * squares[row, 2] < SMALLEST_FACE_PX:
                continue
            run = self._runs.get(track.id)
            if run is not None and run.stop != moments[0]:
                self._close(track.id)
                run = None
            if run is None:
                run = self._runs[track.id] = _Run(moments[0], self._network, self._mesh)
            lips = run.reads_lips(len(moments))
            view = _View.of(picture, squares[row], track.boxes[row], lips)
            run.add(view, squares[row], track.landmarks5[row], len(moments))
        for key in [k for k, run in self._runs.items() if run.stop <= moments[0]]:
            self._close(key)

    def done(self) -> tuple[WatchedFace, ...]:
        for key in list(self._runs):
            self._close(key)
        return tuple(sorted(self._done, key=lambda face: (face.start, face.track)))

    def _close(self, key: str) -> None:
        run = self._runs.pop(key)
        if len(run.openings) >= MIN_FRAMES:
            score = run.scores(self._samples)
            self._done.append(WatchedFace(key, run.start, score, _between(run.openings)))


_BLOCK, _BESIDE = 25, 13
"""Pictures that are decided on at once, and how many before and after them tell."""


class _Run:
    """Successive looks at one face.

    Pictures wait until it is known whether the mouth moves around them; they go into the network
    then, or nowhere, and are dropped.
    """

    def __init__(self, start: int, network: ActiveSpeaker, mesh: FaceMesh) -> None:
        self.start = start
        self.openings: list[float] = []
        """NaN where they are not known, infinite where nobody looked."""
        self._network, self._mesh = network, mesh
        self._crops: list[npt.NDArray[np.uint8]] = []
        self._decided = 0
        self._stream: FaceStream | None = None
        self._seen: list[tuple[int, Array]] = []
        self._begun = 0
        self._points: FloatArray | None = None

    @property
    def stop(self) -> int:
        return self.start + len(self.openings)

    def reads_lips(self, count: int) -> bool:
        """Tell whether the mesh looks at the next frame, which is shown at `count` moments."""
        return count > 1 or len(self.openings) % MESH_EVERY == 0

    def add(self, view: _View, square: FloatArray, landmarks5: FloatArray, count: int) -> None:
        """Look at one frame, which is shown at `count` moments."""
        crop = face_crop(view.image, np.append(view.inside(square[:2]), square[2] * view.scale))
        opening = float("inf")
        if self.reads_lips(count):
            opening = self._opening(view, landmarks5)
        self._crops += [crop] * count
        self.openings += [opening] * count
        while len(self._crops) >= _BLOCK + _BESIDE:
            self._decide(_BLOCK)

    def _opening(self, view: _View, landmarks5: FloatArray) -> float:
        points, score = None, 0.0
        if self._points is not None:
            points, score = self._mesh.locate_again(view.image, view.inside(self._points))
        if points is None or score < 0.5:
            points, score = self._mesh.locate(view.image, view.inside(landmarks5))
        self._points = view.outside(points[:, :2]) if score >= 0.5 else None
        return mouth_opening(points) if score >= 0.5 else float("nan")

    def _decide(self, count: int) -> None:
        """Give the next pictures to the network, unless the mouth does not move around them."""
        first = self._decided
        around = np.array(self.openings[max(0, first - _BESIDE) : first + count + _BESIDE])
        known = around[np.isfinite(around)]
        if len(known) > _BESIDE // MESH_EVERY and known.std() < STILL:
            self._rest()
        else:
            if self._stream is None:
                self._stream, self._begun = self._network.stream(), first
            self._stream.add(self._crops[:count])
        del self._crops[:count]
        self._decided += count

    def _rest(self) -> None:
        if self._stream is not None:
            self._seen.append((self._begun, self._stream.end()))
        self._stream = None

    def scores(self, samples: Array) -> Array:
        """Give how much each picture looks as if the face spoke, (t,); ends the run."""
        if self._crops:
            self._decide(len(self._crops))
        self._rest()
        out = np.full(len(self.openings), STILL_SCORE, np.float32)
        for begun, visual in self._seen:
            if len(visual) < MIN_FRAMES:
                continue
            first = (self.start + begun) * COLUMNS_PER_FRAME
            cepstra = mfcc(samples, first, first + len(visual) * COLUMNS_PER_FRAME)
            out[begun : begun + len(visual)] = self._network.listen(cepstra, visual)
        return out


def _between(openings: Sequence[float]) -> Array:
    """Give the mean of its neighbours to each moment at which nobody looked, (t,)."""
    out = np.array(openings, np.float32)
    skipped = np.flatnonzero(np.isinf(out))
    before, after = out[skipped - 1], out[np.minimum(skipped + 1, len(out) - 1)]
    out[skipped] = (before + np.where(np.isinf(after), before, after)) / 2
    return out


@dataclass(frozen=True, eq=False)
class _View:
    """The part of a picture that the networks look at.

    Attributes:
        image: (h, w, 3) uint8 BGR, large faces scaled down.
        origin: display pixels of its corner.
        scale: its pixels per display pixel.
    """

    image: npt.NDArray[np.uint8]
    origin: tuple[int, int]
    scale: float

    @classmethod
    def of(cls, picture: Picture, square: FloatArray, box: FloatArray, lips: bool) -> _View:
        """Cut it out; where no lips are read, only what `face_crop` takes.

        Not of a face that is scaled down: scaled from another corner it would look another way.
        """
        x, y, half = (float(v) for v in square)
        scale = LARGEST_FACE_PX / (2 * half)
        if not lips and scale >= 1:
            edge = 0.1 * half + 2
            left, top = x - 0.7 * half - edge, y - 0.3 * half - edge
            right, bottom = x + 0.7 * half + edge, y + 1.1 * half + edge
        else:
            reach = 1.8 * half
            left, top = np.minimum([x - reach, y - reach], box[:2] - 0.4 * half).tolist()
            right, bottom = np.maximum([x + reach, y + reach], box[2:] + 0.4 * half).tolist()
        # Corners are even: a sample of colour covers two pixels at most.
        x0, y0 = int(max(0, left)) // 2 * 2, int(max(0, top)) // 2 * 2
        x1, y1 = int(min(picture.width, right + 1)), int(min(picture.height, bottom + 1))
        if x1 - x0 < 2 or y1 - y0 < 2:
            return cls(np.zeros((2, 2, 3), np.uint8), (x0, y0), 1.0)
        if scale >= 1:
            return cls(picture.crop(x0, y0, x1, y1), (x0, y0), 1.0)
        return cls(picture.small_crop(x0, y0, x1, y1, scale), (x0, y0), scale)

    def inside(self, points: FloatArray) -> FloatArray:
        """Convert (..., 2) display pixels to those of the image."""
        return np.asarray((points - np.array(self.origin) + 0.5) * self.scale - 0.5, np.float32)

    def outside(self, points: FloatArray) -> FloatArray:
        """Convert (..., 2) pixels of the image to display pixels."""
        return np.asarray((points + 0.5) / self.scale - 0.5 + np.array(self.origin), np.float32)


def _heard(samples: Array, moments: int, speech: Sequence[Stretch], cancel: CancelToken) -> Array:
    """Estimate how far a mouth is open that says what is heard, at every moment."""
    out = np.zeros(moments, np.float32)
    for start in range(0, moments, _CHUNK_SECONDS * RATE):
        cancel.raise_if_cancelled()
        stop = min(moments, start + _CHUNK_SECONDS * RATE)
        if not any(s.stop * RATE > start and s.start * RATE < stop for s in speech):
            continue
        first = max(0, start - _OVERLAP_SECONDS * RATE)
        last = stop + _OVERLAP_SECONDS * RATE
        part = samples[first * _SAMPLES // RATE : last * _SAMPLES // RATE]
        if len(part) < _SAMPLES // 2:
            continue
        opening = lips_of(phone_posteriors(phone_scores(part)))[0]
        at = (np.arange(start, stop) - first) * (100 // RATE)
        out[start:stop] = opening[np.minimum(at, len(opening) - 1)]
    return out


# --- kept observations ---------------------------------------------------------------------


def observation_key(scan: Scan) -> str:
    """Name what is observed of a video by its content and the tracks that are looked at."""
    plain = hashlib.sha256(f"{VERSION}".encode())
    for track in _tracks(scan):
        plain.update(f"{track.id} {len(track)} {track.start} {track.boxes[0].tolist()}".encode())
    return f"{scan.content_hash[:16]}-{plain.hexdigest()[:8]}"


def _load(file: Path) -> Watched | None:
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        ends = np.cumsum(arrays["lengths"])
        faces = tuple(
            WatchedFace(
                str(track), int(start), arrays["score"][end - n : end],
                arrays["opening"][end - n : end],
            )
            for track, start, n, end in zip(
                arrays["tracks"], arrays["starts"], arrays["lengths"], ends, strict=True
            )
        )  # fmt: skip
        found = Watched(
            moments=int(arrays["heard"].shape[0]),
            speech=tuple(Stretch(float(a), float(b)) for a, b in arrays["speech"]),
            heard=arrays["heard"],
            faces=faces,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        log.warning("The stored observations %s cannot be read (%s).", file, error)
        return None
    os.utime(file)
    return found


def _store(file: Path, watched: Watched) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    empty = np.zeros(0, np.float32)
    handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as raw:
            np.savez_compressed(
                raw,
                heard=watched.heard,
                speech=np.array([[s.start, s.stop] for s in watched.speech]).reshape(-1, 2),
                tracks=np.array([f.track for f in watched.faces], dtype=str),
                starts=np.array([f.start for f in watched.faces], np.int64),
                lengths=np.array([len(f.score) for f in watched.faces], np.int64),
                score=np.concatenate([empty, *(f.score for f in watched.faces)]),
                opening=np.concatenate([empty, *(f.opening for f in watched.faces)]),
            )
        os.replace(name, file)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        log.warning("Observations cannot be kept: %s", error)
