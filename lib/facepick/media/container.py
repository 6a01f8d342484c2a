"""Opening of media files: one place for limits, and for what differs between PyAV releases.

Files are uploads of strangers.  A file's name says nothing about what is in it, and several of
FFmpeg's "formats" are lists of other files or addresses (HLS, DASH, concat scripts, image
patterns): opening one would read whatever it names.  So only real containers are let in
(`FORMATS`), and only through the ``file`` protocol.
"""

from __future__ import annotations

import math
import os
import struct
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from facepick.errors import SourceChanged, VideoOpenError, file_problem
from facepick.files import open_plain
from facepick.unchanged import check

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = [
    "FORMATS",
    "IO_TIMEOUT_SECONDS",
    "MAX_FRAME_BYTES",
    "MAX_STREAMS",
    "check_file",
    "check_size",
    "codec_name",
    "disposition_of",
    "is_attached_picture",
    "open_media",
    "orientation_of",
    "picture_format",
    "stream_time_base",
    "video_stream",
]

# What one decoded frame may take: 8K in 4:2:2 with 10 bits (133 MB), 12K in 4:2:0 with 8 (119 MB).
# A decoder holds several, and so do a scan and a render.
MAX_FRAME_BYTES = 2**27

# The decoder itself refuses more, before it knows how much a pixel takes: 8 bits of gray.
MAX_FRAME_PIXELS = MAX_FRAME_BYTES

# Broadcast files carry up to 16 audio streams and as many of subtitles; FFmpeg itself stops at
# 1000.  Each stream costs a decoder's state.
MAX_STREAMS = 100

# A read of a local or network drive that takes longer than this is not going to end.
IO_TIMEOUT_SECONDS = 20.0

FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,av1,avi,avs,caf,dv,eac3,flac,flv,gif,h263,h264,hevc,ivf,m4v,"
    "matroska,mjpeg,mjpeg_2000,mov,mp3,mp4,mpeg,mpegts,mpegvideo,mpjpeg,mxf,nut,obu,ogg,rm,swf,"
    "vc1,voc,vvc,w64,wav,webm,wtv,wv,y4m,yuv4mpegpipe"
)

# Also for the frames that FFmpeg decodes while it looks into a file.
_DECODER_LIMITS = {"max_pixels": str(MAX_FRAME_PIXELS)}

Kind = Literal["video", "sound"]

_CHOOSE: dict[Kind, str] = {
    "video": "Choose a video file such as MP4, MOV, MKV, WebM or AVI; if it plays elsewhere, "
    "re-export it.",
    "sound": "Choose a sound file such as WAV, MP3, FLAC or M4A, or a video with sound; if it "
    "plays elsewhere, convert it to WAV.",
}

# How pictures begin, and where; the name of the format.
_PICTURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WebP"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"8BPS", "PSD"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (4, b"jP  \r\n", "JPEG 2000"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
)


def picture_format(path: Path) -> tuple[str, bool] | None:
    """Tell the kind of a picture file by its first bytes, and if it moves; None if it is no
    picture."""
    with open_plain(path) as file:
        head = file.read(4096)
    name = next((n for at, mark, n in _PICTURES if head.startswith(mark, at)), None)
    if name is None:
        return None
    # An animated PNG tells so before its pixels (acTL), WebP by a flag of its first chunk.
    moves = (name == "PNG" and b"acTL" in head.split(b"IDAT")[0]) or (
        name == "WebP" and head[12:16] == b"VP8X" and bool(head[20:21] and head[20] & 2)
    )
    return name, moves


def check_file(path: Path | str, *, wanted: Kind = "video") -> Path:
    """Check a file and return its absolute path: it must be readable and not empty.

    Args:
        wanted: what the user is told to choose instead.

    Raises:
        VideoOpenError: missing, a folder, not allowed to be read, or empty.
    """
    path = Path(os.path.abspath(path))
    try:
        with open_plain(path) as file:
            # What the system makes up under /proc has no size, and may never end.
            first = os.fstat(file.fileno()).st_size and file.read(1)
    except IsADirectoryError as error:
        raise file_problem(path, "this is a folder.", hint=f"Choose one {wanted} file.") from error
    except FileNotFoundError as error:
        raise file_problem(path, "there is no such file.", hint=f"Looked for {path}.") from error
    except OSError as error:
        raise file_problem(
            path,
            f"it cannot be read ({error.strerror}).",
            hint="Check the path, and who may read the file.",
        ) from error
    if not first:
        raise file_problem(
            path, "the file is empty.", hint="It was not copied or downloaded; fetch it again."
        )
    return path


def open_media(path: Path | str, *, wanted: Kind = "video") -> InputContainer:
    """Open a file for reading.

    Args:
        wanted: what the user is told to choose instead.

    Raises:
        VideoOpenError: the file is missing or no media file that facepick reads.
        SourceChanged: it is watched (`facepick.unchanged`) and is another file by now.
    """
    import av

    path = check_file(path, wanted=wanted)
    check(path)
    # Metadata need not be UTF-8.  From version 19 on PyAV copes without being told.
    coping: dict[str, Any] = {}
    if int(av.__version__.split(".")[0]) < 19:
        coping["metadata_errors"] = "replace"
    try:
        container: InputContainer = av.open(
            str(path),
            mode="r",
            container_options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
            options=dict(_DECODER_LIMITS),
            timeout=IO_TIMEOUT_SECONDS,
            **coping,
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise _not_media(path, wanted) from error
    try:
        check(path)
    except SourceChanged:
        container.close()
        raise
    if len(container.streams) > MAX_STREAMS:
        count = len(container.streams)
        container.close()
        raise file_problem(
            path,
            f"it has {count} streams, more than the {MAX_STREAMS} that are allowed.",
            hint="Re-export it with one video stream.",
        )
    return container


def _not_media(path: Path, wanted: Kind) -> VideoOpenError:
    picture = picture_format(path)
    if picture is None:
        return file_problem(
            path,
            "this is not a media file, or its index is missing "
            "(an upload or recording that was cut off).",
            hint=_CHOOSE[wanted],
        )
    name, moves = picture
    if moves and wanted == "video":
        return file_problem(
            path,
            f"this is an animated picture ({name}), which is not read.",
            hint="Convert it to MP4 or GIF.",
        )
    return file_problem(
        path,
        f"this is a picture ({name}), not a {wanted} file.",
        hint=_CHOOSE[wanted].split(";")[0].rstrip(".") + ".",
    )


def disposition_of(stream: Any) -> int | None:
    """Read FFmpeg's bits of what a stream is for, or None: PyAV before 14 does not tell."""
    value = getattr(stream, "disposition", None)
    # A plain number, or in some releases an `enum.Flag`, which is none.
    return None if value is None else int(getattr(value, "value", value))


def is_attached_picture(stream: Any) -> bool:
    """Tell whether a video stream is a cover picture of an audio file."""
    disposition = disposition_of(stream)
    if disposition is not None:
        return bool(disposition & _ATTACHED_PIC)
    # Older PyAV does not tell; a cover is one picture of a still codec beside audio.
    still = stream.codec_context.name in ("mjpeg", "png", "bmp", "gif", "webp")
    return still and stream.frames <= 1 and bool(stream.container.streams.audio)


# AVStream.disposition bits, fixed since FFmpeg 0.8.
_DEFAULT = 0x0001
_ATTACHED_PIC = 0x0400


def video_stream(container: InputContainer, path: Path | str) -> VideoStream:
    """Find the stream that is shown: no cover picture, marked default first, then the largest.

    Raises:
        VideoOpenError: no video stream, one without a decoder, or larger than the limit.
    """
    streams = [s for s in container.streams.video if not is_attached_picture(s)]
    if not streams:
        what = "only audio" if container.streams.audio else "no video"
        raise file_problem(
            path, f"there is {what} in this file.", hint="Choose a file with a picture."
        )

    def rank(stream: Any) -> tuple[bool, int, int]:
        default = bool((disposition_of(stream) or 0) & _DEFAULT)
        context = stream.codec_context
        pixels = (context.width or 0) * (context.height or 0) if context is not None else 0
        return (not default, -pixels, stream.index)

    stream = min(streams, key=rank)
    if stream.codec_context is None:
        raise file_problem(
            path, "its video codec is unknown here.", hint="Re-export it as H.264 in MP4."
        )
    context = stream.codec_context
    check_size(context.width, context.height, context.pix_fmt, path)
    # A stream may become larger midway; the decoder then refuses before it takes the memory.
    context.options = {**context.options, **_DECODER_LIMITS}
    return stream


# Names of decoders from other libraries, and of variants -> the codec's own name.
_DECODERS = {
    "libdav1d": "av1",
    "libaom-av1": "av1",
    "libvpx": "vp8",
    "libvpx-vp9": "vp9",
    "mp3float": "mp3",
    "mp2float": "mp2",
    "libopus": "opus",
    "libvorbis": "vorbis",
    "srt": "subrip",
    "ssa": "ass",
    "pgssub": "hdmv_pgs_subtitle",
    "dvbsub": "dvb_subtitle",
    "dvdsub": "dvd_subtitle",
}


def codec_name(stream: Any) -> str:
    """Return FFmpeg's name of a stream's codec, whichever decoder reads it."""
    if stream.codec_context is None:
        return "unknown"
    name = str(stream.codec_context.name)
    return _DECODERS.get(name, name)


def check_size(width: int, height: int, format: str | None, path: Path | str) -> int:
    """Compute how many bytes a decoded frame takes.

    Args:
        width, height: of a frame in pixels.
        format: FFmpeg's name of its pixel format; None where it is not known yet.

    Raises:
        VideoOpenError: more than `MAX_FRAME_BYTES`.
    """
    size = width * height * _bits_per_pixel(format) // 8
    if size > MAX_FRAME_BYTES:
        raise file_problem(
            path,
            f"its frames are {width}x{height} and take {size // 10**6} MB each, more than "
            f"{MAX_FRAME_BYTES // 10**6} MB.",
            hint="Scale the video down first.",
        )
    return size


@lru_cache(maxsize=64)
def _bits_per_pixel(format: str | None) -> int:
    """Count the bits of a decoded frame, or of the 4:2:0 that it is worked on as, if that is
    more."""
    import av

    if format is None:
        return 12
    try:
        bits = av.VideoFormat(format, 64, 64).padded_bits_per_pixel
    except ValueError:
        return 12
    return max(12, int(bits))


def stream_time_base(stream: Any) -> Fraction:
    """Return the seconds per pts unit of a stream; FFmpeg always knows them after opening."""
    base = stream.time_base
    return Fraction(base) if base else Fraction(1, 90000)


def orientation_of(frame: av.VideoFrame) -> tuple[int, bool]:
    """Read how a decoded frame is brought upright: clockwise degrees, and if it is mirrored.

    The turn is 0, 90, 180 or 270; a frame that is mirrored is flipped left to right first.

    Read from the display matrix that the decoder hangs on each frame: a 3x3 matrix of int32,
    16.16 fixed point in the first two columns (QuickTime file format, track header).  Angles
    between quarter turns are rounded.
    """
    try:
        data = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
    except (KeyError, TypeError):
        return 0, False
    if len(data) < 36:
        return 0, False
    a, b, _, c, d = struct.unpack_from("=5i", data)
    if a == 0 and b == 0:
        return 0, False
    # (a, b) is where the x axis of the stored picture points on screen, y down, and (c, d) its
    # y axis.  Selfies may come with a mirrored pair: then the flipped x axis is (-a, -b).
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # The angle from x to (a, b) is the clockwise turn.
    return round(math.degrees(math.atan2(b, a)) / 90) % 4 * 90, mirrored
