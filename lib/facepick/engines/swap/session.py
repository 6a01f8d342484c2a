"""What every swap of a face does for each frame: decide, draw or stay away, count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.engines.engine import EngineContext, EngineResult
from facepick.engines.swap.fallback import hidden_face
from facepick.engines.swap.footage_stats import Learned
from facepick.engines.swap.gating import swap_decisions
from facepick.engines.swap.measure import SwapMeter
from facepick.engines.swap.source import SourceFace
from facepick.errors import EngineError

__all__ = ["SwapSession"]


class SwapSession(ABC):
    """Session of a swap; drawing is left to those who derive from it.  See `CountingSession`.

    Args:
        context: of the session; its settings are `SwapSettings`.
        sources: the photos, best first.
        learned: of the footage; closed with the session.
    """

    def __init__(
        self, context: EngineContext, sources: Sequence[SourceFace], learned: Learned
    ) -> None:
        self._settings = context.settings
        self._cancel = context.cancel
        self._learned = learned
        self._decisions = swap_decisions(context.settings, learned.sights)
        self._meter = SwapMeter(context, sources)
        self._closed = False

    @abstractmethod
    def _swap(self, request: FaceRequest, strength: float) -> FacePatch | None:
        """Draw the new face, (0, 1] of it; None where it cannot be drawn."""

    def process(self, requests: Sequence[FaceRequest]) -> list[EngineResult]:
        """See `EngineSession`."""
        if self._closed:
            raise EngineError("This session is closed.")
        answers: list[EngineResult] = []
        for request in requests:
            self._cancel.raise_if_cancelled()
            result = self._answer(request)
            self._meter.count(request, result)
            answers.append(result)
        return answers

    def report(self) -> dict[str, Any]:
        """Report what was swapped, hidden and kept, and how well; see `SwapMeter.report`."""
        return self._meter.report()

    def take_counts(self) -> dict[str, Any]:
        """See `CountingSession`."""
        return self._meter.take_counts()

    def add_counts(self, counts: Mapping[str, Any]) -> None:
        """See `CountingSession`."""
        self._meter.add_counts(counts)

    def close(self) -> None:
        """See `EngineSession`."""
        self._closed = True
        self._learned.close()
        self._meter.close()

    def _answer(self, request: FaceRequest) -> EngineResult:
        decision = self._decisions.of(request)
        patch = None
        if decision.reason is None:
            patch = self._swap(request, decision.strength)
        if patch is not None:
            return patch
        if self._settings.on_doubt == "hide":
            return hidden_face(request)
        return decision.reason or Reason.LOW_CONFIDENCE
