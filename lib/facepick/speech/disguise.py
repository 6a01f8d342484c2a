"""Disguise of a voice: the words stay, whose voice it is does not.

The WORLD vocoder (Morise, Yokomori and Ozawa, "WORLD: A Vocoder-Based High-Quality Speech
Synthesis System for Real-Time Applications", IEICE Trans. Inf. & Syst., 2016) takes speech apart
into pitch, spectral envelope and breath.  Pitch, formants and timing are moved by random amounts,
once for a voice and again from moment to moment; what of the envelope is finer than the formants
is dropped, and nothing of it is stored.  So there is no inverse: who tries all amounts finds many
voices, and the fine structure that told them apart is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import PackageMissing

__all__ = ["Likeness", "VoiceMask", "check_vocoder", "disguised", "mask_for", "random_mask"]

FloatSamples = npt.NDArray[np.float32]
Likeness = Callable[[FloatSamples, FloatSamples, int], float]
"""Tells how alike two voices are, given samples and their rate."""
Array = npt.NDArray[np.float64]

LOWEST_PITCH, HIGHEST_PITCH = 85.0, 255.0
"""Hz: medians of ordinary grown-up voices, men's and women's."""
LEAST_PITCH_STEP = 0.4
"""Octaves, 5 semitones: how far the new median is from the old one at least."""
LEAST_FORMANT_STEP, MOST_FORMANT_STEP = 0.15, 0.25
"""Vocal tracts of grown-ups are 13 to 18 cm long, 16 % to either side of their mean."""
DRIFT_OCTAVES, DRIFT_FORMANTS = 0.06, 0.03
"""Standard deviation of what moves from moment to moment."""
MOVED_SECONDS = 0.06
"""How far a moment is moved in time at most: a quarter of a syllable."""
KNOT_SECONDS = 0.45
CEPSTRA = 24
"""Numbers kept of an envelope: formants are told by about 13, a voice by many more."""
TILT_DECIBELS = 3.0
SHAPE_SPREAD = 0.3
"""Natural logarithm by which each number of an envelope moves more, or less, than it did."""
DRAWS, TRIAL_SECONDS = 8, 5.0
"""Masks that are tried on so much of a voice where voices can be compared."""
FRAME_SECONDS = 0.005
SILENT = 1e-4


@dataclass(frozen=True, kw_only=True)
class VoiceMask:
    """What one voice becomes; drawn anew for every render and never written down.

    Attributes:
        place: where the new median pitch lies between the lowest and highest, in [0, 1].
        spread: what the pitch's movement is multiplied by.
        formants: sizes of the step by which formants move, below and above 1.5 kHz.
        tilt: (4,) decibels of four slow cosines over frequency.
        shape: (CEPSTRA,) what the numbers of an envelope's movement are multiplied by.
    """

    place: float
    spread: float
    formants: tuple[float, float]
    tilt: Array
    shape: Array


def random_mask(random: np.random.Generator) -> VoiceMask:
    """Draw a mask."""
    step = (LEAST_FORMANT_STEP, MOST_FORMANT_STEP)
    return VoiceMask(
        place=float(random.random()),
        spread=float(random.uniform(0.6, 0.9)),
        formants=(float(random.uniform(*step)), float(random.uniform(*step))),
        tilt=random.normal(0.0, TILT_DECIBELS, 4),
        shape=_shape(random),
    )


def mask_for(
    samples: FloatSamples, rate: int, *, random: np.random.Generator, likeness: Likeness | None
) -> VoiceMask:
    """Draw a mask for a voice: of several, where voices can be compared, the one least alike.

    Args:
        samples: (n,) float32 mono of the voice.
        likeness: compares voices; None takes the first mask.
    """
    if likeness is None:
        return random_mask(random)
    own = samples[: round(TRIAL_SECONDS * rate)]
    masks = [random_mask(random) for _ in range(DRAWS)]
    alike = [likeness(own, disguised(own, rate, m, random=random), rate) for m in masks]
    return masks[int(np.argmin(alike))]


def _shape(random: np.random.Generator) -> Array:
    """Draw how much each number of an envelope moves, loudness aside."""
    shape = np.exp(random.normal(0.0, SHAPE_SPREAD, CEPSTRA))
    shape[0] = 1.0
    return shape


def check_vocoder() -> None:
    """Check that the vocoder is installed.

    Raises:
        PackageMissing: it is not.
    """
    _world()


def disguised(
    samples: FloatSamples, rate: int, mask: VoiceMask, *, random: np.random.Generator
) -> FloatSamples:
    """Say the same in another voice.

    Args:
        samples: (n,) float32 mono, some seconds of one voice.
        rate: samples a second, 16 000 or more.
        mask: the voice that it becomes.
        random: what moves from moment to moment is drawn from it.

    Returns:
        (n,) float32 in [-1, 1], as loud as before as far as that allows.

    Raises:
        PackageMissing: the vocoder is not installed.
    """
    world = _world()
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    if level < SILENT or len(samples) < rate // 10:
        return np.zeros_like(samples)
    voice = np.ascontiguousarray(samples, np.float64)
    pitch, times = world.harvest(voice, rate, f0_floor=60.0, f0_ceil=500.0, frame_period=5.0)
    envelope = world.cheaptrick(voice, pitch, times, rate)
    breath = world.d4c(voice, pitch, times, rate)
    at = _moved(times, random)
    new_pitch, rising = _pitch(pitch, mask, random)
    change = _formants(mask, rising, len(times), random)
    envelope = _envelope(envelope, rate, change, mask)
    made = world.synthesize(
        np.ascontiguousarray(_nearest(new_pitch, at)),
        np.ascontiguousarray(_between(envelope, at)),
        np.ascontiguousarray(_between(breath, at)),
        rate,
        5.0,
    )[: len(samples)]
    made = np.pad(made, (0, len(samples) - len(made)))
    own, peak = float(np.sqrt(np.mean(made**2))), float(np.abs(made).max())
    # A made voice has sharper peaks than a recorded one.
    gain = min(level / max(own, SILENT), 1.0 / max(peak, SILENT))
    return np.asarray(made * gain, np.float32)


def _world() -> Any:
    try:
        import pyworld
    except ImportError as error:
        raise PackageMissing(
            "pyworld-prebuilt", needed_for="disguising a voice", extra="voice"
        ) from error
    return pyworld


def _drift(count: int, random: np.random.Generator, size: float) -> Array:
    """Draw a curve that wanders slowly about 0: (count,), a new value every `KNOT_SECONDS`."""
    knots = max(2, round(count * FRAME_SECONDS / KNOT_SECONDS) + 1)
    values = random.normal(0.0, size, knots)
    return np.interp(np.linspace(0, knots - 1, count), np.arange(knots), values)


def _moved(times: Array, random: np.random.Generator) -> Array:
    """Draw which frame is heard when: (t,) rising frame numbers, the ends where they were."""
    moved = np.clip(_drift(len(times), random, MOVED_SECONDS / 2), -MOVED_SECONDS, MOVED_SECONDS)
    ends = np.minimum(times, times[-1] - times) / KNOT_SECONDS
    at = np.arange(len(times)) + moved * np.clip(ends, 0, 1) / FRAME_SECONDS
    return np.clip(np.maximum.accumulate(at), 0, len(times) - 1)


def _pitch(pitch: Array, mask: VoiceMask, random: np.random.Generator) -> tuple[Array, bool]:
    """Move the pitch to its new place, and tell whether it is higher than before."""
    voiced = pitch > 0
    if not voiced.any():
        return pitch, mask.place > 0.5
    heard = np.log2(pitch[voiced])
    own = float(np.median(heard))
    low, high = np.log2(LOWEST_PITCH), np.log2(HIGHEST_PITCH)
    # What is left of the range when places near the own one are taken out.
    below = max(0.0, own - LEAST_PITCH_STEP - low)
    above = max(0.0, high - own - LEAST_PITCH_STEP)
    place = mask.place * (below + above)
    target = low + place if place < below else max(low, own + LEAST_PITCH_STEP) + place - below
    drift = _drift(len(pitch), random, DRIFT_OCTAVES)[voiced]
    made = np.zeros_like(pitch)
    made[voiced] = 2 ** np.clip(target + (heard - own) * mask.spread + drift, 5.8, 9.0)
    return made, target > own


def _formants(mask: VoiceMask, rising: bool, count: int, random: np.random.Generator) -> Array:
    """Compute what frequencies are multiplied by, (t, 2) below and above 1.5 kHz.

    A higher voice comes from a shorter vocal tract, whose formants lie higher.
    """
    sign = 1.0 if rising else -1.0
    steps = np.array(mask.formants)[None] * sign
    drift = _drift(count, random, DRIFT_FORMANTS)[:, None]
    return np.asarray(np.exp(np.sign(steps) * np.log1p(np.abs(steps)) + drift))


def _envelope(envelope: Array, rate: int, change: Array, mask: VoiceMask) -> Array:
    """Move the formants, drop what is finer than they are, and tilt the whole."""
    bins = envelope.shape[1]
    hz = np.linspace(0, rate / 2, bins)
    turn = 1500.0
    slow = _tilted(hz, mask.tilt)
    made = np.empty_like(envelope)
    for row, (low, high) in enumerate(change):
        knee = turn * low
        source = np.where(hz < knee, hz / low, turn + (hz - knee) / high)
        made[row] = np.interp(source, hz, np.log(np.maximum(envelope[row], 1e-16)))
    return np.asarray(np.exp(_reshaped(made, rate, mask.shape) + slow))


def _tilted(hz: Array, tilt: Array) -> Array:
    """Sum slow cosines over the logarithm of frequency, in nepers of power."""
    octaves = np.log2(np.maximum(hz, 100.0) / 100.0)
    waves = np.cos(np.pi * np.arange(1, len(tilt) + 1)[:, None] * octaves / octaves[-1])
    return np.asarray(tilt @ waves * (np.log(10.0) / 10.0))


def _reshaped(logs: Array, rate: int, shape: Array) -> Array:
    """Keep the slowest cosines over the mel scale, each moving more or less than it did."""
    bins = logs.shape[1]
    basis = _mel_basis(bins, rate)
    numbers = logs @ basis
    mean = numbers.mean(axis=0)
    return np.asarray((mean + (numbers - mean) * shape) @ basis.T)


def _mel_basis(bins: int, rate: int) -> Array:
    """Build an orthonormal basis of slow cosines over mel-warped bins, (bins, CEPSTRA)."""
    warped = np.log1p(np.linspace(0, rate / 2, bins) / 700.0)
    waves = np.cos(np.pi * np.arange(CEPSTRA)[None] * (warped / warped[-1])[:, None])
    return np.asarray(np.linalg.qr(waves)[0])


def _between(rows: Array, at: Array) -> Array:
    """Blend the two nearest rows of each place."""
    first = np.floor(at).astype(np.int64)
    share = (at - first)[:, None]
    after = np.minimum(first + 1, len(rows) - 1)
    return np.asarray(rows[first] * (1 - share) + rows[after] * share)


def _nearest(values: Array, at: Array) -> Array:
    return values[np.rint(at).astype(np.int64)]
