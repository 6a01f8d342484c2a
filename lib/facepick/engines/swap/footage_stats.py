"""Statistics that a session learns from the person's own footage before the first frame."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import EngineContext
from facepick.engines.occlusion.masker import OcclusionMasker
from facepick.engines.swap.face_mask import hairy_share
from facepick.engines.swap.gating import Sight, look
from facepick.engines.swap.light import COEFFICIENTS, fit_light
from facepick.engines.swap.stabilization import MeshSteadier
from facepick.faces.detection import FloatArray
from facepick.faces.mesh_topology import extended, topology, vertex_normals
from facepick.faces.quality import eye_openness

__all__ = ["Learned", "learn"]

# Light changes slowly, its estimate jumps with every blink: 4 frames are 0.16 s at 25 a second.
_LIGHT_SIGMA_FRAMES = 4.0
# Openness of eyes (see `eye_openness`) where no footage says more, and shares of it.
_USUAL_OPENNESS, _SHUT, _NARROW = 0.28, 0.58, 0.70
# Share of chin and cheeks darker than skin: shadow makes a quarter of a clean face so.
_BEARD = 0.3
_FACTS, _MESHES = "swap_learned_3.json", "swap_meshes.f32"
_MESH_FLOATS = 468 * 3


class Learned:
    """Steady meshes and smoothed light of every frame of the footage.

    Meshes stay in a file (5.6 kB a frame), so that memory is flat in the video's length.

    Attributes:
        sights: in time order.
        bearded: whether this person has a beard in most frames.
    """

    def __init__(
        self,
        sights: list[Sight],
        light: npt.NDArray[np.float64],
        meshes: Path | None,
        hairy: list[float],
    ) -> None:
        self.sights = sights
        self.bearded = bool(hairy) and float(np.median(hairy)) > _BEARD
        self._light = _smoothed(sights, light)
        self._meshes: FloatArray | None = None
        if meshes is not None and sights:
            self._meshes = np.memmap(
                meshes, dtype=np.float32, mode="r", shape=(len(sights), 468, 3)
            )
        self._open = self._usual_openness()
        self._rows = {(sight.path, sight.row): i for i, sight in enumerate(sights)}

    def of(self, request: FaceRequest) -> tuple[FloatArray | None, npt.NDArray[np.float64] | None]:
        """Look up mesh (468, 3) in display pixels and light (4, 3) of a request, each None if
        unknown.

        A request that the footage did not hold keeps its own mesh.
        """
        row = self._rows.get(request.key)
        if row is None or self._meshes is None:
            return request.mesh, None
        light = self._light[row]
        mesh = np.array(self._meshes[row])
        return (
            mesh if np.isfinite(mesh).all() else request.mesh,
            light if np.isfinite(light).all() else None,
        )

    def shut(self, mesh: FloatArray) -> float:
        """Estimate how surely the eyes are closed, in [0, 1], by how far this person opens them.

        On three people closed lids measured up to 0.58 of the 90 % point, the narrowest open
        ones 0.65.
        """
        t = float(np.clip((_NARROW - eye_openness(mesh) / self._open) / (_NARROW - _SHUT), 0, 1))
        return t * t * (3 - 2 * t)

    def _usual_openness(self) -> float:
        if self._meshes is None:
            return _USUAL_OPENNESS
        rows = self._meshes[:: max(1, len(self._meshes) // 500)]
        found = [eye_openness(mesh) for mesh in rows if np.isfinite(mesh).all()]
        return float(np.percentile(found, 90)) if found else _USUAL_OPENNESS

    def close(self) -> None:
        """Let go of the file."""
        self._meshes = None


def learn(context: EngineContext, masker: OcclusionMasker | None = None) -> Learned:
    """Pass once over the person's footage, or take what an interrupted job kept of it.

    Args:
        masker: knows what is in front of the face, which says nothing about the light on it.

    Raises:
        Cancelled: nothing is kept then.
    """
    facts, meshes = context.workspace / _FACTS, context.workspace / _MESHES
    if facts.is_file() and meshes.is_file():
        data = json.loads(facts.read_text(encoding="utf-8"))
        kept = [Sight(*row) for row in data["sights"]]
        if meshes.stat().st_size == len(kept) * _MESH_FLOATS * 4:
            light = np.array(data["light"], np.float64).reshape(-1, COEFFICIENTS, 3)
            return Learned(kept, light, meshes, data["hairy"])
    sights: list[Sight] = []
    lights: list[npt.NDArray[np.float64]] = []
    hairy: list[float] = []
    surface = topology()
    steadier = MeshSteadier()
    with open(meshes, "wb") as stream:
        for request in context.footage():
            context.cancel.raise_if_cancelled()
            sights.append(look(request))
            mesh = steadier.push(request)
            found = None
            if mesh is not None:
                local = mesh.copy()
                local[:, :2] -= np.asarray(request.origin, np.float32)
                vertices = extended(local)
                normals = vertex_normals(vertices, surface.triangles)
                visible = None if masker is None else masker.visible(request)
                found = fit_light(request.crop, vertices, normals, visible)
                if found is not None:
                    hairy.append(hairy_share(request.crop, vertices, normals, found))
            lights.append(np.full((COEFFICIENTS, 3), np.nan) if found is None else found)
            blank = np.full((468, 3), np.nan, np.float32)
            stream.write((blank if mesh is None else mesh).tobytes())
    table = np.array(lights).reshape(-1, COEFFICIENTS, 3)
    # The facts are written last and at once: their file says that the meshes are whole.
    part = facts.with_suffix(".part")
    rows = [astuple(s) for s in sights]
    learned = {"sights": rows, "light": table.tolist(), "hairy": hairy}
    part.write_text(json.dumps(learned), encoding="utf-8")
    part.replace(facts)
    return Learned(sights, table, meshes, hairy)


def _smoothed(sights: list[Sight], light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Smooth over time inside a shot (Gaussian), over the frames in which the light was found."""
    out = light.copy()
    if not sights:
        return out
    frames = np.array([s.frame for s in sights])
    shots = np.array([s.shot for s in sights])
    paths = np.array([s.path for s in sights])
    found = np.array([bool(np.isfinite(row).all()) for row in light])
    reach = int(3 * _LIGHT_SIGMA_FRAMES)
    for i in range(len(sights)):
        low = int(np.searchsorted(frames, frames[i] - reach))
        high = int(np.searchsorted(frames, frames[i] + reach, side="right"))
        near = slice(low, high)
        use = found[near] & (shots[near] == shots[i]) & (paths[near] == paths[i])
        if not use.any():
            continue
        distance = (frames[near][use] - frames[i]) / _LIGHT_SIGMA_FRAMES
        weight = np.exp(-0.5 * distance**2)
        out[i] = np.tensordot(weight / weight.sum(), light[near][use], axes=1)
    return out
