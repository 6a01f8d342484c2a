"""Decisions when a person's lips are re-made, when only closed, and when left alone.

A pure function of time, so that every segment of a video can be rendered on its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from facepick.engines.decisions import GAP_SECONDS
from facepick.engines.lipsync.original_motion import FilmedMouth
from facepick.progress import CancelToken, never
from facepick.speech.line import Speech
from facepick.speech.vad import Stretch, speech_probability, speech_stretches

__all__ = ["Action", "Gate", "Gating", "WhenSilent", "gating_of", "merged"]

Action = Literal["speak", "close", "keep"]
WhenSilent = Literal["keep", "close"]

# Lips open for a sound before it is heard (the first formant transitions are visible some 100 ms
# early) and take as long to come to rest.
LEAD_SECONDS = 0.10
TRAIL_SECONDS = 0.12
# Three frames at 25 per second.
FADE_SECONDS = 0.12
# Between two stretches the filmed mouth comes and goes again: seen for less than `GAP_SECONDS`
# between the two fades, it only flashes through.
BRIDGED_SECONDS = 2 * FADE_SECONDS + GAP_SECONDS
# A frame is still on screen this long after its time, at 17 frames a second or more.
SHOWN_SECONDS = 0.06
# A dub begins and ends about where the original did.
DUB_SECONDS = 0.3


@dataclass(frozen=True)
class Gate:
    """Decision for one moment.

    Attributes:
        action: ``speak`` re-makes the mouth after the new speech, ``close`` shows it at rest,
            ``keep`` leaves the frame alone.
        weight: how much of the re-made mouth is shown, in [0, 1]; 0 exactly for ``keep``.
    """

    action: Action
    weight: float


@dataclass(frozen=True)
class Gating:
    """Decisions for every moment of the output.

    Attributes:
        speak: stretches in which the new speech speaks, widened by the lips' lead and trail.
        close: stretches in which this person talked in the original and the new speech does not.
        fade_seconds: the weight rises to 1 in this time before a stretch and falls to 0 after.
    """

    speak: tuple[Stretch, ...]
    close: tuple[Stretch, ...] = ()
    fade_seconds: float = FADE_SECONDS

    def at(self, time: Fraction | float) -> Gate:
        """Look up the decision for the frame shown at `time` (seconds since the first frame)."""
        now = float(time)
        speak, close = self._weight(self.speak, now), self._weight(self.close, now)
        # Where two stretches meet, one fades in while the other fades out: the mouth is re-made
        # all the time and the original does not shine through.
        weight = max(speak, close)
        if weight <= 0.0:
            return Gate("keep", 0.0)
        return Gate("speak" if speak >= close else "close", weight)

    def spoken_seconds(self) -> float:
        """Seconds in which the person speaks."""
        return sum(s.stop - s.start for s in self.speak)

    def _weight(self, stretches: Sequence[Stretch], now: float) -> float:
        at = bisect_right(stretches, now, key=lambda s: s.start)
        away = min(
            (max(s.start - now, now - s.stop, 0.0) for s in stretches[max(0, at - 1) : at + 1]),
            default=float("inf"),
        )
        if self.fade_seconds <= 0:
            return float(away == 0.0)
        return max(0.0, 1.0 - away / self.fade_seconds)


def gating_of(
    speech: Speech,
    *,
    when_silent: WhenSilent,
    mouth: Callable[[], FilmedMouth],
    vad_model: Path,
    cancel: CancelToken = never,
) -> Gating:
    """Decide for one person's new speech.

    With ``close``, the mouth is closed where the video's own audio speaks, this person's lips
    move as if it were their voice, the new speech is silent, and that voice is not heard in the
    result.  Whoever only listened keeps the filmed mouth.  A video without audio says nothing of
    when its people talk, so nothing is closed.

    Less than `BRIDGED_SECONDS` between two stretches that are re-made or closed are so, too.

    Where the new speech holds everybody's voices, this person speaks in it where the lips moved
    in the original: a dub is spoken where the original was.

    Args:
        speech: on the output's clock.
        when_silent: what to do where the new speech is silent.
        mouth: gives the person's mouth in the original; called only when something may have to
            be closed, for it can take a pass over the video.
        vad_model: the file ``silero_vad.onnx``.

    Raises:
        ModelMismatchError, Cancelled.
    """
    voiced = _voiced(speech.samples, vad_model, cancel)
    if speech.of_all and voiced:
        voiced = _common(voiced, _widened(mouth().talking(), DUB_SECONDS, DUB_SECONDS))
    # A mouth that is about to be closed, or opens again, is half shut for so long.
    away = FADE_SECONDS + SHOWN_SECONDS
    heard = _widened((Stretch(start, stop) for start, stop in speech.original_heard), away, away)
    speak = _bridged(_widened(voiced, LEAD_SECONDS, TRAIL_SECONDS), heard)
    close: tuple[Stretch, ...] = ()
    if when_silent == "close" and speech.original is not None:
        if _covers(heard, len(speech.original) / Speech.SAMPLE_RATE):
            return Gating(speak=speak)
        talked = _widened(_voiced(speech.original, vad_model, cancel), LEAD_SECONDS, TRAIL_SECONDS)
        close = _without(_without(talked, speak), heard)
        if close:
            close = _common(close, mouth().talking())
            close = _without(_bridged(merged([*speak, *close]), heard), speak)
    return Gating(speak=speak, close=close)


def merged(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """Unite stretches, in time order."""
    out: list[Stretch] = []
    for item in sorted(stretches):
        if out and item.start <= out[-1].stop:
            out[-1] = Stretch(out[-1].start, max(out[-1].stop, item.stop))
        else:
            out.append(item)
    return tuple(out)


def _widened(stretches: Iterable[Stretch], lead: float, trail: float) -> tuple[Stretch, ...]:
    return merged(Stretch(max(0.0, s.start - lead), s.stop + trail) for s in stretches)


def _common(stretches: Sequence[Stretch], others: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Cut `stretches` to what lies inside `others`; both in time order, none overlapping."""
    return _without(stretches, _without(stretches, others))


def _bridged(stretches: Sequence[Stretch], heard: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Take in what lies between two stretches for a moment, but where the old voice is heard."""
    gaps = (Stretch(a.stop, b.start) for a, b in pairwise(stretches))
    short = [gap for gap in gaps if gap.stop - gap.start <= BRIDGED_SECONDS]
    return merged([*stretches, *_without(short, heard)])


def _covers(stretches: Sequence[Stretch], seconds: float) -> bool:
    return any(s.start <= 0 and s.stop >= seconds for s in stretches)


def _without(stretches: Sequence[Stretch], taken: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Cut `taken` out of `stretches`; both in time order, none overlapping."""
    out: list[Stretch] = []
    for item in stretches:
        start = item.start
        for other in taken:
            if other.stop <= start or other.start >= item.stop:
                continue
            if other.start > start:
                out.append(Stretch(start, other.start))
            start = max(start, other.stop)
        if start < item.stop:
            out.append(Stretch(start, item.stop))
    return tuple(out)


def _voiced(
    samples: npt.NDArray[np.float32], model: Path, cancel: CancelToken
) -> tuple[Stretch, ...]:
    return speech_stretches(speech_probability(samples, model=model, cancel=cancel))
