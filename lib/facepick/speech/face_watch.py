"""Observation of every face of a video while somebody is heard, 25 times a second.

One pass over the video, in which frames without speech are not looked at.  What is observed is
kept by the content of the video and the tracks of its people; who speaks is decided from it by
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
VERSION = 1
AROUND_SECONDS = 1.0
"""Looked at before and after speech: what a mouth does when nobody is heard tells, too."""
JOIN_SECONDS = 4.0
"""Pauses that are decoded, for a seek would decode as much again."""
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
    for first, last in _spans(speech, moments):
        _look(scan, faces, shown, (first, last), meter, cancel)
    heard = _heard(samples, moments, speech, cancel)
    watched = Watched(moments=moments, speech=speech, heard=heard, faces=faces.done())
    if file is not None:
        _store(file, watched)
    return watched


def _look(
    scan: Scan,
    faces: _Faces,
    shown: npt.NDArray[np.int64],
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
            same.append(ready)
            ready = next(wanted, None)
        if same:
            faces.see(same, frame.index, frame.picture)
        if ready is None:
            return
        moment = ready


def _spans(speech: Sequence[Stretch], moments: int) -> Iterator[tuple[int, int]]:
    """Half-open moments that are looked at."""
    spans: list[list[int]] = []
    for part in speech:
        first = max(0, int((part.start - AROUND_SECONDS) * RATE))
        last = min(moments, int((part.stop + AROUND_SECONDS) * RATE) + 1)
        if spans and first - spans[-1][1] < JOIN_SECONDS * RATE:
            spans[-1][1] = max(spans[-1][1], last)
        elif last > first:
            spans.append([first, last])
    return ((a, b) for a, b in spans)


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
                run = self._runs[track.id] = _Run(moments[0])
            image, origin = _around(picture, squares[row], track.boxes[row])
            crop = face_crop(image, squares[row], origin)
            opening = run.opening_of(self._mesh, image, track.landmarks5[row], origin)
            for _ in moments:
                run.crops.append(crop)
                run.openings.append(opening)
            if len(run.crops) >= 2 * _PICTURES:
                run.shrink(self._network)
        for key in [k for k, run in self._runs.items() if run.stop <= moments[0]]:
            self._close(key)

    def done(self) -> tuple[WatchedFace, ...]:
        for key in list(self._runs):
            self._close(key)
        return tuple(sorted(self._done, key=lambda face: (face.start, face.track)))

    def _close(self, key: str) -> None:
        run = self._runs.pop(key)
        visual = run.whole(self._network)
        if len(visual) < MIN_FRAMES:
            return
        first = run.start * COLUMNS_PER_FRAME
        cepstra = mfcc(self._samples, first, first + len(visual) * COLUMNS_PER_FRAME)
        score = self._network.listen(cepstra, visual)
        opening = np.asarray(run.openings, np.float32)
        self._done.append(WatchedFace(key, run.start, score, opening))


_PICTURES, _MARGIN = 100, 9


class _Run:
    """Successive pictures of one face.

    Pictures are looked at as soon as there are enough of them, and dropped.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.crops: list[npt.NDArray[np.uint8]] = []
        self.openings: list[float] = []
        self._visual: list[Array] = []
        self._before = 0
        self._points: FloatArray | None = None

    @property
    def stop(self) -> int:
        return self.start + len(self.openings)

    def opening_of(
        self,
        mesh: FaceMesh,
        image: npt.NDArray[np.uint8],
        landmarks5: FloatArray,
        origin: tuple[int, int],
    ) -> float:
        offset = np.array([*origin, 0], np.float32)
        points, score = None, 0.0
        if self._points is not None:
            points, score = mesh.locate_again(image, self._points - offset)
            points = points + offset
        if points is None or score < 0.5:
            points, score = mesh.locate(image, landmarks5, origin)
        self._points = points if score >= 0.5 else None
        return mouth_opening(points) if score >= 0.5 else float("nan")

    def shrink(self, network: ActiveSpeaker) -> None:
        """Look at all pictures but the last, which need those that follow."""
        seen = network.look(np.stack(self.crops))
        self._visual.append(seen[self._before : len(seen) - _MARGIN])
        self.crops = self.crops[-2 * _MARGIN :]
        self._before = _MARGIN

    def whole(self, network: ActiveSpeaker) -> Array:
        """Give all visual numbers, (t, 128)."""
        if len(self.crops) > self._before:
            self._visual.append(network.look(np.stack(self.crops))[self._before :])
        self.crops, self._before = [], 0
        return np.concatenate([np.zeros((0, 128), np.float32), *self._visual])


def _around(
    picture: Picture, square: FloatArray, box: FloatArray
) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    """Cut the part of the picture that both networks look at; gives where it lies, too."""
    x, y, half = (float(v) for v in square)
    reach = 1.8 * half
    x0 = int(max(0, min(x - reach, float(box[0]) - 0.4 * half)))
    y0 = int(max(0, min(y - reach, float(box[1]) - 0.4 * half)))
    x1 = int(min(picture.width, max(x + reach, float(box[2]) + 0.4 * half) + 1))
    y1 = int(min(picture.height, max(y + reach, float(box[3]) + 0.4 * half) + 1))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return np.zeros((2, 2, 3), np.uint8), (x0, y0)
    return picture.crop(x0, y0, x1, y1), (x0, y0)


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
