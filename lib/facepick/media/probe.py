"""Facts of a video file, found out by opening it and decoding its first frame."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from facepick.errors import VideoOpenError, file_problem
from facepick.media.container import (
    check_file,
    codec_name,
    disposition_of,
    is_attached_picture,
    open_media,
    orientation_of,
    stream_time_base,
    video_stream,
)
from facepick.media.video import (
    AudioInfo,
    ColorInfo,
    HdrInfo,
    VideoInfo,
    info_from_json,
    info_to_json,
)
from facepick.programs import python_module

__all__ = ["guarded_probe", "probe"]

# A broadcast stream joined midway shows its first whole picture within a GOP or two; 600
# packets are 10 s at 60 frames a second.
_MAX_PACKETS = 600


def probe(path: Path | str) -> VideoInfo:
    """Read what a video file holds; its first frame is decoded, so that it surely can be.

    Raises:
        VideoOpenError: the file is missing or empty, no media file, has no video, or its video
            cannot be decoded.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        return _describe(container, stream, Path(os.path.abspath(path)))


def _describe(container: Any, stream: Any, path: Path) -> VideoInfo:
    from facepick.media.picture import Picture

    time_base = stream_time_base(stream)
    frame = _first_frame(container, stream, path)
    rotation, mirrored = orientation_of(frame)
    hdr, left_out = _hdr(frame), _left_out(container, stream, frame)
    picture = Picture.from_av(frame, rotation=rotation, mirrored=mirrored)
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect <= 0:
        aspect = Fraction(1)
    if rotation in (90, 270):
        aspect = 1 / aspect
    start = stream.start_time if stream.start_time is not None else (frame.pts or 0)
    return VideoInfo(
        path=path,
        mirrored=mirrored,
        hdr=hdr,
        left_out=left_out,
        width=picture.width,
        height=picture.height,
        rotation=rotation,
        sample_aspect_ratio=aspect,
        pixel_format=frame.format.name,
        codec=codec_name(stream),
        time_base=time_base,
        declared_frames=stream.frames or None,
        average_rate=Fraction(stream.average_rate) if stream.average_rate else None,
        start_seconds=start * time_base,
        duration_seconds=_duration(stream.duration, time_base, container),
        color=_color(picture.color, stream.codec_context),
        interlaced=picture.interlaced,
        container=container.format.name,
        audio=tuple(_describe_audio(s, container) for s in container.streams.audio),
        size_bytes=path.stat().st_size,
    )


def _hdr(frame: Any) -> HdrInfo | None:
    """Read static HDR metadata of a decoded frame, as FFmpeg lays them out in memory.

    AVMasteringDisplayMetadata: xy of red, green, blue and white, then the least and the greatest
    luminance, all as pairs of int32 (numerator, denominator), then two flags that say which are
    there.  AVContentLightMetadata: two uint32.
    """
    primaries: tuple[tuple[Fraction, Fraction], ...] | None = None
    luminance: tuple[Fraction, Fraction] | None = None
    light: tuple[int, int] | None = None
    screen = _side_data(frame, "MASTERING_DISPLAY_METADATA")
    if len(screen) >= 88:
        numbers = struct.unpack_from("=22i", screen)
        pairs = zip(numbers[0:20:2], numbers[1:20:2], strict=True)
        values = [Fraction(a, b) if b else Fraction(0) for a, b in pairs]
        if numbers[20]:
            primaries = tuple(zip(values[0:8:2], values[1:8:2], strict=True))
        if numbers[21]:
            luminance = values[8], values[9]
    level = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if len(level) >= 8:
        light = struct.unpack_from("=2I", level)
    if primaries is None and light is None:
        return None
    return HdrInfo(primaries=primaries, luminance=luminance, light=light)


def _side_data(frame: Any, name: str) -> bytes:
    try:
        return bytes(frame.side_data[name])
    except (KeyError, TypeError, ValueError):
        return b""


def _left_out(container: Any, video: Any, frame: Any) -> tuple[str, ...]:
    """List what facepick does not carry over, whatever the result's container."""
    found = []
    if any(c.is_alpha for c in frame.format.components) or (
        video.metadata.get("alpha_mode", "0") != "0"
    ):
        found.append("transparency")
    if max(c.bits for c in frame.format.components) > 10:
        found.append("more than 10 bits a sample")
    if _side_data(frame, "DYNAMIC_HDR_PLUS") or _side_data(frame, "DOVI_METADATA"):
        found.append("HDR metadata that change from scene to scene")
    # MP4 keeps the names of chapters in a track of their own, which is no track to a user.
    names = hasattr(container, "chapters") and bool(container.chapters())
    for stream in container.streams:
        if stream.type == "video" and stream.index != video.index:
            found.append("cover picture" if is_attached_picture(stream) else "second video stream")
        elif stream.type == "audio" and not _is_known(stream):
            found.append(f"audio track {stream.index} (its codec is unknown)")
        elif stream.type == "data" and "timecode" in stream.metadata:
            # Carried over by its text, which is the picture's as well.
            continue
        elif stream.type == "data" and names:
            names = False
        elif stream.type in ("data", "attachment"):
            found.append(f"{stream.type} track {stream.index}")
    return tuple(dict.fromkeys(found))


def _is_known(stream: Any) -> bool:
    context = stream.codec_context
    known = context is not None and context.sample_rate and context.layout is not None
    return bool(known and context.layout.channels)


def _color(tags: ColorInfo, context: Any) -> ColorInfo:
    """Read the first frame's colour tags; what it leaves open the container may say."""

    def known(tag: int, name: str) -> int:
        return tag if tag != 2 else int(getattr(context, name, 2))

    return replace(
        tags,
        primaries=known(tags.primaries, "color_primaries"),
        transfer=known(tags.transfer, "color_trc"),
        matrix=known(tags.matrix, "colorspace"),
    )


def _first_frame(container: Any, stream: Any, path: Path) -> Any:
    import av

    for count, packet in enumerate(container.demux(stream)):
        if count > _MAX_PACKETS:
            break
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        if frames:
            return frames[0]
    raise file_problem(
        path,
        "not one frame of its video can be decoded.",
        hint="The file is damaged; copy or download it again.",
    )


def _duration(units: int | None, time_base: Fraction, container: Any) -> Fraction | None:
    if units is not None and units > 0:
        return units * time_base
    if container.duration:
        return Fraction(container.duration, 10**6)  # AV_TIME_BASE: microseconds
    return None


def _describe_audio(stream: Any, container: Any) -> AudioInfo:
    context = stream.codec_context
    time_base = stream_time_base(stream)
    layout = context.layout if context is not None else None
    disposition = disposition_of(stream)
    if disposition is None:
        is_default = stream is container.streams.audio[0]
    else:
        is_default = bool(disposition & 1)
    return AudioInfo(
        index=stream.index,
        codec=codec_name(stream),
        sample_rate=(context.sample_rate or 0) if context is not None else 0,
        channels=len(layout.channels) if layout is not None else 0,
        layout=layout.name if layout is not None else "",
        start_seconds=(stream.start_time or 0) * time_base,
        duration_seconds=_duration(stream.duration, time_base, container),
        language=stream.metadata.get("language"),
        is_default=is_default,
    )


def guarded_probe(path: Path | str, *, timeout_seconds: float = 30.0) -> VideoInfo:
    """Run `probe` on an upload in a child process that gives the facts back.

    Decoders are large bodies of C; a crafted file can keep one busy for hours, or take memory.
    Whatever it does to the child, this process goes on: it never opens the file itself.  A
    time-out is also what an overloaded machine looks like, so the message does not call the file
    broken.

    Raises:
        VideoOpenError: as `probe`, or the child crashed, wanted more than `_CHILD_BYTES` of
            memory, or did not end in time.
    """
    path = check_file(path)
    package_root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH")
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([package_root, *([known] if known else [])])
    # Each thread of a library for arithmetic, which is not needed here, sets memory aside.
    environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    argv = python_module("facepick.media.probe", str(path))
    try:
        child = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise file_problem(
            path,
            f"looking into it took longer than {timeout_seconds:g} s.",
            hint="Try again when the machine is less busy, or re-export the video.",
        ) from error
    try:
        answer = json.loads(child.stdout)
        if "info" in answer:
            return replace(info_from_json(VideoInfo, answer["info"]), path=path)
        message, hint = str(answer["message"]), str(answer["hint"])
    except (ValueError, KeyError, TypeError):
        raise file_problem(
            path,
            f"the decoder crashed on it (code {child.returncode}).",
            hint="The file is damaged; re-export it.",
        ) from None
    raise VideoOpenError(message, hint=hint)


# Two frames of the largest size that is let in, converted, are 0.6 GB; the libraries' own code
# and the stacks of their threads are counted as well.
_CHILD_BYTES = 2 * 2**30


def _limit_memory() -> None:
    """Limit this process to `_CHILD_BYTES` of memory, where the system can."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    # RLIMIT_DATA counts what is written to; on macOS and the BSDs it stands for the heap alone.
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        _, hard = resource.getrlimit(kind)
        most = _CHILD_BYTES if kind == resource.RLIMIT_DATA else 4 * _CHILD_BYTES
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, hard))


def _main(path: str) -> int:
    _limit_memory()
    try:
        answer = {"info": info_to_json(probe(path))}
        code = 0
    except VideoOpenError as error:
        answer, code = {"message": error.message, "hint": error.hint}, error.exit_code
    except (MemoryError, OSError):
        known = file_problem(
            path,
            f"looking into it takes more than {_CHILD_BYTES >> 30} GB of memory.",
            hint="Scale the video down first.",
        )
        answer, code = {"message": known.message, "hint": known.hint}, known.exit_code
    # Names of streams may hold what is no Unicode.
    sys.stdout.write(json.dumps(answer))
    return code


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1]))
