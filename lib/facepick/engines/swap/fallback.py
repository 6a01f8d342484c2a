"""Fallback: a face that cannot be swapped is hidden, when the user wants that."""

from __future__ import annotations

from facepick.compositing.masks import Area
from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.hide.blocks import BlockGrid
from facepick.engines.hide.settings import PixelateSettings
from facepick.engines.hide.shape import hidden_mask

__all__ = ["hidden_face"]


def hidden_face(request: FaceRequest) -> FacePatch | Reason:
    """Pixelate the face with the default settings of the hide flow."""
    settings = PixelateSettings()
    bounds = Area(*request.origin, request.crop.shape[1], request.crop.shape[0])
    area, alpha = hidden_mask(request, settings, None, bounds)
    if not alpha.any():
        return Reason.ABSENT
    image = BlockGrid.of(request, area, settings.blocks).mosaic(area)
    return FacePatch(image=image, alpha=alpha, origin=area.origin, kind=PatchKind.HIDDEN)
