"""Requests that engines get, made from pictures and paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import EngineSpec
from facepick.faces.detection import Box, FloatArray
from facepick.media.reader import VideoReader
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink
from facepick.render.geometry import FacePath, FaceState, Others, paths_of

if TYPE_CHECKING:
    from facepick.media.picture import Picture

__all__ = ["MeshTable", "PersonFootage"]

MESH_KERNEL = (0.2, 0.6, 0.2)
"""Weights of the frame before, the frame itself and the frame after: takes the network's noise
(about half a pixel) down by a third and leaves lip closures of two frames visible."""

MESH_SCORE = 0.5
"""Below this the mesh network itself holds its points to be no face."""


class MeshTable:
    """The 468-point meshes of one path, kept in a file and read through memory mapping.

    Memory stays flat in the length of the video: 468 points x 3 x 4 bytes = 5.6 kB a frame on
    disk, 84 MB for ten minutes at 25 frames a second.

    Attributes:
        mesh: (n, 468, 3) float32, display pixels, one row per row of the path.
        score: (n,) float32; 0 where no mesh was found.
    """

    def __init__(self, mesh: FloatArray, score: FloatArray) -> None:
        self.mesh = mesh
        self.score = score

    @classmethod
    def load(cls, folder: Path, name: str, rows: int) -> MeshTable | None:
        """Load a table finished earlier, or None."""
        score_file = folder / f"{name}.score.npy"
        if not score_file.is_file():
            return None
        try:
            score = np.load(score_file, allow_pickle=False)
            mesh = np.load(folder / f"{name}.mesh.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            return None
        if score.shape != (rows,) or mesh.shape != (rows, 468, 3):
            return None
        return cls(mesh, score)

    @classmethod
    def build(
        cls,
        folder: Path,
        name: str,
        path: FacePath,
        locate: Callable[[int, Picture, FaceState], tuple[FloatArray, float] | None],
        pictures: Iterator[tuple[int, Picture]],
    ) -> MeshTable:
        """Locate the mesh in every picture of `path`, smooth it, and keep it in `folder`."""
        raw = np.lib.format.open_memmap(
            folder / f"{name}.raw.npy", mode="w+", dtype=np.float32, shape=(len(path), 468, 3)
        )
        score = np.zeros(len(path), np.float32)
        for frame, picture in pictures:
            state = path.at(frame)
            if state is None:
                continue
            found = locate(frame, picture, state)
            if found is not None:
                raw[state.row], score[state.row] = found
        smooth = np.lib.format.open_memmap(
            folder / f"{name}.mesh.npy", mode="w+", dtype=np.float32, shape=raw.shape
        )
        for row in range(len(path)):
            smooth[row] = _smoothed(raw, score, path, row)
        smooth.flush()
        del raw, smooth
        (folder / f"{name}.raw.npy").unlink()
        # The scores are written last: their file says that the table is whole.
        part = folder / f"{name}.score.part.npy"
        np.save(part, score)
        part.replace(folder / f"{name}.score.npy")
        table = cls.load(folder, name, len(path))
        assert table is not None
        return table


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
    if weight == 0.0 or score[row] < MESH_SCORE:
        return np.asarray(raw[row])
    return (total / weight).astype(np.float32)


class PersonFootage:
    """Footage of one person, as requests for one engine.

    Args:
        scan: the result of the first pass.
        person: whose requests.
        spec: what the engine wants to see.
        folder: where meshes are kept.
    """

    def __init__(self, scan: Scan, person: Person, spec: EngineSpec, folder: Path) -> None:
        self.scan = scan
        self.person = person
        self.spec = spec
        self.folder = folder
        self.paths = paths_of(scan, person, cover_gaps=spec.covers_gaps)
        self._others = Others(scan, person)
        self._meshes: tuple[MeshTable | None, ...] = (None,) * len(self.paths)
        self._start_pts = int(scan.pts[0]) if scan.frames else 0

    def prepare(
        self,
        locate: Callable[[Picture, FaceState], tuple[FloatArray, float] | None],
        *,
        frames: tuple[int, int],
        progress: ProgressSink,
        cancel: CancelToken,
    ) -> None:
        """Find the meshes that the engine wants, in one decoding pass, unless they are there.

        Args:
            locate: finds the mesh of one face of a picture.
            frames: the half-open part of the source that will be rendered.
        """
        if not self.spec.needs_mesh:
            return
        tables = []
        for i, path in enumerate(self.paths):
            name = f"path{i}"
            table = MeshTable.load(self.folder, name, len(path))
            if table is None:
                meter = ProgressMeter(progress, "prepare", frames[1] - frames[0])
                table = MeshTable.build(
                    self.folder,
                    name,
                    path,
                    lambda _frame, picture, state: locate(picture, state),
                    self._pictures(frames, meter, cancel),
                )
            tables.append(table)
        self._meshes = tuple(tables)

    def _pictures(
        self, frames: tuple[int, int], meter: ProgressMeter, cancel: CancelToken
    ) -> Iterator[tuple[int, Picture]]:
        with VideoReader(self.scan.video.path, cancel=cancel) as reader:
            pts = self.scan.pts.tolist()
            for frame in reader.frames(start=frames[0], pts=pts):
                if frame.index >= frames[1]:
                    return
                cancel.raise_if_cancelled()
                meter.update(frame.index - frames[0], message=self.person.label)
                yield frame.index, frame.picture

    def requests(
        self, frame: int, picture: Picture, *, output_frame: int, time: Fraction
    ) -> list[FaceRequest]:
        """Make the requests of this person for one source frame; none when the person is not there.

        Args:
            frame: index in the source.
            picture: the pixels that the engine shall see.
            output_frame, time: index and time in the output.
        """
        found = []
        for path, meshes in zip(self.paths, self._meshes, strict=True):
            state = path.at(frame)
            if state is None:
                continue
            request = self._request(state, meshes, picture, output_frame, time)
            if request is not None:
                found.append(request)
        return found

    def _request(
        self,
        state: FaceState,
        meshes: MeshTable | None,
        picture: Picture,
        output_frame: int,
        time: Fraction,
    ) -> FaceRequest | None:
        region = crop_region(state.box, self.spec.margin, picture.width, picture.height)
        if region is None:
            return None
        x0, y0, x1, y1 = region
        mesh, score = None, 0.0
        if meshes is not None:
            score = float(meshes.score[state.row])
            if score >= MESH_SCORE:
                mesh = np.array(meshes.mesh[state.row], dtype=np.float32)
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
        with VideoReader(self.scan.video.path, cancel=cancel) as reader:
            for frame in reader.frames(start=frames[0], pts=self.scan.pts.tolist()):
                if frame.index >= frames[1]:
                    return
                cancel.raise_if_cancelled()
                i = frame.index
                yield from self.requests(i, frame.picture, output_frame=i, time=self.time_of(i))

    def models(self) -> Sequence[str]:
        """List ids of the models this footage itself uses."""
        return ("face_mesh",) if self.spec.needs_mesh else ()


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
