"""Base of the networks that restore a face: an aligned picture in, one out.

They were trained on faces aligned as in FFHQ (Karras et al. 2019), RGB in [-1, 1].
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.faces.alignment import FFHQ_512, similarity
from facepick.faces.detection import FloatArray
from facepick.faces.warp import to_uint8

__all__ = ["AlignedRestorer"]

# The outer 24 of 512 pixels fade out: a network knows least about its border.
_FADE = 24 / 512


class AlignedRestorer(ABC):
    """A `Restorer` that works on the aligned face.

    Attributes:
        side: of the network's picture in pixels.
        template: (5, 2), where the five points lie in a picture of side 1.
    """

    whole_face = True
    unchanged = 0
    side = 512
    template: FloatArray = FFHQ_512 / np.float32(512)

    @abstractmethod
    def _restored(self, face: FloatArray, fidelity: float) -> FloatArray:
        """Run the network itself: (3, side, side) float32 RGB in [-1, 1], in and out."""

    def restore(self, image: BgrImage, landmarks5: FloatArray, *, fidelity: float) -> BgrImage:
        """See `facepick.engines.restore.restorer.Restorer`."""
        import cv2

        side = self.side
        try:
            matrix = similarity(landmarks5, self.template * np.float32(side))
        except ValueError:
            return image.copy()
        aligned = cv2.warpAffine(
            image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        rgb = np.ascontiguousarray(aligned[:, :, ::-1].transpose(2, 0, 1), np.float32)
        out = self._restored(rgb / np.float32(127.5) - np.float32(1), fidelity)
        bgr = (np.clip(out, -1, 1).transpose(1, 2, 0)[:, :, ::-1] + 1) * np.float32(127.5)
        height, width = image.shape[:2]
        back = cv2.warpAffine(
            np.ascontiguousarray(bgr, np.float32),
            matrix,
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = cv2.warpAffine(
            _soft_square(side),
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        weight = np.clip(np.asarray(inside, np.float32), 0, 1)[:, :, None]
        mixed = image * (1 - weight) + np.asarray(back, np.float32) * weight
        return to_uint8(mixed)


def _soft_square(side: int) -> FloatArray:
    t = np.arange(side, dtype=np.float32)
    edge = np.clip(np.minimum(t, side - 1 - t) / np.float32(_FADE * side), 0, 1)
    return np.asarray(np.outer(edge, edge), np.float32)
