"""The figures of an evaluation, against hand-made pairs and slow definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facepick.errors import SettingsError, UserInputError
from facepick.recognition.evaluate import measure, read_pairs, read_people
from facepick.recognition.metrics import METRICS, check_metric, distance, paired_distances


def _overlapping(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    distances = np.concatenate([random.normal(0.4, 0.1, 300), random.normal(0.8, 0.12, 3000)])
    return distances, np.arange(3300) < 300


def test_separated_kinds_are_told_apart_without_error() -> None:
    report = measure("cosine", [0.1, 0.2, 0.3, 0.7, 0.8, 0.9], [True] * 3 + [False] * 3)
    assert report.threshold == pytest.approx(0.5)  # the middle of the gap
    assert report.accuracy == report.auc == report.balanced_accuracy == 1.0
    assert report.eer == 0.0


def test_reversed_kinds_are_worse_than_chance() -> None:
    report = measure("cosine", [0.9, 0.8, 0.1, 0.2], [True, True, False, False])
    assert report.auc == 0.0
    assert report.eer == 1.0


def test_auc_is_the_share_of_pairs_of_pairs_in_order_and_ties_count_half() -> None:
    same, other = [0.2, 0.5, 0.5], [0.5, 0.1, 0.9, 0.7]
    report = measure("cosine", same + other, [True] * 3 + [False] * 4)
    wins = sum((a < b) + 0.5 * (a == b) for a in same for b in other)
    assert report.auc == pytest.approx(wins / 12)


def test_the_threshold_does_not_move_with_the_number_of_pairs_of_two_people() -> None:
    distances, same = _overlapping()
    few = np.concatenate([np.arange(300), 300 + np.arange(0, 3000, 10)])
    many = measure("cosine", distances, same)
    less = measure("cosine", distances[few], same[few])
    assert many.threshold == pytest.approx(less.threshold, abs=0.03)


def test_rates_agree_with_their_definitions() -> None:
    distances, same = _overlapping()
    report = measure("cosine", distances, same)
    for rate, tpr in report.tpr_at.items():
        # The largest true positive rate over all cuts that accept at most `rate` impostors.
        best = max(
            float(np.mean(distances[same] <= cut))
            for cut in np.concatenate([[0.0], distances])
            if np.mean(distances[~same] <= cut) <= rate
        )
        assert tpr == pytest.approx(best)
    false_rejects = 1 - np.interp(report.eer, report.roc[:, 0], report.roc[:, 1])
    assert report.eer == pytest.approx(false_rejects, abs=0.01)
    # Two normal curves 0.4 apart with deviations 0.1 and 0.12 cross at z = 0.4 / 0.22.
    assert report.eer == pytest.approx(0.0345, abs=0.01)


def test_a_rate_that_cannot_be_seen_is_not_given() -> None:
    report = measure("cosine", [0.1, 0.2] + [0.8] * 150, [True] * 2 + [False] * 150)
    assert report.tpr_at[1e-2] == 1.0
    assert report.tpr_at[1e-3] is None


def test_each_fold_is_judged_by_the_others() -> None:
    # The second fold has another scale: what serves the first fails on it.
    distances = [0.1, 0.2, 0.6, 0.7, 1.1, 1.2, 1.6, 1.7]
    same = [True, True, False, False] * 2
    report = measure("cosine", distances, same, [0] * 4 + [1] * 4)
    assert report.fold_accuracy == pytest.approx(0.5)
    assert report.fold_deviation == pytest.approx(0.0)


def test_the_logistic_curve_is_calibrated() -> None:
    distances, same = _overlapping()
    report = measure("cosine", distances, same)
    chance = 1 / (1 + np.exp(report.slope * (distances - report.threshold)))
    weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    middle = (chance > 0.3) & (chance < 0.7)
    told = np.sum(weight[middle & same]) / np.sum(weight[middle])
    assert told == pytest.approx(float(np.average(chance[middle], weights=weight[middle])), abs=0.1)


def test_metrics_by_their_formulas() -> None:
    a, b = np.array([3.0, 4.0]), np.array([4.0, 3.0])
    cosine = 24 / 25
    assert distance(a, b, "cosine") == pytest.approx(1 - cosine)
    assert distance(a, b, "euclidean") == pytest.approx(np.sqrt(2))
    assert distance(a, b, "euclidean_l2") == pytest.approx(np.sqrt(2 - 2 * cosine))
    assert distance(a, b, "angular") == pytest.approx(np.arccos(cosine) / np.pi)
    for metric in METRICS:
        assert distance(a, a, metric) == pytest.approx(0.0, abs=1e-6)


def test_metrics_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(n, d\)"):
        paired_distances(np.zeros((2, 3)), np.zeros((2, 4)), "cosine")
    with pytest.raises(SettingsError, match="manhattan"):
        check_metric("manhattan")


# --- data ---------------------------------------------------------------------------------------


def _photos(root: Path, names: dict[str, int], pattern: str = "{name}_{i:04d}.jpg") -> None:
    for name, count in names.items():
        (root / name).mkdir(parents=True)
        for i in range(1, count + 1):
            (root / name / pattern.format(name=name, i=i)).write_bytes(b"")


def test_a_folder_of_people_gives_every_pair(tmp_path: Path) -> None:
    _photos(tmp_path, {"Ann": 3, "Bob": 2, "_groups": 2, ".cache": 1})
    (tmp_path / "Ann" / "notes.txt").write_text("no photo")
    data = read_people(tmp_path)
    assert len(data.photos) == 5
    assert len(data.pairs) == 10
    assert sum(pair.same for pair in data.pairs) == 3 + 1
    assert "2 people" in data.name


def test_a_folder_without_two_photos_of_anybody_is_refused(tmp_path: Path) -> None:
    _photos(tmp_path, {"Ann": 1, "Bob": 1})
    with pytest.raises(UserInputError, match="one person"):
        read_people(tmp_path)


def test_pairs_in_the_format_of_lfw(tmp_path: Path) -> None:
    _photos(tmp_path, {"Abel_Pacheco": 4, "Zico": 2})
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(
        "2\t1\nAbel_Pacheco\t1\t4\nAbel_Pacheco\t2\tZico\t1\nZico\t1\t2\nZico\t2\tAbel_Pacheco\t3\n"
    )
    data = read_pairs(pairs)
    assert [(p.same, p.fold) for p in data.pairs] == [(True, 0), (False, 0), (True, 1), (False, 1)]
    first = data.pairs[0]
    assert data.photos[first.a].name == "Abel_Pacheco_0001.jpg"
    assert data.photos[first.b].name == "Abel_Pacheco_0004.jpg"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "does not begin"),
        ("ten 300\n", "does not begin"),
        ("1 1\nZico 1 2\n", "holds 1"),
        ("1 1\nZico 1 2\nZico 1 Zico\n", "names no photo|3 or 4 words"),
        ("1 1\nZico 1 2\n../Zico 1 Zico 2\n", "names no photo"),
        ("1 1\nZico 1 2\nZico 1 Zico 9\n", "there is no"),
    ],
)
def test_bad_pairs_are_refused_with_the_reason(tmp_path: Path, text: str, problem: str) -> None:
    _photos(tmp_path, {"Zico": 2})
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(text)
    with pytest.raises(UserInputError, match=problem):
        read_pairs(pairs)
