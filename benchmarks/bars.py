"""Bars of the figures that benchmarks print: below one, the command ends with status 1.

`bars.json` says for a benchmark, a case of it (``*`` is any) and a figure how much it is at
``least`` or at ``most``.  A figure without a bar is not judged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Bars"]

FILE = Path(__file__).with_suffix(".json")


class Bars:
    """Judge of the figures of one benchmark.

    >>> bars = Bars("example", {"*": {"recall": {"least": 0.9}}})
    >>> bars.judge("a clip", {"recall": 0.8, "ms": 3.0})
    >>> bars.missed
    ['a clip: recall is 0.8, at least 0.9 is wanted']
    """

    def __init__(
        self, benchmark: str, bars: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None
    ) -> None:
        self._bars = json.loads(FILE.read_text())[benchmark] if bars is None else bars
        self.missed: list[str] = []

    def judge(self, case: str, figures: Mapping[str, float | None]) -> None:
        """Compare the figures of a case with its bars, and with those of every case."""
        for name, bar in {**self._bars.get("*", {}), **self._bars.get(case, {})}.items():
            value = figures.get(name)
            if value is None:
                continue
            for word, wanted in bar.items():
                if value < wanted if word == "least" else value > wanted:
                    self.missed.append(
                        f"{case}: {name} is {value:.4g}, at {word} {wanted:g} is wanted"
                    )

    def outcome(self) -> int:
        """Print what was missed; the exit status."""
        for line in self.missed:
            sys.stdout.write(f"below its bar: {line}\n")
        return 1 if self.missed else 0
