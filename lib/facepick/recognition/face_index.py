"""Nearest faces among many: compared one by one, or through an index that FAISS keeps.

FAISS (Johnson, Douze and Jegou, *Billion-scale similarity search with GPUs*, 2017) is an extra.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.files import read_json, replace, write_json

__all__ = ["EXACT_UP_TO", "FaceIndex", "near_exactly"]

EXACT_UP_TO = 100_000
"""Exemplars up to which all are compared: a few tenths of a second, most of it reading."""

LINKS = 32
"""Neighbours of each exemplar in the graph, FAISS's own choice for vectors of this size."""

ASKED_FIRST = 256
"""Nearest exemplars that are asked for at first: more, as long as all of them are near."""

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
    """A graph of exemplars beside a library (HNSW: Malkov and Yashunin, 2016).

    What was added to the library since is compared one by one, until it is so much that the graph
    takes it up.  What was forgotten stays in it and is not found in the library any more; when it
    is a third of all, the graph is made anew.

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

    def refreshed(self, rows: Callable[[int], Rows], total: int) -> int:
        """Let the index take up what it lacks, if that is more than is compared one by one.

        Args:
            rows: reads the exemplars of people with a higher id than is given.
            total: how many there are in all.

        Returns:
            The highest id that it covers.
        """
        last, covered = self._covers()
        fresh = sum(len(owners) for owners, _ in rows(last)) if covered else total
        if covered and fresh <= EXACT_UP_TO:
            return last
        forgotten = covered + fresh - total
        if covered and forgotten > covered // 3:
            last = covered = 0
        return self._take_up(rows(last), last, covered)

    def near(self, unit: FloatArray, radius: float) -> set[int]:
        """Name people who have an exemplar within the radius of a face, as far as it finds them."""
        index = self._read()
        queries = np.ascontiguousarray(unit, np.float32)
        asked = min(ASKED_FIRST, index.ntotal)
        while True:
            self._graph(index).efSearch = asked
            cosine, found = index.search(queries, asked)
            if asked == index.ntotal or float(cosine[:, -1].max()) < radius:
                return {int(person) for person in found[cosine >= radius] if person >= 0}
            asked = min(4 * asked, index.ntotal)

    def _read(self) -> Any:
        import faiss

        return faiss.read_index(os.fspath(self.path))

    @staticmethod
    def _graph(index: Any) -> Any:
        import faiss

        graph: Any = faiss.downcast_index(index.index)
        return graph.hnsw

    def _covers(self) -> tuple[int, int]:
        try:
            note = read_json(self._note)
            return (int(note["last"]), int(note["rows"])) if self.path.is_file() else (0, 0)
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0

    def _take_up(self, rows: Rows, last: int, covered: int) -> int:
        import faiss

        index: Any = self._read() if covered else None
        for owners, exemplars in rows:
            if index is None:
                dimension = exemplars.shape[1]
                graph = faiss.IndexHNSWFlat(dimension, LINKS, faiss.METRIC_INNER_PRODUCT)
                index = faiss.IndexIDMap(graph)
            index.add_with_ids(np.ascontiguousarray(exemplars), owners)
            last, covered = int(owners[-1]), covered + len(owners)
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        faiss.write_index(index, os.fspath(part))
        # In this order a crash leaves an index that is made anew.
        self._note.unlink(missing_ok=True)
        replace(part, self.path)
        write_json(self._note, {"last": last, "rows": covered})
        return last
