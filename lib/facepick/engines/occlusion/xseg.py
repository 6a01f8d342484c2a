"""XSeg face occluders: networks that mark a face's own pixels.

The contract is that of facefusion's ``xseg_1``, ``xseg_2`` and ``xseg_3`` (its face_masker.py) and
of its older ``dfl_xseg``: in goes a square picture (1, side, side, 3) of the aligned face, BGR in
[0, 1]; out comes a mask (1, side, side, 1), 1 on the face.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.errors import ModelMismatchError
from facepick.faces.alignment import similarity
from facepick.faces.detection import FloatArray

__all__ = ["XSeg"]

# Where eyes, nose and mouth lie in FFHQ-aligned pictures (Karras et al. 2019), as shares.
_FFHQ = np.array(
    [
        [0.3769, 0.4686],
        [0.6229, 0.4691],
        [0.5012, 0.6133],
        [0.3931, 0.7254],
        [0.6115, 0.7249],
    ],
    np.float32,
)


class XSeg:
    """The network.

    Raises:
        ModelMismatchError: the file's input or output is another.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        from facepick.models.device import ort_session

        self._session: Any = ort_session(path, device)
        self._path = path
        (first, *more) = self._session.get_inputs()
        shape = list(first.shape)
        square = len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]
        if more or not square or not isinstance(shape[1], int):
            raise self._mismatch()
        self._name, self._side = first.name, shape[1]

    def face(self, crop: BgrImage, points: FloatArray, places: FloatArray) -> FloatArray:
        """Estimate how surely each of the places shows the face itself, (n,) float32 in [0, 1].

        Args:
            crop: (h, w, 3) uint8 BGR.
            points: (5, 2) float32, the five landmarks in pixels of `crop`.
            places: (n, 2) float32, likewise.
        """
        import cv2

        side = self._side
        matrix = similarity(points, _FFHQ * np.float32(side))
        chip = cv2.warpAffine(
            crop, matrix, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        blob = chip[None].astype(np.float32) / np.float32(255)
        answer = np.asarray(self._session.run(None, {self._name: blob})[0], np.float32)
        if answer.shape != (1, side, side, 1) or not np.isfinite(answer).all():
            raise self._mismatch()
        mask = np.clip(answer[0, :, :, 0], 0, 1)
        at = (places @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32) - np.float32(0.5)
        found: npt.NDArray[Any] = cv2.remap(
            mask, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(found, np.float32).reshape(-1)

    def _mismatch(self) -> ModelMismatchError:
        return ModelMismatchError(
            f"{self._path.name} is no XSeg network: it should take (1, side, side, 3) and give "
            "(1, side, side, 1).",
            hint="Replace the file; docs/models.md says where it comes from.",
        )
