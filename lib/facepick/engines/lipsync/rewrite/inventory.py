"""Inventory of a person's mouths: a bounded, well spread set taken from the clip."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.engine import show
from facepick.engines.lipsync.rewrite.features import (
    OUTER_LIP,
    eye_distance,
    in_head_frame,
    mouth_features,
)
from facepick.engines.lipsync.rewrite.small import SmallFaces, usable
from facepick.errors import EngineError
from facepick.faces.detection import FloatArray
from facepick.faces.head_pose import pose_of_mesh
from facepick.progress import CancelToken, never

__all__ = ["Inventory", "InventoryObserver", "Mouth", "learn", "load"]

Array = npt.NDArray[np.float32]

MAX_MOUTHS = 480
"""Nineteen seconds at 25 frames a second.  A mouth of a 1080p close-up takes about 150 kB as PNG:
72 MB on disk."""
PLAIN_BYTES = 300_000
"""Smaller pictures of mouths (up to about 350 x 280) are kept as they are: 144 MB at most, where
compressed ones of a close-up take 72, and a thirtieth of the time."""
REACH = 0.75
"""How far a stored picture reaches around the lips, in eye distances."""
LOOK = (16, 12)
"""Size of the tiny picture by which two mouths are compared."""
CACHED_MOUTHS = 48
VERSION = 3
"""Raised when inventories of an earlier version must not be used any more."""
PACK = "mouths.bin"
TABLE = "mouths.npz"


Read = Callable[[BgrImage, FloatArray, FloatArray | None], Array]
"""Reads the mesh of a mouth off a picture: see `MouthReader.look`."""


@dataclass(frozen=True, eq=False)
class Mouth:
    """One stored mouth.

    Attributes:
        image: (h, w, 3) uint8 BGR, pixels of the clip.
        mesh: (468, 2) float32, the face's mesh in pixels of `image`.
    """

    image: BgrImage
    mesh: FloatArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Inventory:
    """Mouths that were learned of one person.

    Attributes:
        folder: where the pictures lie.
        frames: (n,) int64, source frames in which the person's mesh was seen, rising.
        seconds: (n,) float64, their times.
        shots: (n,) int64.
        shape: (n, 3) float32, opening, width, jaw of each of those frames, eye distances.
        pose: (n, 4) float32, yaw, pitch, roll in degrees and eye distance in pixels.
        reference: (468, 3) float32, the person's mean face in the head frame.
        rows: (k,) int64, the rows of the arrays above that were kept as mouths.
        offsets: (k + 1,) int64, where their pictures begin in the pack.
        mesh: (k, 468, 3) float32, display pixels of the source frame less the picture's origin.
        look: (k, d) float32, tiny grey pictures.
        sharpness: (k,) float32.
    """

    folder: Path
    frames: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    shots: npt.NDArray[np.int64]
    shape: Array
    pose: Array
    reference: Array
    rows: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    mesh: Array
    look: Array
    sharpness: Array
    _cache: dict[int, Mouth] = field(default_factory=dict, repr=False)
    _faces: dict[int, Array] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Inventory({len(self)} mouths of {len(self.frames)} frames)"

    def face(self, k: int) -> Array:
        """Give the face of the k-th stored mouth in the head frame, (468, 3) float32."""
        found = self._faces.get(k)
        if found is None:
            found = self._faces[k] = in_head_frame(self.mesh[k], self.reference)
        return found

    def mouth(self, k: int) -> Mouth:
        """Load the k-th stored mouth."""
        found = self._cache.pop(k, None)
        if found is None:
            import cv2

            with (self.folder / PACK).open("rb") as pack:
                pack.seek(int(self.offsets[k]))
                data = pack.read(int(self.offsets[k + 1] - self.offsets[k]))
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                raise EngineError(
                    f"{self.folder / PACK} is damaged.", hint="Start the job again from scratch."
                )
            found = Mouth(image=np.asarray(image, np.uint8), mesh=self.mesh[k, :, :2])
            if len(self._cache) >= CACHED_MOUTHS:
                del self._cache[next(iter(self._cache))]
        self._cache[k] = found
        return found


@dataclass(frozen=True, eq=False)
class _Kept:
    """A mouth on its way into the inventory."""

    row: int
    key: tuple[int, int]
    cell: tuple[int, ...]
    coded: bytes
    mesh: Array
    look: Array
    sharpness: float
    place: tuple[int, int] = (0, 0)  # In the pile, where `coded` then is.


class _Pile:
    """Coded mouths in a file, in which the place of one that is given away is used again.

    Args:
        file: removed by `close`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream: BinaryIO | None = None
        self._end = 0
        self._free: list[tuple[int, int]] = []

    def put(self, data: bytes) -> tuple[int, int]:
        """Write it down; gives its place and size."""
        if self._stream is None:
            self._stream = open(self._file, "w+b")  # noqa: SIM115
        fitting = [room for room in self._free if room[1] >= len(data)]
        at, size = min(fitting, key=lambda room: room[1]) if fitting else (self._end, len(data))
        if fitting:
            self._free.remove((at, size))
        else:
            self._end += size
        self._stream.seek(at)
        self._stream.write(data)
        return at, len(data)

    def give_up(self, place: tuple[int, int]) -> None:
        """Let the next one have the place."""
        self._free.append(place)

    def take(self, place: tuple[int, int]) -> bytes:
        """Read one."""
        assert self._stream is not None
        self._stream.seek(place[0])
        return self._stream.read(place[1])

    def close(self) -> None:
        """Remove the file."""
        if self._stream is not None:
            self._stream.close()
            self._file.unlink(missing_ok=True)
        self._stream = None


class InventoryObserver:
    """Observer that takes an inventory from the footage; see `Observer`.

    Meshes are read anew, by `read`: those of the requests are averaged over three frames, and lips
    that meet within two would be held to be half open.

    Mouths are sorted into cells of opening, width, yaw, pitch and size.  When there are more
    than `MAX_MOUTHS`, the fullest cell gives one away: the later of the two that lie closest in
    time, so that what stays is spread over shapes, poses and time.

    Args:
        folder: where the inventory is written.
        clear: asked at the end, gives whether the lips of a sighting (by `FaceRequest.key`) are
            clear: a mouth with a finger on it is not kept, or the finger would be shown elsewhere.
        cancel: looked at now and then.
        masker: what `clear` goes by, a part of `key`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        read: Read,
        clear: Callable[[], Callable[[tuple[int, int]], bool]] | None = None,
        cancel: CancelToken = never,
        masker: str = "",
    ) -> None:
        self.key = f"inventory {VERSION} {masker}"
        self.files: tuple[str, ...] = (PACK, TABLE)
        self._folder, self._read, self._clear, self._cancel = folder, read, clear, cancel
        self._frames: list[int] = []
        self._seconds: list[float] = []
        self._shots: list[int] = []
        self._shapes: list[Array] = []
        self._poses: list[tuple[float, float, float, float]] = []
        self._total = np.zeros((468, 3))
        self._cells: dict[tuple[int, ...], list[_Kept]] = defaultdict(list)
        self._count = 0
        self._small = SmallFaces(folder)
        self._pile = _Pile(folder / (PACK + ".pile"))

    def see(self, request: FaceRequest) -> None:
        """See `Observer`."""
        last = self._frames[-1] if self._frames else -1
        if not usable(request):
            return
        self._small.add(request)
        if request.source_frame <= last:
            return
        self._cancel.raise_if_cancelled()
        assert request.mesh is not None
        origin = np.array([*request.origin, 0], np.float32)
        own = None if request.own_mesh is None else request.own_mesh - origin
        mesh = self._read(request.crop, request.mesh - origin, own)
        pose, unit = pose_of_mesh(mesh), eye_distance(mesh)
        face = in_head_frame(mesh)
        shape = mouth_features(face)
        turn = (pose.yaw, pose.pitch)
        kept = _cut(request, mesh, len(self._frames), unit, shape, turn)
        self._frames.append(request.source_frame)
        self._seconds.append(float(request.time))
        self._shots.append(request.shot)
        self._shapes.append(shape)
        self._poses.append((*turn, pose.roll, unit))
        self._total += face
        if kept is None:
            return
        # Pictures wait on disk: all together they would be more than the rest of the work needs.
        kept = replace(kept, place=self._pile.put(kept.coded), coded=b"")
        self._cells[kept.cell].append(kept)
        self._count += 1
        if self._count > MAX_MOUTHS:
            self._pile.give_up(_thin(self._cells).place)
            self._count -= 1

    def done(self) -> None:
        """See `Observer`; an inventory without mouths says that there are none."""
        self._cancel.raise_if_cancelled()
        clear = None if self._clear is None else self._clear()
        mouths = sorted(
            (m for c in self._cells.values() for m in c if clear is None or clear(m.key)),
            key=lambda m: m.row,
        )
        ends = np.cumsum([0, *(m.place[1] for m in mouths)])
        part = self._folder / (PACK + ".part")
        with part.open("wb") as pack:
            for mouth in mouths:
                pack.write(self._pile.take(mouth.place))
        self._pile.close()
        part.replace(self._folder / PACK)
        size = LOOK[0] * LOOK[1]
        table: dict[str, Any] = {
            "frames": np.asarray(self._frames, np.int64),
            "seconds": np.asarray(self._seconds, np.float64),
            "shots": np.asarray(self._shots, np.int64),
            "shape": np.asarray(self._shapes, np.float32).reshape(-1, 3),
            "pose": np.asarray(self._poses, np.float32).reshape(-1, 4),
            "reference": np.asarray(self._total / max(1, len(self._frames)), np.float32),
            "rows": np.asarray([m.row for m in mouths], np.int64),
            "offsets": ends.astype(np.int64),
            "mesh": np.asarray([m.mesh for m in mouths], np.float32).reshape(-1, 468, 3),
            "look": np.asarray([m.look for m in mouths], np.float32).reshape(-1, size),
            "sharpness": np.asarray([m.sharpness for m in mouths], np.float32),
        }
        part = self._folder / ("part_" + TABLE)
        np.savez(part, **table)
        part.replace(self._folder / TABLE)
        self._small.done()

    def drop(self) -> None:
        """See `Observer`."""
        self._small.drop()
        self._pile.close()


def learn(
    footage: Iterable[FaceRequest],
    folder: Path,
    *,
    read: Read,
    clear: Callable[[tuple[int, int]], bool] | None = None,
    cancel: CancelToken = never,
) -> Inventory | None:
    """Take an inventory from footage that is shown to nobody else.

    None when the mesh was seen nowhere, or no mouth was `clear`.
    """
    decide = None if clear is None else lambda: clear
    show(footage, [InventoryObserver(folder, read=read, clear=decide, cancel=cancel)])
    found = load(folder)
    return found if found is not None and len(found) else None


def load(folder: Path) -> Inventory | None:
    """Load an inventory learned earlier, or None."""
    if not (folder / TABLE).is_file() or not (folder / PACK).is_file():
        return None
    with np.load(folder / TABLE, allow_pickle=False) as file:
        return Inventory(folder=folder, **{name: file[name] for name in file.files})


def _cut(
    request: FaceRequest,
    mesh: Array,
    row: int,
    scale: float,
    shape: Array,
    turn: tuple[float, float],
) -> _Kept | None:
    """Cut out the picture around the lips; None when it reaches out of the crop by more than a
    little."""

    lips = mesh[list(OUTER_LIP), :2]
    reach = REACH * scale
    height, width = request.crop.shape[:2]
    x0, y0 = (int(v) for v in np.maximum(np.floor(lips.min(axis=0) - reach), 0))
    x1, y1 = (int(v) for v in np.minimum(np.ceil(lips.max(axis=0) + reach), (width, height)))
    low, high = lips.min(axis=0), lips.max(axis=0)
    inside = low.min() >= 0 and high[0] < width and high[1] < height
    if not inside or x1 - x0 < 8 or y1 - y0 < 8:
        return None
    image = request.crop[y0:y1, x0:x1]
    coded = _coded(image)
    look, sharpness = _look(request.crop, mesh)
    yaw, pitch = turn
    cell = (
        int(shape[0] / 0.02),
        int(shape[1] / 0.03),
        round(yaw / 7),
        round(pitch / 7),
        round(float(np.log(scale)) / 0.35),
    )
    return _Kept(
        row=row,
        key=request.key,
        cell=cell,
        coded=coded,
        mesh=mesh - np.array([x0, y0, 0], np.float32),
        look=look,
        sharpness=sharpness,
    )


def _coded(image: BgrImage) -> bytes:
    """Encode a mouth without loss: a small one as it is, which takes a fiftieth of the time."""
    import cv2

    if image.nbytes <= PLAIN_BYTES:
        _, data = cv2.imencode(".bmp", image)
    else:
        _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()


def _look(crop: BgrImage, mesh: Array) -> tuple[Array, float]:
    """Make a tiny upright picture of the mouth with even light, and measure its sharpness."""
    import cv2

    left, right = mesh[33, :2], mesh[263, :2]
    centre = (mesh[61, :2] + mesh[291, :2]) / 2
    across = right - left
    unit = max(float(np.hypot(*across)), 1.0)
    x = across / unit
    # 0.9 eye distances across, 0.675 down, turned upright.
    step = 0.9 * unit / LOOK[0]
    down = np.array([-x[1], x[0]])
    middle = centre - x * step * (LOOK[0] - 1) / 2 - down * step * (LOOK[1] - 1) / 2
    inverse = np.column_stack([x * step, down * step, middle])
    sigma = max(0.3, step / 2)
    # What the tiny picture and the square below take up: 0.35 by 0.53 eye distances at most, and
    # what the blur reads beyond, four sigmas.
    reach = 0.65 * unit + 4 * sigma + 2
    first = np.maximum(centre - reach, 0).astype(int)
    last = np.maximum(centre + reach + 1, 0).astype(int)
    around = crop[first[1] : last[1], first[0] : last[0]]
    grey = cv2.cvtColor(np.ascontiguousarray(around), cv2.COLOR_BGR2GRAY)
    inverse[:, 2] -= first
    blurred = cv2.GaussianBlur(grey, (0, 0), sigma)
    tiny = cv2.warpAffine(
        blurred,
        inverse,
        LOOK,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    tiny -= tiny.mean()
    look = (tiny / max(float(tiny.std()), 4.0)).ravel()
    x0, y0 = (int(v) for v in np.maximum(centre - 0.35 * unit, 0) - first)
    x1, y1 = (int(v) for v in np.maximum(centre + 0.35 * unit, 0) - first)
    mouth = grey[y0:y1, x0:x1]
    if mouth.size < 16:
        return look, 0.0
    return look, float(cv2.Laplacian(mouth, cv2.CV_32F).var())


def _thin(cells: dict[tuple[int, ...], list[_Kept]]) -> _Kept:
    """Take one mouth out of the fullest cell."""
    cell = max(cells.values(), key=len)
    rows = np.array([m.row for m in cell])
    return cell.pop(int(np.argmin(np.diff(rows))) + 1 if len(rows) > 1 else 0)
