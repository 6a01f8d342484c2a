"""A face followed through one shot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box, FloatArray

__all__ = ["BRIDGED", "DETECTED", "TRACKED", "FaceTrack"]

DETECTED = 0
"""The detector saw the face in this frame."""
TRACKED = 1
"""Between two detections: optical flow or interpolation carried the box, and both ends agree."""
BRIDGED = 2
"""A gap (occlusion, blur, profile) that is too short to be an absence: the place is a guess."""


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face in one shot; never crosses a cut.

    Attributes:
        id: ``T1``, ``T2``, ... in the order of first frame, then of left edge.
        shot: index of its shot.
        frames: (n,) int32, strictly rising; the frames in which the face is held to be visible.
        boxes: (n, 4) float32, display pixels.
        landmarks5: (n, 5, 2) float32, display pixels; interpolated where not detected.
        score: (n,) float32 detector score, interpolated where not detected.
        origin: (n,) uint8, `DETECTED`, `TRACKED` or `BRIDGED` per frame.
        confidence: how sure the track is a real face that belongs to its person, in [0, 1].
    """

    id: str
    shot: int
    frames: npt.NDArray[np.int32]
    boxes: FloatArray
    landmarks5: FloatArray
    score: FloatArray
    origin: npt.NDArray[np.uint8]
    confidence: float = 1.0

    def __post_init__(self) -> None:
        n = len(self.frames)
        if n == 0:
            raise ValueError("a track holds at least one frame")
        if np.any(np.diff(self.frames) <= 0):
            raise ValueError("a track's frames must rise strictly")
        for name, shape in (
            ("boxes", (n, 4)),
            ("landmarks5", (n, 5, 2)),
            ("score", (n,)),
            ("origin", (n,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape}, got {getattr(self, name).shape}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must lie in [0, 1], got {self.confidence}")

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"FaceTrack({self.id}, shot {self.shot}, {self.start}..{self.stop - 1})"

    @property
    def start(self) -> int:
        """First frame."""
        return int(self.frames[0])

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return int(self.frames[-1]) + 1

    def only(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> FaceTrack:
        """Keep some rows of the track (mask or indices, at least one)."""
        return replace(
            self,
            frames=self.frames[rows],
            boxes=self.boxes[rows],
            landmarks5=self.landmarks5[rows],
            score=self.score[rows],
            origin=self.origin[rows],
        )

    def position(self, frame: int) -> int | None:
        """Find the row of `frame` in the arrays, or None when the face is not there."""
        i = int(np.searchsorted(self.frames, frame))
        if i < len(self.frames) and self.frames[i] == frame:
            return i
        return None

    def box_at(self, frame: int) -> Box | None:
        """Find where the face is in `frame`, or None."""
        i = self.position(frame)
        return None if i is None else Box(*map(float, self.boxes[i]))
