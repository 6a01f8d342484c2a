"""Best one-to-one assignment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["assign"]


def assign(cost: npt.NDArray[np.float64], *, limit: float) -> list[tuple[int, int]]:
    """Find the pairs (row, column) of the cheapest one-to-one assignment.

    The Hungarian method (Kuhn 1955, Munkres 1957) by shortest augmenting paths with potentials;
    n is the number of faces in a picture, so its n^3 steps cost nothing.

    Args:
        cost: (rows, columns); a pair at or above `limit`, or not finite, is never made.
        limit: cost of leaving a row and a column alone instead.

    Returns:
        Pairs in the order of rows.
    """
    rows, columns = cost.shape
    if not rows or not columns:
        return []
    # Padded to a square of rows + columns, every row may stay alone for `limit`.
    size = rows + columns
    table = np.full((size, size), float(limit))
    usable = np.where(np.isfinite(cost) & (cost < limit), cost, 2.0 * limit + 1.0)
    table[:rows, :columns] = usable
    table[rows:, columns:] = 0.0
    match = _square(table)
    return [(r, match[r]) for r in range(rows) if match[r] < columns and cost[r, match[r]] < limit]


def _square(cost: npt.NDArray[np.float64]) -> list[int]:
    """Find the column of every row in the cheapest perfect matching of a square table."""
    n = len(cost)
    row_potential, column_potential = np.zeros(n + 1), np.zeros(n + 1)
    row_of = np.zeros(n + 1, dtype=np.int64)
    for row in range(1, n + 1):
        row_of[0] = row
        column = 0
        least = np.full(n + 1, np.inf)
        came_from = np.zeros(n + 1, dtype=np.int64)
        done = np.zeros(n + 1, dtype=bool)
        while row_of[column]:
            done[column] = True
            current = row_of[column]
            reduced = cost[current - 1] - row_potential[current] - column_potential[1:]
            better = ~done[1:] & (reduced < least[1:])
            least[1:][better] = reduced[better]
            came_from[1:][better] = column
            open_columns = np.where(done[1:], np.inf, least[1:])
            nearest = int(np.argmin(open_columns)) + 1
            delta = open_columns[nearest - 1]
            row_potential[row_of[done]] += delta
            column_potential[done] -= delta
            least[~done] -= delta
            column = nearest
        while column:
            previous = int(came_from[column])
            row_of[column] = row_of[previous]
            column = previous
    match = [0] * n
    for column in range(1, n + 1):
        match[int(row_of[column]) - 1] = column - 1
    return match
