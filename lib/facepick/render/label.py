"""The visible AI label: a corner card in the first seconds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facepick.compositing.patch import FacePatch

if TYPE_CHECKING:
    from facepick.media.picture import Picture

__all__ = ["LABEL_SECONDS", "Label"]

LABEL_SECONDS = Fraction(2)
"""GB 45438-2025 asks for at least two seconds at the beginning of a video."""

HEIGHT_SHARE = 0.05
"""The same standard: letters at least 5 % of the picture's shorter side."""

LETTER_SHARE = 0.72
"""Height of the letters in the drawn words, see tools/make_labels.py."""


class Label:
    """Painter of the words of one language into pictures of one size.

    Args:
        language: ``en`` or ``zh``.
    """

    def __init__(self, language: str) -> None:
        self._file = Path(__file__).parent / "data" / f"label_{language}.png"
        self._patch: FacePatch | None = None

    def draw(self, picture: Picture) -> None:
        """Blend the card into the lower right corner, in place."""
        from facepick.compositing.compositor import composite

        if self._patch is None:
            self._patch = self._made(picture.width, picture.height)
        composite(picture, [self._patch])

    def _made(self, width: int, height: int) -> FacePatch:
        import cv2

        words = cv2.imdecode(np.fromfile(self._file, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert words is not None
        short = min(width, height)
        card_height = max(8, round(short * HEIGHT_SHARE / LETTER_SHARE))
        card_width = min(width, round(words.shape[1] * card_height / words.shape[0]))
        words = cv2.resize(words, (card_width, card_height), interpolation=cv2.INTER_AREA)
        image = np.repeat(words[:, :, None], 3, axis=2)
        # White letters on black that lets half of the picture through.
        alpha = np.maximum(words.astype(np.float32) / 255, 0.5)
        margin = round(short * 0.02)
        origin = (width - card_width - margin, height - card_height - margin)
        return FacePatch(image=image, alpha=alpha.astype(np.float32), origin=origin)
