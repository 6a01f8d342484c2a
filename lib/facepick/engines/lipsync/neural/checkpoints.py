"""Wav2Lip generators: recognised by what is in the file, and found in folders.

File names say little: people rename checkpoints, and the two public variants (``wav2lip``
follows the sound more closely, ``wav2lip_gan`` is sharper) are the same network with other
numbers.  What a file is follows from its tensors; which variant, only from its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facepick.engines.lipsync.neural.generator_arch import expected_shapes
from facepick.errors import ModelMismatchError
from facepick.files import parsed_json
from facepick.models.onnx_file import Shapes
from facepick.models.onnx_file import onnx_signature as read_signature
from facepick.models.torch_file import StoredTensor, read_tensors

__all__ = ["Checkpoint", "find_checkpoints", "generator_tensors", "identify", "onnx_signature"]

Variant = Literal["wav2lip", "wav2lip_gan"]
Format = Literal["tensors", "onnx"]

_SUFFIXES = (".pth", ".pt", ".onnx", ".safetensors", ".bin", ".ckpt")
# Weights alone are 73 MB in half and 145 MB in single precision; with the optimiser's state, or
# in double precision, up to 440 MB.  Files outside these bounds are not opened.
_MIN_BYTES, _MAX_BYTES = 50_000_000, 700_000_000
_MAX_DEPTH = 3
_MAX_FILES = 5000

_COUNTER = ".num_batches_tracked"


@dataclass(frozen=True)
class Checkpoint:
    """A file that holds a 96-pixel Wav2Lip generator.

    Attributes:
        path: where it lies.
        format: named tensors, or an ONNX graph.
        variant: as far as the file's name tells.
    """

    path: Path
    format: Format
    variant: Variant


def find_checkpoints(folders: Iterable[Path]) -> list[Checkpoint]:
    """Find every generator in these folders and up to three folders below, in their order.

    Only the descriptions inside the files are read, and only in files of a fitting size, so that
    a folder of image models costs little.  Files that are something else, damaged or unsafe are
    passed over.
    """
    found: dict[Path, Checkpoint] = {}
    for path in _candidates(folders):
        if path in found:
            continue
        try:
            stat = path.stat()
            known = _identified(path, stat.st_size, stat.st_mtime_ns)
        except OSError:
            continue
        if known is not None:
            found[path] = known
    return list(found.values())


@lru_cache(maxsize=_MAX_FILES)
def _identified(path: Path, size: int, changed: int) -> Checkpoint | None:
    """Identify a file of that size and time: a page that asks again and again reads it once."""
    try:
        return identify(path)
    except ModelMismatchError:
        return None


def identify(path: Path) -> Checkpoint:
    """Identify a file by its content.

    Raises:
        ModelMismatchError: no 96-pixel Wav2Lip generator; it says what else, if that is clear.
        OSError: the file cannot be read.
    """
    variant = _variant(path.name)
    if path.suffix.lower() == ".onnx":
        _check_signature(path, *onnx_signature(path))
        return Checkpoint(path, "onnx", variant)
    _select(path, _tensors_of(path))
    return Checkpoint(path, "tensors", variant)


def generator_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the generator's tensors by the keys of `generator_arch.expected_shapes`.

    Raises:
        ModelMismatchError, OSError: as `identify`; also for NaN or infinity among the numbers.
    """
    selected = _select(path, _tensors_of(path))
    arrays = {}
    for key, stored in selected.items():
        array = np.asarray(stored.load())
        if array.shape != stored.shape or not np.isfinite(array).all():
            raise ModelMismatchError(f"{path.name} is damaged: {key} holds no usable numbers.")
        arrays[key] = array
    return arrays


def _candidates(folders: Iterable[Path]) -> Iterator[Path]:
    looked_at = 0
    for folder in folders:
        top = folder.resolve()
        for place, names, files in os.walk(top):
            here = Path(place)
            if len(here.relative_to(top).parts) >= _MAX_DEPTH:
                names.clear()
            names[:] = sorted(n for n in names if not n.startswith("."))
            for name in sorted(files):
                looked_at += 1
                if looked_at > _MAX_FILES:
                    return
                path = here / name
                if path.suffix.lower() not in _SUFFIXES:
                    continue
                try:
                    size = path.stat().st_size
                except OSError:
                    continue
                if _MIN_BYTES <= size <= _MAX_BYTES:
                    yield path


def _variant(name: str) -> Variant:
    lower = name.lower()
    return "wav2lip_gan" if "gan" in lower and "nogan" not in lower else "wav2lip"


def _tensors_of(path: Path) -> dict[str, StoredTensor]:
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return read_tensors(path)


def _select(path: Path, tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Select the generator's tensors, their names freed of what wrappers put before them."""
    wanted = expected_shapes()
    anchor = "output_block.1.bias"
    prefixes = [name[: -len(anchor)] for name in tensors if name.endswith(anchor)]
    if len(prefixes) != 1 or prefixes[0][-1:] not in ("", "."):
        raise _not_a_generator(path, tensors)
    prefix = prefixes[0]
    named = {
        name[len(prefix) :]: tensor
        for name, tensor in tensors.items()
        if not name.endswith(_COUNTER) and name.startswith(prefix)
    }
    strangers = [n for n in tensors if not n.startswith(prefix)] + [
        n for n in named if n not in wanted
    ]
    missing = [n for n in wanted if n not in named]
    if strangers or missing:
        raise _not_a_generator(path, tensors, (strangers or missing)[0])
    for name, shape in wanted.items():
        if named[name].shape != shape:
            raise _not_a_generator(path, tensors, name)
    return named


def _not_a_generator(
    path: Path, tensors: Mapping[str, StoredTensor], where: str = ""
) -> ModelMismatchError:
    names = list(tensors)
    if any("binary_pred" in n for n in names):
        what = "Wav2Lip's quality discriminator, which is used in training only"
    elif any("face_encoder.0" in n or "netcnnlip" in n for n in names):
        what = "a SyncNet, which judges lip sync and does not make it"
    elif any("face_decoder_blocks" in n for n in names):
        what = "a Wav2Lip of another size; facepick runs the 96-pixel one"
    else:
        what = "something else than a Wav2Lip generator"
    return ModelMismatchError(
        f"{path.name} holds {what}" + (f" (see {where})." if where else "."),
        hint="Give wav2lip.pth or wav2lip_gan.pth.",
    )


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Read a safetensors file: a JSON table of names, types, shapes and offsets, then tensors."""
    types = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8"}
    wrong = ModelMismatchError(f"{path.name} is no safetensors file.")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size, 16 * 1024**2):
            raise wrong
        try:
            # A network has a few hundred tensors of ten values each.
            table = parsed_json(file.read(length), max_values=1_000_000)
        except ValueError as error:
            raise wrong from error
    if not isinstance(table, dict):
        raise wrong
    found = {}
    for name, entry in table.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape = np.dtype(types[entry["dtype"]]), tuple(map(int, entry["shape"]))
            start, stop = map(int, entry["data_offsets"])
        except (KeyError, TypeError, ValueError) as error:
            raise wrong from error
        count = int(np.prod(shape, dtype=np.int64))
        inside = 0 <= start <= stop <= size - 8 - length
        if not inside or min(shape, default=0) < 0 or count * dtype.itemsize != stop - start:
            raise wrong
        found[name] = _safetensor(path, 8 + length + start, dtype, shape, count)
    return found


def _safetensor(
    path: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], count: int
) -> StoredTensor:
    def load() -> npt.NDArray[Any]:
        array = np.fromfile(path, dtype, count, offset=offset).reshape(shape)
        return array.astype(np.float32) if dtype.kind == "f" else array

    return StoredTensor(shape, load)


# ---------------------------------------------------------------------------------- ONNX


def onnx_signature(path: Path) -> tuple[Shapes, Shapes]:
    """Read inputs and outputs of an ONNX file, see `facepick.models.onnx_file`.

    Raises:
        ModelMismatchError: not an ONNX file.
        OSError: the file cannot be read.
    """
    try:
        return read_signature(path)
    except ValueError as error:
        raise ModelMismatchError(f"{path.name} is no ONNX file, or a damaged one.") from error


def _check_signature(path: Path, inputs: Shapes, outputs: Shapes) -> None:
    sizes = sorted(shape[1:] for shape in inputs.values() if None not in shape[1:])
    if sizes != [(1, 80, 16), (6, 96, 96)] or len(outputs) != 1:
        listed = ", ".join(f"{n} {s}" for n, s in inputs.items()) or "nothing"
        raise ModelMismatchError(
            f"{path.name} is not a 96-pixel Wav2Lip generator: it takes {listed}.",
            hint="It should take source (N, 1, 80, 16) and target (N, 6, 96, 96).",
        )
