"""Lines of new speech, per person for analysis and mixed into the sound of the result.

The final track is made second by second while it is encoded, so that memory does not grow with
the video.  It keeps the rate and the channels of what is heard beside the lines, and away from the
lines its very samples: nothing is resampled, mixed down or limited there.  A line's first sample
is at its start rounded to the nearest sample (at 48 kHz within 0.01 ms).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from facepick.errors import NoAudioError, UserInputError
from facepick.media.audio import AudioBlock, audio_stream, decode_audio, fitted
from facepick.media.container import codec_name, open_media
from facepick.media.loudness import SoundPart, loudness_of
from facepick.media.timeline import LengthMode
from facepick.progress import CancelToken, never

__all__ = [
    "FADE_SECONDS",
    "HeardSound",
    "Line",
    "OriginalMode",
    "OriginalSound",
    "SoundChange",
    "SoundFormat",
    "analysis_original",
    "analysis_speech",
    "format_of",
    "heard_again",
    "line_seconds",
    "lines_end_seconds",
    "mix_format",
    "mixed",
    "original_pieces",
    "spans_of",
    "straight",
]

FloatSamples = npt.NDArray[np.float32]
OriginalMode = Literal["keep", "duck", "replace", "mute"]
SoundChange = Callable[[Iterator[FloatSamples], Fraction, int], Iterator[FloatSamples]]
"""Gives pieces of (n, channels) as long as those that it is given, told the time of their first
sample on the container's clock in seconds, and their rate."""

FADE_SECONDS = Fraction(1, 50)
"""The original fades out in the 20 ms before a line and in again in the 20 ms after it; farther
away its samples are untouched."""

_ANALYSIS_RATE = 16_000
# Loudness that European broadcasters agree on (EBU R 128), among them the BBC, from whose
# programmes Wav2Lip learned.
_ANALYSIS_LUFS = -23.0
# Original sound outside these bounds is no model for speech: a whisper, or an overdriven track.
_QUIETEST_LUFS, _LOUDEST_LUFS = -31.0, -14.0
_MAX_GAIN_DB = 24.0
_DUCK_DB = -14.0
# Ends of a trimmed line, and of the original where it stops, are faded to avoid a click.
_TRIM_FADE_SECONDS = 0.005
# Samples above this are bent towards full scale instead of being clipped.
_KNEE = 0.9
# The original is looked for in other sound in windows of this many seconds, so many apart, moved by
# up to this much (an encoder's delay).
_WINDOW_SECONDS, _HOP_SECONDS, _SHIFT_SECONDS = 0.4, 0.2, 0.03
# Music and effects without the voices agree with the original by their share of its energy: by
# 0.04 where they are 14 dB below the voice, by 0.5 where they are as loud.  With the voice it is 1.
_SAME = 0.7
# Codecs that give back the samples they were given, besides all that begin with "pcm_".
_LOSSLESS = ("flac", "alac", "truehd", "mlp", "wavpack", "tta", "ape")


class Line(Protocol):
    """One stretch of new speech, see `facepick.engines.engine.SpeechLine`.

    Attributes:
        path: audio or video file whose default audio stream is taken.
        start_seconds: where it starts on the output's clock.
        offset_seconds: how much of the file's beginning is skipped.
        duration_seconds: how much is taken, or None for all.
        cue_seconds: how long the line is in the script, or None when no script says.
    """

    @property
    def path(self) -> str:
        """File with the sound."""

    @property
    def start_seconds(self) -> float:
        """Start on the output's clock."""

    @property
    def offset_seconds(self) -> float:
        """What is skipped of the file."""

    @property
    def duration_seconds(self) -> float | None:
        """What is taken of the file; None for all of it."""

    @property
    def cue_seconds(self) -> float | None:
        """Length of its subtitle, where it is one."""


@dataclass(frozen=True, kw_only=True)
class OriginalSound:
    """The video's own sound.

    Attributes:
        path: the video.
        start: seconds on its container's clock that are the time of output frame 0.
        duration: seconds of it that belong to the part that is rendered; None is all there is.
        stream: index among the file's streams; None takes the default one.
        stretch: how many times slower its pictures are shown than they were filmed.
    """

    path: Path
    start: Fraction = Fraction(0)
    duration: Fraction | None = None
    stream: int | None = None
    stretch: Fraction = Fraction(1)


@dataclass(frozen=True, kw_only=True)
class SoundFormat:
    """Sample rate, channels and depth of a track.

    Attributes:
        rate: samples per second.
        channels: 1, 2, 6 or 8.
        lossless: whether its codec gives back the samples that it was given.
    """

    rate: int = 48_000
    channels: int = 2
    lossless: bool = False


@dataclass(frozen=True, kw_only=True)
class HeardSound:
    """The sound that is heard beside the lines.

    Attributes:
        mode: what becomes of the original.
        original: the video's own sound, when it has some.
        background: music and effects that are heard in its place, unchanged from the first output
            frame on; None for none.
        rest: the original without its voices, likewise; heard inside lines as far as the original
            is not.
        offset: seconds of both that belong before the first output frame of a part.
        length: how the output became longer than the video.
        change: what is done to the original before it is heard; None for nothing.
    """

    mode: OriginalMode = "replace"
    original: OriginalSound | None = None
    background: Path | None = None
    rest: Path | None = None
    offset: Fraction = Fraction(0)
    length: LengthMode = "cut"
    change: SoundChange | None = None


def lines_end_seconds(lines: Sequence[Line], *, cancel: CancelToken = never) -> Fraction:
    """Compute when the last line is over, on the output's clock; 0 without lines.

    Raises:
        NoAudioError, VideoOpenError: a file has no sound.
        UserInputError: a line skips more than its file holds.
    """
    ends = [_start(line) + line_seconds(line, cancel=cancel) for line in lines]
    return max(ends, default=Fraction(0))


def analysis_speech(
    lines: Sequence[Line], *, seconds: Fraction | float, cancel: CancelToken = never
) -> FloatSamples:
    """Mix lines as analysis wants them: (n,) float32 mono at 16 kHz, `seconds` long.

    Every line is brought to -23 LUFS first, so that a quiet recording moves the lips as much as
    a loud one.  Where lines overlap they are added.

    Raises:
        NoAudioError, VideoOpenError: a line's file has no sound.
    """
    rate = _ANALYSIS_RATE
    count = max(0, math.ceil(Fraction(seconds) * rate))
    samples = np.zeros(count, np.float32)
    for line in lines:
        gain = np.float32(_gain(_loudness(line, 2, cancel), _ANALYSIS_LUFS))
        at = round(_start(line) * rate)
        for piece in _pieces(line, rate, 1, cancel):
            room = samples[at : at + len(piece)]
            room += piece[: len(room), 0] * gain
            at += len(piece)
            if at >= count:
                break
    return np.clip(samples, -1, 1)


def analysis_original(
    original: OriginalSound, *, seconds: Fraction | float, cancel: CancelToken = never
) -> FloatSamples:
    """Mix the video's own sound likewise, at its own loudness; silence where it has none."""
    count = max(0, math.ceil(Fraction(seconds) * _ANALYSIS_RATE))
    filmed = math.ceil(count / original.stretch)
    heard = np.zeros(filmed, np.float32)
    at = 0
    for piece in original_pieces(original, original.start, _ANALYSIS_RATE, 1, cancel):
        room = heard[at : at + len(piece)]
        room[:] = piece[: len(room), 0]
        at += len(piece)
        if at >= filmed:
            break
    if original.stretch == 1 or not filmed:
        return heard
    # It is only listened to for when somebody talks: that its pitch moves does not matter.
    at_filmed = np.arange(count) / float(original.stretch)
    return np.interp(at_filmed, np.arange(filmed), heard).astype(np.float32)


def heard_again(
    original: FloatSamples, sound: FloatSamples, *, cancel: CancelToken = never
) -> tuple[tuple[float, float], ...]:
    """Find where other sound still holds the original, voices and all.

    Args:
        original, sound: (n,) float32 mono at 16 kHz on one clock.

    Returns:
        Stretches in seconds, in time order, none overlapping.
    """
    rate = _ANALYSIS_RATE
    window, hop, shift = (round(s * rate) for s in (_WINDOW_SECONDS, _HOP_SECONDS, _SHIFT_SECONDS))
    size = 1 << (2 * window - 1).bit_length()
    found: list[tuple[float, float]] = []
    for at in range(0, min(len(original), len(sound)), hop):
        cancel.raise_if_cancelled()
        a, b = original[at : at + window], sound[at : at + window]
        power = float(np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b)))
        if power <= 1e-6:
            continue
        both = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
        likeness = max(both[: shift + 1].max(), both[-shift:].max()) / power
        if likeness < _SAME:
            continue
        start, stop = at / rate, (at + window) / rate
        if found and start <= found[-1][1]:
            start = found.pop()[0]
        found.append((start, stop))
    return tuple(found)


def spans_of(
    lines: Sequence[Line], *, cancel: CancelToken = never
) -> tuple[tuple[Fraction, Fraction], ...]:
    """Find where the lines are, in seconds on the output's clock; in time order, none overlapping.

    A line reaches to the end of its sound, and at least as far as the script says.

    Raises:
        NoAudioError, VideoOpenError, UserInputError: as `line_seconds`.
    """
    joined: list[tuple[Fraction, Fraction]] = []
    for start, length in sorted((_start(n), _reach(n, cancel)) for n in lines):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], start + length))
        else:
            joined.append((start, start + length))
    return tuple(joined)


def _reach(line: Line, cancel: CancelToken) -> Fraction:
    return max(line_seconds(line, cancel=cancel), Fraction(line.cue_seconds or 0))


def format_of(path: Path, stream: int | None = None) -> SoundFormat:
    """Choose the format for a file's sound in a mix; unusual layouts become stereo.

    Raises:
        NoAudioError, VideoOpenError.
    """
    with open_media(path, wanted="sound") as container:
        source = audio_stream(container, path, stream)
        context = source.codec_context
        channels = len(context.layout.channels) if context.layout is not None else 2
        codec = codec_name(source)
        return SoundFormat(
            rate=int(context.sample_rate) or 48_000,
            channels=channels if channels in (1, 2, 6, 8) else 2,
            lossless=codec.startswith("pcm_") or codec in _LOSSLESS,
        )


def mix_format(sound: HeardSound, lines: Sequence[Line]) -> SoundFormat:
    """Choose the format of a mix: that of what is heard beside the lines.

    Where nothing is, it is stereo at 48 kHz, or at 44.1 kHz beside a video of that rate.  A mono
    video becomes stereo only for a line that is not mono.

    Raises:
        NoAudioError, VideoOpenError: a line's or the background's file has no sound.
    """
    if sound.background is not None:
        return format_of(sound.background)
    if sound.original is None:
        return SoundFormat()
    own = format_of(sound.original.path, sound.original.stream)
    if sound.mode == "mute":
        return SoundFormat(rate=44_100 if own.rate == 44_100 else 48_000)
    if own.channels == 1 and any(format_of(Path(n.path)).channels > 1 for n in lines):
        return SoundFormat(rate=own.rate, channels=2, lossless=own.lossless)
    return own


def straight(
    path: Path,
    *,
    seconds: Fraction | float,
    offset: Fraction = Fraction(0),
    form: SoundFormat | None = None,
    cancel: CancelToken = never,
) -> Iterator[FloatSamples]:
    """Read a file's sound as it is, from its sample at `offset` on, for at most `seconds`.

    Args:
        form: rate and channels to give; None keeps the file's own.

    Returns:
        Pieces of (n, channels) float32.
    """
    form = form or format_of(path)
    blocks = _rebased(_decoded(path, form.rate, form.channels, None, cancel, skip=offset))
    return fitted(blocks, rate=form.rate, start=offset, stop=offset + Fraction(seconds))


def mixed(
    lines: Sequence[Line],
    sound: HeardSound,
    *,
    seconds: Fraction | float,
    lead: Fraction = Fraction(0),
    form: SoundFormat | None = None,
    match_loudness: bool = True,
    cancel: CancelToken = never,
) -> Iterator[FloatSamples]:
    """Mix the result's sound, a second at a time.

    Inside a line, ``keep`` leaves the original as it is beside the new speech, ``duck`` lowers it
    by 14 dB, ``replace`` and ``mute`` drop it; outside it is heard as it was, but for ``mute``.
    A background takes the original's place and is heard unchanged all the time.  In a looped
    video the original starts again with it; in one that bounces or stands still it ends with its
    first run.  Only inside lines are samples above 0.9 bent towards full scale.

    Args:
        lines: of all people.
        sound: what is heard beside them.
        seconds: length of the output; an original without a duration is heard to its end.
        lead: how much is heard before the first output frame.
        form: rate and channels; None takes `mix_format`.
        match_loudness: bring every line to the loudness of the original.
        cancel: looked at every second of sound.

    Returns:
        Pieces of (n, channels) float32 in [-1, 1].

    Raises:
        NoAudioError, VideoOpenError: a line's file has no sound.
        UserInputError: a line skips more than its file holds.
    """
    form = form or mix_format(sound, lines)
    rate, channels = form.rate, form.channels
    target = _target(sound.original, channels, cancel) if match_loudness else None
    voices = [
        _Voice(line, _line_gain(line, channels, target, cancel), rate, channels, lead)
        for line in lines
    ]
    spans = [
        (round((start + lead) * rate), round((stop + lead) * rate))
        for start, stop in spans_of(lines, cancel=cancel)
    ]
    inside = _Inside(spans, int(FADE_SECONDS * rate))
    bed = _bed_of(sound, form, lead, spans, cancel)
    rest = None
    if sound.rest is not None:
        rest = _brought(sound.rest, sound.offset, form, lead, cancel)
    total = round((Fraction(seconds) + lead) * rate)
    at = 0
    while at < total or bed.goes_on:
        cancel.raise_if_cancelled()
        count = min(rate, total - at) if at < total else bed.left(rate)
        if not count:
            break
        chunk = bed.take(at, count)
        depth = inside.depth(at, count)[:, None]
        if sound.background is None and sound.mode in ("replace", "duck"):
            share = 1 - depth
            if sound.mode == "duck":
                share = np.float32(10) ** (np.float32(_DUCK_DB / 20) * depth)
            chunk *= share
            if rest is not None:
                chunk += (1 - share) * rest.take(at, count)
        for voice in voices if at < total else ():
            voice.add_to(chunk, at, cancel)
        # What was there before stays in [-1, 1] by itself, where it is alone.
        chunk += depth * (_bent(chunk) - chunk)
        yield chunk
        at += count


def _brought(
    file: Path, offset: Fraction, form: SoundFormat, lead: Fraction, cancel: CancelToken
) -> _Bed:
    """Bring a file to the output's clock: its sample at `offset` is heard with the first frame."""

    def pieces() -> Iterator[FloatSamples]:
        yield np.zeros((round(lead * form.rate), form.channels), np.float32)
        blocks = _rebased(_decoded(file, form.rate, form.channels, None, cancel, skip=offset))
        yield from fitted(blocks, rate=form.rate, start=offset, stop=None)

    return _Bed(pieces, form.channels)


def _bed_of(
    sound: HeardSound,
    form: SoundFormat,
    lead: Fraction,
    spans: Sequence[tuple[int, int]],
    cancel: CancelToken,
) -> _Bed:
    """Choose what lies under the lines."""
    rate, channels = form.rate, form.channels
    if sound.background is not None:
        return _brought(sound.background, sound.offset, form, lead, cancel)
    original = sound.original
    if original is None or sound.mode == "mute":
        return _Bed(lambda: iter(()), channels)
    start = original.start - lead

    def heard() -> Iterator[FloatSamples]:
        pieces = original_pieces(original, start, rate, channels, cancel)
        return pieces if sound.change is None else sound.change(pieces, start, rate)

    end = max((stop for _, stop in spans), default=0) if sound.length == "silence" else None
    if original.duration is None:
        return _Bed(
            heard,
            channels,
            end=end,
            fade=max(1, round(_TRIM_FADE_SECONDS * rate)),
            runs_out=end is None,
        )
    return _Bed(
        heard,
        channels,
        period=round((original.duration + lead) * rate),
        again=sound.length == "loop",
        end=end,
        fade=max(1, round(_TRIM_FADE_SECONDS * rate)),
    )


class _Voice:
    """The sound of one line, read only while it is heard."""

    def __init__(self, line: Line, gain: float, rate: int, channels: int, lead: Fraction) -> None:
        self._line, self._gain, self._rate, self._channels = line, gain, rate, channels
        self.start = round((_start(line) + lead) * rate)
        self._pieces: Iterator[FloatSamples] | None = None
        self._held: FloatSamples = np.zeros((0, channels), np.float32)
        self._at = self.start
        self._done = False

    def add_to(self, chunk: FloatSamples, at: int, cancel: CancelToken) -> None:
        """Add what sounds from sample `at` on; chunks come in order, without gaps."""
        stop = at + len(chunk)
        if self._done or self.start >= stop:
            return
        if self._pieces is None:
            self._pieces = _pieces(self._line, self._rate, self._channels, cancel)
        while self._at + len(self._held) < stop:
            piece = next(self._pieces, None)
            if piece is None:
                self._done = True
                break
            self._held = np.concatenate([self._held, piece])
        count = min(stop - self._at, len(self._held))
        chunk[self._at - at : self._at - at + count] += self._held[:count] * np.float32(self._gain)
        self._held = self._held[count:]
        self._at += count


class _Bed:
    """The sound under the lines, sample by sample in order; silence where there is none.

    Args:
        pieces: gives it from its beginning.
        period: how many samples of it are heard; None for all.
        again: whether it begins anew after that.
        end: sample from which on it is silent, or None.
        fade: samples over which it falls silent before `end`.
        runs_out: whether it is heard beyond the end of the picture.
    """

    def __init__(
        self,
        pieces: Callable[[], Iterator[FloatSamples]],
        channels: int,
        *,
        period: int | None = None,
        again: bool = False,
        end: int | None = None,
        fade: int = 1,
        runs_out: bool = False,
    ) -> None:
        self._begin, self._channels = pieces, channels
        self._period, self._again = period, again
        self._end, self._fade = end, fade
        self.goes_on = runs_out
        self._pieces = pieces()
        self._held: FloatSamples = np.zeros((0, channels), np.float32)
        self._taken = 0

    def left(self, most: int) -> int:
        """Count how many of the next samples there are, at most `most`."""
        self._fill(most)
        return min(most, len(self._held))

    def take(self, at: int, count: int) -> FloatSamples:
        """Take (count, channels) samples from `at` on."""
        out = np.zeros((count, self._channels), np.float32)
        filled = 0
        while filled < count:
            if self._period is not None and self._taken >= self._period:
                if not self._again or not self._period:
                    break
                self._pieces, self._taken = self._begin(), 0
                self._held = self._held[:0]
            want = count - filled
            if self._period is not None:
                want = min(want, self._period - self._taken)
            self._fill(want)
            part = self._held[:want]
            out[filled : filled + len(part)] = part
            self._held = self._held[want:]
            self._taken += want
            filled += want
        if self._end is not None:
            position = np.arange(at, at + count)
            out *= np.clip((self._end - position) / self._fade, 0, 1).astype(np.float32)[:, None]
        return out

    def _fill(self, count: int) -> None:
        while len(self._held) < count:
            piece = next(self._pieces, None)
            if piece is None:
                return
            self._held = np.concatenate([self._held, piece])


class _Inside:
    """The depth of a sample inside a line: 1 in it, 0 from `fade` samples outside on."""

    def __init__(self, spans: Sequence[tuple[int, int]], fade: int) -> None:
        self._spans, self._fade = spans, max(1, fade)

    def depth(self, at: int, count: int) -> FloatSamples:
        position = np.arange(at, at + count)
        depth = np.zeros(count)
        for start, stop in self._spans:
            if stop + self._fade < at or start - self._fade > at + count:
                continue
            away = np.maximum(np.maximum(start - position, position - stop + 1), 0) / self._fade
            depth = np.maximum(depth, np.clip(1 - away, 0, 1))
        # Half a cosine: neither end of the fade has an edge.
        return np.asarray((1 - np.cos(np.pi * depth)) / 2, np.float32)


def _start(line: Line) -> Fraction:
    return Fraction(line.start_seconds)


def _pieces(line: Line, rate: int, channels: int, cancel: CancelToken) -> Iterator[FloatSamples]:
    """Read the line's sound, (n, channels) float32, trimmed as it says, faded at trimmed ends.

    Stereo lines stay stereo.
    """
    start = Fraction(line.offset_seconds)
    stop = None if line.duration_seconds is None else start + Fraction(line.duration_seconds)
    # A line's time counts from the first sample of its file, whatever clock the container has.
    blocks = _rebased(_decoded(Path(line.path), rate, channels, None, cancel, skip=start))
    fade = max(1, round(_TRIM_FADE_SECONDS * rate))
    at = 0
    wanted = None if stop is None else round((stop - start) * rate)
    for piece in fitted(blocks, rate=rate, start=start, stop=stop):
        position = at + np.arange(len(piece))
        shape = np.ones(len(piece), np.float32)
        if start > 0:
            shape = np.minimum(shape, position / fade)
        if wanted is not None:
            shape = np.minimum(shape, (wanted - position) / fade)
        at += len(piece)
        yield piece * np.clip(shape, 0, 1).astype(np.float32)[:, None]


def _decoded(
    path: Path,
    rate: int,
    channels: int,
    stream: int | None,
    cancel: CancelToken,
    *,
    skip: Fraction = Fraction(0),
) -> Iterator[AudioBlock]:
    """Decode a stream in so many channels, at the level of each of its own.

    Resamplers spread mono over two channels with 3 dB less in each; then a mono file would come
    out softer than the same recording in stereo.
    """
    with open_media(path, wanted="sound") as container:
        layout = audio_stream(container, path, stream).codec_context.layout
        own = len(layout.channels) if layout is not None else channels
    # Down to one channel there, where channels that cancel each other are told.
    wide = own if channels > 1 and own in (1, 2, channels) else min(channels, 2)
    blocks = decode_audio(path, rate=rate, channels=wide, stream=stream, skip=skip, cancel=cancel)
    for block in blocks:
        yield AudioBlock(block.start, _spread(block.samples, channels))


def _spread(samples: FloatSamples, channels: int) -> FloatSamples:
    """Spread mono or stereo over other channels, as loud as before.

    In surround speech belongs in the centre.  One loudspeaker is 3 dB below two.
    """
    own = samples.shape[1]
    if own == channels:
        return samples
    if channels == 1:
        return np.asarray(samples.mean(axis=1, keepdims=True), np.float32)
    if channels == 2:
        return np.repeat(samples, 2, axis=1)
    wide = np.zeros((len(samples), channels), np.float32)
    if own == 1:
        wide[:, 2:3] = samples * np.float32(2**0.5)
    else:
        wide[:, :2] = samples
    return wide


def _rebased(blocks: Iterator[AudioBlock]) -> Iterator[AudioBlock]:
    first: Fraction | None = None
    for block in blocks:
        first = block.start if first is None else first
        yield AudioBlock(block.start - first, block.samples)


def original_pieces(
    original: OriginalSound, start: Fraction, rate: int, channels: int, cancel: CancelToken
) -> Iterator[FloatSamples]:
    """Read the original from `start` on, on its container's clock."""
    blocks = _decoded(original.path, rate, channels, original.stream, cancel)
    stop = None if original.duration is None else original.start + original.duration
    try:
        yield from fitted(blocks, rate=rate, start=start, stop=stop)
    except NoAudioError:
        return


def line_seconds(line: Line, *, cancel: CancelToken = never) -> Fraction:
    """Compute the seconds of sound of a line, to 1/16 ms.

    Raises:
        NoAudioError, VideoOpenError: its file has no sound.
        UserInputError: its file ends before it begins.
    """
    held = _file_seconds(*_version_of(line.path), cancel) - Fraction(line.offset_seconds)
    if held <= 0:
        raise UserInputError(
            f"{Path(line.path).name} holds nothing after {line.offset_seconds:g} s.",
            hint="Skip less of its beginning.",
        )
    return held if line.duration_seconds is None else min(held, Fraction(line.duration_seconds))


def _version_of(path: Path | str) -> tuple[Path, int]:
    """Identify a file and when it was changed: what is remembered of one is not believed of
    another."""
    try:
        return Path(path), os.stat(path).st_mtime_ns
    except OSError:
        # Whoever opens it says what is wrong.
        return Path(path), 0


_SECONDS_KEPT = 256
_seconds: dict[tuple[Path, int], Fraction] = {}


def _file_seconds(path: Path, version: int, cancel: CancelToken) -> Fraction:
    """Count the seconds of sound in a file, decoded once however many lines are cut from it."""
    known = _seconds.get((path, version))
    if known is None:
        blocks = _rebased(_decoded(path, _ANALYSIS_RATE, 1, None, cancel))
        pieces = fitted(blocks, rate=_ANALYSIS_RATE, start=Fraction(0), stop=None)
        known = Fraction(sum(len(piece) for piece in pieces), _ANALYSIS_RATE)
        while len(_seconds) >= _SECONDS_KEPT:
            _seconds.pop(next(iter(_seconds)), None)
        _seconds[path, version] = known
    return known


def _loudness(line: Line, channels: int, cancel: CancelToken) -> float | None:
    duration = None if line.duration_seconds is None else Fraction(line.duration_seconds)
    part = SoundPart(
        path=Path(line.path),
        channels=channels,
        offset=Fraction(line.offset_seconds),
        duration=duration,
    )
    return loudness_of(part, cancel)


def _target(original: OriginalSound | None, channels: int, cancel: CancelToken) -> float | None:
    if original is None:
        return None
    part = SoundPart(
        path=original.path,
        stream=original.stream,
        channels=channels,
        offset=max(Fraction(0), original.start),
        duration=original.duration,
    )
    found = loudness_of(part, cancel)
    if found is None:
        return None
    return min(max(found, _QUIETEST_LUFS), _LOUDEST_LUFS)


def _line_gain(line: Line, channels: int, target: float | None, cancel: CancelToken) -> float:
    if target is None:
        return 1.0
    return _gain(_loudness(line, channels, cancel), target)


def _gain(loudness: float | None, target: float) -> float:
    if loudness is None:
        return 1.0
    decibels = min(max(target - loudness, -_MAX_GAIN_DB), _MAX_GAIN_DB)
    return float(10 ** (decibels / 20))


def _bent(samples: FloatSamples) -> FloatSamples:
    """Limit samples softly: linear up to 0.9, then a hyperbolic tangent that never reaches full
    scale."""
    size = np.abs(samples)
    if float(size.max(initial=0)) <= _KNEE:
        return samples
    room = np.float32(1 - _KNEE)
    bent = _KNEE + room * np.tanh((size - _KNEE) / room)
    return np.where(size > _KNEE, np.sign(samples) * bent, samples).astype(np.float32)
