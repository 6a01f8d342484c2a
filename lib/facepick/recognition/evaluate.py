"""Evaluation of how well a choice of detector, alignment, model and metric tells people apart.

Two kinds of data: a folder with one folder of photos per person, or a file of pairs in the format
of LFW (Huang et al., *Labeled Faces in the Wild*, UMass TR 07-49, 2007) with its folds.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import NoFacesFound, UserInputError
from facepick.faces.detection import FloatArray
from facepick.files import read_plain
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.recognition.metrics import METRICS, Metric, paired_distances
from facepick.recognition.pipeline import Recognizer, load_picture

__all__ = [
    "Dataset",
    "Evaluation",
    "MetricReport",
    "Pair",
    "evaluate",
    "measure",
    "photos_of_people",
    "read_dataset",
    "read_pairs",
    "read_people",
]

_PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
_FOLDS = 10
# A file of pairs is text; LFW's has 6000 lines.
_MAX_LINES = 1_000_000
# A million lines of 100 letters.
_MAX_PAIRS_BYTES = 100_000_000
_MAX_PAIRS = 500_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two photos, with the truth if they show one person.

    Attributes:
        a, b: places in `Dataset.photos`.
        same: one person.
        fold: which part of the data the pair belongs to, from 0.
    """

    a: int
    b: int
    same: bool
    fold: int


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Photos and pairs of them.

    Attributes:
        name: for the report.
        photos: paths of the photos.
        person: whose photo each is.
        pairs: what is compared.
    """

    name: str
    photos: tuple[Path, ...]
    person: tuple[str, ...]
    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if len(self.photos) != len(self.person):
            raise ValueError("every photo needs a person")
        kinds = {pair.same for pair in self.pairs}
        if kinds != {True, False}:
            lacking = "two people" if True in kinds else "one person"
            raise UserInputError(
                f"{self.name} has no pairs of {lacking}.",
                hint="At least two people are needed, one of them with two photos.",
            )


def read_dataset(path: Path | str, *, images: Path | None = None) -> Dataset:
    """Read a folder of people, or a file of pairs.

    Args:
        path: the folder or the file.
        images: where the photos of a file of pairs lie; by default the file's own folder.

    Raises:
        UserInputError: it is neither, or holds too little.
    """
    path = Path(path)
    if path.is_dir():
        return read_people(path)
    if path.is_file():
        return read_pairs(path, images=images)
    raise UserInputError(
        f"There is no folder and no file {path}.", hint="Give a folder of people, or pairs.txt."
    )


def photos_of_people(folder: Path) -> dict[str, list[Path]]:
    """List the photos of everybody in a folder that holds one folder of photos per person.

    Folders whose names begin with ``_`` or ``.`` are left out.

    Raises:
        UserInputError: there is no such folder, or nobody in it.
    """
    if not folder.is_dir():
        raise UserInputError(f"There is no folder {folder}.", hint="Check the path.")
    found = {
        person.name: [
            photo
            for photo in sorted(person.iterdir())
            if photo.suffix.lower() in _PICTURES and photo.is_file()
        ]
        for person in sorted(folder.iterdir())
        if person.is_dir() and person.name[0] not in "_."
    }
    found = {name: photos for name, photos in found.items() if photos}
    if not found:
        raise UserInputError(
            f"{folder.name} holds no folders of photos.",
            hint="Make one folder of photos for each person.",
        )
    return found


def read_people(folder: Path) -> Dataset:
    """Pair all photos of a folder that holds one folder of photos per person.

    Folders whose names begin with ``_`` or ``.`` are left out.  Folds are by pair, from a hash
    of the names, so that they do not move when a photo is added.

    Raises:
        UserInputError: fewer than two people, or nobody with two photos.
    """
    each = photos_of_people(folder)
    photos = [photo for found in each.values() for photo in found]
    people = [name for name, found in each.items() for _ in found]
    count = len(photos) * (len(photos) - 1) // 2
    if count > _MAX_PAIRS:
        raise UserInputError(
            f"{folder.name} makes {count} pairs; at most {_MAX_PAIRS} are measured.",
            hint="Use fewer photos, or a pairs file.",
        )
    pairs = tuple(
        Pair(a, b, people[a] == people[b], _fold(folder, photos[a], photos[b]))
        for a, b in itertools.combinations(range(len(photos)), 2)
    )
    name = f"{folder.resolve().name} ({len(set(people))} people, {len(photos)} photos)"
    return Dataset(name=name, photos=tuple(photos), person=tuple(people), pairs=pairs)


def _fold(folder: Path, a: Path, b: Path) -> int:
    names = f"{a.relative_to(folder).as_posix()}|{b.relative_to(folder).as_posix()}"
    return hashlib.sha256(names.encode()).digest()[0] % _FOLDS


def read_pairs(path: Path, *, images: Path | None = None) -> Dataset:
    """Read a file of pairs as LFW has it.

    The first line holds the number of folds and of pairs of each kind per fold (or only the
    latter, for one fold); then ``name i j`` is a pair of one person and ``name i other j`` of
    two.  Photo i of a name is ``name/name_0001.jpg`` in `images`.

    Raises:
        UserInputError: the file breaks the format, or a photo is missing.
    """
    each, body = _pair_rows(path)
    photos = _Photos(path.name, images or path.parent)
    pairs = []
    for at, (line, words) in enumerate(body):
        if len(words) not in (3, 4):
            raise UserInputError(f"{path.name}, line {line}: 3 or 4 words are needed.")
        first = photos.place(words[0], words[1], line)
        second = photos.place(words[-2] if len(words) == 4 else words[0], words[-1], line)
        same = len(words) == 3 or words[0] == words[2]
        pairs.append(Pair(first, second, same, at // (2 * each)))
    return Dataset(
        name=path.stem,
        photos=tuple(photos.places),
        person=tuple(photos.people),
        pairs=tuple(pairs),
    )


def _pair_rows(path: Path) -> tuple[int, list[tuple[int, list[str]]]]:
    """Read the number of pairs of each kind in a fold, and every row with its line."""
    try:
        lines = read_plain(path, max_bytes=_MAX_PAIRS_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(f"{path.name} cannot be read as text.") from error
    if len(lines) > _MAX_LINES:
        raise UserInputError(f"{path.name} has more than {_MAX_LINES} lines.")
    head = lines[0].split() if lines else []
    if not head or len(head) > 2 or not all(word.isdigit() for word in head):
        raise UserInputError(
            f"{path.name} does not begin with the numbers of folds and pairs.",
            hint="The first line of LFW's pairs.txt is: 10 300",
        )
    folds, each = (1, int(head[0])) if len(head) == 1 else (int(head[0]), int(head[1]))
    body = [(n, line.split()) for n, line in enumerate(lines[1:], 2) if line.strip()]
    if each < 1 or folds < 1 or len(body) != folds * each * 2:
        raise UserInputError(
            f"{path.name} promises {folds} x 2 x {each} pairs and holds {len(body)}."
        )
    return each, body


class _Photos:
    """Photos that a file of pairs names, each listed once.

    Args:
        file: name of the file, for messages.
        root: folder of the photos.
    """

    def __init__(self, file: str, root: Path) -> None:
        self.file, self.root = file, root
        self.places: dict[Path, int] = {}
        self.people: list[str] = []

    def place(self, name: str, number: str, line: int) -> int:
        if Path(name).name != name or name in ("", ".", "..") or not number.isdigit():
            raise UserInputError(f"{self.file}, line {line}: {name} {number} names no photo.")
        photo = _photo(self.root, name, int(number))
        if photo not in self.places:
            if not photo.is_file():
                raise UserInputError(
                    f"{self.file}, line {line}: there is no {photo}.",
                    hint="Say where the photos lie with --images.",
                )
            self.places[photo] = len(self.places)
            self.people.append(name)
        return self.places[photo]


def _photo(root: Path, name: str, number: int) -> Path:
    stem = root / name / f"{name}_{number:04d}"
    for suffix in (".jpg", ".png", ".jpeg", ".webp"):
        if stem.with_suffix(suffix).is_file():
            return stem.with_suffix(suffix)
    return stem.with_suffix(".jpg")


@dataclass(frozen=True, eq=False, kw_only=True)
class MetricReport:
    """Figures of one metric.

    Attributes:
        metric: its name.
        threshold: distance at which the two kinds of pairs, weighed alike, are told apart best;
            the middle of the gap when several serve.
        slope: of the logistic curve p(one person) = 1 / (1 + exp(slope * (d - threshold))).
        accuracy: share of pairs told right at `threshold`.
        balanced_accuracy: mean of the shares of either kind told right.
        fold_accuracy, fold_deviation: mean and deviation over the folds, each judged by the
            threshold that is best on the others.
        auc: area under the ROC curve.
        eer: rate at which both kinds of errors are equally frequent.
        tpr_at: share of pairs of one person accepted while at most this share of others is; None
            where there are too few pairs of two people to say.
        roc: (k, 2) false and true positive rates, rising.
        same, different: the distances themselves.
    """

    metric: Metric
    threshold: float
    slope: float
    accuracy: float
    balanced_accuracy: float
    fold_accuracy: float
    fold_deviation: float
    auc: float
    eer: float
    tpr_at: dict[float, float | None]
    roc: Floats
    same: Floats
    different: Floats

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON, rounded."""
        return {
            "metric": self.metric,
            "threshold": round(self.threshold, 5),
            "slope": round(self.slope, 4),
            "accuracy": round(self.accuracy, 5),
            "balanced_accuracy": round(self.balanced_accuracy, 5),
            "fold_accuracy": round(self.fold_accuracy, 5),
            "fold_deviation": round(self.fold_deviation, 5),
            "auc": round(self.auc, 6),
            "eer": round(self.eer, 5),
            "tpr_at_fpr": {
                f"{rate:g}": None if tpr is None else round(tpr, 5)
                for rate, tpr in self.tpr_at.items()
            },
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """A whole measurement.

    Attributes:
        dataset: name of the data.
        detector, alignment, model, version: what was measured.
        reports: one per metric.
        photos, found: number of photos, and of those in which a face was found.
        genuine, impostor: pairs of one person and of two, both faces found.
        missed: photos without a face.
        detect_ms, embed_ms: CPU time per photo and per face.
    """

    dataset: str
    detector: str
    alignment: str
    model: str
    version: str
    reports: tuple[MetricReport, ...]
    photos: int
    found: int
    genuine: int
    impostor: int
    missed: tuple[str, ...] = ()
    detect_ms: float = 0.0
    embed_ms: float = 0.0
    embeddings: dict[int, FloatArray] = field(default_factory=dict, repr=False)

    def report(self, metric: Metric) -> MetricReport:
        """Find the report of a metric.

        Raises:
            KeyError.
        """
        for item in self.reports:
            if item.metric == metric:
                return item
        raise KeyError(metric)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON, format ``facepick-evaluation/1``."""
        from facepick import __version__

        return {
            "format": "facepick-evaluation/1",
            "tool": __version__,
            "dataset": self.dataset,
            "detector": self.detector,
            "alignment": self.alignment,
            "model": self.model,
            "model_version": self.version,
            "photos": self.photos,
            "faces_found": self.found,
            "missed": list(self.missed),
            "pairs_same": self.genuine,
            "pairs_different": self.impostor,
            "detect_cpu_ms": round(self.detect_ms, 1),
            "embed_cpu_ms": round(self.embed_ms, 1),
            "metrics": [report.to_json() for report in self.reports],
        }


def evaluate(
    recognizer: Recognizer,
    dataset: Dataset,
    *,
    metrics: Sequence[Metric] = METRICS,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> Evaluation:
    """Describe every photo once, then compare the pairs.

    Raises:
        UserInputError: a photo cannot be read, or no face was found in too many.
        Cancelled.
    """
    embeddings: dict[int, FloatArray] = {}
    missed: list[str] = []
    meter = ProgressMeter(progress, "evaluate", len(dataset.photos))
    detect = embed = 0.0
    for place, photo in enumerate(dataset.photos):
        cancel.raise_if_cancelled()
        image = load_picture(photo)
        began = time.process_time()
        try:
            seen = recognizer.main_face(image, name=photo.name)
        except NoFacesFound:
            missed.append(f"{photo.parent.name}/{photo.name}")
            detect += time.process_time() - began
            continue
        found = time.process_time()
        embeddings[place] = recognizer.embed(seen.chip[None])[0]
        detect, embed = detect + found - began, embed + time.process_time() - found
        meter.update(place + 1)
    pairs = [p for p in dataset.pairs if p.a in embeddings and p.b in embeddings]
    same = np.array([p.same for p in pairs], bool)
    if not same.any() or same.all():
        raise UserInputError(
            f"Faces were found in {len(embeddings)} of {len(dataset.photos)} photos, too few to "
            "compare.",
            hint="Use clearer photos, or another detector.",
        )
    folds = np.array([p.fold for p in pairs])
    first = np.stack([embeddings[p.a] for p in pairs])
    second = np.stack([embeddings[p.b] for p in pairs])
    reports = tuple(measure(m, paired_distances(first, second, m), same, folds) for m in metrics)
    return Evaluation(
        dataset=dataset.name,
        detector=recognizer.detector.id,
        alignment=recognizer.alignment,
        model=recognizer.embedder.id,
        version=recognizer.version,
        reports=reports,
        photos=len(dataset.photos),
        found=len(embeddings),
        genuine=int(same.sum()),
        impostor=int((~same).sum()),
        missed=tuple(missed),
        detect_ms=1000 * detect / max(1, len(dataset.photos)),
        embed_ms=1000 * embed / max(1, len(embeddings)),
        embeddings=embeddings,
    )


def measure(
    metric: Metric,
    distances: npt.ArrayLike,
    same: npt.ArrayLike,
    folds: npt.ArrayLike | None = None,
    *,
    rates: Sequence[float] = (1e-2, 1e-3),
) -> MetricReport:
    """Compute the figures of one metric.

    Args:
        metric: its name, for the report.
        distances: (n,) of the pairs.
        same: (n,) whether each pair is one person.
        folds: (n,) the part each pair belongs to; one part when None.
        rates: false positive rates of `MetricReport.tpr_at`.
    """
    d = np.asarray(distances, np.float64)
    truth = np.asarray(same, bool)
    parts = np.zeros(len(d), np.int64) if folds is None else np.asarray(folds)
    genuine, impostor = np.sort(d[truth]), np.sort(d[~truth])
    if not len(genuine) or not len(impostor):
        raise ValueError("pairs of both kinds are needed")
    threshold, balanced = best_threshold(genuine, impostor)
    told = (d <= threshold) == truth
    roc = _roc(genuine, impostor)
    accuracies = []
    for part in np.unique(parts):
        inside = parts == part
        rest_same, rest_other = d[truth & ~inside], d[~truth & ~inside]
        if not len(rest_same) or not len(rest_other):
            continue
        cut, _ = best_threshold(np.sort(rest_same), np.sort(rest_other))
        accuracies.append(float(np.mean((d[inside] <= cut) == truth[inside])))
    if not accuracies:
        accuracies = [float(told.mean())]
    return MetricReport(
        metric=metric,
        threshold=threshold,
        slope=_slope(genuine, impostor, threshold),
        accuracy=float(told.mean()),
        balanced_accuracy=balanced,
        fold_accuracy=float(np.mean(accuracies)),
        fold_deviation=float(np.std(accuracies)),
        auc=_auc(genuine, impostor),
        eer=_eer(roc),
        tpr_at={rate: _tpr_at(genuine, impostor, rate) for rate in rates},
        roc=roc,
        same=genuine,
        different=impostor,
    )


def best_threshold(genuine: Floats, impostor: Floats) -> tuple[float, float]:
    """Find the distance with the best mean of true positive and true negative rate, and that mean.

    Weighing the kinds alike keeps the answer from moving with their numbers: in a folder of
    people there are far more pairs of two than of one.  Both arrays rise.
    """
    values = np.unique(np.concatenate([genuine, impostor]))
    middles = (values[:-1] + values[1:]) / 2
    step = max(1e-6, float(values[-1] - values[0]) * 1e-3)
    cuts = np.concatenate([[values[0] - step], middles, [values[-1] + step]])
    tpr = np.searchsorted(genuine, cuts, side="right") / len(genuine)
    tnr = 1.0 - np.searchsorted(impostor, cuts, side="right") / len(impostor)
    score = (tpr + tnr) / 2
    best = np.nonzero(score >= score.max() - 1e-12)[0]
    # Of several equally good cuts that in the widest gap between neighbours.
    edges = np.concatenate([[values[0]], values, [values[-1]]])
    widths = edges[1:] - edges[:-1]
    pick = best[int(np.argmax(widths[best]))]
    return float(cuts[pick]), float(score[pick])


def _roc(genuine: Floats, impostor: Floats) -> Floats:
    cuts = np.unique(np.concatenate([genuine, impostor]))
    tpr = np.searchsorted(genuine, cuts, side="right") / len(genuine)
    fpr = np.searchsorted(impostor, cuts, side="right") / len(impostor)
    return np.concatenate([[[0.0, 0.0]], np.stack([fpr, tpr], axis=1)])


def _auc(genuine: Floats, impostor: Floats) -> float:
    """Compute how often a pair of one person is nearer than a pair of two.

    Ties count half (Mann and Whitney, 1947).
    """
    below = np.searchsorted(impostor, genuine, side="left")
    upto = np.searchsorted(impostor, genuine, side="right")
    wins = len(impostor) - (below + upto) / 2
    return float(np.mean(wins) / len(impostor))


def _eer(roc: Floats) -> float:
    """Find where the ROC curve meets the line of equal errors, straight between its points."""
    gap = roc[:, 0] - (1.0 - roc[:, 1])
    after = int(np.argmax(gap >= 0))
    if after == 0:
        return float((roc[0, 0] + 1.0 - roc[0, 1]) / 2)
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(roc[before, 0] + share * (roc[after, 0] - roc[before, 0]))


def _tpr_at(genuine: Floats, impostor: Floats, rate: float) -> float | None:
    allowed = int(np.floor(rate * len(impostor)))
    if allowed < 1:
        # Fewer than 1 / rate pairs of two people: the rate cannot be seen.
        return None
    # Strictly below the first impostor that would be one too many.
    cut = impostor[allowed] if allowed < len(impostor) else np.inf
    return float(np.searchsorted(genuine, cut, side="left") / len(genuine))


def _slope(genuine: Floats, impostor: Floats, threshold: float) -> float:
    """Fit the slope of the logistic curve through (threshold, 1/2), both kinds of pairs weighed
    alike.

    Platt, *Probabilistic Outputs for Support Vector Machines*, 1999; Newton steps in one unknown.
    """
    d = np.concatenate([genuine, impostor]) - threshold
    y = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    w = np.concatenate(
        [np.full(len(genuine), 0.5 / len(genuine)), np.full(len(impostor), 0.5 / len(impostor))]
    )
    spread = float(np.sqrt(np.sum(w * d * d))) or 1.0
    x = d / spread
    # Platt's targets instead of 0 and 1 keep the slope finite where the kinds do not overlap.
    target = np.where(y == 1, (len(genuine) + 1) / (len(genuine) + 2), 1 / (len(impostor) + 2))
    k = 1.0
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(np.clip(k * x, -60, 60)))
        gradient = float(np.sum(w * (target - p) * x))
        curvature = float(np.sum(w * p * (1 - p) * x * x)) + 1e-9
        step = float(np.clip(-gradient / curvature, -2.0, 2.0))
        k = max(1e-3, k + step)
        if abs(step) < 1e-9:
            break
    return k / spread
