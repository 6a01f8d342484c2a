"""Source face of a swap: found in photos, or cut from a video for use as photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facepick.compositing.patch import BgrImage
from facepick.compositing.pictures import load_picture
from facepick.errors import NoFacesFound, UserInputError
from facepick.faces.alignment import align
from facepick.faces.detection import FloatArray
from facepick.faces.head_pose import pose_of_mesh
from facepick.faces.landmarks468 import LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE
from facepick.faces.quality import eye_openness, sharpness
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.progress import CancelToken, never

__all__ = [
    "FaceFinder",
    "FoundFace",
    "SourceFace",
    "UnusableFace",
    "best_photos",
    "load_sources",
    "mouth_openness",
]

# Faces are looked for in a copy of this size; the face itself is then cut from the photo.
_SEARCH_SIDE = 1024
_MIN_SCORE = 0.6
_MIN_FACE_PX = 64
_MAX_TURN = 40.0
# A closed mouth measures up to 0.012; wider open than 0.25, eyes stare.
_CLOSED, _OPEN = 0.012, 0.25
# Frames of a video that are judged for `best_photos`, and kept of each side until all are.
_LOOKED_AT, _KEPT_A_SIDE = 150, 6
# Another side of a face is 8 degrees away, another moment half a second.
_OTHER_SIDE, _OTHER_MOMENT = 8.0, 12
# Brows raised by 0.1 eye distances wrinkle the forehead: as bad as parted lips.
_BROWS_COST = 3.0
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
        """Quality of this photo as a texture: frontal, large, sharp, mouth closed, eyes open.

        Lips that show teeth are parted by 0.03 to 0.06 and cost as much as a turn of 20 degrees:
        a texture of parted lips smears their inside over every mouth that closes.
        """
        pose = pose_of_mesh(self.mesh)
        turn = (pose.yaw / 25) ** 2 + (pose.pitch / 35) ** 2
        size = min(1.0, self.height / 300)
        parted = max(0.0, mouth_openness(self.mesh) - _CLOSED)
        eyes = min(eye_openness(self.mesh), _OPEN)
        sharp = sharpness(align(self.image, self.landmarks5))
        return size + 0.5 * sharp - 0.5 * turn - 8 * parted + 2 * eyes


def mouth_openness(mesh: FloatArray) -> float:
    """Measure the gap between the lips over the height of the face."""
    gap = float(np.linalg.norm(mesh[13, :2] - mesh[14, :2]))
    return gap / max(float(np.linalg.norm(mesh[10, :2] - mesh[152, :2])), 1e-6)


class UnusableFace(UserInputError):
    """Refusal of a photo's face that cannot be put on another one.

    Args:
        reason: ``too_small``, ``covered`` or ``turned``.
    """

    def __init__(self, message: str, *, hint: str, reason: str) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A face of a photo, usable or not.

    Attributes:
        number: from the left, from 1.
        box: (4,) float32, x0 y0 x1 y1 in pixels of the photo.
        face: what a swap takes, or None when it cannot be used.
        problem: why not, or None.
        image: (h, w, 3) uint8 BGR: a part of the photo whose largest face is this one, so that
            it stands for this person when it is kept as a photo of its own.
    """

    number: int
    box: FloatArray
    face: SourceFace | None
    problem: UnusableFace | None
    image: BgrImage

    @property
    def height(self) -> float:
        """Of the box, in pixels."""
        return float(self.box[3] - self.box[1])


class FaceFinder:
    """Finder of the faces of photos.

    Args:
        models: where detector and mesh are.

    Raises:
        MissingModelError: one of them is not there.
    """

    def __init__(self, models: ModelStore) -> None:
        from facepick.faces.analyzers.yunet import YuNetDetector
        from facepick.faces.mesh import FaceMesh
        from facepick.models.catalog import YUNET

        self._detector = YuNetDetector(models.require(YUNET), min_score=_MIN_SCORE)
        self._mesher = FaceMesh(models)

    def faces(self, path: Path | str) -> list[FoundFace]:
        """Find every face of a photo, from left to right.

        Raises:
            UserInputError: the photo cannot be read.
        """
        image, boxes, points = self._detected(path)
        found = []
        for row in range(len(boxes)):
            face, problem = None, None
            try:
                face = self._usable(image, Path(path).name, boxes[row], points[row])
            except UnusableFace as error:
                problem = error
            found.append(
                FoundFace(row + 1, boxes[row], face, problem, _on_its_own(image, boxes, row))
            )
        return found

    def face(self, path: Path | str, number: int) -> SourceFace:
        """Find the largest face of a photo (0), or the n-th from the left.

        Raises:
            UserInputError: the photo cannot be read, the face cannot be used, or there is no
                n-th face.
            NoFacesFound: it shows no face.
        """
        name = Path(path).name
        image, boxes, points = self._detected(path)
        if not len(boxes):
            raise NoFacesFound(
                f"{name} shows no face.", hint="Use a photo that shows the face from the front."
            )
        if number > len(boxes):
            count = "one face" if len(boxes) == 1 else f"{len(boxes)} faces"
            raise UserInputError(
                f"{name} shows {count}, there is no number {number}.",
                hint="Faces are counted from the left, from 1; 0 is the largest.",
            )
        sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        row = number - 1 if number else int(np.argmax(sizes))
        return self._usable(image, name, boxes[row], points[row])

    def _detected(self, path: Path | str) -> tuple[BgrImage, FloatArray, FloatArray]:
        """Load the photo and detect its faces from left to right: boxes (n, 4), landmarks (n, 5,
        2)."""
        import cv2

        image = load_picture(path)
        height, width = image.shape[:2]
        scale = min(1.0, _SEARCH_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        faces = self._detector.detect(np.asarray(small, np.uint8))
        order = np.argsort(faces.xyxy[:, 0], kind="stable")
        unit = np.float32(scale)
        return image, faces.xyxy[order] / unit, faces.landmarks5[order] / unit

    def _usable(
        self, image: BgrImage, name: str, box: FloatArray, points: FloatArray
    ) -> SourceFace:
        """Check that a face can be used.

        Raises:
            UnusableFace.
        """
        import cv2

        tall = float(box[3] - box[1])
        if tall < _MIN_FACE_PX:
            raise UnusableFace(
                f"The face in {name} is only {tall:.0f} pixels high.",
                hint=f"Use a photo in which it has at least {_MIN_FACE_PX}; 300 are good.",
                reason="too_small",
            )
        x0, y0, x1, y1 = _grown(box, 0.8, (image.shape[1], image.shape[0]))
        cut = image[y0:y1, x0:x1]
        points = points - np.array([x0, y0], np.float32)
        shrink = min(1.0, _MAX_FACE_PX / tall)
        if shrink < 1:
            size = (round(cut.shape[1] * shrink), round(cut.shape[0] * shrink))
            cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)
            points = points * np.float32(shrink)
        mesh, score = self._mesher.locate(cut, points)
        turn = pose_of_mesh(mesh)
        if score < 0.5:
            raise UnusableFace(
                f"The face in {name} is covered or not clear enough.",
                hint="Use another photo.",
                reason="covered",
            )
        if abs(turn.yaw) > _MAX_TURN:
            raise UnusableFace(
                f"The face in {name} is turned to the side by {abs(turn.yaw):.0f} degrees.",
                hint=f"Use a photo from the front; up to {_MAX_TURN:.0f} degrees can be used.",
                reason="turned",
            )
        return SourceFace(name, np.ascontiguousarray(cut), points, mesh, score)


def load_sources(
    paths: Sequence[str], models: ModelStore, *, face: int = 0, cancel: CancelToken = never
) -> list[SourceFace]:
    """Load the chosen face of every photo, the best photo first.

    Args:
        paths: photos of one person.
        face: 0 for the largest face of a photo; n for the n-th from the left.

    Raises:
        UserInputError: no photo was given, one cannot be read, the face is too small, turned too
            far, or there is no n-th face.
        NoFacesFound: a photo shows no face.
        MissingModelError: the detector or the mesh is not there.
    """
    if not paths:
        raise UserInputError(
            "There is no source face.", hint="Give a photo, such as --source FACE.jpg."
        )
    finder = FaceFinder(models)
    found = []
    for path in paths:
        cancel.raise_if_cancelled()
        found.append(finder.face(path, face))
    return sorted(found, key=lambda f: -f.merit)


def _on_its_own(image: BgrImage, boxes: FloatArray, row: int) -> BgrImage:
    """Cut out the part of a photo in which the face of this row is by far the largest.

    Where a neighbour stands too close for that, the neighbour is painted over.
    """
    box = boxes[row]
    others = [b for i, b in enumerate(boxes) if i != row]
    limits = (image.shape[1], image.shape[0])
    region = _alone(box, others, limits)
    if region is not None:
        x0, y0, x1, y1 = region
        return np.ascontiguousarray(image[y0:y1, x0:x1])
    # What the mesh network looks at, see `_alone`.
    x0, y0, x1, y1 = _grown(box, 0.35, limits)
    cut = image[y0:y1, x0:x1].copy()
    own = image[int(box[1]) : int(box[3]) + 1, int(box[0]) : int(box[2]) + 1]
    for other in others:
        a0, b0, a1, b1 = (int(v) for v in other - np.array([x0, y0, x0, y0], np.float32))
        cut[max(0, b0) : max(0, b1), max(0, a0) : max(0, a1)] = own.mean(axis=(0, 1))
    top, left = max(0, int(box[1])) - y0, max(0, int(box[0])) - x0
    cut[top : top + own.shape[0], left : left + own.shape[1]] = own
    return cut


def _faces_of_others(scan: Scan, person_id: str, frames: set[int]) -> dict[int, list[FloatArray]]:
    """Collect boxes of everybody else in these frames."""
    own = set(scan.person(person_id).track_ids)
    found: dict[int, list[FloatArray]] = {}
    for track in scan.tracks:
        if track.id not in own:
            for row, number in enumerate(track.frames.tolist()):
                if number in frames:
                    found.setdefault(number, []).append(track.boxes[row])
    return found


def _grown(box: FloatArray, share: float, limits: tuple[int, int]) -> tuple[int, int, int, int]:
    """Grow the box by so much of its size on each side, in whole pixels of the picture."""
    grow = share * (box[2:] - box[:2])
    x0, y0 = (int(v) for v in np.maximum(box[:2] - grow, 0))
    x1, y1 = (int(v) for v in np.minimum(box[2:] + grow, limits))
    return x0, y0, x1, y1


def _alone(
    box: FloatArray, others: Sequence[FloatArray], limits: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Find a cut (x0, y0, x1, y1) in which the face of `box` is by far the largest, or None.

    `load_sources` takes the largest face of a photo.  The mesh network needs 0.25 of the face
    around it, so that the tight cut still holds all it looks at.
    """
    for share in (0.8, 0.35):
        x0, y0, x1, y1 = _grown(box, share, limits)
        near = (b for b in others if b[0] < x1 and b[2] > x0 and b[1] < y1 and b[3] > y0)
        if all(b[3] - b[1] < 0.8 * (box[3] - box[1]) for b in near):
            return x0, y0, x1, y1
    return None


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A frame that may become a photo: its number, cut, yaw in degrees, merit and brow height."""

    frame: int
    cut: BgrImage
    yaw: float
    merit: float
    brows: float


def best_photos(
    scan: Scan,
    person_id: str,
    models: ModelStore,
    folder: Path,
    *,
    count: int = 3,
    cancel: CancelToken = never,
) -> list[Path]:
    """Choose photos of a person of a video, for use as the source of a swap in any video.

    Up to 150 frames, spread over the person's whole screen time, are judged by size, sharpness,
    pose, closed mouth, open eyes and brows as they mostly are.  The first photo is the best; the
    others show the face from other sides where the video does, see `_from_all_sides`.  They are
    written as PNG files.

    Raises:
        SelectionError: no such person.
        NoFacesFound: no frame shows the face well enough.
    """
    import cv2

    kept, brows = _candidates(scan, person_id, models, cancel)
    if not brows:
        raise NoFacesFound(
            f"No frame shows {scan.person(person_id).label} from the front and large enough.",
            hint="Use a photo instead.",
        )
    usual = float(np.median(brows))
    judged = sorted(
        kept,
        key=lambda c: (_BROWS_COST * abs(c.brows - usual) - c.merit, c.frame),
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, chosen in enumerate(_from_all_sides(judged, count), start=1):
        path = folder / f"{person_id}_{place}_frame{chosen.frame}.png"
        path.write_bytes(cv2.imencode(".png", chosen.cut)[1].tobytes())
        paths.append(path)
    return paths


def _candidates(
    scan: Scan, person_id: str, models: ModelStore, cancel: CancelToken
) -> tuple[list[_Candidate], list[float]]:
    """Find the best frames turned left, frontal and right, and the brow heights of all."""
    from facepick.faces.mesh import FaceMesh
    from facepick.media.reader import VideoReader

    frames: dict[int, tuple[FloatArray, FloatArray]] = {}
    for track in scan.tracks_of(person_id):
        for row in range(len(track)):
            if track.origin[row] == 0 and track.boxes[row, 3] - track.boxes[row, 1] >= _MIN_FACE_PX:
                frames[int(track.frames[row])] = (track.boxes[row], track.landmarks5[row])
    others = _faces_of_others(scan, person_id, set(frames))
    numbers = sorted(frames)
    wanted = set(numbers[:: max(1, len(numbers) // _LOOKED_AT)])
    mesher = FaceMesh(models)
    brows: list[float] = []
    # The best of the frames turned left, frontal and turned right.
    kept: dict[int, list[_Candidate]] = {-1: [], 0: [], 1: []}
    with VideoReader(scan.video.path, info=scan.video, cancel=cancel) as reader:
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
            yaw = pose_of_mesh(mesh).yaw
            if score < 0.5 or abs(yaw) > _MAX_TURN:
                continue
            face = SourceFace("", cut, local, mesh, score)
            brows.append(_brow_height(mesh))
            side = kept[int(np.sign(yaw)) if abs(yaw) > _OTHER_SIDE else 0]
            side.append(_Candidate(frame.index, cut.copy(), yaw, face.merit, brows[-1]))
            side.sort(key=lambda c: (-c.merit, c.frame))
            del side[_KEPT_A_SIDE:]
    return [c for side in kept.values() for c in side], brows


def _brow_height(mesh: FloatArray) -> float:
    """Measure from the eyes up to the brows, in eye distances."""
    eyes = [mesh[list(ring), :2].mean(axis=0) for ring in (RIGHT_EYE, LEFT_EYE)]
    brows = mesh[list(RIGHT_BROW + LEFT_BROW), :2].mean(axis=0)
    apart = max(float(np.linalg.norm(eyes[0] - eyes[1])), 1e-6)
    return float(np.linalg.norm(brows - (eyes[0] + eyes[1]) / 2)) / apart


def _from_all_sides(judged: Sequence[_Candidate], count: int) -> list[_Candidate]:
    """Choose the best, then those turned furthest left and right, then what differs in time."""
    chosen = [judged[0]]
    for apart, later in ((_OTHER_SIDE, 0), (0.0, _OTHER_MOMENT), (0.0, 1)):
        for one in judged:
            if len(chosen) == count:
                return chosen
            if all(abs(one.yaw - c.yaw) >= apart and abs(one.frame - c.frame) >= later
                   for c in chosen):  # fmt: skip
                chosen.append(one)
    return chosen
