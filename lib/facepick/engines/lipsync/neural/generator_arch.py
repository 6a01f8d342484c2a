"""Layers of the 96-pixel Wav2Lip generator, as a table.

The public network (Prajwal et al. 2020) has three chains of convolutions: the face encoder, whose
intermediate results the decoder sees again; the audio encoder; and the face decoder.  Every
convolution but the last is followed by batch normalisation and ReLU; some add their input first.
Kernel sizes and channels follow from a checkpoint's shapes; strides and paddings are those that
turn 96x96 pixels into one and 80x16 mel columns into one, and were confirmed against recorded
outputs of the public network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "AUDIO_ENCODER", "FACE_DECODER", "FACE_ENCODER", "OUTPUT", "Layer", "expected_shapes",
    "folded", "layers",
]  # fmt: skip

FloatArray = npt.NDArray[np.float32]

# torch.nn.BatchNorm2d's own.
_EPSILON = 1e-5


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution with its batch normalisation and ReLU.

    Attributes:
        key: prefix of its tensors in a checkpoint.
        inputs, outputs: channels.
        kernel: side in pixels.
        stride: down and across.
        padding: on all sides.
        transposed: enlarges instead of shrinking.
        output_padding: extra rows and columns of a transposed convolution.
        residual: its input is added before the ReLU.
        plain: no batch normalisation and no ReLU.
    """

    key: str
    inputs: int
    outputs: int
    kernel: int = 3
    stride: tuple[int, int] = (1, 1)
    padding: int = 1
    transposed: bool = False
    output_padding: int = 0
    residual: bool = False
    plain: bool = False

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the layer's weight in a checkpoint."""
        first, second = self.outputs, self.inputs
        if self.transposed:
            first, second = second, first
        return first, second, self.kernel, self.kernel


def _residuals(block: str, first: int, count: int, channels: int) -> tuple[Layer, ...]:
    return tuple(
        Layer(key=f"{block}.{i}", inputs=channels, outputs=channels, residual=True)
        for i in range(first, first + count)
    )


def _shrinking(i: int, inputs: int, outputs: int, residuals: int) -> tuple[Layer, ...]:
    block = f"face_encoder_blocks.{i}"
    head = Layer(key=f"{block}.0", inputs=inputs, outputs=outputs, stride=(2, 2))
    return (head, *_residuals(block, 1, residuals, outputs))


def _growing(i: int, inputs: int, outputs: int, residuals: int) -> tuple[Layer, ...]:
    block = f"face_decoder_blocks.{i}"
    head = Layer(
        key=f"{block}.0", inputs=inputs, outputs=outputs, stride=(2, 2),
        transposed=True, output_padding=1,
    )  # fmt: skip
    return (head, *_residuals(block, 1, residuals, outputs))


def _audio(
    i: int, inputs: int, outputs: int, stride: tuple[int, int], residuals: int
) -> tuple[Layer, ...]:
    head = Layer(key=f"audio_encoder.{i}", inputs=inputs, outputs=outputs, stride=stride)
    return (head, *_residuals("audio_encoder", i + 1, residuals, outputs))


# Side of the picture after each block: 96, 48, 24, 12, 6, 3, 1.
FACE_ENCODER: tuple[tuple[Layer, ...], ...] = (
    (Layer(key="face_encoder_blocks.0.0", inputs=6, outputs=16, kernel=7, padding=3),),
    _shrinking(1, 16, 32, 2),
    _shrinking(2, 32, 64, 3),
    _shrinking(3, 64, 128, 2),
    _shrinking(4, 128, 256, 2),
    _shrinking(5, 256, 512, 1),
    (
        Layer(key="face_encoder_blocks.6.0", inputs=512, outputs=512, padding=0),
        Layer(key="face_encoder_blocks.6.1", inputs=512, outputs=512, kernel=1, padding=0),
    ),
)

# 80x16 -> 27x16 -> 9x6 -> 3x3 -> 1x1.
AUDIO_ENCODER: tuple[Layer, ...] = (
    *_audio(0, 1, 32, (1, 1), 2),
    *_audio(3, 32, 64, (3, 1), 2),
    *_audio(6, 64, 128, (3, 3), 2),
    *_audio(9, 128, 256, (3, 2), 1),
    Layer(key="audio_encoder.11", inputs=256, outputs=512, padding=0),
    Layer(key="audio_encoder.12", inputs=512, outputs=512, kernel=1, padding=0),
)

# Each block's result is joined with the face encoder's of the same side: 1, 3, 6, ... 96.
FACE_DECODER: tuple[tuple[Layer, ...], ...] = (
    (Layer(key="face_decoder_blocks.0.0", inputs=512, outputs=512, kernel=1, padding=0),),
    (
        Layer(key="face_decoder_blocks.1.0", inputs=1024, outputs=512, padding=0, transposed=True),
        *_residuals("face_decoder_blocks.1", 1, 1, 512),
    ),
    _growing(2, 1024, 512, 2),
    _growing(3, 768, 384, 2),
    _growing(4, 512, 256, 2),
    _growing(5, 320, 128, 2),
    _growing(6, 160, 64, 2),
)

OUTPUT: tuple[Layer, ...] = (
    Layer(key="output_block.0", inputs=80, outputs=32),
    Layer(key="output_block.1", inputs=32, outputs=3, kernel=1, padding=0, plain=True),
)


def layers() -> tuple[Layer, ...]:
    """List every layer once."""
    encoder = tuple(layer for block in FACE_ENCODER for layer in block)
    decoder = tuple(layer for block in FACE_DECODER for layer in block)
    return (*encoder, *AUDIO_ENCODER, *decoder, *OUTPUT)


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """List the shape of every tensor of a checkpoint, without batch normalisation's counters."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers():
        convolution = layer.key if layer.plain else f"{layer.key}.conv_block.0"
        shapes[f"{convolution}.weight"] = layer.weight_shape
        shapes[f"{convolution}.bias"] = (layer.outputs,)
        if not layer.plain:
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{layer.key}.conv_block.1.{name}"] = (layer.outputs,)
    return shapes


def folded(layer: Layer, tensors: Mapping[str, npt.NDArray[Any]]) -> tuple[FloatArray, FloatArray]:
    """Fold a layer's batch normalisation into its weight and bias.

    In evaluation, normalisation is ``(x - mean) / sqrt(var + eps) * gamma + beta``: a factor and
    an offset per output channel, which the convolution can carry itself.  Worked out in float64.
    """
    if layer.plain:
        return (
            np.array(tensors[f"{layer.key}.weight"], np.float32),
            np.array(tensors[f"{layer.key}.bias"], np.float32),
        )

    def get(name: str) -> npt.NDArray[np.float64]:
        return np.asarray(tensors[f"{layer.key}.conv_block.{name}"], np.float64)

    factor = get("1.weight") / np.sqrt(get("1.running_var") + _EPSILON)
    shape = (1, -1, 1, 1) if layer.transposed else (-1, 1, 1, 1)
    weight = get("0.weight") * factor.reshape(shape)
    bias = (get("0.bias") - get("1.running_mean")) * factor + get("1.bias")
    return weight.astype(np.float32), bias.astype(np.float32)
