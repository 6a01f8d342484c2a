"""Clips that go out to a guest engine and come back: lossless pictures, speech, the answer."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.errors import ToolError, VideoOpenError
from facepick.media import ffmpeg
from facepick.media.container import open_media, video_stream
from facepick.media.reader import VideoReader
from facepick.progress import CancelToken, never

__all__ = ["Answer", "check_answer", "write_clip", "write_speech"]

_RATE_TOLERANCE = 0.02


def write_clip(path: Path, frames: Iterable[BgrImage], *, fps: Fraction) -> int:
    """Write pictures (h, w, 3) uint8 BGR without any loss; gives how many.

    ``.mp4`` is H.264 in RGB, ``.mkv`` is FFV1.
    """
    import av

    codec = "libx264rgb" if path.suffix == ".mp4" else "ffv1"
    count = 0
    with av.open(str(path), "w") as container:
        stream: Any = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=fps)
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "rgb24" if codec == "libx264rgb" else "bgr0"
                if codec == "libx264rgb":
                    stream.options = {"qp": "0", "preset": "ultrafast"}
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="bgr24")
            picture.pts, picture.time_base = count, 1 / fps
            container.mux(stream.encode(picture))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def write_speech(
    path: Path,
    samples: npt.NDArray[np.float32],
    *,
    rate: int,
    tempo: float,
    seconds: float,
    cancel: CancelToken = never,
) -> None:
    """Write speech as 16-bit mono WAV.

    Args:
        samples: (n,) float32 mono at 16 kHz.
        rate: samples a second of the file.
        tempo: how many times faster it is said; the pitch is kept.
        seconds: length of the file, filled up with silence or cut.
    """
    whole = np.clip(np.rint(samples * 32767), -32768, 32767).astype("<i2")
    plain = path if rate == 16_000 and abs(tempo - 1) < 1e-3 else path.with_name("speech16.wav")
    need = max(len(whole), round(seconds * tempo * 16_000))
    with wave.open(str(plain), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.pad(whole, (0, need - len(whole))).tobytes())
    if plain == path:
        return
    sound = ffmpeg.builder().input(ffmpeg.file_url(plain)).audio
    if abs(tempo - 1) >= 1e-3:
        sound = sound.filter("atempo", f"{tempo:.6f}")
    ffmpeg.run(
        sound.output(ffmpeg.file_url(path), ac=1, ar=rate, t=f"{seconds:.6f}", acodec="pcm_s16le"),
        cancel=cancel,
    )
    plain.unlink()


def check_answer(
    path: Path, *, label: str, frames: int, more: int, size: tuple[int, int], fps: Fraction
) -> None:
    """Check what a guest engine has written.

    Args:
        frames: how many the clip had, without the repeated ones.
        more: how many more may come.
        size: width and height of the clip.
        fps: frames a second of the clip.

    Raises:
        ToolError: there is no video, or it is not frame for frame the one that was sent.
    """
    hint = "See its log in the job's folder, and docs/guests.md."
    if not path.is_file() or not path.stat().st_size:
        raise ToolError(f"{label} has written no video.", hint=hint)
    count = 0
    try:
        reader = VideoReader(path)
        info = reader.info
        if (info.width, info.height) != size:
            raise ToolError(
                f"{label} gave pictures of {info.width}x{info.height} for {size[0]}x{size[1]}.",
                hint=hint,
            )
        times = []
        for frame in reader.frames():
            times.append(frame.time)
            count += 1
            if count > frames + more:
                break
    except VideoOpenError as error:
        raise ToolError(f"{label} has written what is no video.", hint=hint) from error
    if not frames <= count <= frames + more:
        said = f"more than {frames + more}" if count > frames + more else str(count)
        raise ToolError(f"{label} gave {said} frames for {frames}.", hint=hint)
    if count > 1:
        rate = (count - 1) / float(times[-1].seconds - times[0].seconds)
        if abs(rate / float(fps) - 1) > _RATE_TOLERANCE:
            raise ToolError(
                f"{label} gave {rate:.2f} frames a second for {float(fps):.2f}.", hint=hint
            )


class Answer:
    """Reader of an answer's frames, by number; cheap where they are asked for in order.

    Args:
        path: a video that `check_answer` has found right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: Iterator[BgrImage] | None = None
        self._next = 0
        self._last: tuple[int, BgrImage] | None = None

    def frame(self, number: int) -> BgrImage:
        """Decode a frame, (h, w, 3) uint8 BGR."""
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        if self._frames is None or number < self._next:
            self._frames, self._next = _pictures(self._path), 0
        for picture in self._frames:
            self._next += 1
            if self._next > number:
                self._last = number, picture
                return picture
        raise ToolError(f"{self._path.name} has changed while it was read.")


def _pictures(path: Path) -> Iterator[BgrImage]:
    reader = VideoReader(path)
    if not reader.info.pixel_format.startswith(("gbr", "rgb", "bgr", "0", "argb", "abgr")):
        for frame in reader.frames():
            yield frame.picture.bgr()
        return
    # What is RGB in the file stays as it is, without a way over the reader's YUV.
    with open_media(path) as container:
        for raw in container.decode(video_stream(container, path)):
            yield np.asarray(raw.to_ndarray(format="bgr24"), np.uint8)
