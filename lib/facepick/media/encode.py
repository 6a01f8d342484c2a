"""Encoders, their settings, and the containers that can hold what they make."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from facepick.errors import SettingsError
from facepick.media.picture import FORMATS, working_format
from facepick.media.video import ColorInfo, HdrInfo, VideoInfo
from facepick.settings import setting

__all__ = [
    "CONTAINERS",
    "PRESETS",
    "Container",
    "EncodeSettings",
    "Encoder",
    "container_of",
    "encoder_named",
    "encoder_works",
]

_DEEP = ("yuv420p10le", "yuv422p10le", "yuv444p10le")
_SHALLOW = ("yuv420p", "yuv422p", "yuv444p")


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A video encoder of FFmpeg.

    Attributes:
        id: the name in `EncodeSettings.encoder`.
        codec: FFmpeg's name.
        makes: FFmpeg's name of what comes out.
        formats: pixel formats of ours that it takes; all it can do is not listed, only what
            players show.
        odd_420: whether it takes 4:2:0 with an odd width or height.
    """

    id: str
    codec: str
    makes: str
    formats: tuple[str, ...]
    odd_420: bool = False

    def format_for(self, name: str, width: int, height: int) -> str:
        """Choose the pixel format to encode pictures of working format `name` in.

        The same if possible; else more chroma, else fewer bits, else less chroma.  An odd width
        or height in 4:2:0 or 4:2:2 becomes 4:4:4 where the encoder needs even sizes: every
        pixel stays, none is added.

        Raises:
            SettingsError: the size is odd and this encoder can only do even ones.
        """
        odd = bool(width % 2 or height % 2)
        allowed = [f for f in self.formats if not odd or self.odd_420 or FORMATS[f][:2] == (1, 1)]
        if not allowed:
            raise SettingsError(
                f"The encoder {self.id} cannot keep the odd size {width}x{height}.",
                hint="Choose x264, x265, vp9 or av1.",
            )
        if name in allowed:
            return name

        def loss(candidate: str) -> tuple[bool, bool, int]:
            across, down, bits = FORMATS[name]
            wide, tall, depth = FORMATS[candidate]
            return (
                wide * tall > across * down,
                depth < bits,
                abs(across * down - wide * tall) + abs(depth - bits),
            )

        return min(allowed, key=loss)


ENCODERS = (
    Encoder(id="x264", codec="libx264", makes="h264", formats=(*_SHALLOW, *_DEEP)),
    Encoder(id="x265", codec="libx265", makes="hevc", formats=(*_SHALLOW, *_DEEP)),
    Encoder(
        id="av1", codec="libsvtav1", makes="av1", formats=("yuv420p", "yuv420p10le"), odd_420=True
    ),
    Encoder(id="vp9", codec="libvpx-vp9", makes="vp9", formats=_SHALLOW, odd_420=True),
    Encoder(id="h264_nvenc", codec="h264_nvenc", makes="h264", formats=("yuv420p", "yuv444p")),
    Encoder(id="hevc_nvenc", codec="hevc_nvenc", makes="hevc", formats=("yuv420p", "yuv444p")),
    Encoder(id="h264_qsv", codec="h264_qsv", makes="h264", formats=("yuv420p",)),
    Encoder(id="h264_videotoolbox", codec="h264_videotoolbox", makes="h264", formats=("yuv420p",)),
    Encoder(id="h264_amf", codec="h264_amf", makes="h264", formats=("yuv420p",)),
)

# Tried in this order for `hardware`.
_HARDWARE = ("h264_nvenc", "h264_qsv", "h264_videotoolbox", "h264_amf")

# What the encoder itself wants where `formats` names what the pictures are: the same samples
# with Cb and Cr interleaved.
_NATIVE = {"h264_qsv": "nv12"}

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower")


def encoder_named(name: str) -> Encoder:
    """Find an encoder by its name.

    Raises:
        SettingsError: unknown name.
    """
    for encoder in ENCODERS:
        if encoder.id == name:
            return encoder
    raise SettingsError(
        f"There is no encoder {name!r}.", hint="Known: " + ", ".join(e.id for e in ENCODERS) + "."
    )


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """Encoder, quality and speed of the result."""

    encoder: str = setting(
        "x264",
        label="Encoder",
        help="x264 plays everywhere; `hardware` takes the first that this machine has.",
        choices=(*(e.id for e in ENCODERS), "hardware"),
    )
    quality: int = setting(
        18,
        label="Quality (CRF)",
        help="Lower is better and larger: 18 is visually lossless, 23 is usual on the web.",
        min=0,
        max=51,
        step=1,
    )
    preset: str = setting(
        "veryfast",
        label="Preset",
        help="Slower presets make smaller files of the same quality.",
        choices=PRESETS,
        advanced=True,
    )
    audio_codec: str = setting(
        "auto",
        label="Audio codec",
        help="Of new sound; what is kept is copied. auto: lossless where the sound came so and the "
        "container is MKV (FLAC) or MOV (PCM), else AAC, in WebM Opus; aac, flac, pcm: exactly "
        "that.",
        choices=("auto", "aac", "flac", "pcm"),
        advanced=True,
    )

    def audio_encoder(self, container: Container, *, lossless: bool) -> str:
        """Choose FFmpeg's encoder for new sound.

        Args:
            container: what it is written into.
            lossless: whether the sound came without loss.

        Raises:
            SettingsError: the container cannot hold what is asked for.
        """
        if self.audio_codec == "auto":
            return container.lossless if lossless and container.lossless else container.encoder
        codec, encoder = _AUDIO_CODECS[self.audio_codec]
        if not container.holds_audio(codec):
            raise SettingsError(
                f"A {container.name} file cannot hold {self.audio_codec} sound.",
                hint="Name the result *.mkv, or leave --audio-codec at auto.",
            )
        return encoder

    def for_output(self, out: Path | str, info: VideoInfo | None = None) -> EncodeSettings:
        """Adapt these settings to `out`: with an encoder that its container can hold.

        WebM holds VP9 and AV1 only; any other encoder becomes VP9 there, or AV1 where VP9 would
        lose of the source `info` what AV1 keeps: more than 8 bits, the metadata of HDR.
        `hardware` becomes the first hardware encoder that works on this machine, or x264.

        Raises:
            SettingsError: facepick does not write files with this suffix, or they cannot hold what
                the encoder makes.
        """
        container = container_of(out)
        name = self.encoder
        if container.name == "webm":
            if name in ("vp9", "av1"):
                return self
            deep = info is not None and _is_deep(info)
            return replace(self, encoder="av1" if deep and encoder_works("av1") else "vp9")
        if name == "hardware":
            working = next((e for e in _HARDWARE if encoder_works(e)), "x264")
            return replace(self, encoder=working)
        made = encoder_named(name).makes
        if made not in container.video:
            others = ", ".join(f"*{s}" for s, c in CONTAINERS.items() if made in c.video)
            raise SettingsError(
                f"A {container.name} file cannot hold {made} video.",
                hint=f"Choose another encoder, or name the result {others}.",
            )
        return self

    def options(self, info: VideoInfo, threads: int, *, steady: bool = False) -> dict[str, str]:
        """Build FFmpeg's options for the encoder, with the colour tags of the source.

        Args:
            info: of the source.
            threads: encoder threads; 0 lets the encoder choose.
            steady: whether frames come at one rate.
        """
        made = dict(_OPTIONS[self.encoder](self, threads))
        made.update(colour_options(info.color))
        if info.interlaced and self.encoder == "x264":
            made["flags"] = "+ildct+ilme"
        if steady and self.encoder == "x264":
            # Otherwise the stream tells the unit of the clock for its rate: "12800 a second".
            made["x264-params"] = "force-cfr=1"
        if info.hdr is not None and self.encoder in _HDR:
            option, words = _HDR[self.encoder]
            made[option] = ":".join([*filter(None, [made.get(option)]), *words(info.hdr)])
        return made


_AUDIO_CODECS = {
    "aac": ("aac", "aac"), "flac": ("flac", "flac"), "pcm": ("pcm_s24le", "pcm_s24le"),
}  # fmt: skip
"""FFmpeg's names of codec and encoder."""


def _is_deep(info: VideoInfo) -> bool:
    name = working_format(info.pixel_format, info.width, info.height)
    return FORMATS[name][2] > 8 or info.hdr is not None


def colour_options(color: ColorInfo) -> dict[str, str]:
    """Express the colour tags as options of an encoder, in FFmpeg's names and numbers."""
    tags = {
        "color_primaries": color.primaries,
        "color_trc": color.transfer,
        "colorspace": color.matrix,
    }
    # 2 is 'unspecified'; 0 is RGB for the matrix and reserved for the others.
    made = {name: str(tag) for name, tag in tags.items() if tag not in (0, 2)}
    return {**made, "color_range": "2" if color.full_range else "1"}


def _preset_number(settings: EncodeSettings, fastest: int, slowest: int) -> int:
    """Bring the preset to another encoder's scale of whole numbers."""
    share = PRESETS.index(settings.preset) / (len(PRESETS) - 1)
    return round(fastest + share * (slowest - fastest))


def _x264(s: EncodeSettings, threads: int) -> dict[str, str]:
    options = {"crf": str(s.quality), "preset": s.preset}
    return {**options, "threads": str(threads)} if threads else options


def _x265(s: EncodeSettings, threads: int) -> dict[str, str]:
    # Its default open GOPs would let the first frames of a segment refer to the segment before.
    params = "log-level=error:open-gop=0" + (f":pools={threads}" if threads else "")
    return {"crf": str(s.quality), "preset": s.preset, "x265-params": params}


def _quality_63(s: EncodeSettings) -> str:
    """Bring a quality from x264's scale, up to 51, to that of VP9 and AV1, up to 63."""
    return str(round(s.quality * 63 / 51))


def _av1(s: EncodeSettings, threads: int) -> dict[str, str]:
    options = {"crf": _quality_63(s), "preset": str(_preset_number(s, 12, 4))}
    return {**options, "svtav1-params": f"lp={threads}"} if threads else options


def _vp9(s: EncodeSettings, threads: int) -> dict[str, str]:
    options = {"crf": _quality_63(s), "b": "0", "row-mt": "1"}
    if s.preset in ("ultrafast", "superfast"):
        options.update({"deadline": "realtime", "cpu-used": "8"})
    else:
        options.update({"deadline": "good", "cpu-used": str(_preset_number(s, 6, 0))})
    return {**options, "threads": str(threads)} if threads else options


def _nvenc(s: EncodeSettings, threads: int) -> dict[str, str]:
    preset = f"p{_preset_number(s, 1, 7)}"
    return {"rc": "vbr", "cq": str(s.quality), "b": "0", "preset": preset, "forced-idr": "1"}


def _qsv(s: EncodeSettings, threads: int) -> dict[str, str]:
    return {"global_quality": str(max(1, s.quality)), "preset": s.preset}


def _videotoolbox(s: EncodeSettings, threads: int) -> dict[str, str]:
    # Its quality runs the other way, 1..100, and is given times FF_QP2LAMBDA = 118.
    return {"flags": "+qscale", "global_quality": str((100 - round(s.quality * 99 / 51)) * 118)}


def _amf(s: EncodeSettings, threads: int) -> dict[str, str]:
    return {"rc": "cqp", "qp_i": str(s.quality), "qp_p": str(s.quality), "qp_b": str(s.quality)}


_OPTIONS = {
    "x264": _x264,
    "x265": _x265,
    "av1": _av1,
    "vp9": _vp9,
    "h264_nvenc": _nvenc,
    "hevc_nvenc": _nvenc,
    "h264_qsv": _qsv,
    "h264_videotoolbox": _videotoolbox,
    "h264_amf": _amf,
}


def _hdr_of_x26x(screen: str, light: str) -> Callable[[HdrInfo], list[str]]:
    """Write static HDR metadata as x264 and x265 want them: xy in 0.00002, cd/m2 in 0.0001."""

    def words(hdr: HdrInfo) -> list[str]:
        made = []
        if hdr.primaries is not None and hdr.luminance is not None:
            # Written green, blue, red.
            r, g, b, w = (f"({round(x * 50000)},{round(y * 50000)})" for x, y in hdr.primaries)
            low, high = (round(v * 10000) for v in hdr.luminance)
            made.append(f"{screen}=G{g}B{b}R{r}WP{w}L({high},{low})")
        if hdr.light is not None:
            made.append(f"{light}={hdr.light[0]},{hdr.light[1]}")
        return made

    return words


def _hdr_of_svt_av1(hdr: HdrInfo) -> list[str]:
    made = []
    if hdr.primaries is not None and hdr.luminance is not None:
        r, g, b, w = (f"({float(x):.5f},{float(y):.5f})" for x, y in hdr.primaries)
        low, high = (f"{float(v):.4f}" for v in hdr.luminance)
        made.append(f"mastering-display=G{g}B{b}R{r}WP{w}L({high},{low})")
    if hdr.light is not None:
        made.append(f"content-light={hdr.light[0]},{hdr.light[1]}")
    return made


_HDR: dict[str, tuple[str, Callable[[HdrInfo], list[str]]]] = {
    "x264": ("x264-params", _hdr_of_x26x("mastering-display", "cll")),
    "x265": ("x265-params", _hdr_of_x26x("master-display", "max-cll")),
    "av1": ("svtav1-params", _hdr_of_svt_av1),
}
"""Encoders that store static HDR metadata: their option, and what is written into it."""


def native_format(encoder: Encoder, name: str) -> str:
    """Choose the pixel format to open the encoder with, for pictures in format `name`."""
    return _NATIVE.get(encoder.id, name)


_SILENCE = threading.Lock()


@contextmanager
def quietly() -> Iterator[None]:
    """Silence SVT-AV1 while an encoder is opened: it prints its settings unless told otherwise.

    One line is for errors (1); whoever has set the variable is obeyed.
    """
    if "SVT_LOG" in os.environ:
        yield
        return
    with _SILENCE:
        os.environ["SVT_LOG"] = "1"
        try:
            yield
        finally:
            os.environ.pop("SVT_LOG", None)


@lru_cache(maxsize=len(ENCODERS))
def encoder_works(name: str) -> bool:
    """Tell whether this machine can encode with it, by encoding one grey frame."""
    import av

    encoder = encoder_named(name)
    try:
        context: Any = av.CodecContext.create(encoder.codec, "w")
    except (av.error.FFmpegError, ValueError):
        return False
    context.width, context.height = 256, 256  # NVENC wants at least 145x49
    context.pix_fmt = native_format(encoder, "yuv420p")
    context.time_base = Fraction(1, 25)
    context.options = _OPTIONS[name](EncodeSettings(encoder=name), 1)
    frame = av.VideoFrame(256, 256, context.pix_fmt)
    for plane in frame.planes:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts = 0
    try:
        with quietly():
            packets = [*context.encode(frame), *context.encode(None)]
    except av.error.FFmpegError:
        return False
    return bool(packets)


@dataclass(frozen=True, kw_only=True)
class Container:
    """An output format.

    Attributes:
        name: FFmpeg's name of the muxer.
        video: codecs that it holds, FFmpeg's names.
        audio: likewise; a name that ends in ``*`` stands for all that begin so.
        encoder: audio encoder for what it cannot hold, and for new tracks.
        lossless: the same for tracks that came without loss; None where players expect none.
        subtitles: codecs of subtitles that it holds.
        exact_times: whether it keeps the video's time base; if not, times are rounded to 1 ms.
        tag_hevc: code under which HEVC plays on Apple's players.
    """

    name: str
    video: tuple[str, ...]
    audio: tuple[str, ...]
    encoder: str
    lossless: str | None = None
    subtitles: tuple[str, ...] = ()
    exact_times: bool = True
    tag_hevc: str | None = None

    def holds_audio(self, codec: str) -> bool:
        """Tell whether the container holds sound of this codec."""
        return any(
            codec.startswith(name[:-1]) if name.endswith("*") else codec == name
            for name in self.audio
        )


_MP4 = Container(
    name="mp4",
    video=("h264", "hevc", "av1", "vp9"),
    audio=("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    encoder="aac",
    subtitles=("mov_text",),
    tag_hevc="hvc1",
)

CONTAINERS = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": Container(
        name="mov",
        video=("h264", "hevc"),
        audio=("aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_f32le"),
        encoder="aac",
        lossless="pcm_s24le",
        subtitles=("mov_text",),
        tag_hevc="hvc1",
    ),
    ".mkv": Container(
        name="matroska",
        video=("h264", "hevc", "av1", "vp9"),
        audio=(
            "aac", "mp2", "mp3", "ac3", "eac3", "alac", "opus", "flac", "vorbis", "dts",
            "truehd", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8",
        ),
        encoder="aac",
        lossless="flac",
        subtitles=(
            "subrip", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "dvb_subtitle", "dvd_subtitle",
        ),
        exact_times=False,
    ),
    ".webm": Container(
        name="webm",
        video=("vp9", "av1"),
        audio=("opus", "vorbis"),
        encoder="libopus",
        subtitles=("webvtt",),
        exact_times=False,
    ),
}  # fmt: skip


def container_of(out: Path | str) -> Container:
    """Find the container that the suffix of a file name stands for.

    Raises:
        SettingsError: facepick does not write such files.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in CONTAINERS:
        raise SettingsError(
            f"{Path(out).name}: facepick does not write {suffix or 'files without a suffix'}.",
            hint="Name the result " + ", ".join(f"*{s}" for s in CONTAINERS) + ".",
        )
    return CONTAINERS[suffix]
