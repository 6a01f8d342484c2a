"""The built-in face swap: the source face as a texture on the mesh of the target face.

The photo is unrolled into a texture once.  In every frame the texture is drawn on the mesh found
there, so that pose and expression are the target's; it is relit with the light found on the
target's skin, and blended in under a mask that leaves eyes, teeth and hair as they were filmed.
No network but the mesh is involved and nothing is invented: what the photo does not show, the
swap does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from facepick.engines.occlusion.masker import check_masker, occlusion_observers, open_masker
from facepick.engines.occlusion.session import behind_occluders
from facepick.engines.swap import color_grain, face_mask, skin
from facepick.engines.swap.fallback import hidden_face
from facepick.engines.swap.footage_stats import Learned, StatsObserver, learn
from facepick.engines.swap.light import fit_light, gain
from facepick.engines.swap.portrait import Portrait
from facepick.engines.swap.session import SwapSession
from facepick.engines.swap.settings import MeshSettings
from facepick.engines.swap.shape import FeatureShift, over
from facepick.engines.swap.source import SourceFace, load_sources
from facepick.faces.detection import FloatArray
from facepick.faces.mesh_surface import Surface
from facepick.faces.mesh_topology import extended, vertex_normals
from facepick.faces.warp import smoothstep, to_uint8
from facepick.models.store import ModelStore
from facepick.notices import Notice

__all__ = ["MeshSession", "MeshSwapEngine"]

# Soft edges around eyes and inner mouth, as shares of the face's height.  Twice as much around the
# eyes costs 0.01 of likeness; the lids' movement is `face_mask.lids`.
_EYE_EDGE, _MOUTH_EDGE = 0.012, 0.008
# Faces higher than this share of the picture are looked at closely.
_CLOSE_UP = 0.3


@dataclass(frozen=True, eq=False)
class _Scene:
    """A filmed face, where the new one is drawn.

    Attributes:
        area: in display pixels, which the patch covers.
        old: (h, w, 3) uint8 BGR, the picture there, moved along with the features.
        mesh: (468, 3) in display pixels, with the features where the new face has them.
        vertices, normals: (`VERTICES`, 3), in pixels of `old`.
        light: see `fit_light`.
        surface: the mesh in pixels of `old`.
        height: of the face in pixels.
        skin: (h, w), see `skin_likelihood`.
        moved: (h, w), see `FeatureShift.warped`; None where nothing is.
    """

    area: Area
    old: BgrImage
    mesh: FloatArray
    vertices: FloatArray
    normals: FloatArray
    light: npt.NDArray[np.float64]
    surface: Surface
    height: float
    skin: FloatArray
    moved: FloatArray | None


class MeshSwapEngine(Engine):
    """A photo's face on the mesh of the filmed one."""

    spec = EngineSpec(
        id="mesh",
        flow="swap",
        label="Mesh (built in)",
        help="Draws the face of a photo on the filmed face; needs no model files. Good for small "
        "or distant faces and people alike, up to 25 degrees of turn; close-ups need a network.",
        settings=MeshSettings,
        needs_mesh=True,
        needs_source=True,
        needs_consent=True,
        shows_source_face=True,
        margin=0.6,
        # Guessed frames are asked for because the user may want them hidden.
        covers_gaps=True,
        licence="MIT; face mesh Apache-2.0",
    )

    def preflight(self, settings: MeshSettings, models: ModelStore) -> None:
        """See `Engine`."""
        check_masker(settings.occlusion, models)

    def observers(self, context: EngineContext) -> list[Observer]:
        """See `Engine`."""
        found = occlusion_observers(context)
        stats = StatsObserver(
            context,
            covered=lambda: open_masker(context, part="face").covered_points,
            masker=found[0].key if found else "off",
        )
        return [*found, stats]

    def open(self, context: EngineContext) -> EngineSession:
        """See `Engine`."""
        settings: MeshSettings = context.settings
        sources = load_sources(
            context.source, context.models, face=settings.face, cancel=context.cancel
        )
        face = Portrait(sources, settings)
        masker = open_masker(context, part="face", fade=settings.on_doubt != "hide")
        session = MeshSession(context, sources, learn(context, masker), face)
        return behind_occluders(
            session,
            context,
            part="face",
            masker=masker,
            instead=hidden_face if settings.on_doubt == "hide" else None,
        )


class MeshSession(SwapSession):
    """Session of `MeshSwapEngine`.

    Args:
        context, sources, learned: see `SwapSession`; settings are `MeshSettings`.
        face: of the photos.
    """

    def __init__(
        self,
        context: EngineContext,
        sources: Sequence[SourceFace],
        learned: Learned,
        face: Portrait,
    ) -> None:
        super().__init__(context, sources, learned)
        self._face = face
        self._notices = _limits(context, face, learned)
        usual = learned.some_meshes()
        self._shift = FeatureShift.between(face.mesh, usual) if len(usual) else None

    def report(self) -> dict[str, Any]:
        """See `SwapSession`; ``notices`` tell what this engine cannot do here."""
        return {**super().report(), "notices": [notice.to_json() for notice in self._notices]}

    def _swap(self, request: FaceRequest, strength: float) -> FacePatch | None:
        import cv2

        settings: MeshSettings = self._settings
        face = self._face
        scene = self._scene(request, face)
        if scene is None:
            return None
        old, height = scene.old, scene.height
        new = face.texture.onto(scene.surface, scene.vertices, face.topology)
        if settings.color == "light":
            change = gain(scene.light, scene.normals, face.light, face.normals)
            new = new * cv2.merge(scene.surface.interpolate(change))
        eyes = face_mask.holes(scene.area, scene.mesh, eyes=True, mouth=False,
                               width=_EYE_EDGE * height)  # fmt: skip
        mouth = face_mask.holes(scene.area, scene.mesh, eyes=False, mouth=True,
                                width=_MOUTH_EDGE * height)  # fmt: skip
        holes = np.maximum(eyes, mouth)
        alpha = self._outline(scene, face, holes)
        if settings.color != "off":
            new = skin.settled(new, old, alpha, scene.skin, height)
        bare = not self._learned.bearded and not face.bearded
        (plain,) = scene.surface.interpolate(skin.pore_zone(chin=bare)[:, None])
        new = skin.pores(new, old, np.clip(plain, 0, 1) * scene.skin * (1 - holes), height)
        shut = self._learned.shut(scene.mesh)
        lids = face_mask.lids(scene.area, scene.mesh, height, shut=shut)
        new = color_grain.lids(new, old, alpha * (1 - holes), np.maximum(eyes * shut, lids), height)
        alpha = alpha * (1 - np.maximum(eyes * (1 - shut), mouth))
        if self._shaves(face):
            new, alpha = skin.shaved(scene.area, scene.mesh, new, old, alpha, holes, height)
        elif face.bearded and not self._learned.bearded:
            alpha = skin.thinned(scene.area, scene.mesh, alpha, height)
        if scene.moved is not None:
            new, alpha = over(new, alpha, old, scene.moved)
        alpha = face_mask.spare_people_in_front(request, scene.area, alpha)
        if settings.color == "lab":
            new = color_grain.match_lab(new, old, alpha)
        if settings.grain:
            wanted = color_grain.noise_of(old, alpha)
            has = color_grain.noise_of(new, alpha)
            missing = settings.grain * float(np.sqrt(max(0.0, wanted**2 - has**2)))
            new = color_grain.add_grain(new, missing, request.source_frame)
        # In steps of 1/4096, a sixteenth of a grey level: blurs round their last bit by where in
        # memory a plane lies, and the same frame must be the same in every session.
        alpha = np.clip(np.rint(alpha * np.float32(4096 * strength)) / 4096, 0, 1)
        alpha = alpha.astype(np.float32)
        if not alpha.any():
            return None
        kind = PatchKind.FADING if strength < 1 else PatchKind.DRAWN
        return FacePatch(image=to_uint8(new), alpha=alpha, origin=scene.area.origin, kind=kind)

    def _scene(self, request: FaceRequest, face: Portrait) -> _Scene | None:
        """Find where the new face lies and the light there; None where it cannot be drawn."""
        mesh, light = self._learned.of(request)
        if mesh is None:
            return None
        vertices = extended(mesh, **face.reach)
        height = float(np.linalg.norm(vertices[10, :2] - vertices[152, :2]))
        crop = Area(*request.origin, request.crop.shape[1], request.crop.shape[0])
        pad = skin.RIM_REACH * height if self._shaves(face) else 2
        area = masks.area_around(vertices, pad=pad).clipped(
            crop.x0, crop.y0, crop.x0 + crop.width, crop.y0 + crop.height
        )
        if area.width < 8 or area.height < 8:
            return None
        vertices[:, :2] -= np.asarray(area.origin, np.float32)
        y, x = area.y0 - crop.y0, area.x0 - crop.x0
        old = request.crop[y : y + area.height, x : x + area.width]
        filmed, moved = mesh, None
        if self._shift is not None:
            mesh = self._shift.moved(mesh)
            vertices = extended(mesh, **face.reach)
            vertices[:, :2] -= np.asarray(area.origin, np.float32)
        surface = Surface.draw(vertices, face.topology, (area.width, area.height))
        if self._shift is not None:
            old, moved = self._shift.warped(old, area, filmed, mesh, surface)
        normals = vertex_normals(vertices, face.topology.triangles)
        if light is None:
            light = fit_light(old, vertices, normals)
        if light is None:
            return None
        likely = face_mask.skin_likelihood(
            old, face_mask.predicted_skin(surface, light, normals), height
        )
        return _Scene(area, old, mesh, vertices, normals, light, surface, height, likely, moved)

    def _shaves(self, face: Portrait) -> bool:
        """Tell whether a clean face is drawn over a bearded one."""
        return self._learned.bearded and not face.bearded

    def _outline(self, scene: _Scene, face: Portrait, holes: FloatArray) -> FloatArray:
        """Compute the alpha without its holes, (h, w) float32."""
        shaves = self._shaves(face)
        zones = [
            face_mask.hair_zone(), face_mask.fall_off(**face.reach),
            face_mask.jaw_zone() if shaves else face_mask.hair_zone(jaw=True),
        ]  # fmt: skip
        hair, inside, rim = scene.surface.interpolate(np.stack(zones, axis=1))
        # The soft edge of the outline is none of the holes'.
        covered = np.maximum(scene.surface.index > 0, holes == 1).astype(np.float32)
        inside = np.maximum(np.clip(inside, 0, 1), holes == 1)
        if not self._learned.bearded:
            hair = np.maximum(hair, rim)
        elif shaves:
            # A beard's rim around a clean chin is covered as far as the ring reaches.
            beard = face_mask.beard_likelihood(scene.old, scene.skin, scene.vertices, scene.height)
            if beard is not None:
                inside = np.maximum(inside, np.clip(rim * 1.5, 0, 1) * beard)
        alpha = smoothstep(inside * covered)
        alpha = masks.feather_in(covered, self._settings.blur * scene.height) * alpha
        return alpha * (1 - np.clip(hair, 0, 1) * (1 - scene.skin))


def _limits(context: EngineContext, face: Portrait, learned: Learned) -> list[Notice]:
    """Tell where this engine will be seen for what it is: close-ups, a beard on one of the two."""
    who, found = context.person.label, []
    if learned.sights:
        height = float(np.median([sight.height for sight in learned.sights]))
        share = height / context.scan.video.height
        if share > _CLOSE_UP:
            found.append(
                Notice(code="swap_close_up", person=who, facts={"percent": round(100 * share)})
            )
    if learned.bearded != face.bearded:
        found.append(Notice(code="swap_beard", person=who))
    return found
