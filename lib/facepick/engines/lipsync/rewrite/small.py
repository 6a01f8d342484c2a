"""Small faces, on which the self-check draws: kept while the clip is learnt from.

They are what the self-check needs of a frame, in a tenth of its bytes, so that the clip need not
be decoded once more for it: a twelfth to a tenth of a render.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.decisions import MESH_SCORE
from facepick.engines.lipsync.rewrite.features import eye_distance
from facepick.people.track import BRIDGED

__all__ = ["SmallFace", "SmallFaces", "small_of", "usable"]

Array = npt.NDArray[np.float32]

SMALL = 60.0
"""Eye distance in pixels.  The mesh network sees a face at about that size."""
MOST_BYTES = 512 * 2**20
"""Of a file of them: about 2500 frames, a minute and a half of one person.  Later frames are
decoded again."""
_PICTURES, _TABLE = "small.u8", "small.json"
_MESH_BYTES = 468 * 3 * 4


@dataclass(frozen=True, eq=False)
class SmallFace:
    """A face at about `SMALL` pixels between the eyes, or its own size where that is less.

    Attributes:
        source_frame: of the clip.
        picture: (h, w, 3) uint8 BGR.
        mesh: (468, 3) float32 in pixels of `picture`.
    """

    source_frame: int
    picture: BgrImage
    mesh: Array


def usable(request: FaceRequest) -> bool:
    """Tell whether a request shows enough of the face to learn from it."""
    return (
        request.mesh is not None
        and request.mesh_score >= MESH_SCORE
        and request.seen != BRIDGED
        and bool(np.isfinite(request.mesh).all())
    )


def small_of(request: FaceRequest) -> SmallFace:
    """Make a small picture of the face of a `usable` request."""
    import cv2

    assert request.mesh is not None
    mesh = np.asarray(request.mesh - np.array([*request.origin, 0]), np.float32)
    zoom = min(1.0, SMALL / eye_distance(mesh))
    if zoom < 1.0:
        small = cv2.resize(request.crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, np.uint8)
    else:
        picture = request.crop.copy()
    return SmallFace(request.source_frame, picture, mesh * np.float32(zoom))


class SmallFaces:
    """Small faces in a folder, for one person.

    Frames that show the person more than once are not among them.

    Args:
        folder: of the session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream: BinaryIO | None = None
        self._full = False
        self._rows: dict[int, tuple[int, int, int] | None] = {}
        self._size = 0

    def add(self, request: FaceRequest) -> None:
        """Keep the small face of a `usable` request; a disk that is full keeps none."""
        frame = request.source_frame
        if frame in self._rows:
            self._rows[frame] = None
            return
        if self._full:
            return
        face = small_of(request)
        try:
            if self._stream is None:
                (self._folder / _TABLE).unlink(missing_ok=True)
                self._stream = open(self._folder / _PICTURES, "wb")  # noqa: SIM115
            self._stream.write(face.picture.tobytes() + face.mesh.tobytes())
        except OSError:
            self.drop()
            self._full = True
            return
        self._rows[frame] = (self._size, *face.picture.shape[:2])
        self._size += face.picture.nbytes + face.mesh.nbytes
        self._full = self._size > MOST_BYTES

    def done(self) -> None:
        """Write down which there are."""
        if self._stream is None:
            return
        try:
            self._stream.close()
            rows = {str(frame): row for frame, row in self._rows.items() if row is not None}
            (self._folder / _TABLE).write_text(json.dumps(rows))
        except OSError:
            self.drop()

    def drop(self) -> None:
        """Remove them."""
        if self._stream is not None:
            with suppress(OSError):
                self._stream.close()
        self._stream, self._rows, self._size = None, {}, 0
        for name in (_TABLE, _PICTURES):
            (self._folder / name).unlink(missing_ok=True)

    def load(self) -> Collection[int]:
        """Find what was kept; gives its source frames."""
        self._rows = {}
        with suppress(OSError, ValueError):
            listed = json.loads((self._folder / _TABLE).read_text())
            size = (self._folder / _PICTURES).stat().st_size
            rows = {int(frame): (at, h, w) for frame, (at, h, w) in listed.items()}
            # What was cut short is decoded again.
            self._rows = {
                frame: (at, h, w)
                for frame, (at, h, w) in rows.items()
                if at + h * w * 3 + _MESH_BYTES <= size
            }
        return self._rows.keys()

    def faces(self, frames: Collection[int]) -> Iterator[SmallFace]:
        """Read those of some frames that `load` has found."""
        if not frames:
            # What was learnt was taken up, and no face was kept.
            return
        with open(self._folder / _PICTURES, "rb") as stream:
            for frame in sorted(frames):
                row = self._rows[frame]
                assert row is not None
                at, height, width = row
                stream.seek(at)
                picture = np.frombuffer(stream.read(height * width * 3), np.uint8)
                mesh = np.frombuffer(stream.read(_MESH_BYTES), np.float32)
                yield SmallFace(frame, picture.reshape(height, width, 3), mesh.reshape(468, 3))
