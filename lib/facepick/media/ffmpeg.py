"""The ffmpeg program, and what is built with its filter graphs: mixing speech into a sound track.

Frames never pass through it; PyAV reads and writes them.  `ffmpeg-python` builds the command.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
import tempfile
import threading
import wave
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facepick.errors import FfmpegFailed, FfmpegMissing, NoAudioError, PackageMissing
from facepick.media.audio import AudioBlock, decode_audio, fitted
from facepick.progress import CancelToken, never

__all__ = ["MixMode", "SpokenLine", "ffmpeg_binary", "loudness", "mix", "run"]

log = logging.getLogger(__name__)

FloatSamples = npt.NDArray[np.float32]
MixMode = Literal["keep", "duck", "replace"]

# How quickly the original makes room for a line and comes back: as fast as it can be without
# being heard as a click or as pumping.
_RAMP_SECONDS = 0.15

# EBU R 128 gates at -70 LUFS: what is quieter counts as silence and has no loudness.
_SILENCE_LUFS = -70.0

# A line that is made louder than this only gets its noise louder.
_MAX_GAIN_DB = 12.0

_LOG_LINES = 40


@lru_cache(maxsize=1)
def ffmpeg_binary() -> Path:
    """The system's ffmpeg, else the one that comes with imageio-ffmpeg.

    Raises:
        FfmpegMissing: there is neither.
    """
    found = shutil.which("ffmpeg")
    if found:
        return Path(found)
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise FfmpegMissing(
            "There is no ffmpeg program on this machine.",
            hint="Install ffmpeg, or run: pip install imageio-ffmpeg",
        ) from error


def _builder() -> Any:
    try:
        import ffmpeg
    except ImportError as error:
        raise PackageMissing("ffmpeg-python", needed_for="mixing sound") from error
    return ffmpeg


def run(graph: Any, *, cancel: CancelToken = never) -> str:
    """Run an output node of `ffmpeg-python`.

    Args:
        graph: what ``ffmpeg.output(...)`` gave.
        cancel: ends the process when it is set.

    Returns:
        The last lines that ffmpeg printed.

    Raises:
        FfmpegMissing, FfmpegFailed, Cancelled.
    """
    argv = _builder().compile(graph, cmd=str(ffmpeg_binary()), overwrite_output=True)
    argv[1:1] = ["-hide_banner", "-nostdin"]
    return _run_argv(argv, cancel)


def _run_argv(argv: Sequence[str], cancel: CancelToken) -> str:
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    tail: deque[str] = deque(maxlen=_LOG_LINES)

    def drain(stream: Any) -> None:
        for line in stream:
            tail.append(line.decode("utf-8", "replace").rstrip())

    reader = threading.Thread(target=drain, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        while True:
            cancel.raise_if_cancelled()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
                break
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join()
        process.stderr.close()
    log_tail = "\n".join(tail)
    if process.returncode:
        raise FfmpegFailed(argv, process.returncode, log_tail)
    return log_tail


def file_url(path: Path) -> str:
    """A file name that ffmpeg takes as such, whatever is in it."""
    return f"file:{path}"


def loudness(path: Path, *, cancel: CancelToken = never) -> float | None:
    """Integrated loudness in LUFS after EBU R 128, or None for silence.

    Raises:
        FfmpegMissing, FfmpegFailed, Cancelled.
    """
    ffmpeg = _builder()
    sound = ffmpeg.input(file_url(path)).audio.filter("loudnorm", print_format="json")
    printed = run(ffmpeg.output(sound, "-", format="null"), cancel=cancel)
    report = json.loads(printed[printed.rindex("{") : printed.rindex("}") + 1])
    measured = float(report["input_i"])
    return measured if measured > _SILENCE_LUFS else None


@dataclass(frozen=True, eq=False, kw_only=True)
class SpokenLine:
    """Speech to be placed.

    Attributes:
        samples: (n,) or (n, channels) float32 in [-1, 1], or an audio file.
        start: seconds from the start of the mix.
        rate: samples per second of an array; a file knows its own.
        gain_db: added to what loudness matching gives.
    """

    samples: FloatSamples | Path
    start: Fraction
    rate: int = 48000
    gain_db: float = 0.0

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"start must not be negative, got {self.start}")
        if self.rate <= 0:
            raise ValueError(f"rate must be positive, got {self.rate}")

    def __repr__(self) -> str:
        return f"SpokenLine(at {float(self.start):.3f} s)"


def mix(
    lines: Sequence[SpokenLine],
    out: Path,
    *,
    duration: Fraction,
    original: Path | None = None,
    stream: int | None = None,
    origin: Fraction = Fraction(0),
    mode: MixMode = "duck",
    duck_db: float = -15.0,
    match_loudness: bool = True,
    rate: int = 48000,
    cancel: CancelToken = never,
) -> Path:
    """Put spoken lines over, or in place of, a sound track.

    Args:
        lines: the speech, in any order; where lines overlap they are added.
        out: a WAV file, stereo float32; it appears whole or not at all.
        duration: seconds of the result.
        original: file with the sound to mix into; None mixes into silence.
        stream: which audio stream of it; None takes the default one.
        origin: moment of the original's clock that is second 0 of the result.
        mode: ``keep`` adds the lines to the original, ``duck`` also lowers the original while
            a line speaks, ``replace`` leaves the original out.
        duck_db: how far it is lowered.
        match_loudness: whether the lines are made as loud as the original (EBU R 128).
        rate: samples per second of the result.
        cancel: looked at all the while.

    Returns:
        `out`.

    Raises:
        VideoOpenError, NoAudioError: a file cannot be read.
        FfmpegMissing, FfmpegFailed, Cancelled.
    """
    ffmpeg = _builder()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mix-", dir=out.parent) as folder:
        work = Path(folder)
        voice, gain, bed = work / "voice.wav", work / "gain.wav", work / "bed.wav"
        spans = _write_voice(lines, voice, duration=duration, rate=rate, cancel=cancel)
        spoken = ffmpeg.input(file_url(voice)).audio
        layers = []
        if original is not None:
            blocks = decode_audio(original, rate=rate, channels=2, stream=stream, cancel=cancel)
            _write_wav(bed, _padded(blocks, rate=rate, start=origin, duration=duration), rate)
            if match_loudness and lines:
                wanted, given = loudness(bed, cancel=cancel), loudness(voice, cancel=cancel)
                if wanted is not None and given is not None:
                    change = min(_MAX_GAIN_DB, max(-_MAX_GAIN_DB, wanted - given))
                    spoken = spoken.filter("volume", f"{change:.2f}dB")
            under = ffmpeg.input(file_url(bed)).audio
            if mode == "duck":
                envelope = _envelope(spans, duration=duration, rate=rate, duck_db=duck_db)
                _write_wav(gain, envelope, rate)
                under = ffmpeg.filter([under, ffmpeg.input(file_url(gain)).audio], "amultiply")
            if mode != "replace":
                layers.append(under)
        layers.append(spoken)
        mixed = layers[0]
        if len(layers) > 1:
            mixed = ffmpeg.filter(layers, "amix", inputs=len(layers), normalize=0)
        result = work / "mixed.wav"
        run(_wav_output(ffmpeg, mixed, result, rate), cancel=cancel)
        peak = _peak(result, cancel)
        if peak > _FULL_SCALE:
            # Turned down as a whole: a limiter would change the sound, clipping would be heard.
            quieter = ffmpeg.input(file_url(result)).audio.filter("volume", _FULL_SCALE / peak)
            result = work / "quieter.wav"
            run(_wav_output(ffmpeg, quieter, result, rate), cancel=cancel)
        result.replace(out)
    return out


# -0.2 dBFS: lossy encoders overshoot the samples by about as much.
_FULL_SCALE = 0.977


def _wav_output(ffmpeg: Any, sound: Any, path: Path, rate: int) -> Any:
    return ffmpeg.output(
        sound, file_url(path), format="wav", acodec="pcm_f32le", ar=rate, ac=2, bitexact=None
    )


def _write_voice(
    lines: Sequence[SpokenLine], path: Path, *, duration: Fraction, rate: int, cancel: CancelToken
) -> list[tuple[int, int]]:
    """All lines at their place in one stereo file; returns the samples [start, stop) of each."""
    placed = sorted(lines, key=lambda line: line.start)
    spans: list[tuple[int, int]] = []
    total = round(duration * rate)

    def pieces() -> Iterator[FloatSamples]:
        # What is behind `done` is final, because lines come by their start.
        done, pending = 0, np.zeros((0, 2), np.float32)
        for line in placed:
            cancel.raise_if_cancelled()
            at = min(total, round(line.start * rate))
            if at > done:
                ready, pending = pending[: at - done], pending[at - done :]
                yield ready
                yield np.zeros((at - done - len(ready), 2), np.float32)
                done = at
            samples = _stereo(line, rate, cancel)[: total - at]
            spans.append((at, at + len(samples)))
            if len(samples) > len(pending):
                missing = len(samples) - len(pending)
                pending = np.concatenate([pending, np.zeros((missing, 2), np.float32)])
            pending[: len(samples)] += samples
        yield pending
        yield np.zeros((max(0, total - done - len(pending)), 2), np.float32)

    _write_wav(path, pieces(), rate)
    return spans


def _stereo(line: SpokenLine, rate: int, cancel: CancelToken) -> FloatSamples:
    """(n, 2) at `rate`, with the line's own gain."""
    factor = np.float32(10 ** (line.gain_db / 20))
    if isinstance(line.samples, Path):
        blocks = decode_audio(line.samples, rate=rate, channels=2, cancel=cancel)
        parts = [block.samples for block in blocks]
        if not parts:
            raise NoAudioError(f"{line.samples.name}: there is no sound in this file.")
        return np.concatenate(parts) * factor
    samples = line.samples.reshape(len(line.samples), -1)
    if samples.shape[1] == 1:
        samples = samples.repeat(2, axis=1)
    if line.rate != rate:
        samples = _resampled(samples[:, :2], line.rate, rate)
    return np.asarray(samples[:, :2] * factor, np.float32)


def _resampled(samples: FloatSamples, rate: int, wanted: int) -> FloatSamples:
    import av

    resampler = av.AudioResampler(format="flt", layout="stereo", rate=wanted)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout="stereo"
    )
    frame.sample_rate = rate
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([f.to_ndarray().reshape(-1, 2) for f in frames]).astype(np.float32)


def _padded(
    blocks: Iterator[AudioBlock], *, rate: int, start: Fraction, duration: Fraction
) -> Iterator[FloatSamples]:
    """The blocks from `start` on for exactly `duration`."""
    missing = round(duration * rate)
    for samples in fitted(blocks, rate=rate, start=start, stop=start + duration):
        missing -= len(samples)
        yield samples
    while missing > 0:
        step = min(missing, rate)
        yield np.zeros((step, 2), np.float32)
        missing -= step


def _envelope(
    spans: Sequence[tuple[int, int]], *, duration: Fraction, rate: int, duck_db: float
) -> Iterator[FloatSamples]:
    """Gain of the original over time: `duck_db` in the spans, ramps of cosine shape around."""
    low = 10 ** (duck_db / 20)
    ramp = max(1, round(_RAMP_SECONDS * rate))
    total = round(duration * rate)
    edges = np.array(sorted(spans), np.int64).reshape(-1, 2)
    for first in range(0, total, rate):
        at = np.arange(first, min(total, first + rate))
        # Samples from each moment to the nearest span: 0 inside.
        away = np.full(len(at), ramp, np.int64)
        near = edges[(edges[:, 1] > first - ramp) & (edges[:, 0] < at[-1] + ramp)]
        for start, stop in near:
            away = np.minimum(away, np.maximum(np.maximum(start - at, at - stop + 1), 0))
        share = 0.5 - 0.5 * np.cos(np.pi * away / ramp)
        gain = (low + (1.0 - low) * share).astype(np.float32)
        yield np.stack([gain, gain], axis=1)


def _peak(path: Path, cancel: CancelToken) -> float:
    import av

    highest = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            cancel.raise_if_cancelled()
            highest = max(highest, float(np.abs(frame.to_ndarray()).max(initial=0.0)))
    return highest


def _write_wav(path: Path, pieces: Iterator[FloatSamples], rate: int) -> None:
    """Stereo samples as 24-bit WAV, which is 48 dB finer than the loudness of any noise floor."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(rate)
        for samples in pieces:
            codes = np.rint(np.clip(samples, -1.0, 1.0) * 8388607.0).astype("<i4")
            file.writeframesraw(codes.reshape(-1, 1).view(np.uint8)[:, :3].tobytes())
