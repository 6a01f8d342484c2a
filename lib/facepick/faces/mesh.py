"""The 468-point face mesh of MediaPipe.

Kartynnik et al., *Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs*, 2019;
weights Apache-2.0.  The network wants a square of 192 pixels, RGB in [0, 1], in which the face
stands upright and fills two thirds: the region MediaPipe takes is the face's box turned by the
line of the eyes and grown by half.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.faces.warp import Halvings, cut_out
from facepick.models.catalog import FACE_MESH
from facepick.models.store import ModelStore
from facepick.models.tflite_file import open_network

__all__ = ["MESH_POINTS", "FaceMesh", "mouth_opening", "turned_square"]

MESH_POINTS = 468


class FaceMesh:
    """The mesh network through onnxruntime, on one core.

    (1.1 ms of CPU a face; ``cv2.dnn`` takes 2.5.  Several faces at once take 1.4 ms each or more:
    the layers of one fit into the processor's cache.)

    Args:
        store: where the model file is found.

    Raises:
        MissingModelError: it is not there.
        ModelMismatchError: the file is another network, or damaged.
        PackageMissing: onnxruntime is not installed.
    """

    SIDE = 192
    GROW = 1.5
    COORDINATES, PRESENCE = "conv2d_21", "conv2d_31"

    # Eye corners, for the second look: the eyes' line of the mesh itself.
    _RIGHT_EYE, _LEFT_EYE = 33, 263

    def __init__(self, store: ModelStore, *, refine: bool = True) -> None:
        path = store.require(FACE_MESH)
        self._session = _session(path, path.stat().st_mtime_ns)
        self._refine = refine

    def locate(
        self,
        image: npt.NDArray[np.uint8],
        landmarks5: FloatArray,
        origin: tuple[int, int] = (0, 0),
        *,
        near: FloatArray | None = None,
    ) -> tuple[FloatArray, float]:
        """Locate the mesh of the face with these five points.

        Args:
            image: (h, w, 3) uint8 BGR, a part of the picture that holds the face.
            landmarks5: (5, 2) float32 in display pixels.
            origin: (x, y) of the first pixel of `image` in display pixels.
            near: (468, 3) in display pixels, about where it is, as the frame before tells: one look
                is enough then, unless what it finds does not lie on the five points.

        Returns:
            (468, 3) float32 in display pixels (z in the same unit, nearer is smaller) and how
            sure the network is that it saw a face, in [0, 1].
        """
        offset = np.asarray(origin, np.float64)
        points = np.asarray(landmarks5, np.float64) - offset
        halvings = Halvings(image)
        if near is not None:
            found, score = self.locate_again(halvings, near - np.append(offset, 0.0))
            if score > 0.5 and _lies_on(found, points):
                return np.asarray(found + np.append(offset, 0.0), np.float32), score
        centre, side, angle = _region_of_five(points)
        mesh, score = self._run(halvings, centre, side * self.GROW, angle)
        if self._refine and score > 0.5:
            # The five points of a turned head misplace the region; the mesh itself places it
            # better, as in the reference, where each frame's region comes from the last mesh.
            eyes = mesh[self._LEFT_EYE, :2] - mesh[self._RIGHT_EYE, :2]
            angle = math.atan2(float(eyes[1]), float(eyes[0]))
            centre, side = _upright_box(mesh[:, :2], angle)
            again, score_again = self._run(halvings, centre, side * self.GROW, angle)
            if score_again >= 0.5 * score:
                mesh, score = again, score_again
        mesh[:, :2] += offset
        return np.asarray(mesh, np.float32), score

    def locate_again(
        self,
        image: npt.NDArray[np.uint8] | Halvings[np.uint8],
        mesh: FloatArray,
        *,
        grow: float = 1.0,
        turn: float = 0.0,
    ) -> tuple[FloatArray, float]:
        """Locate the mesh of a face whose mesh is about known, in one pass of the network.

        Args:
            image: (h, w, 3) uint8 BGR, or its halvings for several looks.
            mesh: (468, 2 or 3), pixels of `image`.
            grow: side of the square that the network sees, as a multiple of the usual one.
            turn: of that square against the usual one, in radians, clockwise.

        Returns:
            As `locate`, in pixels of `image`.
        """
        points = np.asarray(mesh[:, :2], np.float64)
        eyes = points[self._LEFT_EYE] - points[self._RIGHT_EYE]
        angle = math.atan2(float(eyes[1]), float(eyes[0]))
        centre, side = _upright_box(points, angle)
        found, score = self._run(image, centre, side * self.GROW * grow, angle + turn)
        return np.asarray(found, np.float32), score

    def _run(
        self,
        image: npt.NDArray[np.uint8] | Halvings[np.uint8],
        centre: npt.NDArray[np.float64],
        side: float,
        angle: float,
    ) -> tuple[npt.NDArray[np.float64], float]:
        import cv2

        chip, inverse = turned_square(image, centre, side, angle, self.SIDE)
        blob = np.empty((1, 3, self.SIDE, self.SIDE), np.float32)
        for plane, channel in zip(blob[0], cv2.split(chip)[::-1], strict=True):
            np.divide(channel, np.float32(255), out=plane)
        coordinates, presence = self._session.run(
            [self.COORDINATES, self.PRESENCE], {"input": blob}
        )
        raw = np.asarray(coordinates, np.float64).reshape(MESH_POINTS, 3)
        logit = float(np.asarray(presence).reshape(-1)[0])
        mesh = np.empty_like(raw)
        mesh[:, :2] = raw[:, :2] @ inverse[:, :2].T + inverse[:, 2]
        mesh[:, 2] = raw[:, 2] * (max(side, 1.0) / self.SIDE)
        return mesh, 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, logit))))


@lru_cache(maxsize=1)
def _session(path: Path, changed: int) -> Any:
    """Load the network, once in a process for all who look at faces.

    Args:
        changed: when the file was written.
    """
    outputs = (FaceMesh.COORDINATES, FaceMesh.PRESENCE)
    return open_network(path, outputs, needed_for="the face mesh")


def turned_square(
    image: npt.NDArray[np.uint8] | Halvings[np.uint8],
    centre: npt.NDArray[np.float64],
    side: float,
    angle: float,
    pixels: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Cut a turned square out of a picture, black beyond its edges.

    Args:
        image: (h, w, 3) uint8, or its halvings.
        centre: (2,) x and y in pixels of `image`.
        side: of the square, in the same pixels.
        angle: of its upper edge, in radians, clockwise.
        pixels: side of what is returned.

    Returns:
        (pixels, pixels, 3) uint8 and the (2, 3) map of its pixels to those of `image`.
    """
    scale = max(side, 1.0) / pixels
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    half = (pixels - 1) / 2
    # Chip pixel -> picture pixel, as warpAffine's inverse map wants it.
    inverse = np.array(
        [
            [cos, -sin, centre[0] - cos * half + sin * half],
            [sin, cos, centre[1] - sin * half - cos * half],
        ]
    )
    return cut_out(image, inverse, pixels, black=True), inverse


def _region_of_five(
    points: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Compute centre, side and angle of the upright square around a face, from its five points.

    On the mean head the mesh's box reaches from the hair line to below the chin: 2.7 eye
    distances, or 2.3 times the way from the eyes down to the mouth, whichever a turn of the
    head shortens less.
    """
    eyes = points[1] - points[0]
    middle, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - middle
    across, height = float(np.linalg.norm(eyes)), float(np.linalg.norm(down))
    angle = math.atan2(eyes[1], eyes[0])
    if across < 0.5 * height:
        # A profile: the eyes' line is noise, but the way to the mouth still points down.
        angle = math.atan2(down[1], down[0]) - math.pi / 2
    side = max(2.7 * across, 2.3 * height, 8.0)
    centre = middle + 0.45 * down
    return centre, side, angle


def _lies_on(mesh: FloatArray, points: npt.NDArray[np.float64]) -> bool:
    """Tell whether a mesh is of the face with these five points.

    They lie within 0.16 eye distances of those of its mesh in the mean, measured in two clips.
    """
    flat = mesh[:, :2]
    eyes = [(flat[33] + flat[133]) / 2, (flat[362] + flat[263]) / 2]
    away = np.stack([*eyes, flat[1], flat[61], flat[291]]) - points
    across = float(np.linalg.norm(flat[33] - flat[263]))
    return float(np.linalg.norm(away, axis=1).mean()) < 0.25 * across


def _upright_box(
    points: npt.NDArray[np.float64], angle: float
) -> tuple[npt.NDArray[np.float64], float]:
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    turned = points @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = ((low + high) / 2) @ turn
    return centre, float(np.max(high - low))


def mouth_opening(mesh: FloatArray) -> float:
    """Measure how far the lips are apart, in distances of the outer eye corners.

    Mean of three pairs of points on the inner lips (13-14, 82-87, 312-317), in three dimensions,
    so that a nod changes it little.
    """
    eyes = float(np.linalg.norm(mesh[33] - mesh[263]))
    gaps = [float(np.linalg.norm(mesh[a] - mesh[b])) for a, b in ((13, 14), (82, 87), (312, 317))]
    return sum(gaps) / 3 / max(eyes, 1e-6)
