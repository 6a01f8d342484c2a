"""ArcFace-shaped networks: 112-pixel chips in, one vector out.

Deng et al., *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*, CVPR 2019.  Reads
the recognition files of InsightFace (``w600k_r50.onnx`` and its kin), which are for
non-commercial research; facepick brings none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError
from facepick.faces.detection import FloatArray

__all__ = ["ArcFaceOnnxEmbedder"]


class ArcFaceOnnxEmbedder:
    """One ONNX file of the ArcFace family, run in batches.

    Args:
        model: path of the file.
        threads: of the session.

    Raises:
        ModelMismatchError: it takes no (n, 3, 112, 112) or gives no vector.
    """

    id = "w600k_r50"
    size = 112
    # The usual operating point of the family on LFW; `facepick evaluate` measures yours.
    same_person = 0.32
    BATCH = 16

    def __init__(self, model: Path, *, threads: int = 2) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        taken, given = self._session.get_inputs()[0], self._session.get_outputs()[0]
        if list(taken.shape[1:]) != [3, self.size, self.size] or not isinstance(
            given.shape[-1], int
        ):
            raise ModelMismatchError(
                f"{model.name} takes {taken.shape} and gives {given.shape}; an ArcFace network "
                "takes (n, 3, 112, 112).",
                hint="Use a recognition file such as w600k_r50.onnx.",
            )
        self._input = taken.name
        self._one_by_one = taken.shape[0] == 1
        self.dimension = int(given.shape[-1])

    def raw(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 112, 112, 3) uint8 BGR as (n, dimension) float32, as the network gives them."""
        if chips.ndim != 4 or chips.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"chips must be (n, 112, 112, 3), got {chips.shape}")
        rows = np.zeros((len(chips), self.dimension), np.float32)
        step = 1 if self._one_by_one else self.BATCH
        for at in range(0, len(chips), step):
            part = chips[at : at + step]
            blob = (part[..., ::-1].astype(np.float32) - 127.5) / 127.5
            blob = np.ascontiguousarray(blob.transpose(0, 3, 1, 2))
            rows[at : at + step] = self._session.run(None, {self._input: blob})[0]
        return rows

    def embed(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 112, 112, 3) uint8 BGR as (n, dimension) float32 of length 1."""
        rows = self.raw(chips)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), np.float32)
