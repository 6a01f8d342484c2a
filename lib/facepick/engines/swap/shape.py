"""Shape of a new face: where its brows, eyes, nose and mouth lie, inside the filmed outline.

A face is known by where its features are as much as by how they look.  What distinguishes the two
people's faces at rest, in the frame of the head, is added to the mesh of every frame; the filmed
picture is moved along, so that eyes and teeth, which stay as filmed, lie where the new face has
them.  The outline stays, and with it everything around the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from facepick.compositing.masks import Area
from facepick.compositing.patch import BgrImage
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import FACE_OVAL, LIPS_INNER, LIPS_OUTER
from facepick.faces.mesh_surface import Surface, spread
from facepick.faces.mesh_topology import extended, topology
from facepick.faces.similarity import fit_similarity
from facepick.faces.warp import mixed, sampled_at

__all__ = ["FeatureShift", "over"]

# All of the difference would be drawn on a head that is not the new face's.
_SHARE = 0.7
# In eye distances: how far from the outline all of it is taken, and the most by which a point
# moves.
_EDGE, _MOST = 0.30, 0.10
# Moves are smooth: they are drawn at so many pixels a face.
_PX = 100.0
# Pixels from which a place counts as moved.
_MOVED = 0.25


@dataclass(frozen=True, eq=False)
class FeatureShift:
    """How the features of one face are moved to lie as those of another.

    Attributes:
        by: (468, 3) float64 in the frame of the head, eye distances.
    """

    by: npt.NDArray[np.float64]

    @classmethod
    def between(cls, source: FloatArray, filmed: Sequence[FloatArray]) -> FeatureShift:
        """Compare two faces.

        Args:
            source: (468, 3) mesh of the new face at rest.
            filmed: meshes (468, 3) of the person on screen, at least one.
        """
        usual = np.mean([_upright(mesh) for mesh in filmed], axis=0)
        away = _upright(source) - usual
        # The photo's lips are shut, those on screen talk: they are shifted as a whole.
        lips = list(LIPS_OUTER + LIPS_INNER)
        away += _near_lips()[:, None] * (away[lips].mean(axis=0) - away)
        away *= _SHARE * _inside()[:, None]
        length = np.linalg.norm(away, axis=1, keepdims=True)
        return cls(away * np.minimum(1, _MOST / np.maximum(length, 1e-9)))

    def moved(self, mesh: FloatArray) -> FloatArray:
        """Move the features of a mesh (468, 3)."""
        shape, rigid = topology().shape.astype(np.float64), _rigid()
        pose = fit_similarity(shape[rigid], mesh[rigid].astype(np.float64))
        return np.asarray(mesh + pose.turned(self.by), np.float32)

    def warped(
        self, old: BgrImage, area: Area, mesh: FloatArray, moved: FloatArray, surface: Surface
    ) -> tuple[BgrImage, FloatArray]:
        """Move the filmed picture along.

        Args:
            old: (h, w, 3) uint8 BGR, the picture in `area`.
            mesh, moved: (468, 3) in display pixels.
            surface: `moved` and its ring, in pixels of `old`.

        Returns:
            The picture, and how surely each pixel is another than before, (h, w) float32.
        """
        import cv2

        height = float(np.linalg.norm(mesh[10, :2] - mesh[152, :2]))
        scale = min(1.0, _PX / height)
        size = (max(4, round(area.width * scale)), max(4, round(area.height * scale)))
        away = extended(mesh) - extended(moved)
        small = surface.reduced(size)
        planes = np.dstack(small.interpolate(away[:, :2].astype(np.float64)))
        known = small.index > 0
        # Eyes and inner mouth are holes; what lies around the face does not move.
        _, flood, _, _ = cv2.floodFill(np.pad(known.astype(np.uint8), 1), None, (0, 0), 2)
        known |= flood[1:-1, 1:-1] == 2
        planes = spread(planes.astype(np.float32), known.astype(np.float32))
        planes = cv2.GaussianBlur(planes, (0, 0), 1.0)
        planes = cv2.resize(planes, (area.width, area.height), interpolation=cv2.INTER_LINEAR)
        across, down = cv2.split(planes)
        drawn = cv2.remap(
            old, *sampled_at(across, down), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        changed = np.asarray(cv2.magnitude(across, down), np.float32)
        changed /= np.float32(_MOVED)
        changed -= np.float32(0.2)
        return np.asarray(drawn, np.uint8), np.clip(changed, 0, 1, out=changed)


def over(
    new: FloatArray, alpha: FloatArray, moved: BgrImage, changed: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Lay the new face over the filmed picture that was moved along.

    Args:
        new: (h, w, 3) float32 BGR, 0..255; alpha (h, w) of it.
        moved, changed: what `FeatureShift.warped` gives.

    Returns:
        Both together, and their alpha.
    """
    under = (1 - alpha) * changed
    total = np.asarray(alpha + under, np.float32)
    share = np.asarray(under / np.maximum(total, np.float32(1e-6)), np.float32)
    return mixed(new, moved, share), total


def _upright(mesh: FloatArray) -> npt.NDArray[np.float64]:
    """Bring a mesh into the frame of the mean head, (468, 3)."""
    shape, rigid = topology().shape.astype(np.float64), _rigid()
    points = np.asarray(mesh, np.float64)
    return np.asarray(fit_similarity(points[rigid], shape[rigid])(points))


@cache
def _rigid() -> npt.NDArray[np.int64]:
    """List the points that neither words nor brows move."""
    shape = topology().shape
    return np.flatnonzero(shape[:, 1] < shape[2, 1])


@cache
def _inside() -> npt.NDArray[np.float64]:
    """Weigh the points, (468,): 0 on the outline, 1 well inside."""
    shape = topology().shape[:, :2]
    gaps = np.sqrt(((shape[:, None] - shape[None, list(FACE_OVAL)]) ** 2).sum(axis=2)).min(axis=1)
    part = np.clip(gaps / _EDGE, 0, 1)
    return np.asarray(part * part * (3 - 2 * part))


@cache
def _near_lips() -> npt.NDArray[np.float64]:
    """Weigh the points, (468,): 1 on the lips and right beside them, 0 further out."""
    shape = topology().shape[:, :2]
    lips = shape[list(LIPS_OUTER + LIPS_INNER)]
    gaps = np.sqrt(((shape[:, None] - lips[None]) ** 2).sum(axis=2)).min(axis=1)
    return np.asarray(np.clip(1.5 - gaps / 0.3, 0, 1))
