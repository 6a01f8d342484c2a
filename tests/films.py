"""Tiny films with sound that is known to the sample."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest, Reason
from facepick.engines.engine import Engine, EngineContext, EngineResult, EngineSpec
from facepick.engines.lipsync.neural.settings import MouthSettings
from facepick.engines.registry import EngineRegistry
from facepick.media.probe import probe
from facepick.people.person import Person, Scan
from facepick.people.track import FaceTrack
from facepick.shots.shot import Shot

SIZE = (64, 48)
RATE = 25
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def written_film(
    path: Path,
    sound: npt.NDArray[np.int16] | None,
    *,
    rate: int = 48_000,
    frames: int = 100,
    late: Fraction = Fraction(0),
    sound_late: Fraction = Fraction(0),
) -> Path:
    """Grey pictures at 25 a second and 16-bit PCM.

    Args:
        sound: (n, channels), or None for none.
        late, sound_late: seconds on the container's clock at which they begin.
    """
    import av

    with av.open(str(path), "w", options={"movie_timescale": "48000"}) as out:
        video: Any = out.add_stream("libx264", rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        video.options = {"preset": "ultrafast", "crf": "30", "bf": "0"}
        audio: Any = None
        if sound is not None:
            audio = out.add_stream("pcm_s16le", rate=rate)
            audio.codec_context.layout = LAYOUTS[sound.shape[1]]
        for i in range(frames):
            shade = np.full((SIZE[1], SIZE[0], 3), (40 + i) % 256, np.uint8)
            picture = av.VideoFrame.from_ndarray(shade, format="rgb24")
            picture.pts, picture.time_base = i + round(late * RATE), Fraction(1, RATE)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if sound is not None:
            for at in range(0, len(sound), rate):
                block = np.ascontiguousarray(sound[at : at + rate].reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(
                    block, format="s16", layout=LAYOUTS[sound.shape[1]]
                )
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = at + round(sound_late * rate)
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def scan_of_film(path: Path, *, people: Sequence[str] = ("P1",)) -> Scan:
    """A scan in which everybody is seen in every frame."""
    import av

    info = probe(path)
    with av.open(str(path)) as container:
        pts = np.array([f.pts for f in container.decode(video=0)], np.int64)
    n = len(pts)
    tracks, found = [], []
    for number, name in enumerate(people):
        x = 4.0 + 28 * number
        box = np.tile(np.array([x, 8, x + 24, 40], np.float32), (n, 1))
        points = np.tile(np.array([x + 12, 24], np.float32), (n, 5, 1))
        tracks.append(
            FaceTrack(
                id=f"T{number + 1}",
                shot=0,
                frames=np.arange(n, dtype=np.int32),
                boxes=box,
                landmarks5=points,
                score=np.ones(n, np.float32),
                origin=np.zeros(n, np.uint8),
            )
        )
        found.append(
            Person(
                id=name,
                track_ids=(f"T{number + 1}",),
                exemplars=np.zeros((1, 128), np.float32),
                frames=n,
                screen_time=Fraction(n, RATE),
            )
        )
    step = int(pts[1] - pts[0])
    return Scan(
        video=info,
        content_hash=hashlib.sha256(path.read_bytes()).hexdigest(),
        pts=pts,
        duration_pts=step,
        shots=(Shot(0, 0, n),),
        tracks=tuple(tracks),
        people=tuple(found),
    )


class StillEngine(Engine):
    """Leaves every frame as it is, and remembers what it was given."""

    spec = EngineSpec(
        id="still",
        flow="lipsync",
        label="Still",
        help="Nothing.",
        settings=MouthSettings,
        needs_audio=True,
    )

    def __init__(self) -> None:
        self.contexts: list[EngineContext] = []

    def open(self, context: EngineContext) -> StillEngine:
        self.contexts.append(context)
        return self

    def process(self, requests: Sequence[FaceRequest]) -> list[EngineResult]:
        return [Reason.SILENCE] * len(requests)

    def report(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def still_registry() -> tuple[EngineRegistry, StillEngine]:
    engine = StillEngine()
    return EngineRegistry((engine,)), engine
