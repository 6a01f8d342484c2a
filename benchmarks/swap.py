"""Every pair of the three people who may be swapped, measured against the bars of the mesh engine.

    python benchmarks/swap.py MEDIA OUT [--pairs AB,BA] [--every 6] [--photos 1] [--set color=lab]

MEDIA holds ``video/dev_gt2.mp4`` and ``video/latentsync_demo3.mp4``; their people are contracted
models.  The clips are followed from end to end as a render does it; two neighbouring frames of
every six are swapped and measured.  OUT gets a contact sheet per pair (the photo, then moments
spread over the clip, original above result) and what can be used again.

Columns: SFace cosine of the result to the source photo (mean, worst frame) and to the target;
share of frames nearer the source; share over SFace's threshold; correlation of mouth and eye
opening with the target's; landmark error in % of the face's height; change of pose in degrees;
flow residual over the original's; CPU milliseconds a face; frames measured, and the shares of all
frames that were swapped and that only fade.  Measured are swapped frames within the bars' limits:
faces of at least 160 px turned by no more than 22 degrees (``--all``: every swapped frame).
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bars import Bars

from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind
from facepick.engines.engine import Engine, EngineContext
from facepick.engines.registry import default_registry
from facepick.engines.swap.measure import flicker, pasted
from facepick.engines.swap.source import best_photos, load_sources, mouth_openness
from facepick.faces.alignment import align
from facepick.faces.analyzers.sface import SFaceEmbedder
from facepick.faces.analyzers.yunet import YuNetDetector
from facepick.faces.head_pose import pose_of_mesh
from facepick.faces.mesh import FaceMesh
from facepick.faces.quality import eye_openness
from facepick.models.catalog import SFACE, YUNET
from facepick.models.store import ModelStore, default_store
from facepick.people.finder import find_people
from facepick.people.person import Scan
from facepick.progress import never, no_progress
from facepick.render.footage import PersonFootage, crop_region
from facepick.settings import from_mapping

# Person -> video and a frame in which nobody else is on screen.
PEOPLE = {"A": ("dev_gt2.mp4", 120), "B": ("dev_gt2.mp4", 200), "C": ("latentsync_demo3.mp4", 8)}
# What the bars hold for.
MIN_FACE, MAX_YAW = 160, 22.0


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
    frames: int
    swapped: float
    fading: float

    HEAD = (
        "pair  src   worst  tgt   nearer  over  mouth  eyes   lm%   pose  flow  cpu-ms  frames"
        " swapped fading"
    )

    def line(self) -> str:
        return (
            f"{self.pair:5} {self.source_mean:.3f} {self.source_worst:.3f}  {self.target_mean:.3f} "
            f"{self.nearer:6.2f} {self.over:6.2f} {self.mouth:6.2f} {self.eyes:5.2f} "
            f"{self.landmarks:6.2f} {self.pose:5.1f} {self.flow:5.2f} {self.cpu_ms:6.0f} "
            f"{self.frames:6} {self.swapped:8.3f} {self.fading:6.3f}"
        )


@dataclass(frozen=True)
class Part:
    """A person in a video: the way through it, and the frames that are measured."""

    scan: Scan
    footage: PersonFootage
    sample: list[FaceRequest]

    @classmethod
    def of(cls, name: str, media: Path, kept: Path, every: int, store: ModelStore) -> Part:
        video, alone = PEOPLE[name]
        scan = find_people(media / "video" / video, models=store, cache=kept / "scans")
        (person,) = (p for p in scan.people if any(alone in t.frames for t in scan.tracks_of(p.id)))
        folder = kept / name
        folder.mkdir(parents=True, exist_ok=True)
        spec = default_registry().get("swap", "mesh").spec
        footage = PersonFootage(scan, person, spec, folder)
        mesher = FaceMesh(store)

        def locate(picture: Any, state: Any, near: Any) -> tuple[np.ndarray, float] | None:
            region = crop_region(state.box, 0.75, picture.width, picture.height)
            if region is None:
                return None
            return mesher.locate(picture.crop(*region), state.landmarks5, region[:2])

        everything = 0, scan.frames
        footage.prepare(locate, frames=everything, progress=no_progress, cancel=never)
        stored = folder / f"sample{every}.pkl"
        if not stored.is_file():
            requests = footage.stream(everything, never)
            stored.write_bytes(pickle.dumps([r for r in requests if r.frame % every < 2]))
        return cls(scan, footage, pickle.loads(stored.read_bytes()))


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
    photos: list[Path],
    target: Part,
    engine: Engine,
    settings: Any,
    judge: Judge,
    store: ModelStore,
    out: Path,
    *,
    everything: bool,
) -> Row:
    footage = target.footage
    # So many frames that the session's own measuring, one frame in 25 000, costs nothing.
    context = EngineContext(
        settings=settings, scan=target.scan, person=footage.person,
        frames=10**6, workspace=footage.folder, models=store, device="cpu",
        source=tuple(map(str, photos)),
        footage=lambda: footage.stream((0, target.scan.frames), never),
    )  # fmt: skip
    session = engine.open(context)
    started = time.process_time()
    results = session.process(target.sample)
    cpu = (time.process_time() - started) * 1000 / len(target.sample)
    session.close()
    pairs = []
    swapped = fading = 0
    for r, p in zip(target.sample, results, strict=True):
        if not isinstance(p, FacePatch):
            continue
        image = pasted(r, p)
        untouched = np.ones(r.crop.shape[:2], bool)
        x, y = p.origin[0] - r.origin[0], p.origin[1] - r.origin[1]
        untouched[y : y + p.alpha.shape[0], x : x + p.alpha.shape[1]] = p.alpha == 0
        assert np.array_equal(image[untouched], r.crop[untouched]), "changed outside the mask"
        if p.kind is PatchKind.FADING:
            fading += 1
            continue
        swapped += 1
        within = r.box.height >= MIN_FACE and abs(pose_of_mesh(r.mesh).yaw) <= MAX_YAW
        if within or everything:
            pairs.append((r, image))
    (source, *_) = sources = load_sources([str(p) for p in photos], store)
    reference = np.mean([judge.embed(f.image, f.landmarks5) for f in sources], axis=0)
    reference /= np.linalg.norm(reference)
    to_source, to_target, errors, turns = [], [], [], []
    openings: list[tuple[float, float, float, float]] = []
    for r, image in pairs[::2]:
        hint = r.landmarks5 - np.float32(r.origin)
        ours, theirs = judge.embed(image, hint), judge.embed(r.crop, hint)
        to_source.append(float(ours @ reference))
        to_target.append(float(ours @ theirs))
        before, _ = judge.mesher.locate(r.crop, hint)
        after, _ = judge.mesher.locate(image, hint)
        height = np.linalg.norm(before[10, :2] - before[152, :2])
        errors.append(100 * np.linalg.norm((after - before)[:, :2], axis=1).mean() / height)
        a, b = pose_of_mesh(before), pose_of_mesh(after)
        turns.append(max(abs(a.yaw - b.yaw), abs(a.pitch - b.pitch), abs(a.roll - b.roll)))
        openings.append(
            (mouth_openness(before), mouth_openness(after), eye_openness(before),
             eye_openness(after))
        )  # fmt: skip
    opened = np.array(openings)
    src, tgt = np.array(to_source), np.array(to_target)
    sheet(out / f"{pair}.png", source.image, pairs)
    return Row(
        pair=pair,
        source_mean=float(src.mean()), source_worst=float(src.min()), target_mean=float(tgt.mean()),
        nearer=float((src > tgt).mean()), over=float((src > 0.363).mean()),
        mouth=float(np.corrcoef(opened[:, 0], opened[:, 1])[0, 1]),
        eyes=float(np.corrcoef(opened[:, 2], opened[:, 3])[0, 1]),
        landmarks=float(np.mean(errors)), pose=float(np.mean(turns)),
        flow=flow_ratio(pairs), cpu_ms=cpu, frames=len(errors),
        swapped=swapped / len(results), fading=fading / len(results),
    )  # fmt: skip


def flow_ratio(pairs: list[tuple[FaceRequest, np.ndarray]]) -> float:
    """Mean flicker of neighbouring frames."""
    found = [
        flicker(a, b)
        for a, b in pairwise(pairs)
        if b[0].frame - a[0].frame == 1 and a[0].shot == b[0].shot
    ]
    return float(np.mean([f for f in found if f is not None]))


def sheet(path: Path, photo: np.ndarray, pairs: list[tuple[FaceRequest, np.ndarray]]) -> None:
    """Source photo, then moments spread over the clip: original above result, face 300 px high."""
    size = (330, 400)
    picked = [pairs[i] for i in np.linspace(0, len(pairs) - 1, 7).astype(int)]
    columns = []
    for r, image in picked:
        oval = r.mesh[:, :2] - np.float32(r.origin)
        center, height = oval.mean(axis=0), float(np.ptp(oval[:, 1]))
        scale = 270 / height
        move = np.array(size) / 2 - scale * (center - (0, 0.06 * height))
        matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
        views = [cv2.warpAffine(x, matrix, size, flags=cv2.INTER_AREA) for x in (r.crop, image)]
        columns.append(np.vstack(views))
    first = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    columns.insert(0, np.vstack([first, np.zeros_like(first)]))
    cv2.imwrite(str(path), np.hstack(columns))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("media", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--engine", default="mesh")
    parser.add_argument("--pairs", default="AB,AC,BA,BC,CA,CB")
    parser.add_argument("--every", type=int, default=6)
    parser.add_argument("--photos", type=int, default=1, help="of the source; at most 3")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--cache", type=Path, help="what can be used again is kept here, not in OUT"
    )
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
    kept = options.cache or options.out
    pairs = options.pairs.split(",")
    people: dict[str, Part] = {}
    photos: dict[str, list[Path]] = {}
    for name in sorted(set("".join(pairs))):
        part = people[name] = Part.of(name, options.media, kept, options.every, store)
        photos[name] = sorted((kept / f"{name}-photos").glob("*.png")) or best_photos(
            part.scan, part.footage.person.id, store, kept / f"{name}-photos"
        )
    judge = Judge(store)
    write = sys.stdout.write
    write(Row.HEAD + "\n")
    rows = []
    for pair in pairs:
        rows.append(
            run_pair(
                pair, photos[pair[0]][: options.photos], people[pair[1]], engine, settings, judge,
                store, options.out, everything=options.all,
            )
        )  # fmt: skip
        write(rows[-1].line() + "\n")
        sys.stdout.flush()
    mean = float(np.mean([r.source_mean for r in rows]))
    write(f"mean over pairs {mean:.3f}, worst pair {min(r.source_mean for r in rows):.3f}\n")
    bars = Bars("swap")
    for row in rows:
        bars.judge(row.pair, {"to the source": row.source_mean, "landmark error %": row.landmarks,
                              "nearer": row.nearer})  # fmt: skip
    return bars.outcome()


if __name__ == "__main__":
    raise SystemExit(main())
