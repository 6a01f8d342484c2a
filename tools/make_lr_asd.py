"""Turns the public weights of LR-ASD into the two ONNX files that ship with facepick.

    python tools/make_lr_asd.py pretrain_AVA.model

Liao et al., "LR-ASD: Lightweight and Robust Network for Active Speaker Detection" (IJCV 2025),
https://github.com/Junhua-Liao/LR-ASD, MIT.  Batch normalisation is folded in; spatial and temporal
convolutions are written as 2-D ones, for which onnxruntime has its fast kernels.

The half that looks is written in 8 bits.  What every channel gives on the faces of
``tests/media/video`` says what one step of it is, and what its weights are rounded to: what one
loses is made up by those after it (Frantar et al., "GPTQ", ICLR 2023).  Without the newest
instructions a processor adds two products of 8 and 8 bits in 16: two weights, one after the other
in rows, columns and channels, come to 128 at most, so that this overflows nowhere.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from facepick.app import App
from facepick.media.reader import VideoReader
from facepick.models.onnx_file import OnnxGraph
from facepick.models.torch_file import read_tensors
from facepick.speech.active_speaker import face_crop, face_squares

EPS = 1e-3
REACH = 3
"""Pictures before and after one that a block looks at: convolutions of 5 and of 3."""
MEAN, DEVIATION = 0.4161 * 255, 0.1688 * 255
"""Of the pictures that the network was trained with."""
TOP, WEIGHT_TOP, PAIR_TOP = 255, 127, 128
ROOM = 1.15
"""Largest number of a channel, against the largest that the footage gives."""
LEAST = 0.5
"""The same, against the largest of all channels."""
LOOKS = 3000
"""Places at which a layer is looked at, for fifty pictures."""
ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "lib" / "facepick" / "models" / "data"
FOOTAGE = ROOT / "tests" / "media" / "video"


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


class Layer(NamedTuple):
    """A convolution of the half that looks; batch normalisation is folded in, ReLU follows.

    Attributes:
        weight: (out, in, rows, columns), or (out, in, pictures, 1) in time.
        side: of the pictures that it gives.
    """

    name: str
    block: int
    in_time: bool
    first: bool
    weight: np.ndarray
    bias: np.ndarray
    side: int

    @property
    def pads(self) -> tuple[int, ...]:
        """Rows and columns of nothing around the picture."""
        pad = self.weight.shape[2] // 2
        return (pad, 0, pad, 0) if self.in_time else (pad,) * 4


def face_layers(weights: Weights) -> Iterator[Layer]:
    """Give all in order: in each block two look at every picture alone, then two in time.

    The first takes every second pixel of 5 x 5.  Here it takes every one of 3 x 3, of the four
    pictures that every second row and column make: half the time.
    """
    for block, side in ((1, 56), (2, 28), (3, 14)):
        for kind in "st":
            for i in (1, 2):
                key = f"model.visualEncoder.block{block}.{kind}"
                w, b = weights.folded(f"{key}_{i}.weight", f"{key}_norm_{i}")
                w = w[:, :, 0] if kind == "s" else w[:, :, :, 0]
                if w.shape[1] == 1:
                    wide = np.pad(w[:, 0], ((0, 0), (0, 1), (0, 1))).reshape(len(w), 3, 2, 3, 2)
                    w = wide.transpose(0, 2, 4, 1, 3).reshape(len(w), 4, 3, 3)
                yield Layer(f"block{block}_{kind}{i}", block, kind == "t", i == 1, w, b, side)


def float_face_model(weights: Weights) -> bytes:
    """faces (T, 112, 112) uint8 -> visual (T, 128), and each layer's input and output.

    They are called as the layer, with ``_in`` and ``_out``.
    """
    g = OnnxGraph("lr_asd_face")
    x = g.node("Cast", ["faces"], to=1)
    x = g.node("Sub", [x, g.weight(np.float32(MEAN))])
    x = g.node("Div", [x, g.weight(np.float32(DEVIATION))])
    x = g.node("Unsqueeze", [x, g.weight(np.array([1]))])
    x = g.node("SpaceToDepth", [x], blocksize=2)
    outputs: dict[str, tuple[int | str, ...] | None] = {"visual": ("T", 128)}
    for layer in face_layers(weights):
        count, side = layer.weight.shape[0], layer.side
        if layer.in_time and layer.first:
            # Channels x pictures x pixels.
            x = g.node("Transpose", [x], perm=(1, 0, 2, 3))
            x = g.node("Reshape", [x, g.weight(np.array([1, count, -1, side * side]))])
        x = g.node("Identity", [x], f"{layer.name}_in")
        x = g.conv(x, layer.weight, layer.bias, pads=layer.pads)
        x = g.node("Relu", [x], f"{layer.name}_out")
        outputs |= {f"{layer.name}_in": None, f"{layer.name}_out": None}
        if layer.in_time and not layer.first:
            x = g.node("Reshape", [x, g.weight(np.array([count, -1, side, side]))])
            x = g.node("Transpose", [x], perm=(1, 0, 2, 3))
            if layer.block < 3:
                x = g.node("MaxPool", [x], kernel_shape=(3, 3), strides=(2, 2), pads=(1,) * 4)
    g.node("ReduceMax", [x], "visual", axes=(2, 3), keepdims=0)
    return g.model({"faces": ("uint8", ("T", 112, 112))}, outputs)


class Seen(NamedTuple):
    """What a layer was seen to do.

    Attributes:
        largest: that each channel gave.
        products: of each two numbers that one place of the output is made of, and of 1, summed.
    """

    largest: np.ndarray
    products: np.ndarray


def face_model(weights: Weights, seen: Mapping[str, Seen]) -> bytes:
    """faces (T, 112, 112) uint8 -> visual (T', 128), in successive calls, in 8 bits.

    Each block looks at every picture alone, and then at the three before and after it.  ``c1`` to
    ``c3`` are what the blocks saw last, (1, 0, ...) at first; the outputs ``n1`` to ``n3`` are
    given to the next call.  ``end`` is -3 while pictures follow, and beyond every length in the
    last call: what comes out lags nine pictures until then.

    Channels come last, so that a block turns from space to time without moving a number.

    Args:
        seen: by the name of the layer.
    """
    g = OnnxGraph("lr_asd_face")
    x = g.node("Reshape", ["faces", g.weight(np.array([-1, 56, 2, 56, 2]))])
    x = g.node("Transpose", [x], perm=(0, 1, 3, 2, 4))
    x = g.node("Reshape", [x, g.weight(np.array([-1, 56, 56, 4]))])
    inputs: dict[str, tuple[str, tuple[int | str, ...]]] = {
        "faces": ("uint8", ("T", 112, 112)),
        "end": ("int64", (1,)),
    }
    outputs: dict[str, tuple[int | str, ...]] = {}
    in_time, far = g.weight(np.array([1])), g.weight(np.array([2**40]))
    one, nought, no_offset = g.weight(np.float32(1)), g.weight(np.uint8(0)), g.weight(np.int8(0))
    # Pictures are taken as they are; zero is the mean, which lies a tenth beside a whole number.
    zero, beside = g.weight(np.uint8(round(MEAN))), round(MEAN) - MEAN
    step = np.full(4, 1 / DEVIATION)
    for layer in face_layers(weights):
        count, side, carried = layer.weight.shape[0], layer.side, f"c{layer.block}"
        if layer.in_time and layer.first:
            x = g.node("Reshape", [x, g.weight(np.array([1, -1, side * side, count]))])
            inputs[carried] = ("uint8", (1, f"N{layer.block}", side * side, count))
            kept = f"n{layer.block}"
            outputs[kept] = (1, f"K{layer.block}", side * side, count)
            x = g.node("Concat", [carried, x], axis=1)
            g.node("Slice", [x, g.weight(np.array([-2 * REACH])), far, in_time], kept)
        largest = seen[layer.name].largest * ROOM
        given = np.maximum(largest, LEAST * largest.max()) / TOP
        # From steps to steps; then in whole numbers of the least size that its pairs allow.
        w = layer.weight * step[:, None, None] / given[:, None, None, None]
        b = layer.bias / given + beside * w.sum(axis=(1, 2, 3))
        flat = w.transpose(0, 2, 3, 1).reshape(count, -1)
        size = np.maximum(
            of_one_sign(flat).max(axis=1) / PAIR_TOP, np.abs(flat).max(axis=1) / WEIGHT_TOP
        )
        flat = np.concatenate([flat, b[:, None]], axis=1) / size[:, None]
        each = np.append(np.tile(step, w[0, 0].size), 1.0)
        flat = rounded(flat, seen[layer.name].products / each / each[:, None])
        whole = flat[:, :-1].reshape(count, *w.shape[2:], -1).transpose(0, 3, 1, 2)
        x = g.node(
            "com.microsoft.QLinearConv",
            [
                x, one, zero,
                g.weight(whole.astype(np.int8)),
                g.weight(size.astype(np.float32)), no_offset,
                one, nought,
                g.weight(flat[:, -1].astype(np.int32)),
            ],
            channels_last=1,
            kernel_shape=w.shape[2:],
            pads=layer.pads,
        )  # fmt: skip
        # What is below zero is cut off there: no ReLU is needed.
        zero, beside, step = nought, 0.0, given
        if layer.in_time and not layer.first:
            # What an earlier call gave, and what the next one will give better, is left out.
            before = g.node("Gather", [g.node("Shape", [carried]), in_time], axis=0)
            start = g.node("Sub", [before, g.weight(np.array([REACH]))])
            start = g.node("Max", [start, g.weight(np.array([0]))])
            x = g.node("Slice", [x, start, "end", in_time])
            x = g.node("Reshape", [x, g.weight(np.array([-1, side, side, count]))])
            if layer.block < 3:
                pool = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1,) * 4}
                x = g.node("com.microsoft.NhwcMaxPool", [x], **pool)
    x = g.node("ReduceMax", [x], axes=(1, 2), keepdims=0)
    x = g.node("Mul", [g.node("Cast", [x], to=1), g.weight(step)], "visual")
    kinds = dict.fromkeys(outputs, "uint8")
    return g.model(inputs, {x: ("V", 128), **outputs}, kinds)


def of_one_sign(weights: np.ndarray) -> np.ndarray:
    """Sum the positive and the negative ones of each two successive weights; the larger sum."""
    pairs = np.pad(weights, ((0, 0), (0, weights.shape[1] % 2))).reshape(len(weights), -1, 2)
    return np.maximum(np.maximum(pairs, 0).sum(axis=2), np.maximum(-pairs, 0).sum(axis=2))


def rounded(weights: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Round each weight, and let those after it make up for what is lost by it.

    Args:
        weights: (channels, n), the last of them what is added, which may be of any size.
        products: (n, n), of what they are multiplied by.
    """
    damped = products + np.diag(np.full(len(products), 0.01 * np.diag(products).mean()))
    together = np.linalg.cholesky(np.linalg.inv(damped)).T
    left, last = weights.copy(), weights.shape[1] - 1
    for i in range(last):
        other = left[:, i - 1] if i % 2 else np.zeros(len(left))
        least = np.maximum(-WEIGHT_TOP, -PAIR_TOP - np.minimum(other, 0))
        most = np.minimum(WEIGHT_TOP, PAIR_TOP - np.maximum(other, 0))
        whole = np.clip(np.rint(left[:, i]), least, most)
        lost = (left[:, i] - whole) / together[i, i]
        left[:, i] = whole
        left[:, i + 1 :] -= lost[:, None] * together[i, i + 1 :]
    return np.rint(left)


def seen_of_footage(weights: Weights) -> dict[str, Seen]:
    """Look at what each layer does on the faces of the footage."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        float_face_model(weights), providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(1)
    layers = list(face_layers(weights))
    seen: dict[str, Seen] = {}
    for faces in footage():
        for layer in layers:
            names = [f"{layer.name}_in", f"{layer.name}_out"]
            taken, given = session.run(names, {"faces": faces})
            looks = np.append(places(layer, taken, rng), np.ones((LOOKS, 1)), axis=1)
            own = Seen(given.max(axis=(0, 2, 3)), looks.T @ looks * (len(faces) / 50))
            if layer.name in seen:
                largest, products = seen[layer.name]
                own = Seen(np.maximum(largest, own.largest), products + own.products)
            seen[layer.name] = own
    return seen


def places(layer: Layer, taken: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw what some places of a layer's output are made of, (places, rows x columns x in)."""
    top, left, bottom, right = layer.pads
    padded = np.pad(taken, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows, columns = layer.weight.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(2, 3))
    one, y, x = (rng.integers(0, windows.shape[i], LOOKS) for i in (0, 2, 3))
    return windows[one, :, y, x].transpose(0, 2, 3, 1).reshape(LOOKS, -1).astype(np.float64)


def footage() -> Iterator[np.ndarray]:
    """Yield the faces of the films of the tests, (n, 112, 112) uint8, fifty of one at most."""
    for path in sorted(FOOTAGE.glob("*.mp4")):
        scan = App().find_people(path)
        squares = {track.id: face_squares(track.boxes) for track in scan.tracks}
        faces: dict[str, list[np.ndarray]] = {track.id: [] for track in scan.tracks}
        for frame in VideoReader(path).frames():
            picture = frame.picture
            whole = picture.crop(0, 0, picture.width, picture.height)
            for track in scan.tracks:
                row = track.position(frame.index)
                if row is not None:
                    faces[track.id].append(face_crop(whole, squares[track.id][row]))
        for own in faces.values():
            for at in range(0, len(own), 50):
                yield np.stack(own[at : at + 50])


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
    (DATA / "lr_asd_face.onnx").write_bytes(face_model(weights, seen_of_footage(weights)))
    (DATA / "lr_asd_speech.onnx").write_bytes(speech_model(weights))


if __name__ == "__main__":
    main()
