"""Still pictures that a user hands in: read with limits, since they are as hostile as videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.errors import UserInputError

__all__ = ["MAX_BYTES", "MAX_PIXELS", "load_picture"]

MAX_BYTES = 64 * 2**20
"""Larger than any camera's JPEG."""
MAX_PIXELS = 100_000_000
"""100 megapixels take 400 MB as BGRA while they are decoded; no face needs more."""


def load_picture(path: Path | str, *, keep_alpha: bool = False) -> BgrImage:
    """A PNG, JPEG or WebP file as (h, w, 3) uint8 BGR, or (h, w, 4) BGRA with `keep_alpha`.

    The size is read from the file's head before anything is decoded, so that a small file cannot
    unfold into more memory than `MAX_PIXELS` stands for.

    Raises:
        UserInputError: missing, too large, or no picture of these kinds.
    """
    import cv2

    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserInputError(
                f"{path.name} is larger than {MAX_BYTES >> 20} MB.", hint="Use a smaller picture."
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserInputError(
            f"{path.name} cannot be read: {error.strerror}.", hint="Check the path of the picture."
        ) from error
    size = _size_of(data)
    if size is None:
        raise UserInputError(
            f"{path.name} is no PNG, JPEG or WebP picture.", hint="Convert it to PNG."
        )
    if size[0] * size[1] > MAX_PIXELS:
        raise UserInputError(
            f"{path.name} has {size[0]}x{size[1]} pixels.",
            hint=f"At most {MAX_PIXELS // 1_000_000} megapixels are read.",
        )
    flags = cv2.IMREAD_UNCHANGED if keep_alpha else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise UserInputError(f"{path.name} is damaged.", hint="Use another picture.")
    return _bgra(image) if keep_alpha else np.asarray(image, np.uint8)


def _bgra(image: npt.NDArray[Any]) -> BgrImage:
    """Any depth and number of channels as 8-bit BGRA."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[2] == 3:
        opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
        image = np.concatenate([image, opaque], axis=2)
    return np.ascontiguousarray(image, np.uint8)


def _size_of(data: bytes) -> tuple[int, int] | None:
    """(width, height) as the file's head states it, or None when the kind is unknown."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg_size(data)
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """WebP container specification: lossy, lossless and extended heads."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8 ":
        width, height = body[6:8], body[8:10]
        return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walks the markers (ITU-T T.81, B.1.1) up to the frame header."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        # SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            return int.from_bytes(data[at + 7 : at + 9], "big"), height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
