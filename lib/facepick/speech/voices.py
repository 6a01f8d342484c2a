"""The voices of a video, one label for every moment.

With CAM++ (`facepick.speech.speaker_embedding`, ``facepick models fetch speakers``) windows of
speech are embedded and clustered by average linkage; without it voices are told apart by their
cepstra (`facepick.speech.diarization`), less surely.  Windows tell a change of voice to about a
second; the cepstra place it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.models.catalog import CAM_PLUS_PLUS
from facepick.models.store import ModelStore
from facepick.progress import CancelToken, never
from facepick.speech.active_speaker import FRAMES_PER_SECOND as RATE
from facepick.speech.diarization import refined
from facepick.speech.diarization import voices as voices_by_cepstra
from facepick.speech.face_watch import Watched
from facepick.speech.speaker_embedding import WINDOW_SECONDS, SpeakerEmbedder
from facepick.speech.speakers import moments_of

__all__ = ["HeardVoices", "clustered", "tell_voices"]

Array = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_SAMPLES_PER_SECOND = 16_000
STEP_SECONDS = 0.5
"""Between windows."""
SAME_VOICE = 0.45
"""Mean cosine of two voices' windows from which they are one."""
SMALLEST_SECONDS = 2.0
"""A voice that is heard for less is that of the nearest, unless it is unlike all others."""
UNLIKE = 0.35
"""Cosine.  Voices of different people come to 0.2 at most, of half of one and half of another to
0.5 or more."""
_AT_ONCE = 300
"""Windows that are clustered directly; of more, parts are, and then what they gave."""


@dataclass(frozen=True, eq=False)
class HeardVoices:
    """The voices of a video.

    Attributes:
        labels: (moments,) int64, whose voice is heard, numbered from 0; -1 where none is known.
        prints: (voices, 192) float32 of length 1, how each sounds; (0, 192) without CAM++.
    """

    labels: Numbers
    prints: Array

    @classmethod
    def unprinted(cls, labels: Numbers) -> HeardVoices:
        """Make voices of which only is known who is one."""
        return cls(labels, np.zeros((0, 192), np.float32))


def tell_voices(
    samples: Array,
    watched: Watched,
    models: ModelStore,
    *,
    count: int | None = None,
    cancel: CancelToken = never,
) -> HeardVoices:
    """Tell apart the voices that are heard.

    Args:
        samples: (n,) float32 mono at 16 kHz.
        count: how many voices there are, if that is known; needs CAM++.
    """
    nobody = HeardVoices.unprinted(np.full(watched.moments, -1))
    if not len(samples):
        return nobody
    path = models.find(CAM_PLUS_PLUS)
    if path is None:
        return HeardVoices.unprinted(moments_of(voices_by_cepstra(samples), watched.moments))
    embedder = SpeakerEmbedder(path)
    starts = list(_windows(watched))
    length = round(WINDOW_SECONDS * _SAMPLES_PER_SECOND)
    parts = []
    for at in range(0, len(starts), 64):
        cancel.raise_if_cancelled()
        pieces = [_piece(samples, s, length) for s, _ in starts[at : at + 64]]
        parts.append(embedder.embed(np.stack(pieces)))
    if not parts:
        return nobody
    embedded = np.concatenate(parts)
    labels = clustered(embedded, count=count)
    rough = _spread(embedded, labels, starts, watched.moments)
    step = 100 // RATE
    fine = moments_of(refined(samples, np.repeat(rough, step)), watched.moments)
    return HeardVoices(fine, _centres(embedded, labels))


def _windows(watched: Watched) -> Iterator[tuple[float, float]]:
    """Start and end, in seconds, of the windows of each stretch of speech."""
    for part in watched.speech:
        room = part.stop - part.start - WINDOW_SECONDS
        steps = max(0, int(np.ceil(room / STEP_SECONDS)))
        for i in range(steps + 1):
            start = part.start + (room * i / steps if steps else 0.0)
            yield start, min(start + WINDOW_SECONDS, part.stop)


def _piece(samples: Array, start: float, length: int) -> Array:
    """One window; where the sound ends it is filled up with itself."""
    first = max(0, round(start * _SAMPLES_PER_SECOND))
    part = samples[first : first + length]
    if len(part) == length:
        return part
    return np.resize(part if len(part) else samples, length).astype(np.float32)


def clustered(embedded: Array, *, count: int | None = None) -> Numbers:
    """Cluster embeddings of length 1 by average linkage.

    Args:
        embedded: (n, d) float32.
        count: of clusters, or None for as many as are unlike.

    Returns:
        (n,) labels from 0, the largest cluster first.
    """
    groups: list[Numbers] = []
    for start in range(0, len(embedded), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(embedded)))
        whole = len(embedded) <= _AT_ONCE
        groups += [
            rows[own]
            for own in _linked(
                embedded[rows], [np.array([i]) for i in range(len(rows))], count if whole else None
            )
        ]
    if len(embedded) > _AT_ONCE:
        groups = _linked(embedded, groups, count)
    smallest = SMALLEST_SECONDS / STEP_SECONDS
    big = [g for g in groups if len(g) >= smallest] if count is None else groups
    big = sorted(big or groups, key=lambda g: (-len(g), g[0]))
    if count is None and len(big) < len(groups):
        centres = _means(embedded, big)
        small = [g for g in groups if len(g) < smallest]
        big += [g for g in small if (_means(embedded, [g]) @ centres.T).max() < UNLIKE]
    centres = _means(embedded, big)
    labels = (embedded @ centres.T).argmax(axis=1)
    for number, group in enumerate(big):
        labels[group] = number
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(-1), np.int64)


def _linked(embedded: Array, groups: Sequence[Numbers], count: int | None) -> list[Numbers]:
    """Join the two groups that are most alike for as long as they are one voice."""
    members = list(groups)
    total = np.stack([embedded[g].sum(axis=0) for g in members]).astype(np.float64)
    size = np.array([len(g) for g in members], float)
    alike = total @ total.T / np.outer(size, size)
    np.fill_diagonal(alike, -2.0)
    while len(members) > 1:
        i, j = sorted(int(v) for v in np.unravel_index(alike.argmax(), alike.shape))
        if len(members) <= count if count is not None else alike[i, j] < SAME_VOICE:
            break
        members[i] = np.concatenate([members[i], members.pop(j)])
        total[i] += total[j]
        size[i] += size[j]
        total, size = np.delete(total, j, axis=0), np.delete(size, j)
        alike = np.delete(np.delete(alike, j, axis=0), j, axis=1)
        row = total @ total[i] / (size * size[i])
        row[i] = -2.0
        alike[i], alike[:, i] = row, row
    return members


def _means(embedded: Array, groups: Sequence[Numbers]) -> Array:
    """Give the mean of each group, (groups, d) of length 1."""
    means = np.stack([embedded[g].mean(axis=0) for g in groups])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def _centres(embedded: Array, labels: Numbers) -> Array:
    """Give the mean of each voice's windows, (voices, 192) of length 1."""
    return _means(embedded, [np.flatnonzero(labels == k) for k in range(int(labels.max()) + 1)])


def _spread(
    embedded: Array, labels: Numbers, starts: Sequence[tuple[float, float]], moments: int
) -> Numbers:
    """Give each moment the voice that the windows over it, most of all their middles, are like."""
    centres = _centres(embedded, labels)
    kinds = len(centres)
    likeness = embedded @ centres.T
    score = np.zeros((moments, kinds))
    weight = np.zeros(moments)
    for (start, stop), like in zip(starts, likeness, strict=True):
        first, last = max(0, round(start * RATE)), min(moments, round(stop * RATE))
        if last <= first:
            continue
        at = np.linspace(-1, 1, last - first) if last - first > 1 else np.zeros(1)
        near = np.maximum(0.05, 1 - np.abs(at))
        score[first:last] += near[:, None] * like
        weight[first:last] += near
    return np.asarray(np.where(weight > 0, score.argmax(axis=1), -1), np.int64)
