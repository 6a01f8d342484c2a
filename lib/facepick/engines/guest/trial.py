"""Trial of a guest engine: one short clip of a face, made and checked as in a render."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.guest.call import call_guest, check_guest
from facepick.engines.guest.clips import check_answer, write_clip, write_speech
from facepick.engines.guest.cuts import cut_of
from facepick.engines.guest.description import GuestDescription
from facepick.engines.guest.store import guests
from facepick.engines.lipsync.neural.crop import warp_out
from facepick.errors import NoFacesFound, UserInputError
from facepick.faces.analyzers.yunet import YuNetDetector
from facepick.faces.detection import Box
from facepick.media.audio import read_mono
from facepick.media.reader import VideoReader
from facepick.models.catalog import YUNET
from facepick.models.store import ModelStore
from facepick.progress import CancelToken, never

__all__ = ["Trial", "try_guest"]

FRAMES = 50
"""Two seconds at 25 frames a second."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Outcome of a trial.

    Attributes:
        label: of the engine.
        frames: how many it made.
        side: of them in pixels.
        seconds: how long it took.
    """

    label: str
    frames: int
    side: int
    seconds: float


def try_guest(
    name: str,
    folder: Path,
    *,
    video: Path,
    speech: Path,
    models: ModelStore,
    cancel: CancelToken = never,
) -> Trial:
    """Have a guest make two seconds of the first face of a video.

    Args:
        folder: for the clip, the speech, and what comes back.
        video: shows a face in its first frame.
        speech: any sound file.

    Raises:
        UserInputError: there is no such guest.
        NoFacesFound: the video's first frame shows nobody.
        ToolError: the guest failed, or gave something else than asked.
        Cancelled.
    """
    guest = next((guest for guest in guests() if guest.name == name), None)
    if guest is None:
        raise UserInputError(
            f"There is no guest engine {name!r:.60}.", hint="See: facepick engines list"
        )
    check_guest(guest)
    first = _first_face(video, models)
    side = guest.size or 256
    fps = Fraction(guest.fps or 25).limit_denominator(1001)
    clip, sound = folder / f"video.{guest.container}", folder / "audio.wav"
    out = folder / f"out.{guest.container}"
    frames = write_clip(clip, _pictures(video, guest, first, side), fps=fps)
    write_speech(
        sound,
        read_mono(speech),
        rate=guest.sound_rate,
        tempo=1.0,
        seconds=float((frames) / fps),
        cancel=cancel,
    )
    values = {
        "video": str(clip),
        "audio": str(sound),
        "source": str(_photo(folder, first)),
        "out": str(out),
        "fps": f"{float(fps):g}",
        "size": str(side),
    }
    began = time.monotonic()
    call_guest(guest, values, log=folder / "log.txt", cancel=cancel)
    seconds = time.monotonic() - began
    sent = frames - guest.extra_frames
    check_answer(
        out, label=guest.label, frames=sent, more=guest.extra_frames, size=(side, side), fps=fps
    )
    return Trial(label=guest.label, frames=sent, side=side, seconds=seconds)


def _first_face(video: Path, models: ModelStore) -> FaceRequest:
    with VideoReader(video) as reader:
        image = next(reader.frames()).picture.bgr()
    found = YuNetDetector(models.require(YUNET)).detect(image)
    if not len(found.xyxy):
        raise NoFacesFound(f"The first frame of {video.name} shows nobody.")
    return FaceRequest(
        row=0,
        frame=0,
        time=Fraction(0),
        crop=image,
        origin=(0, 0),
        box=Box(*map(float, found.xyxy[0])),
        landmarks5=found.landmarks5[0],
    )


def _pictures(
    video: Path, guest: GuestDescription, first: FaceRequest, side: int
) -> Iterator[BgrImage]:
    cut = cut_of(guest, first, side)
    picture = np.zeros((side, side, 3), np.uint8)
    with VideoReader(video) as reader:
        for frame in islice(reader.frames(), FRAMES):
            picture = warp_out(frame.picture.bgr(), cut, side=side)
            yield picture
    for _ in range(guest.extra_frames):
        yield picture


def _photo(folder: Path, first: FaceRequest) -> Path:
    import cv2

    path = folder / "source.png"
    path.write_bytes(cv2.imencode(".png", first.crop)[1].tobytes())
    return path
