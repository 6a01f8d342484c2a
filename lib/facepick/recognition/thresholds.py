"""Calibrated thresholds: the distance up to which two faces are one person.

A threshold belongs to a detector, an alignment, a model and a metric, and to the photos it was
measured on; the table says all of it.  The table in the package was made by ``facepick evaluate
--save-thresholds``; a user's own table, made the same way, comes first.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facepick.errors import UserInputError
from facepick.faces.analyzer import FaceEmbedder
from facepick.files import read_json
from facepick.paths import home_dir
from facepick.recognition.evaluate import Evaluation
from facepick.recognition.metrics import Metric, check_metric

__all__ = [
    "PACKAGED",
    "Threshold",
    "find_threshold",
    "load_thresholds",
    "save_thresholds",
    "user_table",
]

PACKAGED = Path(__file__).parent / "data" / "thresholds.json"
_FORMAT = "facepick-thresholds/1"
_MAX_BYTES = 8 * 2**20


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One line of the table.

    Attributes:
        detector, alignment, model, model_version, metric: what it belongs to.
        threshold: distance up to which two faces are held to be one person.
        slope: of the logistic curve that turns a distance into a confidence.
        dataset, pairs_same, pairs_different: what it was measured on.
        accuracy, auc: what it achieved there.
        made: date, ISO 8601.
        tool: version of facepick that measured it.
    """

    detector: str
    alignment: str
    model: str
    model_version: str
    metric: str
    threshold: float
    slope: float
    dataset: str
    pairs_same: int
    pairs_different: int
    accuracy: float
    auc: float
    made: str
    tool: str

    def __post_init__(self) -> None:
        check_metric(self.metric)
        if not (math.isfinite(self.threshold) and math.isfinite(self.slope) and self.slope > 0):
            raise ValueError(f"threshold and slope must be finite, got {self}")

    @property
    def calibrated(self) -> bool:
        """Measured, rather than taken from the model's authors."""
        return self.pairs_same > 0

    def confidence(self, distance: float) -> float:
        """Compute the chance in [0, 1] that two faces this far apart are one person.

        If one person and two were equally likely beforehand.
        """
        z = max(-60.0, min(60.0, self.slope * (distance - self.threshold)))
        return 1.0 / (1.0 + math.exp(z))


def user_table() -> Path:
    """Return the path of a user's own thresholds."""
    return home_dir() / "thresholds.json"


def load_thresholds(path: Path) -> list[Threshold]:
    """Load the lines of a table; none when there is no such file.

    Raises:
        UserInputError: it is no table of thresholds.
    """
    try:
        if not path.exists():
            return []
        data = read_json(path, max_bytes=_MAX_BYTES)
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']!r}")
        return [_line(entry) for entry in data["thresholds"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserInputError(
            f"{path} is no table of thresholds ({error}).", hint="Delete it or make it anew."
        ) from error


def _line(entry: dict[str, Any]) -> Threshold:
    numbers = {"threshold", "slope", "accuracy", "auc"}
    counts = {"pairs_same", "pairs_different"}
    values: dict[str, Any] = {}
    for name in Threshold.__dataclass_fields__:
        value = entry[name]
        if name in numbers:
            value = float(value)
        elif name in counts:
            value = int(value)
        elif not isinstance(value, str):
            raise TypeError(f"{name} must be text")
        values[name] = value
    return Threshold(**values)


def save_thresholds(evaluation: Evaluation, path: Path) -> list[Threshold]:
    """Put the thresholds of a measurement into a table; lines for the same choice are replaced.

    Raises:
        UserInputError: the file that is there is no table.
    """
    from facepick import __version__

    fresh = [
        Threshold(
            detector=evaluation.detector,
            alignment=evaluation.alignment,
            model=evaluation.model,
            model_version=evaluation.version,
            metric=report.metric,
            threshold=round(report.threshold, 5),
            slope=round(report.slope, 4),
            dataset=evaluation.dataset,
            pairs_same=evaluation.genuine,
            pairs_different=evaluation.impostor,
            accuracy=round(report.accuracy, 5),
            auc=round(report.auc, 6),
            made=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            tool=__version__,
        )
        for report in evaluation.reports
    ]
    keys = {_key(line) for line in fresh}
    lines = [line for line in load_thresholds(path) if _key(line) not in keys] + fresh
    lines.sort(key=_key)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    rows = ",\n".join("  " + json.dumps(asdict(line)) for line in lines)
    text = f'{{"format": "{_FORMAT}", "thresholds": [\n{rows}\n]}}\n'
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
    return fresh


def _key(line: Threshold) -> tuple[str, str, str, str, str]:
    return line.detector, line.alignment, line.model, line.model_version, line.metric


def find_threshold(
    *,
    detector: str,
    alignment: str,
    model: str,
    version: str,
    metric: Metric,
    embedder: FaceEmbedder | None = None,
) -> Threshold:
    """Find the threshold for a choice: the user's own, else the package's, else the authors'.

    A line of another detector with the same alignment serves when there is none of this one;
    a line of another model file never does.

    Args:
        embedder: whose authors' threshold is the last resort.

    Raises:
        UserInputError: nothing is known; it says how to measure.
    """
    for table in (user_table(), PACKAGED):
        lines = [
            line
            for line in load_thresholds(table)
            if (line.alignment, line.model, line.metric) == (alignment, model, metric)
            and line.model_version == version
        ]
        exact = [line for line in lines if line.detector == detector]
        if exact or lines:
            return (exact or lines)[0]
    authors = _authors(embedder, metric) if embedder is not None else None
    if authors is None:
        raise UserInputError(
            f"No threshold is known for {model} with alignment {alignment} and {metric}.",
            hint=f"Measure one: facepick evaluate DIR --model {model} --save-thresholds",
        )
    return Threshold(
        detector=detector,
        alignment=alignment,
        model=model,
        model_version=version,
        metric=metric,
        threshold=authors,
        # A third of the way from 0 to the threshold moves the odds by e^2: a cautious guess.
        slope=6.0 / max(authors, 1e-6),
        dataset="published by the model's authors",
        pairs_same=0,
        pairs_different=0,
        accuracy=0.0,
        auc=0.0,
        made="",
        tool="",
    )


def _authors(embedder: FaceEmbedder, metric: Metric) -> float | None:
    cosine = float(embedder.same_person)
    if metric == "cosine":
        return 1.0 - cosine
    if metric == "euclidean_l2":
        return math.sqrt(max(0.0, 2.0 - 2.0 * cosine))
    if metric == "angular":
        return math.acos(max(-1.0, min(1.0, cosine))) / math.pi
    return None
