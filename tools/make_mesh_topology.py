"""Makes ``lib/facepick/faces/data/mesh_topology.npz`` from footage of talking people.

    python tools/make_mesh_topology.py VIDEO [VIDEO ...]

The face mesh network gives 468 points and no surface.  This script averages the points of many
faces after taking position, size and pose out (generalised Procrustes analysis: Gower, 1975),
opens the mouth so that the lips' inner edges part, unrolls the mean onto a cylinder around the
head, and triangulates it there (Delaunay), with eyes and inner mouth as holes.

The file holds:

    shape      (468, 3) float32  mean head, eye distance 1, x right, y down, z away
    uv         (504, 2) float32  texture coordinates in [0, 1], with a ring around the oval
    triangles  (t, 3)   int16    corners, clockwise on the screen for a face seen from the front

Needs scipy on top of facepick's own dependencies.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import Delaunay

from facepick.faces.analyzers.yunet import YuNetDetector
from facepick.faces.landmarks468 import FACE_OVAL, LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from facepick.faces.mesh import FaceMesh
from facepick.faces.mesh_topology import VERTICES, extended
from facepick.media.reader import VideoReader
from facepick.models.catalog import YUNET
from facepick.models.store import default_store

OUT = Path(__file__).parent.parent / "lib/facepick/faces/data/mesh_topology.npz"
STEP = 10
"""Every 10th frame: neighbours show nearly the same face."""
# The rings of the lower lip from outside to inside, without the mouth's corners.
LOWER_LIP = (
    146, 91, 181, 84, 17, 314, 405, 321, 375,
    77, 90, 180, 85, 16, 315, 404, 320, 307,
    96, 89, 179, 86, 15, 316, 403, 319, 325,
    95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
# The mouth of the mean face is opened by this share of the eye distance.
MOUTH_GAP = 0.12
# Distance from the cylinder's axis to the cheeks, in eye distances: the mean head's half width.
AXIS_DEPTH = 1.25
BORDER = 0.04


def meshes_of(video: Path) -> Iterator[np.ndarray]:
    store = default_store()
    detector, mesher = YuNetDetector(store.require(YUNET)), FaceMesh(store)
    with VideoReader(video) as reader:
        for frame in reader.frames():
            if frame.index % STEP:
                continue
            small, scale = frame.picture.small(640)
            for landmarks in detector.detect(small).landmarks5:
                mesh, score = mesher.locate(frame.picture.bgr(), landmarks / np.float32(scale))
                if score > 0.9:
                    yield mesh.astype(np.float64)


def normalised(meshes: list[np.ndarray]) -> np.ndarray:
    """The mean of all meshes, each rotated, moved and scaled onto it."""
    stack = np.stack([m - m.mean(axis=0) for m in meshes])
    stack /= np.linalg.norm(stack, axis=(1, 2), keepdims=True)
    mean = stack[0]
    for _ in range(10):
        aligned = []
        for points in stack:
            u, _, vt = np.linalg.svd(points.T @ mean)
            sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
            aligned.append(points @ (u @ sign @ vt))
        mean = np.mean(aligned, axis=0)
        mean /= np.linalg.norm(mean)
    return upright(mean)


def upright(mean: np.ndarray) -> np.ndarray:
    """x along the eyes, y down to the chin in the plane of symmetry; eye distance 1."""
    right = mean[[33, 133]].mean(axis=0)
    left = mean[[263, 362]].mean(axis=0)
    x = (left - right) / np.linalg.norm(left - right)
    y = mean[152] - mean[10]
    y -= (y @ x) * x
    y /= np.linalg.norm(y)
    rotation = np.stack([x, y, np.cross(x, y)])
    points = (mean - (left + right) / 2) @ rotation.T
    return points / np.linalg.norm(left - right)


def opened(shape: np.ndarray) -> np.ndarray:
    """The same head with its lips parted: lower lip and chin drop, the mouth's corners stay."""
    out = shape.copy()
    middle = (shape[78] + shape[308]) / 2
    half = abs(shape[308, 0] - shape[78, 0]) / 2
    below = shape[:, 1] > shape[list(LIPS_OUTER[:11]), 1].max()
    below[list(LOWER_LIP)] = True
    aside = (shape[:, 0] - middle[0]) / half
    out[below, 1] += MOUTH_GAP * np.clip(1 - aside[below] ** 2, 0, 1)
    return out


def unrolled(shape: np.ndarray) -> np.ndarray:
    """Angle around the head and height, fitted into the unit square."""
    axis = shape[:, 2].min() + AXIS_DEPTH
    angle = np.arctan2(shape[:, 0], axis - shape[:, 2])
    flat = np.stack([angle * AXIS_DEPTH, shape[:, 1]], axis=1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return BORDER + (flat - low) / (high - low) * (1 - 2 * BORDER)


def inside(ring: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points lie inside the closed ring (crossing number)."""
    hit = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        spans = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            hit ^= spans & (points[:, 0] < x0 + (points[:, 1] - y0) / (y1 - y0) * (x1 - x0))
    return hit


def with_edges(uv: np.ndarray, triangles: np.ndarray, rings: list[tuple[int, ...]]) -> np.ndarray:
    """Flips edges until every edge of the rings is one (Sloan, 1993)."""
    cells = [tuple(map(int, t)) for t in triangles]

    def crosses(a: int, b: int, c: int, d: int) -> bool:
        def side(p: int, q: int, r: int) -> float:
            return float(np.cross(np.append(uv[q] - uv[p], 0), np.append(uv[r] - uv[p], 0))[2])

        if len({a, b, c, d}) < 4:
            return False
        return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0

    for ring in rings:
        for a, b in zip(ring, (*ring[1:], ring[0]), strict=True):
            for _ in range(1000):
                edges: dict[frozenset[int], list[int]] = {}
                for k, t in enumerate(cells):
                    for i in range(3):
                        edges.setdefault(frozenset((t[i], t[i - 1])), []).append(k)
                if frozenset((a, b)) in edges:
                    break
                # The first crossing edge whose two triangles form a convex quadrangle.
                for edge, owners in sorted(edges.items(), key=lambda e: sorted(e[0])):
                    c, d = sorted(edge)
                    if len(owners) != 2 or not crosses(a, b, c, d):
                        continue
                    (e,) = set(cells[owners[0]]) - edge
                    (f,) = set(cells[owners[1]]) - edge
                    if crosses(e, f, c, d):
                        cells[owners[0]], cells[owners[1]] = (e, f, c), (e, f, d)
                        break
                else:
                    break
    return np.array(cells)


def triangulated(uv: np.ndarray) -> np.ndarray:
    rings = [LIPS_INNER, RIGHT_EYE, LEFT_EYE, FACE_OVAL]
    ring = tuple(range(468, VERTICES))
    rings.append(ring)
    triangles = with_edges(uv, Delaunay(uv).simplices, rings)
    centers = uv[triangles].mean(axis=1)
    keep = inside(uv[list(ring)], centers)
    for hole in (LIPS_INNER, RIGHT_EYE, LEFT_EYE):
        keep &= ~inside(uv[list(hole)], centers)
    triangles = triangles[keep]
    a, b, c = (uv[triangles[:, i]] for i in range(3))
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles[turn < 0] = triangles[turn < 0][:, ::-1]
    edges = {frozenset((int(t[i]), int(t[i - 1]))) for t in triangles for i in range(3)}
    for name, closed in (
        ("ring", ring), ("lips", LIPS_INNER), ("right eye", RIGHT_EYE), ("left eye", LEFT_EYE)
    ):  # fmt: skip
        missing = [
            (p, q)
            for p, q in zip(closed, (*closed[1:], closed[0]), strict=True)
            if frozenset((p, q)) not in edges
        ]
        if missing:
            raise SystemExit(f"the edge of the {name} is not kept: {missing}")
    return triangles


def main(videos: list[Path]) -> None:
    meshes = [m for video in videos for m in meshes_of(video)]
    build(meshes)


def build(meshes: list[np.ndarray]) -> None:
    shape = normalised(meshes)
    uv = unrolled(extended(opened(shape)).astype(np.float64))
    triangles = triangulated(uv)
    OUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        OUT,
        shape=shape.astype(np.float32),
        uv=uv.astype(np.float32),
        triangles=triangles.astype(np.int16),
    )
    sys.stdout.write(f"{len(meshes)} faces -> {len(triangles)} triangles -> {OUT}\n")


if __name__ == "__main__":
    main([Path(a) for a in sys.argv[1:]])
