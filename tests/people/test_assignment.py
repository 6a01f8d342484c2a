from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from facepick.people.assignment import assign


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_cheapest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    cost = rng.random((rows, columns))
    limit = 0.6
    pairs = assign(cost, limit=limit)
    paid = sum(cost[r, c] for r, c in pairs) + limit * (rows - len(pairs))
    best = limit * rows
    padded = np.concatenate([cost, np.full((rows, rows), limit)], axis=1)
    for chosen in permutations(range(columns + rows), rows):
        best = min(best, float(sum(padded[r, c] for r, c in enumerate(chosen))))
    assert paid == pytest.approx(best)


def test_pairs_beyond_the_limit_are_never_made() -> None:
    cost = np.array([[0.2, np.inf], [np.inf, 5.0]])
    assert assign(cost, limit=1.0) == [(0, 0)]


def test_nobody_to_assign() -> None:
    assert assign(np.zeros((0, 3)), limit=1.0) == []
    assert assign(np.zeros((3, 0)), limit=1.0) == []
