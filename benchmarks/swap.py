"""Every pair of the three people who may be swapped, measured against the bars of the mesh engine.

    python benchmarks/swap.py MEDIA OUT [--pairs AB,BA] [--every 3] [--set color=lab ...]

MEDIA holds ``video/dev_gt2.mp4`` and ``video/latentsync_demo3.mp4``; their people are contracted
models.  A contact sheet per pair goes to OUT: source photo, then original above result.

Columns: SFace cosine of the result to the source photo (mean, worst frame) and to the target;
share of frames nearer the source; share over SFace's threshold; correlation of mouth and eye
opening with the target's; landmark error in % of the face's height; change of pose in degrees;
flow residual over the original's; CPU milliseconds a face.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facepick.compositing.patch import FacePatch, FaceRequest
from facepick.engines.engine import Engine, EngineContext
from facepick.engines.registry import default_registry
from facepick.engines.swap.measure import flicker, pasted
from facepick.engines.swap.source import SourceFace, mouth_openness
from facepick.engines.swap.topology import pose_of
from facepick.faces.alignment import align
from facepick.faces.analyzers.sface import SFaceEmbedder
from facepick.faces.analyzers.yunet import YuNetDetector
from facepick.faces.detection import Box
from facepick.faces.mesh import FaceMesh
from facepick.faces.quality import eye_openness
from facepick.media.reader import VideoReader
from facepick.models.catalog import SFACE, YUNET
from facepick.models.store import ModelStore, default_store
from facepick.settings import from_mapping

# Person -> video, first and last frame of a stretch in which nobody else is on screen.
STRETCHES = {
    "A": ("dev_gt2.mp4", 100, 175),
    "B": ("dev_gt2.mp4", 175, 250),
    "C": ("latentsync_demo3.mp4", 0, 75),
}
MARGIN = 0.6


@dataclass(frozen=True)
class Row:
    """The figures of one pair."""

    pair: str
    source_mean: float
    source_worst: float
    target_mean: float
    nearer: float
    over: float
    mouth: float
    eyes: float
    landmarks: float
    pose: float
    flow: float
    cpu_ms: float
    swapped: float

    HEAD = "pair  src   worst  tgt   nearer  over  mouth  eyes   lm%   pose  flow  cpu-ms  swapped"

    def line(self) -> str:
        return (
            f"{self.pair:5} {self.source_mean:.3f} {self.source_worst:.3f}  {self.target_mean:.3f} "
            f"{self.nearer:6.2f} {self.over:6.2f} {self.mouth:6.2f} {self.eyes:5.2f} "
            f"{self.landmarks:6.2f} {self.pose:5.1f} {self.flow:5.2f} {self.cpu_ms:6.0f} "
            f"{self.swapped:7.2f}"
        )


def requests_of(video: Path, start: int, stop: int, store: ModelStore) -> list[FaceRequest]:
    """The largest face of every frame, smoothed as a renderer does."""
    detector = YuNetDetector(store.require(YUNET))
    mesher = FaceMesh(store)
    found = []
    with VideoReader(video) as reader:
        for frame in reader.frames():
            if frame.index >= stop:
                break
            if frame.index < start:
                continue
            small, scale = frame.picture.small(640)
            faces = detector.detect(small)
            if not len(faces):
                continue
            row = int(np.argmax(np.prod(faces.xyxy[:, 2:] - faces.xyxy[:, :2], axis=1)))
            image = frame.picture.bgr()
            found.append((frame, image, faces.xyxy[row] / scale, faces.landmarks5[row] / scale))
    boxes = _smooth(np.array([f[2] for f in found]))
    points = _smooth(np.array([f[3] for f in found]))
    requests = []
    for k, (frame, image, _, _) in enumerate(found):
        box = Box(*map(float, boxes[k]))
        reach = box.grown(MARGIN)
        x0, y0 = max(0, int(reach.x0)), max(0, int(reach.y0))
        x1, y1 = min(image.shape[1], int(reach.x1) + 1), min(image.shape[0], int(reach.y1) + 1)
        crop = np.ascontiguousarray(image[y0:y1, x0:x1])
        landmarks = points[k].astype(np.float32)
        mesh, score = mesher.locate(crop, landmarks, origin=(x0, y0))
        requests.append(
            FaceRequest(
                frame=frame.index, time=frame.time.seconds, crop=crop, origin=(x0, y0), box=box,
                landmarks5=landmarks, mesh=mesh, mesh_score=score, discontinuity=k == 0,
                source_frame=frame.index,
            )
        )  # fmt: skip
    meshes = np.array([r.mesh for r in requests])
    kernel = (0.2, 0.6, 0.2)
    padded = np.concatenate([meshes[:1], meshes, meshes[-1:]])
    steady = sum(w * padded[i : i + len(meshes)] for i, w in enumerate(kernel))
    return [replace(r, mesh=m.astype(np.float32)) for r, m in zip(requests, steady, strict=True)]


def _smooth(values: np.ndarray) -> np.ndarray:
    """Gaussian of one frame over time."""
    kernel = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    kernel /= kernel.sum()
    flat = values.reshape(len(values), -1)
    padded = np.concatenate([flat[:1].repeat(3, 0), flat, flat[-1:].repeat(3, 0)])
    out = sum(w * padded[i : i + len(flat)] for i, w in enumerate(kernel))
    return out.reshape(values.shape)


def best_source(requests: Iterable[FaceRequest]) -> FaceRequest:
    """The frame that serves best as a photo."""

    def merit(r: FaceRequest) -> float:
        return SourceFace("", r.crop, r.landmarks5, r.mesh, r.mesh_score).merit

    return max(requests, key=merit)


class Judge:
    """SFace, the mesh and optical flow."""

    def __init__(self, store: ModelStore) -> None:
        self.embedder = SFaceEmbedder(store.require(SFACE))
        self.detector = YuNetDetector(store.require(YUNET))
        self.mesher = FaceMesh(store)

    def embed(self, image: np.ndarray, hint: np.ndarray) -> np.ndarray:
        """Embedding of the face nearest to the five points `hint`, found anew in the picture."""
        scale = min(1.0, 640 / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        faces = self.detector.detect(small)
        points = hint
        if len(faces):
            away = np.linalg.norm(faces.landmarks5.mean(1) / scale - hint.mean(0), axis=1)
            points = faces.landmarks5[int(np.argmin(away))] / scale
        return self.embedder.embed(align(image, points.astype(np.float32))[None])[0]


def run_pair(
    pair: str,
    source: FaceRequest,
    target: list[FaceRequest],
    engine: Engine,
    settings: Any,
    judge: Judge,
    store: ModelStore,
    out: Path,
    every: int,
) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "source.png"
        cv2.imwrite(str(photo), source.crop)
        # So many frames that the session's own measuring, one frame in 25 000, costs nothing.
        context = EngineContext(
            settings=settings, video=None, scan=None, person=None, frames=10**6,
            workspace=Path(folder), models=store, device="cpu", source=(str(photo),),
            footage=lambda: iter(target),
        )  # fmt: skip
        session = engine.open(context)
        started = time.process_time()
        results = session.process(target)
        cpu = (time.process_time() - started) * 1000 / len(target)
        session.close()
    pairs = [
        (r, pasted(r, p)) for r, p in zip(target, results, strict=True) if isinstance(p, FacePatch)
    ]
    for (r, image), p in zip(pairs, [p for p in results if isinstance(p, FacePatch)], strict=True):
        untouched = np.ones(r.crop.shape[:2], bool)
        x, y = p.origin[0] - r.origin[0], p.origin[1] - r.origin[1]
        untouched[y : y + p.alpha.shape[0], x : x + p.alpha.shape[1]] = p.alpha == 0
        assert np.array_equal(image[untouched], r.crop[untouched]), "changed outside the mask"
    reference = judge.embed(source.crop, source.landmarks5 - source.origin)
    to_source, to_target, errors, turns = [], [], [], []
    openings: list[tuple[float, float, float, float]] = []
    for r, image in pairs[::every]:
        hint = r.landmarks5 - np.float32(r.origin)
        ours, theirs = judge.embed(image, hint), judge.embed(r.crop, hint)
        to_source.append(float(ours @ reference))
        to_target.append(float(ours @ theirs))
        before, _ = judge.mesher.locate(r.crop, hint)
        after, _ = judge.mesher.locate(image, hint)
        height = np.linalg.norm(before[10, :2] - before[152, :2])
        errors.append(100 * np.linalg.norm((after - before)[:, :2], axis=1).mean() / height)
        a, b = pose_of(before), pose_of(after)
        turns.append(max(abs(a.yaw - b.yaw), abs(a.pitch - b.pitch), abs(a.roll - b.roll)))
        openings.append(
            (mouth_openness(before), mouth_openness(after), eye_openness(before),
             eye_openness(after))
        )  # fmt: skip
    opened = np.array(openings)
    src, tgt = np.array(to_source), np.array(to_target)
    sheet(out / f"{pair}.png", source, pairs)
    return Row(
        pair=pair,
        source_mean=float(src.mean()), source_worst=float(src.min()), target_mean=float(tgt.mean()),
        nearer=float((src > tgt).mean()), over=float((src > 0.363).mean()),
        mouth=float(np.corrcoef(opened[:, 0], opened[:, 1])[0, 1]),
        eyes=float(np.corrcoef(opened[:, 2], opened[:, 3])[0, 1]),
        landmarks=float(np.mean(errors)), pose=float(np.mean(turns)),
        flow=flow_ratio(pairs, every), cpu_ms=cpu, swapped=len(pairs) / len(target),
    )  # fmt: skip


def flow_ratio(pairs: list[tuple[FaceRequest, np.ndarray]], every: int) -> float:
    """Mean flicker of every n-th pair of neighbouring frames."""
    found = (flicker(a, b) for a, b in list(pairwise(pairs))[::every])
    return float(np.mean([f for f in found if f is not None]))


def sheet(path: Path, source: FaceRequest, pairs: list[tuple[FaceRequest, np.ndarray]]) -> None:
    """Source photo, then six moments: original above result."""
    size = (260, 300)
    picked = [pairs[i] for i in np.linspace(0, len(pairs) - 1, 6).astype(int)]
    columns = [
        np.vstack([cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (r.crop, image)])
        for r, image in picked
    ]
    photo = cv2.resize(source.crop, size, interpolation=cv2.INTER_AREA)
    columns.insert(0, np.vstack([photo, np.zeros_like(photo)]))
    cv2.imwrite(str(path), np.hstack(columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("media", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--engine", default="mesh")
    parser.add_argument("--pairs", default="AB,AC,BA,BC,CA,CB")
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cache", type=Path, help="keep the requests of the clips here")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(2)
    store = default_store()
    engine = default_registry().get("swap", options.engine)
    kinds = {"int": int, "float": float}
    values: dict[str, Any] = {}
    for item in options.set:
        name, text = item.split("=", 1)
        kind = type(getattr(engine.spec.settings(), name)).__name__
        values[name] = kinds.get(kind, str)(text)
    settings = from_mapping(engine.spec.settings, values)
    people: dict[str, list[FaceRequest]] = {}
    for name, (video, start, stop) in STRETCHES.items():
        kept = options.cache / f"{name}.pkl" if options.cache else None
        if kept and kept.is_file():
            people[name] = pickle.loads(kept.read_bytes())
            continue
        people[name] = requests_of(options.media / "video" / video, start, stop, store)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(pickle.dumps(people[name]))
    judge = Judge(store)
    write = sys.stdout.write
    write(Row.HEAD + "\n")
    rows = []
    for pair in options.pairs.split(","):
        source, target = best_source(people[pair[0]]), people[pair[1]]
        rows.append(
            run_pair(
                pair, source, target, engine, settings, judge, store, options.out, options.every
            )
        )
        write(rows[-1].line() + "\n")
        sys.stdout.flush()
    mean = float(np.mean([r.source_mean for r in rows]))
    write(f"mean over pairs {mean:.3f}, worst pair {min(r.source_mean for r in rows):.3f}\n")


if __name__ == "__main__":
    main()
