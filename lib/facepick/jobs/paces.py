"""Paces of this machine: how long work has taken, beside what a reference would have taken.

Every search for people and every render leaves one number, a ratio; so an estimate is of this
machine, with whatever else it does, and gets better the more of a kind was done.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facepick.files import read_json, write_json
from facepick.locks import locked

__all__ = ["PACES", "Paces"]

PACES = "paces.json"
"""Name of the file in the cache."""

_FORMAT = "facepick-paces/1"

KEPT = 7
"""Newest ratios of a kind, whose median counts: what happened beside one of them does not."""

LEAST_SECONDS = 1.0
"""What took less says more of the clock than of the machine."""


@dataclass(frozen=True)
class Paces:
    """Ratios by kind of work, in a file that several processes may write to.

    Attributes:
        path: of the file.
    """

    path: Path

    def ratio(self, kind: str) -> float | None:
        """Give how much longer work of a kind takes here than the reference; None if unknown."""
        return _median(self._load().get(kind, ()))

    def usual(self) -> float | None:
        """Give the same for work of any kind."""
        each = [_median(ratios) for ratios in self._load().values()]
        return _median([ratio for ratio in each if ratio is not None])

    def note(self, kinds: Sequence[str], ratio: float, seconds: float) -> None:
        """Keep how long work of some kinds took.

        Args:
            kinds: such as ``hide/blur``; several when one render does several things.
            ratio: of the seconds to those of the reference.
            seconds: that it took.
        """
        if seconds < LEAST_SECONDS or not 0.001 < ratio < 1000:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.path.with_name(f"{self.path.name}.lock")):
                known = self._load()
                for kind in dict.fromkeys(kinds):
                    known[kind] = [*known.get(kind, ()), round(ratio, 4)][-KEPT:]
                write_json(self.path, {"format": _FORMAT, "ratios": known})
        except OSError:
            # An estimate is not worth a render.
            return

    def take(self, other: Paces) -> None:
        """Keep what another file knows, too."""
        for kind, ratios in other._load().items():
            for ratio in ratios:
                self.note([kind], ratio, LEAST_SECONDS)

    def forget(self) -> None:
        """Forget everything: the machine has changed."""
        self.path.unlink(missing_ok=True)

    def _load(self) -> dict[str, list[float]]:
        try:
            data = read_json(self.path)
            if data["format"] != _FORMAT:
                return {}
            return {
                str(k): [float(v) for v in ratios][-KEPT:] for k, ratios in data["ratios"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _median(values: Sequence[float]) -> float | None:
    # Of two in the middle the faster: what else the machine does only ever slows down.
    return statistics.median_low(values) if values else None
