"""Loudness of sound files, measured once: the next preview has it at once.

To measure 20 s takes 0.4 to 0.9 s of CPU, more than a frame takes to draw.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from facepick.errors import FfmpegFailed
from facepick.files import as_json, read_json, write_json
from facepick.media.audio import audio_stream, mixing_of
from facepick.media.container import open_media
from facepick.media.ffmpeg import loudness
from facepick.progress import CancelToken

__all__ = ["LOUDNESS", "SoundPart", "keep_loudness_in", "loudness_of"]

log = logging.getLogger(__name__)

LOUDNESS = "loudness"
"""Name of the folder in the cache."""

_FORMAT = 1
_MOST_KNOWN = 4096


@dataclass(frozen=True, kw_only=True)
class SoundPart:
    """What is measured: a stretch of a stream, as it is played.

    Attributes:
        path: audio or video file.
        stream: index among the file's; None for the main one.
        channels: in so many it is played.
        offset, duration: in seconds; None measures to the end.
    """

    path: Path
    stream: int | None = None
    channels: int
    offset: Fraction = Fraction(0)
    duration: Fraction | None = None


class _Book:
    """What this process has measured, and the folder in which it is kept for others."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._known: dict[str, float | None] = {}

    def look_up(self, key: str) -> tuple[bool, float | None]:
        """Tell whether a part is known, and its loudness."""
        if key in self._known:
            return True, self._known[key]
        if self.folder is not None:
            with suppress(OSError, ValueError, KeyError, TypeError):
                return True, float(read_json(self._file(self.folder, key))["lufs"])
        return False, None

    def note(self, key: str, found: float | None) -> None:
        """Remember a loudness; silence, which may be a failure, only in this process."""
        while len(self._known) >= _MOST_KNOWN:
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = found
        if self.folder is not None and found is not None:
            with suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                write_json(self._file(self.folder, key), {"lufs": found})

    @staticmethod
    def _file(folder: Path, key: str) -> Path:
        return folder / f"{key}.json"


_book = _Book()


def keep_loudness_in(folder: Path) -> None:
    """Keep what this process measures in a folder, and take up what lies there."""
    _book.folder = folder


def loudness_of(part: SoundPart, cancel: CancelToken) -> float | None:
    """Measure the loudness of a part in LUFS, once however often it is asked for.

    None for silence, and for what ffmpeg cannot measure: a recording whose loudness is unknown is
    taken as loud as it is, for that is no reason to fail.

    Raises:
        NoAudioError, VideoOpenError: it has no sound.
        FfmpegMissing, Cancelled.
    """
    key = _key_of(part)
    if key is None:
        return _measured(part, cancel)
    known, found = _book.look_up(key)
    if not known:
        found = _measured(part, cancel)
        _book.note(key, found)
    return found


def _key_of(part: SoundPart) -> str | None:
    """Name a part of a file and its version: what is known of one is not believed of another."""
    try:
        there = os.stat(part.path)
    except OSError:
        # Whoever opens it says what is wrong.
        return None
    measured = [part.stream, part.channels, str(part.offset), str(part.duration)]
    key = [_FORMAT, os.path.abspath(part.path), there.st_size, there.st_mtime_ns, *measured]
    return hashlib.sha256(as_json(key).encode()).hexdigest()[:32]


def _measured(part: SoundPart, cancel: CancelToken) -> float | None:
    with open_media(part.path, wanted="sound") as container:
        source = audio_stream(container, part.path, part.stream)
        layout = source.codec_context.layout
        own = 2 if layout is None else len(layout.channels)
        # Surround gets softer on its way to stereo: by 7.7 dB, where it cannot clip.
        mixing = None if own in (1, 2, part.channels) else mixing_of(layout.name, own, 2)
        index = source.index
    try:
        return loudness(
            part.path,
            offset=part.offset,
            duration=part.duration,
            stream=index,
            mixing=None if mixing is None else mixing.tolist(),
            cancel=cancel,
        )
    except FfmpegFailed as error:
        log.warning("%s: loudness not measured: %s", part.path.name, error)
        return None
