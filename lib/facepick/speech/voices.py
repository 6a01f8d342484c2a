"""The voices of a video, one label for every moment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facepick.models.store import ModelStore
from facepick.progress import CancelToken, never
from facepick.speech.diarization import voices as voices_by_cepstra
from facepick.speech.face_watch import Watched
from facepick.speech.speakers import moments_of

__all__ = ["voice_labels"]

Array = npt.NDArray[np.float32]


def voice_labels(
    samples: Array,
    watched: Watched,
    models: ModelStore,
    *,
    count: int | None = None,
    cancel: CancelToken = never,
) -> npt.NDArray[np.int64]:
    """Tell apart the voices that are heard.

    Args:
        samples: (n,) float32 mono at 16 kHz.

    Returns:
        (moments,) int64, numbered from 0; -1 where none is known.
    """
    if not len(samples):
        return np.full(watched.moments, -1)
    return moments_of(voices_by_cepstra(samples), watched.moments)
