"""Lines of new speech: per person for analysis, and mixed into the sound of the result.

Sample 0 is the time of the first output frame; a line's first sample is at its start rounded to
the nearest sample (at 48 kHz within 0.01 ms).  The final track is made second by second and
written to a file, so that memory does not grow with the video.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
import wave
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from facepick.errors import FfmpegFailed, NoAudioError, UserInputError
from facepick.media.audio import AudioBlock, audio_stream, decode_audio, fitted, mixing_of
from facepick.media.container import open_media
from facepick.media.ffmpeg import loudness
from facepick.media.timeline import LengthMode
from facepick.progress import CancelToken, never

__all__ = [
    "Line",
    "OriginalMode",
    "OriginalSound",
    "analysis_original",
    "analysis_speech",
    "line_seconds",
    "lines_end_seconds",
    "mix_rate",
    "write_mix",
]

log = logging.getLogger(__name__)

FloatSamples = npt.NDArray[np.float32]
OriginalMode = Literal["keep", "duck", "replace"]

_ANALYSIS_RATE = 16_000
# Loudness that European broadcasters agree on (EBU R 128), among them the BBC, from whose
# programmes Wav2Lip learned.
_ANALYSIS_LUFS = -23.0
# Original sound outside these bounds is no model for speech: a whisper, or an overdriven track.
_QUIETEST_LUFS, _LOUDEST_LUFS = -31.0, -14.0
_MAX_GAIN_DB = 24.0
_DUCK_DB = -14.0
_DUCK_ATTACK_SECONDS, _DUCK_RELEASE_SECONDS = 0.08, 0.35
# Pauses shorter than this are not worth coming back for.
_DUCK_HOLD_SECONDS = 0.6
# Ends of a trimmed line, and of the original where it stops, are faded to avoid a click.
_FADE_SECONDS = 0.005
# Samples above this are bent towards full scale instead of being clipped.
_KNEE = 0.9


class Line(Protocol):
    """One stretch of new speech, see `facepick.engines.engine.SpeechLine`.

    Attributes:
        path: audio or video file whose default audio stream is taken.
        start_seconds: where it starts on the output's clock.
        offset_seconds: how much of the file's beginning is skipped.
        duration_seconds: how much is taken, or None for all.
    """

    @property
    def path(self) -> str: ...
    @property
    def start_seconds(self) -> float: ...
    @property
    def offset_seconds(self) -> float: ...
    @property
    def duration_seconds(self) -> float | None: ...


@dataclass(frozen=True, kw_only=True)
class OriginalSound:
    """The video's own sound.

    Attributes:
        path: the video.
        start: seconds on its container's clock that are the time of output frame 0.
        duration: seconds of it that belong to the part that is rendered.
        stream: index among the file's streams; None takes the default one.
    """

    path: Path
    start: Fraction = Fraction(0)
    duration: Fraction
    stream: int | None = None


def lines_end_seconds(lines: Sequence[Line], *, cancel: CancelToken = never) -> Fraction:
    """When the last line is over, on the output's clock; 0 without lines.

    Raises:
        NoAudioError, VideoOpenError: a file has no sound.
        UserInputError: a line skips more than its file holds.
    """
    ends = [_start(line) + line_seconds(line, cancel=cancel) for line in lines]
    return max(ends, default=Fraction(0))


def analysis_speech(
    lines: Sequence[Line], *, seconds: Fraction | float, cancel: CancelToken = never
) -> FloatSamples:
    """Lines as analysis wants them: (n,) float32 mono at 16 kHz, `seconds` long.

    Every line is brought to -23 LUFS first, so that a quiet recording moves the lips as much as
    a loud one.  Where lines overlap they are added.

    Raises:
        NoAudioError, VideoOpenError: a line's file has no sound.
    """
    rate = _ANALYSIS_RATE
    count = max(0, math.ceil(Fraction(seconds) * rate))
    samples = np.zeros(count, np.float32)
    for line in lines:
        gain = np.float32(_gain(_loudness(line, cancel), _ANALYSIS_LUFS))
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
    """The video's own sound likewise, at its own loudness; silence where it has none."""
    count = max(0, math.ceil(Fraction(seconds) * _ANALYSIS_RATE))
    heard = np.zeros(count, np.float32)
    at = 0
    for piece in _original_pieces(original, _ANALYSIS_RATE, 1, cancel):
        room = heard[at : at + len(piece)]
        room[:] = piece[: len(room), 0]
        at += len(piece)
    return heard


def mix_rate(original_rate: int | None) -> int:
    """Samples per second of the final track: 44.1 kHz stays, everything else becomes 48 kHz."""
    return 44_100 if original_rate == 44_100 else 48_000


def write_mix(
    out: Path,
    lines: Sequence[Line],
    *,
    seconds: Fraction | float,
    mode: OriginalMode,
    original: OriginalSound | None = None,
    length: LengthMode = "cut",
    rate: int = 48_000,
    match_loudness: bool = True,
    cancel: CancelToken = never,
) -> Path:
    """The result's sound as a 24-bit stereo WAV file of exactly `seconds`.

    ``keep`` leaves the original as it is beside the new speech, ``duck`` lowers it by 14 dB
    while a line lasts, ``replace`` drops it.  In a looped video the original starts again with
    it; in one that bounces or stands still it ends with its first run.

    Args:
        out: where to write; it appears only when it is whole.
        lines: of all people.
        seconds: length of the output.
        original: the video's own sound, when it has some.
        length: how the output became longer than the video.
        match_loudness: bring every line to the loudness of the original.
        cancel: looked at every second of sound.

    Raises:
        NoAudioError, VideoOpenError: a line's file has no sound.
        UserInputError: a line skips more than its file holds.
        OSError: the file cannot be written.
    """
    total = round(Fraction(seconds) * rate)
    target = _target(original, cancel) if match_loudness else None
    voices = [_Voice(line, _line_gain(line, target, cancel), rate) for line in lines]
    spans = [(v.start, v.start + round(line_seconds(v.line, cancel=cancel) * rate)) for v in voices]
    heard = original if mode != "replace" else None
    track = _OriginalTrack(heard, rate, length, _end_of(spans, length), cancel)
    ducking = _Ducking(spans, rate) if mode == "duck" else None
    with _wav(out, rate) as file, closing(track):
        for at in range(0, total, rate):
            cancel.raise_if_cancelled()
            count = min(rate, total - at)
            chunk = track.take(at, count)
            if ducking is not None:
                chunk *= ducking.gain(at, count)[:, None]
            for voice in voices:
                voice.add_to(chunk, at, cancel)
            file.writeframes(_as_24_bit(_bent(chunk)))
    return out


def _end_of(spans: Sequence[tuple[int, int]], length: LengthMode) -> int | None:
    """Where the original falls silent: after the last line in the mode ``silence``."""
    if length != "silence":
        return None
    return max((stop for _, stop in spans), default=0)


class _Voice:
    """One line, read only while it sounds."""

    def __init__(self, line: Line, gain: float, rate: int) -> None:
        self.line, self._gain, self._rate = line, gain, rate
        self.start = round(_start(line) * rate)
        self._pieces: Iterator[FloatSamples] | None = None
        self._held: FloatSamples = np.zeros((0, 2), np.float32)
        self._at = self.start
        self._done = False

    def add_to(self, chunk: FloatSamples, at: int, cancel: CancelToken) -> None:
        """Add what sounds from sample `at` on; chunks come in order, without gaps."""
        stop = at + len(chunk)
        if self._done or self.start >= stop:
            return
        if self._pieces is None:
            self._pieces = _pieces(self.line, self._rate, 2, cancel)
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


class _OriginalTrack:
    """The original sound, sample by sample in order; silence where there is none."""

    def __init__(
        self,
        original: OriginalSound | None,
        rate: int,
        length: LengthMode,
        end: int | None,
        cancel: CancelToken,
    ) -> None:
        self._original, self._rate, self._cancel = original, rate, cancel
        self._period = round(original.duration * rate) if original is not None else 0
        self._loops = length == "loop"
        self._end = end
        self._blocks: Iterator[FloatSamples] = iter(())
        self._held: FloatSamples = np.zeros((0, 2), np.float32)
        self._left = 0
        if original is not None:
            self._restart()

    def take(self, at: int, count: int) -> FloatSamples:
        out = np.zeros((count, 2), np.float32)
        filled = 0
        while filled < count and self._original is not None:
            if self._left == 0:
                if not self._loops or self._period == 0:
                    break
                self._restart()
            want = min(count - filled, self._left)
            self._fill(want)
            part = self._held[:want]
            out[filled : filled + len(part)] = part
            self._held = self._held[want:]
            self._left -= want
            filled += want
        if self._end is not None:
            fade = max(1, round(_FADE_SECONDS * self._rate))
            position = np.arange(at, at + count)
            out *= np.clip((self._end - position) / fade, 0, 1).astype(np.float32)[:, None]
        return out

    def close(self) -> None:
        self._original = None
        self._blocks = iter(())

    def _restart(self) -> None:
        assert self._original is not None
        self._left = self._period
        self._held = np.zeros((0, 2), np.float32)
        self._blocks = _original_pieces(self._original, self._rate, 2, self._cancel)

    def _fill(self, count: int) -> None:
        while len(self._held) < count:
            piece = next(self._blocks, None)
            if piece is None:
                missing = count - len(self._held)
                piece = np.zeros((missing, 2), np.float32)
            self._held = np.concatenate([self._held, piece])


class _Ducking:
    """How loud the original is beside the lines."""

    def __init__(self, spans: Sequence[tuple[int, int]], rate: int) -> None:
        hold = round(_DUCK_HOLD_SECONDS * rate)
        self._attack = max(1, round(_DUCK_ATTACK_SECONDS * rate))
        self._release = max(1, round(_DUCK_RELEASE_SECONDS * rate))
        joined: list[list[int]] = []
        for start, stop in sorted(spans):
            if joined and start - joined[-1][1] < hold:
                joined[-1][1] = max(joined[-1][1], stop)
            else:
                joined.append([start, stop])
        self._spans = joined

    def gain(self, at: int, count: int) -> FloatSamples:
        position = np.arange(at, at + count)
        depth = np.zeros(count)
        for start, stop in self._spans:
            if stop + self._release < at or start - self._attack > at + count:
                continue
            before = (start - position) / self._attack
            after = (position - stop) / self._release
            depth = np.maximum(depth, np.clip(1 - np.maximum(np.maximum(before, after), 0), 0, 1))
        return np.asarray(10 ** (_DUCK_DB * depth / 20), np.float32)


def _start(line: Line) -> Fraction:
    return Fraction(line.start_seconds)


def _pieces(line: Line, rate: int, channels: int, cancel: CancelToken) -> Iterator[FloatSamples]:
    """The line's sound, (n, channels) float32, trimmed as it says and faded at trimmed ends.

    Stereo lines stay stereo.
    """
    start = Fraction(line.offset_seconds)
    stop = None if line.duration_seconds is None else start + Fraction(line.duration_seconds)
    # A line's time counts from the first sample of its file, whatever clock the container has.
    blocks = _rebased(_decoded(Path(line.path), rate, channels, None, cancel, skip=start))
    fade = max(1, round(_FADE_SECONDS * rate))
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
    """A stream in mono or stereo at the level of each of its channels.

    Resamplers spread mono over two channels with 3 dB less in each; then a mono file would come
    out softer than the same recording in stereo.
    """
    with open_media(path) as container:
        layout = audio_stream(container, path, stream).codec_context.layout
        own = len(layout.channels) if layout is not None else channels
    wide = channels if own > 2 else own
    blocks = decode_audio(path, rate=rate, channels=wide, stream=stream, skip=skip, cancel=cancel)
    if own > 2:
        yield from blocks
        return
    for block in blocks:
        samples = block.samples
        if own < channels:
            samples = np.repeat(samples, channels, axis=1)
        elif own > channels:
            samples = samples.mean(axis=1, keepdims=True, dtype=np.float32)
        yield AudioBlock(block.start, samples)


def _rebased(blocks: Iterator[AudioBlock]) -> Iterator[AudioBlock]:
    first: Fraction | None = None
    for block in blocks:
        first = block.start if first is None else first
        yield AudioBlock(block.start - first, block.samples)


def _original_pieces(
    original: OriginalSound, rate: int, channels: int, cancel: CancelToken
) -> Iterator[FloatSamples]:
    blocks = _decoded(original.path, rate, channels, original.stream, cancel)
    stop = original.start + original.duration
    try:
        yield from fitted(blocks, rate=rate, start=original.start, stop=stop)
    except NoAudioError:
        return


def line_seconds(line: Line, *, cancel: CancelToken = never) -> Fraction:
    """Seconds of sound of a line, to 1/16 ms.

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
    """A file and when it was changed: what is remembered of one is not believed of another."""
    try:
        return Path(path), os.stat(path).st_mtime_ns
    except OSError:
        # Whoever opens it says what is wrong.
        return Path(path), 0


@lru_cache(maxsize=256)
def _file_seconds(path: Path, _: int, cancel: CancelToken) -> Fraction:
    """Seconds of sound in a file, decoded once however many lines are cut from it."""
    blocks = _rebased(_decoded(path, _ANALYSIS_RATE, 1, None, cancel))
    pieces = fitted(blocks, rate=_ANALYSIS_RATE, start=Fraction(0), stop=None)
    return Fraction(sum(len(piece) for piece in pieces), _ANALYSIS_RATE)


def _loudness(line: Line, cancel: CancelToken) -> float | None:
    duration = None if line.duration_seconds is None else Fraction(line.duration_seconds)
    offset = Fraction(line.offset_seconds)
    return _measured(*_version_of(line.path), None, offset, duration, cancel)


@lru_cache(maxsize=4096)
def _measured(
    path: Path,
    _: int,
    stream: int | None,
    offset: Fraction,
    duration: Fraction | None,
    cancel: CancelToken,
) -> float | None:
    """Loudness in LUFS of what `_decoded` gives in stereo; None for silence, and for what ffmpeg
    cannot measure.

    A recording whose loudness is unknown is taken as loud as it is: no reason to fail.
    """
    with open_media(path) as container:
        source = audio_stream(container, path, stream)
        layout = source.codec_context.layout
        own = 2 if layout is None else len(layout.channels)
        # Surround gets softer on its way to stereo: by 7.7 dB, where it cannot clip.
        mixing = mixing_of(layout.name, own, 2) if own > 2 else None
        index = source.index
    try:
        return loudness(
            path,
            offset=offset,
            duration=duration,
            stream=index,
            mixing=None if mixing is None else mixing.tolist(),
            cancel=cancel,
        )
    except FfmpegFailed as error:
        log.warning("%s: loudness not measured: %s", path.name, error)
        return None


def _target(original: OriginalSound | None, cancel: CancelToken) -> float | None:
    if original is None:
        return None
    start = max(Fraction(0), original.start)
    version = _version_of(original.path)
    found = _measured(*version, original.stream, start, original.duration, cancel)
    if found is None:
        return None
    return min(max(found, _QUIETEST_LUFS), _LOUDEST_LUFS)


def _line_gain(line: Line, target: float | None, cancel: CancelToken) -> float:
    if target is None:
        return 1.0
    return _gain(_loudness(line, cancel), target)


def _gain(loudness: float | None, target: float) -> float:
    if loudness is None:
        return 1.0
    decibels = min(max(target - loudness, -_MAX_GAIN_DB), _MAX_GAIN_DB)
    return float(10 ** (decibels / 20))


def _bent(samples: FloatSamples) -> FloatSamples:
    """Full scale is approached, never crossed: linear up to 0.9, then a hyperbolic tangent."""
    size = np.abs(samples)
    if float(size.max(initial=0)) <= _KNEE:
        return samples
    room = np.float32(1 - _KNEE)
    bent = _KNEE + room * np.tanh((size - _KNEE) / room)
    return np.where(size > _KNEE, np.sign(samples) * bent, samples).astype(np.float32)


def _as_24_bit(samples: FloatSamples) -> bytes:
    whole = np.rint(samples.astype(np.float64) * (2**23 - 1)).astype("<i4")
    return whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()


@contextmanager
def _wav(path: Path, rate: int) -> Iterator[wave.Wave_write]:
    """A WAV file that gets its name when it is finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        with wave.open(name, "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(3)
            file.setframerate(rate)
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
