"""Listening: what is seen of the faces of a video, and its voices, kept by content."""

from __future__ import annotations

import logging
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from facepick.models.catalog import CAM_PLUS_PLUS
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.speech.face_watch import Watched, observation_key, sound_of, watch_faces
from facepick.speech.voices import HeardVoices, tell_voices

__all__ = ["SPEAKERS", "listen"]

log = logging.getLogger("facepick.speech.listening")

SPEAKERS = "speakers"
"""Folder of the cache in which observations are kept."""
VERSION = 2
"""Of how voices are told apart."""


def listen(
    scan: Scan,
    models: ModelStore,
    folder: Path | None,
    *,
    num_speakers: int | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> tuple[Watched, HeardVoices]:
    """Watch the faces and tell the voices apart; the second time it is read from `folder`.

    Args:
        folder: where what was found is kept, or None.
        num_speakers: how many voices there are, if that is known.

    Returns:
        What was observed, and the voices.

    Raises:
        VideoOpenError, MissingModelError, Cancelled.
    """
    samples = sound_of(scan, cancel=cancel)
    seen = watch_faces(
        scan, samples, models=models, folder=folder, progress=progress, cancel=cancel
    )
    means = "cepstra" if models.find(CAM_PLUS_PLUS) is None else CAM_PLUS_PLUS.id
    name = f"{observation_key(scan)}-{means}-{num_speakers or 'any'}-{VERSION}.npz"
    file = folder / name if folder else None
    if file is not None and (found := _load(file, seen.moments)) is not None:
        return seen, found
    voices = tell_voices(samples, seen, models, count=num_speakers, cancel=cancel)
    if file is not None:
        _store(file, voices)
    return seen, voices


def _load(file: Path, moments: int) -> HeardVoices | None:
    try:
        with file.open("rb") as raw, np.load(raw, allow_pickle=False) as data:
            labels, prints = data["labels"], data["prints"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("The stored voices %s cannot be read (%s).", file, error)
        return None
    if labels.shape != (moments,) or labels.dtype.kind != "i" or prints.ndim != 2:
        return None
    os.utime(file)
    return HeardVoices(np.asarray(labels, np.int64), np.asarray(prints, np.float32))


def _store(file: Path, voices: HeardVoices) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as raw:
            np.savez_compressed(raw, labels=voices.labels.astype(np.int32), prints=voices.prints)
        os.replace(name, file)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        log.warning("Voices cannot be kept: %s", error)
