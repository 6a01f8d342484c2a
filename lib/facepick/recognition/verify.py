"""Verification that two photos show one person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facepick.faces.detection import FloatArray
from facepick.recognition.metrics import Metric, distance
from facepick.recognition.pipeline import Recognizer, SeenFace
from facepick.recognition.thresholds import Threshold, find_threshold

__all__ = ["Verdict", "threshold_of", "verify"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Verdict:
    """The answer and what led to it.

    Attributes:
        same: held to be one person.
        distance: between the embeddings.
        threshold: up to which they are one person, and where that was measured.
        confidence: in [0, 1], of the answer that is given.
        faces: what was seen in either photo.
        embeddings: of either face, as the network gave them.
    """

    same: bool
    distance: float
    threshold: Threshold
    confidence: float
    faces: tuple[SeenFace, SeenFace]
    embeddings: tuple[FloatArray, FloatArray]


def threshold_of(recognizer: Recognizer, metric: Metric) -> Threshold:
    """Find the threshold of a recognizer.

    Raises:
        UserInputError when none is known.
    """
    return find_threshold(
        detector=recognizer.detector.id,
        alignment=recognizer.alignment,
        model=recognizer.embedder.id,
        version=recognizer.version,
        metric=metric,
        embedder=recognizer.embedder,
    )


def verify(
    a: Path | str, b: Path | str, recognizer: Recognizer, *, metric: Metric = "cosine"
) -> Verdict:
    """Compare the main faces of two photos.

    Raises:
        UserInputError: a photo cannot be read, or no threshold is known.
        NoFacesFound: nobody is in one of them.
    """
    threshold = threshold_of(recognizer, metric)
    first, x = recognizer.describe(a)
    second, y = recognizer.describe(b)
    apart = distance(x, y, metric)
    same = apart <= threshold.threshold
    chance = threshold.confidence(apart)
    return Verdict(
        same=same,
        distance=apart,
        threshold=threshold,
        confidence=chance if same else 1.0 - chance,
        faces=(first, second),
        embeddings=(x, y),
    )
