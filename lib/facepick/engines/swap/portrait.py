"""The source face as the mesh engine draws it: one texture out of the photos, and its light.

What hangs over the face in a photo (hair, the rim of a hat, a hand) is no part of the face.  Texels
that are not of the colour that the photo's own light gives skin are made anew: low frequencies
from the skin around them, fine detail from the same place on the other half of the face.  Brows
and lids are no skin; there the two halves are compared, and what is dark on one alone is taken
from the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from facepick.compositing import masks
from facepick.engines.swap import face_mask
from facepick.engines.swap.light import basis, fit_light, gain
from facepick.engines.swap.settings import MeshSettings
from facepick.engines.swap.source import SourceFace
from facepick.errors import UserInputError
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import FACE_OVAL, LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE
from facepick.faces.mesh_surface import Texture, spread, texture_from, texture_surface
from facepick.faces.mesh_topology import VERTICES, Topology, extended, topology, vertex_normals

__all__ = ["Portrait"]

# Hair's soft edge is half skin: what is darker than skin by 10 to 25 % within 6 % of the face from
# what is surely no skin counts as well.
_EDGE_DARK, _EDGE_SURE, _EDGE_REACH = 0.10, 0.25, 0.06
# Hair is wider than 4.4 % of the face, a brow's end beside it is not; within 3 % of hair what is
# dark is hair.
_HAIR_WIDTH, _HAIR_REACH = 0.022, 0.03
# Soft edges of brows and lids.
_BROW_EDGE, _LID_EDGE = 0.02, 0.035
# What is left of hair's soft edge fades into what is made up over 3 % of the face.
_FADE = 0.03
# What the face differs by from its even skin is drawn by so much stronger: filmed eyes and teeth,
# and tones that settle into the filmed ones, take as much of the likeness.
_CONTRAST = 1.12
# One brow may lie this share of the face higher than the other.
_MIRROR_SLACK = 0.025
# What is darker than its mirror image by a factor of exp(0.3) to exp(0.6) lies over one half only.
_MIRROR_DARK, _MIRROR_SURE = 0.30, 0.60


class Portrait:
    """Texture, light and normals of the source face.

    Args:
        sources: photos of one person, best first.
        settings: how far the face reaches up and to the sides.

    Raises:
        UserInputError: the best photo shows too little skin to find its light.
    """

    def __init__(self, sources: Sequence[SourceFace], settings: MeshSettings) -> None:
        self.topology: Topology = topology()
        self.reach = {"top": settings.forehead, "side": settings.margin}
        first = sources[0]
        vertices = extended(first.mesh, **self.reach)
        self.normals = vertex_normals(vertices, self.topology.triangles)
        light = fit_light(first.image, vertices, self.normals)
        if light is None:
            raise UserInputError(
                f"Too little skin is seen in {first.name}.", hint="Use a photo from the front."
            )
        self.light = light
        self.mesh = first.mesh
        self.bearded = False
        colors, weights = self._layer(first)
        for source in sources[1:]:
            layer, weight = self._layer(source)
            # The best photo stays as it is wherever it sees well; others fill its blind side.
            share = np.clip(weight - 2 * weights, 0, 1)[:, :, None]
            colors = colors * (1 - share) + layer * share
            weights = np.maximum(weights, weight)
        self.texture = Texture.of(colors, weights)

    def _layer(self, source: SourceFace) -> tuple[FloatArray, FloatArray]:
        """Make a texture of a photo in the light of the best photo, without holes and hair.

        Returns:
            Colours (side, side, 3) and how well each texel is seen (side, side), 0 where it was
            made up.
        """
        vertices = extended(source.mesh, **self.reach)
        normals = vertex_normals(vertices, self.topology.triangles)
        colors, weight = texture_from(source.image.astype(np.float32), vertices, self.topology)
        known = (weight > 0).astype(np.float32)
        light = fit_light(source.image, vertices, normals)
        if light is None:
            return np.exp(spread(np.log(colors + 4), known)) - 4, weight
        surface = texture_surface(self.topology)
        predicted = surface.interpolate(basis(normals) @ light)
        # In the best photo's light the same differences from skin make the same face.
        change = np.log(gain(self.light, normals, light, normals))
        wanted = np.dstack(predicted) + np.dstack(surface.interpolate(change))
        rest = np.log(colors + 4) - np.dstack(predicted)
        height = float(np.ptp(self.topology.uv[[10, 152], 1])) * len(rest)
        likely = face_mask.skin_likelihood(colors.astype(np.uint8), predicted, height)
        likely[surface.index == 0] = 1
        beard, feature, brows, sides = (
            np.clip(zone, 0, 1)
            for zone in surface.interpolate(
                np.stack(
                    [_beard_zone(), _feature_zone(), _brow_zone(), face_mask.hair_zone()], axis=1
                )
            )
        )
        points = (self.topology.uv[list(face_mask.beard_points())] * len(rest)).astype(int)
        at = points[:, 1], points[:, 0]
        hairy = (masks.shrink(likely, 0.03 * height)[at] < 0.3)[known[at] > 0]
        bearded = len(hairy) > 0 and float(hairy.mean()) > 0.35
        self.bearded = self.bearded or bearded
        grown = beard if bearded else np.zeros_like(beard)
        strange = _strange(rest, likely, height)
        # A brow ends where hair begins.
        hair = _hair(likely, sides * (1 - np.maximum(feature, grown)), height)
        hair *= 1 - _own(len(rest))
        expected = np.maximum(feature * (1 - hair), grown)
        known *= 1 - strange * (1 - expected)
        rest, one_sided = _mirrored(rest, known, brows, height)
        sure = known * np.maximum(likely * (1 - feature), grown)
        low = spread(rest, masks.shrink(np.asarray(sure, np.float32), 0.01 * height))
        other, seen = np.flip(rest, axis=1), np.flip(known, axis=1)
        around = _blurred(other * seen[:, :, None], 0.02 * height)
        around /= _blurred(seen, 0.02 * height)[:, :, None] + 1e-3
        detail = (other - around) * (masks.shrink(seen, 0.02 * height) * (1 - grown))[:, :, None]
        made = low + np.clip(detail, -0.1, 0.1)
        made += (brows * seen)[:, :, None] * (other - made)
        soft = _blurred(masks.shrink(known, _FADE * height), 0.4 * _FADE * height)
        share = (soft + (known - soft) * np.maximum(feature, grown))[:, :, None]
        whole = rest * share + made * (1 - share)
        # Beside the surface lies what smaller levels of the texture mix into its edges.
        drawn = (surface.index > 0).astype(np.float32)
        whole = _CONTRAST * whole + wanted
        whole = np.where(surface.index[:, :, None] > 0, whole, spread(whole, drawn))
        return np.exp(whole) - 4, weight * known * (1 - one_sided)


@lru_cache(maxsize=1)
def _own(side: int) -> FloatArray:
    """Mark brows and lids, (side, side) 1.

    Even under hair's edge their colour draws them better than skin would, or one that was cut
    short.
    """
    flat = topology().uv * np.float32(side)
    height = float(np.ptp(flat[[10, 152], 1]))
    area = masks.Area(0, 0, side, side)
    shapes = []
    for lids in (RIGHT_EYE, LEFT_EYE):
        shapes.append((flat[list(lids)], _LID_EDGE))
    for ring in (RIGHT_BROW, LEFT_BROW):
        # The ring runs along the upper edge from the tail and back along the lower one; it stays
        # wide at the tail, where a brow runs out into a point.
        upper, lower = flat[list(ring[:5])], flat[list(ring[:4:-1])]
        middle, half = (upper + lower) / 2, (upper - lower) / 2
        half = half * np.array([[0.1], [0.5], [0.8], [1], [1]], np.float32)
        shapes.append((np.concatenate([middle + half, (middle - half)[::-1]]), _BROW_EDGE))
    zone = np.zeros((side, side), np.float32)
    for points, width in shapes:
        drawn = masks.feather_out(masks.polygon(area, points), width * height)
        zone = np.maximum(zone, drawn)
    return zone


def _hair(likely: FloatArray, outside: FloatArray, height: float) -> FloatArray:
    """Estimate how surely each texel lies under hair, (h, w).

    Hair is no skin, wider than a brow and reaches in from `outside`, where no feature is.
    """
    import cv2

    wide = masks.shrink(np.asarray(likely < 0.5, np.float32), _HAIR_WIDTH * height) > 0.5
    _, labels = cv2.connectedComponents(wide.astype(np.uint8))
    from_outside = np.unique(labels[wide & (outside > 0.5)])
    hair = np.asarray(np.isin(labels, from_outside) & wide, np.float32)
    hair = masks.grow(hair, (_HAIR_WIDTH + _HAIR_REACH) * height)
    return _blurred(hair, 0.01 * height)


def _strange(rest: FloatArray, likely: FloatArray, height: float) -> FloatArray:
    """Estimate how surely each texel is something else than skin, (h, w)."""
    surely = 1 - masks.shrink(likely, 0.01 * height)
    near = masks.grow(np.asarray(surely > 0.5, np.float32), _EDGE_REACH * height)
    dark = -_blurred(rest, 0.01 * height).mean(axis=2)
    edge = np.clip((dark - _EDGE_DARK) / (_EDGE_SURE - _EDGE_DARK), 0, 1) * near
    # Black hair under a share of 0.1 would still be a dark line: the blur ends where skin begins.
    strange = masks.grow(np.maximum(surely, edge), 0.03 * height)
    return np.clip(2 * _blurred(strange, 0.008 * height), 0, 1)


def _mirrored(
    rest: FloatArray, known: FloatArray, zone: FloatArray, height: float
) -> tuple[FloatArray, FloatArray]:
    """Mirror what is dark on one half of `zone` alone from the other half, and give its share."""
    import cv2

    dark = -_blurred(rest, 0.008 * height).mean(axis=2)
    reach = 2 * round(_MIRROR_SLACK * height) + 1
    other = cv2.dilate(np.flip(dark, axis=1), np.ones((reach, reach), np.uint8))
    excess = np.clip((dark - other - _MIRROR_DARK) / (_MIRROR_SURE - _MIRROR_DARK), 0, 1)
    share = masks.grow(np.asarray(excess * zone, np.float32), 0.015 * height)
    share = share * zone * np.flip(known, axis=1)
    share = cv2.GaussianBlur(share, (0, 0), 0.008 * height)
    mixed = rest + share[:, :, None] * (np.flip(rest, axis=1) - rest)
    return np.asarray(mixed, np.float32), np.asarray(share, np.float32)


def _blurred(image: FloatArray, sigma: float) -> FloatArray:
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _near(rings: Sequence[tuple[int, ...]], reach: float) -> npt.NDArray[np.float64]:
    """Mark (`VERTICES`,) 1 within `reach` eye distances of a ring, 0 on the ring around the
    oval."""
    shape = topology().shape[:, :2]
    points = shape[[i for ring in rings for i in ring]]
    gaps = np.sqrt(((shape[:, None] - points[None]) ** 2).sum(axis=2)).min(axis=1)
    zone = np.zeros(VERTICES)
    zone[:468] = gaps < reach
    return zone


@cache
def _brow_zone() -> npt.NDArray[np.float64]:
    brows = _near((RIGHT_BROW, LEFT_BROW), 0.06)
    return np.maximum(brows, _near((RIGHT_EYE, LEFT_EYE), 0.12))


@cache
def _feature_zone() -> npt.NDArray[np.float64]:
    """Mark where features and their shades lie, (`VERTICES`,) 1.

    From the brows down to the chin, as wide as the eyes (their outer corners are at 0.71) and
    narrower towards the chin.
    """
    x, y = np.abs(topology().shape[:, 0]), topology().shape[:, 1]
    brows = list(RIGHT_BROW + LEFT_BROW)
    mouth, chin = float(y[[61, 291]].mean()), float(y[152])
    width = np.where(y < y[list(RIGHT_EYE)].max(), 0.85, 0.72)
    width = width * (1 - 0.5 * np.clip((y - mouth) / (chin - mouth), 0, 1))
    zone = _brow_zone().copy()
    middle = (x < width) & (y > y[brows].min()) & (y < chin - 0.15)
    zone[:468] = np.maximum(zone[:468], middle)
    return zone


@cache
def _beard_zone() -> npt.NDArray[np.float64]:
    """Mark where a beard grows, (`VERTICES`,) 1, the ring around the jaw among it."""
    shape = topology().shape
    nose = float(shape[2, 1])
    zone = np.zeros(VERTICES)
    zone[:468] = shape[:, 1] > nose
    zone[468:] = shape[list(FACE_OVAL), 1] > nose
    return zone
