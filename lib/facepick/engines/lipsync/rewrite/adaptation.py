"""Adaptation to a person: what the mouth did for what was heard in the clip itself.

Who speaks is settled first.  Voices are told apart by their sound (`voices.py`); one is the
person's own if the person is in the picture while it speaks and if the general table, which knows
nothing of this person, explains the moves of the mouth by it.  On the frames in which such a
voice speaks, a ridge regression towards the table is fitted: from what the table asks for, from
pauses and from phone classes, all around the moment, to opening, width and jaw.  Little speech
leaves it at the table.  Whether it is of use is told by cross-validation over blocks of time; for
each of them the strength is chosen that predicts the other blocks best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.speech.acoustic import (
    HOP_SECONDS,
    PHONES,
    SAMPLE_RATE,
    phone_scores,
)
from facepick.speech.align import INDEX, phone_posteriors
from facepick.speech.diarization import voices
from facepick.speech.visemes import lips_of, sampled, smooth

__all__ = ["OwnVoice", "listen"]

Array = npt.NDArray[np.float32]
Seconds = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Phones that look alike, in 16 classes.
_CLASSES = (
    "AA AE AW AY", "AH", "AO", "B P M", "CH JH SH ZH", "S Z", "T D N DH TH", "L", "K G NG HH",
    "F V", "EH EY", "IH IY Y", "ER R", "OW OY", "UW UH W", "SIL",
)  # fmt: skip
_SILENT = [INDEX[p] for p in ("SIL", "+NSN+", "+SPN+")]

ASKED_LAGS = (-0.08, -0.04, 0.0, 0.04, 0.08)
CLASS_LAGS = (-0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12)
ASKED_SCALE, CLASS_SCALE = 0.25, 0.15
"""About their deviations in speech; fixed, for a class that is hardly heard in one part of the
clip must not weigh thirty times as much in another."""
ASKED_RIDGE, CLASS_RIDGE = 1.0, 3.0
"""Of the number of frames: five curves tell most and are believed sooner than 16 classes."""
STRENGTHS = (1.0, 10.0, 100.0)
"""Of the ridges; cross-validation chooses.  At 100 the table is hardly left.  Six people of five
clips need all three: at 1 two of them are predicted worse than by the table (by 0.1), at 100 three
hardly better."""
TABLE_GAIN = 0.8
"""Deviations of the mouth per `ASKED_SCALE` of the table's curve, where the regression starts."""

FOLDS, GUARD_SECONDS = 10, 0.4
SAME_SOUND = 0.2
"""Difference of the classes around two moments, below which one repeats the other.  Of repeated
scenes three quarters differ by less than 0.1; where nothing repeats, none by less than 0.24."""
OFFSETS_SECONDS = np.arange(-0.2, 0.201, 0.02)
PAUSE = 0.3
"""Silence, smoothed with a sigma of 0.1 s, from which a frame shows no speech: lips part or smile
in pauses as people please, and the engine has its own rules for silence."""
PAUSE_SECONDS = 0.1
PRESENT = 0.7
"""Of a voice's time: others are heard while the picture shows somebody else."""
OWN_R = 0.25
"""Mean correlation of opening and width with the table's, over all frames of a voice."""
MIN_FRAMES = 100
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
        r: correlation with held-out frames of opening, width and jaw, where the person speaks,
            of moves within a shot.
        table_r: that of the general table's opening on the same frames.
        offset_seconds: by how much the clip's sound lags (positive) its picture.
        share: weight of the regression against the table, in [0, `MAX_SHARE`].
        spoken: (m,) the frames in which the person was found speaking.
    """

    r: tuple[float, float, float]
    table_r: float
    offset_seconds: float
    share: float
    spoken: Mask
    _weights: Array
    _mean: Array

    def shapes(self, posteriors: Array, seconds: Seconds) -> Array:
        """Predict opening, width and jaw in deviations, (n, 3), for speech with these
        posteriors."""
        x = _features(posteriors, seconds) - self._mean
        return np.asarray(x @ self._weights, dtype=np.float32)


def _features(posteriors: Array, seconds: Seconds) -> Array:
    """Collect the table's curves and pauses, and phone classes, around each moment, (n, 5 x 5 +
    7 x 16)."""
    opening, width, closure = lips_of(posteriors)
    silence = posteriors[:, _SILENT].sum(axis=1)
    asked = np.stack([opening, width, closure, smooth(silence, 0.04), smooth(silence, 0.2)], axis=1)
    member = np.zeros((len(PHONES), len(_CLASSES)), np.float32)
    for column, names in enumerate(_CLASSES):
        member[[INDEX[p] for p in names.split()], column] = 1.0
    classes = smooth(posteriors @ member, 0.03)
    return np.hstack(
        [
            _around(asked / ASKED_SCALE, seconds, ASKED_LAGS),
            _around(classes / CLASS_SCALE, seconds, CLASS_LAGS),
        ]
    )


def _around(curves: npt.NDArray[Any], seconds: Seconds, lags: tuple[float, ...]) -> Array:
    """Sample curves (t, columns) at moments `lags` from each of `seconds`, (n, lags x columns)."""
    grid = np.arange(len(curves))
    parts = [
        np.interp((seconds + lag) / HOP_SECONDS, grid, curves[:, c])
        for lag in lags
        for c in range(curves.shape[1])
    ]
    return np.stack(parts, axis=1).astype(np.float32)


_ASKED = 5 * len(ASKED_LAGS)
_TABLE = np.zeros((_ASKED + len(_CLASSES) * len(CLASS_LAGS), 3), np.float32)
_NOW = 5 * ASKED_LAGS.index(0.0)
_TABLE[_NOW, 0] = _TABLE[_NOW + 1, 1] = TABLE_GAIN
_TABLE[_NOW, 2] = 0.8 * TABLE_GAIN
_RIDGES = np.full(len(_TABLE), CLASS_RIDGE, np.float32)
_RIDGES[:_ASKED] = ASKED_RIDGE


def listen(
    original: Array, seconds: Seconds, shape: Array, shots: Numbers | None = None
) -> OwnVoice | None:
    """Fit the regression, or None when too little of the sound is the person's own speech.

    Args:
        original: (n,) float32, the clip's own audio, 16 kHz mono, on the clip's clock.
        seconds: (m,) times of the frames in which the person was seen, rising.
        shape: (m, 3) opening, width and jaw in those frames, in deviations.
        shots: (m,) number of the shot of each frame; one shot by default.
    """
    keep = (seconds < min(MAX_SECONDS, len(original) / SAMPLE_RATE)) & (seconds >= 0)
    shots = np.zeros(len(seconds), np.int64) if shots is None else shots
    seconds, shape, shots = seconds[keep], shape[keep], shots[keep]
    if len(seconds) < MIN_FRAMES:
        return None
    samples = original[: int(min(MAX_SECONDS, len(original) / SAMPLE_RATE) * SAMPLE_RATE)]
    voice = _own_columns(samples, seconds)
    posteriors = _phones(samples, voice)
    shape = _calm(shape, seconds, shots)
    offset, spoken = _spoken(posteriors, voice, seconds, shape, shots)
    if spoken.sum() < MIN_FRAMES:
        return None
    known = keep.copy()
    known[keep] = spoken
    seconds, shots = seconds[spoken], shots[spoken]
    shape = _moves(shape[spoken], shots)
    x = _features(posteriors, seconds + offset)
    mean = x.mean(axis=0)
    folds = list(_folds(seconds, x))
    guesses = np.zeros((len(STRENGTHS), *shape.shape), np.float32)
    for test, rest in folds:
        for guess, strength in zip(guesses, STRENGTHS, strict=True):
            guess[test] = (x[test] - mean) @ _ridge(x[rest], shape[rest], shots[rest], strength)

    def best(rows: Mask) -> int:
        """Choose the strength that predicts these frames' openings best."""
        asked = _moves(shape[rows], shots[rows])[:, 0]
        return int(
            np.argmax([_correlation(_moves(g[rows], shots[rows])[:, 0], asked) for g in guesses])
        )

    held_out = np.zeros_like(shape)
    for test, _ in folds:
        held_out[test] = guesses[best(~test)][test]
    held_out = _moves(held_out, shots)
    r = tuple(_correlation(held_out[:, i], shape[:, i]) for i in range(3))
    table_r = _correlation(_moves(x @ _TABLE, shots)[:, 0], shape[:, 0])
    share = MAX_SHARE * float(np.clip((r[0] - max(MIN_R, table_r)) / 0.15, 0.0, 1.0))
    return OwnVoice(
        r=(r[0], r[1], r[2]),
        table_r=table_r,
        offset_seconds=offset,
        share=share,
        spoken=known,
        _weights=_ridge(x, shape, shots, STRENGTHS[best(np.ones(len(x), bool))]),
        _mean=mean,
    )


def _calm(shape: Array, seconds: Seconds, shots: Numbers) -> Array:
    """Smooth shapes by 0.2, 0.6, 0.2 over frames that follow each other."""
    step = np.diff(seconds)
    joined = (np.diff(shots) == 0) & (step < 1.5 * np.median(step))
    out = shape.copy()
    out[1:][joined] += np.float32(0.2) * (shape[:-1] - shape[1:])[joined]
    out[:-1][joined] += np.float32(0.2) * (shape[1:] - shape[:-1])[joined]
    return out


def _moves(values: Array, shots: Numbers) -> Array:
    """Subtract the mean over the shot: light, pose and mood differ from shot to shot."""
    out = values.copy()
    for shot in np.unique(shots):
        out[shots == shot] -= values[shots == shot].mean(axis=0)
    return out


def _own_columns(samples: Array, seconds: Seconds) -> Numbers:
    """Choose the voice of each column, or of the nearest that has one, (t,).

    -1 for voices of people who speak while this person is not in the picture.
    """
    heard = voices(samples)
    columns = np.flatnonzero(heard >= 0)
    if not len(columns):
        return heard
    at = np.clip(np.searchsorted(seconds, columns * HOP_SECONDS), 1, len(seconds) - 1)
    moment = columns * HOP_SECONDS
    distance = np.minimum(abs(seconds[at - 1] - moment), abs(seconds[at] - moment))
    for voice in range(int(heard.max()) + 1):
        if (distance[heard[columns] == voice] < 0.1).mean() < PRESENT:
            heard[heard == voice] = -2
    middle = (columns[1:] + columns[:-1]) // 2
    nearest = columns[np.searchsorted(middle, np.arange(len(heard)))]
    return np.asarray(np.maximum(heard[nearest], -1))


def _phones(samples: Array, voice: Numbers) -> Array:
    """Compute (t, 42) phone posteriors, each voice listened to by itself.

    For the listener adapts itself to the microphone and the speaker; silence where voice is -1.
    """
    hop = round(HOP_SECONDS * SAMPLE_RATE)
    columns = np.pad(samples, (0, len(voice) * hop - len(samples))).reshape(-1, hop)
    posteriors = np.zeros((len(voice), len(PHONES)), np.float32)
    posteriors[:, INDEX["SIL"]] = 1.0
    for name in np.unique(voice[voice >= 0]):
        own = voice == name
        posteriors[own] = phone_posteriors(phone_scores(columns[own].ravel()))
    return posteriors


def _spoken(
    posteriors: Array, voice: Numbers, seconds: Seconds, shape: Array, shots: Numbers
) -> tuple[float, Mask]:
    """Find the clip's offset, and the frames (m,) in which the person speaks."""
    opening, width, _ = lips_of(posteriors)
    pause = smooth(posteriors[:, _SILENT].sum(axis=1), PAUSE_SECONDS)
    names = np.unique(voice[voice >= 0])
    r = np.zeros((len(names), len(OFFSETS_SECONDS)))
    masks = np.zeros((len(names), len(OFFSETS_SECONDS), len(seconds)), bool)
    for j, offset in enumerate(OFFSETS_SECONDS):
        at = np.clip(((seconds + offset) / HOP_SECONDS).astype(int), 0, len(voice) - 1)
        asked = np.stack([sampled(c, seconds + offset) for c in (opening, width)], axis=1)
        for i, name in enumerate(names):
            mask = masks[i, j] = (voice[at] == name) & (pause[at] < PAUSE)
            if mask.sum() >= MIN_FRAMES:
                a, b = _moves(asked[mask], shots[mask]), _moves(shape[mask], shots[mask])
                r[i, j] = np.mean([_correlation(a[:, c], b[:, c]) for c in range(2)])
    if not len(names):
        return 0.0, np.zeros(len(seconds), bool)
    # The offset that explains the largest part of the mouth's moves, over all voices.
    weight = masks.sum(axis=(1, 2))[:, None]
    best = int((weight * np.maximum(r, 0.0) ** 2).sum(axis=0).argmax())
    return float(OFFSETS_SECONDS[best]), masks[r[:, best] > OWN_R, best].any(axis=0)


def _folds(seconds: Seconds, x: Array) -> Iterator[tuple[Mask, Mask]]:
    """Choose blocks of time to predict, each with the frames to learn from.

    None of these is near, and none repeats its sound, for clips may show a scene twice.
    """
    sound = x[:, _ASKED:] * CLASS_SCALE
    for rows in np.array_split(np.arange(len(seconds)), FOLDS):
        test = np.zeros(len(seconds), bool)
        test[rows] = True
        low, high = seconds[rows[0]] - GUARD_SECONDS, seconds[rows[-1]] + GUARD_SECONDS
        rest = (seconds < low) | (seconds > high)
        for row in np.flatnonzero(rest):
            difference = abs(sound[row] - sound[rows]).sum(axis=1) / len(CLASS_LAGS)
            if difference.min() < SAME_SOUND:
                rest &= abs(seconds - seconds[row]) > GUARD_SECONDS
        yield test, rest


def _ridge(x: Array, y: Array, shots: Numbers, strength: float) -> Array:
    """Fit (d, 3) weights, drawn to the table's by `strength` times `_RIDGES`."""
    x, y = _moves(x, shots), _moves(y, shots)
    gram = x.T @ x + np.diag(strength * len(x) * _RIDGES)
    return np.asarray(_TABLE + np.linalg.solve(gram, x.T @ (y - x @ _TABLE)), dtype=np.float32)


def _correlation(a: Array, b: Array) -> float:
    if len(a) < 2 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
