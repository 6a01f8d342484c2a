"""Alignments that cut a face out for an embedder, from none to all points of the mesh.

Embedders are trained on one of them, so that which is used moves both the accuracy and the
threshold: `facepick evaluate` measures by how much.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from facepick.errors import SettingsError
from facepick.faces.alignment import ARCFACE_112, similarity, template
from facepick.faces.analyzer import FaceEmbedder, FaceMesher
from facepick.faces.detection import Box, FloatArray
from facepick.faces.five_points import five_of_mesh
from facepick.faces.warp import cut_out, inverted

__all__ = [
    "ALIGNMENTS",
    "MESH_68",
    "Alignment",
    "check_alignment",
    "chip_matrix",
    "chip_template",
    "cut_chip",
    "mean_mesh",
    "mesh_for",
]

Alignment = Literal["none", "eyes", "five", "five_mesh", "mesh68", "mesh468"]

ALIGNMENTS: tuple[Alignment, ...] = ("none", "eyes", "five", "five_mesh", "mesh68", "mesh468")
"""none: the detector's box.  eyes: the box turned until the eyes are level.  five: the similarity
of the detector's eyes, nose tip and mouth corners.  five_mesh: the same of the mesh's.  mesh68,
mesh468: the similarity of 68 or all points of the mesh."""

_BY_MESH = ("five_mesh", "mesh68", "mesh468")

# Vertices of the mesh at the 68 places of iBUG 300-W: jaw 17, brows 10, nose 9, eyes 12,
# mouth 20; found by their names in MediaPipe's drawing of the canonical face.
MESH_68: tuple[int, ...] = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)


def check_alignment(name: str) -> Alignment:
    """Check that an alignment exists.

    Raises:
        SettingsError when there is no such alignment.
    """
    for alignment in ALIGNMENTS:
        if name == alignment:
            return alignment
    raise SettingsError(
        f"There is no alignment {name!r}.", hint="Known: " + ", ".join(ALIGNMENTS) + "."
    )


@functools.cache
def mean_mesh() -> FloatArray:
    """Load the mean mesh in the 112-pixel ArcFace chip, (468, 2) float32, symmetric.

    Made by ``benchmarks/recognition.py mean-mesh`` from frames of people who agreed to it.
    """
    path = Path(__file__).parent / "data" / "mean_mesh.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["points"]
    return np.asarray(rows, np.float32).reshape(468, 2)


def chip_template(embedder: FaceEmbedder) -> FloatArray:
    """Place the five points in a chip of `embedder`, (5, 2): its own, or ArcFace's."""
    own = getattr(embedder, "template", None)
    return template(embedder.size) if own is None else np.asarray(own, np.float32)


def chip_matrix(
    alignment: Alignment,
    box: Box,
    landmarks5: FloatArray,
    target: FloatArray,
    size: int,
    *,
    mesh: FloatArray | None = None,
) -> npt.NDArray[np.float64]:
    """Compute the (2, 3) matrix from picture to chip.

    Args:
        alignment: which.
        box: of the face, in picture pixels.
        landmarks5: (5, 2) in picture pixels.
        target: (5, 2), the five points in the chip.
        size: side of the chip.
        mesh: (468, 3) in picture pixels, for the alignments by mesh.

    Raises:
        ValueError: the mesh is needed and missing.
    """
    if alignment == "five":
        return similarity(landmarks5, target)
    if alignment in _BY_MESH:
        if mesh is None:
            raise ValueError(f"the alignment {alignment} needs the mesh")
        if alignment == "five_mesh":
            return similarity(five_of_mesh(mesh), target)
        # The mean mesh follows its five points into the chip of this embedder.
        to_chip = similarity(ARCFACE_112, target)
        mean = mean_mesh() @ to_chip[:, :2].T + to_chip[:, 2]
        index = list(MESH_68) if alignment == "mesh68" else list(range(len(mean)))
        return similarity(np.asarray(mesh, np.float64)[index, :2], mean[index])
    angle = 0.0
    if alignment == "eyes":
        eyes = np.asarray(landmarks5[1] - landmarks5[0], np.float64)
        angle = math.atan2(float(eyes[1]), float(eyes[0]))
    # The whole box, made square around its centre, fills the chip.
    scale = size / max(box.width, box.height, 1.0)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    matrix = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
    matrix[:, 2] = size / 2 - 0.5 - matrix[:, :2] @ np.array(box.center)
    return matrix


def cut_chip(
    image: npt.NDArray[np.uint8], matrix: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.uint8]:
    """Cut out the chip (size, size, 3) uint8 BGR; outside the picture its border is repeated."""
    return cut_out(image, inverted(matrix), size)


def mesh_for(
    alignment: Alignment,
    image: npt.NDArray[np.uint8],
    landmarks5: FloatArray,
    mesher: FaceMesher | None,
) -> FloatArray | None:
    """Locate the mesh if `alignment` needs one and the network sees a face, else None."""
    if alignment not in _BY_MESH or mesher is None:
        return None
    mesh, presence = mesher.locate(image, landmarks5)
    return mesh if presence >= 0.5 else None
