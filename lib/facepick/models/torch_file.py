"""Read tensors out of PyTorch files without PyTorch, and without running anything in them.

A ``.pth`` file is a pickle, and a pickle is a program.  The reader here knows the handful of
names that tensors are made of; any other name ends the reading before it is looked up, let alone
called.  Tensors stay on disk until they are asked for, so that the optimiser's state, two thirds
of a public checkpoint, is never read.

Three layouts are read: the zip archive (PyTorch 1.6 and later), the plain pickle before it, and
TorchScript archives, whose parameters are taken by name and whose code is left alone.
"""

from __future__ import annotations

import math
import os
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from facepick.errors import ModelMismatchError

__all__ = ["StoredTensor", "read_tensors"]

# The public checkpoints, optimiser included, are 436 MB; nothing near 2 GiB is one of them.
MAX_FILE_BYTES = 2 * 1024**3
# Names, shapes and offsets of a thousand tensors are about 100 kB.
MAX_PICKLE_BYTES = 16 * 1024**2
_MAX_DEPTH = 32

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

# What a hostile or broken stream can make the unpickler raise.
_BROKEN = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError,
    LookupError, MemoryError, OverflowError, RecursionError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """Type of a storage's elements: on disk, and in numpy."""

    dtype: str
    brain_float: bool = False


_STORAGES = {
    "FloatStorage": _Kind("<f4"),
    "HalfStorage": _Kind("<f2"),
    "BFloat16Storage": _Kind("<u2", brain_float=True),
    "DoubleStorage": _Kind("<f8"),
    "LongStorage": _Kind("<i8"),
    "IntStorage": _Kind("<i4"),
    "ShortStorage": _Kind("<i2"),
    "CharStorage": _Kind("|i1"),
    "ByteStorage": _Kind("|u1"),
    "BoolStorage": _Kind("|b1"),
}


@dataclass(frozen=True)
class _Storage:
    key: str
    kind: _Kind
    count: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that lies in a file.

    Attributes:
        shape: its size.
        load: reads it; float32 for every float type, otherwise the stored integers.
    """

    shape: tuple[int, ...]
    load: Callable[[], npt.NDArray[Any]]

    def __repr__(self) -> str:
        return f"StoredTensor({self.shape})"


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Script:
    """Stands for any TorchScript class: keeps the attributes, knows no method."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, dict) else {}


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError("a tensor is described wrongly")
    if len(shape) != len(stride) or len(shape) > 8:
        raise pickle.UnpicklingError("a tensor is described wrongly")
    reach = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) + 1
    if math.prod(shape) > 0 and (reach > storage.count or math.prod(shape) > storage.count):
        raise pickle.UnpicklingError("a tensor reaches past its storage")
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


def _same(value: Any, *_: Any) -> Any:
    return value


def _nothing(*_: Any) -> None:
    return None


_NAMES: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _same,
    ("torch", "Size"): tuple,
    ("torch", "device"): _nothing,
    ("torch.jit._pickle", "build_intlist"): _same,
    ("torch.jit._pickle", "build_doublelist"): _same,
    ("torch.jit._pickle", "build_boollist"): _same,
    ("torch.jit._pickle", "build_tensorlist"): _same,
    ("torch.jit._pickle", "restore_type_tag"): _same,
    **{("torch", name): kind for name, kind in _STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, *, script: bool = False) -> None:
        super().__init__(file, encoding="utf-8")
        self._script = script
        self.refused: str | None = None

    def find_class(self, module: str, name: str) -> Any:
        if self._script and module.split(".")[0] == "__torch__":
            return _Script
        try:
            return _NAMES[module, name]
        except KeyError:
            self.refused = f"{module}.{name}"
            raise pickle.UnpicklingError(f"refused {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("an unknown reference")
        _, kind, key, _, count, *view = pid
        if not isinstance(kind, _Kind) or type(count) is not int or count < 0:
            raise pickle.UnpicklingError("an unknown storage")
        if any(v is not None for v in view):
            raise pickle.UnpicklingError("a view of a storage")
        return _Storage(str(key), kind, count)


def read_tensors(path: Path) -> dict[str, StoredTensor]:
    """Find the tensors of a checkpoint by name.

    A dictionary under ``state_dict`` is taken where there is one, so that the optimiser's
    tensors are not among them.  Nested names are joined by dots.

    Raises:
        ModelMismatchError: not a PyTorch file, broken, larger than `MAX_FILE_BYTES`, or it names
            something that is no part of a tensor.  Nothing of it has been run.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _mismatch(path, f"is {size / 1e9:.1f} GB, far larger than any lip-sync checkpoint")
    if not zipfile.is_zipfile(path):
        return _read_legacy(path)
    try:
        return _read_zip(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _mismatch(path, "is damaged") from error


def _read_zip(path: Path) -> dict[str, StoredTensor]:
    with zipfile.ZipFile(path) as archive:
        members = {m.filename: m for m in archive.infolist()}
        roots = [n[: -len("data.pkl")] for n in members if n.endswith("/data.pkl")]
        if len(roots) != 1:
            raise _mismatch(path, "is a zip archive but not one of PyTorch's")
        root = roots[0]
        script = f"{root}constants.pkl" in members
        order = members.get(f"{root}byteorder")
        if order is not None and order.file_size < 16 and archive.read(order) != b"little":
            raise _mismatch(path, "was written on a big-endian machine")
        head = members[f"{root}data.pkl"]
        if head.file_size > MAX_PICKLE_BYTES:
            raise _mismatch(path, f"holds a pickle of {head.file_size / 1e6:.0f} MB")
        with archive.open(head) as file:
            content = _unpickled(path, file, script=script)

    def load(tensor: _Tensor) -> npt.NDArray[Any]:
        storage = tensor.storage
        wanted = storage.count * np.dtype(storage.kind.dtype).itemsize
        member = members.get(f"{root}data/{storage.key}")
        if member is None or member.file_size != wanted:
            raise _mismatch(path, f"holds no data for storage {storage.key}")
        try:
            return _array(tensor, _read_member(path, member))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as e:
            raise _mismatch(path, "is damaged") from e

    return _named(content, load)


# Of the header before each member: its length, and where in it the lengths of the two fields
# between it and the data stand (APPNOTE.TXT of PKWARE, 4.3.7).
_HEADER, _LENGTHS = 30, slice(26, 30)


def _read_member(path: Path, member: zipfile.ZipInfo) -> bytes:
    """Read a member without the archive's directory, which would take longer than the data.

    (A checkpoint of 800 tensors: 0.1 s instead of 2.3.)
    """
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    with path.open("rb") as file:
        file.seek(member.header_offset)
        head = file.read(_HEADER)
        if len(head) != _HEADER or head[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile("no header")
        name, extra = struct.unpack("<HH", head[_LENGTHS])
        file.seek(name + extra, os.SEEK_CUR)
        data = file.read(member.file_size)
    if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
        raise zipfile.BadZipFile("the data are others")
    return data


def _read_legacy(path: Path) -> dict[str, StoredTensor]:
    with path.open("rb") as file:
        if _unpickled(path, file) != _LEGACY_MAGIC or _unpickled(path, file) != _LEGACY_PROTOCOL:
            raise _mismatch(path, "is not a PyTorch file")
        _unpickled(path, file)  # The writer's byte order and integer sizes.
        content = _unpickled(path, file)
        keys = _unpickled(path, file)
        start = file.tell()
    kinds: dict[str, _Storage] = {}
    for _, tensor in _walk(content):
        kinds[tensor.storage.key] = tensor.storage
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
        raise _mismatch(path, "is damaged")
    offsets: dict[str, int] = {}
    end = path.stat().st_size
    for key in keys:
        storage = kinds.get(key)
        if storage is None:
            raise _mismatch(path, f"holds a storage {key!r} that no tensor uses")
        # Eight bytes before each storage say how many elements it has.
        offsets[key] = start + 8
        start += 8 + storage.count * np.dtype(storage.kind.dtype).itemsize
        if start > end:
            raise _mismatch(path, "is cut short")

    def load(tensor: _Tensor) -> npt.NDArray[Any]:
        storage = tensor.storage
        if storage.key not in offsets:
            raise _mismatch(path, f"holds no data for storage {storage.key}")
        with path.open("rb") as file:
            file.seek(offsets[storage.key] - 8)
            if int.from_bytes(file.read(8), "little") != storage.count:
                raise _mismatch(path, "is damaged")
            return _array(tensor, file.read(storage.count * np.dtype(storage.kind.dtype).itemsize))

    return _named(content, load)


class _Limited:
    """A file of which only so much may be read: a pickle can ask for any number of bytes."""

    def __init__(self, file: BinaryIO | Any, limit: int) -> None:
        self._file, self._left = file, limit

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise pickle.UnpicklingError("the pickle is too large")

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            raise pickle.UnpicklingError("an endless read")
        self._take(count)
        return bytes(self._file.read(count))

    def readline(self) -> bytes:
        line = bytes(self._file.readline(4096))
        self._take(len(line))
        return line


def _unpickled(path: Path, file: BinaryIO | Any, *, script: bool = False) -> Any:
    unpickler = _Unpickler(_Limited(file, MAX_PICKLE_BYTES), script=script)
    try:
        return unpickler.load()
    except _BROKEN as error:
        if unpickler.refused:
            raise ModelMismatchError(
                f"{path.name} was refused: it asks for {unpickler.refused}, "
                "which is no part of a checkpoint's tensors.",
                hint="Nothing in it was run. Take the file from its original home.",
            ) from error
        raise _mismatch(path, "is not a PyTorch file, or a damaged one") from error


def _walk(content: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, _Tensor]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(content, _Tensor):
        yield prefix, content
    elif isinstance(content, _Script):
        yield from _walk(content.attributes, prefix, depth + 1)
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _walk(value, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    elif isinstance(content, (list, tuple)):
        for key, value in enumerate(content):
            yield from _walk(value, f"{prefix}.{key}" if prefix else str(key), depth + 1)


def _named(content: Any, load: Callable[[_Tensor], npt.NDArray[Any]]) -> dict[str, StoredTensor]:
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]

    def stored(tensor: _Tensor) -> StoredTensor:
        return StoredTensor(tensor.shape, lambda: load(tensor))

    return {name: stored(tensor) for name, tensor in _walk(content)}


def _array(tensor: _Tensor, data: bytes) -> npt.NDArray[Any]:
    kind = tensor.storage.kind
    flat = np.frombuffer(data, kind.dtype)
    if kind.brain_float:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    strides = [s * flat.itemsize for s in tensor.stride]
    # `_tensor` has checked that the view stays inside the storage.
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides)
    wanted = np.float32 if flat.dtype.kind == "f" else flat.dtype
    return np.ascontiguousarray(view, dtype=wanted).reshape(tensor.shape)


def _mismatch(path: Path, problem: str) -> ModelMismatchError:
    return ModelMismatchError(
        f"{path.name} {problem}.", hint="Give a Wav2Lip checkpoint (.pth, .pt or .onnx)."
    )
