"""Listening: what is seen of the faces of a video, and its voices, kept by content."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.models.catalog import CAM_PLUS_PLUS
from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.speech.face_watch import Watched, observation_key, sound_of, watch_faces
from facepick.speech.voices import voice_labels

__all__ = ["SPEAKERS", "listen"]

log = logging.getLogger("facepick.speech.listening")

Numbers = npt.NDArray[np.int64]

SPEAKERS = "speakers"
"""Folder of the cache in which observations are kept."""


def listen(
    scan: Scan,
    models: ModelStore,
    folder: Path | None,
    *,
    num_speakers: int | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> tuple[Watched, Numbers]:
    """Watch the faces and tell the voices apart; the second time it is read from `folder`.

    Args:
        folder: where what was found is kept, or None.
        num_speakers: how many voices there are, if that is known.

    Returns:
        What was observed, and the voice of each moment, see `facepick.speech.voices`.

    Raises:
        VideoOpenError, MissingModelError, Cancelled.
    """
    samples = sound_of(scan, cancel=cancel)
    seen = watch_faces(
        scan, samples, models=models, folder=folder, progress=progress, cancel=cancel
    )
    means = "cepstra" if models.find(CAM_PLUS_PLUS) is None else CAM_PLUS_PLUS.id
    name = f"{observation_key(scan)}-{means}-{num_speakers or 'any'}.npy"
    file = folder / name if folder else None
    if file is not None and (found := _load(file, seen.moments)) is not None:
        return seen, found
    voices = voice_labels(samples, seen, models, count=num_speakers, cancel=cancel)
    if file is not None:
        _store(file, voices)
    return seen, voices


def _load(file: Path, moments: int) -> Numbers | None:
    try:
        with file.open("rb") as raw:
            found = np.load(raw, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        log.warning("The stored voices %s cannot be read (%s).", file, error)
        return None
    if found.shape != (moments,) or found.dtype.kind != "i":
        return None
    os.utime(file)
    return np.asarray(found, np.int64)


def _store(file: Path, voices: Numbers) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as raw:
            np.save(raw, voices.astype(np.int32))
        os.replace(name, file)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        log.warning("Voices cannot be kept: %s", error)
