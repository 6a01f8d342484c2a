"""Cuts: where in the picture a guest engine's clip lies."""

from __future__ import annotations

import numpy as np

from facepick.compositing.patch import FaceRequest
from facepick.engines.guest.description import GuestDescription
from facepick.engines.lipsync.neural.crop import REFERENCE_PX, FaceCut
from facepick.faces.alignment import FFHQ_512, similarity
from facepick.faces.detection import Box

__all__ = ["cut_of"]


def cut_of(guest: GuestDescription, request: FaceRequest, side: int) -> FaceCut:
    """Choose the square of the crop that is shown in a clip of so many pixels a side.

    The picture's own pixels are only moved by whole ones where the engine takes them as they are.
    """
    box = request.box
    x, y = request.origin
    unit = max(box.height, 1.0) / REFERENCE_PX
    if guest.crop == "aligned":
        points = request.local(request.landmarks5)
        to_clip = similarity(points, FFHQ_512 * np.float32(side / 512))
        linear = np.linalg.inv(to_clip[:, :2])
        matrix = np.column_stack([linear, -linear @ to_clip[:, 2]])
    else:
        reach = side if not guest.size else max(box.width, box.height) * (1 + 2 * guest.margin)
        left = (box.x0 + box.x1) / 2 - x - reach / 2
        top = (box.y0 + box.y1) / 2 - y - reach / 2
        if not guest.size:
            left, top = round(left), round(top)
        scale = reach / side
        matrix = np.array([[scale, 0.0, left], [0.0, scale, top]])
    corners = matrix @ np.array([[0, side], [0, side], [1, 1]], np.float64)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return FaceCut(to_crop=matrix, box=Box(low[0], low[1], high[0], high[1]), unit=unit)
