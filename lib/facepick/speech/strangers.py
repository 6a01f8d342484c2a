"""Envelopes of strangers' voices, found by what is said: voice conversion by nearest neighbours.

A moment of speech is replaced by the mean of the most alike moments of other people, as in Baas,
van Niekerk and Kamper, "Voice Conversion With Just Nearest Neighbors" (Interspeech 2023), with
cepstra and phones in place of a learnt network.  Many moments of the voice become the same moment
of the stranger, so that there is no way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.speech.acoustic import phone_scores
from facepick.speech.align import phone_posteriors

__all__ = ["CEPSTRA", "FRAME_SECONDS", "TOP_HZ", "Strangers", "envelope_basis", "sounds_of"]

Array = npt.NDArray[np.float64]
Halves = npt.NDArray[np.float16]

FRAME_SECONDS = 0.005
TOP_HZ = 8000.0
CEPSTRA = 24
"""Numbers of an envelope up to `TOP_HZ`: formants are told by about 13."""
HEARD = 13
"""So many of them, loudness aside, say how alike two moments sound."""
PHONE_WEIGHT = 4.0
"""Of the roots of phone likelihoods beside cepstra in deviations: moments that sound alike and
are other phones lose the words."""
NEIGHBOURS = 8
STEADY = (0.1, 0.2, 0.4, 0.2, 0.1)
"""Neighbours jump from moment to moment, mouths do not: 25 ms."""
LOUD_SHARE = 0.6

FILE = Path(__file__).with_name("data") / "strangers.npz"


@dataclass(frozen=True, eq=False)
class Strangers:
    """Moments of several people's speech.

    Attributes:
        numbers: (n, CEPSTRA) float16, cepstra of log envelopes less the person's mean.
        sounds: (n, HEARD + 42) float16, see `sounds_of`.
        people: (n,) uint8, whose.
        means: (p, CEPSTRA) float64, the people's mean cepstra.
        names: (p,) where each comes from.
    """

    numbers: Halves
    sounds: Halves
    people: npt.NDArray[np.uint8]
    means: Array
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def load(cls, path: Path = FILE) -> Strangers:
        """Load the voices that come with the program."""
        with np.load(path, allow_pickle=False) as file:
            return cls(
                numbers=file["numbers"],
                sounds=file["sounds"],
                people=file["people"],
                means=file["means"].astype(np.float64),
                names=tuple(str(name) for name in file["names"]),
            )

    def say(self, sounds: Array, shares: Array) -> Array:
        """Say the same with a mix of these voices.

        Args:
            sounds: (t, HEARD + 42) of what is to be said.
            shares: (p,) of each person in the mix, sum 1.

        Returns:
            (t, CEPSTRA) cepstra less their mean; the first, loudness, is 0.
        """
        made = np.zeros((len(sounds), CEPSTRA))
        for person, share in enumerate(shares):
            if share > 0:
                own = self.people == person
                made += share * _nearest(sounds, self.sounds[own], self.numbers[own])
        edge = len(STEADY) // 2
        padded = np.pad(made, ((edge, edge), (0, 0)), mode="edge")
        steady = np.zeros_like(made)
        for i, weight in enumerate(STEADY):
            steady += weight * padded[i : i + len(sounds)]
        steady[:, 0] = 0.0
        return steady


@cache
def strangers() -> Strangers:
    """Load them once."""
    return Strangers.load()


def _nearest(sounds: Array, known: Halves, numbers: Halves) -> Array:
    """Average the numbers of the most alike moments, 500 moments at a time."""
    others, values = known.astype(np.float32), numbers.astype(np.float64)
    squares = np.square(others).sum(axis=1)
    made = np.empty((len(sounds), values.shape[1]))
    for start in range(0, len(sounds), 500):
        part = sounds[start : start + 500].astype(np.float32)
        far = squares[None] - 2 * part @ others.T
        best = np.argpartition(far, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        made[start : start + 500] = values[best].mean(axis=1)
    return made


def envelope_basis(bins: int) -> Array:
    """Build an orthonormal basis of slow cosines over mel-warped bins from 0 to `TOP_HZ`.

    Returns:
        (bins, CEPSTRA).
    """
    warped = np.log1p(np.linspace(0, TOP_HZ, bins) / 700.0)
    waves = np.cos(np.pi * np.arange(CEPSTRA)[None] * (warped / warped[-1])[:, None])
    return np.asarray(np.linalg.qr(waves)[0])


def sounds_of(
    numbers: Array, speech: npt.NDArray[np.float32]
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Describe moments by what is heard in them, whoever says it.

    Args:
        numbers: (t, CEPSTRA) cepstra of the envelopes, one each `FRAME_SECONDS`.
        speech: (n,) float32 mono at 16 kHz, the same stretch.

    Returns:
        (t, HEARD + 42) cepstra in deviations from their mean and roots of phone likelihoods by
        weight; (CEPSTRA,) the mean of the loud moments; (t,) whether a moment is loud.
    """
    loud = numbers[:, 0] >= np.quantile(numbers[:, 0], 1 - LOUD_SHARE)
    mean, spread = numbers[loud].mean(axis=0), numbers[loud].std(axis=0)
    heard = ((numbers - mean) / np.maximum(spread, 1e-3))[:, 1 : HEARD + 1]
    phones = np.sqrt(phone_posteriors(phone_scores(speech)))
    seconds = len(speech) / 16_000
    at = np.arange(len(numbers)) * FRAME_SECONDS * len(phones) / max(seconds, 1e-3)
    phones = phones[np.clip(at.astype(np.int64), 0, len(phones) - 1)]
    return np.hstack([heard, PHONE_WEIGHT * phones]), mean, loud
