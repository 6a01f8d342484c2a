"""Speakers of a whole video: watched, heard, decided, and corrected by the user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facepick.models.store import ModelStore
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.speech.listening import SPEAKERS, listen
from facepick.speech.script import PersonSpan
from facepick.speech.speaker_edits import apply_edits, load_edits
from facepick.speech.speakers import Speakers, who_speaks

__all__ = ["speakers_of_video"]


def speakers_of_video(
    scan: Scan,
    lines: Sequence[PersonSpan] | None = None,
    *,
    models: ModelStore,
    cache: Path,
    num_speakers: int | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> Speakers:
    """Find out who speaks when from the video's own sound, with the user's corrections.

    What is seen and heard is kept by content: the second time takes no time.

    Args:
        lines: whose speakers are asked for; None for one turn a stretch of speech.
        cache: folder of what can be made again.
        num_speakers: how many voices there are, if that is known.

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
    found = who_speaks(scan, seen, voices, lines=lines)
    return apply_edits(scan, found, load_edits(cache, scan.content_hash))
