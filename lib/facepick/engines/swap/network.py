"""Swap networks as the engine sees them: an aligned chip and an identity in, a chip out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError
from facepick.faces.detection import FloatArray
from facepick.faces.warp import to_uint8
from facepick.models.onnx_file import onnx_matrix

__all__ = ["ArcFaceEmbedder", "EmbeddingConverter", "SwapNetwork", "last_square_initializer"]

EMBEDDING = 512


class ArcFaceEmbedder:
    """ArcFace w600k_r50: an aligned face of 112 pixels -> 512 numbers (not normalised).

    Deng et al., *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*, CVPR 2019;
    input RGB, (value - 127.5) / 127.5.

    Raises:
        ModelMismatchError: the file's inputs or outputs are others.
    """

    SIDE = 112

    def __init__(self, path: Path, device: str = "auto") -> None:
        from facepick.models.device import ort_session

        self._session = ort_session(path, device)
        (first, *more) = self._session.get_inputs()
        if more or not _fits(first.shape, (None, 3, self.SIDE, self.SIDE)):
            raise _mismatch(path, f"one input (n, 3, {self.SIDE}, {self.SIDE})")
        self._name, self._path = first.name, path

    def embed(self, chip: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (112, 112, 3) uint8 BGR as (512,) float32."""
        blob = (chip[:, :, ::-1].astype(np.float32) - 127.5) / 127.5
        blob = blob.transpose(2, 0, 1)[None]
        answer = np.asarray(self._session.run(None, {self._name: blob})[0], np.float32).ravel()
        if answer.shape != (EMBEDDING,) or not np.isfinite(answer).all():
            raise _mismatch(self._path, f"{EMBEDDING} numbers a face")
        return answer


class EmbeddingConverter:
    """A network from one embedding of 512 numbers to another."""

    def __init__(self, path: Path, device: str = "auto") -> None:
        from facepick.models.device import ort_session

        self._session = ort_session(path, device)
        (first, *more) = self._session.get_inputs()
        if more or not _fits(first.shape, (None, EMBEDDING)):
            raise _mismatch(path, f"one input (n, {EMBEDDING})")
        self._name = first.name

    def convert(self, embedding: FloatArray) -> FloatArray:
        """Convert (512,) to (512,) float32."""
        blob = embedding.reshape(1, EMBEDDING)
        return np.asarray(self._session.run(None, {self._name: blob})[0], np.float32).ravel()


@dataclass(frozen=True)
class ChipRange:
    """Coding of colours by a network: value = (c / 255 - mean) / scale."""

    mean: float
    scale: float


class SwapNetwork:
    """inswapper, hyperswap, ghost and their like.

    Args:
        path: the ONNX file; inputs are a picture (1, 3, side, side) and an identity (1, 512).
        side: of the chip in pixels.
        colors: how colours are coded, RGB in and out.

    Raises:
        ModelMismatchError: the file's inputs or outputs are others.
    """

    def __init__(
        self, path: Path, *, side: int, colors: Literal["unit", "signed"], device: str = "auto"
    ) -> None:
        from facepick.models.device import ort_session

        self._session = ort_session(path, device)
        self.side = side
        self._range = ChipRange(0.0, 1.0) if colors == "unit" else ChipRange(0.5, 0.5)
        self._path = path
        inputs = self._session.get_inputs()
        pictures = [i for i in inputs if _fits(i.shape, (1, 3, side, side))]
        identities = [i for i in inputs if _fits(i.shape, (1, EMBEDDING))]
        if len(inputs) != 2 or len(pictures) != 1 or len(identities) != 1:
            raise _mismatch(path, f"inputs (1, 3, {side}, {side}) and (1, {EMBEDDING})")
        self._picture, self._identity = pictures[0].name, identities[0].name

    def swap(self, chip: npt.NDArray[np.uint8], identity: FloatArray) -> npt.NDArray[np.uint8]:
        """Give the face in `chip` (side, side, 3) uint8 BGR another identity (512,)."""
        unit = chip[:, :, ::-1].astype(np.float32) / np.float32(255)
        blob = ((unit - self._range.mean) / self._range.scale).transpose(2, 0, 1)[None]
        feed = {
            self._picture: blob,
            self._identity: identity.reshape(1, EMBEDDING),
        }
        # hyperswap has a second output, a mask; our own masks know the mesh.
        answer = np.asarray(self._session.run(None, feed)[0], np.float32)
        if answer.shape != (1, 3, self.side, self.side):
            raise _mismatch(self._path, f"an output (1, 3, {self.side}, {self.side})")
        if not np.isfinite(answer).all():
            raise ModelMismatchError(
                f"{self._path.name} gives numbers that are no colours.",
                hint="Half-precision files need a device that supports them; use the full one.",
            )
        rgb = answer[0].transpose(1, 2, 0) * self._range.scale + self._range.mean
        return np.ascontiguousarray(to_uint8(rgb[:, :, ::-1] * 255))


def boosted(
    network: SwapNetwork, chip: npt.NDArray[np.uint8], identity: FloatArray
) -> npt.NDArray[np.uint8]:
    """Run a chip of a multiple of the network's side through the network in interleaved parts.

    Every k-th pixel of every k-th row makes one part; the k * k parts are k * k nearly equal
    pictures of the whole face, each shifted by one pixel, and go back where they came from.
    """
    times = chip.shape[0] // network.side
    if times == 1:
        return network.swap(chip, identity)
    out = np.empty_like(chip)
    for row in range(times):
        for column in range(times):
            part = np.ascontiguousarray(chip[row::times, column::times])
            out[row::times, column::times] = network.swap(part, identity)
    return out


def last_square_initializer(path: Path, side: int = EMBEDDING) -> FloatArray:
    """Read the last matrix (side, side) among the constants of an ONNX file, as float32.

    inswapper keeps there the map from ArcFace's space to its own.

    Raises:
        ModelMismatchError: the file is no ONNX file or holds no such matrix.
    """
    problem = _mismatch(path, f"a constant matrix ({side}, {side}) in its graph")
    try:
        matrix = onnx_matrix(path, (side, side))
    except (OSError, ValueError) as error:
        raise problem from error
    if matrix is None or not np.isfinite(matrix).all():
        raise problem
    return matrix


def _fits(shape: Any, wanted: tuple[int | None, ...]) -> bool:
    """Tell whether a graph's shape (numbers, names or None for free axes) allows `wanted`."""
    if len(shape) != len(wanted):
        return False
    return all(
        not isinstance(have, int) or want is None or have == want
        for have, want in zip(shape, wanted, strict=True)
    )


def _mismatch(path: Path, wanted: str) -> ModelMismatchError:
    return ModelMismatchError(
        f"{path.name} is not the network that its name says: it should have {wanted}.",
        hint="Replace the file; docs/models.md says where it comes from.",
    )
