"""Session of any engine, made to stay behind what is in front of the face."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.engine import CountingSession, EngineContext, EngineResult, EngineSession
from facepick.engines.occlusion.masker import NothingInFront, OcclusionMasker, Part, open_masker
from facepick.faces.detection import FloatArray

__all__ = ["OcclusionSession", "behind_occluders"]


def behind_occluders(
    session: EngineSession,
    context: EngineContext,
    *,
    part: Part,
    masker: OcclusionMasker | None = None,
    instead: Callable[[FaceRequest], EngineResult] | None = None,
) -> EngineSession:
    """Wrap the session so that it spares what is in front of the face; or return it as it is.

    Args:
        session: of the engine; closed when the masker cannot be had.
        context: it was opened with; its settings have `occlusion`.
        part: what the engine changes.
        masker: of this context and part, when the engine needed one itself.
        instead: answers for frames in which too much is covered; None leaves them as filmed.

    Raises:
        MissingModelError, ModelMismatchError, Cancelled: see `open_masker`.
    """
    try:
        # Where a face must not be seen, it does not shine through for three frames either.
        if masker is None:
            masker = open_masker(context, part=part, fade=instead is None)
    except BaseException:
        session.close()
        raise
    if isinstance(masker, NothingInFront):
        return session
    return OcclusionSession(session, masker, instead=instead)


class OcclusionSession:
    """Session that `behind_occluders` wraps around the engine's own."""

    def __init__(
        self,
        session: EngineSession,
        masker: OcclusionMasker,
        *,
        instead: Callable[[FaceRequest], EngineResult] | None = None,
    ) -> None:
        self._session, self._masker = session, masker
        self._instead = instead

    def process(self, requests: Sequence[FaceRequest]) -> list[EngineResult]:
        """See `EngineSession`."""
        free = [r for r in requests if not self._masker.covered(r)]
        made = dict(zip(map(id, free), self._session.process(free), strict=True))
        return [
            self._spared(r, made[id(r)]) if id(r) in made else self._left_alone(r) for r in requests
        ]

    def report(self) -> dict[str, Any]:
        """Report as the engine does, and ``occlusion``: see `OcclusionMasker.report`."""
        return {**self._session.report(), "occlusion": self._masker.report()}

    def take_counts(self) -> dict[str, Any]:
        """See `CountingSession`."""
        session = self._session
        return session.take_counts() if isinstance(session, CountingSession) else {}

    def add_counts(self, counts: Mapping[str, Any]) -> None:
        """See `CountingSession`."""
        if isinstance(self._session, CountingSession):
            self._session.add_counts(counts)

    def close(self) -> None:
        """See `EngineSession`."""
        self._session.close()

    def _left_alone(self, request: FaceRequest) -> EngineResult:
        return Reason.OCCLUDED if self._instead is None else self._instead(request)

    def _spared(self, request: FaceRequest, result: EngineResult) -> EngineResult:
        # What hides a face hides what is in front of it, too.
        if not isinstance(result, FacePatch) or result.kind is PatchKind.HIDDEN:
            return result
        visible = self._masker.visible(request)
        if visible is None:
            return result
        alpha = result.alpha * _moved(visible, request.origin, result)
        # A patch that shows nothing any more is a frame left as it was.
        if not (alpha > 1 / 255).any():
            return self._left_alone(request)
        return replace(result, alpha=np.asarray(alpha, np.float32))


def _moved(visible: FloatArray, origin: tuple[int, int], patch: FacePatch) -> FloatArray:
    """Move a mask of the crop at `origin` over the patch's rectangle; 1 beyond the crop."""
    height, width = patch.alpha.shape
    out = np.ones((height, width), np.float32)
    dx, dy = patch.origin[0] - origin[0], patch.origin[1] - origin[1]
    top, left = max(0, dy), max(0, dx)
    part = visible[top : max(top, dy + height), left : max(left, dx + width)]
    out[top - dy : top - dy + part.shape[0], left - dx : left - dx + part.shape[1]] = part
    return out
