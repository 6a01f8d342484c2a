"""Blending of patches into a picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from facepick.compositing.patch import FacePatch
from facepick.errors import EngineError
from facepick.faces.detection import Box
from facepick.media.picture import Picture

__all__ = ["composite"]


def composite(picture: Picture, patches: Iterable[FacePatch]) -> Box | None:
    """Blend the patches in place, in the order given: a later one lies on top.

    Only the rectangle that holds a patch's alpha above 0 is converted, blended and written back;
    parts that lie outside the picture are dropped.

    Returns:
        The smallest box around everything touched, display pixels, or None when nothing was.

    Raises:
        EngineError: a patch's alpha is not a number or outside [0, 1]; patches before it have
            been blended, this one and later ones have not.
    """
    touched: Box | None = None
    for patch in patches:
        if patch.alpha.size == 0:
            continue
        # A comparison with NaN is False, so this also refuses NaN.
        if not (patch.alpha.min() >= 0 and patch.alpha.max() <= 1):
            raise EngineError(f"An engine gave an alpha outside [0, 1] in {patch!r}.")
        rows = np.flatnonzero(patch.alpha.any(axis=1))
        columns = np.flatnonzero(patch.alpha.any(axis=0))
        if not len(rows):
            continue
        x, y = patch.origin
        left, right = max(int(columns[0]), -x), min(int(columns[-1]) + 1, picture.width - x)
        top, bottom = max(int(rows[0]), -y), min(int(rows[-1]) + 1, picture.height - y)
        if left >= right or top >= bottom:
            continue
        picture.blend(
            patch.image[top:bottom, left:right],
            patch.alpha[top:bottom, left:right],
            (x + left, y + top),
        )
        box = Box(float(x + left), float(y + top), float(x + right), float(y + bottom))
        touched = box if touched is None else _around(touched, box)
    return touched


def _around(a: Box, b: Box) -> Box:
    return Box(min(a.x0, b.x0), min(a.y0, b.y0), max(a.x1, b.x1), max(a.y1, b.y1))
