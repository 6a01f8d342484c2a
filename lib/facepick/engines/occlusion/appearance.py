"""Appearance of a person's own face over the clip, and what in a frame differs from it.

Every frame is pulled into the face's own coordinates.  Light is taken off: log colours are a
linear function of the mean head's normals and of the place on the face (see
`facepick.engines.swap.light`), fitted robustly in every frame.  What remains is this person's
skin: per texel a median and a spread over the clip.  Where a frame is far outside the spread, in
colour or in structure (edges where skin has none), something lies over the skin.

Things that come before a face come from outside of it: what does not reach the face's edge is a
fold, an open mouth or a closed eye.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from facepick.engines.occlusion.texels import SIDE, Texels, texels
from facepick.faces.detection import FloatArray

__all__ = ["Appearance", "learn", "occluded"]

Bools = npt.NDArray[np.bool_]

MIN_FRAMES = 24
"""A second of film: fewer frames say little about what is usual."""
_LEARN_FROM = 120
# Grey, red against the rest, blue against green: light moves the first, hardly the others.
_OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [-0.5, -0.5, 1.0], [0.7, -0.7, 0.0]], np.float32)
# Least spreads of log colours: 3 % is compression noise; and of their slope per texel.
_FLOOR = np.array([0.03, 0.02, 0.02], np.float32)
_SLOPE_FLOOR = 0.008
_UNKNOWN = np.float32(9.0)
# Scores beyond these say no more: one edge must not colour its whole surroundings.
_MOST_COLOUR, _MOST_SLOPE = 12.0, 5.0
# A region holds scores of `_LOW` or more, and enough of `_HIGH`.
_LOW, _HIGH = 2.5, 4.2
_MIN_HIGH = 12
# Smallest region, in texels: 1.2 % of the face is a finger's tip.
_MIN_AREA = 56
_EDGE = 4
_BORDER = 0.5
# Medians over the face of colour and slope in an everyday frame.
_USUAL_COLOUR, _USUAL_SLOPE = 0.6, 0.7


@dataclass(frozen=True, eq=False)
class Appearance:
    """Usual colours and spreads at each of n texels.

    Attributes:
        middle: (n, 3) float32 opponent log colour without light.
        spread: (n, 3) float32.
        slope: (n,) float32, usual slope of what differs from `middle`.
    """

    middle: FloatArray
    spread: FloatArray
    slope: FloatArray

    def __repr__(self) -> str:
        return f"Appearance({len(self.slope)} texels)"


def learn(colours: npt.NDArray[np.uint8], seen: Bools) -> Appearance | None:
    """Learn the usual face, or None with too few frames.

    Args:
        colours: (m, n, 3) uint8 BGR, `Texels.pull` of every frame.
        seen: (m, n) which texels face the camera.
    """
    if len(colours) < MIN_FRAMES:
        return None
    rows = np.unique(np.linspace(0, len(colours) - 1, _LEARN_FROM).astype(int))
    skin = _skin()
    logs = np.stack([_logs(colours[i]) for i in rows])
    known = np.asarray(seen[rows])
    (middle,) = _quantiles(logs - np.median(logs[:, skin], axis=1, keepdims=True), 0.5)
    spread = np.full_like(middle, 0.1)
    rest = logs
    for _ in range(3):
        basis = _basis(texels(), middle)
        lit = [_light(x, basis, middle, spread, ok) for x, ok in zip(logs, known, strict=True)]
        rest = logs - np.stack(lit)
        rest[~known] = np.nan
        middle, spread = _median_and_spread(rest)
        spread = np.sqrt(spread**2 + _FLOOR**2)
        unknown = known.sum(axis=0) < MIN_FRAMES // 2
        middle[unknown], spread[unknown] = 0.0, _UNKNOWN
    slopes = np.stack(
        [_slope(np.nan_to_num(r - middle), ok) for r, ok in zip(rest, known, strict=True)]
    )
    slopes[~known] = np.nan
    usual, high = _quantiles(slopes, 0.5, 0.85)
    slope = np.maximum(np.minimum(high, 2.5 * usual), _SLOPE_FLOOR)
    return Appearance(middle, spread, slope.astype(np.float32))


def occluded(
    appearance: Appearance,
    colours: npt.NDArray[np.uint8],
    seen: Bools,
    follows: Bools,
) -> Iterator[Bools]:
    """Find the texels that are covered, (n,) for every frame.

    Args:
        colours, seen: as in `learn`, all frames in time order.
        follows: (m,) whether a frame follows the one before it without a cut.
    """
    before: FloatArray | None = None
    basis = _basis(texels(), appearance.middle)
    scores = (score(appearance, basis, c, s) for c, s in zip(colours, seen, strict=True))
    now = next(scores, None)
    row = 0
    while now is not None:
        after = next(scores, None)
        # What covers a face stays for more than one frame; noise does not.
        total, weight = now * 2, 2.0
        if before is not None and follows[row]:
            total, weight = total + before, weight + 1
        if after is not None and follows[row + 1]:
            total, weight = total + after, weight + 1
        yield _regions(np.asarray(total / weight, np.float32), np.asarray(seen[row]))
        before, now = now, after
        row += 1


def score(
    appearance: Appearance, basis: FloatArray, colours: npt.NDArray[np.uint8], seen: Bools
) -> FloatArray:
    """Score how far each texel is from usual, (n,) float32 in spreads; 0 where it is not seen.

    Args:
        basis: `_basis` of the usual face.
        colours, seen: (n, 3) and (n,) of the frame.
    """
    points = texels()
    logs = _logs(colours)
    rest = logs - _light(logs, basis, appearance.middle, appearance.spread, seen)
    rest -= appearance.middle
    colour = _size(rest / appearance.spread)
    slope = _slope(rest, seen) / appearance.slope
    skin = _skin() & seen
    if not skin.any():
        return np.zeros(len(rest), np.float32)
    # A frame that is unlike the others everywhere (blurred, lit anew) is judged less finely.
    colour /= max(1.0, _middle(colour[skin]) / _USUAL_COLOUR)
    slope /= max(1.0, _middle(slope[skin]) / _USUAL_SLOPE)
    colour = np.minimum(colour, _MOST_COLOUR) ** 2
    slope = np.minimum(slope, _MOST_SLOPE) ** 2
    slope = _blurred(np.where(skin, slope, 0), 2.0, skin)
    # A region's inside is as far from usual as its surroundings within a texel.
    total = _blurred(colour, 0.8, seen) + slope * ~(points.lips | points.eyes)
    return np.asarray(np.sqrt(total) * seen, np.float32)


def _logs(colours: npt.NDArray[np.uint8]) -> FloatArray:
    flat = colours.astype(np.float32)
    points = texels()
    smooth = points.flat(_gauss(points.square(flat), 0.8)) / _rim()[:, None]
    return np.asarray(np.log(smooth + 8) @ _OPPONENT.T, np.float32)


@cache
def _rim() -> FloatArray:
    """Compute the share of a blur that lies on the face, (n,)."""
    points = texels()
    return np.maximum(points.flat(_gauss(points.square(np.ones(len(points))), 0.8)), 0.05)


def _size(vectors: FloatArray) -> FloatArray:
    """Compute the root of the mean square of three numbers, (n,), of (n, 3).

    (numpy's mean over so short an axis takes five times as long.)
    """
    squares = vectors * vectors
    total = squares[:, 0] + squares[:, 1]
    total += squares[:, 2]
    total /= np.float32(3)
    return np.sqrt(total, out=total)


def _middle(values: FloatArray) -> float:
    """Find the median of (n,), at least one, without NaN.

    (numpy's own takes five times as long for a thousand numbers.)
    """
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    below, above = np.partition(values, (half - 1, half))[half - 1 : half + 1]
    return float((below + above) / 2)


@cache
def _skin() -> Bools:
    points = texels()
    return np.asarray(~(points.lips | points.eyes))


def _gauss(square: FloatArray, sigma: float) -> FloatArray:
    import cv2

    return np.asarray(cv2.GaussianBlur(square, (0, 0), sigma), np.float32)


def _blurred(values: npt.ArrayLike, sigma: float, weight: Bools) -> FloatArray:
    """Average (n,) over the texels with weight (Gaussian)."""
    points = texels()
    flat = np.asarray(values, np.float32)
    top = points.flat(_gauss(points.square(flat * weight), sigma))
    top /= np.maximum(points.flat(_gauss(points.square(weight), sigma)), 0.05)
    return top


def _slope(rest: FloatArray, seen: Bools) -> FloatArray:
    """Compute the gradient of grey and red, (n,) per texel; 0 beside what is not seen."""
    import cv2

    points = texels()
    inner = cv2.erode(points.square(seen), np.ones((3, 3), np.uint8))
    total = np.zeros((SIDE, SIDE), np.float32)
    for channel in (0, 1):
        plane = points.square(np.where(seen, rest[:, channel], 0))
        total += cv2.Sobel(plane, cv2.CV_32F, 1, 0, scale=1 / 8) ** 2
        total += cv2.Sobel(plane, cv2.CV_32F, 0, 1, scale=1 / 8) ** 2
    return points.flat(np.sqrt(total * inner))


def _basis(points: Texels, middle: FloatArray) -> FloatArray:
    """Build the basis: first order in normals and place, the normals' squares, the face's contrast.

    The last takes up what a change of gamma, or haze, does.
    """
    place = np.stack([points.columns, points.rows], axis=1) / (SIDE / 2) - 1
    x, y = points.normals[:, 0], points.normals[:, 1]
    terms = [np.ones(len(points)), *points.normals.T, *place.T, x * x, y * y, middle[:, 0]]
    return np.stack(terms, axis=1).astype(np.float32)


def _light(
    logs: FloatArray, basis: FloatArray, middle: FloatArray, spread: FloatArray, seen: Bools
) -> FloatArray:
    """Fit what the light adds to `middle` in a frame, (n, 3): reweighted least squares.

    Tukey's biweight leaves out whatever covers up to half of the face.

    Args:
        basis: `_basis` of `middle`.
    """
    used = np.flatnonzero(seen & _skin())[::4]
    if len(used) < 40:
        level = np.median(logs - middle, axis=0)
        return np.asarray(np.zeros_like(middle) + level, np.float32)
    terms, wanted, scale = basis[used], logs[used] - middle[used], spread[used]
    rest = wanted - np.median(wanted, axis=0)
    solved = np.zeros((terms.shape[1], 3), np.float32)
    ridge = np.diag([0.0] + [0.01] * (terms.shape[1] - 1)) * len(used)
    for step in range(5):
        away = _size(rest / scale)
        limit = max(3.0 if step == 0 else 2.5, 2.5 * _middle(away))
        weight = np.clip(1 - (away / limit) ** 2, 0, 1) ** 2
        weighted = terms * weight[:, None]
        left = weighted.T @ terms + ridge * max(float(weight.mean()), 0.05)
        solved = np.linalg.solve(left, weighted.T @ wanted).astype(np.float32)
        rest = wanted - terms @ solved
    return np.asarray(basis @ solved, np.float32)


def _median_and_spread(rest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute median and spread over frames, of what was seen; NaN elsewhere becomes 0."""
    (middle,) = _quantiles(rest, 0.5)
    (spread,) = _quantiles(np.abs(rest - middle), 0.5)
    return middle, np.float32(1.4826) * spread


def _quantiles(values: FloatArray, *shares: float) -> list[FloatArray]:
    """Compute quantiles over the first axis of what is no NaN, 0 where nothing is.

    (numpy's own take fifty times as long: they go over the columns one by one.)
    """
    # Columns become rows, which are sorted as one piece of memory each; NaN goes to their ends.
    columns = np.ascontiguousarray(np.moveaxis(values, 0, -1)).reshape(-1, len(values))
    columns.sort(axis=1)
    last = np.maximum(len(values) - np.isnan(columns).sum(axis=1) - 1, 0)
    found = []
    for share in shares:
        at = share * last
        low = at.astype(np.int64)
        below, above = (
            np.take_along_axis(columns, np.minimum(i, last)[:, None], axis=1)[:, 0]
            for i in (low, low + 1)
        )
        between = below + (at - low) * (above - below)
        found.append(np.nan_to_num(between).astype(np.float32).reshape(values.shape[1:]))
    return found


def _regions(far: FloatArray, seen: Bools) -> Bools:
    """Find the texels of regions that come in over the face's edge."""
    import cv2

    points = texels()
    moving = points.lips | points.eyes
    # Lips and lids change by themselves: they only count as a part of something larger.
    high = (far > _HIGH) & ~moving
    if np.count_nonzero(high) < _MIN_HIGH:
        return np.zeros(len(far), bool)
    low = far > np.where(moving, 1.5 * _LOW, _LOW)
    drawn = points.square(low).astype(np.uint8)
    drawn = cv2.morphologyEx(drawn, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(drawn, connectivity=4)
    # Nostrils face away too, but nothing comes in through them.
    view = cv2.morphologyEx(points.square(seen), cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
    edge = (view > 0) & (cv2.erode(view, np.ones((2 * _EDGE + 1,) * 2, np.uint8)) == 0)
    # What comes in is as strange at the edge as further in; of a fold beside a laughing mouth only
    # the soft border gets there.
    edge &= points.square(far) > _LOW
    strong = points.square(high) > 0
    # Beside something strange, what is a third as strange is its blurred border.
    around = cv2.GaussianBlur(drawn * points.square(np.minimum(far, _MOST_COLOUR)), (0, 0), 3.0)
    around /= np.maximum(cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), 3.0), 0.05)
    body = points.square(far) > _BORDER * around
    kept = np.zeros((SIDE, SIDE), np.uint8)
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < _MIN_AREA:
            continue
        here = labels == label
        if np.count_nonzero(here & strong) >= _MIN_HIGH and np.count_nonzero(here & edge) >= _EDGE:
            kept[here & body] = 1
    if kept.any():
        # Gaps as narrow as half a finger belong to the hand; its own edge is half skin.
        round5 = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        kept = cv2.morphologyEx(kept, cv2.MORPH_CLOSE, round5)
        kept = cv2.dilate(kept, np.ones((3, 3), np.uint8))
    return np.asarray(kept[points.rows, points.columns] > 0)
