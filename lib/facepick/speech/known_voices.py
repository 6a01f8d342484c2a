"""Known voices: how those sound who are known by name, beside the voices of a video."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from facepick.models.catalog import CAM_PLUS_PLUS
from facepick.people.person import Scan
from facepick.speech.speakers import Speakers
from facepick.speech.voices import HeardVoices

__all__ = ["MODEL", "likeness_of", "named_voices", "owned_voices"]

Array = npt.NDArray[np.float32]
Array64 = npt.NDArray[np.float64]

MODEL = f"{CAM_PLUS_PLUS.id} {CAM_PLUS_PLUS.sha256[:12]}"
"""What voices are described with; those of another model cannot be compared."""

EVEN, PER_COSINE, MOST = 0.55, 12.0, 3.0
"""Cosine at which a voice may as well be another's, log likelihood a cosine, and its limit.  In
four clips two halves of one voice came to 0.82 to 0.95 where it is heard alone and to 0.67 where
people speak at once, other voices to 0.25 and 0.43."""
LEAST_SECONDS, SHARE = 4.0, 0.8
"""A voice is remembered if so much of it is said by one person, for sure."""


def likeness_of(
    scan: Scan, heard: HeardVoices, known: Mapping[str, Array]
) -> dict[int, dict[str, float]]:
    """Tell for each voice how likely it is that of each person whose voice is known.

    Args:
        known: voices by name.

    Returns:
        By number of the voice and id of the person, log likelihood in [-3, 3]; under "" that of
        the likeliest of those whom the video does not show.
    """
    by_name = {name.casefold(): voice for name, voice in known.items()}
    names = {p.id: p.name.casefold() for p in scan.people if p.name}
    strangers = [voice for name, voice in by_name.items() if name not in names.values()]
    found: dict[int, dict[str, float]] = {}
    for number, voice in enumerate(heard.prints):
        mine = {key: by_name[name] for key, name in names.items() if name in by_name}
        likely = {key: _log_likelihood(voice, other) for key, other in mine.items()}
        if strangers:
            likely[""] = max(_log_likelihood(voice, other) for other in strangers)
        found[number] = likely
    return found


def named_voices(heard: HeardVoices, known: Mapping[str, Array]) -> dict[int, str]:
    """Name the voices that are surely those of somebody known."""
    names = {}
    for number, voice in enumerate(heard.prints):
        likely = {name: _log_likelihood(voice, other) for name, other in known.items()}
        best = max(likely, key=lambda name: likely[name], default=None)
        if best is not None and likely[best] > MOST / 2:
            names[number] = best
    return names


def _log_likelihood(voice: Array, other: Array) -> float:
    if voice.shape != other.shape:
        return 0.0
    return float(np.clip(PER_COSINE * (float(voice @ other) - EVEN), -MOST, MOST))


def owned_voices(scan: Scan, heard: HeardVoices, found: Speakers) -> dict[str, tuple[Array, float]]:
    """Choose the voices that are surely those of people who have a name.

    Args:
        found: who speaks, with the user's corrections.

    Returns:
        By name, the voice and for how many seconds it is heard.
    """
    names = {p.id: p.name for p in scan.people if p.name}
    seconds: dict[int, dict[str | None, float]] = {}
    for turn in found.turns:
        if turn.voice is None or turn.state not in ("sure", "off_screen"):
            continue
        number = found.number_of(turn.voice)
        own = seconds.setdefault(number, {})
        own[turn.person] = own.get(turn.person, 0.0) + turn.end - turn.start
    owned: dict[str, tuple[Array, float]] = {}
    for number, own in seconds.items():
        best = max(own, key=lambda key: own[key])
        name = names.get(best or "")
        sure = own[best] >= max(LEAST_SECONDS, SHARE * sum(own.values()))
        if name is None or not sure or number >= len(heard.prints):
            continue
        if name not in owned or own[best] > owned[name][1]:
            owned[name] = (heard.prints[number], own[best])
    return owned
