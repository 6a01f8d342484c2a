"""Check for nudity in the frames that a face swap would change, before it changes them.

The classifier is Yahoo's open_nsfw (2016, BSD-2-Clause) as ONNX.  It is not shipped: without
its file nothing is checked.  Hiding and lip sync are never checked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.engines.registry import EngineRegistry
from facepick.errors import ModelMismatchError, UserInputError
from facepick.files import read_json, write_json
from facepick.media.reader import VideoReader
from facepick.models.catalog import OPEN_NSFW
from facepick.models.device import ort_session
from facepick.models.store import ModelStore, sha256_of
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.render.geometry import paths_of
from facepick.render.plan import RenderPlan

__all__ = ["LIMIT", "NudityCheck", "NudityClassifier", "check_before_swap", "frames_to_check"]

LIMIT = 0.8
"""Its authors call scores above 0.8 highly probable."""

# Mean of B, G and R that the network was trained with.
_MEAN = np.array([104.0, 117.0, 123.0], np.float32)
# The picture is brought to 256 x 256, and its middle is looked at, as in training.
_RESIZED, _SIDE = 256, 224
_EDGE = (_RESIZED - _SIDE) // 2


@dataclass(frozen=True)
class NudityCheck:
    """Findings of the check; a result never comes out above `LIMIT`.

    Attributes:
        frames: how many were looked at.
        highest: the highest of their scores.
        model_sha256: of the classifier's file.
    """

    frames: int
    highest: float
    model_sha256: str

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON for the sidecar."""
        return {
            "frames": self.frames,
            "highest": round(self.highest, 4),
            "limit": LIMIT,
            "model_sha256": self.model_sha256,
        }


class NudityClassifier:
    """open_nsfw on the CPU, so that its answer is the same on every machine.

    Args:
        model: path of the ONNX file, with input (1, 224, 224, 3) or (1, 3, 224, 224) and output
            (1, 2): safe, unsafe.

    Raises:
        ModelMismatchError: the file is no such network.
        PackageMissing: onnxruntime is not installed.
    """

    def __init__(self, model: Path) -> None:
        self._file = model.name
        self._session = ort_session(model, "cpu")
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        if shape[1:] == [_SIDE, _SIDE, 3]:
            self._channels_first = False
        elif shape[1:] == [3, _SIDE, _SIDE]:
            self._channels_first = True
        else:
            raise self._mismatch(f"its input is {shape}")
        self._input = inputs[0].name

    def score(self, picture: BgrImage) -> float:
        """Score how likely the picture is unsafe, in [0, 1].

        Args:
            picture: (h, w, 3) uint8 BGR, the whole frame.

        Raises:
            ModelMismatchError: the network answers with something else than two probabilities.
        """
        import cv2

        small = cv2.resize(picture, (_RESIZED, _RESIZED), interpolation=cv2.INTER_AREA)
        middle = small[_EDGE : _EDGE + _SIDE, _EDGE : _EDGE + _SIDE].astype(np.float32) - _MEAN
        if self._channels_first:
            middle = middle.transpose(2, 0, 1)
        batch = np.ascontiguousarray(middle[None], np.float32)
        answer = np.asarray(self._session.run(None, {self._input: batch})[0], np.float64)
        if answer.shape != (1, 2) or not (np.isfinite(answer).all() and 0 <= answer[0, 1] <= 1):
            raise self._mismatch(f"its answer has the shape {answer.shape}")
        return float(answer[0, 1])

    def _mismatch(self, why: str) -> ModelMismatchError:
        return ModelMismatchError(
            f"{self._file} is not the open_nsfw network: {why}.",
            hint="Replace the file, or remove it to go without this check.",
        )


def frames_to_check(plan: RenderPlan, scan: Scan, registry: EngineRegistry) -> list[int]:
    """Choose the first source frame of every second in which a swap changes somebody."""
    stop = scan.frames if plan.stop is None else min(plan.stop, scan.frames)
    seen: list[npt.NDArray[np.int64]] = []
    for item in plan.assignments:
        if registry.get(item.flow, item.engine).spec.needs_consent:
            for person in item.selection.resolve(scan):
                for path in paths_of(scan, person, cover_gaps=False):
                    seen.append(np.asarray(path.frames, np.int64))
    if not seen:
        return []
    frames = np.unique(np.concatenate(seen))
    frames = frames[(frames >= plan.start) & (frames < stop)]
    pts = np.asarray(scan.pts, np.int64)[frames] - int(scan.pts[0])
    base = scan.video.time_base
    # Whole seconds in integers: a float would put some frames into the second before.
    seconds = pts * base.numerator // base.denominator
    _, first = np.unique(seconds, return_index=True)
    return [int(f) for f in frames[first]]


def check_before_swap(
    plan: RenderPlan,
    scan: Scan,
    registry: EngineRegistry,
    models: ModelStore,
    *,
    note: Path | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> NudityCheck | None:
    """Refuse a swap in a video that shows nudity; one frame of each second is looked at.

    Args:
        note: where a finished check is written down; it is not repeated for the same frames of the
            same video with the same file.

    Returns:
        None without a swap or without the classifier's file.

    Raises:
        UserInputError: a frame scores above `LIMIT`.
        ModelMismatchError: the file is not open_nsfw.
        Cancelled.
    """
    wanted = frames_to_check(plan, scan, registry)
    file = models.find(OPEN_NSFW) if wanted else None
    if file is None:
        return None
    digest = sha256_of(file, cancel=cancel)
    key = hashlib.sha256(repr((scan.content_hash, wanted, digest, LIMIT)).encode()).hexdigest()
    if note is not None:
        try:
            made_of, highest = read_json(note)
            if made_of == key and 0 <= highest <= LIMIT:
                return NudityCheck(len(wanted), float(highest), digest)
        except (OSError, ValueError, TypeError):
            pass  # There is none yet, or it is damaged: look again.
    check = NudityCheck(len(wanted), _highest(file, wanted, scan, progress, cancel), digest)
    if note is not None:
        write_json(note, [key, check.highest])
    return check


def _highest(
    file: Path, wanted: list[int], scan: Scan, progress: ProgressSink, cancel: CancelToken
) -> float:
    classifier = NudityClassifier(file)
    meter = ProgressMeter(progress, "check", len(wanted))
    highest = 0.0
    left = set(wanted)
    with VideoReader(scan.video.path, info=scan.video, cancel=cancel) as reader:
        for frame in reader.frames(start=wanted[0], pts=scan.pts.tolist()):
            if frame.index in left:
                left.discard(frame.index)
                score = classifier.score(frame.picture.bgr())
                if score > LIMIT:
                    seconds = float((scan.pts[frame.index] - scan.pts[0]) * scan.video.time_base)
                    raise UserInputError(
                        f"The video shows nudity at {seconds:.1f} s (score {score:.2f}); faces "
                        "are not swapped in such videos.",
                        hint="Pick a part without it; hide and lip sync are not affected.",
                    )
                highest = max(highest, score)
                meter.update(len(wanted) - len(left))
            if not left:
                break
    return highest
