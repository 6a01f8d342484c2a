"""Facts of a media file, known before a frame is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

__all__ = ["AudioInfo", "ColorInfo", "HdrInfo", "VideoInfo", "info_from_json", "info_to_json"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """One audio stream.

    Attributes:
        index: position among the file's streams, as ffmpeg counts them.
        codec: ffmpeg's name of the codec.
        sample_rate: in Hz.
        channels: 1 mono, 2 stereo, 6 for 5.1.
        layout: ffmpeg's name of the channel layout.
        start_seconds: time of the first sample on the container's clock.
        duration_seconds: or None when the file does not say.
        language: ISO 639-2 code, or None.
        is_default: the stream a player plays unasked.
    """

    index: int
    codec: str
    sample_rate: int
    channels: int
    layout: str = ""
    start_seconds: Fraction = Fraction(0)
    duration_seconds: Fraction | None = None
    language: str | None = None
    is_default: bool = False


@dataclass(frozen=True, kw_only=True)
class ColorInfo:
    """Colour tags of the video stream, as the integers of ITU-T H.273 (2 = unspecified)."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False

    @property
    def is_hdr(self) -> bool:
        """PQ (16) or HLG (18) transfer."""
        return self.transfer in (16, 18)


@dataclass(frozen=True, kw_only=True)
class HdrInfo:
    """The screen on which an HDR video was graded (SMPTE ST 2086, CTA-861.3).

    Attributes:
        primaries: CIE xy of red, green, blue and white, or None.
        luminance: darkest and brightest cd/m2 of that screen, or None.
        light: brightest pixel and brightest frame average in cd/m2, or None.
    """

    primaries: tuple[tuple[Fraction, Fraction], ...] | None = None
    luminance: tuple[Fraction, Fraction] | None = None
    light: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """One video file.

    Attributes:
        path: where it lies.
        width, height: of a frame in display orientation (after `rotation`), in pixels; the
            sample aspect ratio is not applied.
        mirrored: whether stored frames are mirrored left to right before they are turned.
        rotation: clockwise quarter turns x 90 that turn stored frames upright: 0, 90, 180, 270.
        sample_aspect_ratio: of a frame in display orientation; 1 for square pixels.
        pixel_format: ffmpeg's name.
        codec: ffmpeg's name.
        time_base: seconds per pts unit of the video stream.
        declared_frames: what the container says, or None; only a scan knows the true count.
        average_rate: frames per second as the container says, or None.  Never used for timing.
        start_seconds: time of the first frame on the container's clock.
        duration_seconds: of the video stream, or None when the file does not say.
        color: colour tags.
        hdr: static HDR metadata, or None.
        left_out: what a copy of this video will not have, a short phrase each ("transparency").
        interlaced: whether the first frame is.
        container: ffmpeg's name of the format.
        audio: the audio streams in file order.
        size_bytes: of the file.
    """

    path: Path
    width: int
    height: int
    mirrored: bool = False
    rotation: int = 0
    sample_aspect_ratio: Fraction = Fraction(1)
    pixel_format: str
    codec: str
    time_base: Fraction
    declared_frames: int | None = None
    average_rate: Fraction | None = None
    start_seconds: Fraction = Fraction(0)
    duration_seconds: Fraction | None = None
    color: ColorInfo = field(default_factory=ColorInfo)
    hdr: HdrInfo | None = None
    left_out: tuple[str, ...] = ()
    interlaced: bool = False
    container: str = ""
    audio: tuple[AudioInfo, ...] = ()
    size_bytes: int = 0

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a video has a positive size, got {self.width}x{self.height}")
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation must be 0, 90, 180 or 270, got {self.rotation}")
        if self.time_base <= 0:
            raise ValueError(f"time_base must be positive, got {self.time_base}")


def info_to_json(value: Any) -> Any:
    """Convert a `VideoInfo` (or a part of one) to plain JSON: fractions as ``"1/25"``."""
    if is_dataclass(value):
        return {f.name: info_to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [info_to_json(item) for item in value]
    return str(value) if isinstance(value, Fraction | Path) else value


def info_from_json(kind: type[T], data: Any) -> T:
    """Check and read what `info_to_json` gave: a file may have taken over the process it is from.

    Raises:
        ValueError: it is none.
    """
    try:
        found: T = _read(kind, data)
    except (TypeError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"not the facts of a video: {error}") from error
    return found


def _read(kind: Any, data: Any) -> Any:
    if is_dataclass(kind):
        if not isinstance(data, Mapping):
            raise TypeError("an object is expected")
        hints = get_type_hints(kind)
        return kind(**{f.name: _read(hints[f.name], data[f.name]) for f in fields(kind)})  # type: ignore[operator]
    if get_origin(kind) is UnionType:
        if data is None and type(None) in get_args(kind):
            return None
        [kind] = (option for option in get_args(kind) if option is not type(None))
        return _read(kind, data)
    if get_origin(kind) is tuple:
        items = get_args(kind)
        kinds = items[:1] * len(data) if items[-1] is Ellipsis else items
        return tuple(_read(k, item) for k, item in zip(kinds, data, strict=True))
    if kind in (Fraction, Path):
        if not isinstance(data, str):
            raise TypeError("a text is expected")
        return kind(data)
    if type(data) is not kind:
        raise TypeError(f"{data!r:.40} is no {kind.__name__}")
    return data
