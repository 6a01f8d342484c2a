"""Neural lip-sync engine `edtalk_256`.

EdTalk (Tan et al., *EdTalk: Efficient Disentanglement for Emotional Talking Head Synthesis*, ECCV
2024) draws a whole face at 256 pixels.  The file ``edtalk_256.onnx`` of facefusion's assets has
the mouth branch alone, with these tensors, all float32:

    source  (1, 1, 80, 16)     mel columns of Wav2Lip's front end, [-4, 4]
    target  (1, 3, 256, 256)   the face aligned as in FFHQ, RGB in [0, 1]
    weight  (1,)               how far the lips follow, [0, 1]
    -> the first output (1, 3, 256, 256), RGB in [0, 1]

The columns begin two frames at 25 per second before the frame, so that the frame lies in their
middle, and the first and last column stand for what lies beyond the sound: so do EDTalk's own
scripts, with which its training data were made (``get_mel``).  facefusion lets them begin at the
frame.

Only the lower face of what it draws is shown, as with Wav2Lip: the rest belongs to the video.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import EngineContext, EngineSession, EngineSpec
from facepick.engines.lipsync.neural.checkpoints import onnx_signature
from facepick.engines.lipsync.neural.crop import REFERENCE_PX, FaceCut, detector_box, warp_out
from facepick.engines.lipsync.neural.engine import (
    MouthEngine,
    NetworkMouthSession,
    named_file,
    open_mouth,
)
from facepick.engines.lipsync.neural.mel import (
    COLUMNS_PER_SECOND,
    WINDOW_COLUMNS,
    mel_columns,
    mel_count,
)
from facepick.engines.lipsync.neural.settings import EdTalkSettings
from facepick.engines.lipsync.neural.wav2lip import Generator
from facepick.errors import ModelMismatchError
from facepick.faces.alignment import FFHQ_512, similarity
from facepick.faces.detection import FloatArray
from facepick.models import catalog
from facepick.models.device import ort_session
from facepick.models.onnx_file import Shapes
from facepick.models.store import ModelStore

__all__ = ["SIDE", "EdTalkEngine", "EdTalkSession", "five_points", "load_edtalk"]

SIDE = 256

_TEMPLATE = FFHQ_512 * np.float32(SIDE / 512)
# The six points around each eye that 68-point models have, whose mean is the eye's centre.
_RIGHT_EYE = (33, 160, 158, 133, 153, 144)
_LEFT_EYE = (362, 385, 387, 263, 373, 380)
_NOSE_TIP, _RIGHT_CORNER, _LEFT_CORNER = 4, 61, 291

_LEAD_SECONDS = Fraction(2, 25)
_WANTED: Shapes = {
    "source": (1, 1, 80, 16),
    "target": (1, 3, SIDE, SIDE),
    "weight": (1,),
}


def five_points(mesh: FloatArray) -> FloatArray:
    """Pick eye centres, nose tip and mouth corners of a mesh, (5, 2); the person's right first."""
    eyes = [mesh[list(ring), :2].mean(axis=0) for ring in (_RIGHT_EYE, _LEFT_EYE)]
    rest = [mesh[i, :2] for i in (_NOSE_TIP, _RIGHT_CORNER, _LEFT_CORNER)]
    return np.asarray([*eyes, *rest], np.float32)


def load_edtalk(path: Path, *, device: str = "cpu", weight: float = 0.5) -> Generator:
    """Load the network in `path` as a function.

    It takes mel (N, 1, 80, 16) and faces (N, 3, 256, 256) BGR in [0, 1] and gives pictures like
    the faces, float32.  Faces are run one by one: the public file takes no more.

    Raises:
        ModelMismatchError: the file is something else, or its result is no picture.
        PackageMissing: onnxruntime is not installed.
        OSError: the file cannot be read.
    """
    _check_tensors(path)
    session = ort_session(path, device)
    output = session.get_outputs()[0].name
    strength = np.array([weight], np.float32)

    def draw(mel: FloatArray, faces: FloatArray) -> FloatArray:
        pictures = np.empty_like(faces, np.float32)
        for i in range(len(faces)):
            feed = {
                "source": mel[i : i + 1],
                "target": np.ascontiguousarray(faces[i : i + 1, ::-1]),
                "weight": strength,
            }
            (picture,) = session.run([output], feed)
            if picture.shape != (1, 3, SIDE, SIDE) or not np.isfinite(picture).all():
                raise ModelMismatchError(f"{path.name} drew no picture.")
            pictures[i] = np.clip(picture[0, ::-1].astype(np.float32), 0, 1)
        return pictures

    return draw


def _check_tensors(path: Path) -> None:
    if path.suffix.lower() != ".onnx":
        raise ModelMismatchError(f"{path.name} is no ONNX file.", hint="Give edtalk_256.onnx.")
    inputs, _ = onnx_signature(path)
    if set(inputs) != set(_WANTED) or not all(_fits(inputs[n], _WANTED[n]) for n in _WANTED):
        listed = ", ".join(f"{n} {s}" for n, s in inputs.items()) or "nothing"
        raise ModelMismatchError(
            f"{path.name} is not edtalk_256: it takes {listed}.", hint="Give edtalk_256.onnx."
        )


def _fits(shape: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    """Tell whether every size that the file fixes is the right one."""
    return len(shape) == len(wanted) and all(
        a is None or a == b for a, b in zip(shape, wanted, strict=True)
    )


class EdTalkSession(NetworkMouthSession):
    """Session that re-makes one person's mouth with `edtalk_256`."""

    def _cut(self, request: FaceRequest) -> FaceCut:
        assert request.mesh is not None
        points = request.local(five_points(request.mesh))
        # Corners, not centres: in both frames a pixel's centre lies half a pixel on.
        to_crop = similarity(_TEMPLATE, points)
        box = detector_box(request)
        unit = max(box.height, 1.0) / REFERENCE_PX
        return FaceCut(to_crop=to_crop, box=box, unit=unit)

    def _sound(self, request: FaceRequest) -> FloatArray:
        # Rounded towards zero, as there.
        start = int((request.time - _LEAD_SECONDS) * COLUMNS_PER_SECOND)
        last = mel_count(len(self._speech)) - 1
        wanted = np.clip(np.arange(start, start + WINDOW_COLUMNS), 0, last)
        columns = mel_columns(self._speech, int(wanted[0]), int(wanted[-1]) + 1)
        return columns[:, wanted - wanted[0]]

    def _face(self, request: FaceRequest, cut: FaceCut) -> FloatArray:
        picture = warp_out(request.crop, cut, side=SIDE).astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(picture.transpose(2, 0, 1))


class EdTalkEngine(MouthEngine):
    """EdTalk's mouth branch at 256 pixels; its licence allows commercial use."""

    spec = EngineSpec(
        id="edtalk_256",
        flow="lipsync",
        label="EdTalk 256",
        help="Draws a new lower face at 256 pixels with your edtalk_256.onnx; slow without a GPU.",
        settings=EdTalkSettings,
        models=(catalog.EDTALK_256,),
        needs_mesh=True,
        needs_audio=True,
        # The aligned picture is four times as wide as the eyes are apart.
        margin=0.75,
        licence=catalog.EDTALK_256.licence,
    )

    def find(self, settings: EdTalkSettings, models: ModelStore) -> Path:
        """Find the network's file; what it takes has been checked."""
        path = named_file(settings) or models.require(catalog.EDTALK_256)
        _check_tensors(path)
        return path

    def open(self, context: EngineContext) -> EngineSession:
        """See `Engine`."""
        weight = context.settings.lip_weight
        return open_mouth(
            context,
            EdTalkSession,
            find=self.find,
            load=partial(load_edtalk, device=context.device, weight=weight),
        )
