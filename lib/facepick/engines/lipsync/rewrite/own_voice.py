"""What this person's mouth did for what was heard in the clip itself.

A ridge regression from phone classes around a moment to opening, width and jaw, fitted on the
frames in which the person is seen and heard.  Clips in which several people talk hold each voice
in some of their shots only, so blocks of four seconds are asked whether the general table explains
their mouths, all at one offset; the others are somebody else's speech.  Whether the regression is
of use is told by cross-validation: each block is predicted from the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.rewrite.acoustic import (
    HOP_SECONDS,
    PHONES,
    SAMPLE_RATE,
    phone_scores,
)
from facepick.engines.lipsync.rewrite.phones import INDEX, phone_posteriors
from facepick.engines.lipsync.rewrite.targets import lips_of, sampled, smooth, stop_dips

__all__ = ["OwnVoice", "listen"]

Array = npt.NDArray[np.float32]

# Phones that look alike, in 16 classes.
_CLASSES = (
    "AA AE AW AY", "AH", "AO", "B P M", "CH JH SH ZH", "S Z", "T D N DH TH", "L", "K G NG HH",
    "F V", "EH EY", "IH IY Y", "ER R", "OW OY", "UW UH W", "SIL",
)  # fmt: skip
LAGS_SECONDS = (-0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12)
RIDGE = 1.0
"""Of the number of frames; 0.1 overfits 20 s of speech (held-out r 0.68 against 0.72)."""
BLOCK_SECONDS, GUARD_SECONDS = 4.0, 0.3
OFFSETS_SECONDS = np.arange(-0.2, 0.201, 0.02)
OWN_R, MIN_BLOCK = 0.35, 50
"""A block of at least 50 frames is the person's own speech if the table's opening correlates with
the mouth by more than this.  With sound of other clips, or shifted by seconds, one block in eight
does by chance, too few to learn from; that which is learned from them predicts nothing (held-out
r at most 0.1)."""
MIN_FRAMES = 150
MAX_SECONDS = 180.0
"""Three minutes hold every sound many times over; more only costs time."""
MIN_R = 0.6
"""Held out.  What a few seconds teach at less is no better a guide than the table."""
MAX_SHARE = 0.4
"""The regression knows one voice's habits from little material; the table knows all phones."""


@dataclass(frozen=True, eq=False)
class OwnVoice:
    """The regression and how far it may be trusted.

    Attributes:
        r: correlation with held-out frames of opening, width and jaw, where the person speaks.
        table_r: that of the general table's opening on the same frames.
        offset_seconds: by how much the clip's sound lags (positive) its picture.
        share: weight of the regression against the table, in [0, `MAX_SHARE`].
    """

    r: tuple[float, float, float]
    table_r: float
    offset_seconds: float
    share: float
    _weights: Array
    _mean: Array
    _deviation: Array

    def shapes(self, posteriors: Array, seconds: npt.NDArray[np.float64]) -> Array:
        """(n, 3) opening, width and jaw in deviations, for speech with these posteriors."""
        x = (_features(posteriors, seconds) - self._mean) / self._deviation
        return np.asarray(x @ self._weights, dtype=np.float32)


def _features(posteriors: Array, seconds: npt.NDArray[np.float64]) -> Array:
    """(n, 7 x 16) phone classes at `LAGS_SECONDS` around each moment."""
    member = np.zeros((len(PHONES), len(_CLASSES)), np.float32)
    for column, names in enumerate(_CLASSES):
        member[[INDEX[p] for p in names.split()], column] = 1.0
    classes = smooth(posteriors @ member, 0.03)
    grid = np.arange(len(classes))
    parts = [
        np.interp((seconds + lag) / HOP_SECONDS, grid, classes[:, c])
        for lag in LAGS_SECONDS
        for c in range(classes.shape[1])
    ]
    return np.stack(parts, axis=1).astype(np.float32)


def listen(original: Array, seconds: npt.NDArray[np.float64], shape: Array) -> OwnVoice | None:
    """Fit the regression, or None when too little of the sound is the person's own speech.

    Args:
        original: (n,) float32, the clip's own audio, 16 kHz mono, on the clip's clock.
        seconds: (m,) times of the frames in which the person was seen.
        shape: (m, 3) opening, width and jaw in those frames, in deviations.
    """
    keep = (seconds < min(MAX_SECONDS, len(original) / SAMPLE_RATE)) & (seconds >= 0)
    seconds, shape = seconds[keep], shape[keep]
    if len(seconds) < MIN_FRAMES:
        return None
    samples = original[: int(min(MAX_SECONDS, len(original) / SAMPLE_RATE) * SAMPLE_RATE)]
    posteriors = phone_posteriors(phone_scores(samples))
    opening, _, _ = lips_of(posteriors, dips=stop_dips(samples))
    blocks = (seconds // BLOCK_SECONDS).astype(int)
    offset, spoken = _spoken(opening, seconds, shape[:, 0], blocks)
    if spoken.sum() < MIN_FRAMES:
        return None
    seconds, shape, blocks = seconds[spoken], shape[spoken], blocks[spoken]
    table_r = _correlation(sampled(opening, seconds + offset), shape[:, 0])
    shape = shape - shape.mean(axis=0)
    x = _features(posteriors, seconds + offset)
    mean, deviation = x.mean(axis=0), x.std(axis=0) + np.float32(1e-3)
    x = (x - mean) / deviation
    guess = np.zeros_like(shape)
    for block in np.unique(blocks):
        test = blocks == block
        low, high = seconds[test].min() - GUARD_SECONDS, seconds[test].max() + GUARD_SECONDS
        rest = (seconds < low) | (seconds > high)
        if rest.sum() >= MIN_FRAMES // 2:
            guess[test] = x[test] @ _ridge(x[rest], shape[rest])
    r = tuple(_correlation(guess[:, i], shape[:, i]) for i in range(3))
    share = MAX_SHARE * float(np.clip((r[0] - max(MIN_R, table_r)) / 0.15, 0.0, 1.0))
    return OwnVoice(
        r=(r[0], r[1], r[2]),
        table_r=table_r,
        offset_seconds=offset,
        share=share,
        _weights=_ridge(x, shape),
        _mean=mean,
        _deviation=deviation,
    )


def _spoken(
    opening: Array, seconds: npt.NDArray[np.float64], mouth: Array, blocks: npt.NDArray[np.int64]
) -> tuple[float, npt.NDArray[np.bool_]]:
    """The clip's offset and the frames (m,) in which the person is the one who is heard."""
    names, counts = np.unique(blocks, return_counts=True)
    names, counts = names[counts >= MIN_BLOCK], counts[counts >= MIN_BLOCK]
    if not len(names):
        return 0.0, np.zeros(len(blocks), bool)
    found = np.array(
        [
            [_correlation(sampled(opening, seconds[at] + o), mouth[at]) for o in OFFSETS_SECONDS]
            for at in (blocks == name for name in names)
        ]
    )
    # The offset that explains the largest part of the mouth's moves, over all blocks.
    best = int((counts[:, None] * np.maximum(found, 0.0) ** 2).sum(axis=0).argmax())
    return float(OFFSETS_SECONDS[best]), np.isin(blocks, names[found[:, best] > OWN_R])


def _ridge(x: Array, y: Array) -> Array:
    gram = x.T @ x + RIDGE * len(x) * np.eye(x.shape[1], dtype=np.float32)
    return np.asarray(np.linalg.solve(gram, x.T @ y), dtype=np.float32)


def _correlation(a: Array, b: Array) -> float:
    if a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
