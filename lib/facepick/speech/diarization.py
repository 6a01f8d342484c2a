"""Diarization: the voices of a clip, told apart by how they sound.

After Chen and Gopalakrishnan, "Speaker, environment and channel change detection and clustering
via the Bayesian information criterion" (DARPA Broadcast News workshop 1998): each voice is one
Gaussian over cepstra; pieces of speech that one Gaussian explains as well as two are merged, and
a Viterbi path then finds where one voice gives way to another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facepick.speech.acoustic import band_levels

__all__ = ["refined", "voices"]

Array = npt.NDArray[np.float32]
Array64 = npt.NDArray[np.float64]

CEPSTRA = 13
"""From the second on: how loud it is says nothing of the voice."""
LOUD = 0.5
"""Between the quietest and the loudest twentieth of the levels in dB: vowels, mostly."""
PIECE, PAUSE, SHORTEST = 150, 20, 30
"""Columns of 10 ms.  Pieces of up to 1.5 s of vowels end at pauses of 0.2 s; what is shorter than
0.3 s tells too little of its voice to begin with."""
PENALTY = 3.5
"""Of the criterion.  From 3 to 4, people of two built clips (two and three who speak) are told
apart in 98 and 99 of 100 columns, and three people who speak alone stay one voice; below 2.5
voices fall apart."""
CHANGE = 30.0
"""Log likelihood that a change of voice costs: a tenth of a second of clear difference."""
ROUNDS = 4


def voices(samples: Array) -> npt.NDArray[np.int64]:
    """Label the voice that is heard in each column of 10 ms, (t,), from 0; -1 where none is.

    Args:
        samples: (n,) float32 mono at 16 kHz.
    """
    levels = band_levels(samples)
    loudness = levels.mean(axis=1)
    low, high = np.percentile(loudness, [5, 95])
    heard = np.flatnonzero(loudness > low + LOUD * (high - low))
    out = np.full(len(levels), -1)
    if len(heard) < 2 * SHORTEST:
        return out
    x = _cepstra(levels)[heard]
    members = _merged(x, _pieces(heard))
    for _ in range(ROUNDS):
        fits = np.stack([_fit(x, x[rows]) for rows in members], axis=1)
        path = _path(fits)
        members = [np.flatnonzero(path == v) for v in range(len(members))]
        members = [rows for rows in members if len(rows) >= 2 * SHORTEST]
        if len(members) < 2:
            path[:] = 0
            break
    out[heard] = np.unique(path, return_inverse=True)[1]
    return out


NEAR = 80
"""Columns around a change of coarse labels within which the change may lie: half their window."""
BELIEF = 100.0
"""Log likelihood, a column, of the coarse label farther away: as good as certain."""
DOUBT = 0.5
"""The same within that time of the ends of a stretch of speech."""


def refined(samples: Array, coarse: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Place the changes of voice of labels whose changes are known to about a second.

    Args:
        samples: (n,) float32 mono at 16 kHz.
        coarse: (t,) label of each column of 10 ms; -1 where none is.

    Returns:
        (t,) labels, with -1 where they were.
    """
    levels = band_levels(samples)[: len(coarse)]
    if len(levels) < len(coarse):
        levels = np.pad(levels, ((0, len(coarse) - len(levels)), (0, 0)), mode="edge")
    loudness = levels.mean(axis=1)
    low, high = np.percentile(loudness, [5, 95])
    loud = (loudness > low + LOUD * (high - low)) & (coarse >= 0)
    # What is heard for less tells too little of how it sounds: it stays where it was.
    enough = np.flatnonzero(np.bincount(coarse[loud]) >= 2 * SHORTEST)
    kinds = len(enough)
    if kinds < 2:
        return coarse
    heard = np.flatnonzero(loud & np.isin(coarse, enough))
    rough = np.searchsorted(enough, coarse[heard])
    x = _cepstra(levels)[heard]
    fits = np.stack([_fit(x, x[rough == v]) for v in range(kinds)], axis=1)
    changes = np.flatnonzero(np.diff(rough)) + 1
    near = np.zeros(len(heard), bool)
    for change in changes:
        near |= np.abs(heard - heard[change]) <= NEAR
    fits[~near, rough[~near]] += BELIEF
    # The first and last window of a stretch hold a change that no other window sees.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], coarse >= 0, [False]])))
    ends = np.zeros(len(heard), bool)
    for edge in edges:
        ends |= np.abs(heard - edge) <= NEAR
    fits[ends & ~near, rough[ends & ~near]] -= BELIEF - DOUBT
    path = enough[_path(fits)]
    out = coarse.copy()
    out[heard] = path
    # Quiet columns go with the nearest loud one.
    quiet = np.flatnonzero(np.isin(coarse, enough) & ~np.isin(np.arange(len(coarse)), heard))
    after = np.clip(np.searchsorted(heard, quiet), 0, len(heard) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(heard[before] - quiet) <= np.abs(heard[after] - quiet)
    out[quiet] = path[np.where(nearer, before, after)]
    return out


def _cepstra(levels: Array) -> Array64:
    bands = levels.shape[1]
    order, band = np.arange(1, CEPSTRA + 1)[:, None], np.arange(bands)[None]
    basis = np.cos(np.pi * order * (band + 0.5) / bands) * np.sqrt(2.0 / bands)
    # In nepers of power, as cepstra are.
    return np.asarray(levels @ basis.T * (np.log(10.0) / 10.0), np.float64)


def _pieces(heard: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Split rows of `heard` into pieces that lie between pauses."""
    rows = np.arange(len(heard))
    found: list[npt.NDArray[np.int64]] = []
    for run in np.split(rows, np.flatnonzero(np.diff(heard) > PAUSE) + 1):
        found += np.array_split(run, max(1, round(len(run) / PIECE)))
    return [rows for rows in found if len(rows) >= SHORTEST] or [rows]


def _merged(x: Array64, pieces: list[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
    """Merge pieces (rows of x) for as long as the criterion gains by it."""
    d = x.shape[1]
    count = np.array([len(rows) for rows in pieces], float)
    total = np.stack([x[rows].sum(axis=0) for rows in pieces])
    square = np.stack([x[rows].T @ x[rows] for rows in pieces])
    spread = _spread(count, total, square)
    members = list(pieces)

    def costs(i: int) -> Array64:
        """Compute the cost of joining the i-th with each, less what one voice fewer saves."""
        n = count + count[i]
        joined = _spread(n, total + total[i], square + square[i])
        saved = PENALTY * 0.5 * (d + d * (d + 1) / 2) * np.log(n)
        cost = np.asarray(0.5 * (joined - spread - spread[i]) - saved, np.float64)
        cost[i] = np.inf
        return cost

    table = np.stack([costs(i) for i in range(len(members))])
    while len(members) > 1:
        i, j = sorted(int(v) for v in np.unravel_index(table.argmin(), table.shape))
        if table[i, j] > 0:
            break
        count[i] += count[j]
        total[i] += total[j]
        square[i] += square[j]
        members[i] = np.concatenate([members[i], members[j]])
        del members[j]
        count, total, square = (np.delete(a, j, axis=0) for a in (count, total, square))
        spread = _spread(count, total, square)
        table = np.delete(np.delete(table, j, axis=0), j, axis=1)
        table[i] = table[:, i] = costs(i)
    return members


def _spread(count: Array64, total: Array64, square: Array64) -> Array64:
    """Multiply, per voice, columns by the log determinant of their covariance."""
    mean = total / count[:, None]
    covariance = square / count[:, None, None] - mean[:, :, None] * mean[:, None, :]
    return np.asarray(count * np.linalg.slogdet(covariance + 0.01 * np.eye(total.shape[1]))[1])


def _fit(x: Array64, own: Array64) -> Array64:
    """Compute the log likelihood of x under the Gaussian of `own`, (n,)."""
    covariance = np.cov(own.T) + 0.01 * np.eye(x.shape[1])
    off = x - own.mean(axis=0)
    distance = np.einsum("ij,ij->i", off @ np.linalg.inv(covariance), off)
    return np.asarray(-0.5 * (distance + np.linalg.slogdet(covariance)[1]))


def _path(fits: Array64) -> npt.NDArray[np.int64]:
    """Find the best voice per column, (n,); each change costs `CHANGE`."""
    n, count = fits.shape
    source = np.empty((n, count), np.int64)
    row = fits[0]
    for t in range(1, n):
        best = int(row.argmax())
        source[t] = np.where(row >= row[best] - CHANGE, np.arange(count), best)
        row = np.maximum(row, row[best] - CHANGE) + fits[t]
    path = np.empty(n, np.int64)
    path[-1] = row.argmax()
    for t in range(n - 1, 0, -1):
        path[t - 1] = source[t, path[t]]
    return path
