"""Disguise of a voice: the words stay, whose voice it is does not.

The WORLD vocoder (Morise, Yokomori and Ozawa, "WORLD: A Vocoder-Based High-Quality Speech
Synthesis System for Real-Time Applications", IEICE Trans. Inf. & Syst., 2016) takes speech apart
into pitch, spectral envelope and breath.  Envelopes are replaced by those of a mix of strangers
who say the same (`strangers`); pitch, formants and timing are moved by random amounts, once for a
voice and again from moment to moment.  Nothing of it is stored, and many moments become one: there
is no inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import PackageMissing
from facepick.speech.strangers import (
    FRAME_SECONDS,
    TOP_HZ,
    envelope_basis,
    sounds_of,
    strangers,
)

__all__ = [
    "Apart",
    "Likeness",
    "VoiceMask",
    "check_vocoder",
    "disguised",
    "mask_for",
    "random_mask",
    "taken_apart",
]

FloatSamples = npt.NDArray[np.float32]
Likeness = Callable[[FloatSamples, FloatSamples, int], float]
"""Tells how alike two voices are, given samples and their rate."""
Array = npt.NDArray[np.float64]

LOWEST_PITCH, HIGHEST_PITCH = 85.0, 255.0
"""Hz: medians of ordinary grown-up voices, men's and women's."""
LEAST_PITCH_STEP = 0.4
"""Octaves, 5 semitones: how far the new median is from the old one at least."""
LEAST_FORMANT_STEP, MOST_FORMANT_STEP = 0.05, 0.15
"""Vocal tracts of grown-ups are 13 to 18 cm long, 16 % to either side of their mean."""
DRIFT_OCTAVES, DRIFT_FORMANTS = 0.06, 0.03
"""Standard deviation of what moves from moment to moment."""
MOVED_SECONDS = 0.06
"""How far a moment is moved in time at most: a quarter of a syllable."""
KNOT_SECONDS = 0.45
TILT_DECIBELS = 3.0
LEAST_SHARE = 0.3
"""Of the second stranger in a mix: more of one alone would be that stranger's voice."""
DRAWS, TRIAL_SECONDS = 8, 5.0
"""Masks that are tried on so much of a voice where voices can be compared."""
LOW_BINS = 257
BENT_FROM = 0.7
"""Of full scale, 3 dB below it: peaks above are bent."""
SILENT = 1e-4


@dataclass(frozen=True, kw_only=True)
class VoiceMask:
    """What one voice becomes; drawn anew for every render and never written down.

    Attributes:
        place: where the new median pitch lies between the lowest and highest, in [0, 1].
        spread: what the pitch's movement is multiplied by.
        formants: sizes of the step by which formants move, below and above 1.5 kHz.
        tilt: (4,) decibels of four slow cosines over frequency.
        shares: of each stranger in the mix, sum 1.
    """

    place: float
    spread: float
    formants: tuple[float, float]
    tilt: Array
    shares: Array


@dataclass(frozen=True, eq=False)
class Apart:
    """Speech as the vocoder takes it apart, one row each `FRAME_SECONDS`.

    Attributes:
        times: (t,) seconds.
        pitch: (t,) Hz, 0 where there is none.
        envelope: (t, b) natural logarithms of power, from 0 to half the rate.
        breath: (t, b) share of noise, in [0, 1].
        numbers: (t, CEPSTRA) of the envelope up to `TOP_HZ`.
    """

    times: Array
    pitch: Array
    envelope: Array
    breath: Array
    numbers: Array


def random_mask(random: np.random.Generator) -> VoiceMask:
    """Draw a mask."""
    step = (LEAST_FORMANT_STEP, MOST_FORMANT_STEP)
    shares = np.zeros(len(strangers()))
    first, second = random.choice(len(shares), 2, replace=False)
    shares[second] = random.uniform(LEAST_SHARE, 1 - LEAST_SHARE)
    shares[first] = 1 - shares[second]
    return VoiceMask(
        place=float(random.random()),
        spread=float(random.uniform(0.6, 0.9)),
        formants=(float(random.uniform(*step)), float(random.uniform(*step))),
        tilt=random.normal(0.0, TILT_DECIBELS, 4),
        shares=shares,
    )


def mask_for(
    samples: FloatSamples, rate: int, *, random: np.random.Generator, likeness: Likeness | None
) -> VoiceMask:
    """Draw a mask for a voice: of several, where voices can be compared, the one least alike.

    Args:
        samples: (n,) float32 mono of the voice.
        likeness: compares voices; None takes the first mask.
    """
    own = samples[: round(TRIAL_SECONDS * rate)]
    if likeness is None or _is_silent(own, rate):
        return random_mask(random)
    masks = [random_mask(random) for _ in range(DRAWS)]
    parts = taken_apart(own, rate)
    alike = [likeness(own, _made(own, rate, parts, m, random=random), rate) for m in masks]
    return masks[int(np.argmin(alike))]


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
        (n,) float32 in [-1, 1], as loud as before.

    Raises:
        PackageMissing: the vocoder is not installed.
    """
    _world()
    if _is_silent(samples, rate):
        return np.zeros_like(samples)
    return _made(samples, rate, taken_apart(samples, rate), mask, random=random)


def taken_apart(samples: FloatSamples, rate: int) -> Apart:
    """Take speech apart.

    Raises:
        PackageMissing: the vocoder is not installed.
    """
    world = _world()
    voice = np.ascontiguousarray(samples, np.float64)
    period = 1000 * FRAME_SECONDS
    pitch, times = world.harvest(voice, rate, f0_floor=60.0, f0_ceil=500.0, frame_period=period)
    envelope = np.log(np.maximum(world.cheaptrick(voice, pitch, times, rate), 1e-16))
    low = _rebinned(envelope, rate / 2, np.linspace(0, TOP_HZ, LOW_BINS))
    return Apart(
        times=times,
        pitch=pitch,
        envelope=envelope,
        breath=world.d4c(voice, pitch, times, rate),
        numbers=low @ envelope_basis(LOW_BINS),
    )


def _made(
    samples: FloatSamples,
    rate: int,
    parts: Apart,
    mask: VoiceMask,
    *,
    random: np.random.Generator,
) -> FloatSamples:
    """Put speech together in another voice, as loud as it was."""
    at = _moved(parts.times, random)
    pitch, rising = _pitch(parts.pitch, mask, random)
    change = _formants(mask, rising, len(parts.times), random)
    envelope = _envelope(parts, _at_16k(samples, rate), rate, change, mask)
    made = _world().synthesize(
        np.ascontiguousarray(_nearest(pitch, at)),
        np.ascontiguousarray(_between(envelope, at)),
        np.ascontiguousarray(_between(parts.breath, at)),
        rate,
        1000 * FRAME_SECONDS,
    )[: len(samples)]
    made = np.pad(made, (0, len(samples) - len(made)))
    return _as_loud(made, _level(samples))


def _as_loud(made: Array, level: float) -> FloatSamples:
    """Bring a voice to a level; peaks are bent, for a made voice has sharper ones than a recorded.

    Halved until they fit, every third voice would be 4 dB too soft.
    """
    loud = made * (level / max(_level(made), SILENT))
    for _ in range(3):
        loud *= level / max(_level(_bent(loud)), SILENT)
    return np.asarray(_bent(loud), np.float32)


def _bent(samples: Array) -> Array:
    """Leave samples up to `BENT_FROM` as they are, and bring all above it below 1."""
    rest = 1 - BENT_FROM
    over = np.maximum(np.abs(samples) - BENT_FROM, 0.0)
    held = np.minimum(np.abs(samples), BENT_FROM)
    return np.asarray(np.copysign(held + rest * np.tanh(over / rest), samples))


def _level(samples: npt.NDArray[Any]) -> float:
    """Measure the root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _is_silent(samples: FloatSamples, rate: int) -> bool:
    if len(samples) < rate // 10:
        return True
    return _level(samples) < SILENT


def _world() -> Any:
    try:
        import pyworld
    except ImportError as error:
        raise PackageMissing(
            "pyworld-prebuilt", needed_for="disguising a voice", extra="voice"
        ) from error
    return pyworld


def _at_16k(samples: FloatSamples, rate: int) -> FloatSamples:
    """Sample speech anew, good enough to tell its phones."""
    if rate == 16_000:
        return samples
    # A windowed sinc that ends at 7.2 kHz, of 4 ms.
    count = round(0.004 * rate) | 1
    taps = np.sinc((np.arange(count) - count // 2) * 14_400 / rate) * np.hamming(count)
    low = np.convolve(samples, taps / taps.sum(), "same")
    at = np.arange(round(len(samples) * 16_000 / rate)) * (rate / 16_000)
    return np.asarray(np.interp(at, np.arange(len(low)), low), np.float32)


def _rebinned(rows: Array, top: float, hz: Array) -> Array:
    """Read rows of values from 0 to `top` Hz at other frequencies, (t, len(hz))."""
    at = np.clip(hz / top, 0, 1) * (rows.shape[1] - 1)
    first = np.minimum(at.astype(np.int64), rows.shape[1] - 2)
    share = at - first
    return np.asarray(rows[:, first] * (1 - share) + rows[:, first + 1] * share)


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


def _envelope(
    parts: Apart, speech: FloatSamples, rate: int, change: Array, mask: VoiceMask
) -> Array:
    """Let strangers say it, move the formants, and tilt the whole; power, (t, b)."""
    known = strangers()
    sounds, _, _ = sounds_of(parts.numbers, speech)
    numbers = known.say(sounds, mask.shares) + mask.shares @ known.means
    numbers[:, 0] = parts.numbers[:, 0]
    low = numbers @ envelope_basis(LOW_BINS).T
    bins = parts.envelope.shape[1]
    hz = np.linspace(0, rate / 2, bins)
    made = _rebinned(low, TOP_HZ, hz)
    # Above, strangers are not known: each moment goes on as the voice does on average.
    above = hz > TOP_HZ
    if above.any():
        usual = parts.envelope.mean(axis=0)
        made[:, above] += usual[above] - np.interp(TOP_HZ, hz, usual)
    return np.asarray(np.exp(_warped(made, hz, change) + _tilted(hz, mask.tilt)))


def _warped(rows: Array, hz: Array, change: Array) -> Array:
    """Multiply the frequencies of each row, by one factor below 1.5 kHz and another above."""
    turn = 1500.0
    made = np.empty_like(rows)
    for row, (low, high) in enumerate(change):
        knee = turn * low
        source = np.where(hz < knee, hz / low, turn + (hz - knee) / high)
        made[row] = np.interp(source, hz, rows[row])
    return made


def _tilted(hz: Array, tilt: Array) -> Array:
    """Sum slow cosines over the logarithm of frequency, in nepers of power."""
    octaves = np.log2(np.maximum(hz, 100.0) / 100.0)
    waves = np.cos(np.pi * np.arange(1, len(tilt) + 1)[:, None] * octaves / octaves[-1])
    return np.asarray(tilt @ waves * (np.log(10.0) / 10.0))


def _between(rows: Array, at: Array) -> Array:
    """Blend the two nearest rows of each place."""
    first = np.floor(at).astype(np.int64)
    share = (at - first)[:, None]
    after = np.minimum(first + 1, len(rows) - 1)
    return np.asarray(rows[first] * (1 - share) + rows[after] * share)


def _nearest(values: Array, at: Array) -> Array:
    return values[np.rint(at).astype(np.int64)]
