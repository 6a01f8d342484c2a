"""Skin of a new face: pores of the filmed one, and skin where a beard is left around it."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from facepick.compositing import masks
from facepick.compositing.masks import Area
from facepick.compositing.patch import BgrImage
from facepick.engines.swap.face_mask import beard_points
from facepick.engines.swap.light import skin_points
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import FACE_OVAL, LEFT_BROW, RIGHT_BROW
from facepick.faces.mesh_topology import VERTICES, topology
from facepick.faces.warp import mixed, scaled

__all__ = ["RIM_REACH", "pore_zone", "pores", "settled", "shaved", "thinned"]

# Pores and down are smaller than half a hundredth of the face; they differ from the skin around
# them by less than 4 %, lashes and edges of shadows by more.  Coarser lines are features: with
# 1.2 % and a tenth the filmed face showed through (SFace to the source lower by 0.07).
_PORE, _PORE_MOST = 0.005, 0.04
# What is left of a beard around the new jaw: within 10 % of the face of its outline, narrower than
# 9 %, darker than both sides by 8 to 20 %.
RIM_REACH, _RIM_WIDTH = 0.10, 0.09
_RIM_DARK, _RIM_SURE = 0.08, 0.18
# A new beard thins out over so much of the face.
_THINS = 0.07
# The skin that it is painted with is averaged over so much of the face.
_PAINT = 0.025
# The rest of the dark line is the jaw's shade.
_PAINTED = 0.85
# Height of a face where only smooth things are computed.
_SMALL_PX = 100.0
# The tone settles within about 5 % of the face from its outline, where a blur of the mask by that
# leaves a half, by at most a factor of exp(0.5): more is hair or a beard.
_SETTLES, _SETTLE_RISE, _SETTLE_MOST = 0.045, 2.0, 0.5


@cache
def pore_zone(*, chin: bool) -> npt.NDArray[np.float64]:
    """Mark where only skin lies, (`VERTICES`,) 1, else 0.

    Args:
        chin: also on chin and lower cheeks; a beard on screen is none of the new face's.
    """
    shape = topology().shape
    brows = float(shape[list(RIGHT_BROW + LEFT_BROW), 1].max())
    # The nose's wings and the folds beside it are features: they would draw the filmed face.
    nose = (np.abs(shape[:, 0]) < 0.45) & (shape[:, 1] > brows)
    zone = np.zeros(VERTICES)
    zone[[i for i in skin_points() if not nose[i]]] = 1
    if chin:
        zone[list(beard_points())] = 1
    return zone


def pores(new: FloatArray, old: BgrImage, where: FloatArray, face_height: float) -> FloatArray:
    """Give the new skin the fine detail of the filmed one, in the new colour.

    Args:
        new: (h, w, 3) float32 BGR, 0..255.
        old: (h, w, 3) uint8 BGR.
        where: (h, w) float32, how surely both are skin.
        face_height: in pixels.
    """
    import cv2

    gray = cv2.cvtColor(old, cv2.COLOR_BGR2GRAY)
    logs = cv2.LUT(gray, np.log(np.arange(256, dtype=np.float32) + 4))
    fine = logs - cv2.GaussianBlur(logs, (0, 0), max(0.8, _PORE * face_height))
    fine = np.clip(fine, -_PORE_MOST, _PORE_MOST) * where
    return scaled(new, np.asarray(cv2.exp(fine), np.float32))


def shaved(
    area: Area,
    mesh: FloatArray,
    new: FloatArray,
    old: BgrImage,
    alpha: FloatArray,
    holes: FloatArray,
    face_height: float,
) -> tuple[FloatArray, FloatArray]:
    """Paint what is left of a filmed beard around a clean face with the skin beside it.

    Args:
        mesh: (468, 3) in display pixels.
        new: (h, w, 3) float32 BGR, 0..255.
        old: (h, w, 3) uint8 BGR.
        alpha, holes: (h, w) float32 of the new face, and of what is never painted.

    Returns:
        The new face with what was painted, and its alpha.
    """
    import cv2

    # Everything here is smooth: it is found at a hundred pixels a face.
    small, sides = _reduced(area, face_height)
    ratio = small.width / area.width
    points = mesh * np.float32(ratio)
    points[:, :2] -= np.array([area.x0 * ratio, area.y0 * ratio], np.float32)
    height = face_height * ratio
    face, filmed, share, spared = (
        np.asarray(cv2.resize(x, sides, interpolation=cv2.INTER_AREA), np.float32)
        for x in (new, old, alpha, holes)
    )
    rim = _beard_rim(small, points, face, filmed, share, height) * (1 - spared)
    found = _paint(face, filmed, share, rim, height)
    if found is None:
        return new, alpha
    size = (area.width, area.height)
    fill, painted = (cv2.resize(x, size, interpolation=cv2.INTER_LINEAR) for x in found)
    total = alpha + painted * (1 - alpha)
    part = painted * (1 - alpha) / np.maximum(total, 1e-4)
    return mixed(new, fill, part), total


def _reduced(area: Area, face_height: float) -> tuple[Area, tuple[int, int]]:
    """Scale an area so that a face is `_SMALL_PX` high, at its own origin; also its size."""
    scale = min(1.0, _SMALL_PX / face_height)
    sides = max(1, round(area.width * scale)), max(1, round(area.height * scale))
    return Area(0, 0, *sides), sides


def _beard_rim(
    area: Area,
    mesh: FloatArray,
    new: FloatArray,
    old: FloatArray,
    alpha: FloatArray,
    face_height: float,
) -> FloatArray:
    """Estimate how surely each pixel is a beard's rim around the new face's jaw, (h, w) float32.

    A rim is a dark line between two lighter sides, the new face and the neck or what is behind;
    clothes, hair and a dark background are wider.
    """
    import cv2

    level = np.log(mixed(old, new, alpha).mean(axis=2) + np.float32(4))
    side = 2 * round(_RIM_WIDTH * face_height / 2) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    depth = cv2.morphologyEx(level, cv2.MORPH_CLOSE, disc) - level
    near = masks.grow(masks.mesh_region(area, mesh, FACE_OVAL), RIM_REACH * face_height)
    # Higher than the mouth it is hair or an ear.
    below = _below_mouth(area, mesh, face_height)
    surely = np.clip((depth - _RIM_DARK) / (_RIM_SURE - _RIM_DARK), 0, 1)
    # Its soft edges are half skin.
    surely = masks.grow(np.asarray(surely, np.float32), 0.009 * face_height)
    surely = cv2.GaussianBlur(surely, (0, 0), 0.006 * face_height + 0.3)
    return np.asarray(surely * near * below, np.float32)


def _paint(
    new: FloatArray, filmed: FloatArray, alpha: FloatArray, rim: FloatArray, face_height: float
) -> tuple[FloatArray, FloatArray] | None:
    """Mix the paint for the rim from the new face's skin and that of the neck.

    Returns:
        Colours (h, w, 3) and how much of them covers what was filmed (h, w); None without a rim.
    """
    import cv2

    logs = np.log(cv2.GaussianBlur(filmed, (0, 0), max(0.8, 0.01 * face_height)) + np.float32(4))
    face = alpha * alpha
    edge = cv2.GaussianBlur(rim, (0, 0), 0.03 * face_height) * face
    if float(edge.sum()) < 1:
        return None
    tone = (np.log(np.clip(new, 0, 255) + np.float32(4)) * edge[:, :, None]).sum(axis=(0, 1))
    away = logs - tone / edge.sum()
    level = away.mean(axis=2)
    hue = np.abs(away - level[:, :, None]).max(axis=2)
    # A neck is as light as the jaw or lies in its shade, and has its hue.
    neck = np.clip(2 - hue / np.float32(0.06), 0, 1) * ((level > -0.7) & (level < 0.12))
    neck = neck * (1 - np.clip(2 * rim, 0, 1)) * (1 - alpha)
    both = (new * face[:, :, None] + filmed * neck[:, :, None]).astype(np.float32)
    weight = (face + neck).astype(np.float32)
    sigma = _PAINT * face_height
    around = cv2.GaussianBlur(weight, (0, 0), sigma)
    fill = cv2.GaussianBlur(both, (0, 0), sigma) / (around[:, :, None] + np.float32(1e-4))
    known = np.clip(around / np.float32(0.05), 0, 1)
    return np.asarray(fill, np.float32), np.asarray(_PAINTED * rim * known, np.float32)


def settled(
    new: FloatArray, old: BgrImage, alpha: FloatArray, skin: FloatArray, face_height: float
) -> FloatArray:
    """Bring the new skin's tone to that of the filmed skin where it ends, less and less inside.

    Light from the side, the shade of hair and a tan end where a face is pasted; on the filmed skin
    along the outline they are seen.

    Args:
        new: (h, w, 3) float32 BGR, 0..255.
        old: (h, w, 3) uint8 BGR.
        alpha, skin: (h, w) float32 of the new face, and how surely what was filmed is skin.
    """
    import cv2

    scale = min(1.0, _SMALL_PX / face_height)
    height, width = alpha.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    face, filmed, share, likely = (
        np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), np.float32)
        for x in (new, old, alpha, skin)
    )
    reach = _SETTLES * face_height * scale
    inside = cv2.GaussianBlur(share, (0, 0), reach)
    zone = np.clip(_SETTLE_RISE * (1 - inside), 0, 1)
    away = np.log(filmed + np.float32(4)) - np.log(np.clip(face, 0, 255) + np.float32(4))
    weight = (zone * share * likely).astype(np.float32)
    around = cv2.GaussianBlur(weight, (0, 0), reach)
    change = cv2.GaussianBlur(scaled(away, weight), (0, 0), reach)
    change = np.clip(change / (around[:, :, None] + np.float32(0.02)), -_SETTLE_MOST, _SETTLE_MOST)
    factor = np.exp(change * zone[:, :, None]).astype(np.float32)
    factor = cv2.resize(factor, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(new * factor, np.float32)


def _below_mouth(area: Area, mesh: FloatArray, face_height: float) -> FloatArray:
    """Mark what lies lower than the corners of the mouth, (h, w) float32 with a soft edge."""
    mouth, down = mesh[[61, 291], :2].mean(axis=0), mesh[152, :2] - mesh[10, :2]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    y, x = np.mgrid[0 : area.height, 0 : area.width].astype(np.float32)
    depth = (x + area.x0 - mouth[0]) * down[0] + (y + area.y0 - mouth[1]) * down[1]
    return np.asarray(np.clip(depth / np.float32(0.06 * face_height), 0, 1), np.float32)


def thinned(area: Area, mesh: FloatArray, alpha: FloatArray, face_height: float) -> FloatArray:
    """Let the new face's beard thin out towards the jaw, the new alpha (h, w).

    A beard that ends where the face does looks pasted: on its own face it goes on below the jaw.
    """
    oval = masks.feather_in(masks.mesh_region(area, mesh, FACE_OVAL), _THINS * face_height)
    below = _below_mouth(area, mesh, face_height)
    return np.asarray(alpha * (1 - below * (1 - oval)), np.float32)
