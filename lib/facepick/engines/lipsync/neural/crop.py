"""Crop of a face for Wav2Lip as its training footage was cut, and the way back.

The network saw boxes of the S3FD detector (Zhang et al. 2017), axis-aligned, each stretched to
96x96 whatever its aspect.  S3FD learned its boxes from WIDER FACE, and so did YuNet, whose boxes
facepick tracks: the two share a convention.  Measured against the mesh on 223 faces turned by
less than 15 degrees (six clips), such a box lies

    left 0.01, right -0.02, bottom 0.00 of the mesh's width or height inside the mesh's extent,
    and its top 0.10 of the mesh's height above it,

each within 0.03: it is as wide as the face oval, ends at the chin and reaches to the hair line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.compositing.masks import roll_degrees
from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.lipsync.neural.wav2lip import FACE_SIZE
from facepick.faces.detection import Box, FloatArray
from facepick.faces.warp import cut_out, smoothstep
from facepick.people.track import BRIDGED

__all__ = ["REFERENCE_PX", "FaceCut", "Pads", "cut_face", "detector_box", "network_input"]

REFERENCE_PX = 256.0
"""Lengths in settings are pixels on a face whose box is this high; on other faces they scale."""

# Where a WIDER FACE box lies relative to the mesh's extent, see above.
_LEFT, _TOP, _RIGHT, _BOTTOM = 0.01, -0.10, 0.98, 1.0
# A box that agrees less than this with the mesh of the same frame has lost the face.
_MIN_AGREEMENT = 0.6
# Heads tilted by less stay as they are, as in training; from there to the second angle the cut
# turns with the head more and more, so that nothing jumps.
_TURN_FROM, _TURN_FULL = 10.0, 30.0


@dataclass(frozen=True)
class Pads:
    """Extra room around the detector's box, in pixels of a face `REFERENCE_PX` high."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0


@dataclass(frozen=True, eq=False)
class FaceCut:
    """Place of the network's picture in a request's crop.

    Attributes:
        to_crop: (2, 3) float64, maps pixel corners of the network's picture to crop pixels.
        box: the box before turning, crop pixels.
        unit: crop pixels per reference pixel.
    """

    to_crop: npt.NDArray[np.float64]
    box: Box
    unit: float


def detector_box(request: FaceRequest, *, smooth: bool = True) -> Box:
    """Estimate the box as the detectors draw it, display pixels.

    Smooth is the track's own box, smoothed in time inside its shot; otherwise the box that
    belongs to this frame's mesh.  Where the track's box is a guess, or has lost the face, the
    mesh counts either way; without a mesh there is only the track's box.
    """
    if request.mesh is None:
        return request.box
    own = _box_of_mesh(request.mesh)
    if smooth and request.seen != BRIDGED and request.box.iou(own) >= _MIN_AGREEMENT:
        return request.box
    return own


def _box_of_mesh(mesh: FloatArray) -> Box:
    low, high = mesh[:, :2].min(axis=0).astype(float), mesh[:, :2].max(axis=0).astype(float)
    width, height = high - low
    return Box(
        low[0] + _LEFT * width,
        low[1] + _TOP * height,
        low[0] + _RIGHT * width,
        low[1] + _BOTTOM * height,
    )


def cut_face(request: FaceRequest, *, pads: Pads = Pads(), smooth: bool = True) -> FaceCut:
    """Choose where the network looks in this request's crop."""
    box = detector_box(request, smooth=smooth)
    unit = max(box.height, 1.0) / REFERENCE_PX
    x, y = request.origin
    padded = Box(
        box.x0 - pads.left * unit - x,
        box.y0 - pads.top * unit - y,
        box.x1 + pads.right * unit - x,
        box.y1 + pads.bottom * unit - y,
    )
    turn = _turn(roll_degrees(request.landmarks5))
    angle = np.radians(turn)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    across = max(padded.width, 1.0) / FACE_SIZE
    down = max(padded.height, 1.0) / FACE_SIZE
    linear = np.array([[cos * across, -sin * down], [sin * across, cos * down]])
    middle = np.array(padded.center)
    half = np.full(2, FACE_SIZE / 2)
    matrix = np.column_stack([linear, middle - linear @ half])
    return FaceCut(to_crop=matrix, box=padded, unit=unit)


def _turn(roll: float) -> float:
    size = abs(roll)
    if size > 90:
        # Nobody's head hangs upside down more often than five points are wrong.
        return 0.0
    return roll * float(smoothstep((size - _TURN_FROM) / (_TURN_FULL - _TURN_FROM)))


def network_input(crop: BgrImage, cut: FaceCut) -> FloatArray:
    """Build the (6, 96, 96) float32 input: BGR in [0, 1], first with the lower half black, then
    whole.

    What lies outside the crop repeats its border.
    """
    picture = warp_out(crop, cut).astype(np.float32) / np.float32(255)
    face = np.ascontiguousarray(picture.transpose(2, 0, 1))
    masked = face.copy()
    masked[:, FACE_SIZE // 2 :] = 0
    return np.concatenate([masked, face])


def warp_out(crop: BgrImage, cut: FaceCut, *, side: int = FACE_SIZE) -> BgrImage:
    """Cut out the picture under the cut, `side` pixels wide and high."""
    return cut_out(crop, _centres(cut.to_crop), side)


def warp_back(
    picture: FloatArray, cut: FaceCut, *, origin: tuple[int, int], size: tuple[int, int]
) -> FloatArray:
    """Lay a network's picture over a rectangle of the crop.

    Args:
        picture: (side, side) or (side, side, channels) float32.
        origin: (x, y) of the rectangle in crop pixels.
        size: its width and height.

    Returns:
        (height, width[, channels]) float32; beyond the picture's border its border repeats.
    """
    import cv2

    matrix = cut.to_crop.copy()
    matrix[:, 2] -= origin
    return np.asarray(
        cv2.warpAffine(
            picture,
            _centres(matrix),
            size,
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _centres(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Adapt the map to OpenCV, where a pixel's centre is the integer, not half a pixel on."""
    out = matrix.copy()
    out[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return out
