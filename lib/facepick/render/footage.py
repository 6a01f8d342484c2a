"""Requests that engines get, made from pictures and paths."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest
from facepick.engines.decisions import GAP_SECONDS
from facepick.engines.engine import EngineSpec, Observer, dropped_on_failure
from facepick.faces.detection import Box, FloatArray
from facepick.media.reader import VideoReader
from facepick.people.person import Person, Scan
from facepick.people.track import BRIDGED
from facepick.progress import CancelToken, ProgressMeter, ProgressSink
from facepick.render.geometry import FacePath, FaceState, Others, paths_of
from facepick.render.pipeline import prefetched

if TYPE_CHECKING:
    from facepick.media.picture import Picture

__all__ = ["MeshTable", "PersonFootage", "Pupil", "decoded", "learn", "near_and_well_seen"]

MESH_KERNEL = (0.2, 0.6, 0.2)
"""Weights of the frame before, the frame itself and the frame after: takes the network's noise
(about half a pixel) down by a third and leaves lip closures of two frames visible."""

MESH_SCORE = 0.5
"""Below this the mesh network itself holds its points to be no face."""


FRESH = 8
"""Frames, see `MeshTable.near`: an eighth of the second looks that this saves is made again."""


class MeshTable:
    """The 468-point meshes of one path as the network gave them, kept in a file.

    Memory stays flat in the length of the video: 468 points x 3 x 4 bytes = 5.6 kB a frame on
    disk, 84 MB for ten minutes at 25 frames a second.

    Attributes:
        path: whose rows these are.
        raw: (n, 468, 3) float32, display pixels, one row per row of the path.
        score: (n,) float32; NaN where nobody has looked yet, 0 where no mesh was found.
        seconds: (n,) times of the rows.
    """

    def __init__(
        self,
        path: FacePath,
        raw: FloatArray,
        score: FloatArray,
        folder: Path,
        seconds: npt.NDArray[np.float64],
    ) -> None:
        self.path = path
        self.seconds = seconds
        self.raw = raw
        self.score = score
        self._folder = folder

    @staticmethod
    def files(path: FacePath) -> tuple[str, str]:
        """Name the two files of a path's table."""
        return f"path{path.number}.raw.npy", f"path{path.number}.score.npy"

    @classmethod
    def open(cls, folder: Path, path: FacePath, seconds: npt.NDArray[np.float64]) -> MeshTable:
        """Open the table in `folder`, or begin an empty one.

        Args:
            seconds: (n,) times of the path's rows.
        """
        raw_name, score_name = cls.files(path)
        shape = (len(path), 468, 3)
        try:
            score = np.load(folder / score_name, allow_pickle=False)
            raw = np.load(folder / raw_name, mmap_mode="r+", allow_pickle=False)
            if score.shape == shape[:1] and raw.shape == shape and raw.dtype == np.float32:
                return cls(path, raw, score, folder, seconds)
        except (OSError, ValueError):
            pass
        raw = np.lib.format.open_memmap(folder / raw_name, mode="w+", dtype=np.float32, shape=shape)
        score = np.full(len(path), np.nan, np.float32)
        return cls(path, raw, score, folder, seconds)

    def lacks(self, frames: npt.NDArray[np.int64]) -> bool:
        """Tell whether nobody has looked at the face in some of these source frames."""
        rows = np.isin(self.path.frames, frames)
        return bool(np.isnan(self.score[rows]).any())

    def store(self) -> None:
        """Write down what is there; a later run goes on with it."""
        if isinstance(self.raw, np.memmap):
            self.raw.flush()
        # The scores are written last: they say which meshes there are.
        name = self.files(self.path)[1]
        part = self._folder / f"part_{name}"
        np.save(part, self.score)
        part.replace(self._folder / name)

    def at(self, row: int, *, bridge: bool = False) -> tuple[FloatArray | None, float]:
        """Give the smoothed mesh of a row, (468, 3), and its score; None below `MESH_SCORE`.

        Args:
            bridge: where the network has lost a face for a moment that the tracker still saw, the
                meshes on both sides stand in for its own; the score stays low.
        """
        score = float(np.nan_to_num(self.score[row]))
        if score < MESH_SCORE:
            return (self._between(row) if bridge else None), score
        return np.array(_smoothed(self.raw, self.score, self.path, row), np.float32), score

    def own(self, row: int) -> FloatArray | None:
        """Give the mesh of a row as the network gave it, (468, 3); None below `MESH_SCORE`."""
        if not self.score[row] >= MESH_SCORE:
            return None
        return np.array(self.raw[row], np.float32)

    def near(self, row: int) -> FloatArray | None:
        """Guess the mesh of a row, (468, 3), from that of the frame before; None without one.

        Every `FRESH`-th frame of the source is found anew: a preview, which looks at parts of a
        clip, finds the same as a render but for a few frames where a part begins.
        """
        before, path = row - 1, self.path
        if (
            path.frames[row] % FRESH == 0
            or before < 0
            or path.frames[row] - path.frames[before] != 1
            or path.shots[row] != path.shots[before]
            or not self.score[before] >= MESH_SCORE
        ):
            return None
        shift = path.landmarks5[row].mean(0) - path.landmarks5[before].mean(0)
        return np.asarray(self.raw[before] + np.append(shift, 0.0), np.float32)

    def _between(self, row: int) -> FloatArray | None:
        """Interpolate the mesh of a row over a gap of at most `GAP_SECONDS`, (468, 3)."""
        sides = []
        for step in (-1, 1):
            i = row
            while 0 <= i < len(self.path) and not self.score[i] >= MESH_SCORE:
                # Nobody saw it there, or nobody has looked yet.
                if self.path.seen[i] == BRIDGED or np.isnan(self.score[i]):
                    return None
                i += step
            if not 0 <= i < len(self.path):
                return None
            sides.append(i)
        first, last = sides
        frames, shots = self.path.frames[first : last + 1], self.path.shots[first : last + 1]
        length = self.seconds[last] - self.seconds[first]
        lost = length * (last - first - 1) / (last - first)
        if (np.diff(frames) != 1).any() or shots[0] != shots[-1] or lost > GAP_SECONDS:
            return None
        share = (self.seconds[row] - self.seconds[first]) / length
        meshes = []
        for i in sides:
            shift = self.path.landmarks5[row].mean(0) - self.path.landmarks5[i].mean(0)
            meshes.append(self.raw[i] + np.append(shift, 0.0))
        return np.asarray((1 - share) * meshes[0] + share * meshes[1], np.float32)


def _smoothed(raw: FloatArray, score: FloatArray, path: FacePath, row: int) -> FloatArray:
    total = np.zeros((468, 3), np.float64)
    weight = 0.0
    for offset, share in zip((-1, 0, 1), MESH_KERNEL, strict=True):
        i = row + offset
        if (
            0 <= i < len(path)
            and path.frames[i] - path.frames[row] == offset
            and path.shots[i] == path.shots[row]
            and score[i] >= MESH_SCORE
        ):
            # Neighbours are moved along with the face, so that only its shape is averaged.
            shift = path.landmarks5[row].mean(0) - path.landmarks5[i].mean(0)
            total += share * (raw[i] + np.append(shift, 0.0))
            weight += share
    return (total / weight).astype(np.float32)


Locate = Callable[["Picture", FaceState, FloatArray | None], tuple[FloatArray, float] | None]
"""Finds the mesh of one face of a picture, about where a mesh (468, 3) is, if one is given."""


class PersonFootage:
    """Footage of one person, as requests for one engine.

    Args:
        scan: the result of the first pass.
        person: whose requests.
        spec: what the engine wants to see.
        folder: where meshes are kept.
        hidden: ids of people of whom nothing is to be spared, see `Others`.
    """

    def __init__(
        self,
        scan: Scan,
        person: Person,
        spec: EngineSpec,
        folder: Path,
        *,
        hidden: Collection[str] = (),
    ) -> None:
        self.scan = scan
        self.person = person
        self.spec = spec
        self.folder = folder
        self.paths = paths_of(scan, person, cover_gaps=spec.covers_gaps)
        self._others = Others(scan, person, hidden)
        self.meshes: tuple[MeshTable, ...] = ()
        self._start_pts = int(scan.pts[0]) if scan.frames else 0

    def open_meshes(self) -> None:
        """Open the tables of meshes, if the engine wants meshes."""
        if self.spec.needs_mesh and not self.meshes:
            seconds = self.scan.pts.astype(np.float64) * float(self.scan.video.time_base)
            self.meshes = tuple(
                MeshTable.open(self.folder, path, seconds[path.frames]) for path in self.paths
            )

    def lacks_meshes(self, frames: npt.NDArray[np.int64]) -> bool:
        """Tell whether meshes of these source frames have still to be found."""
        return any(table.lacks(frames) for table in self.meshes)

    def find_meshes(self, frame: int, picture: Picture, locate: Locate) -> None:
        """Find the meshes of one frame, unless they are there."""
        for path, table in zip(self.paths, self.meshes, strict=False):
            state = path.at(frame)
            if state is None or not np.isnan(table.score[state.row]):
                continue
            found = locate(picture, state, table.near(state.row))
            if found is None:
                table.score[state.row] = 0.0
            else:
                table.raw[state.row], table.score[state.row] = found

    def store_meshes(self) -> None:
        """Write down the meshes that are known by now."""
        for table in self.meshes:
            table.store()

    def prepare(
        self,
        locate: Locate,
        *,
        frames: tuple[int, int],
        progress: ProgressSink,
        cancel: CancelToken,
    ) -> None:
        """Find the meshes that the engine wants in one decoding pass, unless they are there.

        Args:
            frames: the half-open part of the source that will be rendered.
        """
        self.open_meshes()
        wanted = np.arange(*frames)
        if self.lacks_meshes(wanted):
            learn(self.scan, [Pupil(self, locate, ())], wanted, progress=progress, cancel=cancel)

    def requests(
        self,
        frame: int,
        picture: Picture,
        *,
        output_frame: int,
        time: Fraction,
        bridge: bool = True,
    ) -> list[FaceRequest]:
        """Make the requests of this person for one source frame; none when the person is not there.

        Args:
            frame: index in the source.
            picture: the pixels that the engine shall see.
            output_frame, time: index and time in the output.
            bridge: see `MeshTable.at`; not for those who learn from what they see.
        """
        found = []
        for i, path in enumerate(self.paths):
            state = path.at(frame)
            if state is None:
                continue
            mesh, score, own = (None, 0.0, None)
            if self.meshes:
                mesh, score = self.meshes[i].at(state.row, bridge=bridge)
                own = self.meshes[i].own(state.row)
            request = self._request(state, mesh, score, own, picture, output_frame, time)
            if request is not None:
                found.append(request)
        return found

    def _request(
        self,
        state: FaceState,
        mesh: FloatArray | None,
        score: float,
        own: FloatArray | None,
        picture: Picture,
        output_frame: int,
        time: Fraction,
    ) -> FaceRequest | None:
        region = crop_region(state.box, self.spec.margin, picture.width, picture.height)
        if region is None:
            return None
        x0, y0, x1, y1 = region
        return FaceRequest(
            path=state.path,
            row=state.row,
            frame=output_frame,
            time=time,
            crop=picture.crop(x0, y0, x1, y1),
            origin=(x0, y0),
            box=state.box,
            landmarks5=state.landmarks5,
            mesh=mesh,
            mesh_score=score,
            own_mesh=own,
            confidence=state.confidence,
            seen=state.seen,
            shot=state.shot,
            others=self._others.at(state.frame),
            source_frame=state.frame,
        )

    def time_of(self, frame: int) -> Fraction:
        """Compute the seconds since the first frame of the source, exactly."""
        return (int(self.scan.pts[frame]) - self._start_pts) * self.scan.video.time_base

    def stream(self, frames: tuple[int, int], cancel: CancelToken) -> Iterator[FaceRequest]:
        """Stream the person's requests over a part of the source, in time order (one decoding
        pass)."""
        yield from self.stream_of(np.arange(*frames), cancel)

    def stream_of(
        self, frames: npt.NDArray[np.int64], cancel: CancelToken
    ) -> Iterator[FaceRequest]:
        """Stream the person's requests of some source frames (rising), in time order."""
        for i, picture in decoded(self.scan, frames[self.shows(frames)], cancel):
            yield from self.requests(i, picture, output_frame=i, time=self.time_of(i), bridge=False)

    def shows(self, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell in which of these source frames the person is, (n,)."""
        there = np.zeros(len(frames), bool)
        for path in self.paths:
            there |= np.isin(frames, path.frames)
        return there

    def models(self) -> Sequence[str]:
        """List ids of the models this footage itself uses."""
        return ("face_mesh",) if self.spec.needs_mesh else ()


@dataclass(frozen=True, eq=False)
class Pupil:
    """One person and engine in a learning pass.

    Attributes:
        footage: makes the requests.
        locate: finds meshes; None when the engine wants none.
        observers: are shown every request, in this order.
    """

    footage: PersonFootage
    locate: Locate | None
    observers: Sequence[Observer]


def learn(
    scan: Scan,
    pupils: Sequence[Pupil],
    frames: npt.NDArray[np.int64],
    *,
    progress: ProgressSink,
    cancel: CancelToken,
    message: str = "",
) -> None:
    """Decode once and show what is seen to the observers of all picked people.

    Meshes that are missing are found on the way; those that are found before the work is stopped
    are written down.

    Args:
        frames: source frames to learn from, rising.
        message: for people who watch.

    Raises:
        Cancelled: the user stopped it.
    """
    there = np.zeros(len(frames), bool)
    for pupil in pupils:
        there |= pupil.footage.shows(frames)
    frames = frames[there]
    meter = ProgressMeter(progress, "prepare", len(frames))
    observers = [observer for pupil in pupils for observer in pupil.observers]
    with dropped_on_failure(observers):
        try:
            _show_all(scan, pupils, frames, meter, cancel, message)
        finally:
            for pupil in pupils:
                pupil.footage.store_meshes()
        for observer in observers:
            observer.done()


def _show_all(
    scan: Scan,
    pupils: Sequence[Pupil],
    frames: npt.NDArray[np.int64],
    meter: ProgressMeter,
    cancel: CancelToken,
    message: str,
) -> None:
    held: tuple[int, Picture] | None = None
    for count, (frame, picture) in enumerate(decoded(scan, frames, cancel)):
        meter.update(count, message=message)
        for pupil in pupils:
            if pupil.locate is not None:
                pupil.footage.find_meshes(frame, picture, pupil.locate)
        # A frame's mesh is smoothed with those beside it: it is shown when the next is known.
        if held is not None:
            _show(pupils, *held)
        held = frame, picture
    if held is not None:
        _show(pupils, *held)
    meter.update(len(frames), message=message)


def _show(pupils: Sequence[Pupil], frame: int, picture: Picture) -> None:
    for pupil in pupils:
        if not pupil.observers:
            continue
        footage = pupil.footage
        time = footage.time_of(frame)
        seen = footage.requests(frame, picture, output_frame=frame, time=time, bridge=False)
        for request in seen:
            for observer in pupil.observers:
                observer.see(request)


SEEK_GAP = 50
"""Frames between two wanted ones that are decoded rather than jumped over: two seconds at 25 frames
a second, and keyframes mostly lie further apart."""

AHEAD = 8
"""Decoded pictures that wait: 11 MB at 720p, 100 at 2160p."""


def decoded(
    scan: Scan, frames: npt.NDArray[np.int64], cancel: CancelToken
) -> Iterator[tuple[int, Picture]]:
    """Decode some frames of the source (rising) in a thread of its own; gives (frame, picture).

    Raises:
        Cancelled: the user stopped it.
    """
    pictures = prefetched(_decoded(scan, frames, cancel), depth=AHEAD)
    try:
        yield from pictures
    finally:
        pictures.close()  # type: ignore[attr-defined]


def _decoded(
    scan: Scan, frames: npt.NDArray[np.int64], cancel: CancelToken
) -> Iterator[tuple[int, Picture]]:
    if not len(frames):
        return
    for run in np.split(frames, np.flatnonzero(np.diff(frames) > SEEK_GAP) + 1):
        wanted, last = set(run.tolist()), int(run[-1])
        with VideoReader(scan.video.path, info=scan.video, cancel=cancel) as reader:
            for frame in reader.frames(start=int(run[0]), pts=scan.pts.tolist()):
                cancel.raise_if_cancelled()
                if frame.index in wanted:
                    yield frame.index, frame.picture
                if frame.index >= last:
                    break


def near_and_well_seen(
    footages: Sequence[PersonFootage],
    part: tuple[int, int],
    within: tuple[int, int],
    count: int,
) -> npt.NDArray[np.int64]:
    """Choose source frames to learn from for a part: all of its own, then near and well seen ones.

    Blocks of a second are taken, so that what is compared from frame to frame can be.

    Args:
        part: half-open, of the source.
        within: half-open; frames outside are not taken.
        count: about how many frames that show a picked person are enough.

    Returns:
        (n,) rising.
    """
    frames = np.arange(*within)
    seen = np.zeros(len(frames))
    for footage in footages:
        for path in footage.paths:
            sure = np.where(path.seen == BRIDGED, 0.0, path.confidence)
            inside = (path.frames >= within[0]) & (path.frames < within[1])
            places = path.frames[inside] - within[0]
            seen[places] = np.maximum(seen[places], sure[inside])
    own = (frames >= part[0]) & (frames < part[1])
    blocks = np.array_split(np.flatnonzero(~own), max(1, int((~own).sum()) // BLOCK))

    def cost(rows: npt.NDArray[np.int64]) -> float:
        away = min(abs(frames[rows] - part[0]).min(), abs(frames[rows] - part[1] + 1).min())
        return float(away + WELL_SEEN * (1 - seen[rows].mean()))

    taken = own.copy()
    for rows in sorted((b for b in blocks if len(b)), key=cost):
        if np.count_nonzero(seen[taken]) >= count:
            break
        taken[rows] = seen[rows] > 0
    return frames[taken]


BLOCK = 25
WELL_SEEN = 250
"""A block in which nobody is seen is as little worth as one that lies ten seconds further off."""


def crop_region(
    box: Box, margin: float, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Grow the box by `margin`, as whole pixels inside the picture; None when nothing is left."""
    grown = box.grown(margin)
    x0, y0 = max(0, int(np.floor(grown.x0))), max(0, int(np.floor(grown.y0)))
    x1, y1 = min(width, int(np.ceil(grown.x1))), min(height, int(np.ceil(grown.y1)))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    return x0, y0, x1, y1
