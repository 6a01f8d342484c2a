"""Still pictures that a user hands in: read with limits, since they are as hostile as videos."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.errors import UserInputError
from facepick.files import read_plain
from facepick.unchanged import check

__all__ = ["MAX_BYTES", "MAX_DECODED_BYTES", "load_picture"]

MAX_BYTES = 64 * 2**20
"""Larger than any camera's JPEG."""
MAX_DECODED_BYTES = 640_000_000
"""What decoding may take at its peak, so that with the networks beside it a photo stays below
1 GB: a JPEG or PNG of 106 megapixels, more than any face needs."""


def load_picture(path: Path | str, *, keep_alpha: bool = False) -> BgrImage:
    """Load a PNG, JPEG or WebP file as (h, w, 3) uint8 BGR, or (h, w, 4) BGRA with `keep_alpha`.

    What decoding will take is reckoned from the file's head before anything is decoded, and what
    was decoded is held against that head: a small file cannot unfold into more memory than
    `MAX_DECODED_BYTES`, whatever it says of itself.

    Raises:
        UserInputError: missing, no plain file, too large, or no picture of these kinds.
        SourceChanged: it is watched (`facepick.unchanged`) and is another file by now.
    """
    import cv2

    path = Path(path)
    try:
        check(path)
        data = read_plain(path, max_bytes=MAX_BYTES)
        check(path)
    except OSError as error:
        hint = "Use a smaller picture." if error.errno == errno.EFBIG else ""
        raise UserInputError(
            f"{path.name} cannot be read: {error.strerror}.",
            hint=hint or "Check the path of the picture.",
        ) from error
    heads = _heads(data)
    if not heads:
        raise UserInputError(
            f"{path.name} is no PNG, JPEG or WebP picture.", hint="Convert it to PNG."
        )
    for head in heads:
        needed = head.width * head.height * head.bytes_per_pixel(keep_alpha)
        if needed > MAX_DECODED_BYTES:
            raise UserInputError(
                f"{path.name} has {head.width}x{head.height} pixels: decoding it would take "
                f"{needed // 10**6} MB.",
                hint=f"Scale it down; at most {MAX_DECODED_BYTES // 10**6} MB are taken.",
            )
    flags = cv2.IMREAD_UNCHANGED if keep_alpha else cv2.IMREAD_COLOR
    image = None
    if _is_whole(data):
        with suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    # A photo may be turned upright by its EXIF data.
    if image is None or not any(head.is_of(image) for head in heads):
        raise UserInputError(f"{path.name} is damaged.", hint="Use another picture.")
    return _bgra(image) if keep_alpha else np.asarray(image, np.uint8)


@dataclass(frozen=True)
class _Head:
    """Size and depth of a picture, as its file states them.

    Attributes:
        width, height: in pixels.
        sample_bytes: of one channel of one pixel.
        progressive: whether a decoder holds all coefficients of a JPEG before the first pixel.
    """

    width: int
    height: int
    sample_bytes: int = 1
    progressive: bool = False

    def bytes_per_pixel(self, keep_alpha: bool) -> int:
        """Estimate the memory that decoding takes.

        Measured with OpenCV 4.8 to 5.0 on 99 megapixels: two copies of the pixels, and the
        coefficients of a progressive JPEG, 16 bits each.
        """
        pixels = 2 * 4 * self.sample_bytes if keep_alpha else 2 * 3
        return pixels + (3 if self.progressive else 0)

    def is_of(self, image: npt.NDArray[Any]) -> bool:
        """Tell whether a decoded picture, (h, w) or (h, w, channels), has this size."""
        return image.shape[:2] in ((self.height, self.width), (self.width, self.height))


def _bgra(image: npt.NDArray[Any]) -> BgrImage:
    """Convert any depth and number of channels to 8-bit BGRA."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] == 3:
        opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
        image = np.concatenate([image, opaque], axis=2)
    return np.ascontiguousarray(image, np.uint8)


def _heads(data: bytes) -> list[_Head]:
    """Read the heads of a file; none when it is of an unknown kind.

    A JPEG gets one for everything that a decoder might take for its frame header.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) > 24:
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        return [_Head(width, height, sample_bytes=2 if data[24] == 16 else 1)]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_heads(data)
    if data[:3] == b"\xff\xd8\xff":
        return list(_jpeg_heads(data))
    return []


def _is_whole(data: bytes) -> bool:
    """Tell whether a PNG holds what its chunks promise; true of other kinds.

    OpenCV 4.11 and later take memory for a chunk before they read it: up to 2 GB for four bytes.
    """
    if data[:4] != b"\x89PNG":
        return True
    at = 8
    while data[at + 4 : at + 8] != b"IEND":
        # Length, kind, content and checksum.
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at + 12 > len(data):
            return False
    return True


def _webp_heads(data: bytes) -> list[_Head]:
    """Read lossy, lossless and extended heads (WebP container specification)."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return []
    if kind == b"VP8X":
        sides = [1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7)]
    elif kind == b"VP8 ":
        sides = [int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8)]
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        sides = [1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)]
    else:
        return []
    return [_Head(sides[0], sides[1])]


# A frame header (ITU-T T.81, B.2.2): SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), the
# segment's length, precision, height, width and the number of components.
_FRAME_HEADER = re.compile(rb"\xff([\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf])(?=(.{8}))", re.DOTALL)


def _jpeg_heads(data: bytes) -> Iterator[_Head]:
    """Find every place that has the form of a frame header, whichever a decoder comes to first.

    Walking from marker to marker as a decoder does would have to do exactly what that decoder
    does with marker codes that bear no length, with filling bytes and with garbage; a file made
    to part the two would be sized by one header and decoded by another.  Coded data hold no such
    place by accident (0xFF is followed by 0 there); a thumbnail, which is smaller, does.
    """
    for match in _FRAME_HEADER.finditer(data):
        length, _, height, width, parts = (
            int.from_bytes(match[2][a:b], "big")
            for a, b in ((0, 2), (2, 3), (3, 5), (5, 7), (7, 8))
        )
        if length == 8 + 3 * parts and 1 <= parts <= 4:
            # SOF2, SOF6, SOF10 and SOF14 are progressive.
            yield _Head(width, height, progressive=match[1][0] % 4 == 2)
