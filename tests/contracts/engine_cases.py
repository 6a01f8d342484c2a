"""What each engine needs to be opened in a test; add an entry when you add an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import Engine, EngineContext
from facepick.media.video import VideoInfo
from facepick.models.store import ModelStore
from facepick.people.person import Person, Scan
from facepick.people.track import FaceTrack
from facepick.progress import CancelToken
from facepick.shots.shot import Shot


@dataclass(frozen=True)
class Case:
    """Files and settings that one engine wants on top of the common context.

    Attributes:
        extra: keyword arguments for `EngineContext`, given a folder to put files in and the
            requests that will be processed.
        frames: how many requests the suite sends; slow engines may ask for fewer, not below 4.
    """

    extra: Callable[[Path, list[FaceRequest], Path], dict[str, Any]] = field(
        default=lambda folder, requests, media: {}
    )
    frames: int = 8


def _speech(folder: Path, requests: list[FaceRequest], media: Path) -> dict[str, Any]:
    """Speech from the first frame to a second past the last one."""
    import wave

    from facepick.speech.line import Speech, SpeechLine

    path = media / "speech" / "en_katie_f_18s_16k.wav"
    with wave.open(str(path)) as file:
        # The first word begins about half a second into the file.
        file.setpos(8_000)
        seconds = max(r.frame for r in requests) / 25 + 1
        data = file.readframes(int(seconds * 16_000))
    samples = (np.frombuffer(data, "<i2") / 32768).astype(np.float32)
    return {"speech": Speech(samples=samples, lines=(SpeechLine(path=str(path)),))}


@cache
def _seeded_wav2lip() -> Path:
    """A checkpoint with the network's layout and seeded numbers, once per run."""
    import atexit
    import shutil
    import tempfile

    from tests.engines.lipsync.neural.seeded import write_seeded_onnx

    folder = Path(tempfile.mkdtemp(prefix="facepick-wav2lip-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_seeded_onnx(folder / "wav2lip_96.onnx")


def _wav2lip(folder: Path, requests: list[FaceRequest], media: Path) -> dict[str, Any]:
    """The same speech, and a stand-in checkpoint."""
    from facepick.engines.lipsync.neural.settings import Wav2LipSettings

    settings = Wav2LipSettings(checkpoint=str(_seeded_wav2lip()))
    return {**_speech(folder, requests, media), "settings": settings}


def _edtalk(folder: Path, requests: list[FaceRequest], media: Path) -> dict[str, Any]:
    """The same speech, and a network that gives every face back."""
    from tests.engines.lipsync.neural.edtalk_standin import write_standin

    from facepick.engines.lipsync.neural.settings import EdTalkSettings

    settings = EdTalkSettings(checkpoint=str(write_standin(folder / "edtalk_256.onnx")))
    return {**_speech(folder, requests, media), "settings": settings}


def _source(folder: Path, requests: list[FaceRequest], media: Path) -> dict[str, Any]:
    """A photo of the other person of the clip, and stand-ins for the swap networks."""
    import cv2
    from tests.contracts.face_footage import faces_in, frames_of, request_for
    from tests.engines.swap import standins

    photo = folder / "source.png"
    if not photo.is_file():
        (image,) = frames_of(media / "odd" / "base_640x360.mp4", (0,))
        box, points = faces_in(image)[1]
        cv2.imwrite(str(photo), request_for(image, box, points, margin=0.8).crop)
    return {"source": (str(photo),), "models": standins.store_in(folder / "models")}


def _half_source(folder: Path, requests: list[FaceRequest], media: Path) -> dict[str, Any]:
    """The same at the network's own size: half precision is slow without a graphics card."""
    from facepick.engines.swap.settings import InswapperSettings

    settings = InswapperSettings(pixel_boost="128")
    return {**_source(folder, requests, media), "settings": settings}


def drawing_guest() -> Engine:
    """A guest engine that draws a mouth, in a program of its own."""
    import sys

    from facepick.engines.guest.description import GuestDescription
    from facepick.engines.guest.engine import GuestEngine

    script = Path(__file__).parents[1] / "engines" / "guest" / "guest_draws.py"
    words = (sys.executable, str(script), "draw", "{video}", "{audio}", "{out}", "{fps}")
    return GuestEngine(
        GuestDescription(
            name="draws", label="Draws", licence="MIT", flow="lipsync", size=160, command=words
        )
    )


def swapping_guest() -> Engine:
    """A guest engine that paints faces, in a program of its own."""
    import sys

    from facepick.engines.guest.description import GuestDescription
    from facepick.engines.guest.engine import GuestEngine

    script = Path(__file__).parents[1] / "engines" / "guest" / "guest_swaps.py"
    words = (sys.executable, str(script), "{video}", "{source}", "{out}", "{fps}")
    return GuestEngine(
        GuestDescription(
            name="paints", label="Paints", licence="MIT", flow="swap", size=160, command=words
        )
    )


CASES: dict[tuple[str, str], Case] = {
    ("hide", "pixelate"): Case(),
    ("hide", "blur"): Case(),
    ("hide", "cover"): Case(),
    ("lipsync", "rewrite"): Case(extra=_speech),
    ("lipsync", "wav2lip"): Case(extra=_wav2lip, frames=4),
    ("lipsync", "wav2lip_gan"): Case(extra=_wav2lip, frames=4),
    ("lipsync", "edtalk_256"): Case(extra=_edtalk, frames=4),
    ("lipsync", "draws"): Case(extra=_speech),
    ("swap", "mesh"): Case(extra=_source),
    ("swap", "paints"): Case(extra=_source),
    ("swap", "inswapper_128"): Case(extra=_source, frames=4),
    ("swap", "inswapper_128_fp16"): Case(extra=_half_source, frames=4),
    ("swap", "hyperswap"): Case(extra=_source, frames=4),
    ("swap", "ghost"): Case(extra=_source, frames=4),
}


def context_for(
    engine: Engine,
    folder: Path,
    requests: list[FaceRequest],
    *,
    cancel: CancelToken,
    **changes: Any,
) -> EngineContext:
    """A context around `requests`: one person, one track, one shot."""
    frames = max(r.frame for r in requests) + 1
    video = VideoInfo(
        path=Path("clip.mp4"),
        width=640,
        height=360,
        time_base=Fraction(1, 25),
        pixel_format="yuv420p",
        codec="h264",
    )
    numbers = np.array(sorted({r.frame for r in requests}), np.int32)
    by_frame = {r.frame: r for r in requests}
    track = FaceTrack(
        id="T1",
        shot=0,
        frames=numbers,
        boxes=np.array([by_frame[int(i)].box for i in numbers], np.float32),
        landmarks5=np.array([by_frame[int(i)].landmarks5 for i in numbers], np.float32),
        score=np.ones(len(numbers), np.float32),
        origin=np.zeros(len(numbers), np.uint8),
    )
    person = Person(
        id="P1",
        track_ids=("T1",),
        exemplars=np.eye(1, 128, dtype=np.float32),
        frames=len(numbers),
        screen_time=Fraction(len(numbers), 25),
    )
    scan = Scan(
        video=video,
        content_hash="0" * 64,
        pts=np.arange(frames, dtype=np.int64),
        duration_pts=1,
        shots=(Shot(0, 0, frames),),
        tracks=(track,),
        people=(person,),
    )
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "settings": engine.spec.settings(),
        "scan": scan,
        "person": person,
        "frames": frames,
        "workspace": workspace,
        "models": ModelStore([folder / "models"], folder / "models"),
        "device": "cpu",
        "footage": lambda: iter(requests),
        "cancel": cancel,
    }
    return EngineContext(**{**values, **changes})
