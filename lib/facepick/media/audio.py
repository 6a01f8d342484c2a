"""Sound of any file with an audio stream, as float samples on the container's clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facepick.errors import NoAudioError
from facepick.media.container import disposition_of, open_media, stream_time_base
from facepick.media.splices import continuous
from facepick.progress import CancelToken, never

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["AudioBlock", "decode_audio", "fitted", "read_audio", "read_mono"]

FloatSamples = npt.NDArray[np.float32]

# Matroska rounds times to 1 ms and broadcast streams jitter by a few; beyond this the stream
# really pauses or overlaps.
_JITTER_SECONDS = Fraction(1, 20)

# A pause longer than this is a broken time stamp: filling it would only eat memory.
_LONGEST_PAUSE_SECONDS = 600

# Recordings that were strung together begin their clock anew: they follow each other, whatever
# the times say.
_LONGEST_OVERLAP_SECONDS = 1

# Formats in which a decoder that starts in the middle gives the very samples it gives on its way
# from the beginning (compared).  Matroska rounds times; in bare AC-3 and in WMA they are guessed.
_SEEKS_EXACTLY = ("wav", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "ogg")
# How much is decoded before what is wanted: an MP3 frame may refer back by nine frames (0.24 s).
_RUN_UP_SECONDS = Fraction(1, 2)
# Below this a jump gains nothing.
_LEAST_JUMP_SECONDS = 2

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True, eq=False)
class AudioBlock:
    """Consecutive samples; each block begins where the one before it ends.

    Attributes:
        start: seconds on the container's clock of the first sample.
        samples: (n, channels) float32 in [-1, 1].
    """

    start: Fraction
    samples: FloatSamples

    def __repr__(self) -> str:
        return f"AudioBlock({len(self.samples)} samples at {float(self.start):.3f} s)"


def audio_stream(container: InputContainer, path: Path | str, index: int | None) -> Any:
    """Find the stream with this index, or the default one.

    Raises:
        NoAudioError: there is none.
    """
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    if index is not None:
        streams = [s for s in streams if s.index == index]
    if not streams:
        what = "no sound" if index is None else f"no audio stream {index}"
        raise NoAudioError(
            f"{Path(path).name}: there is {what} in this file.",
            hint="Choose an audio file, or a video with sound.",
        )
    # PyAV before 14 does not tell which stream is the default; the first is, by custom.
    return next((s for s in streams if (disposition_of(s) or 0) & 1), streams[0])


def decode_audio(
    path: Path | str,
    *,
    rate: int | None = None,
    channels: int | None = None,
    stream: int | None = None,
    skip: Fraction = Fraction(0),
    cancel: CancelToken = never,
) -> Iterator[AudioBlock]:
    """Decode a stream block by block; memory does not grow with its length.

    Pauses in the stream become silence and overlaps are cut, so that samples stay at their
    time.  Damaged packets are skipped, which makes them pauses.  NaN becomes 0, and what is
    beyond full scale is clipped.

    Args:
        path: audio or video file.
        rate: samples per second wanted; None keeps the stream's.
        channels: 1, 2, 6 or 8; None keeps the stream's.  Surround is mixed down after ITU-R
            BS.775, scaled so that it cannot clip; a mono stream becomes the same on both sides.
            Channels that cancel each other in one (inverted) are not added: the louder is taken.
        stream: index among the file's streams; None takes the default audio stream.
        skip: seconds after the first sample before which nothing is wanted: where the format
            allows it, an empty block at the first sample is followed by one shortly before that.
        cancel: looked at for every packet.

    Raises:
        VideoOpenError: the file is missing or no media file.
        NoAudioError: there is no audio, or nothing of it can be decoded.
    """
    import av

    if channels is not None and channels not in _LAYOUTS:
        raise ValueError(f"channels must be one of {sorted(_LAYOUTS)}, got {channels}")
    with open_media(path, wanted="sound") as container:
        source = audio_stream(container, path, stream)
        track = _Track(source, rate, channels)
        jumped = False
        if skip >= _LEAST_JUMP_SECONDS and container.format.name in _SEEKS_EXACTLY:
            yield from _jump(container, source, skip, channels)
            jumped = True
        for packet in container.demux(source) if jumped else continuous(container, source, path):
            cancel.raise_if_cancelled()
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                yield from track.push(frame)
        yield from track.flush()
        if track.start is None:
            raise NoAudioError(
                f"{Path(path).name}: its sound cannot be decoded.",
                hint="Convert it to WAV and try again.",
            )


def _jump(
    container: InputContainer, source: Any, skip: Fraction, channels: int | None
) -> Iterator[AudioBlock]:
    """Go to shortly before `skip` seconds after the first sample; an empty block says where
    that one is."""
    import av

    base = stream_time_base(source)
    with contextlib.suppress(av.error.FFmpegError):
        first = next(iter(container.decode(source)), None)
        if first is None or first.pts is None:
            return
        start = Fraction(first.pts * Fraction(first.time_base or base))
        wide = channels or len(first.layout.channels)
        yield AudioBlock(start, np.zeros((0, wide), np.float32))
        container.seek(int((start + skip - _RUN_UP_SECONDS) / base), stream=source)


class _Track:
    """Decoded frames of one stream, put at their time and resampled."""

    def __init__(self, source: Any, rate: int | None, channels: int | None) -> None:
        self._source = source
        self._time_base = stream_time_base(source)
        self._rate = rate
        self._channels = channels
        self._layout = ""
        self._resampler: Any = None
        self._resampled_channels = 0
        self._mixing: FloatSamples | None = None
        self._in_rate = 0
        self._heard: tuple[int, str, str] | None = None
        self._taken = Fraction(0)  # seconds given to the resampler
        self._given = 0  # samples that came out of it
        self.start: Fraction | None = None

    def push(self, frame: Any) -> Iterator[AudioBlock]:
        if self.start is None:
            self._rate = self._rate or frame.sample_rate
            own = frame.layout
            self._layout = _LAYOUTS[self._channels] if self._channels else own.name
            self._channels = self._channels or len(own.channels)
            self.start = self._time_of(frame) or Fraction(0)
        heard = (frame.sample_rate, frame.layout.name, frame.format.name)
        if heard != self._heard:
            # Broadcasts change from stereo to surround between programmes.
            yield from self.flush()
            self._listen(frame)
            self._heard = heard
        skip = 0
        time = self._time_of(frame)
        if time is not None:
            late = time - (self.start + self._taken)
            if _JITTER_SECONDS < late <= _LONGEST_PAUSE_SECONDS:
                yield from self._silence(round(late * self._in_rate), frame)
            elif -_LONGEST_OVERLAP_SECONDS <= late < -_JITTER_SECONDS:
                skip = min(frame.samples, round(-late * self._in_rate))
        if skip >= frame.samples:
            return
        if skip:
            frame = _tail(frame, skip)
        yield from self._resample(frame)

    def _time_of(self, frame: Any) -> Fraction | None:
        if frame.pts is None:
            return None
        return Fraction(frame.pts * Fraction(frame.time_base or self._time_base))

    def _listen(self, frame: Any) -> None:
        """Make the resampler for frames like this one."""
        import av

        assert self._rate is not None
        assert self._channels is not None
        self._in_rate = frame.sample_rate
        layout, given = frame.layout.name, len(frame.layout.channels)
        self._mixing = mixing_of(layout, given, self._channels)
        if self._mixing is not None:
            self._mono = _Mono(self._mixing)
        if self._mixing is None and self._channels != given:
            layout, given = self._layout, self._channels
        self._resampled_channels = given
        self._resampler = av.AudioResampler(format="flt", layout=layout, rate=self._rate)

    def _silence(self, count: int, like: Any) -> Iterator[AudioBlock]:
        import av

        while count > 0:
            step = min(count, self._in_rate)
            frame = av.AudioFrame(format=like.format.name, layout=like.layout, samples=step)
            for plane in frame.planes:
                # Unsigned 8-bit rests at 128, every other format at 0.
                rest = b"\x80" if like.format.name.startswith("u8") else b"\0"
                plane.update(rest * plane.buffer_size)
            frame.sample_rate = self._in_rate
            yield from self._resample(frame)
            count -= step

    def _resample(self, frame: Any) -> Iterator[AudioBlock]:
        self._taken += Fraction(frame.samples, self._in_rate)
        # Times are kept here; PyAV's resampler would balk at those that are not consecutive.
        frame.pts = None
        yield from self._blocks(self._resampler.resample(frame))

    def flush(self) -> Iterator[AudioBlock]:
        if self._resampler is not None:
            yield from self._blocks(self._resampler.resample(None))
            self._resampler = None

    def _blocks(self, frames: list[Any]) -> Iterator[AudioBlock]:
        assert self._rate is not None
        for frame in frames:
            samples = frame.to_ndarray().reshape(-1, self._resampled_channels).astype(np.float32)
            np.nan_to_num(samples, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
            np.clip(samples, -1.0, 1.0, out=samples)
            if self._mixing is not None:
                samples = self._mixed(samples)
            assert self.start is not None
            yield AudioBlock(self.start + Fraction(self._given, self._rate), samples)
            self._given += len(samples)

    def _mixed(self, samples: FloatSamples) -> FloatSamples:
        assert self._mixing is not None
        mixed = samples @ self._mixing
        if self._mixing.shape[1] > 1 or not len(samples):
            return mixed
        assert self._rate is not None
        return self._mono.push(samples, mixed, self._rate)


class _Mono:
    """One channel of several, in which nothing is lost that every loudspeaker plays.

    A channel wired the wrong way round cancels in a sum what is loud in each: then the louder one
    is listened to.  With w the weights and P the powers, r = P(sum) / sum(w^2 P) is 1 for channels
    that have nothing in common, 2 for equal ones, and 0 for opposite ones.
    """

    # Opposite but for noise 7.5 dB below.  Wide music around a voice in the middle comes to this
    # where it is 11 dB louder than the voice.
    _CANCELS = 0.15
    # How long the powers are remembered: a vowel.  The turn is noticed within two.
    _MEMORY_SECONDS = 0.1
    # The chosen channel is kept until another one is 6 dB louder.
    _LOUDER = 4.0

    def __init__(self, weights: FloatSamples) -> None:
        self._weights = weights[:, 0]
        self._powers = np.zeros(len(weights))
        self._sum = 0.0
        self._chosen: int | None = None

    def push(self, samples: FloatSamples, mixed: FloatSamples, rate: int) -> FloatSamples:
        """Return what is heard: `mixed`, or (n, 1) of one channel of `samples` (n, channels)."""
        kept = float(np.exp(-len(samples) / (self._MEMORY_SECONDS * rate)))
        powers = np.einsum("ij,ij->j", samples, samples, dtype=np.float64)
        # The weight 0 is that of the low effects.
        self._powers = kept * self._powers + np.where(self._weights > 0, powers, 0.0)
        self._sum = kept * self._sum + float(np.einsum("ij,ij->", mixed, mixed, dtype=np.float64))
        before, self._chosen = self._chosen, self._choice()
        if before is None and self._chosen is None:
            return mixed
        ways = [mixed[:, 0] if n is None else samples[:, n] for n in (before, self._chosen)]
        if before == self._chosen:
            return ways[1][:, None]
        slope = np.linspace(0, 1, len(samples), dtype=np.float32)
        return np.asarray(ways[0] * (1 - slope) + ways[1] * slope, np.float32)[:, None]

    def _choice(self) -> int | None:
        alone = float(self._weights**2 @ self._powers)
        # 1e-12 of full scale is the noise of arithmetic.
        if alone <= 1e-12 or self._sum >= self._CANCELS * alone:
            return None
        loudest = int(self._powers.argmax())
        if self._chosen is None or self._powers[loudest] > (
            self._LOUDER * self._powers[self._chosen]
        ):
            return loudest
        return self._chosen


def mixing_of(layout: str, given: int, wanted: int) -> FloatSamples | None:
    """Compute (given, wanted) weights of the channels, or None where FFmpeg's own are as good.

    FFmpeg adds stereo up to mono without room for the sum, and makes mono 3 dB quieter in
    stereo; both would change how loud speech seems.
    """
    side = 0.5**0.5  # BS.775: centre and surround at -3 dB
    if (given, wanted) == (1, 2):
        weights = np.array([[1.0, 1.0]])
    elif given == 2 and wanted == 1:
        weights = np.array([[1.0], [1.0]])
    elif wanted in (1, 2) and layout.startswith(("5.1", "6 channels")) and given == 6:
        # FL FR FC LFE and two surrounds; the LFE is left out.
        weights = np.array([[1, 0], [0, 1], [side, side], [0, 0], [side, 0], [0, side]])
    elif wanted in (1, 2) and layout.startswith(("7.1", "8 channels")) and given == 8:
        pairs = [[1, 0], [0, 1], [side, side], [0, 0], [side, 0], [0, side], [side, 0], [0, side]]
        weights = np.array(pairs)
    elif wanted == 1 and given > 2:
        # Rarer ones: all alike but for the LFE, the last of 2.1 and the fourth of 3.1, 4.1, 6.1.
        weights = np.full((given, 1), 1.0 / given)
        if layout.split("(")[0].endswith(".1"):
            weights[2 if layout.startswith("2") else 3] = 0
    else:
        return None
    if wanted == 1 and weights.shape[1] == 2:
        weights = weights.sum(axis=1, keepdims=True)
    # The loudest that can come out is full scale.
    return np.asarray(weights / max(1.0, weights.sum(axis=0).max()), np.float32)


def _tail(frame: Any, skip: int) -> Any:
    """Cut the first samples off a frame."""
    import av

    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    part = samples[:, skip:] if frame.format.is_planar else samples[:, skip * channels :]
    fresh = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(part), format=frame.format.name, layout=frame.layout.name
    )
    fresh.sample_rate = frame.sample_rate
    return fresh


def fitted(
    blocks: Iterator[AudioBlock], *, rate: int, start: Fraction, stop: Fraction | None
) -> Iterator[FloatSamples]:
    """Cut out the samples from `start` to `stop`; silence where the blocks begin later.

    The first sample given out is at `start`.  Without `stop`, and where the blocks end before
    it, the end is that of the blocks.
    """
    wanted = None if stop is None else max(0, round((stop - start) * rate))
    given = 0
    for block in blocks:
        position = round((block.start - start) * rate)
        samples = block.samples
        if position > given:
            gap = position - given
            if wanted is not None:
                gap = min(gap, wanted - given)
            yield np.zeros((gap, samples.shape[1]), np.float32)
            given += gap
        elif position < given:
            samples = samples[given - position :]
        if wanted is not None:
            samples = samples[: wanted - given]
        if len(samples):
            yield samples
            given += len(samples)
        if wanted is not None and given >= wanted:
            return


def read_audio(
    path: Path | str,
    *,
    rate: int | None = None,
    channels: int | None = None,
    stream: int | None = None,
    offset: Fraction | None = None,
    duration: Fraction | None = None,
    cancel: CancelToken = never,
) -> tuple[FloatSamples, int]:
    """Read a stream, or a part of it, into memory.

    Args:
        path: audio or video file.
        rate, channels, stream: as for `decode_audio`.
        offset: seconds on the container's clock of the first sample wanted (silence where the
            stream begins later); None begins with the stream.
        duration: seconds wanted; None reads to the end.
        cancel: looked at for every packet.

    Returns:
        (n, channels) float32 in [-1, 1] and the rate.

    Raises:
        VideoOpenError, NoAudioError: as `decode_audio`.
    """
    if rate is None:
        with open_media(path, wanted="sound") as container:
            rate = int(audio_stream(container, path, stream).codec_context.sample_rate)
    blocks = decode_audio(path, rate=rate, channels=channels, stream=stream, cancel=cancel)
    first = next(blocks, None)
    if first is None:
        return np.zeros((0, channels or 1), np.float32), rate
    start = first.start if offset is None else offset
    stop = None if duration is None else start + duration

    def chained() -> Iterator[AudioBlock]:
        yield first
        yield from blocks

    parts = list(fitted(chained(), rate=rate, start=start, stop=stop))
    if not parts:
        return np.zeros((0, first.samples.shape[1]), np.float32), rate
    return np.concatenate(parts), rate


def read_mono(
    path: Path | str,
    *,
    rate: int = 16000,
    stream: int | None = None,
    align_to: Fraction | None = None,
    cancel: CancelToken = never,
) -> FloatSamples:
    """Read a stream mixed down to one channel, as speech analysis wants it.

    Args:
        path: audio or video file.
        rate: samples per second.
        stream: index among the file's streams; None takes the default audio stream.
        align_to: seconds on the container's clock at which sample 0 shall be; give
            ``VideoInfo.start_seconds`` for samples on the video's clock.  None begins with the
            stream.
        cancel: looked at for every packet.

    Returns:
        (n,) float32 in [-1, 1].

    Raises:
        VideoOpenError, NoAudioError: as `decode_audio`.
    """
    samples, _ = read_audio(
        path, rate=rate, channels=1, stream=stream, offset=align_to, cancel=cancel
    )
    return samples[:, 0]
