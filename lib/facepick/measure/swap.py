"""Measurement of the faces of a finished swap, frame by frame and person by person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest, PatchKind
from facepick.engines.registry import EngineRegistry
from facepick.engines.swap.source import SourceFace, load_sources
from facepick.errors import MissingModelError, ModelMismatchError, PackageMissing
from facepick.faces.analyzer import FaceEmbedder
from facepick.faces.detection import FloatArray
from facepick.faces.mesh import FaceMesh
from facepick.measure.result_reader import picture_pairs, reasons_of, request_at
from facepick.media.picture import Picture
from facepick.models.catalog import W600K_R50
from facepick.models.store import ModelStore
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.recognition.alignment import chip_template, cut_chip
from facepick.recognition.plots import put_text, write_picture
from facepick.recognition.registry import embedder_info
from facepick.render.geometry import FacePath, paths_of
from facepick.render.plan import RenderPlan
from facepick.render.report import kind_of

__all__ = ["measure_swap"]

_SWAPPED = "swapped"
# Second opinions, best first.  ArcFace comes last: networks swap by it.
_SECOND = ("dlib", "facenet_cv", W600K_R50.id)
_NO_SECOND = "none on this machine (facepick models fetch dlib_resnet gets one)"

_INK, _GRID, _GAP = (40, 40, 40), (225, 225, 225), (240, 236, 232)
_SOURCE, _TARGET = (80, 160, 60), (70, 80, 210)
_WIDTH, _PANEL, _LEFT, _TOP = 960, 200, 60, 34


@dataclass(frozen=True, eq=False)
class _Recogniser:
    """An embedder and the source as it sees it.

    Attributes:
        source: (d,) float32 of length 1.
    """

    embedder: FaceEmbedder
    source: FloatArray

    @classmethod
    def of(cls, embedder: FaceEmbedder, sources: Sequence[SourceFace]) -> _Recogniser:
        rows = [_embedding(embedder, s.image, s.landmarks5) for s in sources]
        mean = np.mean(rows, axis=0)
        return cls(embedder, np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32))


@dataclass(eq=False)
class _Person:
    """Measurements of one person."""

    person: Person
    paths: tuple[FacePath, ...]
    recognisers: list[_Recogniser]
    states: Counter[str] = field(default_factory=Counter)
    frames: list[int] = field(default_factory=list)
    likeness: list[list[tuple[float, float]]] = field(default_factory=list)
    landmarks: list[float] = field(default_factory=list)

    def add(self, frame: int, request: FaceRequest, new: Picture, mesh: FaceMesh) -> None:
        """Measure a swapped face, unless it is too small to say anything."""
        x, y = request.origin
        height, width = request.crop.shape[:2]
        shown = new.crop(x, y, x + width, y + height)
        points = request.local(request.landmarks5)
        if float(np.ptp(points, axis=0).max()) < 4:
            return
        row = []
        for recogniser in self.recognisers:
            ours = _embedding(recogniser.embedder, shown, points)
            theirs = _embedding(recogniser.embedder, request.crop, points)
            row.append((float(ours @ recogniser.source), float(ours @ theirs)))
        self.frames.append(frame)
        self.likeness.append(row)
        after, score = mesh.locate(shown, request.landmarks5, request.origin)
        self.landmarks.append(_away(request.mesh, after) if score > 0.5 else float("nan"))

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "person": self.person.id,
            "frames": dict(sorted(self.states.items())),
            "recognisers": ", ".join(r.embedder.id for r in self.recognisers) or "none",
        }
        if not any(r.embedder.id in _SECOND for r in self.recognisers):
            found["second_recogniser"] = _NO_SECOND
        if not self.frames:
            return found
        table = np.array(self.likeness, np.float64).reshape(len(self.frames), -1, 2)
        found["identity"] = {}
        for column, recogniser in enumerate(self.recognisers):
            source, target = table[:, column, 0], table[:, column, 1]
            limit = recogniser.embedder.same_person
            found["identity"][recogniser.embedder.id] = {
                "to_source_mean": round(float(source.mean()), 4),
                "to_source_worst": round(float(source.min()), 4),
                "to_target_mean": round(float(target.mean()), 4),
                "nearer_source": round(float((source > target).mean()), 4),
                "over_same_person": round(float((source > limit).mean()), 4),
                "same_person": limit,
            }
        errors = np.array(self.landmarks)
        if np.isfinite(errors).any():
            found["landmark_error_percent_of_face_height"] = {
                "mean": round(float(np.nanmean(errors)), 3),
                "worst": round(float(np.nanmax(errors)), 3),
            }
        return found

    def plot(self, path: Path, start: int, stop: int, *, force: bool = False) -> None:
        """Plot one panel per recogniser and one of the landmarks over the frames, as PNG."""
        panels: list[npt.NDArray[np.uint8]] = []
        table = np.array(self.likeness, np.float64).reshape(len(self.frames), -1, 2)
        for column, recogniser in enumerate(self.recognisers):
            name, limit = recogniser.embedder.id, recogniser.embedder.same_person
            panels.append(
                _panel(
                    f"{self.person.id}: likeness by {name}, one person from {limit:g}",
                    self.frames,
                    [
                        ("to the source", table[:, column, 0], _SOURCE),
                        ("to the person filmed", table[:, column, 1], _TARGET),
                    ],
                    span=(start, stop),
                    # dlib's cosines lie between 0.85 and 1, SFace's between -0.2 and 1.
                    limits=(
                        float(table[:, column].min(initial=limit)) - 0.02,
                        float(table[:, column].max(initial=limit)) + 0.02,
                    ),
                    mark=limit,
                )
            )
        errors = np.array(self.landmarks, np.float64)
        high = float(np.nanmax(errors)) if np.isfinite(errors).any() else 0.0
        panels.append(
            _panel(
                f"{self.person.id}: landmarks away from the original, % of the face's height",
                self.frames,
                [("", errors, _SOURCE)],
                span=(start, stop),
                limits=(0.0, max(2.0, 1.1 * high)),
            )
        )
        write_picture(path, np.concatenate(panels), force=force)


def measure_swap(
    result: Path,
    report: Mapping[str, Any],
    scan: Scan,
    *,
    models: ModelStore,
    registry: EngineRegistry,
    plots: Path | None = None,
    force: bool = False,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> list[dict[str, Any]]:
    """Measure whose face a swap shows and how well it sits, in every swapped frame.

    One decoding pass over the result and the source side by side.  Likeness is the cosine of
    SFace's embeddings and, where there is one, of a second recogniser that the engine did not
    swap by: an engine is good at pleasing the recogniser that it was made with.

    Args:
        result: the video.
        report: its sidecar, see `facepick.render.report.read_report`.
        scan: the people of the source.
        models: where the networks are.
        registry: the engines of the plan.
        plots: a folder for one PNG per person, or None.
        force: overwrite pictures there that facepick did not write.

    Returns:
        One entry per person in the order of the plan; empty without a swap.  ``identity`` maps
        each recogniser to its figures; ``landmark_error_percent_of_face_height`` is the mean
        distance of the 468 points from those of the original.

    Raises:
        VideoOpenError: source or result cannot be read.
        UserInputError: the report holds no plan, or a source photo is gone.
        MissingModelError: the mesh is not there.
        Cancelled: the user stopped it.
    """
    plan = RenderPlan.from_json(report["plan"])
    part = (plan.start, scan.frames if plan.stop is None else min(plan.stop, scan.frames))
    people = _people(plan, scan, models, registry, cancel)
    if not people:
        return []
    mesh = FaceMesh(models)
    reasons, noted = reasons_of(report, "swap"), _noted(report)
    meter = ProgressMeter(progress, "measure", part[1] - part[0])
    time_base = scan.video.time_base
    for i, (new, old) in enumerate(picture_pairs(result, scan, part, cancel)):
        meter.update(i)
        time = int(scan.pts[part[0] + i] - scan.pts[part[0]]) * time_base
        for entry in people:
            key = (i, entry.person.id)
            state = noted.get(key) or reasons.get(key, "absent") or _SWAPPED
            entry.states[state] += 1
            if state != _SWAPPED:
                continue
            requests = (request_at(p, part[0] + i, i, time, old, mesh) for p in entry.paths)
            request = next((r for r in requests if r is not None), None)
            if request is not None:
                entry.add(i, request, new, mesh)
    found = []
    for entry in people:
        found.append(entry.report())
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            entry.plot(plots / f"{entry.person.id}.swap.png", 0, part[1] - part[0], force=force)
    return found


def _people(
    plan: RenderPlan,
    scan: Scan,
    models: ModelStore,
    registry: EngineRegistry,
    cancel: CancelToken,
) -> list[_Person]:
    """Collect who got another face, each with the recognisers to judge it by."""
    people: list[_Person] = []
    for item in plan.assignments:
        spec = registry.get(item.flow, item.engine).spec
        if spec.shows_source_face:
            face = int(item.settings.get("face", 0))
            sources = load_sources(item.source, models, face=face, cancel=cancel)
            used = {model.id for model in spec.models}
            recognisers = [_Recogniser.of(e, sources) for e in _embedders(models, used)]
            for person in item.selection.resolve(scan):
                # A swap has no guessed frames but those it hides.
                paths = paths_of(scan, person, cover_gaps=False)
                people.append(_Person(person, paths, recognisers))
    return people


def _embedders(models: ModelStore, used: set[str]) -> list[FaceEmbedder]:
    """Load SFace, and the first second opinion whose weights are here and which the engine
    lacks."""
    found: list[FaceEmbedder] = []
    for names in (("sface",), tuple(name for name in _SECOND if name not in used)):
        for name in names:
            info = embedder_info(name)
            if info.weights(models) is None:
                continue
            try:
                found.append(info.open(models))
                break
            except (MissingModelError, ModelMismatchError, PackageMissing):
                continue
    return found


def _embedding(
    embedder: FaceEmbedder, image: npt.NDArray[np.uint8], points: FloatArray
) -> FloatArray:
    from facepick.faces.alignment import similarity

    matrix = similarity(points, chip_template(embedder))
    row: FloatArray = embedder.embed(cut_chip(image, matrix, embedder.size)[None])[0]
    return row


def _away(before: FloatArray | None, after: FloatArray) -> float:
    """Compute the mean distance of the points in percent of the face's height."""
    if before is None:
        return float("nan")
    height = max(float(np.linalg.norm(before[10, :2] - before[152, :2])), 1.0)
    return 100 * float(np.linalg.norm((after - before)[:, :2], axis=1).mean()) / height


def _noted(report: Mapping[str, Any]) -> dict[tuple[int, str], str]:
    """Find frames in which a swap pixelated the face instead, or the new face comes or goes."""
    found = {}
    for entry in report.get("frames", ()):
        for change in entry.get("changes", ()):
            if change.get("flow") == "swap" and kind_of(change) is not PatchKind.DRAWN:
                found[entry["frame"], change["person"]] = kind_of(change).value
    return found


def _panel(
    title: str,
    frames: Sequence[int],
    curves: Sequence[tuple[str, npt.NDArray[np.float64], tuple[int, int, int]]],
    *,
    span: tuple[int, int],
    limits: tuple[float, float],
    mark: float | None = None,
) -> npt.NDArray[np.uint8]:
    """Draw (200, 960, 3) uint8 BGR; frames without a value are shaded."""
    import cv2

    canvas = np.full((_PANEL, _WIDTH, 3), 255, np.uint8)
    x0, y0, x1, y1 = _LEFT, _TOP, _WIDTH - 20, _PANEL - 28
    low, high = limits
    count = max(1, span[1] - span[0])

    def column(frame: float) -> int:
        return round(x0 + (frame - span[0]) / count * (x1 - x0))

    def row(value: float) -> int:
        return round(y1 - (min(max(value, low), high) - low) / (high - low) * (y1 - y0))

    cv2.rectangle(canvas, (x0, y0), (x1, y1), _GAP, -1)
    for frame in frames:
        cv2.rectangle(canvas, (column(frame), y0), (column(frame + 1), y1), (255, 255, 255), -1)
    for i in range(5):
        value = low + (high - low) * i / 4
        cv2.line(canvas, (x0, row(value)), (x1, row(value)), _GRID, 1)
        put_text(canvas, f"{value:.2f}", (10, row(value) + 4), size=0.4)
        frame = round(span[0] + count * i / 4)
        put_text(canvas, str(frame), (column(frame) - 8, y1 + 18), size=0.4)
    if mark is not None:
        cv2.line(canvas, (x0, row(mark)), (x1, row(mark)), _INK, 1)
    for place, (label, values, color) in enumerate(curves):
        put_text(canvas, label, (x1 - 200, 14 + 14 * place), size=0.4, color=color)
        last: tuple[int, tuple[int, int]] | None = None
        for frame, value in zip(frames, values.tolist(), strict=True):
            if not np.isfinite(value):
                last = None
                continue
            point = (column(frame + 0.5), row(value))
            if last is not None and last[0] == frame - 1:
                cv2.line(canvas, last[1], point, color, 1, cv2.LINE_AA)
            else:
                cv2.circle(canvas, point, 1, color, -1, cv2.LINE_AA)
            last = (frame, point)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), _INK, 1)
    put_text(canvas, title, (x0, 20), size=0.5)
    return canvas
