"""Interface of everything that changes a face.

To add an engine: a folder with the engine, an `EngineSpec`, one line in
`facepick.engines.registry`, and the contract suite ``tests/contracts/test_engine_contract.py``
must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FacePatch, FaceRequest, Reason
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore
from facepick.notices import Notice
from facepick.people.person import Person, Scan
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.speech.line import Speech, SpeechLine

__all__ = [
    "CountingSession",
    "Engine",
    "EngineContext",
    "EngineResult",
    "EngineSession",
    "EngineSpec",
    "Flow",
]

Flow = Literal["hide", "lipsync", "swap"]
EngineResult = FacePatch | Reason | None


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """Description of an engine for the menus, the renderer and the documentation.

    Attributes:
        id: as in ``--engine`` (for hide: ``--style``).
        flow: the flow it belongs to; ids are unique within a flow.
        label: name for a person.
        help: one sentence: what it does and when to take it.
        settings: frozen dataclass made with `facepick.settings.setting`.
        models: model files it needs; empty for a built-in engine.
        notices: what of the speech it cannot use, given settings and lines, told before the work.
        needs_mesh: requests shall carry the 468-point mesh.
        needs_audio: the assignment must bring speech.
        needs_source: the assignment must bring a source face.
        needs_consent: the assignment must bring the statement that both faces may be used, and no
            frame may be changed that shows nudity.
        shows_source_face: the result shows the source's face, so that its likeness can be measured.
        margin: how far the crop reaches past the face box on each side, as a share of its size.
        covers_gaps: whether frames in which the face is only guessed to be (bridged gaps, just
            before entering and after leaving) are given too.  True for hide, where a missed
            frame is the worst failure; False where a guess would be visible.
        prepares: stages that `Engine.open` reports beyond the learning pass, see `Progress.stage`.
        synthetic: whether the result shows a face that was never filmed, so that provenance
            marks are due.
        licence: SPDX id or words, of engine and weights.
        commercial_use: whether that licence allows it.
    """

    id: str
    flow: Flow
    label: str
    help: str
    settings: type[Any]
    models: tuple[ModelSpec, ...] = ()
    notices: Callable[[Any, Sequence[SpeechLine]], Sequence[Notice]] | None = None
    needs_mesh: bool = False
    needs_audio: bool = False
    needs_source: bool = False
    needs_consent: bool = False
    shows_source_face: bool = False
    margin: float = 0.5
    covers_gaps: bool = False
    prepares: tuple[str, ...] = ()
    synthetic: bool = True
    licence: str = "MIT"
    commercial_use: bool = True


class Observer(Protocol):
    """A part of an engine that learns from a person's footage while it is decoded once.

    The renderer shows one pass over the source to the observers of all picked people, and keeps
    what each has written: the next preview, another setting, and the render take it up again.

    Attributes:
        key: what is learnt: its name, its version, and whatever decides what comes of it besides
            the footage; nothing that only decides how it is drawn.
        files: names of the files in the workspace that `done` writes, and nobody changes later.
    """

    @property
    def key(self) -> str: ...

    @property
    def files(self) -> tuple[str, ...]: ...

    def see(self, request: FaceRequest) -> None:
        """Take in one sighting; they come in time order, with mesh when the spec asks for it."""
        ...

    def done(self) -> None:
        """Write `files`; what observers before this one have learnt lies there already."""
        ...

    def drop(self) -> None:
        """Give up before `done`: close and remove what was begun."""
        ...


def show(requests: Iterable[FaceRequest], observers: Sequence[Observer]) -> None:
    """Show footage to observers that nobody else has shown it to."""
    with dropped_on_failure(observers):
        for request in requests:
            for observer in observers:
                observer.see(request)
        for observer in observers:
            observer.done()


@contextmanager
def dropped_on_failure(observers: Sequence[Observer]) -> Iterator[None]:
    """Drop what observers have begun when they are not shown all, or one fails."""
    try:
        yield
    except BaseException:
        for observer in observers:
            observer.drop()
        raise


@dataclass(frozen=True, eq=False, kw_only=True)
class EngineContext:
    """Surroundings of a session, which an engine gets when it opens for one person.

    Attributes:
        settings: an instance of the spec's settings class.
        scan: what the first pass found.
        person: the one person of this session.
        frames: number of output frames.
        source_frames: (frames,) the source frame that each output frame shows, or None when
            output frame i shows source frame i.
        times: (frames,) seconds from the first to each output frame, or None when they are the
            source's.
        workspace: folder of this session inside the job; what `Engine.open` learns from the
            clip is kept there, so that a resumed job finds it again.  Empty at first.
        models: where model files are found.
        device: one of `facepick.models.device.DEVICES`.
        speech: the new speech, for engines that need audio.
        source: files that show the source face, for engines that need one.
        footage: call it to stream the person's requests over the whole *source* video in time
            order (one decoding pass), with mesh when the spec asks for it.
        footage_of: the same for these source frames alone (rising); None where only `footage` is.
        progress, cancel: for long preparation.
    """

    settings: Any
    scan: Scan
    person: Person
    frames: int
    workspace: Path
    models: ModelStore
    source_frames: npt.NDArray[np.int64] | None = None
    times: npt.NDArray[np.float64] | None = None
    device: str = "auto"
    speech: Speech | None = None
    source: tuple[str, ...] = ()
    footage: Callable[[], Iterable[FaceRequest]] = tuple
    footage_of: Callable[[npt.NDArray[np.int64]], Iterable[FaceRequest]] | None = None
    progress: ProgressSink = no_progress
    cancel: CancelToken = never

    def look_again(self, frames: npt.NDArray[np.int64]) -> Iterable[FaceRequest]:
        """Stream the requests of some source frames, for a check of what is drawn over them."""
        if self.footage_of is not None:
            return self.footage_of(frames)
        wanted = set(frames.tolist())
        return (request for request in self.footage() if request.source_frame in wanted)


@runtime_checkable
class EngineSession(Protocol):
    """One engine at work on one person."""

    def process(self, requests: Sequence[FaceRequest]) -> list[EngineResult]:
        """Answer in the order of `requests`, one each.

        `FacePatch`: the new pixels.  `Reason` or None: the frame is left as it is.  The answer
        to a request depends on nothing but the request and what `Engine.open` prepared: not on
        the batch size, not on the requests before it.
        """
        ...

    def report(self) -> dict[str, Any]:
        """Report what the session measured, as plain JSON, for the sidecar; may be empty.

        ``notices`` in it are a list of what `facepick.notices.Notice.to_json` gives.
        """
        ...

    def close(self) -> None:
        """Give back memory and devices; calling it twice is fine."""
        ...


@runtime_checkable
class CountingSession(EngineSession, Protocol):
    """Session whose report tells of the frames that it was given.

    Segments are drawn by as many sessions as there are processes; what each has counted is kept
    with the segment, and added up for the report of the whole.
    """

    def take_counts(self) -> dict[str, Any]:
        """Give what was counted since the last call, as plain JSON, and begin at nothing again."""
        ...

    def add_counts(self, counts: Mapping[str, Any]) -> None:
        """Add what `take_counts` gave, here or in another process, to what `report` tells."""
        ...


@runtime_checkable
class Engine(Protocol):
    """A way to change a face; engines derive from it."""

    spec: EngineSpec

    def preflight(self, settings: Any, models: ModelStore) -> None:
        """Raise what `open` would for want of model files or packages; nothing is loaded.

        Raises:
            MissingModelError, ModelMismatchError, PackageMissing, UserInputError, SettingsError.
        """
        for model in self.spec.models:
            models.require(model)

    def models_in_use(self, settings: Any, models: ModelStore) -> tuple[ModelSpec, ...]:
        """List the model files that a session with these settings runs, of those that are here."""
        return self.spec.models

    def margin_of(self, settings: Any) -> float:
        """Choose the margin of crops for these settings; `EngineSpec.margin` holds for any."""
        return self.spec.margin

    def observers(self, context: EngineContext) -> Sequence[Observer]:
        """List what has to learn from the footage before `open`, in this order; none by default.

        A session that is opened without learns by itself, from `EngineContext.footage`.

        Raises:
            MissingModelError: a model file is not there.
        """
        return ()

    def open(self, context: EngineContext) -> EngineSession:
        """Load models and learn from the clip what is needed.

        Raises:
            MissingModelError: a model file is not there.
            UserInputError: speech, source or settings cannot be used.
            Cancelled: the user stopped it; `context.workspace` may hold part of the work.
        """
        ...
