"""Visemes: the mouth that the new speech asks for, moment by moment.

Phones, with times from an alignment of the words when they are known and with probabilities when
they are not, become three curves (opening, rounding, closure) by a table of what the lips do for
each phone.  Smoothing stands for coarticulation; closures are laid over the smoothed curves, for
the lips of a "p" really meet however short it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facepick.notices import Notice
from facepick.speech.acoustic import (
    HOP_SECONDS,
    PHONES,
    band_levels,
    phone_scores,
)
from facepick.speech.align import (
    CLOSED,
    INDEX,
    SILENCE,
    VOICE_PASSES,
    Aligned,
    adapted,
    align,
    phone_posteriors,
    pronounce,
    shut_stops,
)
from facepick.speech.line import Speech, SpeechLine
from facepick.speech.timed_phones import given_phones, hold_closures

__all__ = ["Curves", "curves_of", "sampled"]

Array = npt.NDArray[np.float32]

# Per phone: opening in [0, 1] and width from -1 (rounded, protruded) to 1 (spread).  Compared with
# the measured mouths of three people who speak in their clips (1 200 frames): a regression on the
# phones comes back to these numbers, and openings follow the mouths at r = 0.63, 0.52 and 0.68.
_LIPS: dict[str, tuple[float, float]] = {
    "AA": (1.00, 0.1), "AE": (0.90, 0.4), "AH": (0.60, 0.0), "AO": (0.75, -0.5),
    "AW": (0.85, -0.2), "AY": (0.85, 0.3), "B": (0.00, 0.0), "CH": (0.30, -0.4),
    "D": (0.30, 0.1), "DH": (0.30, 0.1), "EH": (0.65, 0.3), "ER": (0.32, -0.3),
    "EY": (0.55, 0.5), "F": (0.10, 0.1), "G": (0.40, 0.1), "HH": (0.50, 0.0),
    "IH": (0.45, 0.3), "IY": (0.35, 0.7), "JH": (0.30, -0.4), "K": (0.40, 0.1),
    "L": (0.38, 0.1), "M": (0.00, 0.0), "N": (0.30, 0.1), "NG": (0.40, 0.1),
    "OW": (0.42, -0.7), "OY": (0.55, -0.5), "P": (0.00, 0.0), "R": (0.35, -0.5),
    "S": (0.20, 0.3), "SH": (0.25, -0.5), "T": (0.30, 0.2), "TH": (0.30, 0.1),
    "UH": (0.35, -0.5), "UW": (0.20, -0.9), "V": (0.10, 0.1), "W": (0.15, -0.9),
    "Y": (0.30, 0.4), "Z": (0.20, 0.3), "ZH": (0.25, -0.5),
}  # fmt: skip
REST = 0.05

OPENING = np.array([_LIPS.get(p, (REST, 0.0))[0] for p in PHONES], np.float32)
WIDTH = np.array([_LIPS.get(p, (REST, 0.0))[1] for p in PHONES], np.float32)
BILABIAL = [INDEX[p] for p in CLOSED]
LABIODENTAL = [INDEX[p] for p in ("F", "V")]

COARTICULATION_SECONDS = 0.045
CLOSURE_SECONDS = 0.022
"""Sigmas.  Those three mouths follow openings best from 45 to 60 ms.  Shorter ones make the lips
flutter: the second difference is 1.4 times the clip's own at 35 and 18 ms, 1.06 times at these."""
CLOSURE_GAIN = 1.6
FRAME_SECONDS = 0.04


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves that the speech asks of the lips, a column every 10 ms.

    Attributes:
        opening: (t,) float32 in [0, 1].
        width: (t,) float32 in [-1, 1].
        closure: (t,) float32 in [0, 1], how surely the lips meet.
        posteriors: (t, 42) float32, the phones they come from.
        known: (t,) bool, where the phones come from words or times given, not from the sound.
        route: what the phones of the lines come from: ``phones`` whose times were given,
            ``words`` that were aligned, ``sound``, or several of them: ``phones and sound``.
        pronunciation: where the phones of the words come from; empty without words.
        notices: on words that were not used.
    """

    opening: Array
    width: Array
    closure: Array
    posteriors: Array
    known: npt.NDArray[np.bool_]
    route: str
    pronunciation: str = ""
    notices: tuple[Notice, ...] = ()

    def __len__(self) -> int:
        return len(self.opening)


def smooth(values: Array, seconds: float, step: float = HOP_SECONDS) -> Array:
    """Smooth with a Gaussian of sigma `seconds` along the first axis, ends held."""
    sigma = seconds / step
    radius = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-3)) ** 2)
    kernel /= kernel.sum()
    flat = values.reshape(len(values), -1)
    padded = np.pad(flat, ((radius, radius), (0, 0)), mode="edge")
    out = np.stack(
        [np.convolve(padded[:, i], kernel, mode="valid") for i in range(flat.shape[1])], axis=1
    )
    return np.asarray(out.reshape(values.shape), dtype=np.float32)


def curves_of(speech: Speech, *, language: str) -> Curves:
    """Compute the curves of the new speech.

    A line whose words do not fit its sound (they are aligned no better than when said backwards)
    is treated as if its words were unknown.
    """
    samples = speech.samples
    scores = phone_scores(samples)
    posteriors = phone_posteriors(scores)
    route = ""
    routes: list[str] = []
    notices: list[Notice] = []
    known = np.zeros(len(scores), bool)
    for line in speech.lines:
        first, last = _columns(line, speech.lines, len(scores))
        own = shut_stops(scores.part(first, last))
        given = given_phones(line, own, language=language)
        if given is not None and given.known.any():
            posteriors[first:last][given.known] = given.posteriors[given.known]
            known[first:last] = given.known
            routes.append(given.route)
            route = given.pronunciation or route
            continue
        if not (line.text and line.text.strip()):
            continue
        said = pronounce(line.text or "", language=language)
        if said is None or last - first < 10:
            continue
        found = align(own, said.words)
        backwards = align(own, [word[::-1] for word in said.words[::-1]])
        if found is None or (backwards is not None and found.score < backwards.score + 0.1):
            notices.append(Notice(code="words_unlike_sound", start=line.start_seconds))
            continue
        trusted = _trusted(found, backwards, own.states, posteriors[first:last])
        if trusted.mean() < TOO_FEW:
            notices.append(Notice(code="words_unlike_sound", start=line.start_seconds))
            continue
        for _ in range(VOICE_PASSES):
            heard = found.posteriors(last - first) * trusted[:, None]
            found = align(adapted(own, heard), said.words) or found
        rows = found.posteriors(last - first)
        hold_closures(rows)
        posteriors[first:last][trusted] = rows[trusted]
        known[first:last] = trusted
        if trusted.mean() < 0.95:
            left = round(float((~trusted).sum() * HOP_SECONDS), 2)
            notices.append(
                Notice(code="words_too_few", start=line.start_seconds, facts={"seconds": left})
            )
        routes.append("words")
        route = said.route
    opening, width, closure = lips_of(posteriors, dips=stop_dips(samples), known=known)
    used: list[str] = [kind for kind in ("phones", "words") if kind in routes]
    if len(routes) < max(1, len(speech.lines)):
        used.append("sound")
    return Curves(
        opening=opening,
        width=width,
        closure=closure,
        posteriors=posteriors,
        known=known,
        route=" and ".join(used),
        pronunciation=route,
        notices=tuple(notices),
    )


LONGEST_PHONE = 60
"""Columns, 0.6 s.  The longest in slow oratory is 0.5 s; a longer one stands for words that are
missing from the text."""


FIT, FIT_RANGE, NULL_MARGIN, NEARLY_ALL, TOO_FEW = -3.0, 2.0, 0.5, 0.9, 0.35
"""Log likelihood below the best phone's: natural speech with its own words stays above -3 in 95
to 99 of 100 columns, with half of its words missing in 40 to 70.  Synthetic and foreign voices fit
the model worse by 1 to 3 throughout, so a column may be 2 below the best quarter; and one is
believed that fits better than the backwards words by the margin.  Above 90 of 100 columns the words
are taken to be complete, below 35 to be others.  Of 16 voices r is 0.94 with their words, 0.75 with
half of them, 0.82 without the middle third, 0.88 with five too many."""


def _misfit(found: Aligned, states: Array) -> Array:
    """Compare the aligned phone's best state with the best of any, (t,) float32, over 0.3 s."""
    columns = np.arange(len(states))
    phone = found.posteriors(len(states)).argmax(axis=1)
    best = states.reshape(len(states), -1).max(axis=1)
    return smooth(np.asarray(states[columns, phone].max(axis=1) - best, np.float32), 0.12)


def _trusted(
    found: Aligned, backwards: Aligned | None, states: Array, guessed: Array
) -> npt.NDArray[np.bool_]:
    """Tell where the alignment is believed, (t,): text may lack words, or have some too many."""
    fit = _misfit(found, states)
    trusted = fit > min(FIT, float(np.percentile(fit, 75)) - FIT_RANGE)
    if backwards is not None:
        null = _misfit(backwards, states)
        trusted = (trusted & (fit > null - NULL_MARGIN)) | (fit > null + NULL_MARGIN)
    if trusted.mean() > NEARLY_ALL:
        trusted[:] = True
    for phone, start, stop in zip(found.phones, found.start, found.stop, strict=True):
        if phone != SILENCE and stop - start > LONGEST_PHONE:
            trusted[start:stop] = False
        elif phone == SILENCE and stop - start > LONGEST_PHONE // 2:
            trusted[start:stop] = guessed[start:stop, SILENCE].mean() > 0.3
    return trusted


def _columns(line: SpeechLine, lines: Sequence[SpeechLine], count: int) -> tuple[int, int]:
    """Find the columns of a line: to its end if known, else to where the next line starts."""
    first = int(line.start_seconds / HOP_SECONDS)
    if line.duration_seconds is not None:
        last = first + int(line.duration_seconds / HOP_SECONDS)
    else:
        later = [x.start_seconds for x in lines if x.start_seconds > line.start_seconds]
        last = int(min(later) / HOP_SECONDS) if later else count
    return max(0, min(first, count)), max(0, min(last, count))


def lips_of(
    posteriors: Array, *, dips: Array | None = None, known: npt.NDArray[np.bool_] | None = None
) -> tuple[Array, Array, Array]:
    """Compute opening, width and closure (t,) for phone posteriors (t, 42).

    Args:
        dips: what `stop_dips` found, where phones are guessed from the sound.
        known: (t,) True where they are not guessed but come from words; nowhere by default.
    """
    opening = smooth(posteriors @ OPENING, COARTICULATION_SECONDS)
    width = smooth(posteriors @ WIDTH, COARTICULATION_SECONDS * 1.3)
    closure = posteriors[:, BILABIAL].sum(axis=1)
    if dips is not None:
        heard, lively = _heard_closure(posteriors, dips), _enlivened(opening, posteriors)
        closure = heard if known is None else np.where(known, closure, heard)
        opening = lively if known is None else np.where(known, opening, lively)
    teeth = posteriors[:, LABIODENTAL].sum(axis=1)
    # 50 ms, a short "p", come to 0.75 after smoothing; the gain makes them whole.
    closure = np.minimum(1.0, CLOSURE_GAIN * smooth(closure, CLOSURE_SECONDS))
    closure = np.maximum(closure, 0.6 * smooth(teeth, CLOSURE_SECONDS))
    return opening * (1.0 - closure), width, closure


LIVELY_SECONDS, LIVELY, LIVELY_MOST = 0.35, 0.12, 3.0
"""Deviation of openings around their mean over about 0.8 s, and by how much it may be stretched.
Phones whose times are known leave 0.14 to 0.18 there, and less than 0.09 in one stretch of ten."""


def _enlivened(opening: Array, posteriors: Array) -> Array:
    """Stretch openings (t,) around their local mean where they hardly move though somebody speaks.

    What the sound leaves open, likelihoods average: a phone that is half "n" and half "iy" stays
    half open, as does the next.  Which of the two opens further is still known.
    """
    middle = smooth(opening, LIVELY_SECONDS)
    apart = opening - middle
    usual = np.sqrt(smooth(apart**2, LIVELY_SECONDS))
    stretch = np.clip(LIVELY / np.maximum(usual, 1e-3), 1.0, LIVELY_MOST)
    spoken = 1.0 - smooth(posteriors[:, SILENCE], 0.1)
    lively = middle + apart * (1.0 + (stretch - 1.0) * spoken)
    return np.asarray(np.clip(lively, np.minimum(opening, REST), 1.0), np.float32)


# A logistic regression with true closures as its target: rows are 50 ms before, now and 50 ms
# after; columns the log odds of "p b m" and the dip (both tell a closure, the former by its
# contrast with what is around), and the log odds of sounds that a weak "b" is mistaken for.
# Fitted on 53 utterances of 17 voices in 9 languages, of speech synthesisers that tell when they
# say which phone, and on two recordings; each kind of voice counts the same.  On voices held out
# F1 is 0.72 at one third, where a rule of thumb that adds dips to phones came to 0.66.
_CLOSURE_ODDS = np.array(
    [[-0.95, 0.30, -0.03], [2.48, 0.35, 0.25], [-0.58, 0.26, 0.13]], np.float32
)
_CLOSURE_BIAS = np.float32(-0.12)
_ASIDE = 5
"""Columns, 50 ms."""
_WEAK_LABIAL = [INDEX[p] for p in ("W", "UW", "L", "V")]
DOUBTFUL, SURE = 0.1, 0.5
"""Probabilities between which the lips go from apart to shut: half-shut lips are wrong whatever
was said.  At one half two of three are right."""


def _heard_closure(posteriors: Array, dips: Array) -> Array:
    """Estimate how surely the lips meet, as far as it can be heard, (t,) float32 in [0, 1]."""

    def log_odds(mass: Array) -> Array:
        return np.asarray(np.log((mass + 0.02) / (1.02 - mass)), np.float32)

    labial = log_odds(smooth(posteriors[:, BILABIAL].sum(axis=1), 0.03))
    weak = log_odds(smooth(posteriors[:, _WEAK_LABIAL].sum(axis=1), 0.02))
    cues = np.stack([labial, 2 * dips, weak], axis=1)
    held = np.pad(cues, ((_ASIDE, _ASIDE), (0, 0)), mode="edge")
    total = np.full(len(cues), _CLOSURE_BIAS, np.float32)
    for step, weights in enumerate(_CLOSURE_ODDS):
        total += held[step * _ASIDE : step * _ASIDE + len(cues)] @ weights
    sure = (1.0 / (1.0 + np.exp(-total)) - DOUBTFUL) / (SURE - DOUBTFUL)
    return np.asarray(np.clip(sure, 0.0, 1.0), np.float32)


def stop_dips(samples: Array) -> Array:
    """Estimate how surely the sound is shut off between two louder moments, (t,) float32 in [0, 1].

    The level of the bands from 1.9 to 6.8 kHz is compared with its peaks within 100 ms before
    and after; in a stop or a nasal it falls by 15 dB and more.
    """
    level = band_levels(samples)[:, 13:].mean(axis=1)
    reach, n = 10, len(level)
    padded = np.pad(level, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach)
    before, after = windows[:n].max(axis=1), windows[reach + 1 : reach + 1 + n].max(axis=1)
    depth = np.minimum(before, after) - level
    return np.asarray(1.0 / (1.0 + np.exp(-(depth - 16.0) / 2.0)), dtype=np.float32)


def sampled(curve: Array, seconds: npt.NDArray[np.float64], *, low: bool = False) -> Array:
    """Sample a curve at moments in time, averaged over the frame that each of them shows.

    Args:
        low: take the smallest value in the frame instead, so that a short closure is not lost.
    """
    offsets = np.linspace(-0.4, 0.4, 5) * FRAME_SECONDS
    columns = (seconds[:, None] + offsets) / HOP_SECONDS
    values = np.interp(columns, np.arange(len(curve)), curve)
    return np.asarray(values.min(axis=1) if low else values.mean(axis=1), dtype=np.float32)
