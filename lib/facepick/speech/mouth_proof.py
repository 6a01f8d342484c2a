"""Proof that a mouth says what a voice says, against chance.

A mouth that talks and a voice that is heard go together now and then even if they have nothing to
do with each other, as those of a narrator and of the face that is shown.  Over all that a voice
says, the correlation of the mouth with the sound of the same time is therefore held against that
with the same sound at other times: how many deviations it stands out tells how surely it is no
accident.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facepick.speech.active_speaker import FRAMES_PER_SECOND

__all__ = ["LAG_MOMENTS", "proof", "steadied"]

Array = npt.NDArray[np.float64]

LAG_MOMENTS = 3
"""Mouth and sound are compared at the best of +-3 moments."""
LEAST_MOMENTS = 4 * FRAMES_PER_SECOND
"""Less speech proves nothing: in 4 s there are a dozen syllables."""
LEAST_MOTION = 0.009
"""Deviation of a `steadied` opening below which a mouth is shut: what the mesh scatters is 0.006,
and by accident that went together with one of five foreign voices.  Mouths that spoke moved by
0.013 to 0.065."""
_STEADY = FRAMES_PER_SECOND
"""Moments over whose mean a curve is held: syllables are compared, not how a head is turned."""
_FAR = FRAMES_PER_SECOND
"""Moments from which on the sound is another one."""


def steadied(curve: npt.NDArray[np.floating]) -> Array:
    """Take its mean over a second around each moment off a curve, (n,)."""
    width = min(_STEADY, len(curve))
    total = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])
    first = np.maximum(np.arange(len(curve)) - width // 2, 0)
    last = np.minimum(np.arange(len(curve)) + width - width // 2, len(curve))
    return np.asarray(curve - (total[last] - total[first]) / (last - first))


def proof(mouth: Array, heard: Array, spoken: npt.NDArray[np.bool_]) -> float | None:
    """Tell how far the agreement of a mouth and a voice stands out of chance.

    Args:
        mouth: (n,) opening, `steadied`; NaN where it is not known.
        heard: (n,) openness of what is heard, `steadied`.
        spoken: (n,) where the voice speaks.

    Returns:
        Deviations above what the same sounds at other times give, of a mouth that is shut 0 at
        most; None for too little speech.
    """
    at = np.flatnonzero(spoken & np.isfinite(mouth))
    if len(at) < LEAST_MOMENTS:
        return None
    x = mouth[at] - mouth[at].mean()
    own = heard[at]
    now = _best(x, [heard[np.clip(at + lag, 0, len(heard) - 1)] for lag in _LAGS])
    chance = [
        _best(x, [np.roll(own, shift + lag) for lag in _LAGS])
        for shift in range(_FAR, len(at) - _FAR, LAG_MOMENTS)
    ]
    spread = max(float(np.std(chance)), 1e-3)
    found = (now - float(np.mean(chance))) / spread
    return found if x.std() >= LEAST_MOTION else min(found, 0.0)


_LAGS = range(-LAG_MOMENTS, LAG_MOMENTS + 1)


def _best(x: Array, sounds: list[Array]) -> float:
    """Give the largest correlation with any of the sounds."""
    y = np.stack(sounds)
    y = y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x * x).sum() * (y * y).sum(axis=1))
    return float((y @ x / np.maximum(scale, 1e-9)).max())
