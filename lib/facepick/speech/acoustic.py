"""Phone likelihoods of speech over time, from a small acoustic model, in numpy.

The model is the context-independent part of the ``en-us`` acoustic model of CMU Sphinx (see
``data/NOTICE``): 42 phones of three states, each phone with 128 Gaussians over each of three
streams of 13 numbers (cepstra, their first and their second differences).  Means and log
variances are kept as 8-bit steps per dimension, which moves phone posteriors by less than one
per cent.

The front end follows the model's description: 25 mel bands from 130 to 6800 Hz, orthonormal DCT,
lifter 22, cepstral mean removed over the utterance, and the noise suppression of Kim and Stern
("Power-normalized cepstral coefficients", ICASSP 2012) that it was trained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.speech.spectrum import (
    cosine_transform,
    htk_hz,
    htk_mel,
    power_spectrum,
    triangles,
    windows,
)

__all__ = ["HOP_SECONDS", "PHONES", "PhoneScores", "band_levels", "phone_pairs", "phone_scores"]

Array = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
HOP = 160
HOP_SECONDS = HOP / SAMPLE_RATE
"""One column every 10 ms; column t is centred on ``t * HOP_SECONDS``."""
WINDOW = 410
FFT = 512
BANDS = 25
CEPSTRA = 13
FRAMES_AT_ONCE = 500
"""Five seconds: 42 x 128 Gaussians x 500 columns x 4 bytes = 11 MB at a time."""

PHONES: tuple[str, ...] = (
    "+NSN+", "+SPN+", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY",
    "F", "G", "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH",
    "SIL", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""The phones in the order of the model's rows: ARPAbet, silence and two kinds of noise."""


_FILE = Path(__file__).with_name("data") / "acoustic_en.npz"


@dataclass(frozen=True, eq=False)
class PhoneScores:
    """Likelihood of every column under every state of every phone.

    Attributes:
        states: (t, 42, 3) float32, log likelihood of the three states.
        features: (t, 39) float32, what they were computed from: cepstra and their first and
            second differences.
    """

    states: Array
    features: Array

    def __len__(self) -> int:
        return len(self.states)

    def part(self, first: int, last: int) -> PhoneScores:
        """Cut out the columns from `first` to before `last`."""
        return PhoneScores(states=self.states[first:last], features=self.features[first:last])


@cache
def _filters(warp: float = 1.0) -> Array:
    """Build (25, 257) triangular mel filters of unit area, edges rounded to whole FFT bins.

    Args:
        warp: what the edges in Hz are multiplied by; 1.14 ends at 7750 Hz.
    """

    edges = np.linspace(htk_mel(130.0), htk_mel(6800.0), BANDS + 2)
    bin_hz = SAMPLE_RATE / FFT
    hz = np.round(warp * htk_hz(edges) / bin_hz) * bin_hz
    bins = np.arange(FFT // 2 + 1) * bin_hz
    return np.asarray(triangles(hz, bins, unit_area=True), dtype=np.float32)


@cache
def _dct() -> Array:
    return np.asarray(cosine_transform(CEPSTRA, BANDS), dtype=np.float32)


def _band_powers(samples: Array, warp: float = 1.0) -> Array:
    """Compute mel band powers of int16-scaled speech, (t, 25) float32, column t centred on t x
    10 ms."""
    count = max(1, -(-len(samples) // HOP))
    scaled = np.asarray(samples, dtype=np.float32) * np.float32(32768.0)
    emphasised = np.append(scaled[:1], scaled[1:] - np.float32(0.97) * scaled[:-1])
    padded = np.zeros(count * HOP + WINDOW, np.float32)
    padded[WINDOW // 2 : WINDOW // 2 + len(emphasised)] = emphasised
    window = np.hamming(WINDOW).astype(np.float32)
    out = np.empty((count, BANDS), np.float32)
    for start in range(0, count, FRAMES_AT_ONCE):
        stop = min(count, start + FRAMES_AT_ONCE)
        rows = windows(padded[start * HOP : (stop - 1) * HOP + WINDOW], WINDOW, HOP)
        power = power_spectrum(rows * window, FFT)
        out[start:stop] = power.astype(np.float32) @ _filters(warp).T
    return out


def _without_noise(powers: Array) -> Array:
    """Take the steady background off band powers (Kim and Stern 2012)."""
    out = np.empty_like(powers)
    smooth = powers[0].copy()
    noise = powers[0].copy()
    floor = powers[0] * np.float32(0.05)
    peak = np.zeros(BANDS, np.float32)
    kernel = np.ones(9, np.float32)
    spread = np.convolve(np.ones(BANDS, np.float32), kernel, "same")
    for t, power in enumerate(powers):
        smooth = 0.7 * smooth + 0.3 * power
        noise = _lower_envelope(noise, smooth)
        signal = np.maximum(smooth - noise, 1.0)
        floor = _lower_envelope(floor, signal)
        # What follows a peak within a few columns is masked by it.
        decayed = peak * np.float32(0.85)
        peak = np.maximum(decayed, signal)
        signal = np.where(signal < decayed, decayed * np.float32(0.2), signal)
        signal = np.maximum(signal, floor)
        gain = np.clip(signal / np.maximum(smooth, 1e-6), 1 / 20, 20.0)
        out[t] = power * np.convolve(gain, kernel, "same") / spread
    return out


def _lower_envelope(envelope: Array, value: Array) -> Array:
    """Follow `value` slowly upwards and fast downwards."""
    share = np.where(value >= envelope, np.float32(0.995), np.float32(0.5))
    return np.asarray(share * envelope + (1.0 - share) * value, dtype=np.float32)


def band_levels(samples: Array) -> Array:
    """Compute mel band levels in dB, (t, 25) float32, 10 ms a column, no noise suppression."""
    return np.asarray(10.0 * np.log10(_band_powers(samples) + 1.0), dtype=np.float32)


def _features(powers: Array) -> Array:
    """Compute cepstra of band powers and their first and second differences, (t, 39) float32."""
    levels = np.log(_without_noise(powers) + np.float32(1e-4))
    order = np.arange(CEPSTRA)
    lifter = 1.0 + 11.0 * np.sin(np.pi * order / 22.0)
    cepstra = levels @ _dct().T * lifter.astype(np.float32)
    cepstra -= cepstra.mean(axis=0)
    held = np.pad(cepstra, ((3, 3), (0, 0)), mode="edge")
    n = len(cepstra)

    def at(shift: int) -> Array:
        return held[3 + shift : 3 + shift + n]

    first = at(2) - at(-2)
    second = (at(3) - at(-1)) - (at(1) - at(-3))
    return np.hstack([cepstra, first, second]).astype(np.float32)


@cache
def phone_pairs() -> Array:
    """Load how likely phone j follows phone i in English, (42, 42) float32; rows sum to 1."""
    with np.load(_FILE, allow_pickle=False) as file:
        pairs = np.asarray(file["pairs"], np.float32)
    return np.asarray(pairs / pairs.sum(axis=1, keepdims=True), np.float32)


@cache
def _model() -> tuple[Array, Array, Array, Array]:
    """Load, per stream, weights of x and x squared, constants, log mixture weights."""
    with np.load(_FILE, allow_pickle=False) as file:
        if tuple(str(name) for name in file["phones"]) != PHONES:
            raise ValueError("the acoustic model's phones are not the ones this module names")
        mean = file["mean"] * file["mean_step"][:, None] + file["mean_low"][:, None]
        log_var = file["logvar"] * file["logvar_step"][:, None] + file["logvar_low"][:, None]
        # The file holds -log(weight) in steps of 1024 of a logarithm to the base 1.0001.
        weight = file["weight"].astype(np.float32) * np.float32(-1024 * np.log(1.0001))
    inverse = np.exp(-log_var)
    constant = -0.5 * (mean * mean * inverse + log_var + np.log(2 * np.pi)).sum(-1)
    return (
        np.asarray(mean * inverse, np.float32),
        np.asarray(-0.5 * inverse, np.float32),
        np.asarray(constant, np.float32),
        # (stream, 128, phone x state) -> (phone, stream, 128, state)
        np.ascontiguousarray(
            weight.reshape(3, 128, len(PHONES), 3).transpose(2, 0, 1, 3), dtype=np.float32
        ),
    )


SILENT = tuple(PHONES.index(p) for p in ("SIL", "+NSN+", "+SPN+"))
LOUD, LOUD_WIDTH, LOUD_COST = 0.75, 0.04, 30.0
"""Silence is not loud, which a model of cepstra without their level cannot know: of vowels that
were not in its training it may think that they are silence (a quarter of a synthetic voice was;
its words were placed at r = 0.81 and are at 0.89).  Between the noise floor (0) and the loudest
columns (1), in dB, pauses stay below 0.6 and most vowels above 0.8; the cost exceeds what phones
differ by in a column (5 to 20)."""
QUIET_RANGE_DB = 15.0
"""A sound whose level varies less has no pauses to tell from speech."""


def _loudness(powers: Array) -> Array:
    """Rate each column, (t,) float32 in [0, 1]: about 1 where it is too loud to be a pause."""
    level = 10.0 * np.log10(powers.mean(axis=1) + 1.0)
    floor, top = np.percentile(level, [5, 95])
    if top - floor < QUIET_RANGE_DB:
        return np.zeros(len(level), np.float32)
    excess = ((level - floor) / (top - floor) - LOUD) / LOUD_WIDTH
    return np.asarray(1.0 / (1.0 + np.exp(-excess)), dtype=np.float32)


WARP_STEP, WARP_STEPS = 0.07, 2
"""Formants of women and men lie about 15 % apart, the model's speakers between them."""
WARP_DOUBT = 0.05
"""Log likelihood a column that a stretch costs, times the steps squared: with nothing between one
step and two (a man of a clip, 0.61 and 0.62), the smaller is right."""
WARP_COLUMNS = 1000
"""The loudest ten seconds tell the length of the vocal tract."""


def _warp(samples: Array, powers: Array) -> float:
    """Find the stretch of the frequency axis at which this voice is likeliest.

    Vocal tract length normalisation, with the likeliest states instead of a transcript (Lee and
    Rose, "A frequency warping approach to speaker normalization", IEEE Trans. Speech and Audio
    Processing 6, 1998), climbing from 1.
    """
    loud = _loudness(powers)
    total = np.concatenate([[0.0], np.cumsum(loud)])
    width = min(WARP_COLUMNS, len(loud))
    first = int(np.argmax(total[width:] - total[:-width]))
    voiced = np.flatnonzero(loud[first : first + width] > 0.5)[::2]
    if len(voiced) < 25:  # Half a second.
        return 1.0
    part = samples[first * HOP : (first + width) * HOP]
    known: dict[int, float] = {}

    def likelihood(step: int) -> float:
        if step not in known:
            x = _features(_band_powers(part, 1.0 + WARP_STEP * step))
            rows = x[voiced[voiced < len(x)]]
            fit = float(_likelihoods(rows).reshape(len(rows), -1).max(axis=1).mean())
            known[step] = fit - WARP_DOUBT * step * step
        return known[step]

    best = 0
    while True:
        beside = [s for s in (best - 1, best + 1) if abs(s) <= WARP_STEPS]
        better = max(beside, key=likelihood)
        if likelihood(better) <= likelihood(best):
            return 1.0 + WARP_STEP * best
        best = better


def phone_scores(samples: Array) -> PhoneScores:
    """Compute log likelihoods of all phones for speech (n,) float32 mono at 16 kHz."""
    powers = _band_powers(samples)
    warp = _warp(samples, powers)
    x = _features(powers if warp == 1.0 else _band_powers(samples, warp))
    states = _likelihoods(x)
    states[:, SILENT] -= LOUD_COST * _loudness(powers)[:, None, None]
    return PhoneScores(states=states, features=x)


def _likelihoods(x: Array) -> Array:
    """Compute the log likelihood of each state of each phone, (t, 42, 3) float32, for features
    (t, 39)."""
    linear, square, constant, weight = _model()
    phones = len(PHONES)
    out = np.zeros((len(x), phones, 3), np.float32)
    for start in range(0, len(x), FRAMES_AT_ONCE):
        part = x[start : start + FRAMES_AT_ONCE]
        for stream in range(3):
            v = part[:, stream * CEPSTRA : (stream + 1) * CEPSTRA]
            score = (
                v @ linear[:, stream].reshape(-1, CEPSTRA).T
                + (v * v) @ square[:, stream].reshape(-1, CEPSTRA).T
                + constant[:, stream].reshape(-1)
            ).reshape(len(part), phones, 128)
            best = score.max(axis=2, keepdims=True)
            # In place: 11 MB more would be written and read for each step.
            np.exp(np.subtract(score, best, out=score), out=score)
            mixed = score.transpose(1, 0, 2) @ np.exp(weight[:, stream])
            out[start : start + len(part)] += (
                np.log(np.maximum(mixed, 1e-30)).transpose(1, 0, 2) + best
            )
    return out
