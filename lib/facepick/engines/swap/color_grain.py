"""Colour and grain that both engines give a new face before it goes into the frame."""

from __future__ import annotations

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.faces.detection import FloatArray
from facepick.faces.warp import mixed, scaled

__all__ = ["add_grain", "lids", "match_lab", "match_low_frequencies", "noise_of"]


# Height of a face at which the tone around the lids is averaged.
_SMALL_PX = 100.0


def match_lab(new: FloatArray, old: BgrImage, weight: FloatArray) -> FloatArray:
    """Give the new face the old one's mean and spread in Lab.

    Over the pixels that `weight` (h, w) counts (Reinhard et al., *Color Transfer between Images*,
    2001).

    Both (h, w, 3) BGR; `new` float32 in 0..255.
    """
    import cv2

    total = float(weight.sum())
    if total < 16:
        return new
    ours = cv2.cvtColor(np.clip(new, 0, 255) / np.float32(255), cv2.COLOR_BGR2Lab)
    theirs = cv2.cvtColor(old.astype(np.float32) / np.float32(255), cv2.COLOR_BGR2Lab)
    share = (weight / np.float32(total))[:, :, None]
    mean_a, mean_b = (ours * share).sum(axis=(0, 1)), (theirs * share).sum(axis=(0, 1))
    spread_a = np.sqrt((((ours - mean_a) ** 2) * share).sum(axis=(0, 1)))
    spread_b = np.sqrt((((theirs - mean_b) ** 2) * share).sum(axis=(0, 1)))
    # A spread is not changed by more than half: beyond, contrast comes from features, not light.
    ratio = np.clip(spread_b / np.maximum(spread_a, 0.5), 0.67, 1.5)
    matched = (ours - mean_a) * ratio + mean_b
    back = cv2.cvtColor(matched.astype(np.float32), cv2.COLOR_Lab2BGR)
    return np.asarray(np.clip(back, 0, 1) * np.float32(255), np.float32)


def match_low_frequencies(new: FloatArray, old: BgrImage, weight: FloatArray) -> FloatArray:
    """Give the new face the old one's coarse colours: what a blur of a sixth of it leaves."""
    import cv2

    sigma = max(1.0, weight.shape[0] / 6)
    count = cv2.GaussianBlur(weight, (0, 0), sigma) + np.float32(1e-3)
    change = (old.astype(np.float32) - new) * weight[:, :, None]
    coarse = cv2.GaussianBlur(change, (0, 0), sigma) / count[:, :, None]
    return np.asarray(np.clip(new + coarse, 0, 255), np.float32)


def lids(
    new: FloatArray, old: BgrImage, around: FloatArray, eyes: FloatArray, face_height: float
) -> FloatArray:
    """Close the lids of the new face: the filmed ones in the colours of the new skin around them.

    Args:
        new: (h, w, 3) float32 BGR, 0..255.
        old: (h, w, 3) uint8 BGR.
        around: (h, w) float32, where the new face is drawn.
        eyes: (h, w) float32, 1 between the lids.
        face_height: in pixels.
    """
    import cv2

    height, width = around.shape
    scale = min(1.0, _SMALL_PX / face_height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    where = np.asarray(cv2.resize(around, size, interpolation=cv2.INTER_AREA), np.float32)

    def local(image: FloatArray | BgrImage) -> FloatArray:
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        # 8 % of the face reaches cheek and forehead: nearer, dark brows would darken the lids.
        mean = cv2.GaussianBlur(scaled(small, where), (0, 0), 0.08 * face_height * scale)
        return np.asarray(mean, np.float32) + np.float32(1e-3)

    # Skin differs from skin by less than a factor of two over such an area.
    ratio = np.clip(local(new) / local(old), 0.5, 2.0)
    ratio = cv2.resize(ratio, (width, height), interpolation=cv2.INTER_LINEAR)
    rows, columns = (np.flatnonzero(eyes.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return new
    # Nothing is changed but there.
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    out = new.copy()
    out[part] = mixed(new[part], old[part] * ratio[part], eyes[part])
    return out


def noise_of(image: FloatArray | BgrImage, weight: FloatArray) -> float:
    """Measure the noise sigma of a face in grey levels: the flattest quarter, where no feature is.

    The difference of a pixel from the mean of its neighbours is sqrt(20 / 16) sigma for white
    noise; the median of its size is 0.6745 of its deviation.
    """
    import cv2

    gray = np.asarray(image, np.float32) @ np.array([0.114, 0.587, 0.299], np.float32)
    kernel = np.array([[1, 2, 1], [2, -12, 2], [1, 2, 1]], np.float32) / np.float32(12)
    rough = np.abs(cv2.filter2D(gray, cv2.CV_32F, kernel))[weight > 0.5]
    if rough.size < 64:
        return 0.0
    flat = np.sort(rough)[: rough.size // 2]
    # The lower half of |N(0, s)| has its own median at 0.3186 s (the 25 % point of |N|); the
    # kernel's gain is sqrt(1 + 20 / 144) = 1.067.
    return float(np.median(flat)) / (0.3186 * 1.067)


def add_grain(new: FloatArray, sigma: float, seed: int) -> FloatArray:
    """Add grey noise of `sigma` grey levels, the same for the same seed."""
    import cv2

    if sigma < 0.3:
        return new
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(new.shape[:2], np.float32)
    # Film and coded noise is a little wider than a pixel; the factor gives the sigma back.
    soft = cv2.GaussianBlur(noise, (0, 0), 0.7) * np.float32(sigma * 2.46)
    return np.asarray(new + soft[:, :, None], np.float32)
