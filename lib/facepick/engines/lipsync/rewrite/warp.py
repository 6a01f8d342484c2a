"""Warping of a stored mouth into a frame.

Two layers.  First the frame's own lower face is bent so that jaw, chin and cheeks stand as the
wanted mouth needs them; then the stored mouth, bent onto the same points, is laid over the lips.
Both are bent by one smooth field, a thin-plate spline (Bookstein 1989) through mesh points of the
lower face, so the layers meet point by point and the skin moves along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.engines.lipsync.rewrite.features import OUTER_LIP, RIGID, mouth_features
from facepick.engines.lipsync.rewrite.inventory import Mouth
from facepick.faces.similarity import fit_similarity
from facepick.faces.warp import mixed, sampled_at, scaled, smoothstep, to_uint8

__all__ = ["Layer", "Overlay", "parted", "render"]

Array = npt.NDArray[np.float32]

# The jaw from ear to ear, and skin points between it and the lips.
JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
SPARSE_JAW = JAW[::2]
CHIN_SKIN = (18, 200, 199, 182, 406, 204, 424, 211, 431, 43, 273, 212, 432)
UPPER_SKIN = (164, 165, 391, 92, 322, 186, 410, 216, 436, 206, 426, 2)
MOVED = (*OUTER_LIP, *SPARSE_JAW, *CHIN_SKIN, *UPPER_SKIN)
"""Points that follow the wanted mouth."""
# The four edges of the lips from the picture's left corner to its right one, point by point.
OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
# The stored mouth is bent as two bodies; beside the corners they agree.
BESIDE = (92, 322, 186, 410, 216, 436, 206, 426, 43, 273, 212, 432)
ABOVE = (*OUTER_UPPER, *INNER_UPPER, *BESIDE, 164, 165, 391, 2, 98, 327)
BELOW = (*OUTER_LOWER, *INNER_LOWER, *BESIDE, 18, 200, 182, 406, 204, 424, 211, 431, *SPARSE_JAW)
FIXED = (1, 49, 279, 36, 266, 50, 280, 93, 323)
"""Points that stay: nose and cheeks."""
NOSE_BASE = (98, 97, 2, 326, 327)
RING, WIDEST_RING = 1.32, 1.8
"""The bent part of the frame ends at the jaw line enlarged so much about the mouth; further out
where the chin drops far: what lies between is squeezed to half of its length and no more, for
beyond that it folds and the chin gets waves."""
FULL, GONE = 0.07, 0.26
"""The stored mouth is opaque up to the first distance from the lips and gone at the second, in
eye distances."""
EXTRA_OPENING, EXTRA_CLOSING = 0.05, 0.1
"""How far a stored mouth may be opened or closed beyond what it was, in eye distances.  Closing
hides teeth, which looks right; opening stretches what is between the lips, which soon does not."""
SEAL = 0.025
"""How far lips that shall meet are laid over each other, in eye distances: the mesh's inner edge
lies a pixel or two inside the lips' own, and a slit of teeth would stay."""
LOWER_SHARE = 0.72
"""Share of an opening that the lower lip moves."""
FADED = 0.05
"""Sigma of what two cross-faded mouths share, in eye distances: a tooth is as wide."""
STIFFNESS = 1e-4
"""Of the spline: lets it miss a point by a fraction of a pixel; mesh noise makes no dents."""
UNSEEN = 0.006
"""What moves by less, in eye distances, is left alone: cheeks and neck in most frames."""
GRID = 24
"""Nodes of the field along the longer side; it is interpolated between them."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One stored mouth as it shall be shown.

    Attributes:
        mouth: picture and mesh.
        share: weight of this mouth where it is mixed into another.
    """

    mouth: Mouth
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Overlay:
    """Pixels and alpha of a rectangle of the crop, which `render` made.

    Attributes:
        image: (h, w, 3) uint8 BGR.
        alpha: (h, w) float32.
        origin: (x, y) of its first pixel in the crop.
    """

    image: BgrImage
    alpha: Array
    origin: tuple[int, int]


def placed(face: Array, own: Array, mesh: Array) -> Array:
    """Place the points of `face` (head frame) for a head that stands like `mesh`.

    Args:
        face: (468, 3), the wanted face in the head frame.
        own: (468, 3), the frame's own face in the head frame.
        mesh: (468, 3), the frame's own face in pixels.

    Returns:
        (468, 2) float32.
    """
    # The wanted points are taken relative to the frame's own, so that what the mesh says of this
    # head's build in this pose stays.
    move = fit_similarity(own[list(RIGID)], mesh[list(RIGID)]).turned(face - own)
    return np.asarray(mesh[:, :2] + move[:, :2], dtype=np.float32)


def parted(face: Array, opening: float) -> Array:
    """Part the lips of a face (468, 3) in the head frame by `opening` (mean of three columns).

    Chin and jaw follow by half.  What cannot be done without damage is not: see
    `EXTRA_OPENING`, `EXTRA_CLOSING`.
    """
    face = face.copy()
    has = float(mouth_features(face)[0])
    change = float(np.clip(opening - has, -EXTRA_CLOSING, EXTRA_OPENING))
    upper, lower = list(INNER_UPPER[1:-1]), list(INNER_LOWER[1:-1])
    gap = face[lower] - face[upper]
    side = np.abs(np.linspace(-1.0, 1.0, len(gap), dtype=np.float32)) ** 2
    if change < 0:
        # In proportion, so that the whole slit closes; and a little further the more it closes.
        closed = np.float32(-change / max(has, 1e-6))
        step = -gap * closed
        step[:, 1] -= np.float32(SEAL) * closed**2 * (1.0 - side)
    else:
        # Nothing at the corners, all of it in the middle; 0.96 is the mean of the three columns.
        step = np.zeros_like(gap)
        step[:, 1] = (1.0 - side) * np.float32(change / 0.96)
    for points in (lower, list(OUTER_LOWER[1:-1])):
        face[points] += np.float32(LOWER_SHARE) * step
    for points in (upper, list(OUTER_UPPER[1:-1])):
        face[points] -= np.float32(1.0 - LOWER_SHARE) * step
    half_width = max(float(abs(face[291, 0] - face[61, 0])) / 2, 1e-3)
    centre = (face[291, 0] + face[61, 0]) / 2
    below = [*CHIN_SKIN, *JAW]
    bow = 1.0 - np.minimum(1.0, np.abs(face[below, 0] - centre) / half_width) ** 2
    face[below, 1] += 0.5 * change * np.maximum(bow, 0.3)
    return face


def _spline(target: Array, source: Array, nodes: Array) -> Array:
    """Find where the picture at `nodes` comes from, (n, 2), by a spline from target to source."""
    n = len(target)
    middle = target.mean(axis=0)
    size = float(np.abs(target - middle).max()) or 1.0
    t = ((target - middle) / size).astype(np.float32)
    x = ((nodes - middle) / size).astype(np.float32)

    def kernel(a: Array, b: Array) -> Array:
        dx, dy = np.subtract.outer(a[:, 0], b[:, 0]), np.subtract.outer(a[:, 1], b[:, 1])
        d2 = np.maximum(dx * dx + dy * dy, np.float32(1e-12))
        return np.asarray(d2 * np.log(d2) * np.float32(0.5))

    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = kernel(t, t)
    system[range(n), range(n)] += STIFFNESS
    system[:n, n], system[:n, n + 1 :] = 1.0, t
    system[n:, :n] = system[:n, n:].T
    right = np.zeros((n + 3, 2))
    right[:n] = source - target
    weights = np.linalg.solve(system, right)
    weights = weights.astype(np.float32)
    moved = kernel(x, t) @ weights[:n] + weights[n] + x @ weights[n + 1 :]
    return np.asarray(nodes + moved, dtype=np.float32)


def _shift(target: Array, source: Array, size: tuple[int, int], nodes: int) -> Array:
    """Compute the displacement that lays the picture with `source` on `target`, (h, w, 2)."""
    import cv2

    width, height = size
    step = max(width, height) / nodes
    columns, rows = max(2, round(width / step)), max(2, round(height / step))
    xs = (np.arange(columns) + 0.5) * width / columns - 0.5
    ys = (np.arange(rows) + 0.5) * height / rows - 0.5
    places = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(np.float32)
    coarse = (_spline(target, source, places) - places).reshape(rows, columns, 2)
    # Only the displacement is enlarged: it is smooth, and flat beyond the outermost nodes.
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _moved(image: BgrImage, shift: Array, *, fine: bool) -> BgrImage:
    """Sample the picture at every pixel's place plus its displacement.

    Args:
        fine: Lanczos instead of cubic sampling: keeps a tenth more of the sharpness, and takes
            three times as long.
    """
    import cv2

    bent = cv2.remap(
        image,
        *sampled_at(*cv2.split(shift)),
        cv2.INTER_LANCZOS4 if fine else cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(bent, dtype=np.uint8)


def _lower_share(target: Array, size: tuple[int, int], unit: float) -> Array:
    """Weigh each pixel, (h, w) float32: 0 on and above the upper lip, 1 on and below the lower one.

    Rises evenly through the open mouth; where the lips meet, within a pixel.
    """
    width, height = size
    left, right = target[78], target[308]
    along = (right - left) / max(float(np.hypot(*(right - left))), 1e-3)
    down = np.array([-along[1], along[0]], np.float32)
    xs, ys = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    u = (xs - left[0]) * along[0] + (ys - left[1]) * along[1]
    v = (xs - left[0]) * down[0] + (ys - left[1]) * down[1]
    # The lips' edges are looked up in a table of half pixels along the line of the corners.
    grid = np.arange(-unit, 2 * unit, 0.5, dtype=np.float32)
    edges = []
    for points in (INNER_UPPER, INNER_LOWER):
        local = target[list(points)] - left
        order = np.argsort(local @ along)
        edges.append(np.interp(grid, (local @ along)[order], (local @ down)[order]))
    middle = (edges[0] + edges[1]) / 2
    half = np.maximum(edges[1] - edges[0], 0.0) / 2 + 0.5
    at = np.rint((u + unit) * 2).astype(np.intp)
    share = v - np.take(middle.astype(np.float32), at, mode="clip")
    share /= np.take(half.astype(np.float32), at, mode="clip")
    return np.asarray(np.clip(0.5 + 0.5 * share, 0.0, 1.0), dtype=np.float32)


def _ring(here: Array, target: Array, centre: Array) -> float:
    """Measure how far out the bent part ends, in multiples of the jaw line's distance from the
    mouth."""
    jaw = list(JAW)
    away = np.hypot(*(here[jaw] - centre).T)
    outwards = np.hypot(*(target[jaw] - centre).T) - away
    return float(np.clip(1.0 + 2.0 * (outwards / np.maximum(away, 1e-3)).max(), RING, WIDEST_RING))


def render(
    crop: BgrImage,
    mesh: Array,
    own: Array,
    unit: float,
    face: Array,
    layers: list[Layer],
    weight: float,
) -> Overlay | None:
    """Draw the crop with other lips.

    Args:
        crop: (h, w, 3) uint8 BGR.
        mesh: (468, 3) float32 in pixels of the crop.
        own: (468, 3) float32, the same face in the head frame.
        unit: eye distance in pixels.
        face: (468, 3) float32, the wanted face in the head frame.
        layers: the mouth to show, and others whose light and form are mixed in by their shares;
            all are bent onto the wanted face, so a cross-fade shows no lips twice.
        weight: of the whole overlay, in [0, 1].

    Returns:
        None when nothing of the mouth lies in the crop.
    """
    bent = _bend(crop, mesh, placed(face, own, mesh), unit)
    if bent is None:
        return None
    _lay_mouth(bent, layers, unit)
    alpha = bent.alpha * np.float32(weight)
    # Below that it would change a sample by less than a level or two, over a wide border.
    alpha[alpha < 0.02] = 0.0
    return Overlay(
        image=bent.image, alpha=np.clip(alpha, 0, 1).astype(np.float32), origin=bent.origin
    )


@dataclass(frozen=True, eq=False)
class _Bent:
    """Part of a crop, bent so that the lips lie where they are wanted.

    Attributes:
        image: (h, w, 3) uint8 BGR.
        alpha: (h, w) float32.
        target: (468, 2) float32, the wanted points in its pixels.
        origin: x and y of its first pixel in the crop.
    """

    image: BgrImage
    alpha: Array
    target: Array
    origin: tuple[int, int]


def _bend(crop: BgrImage, mesh: Array, target: Array, unit: float) -> _Bent | None:
    """Bend the lower face onto the wanted points; None when too little of it lies in the crop."""
    here = mesh[:, :2]
    centre = here[list(OUTER_LIP)].mean(axis=0)
    hull = np.vstack([here[list(JAW)], target[list(JAW)], here[[50, 280, 4]]])
    far = _ring(here, target, centre)
    ring = centre + (hull - centre) * far
    height, width = crop.shape[:2]
    x0, y0 = (int(v) for v in np.maximum(np.floor(ring.min(axis=0)), 0))
    x1, y1 = (int(v) for v in np.minimum(np.ceil(ring.max(axis=0)) + 1, (width, height)))
    if x1 - x0 < 12 or y1 - y0 < 12:
        return None
    shift0 = np.array([x0, y0], np.float32)
    part = np.ascontiguousarray(crop[y0:y1, x0:x1])
    here, target = here - shift0, target - shift0
    # Points on the ring stay where they are; that pins the field to nothing at the border.
    border = (centre + (mesh[list(SPARSE_JAW), :2] - centre) * far) - shift0
    fixed = np.vstack([here[list(FIXED)], border]).astype(np.float32)
    control = np.vstack([target[list(MOVED)], fixed])
    source = np.vstack([here[list(MOVED)], fixed])
    shift = _shift(control, source, (x1 - x0, y1 - y0), GRID)
    return _Bent(
        image=_moved(part, shift, fine=False),
        alpha=_bent_alpha(shift, ring - shift0, unit),
        target=target,
        origin=(x0, y0),
    )


def _bent_alpha(shift: Array, ring: Array, unit: float) -> Array:
    """Weigh the bent picture, (h, w) float32: nothing where it hardly moved, a soft end inside
    the ring."""
    import cv2

    height, width = shift.shape[:2]
    moved = np.asarray(cv2.magnitude(*cv2.split(shift)), np.float32)
    outline = cv2.convexHull(np.rint(ring * 16).astype(np.int32))
    inside = np.zeros((height + 2, width + 2), np.uint8)
    cv2.fillConvexPoly(inside, outline + 16, 255, cv2.LINE_8, 4)
    # The rectangle's own border ends the field too.
    depth = np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)[1:-1, 1:-1]
    unseen = max(0.35, UNSEEN * unit)
    alpha = smoothstep((moved - unseen) / unseen) * smoothstep(depth / (0.12 * unit))
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), max(0.6, 0.02 * unit)), dtype=np.float32)


def _lay_mouth(bent: _Bent, layers: list[Layer], unit: float) -> None:
    """Lay the mouth over the bent picture, in its light, and widen the alpha by the mouth's."""
    lips = bent.target[list(OUTER_LIP)]
    reach = GONE * unit + 1
    size = bent.image.shape[1::-1]
    x0, y0 = (int(v) for v in np.maximum(np.floor(lips.min(axis=0) - reach), 0))
    x1, y1 = (int(v) for v in np.minimum(np.ceil(lips.max(axis=0) + reach), size))
    if x1 - x0 < 8 or y1 - y0 < 8:
        return
    offset = np.array([x0, y0], np.float32)
    target, lips = bent.target - offset, lips - offset
    blended = _mouth(layers, target, (x1 - x0, y1 - y0), unit)
    under = bent.image[y0:y1, x0:x1].astype(np.float32)
    mask = _mouth_mask(lips, target, (x1 - x0, y1 - y0), unit)
    blended += _light(under, blended, mask, lips, unit)
    bent.image[y0:y1, x0:x1] = to_uint8(mixed(under, blended, mask))
    np.maximum(bent.alpha[y0:y1, x0:x1], mask, out=bent.alpha[y0:y1, x0:x1])


def _mouth(layers: list[Layer], target: Array, size: tuple[int, int], unit: float) -> Array:
    """Bend the mouths onto the wanted points and mix them, (h, w, 3) float32 BGR."""
    import cv2

    blended = np.zeros((size[1], size[0], 3), np.float32)
    lower = _lower_share(target, size, unit)
    for i, layer in enumerate(layers):
        up, down = (
            _shift(target[list(points)], layer.mouth.mesh[list(points)], size, GRID)
            for points in (ABOVE, BELOW)
        )
        mouth = _moved(layer.mouth.image, mixed(up, down, lower), fine=True)
        if i == 0:
            blended += mouth
            continue
        # What fades is light and form; edges and teeth are those of the first, for two sets of
        # teeth are a blur.
        other = cv2.GaussianBlur(mouth - blended, (0, 0), max(1.0, FADED * unit))
        blended += np.float32(layer.share) * other
    return blended


def _mouth_mask(lips: Array, target: Array, size: tuple[int, int], unit: float) -> Array:
    """Draw the mask, (h, w) float32: 1 near the lips, 0 from `GONE` on, at the nose and under
    the chin."""
    import cv2

    width, height = size
    away = np.full((height, width), 255, np.uint8)
    cv2.fillPoly(away, [cv2.convexHull(np.rint(lips * 16).astype(np.int32))], 0, cv2.LINE_8, 4)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, 5) / unit
    mask = 1.0 - smoothstep((distance - FULL) / (GONE - FULL))
    # The nose keeps its own pixels: fade out towards the line through its base.
    base = target[list(NOSE_BASE)]
    left, right = base[0], base[-1]
    along = right - left
    normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-3)
    low = float((base @ normal).mean())
    below = np.add.outer(
        np.arange(height, dtype=np.float32) * normal[1] - low,
        np.arange(width, dtype=np.float32) * normal[0],
    ).astype(np.float32) / np.float32(unit)
    mask *= smoothstep((below - 0.02) / 0.07)
    # The jaw line keeps its own pixels too: what lies beyond is neck or background.
    jaw = np.full((height, width), 0, np.uint8)
    face = np.vstack([target[list(JAW)], target[[50, 280, 4]]])
    cv2.fillConvexPoly(jaw, cv2.convexHull(np.rint(face * 16).astype(np.int32)), 255, cv2.LINE_8, 4)
    mask *= smoothstep(cv2.distanceTransform(jaw, cv2.DIST_L2, 3) / (0.12 * unit))
    return np.asarray(mask, dtype=np.float32)


def _light(under: Array, over: Array, mask: Array, lips: Array, unit: float) -> Array:
    """Compute what to add to `over` so that its skin has `under`'s colour, slowly varying.

    Taken from the skin around the lips alone (lips and teeth differ by right) and carried into
    the mouth by normalised convolution.
    """
    import cv2

    height, width = mask.shape
    shrink = max(1, int(unit / 24))
    size = (max(2, width // shrink), max(2, height // shrink))
    difference = cv2.resize(under - over, size, interpolation=cv2.INTER_AREA)
    skin = np.full((height, width), 255, np.uint8)
    cv2.fillPoly(skin, [cv2.convexHull(np.rint(lips * 16).astype(np.int32))], 0, cv2.LINE_8, 4)
    skin = cv2.erode(skin, np.ones((3, 3), np.uint8), iterations=max(1, round(0.03 * unit)))
    weight = (skin > 0) * np.clip(mask * 4, 0, 1)
    weight = cv2.resize(weight.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    # A fold or a hair is no light: differences far from the middle one count less.
    level = np.median(difference[weight > 0.5], axis=0) if (weight > 0.5).any() else np.zeros(3)
    odd = np.abs(difference - level).max(axis=2)
    weight = weight * np.exp(-((odd / 40.0) ** 2)).astype(np.float32) + np.float32(1e-4)
    sigma = 0.16 * unit / shrink
    top = cv2.GaussianBlur(scaled(difference, weight), (0, 0), sigma)
    bottom = np.asarray(cv2.GaussianBlur(weight, (0, 0), sigma), np.float32)
    smooth = scaled(top, np.float32(1) / bottom)
    smooth = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, dtype=np.float32)
