"""Writing video: independent segments, then one file with the sound and the original times.

A render is encoded segment by segment (`SegmentWriter`), so that it can be resumed, or spread
over machines.  Every segment starts with a key frame and refers to nothing before it.
`join_segments` then copies their packets into the result.  The times in the segment files do not
matter: the packet order says in which order frames are shown, and `join_segments` gives the
n-th shown frame the n-th time of the caller's table.

Decoding times.  With B-frames packets are stored in another order than they are shown.  Let
P[0] < P[1] < ... be the presentation times of all frames, and packet k (in decoding order) show
frame r(k).  With the delay D = max(k - r(k)), DTS(k) = P[k - D] is strictly rising and never after
the packet's own presentation time; the first D continue P downwards by its first step.
"""

from __future__ import annotations

import hashlib
import heapq
import logging
import os
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import RenderError, UserInputError
from facepick.media.audio import AudioBlock, decode_audio, fitted
from facepick.media.container import codec_name, open_media, stream_time_base
from facepick.media.encode import (
    Container,
    EncodeSettings,
    container_of,
    encoder_named,
    native_format,
)
from facepick.media.picture import Picture, recoded
from facepick.media.video import AudioInfo, VideoInfo
from facepick.progress import CancelToken, never

__all__ = ["AudioOut", "AudioTrack", "EncodeSettings", "SegmentWriter", "join_segments"]

log = logging.getLogger(__name__)

FloatSamples = npt.NDArray[np.float32]

# Bits per second and channel: AAC-LC at 96 kbit/s a channel is transparent for nearly all
# material (192 kbit/s stereo); Opus needs about two thirds of that.
_BIT_RATE_PER_CHANNEL = {"aac": 96_000, "libopus": 64_000}

# What a container says of itself and of the tool that wrote it; the rest (title, artist,
# comment, creation_time, location ...) belongs to the work and is kept.
_TECHNICAL_TAGS = frozenset(
    ("major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration")
)

# Tags that MP4 stores without being asked to; any other needs `use_metadata_tags`.
_MP4_TAGS = frozenset(
    (
        "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
        "copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id",
        "network", "keywords", "creation_time", "language",
    )
)  # fmt: skip


class SegmentWriter:
    """Encodes some consecutive frames into a file of their own.

    The file appears under its name only when it is whole; until then it is ``NAME.part``.
    As a context manager it closes at the end of the block, and aborts if the block raises.

    Args:
        path: the segment file; the format is NUT, whatever its suffix.
        info: of the source: time base, sample aspect ratio, colour tags, interlacing.
        encode: encoder, quality, preset.  An encoder that depends on the output file must have
            been chosen by `EncodeSettings.for_output`.
        threads: encoder threads; 0 lets the encoder choose.

    Attributes:
        frames: how many were written.

    Raises:
        RenderError: the encoder does not work here, or the disk is full.
        SettingsError: the encoder cannot keep an odd size.
    """

    def __init__(
        self,
        path: Path,
        *,
        info: VideoInfo,
        encode: EncodeSettings | None = None,
        threads: int = 0,
    ) -> None:
        self.path = path
        self.frames = 0
        self._part = path.with_name(path.name + ".part")
        self._info = info
        self._settings = encode or EncodeSettings()
        self._threads = threads
        self._container: Any = None
        self._stream: Any = None
        self._format = ""
        self._last_pts: int | None = None

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _open(self, picture: Picture) -> None:
        import av

        settings, info = self._settings, self._info
        encoder = encoder_named(settings.encoder)
        self._format = encoder.format_for(picture.format, picture.width, picture.height)
        if picture.interlaced and settings.encoder != "x264":
            log.warning("%s cannot mark frames as interlaced; x264 can", settings.encoder)
        rate = info.average_rate or Fraction(25)
        try:
            self._container = av.open(str(self._part), "w", format="nut")
            stream: Any = self._container.add_stream(encoder.codec, rate=rate)
            stream.width, stream.height = picture.width, picture.height
            stream.pix_fmt = native_format(encoder, self._format)
            context = stream.codec_context
            context.time_base = info.time_base
            context.sample_aspect_ratio = info.sample_aspect_ratio
            stream.options = settings.options(info, self._threads)
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            self.abort()
            raise RenderError(
                f"The encoder {settings.encoder} does not work here ({_reason(error)}).",
                hint="Choose another encoder, such as x264.",
            ) from error
        self._stream = stream

    def write(self, picture: Picture, pts: int) -> None:
        """Encode one frame; the picture must not be changed afterwards.

        Args:
            picture: of the same size and format as the first.
            pts: its time in units of the source's time base, after that of the frame before.

        Raises:
            RenderError: encoding or writing failed.
        """
        import av

        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"pts must rise, got {pts} after {self._last_pts}")
        if self._stream is None:
            self._open(picture)
        if (picture.width, picture.height) != (self._stream.width, self._stream.height):
            raise ValueError(
                f"every picture must be {self._stream.width}x{self._stream.height}, "
                f"got {picture.width}x{picture.height}"
            )
        frame = recoded(picture, self._format)
        frame.pts = pts
        frame.time_base = self._info.time_base
        # The decoder left the type of the source's frame here, which an encoder takes as an
        # order.
        frame.pict_type = 0
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise RenderError(
                f"Encoding failed at frame {self.frames} of a segment ({_reason(error)}).",
                hint="Check that there is space left on the disk.",
            ) from error
        self._last_pts = pts
        self.frames += 1

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            RenderError: no frame was written, or writing failed.
        """
        import av

        if self._stream is None:
            raise RenderError(f"The segment {self.path.name} has no frames.")
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise RenderError(
                f"The segment {self.path.name} could not be finished ({_reason(error)}).",
                hint="Check that there is space left on the disk.",
            ) from error
        self._container = None
        _publish(self._part, self.path)

    def abort(self) -> None:
        """Drop what was written; does nothing after `close`."""
        import av

        if self._container is not None:
            container, self._container = self._container, None
            try:
                container.close()
            except (av.error.FFmpegError, OSError) as error:
                log.debug("closing %s: %s", self._part, error)
        self._part.unlink(missing_ok=True)


# A muxer that works writes several times a second: a part left alone for this long is what a
# killed process left behind.
_STALE_SECONDS = 600


def _temporary(out: Path) -> Path:
    """A hidden name beside `out`; what earlier runs left under such names is removed."""
    # By hash: the name itself may already be as long as the file system allows.
    stem = f".facepick-{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:12]}"
    for old in out.parent.glob(f"{stem}-*.part"):
        # Another process may tidy up at the same moment.
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                old.unlink()
    return out.with_name(f"{stem}-{uuid.uuid4().hex[:8]}.part")


def _reason(error: Exception) -> str:
    """The words of an error without the call that failed."""
    return str(getattr(error, "strerror", None) or error)


def _publish(part: Path, path: Path) -> None:
    """Give a finished file its name, so that a crash leaves all of it or nothing."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


@dataclass(frozen=True, eq=False, kw_only=True)
class AudioTrack:
    """A new audio track.

    Attributes:
        samples: (n,) or (n, channels) float32 in [-1, 1], or a file with an audio stream.
        rate: samples per second of an array; for a file the rate to encode at.  Rates that
            the encoder does not know are resampled.
        start: seconds on the source's clock of the first sample; None is the start of the
            result.
        language: ISO 639-2 code, or None.
        title: shown in the players' menus, or None.
    """

    samples: FloatSamples | Path
    rate: int = 48000
    start: Fraction | None = None
    language: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.samples, np.ndarray):
            if self.samples.ndim not in (1, 2) or self.samples.dtype != np.float32:
                raise ValueError(
                    "samples must be float32 (n,) or (n, channels), "
                    f"got {self.samples.dtype} {self.samples.shape}"
                )
            if self.samples.ndim == 2 and self.samples.shape[1] not in (1, 2, 6, 8):
                raise ValueError(f"1, 2, 6 or 8 channels, got {self.samples.shape[1]}")
        if self.rate <= 0:
            raise ValueError(f"rate must be positive, got {self.rate}")

    def __repr__(self) -> str:
        what = self.samples if isinstance(self.samples, Path) else self.samples.shape
        return f"AudioTrack({what} at {self.rate} Hz)"


@dataclass(frozen=True, eq=False, kw_only=True)
class AudioOut:
    """The sound of a result.

    Made by `none`, `keep`, `replace` or `dub`.

    Attributes:
        source: file whose streams are copied packet by packet, or None.
        streams: their indices in file order.
        tracks: new tracks; they come first, and the first of them is the default.
    """

    source: Path | None = None
    streams: tuple[AudioInfo, ...] = ()
    tracks: tuple[AudioTrack, ...] = field(default=())

    @classmethod
    def none(cls) -> AudioOut:
        """A silent result."""
        return cls()

    @classmethod
    def keep(cls, info: VideoInfo) -> AudioOut:
        """All audio streams of the source, as they are."""
        return cls(source=info.path, streams=info.audio)

    @classmethod
    def replace(cls, *tracks: AudioTrack) -> AudioOut:
        """New tracks instead of the source's."""
        return cls(tracks=tracks)

    @classmethod
    def dub(cls, info: VideoInfo, track: AudioTrack, *, keep_original: bool = False) -> AudioOut:
        """A new default track; the source's other streams follow.

        Args:
            info: the source.
            track: takes the place of the default stream.
            keep_original: whether the old default stream is kept too, after the new one.
        """
        default = next((a for a in info.audio if a.is_default), None) or next(
            iter(info.audio), None
        )
        others = tuple(a for a in info.audio if keep_original or a is not default)
        return cls(source=info.path if others else None, streams=others, tracks=(track,))


@dataclass(frozen=True)
class _Segment:
    """What the packets of one segment say: `shown[k]` is the rank of packet k within it."""

    path: Path
    shown: npt.NDArray[np.int64]
    extradata: bytes


def _read_segment(path: Path) -> _Segment:
    with open_media(path) as container:
        stream = container.streams.video[0]
        times = [p.pts for p in container.demux(stream) if p.size]
        extradata = stream.codec_context.extradata
        if not times or any(t is None for t in times):
            raise RenderError(f"The segment {path.name} is damaged.", hint="Start the job again.")
        ranks = np.empty(len(times), np.int64)
        ranks[np.argsort(np.asarray(times, np.int64), kind="stable")] = np.arange(len(times))
        return _Segment(path, ranks, bytes(extradata or b""))


def join_segments(
    segments: Sequence[Path],
    *,
    out: Path,
    info: VideoInfo,
    pts: Sequence[int],
    duration_pts: int,
    audio: AudioOut | None = None,
    metadata: Mapping[str, str] | None = None,
    origin: Fraction | None = None,
    stop: Fraction | None = None,
    cancel: CancelToken = never,
) -> None:
    """Put segments and sound into one file, which appears whole or not at all.

    Args:
        segments: files of `SegmentWriter` in order, all with the same encoder settings.
        out: the result; its suffix says which container.
        info: of the source: time base and tags.
        pts: time of every frame of all segments, in order, in units of ``info.time_base``.
            MP4 and MOV keep them exactly; Matroska and WebM round to 1 ms.
        duration_pts: how long the last frame is shown, in the same units.
        audio: the sound; None keeps the source's streams.
        metadata: added to the source's title, artist and so on; an empty text removes one.
        origin: the moment of the source's clock that becomes 0.  By default the container's
            start, so that a file whose clock starts at 0 keeps its times, and one cut from a
            broadcast starts at 0.
        stop: where kept streams end, on the source's clock; None keeps them whole.  Give it
            with `origin` when the frames are a part of the source.
        cancel: looked at for every packet.

    Raises:
        RenderError: the frames are not as many as the times, the container cannot hold the
            codec, or writing failed.  Nothing is left at `out` but what was there before.
        UserInputError: `out` is the source itself.
    """
    import av

    out = Path(os.path.abspath(out))
    _refuse_source(out, info.path)
    target = container_of(out)
    audio = AudioOut.keep(info) if audio is None else audio
    parts = [_read_segment(path) for path in segments]
    _check_segments(parts, pts)
    clock = _Clock(info, pts, duration_pts, origin)
    part = _temporary(out)
    try:
        with ExitStack() as stack:
            made: Any = stack.enter_context(
                av.open(
                    str(part),
                    "w",
                    format=target.name,
                    options=_muxer_options(target, info, metadata or {}),
                )
            )
            made.metadata.update(_tags(info.path, metadata or {}))
            video = _VideoCopy(made, target, parts, clock, stack)
            sounds = _sounds(made, target, info, audio, clock, stop, cancel)
            # Interleaved by time, so that the muxer has to hold back little.
            for _, _, stream_packets in heapq.merge(
                _keyed(0, video.packets()),
                *(_keyed(n, sound) for n, sound in enumerate(sounds, start=1)),
                key=lambda item: item[:2],
            ):
                cancel.raise_if_cancelled()
                made.mux(stream_packets)
        _warn_of_aspect(out, target, info, video.codec)
        _publish(part, out)
    except (av.error.FFmpegError, OSError) as error:
        raise RenderError(
            f"{out.name} could not be written ({_reason(error)}).",
            hint="Check that the folder may be written to and has space left.",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _keyed(
    order: int, packets: Iterator[tuple[Fraction, Any]]
) -> Iterator[tuple[Fraction, int, Any]]:
    for moment, packet in packets:
        yield moment, order, packet


def _warn_of_aspect(out: Path, target: Container, info: VideoInfo, codec: str) -> None:
    """VP9 and AV1 leave it to the container how wide a pixel is, and PyAV cannot write it there."""
    aspect = info.sample_aspect_ratio
    if not target.exact_times and aspect != 1 and codec in ("vp9", "av1"):
        log.warning(
            "%s: the sample aspect ratio %s is lost in %s; .mp4 keeps it", out.name, aspect, codec
        )


def _refuse_source(out: Path, source: Path) -> None:
    same = out == source or (out.exists() and source.exists() and os.path.samefile(out, source))
    if same:
        raise UserInputError(
            f"{out.name} is the video itself; the result would overwrite it.",
            hint="Give the result another name.",
        )


def _check_segments(parts: Sequence[_Segment], pts: Sequence[int]) -> None:
    if not parts:
        raise RenderError("There is nothing to join.")
    frames = sum(len(part.shown) for part in parts)
    if frames != len(pts):
        raise RenderError(
            f"The segments hold {frames} frames where {len(pts)} were planned.",
            hint="Start the job again.",
        )
    for part in parts:
        if part.extradata != parts[0].extradata:
            raise RenderError(
                f"{part.path.name} was encoded with other settings than the first segment.",
                hint="Start the job again instead of resuming it.",
            )


class _Clock:
    """Times of the result: the source's, less the origin."""

    def __init__(
        self, info: VideoInfo, pts: Sequence[int], duration_pts: int, origin: Fraction | None
    ) -> None:
        self.time_base = info.time_base
        if origin is None:
            starts = [info.start_seconds, *(a.start_seconds for a in info.audio)]
            origin = max(Fraction(0), min(starts))
        # In whole units of the video's clock, so that its times stay exact; the sound is
        # shifted by exactly as much.
        shift = round(origin / self.time_base)
        self.origin = shift * self.time_base
        self.pts = np.asarray(pts, np.int64) - shift
        if len(self.pts) > 1 and (np.diff(self.pts) <= 0).any():
            raise ValueError("pts must rise strictly")
        self.durations = np.diff(self.pts, append=self.pts[-1] + max(1, duration_pts))


def _muxer_options(
    target: Container, info: VideoInfo, metadata: Mapping[str, str]
) -> dict[str, str]:
    if not target.exact_times:
        return {}
    # The index goes first, so that a browser can play while it loads.
    flags = "+faststart"
    if any(key.lower() not in _MP4_TAGS for key in metadata):
        flags += "+use_metadata_tags"
    options = {"movflags": flags}
    # A late start of a stream is written in units of the movie's time scale, by default 1 ms.
    scale = info.time_base.denominator
    if 1000 < scale <= 1_000_000:
        options["movie_timescale"] = str(scale)
    return options


def _tags(source: Path, added: Mapping[str, str]) -> dict[str, str]:
    with open_media(source) as container:
        kept = {
            key: value
            for key, value in container.metadata.items()
            if key.lower() not in _TECHNICAL_TAGS
        }
    kept.update(added)
    return {key: value for key, value in kept.items() if value}


class _VideoCopy:
    """The packets of all segments with their final times."""

    def __init__(
        self,
        made: Any,
        target: Container,
        parts: Sequence[_Segment],
        clock: _Clock,
        stack: ExitStack,
    ) -> None:
        self._parts = parts
        self._clock = clock
        first = stack.enter_context(open_media(parts[0].path))
        template = first.streams.video[0]
        codec = self.codec = codec_name(template)
        if codec not in target.video:
            raise RenderError(
                f"A {target.name} file cannot hold {codec} video.",
                hint="Choose another encoder, or a result that ends in .mkv.",
            )
        self.stream = _copy_of(made, template)
        with warnings.catch_warnings():
            # PyAV 12 warns of its own doing: it passes the value on to the codec context.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.stream.time_base = clock.time_base
        if codec == "hevc" and target.tag_hevc:
            self.stream.codec_context.codec_tag = target.tag_hevc
        self._delay = max(int((np.arange(len(p.shown)) - p.shown).max()) for p in parts)

    def _dts(self, k: int) -> int:
        pts = self._clock.pts
        n = k - self._delay
        if n >= 0:
            return int(pts[n])
        step = int(pts[1] - pts[0]) if len(pts) > 1 else int(self._clock.durations[0])
        return int(pts[0]) + n * step

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        clock, offset = self._clock, 0
        for part in self._parts:
            with open_media(part.path) as container:
                stream = container.streams.video[0]
                sized = (p for p in container.demux(stream) if p.size)
                for k, packet in enumerate(sized):
                    shown = offset + int(part.shown[k])
                    packet.stream = self.stream
                    packet.time_base = clock.time_base
                    packet.pts = int(clock.pts[shown])
                    packet.dts = self._dts(offset + k)
                    packet.duration = int(clock.durations[shown])
                    yield packet.dts * clock.time_base, packet
            offset += len(part.shown)


def _copy_of(made: Any, template: Any) -> Any:
    """A stream of the output for packets of another, under every PyAV from 12 on."""
    if not hasattr(made, "add_stream_from_template"):
        return made.add_stream(template=template)
    try:
        # By the decoder's codec: there need not be an encoder of the same name (AV1).
        return made.add_stream_from_template(template, opaque=True)
    except TypeError:
        return made.add_stream_from_template(template)


def _sounds(
    made: Any,
    target: Container,
    info: VideoInfo,
    audio: AudioOut,
    clock: _Clock,
    stop: Fraction | None,
    cancel: CancelToken,
) -> list[Iterator[tuple[Fraction, Any]]]:
    """One iterator of packets for each part of the sound; streams are made in their final order."""
    sounds = []
    first = True
    for track in audio.tracks:
        made_track = _NewTrack(made, target, track, clock, stop, cancel, default=first)
        sounds.append(made_track.packets())
        first = False
    for stream in audio.streams:
        assert audio.source is not None
        if not stream.sample_rate or not stream.channels:
            log.warning("audio stream %d is left out: its codec is unknown", stream.index)
            continue
        if target.holds_audio(stream.codec):
            copy = _AudioCopy(made, audio.source, stream, clock, stop, cancel)
            _mark_default(copy.stream, first if audio.tracks else stream.is_default)
            sounds.append(copy.packets())
        else:
            log.info("%s audio is re-encoded: %s cannot hold it", stream.codec, target.name)
            track = AudioTrack(
                samples=audio.source, rate=stream.sample_rate, language=stream.language
            )
            made_track = _NewTrack(
                made,
                target,
                track,
                clock,
                stop,
                cancel,
                default=first if audio.tracks else stream.is_default,
                stream=stream,
            )
            sounds.append(made_track.packets())
        first = False
    return sounds


def _mark_default(stream: Any, default: bool) -> None:
    """Whether players take this track unasked.  PyAV before 14 cannot say; the first is taken."""
    if hasattr(stream, "disposition"):
        stream.disposition = int(default)


class _AudioCopy:
    """Packets of one stream of the source, shifted to the result's clock."""

    # A lossy frame overlaps with the one before it: decoding that starts cold at a frame gives
    # it right only if the frame before was fed too (AAC: one of 1024 samples; Opus converges
    # within 80 ms = four frames of 20 ms, RFC 7845 section 4.2).
    _PREROLL_SECONDS = Fraction(80, 1000)

    def __init__(
        self,
        made: Any,
        source: Path,
        stream: AudioInfo,
        clock: _Clock,
        stop: Fraction | None,
        cancel: CancelToken,
    ) -> None:
        self._source = source
        self._index = stream.index
        self._start = stream.start_seconds
        self._clock = clock
        self._stop = stop
        self._cancel = cancel
        with open_media(source) as container:
            template = container.streams[stream.index]
            self.stream = _copy_of(made, template)
            if stream.language:
                self.stream.metadata["language"] = stream.language
            title = template.metadata.get("title")
            if title:
                self.stream.metadata["title"] = title

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        with open_media(self._source) as container:
            stream: Any = container.streams[self._index]
            time_base = stream_time_base(stream)
            rate = stream.codec_context.sample_rate
            samples = stream.codec_context.frame_size or 0
            base = Fraction(1, rate)
            expected: int | None = None
            for packet in container.demux(stream):
                self._cancel.raise_if_cancelled()
                if not packet.size:
                    continue
                start = self._time(packet, time_base, expected, base)
                length = round((packet.duration or 0) * time_base / base) or samples
                # Containers that round times (Matroska: 1 ms) would make the sound stutter in
                # one that counts samples: where a time is as near to the sample count as the
                # rounding, the count is taken.
                slack = int(time_base / base) + 1
                if samples and abs(length - samples) <= slack:
                    length = samples
                at = round((start - self._clock.origin) / base)
                # Sound that goes back in time (overlaps, a clock that begins anew) can be stored
                # in no container: it follows what came before.
                if expected is not None and at <= expected + slack:
                    at = expected
                expected = at + length
                if expected * base <= -self._PREROLL_SECONDS:
                    continue
                if self._stop is not None and start >= self._stop:
                    return
                packet.stream = self.stream
                packet.time_base = base
                packet.pts = packet.dts = at
                packet.duration = length
                yield at * base, packet

    def _time(
        self, packet: Any, time_base: Fraction, expected: int | None, base: Fraction
    ) -> Fraction:
        """The packet's time on the source's clock; without one it follows the one before."""
        units = packet.pts if packet.pts is not None else packet.dts
        if units is not None:
            return Fraction(units * time_base)
        if expected is not None:
            return self._clock.origin + expected * base
        return self._start


class _NewTrack:
    """Samples, encoded for the container."""

    def __init__(
        self,
        made: Any,
        target: Container,
        track: AudioTrack,
        clock: _Clock,
        stop: Fraction | None,
        cancel: CancelToken,
        *,
        default: bool,
        stream: AudioInfo | None = None,
    ) -> None:
        self._track = track
        self._clock = clock
        self._stop = stop
        self._cancel = cancel
        self._source_stream = stream
        self._rate = _supported_rate(target.encoder, track.rate)
        if stream is not None:
            channels = stream.channels
        elif isinstance(track.samples, np.ndarray):
            channels = 1 if track.samples.ndim == 1 else track.samples.shape[1]
        else:
            channels = 2
        self._channels = channels if channels in _LAYOUTS else 2
        self.stream = made.add_stream(target.encoder, rate=self._rate)
        self.stream.codec_context.layout = _LAYOUTS[self._channels]
        self.stream.bit_rate = _BIT_RATE_PER_CHANNEL[target.encoder] * max(2, self._channels)
        if track.language:
            self.stream.metadata["language"] = track.language
        if track.title:
            self.stream.metadata["title"] = track.title
        _mark_default(self.stream, default)

    def _blocks(self) -> Iterator[AudioBlock]:
        track, clock = self._track, self._clock
        if isinstance(track.samples, np.ndarray):
            start = clock.origin if track.start is None else track.start
            samples = track.samples.reshape(len(track.samples), -1)
            for at in range(0, len(samples), track.rate):
                block = samples[at : at + track.rate]
                yield AudioBlock(start + Fraction(at, track.rate), block)
            return
        index = None if self._source_stream is None else self._source_stream.index
        blocks = decode_audio(
            track.samples,
            rate=self._track.rate,
            channels=self._channels,
            stream=index,
            cancel=self._cancel,
        )
        if self._source_stream is not None:
            yield from blocks
            return
        # A file of its own has a clock of its own.
        start = clock.origin if track.start is None else track.start
        first: Fraction | None = None
        for item in blocks:
            first = item.start if first is None else first
            yield AudioBlock(item.start - first + start, item.samples)

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        import av

        base = Fraction(1, self._track.rate)
        position = 0
        for samples in fitted(
            self._blocks(), rate=self._track.rate, start=self._clock.origin, stop=self._stop
        ):
            self._cancel.raise_if_cancelled()
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples.reshape(1, -1)),
                format="flt",
                layout=_LAYOUTS[self._channels],
            )
            frame.sample_rate = self._track.rate
            frame.pts = position
            frame.time_base = base
            position += len(samples)
            yield from self._timed(self.stream.encode(frame))
        yield from self._timed(self.stream.encode(None))

    def _timed(self, packets: list[Any]) -> Iterator[tuple[Fraction, Any]]:
        for packet in packets:
            yield packet.pts * Fraction(packet.time_base), packet


_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


def _supported_rate(encoder: str, rate: int) -> int:
    """The rate itself if the encoder knows it, else the next higher one, else the highest."""
    import av

    known = sorted(av.codec.Codec(encoder, "w").audio_rates or [rate])
    return next((r for r in known if r >= rate), known[-1])
