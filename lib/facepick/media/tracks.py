"""The packets that go beside the picture: sound and subtitles, copied or made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.media.audio import AudioBlock, decode_audio, fitted
from facepick.media.container import codec_name, disposition_of, open_media, stream_time_base
from facepick.media.encode import Container
from facepick.media.splices import continuous
from facepick.media.video import AudioInfo, VideoInfo
from facepick.progress import CancelToken

__all__ = ["AudioOut", "AudioTrack", "OutputClock", "copy_of", "sounds", "subtitles"]

log = logging.getLogger(__name__)

FloatSamples = npt.NDArray[np.float32]


SamplePieces = Callable[[], Iterator[FloatSamples]]
"""Gives a track piece by piece, each (n, channels) float32."""

# Bits per second and channel: AAC-LC at 96 kbit/s a channel is transparent for nearly all
# material (192 kbit/s stereo); Opus needs about two thirds of that.
_BIT_RATE_PER_CHANNEL = {"aac": 96_000, "libopus": 64_000}

# Encoders that keep every sample, which are given whole numbers of 24 bits.
_LOSSLESS = ("flac", "alac", "pcm_s24le")

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True, eq=False, kw_only=True)
class AudioTrack:
    """A new audio track.

    Attributes:
        samples: (n,) or (n, channels) float32 in [-1, 1], a file with an audio stream, or what
            gives such arrays piece by piece.
        rate: samples per second of an array; for a file the rate to encode at.  Rates that
            the encoder does not know are resampled.
        channels: 1, 2, 6 or 8; of an array it follows from its shape.
        encoder: FFmpeg's name; None takes the container's own.
        start: seconds on the source's clock of the first sample; None is the start of the
            result.
        language: ISO 639-2 code, or None.
        title: shown in the players' menus, or None.
    """

    samples: FloatSamples | Path | SamplePieces
    rate: int = 48000
    channels: int = 2
    encoder: str | None = None
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
            wide = 1 if self.samples.ndim == 1 else self.samples.shape[1]
            object.__setattr__(self, "channels", wide)
        if self.channels not in _LAYOUTS:
            raise ValueError(f"1, 2, 6 or 8 channels, got {self.channels}")
        if self.rate <= 0:
            raise ValueError(f"rate must be positive, got {self.rate}")

    def __repr__(self) -> str:
        what = self.samples.shape if isinstance(self.samples, np.ndarray) else self.samples
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
        """Make a silent result."""
        return cls()

    @classmethod
    def keep(cls, info: VideoInfo) -> AudioOut:
        """Keep all audio streams of the source as they are."""
        return cls(source=info.path, streams=info.audio)

    @classmethod
    def replace(cls, *tracks: AudioTrack) -> AudioOut:
        """Take new tracks instead of the source's."""
        return cls(tracks=tracks)

    @classmethod
    def dub(cls, info: VideoInfo, track: AudioTrack, *, keep_original: bool = False) -> AudioOut:
        """Add a new default track; the source's other streams follow.

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


class OutputClock:
    """Clock of the result: the source's times, less the origin.

    Attributes:
        stretch: how many times slower than in the source everything is shown that goes with the
            picture, from the origin on.
    """

    def __init__(
        self,
        info: VideoInfo,
        pts: Sequence[int],
        duration_pts: int,
        origin: Fraction | None,
        stretch: Fraction = Fraction(1),
    ) -> None:
        self.time_base, self.stretch = info.time_base, stretch
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


def copy_of(made: Any, template: Any) -> Any:
    """Make a stream of the output for packets of another, under every PyAV from 12 on."""
    if not hasattr(made, "add_stream_from_template"):
        return made.add_stream(template=template)
    try:
        # By the decoder's codec: there need not be an encoder of the same name (AV1).
        return made.add_stream_from_template(template, opaque=True)
    except TypeError:
        return made.add_stream_from_template(template)


def sounds(
    made: Any,
    target: Container,
    info: VideoInfo,
    audio: AudioOut,
    clock: OutputClock,
    stop: Fraction | None,
    cancel: CancelToken,
) -> list[Iterator[tuple[Fraction, Any]]]:
    """Make one iterator of packets for each part of the sound; streams get their final order."""
    made_of: list[Iterator[tuple[Fraction, Any]]] = []
    first = True
    for track in audio.tracks:
        made_track = _NewTrack(made, target, track, clock, stop, cancel, default=first)
        made_of.append(made_track.packets())
        first = False
    for stream in audio.streams:
        assert audio.source is not None
        if not stream.sample_rate or not stream.channels:
            log.warning("audio stream %d is left out: its codec is unknown", stream.index)
            continue
        if target.holds_audio(stream.codec):
            copy = _AudioCopy(made, audio.source, stream, clock, stop, cancel)
            _mark_default(copy.stream, first if audio.tracks else stream.is_default)
            made_of.append(copy.packets())
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
            made_of.append(made_track.packets())
        first = False
    return made_of


def subtitles(
    made: Any,
    target: Container,
    source: Path,
    clock: OutputClock,
    stop: Fraction | None,
    cancel: CancelToken,
) -> tuple[list[Iterator[tuple[Fraction, Any]]], list[str]]:
    """Make iterators of packets, one for each subtitle track that can be copied, and list the
    rest."""
    kept: list[Iterator[tuple[Fraction, Any]]] = []
    lost = []
    with open_media(source) as container:
        found = [
            (s.index, codec_name(s), s.metadata.get("language") or "no language")
            for s in container.streams
            if s.type == "subtitle"
        ]
    for index, codec, language in found:
        # PyAV before 15 knows no streams of subtitles to write to.
        if codec in target.subtitles and hasattr(made, "add_stream_from_template"):
            kept.append(_SubtitleCopy(made, source, index, clock, stop, cancel).packets())
        else:
            lost.append(f"subtitle track {index} ({codec}, {language})")
    return kept, lost


class _SubtitleCopy:
    """Packets of one subtitle stream of the source, shifted to the result's clock."""

    def __init__(
        self,
        made: Any,
        source: Path,
        index: int,
        clock: OutputClock,
        stop: Fraction | None,
        cancel: CancelToken,
    ) -> None:
        self._source, self._index, self._clock = source, index, clock
        self._stop, self._cancel = stop, cancel
        with open_media(source) as container:
            template = container.streams[index]
            self.stream = made.add_stream_from_template(template)
            for key in ("language", "title"):
                if template.metadata.get(key):
                    self.stream.metadata[key] = template.metadata[key]
            # Shown unasked, or only where something foreign is spoken, as before.
            self.stream.disposition = disposition_of(template) or 0

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        origin, stretch = self._clock.origin, self._clock.stretch
        last: int | None = None
        with open_media(self._source) as container:
            stream: Any = container.streams[self._index]
            base = stream_time_base(stream)
            shift = round(origin / base)
            for packet in continuous(container, stream, self._source):
                self._cancel.raise_if_cancelled()
                if not packet.size or packet.pts is None:
                    continue
                if self._stop is not None and packet.pts * base >= self._stop:
                    return
                at = round((packet.pts - shift) * stretch)
                length = round((packet.duration or 0) * stretch)
                if at < 0:
                    # Begun before the part that is written: shown for the rest of its time.
                    at, length = 0, length + at
                    if length <= 0:
                        continue
                # No container holds two packets of one track in the wrong order.
                at = at if last is None else max(at, last + 1)
                last = at
                packet.stream = self.stream
                packet.time_base = base
                packet.pts = packet.dts = at
                packet.duration = length
                yield at * base, packet


def _mark_default(stream: Any, default: bool) -> None:
    """Set whether players take this track unasked. PyAV before 14 cannot; the first is taken."""
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
        clock: OutputClock,
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
            self.stream = copy_of(made, template)
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
            last: int | None = None
            for packet in continuous(container, stream, self._source):
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
                # Sound that goes back in time (a clock that begins anew) can be stored in no
                # container: it follows what came before.  Where durations are not told (FLAC in
                # AVI), the times are all there is.
                if expected is not None and last is not None:
                    if at <= last:
                        at = max(expected, last + 1)
                    elif expected > last and at <= expected + slack:
                        at = expected
                last, expected = at, at + length
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
        """Read the packet's time on the source's clock; without one it follows the one before."""
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
        clock: OutputClock,
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
        encoder = track.encoder or target.encoder
        self._rate = _supported_rate(encoder, track.rate)
        channels = track.channels if stream is None else stream.channels
        self._channels = channels if channels in _LAYOUTS else 2
        self._exact = encoder in _LOSSLESS
        self.stream = made.add_stream(encoder, rate=self._rate)
        context = self.stream.codec_context
        context.layout = _LAYOUTS[self._channels]
        if self._exact:
            # Encoders take 24 bits in the upper part of 32; ALAC alone wants a plane a channel.
            context.format = "s32p" if encoder == "alac" else "s32"
        else:
            context.bit_rate = _BIT_RATE_PER_CHANNEL[encoder] * max(2, self._channels)
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
        if not isinstance(track.samples, Path):
            start = clock.origin if track.start is None else track.start
            given = 0
            for piece in track.samples():
                yield AudioBlock(start + Fraction(given, track.rate), piece)
                given += len(piece)
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
            values: npt.NDArray[Any] = _as_24_bits(samples) if self._exact else samples
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(values.reshape(1, -1)),
                format="s32" if self._exact else "flt",
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


def _as_24_bits(samples: FloatSamples) -> npt.NDArray[np.int32]:
    """Round samples in [-1, 1] to the upper 24 of 32 bits; those that came from 24 bits are the
    same again."""
    whole = np.rint(samples.astype(np.float64) * 2**23)
    return np.clip(whole, -(2**23), 2**23 - 1).astype(np.int32) << 8


def _supported_rate(encoder: str, rate: int) -> int:
    """Choose the rate itself if the encoder knows it, else the next higher one, else the
    highest."""
    import av

    known = sorted(av.codec.Codec(encoder, "w").audio_rates or [rate])
    return next((r for r in known if r >= rate), known[-1])
