"""Blending of a re-made mouth into the picture so that nobody sees where it begins.

The steps of sd-wav2lip-uhq (mouth mask dilated, face mask eroded, both blurred) on one person's
crop: what is blended is the lower face inside the jaw line, or the mouth alone.  Added to them:
the colours are matched to the skin just around the mask, and the film grain that the network
smoothed away comes back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.compositing.masks import Area, area_around, polygon
from facepick.compositing.patch import BgrImage
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import FACE_OVAL, LIPS_OUTER
from facepick.faces.warp import to_uint8

__all__ = ["MaskShape", "blend_mask", "lower_face", "match_colour", "match_grain"]

# The jaw line of the mesh from one cheek over the chin to the other, and across the face below
# the nose: the base of the nose is left to the original, for its light is hard to match.
_JAW = FACE_OVAL[8:29]
_UNDER_NOSE = (205, 203, 97, 2, 326, 423, 425)

# Colour is matched on a picture this small: only what changes over a quarter of the face counts.
_COLOUR_SIDE = 48
# It is compared up to this share of the rectangle away from the mask, about 15 pixels of a face 256
# high.  Farther up the network was shown the face and keeps its colours, whatever it does below:
# over 1/8, a mouth 15 % too blue stayed 6 grey levels too blue; over 1/24, 1.7.
_COLOUR_REACH = 1 / 24
# A larger factor is not light but something that covers the skin on one side.
_COLOUR_LIMIT = 1.6
# Grey levels added to both sides of the ratio: in the dark it says nothing.
_COLOUR_FLOOR = 8.0
_GRAIN_LIMIT = 12.0
# So many lie under the mask of a face about 90 pixels high; on a smaller one all is fine as grain.
_GRAIN_PIXELS = 1000


@dataclass(frozen=True)
class MaskShape:
    """Size of the blend mask, in pixels of a face 256 high.

    Attributes:
        mouth_dilate: how far the mask reaches around the lips.
        face_erode: how far it stays inside the jaw line.
        blur: width of its soft edge.
        only_mouth: leave the chin and cheeks alone.
    """

    mouth_dilate: float
    face_erode: float
    blur: float
    only_mouth: bool = False


def lower_face(mesh: FloatArray) -> FloatArray:
    """Trace the outline of the lower face, (n, 2): jaw line and a line under the nose."""
    return np.asarray(mesh[[*_JAW, *_UNDER_NOSE], :2], np.float32)


def blend_mask(
    mesh: FloatArray, shape: MaskShape, unit: float, bounds: Area
) -> tuple[Area, FloatArray]:
    """Draw where the re-made mouth shows.

    Args:
        mesh: (468, >=2) in the coordinates of `bounds`.
        shape: sizes in reference pixels.
        unit: pixels per reference pixel.
        bounds: the mask stays inside and is 0 at its edge.

    Returns:
        The rectangle that holds it, inside `bounds`, and alpha (h, w) float32 in [0, 1].
    """
    reach = (shape.mouth_dilate + 1.5 * shape.blur) * unit + 2
    lips, jaw = mesh[list(LIPS_OUTER), :2], lower_face(mesh)
    points = lips if shape.only_mouth else np.concatenate([lips, jaw])
    area = area_around(points, pad=reach)
    area = area.clipped(bounds.x0, bounds.y0, bounds.x0 + bounds.width, bounds.y0 + bounds.height)
    if not area.width or not area.height:
        return area, np.zeros((area.height, area.width), np.float32)
    mask = _resized(area, lips, shape.mouth_dilate * unit)
    if not shape.only_mouth:
        mask = np.maximum(mask, _resized(area, jaw, -shape.face_erode * unit))
    # The dilated mouth must not run over the jaw line into the neck or the background.
    oval = mesh[list(FACE_OVAL), :2]
    mask = np.minimum(mask, _resized(area, oval, -shape.face_erode * unit))
    mask = _soft_inside(mask, shape.blur * unit)
    return area, _faded_at_edges(mask, area, bounds)


def _resized(area: Area, ring: FloatArray, by: float) -> FloatArray:
    """Fill a closed line, grown by `by` pixels, or shrunk by a negative number.

    A thick line along the border adds or takes away what a round brush would.
    """
    import cv2

    mask = np.rint(polygon(area, ring) * 255).astype(np.uint8)
    thickness = round(2 * abs(by))
    if thickness:
        # As in `polygon`: a pixel's centre is the integer for OpenCV; 1/16 pixel is its grid.
        local = (np.asarray(ring, np.float64)[:, :2] - (area.x0 + 0.5, area.y0 + 0.5)) * 16
        points = [np.round(local).astype(np.int32)]
        colour = 255 if by > 0 else 0
        cv2.polylines(mask, points, True, colour, thickness, lineType=cv2.LINE_AA, shift=4)
    return np.asarray(mask, np.float32) / np.float32(255)


def _soft_inside(mask: FloatArray, width: float) -> FloatArray:
    """Soften the edge over about `width` pixels that end where the mask ended."""
    import cv2

    if width < 0.5:
        return mask
    # A blurred step is 0.5 at its place and 0.98 two sigmas (two thirds of `width`) inside.
    soft = cv2.GaussianBlur(mask, (0, 0), width / 3)
    return np.asarray(np.clip(2 * soft - 1, 0, 1), np.float32)


def _faded_at_edges(mask: FloatArray, area: Area, bounds: Area) -> FloatArray:
    """Fade to 0 at the border of the crop: past it nobody knows what the picture shows."""
    x = np.arange(area.width) + area.x0 - bounds.x0
    y = np.arange(area.height) + area.y0 - bounds.y0
    soft = max(2.0, 0.04 * max(bounds.width, bounds.height))
    across = np.clip(np.minimum(x, bounds.width - 1 - x) / soft, 0, 1)
    down = np.clip(np.minimum(y, bounds.height - 1 - y) / soft, 0, 1)
    return np.asarray(mask * np.outer(down, across), np.float32)


def match_colour(
    new: FloatArray, old: FloatArray, mask: FloatArray, face: FloatArray
) -> FloatArray:
    """Give `new` the light of `old`, as the skin around the mask tells it.

    Both pictures are averaged where the mask begins and just outside it, on the face only, and
    the averages are carried inwards as smooth fields (normalised convolution, Knutsson and
    Westin 1993); `new` is multiplied by their ratio, channel by channel.  A factor, not an
    offset: light falls on lips and skin alike, and the dark between the lips stays dark.  Inside,
    where the mouth is meant to differ, nothing is compared.

    Args:
        new, old: (h, w, 3) float32 BGR in [0, 255].
        mask: (h, w) float32, what will be blended.
        face: (h, w) float32, 1 on the face.
    """
    import cv2

    height, width = mask.shape
    scale = min(1.0, _COLOUR_SIDE / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    ring = face * np.clip(1 - mask, 0, 1) * _near(mask)
    weight = np.asarray(cv2.resize(ring, size, interpolation=cv2.INTER_AREA), np.float32)
    if float(weight.sum()) < 4:
        return new
    total = cv2.GaussianBlur(weight, (0, 0), 0.18 * max(size))
    # Far from the ring the fields fade into the mean over all of it.
    floor = 0.02 * float(total.max())

    def field(picture: FloatArray) -> FloatArray:
        seen = cv2.resize(picture * ring[:, :, None], size, interpolation=cv2.INTER_AREA)
        spread = cv2.GaussianBlur(seen, (0, 0), 0.18 * max(size))
        mean = seen.sum((0, 1)) / weight.sum()
        return np.asarray((spread + floor * mean) / (total + floor)[:, :, None], np.float32)

    ratio = (field(old) + _COLOUR_FLOOR) / (field(new) + _COLOUR_FLOOR)
    ratio = np.clip(ratio, 1 / _COLOUR_LIMIT, _COLOUR_LIMIT)
    return np.asarray(new * cv2.resize(ratio, (width, height)), np.float32)


def _near(mask: FloatArray) -> FloatArray:
    """Mark what lies up to `_COLOUR_REACH` away from the mask."""
    import cv2

    side = 2 * max(2, round(max(mask.shape) * _COLOUR_REACH)) + 1
    return np.asarray(
        cv2.boxFilter((mask > 0.02).astype(np.float32), -1, (side, side)) > 1e-4, np.float32
    )


def match_grain(new: FloatArray, old: FloatArray, mask: FloatArray, *, seed: int) -> FloatArray:
    """Give `new` as much grain as `old` shows in the same place.

    Both are measured under the mask, on its flattest skin: around it lie nose and jaw, which on a
    small face are as fine as grain.  What is added is noise made from `seed` alone, of the same
    strength in all channels.
    """
    inside = mask > 0.5
    if inside.sum() < _GRAIN_PIXELS:
        return new
    wanted, present = _grain(old, inside), _grain(new, inside)
    missing = float(np.sqrt(max(0.0, wanted * wanted - present * present)))
    if missing < 0.25:
        return new
    import cv2

    noise = np.random.default_rng(seed).standard_normal(mask.shape).astype(np.float32)
    # Compressed footage has no grain finer than about two pixels.
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.7), np.float32)
    fine = noise - np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5), np.float32)
    strength = min(missing, _GRAIN_LIMIT) / max(float(fine.std()), 1e-6)
    return np.asarray(new + (noise * np.float32(strength))[:, :, None], np.float32)


def _grain(picture: FloatArray, where: npt.NDArray[np.bool_]) -> float:
    """Measure the deviation of what is finer than 1.5 pixels, at the first quintile of windows.

    Film grain is everywhere, detail is not: the flattest windows of 5 x 5 pixels show grain alone.
    """
    import cv2

    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)
    fine = grey - np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.5), np.float32)
    power = np.asarray(cv2.boxFilter(fine * fine, -1, (5, 5)), np.float32)
    # Of Gaussian noise, a fifth of such windows stay below 0.85 of its deviation.
    quiet = float(np.percentile(power[where], 20))
    return math.sqrt(max(0.0, quiet)) / 0.85


def rounded(picture: FloatArray) -> BgrImage:
    """Round (h, w, 3) float in [0, 255] to uint8 instead of cutting off."""
    return to_uint8(picture)
