"""Files of networks that are damaged or made to harm: one kind of error, nothing else."""

from __future__ import annotations

import contextlib
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from facepick.engines.lipsync.neural.checkpoints import _read_safetensors
from facepick.errors import ModelMismatchError
from facepick.models.torch_file import read_tensors


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_archive_of_pytorch(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"a": 1}))
        archive.writestr("a/data/0", b"1" * 16)
    random = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for place in random.integers(0, len(data), 6):
        data[place] = random.integers(0, 256)
    path.write_bytes(data)
    with contextlib.suppress(ModelMismatchError):
        read_tensors(path)


@pytest.mark.parametrize("table", [b"[" * 2000, b"{}{}", b"[" + b"[]," * 400_000 + b"[]]", b"[]"])
def test_a_table_of_safetensors_that_is_none(table: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(struct.pack("<Q", len(table)) + table)
    with pytest.raises(ModelMismatchError, match="safetensors"):
        _read_safetensors(path)
