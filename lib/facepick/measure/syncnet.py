"""LSE-C and LSE-D of a result, with the SyncNet weights that users bring.

SyncNet (Chung and Zisserman, *Out of time: automated lip sync in the wild*, 2016) describes five
frames of a face and 0.2 s of sound by 1024 numbers each, near each other where they belong
together.  LSE-D is the mean distance at the best shift, LSE-C how far that lies below the median
over all shifts (Prajwal et al. 2020): good speakers reach about 6 to 7 and 8 to 9.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.errors import ModelMismatchError, PackageMissing
from facepick.faces.detection import Box, FloatArray
from facepick.models.device import torch_device
from facepick.models.torch_file import read_tensors
from facepick.speech.spectrum import (
    cosine_transform,
    htk_hz,
    htk_mel,
    power_spectrum,
    triangles,
    windows,
)

__all__ = ["SHIFTS", "Agreement", "SyncNet", "SyncNetMeter", "agreement", "face_picture", "mfcc"]

SIDE = 224
FRAMES = 5
RATE = 25
SHIFTS = 15
"""Shifts tried to both sides, in frames of 1/25 s, as the published scores do."""
_COLUMNS, _COLUMNS_PER_FRAME = 20, 4
_BATCH = 8
_MIN_CLIPS = 25
# The crop of the published evaluation: 0.4 of the half size more on the sides and, twice that,
# below; grey where the picture ends.
_EXTRA, _GREY = 0.4, (110, 110, 110)


@dataclass(frozen=True)
class _Conv:
    """A convolution with batch normalisation and ReLU, then perhaps a maximum."""

    at: int
    out: int
    into: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] | int = 1
    padding: tuple[int, ...] | int = 0
    pool: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...] | int] | None = None


_AUDIO = (
    _Conv(0, 64, 1, (3, 3), padding=1),
    _Conv(4, 192, 64, (3, 3), padding=1, pool=((3, 3), (1, 2), 0)),
    _Conv(8, 384, 192, (3, 3), padding=1),
    _Conv(11, 256, 384, (3, 3), padding=1),
    _Conv(14, 256, 256, (3, 3), padding=1, pool=((3, 3), (2, 2), 0)),
    _Conv(18, 512, 256, (5, 4)),
)
_LIP = (
    _Conv(0, 96, 3, (5, 7, 7), (1, 2, 2), pool=((1, 3, 3), (1, 2, 2), 0)),
    _Conv(4, 256, 96, (1, 5, 5), (1, 2, 2), (0, 1, 1), pool=((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    _Conv(8, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
    _Conv(11, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
    _Conv(14, 256, 256, (1, 3, 3), padding=(0, 1, 1), pool=((1, 3, 3), (1, 2, 2), 0)),
    _Conv(18, 512, 256, (1, 6, 6)),
)


@cache
def expected_shapes() -> dict[str, tuple[int, ...]]:
    """List name and shape of every tensor of the network, without the counters."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, size: int) -> None:
        for key in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{key}"] = (size,)

    for part, layers in (("aud", _AUDIO), ("lip", _LIP)):
        for layer in layers:
            name = f"netcnn{part}.{layer.at}"
            shapes[f"{name}.weight"] = (layer.out, layer.into, *layer.kernel)
            shapes[f"{name}.bias"] = (layer.out,)
            norm(f"netcnn{part}.{layer.at + 1}", layer.out)
        for at, size in ((0, 512), (3, 1024)):
            shapes[f"netfc{part}.{at}.weight"] = (size, 512)
            shapes[f"netfc{part}.{at}.bias"] = (size,)
        norm(f"netfc{part}.1", 512)
    return shapes


class SyncNet:
    """The network of ``syncnet_v2.model``.

    Raises:
        ModelMismatchError: the file is something else, damaged or unsafe; nothing in it is run.
        PackageMissing: PyTorch is not installed.
    """

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        if importlib.util.find_spec("torch") is None:
            raise PackageMissing("torch", needed_for="LSE-C and LSE-D")
        import torch

        found = read_tensors(path)
        self._device = torch_device(device)
        self._weights: dict[str, Any] = {}
        for name, shape in expected_shapes().items():
            if name not in found or found[name].shape != shape:
                raise ModelMismatchError(
                    f"{path.name} is no SyncNet (see {name}).", hint="Give syncnet_v2.model."
                )
            array = np.array(found[name].load(), np.float32)
            if not np.isfinite(array).all():
                raise ModelMismatchError(f"{path.name} is damaged: {name}.")
            self._weights[name] = torch.from_numpy(array).to(self._device)

    def sound(self, columns: FloatArray) -> FloatArray:
        """Embed (n, 13, 20) float32 columns of `mfcc` as (n, 1024)."""
        return self._run("aud", _AUDIO, columns[:, None])

    def lips(self, clips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, 5, 224, 224, 3) uint8 BGR as (n, 1024)."""
        return self._run("lip", _LIP, clips.transpose(0, 4, 1, 2, 3).astype(np.float32))

    def _run(self, part: str, layers: tuple[_Conv, ...], values: FloatArray) -> FloatArray:
        import torch
        from torch.nn import functional

        convolve = functional.conv2d if part == "aud" else functional.conv3d
        pool = functional.max_pool2d if part == "aud" else functional.max_pool3d
        weights = self._weights
        with torch.inference_mode():
            x = torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
            for layer in layers:
                name = f"netcnn{part}.{layer.at}"
                x = convolve(
                    x,
                    weights[f"{name}.weight"],
                    weights[f"{name}.bias"],
                    stride=layer.stride,
                    padding=layer.padding,
                )
                x = functional.relu(self._normed(f"netcnn{part}.{layer.at + 1}", x))
                if layer.pool is not None:
                    x = pool(x, *layer.pool)
            x = x.flatten(1)
            for at in (0, 3):
                name = f"netfc{part}.{at}"
                x = functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
                if at == 0:
                    x = functional.relu(self._normed(f"netfc{part}.1", x))
            return np.asarray(x.cpu().numpy(), np.float32)

    def _normed(self, name: str, x: Any) -> Any:
        from torch.nn import functional

        keys = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(self._weights[f"{name}.{k}"] for k in keys))


def mfcc(samples: npt.NDArray[np.float32]) -> FloatArray:
    """Compute (13, columns) float32, 100 columns a second, of 16 kHz sound in [-1, 1].

    As the network was trained (Davis and Mermelstein 1980, with the usual parameters): 16-bit
    scale, pre-emphasis 0.97, 25 ms without a window, 26 mel bands, lifter 22, and the log energy
    in place of the first coefficient.
    """
    wav = samples.astype(np.float64) * 32768
    if not len(wav):
        return np.zeros((13, 0), np.float32)
    wav = np.concatenate([wav[:1], wav[1:] - 0.97 * wav[:-1]])
    count = 1 + max(0, -(-(len(wav) - 400) // 160))
    wav = np.concatenate([wav, np.zeros(max(0, (count - 1) * 160 + 400 - len(wav)))])
    bank, transform = _mel_bank(), cosine_transform(13, 26)
    out = np.empty((13, count), np.float32)
    tiny = float(np.finfo(float).eps)
    for at in range(0, count, 1000):
        part = wav[at * 160 : (min(at + 1000, count) - 1) * 160 + 400]
        power = power_spectrum(windows(part, 400, 160), 512) / 512
        bands = np.log(np.maximum(power @ bank.T, tiny))
        cepstra = bands @ transform.T * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
        cepstra[:, 0] = np.log(np.maximum(power.sum(axis=1), tiny))
        out[:, at : at + len(cepstra)] = cepstra.T
    return out


@cache
def _mel_bank() -> npt.NDArray[np.float64]:
    """Build (26, 257) triangles between whole bins."""
    hz = htk_hz(np.linspace(0, htk_mel(8000), 28))
    return triangles(np.floor(513 * hz / 16_000), np.arange(257.0))


def face_picture(crop: BgrImage, box: Box) -> BgrImage:
    """Cut out the face as the published evaluation does, (224, 224, 3).

    Args:
        crop: BGR.
        box: the face in pixels of `crop`.
    """
    import cv2

    half = max(box.width, box.height) / 2
    side = half * (2 + 2 * _EXTRA)
    x, y = box.center
    scale = SIDE / side
    left, top = x - half * (1 + _EXTRA), y - half
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    matrix[:, 2] += 0.5 * scale - 0.5
    picture = cv2.warpAffine(crop, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=_GREY)
    return np.asarray(picture, np.uint8)


@dataclass(frozen=True)
class Agreement:
    """The published scores.

    Attributes:
        lse_d: mean distance at the best shift; lower is better.
        lse_c: the median over the shifts less that; higher is better.
        offset_ms: the best shift; positive when the lips come after the sound.
    """

    lse_d: float
    lse_c: float
    offset_ms: int


def agreement(lips: FloatArray, ticks: npt.NDArray[np.int64], sounds: FloatArray) -> Agreement:
    """Search for the shift at which lips and sound are nearest.

    Args:
        lips: (n, d), one row per clip.
        ticks: (n,) the clip's first frame, in 1/25 s.
        sounds: (m, d), row i is the sound that begins at tick i; beyond its ends a row of zeros
            stands for it, as in the public script (``SyncNetInstance.py``).
    """
    before = SHIFTS - min(0, int(ticks.min()))
    after = SHIFTS + max(0, int(ticks.max()) + 1 - len(sounds))
    padded = np.pad(sounds, ((before, after), (0, 0)))
    means = [
        float(np.linalg.norm(lips - padded[ticks + before + shift], axis=1).mean())
        for shift in range(-SHIFTS, SHIFTS + 1)
    ]
    best = int(np.argmin(means))
    return Agreement(
        lse_d=round(means[best], 3),
        lse_c=round(float(np.median(means)) - means[best], 3),
        # The sound that fits lies `best - SHIFTS` ticks after the lips.
        offset_ms=(SHIFTS - best) * 1000 // RATE,
    )


class SyncNetMeter:
    """Meter that collects one person's frames of a result, in their order, and scores them.

    Frames are taken at 25 a second, whatever the video's rate: each tick shows the frame nearest
    to it.  Memory: 4 kB a frame.
    """

    def __init__(self, network: SyncNet, samples: npt.NDArray[np.float32]) -> None:
        self._network = network
        self._samples = samples
        self._recent: deque[BgrImage] = deque(maxlen=FRAMES)
        self._last: tuple[int, int] | None = None
        self._clips: list[npt.NDArray[np.uint8]] = []
        self._ticks: list[int] = []
        self._lips: list[FloatArray] = []

    def add(self, shown: FaceRequest) -> None:
        """Add one re-made frame of the result."""
        tick = round(shown.time * RATE)
        last = self._last
        if last is not None and last[0] == shown.shot and tick <= last[1]:
            return
        follows = last is not None and last[0] == shown.shot and tick - last[1] <= 2
        missing = tick - last[1] if follows and last is not None else 1
        if not follows:
            self._recent.clear()
        x, y = shown.origin
        box = Box(shown.box.x0 - x, shown.box.y0 - y, shown.box.x1 - x, shown.box.y1 - y)
        picture = face_picture(shown.crop, box)
        for now in range(tick - missing + 1, tick + 1):
            self._recent.append(picture)
            if len(self._recent) == FRAMES:
                self._clips.append(np.stack(self._recent))
                self._ticks.append(now - FRAMES + 1)
            if len(self._clips) >= _BATCH:
                self._flush()
        self._last = (shown.shot, tick)

    def report(self) -> dict[str, Any] | None:
        """Return the scores as plain JSON; None where fewer than 25 clips were seen."""
        self._flush()
        if len(self._ticks) < _MIN_CLIPS:
            return None
        columns = mfcc(self._samples)
        count = max(0, (columns.shape[1] - _COLUMNS) // _COLUMNS_PER_FRAME + 1)
        if count < _MIN_CLIPS:
            return None
        starts = np.arange(count) * _COLUMNS_PER_FRAME
        sounds = []
        for at in range(0, count, 64):
            pieces = [columns[:, s : s + _COLUMNS] for s in starts[at : at + 64]]
            sounds.append(self._network.sound(np.stack(pieces)))
        ticks = np.array(self._ticks, np.int64)
        heard = (ticks >= 0) & (ticks < count)
        if heard.sum() < _MIN_CLIPS:
            return None
        found = agreement(np.concatenate(self._lips)[heard], ticks[heard], np.concatenate(sounds))
        return {
            "lse_c": found.lse_c,
            "lse_d": found.lse_d,
            "offset_ms": found.offset_ms,
            "clips": int(heard.sum()),
        }

    def _flush(self) -> None:
        if self._clips:
            self._lips.append(self._network.lips(np.stack(self._clips)))
            self._clips.clear()
