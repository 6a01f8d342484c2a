"""Pictures for the page: faces of the gallery and the frame that is looked at."""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facepick.people.person import Person, Scan
from facepick.people.track import FaceTrack

if TYPE_CHECKING:
    from facepick.app import App

__all__ = [
    "avatar_uri",
    "data_uri",
    "face_thumbnail",
    "file_uri",
    "frame_uri",
    "marked_face",
    "photo_uri",
    "source_face",
    "track_face",
]

Image = npt.NDArray[np.uint8]

FACE_PX = 192
"""Side of a thumbnail: sharp at the gallery's 96 CSS pixels on a screen of twice the density."""

SOURCE_COLOR = "#17a673"
"""Of the tick on faces that are put in: that of good news, no person's."""

FRAME_PX = 960
"""Long side of the picture that is looked at: about 80 kB as JPEG, so that a slider feels live."""


def data_uri(bgr: Image, *, quality: int = 82) -> str:
    """Put a JPEG inside the page, so that no file has to be served.

    Args:
        bgr: (h, w, 3) uint8.
    """
    import cv2

    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode a picture of {bgr.shape = }")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def file_uri(path: Path, *, limit_bytes: int = 400_000) -> str | None:
    """Put a JPEG file inside the page; None when it is not there, half-written or large."""
    try:
        if path.stat().st_size > limit_bytes:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    # A JPEG ends with its EOI marker; without it the writer has not finished.
    if not data.startswith(b"\xff\xd8") or not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def face_thumbnail(app: App, scan: Scan, person: Person) -> Image:
    """(FACE_PX, FACE_PX, 3) uint8 BGR: the person's best face.

    Raises:
        VideoOpenError: it must be cut out of the video, and the file is gone.
    """
    for name in person.thumbnails:
        path = Path(scan.folder) / name
        if path.is_file():
            return _read_square(str(path), path.stat().st_mtime_ns)
    # Somebody who was split off has no thumbnails of their own yet.
    return track_face(app, scan, max(scan.tracks_of(person.id), key=len))


@lru_cache(maxsize=256)
def _read_square(path: str, _changed: int) -> Image:
    import cv2

    # Not imread: it cannot open names outside the system's code page on Windows.
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return np.full((FACE_PX, FACE_PX, 3), 120, np.uint8)
    return square(np.asarray(image, np.uint8))


def square(image: Image) -> Image:
    """Cut the middle square of a picture at the thumbnail's size."""
    import cv2

    height, width = image.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    part = image[y : y + side, x : x + side]
    interpolation = cv2.INTER_AREA if side > FACE_PX else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (FACE_PX, FACE_PX), interpolation=interpolation), np.uint8)


def marked_face(face: Image, color: str, *, picked: bool) -> Image:
    """Draw a frame and a tick in the person's colour when the thumbnail is picked.

    Returns:
        (FACE_PX, FACE_PX, 3) uint8 RGB, as gradio wants it.
    """
    import cv2

    rgb = np.ascontiguousarray(face[:, :, ::-1])
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    if picked:
        cv2.rectangle(rgb, (0, 0), (FACE_PX - 1, FACE_PX - 1), (red, green, blue), 14)
        center = (FACE_PX - 34, 34)
        cv2.circle(rgb, center, 25, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(rgb, center, 21, (red, green, blue), -1, cv2.LINE_AA)
        tick = np.array(
            [(center[0] - 10, center[1]), (center[0] - 3, center[1] + 8),
             (center[0] + 11, center[1] - 8)], np.int32
        )  # fmt: skip
        cv2.polylines(rgb, [tick], False, (255, 255, 255), 5, cv2.LINE_AA)
    return rgb


def source_face(path: Path, *, chosen: bool, usable: bool) -> Image:
    """Draw a face that may be put in: with a tick when it is taken, grey and crossed out when it
    cannot be used.

    Returns:
        (FACE_PX, FACE_PX, 3) uint8 RGB, as gradio wants it.
    """
    import cv2

    face = _file_face(path)
    if usable:
        return marked_face(face, SOURCE_COLOR, picked=chosen)
    grey = np.repeat(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)[:, :, None], 3, axis=2)
    # Half as bright: the white caption and the cross stand out.
    rgb = np.ascontiguousarray(grey // 2)
    low, high = 12, 46
    left = FACE_PX - high
    cv2.line(rgb, (left, low), (FACE_PX - low, high), (228, 87, 46), 7, cv2.LINE_AA)
    cv2.line(rgb, (left, high), (FACE_PX - low, low), (228, 87, 46), 7, cv2.LINE_AA)
    return rgb


def _file_face(path: Path) -> Image:
    try:
        return _read_square(str(path), path.stat().st_mtime_ns)
    except OSError:
        return np.full((FACE_PX, FACE_PX, 3), 120, np.uint8)


def photo_uri(path: Path) -> str | None:
    """Make a tiny picture of a photo; None when it is large, so that lists stay quick."""
    try:
        if path.stat().st_size > 4_000_000:
            return None
    except OSError:
        return None
    return _tiny(_file_face(path))


def frame_uri(app: App, scan: Scan, frame: int) -> str:
    """Give the video's picture at `frame` as a data URI, at most `FRAME_PX` wide or high.

    Raises:
        VideoOpenError: the file is gone or cannot be decoded any more.
    """
    return _frame_uri(_Key(app, scan), frame)


def track_face(app: App, scan: Scan, track: FaceTrack) -> Image:
    """(FACE_PX, FACE_PX, 3) uint8 BGR: the face in the middle of one appearance.

    Raises:
        VideoOpenError: the file is gone or cannot be decoded any more.
    """
    return _track_face(_Key(app, scan), track.id)


@lru_cache(maxsize=512)
def _track_face(key: _Key, track_id: str) -> Image:
    track = key.scan.track(track_id)
    row = int(np.argmax(track.score))
    picture = key.app.picture(key.scan, int(track.frames[row]))
    x0, y0, x1, y1 = track.boxes[row]
    # Half a face more on each side shows hair and chin.
    side = max(x1 - x0, y1 - y0) * 0.8
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    return square(
        picture.crop(
            max(0, int(cx - side)),
            max(0, int(cy - side)),
            min(picture.width, int(cx + side) + 1),
            min(picture.height, int(cy + side) + 1),
        )
    )


class _Key:
    """A scan as the key of the cache below: the same file with the same content."""

    def __init__(self, app: App, scan: Scan) -> None:
        self.app, self.scan = app, scan
        self._id = (str(scan.video.path), scan.content_hash)

    def __hash__(self) -> int:
        return hash(self._id)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Key) and self._id == other._id


@lru_cache(maxsize=64)
def _frame_uri(key: _Key, frame: int) -> str:
    small, _ = key.app.picture(key.scan, frame).small(FRAME_PX)
    return data_uri(small)


@lru_cache(maxsize=512)
def avatar_uri(jpeg: bytes) -> str | None:
    """Make a tiny face for tables from a JPEG; None when it is none."""
    import cv2

    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    return None if image is None else _tiny(square(np.asarray(image, np.uint8)))


def face_uri(app: App, scan: Scan, person: Person) -> str:
    """Make a tiny face for tables.  Raises what `face_thumbnail` raises."""
    return _tiny(face_thumbnail(app, scan, person))


def _tiny(face: Image) -> str:
    import cv2

    return data_uri(np.asarray(cv2.resize(face, (64, 64), interpolation=cv2.INTER_AREA), np.uint8))
