"""YuNet, the default detector.

Wu, Peng and Yu, *YuNet: A Tiny Millisecond-level Face Detector*, Machine Intelligence Research
20, 2023; weights from the OpenCV zoo (MIT).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.errors import PackageMissing
from facepick.faces.analyzers._letterbox import keep_best
from facepick.faces.detection import FaceBatch

__all__ = ["YuNetDetector"]


class YuNetDetector:
    """YuNet through onnxruntime, on one core.

    (5 ms of CPU for 640x352; ``cv2.FaceDetectorYN`` takes 14.  The numbers agree to 0.01 pixels.)

    Args:
        model: path of the ONNX file.
        min_score: faces below it are dropped.  Low, because a tracker makes good use of a
            doubtful face where it already expects one.

    Raises:
        PackageMissing: onnxruntime is not installed.
    """

    id = "yunet"

    # Overlapping boxes of one face; the authors' own value.
    NMS_IOU = 0.3
    TOP_K = 750
    STRIDES = (8, 16, 32)

    def __init__(self, model: Path, *, min_score: float = 0.3) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise PackageMissing("onnxruntime", needed_for="finding faces") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # The network is too small to be worth the waking of a second thread.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            _any_size(model.read_bytes()), options, providers=["CPUExecutionProvider"]
        )
        self._names = [
            f"{part}_{s}" for part in ("cls", "obj", "bbox", "kps") for s in self.STRIDES
        ]
        self._min_score = min_score

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Detect faces in pixels of `image`, by falling score."""
        import cv2

        height, width = image.shape[:2]
        # Black below and to the right, up to whole cells of the coarsest grid.
        rows, columns = -(-height // 32), -(-width // 32)
        blob = np.zeros((1, 3, 32 * rows, 32 * columns), np.float32)
        for plane, channel in zip(blob[0], cv2.split(image), strict=True):
            plane[:height, :width] = channel
        outputs = self._session.run(self._names, {"input": blob})
        boxes, scores, points = [], [], []
        for level, stride in enumerate(self.STRIDES):
            sure, face, reach, marks = (
                np.asarray(o[0]) for o in outputs[level :: len(self.STRIDES)]
            )
            score = np.sqrt(np.clip(sure[:, 0], 0, 1) * np.clip(face[:, 0], 0, 1))
            take = np.flatnonzero(score >= self._min_score)
            cells = np.stack(np.divmod(take, 32 * columns // stride)[::-1], axis=1)
            centre, size = cells + reach[take, :2], np.exp(reach[take, 2:])
            boxes.append(np.concatenate([centre - size / 2, centre + size / 2], axis=1) * stride)
            points.append((cells[:, None] + marks[take].reshape(-1, 5, 2)) * stride)
            scores.append(score[take])
        xyxy, score, landmarks = map(np.concatenate, (boxes, scores, points))
        usable = np.isfinite(xyxy).all(axis=1) & np.isfinite(landmarks).all(axis=(1, 2))
        likely = np.flatnonzero(usable)
        likely = likely[np.argsort(-score[likely], kind="stable")[: self.TOP_K]]
        keep = likely[keep_best(xyxy[likely], score[likely], self.NMS_IOU)]
        return FaceBatch(
            np.asarray(xyxy[keep], np.float32),
            np.asarray(score[keep], np.float32),
            np.asarray(landmarks[keep], np.float32),
        )


def _any_size(model: bytes) -> bytes:
    """Read the zoo's file, which says 640x640, with its sizes left open.

    Nothing in the network depends on them, but onnxruntime refuses other pictures.  In the file a
    size is a protobuf field of two or three bytes (`dim_value`, tag 8), which leaves room for a
    name (`dim_param`, tag 0x12) of the same length; the one before it, the 1 of the batch or the 3
    of the channels, makes sure that these bytes are a shape.
    """

    def named(value: bytes, name: bytes) -> tuple[bytes, bytes]:
        return b"\x0a\x03\x08" + value, b"\x0a\x03\x12\x01" + name

    side, any_height = named(b"\x80\x05", b"h")
    _, any_width = named(b"\x80\x05", b"w")
    channels = b"\x0a\x02\x08\x03"
    model = model.replace(channels + side + side, channels + any_height + any_width)
    batch = b"\x0a\x02\x08\x01"
    for cells, name in ((b"\x80\x32", b"a"), (b"\xc0\x0c", b"b"), (b"\x90\x03", b"c")):
        fixed, free = named(cells, name)
        model = model.replace(batch + fixed, batch + free)
    return model
