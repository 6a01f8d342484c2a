"""Speakers of a whole video: watched, heard, decided, and corrected by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.speech.known_voices import likeness_of, named_voices, owned_voices
from facepick.speech.listening import SPEAKERS, listen
from facepick.speech.script import PersonSpan
from facepick.speech.speaker_edits import apply_edits, load_edits
from facepick.speech.speakers import Speakers, who_speaks

__all__ = ["speakers_of_video"]

Array = npt.NDArray[np.float32]


def speakers_of_video(
    scan: Scan,
    lines: Sequence[PersonSpan] | None = None,
    *,
    models: ModelStore,
    cache: Path,
    num_speakers: int | None = None,
    known: Mapping[str, Array] | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> tuple[Speakers, dict[str, tuple[Array, float]]]:
    """Find out who speaks when from the video's own sound, with the user's corrections.

    What is seen and heard is kept by content: the second time takes no time.

    Args:
        lines: whose speakers are asked for; None for one turn a stretch of speech.
        cache: folder of what can be made again.
        num_speakers: how many voices there are, if that is known.
        known: how people sound, by name, see `facepick.recognition.cast_voices`.

    Returns:
        Who speaks, and the voices of those who have a name, by name, for the cast to keep.

    Raises:
        VideoOpenError, MissingModelError, Cancelled.
    """
    seen, voices = listen(
        scan,
        models,
        cache / SPEAKERS,
        num_speakers=num_speakers,
        progress=progress,
        cancel=cancel,
    )
    found = who_speaks(
        scan,
        seen,
        voices.labels,
        lines=lines,
        prints=voices.prints,
        likeness=likeness_of(scan, voices, known or {}),
        names=named_voices(voices, known or {}),
    )
    found = apply_edits(scan, found, load_edits(cache, scan.content_hash))
    return found, owned_voices(scan, voices, found)
