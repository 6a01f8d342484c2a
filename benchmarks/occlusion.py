"""How well things in front of a face are told from the face: the figures behind docs/occlusion.md.

    python benchmarks/occlusion.py [--media DIR] [--only CLIP:PERSON ...] [--kinds KIND ...]
                                   [--sheets DIR]

Nobody knows exactly where a filmed hand ends, so occluders with known alpha are drawn over the
clips that are cleared for it: every 40 frames something comes in, stays before the mouth and goes.
The mesh is located again on the changed pictures, as it would be in such a film.  ``clean`` rows
show the untouched clip, where everything that is found is false.

kind       filmed: a hand cut out of latentsync_demo3, made as light as the person's own cheek;
           hand: a drawn one in the colour of the cheek; pale, dark: drawn ones of another colour
IoU        of what was found with what was drawn, inside the lower face, over all frames of a kind
missed     share of the lower face drawn over and not found
false      share of the lower face found and not drawn over (alpha 0)
left       share of frames that are left alone; under it those drawn over by more than 35 %
ms         CPU time per face: learning and deciding, plus the mask of frames with something in it
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facepick.compositing.masks import Area, polygon
from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import EngineContext
from facepick.engines.lipsync.mouth_blend import lower_face
from facepick.engines.lipsync.rewrite.engine import RewriteEngine
from facepick.engines.lipsync.rewrite.settings import RewriteSettings
from facepick.engines.occlusion.masker import open_masker
from facepick.faces.mesh import FaceMesh
from facepick.media.reader import VideoReader
from facepick.models.store import default_store
from facepick.people.finder import find_people
from facepick.progress import never, no_progress
from facepick.render.footage import PersonFootage, crop_region

KINDS = ("filmed", "hand", "microphone", "cup", "pale", "hair", "dark")
PERIOD = 36
"""As many frames with something in front as without."""
# Open hands before a white shirt in latentsync_demo3: frame, and a point on each.
FILMED = ((120, (772, 1040)), (120, (352, 1050)), (280, (780, 1132)), (280, (380, 1120)))
# A hand's length of 190 mm is about 240 pixels there; eyes' outer corners are 90 mm apart.
FILMED_UNIT = 114.0


@cache
def filmed_hands(video: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """BGR and alpha of each of `FILMED`, six eye distances wide.

    Alpha comes from the colour alone: what is redder than shirt and curtain.
    """
    out = []
    with VideoReader(video) as reader:
        for frame in reader.frames():
            for wanted, (x, y) in FILMED:
                if frame.index != wanted:
                    continue
                half = int(3 * FILMED_UNIT)
                image = cv2.copyMakeBorder(
                    frame.picture.bgr(), half, half, half, half, cv2.BORDER_REPLICATE
                )[y : y + 2 * half, x : x + 2 * half]
                red = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)[:, :, 1]
                _, labels = cv2.connectedComponents((red > 136).astype(np.uint8))
                near = labels[half - 60 : half + 61, half - 60 : half + 61]
                body = (labels == np.bincount(near[near > 0]).argmax()).astype(np.float32)
                out.append((image.astype(np.float32), cv2.erode(body, np.ones((3, 3)))))
            if frame.index == FILMED[-1][0]:
                return out
    raise SystemExit(f"{video} is too short.")


def sprite(
    kind: str, unit: float, skin: np.ndarray, seed: int, media: Path
) -> tuple[np.ndarray, np.ndarray]:
    """BGR and alpha, six eye distances wide; what covers most lies in the middle."""
    rng = np.random.default_rng(seed)
    side = int(6 * unit)
    if kind == "filmed":
        hands = filmed_hands(media / "video/latentsync_demo3.mp4")
        colour, alpha = hands[seed % len(hands)]
        own = np.median(colour[alpha > 0], axis=0)
        size = (side, side)
        colour = cv2.resize(colour * (skin / own), size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        return np.clip(colour, 0, 255), cv2.GaussianBlur(alpha, (0, 0), max(0.6, 0.012 * unit))
    c = side / 2
    alpha = np.zeros((side, side), np.float32)
    shade = np.ones((side, side), np.float32)

    def noise(sigma: float, amount: float) -> np.ndarray:
        n = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), sigma)
        return n * (amount / max(float(n.std()), 1e-6))

    def limb(a: tuple[float, float], b: tuple[float, float], width: float) -> None:
        """A round bar: darker at its edges."""
        drawn = np.zeros((side, side), np.float32)
        ends = [tuple(int(v * 16) for v in p) for p in (a, b)]
        cv2.line(drawn, *ends, 1.0, max(1, int(width * unit)), cv2.LINE_AA, 4)
        depth = cv2.distanceTransform((drawn > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        t = 1 - np.clip(depth / (width * unit / 2), 0, 1)
        np.copyto(shade, 0.72 + 0.28 * np.sqrt(1 - t * t), where=drawn > 0.5)
        np.maximum(alpha, drawn, out=alpha)

    def at(x: float, y: float) -> tuple[float, float]:
        return c + x * unit, c + y * unit

    if kind in ("hand", "pale", "dark"):
        tone = (
            skin
            * {"hand": 1.0, "pale": 1.3, "dark": 0.55}[kind]
            * (1 + rng.uniform(-0.05, 0.05, 3))
        )
        limb(at(0, 1.5), at(0.2, 3), 0.8)
        limb(at(-0.25, 1.4), at(0.25, 1.4), 1.1)
        for i in range(4):
            x = (i - 1.5) * rng.uniform(0.24, 0.32)
            limb(at(0.8 * x, 1.1), at(1.5 * x, 0.12 * abs(i - 1.4) - 0.35), 0.25)
        limb(at(-0.2, 1.4), at(-0.95, 0.55), 0.28)
        grain = shade + noise(0.12 * unit, 0.03) + noise(1.0, 0.012)
        colour = tone * grain[:, :, None]
    elif kind == "microphone":
        limb(at(0, 0), at(0.5, 3), 0.4)
        cv2.circle(alpha, (int(c), int(c)), int(0.42 * unit), 1.0, -1, cv2.LINE_AA)
        colour = np.full((side, side, 3), rng.uniform(20, 45)) + noise(0.2 * unit, 8)[:, :, None]
    elif kind == "cup":
        low, high = np.rint(at(-0.75, -0.2)).astype(int), np.rint(at(0.75, 2)).astype(int)
        cv2.rectangle(alpha, low.tolist(), high.tolist(), 1.0, -1)
        across = np.clip((np.arange(side) - c) / (0.75 * unit), -1, 1)
        colour = np.repeat(np.repeat((205 + 35 * across)[None, :, None], side, 0), 3, 2)
        colour = colour + noise(0.5 * unit, 3)[:, :, None]
    else:
        for _ in range(9):
            x, bend = rng.uniform(-0.35, 0.35), rng.uniform(-0.4, 0.4)
            down = np.linspace(-1.6, 1.2, 24)
            line = np.array([at(x + bend * np.sin(v), v) for v in down])
            width = max(1, int(rng.uniform(0.02, 0.07) * unit))
            cv2.polylines(alpha, [np.rint(line * 16).astype(np.int32)], False, 1.0, width, 16, 4)
        colour = np.full((side, side, 3), rng.uniform(18, 50)) + noise(1.0, 6)[:, :, None]
    soft = cv2.GaussianBlur(np.clip(alpha, 0, 1), (0, 0), max(0.6, 0.012 * unit))
    return np.clip(colour, 0, 255).astype(np.float32), soft


def paste(
    image: np.ndarray,
    kind: str,
    phase: int,
    mouth: np.ndarray,
    unit: float,
    skin: Any,
    seed: int,
    media: Path,
) -> np.ndarray:
    """Draws frame `phase` of an event over BGR in place; returns its alpha (h, w)."""
    rng = np.random.default_rng(seed + 77)
    turn = 0.0 if kind in ("cup", "hair") else rng.uniform(-40, 40)
    rest = np.array([rng.uniform(-0.45, 0.45), rng.uniform(0.0, 0.7)])
    away = np.array([np.sin(np.radians(turn)), np.cos(np.radians(turn))])
    if kind == "hair":
        away = np.array([rng.choice([-1.0, 1.0]), 0.0])
        rest = 0.5 * away
    # In over a fifth of the time, out over another, swaying between.
    ends = PERIOD / 5
    out = max(0.0, 1 - phase / ends, 1 - (PERIOD - 1 - phase) / ends)
    sway = 0.12 * np.array([np.sin(phase / 5 + seed), np.cos(phase / 7 + seed)])
    centre = mouth + unit * (rest + sway + 3.2 * away * out * out * (3 - 2 * out))
    colour, alpha = sprite(kind, unit, skin, seed, media)
    half = alpha.shape[0] / 2
    move = cv2.getRotationMatrix2D((half, half), turn, 1.0)
    move[:, 2] += centre - half
    size = (image.shape[1], image.shape[0])
    there = cv2.warpAffine(alpha, move, size)
    drawn = cv2.warpAffine(colour, move, size, borderMode=cv2.BORDER_REPLICATE)
    image[:] = np.clip(np.rint(image + (drawn - image) * there[:, :, None]), 0, 255)
    return there


@dataclass(frozen=True, eq=False)
class Shown:
    """A request, and what was drawn over its crop (zlib would do; a PNG is at hand)."""

    request: FaceRequest
    kind: str
    alpha: np.ndarray | None


class Clip:
    """One person's requests, untouched or with something drawn over them."""

    def __init__(
        self, media: Path, name: str, person_id: str, folder: Path, kinds: tuple[str, ...]
    ) -> None:
        self.media, self.kinds = media, kinds
        video = media / "video" / f"{name}.mp4"
        self.store = default_store()
        self.scan = find_people(video, models=self.store, cache=folder / "scan")
        self.person = self.scan.person(person_id)
        self.mesher = FaceMesh(self.store)
        self.footage = PersonFootage(self.scan, self.person, RewriteEngine.spec, folder)
        self.footage.prepare(
            lambda picture, state, near: self._mesh(picture.bgr(), state),
            frames=(0, self.scan.frames),
            progress=no_progress,
            cancel=never,
        )

    def _mesh(self, image: np.ndarray, face: Any) -> tuple[np.ndarray, float]:
        x0, y0, x1, y1 = crop_region(face.box, 0.75, image.shape[1], image.shape[0])
        part = np.ascontiguousarray(image[y0:y1, x0:x1])
        return self.mesher.locate(part, face.landmarks5, (x0, y0))

    def shown(self, *, drawn: bool) -> Iterator[Shown]:
        seen = 0
        with VideoReader(self.scan.video.path) as reader:
            for frame in reader.frames():
                i = frame.index
                found = self.footage.requests(
                    i, frame.picture, output_frame=i, time=self.footage.time_of(i)
                )
                if not found or found[0].mesh is None:
                    continue
                if not drawn:
                    yield Shown(found[0], "clean", None)
                    continue
                event, phase = divmod(seen, 2 * PERIOD)
                seen += 1
                if phase < PERIOD:
                    yield Shown(found[0], "between", None)
                    continue
                yield self._covered(found[0], frame.picture.bgr(), event, phase - PERIOD)

    def _covered(self, request: FaceRequest, image: np.ndarray, event: int, phase: int) -> Shown:
        mesh = request.mesh
        assert mesh is not None
        if phase == 0:
            x, y = mesh[50, :2].astype(int)
            self._skin = np.median(image[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3), axis=0)
            self._unit = float(np.linalg.norm(mesh[33, :2] - mesh[263, :2]))
            self._mouth = mesh[[61, 291], :2].mean(axis=0)
        mouth = 0.7 * self._mouth + 0.3 * mesh[[61, 291], :2].mean(axis=0)
        kind = self.kinds[event % len(self.kinds)]
        alpha = paste(image, kind, phase, mouth, self._unit, self._skin, event, self.media)
        found, score = self._mesh(image, request)
        rows = slice(request.origin[1], request.origin[1] + request.crop.shape[0])
        columns = slice(request.origin[0], request.origin[0] + request.crop.shape[1])
        crop = np.ascontiguousarray(image[rows, columns])
        changed = replace(request, crop=crop, mesh=found.astype(np.float32), mesh_score=score)
        return Shown(changed, kind, alpha[rows, columns])

    def masker(self, drawn: bool, folder: Path) -> Any:
        folder.mkdir()
        return open_masker(
            EngineContext(
                settings=RewriteSettings(occlusion="built-in"),
                scan=self.scan,
                person=self.person,
                frames=self.scan.frames,
                workspace=folder,
                models=self.store,
                footage=lambda: (s.request for s in self._timed(drawn)),
            ),
            part="mouth",
            fade=False,
        )

    making = 0.0

    def _timed(self, drawn: bool) -> Iterator[Shown]:
        """The footage; what making it costs is not the masker's."""
        source = self.shown(drawn=drawn)
        while True:
            started = time.process_time()
            item = next(source, None)
            self.making += time.process_time() - started
            if item is None:
                return
            yield item


def measure(
    clip: Clip, drawn: bool, folder: Path, sheet: Path | None
) -> dict[str, dict[str, float]]:
    started = time.process_time()
    clip.making = 0.0
    masker = clip.masker(drawn, folder)
    # What is found is compared in frames that are left alone, too.
    masker._strength[:] = 1.0
    opening = time.process_time() - started - clip.making
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    tiles = []
    for n, item in enumerate(clip.shown(drawn=drawn)):
        request, row = item.request, totals[item.kind]
        started = time.process_time()
        left, visible = masker.covered(request), masker.visible(request)
        row["ms"] += 1000 * (time.process_time() - started)
        height, width = request.crop.shape[:2]
        mesh = request.local(request.mesh)
        region = polygon(Area(0, 0, width, height), lower_face(mesh)) > 0.5
        truth = np.zeros((height, width), np.float32) if item.alpha is None else item.alpha
        found = np.zeros((height, width), bool) if visible is None else visible < 0.5
        row["frames"] += 1
        row["region"] += region.sum()
        row["both"] += (found & (truth > 0.5) & region).sum()
        row["either"] += ((found | (truth > 0.5)) & region).sum()
        row["missed"] += (~found & (truth > 0.5) & region).sum()
        row["false"] += (found & (truth == 0) & region).sum()
        row["left"] += left
        row["should"] += (truth[region] > 0.5).mean() > 0.35
        if sheet is not None and item.kind not in ("clean", "between") and n % 7 == 0:
            tiles.append(_tile(request.crop, visible, left, item.kind))
    if sheet is not None and tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 10)
        cv2.imwrite(
            str(sheet), np.vstack([np.hstack(tiles[k : k + 10]) for k in range(0, len(tiles), 10)])
        )
    frames = sum(row["frames"] for row in totals.values())
    for row in totals.values():
        row["open"] = 1000 * opening / frames
    return totals


def _tile(crop: np.ndarray, visible: Any, left: bool, text: str) -> np.ndarray:
    tile = crop.copy()
    if visible is not None:
        red = (1 - visible)[:, :, None] * 0.6
        tile = (tile * (1 - red) + np.array([0, 0, 255]) * red).astype(np.uint8)
    tile = cv2.resize(tile, (140, 175), interpolation=cv2.INTER_AREA)
    cv2.putText(tile, text + (" LEFT" if left else ""), (3, 12), 0, 0.4, (0, 255, 255), 1)
    return tile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--only", nargs="*", default=["dev_gt2:P1", "dev_gt2:P2",
                                                      "latentsync_demo3:P1"])  # fmt: skip
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--clean-only", action="store_true", help="draw nothing (other footage)")
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(
        f"{'person':22}{'kind':12}{'IoU':>7}{'missed':>8}{'false':>8}{'left':>7}{'should':>8}{'ms':>7}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.only:
            video, person = name.split(":")
            folder = Path(temporary) / name.replace(":", "_")
            folder.mkdir()
            clip = Clip(options.media, video, person, folder, tuple(options.kinds))
            for drawn in (False,) if options.clean_only else (False, True):
                sheet = None
                if options.sheets is not None:
                    options.sheets.mkdir(parents=True, exist_ok=True)
                    sheet = options.sheets / f"{video}_{person}_{'drawn' if drawn else 'clean'}.png"
                for kind, row in measure(clip, drawn, folder / str(drawn), sheet).items():
                    n, region = row["frames"], row["region"]
                    iou = f"{row['both'] / row['either']:7.2f}" if row["both"] else f"{'':7}"
                    print(
                        f"{name:22}{kind:12}{iou}"
                        f"{100 * row['missed'] / region:7.2f}%{100 * row['false'] / region:7.2f}%"
                        f"{100 * row['left'] / n:6.1f}%{100 * row['should'] / n:7.1f}%"
                        f"{row['open'] + row['ms'] / n:7.1f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
