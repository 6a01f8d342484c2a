"""What a swap did, counted while it ran."""

from __future__ import annotations

from collections import Counter
from typing import Any

from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.engines.engine import EngineResult
from facepick.engines.swap.hidden import HIDDEN

__all__ = ["SwapMeter"]


class SwapMeter:
    """Counts answers."""

    def __init__(self) -> None:
        self._swapped = 0
        self._hidden = 0
        self._kept: Counter[str] = Counter()

    def count(self, request: FaceRequest, result: EngineResult) -> None:
        if isinstance(result, FacePatch):
            if result.note == HIDDEN:
                self._hidden += 1
            else:
                self._swapped += 1
        elif isinstance(result, Reason):
            self._kept[result.value] += 1

    def report(self) -> dict[str, Any]:
        """Plain JSON."""
        total = self._swapped + self._hidden + sum(self._kept.values())
        return {
            "frames": total,
            "swapped": self._swapped,
            "hidden": self._hidden,
            "kept": dict(sorted(self._kept.items())),
            "share_swapped": round(self._swapped / total, 4) if total else 0.0,
        }
