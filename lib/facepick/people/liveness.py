"""Test for a printed or shown still portrait in place of a living face.

A photograph may move - the camera pans, a card is carried - but it moves as one flat piece: after
an affine registration nothing is left but noise.  A living face blinks, talks and turns, and so
keeps a difference around eyes and mouth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["STILL_BELOW", "STILL_SECONDS", "StillnessProbe"]

STILL_BELOW = 0.06
"""Faces whose `StillnessProbe.stillness` is below may be pictures of a face: a printed portrait
in a news graphic measures 0.04, a listener in the dark 0.10, talking heads 0.13 to 0.9."""

STILL_SECONDS = 4.0
"""People hold still for a second or two and blink every few seconds; a picture never does.  It
takes that much time on screen to tell."""


class StillnessProbe:
    """Probe that gathers a picture of a face every 0.4 s, a dozen in all, and compares them.

    Args:
        rate: frames per second, roughly.
    """

    EVERY_SECONDS = 0.4
    LIMIT = 12
    MIN_SECONDS = 1.2

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._every = max(1, round(rate * self.EVERY_SECONDS))
        self._frames: list[int] = []
        self._patches: list[npt.NDArray[np.uint8]] = []

    def wants(self, frame: int) -> bool:
        """Tell whether a picture of this frame is wanted."""
        return not self._frames or frame - self._frames[-1] >= self._every

    def put(self, frame: int, square: npt.NDArray[np.uint8]) -> None:
        """Add a (64, 64, 3) uint8 BGR cut-out of the face with some margin."""
        import cv2

        self._frames.append(frame)
        self._patches.append(np.asarray(cv2.cvtColor(square, cv2.COLOR_BGR2GRAY), np.uint8))
        if len(self._frames) > self.LIMIT:
            self._every *= 2
            self._frames, self._patches = self._frames[::2], self._patches[::2]

    def stillness(self) -> float | None:
        """Measure the largest difference between pictures after registration.

        As a share of the face's own contrast; None when the track is too short to tell.
        """
        if len(self._frames) < 3:
            return None
        if self._frames[-1] - self._frames[0] < self.MIN_SECONDS * self._rate:
            return None
        middle = len(self._patches) // 2
        reference = self._patches[middle]
        left = [
            _difference(reference, patch) for i, patch in enumerate(self._patches) if i != middle
        ]
        # The 80th percentile: a fade or a flash in one picture does not make a photograph live.
        return float(np.percentile(left, 80))


def _difference(reference: npt.NDArray[np.uint8], patch: npt.NDArray[np.uint8]) -> float:
    import cv2

    base, moved = reference.astype(np.float32), patch.astype(np.float32)
    base = cv2.GaussianBlur(base, (0, 0), 1.0)
    moved = cv2.GaussianBlur(moved, (0, 0), 1.0)
    warp = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        _, warp = cv2.findTransformECC(base, moved, warp, cv2.MOTION_AFFINE, criteria, None, 1)
    except cv2.error:
        # It found no way to lay one over the other: surely not one rigid piece.
        return 1.0
    laid = cv2.warpAffine(
        moved, warp, base.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    # The middle half of the square is the face; light that changed as a whole is taken off.
    inner = slice(base.shape[0] // 4, -(base.shape[0] // 4))
    a, b = base[inner, inner], laid[inner, inner]
    a, b = a - a.mean(), b - b.mean()
    contrast = float(np.sqrt(np.mean(a * a)))
    if contrast < 2.0:
        return 0.0
    gain = float(np.sum(a * b)) / max(float(np.sum(b * b)), 1e-6)
    gain = min(2.0, max(0.5, gain))
    return float(np.sqrt(np.mean((a - gain * b) ** 2))) / contrast
