"""GFPGAN, CodeFormer and RestoreFormer from ``.pth`` files, through spandrel.

Weights are read by `facepick.models.torch_file`, so nothing in a pickle is run.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import numpy as np

from facepick.engines.restore.aligned import AlignedRestorer
from facepick.errors import ModelMismatchError, OutOfMemory, PackageMissing
from facepick.faces.detection import FloatArray
from facepick.models import catalog
from facepick.models.device import is_out_of_memory, torch_device
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore
from facepick.models.torch_file import read_tensors

__all__ = ["SpandrelRestorer", "check_packages", "spec_of"]

log = logging.getLogger("facepick.engines.restore.spandrel_model")

_SPECS = {
    "GFPGAN": catalog.GFPGAN,
    "CodeFormer": catalog.CODEFORMER,
    "RestoreFormer": catalog.RESTOREFORMER,
}
# Under which key training scripts keep the weights that are meant for use.
_WRAPPERS = ("params_ema.", "params-ema.", "params.", "model.")


def spec_of(name: str) -> ModelSpec | None:
    """Find the ``.pth`` file of a restorer; None when it exists as ONNX only."""
    return _SPECS.get(name)


class SpandrelRestorer(AlignedRestorer):
    """One of the three networks on torch.

    Raises:
        PackageMissing: spandrel, or for CodeFormer spandrel-extra-arches, is not installed.
        MissingModelError, ModelMismatchError: its file is not there, or holds another network.
    """

    def __init__(self, name: str, *, models: ModelStore, device: str = "auto") -> None:
        self._name = name
        path = models.require(_SPECS[name])
        loader = _loader(name)
        self._device = torch_device(device)
        self._descriptor = _load(loader, name, path).to(self._device).eval()

    def _restored(self, face: FloatArray, fidelity: float) -> FloatArray:
        try:
            return self._run(face, fidelity)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise ModelMismatchError(
                    f"{self._name} failed: {error}", hint="Try --device cpu."
                ) from error
            if self._device.type == "cpu":
                raise OutOfMemory(
                    f"The memory is full; {self._name} cannot run.",
                    hint="Close other programs, or choose another restorer.",
                ) from error
        log.warning("%s has no more room; %s goes on on the CPU", self._device, self._name)
        self._device = torch_device("cpu")
        self._descriptor = self._descriptor.to(self._device)
        return self._run(face, fidelity)

    def _run(self, face: FloatArray, fidelity: float) -> FloatArray:
        import torch

        tensor = torch.from_numpy(face)[None].to(self._device)
        model = self._descriptor.model
        with torch.inference_mode():
            if self._name == "GFPGAN":
                # Its own noise is kept still: the same face gives the same result.
                out = model(tensor, return_rgb=False, randomize_noise=False)[0]
            elif self._name == "CodeFormer":
                out = model(tensor, weight=fidelity, adain=True)[0]
            else:
                out = model(tensor)[0]
        return np.asarray(out[0].float().cpu().numpy(), np.float32)

    def close(self) -> None:
        """See `facepick.engines.restore.restorer.Restorer`."""
        self._descriptor = None


def check_packages(name: str) -> None:
    """Check for the packages that this restorer cannot run without.

    Raises:
        PackageMissing.
    """
    # CodeFormer's is a package of its own, because its licence forbids commercial use.
    extra = ("spandrel_extra_arches",) if name == "CodeFormer" else ()
    for module in ("torch", "spandrel", *extra):
        if importlib.util.find_spec(module) is None:
            package = module.replace("_", "-")
            raise PackageMissing(package, needed_for=name, extra="restore")


def _loader(name: str) -> Any:
    check_packages(name)
    import spandrel

    if name != "CodeFormer":
        return spandrel.ModelLoader()
    import spandrel_extra_arches

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
        f"{path.name} does not hold {name}.",
        hint="Replace the file; docs/models.md says where it comes from.",
    )
    try:
        descriptor = loader.load_from_state_dict(state)
    except (spandrel.UnsupportedModelError, KeyError, RuntimeError) as error:
        raise wrong from error
    if str(descriptor.architecture.id) != name:
        raise wrong
    return descriptor
