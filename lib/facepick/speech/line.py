"""Spoken lines: new speech of a person, as files, as times of phones and words, and as samples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from facepick.notices import Notice

__all__ = ["Speech", "SpeechLine", "Timed", "Timings", "line_key"]


def line_key(start: float) -> str:
    """Name a line by when it starts, as people's corrections of a list do.

    >>> line_key(4.2)
    '4.200'
    """
    return f"{start:.3f}"


@dataclass(frozen=True)
class Timed:
    """One phone or word with its time.

    Attributes:
        start, stop: seconds from the first sample of the line's file, half-open.
        label: of a phone its ARPAbet name without stress, or ``SIL``; of a word its letters.
    """

    start: float
    stop: float
    label: str

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop < float("inf"):
            raise ValueError(f"{self.label!r} lasts from {self.start} to {self.stop} s.")


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Times of what is said, as a speech synthesiser or an aligner has told them.

    Both sequences are in order and free of overlaps; where there is a gap nothing is known.

    Attributes:
        phones: known phones.
        words: known words, where phones are not known.
        notices: on what was left out of the file.
    """

    phones: tuple[Timed, ...] = ()
    words: tuple[Timed, ...] = ()
    notices: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        for row in (self.phones, self.words):
            for before, after in pairwise(row):
                if after.start < before.stop:
                    raise ValueError(f"{before} and {after} overlap.")


@dataclass(frozen=True, kw_only=True)
class SpeechLine:
    """One stretch of new speech of one person.

    Attributes:
        path: audio or video file whose first audio stream is taken; empty for words that are still
            to be spoken, see `facepick.speech.spoken`.
        start_seconds: where it starts on the output's clock (0 = first frame).
        offset_seconds: how much of the file's beginning is skipped.
        duration_seconds: how much is taken, or None for all.
        text: the words that are said, or None when unknown.
        phones: when its phones or words are said, on the clock of the file, or None.
        cue_seconds: how long the line is in the script it comes from, or None when none says.
        drawn: whether a mouth says it; one whose speaker is unsure or off screen is only heard.
    """

    path: str
    start_seconds: float = 0.0
    offset_seconds: float = 0.0
    duration_seconds: float | None = None
    text: str | None = None
    phones: Timings | None = None
    cue_seconds: float | None = None
    drawn: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Speech:
    """The new speech of one person on the output's clock.

    Attributes:
        samples: (n,) float32 mono in [-1, 1] at 16 kHz for analysis; sample 0 sounds at the
            time of frame 0.
        lines: where it comes from.
        original: (m,) float32 mono at 16 kHz, the video's own audio on the same clock, or None.
        original_heard: stretches, in seconds on the same clock, in which that audio is heard in
            the result; in time order.
        of_all: whether everybody's voices are in `samples`, not only this person's.
    """

    samples: npt.NDArray[np.float32]
    lines: tuple[SpeechLine, ...] = ()
    original: npt.NDArray[np.float32] | None = None
    original_heard: tuple[tuple[float, float], ...] = ()
    of_all: bool = False

    SAMPLE_RATE = 16_000

    def __repr__(self) -> str:
        return f"Speech({len(self.samples) / self.SAMPLE_RATE:.2f} s, {len(self.lines)} lines)"
