"""Engines that pixelate, blur or cover a face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.compositing.patch import BgrImage, FacePatch, FaceRequest
from facepick.engines.engine import Engine, EngineContext, EngineResult, EngineSpec
from facepick.engines.hide.blocks import BlockGrid
from facepick.engines.hide.picture import Sticker
from facepick.engines.hide.settings import (
    BlurSettings,
    CoverSettings,
    HideSettings,
    PixelateSettings,
)
from facepick.engines.hide.shape import GUESS_MARGIN, head_of, hidden_mask, oval_of
from facepick.errors import EngineError
from facepick.faces.detection import FloatArray
from facepick.faces.warp import to_uint8

__all__ = ["BlurEngine", "CoverEngine", "HideSession", "PixelateEngine"]

# Reach of the largest shape past the box: margin 0.6 + 0.15 for a guess + soft edge 0.3 + 0.4,
# which the back of a head in profile reaches further than its face.
_CROP_MARGIN = 1.45
# What an ellipse or a rectangle reaches past its margin, a guess and the soft edge: 0.06 of the
# height for the forehead, a block under its edge (0.17 to 0.4 of the width), what a tilt adds.
_PLAIN_SLACK = 0.35
# Below this the mesh network itself doubts that it sees a face.
_MIN_MESH_SCORE = 0.5


def _margin(settings: HideSettings) -> float:
    """Choose how far a crop has to reach: at the usual settings for 0.4 of the largest one's
    pixels."""
    if settings.shape not in ("ellipse", "rectangle"):
        return _CROP_MARGIN
    return min(_CROP_MARGIN, settings.margin + GUESS_MARGIN + settings.feather + _PLAIN_SLACK)


class _Painter(Protocol):
    def paint(
        self, request: FaceRequest, mesh: FloatArray | None
    ) -> tuple[Area, BgrImage, FloatArray] | None: ...


class HideSession:
    """Session that hides one person's face; the same for every style, see the painters below.

    Args:
        context: of the session.
        painter: draws one face.
    """

    def __init__(self, context: EngineContext, painter: _Painter) -> None:
        self._cancel = context.cancel
        self._painter: _Painter | None = painter
        self._shape = context.settings.shape
        self._mesher: Any = None
        if self._shape == "outline":
            from facepick.faces.mesh import FaceMesh

            self._mesher = FaceMesh(context.models)
        self._without_outline = 0

    def process(self, requests: Sequence[FaceRequest]) -> list[EngineResult]:
        """See `EngineSession`."""
        if self._painter is None:
            raise EngineError("This session is closed.")
        answers: list[EngineResult] = []
        for request in requests:
            self._cancel.raise_if_cancelled()
            painted = self._painter.paint(request, self._mesh(request))
            if painted is None:
                answers.append(None)
                continue
            area, image, alpha = painted
            answers.append(FacePatch(image=image, alpha=alpha, origin=area.origin))
        return answers

    def report(self) -> dict[str, Any]:
        """Report frames that fell back from the outline to the ellipse, when the outline was
        chosen."""
        if self._shape != "outline":
            return {}
        return {"frames_without_outline": self._without_outline}

    def take_counts(self) -> dict[str, Any]:
        """See `CountingSession`."""
        found = {"without_outline": self._without_outline}
        self._without_outline = 0
        return found

    def add_counts(self, counts: Mapping[str, Any]) -> None:
        """See `CountingSession`."""
        self._without_outline += counts["without_outline"]

    def close(self) -> None:
        """See `EngineSession`."""
        self._painter = None
        self._mesher = None

    def _mesh(self, request: FaceRequest) -> FloatArray | None:
        if self._mesher is None:
            return None
        mesh, score = request.mesh, request.mesh_score
        if mesh is None:
            found = self._mesher.locate(request.crop, request.landmarks5, origin=request.origin)
            mesh, score = found if found is not None else (None, 0.0)
        if mesh is None or score < _MIN_MESH_SCORE:
            self._without_outline += 1
            return None
        return mesh


def _crop_area(request: FaceRequest) -> Area:
    height, width = request.crop.shape[:2]
    return Area(request.origin[0], request.origin[1], width, height)


class _BlockPainter:
    """Means of blocks, with hard borders (`mosaic`) or melted into each other."""

    def __init__(self, settings: HideSettings, *, across: float, mosaic: bool) -> None:
        self._settings = settings
        self._across = across
        self._mosaic = mosaic

    def paint(
        self, request: FaceRequest, mesh: FloatArray | None
    ) -> tuple[Area, BgrImage, FloatArray] | None:
        area, alpha = hidden_mask(request, self._settings, mesh, _crop_area(request))
        if not alpha.any():
            return None
        grid = BlockGrid.of(request, area, self._across)
        return area, grid.mosaic(area) if self._mosaic else grid.smooth(area), alpha


class PixelateEngine(Engine):
    """Few large blocks in place of the face."""

    spec = EngineSpec(
        id="pixelate",
        flow="hide",
        label="Pixelate",
        help="Replaces the face by a few large blocks; the face cannot be recovered from them.",
        settings=PixelateSettings,
        margin=_CROP_MARGIN,
        covers_gaps=True,
        synthetic=False,
    )

    def margin_of(self, settings: PixelateSettings) -> float:
        """See `Engine`."""
        return _margin(settings)

    def open(self, context: EngineContext) -> HideSession:
        """See `Engine`."""
        settings: PixelateSettings = context.settings
        return HideSession(context, _BlockPainter(settings, across=settings.blocks, mosaic=True))


class BlurEngine(Engine):
    """A smear of a few colours in place of the face.

    The face is first reduced to block means: sharpening a blur cannot bring back what a plain
    Gaussian would have kept below the noise.
    """

    spec = EngineSpec(
        id="blur",
        flow="hide",
        label="Blur",
        help="Blurs the face so strongly that it cannot be sharpened back.",
        settings=BlurSettings,
        margin=_CROP_MARGIN,
        covers_gaps=True,
        synthetic=False,
    )

    # Samples across the face at strength 0 and 1.
    WEAK, STRONG = 6.0, 2.5

    def margin_of(self, settings: BlurSettings) -> float:
        """See `Engine`."""
        return _margin(settings)

    def open(self, context: EngineContext) -> HideSession:
        """See `Engine`."""
        settings: BlurSettings = context.settings
        across = self.WEAK + settings.strength * (self.STRONG - self.WEAK)
        return HideSession(context, _BlockPainter(settings, across=across, mosaic=False))


class _CoverPainter:
    """A colour, or a picture over a backing."""

    # Blocks across the face under the transparent parts of a picture.
    BACKING_BLOCKS = 6

    def __init__(self, settings: CoverSettings) -> None:
        self._settings = settings
        digits = settings.color[1:]
        self._bgr = tuple(int(digits[i : i + 2], 16) for i in (4, 2, 0))
        self._sticker = Sticker(settings.picture) if settings.picture else None

    def paint(
        self, request: FaceRequest, mesh: FloatArray | None
    ) -> tuple[Area, BgrImage, FloatArray] | None:
        crop = _crop_area(request)
        area, alpha = hidden_mask(request, self._settings, mesh, crop)
        if self._sticker is None:
            if not alpha.any():
                return None
            return area, self._plain(area), alpha
        return self._with_picture(request, area, alpha, crop, self._sticker)

    def _with_picture(
        self, request: FaceRequest, area: Area, alpha: FloatArray, crop: Area, sticker: Sticker
    ) -> tuple[Area, BgrImage, FloatArray] | None:
        settings = self._settings
        if settings.shape == "head":
            oval = head_of(request.landmarks5, request.box, settings.margin / 2)
        else:
            degrees = masks.roll_degrees(request.landmarks5)
            oval = oval_of(request.box, degrees, settings.margin)
        place = sticker.area(oval, settings.picture_size)
        bounds = (crop.x0, crop.y0, crop.x0 + crop.width, crop.y0 + crop.height)
        whole = masks.area_around(place.points(), pad=2).clipped(*bounds)
        if area.width and area.height:
            ends = np.array(
                [
                    [area.x0, area.y0],
                    [area.x0 + area.width, area.y0 + area.height],
                    [whole.x0, whole.y0],
                    [whole.x0 + whole.width, whole.y0 + whole.height],
                ]
            )
            whole = masks.area_around(ends)
        if not whole.width or not whole.height:
            return None
        color, opaque = sticker.draw(whole, place)
        if settings.under == "nothing":
            safe = np.maximum(opaque, np.float32(1e-6))[:, :, None]
            image = to_uint8(color / safe)
            return (whole, image, opaque) if opaque.any() else None
        if settings.under == "color":
            backing = self._plain(whole)
        else:
            backing = BlockGrid.of(request, whole, self.BACKING_BLOCKS).mosaic(whole)
        hidden = np.zeros_like(opaque)
        dx, dy = area.x0 - whole.x0, area.y0 - whole.y0
        hidden[dy : dy + area.height, dx : dx + area.width] = alpha
        # Over the union of both masks: the picture on top, the backing shows through its holes.
        either = opaque + hidden * (1 - opaque)
        mixed = color + backing * (hidden * (1 - opaque))[:, :, None]
        colors = mixed / np.maximum(either, np.float32(1e-6))[:, :, None]
        if not either.any():
            return None
        image = to_uint8(colors)
        return whole, image, np.clip(either, 0, 1)

    def _plain(self, area: Area) -> BgrImage:
        return np.full((area.height, area.width, 3), self._bgr, np.uint8)


class CoverEngine(Engine):
    """A colour or a picture in place of the face."""

    spec = EngineSpec(
        id="cover",
        flow="hide",
        label="Cover",
        help="Covers the face with a colour, or with a picture that moves with it.",
        settings=CoverSettings,
        margin=_CROP_MARGIN,
        covers_gaps=True,
        synthetic=False,
    )

    def margin_of(self, settings: CoverSettings) -> float:
        """See `Engine`."""
        return _CROP_MARGIN if settings.picture else _margin(settings)

    def open(self, context: EngineContext) -> HideSession:
        """See `Engine`."""
        return HideSession(context, _CoverPainter(context.settings))
