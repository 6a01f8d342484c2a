"""Neural lip-sync engines `wav2lip` and `wav2lip_gan`, and what others share with them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.masks import Area, polygon
from facepick.compositing.patch import FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.decisions import (
    MESH_SCORE,
    Decisions,
    Sight,
    SightObserver,
    sights_of,
)
from facepick.engines.engine import (
    Engine,
    EngineContext,
    EngineResult,
    EngineSession,
    EngineSpec,
    Observer,
)
from facepick.engines.lipsync import mouth_blend
from facepick.engines.lipsync.gating import Gate, Gating, gating_of
from facepick.engines.lipsync.neural.checkpoints import Checkpoint, find_checkpoints, identify
from facepick.engines.lipsync.neural.crop import FaceCut, Pads, cut_face, network_input, warp_back
from facepick.engines.lipsync.neural.mel import mel_window
from facepick.engines.lipsync.neural.settings import (
    MouthBlendSettings,
    MouthSettings,
    Wav2LipSettings,
)
from facepick.engines.lipsync.neural.wav2lip import Generator, load_generator
from facepick.engines.lipsync.original_motion import MotionObserver, filmed_mouth
from facepick.engines.occlusion.masker import check_masker, occlusion_observers
from facepick.engines.occlusion.session import behind_occluders
from facepick.engines.restore.restorer import Restorer, check_restorer, open_restorer, spec_in_use
from facepick.errors import EngineError, MissingModelError, ModelMismatchError, UserInputError
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import FACE_OVAL
from facepick.models import catalog
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore, sha256_of

__all__ = [
    "DrawJob",
    "MouthEngine",
    "MouthSession",
    "NetworkMouthSession",
    "Wav2LipEngine",
    "Wav2LipGanEngine",
    "Wav2LipSession",
    "checkpoint_of",
    "mouth_gating",
    "named_file",
    "open_mouth",
]

log = logging.getLogger("facepick.engines.lipsync.neural.engine")

# Below this height of the box a mouth is about four pixels high: nobody sees what it says.
MIN_FACE_PX = 40.0
# The training footage (LRS2) ends near the profile, and the mesh loses the far half of the mouth.
MAX_YAW_DEGREES = 55.0
# Having been left alone, a face must be turned so much less to be re-made again.
YAW_SLACK_DEGREES = 4.0
MIN_CONFIDENCE = 0.3
_DEBUG_EVERY_SECONDS = 1
_DEBUG_SHEETS = 200


@dataclass(frozen=True, eq=False)
class DrawJob:
    """A request that is going to be re-made, and how much of the result is shown."""

    index: int
    request: FaceRequest
    mesh: FloatArray
    cut: FaceCut
    gate: Gate
    strength: float


def _problem(sight: Sight, strict: bool) -> Reason | None:
    """Find why a mouth cannot be re-made well."""
    if sight.height < MIN_FACE_PX:
        return Reason.TOO_SMALL
    if sight.confidence < MIN_CONFIDENCE:
        return Reason.LOW_CONFIDENCE
    if sight.mesh_score < MESH_SCORE:
        return Reason.OCCLUDED
    if sight.turn > MAX_YAW_DEGREES - (YAW_SLACK_DEGREES if strict else 0.0):
        return Reason.PROFILE
    return None


class MouthSession(ABC):
    """Session that lays drawn faces over one person's mouth, after new speech.

    Args:
        context: of the session.
        gating: when something is done.
        restorer: run over the re-made face.
    """

    def __init__(self, context: EngineContext, gating: Gating, restorer: Restorer) -> None:
        assert context.speech is not None
        self._closed = False
        self._settings: MouthBlendSettings = context.settings
        self._speech = context.speech.samples
        self._gating = gating
        self._decisions = Decisions(_problem, sights_of(context))
        self._restorer = restorer
        self._cancel = context.cancel
        self._debug = context.workspace / "debug" if self._settings.debug else None
        self._shape = mouth_blend.MaskShape(
            mouth_dilate=self._settings.mouth_mask_dilate,
            face_erode=self._settings.face_mask_erode,
            blur=self._settings.mask_blur,
            only_mouth=self._settings.only_mouth,
        )
        self._counts: Counter[str] = Counter()

    def process(self, requests: Sequence[FaceRequest]) -> list[EngineResult]:
        """See `EngineSession`."""
        if self._closed:
            raise EngineError("This session is closed.")
        self._cancel.raise_if_cancelled()
        answers: list[EngineResult] = [None] * len(requests)
        jobs = []
        for i, request in enumerate(requests):
            planned = self._plan(i, request)
            if isinstance(planned, Reason):
                answers[i] = planned
                self._counts[planned.value] += 1
            else:
                jobs.append(planned)
        if jobs:
            faces, pictures = self._draw(jobs)
            for job, face, picture in zip(jobs, faces, pictures, strict=True):
                self._cancel.raise_if_cancelled()
                answers[job.index] = self._patch(job, face, picture)
        return answers

    def report(self) -> dict[str, Any]:
        """Report counts of frames and seconds of speech; see the keys."""
        return {
            "restorer": self._settings.restorer,
            "restorer_unchanged": self._restorer.unchanged,
            "speech_seconds": round(self._gating.spoken_seconds(), 3),
            "closed_seconds": round(sum(s.stop - s.start for s in self._gating.close), 3),
            "frames": dict(sorted(self._counts.items())),
        }

    def take_counts(self) -> dict[str, Any]:
        """See `CountingSession`."""
        found = {"frames": dict(self._counts), "unchanged": self._restorer.unchanged}
        self._counts, self._restorer.unchanged = Counter(), 0
        return found

    def add_counts(self, counts: Mapping[str, Any]) -> None:
        """See `CountingSession`."""
        self._counts.update(counts["frames"])
        self._restorer.unchanged += counts["unchanged"]

    def close(self) -> None:
        """See `EngineSession`."""
        self._closed = True
        self._restorer.close()

    @abstractmethod
    def _cut(self, request: FaceRequest) -> FaceCut | None:
        """Choose where a face is drawn, or None where none can be; the request has a mesh."""

    @abstractmethod
    def _draw(self, jobs: Sequence[DrawJob]) -> tuple[Sequence[FloatArray], Sequence[FloatArray]]:
        """Draw faces: what was looked at, and what was drawn, each (channels, side, side) float32
        BGR in [0, 1], one of each for every job."""

    def _plan(self, index: int, request: FaceRequest) -> DrawJob | Reason:
        """Decide what to do with a frame, or why nothing is done."""
        gate = self._gating.at(request.time)
        if gate.weight <= 0:
            return Reason.SILENCE
        decision = self._decisions.of(request)
        if decision.reason is not None:
            return decision.reason
        mesh = request.mesh
        if mesh is None or not np.isfinite(mesh).all():
            return Reason.OCCLUDED
        if min(request.crop.shape[:2]) < 8:
            return Reason.TOO_SMALL
        cut = self._cut(request)
        if cut is None:
            return Reason.LOW_CONFIDENCE
        return DrawJob(index, request, mesh, cut, gate, gate.weight * decision.strength)

    def _patch(self, job: DrawJob, face: FloatArray, picture: FloatArray) -> FacePatch | Reason:
        request = job.request
        height, width = request.crop.shape[:2]
        bounds = Area(0, 0, width, height)
        mesh = request.local(job.mesh)
        area, mask = mouth_blend.blend_mask(mesh, self._shape, job.cut.unit, bounds)
        if not mask.any():
            self._counts[Reason.OCCLUDED.value] += 1
            return Reason.OCCLUDED
        # What is compared around the mask must be there: take an eighth more on every side.
        room = max(8, (area.width + area.height) // 16)
        wide = Area(
            area.x0 - room, area.y0 - room, area.width + 2 * room, area.height + 2 * room
        ).clipped(0, 0, width, height)
        mask = _placed(mask, area, wide)
        rows = slice(wide.y0, wide.y0 + wide.height)
        columns = slice(wide.x0, wide.x0 + wide.width)
        old = request.crop[rows, columns].astype(np.float32)
        on_face = polygon(wide, mesh[list(FACE_OVAL)])
        new = self._drawn(picture, job.cut, wide)
        if self._settings.match_colour:
            new = mouth_blend.match_colour(new, old, mask, on_face)
        if self._settings.restorer != "none":
            new = self._restored(request, wide, new, mask)
            if self._settings.match_colour:
                # Restorers move colours too.
                new = mouth_blend.match_colour(new, old, mask, on_face)
        if self._settings.keep_grain:
            new = mouth_blend.match_grain(new, old, mask, seed=request.frame)
        image = mouth_blend.rounded(new)
        alpha = np.asarray(mask * np.float32(job.strength), np.float32)
        self._counts[job.gate.action] += 1
        if self._debug is not None:
            self._write_debug(job, face, picture, image, alpha, wide)
        x, y = request.origin
        return FacePatch(
            image=image,
            alpha=alpha,
            origin=(x + wide.x0, y + wide.y0),
            kind=PatchKind.DRAWN if job.gate.action == "speak" else PatchKind.CLOSED,
        )

    def _drawn(self, picture: FloatArray, cut: FaceCut, wide: Area) -> FloatArray:
        """Lay the network's picture over a rectangle of the crop, (h, w, 3) in [0, 255]."""
        bgr = np.ascontiguousarray(picture.transpose(1, 2, 0) * np.float32(255))
        return warp_back(bgr, cut, origin=wide.origin, size=(wide.width, wide.height))

    def _restored(
        self, request: FaceRequest, wide: Area, new: FloatArray, mask: FloatArray
    ) -> FloatArray:
        """Restore the rectangle: the restorer sees the face with the new mouth in it."""
        area = wide
        if self._restorer.whole_face:
            area = Area(0, 0, request.crop.shape[1], request.crop.shape[0])
        rows = slice(wide.y0 - area.y0, wide.y0 - area.y0 + wide.height)
        columns = slice(wide.x0 - area.x0, wide.x0 - area.x0 + wide.width)
        seen = request.crop[area.y0 : area.y0 + area.height, area.x0 : area.x0 + area.width].copy()
        weight = mask[:, :, None]
        seen[rows, columns] = mouth_blend.rounded(seen[rows, columns] * (1 - weight) + new * weight)
        restored = self._restorer.restore(
            seen,
            request.local(request.landmarks5) - np.array(area.origin, np.float32),
            fidelity=self._settings.code_former_fidelity,
        )
        return restored[rows, columns].astype(np.float32)

    def _write_debug(
        self,
        job: DrawJob,
        face: FloatArray,
        picture: FloatArray,
        image: np.ndarray[Any, Any],
        alpha: FloatArray,
        wide: Area,
    ) -> None:
        """Write one sheet a second: crop, what the network saw, its result, mask, outcome."""
        time = job.request.time
        second = int(time / _DEBUG_EVERY_SECONDS)
        name = f"{second:05d}.jpg"
        assert self._debug is not None
        if second >= _DEBUG_SHEETS or (self._debug / name).exists():
            return
        import cv2

        crop = job.request.crop
        outcome = crop.astype(np.float32)
        rows = slice(wide.y0, wide.y0 + wide.height)
        columns = slice(wide.x0, wide.x0 + wide.width)
        weight = alpha[:, :, None]
        outcome[rows, columns] += (image - outcome[rows, columns]) * weight
        shown = np.zeros((*crop.shape[:2], 3), np.uint8)
        shown[rows, columns] = mouth_blend.rounded(
            alpha[:, :, None] * np.full(3, 255.0, np.float32)
        )
        inputs = [face[i : i + 3] for i in range(0, len(face), 3)]
        steps = [
            crop,
            *(mouth_blend.rounded(p.transpose(1, 2, 0) * 255) for p in (*inputs, picture)),
            shown,
            mouth_blend.rounded(outcome),
        ]
        tiles = [cv2.resize(s, (256, 256), interpolation=cv2.INTER_AREA) for s in steps]
        self._debug.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode(".jpg", np.hstack(tiles))
        if done:
            (self._debug / name).write_bytes(data.tobytes())


class NetworkMouthSession(MouthSession):
    """Session of a mouth that a network draws, frame by frame.

    Args:
        context: of the session.
        generator: the network.
        gating: when something is done.
        restorer: run over the re-made face.
        checkpoint: where the network came from, for the report.
        digest: its sha256, likewise.
    """

    def __init__(
        self,
        context: EngineContext,
        generator: Generator,
        gating: Gating,
        restorer: Restorer,
        checkpoint: Path,
        digest: str = "",
    ) -> None:
        super().__init__(context, gating, restorer)
        self._generator: Generator | None = generator
        self._checkpoint, self._digest = checkpoint, digest

    def report(self) -> dict[str, Any]:
        """Report as `MouthSession` does, and which checkpoint."""
        checkpoint = {
            "checkpoint": self._checkpoint.name,
            "checkpoint_sha256": self._digest,
        }
        return {**checkpoint, **super().report()}

    def close(self) -> None:
        """See `EngineSession`."""
        self._generator = None
        super().close()

    @abstractmethod
    def _sound(self, request: FaceRequest) -> FloatArray:
        """Cut (80, 16) mel columns for the frame."""

    @abstractmethod
    def _face(self, request: FaceRequest, cut: FaceCut) -> FloatArray:
        """Build the network's input, (3 or 6, side, side) BGR in [0, 1]."""

    def _draw(self, jobs: Sequence[DrawJob]) -> tuple[Sequence[FloatArray], Sequence[FloatArray]]:
        assert self._generator is not None
        mel = np.stack([self._sound(j.request)[None] for j in jobs])
        faces = np.stack([self._face(j.request, j.cut) for j in jobs])
        return list(faces), list(self._generator(mel, faces))


class Wav2LipSession(NetworkMouthSession):
    """Session of a mouth with a Wav2Lip generator."""

    def _cut(self, request: FaceRequest) -> FaceCut:
        settings = self._wav2lip
        pads = Pads(
            top=settings.pad_top,
            bottom=settings.pad_bottom,
            left=settings.pad_left,
            right=settings.pad_right,
        )
        return cut_face(request, pads=pads, smooth=not settings.no_smooth)

    def _sound(self, request: FaceRequest) -> FloatArray:
        return mel_window(self._speech, request.time)

    def _face(self, request: FaceRequest, cut: FaceCut) -> FloatArray:
        return network_input(request.crop, cut)

    @property
    def _wav2lip(self) -> Wav2LipSettings:
        assert isinstance(self._settings, Wav2LipSettings)
        return self._settings


def _placed(mask: FloatArray, area: Area, wide: Area) -> FloatArray:
    out = np.zeros((wide.height, wide.width), np.float32)
    dx, dy = area.x0 - wide.x0, area.y0 - wide.y0
    out[dy : dy + area.height, dx : dx + area.width] = mask
    return out


def named_file(settings: MouthSettings) -> Path | None:
    """Find the checkpoint that the settings name; None where they leave it to the model folders.

    Raises:
        UserInputError: there is no such file.
    """
    if not settings.checkpoint:
        return None
    path = Path(settings.checkpoint)
    if not path.is_file():
        raise UserInputError(f"There is no checkpoint {path}.", hint="Check the path.")
    return path


def checkpoint_of(variant: str, settings: Wav2LipSettings, models: ModelStore) -> Checkpoint:
    """Find the checkpoint that an engine runs.

    The file named in the settings; else one with a public name in the model folders; else any
    file there that holds the generator and is called after the variant.

    Raises:
        MissingModelError: there is none; the error says what to put where.
        ModelMismatchError: the file named, or the only one with a public name, is something else,
            damaged, or unsafe.
        UserInputError: there is no such file.
    """
    named = named_file(settings)
    if named is not None:
        return identify(named)
    specs = _SPECS[variant]
    wrong: ModelMismatchError | None = None
    for spec in specs:
        found = models.find(spec)
        try:
            if found is not None:
                return identify(found)
        except ModelMismatchError as error:
            wrong = wrong or error
    for checkpoint in find_checkpoints(models.folders):
        if checkpoint.variant == variant:
            log.info("%s was recognised by its content", checkpoint.path)
            return checkpoint
    if wrong is not None:
        raise wrong
    spec = specs[-1]
    raise MissingModelError(
        f"There is no {variant} checkpoint on this machine (licence: {spec.licence}).",
        hint=f"{models.how_to_get(spec)} A file that lies elsewhere can be named in the setting "
        "“checkpoint”; the engine rewrite needs no file.",
        models=(spec.id,),
    )


_SPECS: dict[str, tuple[ModelSpec, ...]] = {
    "wav2lip": (catalog.WAV2LIP_ONNX, catalog.WAV2LIP),
    "wav2lip_gan": (catalog.WAV2LIP_GAN_ONNX, catalog.WAV2LIP_GAN),
}


def open_mouth(
    context: EngineContext,
    kind: type[NetworkMouthSession],
    *,
    find: Callable[[Any, ModelStore], Path],
    load: Callable[[Path], Generator],
) -> EngineSession:
    """Open a session of a network that draws mouths, behind what is in front of the face.

    Args:
        kind: the session.
        find: gives the network's file for settings and model store.
        load: gives the network in it.

    Raises:
        UserInputError: there is no speech.
        What `find`, `load`, `open_restorer` and `behind_occluders` raise.
    """
    if context.speech is None:
        raise UserInputError("Lip sync needs speech.", hint="Give a sound file: --audio SPEECH.wav")
    settings: MouthSettings = context.settings
    path = find(settings, context.models)
    restorer = open_restorer(settings.restorer, models=context.models, device=context.device)
    gating = mouth_gating(context)
    generator = load(path)
    digest = sha256_of(path, cancel=context.cancel)
    session = kind(context, generator, gating, restorer, path, digest)
    return behind_occluders(session, context, part="mouth")


def mouth_gating(context: EngineContext) -> Gating:
    """Decide when a mouth is drawn, after the session's speech and `MouthBlendSettings`.

    Raises:
        MissingModelError, ModelMismatchError, Cancelled: see `gating_of`.
    """
    assert context.speech is not None
    settings: MouthBlendSettings = context.settings
    return gating_of(
        context.speech,
        when_silent="close" if settings.when_silent == "close" else "keep",
        mouth=lambda: filmed_mouth(context),
        vad_model=context.models.require(catalog.SILERO_VAD),
        cancel=context.cancel,
    )


class MouthEngine(Engine, ABC):
    """Base of the engines whose network draws mouths."""

    @abstractmethod
    def find(self, settings: Any, models: ModelStore) -> Path:
        """Find the network's file, or raise."""

    def preflight(self, settings: MouthSettings, models: ModelStore) -> None:
        """See `Engine`."""
        self.find(settings, models)
        check_restorer(settings.restorer, models=models)
        check_masker(settings.occlusion, models)

    def observers(self, context: EngineContext) -> list[Observer]:
        """See `Engine`."""
        return [*occlusion_observers(context), MotionObserver(context), SightObserver(context)]

    def models_in_use(self, settings: MouthSettings, models: ModelStore) -> tuple[ModelSpec, ...]:
        """See `Engine`."""
        restorer = spec_in_use(settings.restorer, models)
        return self.spec.models if restorer is None else (*self.spec.models, restorer)


class _Wav2LipEngine(MouthEngine):
    def find(self, settings: Wav2LipSettings, models: ModelStore) -> Path:
        return checkpoint_of(self.spec.id, settings, models).path

    def open(self, context: EngineContext) -> EngineSession:
        """See `Engine`."""
        load = partial(load_generator, device=context.device)
        return open_mouth(context, Wav2LipSession, find=self.find, load=load)


class Wav2LipEngine(_Wav2LipEngine):
    """Wav2Lip, the variant that follows the sound most closely."""

    spec = EngineSpec(
        id="wav2lip",
        flow="lipsync",
        label="Wav2Lip",
        help="Draws a new mouth with your Wav2Lip checkpoint; follows the sound most closely.",
        settings=Wav2LipSettings,
        models=(catalog.WAV2LIP,),
        needs_mesh=True,
        needs_audio=True,
        licence=catalog.WAV2LIP.licence,
        commercial_use=False,
    )


class Wav2LipGanEngine(_Wav2LipEngine):
    """Wav2Lip + GAN, the variant with the sharper mouth."""

    spec = EngineSpec(
        id="wav2lip_gan",
        flow="lipsync",
        label="Wav2Lip GAN",
        help="Draws a new mouth with your Wav2Lip GAN checkpoint; sharper, a little less exact.",
        settings=Wav2LipSettings,
        models=(catalog.WAV2LIP_GAN,),
        needs_mesh=True,
        needs_audio=True,
        licence=catalog.WAV2LIP_GAN.licence,
        commercial_use=False,
    )
