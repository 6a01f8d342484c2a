"""Classifiers: who of some known people a face is, by voting, a linear SVM or nearest centroids.

A classifier learns whom a face is most like.  Whether it is that person at all is told by the
calibrated distance to the nearest picture of the person, for every one of them alike: an SVM knows
the people that it was trained on and no others, and would give each stranger a name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import NoFacesFound, PackageMissing, UserInputError
from facepick.faces.detection import FloatArray
from facepick.recognition.cast import Cast, Match, vote
from facepick.recognition.thresholds import Threshold

__all__ = ["CLASSIFIERS", "Identification", "classifier", "identify"]

CLASSIFIERS = ("vote", "svm", "centroid")

Classifier = Callable[[FloatArray], Match]
"""Tells who is shown by embeddings (m, d) of one unknown person."""


def classifier(
    kind: str,
    matrix: FloatArray,
    names: Sequence[str],
    weights: FloatArray,
    threshold: Threshold,
) -> Classifier:
    """Train a classifier.

    Args:
        kind: one of `CLASSIFIERS`.  ``svm`` is a linear support vector machine with C = 1, as
            OpenFace trains it (Amos, Ludwiczuk, Satyanarayanan, 2016); ``centroid`` takes the
            person whose mean face is nearest.
        matrix: (n, d) of length 1.
        names: (n,) whose each row is.
        weights: (n,) quality in [0, 1].
        threshold: calibrated, for cosine distance.

    Raises:
        UserInputError: there is no such classifier.
        PackageMissing: scikit-learn is needed.
    """
    if kind not in CLASSIFIERS:
        raise UserInputError(
            f"There is no classifier {kind!r:.40}.", hint=f"Known: {', '.join(CLASSIFIERS)}."
        )
    if kind == "vote" or not len(matrix):
        return lambda queries: vote(
            queries,
            matrix,
            names,
            weights,
            threshold,
            neighbours=Cast.NEIGHBOURS,
            accept=Cast.ACCEPT,
        )
    predict = _trained(kind, matrix, names, weights)
    owners = np.array(names)

    def tell(queries: FloatArray) -> Match:
        unit = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
        cosine = unit @ matrix.T
        shares: dict[str, float] = {}
        for row, name in zip(cosine, predict(unit), strict=True):
            chance = threshold.confidence(1.0 - float(row[owners == name].max()))
            shares[name] = shares.get(name, 0.0) + chance / len(unit)
        return Match.of(shares, Cast.ACCEPT)

    return tell


def _trained(
    kind: str, matrix: FloatArray, names: Sequence[str], weights: FloatArray
) -> Callable[[FloatArray], list[str]]:
    if len(set(names)) == 1:
        only = names[0]
        return lambda unit: [only] * len(unit)
    try:
        from sklearn.neighbors import NearestCentroid
        from sklearn.svm import SVC
    except ImportError as error:
        raise PackageMissing(
            "scikit-learn", needed_for=f"the classifier {kind}", extra="classifier"
        ) from error
    model: Any
    if kind == "svm":
        model = SVC(kernel="linear", C=1.0, class_weight="balanced")
        # Bad pictures count less, none counts nothing: as in the vote.
        model.fit(matrix, list(names), sample_weight=0.25 + 0.75 * weights)
    else:
        model = NearestCentroid()
        model.fit(matrix, list(names))
    return lambda unit: [str(name) for name in model.predict(unit)]


@dataclass(frozen=True, kw_only=True)
class Identification:
    """How well a classifier tells who is who.

    Attributes:
        classifier: one of `CLASSIFIERS`.
        asked: photos of known people, each with all other photos known.
        right, wrong: how many got the right name, another one; the rest got none.
        strangers: photos of people of whom no photo was known.
        named: how many of those got a name.
    """

    classifier: str
    asked: int
    right: int
    wrong: int
    strangers: int
    named: int

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return {
            "classifier": self.classifier,
            "asked": self.asked,
            "right": self.right,
            "wrong": self.wrong,
            "refused": self.asked - self.right - self.wrong,
            "strangers": self.strangers,
            "strangers_named": self.named,
        }


def identify(
    kind: str, rows: FloatArray, names: Sequence[str], threshold: Threshold
) -> Identification:
    """Measure a classifier: each photo in turn is asked for, once with its person known, once not.

    Args:
        kind: one of `CLASSIFIERS`.
        rows: (n, d) embeddings, of any length.
        names: (n,) whose each is.
        threshold: calibrated, for cosine distance.

    Raises:
        NoFacesFound: there are fewer than two people, or nobody has two photos.
        PackageMissing: scikit-learn is needed.
    """
    unit = np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))
    owners = np.array(names)
    counts = {name: int((owners == name).sum()) for name in set(names)}
    if len(counts) < 2 or max(counts.values()) < 2:
        raise NoFacesFound("At least two people are needed, one of them with two photos.")

    def told(known: npt.NDArray[np.bool_], asked: npt.NDArray[np.bool_]) -> list[str | None]:
        people = [str(name) for name in owners[known]]
        even = np.ones(len(people), np.float32)
        tell = classifier(kind, unit[known], people, even, threshold)
        return [tell(row[None]).name for row in unit[asked]]

    right = wrong = named = 0
    single = [i for i, name in enumerate(names) if counts[name] > 1]
    for i in single:
        this = np.arange(len(unit)) == i
        (name,) = told(~this, this)
        right += name == names[i]
        wrong += name not in (None, names[i])
    for stranger in sorted(counts):
        theirs = owners == stranger
        named += sum(name is not None for name in told(~theirs, theirs))
    return Identification(
        classifier=kind,
        asked=len(single),
        right=right,
        wrong=wrong,
        strangers=len(unit),
        named=named,
    )
