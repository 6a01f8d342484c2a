"""Speaker embeddings: 192 numbers that tell whose voice a second and a half of speech is.

CAM++ (Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using
Context-Aware Masking", Interspeech 2023), the weights for Chinese and English of 3D-Speaker
(Apache-2.0), on onnxruntime: the graph is written from the checkpoint when it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError
from facepick.models.onnx_file import OnnxGraph
from facepick.models.torch_file import StoredTensor, read_tensors
from facepick.speech.spectrum import htk_mel, power_spectrum, triangles, windows

__all__ = ["WINDOW_SECONDS", "SpeakerEmbedder"]

Array = npt.NDArray[np.float32]

_RATE = 16_000
_BANDS, _COLUMNS = 80, 150
_WINDOW, _HOP, _FFT = 400, 160, 512
_SAMPLES = (_COLUMNS - 1) * _HOP + _WINDOW
WINDOW_SECONDS = _SAMPLES / _RATE
"""What one embedding is made of: 150 columns, 1.5 s."""
_BATCH = 6
"""Windows at once: 24 ms each; of sixteen, whose numbers leave the processor's cache, 30."""
# Layers, width of the kernel and dilation of the three blocks.
_BLOCKS = ((12, 1), (24, 2), (16, 2))
_EPS = 1e-5


class SpeakerEmbedder:
    """The network.

    Args:
        path: the checkpoint ``campplus_cn_en_common.pt``.

    Raises:
        ModelMismatchError: the file is another one.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            model = _model(_Weights(read_tensors(path)))
        except KeyError as error:
            raise ModelMismatchError(
                f"{path.name} is not CAM++: it lacks {error.args[0]}.",
                hint="Fetch it anew: facepick models fetch speakers",
            ) from error
        self._session: Any = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def likeness(self, first: Array, second: Array, rate: int) -> float:
        """Compute how alike two voices are, in [-1, 1]: the cosine of their mean embeddings.

        Args:
            first, second: (n,) float32 mono, `WINDOW_SECONDS` or more; less tells nothing: 0.
            rate: samples a second.
        """
        means = [self._mean(samples, rate) for samples in (first, second)]
        length = float(np.linalg.norm(means[0]) * np.linalg.norm(means[1]))
        return float(means[0] @ means[1]) / length if length else 0.0

    def _mean(self, samples: Array, rate: int) -> Array:
        count = round(len(samples) * _RATE / rate)
        at = np.arange(count) * (rate / _RATE)
        heard = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
        starts = range(0, count - _SAMPLES + 1, _SAMPLES // 2)
        windows = [heard[i : i + _SAMPLES] for i in starts]
        if not windows:
            return np.zeros(192, np.float32)
        return np.asarray(self.embed(np.stack(windows)).mean(axis=0), np.float32)

    def embed(self, windows: Array) -> Array:
        """Embed pieces of speech.

        Args:
            windows: (n, 24240) float32 mono at 16 kHz, `WINDOW_SECONDS` each.

        Returns:
            (n, 192) float32, of length 1.
        """
        parts = [np.zeros((0, 192), np.float32)]
        for start in range(0, len(windows), _BATCH):
            bands = np.stack([_bands(w) for w in windows[start : start + _BATCH]])
            parts.append(self._session.run(None, {"bands": bands})[0])
        found = np.concatenate(parts)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(length, 1e-6), np.float32)


def _bands(samples: Array) -> Array:
    """Log mel bands as Kaldi makes them, (80, 150), their mean over time removed."""
    frames = windows(samples.astype(np.float64), _WINDOW, _HOP)
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    at = np.arange(_WINDOW) / (_WINDOW - 1)
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * at)) ** 0.85
    power = power_spectrum((frames - 0.97 * before) * povey, _FFT)
    bands = np.log(np.maximum(power @ _filters().T, np.finfo(np.float32).eps))
    return np.asarray((bands - bands.mean(axis=0)).T, np.float32)


@cache
def _filters() -> npt.NDArray[np.float64]:
    """(80, 257) triangles between 20 Hz and 8 kHz, straight on the mel scale."""

    edges = np.linspace(htk_mel(20.0), htk_mel(_RATE / 2), _BANDS + 2)
    out = triangles(edges, htk_mel(np.arange(_FFT // 2 + 1) * (_RATE / _FFT)))
    # Kaldi leaves the highest bin out.
    out[:, -1] = 0.0
    return out


class _Weights:
    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, key: str) -> Array:
        return np.asarray(self._tensors[key].load(), np.float32)

    def norm(self, key: str) -> tuple[Array, Array]:
        """Factor and summand of a batch normalisation."""
        factor = 1 / np.sqrt(self[f"{key}.running_var"] + _EPS)
        if f"{key}.weight" in self._tensors:
            factor = factor * self[f"{key}.weight"]
        summand = -self[f"{key}.running_mean"] * factor
        if f"{key}.bias" in self._tensors:
            summand = summand + self[f"{key}.bias"]
        return factor, summand

    def folded(self, weight: str, norm: str) -> tuple[Array, Array]:
        factor, summand = self.norm(norm)
        kernel = self[weight]
        return kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1)), summand


def _model(weights: _Weights) -> bytes:
    g = OnnxGraph("cam_plus_plus")
    x = _front(g, weights)
    w, b = weights.folded("xvector.tdnn.linear.weight", "xvector.tdnn.nonlinear.batchnorm")
    x = g.node("Relu", [g.conv(x, w, b, strides=(2,), pads=(2, 2))])
    for number, (layers, dilation) in enumerate(_BLOCKS, 1):
        for key in (f"xvector.block{number}.tdnnd{i}" for i in range(1, layers + 1)):
            x = g.node("Concat", [x, _dense(g, weights, x, key, dilation)], axis=1)
        x = _normed(g, weights, x, f"xvector.transit{number}.nonlinear.batchnorm")
        x = g.conv(x, weights[f"xvector.transit{number}.linear.weight"])
    x = _normed(g, weights, x, "xvector.out_nonlinear.batchnorm")
    mean = g.node("ReduceMean", [x], axes=(2,), keepdims=1)
    off = g.node("Sub", [x, mean])
    square = g.node("ReduceMean", [g.node("Mul", [off, off])], axes=(2,), keepdims=1)
    # Windows have one length, so that the sample variance is a constant away.
    count = _COLUMNS // 2
    square = g.node("Mul", [square, g.weight(np.array(count / (count - 1), np.float32))])
    x = g.node("Concat", [mean, g.node("Sqrt", [square])], axis=1)
    x = g.conv(
        x, *weights.folded("xvector.dense.linear.weight", "xvector.dense.nonlinear.batchnorm")
    )
    g.node("Squeeze", [x, g.weight(np.array([2]))], "voice")
    return g.model({"bands": ("float32", ("N", _BANDS, _COLUMNS))}, {"voice": ("N", 192)})


def _front(g: OnnxGraph, weights: _Weights) -> str:
    """Add the two-dimensional part, in which frequencies are halved three times."""

    def conv(x: str, weight: str, norm: str, step: int = 1, pad: int = 1) -> str:
        w, b = weights.folded(f"head.{weight}.weight", f"head.{norm}")
        return g.conv(x, w, b, strides=(step, 1), pads=(pad,) * 4)

    x = g.node("Unsqueeze", ["bands", g.weight(np.array([1]))])
    x = g.node("Relu", [conv(x, "conv1", "bn1")])
    for key, step in _blocks():
        inner = g.node("Relu", [conv(x, f"{key}.conv1", f"{key}.bn1", step)])
        inner = conv(inner, f"{key}.conv2", f"{key}.bn2")
        if step > 1:
            x = conv(x, f"{key}.shortcut.0", f"{key}.shortcut.1", step, 0)
        x = g.node("Relu", [g.node("Add", [inner, x])])
    x = g.node("Relu", [conv(x, "conv2", "bn2", 2)])
    return g.node("Reshape", [x, g.weight(np.array([0, 320, _COLUMNS]))])


def _blocks() -> Iterator[tuple[str, int]]:
    for layer in (1, 2):
        yield f"layer{layer}.0", 2
        yield f"layer{layer}.1", 1


def _normed(g: OnnxGraph, weights: _Weights, x: str, key: str) -> str:
    factor, summand = (g.weight(v.reshape(1, -1, 1)) for v in weights.norm(key))
    return g.node("Relu", [g.node("Add", [g.node("Mul", [x, factor]), summand])])


def _dense(g: OnnxGraph, weights: _Weights, x: str, key: str, dilation: int) -> str:
    """One layer, masked by what the whole window and its hundred columns hold.

    A window has 75 columns here: both are its mean.
    """
    x = _normed(g, weights, x, f"{key}.nonlinear1.batchnorm")
    w, b = weights.folded(f"{key}.linear1.weight", f"{key}.nonlinear2.batchnorm")
    x = g.node("Relu", [g.conv(x, w, b)])
    cam = f"{key}.cam_layer"
    local = g.conv(
        x, weights[f"{cam}.linear_local.weight"], pads=(dilation,) * 2, dilations=(dilation,)
    )
    mean = g.node("ReduceMean", [x], axes=(2,), keepdims=1)
    context = g.node("Add", [mean, mean])
    for i, last in ((1, "Relu"), (2, "Sigmoid")):
        name = f"{cam}.linear{i}"
        context = g.node(
            last, [g.conv(context, weights[f"{name}.weight"], weights[f"{name}.bias"])]
        )
    return g.node("Mul", [local, context])
