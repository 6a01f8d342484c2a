"""One learning pass over the source for all picked people, before the first frame is drawn.

What was learnt of the same video, tracks and frames is taken up from the store; what is missing is
learnt in one decoding pass, and kept there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facepick.engines.engine import Engine, EngineContext, Observer
from facepick.errors import UserInputError
from facepick.faces.detection import FloatArray
from facepick.models.catalog import FACE_MESH
from facepick.models.store import ModelStore
from facepick.notices import Notice
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressSink
from facepick.render.footage import (
    Locate,
    MeshTable,
    PersonFootage,
    Pupil,
    crop_region,
    learn,
    near_and_well_seen,
)
from facepick.render.geometry import FacePath, FaceState
from facepick.render.learned_store import LearnedStore, path_digest
from facepick.render.plan import Assignment

if TYPE_CHECKING:
    from facepick.media.picture import Picture

__all__ = ["PREVIEW_FRAMES", "Classroom", "KnownMeshes", "Lesson"]

PREVIEW_FRAMES = 250
"""Frames that a preview learns from: ten seconds of a face hold most of what its mouth does, and
take about as long to learn as a clip of thirty seconds takes to transcode."""

_MESH_VERSION = 2
"""Raised when meshes of an earlier version must not be used any more."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One engine that is to change one person.

    Attributes:
        assignment: what the user asked for.
        engine: how it is done.
        footage: makes the requests.
        context: with which the engine's session is opened.
    """

    assignment: Assignment
    engine: Engine
    footage: PersonFootage
    context: EngineContext

    @property
    def folder(self) -> Path:
        """Folder of its files."""
        return self.context.workspace

    def observers(self) -> list[Observer]:
        """List who still has to learn: those whose files are not in the folder."""
        found = self.engine.observers(self.context)
        return [o for o in found if not all((self.folder / f).is_file() for f in o.files)]


class Classroom:
    """The learning pass of one render.

    Args:
        scan: of the video.
        lessons: all engines and people, in the order in which they are applied.
        part: half-open, source frames that are rendered.
        window: half-open, source frames that may be learned from.
        quick: learn from no more than `part` needs, unless all of `window` is known.
        store: where what was learnt is kept.
    """

    def __init__(
        self,
        scan: Scan,
        lessons: Sequence[Lesson],
        *,
        part: tuple[int, int],
        window: tuple[int, int],
        quick: bool,
        store: LearnedStore,
        models: ModelStore,
        progress: ProgressSink,
        cancel: CancelToken,
    ) -> None:
        self._scan, self.lessons, self._store = scan, tuple(lessons), store
        self._part, self._window = np.arange(*part), np.arange(*window)
        self._models, self._progress, self._cancel = models, progress, cancel
        self._frames = self._window
        if quick:
            footages = [lesson.footage for lesson in lessons]
            self._frames = near_and_well_seen(footages, part, window, PREVIEW_FRAMES)

    def learn(self) -> tuple[Notice, ...]:
        """Learn what is missing; gives notices of what was learnt from less than there is.

        Raises:
            Cancelled: the meshes that were found by then are kept.
        """
        for lesson in self.lessons:
            self._take_meshes(lesson)
        frames = self._window
        missing = self._missing(frames)
        if any(missing) and len(self._frames) < len(self._window):
            frames = self._frames
            missing = self._missing(frames)
        locate = None
        pupils = []
        for lesson, observers in zip(self.lessons, missing, strict=True):
            wanted = frames if observers else self._part
            if not observers and not lesson.footage.lacks_meshes(wanted):
                continue
            if lesson.footage.meshes and locate is None:
                locate = mesh_locator(self._models)
            pupils.append(Pupil(lesson.footage, locate, observers))
        if pupils:
            some = frames if any(missing) else self._part
            try:
                learn(
                    self._scan, pupils, some, progress=self._progress, cancel=self._cancel,
                    message=self._message(),
                )  # fmt: skip
            finally:
                for lesson in self.lessons:
                    self._keep_meshes(lesson)
            for lesson, observers in zip(self.lessons, missing, strict=True):
                for observer in observers:
                    self._store.keep(
                        self._key(lesson, observer, frames), lesson.folder, observer.files,
                        what=observer.key, video=self._scan.video.path.name,
                    )  # fmt: skip
        return self._notices(frames)

    def open_learnt(self) -> None:
        """Open what was learnt before, and learn nothing.

        Raises:
            UserInputError: some of it is not there.
        """
        for lesson in self.lessons:
            footage = lesson.footage
            names: list[str] = []
            if footage.spec.needs_mesh:
                names = [name for path in footage.paths for name in MeshTable.files(path)]
            there = all((lesson.folder / name).is_file() for name in names)
            if not there or lesson.observers():
                raise UserInputError(
                    f"What {lesson.engine.spec.id} has learnt about "
                    f"{lesson.context.person.label} is not in {lesson.folder.parent}.",
                    hint="Prepare it again: --prepare.",
                )
            footage.open_meshes()

    def _missing(self, frames: npt.NDArray[np.int64]) -> list[list[Observer]]:
        """List for every lesson the observers whose knowledge of these frames is not stored."""
        for lesson in self.lessons:
            observers = lesson.observers()
            # All or none: what one learns from another must be of the same frames.
            if all(self._store.holds(self._key(lesson, o, frames)) for o in observers):
                for observer in observers:
                    self._store.take(self._key(lesson, observer, frames), lesson.folder)
        return [lesson.observers() for lesson in self.lessons]

    def _key(self, lesson: Lesson, observer: Observer, frames: npt.NDArray[np.int64]) -> list[Any]:
        footage = lesson.footage
        shown = frames[footage.shows(frames)]
        return [
            *self._of_paths(footage),
            hashlib.sha256(np.ascontiguousarray(shown).tobytes()).hexdigest(),
            footage.spec.margin,
            observer.key,
        ]

    def _of_paths(self, footage: PersonFootage) -> list[Any]:
        return _paths_key(self._scan, footage.paths)

    def _take_meshes(self, lesson: Lesson) -> None:
        footage = lesson.footage
        if not footage.spec.needs_mesh:
            return
        names = [name for path in footage.paths for name in MeshTable.files(path)]
        if not all((lesson.folder / name).is_file() for name in names):
            self._store.take([*self._of_paths(footage), "meshes"], lesson.folder, own=True)
        footage.open_meshes()

    def _keep_meshes(self, lesson: Lesson) -> None:
        footage = lesson.footage
        if footage.meshes:
            names = [name for path in footage.paths for name in MeshTable.files(path)]
            key = [*self._of_paths(footage), "meshes"]
            self._store.keep(key, lesson.folder, names, what="meshes")

    def _message(self) -> str:
        return ", ".join(dict.fromkeys(lesson.context.person.label for lesson in self.lessons))

    def _notices(self, frames: npt.NDArray[np.int64]) -> tuple[Notice, ...]:
        found = []
        for lesson in self.lessons:
            if not lesson.footage.meshes:
                continue
            whole = int(lesson.footage.shows(np.arange(self._scan.frames)).sum())
            used = int(lesson.footage.shows(frames).sum())
            if used < whole and len(frames) < len(self._window):
                who = lesson.context.person.label
                found.append(
                    Notice(
                        code="learnt_from_part", person=who, facts={"used": used, "whole": whole}
                    )
                )
        return tuple(found)


def _paths_key(scan: Scan, paths: Sequence[FacePath]) -> list[Any]:
    digests = [path_digest(path) for path in paths]
    return [scan.content_hash, digests, _MESH_VERSION, FACE_MESH.sha256]


class KnownMeshes:
    """Meshes of one person's faces that a render has found and left in the store; read only.

    Args:
        paths: all of the person.
    """

    def __init__(self, store: LearnedStore, scan: Scan, paths: Sequence[FacePath]) -> None:
        key = [*_paths_key(scan, paths), "meshes"]
        self._tables = {}
        for path in paths:
            raw, score = (store.array(key, name) for name in MeshTable.files(path))
            if raw is None or score is None:
                continue
            if raw.shape == (len(path), 468, 3) and score.shape == (len(path),):
                self._tables[path.number] = raw, score

    def at(self, path: int, row: int) -> tuple[FloatArray, float] | None:
        """Give a mesh, (468, 3) float32 display pixels, and its score, as the network gave them;
        None where nobody has looked."""
        raw, score = self._tables.get(path, (None, None))
        if raw is None or score is None or np.isnan(score[row]):
            return None
        return np.array(raw[row], np.float32), float(score[row])


def mesh_locator(models: ModelStore) -> Locate:
    """Open the mesh network; gives what finds the mesh of one face of a picture."""
    from facepick.faces.mesh import FaceMesh

    mesh = FaceMesh(models)

    def locate(
        picture: Picture, state: FaceState, near: FloatArray | None
    ) -> tuple[FloatArray, float] | None:
        # The mesh network looks at 1.5 times the face, rotated: 0.75 on each side holds that.
        region = crop_region(state.box, 0.75, picture.width, picture.height)
        if region is None:
            return None
        x0, y0, x1, y1 = region
        crop = picture.crop(x0, y0, x1, y1, keep=True)
        return mesh.locate(crop, state.landmarks5, (x0, y0), near=near)

    return locate
