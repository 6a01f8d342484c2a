"""SFace, the default embedder.

Zhong et al., *SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition*, IEEE TIP
30, 2021; weights from the OpenCV zoo (Apache-2.0).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray

__all__ = ["SFaceEmbedder"]


class SFaceEmbedder:
    """SFace through onnxruntime: the same numbers as ``cv2.FaceRecognizerSF`` to 1e-5.

    Args:
        model: path of the ONNX file.
        threads: of the session.
    """

    id = "sface"
    size = 112
    dimension = 128
    # The zoo's verification threshold on LFW is 0.363 for faces aligned by the same five points.
    same_person = 0.363

    def __init__(self, model: Path, *, threads: int = 2) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # The file lists its weights as inputs; the runtime warns once for each of 150.
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        # Waiting threads that spin would burn the CPU time of the decoder between two calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def embed(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """(n, 112, 112, 3) uint8 BGR -> (n, 128) float32 of length 1."""
        if chips.ndim != 4 or chips.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"chips must be (n, 112, 112, 3), got {chips.shape}")
        # The graph is fixed to one face a call; on a CPU a batch would bring nothing.
        rows = np.zeros((len(chips), self.dimension), np.float32)
        for i, chip in enumerate(chips):
            blob = np.ascontiguousarray(chip[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32)
            rows[i] = self._session.run(None, {self._input: blob})[0][0]
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), np.float32)
