"""Statistics that a session learns from the person's own footage before the first frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest
from facepick.engines.decisions import Sight, look
from facepick.engines.engine import EngineContext, show
from facepick.engines.occlusion.masker import OcclusionMasker
from facepick.engines.swap.face_mask import hairy_share
from facepick.engines.swap.light import COEFFICIENTS, sample_skin, skin_points, solve_light
from facepick.engines.swap.stabilization import MeshSteadier
from facepick.faces.detection import FloatArray
from facepick.faces.mesh_topology import extended, topology, vertex_normals
from facepick.faces.quality import eye_openness
from facepick.faces.warp import smoothstep

__all__ = ["Learned", "StatsObserver", "learn"]

# Light changes slowly, its estimate jumps with every blink: 4 frames are 0.16 s at 25 a second.
_LIGHT_SIGMA_FRAMES = 4.0
# Openness of eyes (see `eye_openness`) where no footage says more, and shares of it.
_USUAL_OPENNESS, _SHUT, _NARROW = 0.28, 0.58, 0.70
# Share of chin and cheeks darker than skin: shadow makes a quarter of a clean face so.
_BEARD = 0.3
VERSION = 5
"""Raised when what an earlier version learned must not be used any more."""
_FACTS, _MESHES = "swap_learned_5.json", "swap_meshes.f32"
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
        narrowed = _NARROW - eye_openness(mesh) / self._open
        return float(smoothstep(narrowed / (_NARROW - _SHUT)))

    def some_meshes(self) -> list[FloatArray]:
        """Give up to a thousand meshes (468, 3) spread over the footage."""
        if self._meshes is None:
            return []
        rows = self._meshes[:: max(1, len(self._meshes) // 500)]
        return [np.array(mesh) for mesh in rows if np.isfinite(mesh).all()]

    def _usual_openness(self) -> float:
        found = [eye_openness(mesh) for mesh in self.some_meshes()]
        return float(np.percentile(found, 90)) if found else _USUAL_OPENNESS

    def close(self) -> None:
        """Let go of the file."""
        self._meshes = None


def learn(context: EngineContext, masker: OcclusionMasker | None = None) -> Learned:
    """Take what the observer has learnt, or pass once over the person's footage for it.

    Args:
        masker: knows what is in front of the face, which says nothing about the light on it.

    Raises:
        Cancelled: nothing is kept then.
    """
    found = _load(context.workspace)
    if found is None:
        covered = None if masker is None else lambda: masker.covered_points
        show(context.footage(), [StatsObserver(context, covered=covered)])
        found = _load(context.workspace)
        assert found is not None
    return found


def _load(folder: Path) -> Learned | None:
    facts, meshes = folder / _FACTS, folder / _MESHES
    if not facts.is_file() or not meshes.is_file():
        return None
    data = json.loads(facts.read_text(encoding="utf-8"))
    sights = [Sight(*row) for row in data["sights"]]
    if meshes.stat().st_size != len(sights) * _MESH_FLOATS * 4:
        return None
    light = np.array(data["light"], np.float64).reshape(-1, COEFFICIENTS, 3)
    return Learned(sights, light, meshes, data["hairy"])


class StatsObserver:
    """Observer that learns meshes, light and beard from the footage; see `Observer`.

    The light on a face is fitted at the end, when it is known what is in front of the face; until
    then colours of a few hundred points a frame wait in a file, so that memory stays flat.

    Args:
        context: of the session.
        covered: asked at the end, gives which mesh points something lies over, by the key of the
            sighting; see `OcclusionMasker.covered_points`.
        masker: what `covered` goes by, a part of `key`.
    """

    def __init__(
        self,
        context: EngineContext,
        *,
        covered: Callable[[], Callable[[tuple[int, int]], npt.NDArray[np.bool_] | None]]
        | None = None,
        masker: str = "",
    ) -> None:
        self.key = f"swap stats {VERSION} {masker}"
        self.files: tuple[str, ...] = (_FACTS, _MESHES)
        self._folder, self._cancel = context.workspace, context.cancel
        self._covered = covered
        self._surface = topology()
        self._steadier = MeshSteadier()
        self._sights: list[Sight] = []
        self._hairy: list[float] = []
        self._skin = np.array(skin_points())
        self._meshes: BinaryIO | None = None
        self._samples: BinaryIO | None = None

    @property
    def _samples_file(self) -> Path:
        return self._folder / "swap_samples.f64"

    def see(self, request: FaceRequest) -> None:
        """See `Observer`."""
        self._cancel.raise_if_cancelled()
        if self._meshes is None or self._samples is None:
            self._meshes = (self._folder / _MESHES).open("wb")
            self._samples = self._samples_file.open("wb")
        self._sights.append(look(request))
        mesh = self._steadier.push(request)
        # Normals and log colours of the points of skin; NaN where they are not seen.
        sample = np.full((len(self._skin), 6), np.nan)
        if mesh is not None:
            local = mesh.copy()
            local[:, :2] -= np.asarray(request.origin, np.float32)
            vertices = extended(local)
            normals = vertex_normals(vertices, self._surface.triangles)
            chosen, logs = sample_skin(request.crop, vertices, normals)
            rows = np.searchsorted(self._skin, chosen)
            sample[rows, :3], sample[rows, 3:] = normals[chosen], logs
            found = solve_light(normals[chosen], logs)
            if found is not None:
                self._hairy.append(hairy_share(request.crop, vertices, normals, found))
        blank = np.full((468, 3), np.nan, np.float32)
        self._meshes.write((blank if mesh is None else mesh).tobytes())
        self._samples.write(sample.tobytes())

    def done(self) -> None:
        """See `Observer`."""
        if self._meshes is None or self._samples is None:
            (self._folder / _MESHES).write_bytes(b"")
            lights = np.zeros((0, COEFFICIENTS, 3))
        else:
            self._meshes.close()
            self._samples.close()
            lights = self._lights()
            self._samples_file.unlink()
        # The facts are written last and at once: their file says that the meshes are whole.
        facts = self._folder / _FACTS
        part = facts.with_suffix(".part")
        rows = [astuple(s) for s in self._sights]
        learned = {"sights": rows, "light": lights.tolist(), "hairy": self._hairy}
        part.write_text(json.dumps(learned), encoding="utf-8")
        part.replace(facts)

    def drop(self) -> None:
        """See `Observer`."""
        for stream in (self._meshes, self._samples):
            if stream is not None:
                stream.close()
        self._samples_file.unlink(missing_ok=True)

    def _lights(self) -> npt.NDArray[np.float64]:
        """Fit the light of every sighting to what is not covered, (n, 4, 3)."""
        covered = None if self._covered is None else self._covered()
        shape = (len(self._sights), len(self._skin), 6)
        samples = np.memmap(self._samples_file, np.float64, "r", shape=shape)
        lights = np.full((len(self._sights), COEFFICIENTS, 3), np.nan)
        for i, sight in enumerate(self._sights):
            if i % 64 == 0:
                self._cancel.raise_if_cancelled()
            used = np.isfinite(samples[i, :, 3])
            over = None if covered is None else covered((sight.path, sight.row))
            if over is not None:
                used &= ~over[self._skin]
            found = solve_light(samples[i, used, :3], samples[i, used, 3:])
            if found is not None:
                lights[i] = found
        return lights


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
