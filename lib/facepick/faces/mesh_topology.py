"""Topology of the face mesh: triangles, texture coordinates, and a ring around the oval.

The data come from ``tools/make_mesh_topology.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import FACE_OVAL

__all__ = [
    "RING_JAW",
    "RING_SIDE",
    "RING_TOP",
    "VERTICES",
    "Topology",
    "extended",
    "ring_reach",
    "topology",
    "vertex_normals",
]

VERTICES = 468 + len(FACE_OVAL)
"""The network's points and a ring of as many points as the oval has, around it."""

RING_TOP, RING_SIDE, RING_JAW = 0.30, 0.11, 0.22
"""How far the ring lies outside the oval, as a share of the way from the face's middle: at the
top up to the hair line, at the sides just past the face, below the jaw as far as a beard goes."""

_DATA = Path(__file__).parent / "data" / "mesh_topology.npz"


@dataclass(frozen=True, eq=False)
class Topology:
    """Triangles and texture coordinates of the surface.

    Attributes:
        shape: (468, 3) float32, mean head, eye distance 1, x right, y down, z away.
        uv: (`VERTICES`, 2) float32 texture coordinates in [0, 1].
        triangles: (t, 3) int64, corners in clockwise order on the screen when seen from the
            front; eyes and inner mouth are holes.
    """

    shape: FloatArray
    uv: FloatArray
    triangles: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Topology({len(self.uv)} vertices, {len(self.triangles)} triangles)"


@cache
def topology() -> Topology:
    """Load the surface that comes with facepick."""
    with np.load(_DATA, allow_pickle=False) as data:
        return Topology(
            shape=np.asarray(data["shape"], np.float32),
            uv=np.asarray(data["uv"], np.float32),
            triangles=np.asarray(data["triangles"], np.int64),
        )


def ring_reach(*, top: float = RING_TOP, side: float = RING_SIDE) -> npt.NDArray[np.float64]:
    """Measure how far each point of the ring lies outside the oval, (36,)."""
    steps = np.arange(len(FACE_OVAL))
    # 0 at the top of the oval, pi at the chin.
    angle = np.minimum(steps, len(FACE_OVAL) - steps) * (2 * math.pi / len(FACE_OVAL))
    reach = side + (top - side) * np.clip(np.cos(angle), 0, 1) ** 2
    jaw = np.clip(-2 * np.cos(angle), 0, 1)
    return np.asarray(reach + jaw * np.maximum(RING_JAW - side, 0))


def extended(mesh: npt.ArrayLike, *, top: float = RING_TOP, side: float = RING_SIDE) -> FloatArray:
    """Extend the mesh (468, 3) by the ring around its oval, (`VERTICES`, 3)."""
    points = np.asarray(mesh, np.float64)
    oval = points[list(FACE_OVAL)]
    center = oval.mean(axis=0)
    reach = ring_reach(top=top, side=side)
    outward = oval - center
    ring = oval + reach[:, None] * outward
    # The head curves away there, at about 45 degrees.
    ring[:, 2] = oval[:, 2] + reach * np.hypot(outward[:, 0], outward[:, 1])
    return np.concatenate([points, ring]).astype(np.float32)


def vertex_normals(vertices: FloatArray, triangles: npt.NDArray[np.int64]) -> FloatArray:
    """Compute unit normals (n, 3) out of the face (towards the camera z is negative)."""
    a, b, c = (vertices[triangles[:, i]].astype(np.float64) for i in range(3))
    # Clockwise on the screen with y down: the cross product points away from the camera.
    faces = -np.cross(b - a, c - a)
    corners = triangles.T.ravel()
    sums = [np.bincount(corners, np.tile(face, 3), minlength=len(vertices)) for face in faces.T]
    normals = np.stack(sums, axis=1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-9), np.float32)
