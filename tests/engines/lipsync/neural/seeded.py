"""Stand-in Wav2Lip checkpoints: the public network with seeded random numbers.

The layout and the numbers follow the rule under which the reference outputs in
``shared/golden`` were recorded, so that one file serves both the golden test and the engines'
contract suite.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.neural.generator_arch import expected_shapes, layers

Arrays = dict[str, npt.NDArray[Any]]


@cache
def seeded_arrays() -> Arrays:
    """The state dict of the reference generator with seeded numbers, key -> array."""
    shapes: dict[str, tuple[int, ...]] = dict(expected_shapes())
    for layer in layers():
        if not layer.plain:
            shapes[f"{layer.key}.conv_block.1.num_batches_tracked"] = ()
    return {key: _seeded(key, shape) for key, shape in shapes.items()}


def _seeded(key: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    rng = np.random.default_rng(zlib.crc32(f"facepick-golden:{key}".encode()))
    if key.endswith("num_batches_tracked"):
        return np.array(1, np.int64)
    if key.endswith("running_var"):
        values = 0.5 + rng.random(shape)
    elif key.endswith(("running_mean", ".bias")):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        values = 0.5 + rng.random(shape)
    else:
        values = rng.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    return np.asarray(values, np.float32)


def write_seeded_safetensors(path: Path) -> Path:
    """A whole checkpoint without torch."""
    import json

    table: dict[str, Any] = {}
    offset = 0
    blobs = []
    for key, array in seeded_arrays().items():
        blob = array.tobytes()
        kind = "I64" if array.dtype == np.int64 else "F32"
        table[key] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        offset += len(blob)
        blobs.append(blob)
    head = json.dumps(table).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.writelines(blobs)
    return path


def write_seeded_onnx(path: Path) -> Path:
    """The ONNX form of the same checkpoint, for engines that shall not need torch."""
    from facepick.engines.lipsync.neural.onnx_export import write_generator

    write_generator(path, seeded_arrays())
    return path


def write_seeded_checkpoint(
    path: Path, *, wrapper: bool = True, prefix: str = "", legacy: bool = False
) -> Path:
    """A ``.pth`` file as the public training scripts write it.

    Args:
        wrapper: put the tensors under ``state_dict``, beside an optimiser's state.
        prefix: before every key, such as ``module.``.
        legacy: the layout of PyTorch before 1.6.
    """
    import torch

    state: dict[str, Any] = {
        prefix + key: torch.from_numpy(array.copy()) for key, array in seeded_arrays().items()
    }
    content: dict[str, Any] = state
    if wrapper:
        optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(7)}}, "param_groups": []}
        content = {
            "state_dict": state,
            "optimizer": optimizer,
            "global_step": 3,
            "global_epoch": 1,
        }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def golden_inputs() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """mel (3, 1, 80, 16) and face (3, 6, 96, 96) of the recorded reference output."""
    rng = np.random.default_rng(7)
    mel = (rng.random((3, 1, 80, 16)) * 8 - 4).astype(np.float32)
    face = rng.random((3, 6, 96, 96)).astype(np.float32)
    face[:, :3, 48:] = 0
    return mel, face
