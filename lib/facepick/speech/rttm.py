"""RTTM: rows that say who speaks when, as tools for diarization write and read them.

``SPEAKER file 1 start duration <NA> <NA> name <NA> <NA>`` (NIST, *Rich Transcription evaluation
plan*, 2009); other kinds of rows are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from facepick.errors import UserInputError
from facepick.speech.subtitles import MAX_SECONDS

__all__ = ["is_rttm", "read_rttm", "rttm_text"]

_ROW = re.compile(r"(?m)^SPEAKER\s+\S+\s+\S+\s+[\d.]+\s+[\d.]+\s")
_NONE = "<NA>"


def is_rttm(text: str) -> bool:
    """Tell whether a text holds rows of speakers."""
    return _ROW.search(text[:100_000]) is not None


def read_rttm(name: str, text: str) -> Iterator[tuple[float, float, str | None]]:
    """Give start and duration in seconds, and the name, of every row of a speaker.

    Args:
        name: of the file, for messages.

    Raises:
        UserInputError: a row cannot be read; it names it.
    """
    for number, row in enumerate(text.splitlines(), 1):
        fields = row.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, duration = float(fields[3]), float(fields[4])
            who = fields[7]
        except (IndexError, ValueError):
            raise UserInputError(
                f"{name}, row {number}: {row!r:.60} is no turn.",
                hint="It should read like: SPEAKER film 1 1.50 2.00 <NA> <NA> Anna <NA> <NA>",
            ) from None
        if not (0 <= start <= MAX_SECONDS and 0 < duration <= MAX_SECONDS):
            raise UserInputError(
                f"{name}, row {number}: {start:g} s for {duration:g} s is no time."
            )
        yield start, duration, None if who == _NONE else who


def rttm_text(file: str, turns: Iterable[tuple[float, float, str | None]]) -> str:
    """Write turns as RTTM.

    Args:
        file: name of the recording; spaces become underscores, as the format has none.
        turns: start, end, and who speaks.
    """
    word = re.sub(r"\s+", "_", file) or "video"
    rows = []
    for start, end, name in turns:
        who = re.sub(r"\s+", "_", name or "") or _NONE
        times = f"{start:.3f} {end - start:.3f}"
        rows.append(f"SPEAKER {word} 1 {times} {_NONE} {_NONE} {who} {_NONE} {_NONE}\n")
    return "".join(rows)
