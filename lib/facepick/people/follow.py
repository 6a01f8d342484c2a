"""Following of a box that was drawn by hand, to both sides until it is lost.

The picture under the box is searched for in the next frame at five sizes by normalised
cross-correlation (Lewis, "Fast normalized cross-correlation", 1995); a template that takes in a
tenth of each new sighting follows slow changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import Box
from facepick.media.reader import VideoReader
from facepick.people.person import Scan
from facepick.progress import CancelToken, never

__all__ = ["follow_box"]

FACE_PX = 48
"""Pictures are reduced until the face is so high: a frame of 1280x720 with a face of 150 pixels is
410x230, 94 kB."""
LOST = 0.55
"""Correlation below which it is another picture; of one face from frame to frame it is above .9."""
LONGEST_FRAMES = 1500
"""A minute at 25 frames a second to each side: 140 MB of such pictures."""
_SCALES = (0.94, 0.97, 1.0, 1.03, 1.06)
_REACH = 0.5
_KEEP = 0.9

Gray = npt.NDArray[np.float32]


def follow_box(
    scan: Scan, frame: int, box: Box, *, cancel: CancelToken = never
) -> tuple[tuple[float, ...], ...]:
    """Follow what is under a box, inside its shot.

    Args:
        frame: where the box was drawn.
        box: display pixels.

    Returns:
        ``(frame, x0, y0, x1, y1)`` of every frame in which it was found, rising; the drawn one is
        always among them.

    Raises:
        VideoOpenError, Cancelled.
    """
    shot = next(s for s in scan.shots if s.start <= frame < s.stop)
    first = max(shot.start, frame - LONGEST_FRAMES)
    last = min(shot.stop, frame + LONGEST_FRAMES + 1)
    scale = min(1.0, FACE_PX / box.height)
    pictures = _pictures(scan.video.path, scan.pts.tolist(), first, last, scale, cancel)
    at = frame - first
    small = np.array([box.x0, box.y0, box.x1, box.y1]) * scale
    after = _followed(pictures[at:], small, cancel)
    before = _followed(pictures[at::-1], small, cancel)
    rows = [
        *((frame - k, *(b / scale)) for k, b in reversed(list(enumerate(before)))),
        *((frame + k, *(b / scale)) for k, b in enumerate(after) if k),
    ]
    return tuple((int(f), *(round(float(v), 1) for v in xyxy)) for f, *xyxy in rows)


def _pictures(
    path: Path, pts: list[int], first: int, last: int, scale: float, cancel: CancelToken
) -> list[npt.NDArray[np.uint8]]:
    import cv2

    found = []
    for item in VideoReader(path, cancel=cancel).frames(start=first, pts=pts):
        if item.index >= last:
            break
        gray = cv2.cvtColor(item.picture.bgr(), cv2.COLOR_BGR2GRAY)
        size = (max(8, round(gray.shape[1] * scale)), max(8, round(gray.shape[0] * scale)))
        found.append(np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8))
    return found


def _followed(
    pictures: Sequence[npt.NDArray[np.uint8]], box: npt.NDArray[np.float64], cancel: CancelToken
) -> list[npt.NDArray[np.float64]]:
    """List the box in each picture until it is lost; the first is as it was given."""
    import cv2

    boxes = [box]
    template: Gray = _cut(pictures[0], box)
    if template.size == 0 or float(template.std()) < 2:
        return boxes
    for picture in pictures[1:]:
        cancel.raise_if_cancelled()
        best, place = -1.0, box
        for factor in _SCALES:
            size = (box[2:] - box[:2]) * factor
            wanted = tuple(int(max(4, round(v))) for v in size)
            scaled = cv2.resize(template, wanted, interpolation=cv2.INTER_AREA)
            area, corner = _around(picture, box, wanted)
            if area.shape[0] < wanted[1] or area.shape[1] < wanted[0]:
                continue
            table = cv2.matchTemplate(area, scaled, cv2.TM_CCOEFF_NORMED)
            _, score, _, where = cv2.minMaxLoc(table)
            if score > best + (0.0 if factor == 1.0 else 0.005):
                low = np.array(where, float) + corner
                best, place = score, np.concatenate([low, low + wanted])
        if best < LOST:
            break
        box = place
        boxes.append(box)
        seen = cv2.resize(_cut(picture, box), template.shape[::-1], interpolation=cv2.INTER_AREA)
        template = np.asarray(_KEEP * template + (1 - _KEEP) * seen, np.float32)
    return boxes


def _cut(picture: npt.NDArray[np.uint8], box: Iterable[float]) -> Gray:
    x0, y0, x1, y1 = (max(0, round(float(v))) for v in box)
    return np.asarray(picture[y0:y1, x0:x1], np.float32)


def _around(
    picture: npt.NDArray[np.uint8], box: npt.NDArray[np.float64], size: tuple[int, ...]
) -> tuple[Gray, npt.NDArray[np.float64]]:
    """Cut out where the face may be in the next frame: half its size farther on each side."""
    middle = (box[:2] + box[2:]) / 2
    half = np.array(size) * (0.5 + _REACH)
    low = np.maximum(0, np.floor(middle - half)).astype(int)
    high = np.ceil(middle + half).astype(int)
    area = np.asarray(picture[low[1] : high[1], low[0] : high[0]], np.float32)
    return area, low.astype(float)
