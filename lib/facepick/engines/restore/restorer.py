"""Face restorers that a lip sync or a swap may run over its result."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.errors import SettingsError
from facepick.faces.detection import FloatArray
from facepick.faces.warp import to_uint8
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore

__all__ = [
    "RESTORERS",
    "NoRestorer",
    "Restorer",
    "SharpenRestorer",
    "check_restorer",
    "open_restorer",
    "spec_in_use",
]

RESTORERS = ("none", "sharpen", "GFPGAN", "CodeFormer", "RestoreFormer", "GPEN")
"""In menu order."""


class Restorer(Protocol):
    """Restorer of one face's detail.

    Attributes:
        whole_face: whether it must see the whole face; else any part of it will do.
        unchanged: faces that came back as they were.
    """

    whole_face: bool
    unchanged: int

    def restore(self, image: BgrImage, landmarks5: FloatArray, *, fidelity: float) -> BgrImage:
        """Return the face with more detail.

        Args:
            image: (h, w, 3) uint8 BGR with the face, see `whole_face`; it is not changed.
            landmarks5: (5, 2) float32 in pixels of `image`.
            fidelity: 1 stays close to the input, 0 trusts the model; for CodeFormer.

        Returns:
            The same size.
        """
        ...

    def close(self) -> None:
        """Give back memory."""
        ...


def open_restorer(
    name: str,
    *,
    models: ModelStore,
    device: str = "auto",
) -> Restorer:
    """Open the restorer called `name`.

    An ONNX file that the store finds is preferred to a ``.pth`` file, for it needs onnxruntime
    alone.

    Raises:
        SettingsError: no such restorer.
        MissingModelError, ModelMismatchError: its file is not there, or is another.
        PackageMissing: spandrel or torch is not installed.
    """
    if name == "none":
        return NoRestorer()
    if name == "sharpen":
        return SharpenRestorer()
    if name not in RESTORERS:
        raise SettingsError(
            f"There is no restorer {name!r}.", hint=f"Restorers: {', '.join(RESTORERS)}."
        )
    from facepick.engines.restore.onnx_model import OnnxRestorer, onnx_specs
    from facepick.engines.restore.spandrel_model import SpandrelRestorer, spec_of

    found = spec_in_use(name, models)
    if found in onnx_specs(name) or spec_of(name) is None:
        return OnnxRestorer(name, models=models, device=device)
    return SpandrelRestorer(name, models=models, device=device)


def check_restorer(name: str, *, models: ModelStore) -> None:
    """Check that `open_restorer` would find what it needs; nothing is loaded.

    Raises: as `open_restorer`.
    """
    if name not in RESTORERS[2:]:
        return
    from facepick.engines.restore.onnx_model import onnx_specs
    from facepick.engines.restore.spandrel_model import check_packages, spec_of

    found = spec_in_use(name, models)
    if found is None:
        models.require(spec_of(name) or onnx_specs(name)[0])
    if found is not None and found is spec_of(name):
        check_packages(name)


def spec_in_use(name: str | None, models: ModelStore) -> ModelSpec | None:
    """Find the model file that `open_restorer` takes; None if none is needed or there."""
    if name is None or name not in RESTORERS[2:]:
        return None
    from facepick.engines.restore.onnx_model import onnx_specs
    from facepick.engines.restore.spandrel_model import spec_of

    weights = spec_of(name)
    known = (*onnx_specs(name), *(() if weights is None else (weights,)))
    return next((spec for spec in known if models.find(spec) is not None), None)


class NoRestorer:
    """Restorer that leaves the face as it is."""

    whole_face = False
    unchanged = 0

    def restore(self, image: BgrImage, landmarks5: FloatArray, *, fidelity: float) -> BgrImage:
        """See `Restorer`."""
        return image

    def close(self) -> None:
        """See `Restorer`."""


class SharpenRestorer:
    """Unsharp masking of brightness, scaled to the face."""

    whole_face = False
    unchanged = 0

    # Twice the difference to the blurred picture, and at most this much (of 255) per pixel, so
    # that no light line appears beside the teeth.
    AMOUNT, LIMIT = 1.0, 24.0
    # A 96-pixel result spread over the face has no detail finer than about a 96th of it.
    RADIUS = 1 / 96

    def restore(self, image: BgrImage, landmarks5: FloatArray, *, fidelity: float) -> BgrImage:
        """See `Restorer`."""
        import cv2

        eyes_to_mouth = landmarks5[3:].mean(axis=0) - landmarks5[:2].mean(axis=0)
        # The eyes are 0.4 of the face's height above the mouth.
        sigma = max(0.6, float(np.hypot(*eyes_to_mouth)) / 0.4 * self.RADIUS)
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)
        fine = grey - np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), np.float32)
        added = np.clip(self.AMOUNT * fine, -self.LIMIT, self.LIMIT)
        sharp = image.astype(np.float32) + added[:, :, None]
        return to_uint8(sharp)

    def close(self) -> None:
        """See `Restorer`."""
