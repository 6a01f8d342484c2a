"""Surface of the face mesh: pictures pulled into a texture, and from a texture into a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.mesh_topology import Topology, vertex_normals
from facepick.faces.warp import halved, mixed, scaled

__all__ = ["TEXTURE_SIDE", "Surface", "Texture", "spread", "texture_from", "texture_surface"]

TEXTURE_SIDE = 768
"""The face of a close-up in 1080p is about 700 pixels high."""

# A patch of skin seen at more than 80 degrees shows nothing: cos 80 = 0.17.
_MIN_FACING = 0.17


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh drawn on an area: which triangle covers each pixel, and how to interpolate on it.

    Attributes:
        index: (h, w) int32, number of the triangle + 1; 0 where there is none.
        vertices: (n, 2) float64, the corners in pixels of the area.
        triangles: (t, 3) int64.
    """

    index: npt.NDArray[np.int32]
    vertices: npt.NDArray[np.float64]
    triangles: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Surface({self.index.shape[1]}x{self.index.shape[0]})"

    @classmethod
    def draw(cls, vertices: FloatArray, topology: Topology, size: tuple[int, int]) -> Surface:
        """Rasterise a mesh; near triangles hide far ones, those seen from behind are left out.

        Args:
            vertices: (n, 3) float32 in pixels of the area.
            topology: of the mesh.
            size: (width, height) of the area.
        """
        import cv2

        xy = vertices[:, :2].astype(np.float64)
        triangles = topology.triangles
        a, b, c = (xy[triangles[:, i]] for i in range(3))
        turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        depth = vertices[:, 2][triangles].mean(axis=1)
        order = np.argsort(-depth, kind="stable")
        order = order[turn[order] > 1e-6]
        canvas = np.zeros((size[1], size[0]), np.float32)
        corners = np.round((xy - 0.5) * 16).clip(-300_000, 300_000).astype(np.int32)[triangles]
        for number, corner in zip(order.tolist(), corners[order], strict=True):
            cv2.fillConvexPoly(canvas, corner, number + 1, shift=4)
        return cls(canvas.astype(np.int32), xy, triangles)

    def reduced(self, size: tuple[int, int]) -> Surface:
        """Give the same mesh on a smaller copy of the area.

        As where it is drawn, a pixel belongs to a triangle that covers any part of it.

        Args:
            size: (width, height) of the copy.
        """
        (height, width), (small_width, small_height) = self.index.shape, size

        def places(count: int, length: int, offset: float) -> npt.NDArray[np.intp]:
            at = (np.arange(count) + 0.5 + offset) * length / count
            return np.clip(at, 0, length - 1).astype(np.intp)

        index = np.zeros((small_height, small_width), self.index.dtype)
        for down, across in ((0, 0), (-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)):
            rows, columns = places(small_height, height, down), places(small_width, width, across)
            found = self.index[rows[:, None], columns]
            np.copyto(index, found, where=index == 0)
        ratio = np.array([small_width / width, small_height / height])
        return Surface(index, self.vertices * ratio, self.triangles)

    def interpolate(self, values: npt.NDArray[np.float64]) -> list[FloatArray]:
        """Interpolate values (n, k) at the corners to k planes (h, w), linear on each triangle."""
        inverse, sliver = self._solved
        slopes = (inverse @ values[self.triangles]).astype(np.float32)
        slopes[sliver, :2] = 0
        slopes[sliver, 2] = values[self.triangles[sliver]].mean(axis=1)
        # One table of all triangles, the empty one first, for each plane and coefficient.
        tables = np.zeros((values.shape[1], 3, len(slopes) + 1), np.float32)
        tables[:, :, 1:] = slopes.transpose(2, 1, 0)
        height, width = self.index.shape
        x = np.arange(width, dtype=np.float32)[None, :] + np.float32(0.5)
        y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
        places = self._places
        part = np.empty(places.shape, np.float32)
        planes = []
        for across, down, level in tables:
            plane = np.empty_like(part)
            # Memory that is there already, and no look at whether a place exists: a third of the
            # time of an expression.
            np.take(across, places, out=plane, mode="clip")
            plane *= x
            np.take(down, places, out=part, mode="clip")
            part *= y
            plane += part
            np.take(level, places, out=part, mode="clip")
            plane += part
            planes.append(plane)
        return planes

    @cached_property
    def _places(self) -> npt.NDArray[np.intp]:
        """The index, as numpy looks up places fastest."""
        return self.index.astype(np.intp)

    @cached_property
    def _solved(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Maps (t, 3, 3) from values at a triangle's corners to slopes and level, and slivers (t,).

        A sliver lower than a pixel would be continued far beyond its corners by the pixel that
        it is drawn on: it has the mean of its corners instead.
        """
        corners = np.concatenate(
            [self.vertices[self.triangles], np.ones((*self.triangles.shape, 1))], axis=2
        )
        a, b, c = (corners[:, i, :2] for i in range(3))
        area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
        sides = [np.hypot(*(p - q).T) for p, q in ((a, b), (b, c), (c, a))]
        sliver = area < np.max(sides, axis=0)
        corners[sliver] = np.eye(3)
        return np.linalg.inv(corners), sliver


@lru_cache(maxsize=4)
def texture_surface(topology: Topology, side: int = TEXTURE_SIDE) -> Surface:
    """Lay the mesh out flat."""
    uv = np.concatenate([topology.uv * side, np.zeros((len(topology.uv), 1), np.float32)], axis=1)
    return Surface.draw(uv.astype(np.float32), topology, (side, side))


def pull(image: FloatArray, vertices: FloatArray, topology: Topology, side: int) -> FloatArray:
    """Pull the picture into the texture: (side, side, c) float32.

    Args:
        image: (h, w, c) float32.
        vertices: (n, 3) in pixels of `image`.
    """
    import cv2

    surface = texture_surface(topology, side)
    at = surface.interpolate(vertices[:, :2].astype(np.float64))
    source, ratio = halved(image, _texels_per_pixel(vertices, topology, side), coarsest=0.6)
    # Display coordinates count from a pixel's corner, OpenCV from its centre.
    map_x, map_y = (at[i] * np.float32(ratio[i]) - np.float32(0.5) for i in (0, 1))
    drawn = cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.float32)


def _texels_per_pixel(vertices: FloatArray, topology: Topology, side: int) -> float:
    """Measure how many texels lie along one pixel, at the middle of the triangles."""

    def areas(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        a, b, c = (points[topology.triangles[:, i]] for i in range(3))
        cross = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (
            c[:, 0] - a[:, 0]
        )
        return np.asarray(np.abs(cross) / 2)

    on_screen = areas(vertices[:, :2].astype(np.float64))
    on_texture = areas(topology.uv.astype(np.float64) * side)
    keep = on_screen > 1e-6
    if not keep.any():
        return 1.0
    return float(np.sqrt(np.median(on_texture[keep] / on_screen[keep])))


@dataclass(frozen=True, eq=False)
class Texture:
    """A face without pose and expression.

    Attributes:
        levels: (s, s, c) float32, each half the side of the one before.
        weight: (side, side) float32, how well a texel was seen; 0 where it was filled in.
    """

    levels: tuple[FloatArray, ...]
    weight: FloatArray

    def __repr__(self) -> str:
        return f"Texture({self.levels[0].shape[0]})"

    @classmethod
    def of(cls, image: FloatArray, weight: FloatArray) -> Texture:
        """Make a texture with halved copies, for drawing it small."""
        import cv2

        levels = [image]
        while levels[-1].shape[0] > 48:
            levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.float32))
        return cls(tuple(levels), weight)

    def onto(self, surface: Surface, vertices: FloatArray, topology: Topology) -> FloatArray:
        """Draw the face in the pose of `surface`, (h, w, c) float32, as sharp as pixels allow."""
        import cv2

        side = self.levels[0].shape[0]
        planes = surface.interpolate(topology.uv.astype(np.float64))
        wanted = np.log2(max(1.0, _texels_per_pixel(vertices, topology, side)))
        wanted = min(float(wanted), len(self.levels) - 1.001)
        low = int(wanted)
        shares = ((low, 1 - (wanted - low)), (low + 1, wanted - low))
        drawn = [
            (_drawn(self.levels[level], planes), share) for level, share in shares if share >= 0.02
        ]
        if len(drawn) == 1:
            return drawn[0][0] * np.float32(drawn[0][1])
        (fine, most), (coarse, rest) = drawn
        return np.asarray(cv2.addWeighted(fine, most, coarse, rest, 0), np.float32)


def _drawn(texture: FloatArray, planes: Sequence[FloatArray]) -> FloatArray:
    """Draw a texture (s, s, c) at places (h, w) each, x and y in [0, 1]."""
    import cv2

    size = np.float32(len(texture))
    x, y = (plane * size - np.float32(0.5) for plane in planes)
    drawn = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.float32)


def texture_from(
    image: FloatArray, vertices: FloatArray, topology: Topology
) -> tuple[FloatArray, FloatArray]:
    """Make one photo's texture, and tell how well each texel is seen.

    Args:
        image: (h, w, c) float32.
        vertices: (n, 3) in pixels of `image`.

    Returns:
        (side, side, c) float32 and (side, side) float32 in [0, 1]: the square of the cosine
        of the angle of view, 0 where the surface turns away or the photo ends.
    """
    colors = pull(image, vertices, topology, TEXTURE_SIDE)
    surface = texture_surface(topology, TEXTURE_SIDE)
    facing = -vertex_normals(vertices, topology.triangles)[:, 2]
    x, y, cosine = surface.interpolate(
        np.concatenate([vertices[:, :2], facing[:, None]], axis=1).astype(np.float64)
    )
    height, width = image.shape[:2]
    seen = (surface.index > 0) & (cosine > _MIN_FACING)
    seen &= (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return colors, np.where(seen, np.clip(cosine, 0, 1) ** 2, 0).astype(np.float32)


def spread(values: FloatArray, known: FloatArray) -> FloatArray:
    """Smooth values everywhere that agree with the known ones, by pushing sums down a pyramid and
    pulling means up again (Gortler et al., *The Lumigraph*, SIGGRAPH 1996).

    Args:
        values: (h, w, c) float32.
        known: (h, w) float32 in [0, 1], how much each value counts.
    """
    import cv2

    sums, weights = [scaled(values, known)], [known]
    while min(weights[-1].shape) > 4:
        height, width = weights[-1].shape
        size = (max(1, width // 2), max(1, height // 2))
        half = cv2.resize(sums[-1], size, interpolation=cv2.INTER_AREA)
        sums.append(np.asarray(half, np.float32).reshape(size[1], size[0], -1))
        weights.append(cv2.resize(weights[-1], size, interpolation=cv2.INTER_AREA))
    total = max(float(weights[-1].sum()), 1e-6)
    coarse = np.broadcast_to(sums[-1].sum(axis=(0, 1)) / np.float32(total), sums[-1].shape)
    for part, weight in zip(reversed(sums), reversed(weights), strict=True):
        size = (weight.shape[1], weight.shape[0])
        up = cv2.resize(np.ascontiguousarray(coarse), size, interpolation=cv2.INTER_LINEAR)
        # Any part of a known pixel outvotes the coarser level: its mean is the better one.
        mean = scaled(part, np.asarray(1 / np.maximum(weight, np.float32(1e-6)), np.float32))
        up = np.asarray(up, np.float32).reshape(part.shape)
        coarse = mixed(up, mean, np.clip(4 * weight, 0, 1))
    return np.asarray(coarse, np.float32)
