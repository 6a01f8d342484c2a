"""Nearest faces among many: compared one by one, or through an index that FAISS keeps.

FAISS (Johnson, Douze and Jegou, *Billion-scale similarity search with GPUs*, 2017) is an extra.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.files import read_json, replace, write_json

__all__ = ["EXACT_UP_TO", "FaceIndex", "near_exactly"]

EXACT_UP_TO = 100_000
"""Exemplars up to which all are compared: a few tenths of a second, most of it reading."""

LISTS_PER_ROOT = 4
"""Lists of the index for each unit of the square root of its size, as FAISS advises."""

LOOKED_INTO = 32
"""Lists that a question looks into: see `benchmarks/library.py` for what it misses."""

_TRAINED_ON = 64
"""Rows a list from which its place is learnt; FAISS asks for 39 and more."""

Rows = Iterable[tuple[npt.NDArray[np.int64], FloatArray]]


def near_exactly(unit: FloatArray, rows: Rows, radius: float) -> dict[int, float]:
    """Score people by comparing every exemplar; who has none within the radius is left out.

    The score of a person is the mean, over the faces that are looked for, of the best third of
    their nearest exemplars: several photos, or many faces of a video, agree on who it is.

    Args:
        unit: (m, d) of length 1, who is looked for.
        rows: (n,) whose, rising, and (n, d) of length 1; a person lies in one piece.
        radius: cosine that one pair must reach.
    """
    scores: dict[int, float] = {}
    counted = max(1, len(unit) // 3)
    for owners, exemplars in rows:
        if not len(owners):
            continue
        starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
        # (m, people): the nearest exemplar of each.
        best = np.maximum.reduceat(unit @ exemplars.T, starts, axis=1)
        for column in np.flatnonzero(best.max(axis=0) >= radius):
            top = np.sort(best[:, column])[-counted:]
            scores[int(owners[starts[column]])] = float(top.mean())
    return scores


class FaceIndex:
    """An inverted file of exemplars beside a library, made anew when it has become too old.

    Args:
        path: of the index; a note of what it covers lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")

    @property
    def usable(self) -> bool:
        """True when FAISS is installed."""
        return importlib.util.find_spec("faiss") is not None

    def refreshed(self, rows: Callable[[], Rows], total: int) -> int:
        """Make the index, if what it lacks is more than is compared one by one.

        Args:
            rows: reads all exemplars.
            total: how many there are.

        Returns:
            The highest id that it covers.
        """
        last, covered = self._covers()
        # Those that were forgotten since count as well: the index still looks at them.
        if not covered or abs(total - covered) > EXACT_UP_TO:
            last, covered = self._build(rows, total)
        return last

    def near(self, unit: FloatArray, radius: float) -> set[int]:
        """Name people who have an exemplar within the radius of a face, as far as it finds them."""
        import faiss

        index: Any = faiss.read_index(os.fspath(self.path), faiss.IO_FLAG_MMAP)
        index.nprobe = LOOKED_INTO
        _, _, found = index.range_search(np.ascontiguousarray(unit, np.float32), float(radius))
        return {int(person) for person in found}

    def _covers(self) -> tuple[int, int]:
        try:
            note = read_json(self._note)
            return (int(note["last"]), int(note["rows"])) if self.path.is_file() else (0, 0)
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0

    def _build(self, rows: Callable[[], Rows], total: int) -> tuple[int, int]:
        import faiss

        lists = max(1, int(LISTS_PER_ROOT * total**0.5))
        index: Any = None
        last = covered = 0
        for owners, exemplars in rows():
            if index is None:
                dimension = exemplars.shape[1]
                flat = faiss.IndexFlatIP(dimension)
                index = faiss.IndexIVFFlat(flat, dimension, lists, faiss.METRIC_INNER_PRODUCT)
                index.cp.max_points_per_centroid = _TRAINED_ON
                index.cp.min_points_per_centroid = 1
                index.train(_sample(rows(), total, lists * _TRAINED_ON))
            index.add_with_ids(np.ascontiguousarray(exemplars), owners)
            last, covered = int(owners[-1]), covered + len(owners)
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        faiss.write_index(index, os.fspath(part))
        self._note.unlink(missing_ok=True)
        replace(part, self.path)
        write_json(self._note, {"last": last, "rows": covered})
        return last, covered


def _sample(rows: Rows, total: int, wanted: int) -> FloatArray:
    """Take every so many-th exemplar."""
    step = max(1, total // max(1, wanted))

    def some() -> Iterator[FloatArray]:
        for _, exemplars in rows:
            yield exemplars[::step]

    return np.ascontiguousarray(np.concatenate(list(some())), np.float32)
