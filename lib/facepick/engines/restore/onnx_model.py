"""GFPGAN, CodeFormer, RestoreFormer++ and GPEN as ONNX, on nothing but onnxruntime.

Tensors, as facefusion's ``face_enhancer`` gives them: a picture (1, 3, side, side), RGB in [-1, 1],
in and out, and for CodeFormer its weight, one float64.
"""

from __future__ import annotations

import numpy as np

from facepick.engines.restore.aligned import AlignedRestorer
from facepick.errors import ModelMismatchError
from facepick.faces.alignment import ARCFACE_128, FFHQ_512
from facepick.faces.detection import FloatArray
from facepick.models import catalog
from facepick.models.device import ort_session
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore

__all__ = ["OnnxRestorer", "onnx_specs"]

_FFHQ = FFHQ_512 / np.float32(512)
# GPEN at 256 pixels is cut closer than the others.
_CLOSE = ARCFACE_128 / np.float32(128)
_FILES: dict[str, tuple[tuple[ModelSpec, FloatArray], ...]] = {
    "GFPGAN": ((catalog.GFPGAN_ONNX, _FFHQ),),
    "CodeFormer": ((catalog.CODEFORMER_ONNX, _FFHQ),),
    "RestoreFormer": ((catalog.RESTOREFORMER_ONNX, _FFHQ),),
    "GPEN": ((catalog.GPEN, _FFHQ), (catalog.GPEN_256, _CLOSE)),
}


def onnx_specs(name: str) -> tuple[ModelSpec, ...]:
    """List the files that hold a restorer, best first."""
    return tuple(spec for spec, _ in _FILES[name])


class OnnxRestorer(AlignedRestorer):
    """One of the networks on onnxruntime.

    Raises:
        MissingModelError: no file of it is there.
        ModelMismatchError: the file holds another network.
        PackageMissing: onnxruntime is not installed.
    """

    def __init__(self, name: str, *, models: ModelStore, device: str = "auto") -> None:
        found = [(p, t) for spec, t in _FILES[name] if (p := models.find(spec)) is not None]
        if not found:
            models.require(_FILES[name][0][0])
        path, self.template = found[0]
        self._path = path
        self._session = ort_session(path, device)
        inputs = self._session.get_inputs()
        pictures = [i for i in inputs if len(i.shape) == 4 and i.shape[1] == 3]
        weights = [i for i in inputs if len(i.shape) <= 1]
        if len(pictures) != 1 or len(pictures) + len(weights) != len(inputs) or len(weights) > 1:
            listed = ", ".join(f"{i.name} {i.shape}" for i in inputs)
            raise self._mismatch(f"it takes {listed}")
        height, width = pictures[0].shape[2:]
        if isinstance(height, int):
            self.side = height
        if isinstance(width, int) and width != self.side:
            raise self._mismatch(f"its picture is {width} x {height}")
        self._picture = pictures[0].name
        self._weight = weights[0] if weights else None

    def _restored(self, face: FloatArray, fidelity: float) -> FloatArray:
        feed = {self._picture: face[None]}
        if self._weight is not None:
            shape = (1,) * len(self._weight.shape)
            feed[self._weight.name] = np.full(shape, fidelity, np.float32)
        out = np.asarray(self._session.run(None, feed)[0], np.float32)
        if out.shape != (1, 3, self.side, self.side) or not np.isfinite(out).all():
            raise self._mismatch(f"its answer is {out.shape}, or no picture")
        return np.asarray(out[0], np.float32)

    def close(self) -> None:
        """See `facepick.engines.restore.restorer.Restorer`."""
        del self._session

    def _mismatch(self, why: str) -> ModelMismatchError:
        return ModelMismatchError(
            f"{self._path.name} is no face restorer that facepick knows: {why}.",
            hint="Replace the file, or remove it and choose another restorer.",
        )
