"""Counts and measurements of a swap while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facepick.compositing.patch import BgrImage, FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.engine import EngineContext, EngineResult
from facepick.engines.swap.source import SourceFace
from facepick.errors import MissingModelError, ModelMismatchError
from facepick.faces.alignment import align
from facepick.faces.detection import FloatArray
from facepick.models.store import ModelStore

__all__ = ["SwapMeter", "flicker", "pasted"]

# 24 samples a person tell mean and worst, and cost less than a second of CPU time in all.
_SAMPLES = 24
FLOW_REACH = 24
"""Pixels: a head of 300 pixels that turns fast moves by a twelfth of its size a frame."""


def pasted(request: FaceRequest, patch: FacePatch) -> BgrImage:
    """Paste the patch into the request's crop; pixels with alpha 0 are bit-equal."""
    out = request.crop.copy()
    x, y = patch.origin[0] - request.origin[0], patch.origin[1] - request.origin[1]
    height, width = patch.alpha.shape
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(out.shape[1], x + width), min(out.shape[0], y + height)
    if x0 >= x1 or y0 >= y1:
        return out
    alpha = patch.alpha[y0 - y : y1 - y, x0 - x : x1 - x, None]
    image = patch.image[y0 - y : y1 - y, x0 - x : x1 - x]
    old = out[y0:y1, x0:x1]
    mixed = np.rint(old * (1 - alpha) + image * alpha).astype(np.uint8)
    out[y0:y1, x0:x1] = np.where(alpha > 0, mixed, old)
    return out


def flicker(
    before: tuple[FaceRequest, BgrImage], after: tuple[FaceRequest, BgrImage]
) -> float | None:
    """Measure what motion does not explain between frames, over the same in the original.

    Both are a request and its changed crop.  Motion is the original's optical flow; 1 means as
    steady as the footage.  None when nothing was changed.
    """
    import cv2

    (a, new_a), (b, new_b) = before, after
    x0, y0 = max(a.origin[0], b.origin[0]), max(a.origin[1], b.origin[1])
    x1 = min(r.origin[0] + r.crop.shape[1] for r in (a, b))
    y1 = min(r.origin[1] + r.crop.shape[0] for r in (a, b))
    if x1 - x0 < 32 or y1 - y0 < 32:
        return None

    def gray(request: FaceRequest, image: BgrImage) -> BgrImage:
        left, top = x0 - request.origin[0], y0 - request.origin[1]
        part = image[top : top + y1 - y0, left : left + x1 - x0]
        return np.ascontiguousarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.uint8)

    old_a, old_b = gray(a, a.crop), gray(b, b.crop)
    now_a, now_b = gray(a, new_a), gray(b, new_b)
    inside = cv2.absdiff(now_b, old_b) > 0
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    # Motion is looked for where something was changed, and as far beyond as a face moves.
    near = (
        slice(max(0, int(rows[0]) - FLOW_REACH), int(rows[-1]) + 1 + FLOW_REACH),
        slice(max(0, int(columns[0]) - FLOW_REACH), int(columns[-1]) + 1 + FLOW_REACH),
    )
    old_a, old_b, now_a, now_b, inside = (
        np.ascontiguousarray(image[near]) for image in (old_a, old_b, now_a, now_b, inside)
    )
    motion = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = motion.calc(old_b, old_a, np.zeros((*old_a.shape, 2), np.float32))
    grid = np.dstack(np.meshgrid(np.arange(old_a.shape[1]), np.arange(old_a.shape[0])))
    maps = (grid + flow).astype(np.float32)

    def rest(first: BgrImage, second: BgrImage) -> float:
        moved = cv2.remap(first, maps[:, :, 0], maps[:, :, 1], cv2.INTER_LINEAR)
        return float(np.mean(cv2.absdiff(moved, second)[inside]))

    return rest(now_a, now_b) / max(rest(old_a, old_b), 0.05)


class SwapMeter:
    """Meter that counts every answer and measures a sample of the swapped frames.

    Recognition uses SFace when the store has it; that is not the embedding that the engines
    swap by.

    Args:
        context: of the session.
        sources: the photos, best first.
    """

    def __init__(self, context: EngineContext, sources: Sequence[SourceFace]) -> None:
        self._swapped = 0
        self._hidden = 0
        self._fading = 0
        self._kept: Counter[str] = Counter()
        self._stride = max(1, context.frames // _SAMPLES)
        self._judge = _Judge.of(context.models, sources)
        self._to_source: list[float] = []
        self._to_target: list[float] = []
        self._landmarks: list[float] = []
        self._flicker: list[float] = []
        self._last: tuple[FaceRequest, BgrImage] | None = None

    def count(self, request: FaceRequest, result: EngineResult) -> None:
        """Count one answer."""
        if isinstance(result, Reason):
            self._kept[result.value] += 1
        if not isinstance(result, FacePatch):
            return
        if result.kind is PatchKind.HIDDEN:
            self._hidden += 1
            return
        if result.kind is PatchKind.FADING:
            # Half of it is the person on screen: neither a swap nor left alone.
            self._fading += 1
            return
        self._swapped += 1
        phase = request.frame % self._stride
        if phase == 0:
            now = request, pasted(request, result)
            if self._judge is not None:
                self._sample(*now, self._judge)
            self._compare(now)
            self._last = now
        elif phase == 1 and self._stride > 1:
            self._compare((request, pasted(request, result)))
            self._last = None

    def take_counts(self) -> dict[str, Any]:
        """See `CountingSession`; frames on both sides of the call are not compared."""
        found = {
            "swapped": self._swapped,
            "hidden": self._hidden,
            "fading": self._fading,
            "kept": dict(self._kept),
            "to_source": self._to_source,
            "to_target": self._to_target,
            "landmarks": self._landmarks,
            "flicker": self._flicker,
        }
        self._swapped = self._hidden = self._fading = 0
        self._kept = Counter()
        self._to_source, self._to_target, self._landmarks, self._flicker = [], [], [], []
        self._last = None
        return found

    def add_counts(self, counts: Mapping[str, Any]) -> None:
        """See `CountingSession`."""
        self._swapped += counts["swapped"]
        self._hidden += counts["hidden"]
        self._fading += counts["fading"]
        self._kept.update(counts["kept"])
        self._to_source += counts["to_source"]
        self._to_target += counts["to_target"]
        self._landmarks += counts["landmarks"]
        self._flicker += counts["flicker"]

    def close(self) -> None:
        """Let go of networks and pictures."""
        self._judge = None
        self._last = None

    def report(self) -> dict[str, Any]:
        """Report plain JSON; a measure is missing when nothing could be measured."""
        total = self._swapped + self._fading + self._hidden + sum(self._kept.values())
        found: dict[str, Any] = {
            "frames": total,
            "swapped": self._swapped,
            "fading": self._fading,
            "hidden": self._hidden,
            "kept": dict(sorted(self._kept.items())),
            "share_swapped": round(self._swapped / total, 4) if total else 0.0,
        }
        if self._to_source:
            source, target = np.array(self._to_source), np.array(self._to_target)
            found["identity"] = {
                "model": "sface",
                "frames": len(source),
                "to_source_mean": round(float(source.mean()), 4),
                "to_source_worst": round(float(source.min()), 4),
                "to_target_mean": round(float(target.mean()), 4),
                "nearer_source": round(float((source > target).mean()), 4),
            }
        if self._landmarks:
            mean = float(np.mean(self._landmarks))
            found["landmark_error_percent_of_face_height"] = round(mean, 3)
        if self._flicker:
            found["flicker_over_original"] = round(float(np.mean(self._flicker)), 3)
        return found

    def _compare(self, now: tuple[FaceRequest, BgrImage]) -> None:
        last = self._last
        if last is not None and now[0].follows(last[0]) and last[0].box.iou(now[0].box) > 0.3:
            value = flicker(last, now)
            if value is not None:
                self._flicker.append(value)

    def _sample(self, request: FaceRequest, image: BgrImage, judge: _Judge) -> None:
        points = request.local(request.landmarks5)
        if float(np.ptp(points, axis=0).max()) < 4:
            return
        ours, theirs = judge.embed(image, points), judge.embed(request.crop, points)
        self._to_source.append(float(ours @ judge.source))
        self._to_target.append(float(ours @ theirs))
        before, _ = judge.mesher.locate(request.crop, points)
        after, score = judge.mesher.locate(image, points)
        if score > 0.5:
            height = max(float(np.linalg.norm(before[10, :2] - before[152, :2])), 1.0)
            away = float(np.linalg.norm((after - before)[:, :2], axis=1).mean())
            self._landmarks.append(100 * away / height)


class _Judge:
    """The networks that measure, and the source as SFace sees it."""

    def __init__(self, embedder: Any, mesher: Any, sources: Sequence[SourceFace]) -> None:
        self._embedder = embedder
        self.mesher = mesher
        mean = np.mean([self.embed(s.image, s.landmarks5) for s in sources], axis=0)
        self.source: FloatArray = mean / max(float(np.linalg.norm(mean)), 1e-9)

    @classmethod
    def of(cls, models: ModelStore, sources: Sequence[SourceFace]) -> _Judge | None:
        """Load the judge; None when SFace is not on this machine: a swap does not need it."""
        from facepick.faces.analyzers.sface import SFaceEmbedder
        from facepick.faces.mesh import FaceMesh
        from facepick.models.catalog import SFACE

        try:
            return cls(SFaceEmbedder(models.require(SFACE)), FaceMesh(models), sources)
        except (MissingModelError, ModelMismatchError):
            return None

    def embed(self, image: BgrImage, points: FloatArray) -> FloatArray:
        row: FloatArray = self._embedder.embed(align(image, points)[None])[0]
        return row
