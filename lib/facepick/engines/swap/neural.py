"""Face swap by a network: inswapper, hyperswap and ghost.

What each network wants is what the public programs give it: insightface (``inswapper.py``) for
inswapper, facefusion (``face_swapper``) for the others.  They differ in the template that cuts the
face out, in how colours are coded, and in how the source is described.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.compositing.patch import BgrImage, FacePatch, FaceRequest, PatchKind
from facepick.engines.engine import (
    Engine,
    EngineContext,
    EngineSession,
    EngineSpec,
    Observer,
)
from facepick.engines.occlusion.masker import check_masker, occlusion_observers
from facepick.engines.occlusion.session import behind_occluders
from facepick.engines.restore.restorer import Restorer, check_restorer, open_restorer, spec_in_use
from facepick.engines.swap import color_grain, face_mask
from facepick.engines.swap.fallback import hidden_face
from facepick.engines.swap.footage_stats import Learned, StatsObserver, learn
from facepick.engines.swap.network import (
    ArcFaceEmbedder,
    EmbeddingConverter,
    SwapNetwork,
    boosted,
    last_square_initializer,
)
from facepick.engines.swap.session import SwapSession
from facepick.engines.swap.settings import InswapperSettings, Neural256Settings, NeuralSettings
from facepick.engines.swap.source import SourceFace, load_sources
from facepick.faces.alignment import ARCFACE_128, align, similarity
from facepick.faces.detection import FloatArray
from facepick.faces.mesh_surface import Surface
from facepick.faces.mesh_topology import extended, topology
from facepick.faces.warp import cut_out, inverted, smoothstep, to_uint8
from facepick.models.catalog import (
    GHOST,
    GHOST_CONVERTER,
    HYPERSWAP,
    INSWAPPER_128,
    INSWAPPER_128_FP16,
    W600K_R50,
)
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore

__all__ = [
    "DrawnChip",
    "GhostEngine",
    "HyperswapEngine",
    "InswapperEngine",
    "NeuralSession",
    "open_swap",
]

# The outer 8 % of a chip fade out: a network knows least about its border.
_CHIP_FADE = 0.08


# Where the five points lie in a chip, as shares of its side; by facefusion's names.
_ARCFACE_128 = ARCFACE_128 / np.float32(128)
# ``arcface_112_v1``: the template of the first ArcFace release, given for 112 pixels.
_ARCFACE_112_V1 = np.array(
    [[39.73, 51.138], [72.27, 51.138], [56.0, 68.493], [42.463, 87.01], [69.537, 87.01]],
    np.float32,
) / np.float32(112)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A network ready to swap.

    Attributes:
        identity: (512,) float32, of the source, as the network wants it.
        side: of the chip in pixels, a multiple of the network's.
        template: (5, 2) float32, where the five points lie in the chip.
        sources: the photos, best first.
    """

    network: SwapNetwork
    identity: FloatArray
    side: int
    template: FloatArray
    sources: tuple[SourceFace, ...]

    def draw(self, request: FaceRequest) -> DrawnChip:
        """Swap the face of a request."""
        matrix = similarity(request.local(request.landmarks5), self.template)
        chip = cut_out(request.crop, inverted(matrix), self.side, coarsest=0.6)
        return DrawnChip(boosted(self.network, chip, self.identity), matrix)


class DrawnChip(NamedTuple):
    """A drawn face and where it belongs.

    Attributes:
        image: (side, side, 3) uint8 BGR.
        matrix: (2, 3) float64, maps pixel centres of the crop to those of the image.
    """

    image: BgrImage
    matrix: npt.NDArray[np.float64]


DrawFace = Callable[[FaceRequest], DrawnChip | None]


def embedding_of(sources: list[SourceFace], embedder: ArcFaceEmbedder) -> FloatArray:
    """Average the photos' embeddings, (512,) float32; each photo counts the same."""
    rows = [
        embedder.embed(align(s.image, s.landmarks5, size=ArcFaceEmbedder.SIDE)) for s in sources
    ]
    lengths = [max(float(np.linalg.norm(r)), 1e-9) for r in rows]
    units = [r / n for r, n in zip(rows, lengths, strict=True)]
    mean = np.mean(units, axis=0)
    # Converters were trained on embeddings of their natural length.
    scale = float(np.mean(lengths)) / max(float(np.linalg.norm(mean)), 1e-9)
    return np.asarray(mean * scale, np.float32)


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


class _NeuralEngine(Engine, ABC):
    """Base of the neural swaps; the first of `spec.models` is the network, the last the embedder.

    Attributes:
        side: of the network's chip in pixels.
        template: (5, 2) float32, where the five points lie in a chip of side 1.
        colors: see `SwapNetwork`.
    """

    spec: EngineSpec
    side: int
    template: FloatArray
    colors: Literal["unit", "signed"]

    @abstractmethod
    def _identity(self, embedding: FloatArray, context: EngineContext) -> FloatArray:
        """Compute what the network wants to know of the source, from its ArcFace embedding;
        (512,)."""

    def preflight(self, settings: NeuralSettings, models: ModelStore) -> None:
        """See `Engine`."""
        super().preflight(settings, models)
        check_restorer(settings.restorer, models=models)
        check_masker(settings.occlusion, models)

    def models_in_use(self, settings: NeuralSettings, models: ModelStore) -> tuple[ModelSpec, ...]:
        """See `Engine`."""
        restorer = spec_in_use(settings.restorer, models)
        return self.spec.models if restorer is None else (*self.spec.models, restorer)

    def observers(self, context: EngineContext) -> list[Observer]:
        """See `Engine`."""
        return [*occlusion_observers(context), StatsObserver(context)]

    def open(self, context: EngineContext) -> EngineSession:
        """See `Engine`."""
        loaded = self._load(context)
        return open_swap(context, sources=loaded.sources, draw=loaded.draw)

    def _load(self, context: EngineContext) -> _Loaded:
        settings: InswapperSettings | Neural256Settings = context.settings
        files = [context.models.require(s) for s in self.spec.models]
        sources = load_sources(
            context.source, context.models, face=settings.face, cancel=context.cancel
        )
        embedding = embedding_of(sources, ArcFaceEmbedder(files[-1], context.device))
        side = int(settings.pixel_boost)
        return _Loaded(
            network=SwapNetwork(
                files[0], side=self.side, colors=self.colors, device=context.device
            ),
            identity=self._identity(embedding, context),
            side=side,
            template=self.template * np.float32(side),
            sources=tuple(sources),
        )


class InswapperEngine(_NeuralEngine):
    """inswapper_128: 128-pixel chips, sharper with pixel boost.

    Args:
        model, embedder: which files.
    """

    spec = EngineSpec(
        id="inswapper_128",
        flow="swap",
        label="inswapper 128",
        help="A network swaps the face; takes its model files from you. Not for commercial use.",
        settings=InswapperSettings,
        models=(INSWAPPER_128, W600K_R50),
        needs_mesh=True,
        needs_source=True,
        needs_consent=True,
        shows_source_face=True,
        margin=0.8,
        covers_gaps=True,
        licence=INSWAPPER_128.licence,
        commercial_use=False,
    )
    side = 128
    template = _ARCFACE_128
    colors = "unit"

    def __init__(
        self, *, model: ModelSpec = INSWAPPER_128, embedder: ModelSpec = W600K_R50
    ) -> None:
        if model is not INSWAPPER_128:
            self.spec = replace(
                self.spec, id=model.id, label=model.id.replace("_", " "), models=(model, embedder)
            )

    @classmethod
    def half(cls) -> InswapperEngine:
        """Load the same network in half precision, for graphics cards."""
        return cls(model=INSWAPPER_128_FP16)

    def _identity(self, embedding: FloatArray, context: EngineContext) -> FloatArray:
        # Into the network's own space, and there of length 1 again, as in insightface (and in
        # ReActor and roop, which run it); facefusion leaves out the second step.
        emap = last_square_initializer(context.models.require(self.spec.models[0]))
        return _unit(_unit(embedding) @ emap)


class HyperswapEngine(_NeuralEngine):
    """hyperswap 1a, 1b or 1c of facefusion: 256-pixel chips, the ArcFace embedding as it is."""

    spec = EngineSpec(
        id="hyperswap",
        flow="swap",
        label="hyperswap 256",
        help="A network swaps the face at 256 pixels; takes its model files from you. "
        "Not for commercial use.",
        settings=Neural256Settings,
        models=(HYPERSWAP, W600K_R50),
        needs_mesh=True,
        needs_source=True,
        needs_consent=True,
        shows_source_face=True,
        margin=0.8,
        covers_gaps=True,
        licence=HYPERSWAP.licence,
        commercial_use=False,
    )
    side = 256
    template = _ARCFACE_128
    colors = "signed"

    def _identity(self, embedding: FloatArray, context: EngineContext) -> FloatArray:
        return _unit(embedding)


class GhostEngine(_NeuralEngine):
    """GHOST: 256-pixel chips, weights under Apache-2.0.

    Groshev et al., *GHOST: A New Face Swap Approach for Image and Video Domains*, IEEE Access 10,
    2022.  Its own ArcFace is reached from w600k_r50 through a small converter network.
    """

    spec = EngineSpec(
        id="ghost",
        flow="swap",
        label="GHOST 256",
        help="A network swaps the face at 256 pixels; takes its model files from you.",
        settings=Neural256Settings,
        models=(GHOST, GHOST_CONVERTER, W600K_R50),
        needs_mesh=True,
        needs_source=True,
        needs_consent=True,
        shows_source_face=True,
        margin=0.8,
        covers_gaps=True,
        licence="Apache-2.0; its embedder InsightFace, non-commercial research",
        commercial_use=False,
    )
    side = 256
    template = _ARCFACE_112_V1
    colors = "signed"

    def _identity(self, embedding: FloatArray, context: EngineContext) -> FloatArray:
        # Neither the converter's input nor its output is normalised.
        converter = EmbeddingConverter(context.models.require(GHOST_CONVERTER), context.device)
        return converter.convert(embedding)


def open_swap(
    context: EngineContext, *, sources: Sequence[SourceFace], draw: DrawFace
) -> EngineSession:
    """Open a session that lays drawn faces over a person's, behind what is in front of them.

    Raises:
        What `learn`, `open_restorer` and `behind_occluders` raise.
    """
    return behind_occluders(
        NeuralSession(context, sources, learn(context), draw),
        context,
        part="face",
        instead=hidden_face if context.settings.on_doubt == "hide" else None,
    )


class NeuralSession(SwapSession):
    """Session of a swap with drawn faces.

    Args:
        context, sources, learned: see `SwapSession`; settings are `NeuralSettings`.
        draw: gives the new face of a request, or None where there is none.
    """

    def __init__(
        self,
        context: EngineContext,
        sources: Sequence[SourceFace],
        learned: Learned,
        draw: DrawFace,
    ) -> None:
        super().__init__(context, sources, learned)
        self._draw: DrawFace | None = draw
        self._restorer: Restorer | None = None
        if self._settings.restorer != "none":
            self._restorer = open_restorer(
                self._settings.restorer, models=context.models, device=context.device
            )

    def close(self) -> None:
        """See `EngineSession`."""
        super().close()
        self._draw = None
        if self._restorer is not None:
            self._restorer.close()
            self._restorer = None

    def _swap(self, request: FaceRequest, strength: float) -> FacePatch | None:
        mesh, _ = self._learned.of(request)
        points = request.local(request.landmarks5)
        if mesh is None or float(np.ptp(points, axis=0).max()) < 4:
            return None
        drawn = None if self._draw is None else self._draw(request)
        if drawn is None:
            return None
        self._cancel.raise_if_cancelled()

        crop = Area(*request.origin, request.crop.shape[1], request.crop.shape[0])
        settings = self._settings
        vertices = extended(mesh, top=settings.forehead, side=settings.margin)
        area = masks.area_around(vertices, pad=2).clipped(
            crop.x0, crop.y0, crop.x0 + crop.width, crop.y0 + crop.height
        )
        if area.width < 8 or area.height < 8:
            return None
        new, inside = _uncut(drawn.image, drawn.matrix, area, crop)
        alpha = self._alpha(request, mesh, vertices, area) * inside
        y, x = area.y0 - crop.y0, area.x0 - crop.x0
        old = request.crop[y : y + area.height, x : x + area.width]
        new = self._finished(new, old, alpha, request, area)
        alpha = np.clip(alpha * np.float32(strength), 0, 1).astype(np.float32)
        if not alpha.any():
            return None
        image = to_uint8(new)
        kind = PatchKind.FADING if strength < 1 else PatchKind.DRAWN
        return FacePatch(image=image, alpha=alpha, origin=area.origin, kind=kind)

    def _alpha(
        self, request: FaceRequest, mesh: FloatArray, vertices: FloatArray, area: Area
    ) -> FloatArray:
        settings = self._settings
        local = vertices.copy()
        local[:, :2] -= np.asarray(area.origin, np.float32)
        height = float(np.linalg.norm(mesh[10, :2] - mesh[152, :2]))
        surface = Surface.draw(local, topology(), (area.width, area.height))
        (fall,) = surface.interpolate(
            face_mask.fall_off(top=settings.forehead, side=settings.margin)[:, None]
        )
        # Eyes and mouth are holes of the surface, but not of this mask.
        covered = masks.outline(area, mesh)
        alpha = smoothstep(np.maximum(np.clip(fall, 0, 1) * (surface.index > 0), covered))
        whole = np.maximum((surface.index > 0).astype(np.float32), covered)
        alpha = masks.feather_in(whole, settings.blur * height) * alpha
        kept = face_mask.holes(
            area,
            mesh,
            eyes=settings.keep_eyes,
            mouth=settings.keep_mouth,
            width=0.008 * height,
        )
        alpha = alpha * (1 - kept)
        return face_mask.spare_people_in_front(request, area, alpha)

    def _finished(
        self,
        new: FloatArray,
        old: BgrImage,
        alpha: FloatArray,
        request: FaceRequest,
        area: Area,
    ) -> FloatArray:
        """Finish with restorer, colour and grain, as the settings say."""
        settings = self._settings
        if self._restorer is not None:
            # It must see the whole head, not a face cut out: that is what it was trained on.
            x, y = area.x0 - request.origin[0], area.y0 - request.origin[1]
            rows, columns = slice(y, y + area.height), slice(x, x + area.width)
            seen = request.crop.copy()
            weight = alpha[:, :, None]
            seen[rows, columns] = to_uint8(old * (1 - weight) + new * weight)
            points = request.local(request.landmarks5)
            restored = self._restorer.restore(seen, points, fidelity=settings.fidelity)
            new = restored[rows, columns].astype(np.float32)
        if settings.color == "lab":
            new = color_grain.match_lab(new, old, alpha)
        elif settings.color == "light":
            new = color_grain.match_low_frequencies(new, old, alpha)
        if settings.grain:
            wanted, has = color_grain.noise_of(old, alpha), color_grain.noise_of(new, alpha)
            missing = settings.grain * float(np.sqrt(max(0.0, wanted**2 - has**2)))
            new = color_grain.add_grain(new, missing, request.source_frame)
        return new


def _uncut(
    chip: BgrImage, matrix: npt.NDArray[np.float64], area: Area, crop: Area
) -> tuple[FloatArray, FloatArray]:
    """Bring the chip back to the picture's pixels: (h, w, 3) float32, and where it is, (h, w)."""
    import cv2

    side = chip.shape[0]
    # Area pixel -> crop pixel -> chip pixel; both count from pixel centres.
    back = matrix.copy()
    back[:, 2] += matrix[:, :2] @ np.array([area.x0 - crop.x0, area.y0 - crop.y0], np.float64)
    size = (area.width, area.height)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    new = cv2.warpAffine(
        chip.astype(np.float32), back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    edge = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / (_CHIP_FADE * side)
    fade = np.clip(np.minimum.outer(edge, edge), 0, 1).astype(np.float32)
    inside = cv2.warpAffine(
        fade,
        back,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(np.clip(new, 0, 255), np.float32), np.asarray(inside, np.float32)
