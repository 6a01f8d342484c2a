"""GFPGAN, CodeFormer and RestoreFormer through spandrel.

The three were trained on faces aligned to 512x512 pixels as in FFHQ (Karras et al. 2019); the
template is that of facexlib.  Weights are read by `facepick.engines.lipsync.weights`, so nothing
in a pickle is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.engines.lipsync.weights import read_tensors
from facepick.errors import ModelMismatchError, OutOfMemory, PackageMissing
from facepick.faces.alignment import similarity
from facepick.faces.detection import FloatArray
from facepick.models import catalog
from facepick.models.device import torch_device
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore

__all__ = ["SpandrelRestorer", "spec_of"]

_SIDE = 512
# Eyes, nose tip and mouth corners in the 512-pixel picture.
_TEMPLATE = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.19360],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
_SPECS = {
    "GFPGAN": catalog.GFPGAN,
    "CodeFormer": catalog.CODEFORMER,
    "RestoreFormer": catalog.RESTOREFORMER,
}
# Under which key training scripts keep the weights that are meant for use.
_WRAPPERS = ("params_ema.", "params-ema.", "params.", "model.")


def spec_of(name: str) -> ModelSpec:
    """The model file of a restorer."""
    return _SPECS[name]


class SpandrelRestorer:
    """One of the three networks on torch.

    Raises:
        PackageMissing: spandrel, or for CodeFormer spandrel-extra-arches, is not installed.
        MissingModelError, ModelMismatchError: its file is not there, or holds another network.
    """

    whole_face = True
    unchanged = 0

    def __init__(self, name: str, *, models: ModelStore, device: str = "auto") -> None:
        self._name = name
        path = models.require(_SPECS[name])
        loader = _loader(name)
        self._device = torch_device(device)
        self._descriptor = _load(loader, name, path).to(self._device).eval()

    def restore(self, image: BgrImage, landmarks5: FloatArray, *, fidelity: float) -> BgrImage:
        """See `facepick.engines.restore.restorer.Restorer`."""
        import cv2

        try:
            matrix = similarity(landmarks5, _TEMPLATE)
        except ValueError:
            return image.copy()
        aligned = cv2.warpAffine(
            image, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        restored = self._run(np.asarray(aligned, np.uint8), fidelity)
        height, width = image.shape[:2]
        back = cv2.warpAffine(
            restored, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        )
        inside = cv2.warpAffine(
            _soft_square(), matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        weight = np.clip(np.asarray(inside, np.float32), 0, 1)[:, :, None]
        mixed = image * (1 - weight) + np.asarray(back, np.float32) * weight
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

    def _run(self, face: BgrImage, fidelity: float) -> FloatArray:
        import torch

        rgb = np.ascontiguousarray(face[:, :, ::-1].transpose(2, 0, 1), np.float32)
        # The networks want [-1, 1].
        tensor = torch.from_numpy(rgb / np.float32(127.5) - np.float32(1))[None].to(self._device)
        model = self._descriptor.model
        try:
            with torch.inference_mode():
                if self._name == "GFPGAN":
                    # Its own noise is kept still: the same face gives the same result.
                    out = model(tensor, return_rgb=False, randomize_noise=False)[0]
                elif self._name == "CodeFormer":
                    out = model(tensor, weight=fidelity, adain=True)[0]
                else:
                    out = model(tensor)[0]
        except RuntimeError as error:
            if "memory" in str(error).lower():
                raise OutOfMemory(
                    f"The device ran out of memory in {self._name}.",
                    hint="Choose another restorer, or --device cpu.",
                ) from error
            raise
        picture = out[0].float().clamp(-1, 1).cpu().numpy()
        return np.ascontiguousarray((picture.transpose(1, 2, 0)[:, :, ::-1] + 1) * 127.5)

    def close(self) -> None:
        """See `facepick.engines.restore.restorer.Restorer`."""
        self._descriptor = None


def _loader(name: str) -> Any:
    try:
        import spandrel
    except ImportError as error:
        raise PackageMissing("spandrel", needed_for=name, extra="restore") from error
    if name != "CodeFormer":
        return spandrel.ModelLoader()
    try:
        import spandrel_extra_arches
    except ImportError as error:
        # A package of its own, because CodeFormer's licence forbids commercial use.
        raise PackageMissing("spandrel-extra-arches", needed_for=name, extra="restore") from error
    # Its registry is handed over, not installed into spandrel's, which a host may be using.
    return spandrel.ModelLoader(registry=spandrel_extra_arches.EXTRA_REGISTRY)


def _load(loader: Any, name: str, path: Path) -> Any:
    import spandrel
    import torch

    tensors = read_tensors(path)
    for wrapper in _WRAPPERS:
        inner = {k[len(wrapper) :]: v for k, v in tensors.items() if k.startswith(wrapper)}
        if inner:
            tensors = inner
            break
    state = {key: torch.from_numpy(np.array(stored.load())) for key, stored in tensors.items()}
    wrong = ModelMismatchError(
        f"{path.name} does not hold {name}.", hint=f"See: facepick models list ({name})"
    )
    try:
        descriptor = loader.load_from_state_dict(state)
    except (spandrel.UnsupportedModelError, KeyError, RuntimeError) as error:
        raise wrong from error
    if str(descriptor.architecture.id) != name:
        raise wrong
    return descriptor


def _soft_square() -> FloatArray:
    """1 inside the aligned picture, falling to 0 over its last 24 pixels."""
    t = np.arange(_SIDE, dtype=np.float32)
    edge = np.clip(np.minimum(t, _SIDE - 1 - t) / 24, 0, 1)
    return np.asarray(np.outer(edge, edge), np.float32)
