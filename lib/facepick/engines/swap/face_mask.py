"""Mask of a new face over the old one."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.swap.light import basis
from facepick.faces.detection import Box, FloatArray
from facepick.faces.landmarks468 import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LIPS_INNER,
    RIGHT_BROW,
    RIGHT_EYE,
)
from facepick.faces.mesh_surface import Surface
from facepick.faces.mesh_topology import VERTICES, ring_reach, topology
from facepick.faces.warp import smoothstep

__all__ = [
    "beard_likelihood",
    "beard_points",
    "fall_off",
    "hair_zone",
    "hairy_share",
    "holes",
    "jaw_zone",
    "lids",
    "predicted_skin",
    "skin_likelihood",
    "spare_people_in_front",
]

# Log colours of skin differ from the light's prediction by about 0.1 from pores, blush and shade.
_SKIN_SIGMA = 0.12
# Lids reach 3 % of the face beyond the eye's outline.  Of open ones a quarter is the filmed one:
# with a half, likeness to the source falls by 0.01.
_LID, _LID_SHARE = 0.03, 0.25
# Certainly skin up to 2.5 sigmas, certainly not from 5.
_SKIN_NEAR, _SKIN_FAR = 2.5, 5.0


@cache
def hair_zone(*, jaw: bool = False) -> npt.NDArray[np.float64]:
    """Mark where hair may hang over a face (forehead, temples, sides): (`VERTICES`,) 1, else 0.

    Args:
        jaw: also along the jaw; what is dark there may be a beard.
    """
    shape = topology().shape
    brows = shape[list(RIGHT_BROW + LEFT_BROW), :2]
    brows = brows[np.argsort(brows[:, 0])]
    mouth = float(shape[[61, 291], 1].mean())
    # Above the brows' upper edge, and beside their outer ends down to the mouth.
    tops = [brows[np.abs(brows[:, 0] - x) < 0.1, 1].min() for x in brows[:, 0]]
    upper = np.interp(shape[:, 0], brows[:, 0], tops)
    outer = float(np.abs(brows[:, 0]).max())
    zone = np.zeros(VERTICES)
    zone[:468] = shape[:, 1] < upper - 0.02
    beside = (np.abs(shape[:, 0]) > outer - 0.03) & (shape[:, 1] < mouth)
    zone[:468] = np.maximum(zone[:468], beside)
    ring_y = shape[list(FACE_OVAL), 1]
    zone[468:] = jaw | (ring_y < mouth)
    if jaw:
        zone[list(FACE_OVAL)] = 1
    return zone


@cache
def jaw_zone() -> npt.NDArray[np.float64]:
    """Mark the oval's edge and the ring well below the mouth: (`VERTICES`,) 1, else 0."""
    shape = topology().shape
    mouth = float(shape[[61, 291], 1].mean())
    low = shape[list(FACE_OVAL), 1] > mouth + 0.3 * (shape[152, 1] - mouth)
    zone = np.zeros(VERTICES)
    zone[list(FACE_OVAL)] = low
    zone[468:] = low
    return zone


@cache
def beard_points() -> tuple[int, ...]:
    """List points of chin and lower cheeks, inside the oval and off the lips: where a beard
    grows."""
    shape = topology().shape
    mouth = float(shape[[61, 291], 1].mean())
    corner = float(np.abs(shape[[61, 291], 0]).mean())
    under_lip = float(shape[17, 1])
    edge = shape[list(FACE_OVAL), :2]
    chosen = []
    for i, (x, y, _) in enumerate(shape):
        off_edge = float(np.min(np.hypot(*(edge - (x, y)).T))) > 0.04
        beside = abs(x) > corner + 0.1 and y > mouth
        if off_edge and (y > under_lip + 0.08 or beside):
            chosen.append(i)
    return tuple(chosen)


def hairy_share(
    image: BgrImage, vertices: FloatArray, normals: FloatArray, light: npt.NDArray[np.float64]
) -> float:
    """Measure how much of chin and lower cheeks is darker than skin in this light, in [0, 1].

    Args:
        image: (h, w, 3) uint8 BGR.
        vertices, normals: (n, 3), vertices in pixels of `image`.
        light: see `fit_light`.
    """
    import cv2

    points = list(beard_points())
    height, width = image.shape[:2]
    x, y = vertices[points, 0].astype(int), vertices[points, 1].astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (normals[points, 2] < -0.25)
    if inside.sum() < 8:
        return 0.0
    x, y = x[inside], y[inside]
    x0, y0 = int(x.min()), int(y.min())
    part = np.ascontiguousarray(image[y0 : y.max() + 1, x0 : x.max() + 1])
    size = max(0.8, 0.01 * float(np.ptp(vertices[:468, 1])))
    smooth = cv2.GaussianBlur(part, (0, 0), size)
    logs = np.log(smooth[y - y0, x - x0].astype(np.float64) + 4)
    predicted = (basis(normals[points]) @ light)[inside]
    return float(((predicted - logs).mean(axis=1) > _SKIN_NEAR * _SKIN_SIGMA).mean())


def fall_off(*, top: float, side: float) -> npt.NDArray[np.float64]:
    """Compute the fall-off: (`VERTICES`,) 1 on the face, falling to 0 where the mask ends.

    That is at the ring, but below the jaw, where the ring lies further out than the mask goes,
    halfway: negative values there put the zero in between.
    """
    inside = np.ones(VERTICES)
    reach = ring_reach(top=top, side=side)
    # The ring starts at the top of the oval: its lower half is the middle half of its numbers.
    count = len(reach)
    lower = (np.arange(count) > count // 4) & (np.arange(count) < count - count // 4)
    ends = np.where(lower, max(side, 0.01), np.maximum(reach, 0.01))
    inside[468:] = 1 - reach / ends
    return inside


def skin_likelihood(image: BgrImage, predicted: list[FloatArray], face_height: float) -> FloatArray:
    """Estimate how likely each pixel is skin in the light of the face, (h, w) float32 in [0, 1].

    Args:
        image: (h, w, 3) uint8 BGR.
        predicted: three planes (h, w) of the log colour that the light gives skin there.
        face_height: in pixels; single pixels are averaged over 1 % of it.
    """
    import cv2

    smooth = cv2.GaussianBlur(image, (0, 0), max(0.8, 0.01 * face_height))
    logs = cv2.LUT(smooth, np.log(np.arange(256, dtype=np.float32) + 4))
    distance = np.zeros(image.shape[:2], np.float32)
    for channel, plane in zip(cv2.split(logs), predicted, strict=True):
        away = channel - plane
        away *= away
        distance += away
    distance /= 3
    away = np.sqrt(distance, out=distance)
    away /= np.float32(_SKIN_SIGMA)
    return smoothstep((np.float32(_SKIN_FAR) - away) / np.float32(_SKIN_FAR - _SKIN_NEAR))


def beard_likelihood(
    image: BgrImage, skin: FloatArray, vertices: FloatArray, face_height: float
) -> FloatArray | None:
    """Estimate how likely each pixel has the beard's colour, (h, w) float32, or None without one.

    Args:
        image: (h, w, 3) uint8 BGR.
        skin: (h, w) float32, see `skin_likelihood`.
        vertices: (n, 3) in pixels of `image`.
    """
    import cv2

    points = list(beard_points())
    columns = np.clip(vertices[points, 0].astype(int), 0, image.shape[1] - 1)
    rows = np.clip(vertices[points, 1].astype(int), 0, image.shape[0] - 1)
    hairy = skin[rows, columns] < 0.3
    # Lit stubble looks like skin; a shadow or a mole on a clean chin is less than a seventh of it.
    certain = float(np.clip((hairy.mean() - 0.15) / 0.15, 0, 1))
    if certain == 0:
        return None
    smooth = cv2.GaussianBlur(image, (0, 0), max(0.8, 0.01 * face_height))
    logs = np.log(smooth.astype(np.float32) + 4.0)
    colors = logs[rows[hairy], columns[hairy]]
    center = np.median(colors, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(colors - center), axis=0), 0.12)
    away = np.sqrt((((logs - center) / spread) ** 2).mean(axis=2))
    like = np.clip(4 - away, 0, 1) * (1 - skin)
    # The rim of a beard blends into skin: what lies right beside it counts as well.
    reach = max(1, round(0.005 * face_height))
    grown = cv2.dilate(like, np.ones((3, 3), np.uint8), iterations=reach)
    soft = cv2.GaussianBlur(grown, (0, 0), 0.01 * face_height + 0.5)
    return np.asarray(soft * np.float32(certain), np.float32)


def predicted_skin(
    surface: Surface, light: npt.NDArray[np.float64], normals: FloatArray
) -> list[FloatArray]:
    """Predict the log colour of skin at every pixel of the surface, one plane a channel."""
    return surface.interpolate(basis(normals) @ light)


def holes(area: Area, mesh: FloatArray, *, eyes: bool, mouth: bool, width: float) -> FloatArray:
    """Make the alpha of parts that stay as filmed, with a soft edge of `width` pixels around
    them."""
    rings: list[tuple[int, ...]] = []
    if eyes:
        rings += [RIGHT_EYE, LEFT_EYE]
    if mouth:
        rings.append(LIPS_INNER)
    kept = np.zeros((area.height, area.width), np.float32)
    for ring in rings:
        # Only there is anything drawn: the edge is gone a pixel beyond its width.
        near = masks.area_around(mesh[list(ring)], pad=width + 3)
        near = near.clipped(area.x0, area.y0, area.x0 + area.width, area.y0 + area.height)
        if near.width < 1 or near.height < 1:
            continue
        region = masks.feather_out(masks.mesh_region(near, mesh, ring), width)
        y, x = near.y0 - area.y0, near.x0 - area.x0
        part = kept[y : y + near.height, x : x + near.width]
        np.maximum(part, region, out=part)
    return kept


def lids(area: Area, mesh: FloatArray, face_height: float, *, shut: float) -> FloatArray:
    """Mark how much of the lids is taken as filmed, (h, w) float32 with a soft edge.

    Args:
        shut: how surely the eyes are closed: then all of them, for the photo's are open.
    """
    import cv2

    marked = np.zeros((area.height, area.width), np.float32)
    radius = _LID * face_height
    sigma = 0.4 * radius + 0.3
    # Only there is anything drawn: the blur of OpenCV ends at four sigmas.
    near = masks.area_around(mesh[[*RIGHT_EYE, *LEFT_EYE]], pad=radius + 8 * sigma + 3)
    near = near.clipped(area.x0, area.y0, area.x0 + area.width, area.y0 + area.height)
    if near.width < 1 or near.height < 1:
        return marked
    zone = np.zeros((near.height, near.width), np.float32)
    for ring in (RIGHT_EYE, LEFT_EYE):
        np.maximum(zone, masks.mesh_region(near, mesh, ring), out=zone)
    grown = masks.grow(zone, radius)
    soft = cv2.GaussianBlur(grown, (0, 0), sigma)
    share = _LID_SHARE + (1 - _LID_SHARE) * shut
    y, x = near.y0 - area.y0, near.x0 - area.x0
    marked[y : y + near.height, x : x + near.width] = np.float32(share) * soft
    return marked


def spare_people_in_front(request: FaceRequest, area: Area, alpha: FloatArray) -> FloatArray:
    """Take faces that are nearer to the camera out of the mask.

    A face that is clearly smaller (under 0.7 of the height) is behind; every other one may be in
    front, and what may be in front is left alone.
    """
    for other in request.others:
        if other.height < 0.7 * request.box.height or other.iou(_box(area)) == 0:
            continue
        head = other.grown(0.1)
        radii = (head.width / 2, head.height / 2)
        alpha = alpha * (1 - masks.ellipse(area, head.center, radii))
    return alpha


def _box(area: Area) -> Box:
    return Box(area.x0, area.y0, area.x0 + area.width, area.y0 + area.height)
