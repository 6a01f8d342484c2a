"""Hands: their places, and what of a face they cover.

Zhang et al., *MediaPipe Hands: On-device Real-time Hand Tracking*, 2020; weights Apache-2.0.  One
network finds palms, another places 21 points on a hand that is already known about, from the
palm or from the points in the frame beside it.  The numbers of the two are those of the
published graphs (mediapipe/modules/palm_detection and hand_landmark).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.faces.analyzers._opencv import read_tflite
from facepick.faces.detection import FloatArray
from facepick.faces.mesh import turned_square
from facepick.models.catalog import HAND_LANDMARK, PALM_DETECTION
from facepick.models.store import ModelStore
from facepick.models.tflite_file import open_network

__all__ = ["HandFinder", "HandTracker", "hand_mask", "opencv_reads_hands"]

Doubles = npt.NDArray[np.float64]

_POINTS = 21
_WRIST = 0
# First joints of the fingers, which with the wrist span the palm.
_KNUCKLES = (5, 9, 13, 17)
_PALM = (0, 1, 5, 9, 13, 17)
_FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
# Points that bend little place the region in the next frame.
_STEADY = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
_MIN_SCORE = 0.5
_MIN_OVERLAP = 0.3
_EVERY = 12
# Of a hand's points in the crop; beyond it they are guesses.
_MIN_INSIDE = 0.5
# A finger's width, of that of the palm between the outer knuckles.
_FINGER = 0.33


@dataclass(frozen=True)
class _Region:
    """A turned square that holds a hand, fingers up."""

    x: float
    y: float
    side: float
    angle: float


def opencv_reads_hands() -> bool:
    """Tell whether ``cv2.dnn`` knows the mean over a tensor, which it does from OpenCV 4.10 on."""
    import cv2

    return tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 10)


class HandFinder:
    """Finder of hands with two networks.

    Raises:
        MissingModelError: a file is not there.
    """

    PALM_SIDE, HAND_SIDE = 192, 224
    BOXES, SCORES = "Identity", "Identity_1"
    POINTS, PRESENCE = "Identity", "Identity_1"

    def __init__(self, store: ModelStore) -> None:
        # A quarter of what ``cv2.dnn`` takes, which the other one, seldom asked, is read by.
        self._palm: Any = open_network(
            store.require(PALM_DETECTION), (self.BOXES, self.SCORES), needed_for="hands"
        )
        self._hand: Any = read_tflite(store.require(HAND_LANDMARK), needed_for="hands")
        self._anchors = _anchors()

    def regions(self, image: BgrImage) -> list[_Region]:
        """Find where palms are in (h, w, 3) uint8 BGR, best first."""
        height, width = image.shape[:2]
        side = max(height, width)
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        chip, _ = turned_square(image, centre, side, 0.0, self.PALM_SIDE)
        answer = self._palm.run([self.BOXES, self.SCORES], {"input": _blob(chip)})
        boxes, scores = (np.asarray(out, np.float64) for out in answer)
        logits = scores.reshape(-1)
        rows = np.flatnonzero(logits > math.log(_MIN_SCORE / (1 - _MIN_SCORE)))
        # Two corners, then seven points, as shares of the square.
        found = boxes.reshape(-1, 18)[rows] / self.PALM_SIDE
        found[:, :2] += self._anchors[rows]
        found[:, 4:] += np.tile(self._anchors[rows], 7)
        merged = _merged(found, 1 / (1 + np.exp(-logits[rows])))
        corner = centre + 0.5 - side / 2
        out = []
        for palm in merged:
            (x, y), (w, h) = palm[:2] * side + corner, palm[2:4] * side
            wrist, middle = palm[4:6], palm[8:10]
            angle = math.atan2(middle[1] - wrist[1], middle[0] - wrist[0]) + math.pi / 2
            # The fingers are half a palm further.
            x, y = x + 0.5 * h * math.sin(angle), y - 0.5 * h * math.cos(angle)
            out.append(_Region(float(x), float(y), 2.6 * float(max(w, h)), angle))
        return out

    def found(self, request: FaceRequest, besides: list[FloatArray]) -> list[FloatArray]:
        """Find hands in a crop that are not among those known, (21, 2) float32 in display
        pixels."""
        out: list[FloatArray] = []
        for region in self.regions(request.crop):
            hand = self._seen(request, region)
            if hand is not None and not _known(hand, besides + out):
                out.append(hand)
        return out

    def followed(self, request: FaceRequest, hands: list[FloatArray]) -> list[FloatArray]:
        """Follow those of the hands in the frame beside this one that are here, too."""
        corner = np.asarray(request.origin, np.float32)
        out: list[FloatArray] = []
        for hand in hands:
            moved = self._seen(request, _around(hand - corner))
            # One that leaves the crop is soon seen in whatever is there instead.
            if moved is not None and _known(moved, [hand]) and not _known(moved, out):
                out.append(moved)
        return out

    def _seen(self, request: FaceRequest, region: _Region) -> FloatArray | None:
        hand = self.points(request.crop, region)
        if hand is None:
            return None
        height, width = request.crop.shape[:2]
        if np.mean((hand > 0).all(axis=1) & (hand < (width, height)).all(axis=1)) < _MIN_INSIDE:
            return None
        return hand + np.asarray(request.origin, np.float32)

    def points(self, image: BgrImage, region: _Region) -> FloatArray | None:
        """Locate (21, 2) float32 in pixels of the picture, or None without a hand."""
        centre = np.array([region.x, region.y])
        chip, inverse = turned_square(image, centre, region.side, region.angle, self.HAND_SIDE)
        raw, presence = _forward(self._hand, chip, (self.POINTS, self.PRESENCE))
        # The network ends in a sigmoid.
        if float(presence.reshape(-1)[0]) < _MIN_SCORE:
            return None
        flat = raw.reshape(_POINTS, 3)[:, :2]
        return np.asarray(flat @ inverse[:, :2].T + inverse[:, 2], np.float32)


class HandTracker:
    """Tracker that finds the hands in one request after another.

    Palms are looked for in every twelfth frame (7 ms of CPU time); a hand that is found is
    followed in both directions (13 ms a frame), so that requests come out up to twelve frames
    late.  A hand that comes to a face and goes is near it for half a second.
    """

    def __init__(self, finder: HandFinder) -> None:
        self._finder = finder
        # Crops are kept until the next look only.
        self._waiting: list[tuple[FaceRequest, list[FloatArray]]] = []

    def push(self, request: FaceRequest) -> list[tuple[FaceRequest, list[FloatArray]]]:
        """Take the next request in time order; gives those that are finished.

        Each comes with the hands in its crop, (21, 2) float32 each in display pixels.
        """
        finder, finished = self._finder, []
        if self._waiting and not request.follows(self._waiting[-1][0]):
            finished = self.flush()
        hands = finder.followed(request, self._waiting[-1][1]) if self._waiting else []
        if len(self._waiting) in (0, _EVERY):
            new = finder.found(request, besides=hands)
            hands += new
            for past, known in reversed(self._waiting):
                new = [hand for hand in finder.followed(past, new) if not _known(hand, known)]
                known += new
            finished += self.flush()
        self._waiting.append((request, hands))
        return finished

    def flush(self) -> list[tuple[FaceRequest, list[FloatArray]]]:
        """Give those that still wait."""
        finished, self._waiting = self._waiting, []
        return finished


def hand_mask(hands: list[FloatArray], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mask what hands cover of a picture of `size` (width, height), (h, w) bool.

    Args:
        hands: (21, 2) float32 each, in pixels of that picture.
    """
    import cv2

    drawn = np.zeros((size[1], size[0]), np.uint8)
    for hand in hands:
        fixed = np.rint(hand * 16).astype(np.int32)
        thick = max(1, round(_FINGER * _palm_width(hand)))
        cv2.fillConvexPoly(drawn, cv2.convexHull(fixed[list(_PALM)]), 1, cv2.LINE_8, 4)
        # The palm's own flesh reaches past its joints as far as a finger's.
        for line in (*_FINGERS, (*_PALM, 0)):
            cv2.polylines(drawn, [fixed[list(line)]], False, 1, thick, cv2.LINE_8, 4)
    return drawn > 0


def _palm_width(hand: FloatArray) -> float:
    """Measure from the index knuckle to the little one's; seen edge-on, by the palm's length.

    A palm is 0.85 times as wide between these joints as it is long.
    """
    across = float(np.linalg.norm(hand[5] - hand[17]))
    along = float(np.linalg.norm(hand[9] - hand[_WRIST]))
    return max(across, 0.7 * along)


def _blob(chip: npt.NDArray[np.uint8]) -> FloatArray:
    """Turn (s, s, 3) uint8 BGR into (1, 3, s, s) RGB in [0, 1]."""
    blob = (chip[:, :, ::-1].astype(np.float32) / 255.0).transpose(2, 0, 1)[None]
    return np.ascontiguousarray(blob)


def _forward(net: Any, chip: npt.NDArray[np.uint8], names: tuple[str, ...]) -> list[Doubles]:
    net.setInput(_blob(chip))
    return [np.asarray(out, np.float64) for out in net.forward(list(names))]


def _anchors() -> Doubles:
    """Place the centres of the palm network's 2016 boxes, (2016, 2), as shares of its picture.

    SSD with boxes of fixed size: two at each cell of 8 pixels, and of three layers with cells of
    16 pixels two each, which share their cells.
    """
    out = []
    for cells, boxes in ((24, 2), (12, 6)):
        middle = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(middle, middle)
        out.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), boxes, axis=0))
    return np.concatenate(out)


def _merged(found: Doubles, scores: Doubles) -> list[Doubles]:
    """Merge boxes (n, 18) that overlap, weighted by their scores; best first."""
    low, high = found[:, :2] - found[:, 2:4] / 2, found[:, :2] + found[:, 2:4] / 2
    area = np.prod(high - low, axis=1)
    left, out = np.argsort(-scores), []
    while len(left):
        best = left[0]
        inner = np.minimum(high[left], high[best]) - np.maximum(low[left], low[best])
        both = np.prod(np.maximum(inner, 0), axis=1)
        same = both > _MIN_OVERLAP * (area[left] + area[best] - both)
        same[0] = True
        out.append(np.average(found[left[same]], axis=0, weights=scores[left[same]]))
        left = left[~same]
    return out


def _around(hand: FloatArray) -> _Region:
    """Predict where to look for a hand that was at these points a frame ago."""
    points = np.asarray(hand, np.float64)
    knuckles = (points[5] + points[13]) / 4 + points[9] / 2
    way = knuckles - points[_WRIST]
    angle = math.atan2(way[1], way[0]) + math.pi / 2
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    turned = points[list(_STEADY)] @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = (low + high) / 2
    # A tenth of it up, towards the fingers' tips.
    centre[1] -= 0.1 * (high[1] - low[1])
    x, y = centre @ turn
    return _Region(float(x), float(y), 2 * float(np.max(high - low)), angle)


def _known(hand: FloatArray, others: list[FloatArray]) -> bool:
    """Tell whether one of the others may be the same hand: as large, within half of its size."""
    size, middle = float(np.max(np.ptp(hand, axis=0))), hand.mean(axis=0)
    return any(
        np.hypot(*(other.mean(axis=0) - middle)) < 0.5 * size
        and 0.6 < float(np.max(np.ptp(other, axis=0))) / max(size, 1e-6) < 1 / 0.6
        for other in others
    )
