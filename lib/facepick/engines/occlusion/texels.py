"""Texels: a face in its own coordinates, where a texel is the same spot of skin in every frame.

The texels are those of the swap's texture coordinates, with eyes and mouth closed over, so that a
hand before the mouth has somewhere to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import FACE_OVAL, LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from facepick.faces.mesh_surface import Surface
from facepick.faces.mesh_topology import Topology, topology, vertex_normals

__all__ = ["SIDE", "Texels", "texels"]

SIDE = 96
"""Of the square of texture coordinates: a texel is 1.4 % of the face's height, half a finger's
width is five of them."""

# From forehead to chin the face takes 0.73 of the square.
_FACE_SHARE = 0.73
# Skin seen at more than 63 degrees (cosine 0.45) slides on the mesh by its own width.
_MIN_FACING = 0.45
# The jaw from cheek to cheek and a line below the nose, as `mouth_blend.lower_face` draws it.
_LOWER = (*FACE_OVAL[8:29], 205, 203, 97, 2, 326, 423, 425)

Bools = npt.NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Texels:
    """The texels that lie on the face, n of them.

    Attributes:
        rows, columns: (n,) where they lie in the square.
        corners: (n, 3) the mesh points around each.
        weights: (n, 3) float32 of those points, summing to 1.
        normals: (n, 3) float32 of the mean head.
        lips, eyes: (n,) bool, with what moves around them.
        lower: (n,) bool, the lower face.
        triangles: (t, 3) of the closed surface.
    """

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    corners: npt.NDArray[np.int64]
    weights: FloatArray
    normals: FloatArray
    lips: Bools
    eyes: Bools
    lower: Bools
    triangles: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Texels({len(self)})"

    @cached_property
    def index(self) -> npt.NDArray[np.int64]:
        """Number of each texel in the square, row after row: an index of one number is several
        times as fast as one of two."""
        return self.rows * SIDE + self.columns

    def square(self, values: npt.ArrayLike) -> FloatArray:
        """Lay values (n,) or (n, c) out as (SIDE, SIDE) or (SIDE, SIDE, c) float32, else 0."""
        flat = np.asarray(values, np.float32)
        out = np.zeros((SIDE * SIDE, *flat.shape[1:]), np.float32)
        out[self.index] = flat
        return out.reshape(SIDE, SIDE, *flat.shape[1:])

    def flat(self, square: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """Reverse `square`."""
        return square.reshape(SIDE * SIDE, *square.shape[2:]).take(self.index, axis=0)

    def places(self, mesh: FloatArray) -> FloatArray:
        """Place the texels in the mesh's pixels, (n, 2) float32."""
        corners = np.asarray(mesh[:, :2], np.float32)[self.corners]
        return np.asarray(np.einsum("nkc,nk->nc", corners, self.weights), np.float32)

    def seen(self, mesh: FloatArray, size: tuple[int, int]) -> Bools:
        """Tell which texels face the camera and lie in the picture of `size` (w, h), (n,).

        Args:
            mesh: (468, 3) in pixels of that picture.
        """
        facing = -vertex_normals(np.asarray(mesh, np.float32), self.triangles)[:, 2]
        ahead = (facing[self.corners] * self.weights).sum(axis=1) > _MIN_FACING
        at = self.places(mesh)
        return np.asarray(ahead & (at >= 1).all(axis=1) & (at < np.array(size) - 1).all(axis=1))

    def pull(self, image: BgrImage, mesh: FloatArray) -> npt.NDArray[np.uint8]:
        """Pull the picture's colours at the texels, (n, 3) uint8 BGR.

        Args:
            image: (h, w, 3) uint8.
            mesh: (468, >=2) in pixels of `image`.
        """
        import cv2

        height = float(np.linalg.norm(mesh[10, :2] - mesh[152, :2]))
        places = self.places(mesh)
        scale = _FACE_SHARE * SIDE / max(height, 1.0)
        if scale < 0.8:
            size = tuple(max(1, round(v * scale)) for v in image.shape[1::-1])
            ratio = np.array([size[0] / image.shape[1], size[1] / image.shape[0]], np.float32)
            places = np.asarray(places * ratio, np.float32)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        at = np.asarray(places - 0.5, np.float32)
        found = cv2.remap(
            image, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(found, np.uint8).reshape(-1, 3)

    def onto(self, values: FloatArray, mesh: FloatArray, size: tuple[int, int]) -> FloatArray:
        """Draw values (n,) on a picture of `size` (width, height), (h, w) float32.

        Every texel is a soft dot (normalised convolution); beyond the face the nearest values
        go on, as a hand does that comes in over the jaw.

        Args:
            mesh: (468, >=2) in pixels of that picture, in which a texel is about a pixel.
        """
        import cv2

        width, height = size
        at = np.floor(self.places(mesh)).astype(np.int64)
        inside = (at >= 0).all(axis=1) & (at[:, 0] < width) & (at[:, 1] < height)
        index = at[inside, 1] * width + at[inside, 0]
        value = np.bincount(index, values[inside], width * height).reshape(height, width)
        count = np.bincount(index, minlength=width * height).reshape(height, width)
        out = np.zeros((height, width), np.float32)
        sure = np.zeros((height, width), np.float32)
        for sigma in (1.0, 6.0, 24.0):
            top = cv2.GaussianBlur(value.astype(np.float32), (0, 0), sigma)
            bottom = cv2.GaussianBlur(count.astype(np.float32), (0, 0), sigma)
            trust = (1 - sure) * np.clip(bottom * 8, 0, 1)
            out += trust * top / np.maximum(bottom, 1e-6)
            sure += trust
        return np.asarray(out / np.maximum(sure, 1e-6), np.float32)


@cache
def texels() -> Texels:
    """Return the one set of texels."""
    surface = topology()
    triangles = _closed(surface)
    flat = np.zeros((len(surface.uv), 3), np.float32)
    flat[:, :2] = surface.uv * SIDE
    closed = Topology(shape=surface.shape, uv=surface.uv, triangles=triangles)
    index = Surface.draw(flat, closed, (SIDE, SIDE)).index
    rows, columns = np.nonzero(index)
    corners = triangles[index[rows, columns] - 1]
    a, b, c = (flat[corners[:, k], :2].astype(np.float64) for k in range(3))
    point = np.stack([columns + 0.5, rows + 0.5], axis=1)
    whole = _cross(b - a, c - a)
    share_b, share_c = _cross(point - a, c - a) / whole, _cross(b - a, point - a) / whole
    weights = np.stack([1 - share_b - share_c, share_b, share_c], axis=1).astype(np.float32)
    normals = vertex_normals(surface.shape, triangles)[corners]

    def region(*rings: tuple[int, ...], grow: int) -> Bools:
        import cv2

        drawn = np.zeros((SIDE, SIDE), np.uint8)
        for ring in rings:
            line = np.round(surface.uv[list(ring)] * (SIDE * 16) - 8).astype(np.int32)
            cv2.fillPoly(drawn, [line], 255, cv2.LINE_8, 4)
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
        return np.asarray(cv2.dilate(drawn, brush)[rows, columns] > 0)

    return Texels(
        rows=rows,
        columns=columns,
        corners=corners,
        weights=weights,
        normals=np.asarray((normals * weights[:, :, None]).sum(axis=1), np.float32),
        lips=region(LIPS_OUTER, grow=2),
        eyes=region(LEFT_EYE, RIGHT_EYE, grow=2),
        lower=region(_LOWER, grow=0),
        triangles=triangles,
    )


def _cross(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _closed(surface: Topology) -> npt.NDArray[np.int64]:
    """Close the triangles inside the oval, with fans over mouth and eyes."""
    kept = surface.triangles[(surface.triangles < 468).all(axis=1)]
    rings = (LIPS_INNER, RIGHT_EYE, LEFT_EYE)
    fans = np.array([(r[0], r[i], r[i + 1]) for r in rings for i in range(1, len(r) - 1)])
    a, b, c = (surface.uv[fans[:, k]].astype(np.float64) for k in range(3))
    turn = _cross(b - a, c - a)
    fans[turn < 0] = fans[turn < 0][:, ::-1]
    return np.concatenate([kept, fans[np.abs(turn) > 1e-9]])
