"""Where a hidden face is covered."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.compositing.patch import FaceRequest
from facepick.engines.hide.settings import HideSettings
from facepick.faces.detection import Box, FloatArray
from facepick.people.track import BRIDGED

__all__ = ["Oval", "hidden_mask", "oval_of"]

# A bridged place is a guess: 15 % more on each side covers the face when the guess is off by that.
_GUESS_MARGIN = 0.15
# Detectors end a box at the brows' upper part; the forehead above is about 12 % of its height.
_FOREHEAD_LIFT = 0.06
# Share of the outline's height that is added above it, up to the hair line.
_OUTLINE_FOREHEAD = 0.25


@dataclass(frozen=True)
class Oval:
    """An ellipse: centre and radii in display pixels, turned clockwise by `degrees`."""

    center: tuple[float, float]
    radii: tuple[float, float]
    degrees: float

    def points(self) -> FloatArray:
        """The corners of the rectangle that holds it, turned with it, (4, 2)."""
        (cx, cy), (rx, ry) = self.center, self.radii
        cos, sin = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        corners = [(-rx, -ry), (rx, -ry), (rx, ry), (-rx, ry)]
        return np.array(
            [(cx + cos * x - sin * y, cy + sin * x + cos * y) for x, y in corners], np.float32
        )

    def draw(self, area: Area) -> FloatArray:
        return masks.ellipse(area, self.center, self.radii, degrees=self.degrees)


def oval_of(box: Box, degrees: float, margin: float) -> Oval:
    """The ellipse that covers a head's front, from brow to chin with forehead and sides."""
    rx, ry = box.width * (0.5 + margin), box.height * (0.5 + margin)
    lift = box.height * _FOREHEAD_LIFT
    turn = math.radians(degrees)
    cx, cy = box.center
    center = (cx + lift * math.sin(turn), cy - lift * math.cos(turn))
    return Oval(center, (rx, ry + lift), degrees)


def hidden_mask(
    request: FaceRequest, settings: HideSettings, mesh: FloatArray | None, bounds: Area
) -> tuple[Area, FloatArray]:
    """The area to change and its alpha, both inside `bounds`.

    Faces of other people nearby are spared, but never at the cost of this face's own middle.
    """
    box = request.box
    margin = settings.margin + (_GUESS_MARGIN if request.seen == BRIDGED else 0.0)
    feather = settings.feather * box.width
    degrees = masks.roll_degrees(request.landmarks5)
    pad = feather + 2
    if settings.shape == "outline" and mesh is not None:
        points = mesh[list(masks.FACE_OVAL)]
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
        oval = oval_of(box, degrees, margin)
        area = masks.area_around(oval.points(), pad=pad).clipped(*_ends(bounds))
        if not area.width or not area.height:
            return area, np.zeros((area.height, area.width), np.float32)
        mask = oval.draw(area)
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
