"""Pieces of a speech front end: mel scales, triangular bands, cosine transform, power of windows.

Every network and acoustic model hears through the front end that it was trained on, with edges,
windows and floors of its own; what they share stands here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "cosine_transform",
    "htk_hz",
    "htk_mel",
    "power_spectrum",
    "slaney_hz",
    "slaney_mel",
    "triangles",
    "windows",
]

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]

# Slaney's scale: 3 mels per 200 Hz up to 1 kHz (15 mels), above it 27 mels per factor of 6.4.
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_HZ_PER_MEL = 200.0 / 3.0
_LOG_STEP = float(np.log(6.4) / 27.0)


def htk_mel(hz: npt.ArrayLike) -> Doubles:
    """Convert Hz to mels as HTK, Kaldi and Sphinx do (O'Shaughnessy 1987).

    >>> float(htk_mel(700.0).round(2))
    781.17
    """
    return 2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0)


def htk_hz(mel: npt.ArrayLike) -> Doubles:
    """Convert mels back to Hz, see `htk_mel`."""
    return 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)


def slaney_mel(hz: npt.ArrayLike) -> Doubles:
    """Convert Hz to mels as Slaney's *Auditory Toolbox* (1998) and librosa do.

    >>> slaney_mel([200.0, 1000.0, 6400.0]).tolist()
    [3.0, 15.0, 42.0]
    """
    hz = np.asarray(hz, np.float64)
    above = _KNEE_MEL + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hz < _KNEE_HZ, hz / _HZ_PER_MEL, above)


def slaney_hz(mel: npt.ArrayLike) -> Doubles:
    """Convert mels back to Hz, see `slaney_mel`."""
    mel = np.asarray(mel, np.float64)
    logarithmic = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, logarithmic)


def triangles(edges: Doubles, bins: Floats, *, unit_area: bool = False) -> Doubles:
    """Build triangular bands, (n, m): each rises from its first edge to 1 and falls to its third.

    Args:
        edges: (n + 2,) rising, of neighbouring bands.
        bins: (m,) places of the spectrum's bins, in the unit of the edges.
        unit_area: make every band's area 1 in that unit.
    """
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    bands = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(bands * (2.0 / (right - left)) if unit_area else bands)


def cosine_transform(count: int, bands: int) -> Doubles:
    """Build the first `count` rows of the orthonormal DCT-II over `bands` values, (count, bands).

    >>> import numpy as np
    >>> rows = cosine_transform(4, 4)
    >>> bool(np.allclose(rows @ rows.T, np.eye(4)))
    True
    """
    k, n = np.arange(count)[:, None], np.arange(bands)
    rows = np.cos(np.pi * k * (n + 0.5) / bands) * np.sqrt(2.0 / bands)
    rows[0] /= np.sqrt(2.0)
    return np.asarray(rows)


def windows(samples: Floats, length: int, hop: int) -> Floats:
    """View every `length` samples that begin `hop` apart, (count, length)."""
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


def power_spectrum(frames: Floats, size: int) -> Doubles:
    """Compute squared magnitudes of windows (count, length), (count, size // 2 + 1)."""
    return np.asarray(np.abs(np.fft.rfft(frames, size, axis=1)) ** 2)
