"""Voice activity by silero VAD, with numpy and onnxruntime alone.

Silero VAD (Silero Team, *Silero VAD: pre-trained enterprise-grade Voice Activity Detector*, MIT):
a small recurrent network over 32 ms of 16 kHz audio, each given with the last 4 ms before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError
from facepick.models.device import ort_errors
from facepick.progress import CancelToken, never

__all__ = ["STEP_SECONDS", "Stretch", "speech_probability", "speech_stretches"]

FloatArray = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
_STEP = 512
_CONTEXT = 64
_STATE = (2, 1, 128)
STEP_SECONDS = _STEP / SAMPLE_RATE
"""One probability per 32 ms."""

# Audio this far below full scale (-60 dB) is silence; louder audio is brought to one level, for
# the network knows speech of ordinary loudness and loses a whisper of a recording at -40 dB.
_SILENT_RMS = 1e-3
_SPEECH_RMS = 0.1
_CANCEL_EVERY = 256


@dataclass(frozen=True, order=True)
class Stretch:
    """A stretch of time in which somebody speaks.

    Attributes:
        start, stop: seconds on the audio's clock, ``start < stop``.
    """

    start: float
    stop: float

    def __post_init__(self) -> None:
        if not self.start < self.stop:
            raise ValueError(f"a stretch has a length, got {self.start} to {self.stop}")


def speech_probability(
    wav16k: npt.ArrayLike, *, model: Path, cancel: CancelToken = never
) -> FloatArray:
    """Estimate how likely it is that somebody speaks, every 32 ms.

    Args:
        wav16k: (n,) mono samples in [-1, 1] at 16 kHz.
        model: the file ``silero_vad.onnx``.
        cancel: looked at every 8 seconds of audio.

    Returns:
        (ceil(n / 512),) float32 in [0, 1]; row i covers samples 512 i up to 512 (i + 1).

    Raises:
        ModelMismatchError: the file is no silero VAD.
        Cancelled: the user stopped it.
    """
    wav = np.asarray(wav16k, np.float32)
    steps = -(-len(wav) // _STEP)
    probability = np.zeros(steps, np.float32)
    gain = _gain(wav)
    if gain == 0:
        return probability
    session = _session(model)
    state = np.zeros(_STATE, np.float32)
    rate = np.array(SAMPLE_RATE, np.int64)
    chunk = np.zeros((1, _CONTEXT + _STEP), np.float32)
    for i in range(steps):
        if i % _CANCEL_EVERY == 0:
            cancel.raise_if_cancelled()
        chunk[0, :_CONTEXT] = chunk[0, -_CONTEXT:]
        piece = wav[i * _STEP : (i + 1) * _STEP]
        chunk[0, _CONTEXT : _CONTEXT + len(piece)] = piece * gain
        chunk[0, _CONTEXT + len(piece) :] = 0
        out, state = session.run(None, {"input": chunk, "state": state, "sr": rate})
        probability[i] = out[0, 0]
    return probability


def speech_stretches(
    probability: Sequence[float] | FloatArray,
    *,
    threshold: float = 0.5,
    min_speech_seconds: float = 0.1,
    min_silence_seconds: float = 0.2,
    pad_seconds: float = 0.03,
) -> tuple[Stretch, ...]:
    """Find the stretches of speech in what `speech_probability` gave.

    Speech begins at `threshold` and ends 0.15 below it, so that a wavering probability does not
    chop a word.  Silences shorter than `min_silence_seconds` are bridged (the stop of a "p" is
    no pause), speech shorter than `min_speech_seconds` is dropped (a click), and every stretch
    is widened by `pad_seconds` on both sides.

    Returns:
        In time order, none touching another.
    """
    probability = np.asarray(probability, np.float32)
    runs: list[list[float]] = []
    begun: int | None = None
    for i, value in enumerate([*probability.tolist(), 0.0]):
        if begun is None and value >= threshold and i < len(probability):
            begun = i
        elif begun is not None and value < threshold - 0.15:
            runs.append([begun * STEP_SECONDS, i * STEP_SECONDS])
            begun = None
    if begun is not None:
        runs.append([begun * STEP_SECONDS, len(probability) * STEP_SECONDS])
    bridged: list[list[float]] = []
    for start, stop in runs:
        if bridged and start - bridged[-1][1] < min_silence_seconds:
            bridged[-1][1] = stop
        else:
            bridged.append([start, stop])
    end = len(probability) * STEP_SECONDS
    padded: list[list[float]] = []
    for start, stop in bridged:
        if stop - start < min_speech_seconds:
            continue
        start, stop = max(0.0, start - pad_seconds), min(end, stop + pad_seconds)
        if padded and start <= padded[-1][1]:
            padded[-1][1] = stop
        else:
            padded.append([start, stop])
    return tuple(Stretch(start, stop) for start, stop in padded)


def _gain(wav: FloatArray) -> float:
    """Compute the gain that brings the louder parts to an ordinary level; 0 for silence."""
    usable = wav[: len(wav) // _STEP * _STEP].reshape(-1, _STEP)
    if not len(usable):
        usable = wav[None]
    if not usable.size:
        return 0.0
    rms = np.sqrt(np.einsum("ij,ij->i", usable, usable) / usable.shape[1])
    loud = float(np.percentile(rms, 95))
    if loud < _SILENT_RMS:
        # A single word in minutes of silence is above the 95th percentile.
        loud = float(rms.max())
    if loud < _SILENT_RMS:
        return 0.0
    return float(np.clip(_SPEECH_RMS / loud, 0.25, _SPEECH_RMS / _SILENT_RMS))


def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Each step needs the state of the one before: threads only wait for one another.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except ort_errors() as error:
        raise ModelMismatchError(f"{model.name} is no ONNX model.") from error
    names = {i.name for i in session.get_inputs()}
    if names != {"input", "state", "sr"}:
        raise ModelMismatchError(
            f"{model.name} is not silero VAD: its inputs are {', '.join(sorted(names))}.",
            hint="It belongs to facepick itself: install facepick again.",
        )
    return session
