"""Loudness of sound files, measured once: the next preview has it at once.

To measure 20 s takes 0.4 to 0.9 s of CPU, more than a frame takes to draw.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from facepick.errors import FfmpegFailed
from facepick.files import as_json, read_json, write_json
from facepick.media.audio import audio_stream, mixing_of
from facepick.media.container import open_media
from facepick.media.ffmpeg import loudness
from facepick.progress import CancelToken

__all__ = ["LOUDNESS", "keep_loudness_in", "loudness_of"]

log = logging.getLogger(__name__)

LOUDNESS = "loudness"
"""Name of the folder in the cache."""

_FORMAT = 1
_folder: Path | None = None


def keep_loudness_in(folder: Path | None) -> None:
    """Keep what this process measures in a folder, and take up what lies there; None: neither."""
    global _folder
    _folder = folder


def loudness_of(
    path: Path,
    stream: int | None,
    channels: int,
    offset: Fraction,
    duration: Fraction | None,
    cancel: CancelToken,
) -> float | None:
    """Measure the loudness of a stream in LUFS, in so many channels as it is played in.

    None for silence, and for what ffmpeg cannot measure: a recording whose loudness is unknown is
    taken as loud as it is, for that is no reason to fail.

    Args:
        stream: index among the file's; None for the main one.
        offset, duration: the part that is measured, in seconds; None measures to the end.

    Raises:
        NoAudioError, VideoOpenError: it has no sound.
        FfmpegMissing, Cancelled.
    """
    file = _kept(path, [stream, channels, str(offset), str(duration)])
    if file is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            known = read_json(file)["lufs"]
            return None if known is None else float(known)
    found = _measured(path, stream, channels, offset, duration, cancel)
    if file is not None and found is not None:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, {"lufs": found})
    return found


def _kept(path: Path, measured: list[int | str | None]) -> Path | None:
    """Name the file in which it is kept; what is known of one version is not believed of
    another."""
    if _folder is None:
        return None
    try:
        there = os.stat(path)
    except OSError:
        # Whoever opens it says what is wrong.
        return None
    key = [_FORMAT, os.path.abspath(path), there.st_size, there.st_mtime_ns, *measured]
    return _folder / f"{hashlib.sha256(as_json(key).encode()).hexdigest()[:32]}.json"


def _measured(
    path: Path,
    stream: int | None,
    channels: int,
    offset: Fraction,
    duration: Fraction | None,
    cancel: CancelToken,
) -> float | None:
    with open_media(path, wanted="sound") as container:
        source = audio_stream(container, path, stream)
        layout = source.codec_context.layout
        own = 2 if layout is None else len(layout.channels)
        # Surround gets softer on its way to stereo: by 7.7 dB, where it cannot clip.
        mixing = None if own in (1, 2, channels) else mixing_of(layout.name, own, 2)
        index = source.index
    try:
        return loudness(
            path,
            offset=offset,
            duration=duration,
            stream=index,
            mixing=None if mixing is None else mixing.tolist(),
            cancel=cancel,
        )
    except FfmpegFailed as error:
        log.warning("%s: loudness not measured: %s", path.name, error)
        return None
