"""The face that is put in: found in photos, or cut from a video for use as photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.compositing.pictures import load_picture
from facepick.engines.swap.topology import pose_of
from facepick.errors import NoFacesFound, UserInputError
from facepick.faces.detection import FloatArray
from facepick.faces.quality import eye_openness
from facepick.models.store import ModelStore
from facepick.people.identity import Scan
from facepick.progress import CancelToken, never

__all__ = ["SourceFace", "best_photos", "load_sources", "mouth_openness"]

# Faces are looked for in a copy of this size; the face itself is then cut from the photo.
_SEARCH_SIDE = 1024
_MIN_SCORE = 0.6
_MIN_FACE_PX = 64
_MAX_TURN = 40.0
# More pixels than a texture can hold (768) only cost time.
_MAX_FACE_PX = 1000


@dataclass(frozen=True, eq=False)
class SourceFace:
    """One face of one photo.

    Attributes:
        name: file name of the photo.
        image: (h, w, 3) uint8 BGR, a generous cut around the face.
        landmarks5: (5, 2) float32 in pixels of `image`.
        mesh: (468, 3) float32 in pixels of `image`.
        score: how sure the mesh network is, in [0, 1].
    """

    name: str
    image: BgrImage
    landmarks5: FloatArray
    mesh: FloatArray
    score: float

    def __repr__(self) -> str:
        return f"SourceFace({self.name}, {self.height:.0f} px)"

    @property
    def height(self) -> float:
        """From the top of the mesh to the chin, in pixels."""
        return float(np.linalg.norm(self.mesh[10, :2] - self.mesh[152, :2]))

    @property
    def merit(self) -> float:
        """How well this photo serves as a texture: frontal, large, mouth closed, eyes open."""
        pose = pose_of(self.mesh)
        turn = (pose.yaw / 25) ** 2 + (pose.pitch / 35) ** 2
        size = min(1.0, self.height / 300)
        return size - 0.5 * turn - 4 * mouth_openness(self.mesh) + eye_openness(self.mesh)


def mouth_openness(mesh: FloatArray) -> float:
    """Gap between the lips over the height of the face."""
    gap = float(np.linalg.norm(mesh[13, :2] - mesh[14, :2]))
    return gap / max(float(np.linalg.norm(mesh[10, :2] - mesh[152, :2])), 1e-6)


def load_sources(
    paths: Sequence[str], models: ModelStore, *, face: int = 0, cancel: CancelToken = never
) -> list[SourceFace]:
    """The chosen face of every photo, the best photo first.

    Args:
        paths: photos of one person.
        face: 0 for the largest face of a photo; n for the n-th from the left.

    Raises:
        UserInputError: no photo was given, one cannot be read, the face is too small, turned too
            far, or there is no n-th face.
        NoFacesFound: a photo shows no face.
        MissingModelError: the detector or the mesh is not there.
    """
    from facepick.faces.analyzers.yunet import YuNetDetector
    from facepick.faces.mesh import FaceMesh
    from facepick.models.catalog import YUNET

    if not paths:
        raise UserInputError(
            "There is no source face.", hint="Give a photo, such as --source FACE.jpg."
        )
    detector = YuNetDetector(models.require(YUNET), min_score=_MIN_SCORE)
    mesher = FaceMesh(models)
    found = []
    for path in paths:
        cancel.raise_if_cancelled()
        image = load_picture(path)
        found.append(_face_of(image, Path(path).name, detector, mesher, face))
    return sorted(found, key=lambda f: -f.merit)


def _face_of(image: BgrImage, name: str, detector: object, mesher: object, face: int) -> SourceFace:
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, _SEARCH_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    faces = detector.detect(small)  # type: ignore[attr-defined]
    if not len(faces):
        raise NoFacesFound(
            f"{name} shows no face.", hint="Use a photo that shows the face from the front."
        )
    if face > len(faces):
        raise UserInputError(
            f"{name} shows {len(faces)} faces, there is no number {face}.",
            hint="Faces are counted from the left, from 1; 0 is the largest.",
        )
    boxes = faces.xyxy / np.float32(scale)
    if face:
        row = int(np.argsort(boxes[:, 0], kind="stable")[face - 1])
    else:
        row = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
    box, points = boxes[row], faces.landmarks5[row] / np.float32(scale)
    if box[3] - box[1] < _MIN_FACE_PX:
        raise UserInputError(
            f"The face in {name} is only {box[3] - box[1]:.0f} pixels high.",
            hint=f"Use a photo in which it has at least {_MIN_FACE_PX}; 300 are good.",
        )
    grow = 0.8 * (box[2:] - box[:2])
    x0, y0 = (int(v) for v in np.maximum(box[:2] - grow, 0))
    x1, y1 = (int(v) for v in np.minimum(box[2:] + grow, (width, height)))
    cut = image[y0:y1, x0:x1]
    points = points - np.array([x0, y0], np.float32)
    shrink = min(1.0, _MAX_FACE_PX / float(box[3] - box[1]))
    if shrink < 1:
        size = (round(cut.shape[1] * shrink), round(cut.shape[0] * shrink))
        cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
        points = points * np.float32(shrink)
    mesh, score = mesher.locate(cut, points)  # type: ignore[attr-defined]
    turn = pose_of(mesh)
    if score < 0.5:
        raise UserInputError(
            f"The face in {name} is covered or not clear enough.", hint="Use another photo."
        )
    if abs(turn.yaw) > _MAX_TURN:
        raise UserInputError(
            f"The face in {name} is turned to the side by {abs(turn.yaw):.0f} degrees.",
            hint=f"Use a photo from the front; up to {_MAX_TURN:.0f} degrees can be used.",
        )
    return SourceFace(name, np.ascontiguousarray(cut), points, mesh, score)


def _faces_of_others(scan: Scan, person_id: str, frames: set[int]) -> dict[int, list[FloatArray]]:
    """Boxes of everybody else in these frames."""
    own = set(scan.person(person_id).track_ids)
    found: dict[int, list[FloatArray]] = {}
    for track in scan.tracks:
        if track.id not in own:
            for row, number in enumerate(track.frames.tolist()):
                if number in frames:
                    found.setdefault(number, []).append(track.boxes[row])
    return found


def _alone(
    box: FloatArray, others: Sequence[FloatArray], limits: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """A cut (x0, y0, x1, y1) in which the face of `box` is by far the largest, or None.

    `load_sources` takes the largest face of a photo.  The mesh network needs 0.25 of the face
    around it, so that the tight cut still holds all it looks at.
    """
    for share in (0.8, 0.35):
        grow = share * (box[2:] - box[:2])
        x0, y0 = (int(v) for v in np.maximum(box[:2] - grow, 0))
        x1, y1 = (int(v) for v in np.minimum(box[2:] + grow, limits))
        near = (b for b in others if b[0] < x1 and b[2] > x0 and b[1] < y1 and b[3] > y0)
        if all(b[3] - b[1] < 0.8 * (box[3] - box[1]) for b in near):
            return x0, y0, x1, y1
    return None


def best_photos(
    scan: Scan,
    person_id: str,
    models: ModelStore,
    folder: Path,
    *,
    count: int = 3,
    cancel: CancelToken = never,
) -> list[Path]:
    """Photos of a person of a video, for use as the source of a swap in any video.

    Up to 60 frames, spread over the person's whole screen time, are judged by size, pose, closed
    mouth and open eyes; the best are written as PNG files, best first.

    Raises:
        SelectionError: no such person.
        NoFacesFound: no frame shows the face well enough.
    """
    import cv2

    from facepick.faces.mesh import FaceMesh
    from facepick.media.reader import VideoReader

    frames: dict[int, tuple[FloatArray, FloatArray]] = {}
    for track in scan.tracks_of(person_id):
        for row in range(len(track)):
            if track.origin[row] == 0 and track.boxes[row, 3] - track.boxes[row, 1] >= _MIN_FACE_PX:
                frames[int(track.frames[row])] = (track.boxes[row], track.landmarks5[row])
    others = _faces_of_others(scan, person_id, set(frames))
    numbers = sorted(frames)
    wanted = set(numbers[:: max(1, len(numbers) // 60)])
    mesher = FaceMesh(models)
    judged: list[tuple[float, int, BgrImage]] = []
    with VideoReader(scan.video.path, cancel=cancel) as reader:
        for frame in reader.frames():
            cancel.raise_if_cancelled()
            if frame.index not in wanted:
                continue
            box, points = frames[frame.index]
            limits = (frame.picture.width, frame.picture.height)
            region = _alone(box, others.get(frame.index, ()), limits)
            if region is None:
                continue
            x0, y0, x1, y1 = region
            cut = frame.picture.crop(x0, y0, x1, y1)
            local = points - np.array([x0, y0], np.float32)
            mesh, score = mesher.locate(cut, local)
            if score < 0.5 or abs(pose_of(mesh).yaw) > _MAX_TURN:
                continue
            face = SourceFace("", cut, local, mesh, score)
            judged.append((face.merit, frame.index, cut.copy()))
            judged = sorted(judged, key=lambda j: (-j[0], j[1]))[:count]
    if not judged:
        raise NoFacesFound(
            f"No frame shows {scan.person(person_id).label} from the front and large enough.",
            hint="Use a photo instead.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, (_, index, cut) in enumerate(judged, start=1):
        path = folder / f"{person_id}_{place}_frame{index}.png"
        path.write_bytes(cv2.imencode(".png", cut)[1].tobytes())
        paths.append(path)
    return paths
