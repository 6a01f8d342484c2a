"""Active speaker detection: how much a face looks as if it spoke what is heard.

LR-ASD (Liao et al., "LR-ASD: Lightweight and Robust Network for Active Speaker Detection", IJCV
2025) on onnxruntime.  It sees that a mouth talks while somebody is heard, not that it says just
this: compare the faces of one moment, and see `facepick.speech.speakers` for what else tells.

The network's two halves are apart: pictures are looked at once, as they come (`FaceStream`), the
sound beside them in windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FloatArray
from facepick.models.catalog import LR_ASD_FACE, LR_ASD_SPEECH
from facepick.models.device import OrtSession, ort_session
from facepick.models.store import ModelStore

__all__ = [
    "COLUMNS_PER_FRAME", "FRAMES_PER_SECOND", "SIDE", "ActiveSpeaker", "FaceStream", "face_crop",
    "face_squares", "mfcc",
]  # fmt: skip

Array = npt.NDArray[np.float32]

FRAMES_PER_SECOND = 25
"""Whatever the clock of the video."""
SIDE = 112
"""Of the grey pictures, in pixels."""
COLUMNS_PER_FRAME = 4

_RATE = 16_000
_WINDOW, _HOP, _FFT, _BANDS, _CEPSTRA, _LIFTER = 400, 160, 512, 26, 13, 22
_MEDIAN = 13
"""Frames over which boxes are steadied."""
_AT_ONCE = 50
"""Frames a call: 1.0 ms each; of 10 or 100, a tenth to a third more."""
_CARRIED = ((56 * 56, 32), (28 * 28, 64), (14 * 14, 128))
"""Pixels and channels of what each block of the network hands on to the next call."""
_FOLLOWED, _LAST = -3, 2**40
"""Where a block's numbers end: three pictures more are needed, or none follow."""
_WINDOWS = (4, 6)
"""Seconds; what windows of these lengths give is averaged."""


class ActiveSpeaker:
    """The two halves of the network.

    Args:
        store: where the model files are found.

    Raises:
        MissingModelError: they are not there.
    """

    def __init__(self, store: ModelStore) -> None:
        # One thread: waking another costs as much as it saves in a network of 0.16 GMAC a picture,
        # and three times the work of the half that listens.  The half that looks counts in 8 bits:
        # in a quarter of the time of float32, its numbers go together with those at 0.9998.
        self._face = ort_session(store.require(LR_ASD_FACE), "cpu", threads=1)
        self._speech = ort_session(store.require(LR_ASD_SPEECH), "cpu", threads=1)

    def look(self, faces: npt.NDArray[np.uint8]) -> Array:
        """Give the visual numbers of successive pictures of one face.

        Args:
            faces: (t, 112, 112) uint8 grey, 25 a second, cut by `face_crop`.

        Returns:
            (t, 128) float32.
        """
        stream = self.stream()
        stream.add(faces)
        return stream.end()

    def stream(self) -> FaceStream:
        """Begin with the pictures of another face."""
        return FaceStream(self._face)

    def listen(self, cepstra: Array, visual: Array) -> Array:
        """Score every picture: the logit of speaking less that of not speaking.

        Args:
            cepstra: (4 t, 13) float32, `mfcc` of the sound of the same time.
            visual: (t, 128) float32, of `look`.

        Returns:
            (t,) float32.
        """
        total = np.zeros(len(visual), np.float32)
        for seconds in _WINDOWS:
            length = seconds * FRAMES_PER_SECOND
            for start in range(0, len(visual), length):
                stop = min(start + length, len(visual))
                # The last window reaches back: a few frames alone tell little.
                first = max(0, stop - length)
                sound = cepstra[first * COLUMNS_PER_FRAME : stop * COLUMNS_PER_FRAME]
                logits = self._speech.run(
                    None, {"mfcc": sound[None], "visual": visual[None, first:stop]}
                )[0][0]
                total[start:stop] += (logits[:, 1] - logits[:, 0])[start - first :]
        return total / np.float32(len(_WINDOWS))


class FaceStream:
    """Visual numbers of successive pictures of one face, which need not be there all at once.

    The network looks nine pictures back and ahead.  What it needs of earlier ones it hands from
    call to call, so that no picture is looked at twice; the numbers are those of one call.
    """

    def __init__(self, session: OrtSession) -> None:
        self._session = session
        self._waiting: list[npt.NDArray[np.uint8]] = []
        self._seen = [np.zeros((0, 128), np.float32)]
        self._carried = [np.zeros((1, 0, *sizes), np.uint8) for sizes in _CARRIED]

    def add(self, faces: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]) -> None:
        """Add further pictures, (112, 112) uint8 grey, cut by `face_crop`."""
        self._waiting += list(faces)
        # One stays back, for the last call needs a picture.
        while len(self._waiting) > _AT_ONCE:
            self._run(_AT_ONCE, _FOLLOWED)

    def end(self) -> Array:
        """Give all numbers, (t, 128) float32; nothing can be added after."""
        if self._waiting:
            self._run(len(self._waiting), _LAST)
        return np.concatenate(self._seen)

    def _run(self, count: int, end: int) -> None:
        feed: dict[str, npt.NDArray[Any]] = {
            "faces": np.stack(self._waiting[:count]),
            "end": np.array([end], np.int64),
            **{f"c{i}": carried for i, carried in enumerate(self._carried, 1)},
        }
        del self._waiting[:count]
        seen, *self._carried = self._session.run(["visual", "n1", "n2", "n3"], feed)
        self._seen.append(seen)


def face_squares(boxes: FloatArray) -> FloatArray:
    """Give the centre and half the longer side, steadied, of the boxes of a track.

    Args:
        boxes: (n, 4) float32 of successive frames.

    Returns:
        (n, 3) float32: x, y, half of the longer side, in the pixels of the boxes.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    values = np.concatenate([centre, half], axis=1)
    reach = _MEDIAN // 2
    held = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(held, _MEDIAN, axis=0)
    return np.asarray(np.median(windows, axis=-1), np.float32)


def face_crop(
    image: npt.NDArray[np.uint8], square: FloatArray, origin: tuple[int, int] = (0, 0)
) -> npt.NDArray[np.uint8]:
    """Cut the picture that the network looks at.

    A square of 2.8 halves of the face, from 1 half above its centre to 1.8 below, is scaled to 224
    pixels, and the middle 112 are taken: the mouth and what is around it.

    Args:
        image: (h, w, 3) uint8 BGR.
        square: (3,) x, y, half side in display pixels, see `face_squares`.
        origin: (x, y) of the first pixel of `image` in display pixels.

    Returns:
        (112, 112) uint8 grey, black beyond the edges of the image.
    """
    import cv2

    x, y, half = (float(v) for v in square)
    size = 1.4 * half
    left, top = x - 0.7 * half - origin[0], y - 0.3 * half - origin[1]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = max(size, 1.0) / SIDE
    while scale > 2:
        # Bilinear sampling of a large face would alias.
        grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        scale, left, top = scale / 2, left / 2, top / 2
    offset = (scale - 1) / 2
    matrix = np.array([[scale, 0, left + offset], [0, scale, top + offset]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(grey, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_CONSTANT),
        np.uint8,
    )


def mfcc(samples: Array, start: int, stop: int) -> Array:
    """Compute cepstra, 100 a second; column c begins with sample 160 c.

    As ``python_speech_features`` makes them, which the weights were trained with: pre-emphasis of
    0.97, windows of 25 ms without a taper, 26 mel bands, 13 cepstra with lifter 22, the first of
    them the log energy.

    Args:
        samples: (n,) float32 mono at 16 kHz, in [-1, 1]; silent before and after.
        start, stop: columns wanted.

    Returns:
        (stop - start, 13) float32.
    """
    first = start * _HOP
    count = (stop - start - 1) * _HOP + _WINDOW
    x = np.zeros(count + 1)
    a, b = max(0, first - 1), min(len(samples), first + count)
    if b > a:
        x[a - first + 1 : b - first + 1] = samples[a:b] * 32768.0
    emphasised = x[1:] - 0.97 * x[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames, _FFT, axis=1)) ** 2 / _FFT
    tiny = np.finfo(float).eps
    energy = np.maximum(power.sum(axis=1), tiny)
    bands = np.log(np.maximum(power @ _filters().T, tiny))
    cepstra = bands @ _cosines().T
    cepstra[:, 0] = np.log(energy)
    return np.asarray(cepstra, np.float32)


@cache
def _filters() -> npt.NDArray[np.float64]:
    """(26, 257) triangles on the mel scale, edges on whole bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + _RATE / 2 / 700), _BANDS + 2)
    bins = np.floor((_FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / _RATE)
    out = np.zeros((_BANDS, _FFT // 2 + 1))
    for j in range(_BANDS):
        low, middle, high = bins[j : j + 3]
        for i in range(int(low), int(middle)):
            out[j, i] = (i - low) / (middle - low)
        for i in range(int(middle), int(high)):
            out[j, i] = (high - i) / (high - middle)
    return out


@cache
def _cosines() -> npt.NDArray[np.float64]:
    """(13, 26) rows of the orthonormal DCT, lifted."""
    order, band = np.arange(_CEPSTRA)[:, None], np.arange(_BANDS)[None]
    basis = np.cos(np.pi * order * (2 * band + 1) / (2 * _BANDS)) * np.sqrt(2 / _BANDS)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis * (1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER)))
