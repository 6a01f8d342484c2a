"""Face requests, which engines are given, and patches, which they give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box, FloatArray
from facepick.people.track import DETECTED

__all__ = ["BgrImage", "FacePatch", "FaceRequest", "PatchKind", "Reason"]

BgrImage = npt.NDArray[np.uint8]


class Reason(str, Enum):
    """Reason why a frame was left as it was."""

    ABSENT = "absent"
    TOO_SMALL = "too_small"
    PROFILE = "profile"
    OCCLUDED = "occluded"
    LOW_CONFIDENCE = "low_confidence"
    SILENCE = "silence"


class PatchKind(str, Enum):
    """Kind of change that a patch makes to the face."""

    DRAWN = "drawn"
    """What the engine is there for."""
    CLOSED = "closed"
    """The mouth is only shut."""
    HIDDEN = "hidden"
    """The face is hidden, for it could not be swapped."""
    FADING = "fading"
    """The new face comes or goes, with the old one shining through."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceRequest:
    """One face of the picked person in one frame.

    A request holds all that an engine may use, so that its answer is the same whichever frame
    a session starts at: geometry is smoothed over the track beforehand, not by the engine.

    Attributes:
        path, row: which sighting this is: the number of the person's path and the row in it, see
            `facepick.render.geometry.FacePath`.  What was learnt of it is found again by them.
        frame: index in the output video; for footage of the source, in the source.
        time: seconds since the first frame, exact.
        crop: (h, w, 3) uint8 BGR, the picture's own pixels (never resampled) around the face.
        origin: (x, y) of the crop's first pixel in display pixels.
        box: the face's box, display pixels, smoothed in time inside its shot.
        landmarks5: (5, 2) float32, display pixels, smoothed like the box.
        mesh: (468, 3) float32 or None, display pixels (z in the same unit, nearer is smaller);
            given when the engine's spec asks for it and the mesh was found.
        mesh_score: how sure the mesh network is that it saw a face, in [0, 1].
        own_mesh: (468, 3) float32 or None, the mesh of this frame alone, which `mesh` is smoothed
            from; given where the network has looked at it.
        confidence: how sure the face is this person's, in [0, 1].
        seen: `DETECTED`, `TRACKED` or `BRIDGED`, see `facepick.people.track`.
        shot: index of the shot.
        others: boxes of every other face followed in this frame.
        source_frame: index of the source frame whose pixels these are.
    """

    path: int = 0
    row: int
    frame: int
    time: Fraction
    crop: BgrImage
    origin: tuple[int, int]
    box: Box
    landmarks5: FloatArray
    mesh: FloatArray | None = None
    mesh_score: float = 0.0
    own_mesh: FloatArray | None = None
    confidence: float = 1.0
    seen: int = DETECTED
    shot: int = 0
    others: tuple[Box, ...] = field(default=())
    source_frame: int = 0

    def __post_init__(self) -> None:
        if self.crop.ndim != 3 or self.crop.shape[2] != 3 or self.crop.dtype != np.uint8:
            raise ValueError(
                f"crop must be uint8 (h, w, 3), got {self.crop.dtype} {self.crop.shape}"
            )
        if self.mesh is not None and self.mesh.shape != (468, 3):
            raise ValueError(f"mesh must be (468, 3), got {self.mesh.shape}")

    def __repr__(self) -> str:
        return f"FaceRequest(frame {self.frame}, {self.crop.shape[1]}x{self.crop.shape[0]})"

    @property
    def key(self) -> tuple[int, int]:
        """Path and row, the same for a sighting in whichever output frame."""
        return self.path, self.row

    def follows(self, before: FaceRequest) -> bool:
        """Tell whether this is the face of `before` one frame of the source later."""
        return (
            self.path == before.path
            and self.shot == before.shot
            and self.source_frame == before.source_frame + 1
        )

    def local(self, points: FloatArray) -> FloatArray:
        """Convert points (n, >=2) in display pixels to (n, 2) float32 in crop pixels."""
        return np.asarray(points[:, :2] - np.asarray(self.origin, np.float32), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class FacePatch:
    """New pixels for a rectangle of the picture.

    Attributes:
        image: (h, w, 3) uint8 BGR at the picture's resolution.
        alpha: (h, w) float32 in [0, 1]; where it is 0 the picture stays bit-equal.
        origin: (x, y) of the first pixel in display pixels; may lie outside the picture.
        kind: what it does to the face.
        note: a word for the report, such as the source frame chosen; may be empty.
    """

    image: BgrImage
    alpha: FloatArray
    origin: tuple[int, int]
    kind: PatchKind = PatchKind.DRAWN
    note: str = ""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"image must be uint8 (h, w, 3), got {self.image.dtype} {self.image.shape}"
            )
        if self.alpha.shape != self.image.shape[:2] or self.alpha.dtype != np.float32:
            raise ValueError(
                f"alpha must be float32 {self.image.shape[:2]}, "
                f"got {self.alpha.dtype} {self.alpha.shape}"
            )

    def __repr__(self) -> str:
        return f"FacePatch({self.image.shape[1]}x{self.image.shape[0]} at {self.origin})"
