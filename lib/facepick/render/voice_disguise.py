"""Disguise of hidden people's voices, while the video's own sound is read for the mix."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from facepick.errors import UserInputError
from facepick.notices import Notice
from facepick.people.person import Scan
from facepick.render.plan import RenderPlan
from facepick.speech.disguise import Likeness, VoiceMask, check_vocoder, disguised, mask_for
from facepick.speech.speakers import Speakers, Turn

__all__ = [
    "VoiceDisguise",
    "VoiceSpan",
    "check_disguise",
    "disguise_notices",
    "hidden_voices",
]

FloatSamples = npt.NDArray[np.float32]

PADDING_SECONDS = 0.15
"""A detector of speech begins late and ends early: "p", "t" and "s" are soft."""
PIECE_SECONDS = 15.0
"""Pieces that are taken apart at once: 15 s are 3000 envelopes of 1025 numbers, 25 MB."""
FADE_SECONDS = 0.02
GUESS = 0.2
"""An unsure turn counts as a hidden person's from this likelihood on."""


@dataclass(frozen=True, kw_only=True)
class VoiceSpan:
    """Stretch of the video in which somebody hidden is heard.

    Attributes:
        start, stop: seconds from the first frame.
        voice: whose, a person's id or a voice's; one mask each.
        sure: whether it is known whose.
    """

    start: float
    stop: float
    voice: str
    sure: bool = True


def check_disguise(plan: RenderPlan) -> None:
    """Check that there is a voice to disguise, and what with.

    Raises:
        UserInputError: nobody is hidden, or the video's own sound is not heard.
        PackageMissing: the vocoder is not installed.
    """
    if not plan.disguises_voices:
        return
    if not any(item.flow == "hide" for item in plan.assignments):
        raise UserInputError(
            "Voices of hidden people are to be disguised, and nobody is hidden.",
            hint="Hide somebody: --person P1 --flow hide --voice disguise.",
        )
    if plan.output.length == "remap":
        raise UserInputError(
            "With --length remap the video's own sound is not heard, so no voice is disguised.",
            hint="Leave one of the two out.",
        )
    check_vocoder()


def hidden_voices(plan: RenderPlan, scan: Scan, speakers: Speakers) -> tuple[VoiceSpan, ...]:
    """Find when hidden people are heard; in time order, none overlapping.

    What is unsure counts as theirs: a voice that is changed in vain is a smaller loss than one
    that is known.  With everyone but some hidden, all speech counts that is not surely of those.
    """
    spans: list[VoiceSpan] = []
    for item in plan.assignments:
        if item.flow == "hide":
            hidden = {person.id for person in item.selection.resolve(scan)}
            others = bool(item.selection.everyone_but)
            spans += (_span(turn) for turn in speakers.turns if _is_of(turn, hidden, others))
    return _joined(sorted(spans, key=lambda span: span.start))


def _is_of(turn: Turn, hidden: set[str], others: bool) -> bool:
    if turn.state == "silent":
        return False
    if others:
        return turn.person in hidden or turn.person is None or turn.state != "sure"
    if turn.person in hidden:
        return True
    return turn.state == "unsure" and any(
        c.person in hidden and c.score >= GUESS for c in turn.candidates
    )


def _span(turn: Turn) -> VoiceSpan:
    return VoiceSpan(
        start=max(0.0, turn.start - PADDING_SECONDS),
        stop=turn.end + PADDING_SECONDS,
        voice=turn.person or turn.voice or "",
        sure=turn.state == "sure" or (turn.state == "off_screen" and turn.person is not None),
    )


def _joined(spans: Sequence[VoiceSpan]) -> tuple[VoiceSpan, ...]:
    """Cut overlaps off, so that nothing is disguised twice."""
    found: list[VoiceSpan] = []
    for span in spans:
        start = max(span.start, found[-1].stop) if found else span.start
        if span.stop - start > FADE_SECONDS:
            found.append(VoiceSpan(start=start, stop=span.stop, voice=span.voice, sure=span.sure))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class VoiceDisguise:
    """Disguise of the voices in some stretches of a sound; all else passes as it is.

    What voices become is drawn when this is made, from the system's own source of chance, and is
    kept nowhere else.

    Attributes:
        spans: in time order, none overlapping.
        origin: time of the video's first frame on the clock of its sound, in seconds.
        likeness: compares voices, so that a mask can be chosen; None takes any.
    """

    spans: tuple[VoiceSpan, ...]
    origin: Fraction
    likeness: Likeness | None = None
    _random: np.random.Generator = field(default_factory=np.random.default_rng, repr=False)
    _masks: dict[str, VoiceMask] = field(default_factory=dict, repr=False)

    def __call__(
        self, pieces: Iterator[FloatSamples], start: Fraction, rate: int
    ) -> Iterator[FloatSamples]:
        """Pass a sound on, disguised.

        Args:
            pieces: (n, channels) float32 each.
            start: time of the first sample on the clock of the sound, in seconds.
            rate: samples a second.
        """
        held = _Held(pieces)
        for first, stop, span in self._parts(start, rate):
            yield from held.until(first)
            part = held.take(stop - first)
            if len(part):
                yield self._changed(part, span, rate)
        yield from held.until(None)

    def _parts(self, start: Fraction, rate: int) -> Iterator[tuple[int, int, VoiceSpan]]:
        """Cut the spans into pieces, in samples from `start`."""
        for span in self.spans:
            first = round((self.origin + Fraction(span.start) - start) * rate)
            stop = round((self.origin + Fraction(span.stop) - start) * rate)
            first = max(0, first)
            if stop <= first:
                continue
            count = max(1, -(-(stop - first) // round(PIECE_SECONDS * rate)))
            edges = [first + (stop - first) * i // count for i in range(count + 1)]
            for low, high in itertools.pairwise(edges):
                yield low, high, span

    def _changed(self, part: FloatSamples, span: VoiceSpan, rate: int) -> FloatSamples:
        levels = np.sqrt(np.mean(np.square(part, dtype=np.float64), axis=0))
        # Channels that cancel each other would leave nothing of their mean.
        loudest = int(levels.argmax())
        own = part[:, loudest]
        if span.voice not in self._masks:
            self._masks[span.voice] = mask_for(
                own, rate, random=self._random, likeness=self.likeness
            )
        voice = disguised(own, rate, self._masks[span.voice], random=self._random)
        shares = (levels / max(float(levels[loudest]), 1e-9)).astype(np.float32)
        # To silence and back: a cross-fade would let the true voice be heard.
        fade = max(1, min(round(FADE_SECONDS * rate), len(voice) // 2))
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        voice[:fade] *= ramp
        voice[-fade:] *= ramp[::-1]
        return np.asarray(np.clip(voice[:, None] * shares[None], -1, 1), np.float32)


class _Held:
    """Samples in order, some of which are waited for."""

    def __init__(self, pieces: Iterator[FloatSamples]) -> None:
        self._pieces = pieces
        self._held: list[FloatSamples] = []
        self._at = 0

    def _next(self) -> FloatSamples | None:
        return self._held.pop() if self._held else next(self._pieces, None)

    def until(self, stop: int | None) -> Iterator[FloatSamples]:
        """Pass on what comes before sample `stop`."""
        while stop is None or self._at < stop:
            piece = self._next()
            if piece is None:
                return
            if stop is not None and len(piece) > stop - self._at:
                self._held.append(piece[stop - self._at :])
                piece = piece[: stop - self._at]
            self._at += len(piece)
            yield piece

    def take(self, count: int) -> FloatSamples:
        """Take `count` samples, fewer at the end."""
        parts = list(self.until(self._at + count))
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def disguise_notices(spans: Sequence[VoiceSpan] | None, tracks: int) -> list[Notice]:
    """Tell what was disguised, and what was left out for it.

    Args:
        spans: what was disguised; None where nothing was to be.
        tracks: number of sound tracks of the video.
    """
    if spans is None:
        return []
    if not spans:
        return [Notice(code="voice_not_heard")]
    unsure = [span for span in spans if not span.sure]
    found = [
        Notice(
            code="voice_disguised",
            facts={"seconds": _seconds(spans), "stretches": len(spans)},
        )
    ]
    if unsure:
        found.append(
            Notice(
                code="voice_unsure",
                facts={
                    "seconds": _seconds(unsure),
                    "times": ", ".join(f"{span.start:.1f}" for span in unsure[:6]),
                },
            )
        )
    if tracks > 1:
        found.append(Notice(code="voice_other_tracks", facts={"tracks": tracks - 1}))
    return found


def _seconds(spans: Sequence[VoiceSpan]) -> float:
    return round(sum(span.stop - span.start for span in spans), 1)
