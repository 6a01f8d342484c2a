"""SCRFD, the detector of InsightFace.

Guo et al., *Sample and Computation Redistribution for Efficient Face Detection*, ICLR 2022.  The
code is MIT; the published weights are for non-commercial research.  facepick brings none: it
reads ``scrfd_*_bnkps.onnx`` and ``det_10g.onnx``, which users have from InsightFace.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError
from facepick.faces.analyzers._letterbox import keep_best, letterbox
from facepick.faces.detection import FaceBatch

__all__ = ["ScrfdDetector"]


class ScrfdDetector:
    """SCRFD with landmarks through onnxruntime.

    Args:
        model: path of the ONNX file.
        side: of the square that the network sees, a multiple of 32.
        threads: of the session.

    Raises:
        ModelMismatchError: the file is no SCRFD with landmarks.
    """

    id = "scrfd"

    STRIDES = (8, 16, 32)
    ANCHORS = 2
    NMS_IOU = 0.4

    def __init__(self, model: Path, *, side: int = 640, threads: int = 2) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        if len(self._session.get_outputs()) != 3 * len(self.STRIDES):
            raise ModelMismatchError(
                f"{model.name} has {len(self._session.get_outputs())} outputs; an SCRFD with "
                "landmarks has 9.",
                hint="Use a file whose name ends in _bnkps.onnx, or det_10g.onnx.",
            )
        self._input = self._session.get_inputs()[0].name
        self._side = side

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Detect faces in pixels of `image`, by falling score."""
        square, scale = letterbox(image, self._side)
        blob = (square[:, :, ::-1].astype(np.float32) - 127.5) / 128.0
        outputs = self._session.run(
            None, {self._input: np.ascontiguousarray(blob.transpose(2, 0, 1)[None])}
        )
        boxes, scores, points = [], [], []
        levels = len(self.STRIDES)
        for level, stride in enumerate(self.STRIDES):
            cells = self._side // stride
            ys, xs = np.divmod(np.arange(cells * cells), cells)
            centres = np.repeat(np.stack([xs, ys], axis=1), self.ANCHORS, axis=0) * stride
            score = np.asarray(outputs[level]).reshape(-1)
            take = np.nonzero(score >= 0.3)[0]
            reach = np.asarray(outputs[level + levels]).reshape(-1, 4)[take] * stride
            marks = np.asarray(outputs[level + 2 * levels]).reshape(-1, 5, 2)[take] * stride
            centre = centres[take]
            boxes.append(np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], axis=1))
            points.append(centre[:, None, :] + marks)
            scores.append(score[take])
        xyxy = np.concatenate(boxes)
        score = np.concatenate(scores)
        keep = keep_best(xyxy, score, self.NMS_IOU)
        return FaceBatch(
            np.asarray(xyxy[keep] / scale, np.float32),
            np.asarray(np.clip(score[keep], 0, 1), np.float32),
            np.asarray(np.concatenate(points)[keep] / scale, np.float32),
        )
