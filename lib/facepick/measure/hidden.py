"""Search of a result for a face that was to be hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facepick.faces.alignment import align
from facepick.faces.analyzer import FaceDetector, FaceEmbedder
from facepick.faces.detection import Box, FloatArray
from facepick.media.picture import Picture
from facepick.media.reader import VideoReader
from facepick.models.store import ModelStore
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.recognition.registry import open_detector, open_embedder, open_mesher
from facepick.render.plan import RenderPlan

__all__ = ["measure_hidden"]

# Half as large again as the pictures that a scan looks at, so that a face it missed is found.
_LONG_SIDE = 960
# What an aligned face shows lies within 0.6 of its box's size around the box.
_AROUND = 0.6


@dataclass(eq=False)
class _Hidden:
    """One hidden person, the faces it is known by, and where somebody like it was seen."""

    person: Person
    frames: list[dict[str, Any]] = field(default_factory=list)
    highest: float = -1.0

    def report(self, searched: int, same_person: float) -> dict[str, Any]:
        return {
            "person": self.person.id,
            "frames_searched": searched,
            "seen": self.frames,
            "most_alike": round(self.highest, 4) if self.highest > -1 else None,
            "same_person": same_person,
        }


def measure_hidden(
    result: Path,
    report: Mapping[str, Any],
    scan: Scan,
    *,
    models: ModelStore,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> list[dict[str, Any]]:
    """Search every frame of a result for a face like that of a hidden person.

    A face counts as the hidden person's when it is as likely one person as two, or more, and is
    like nobody else of the video that much.

    Args:
        result: the video.
        report: its sidecar, see `facepick.render.report.read_report`.
        scan: the people of the source.
        models: where the networks are.

    Returns:
        One entry per hidden person in the order of the plan; empty without one.  ``seen`` lists
        the frames of the result: ``frame``, ``seconds``, ``likeness`` (cosine), ``box`` in display
        pixels.  ``most_alike`` is the highest cosine of all faces found, None where no face was
        found or the person has no face that it is known by.

    Raises:
        VideoOpenError: the result cannot be read.
        UserInputError: the report holds no plan.
        MissingModelError: a network is not there.
        Cancelled: the user stopped it.
    """
    plan = RenderPlan.from_json(report["plan"])
    hidden: dict[str, _Hidden] = {}
    for item in plan.assignments:
        if item.flow == "hide":
            for person in item.selection.resolve(scan):
                hidden.setdefault(person.id, _Hidden(person))
    if not hidden:
        return []
    detector = open_detector("yunet", models, open_mesher(models))
    embedder = open_embedder(scan.people[0].exemplar_model, models)
    others = [p for p in scan.people if p.id not in hidden]
    searched = 0
    with VideoReader(result, cancel=cancel) as reader:
        meter = ProgressMeter(progress, "measure", scan.frames)
        aspect = float(reader.info.sample_aspect_ratio)
        for frame in reader.frames():
            meter.update(searched)
            searched += 1
            for box, row in _faces(frame.picture, aspect, detector, embedder):
                rival = max((_likeness(row, p) for p in others), default=-1.0)
                for entry in hidden.values():
                    likeness = _likeness(row, entry.person)
                    entry.highest = max(entry.highest, likeness)
                    if likeness >= embedder.same_person and likeness > rival:
                        entry.frames.append(
                            {
                                "frame": frame.index,
                                "seconds": round(float(frame.time.seconds), 3),
                                "likeness": round(likeness, 4),
                                "box": [round(v, 1) for v in box],
                            }
                        )
    return [entry.report(searched, embedder.same_person) for entry in hidden.values()]


def _likeness(row: FloatArray, person: Person) -> float:
    """Compute the cosine to the nearest of the faces that a person is known by; -1 without one."""
    return float((person.exemplars @ row).max()) if len(person.exemplars) else -1.0


def _faces(
    picture: Picture, aspect: float, detector: FaceDetector, embedder: FaceEmbedder
) -> Sequence[tuple[Box, FloatArray]]:
    """Find every face, in display pixels, with its embedding of length 1."""
    import cv2

    small, _ = picture.small(_LONG_SIDE)
    height, width = small.shape[:2]
    if abs(aspect - 1) > 0.01:
        # Squeezed faces are found badly, so pixels are made square first.
        size = (width, round(height / aspect)) if aspect > 1 else (round(width * aspect), height)
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
    scale = np.array([picture.width / small.shape[1], picture.height / small.shape[0]])
    found = detector.detect(small)
    faces = []
    for i in range(len(found.score)):
        box = Box(*(float(v) for v in found.xyxy[i] * np.tile(scale, 2)))
        around = box.grown(_AROUND)
        x0, y0 = max(0, int(around.x0)), max(0, int(around.y0))
        x1, y1 = min(picture.width, int(around.x1) + 1), min(picture.height, int(around.y1) + 1)
        if x1 - x0 < 2 or y1 - y0 < 2:
            continue
        chip = align(
            picture.crop(x0, y0, x1, y1),
            np.asarray(found.landmarks5[i] * scale, np.float32),
            size=embedder.size,
            origin=(x0, y0),
            pixel_aspect=aspect,
        )
        faces.append((box, embedder.embed(chip[None])[0]))
    return faces
