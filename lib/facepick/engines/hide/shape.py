"""Shape that covers a hidden face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.compositing.patch import FaceRequest
from facepick.engines.hide.settings import HideSettings
from facepick.faces.detection import Box, FloatArray
from facepick.faces.landmarks468 import FACE_OVAL
from facepick.people.track import BRIDGED

__all__ = ["GUESS_MARGIN", "Oval", "head_of", "hidden_mask", "oval_of"]

# A bridged place is a guess: 15 % more on each side covers the face when the guess is off by that.
GUESS_MARGIN = 0.15
# Detectors end a box at the brows' upper part; the forehead above is about 12 % of its height.
_FOREHEAD_LIFT = 0.06
# A head in units of the way from the eyes down to the mouth, 7 cm on a grown face.  Its crown is
# 13.5 cm above the eyes with hair and its chin 12 cm below them; it is 21 cm wide with ears and
# hair and 22.5 cm long, and its middle lies 8.5 cm behind the eyes.  (Heads of grown people are
# 15.5 cm wide without ears and 19.5 cm long: ISO 7250.)
_CROWN, _CHIN = 1.93, 1.71
_HALF_WIDTH, _HALF_LENGTH = 1.5, 1.6
_EYES_TO_MIDDLE = 1.2
# The tip of the nose is 2.5 to 3 cm in front of the eyes.
_NOSE = 0.38
# A nod shortens the way from eyes to mouth, but a box is never 2.8 times as high as that way.
_LEAST_OF_BOX = 1 / 2.8
# Share of the outline's height that is added above it, up to the hair line.
_OUTLINE_FOREHEAD = 0.25


@dataclass(frozen=True)
class Oval:
    """An ellipse: centre and radii in display pixels, turned clockwise by `degrees`."""

    center: tuple[float, float]
    radii: tuple[float, float]
    degrees: float

    def points(self) -> FloatArray:
        """Compute the corners of the rectangle that holds it, turned with it, (4, 2)."""
        (cx, cy), (rx, ry) = self.center, self.radii
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        corners = [(-rx, -ry), (rx, -ry), (rx, ry), (-rx, ry)]
        return np.array(
            [(cx + cos * x - sin * y, cy + sin * x + cos * y) for x, y in corners], np.float32
        )

    def draw(self, area: Area) -> FloatArray:
        """Draw the oval on an area, (h, w) float32 in [0, 1]."""
        return masks.ellipse(area, self.center, self.radii, degrees=self.degrees)


def oval_of(box: Box, degrees: float, margin: float) -> Oval:
    """Fit the ellipse that covers a head's front, from brow to chin with forehead and sides."""
    rx, ry = box.width * (0.5 + margin), box.height * (0.5 + margin)
    lift = box.height * _FOREHEAD_LIFT
    turn = math.radians(degrees)
    cx, cy = box.center
    center = (cx + lift * math.sin(turn), cy - lift * math.cos(turn))
    return Oval(center, (rx, ry + lift), degrees)


def head_of(landmarks5: FloatArray, box: Box, margin: float) -> Oval:
    """Fit the ellipse that covers a whole head with ears and hair, however it is turned.

    A head is an ellipsoid behind the eyes: turned away by an angle, its middle moves to the side
    by its sine, away from where the nose points, and its width becomes that of its length.

    Args:
        landmarks5: (5, 2) display pixels: eyes, nose, corners of the mouth.
        box: of the face, display pixels.
        margin: how far it reaches past the head on each side, as a share of the face's size.
    """
    points = np.asarray(landmarks5, np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - eyes
    length = float(np.hypot(*down))
    if length < 1e-3:
        return oval_of(box, 0.0, margin)
    down /= length
    across = np.array([down[1], -down[0]])  # to the right on the screen, for an upright head
    unit = max(length, box.height * _LEAST_OF_BOX)
    # Along the face the nose lies between eyes and mouth; what it leaves that line by is its turn.
    sine = float(np.clip((points[2] - eyes) @ across / (_NOSE * unit), -1, 1))
    wide = math.sqrt((1 - sine**2) * _HALF_WIDTH**2 + sine**2 * _HALF_LENGTH**2)
    middle = eyes - across * (sine * _EYES_TO_MIDDLE * unit)
    middle = middle + down * ((_CHIN - _CROWN) / 2 * unit)
    radii = (
        wide * unit + margin * box.width,
        (_CROWN + _CHIN) / 2 * unit + margin * box.height,
    )
    degrees = math.degrees(math.atan2(-down[0], down[1]))
    return Oval((float(middle[0]), float(middle[1])), radii, degrees)


def hidden_mask(
    request: FaceRequest, settings: HideSettings, mesh: FloatArray | None, bounds: Area
) -> tuple[Area, FloatArray]:
    """Draw the area to change and its alpha, both inside `bounds`.

    Faces of other people nearby are spared, but never at the cost of this face's own middle.
    """
    box = request.box
    margin = settings.margin + (GUESS_MARGIN if request.seen == BRIDGED else 0.0)
    feather = settings.feather * box.width
    degrees = masks.roll_degrees(request.landmarks5)
    pad = feather + 2
    if settings.shape == "outline" and mesh is not None:
        points = mesh[list(FACE_OVAL)]
        reach = margin * box.width
        around = masks.area_around(
            points, pad=pad + reach + _OUTLINE_FOREHEAD * float(np.ptp(points[:, 1]))
        )
        area = around.clipped(*_ends(bounds))
        if not area.width or not area.height:
            return area, np.zeros((area.height, area.width), np.float32)
        mask = masks.grow(masks.outline(area, mesh, forehead=_OUTLINE_FOREHEAD), reach)
    elif settings.shape == "rectangle":
        hidden = box.grown(margin)
        corners = np.array([hidden[:2], hidden[2:]], np.float32)
        area = masks.area_around(corners, pad=pad).clipped(*_ends(bounds))
        if not area.width or not area.height:
            return area, np.zeros((area.height, area.width), np.float32)
        mask = masks.rectangle(area, hidden)
    else:
        ovals = [oval_of(box, degrees, margin)]
        if settings.shape == "head":
            # The margin is meant for a face, and half of it is for hair: the head has that already.
            ovals.append(head_of(request.landmarks5, box, margin - settings.margin / 2))
        corners = np.concatenate([oval.points() for oval in ovals])
        area = masks.area_around(corners, pad=pad).clipped(*_ends(bounds))
        if not area.width or not area.height:
            return area, np.zeros((area.height, area.width), np.float32)
        mask = ovals[0].draw(area)
        for oval in ovals[1:]:
            np.maximum(mask, oval.draw(area), out=mask)
    mask = masks.feather_out(mask, feather)
    return area, _spare_others(request, area, mask, degrees)


def _spare_others(request: FaceRequest, area: Area, mask: FloatArray, degrees: float) -> FloatArray:
    others = [b for b in request.others if b.area > 0 and _overlap(b, area)]
    if not others:
        return mask
    spared = np.zeros_like(mask)
    for other in others:
        np.maximum(spared, oval_of(other, 0.0, 0.0).draw(area), out=spared)
    own = oval_of(request.box, degrees, 0.0).draw(area)
    return np.minimum(mask, np.maximum(1 - spared, own))


def _overlap(box: Box, area: Area) -> bool:
    x1, y1 = area.x0 + area.width, area.y0 + area.height
    return box.x0 < x1 and box.x1 > area.x0 and box.y0 < y1 and box.y1 > area.y0


def _ends(area: Area) -> tuple[int, int, int, int]:
    return area.x0, area.y0, area.x0 + area.width, area.y0 + area.height
