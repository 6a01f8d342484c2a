"""Turns the public weights of LR-ASD into the two ONNX files that ship with facepick.

    python tools/make_lr_asd.py pretrain_AVA.model

Liao et al., "LR-ASD: Lightweight and Robust Network for Active Speaker Detection" (IJCV 2025),
https://github.com/Junhua-Liao/LR-ASD, MIT.  Batch normalisation is folded in; spatial and temporal
convolutions are written as 2-D ones, for which onnxruntime has its fast kernels.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from facepick.models.onnx_file import OnnxGraph
from facepick.models.torch_file import read_tensors

EPS = 1e-3
REACH = 3
"""Pictures before and after one that a block looks at: convolutions of 5 and of 3."""
DATA = Path(__file__).resolve().parents[1] / "lib" / "facepick" / "models" / "data"


class Weights:
    """The tensors of the file, with batch normalisation folded into what comes before it."""

    def __init__(self, path: Path) -> None:
        self._tensors = read_tensors(path)

    def __getitem__(self, key: str) -> np.ndarray:
        return self._tensors[key].load()

    def folded(self, weight: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        scale = self[f"{norm}.weight"] / np.sqrt(self[f"{norm}.running_var"] + EPS)
        kernel = self[weight]
        bias = self[f"{norm}.bias"] - self[f"{norm}.running_mean"] * scale
        return kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1)), bias


def face_model(weights: Weights) -> bytes:
    """faces (T, 112, 112) uint8 -> visual (T', 128), in successive calls.

    Each block looks at every picture alone, and then at the three before and after it.  ``c1`` to
    ``c3`` are what the blocks saw last, (0, ...) at first; the outputs ``n1`` to ``n3`` are given
    to the next call.  ``end`` is -3 while pictures follow, and beyond every length in the last
    call: what comes out lags nine pictures until then.
    """
    g = OnnxGraph("lr_asd_face")
    x = g.node("Cast", ["faces"], to=1)
    x = g.node("Mul", [x, g.weight(np.float32(1 / 255 / 0.1688))])
    x = g.node("Sub", [x, g.weight(np.float32(0.4161 / 0.1688))])
    x = g.node("Unsqueeze", [x, g.weight(np.array([1]))])
    inputs = {"faces": ("uint8", ("T", 112, 112)), "end": ("int64", (1,))}
    outputs = {}
    for number, side in ((1, 56), (2, 28), (3, 14)):
        key = f"model.visualEncoder.block{number}"
        for i, step in ((1, 2 if number == 1 else 1), (2, 1)):
            w, b = weights.folded(f"{key}.s_{i}.weight", f"{key}.s_norm_{i}")
            w = w[:, :, 0]
            pad = w.shape[2] // 2
            x = g.node("Relu", [g.conv(x, w, b, pads=(pad,) * 4, strides=(step, step))])
        # In time: channels x frames x pixels.
        channels = w.shape[0]
        x = g.node("Transpose", [x], perm=(1, 0, 2, 3))
        x = g.node("Reshape", [x, g.weight(np.array([1, channels, -1, side * side]))])
        carried, kept = f"c{number}", f"n{number}"
        inputs[carried] = ("float32", (1, channels, f"N{number}", side * side))
        outputs[kept] = (1, channels, f"K{number}", side * side)
        x = g.node("Concat", [carried, x], axis=2)
        axis, far = g.weight(np.array([2])), g.weight(np.array([2**40]))
        g.node("Slice", [x, g.weight(np.array([-2 * REACH])), far, axis], kept)
        for i in (1, 2):
            w, b = weights.folded(f"{key}.t_{i}.weight", f"{key}.t_norm_{i}")
            w = w[:, :, :, 0]
            pad = w.shape[2] // 2
            x = g.node("Relu", [g.conv(x, w, b, pads=(pad, 0, pad, 0))])
        # What an earlier call gave, and what the next one will give better, is left out.
        shape = g.node("Shape", [carried])
        count = g.node("Gather", [shape, g.weight(np.array([2]))], axis=0)
        start = g.node("Sub", [count, g.weight(np.array([REACH]))])
        start = g.node("Max", [start, g.weight(np.array([0]))])
        x = g.node("Slice", [x, start, "end", axis])
        x = g.node("Reshape", [x, g.weight(np.array([channels, -1, side, side]))])
        x = g.node("Transpose", [x], perm=(1, 0, 2, 3))
        if number < 3:
            x = g.node("MaxPool", [x], kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    x = g.node("ReduceMax", [x], "visual", axes=(2, 3), keepdims=0)
    return g.model(inputs, {x: ("V", 128), **outputs})


def speech_model(weights: Weights) -> bytes:
    """mfcc (B, 4 T, 13), visual (B, T, 128) -> logits (B, T, 2)."""
    g = OnnxGraph("lr_asd_speech")
    x = g.node("Transpose", ["mfcc"], perm=(0, 2, 1))
    x = g.node("Unsqueeze", [x, g.weight(np.array([1]))])
    for number in (1, 2, 3):
        key = f"model.audioEncoder.block{number}"
        for kind, down in (("m", True), ("t", False)):
            for i in (1, 2):
                w, b = weights.folded(f"{key}.{kind}_{i}.weight", f"{key}.{kind}_norm_{i}")
                pad = max(w.shape[2:]) // 2
                pads = (pad, 0, pad, 0) if down else (0, pad, 0, pad)
                x = g.node("Relu", [g.conv(x, w, b, pads=pads)])
        if number < 3:
            x = g.node("MaxPool", [x], kernel_shape=(1, 3), strides=(1, 2), pads=(0, 1, 0, 1))
    x = g.node("ReduceMean", [x], axes=(2,), keepdims=0)
    visual = g.node("Transpose", ["visual"], perm=(0, 2, 1))
    x = attended(g, weights, g.node("Concat", [x, visual], axis=1), "model.fusion")
    x = g.node("Transpose", [x], perm=(2, 0, 1))
    names = ("model.detector.gru_forward", "model.detector.gru_backward")
    matrices = [
        np.stack([np.concatenate([gates(weights[f"{n}.{p}"]) for p in parts]) for n in names])
        for parts in (("weight_ih_l0",), ("weight_hh_l0",), ("bias_ih_l0", "bias_hh_l0"))
    ]
    # The two gated units read the same sequence, one of them from its end.
    x = g.node(
        "GRU",
        [x, *(g.weight(m) for m in matrices)],
        direction="bidirectional",
        hidden_size=64,
        linear_before_reset=1,
    )
    x = g.node("Transpose", [x], perm=(2, 1, 3, 0))
    x = g.node("Reshape", [x, g.weight(np.array([0, 128, -1]))])
    x = attended(g, weights, x, "model.detector.attention")
    x = g.node("Transpose", [x], perm=(0, 2, 1))
    x = g.node("MatMul", [x, g.weight(weights["lossAV.FC.weight"].T)])
    x = g.node("Add", [x, g.weight(weights["lossAV.FC.bias"])], "logits")
    return g.model(
        {"mfcc": ("float32", ("B", "T4", 13)), "visual": ("float32", ("B", "T", 128))},
        {x: ("B", "T", 2)},
    )


def attended(g: OnnxGraph, weights: Weights, x: str, key: str) -> str:
    """Channels weighted by what all of them hold."""
    w, b = weights.folded(f"{key}.attention.weight", f"{key}.bn")
    return g.node("Mul", [x, g.node("Sigmoid", [g.conv(x, w, b)])])


def gates(matrix: np.ndarray) -> np.ndarray:
    """Reset, update, new (PyTorch) to update, reset, new (ONNX)."""
    reset, update, new = np.split(matrix, 3)
    return np.concatenate([update, reset, new])


def main() -> None:
    weights = Weights(Path(sys.argv[1]))
    for name, make in (("lr_asd_face.onnx", face_model), ("lr_asd_speech.onnx", speech_model)):
        (DATA / name).write_bytes(make(weights))


if __name__ == "__main__":
    main()
