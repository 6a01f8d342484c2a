"""Speakers of a video: who speaks when, and whose face it is, by what is seen and heard together.

Three measures, none of which is enough alone: how much a face looks as if it spoke
(`facepick.speech.active_speaker`), how well its mouth follows the sounds that are heard, and whose
voice it is.  Speech is cut into pieces of one voice and one shot.  In each, the faces of the
moment are compared; over the whole video a voice belongs to the face with which it goes together
most.  Both are estimated together by expectation maximisation (Dempster, Laird and Rubin, 1977): a
piece belongs to a person as its voice does, times what is seen; a voice belongs to whom its pieces
do.

A face that talks is no proof that it says what is heard: a narrator speaks over talking heads.  A
person is `sure` for a voice only if the mouth follows it far beyond chance, or if other faces were
there to be compared with and it looks more as if it spoke than it does to other voices.  Nobody has
two voices: of those that sound unlike, one at most is a person's.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facepick.people.person import Scan
from facepick.speech.face_watch import RATE, Watched, WatchedFace
from facepick.speech.mouth_proof import LAG_MOMENTS, proof, steadied
from facepick.speech.script import PersonSpan

__all__ = [
    "Candidate", "Measures", "Speakers", "State", "Turn", "Voice", "measures_of",
    "moments_of", "who_speaks",
]  # fmt: skip

Array = npt.NDArray[np.float32]
Array64 = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

State = Literal["sure", "unsure", "off_screen", "silent"]

SMOOTH_MOMENTS = 11
WINDOW_SECONDS = 4
"""Over which mouth and sound are compared."""
PIECE_SECONDS, SHORTEST_SECONDS = 1.0, 0.3

LOOK_WEIGHT, FOLLOW_WEIGHT = 0.5, 3.0
"""Log likelihood a second: per unit of `ActiveSpeaker.listen`, per unit of correlation."""
LOOK_LIMIT = 5.0
HIDDEN_LOOK, HIDDEN_FOLLOW = -1.5, 0.0
"""What a face must be better than for a voice to be that of somebody who is not seen."""
NOBODY = 0.15
"""How likely a voice is that of nobody whom the scan knows, to begin with."""
FLOOR = 0.02
"""A voice that was told apart wrongly may be anybody's."""
CHANGE = 1.5
"""Log likelihood that a change of the speaker costs, but where the voice changes."""
ROUNDS = 12
PROVEN = 2.5
"""Deviations from chance.  Own voices came to 2.9 to 7.2, foreign ones over talking mouths to 1.7
at most; in clips that nothing was chosen by, one of those came to 2.9, and own ones to 0.4."""
PROOF_WEIGHT, PROOF_LIMITS, CHANCE = 0.5, (-1.0, 5.0), 1.0
"""Log likelihood a deviation that a voice is a person's; what counts; what is usual by chance."""
UNPROVEN = 0.6
"""Most that is given for a person whose mouth and voice were not shown to go together."""
COMPARED = 4.0
"""Log likelihood by which a second person must be ahead in a voice for it to be of both."""
UNPLACED_MOMENTS = 4
"""Before and after a change of speaker without a pause either may be heard: it is placed to about
as much."""
LISTENED = 4.0
"""Seconds for which a face is thought to be still before it is seen how it listens."""
AHEAD = 2.0
"""Log likelihood by which a person must be ahead of the other faces of the moment, over all that a
voice says: a second of a clear difference, beyond how the face looks to other voices."""
ALIKE = 0.55
"""Cosine from which two voices may be one person's, see `facepick.speech.known_voices`."""
OTHER_VOICE = 4.0
"""Log likelihood that a voice is not of somebody who has another one."""
FAMILIAR = 1.5
"""Log likelihood from which what other videos say of a voice is proof."""
MIXED = 0.25
"""Share of the first person's evidence that a second one must have for a voice to be of both."""
ALONE = 3.0
"""Log likelihood by which a person must be ahead in one piece of such a voice to be sure."""
SURE = 0.85
SHUT = -2.5
"""Look of a mouth that does not speak, whosever voice is heard."""
UNCLEAR_SECONDS = 0.5
PART = 0.3
"""A line is parted where a second speaker has this share of it, and half a second."""
PART_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Somebody who may speak.

    Attributes:
        person: id.
        score: how likely it is, in [0, 1].
    """

    person: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A stretch of speech of one speaker, or a line.

    Attributes:
        id: ``L1``, ``L2``, ...; parts of a line ``L2.1``, ``L2.2``.
        start, end: seconds from the first frame.
        person: who it is; the best guess where it is unsure, None where nobody can be said.
        voice: id of the voice that is heard, or None.
        state: ``sure``, ``unsure``, ``off_screen`` or ``silent``.
        score: how likely it is this person, or nobody who is seen, in [0, 1].
        candidates: likeliest first.
        text: the words of the line, or None.
        corrected: whether the user said so.
    """

    id: str
    start: float
    end: float
    person: str | None
    voice: str | None
    state: State
    score: float
    candidates: tuple[Candidate, ...] = ()
    text: str | None = None
    corrected: bool = False

    @property
    def drawn(self) -> str | None:
        """Person who is to be changed for it: a person who is seen, and sure."""
        return self.person if self.state == "sure" else None

    def to_json(self) -> dict[str, Any]:
        """Write down as a part of `facepick-speech/1`."""
        return {
            "id": self.id,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "person": self.person,
            "voice": self.voice,
            "state": self.state,
            "score": round(self.score, 3),
            "candidates": [
                {"person": c.person, "score": round(c.score, 3)} for c in self.candidates
            ],
            "text": self.text,
            "corrected": self.corrected,
        }


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One voice of the video.

    Attributes:
        id: ``V1``, ``V2``, ... by how long they are heard.
        person: whose it is, or None.
        seconds: how long it is heard.
        name: whose of the cast, where that is known by the voice.
        number: of the labels.
    """

    id: str
    person: str | None
    seconds: float
    name: str | None = None
    number: int = -1


@dataclass(frozen=True, kw_only=True)
class Speakers:
    """Turns of all speakers.

    Attributes:
        voices: longest first.
        turns: in order of time.
        rough: whether the voices of several people were told apart without the network for it.
    """

    FORMAT = "facepick-speech/1"

    voices: tuple[Voice, ...]
    turns: tuple[Turn, ...]
    rough: bool = False

    def number_of(self, voice: str) -> int:
        """Give the number that the labels have for a voice."""
        return next(v.number for v in self.voices if v.id == voice)

    def to_json(self, video: Mapping[str, Any]) -> dict[str, Any]:
        """Write down as `facepick-speech/1`."""
        return {
            "format": self.FORMAT,
            "video": dict(video),
            "voices": [
                {"id": v.id, "person": v.person, "name": v.name, "seconds": round(v.seconds, 2)}
                for v in self.voices
            ],
            "turns": [turn.to_json() for turn in self.turns],
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Measures:
    """Measurements of each person at each moment, (people, moments) float64, NaN where nothing.

    Attributes:
        people: ids.
        look: how much the face looks as if it spoke, smoothed.
        follow: correlation of the mouth with what is heard.
        mouth: how far the lips are apart, `steadied`.
        present: whether the person is in the picture.
    """

    people: tuple[str, ...]
    look: Array64
    follow: Array64
    mouth: Array64
    present: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Pieces of speech.

    Attributes:
        start, stop: half-open moments.
        voice: of each.
        joined: whether it goes on from the one before.
    """

    start: Numbers
    stop: Numbers
    voice: Numbers
    joined: npt.NDArray[np.bool_]

    @property
    def seconds(self) -> Array64:
        return (self.stop - self.start) / RATE


@dataclass(frozen=True, eq=False, kw_only=True)
class _Found:
    """What speaks for whom.

    Attributes:
        likely: (n, people + 1), log likelihood of each piece; last of who is not seen.
        beyond: the same, but each face held against how it looks while other voices are heard.
        proofs: of each voice, (people,), see `proof`.
        familiar: of each voice, (people + 1,), what other videos say of it.
        alike: of each two voices, whether they may be one person's; empty where that is unknown.
    """

    likely: Array64
    beyond: Array64
    proofs: Mapping[int, Array64]
    familiar: Mapping[int, Array64]
    alike: Mapping[tuple[int, int], bool]


def measures_of(scan: Scan, watched: Watched) -> Measures:
    """Gather what is seen of each person."""
    people = tuple(p.id for p in scan.people if not p.ignored and p.group is None)
    owner = {t: p.id for p in scan.people for t in p.track_ids}
    shape = (len(people), watched.moments)
    look, follow, lips = (np.full(shape, np.nan) for _ in range(3))
    present = np.zeros(shape, bool)
    times = (scan.pts - scan.pts[0]).astype(np.float64) * float(scan.video.time_base)
    at = np.searchsorted(times, np.arange(watched.moments) / RATE + 1e-6, side="right") - 1
    for track in scan.tracks:
        if owner.get(track.id) in people:
            there = np.zeros(scan.frames, bool)
            there[track.frames] = True
            present[people.index(owner[track.id])] |= there[at]
    for face in watched.faces:
        if owner.get(face.track) in people:
            row, part = people.index(owner[face.track]), slice(face.start, face.stop)
            look[row, part] = _mean(face.score, SMOOTH_MOMENTS)
            mouth = _mouth(face)
            if mouth is not None:
                follow[row, part] = _following(face, mouth, watched.heard)
                lips[row, part] = np.where(np.isfinite(face.opening), steadied(mouth), np.nan)
    return Measures(people=people, look=look, follow=follow, mouth=lips, present=present)


def _mouth(face: WatchedFace) -> Array64 | None:
    """Fill the gaps of a mouth's opening; None where it is hardly known."""
    known = np.isfinite(face.opening)
    if known.sum() < RATE // 2:
        return None
    at = np.arange(len(known))
    return np.interp(at, np.flatnonzero(known), face.opening[known].astype(np.float64))


def _mean(values: npt.NDArray[np.floating], width: int) -> Array64:
    """Mean over `width` values around each; at the ends over those that are there."""
    width = min(width, len(values))
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    first = np.maximum(np.arange(len(values)) - width // 2, 0)
    last = np.minimum(np.arange(len(values)) + width - width // 2, len(values))
    return np.asarray((total[last] - total[first]) / (last - first))


def _following(face: WatchedFace, mouth: Array64, heard: Array) -> Array64:
    """Correlation of a mouth with what is heard, over windows, at the best of a few lags."""
    known = np.isfinite(face.opening)
    width = WINDOW_SECONDS * RATE
    mean = _mean(mouth, width)
    spread = np.maximum(_mean(mouth * mouth, width) - mean**2, 1e-6)
    best = np.full(len(mouth), -1.0)
    for lag in range(-LAG_MOMENTS, LAG_MOMENTS + 1):
        at = np.clip(np.arange(face.start, face.stop) + lag, 0, len(heard) - 1)
        sound = heard[at].astype(np.float64)
        level = _mean(sound, width)
        varied = np.maximum(_mean(sound * sound, width) - level**2, 1e-6)
        both = _mean(mouth * sound, width) - mean * level
        best = np.maximum(best, both / np.sqrt(spread * varied))
    return np.where(_mean(known, width) > 0.5, best, np.nan)


_Span = tuple[str, int, int, str | None]
"""Id, first moment, the one after the last, and what is said there."""


def who_speaks(
    scan: Scan,
    watched: Watched,
    voices: Numbers,
    *,
    lines: Sequence[PersonSpan] | None = None,
    use: tuple[bool, bool, bool] = (True, True, True),
    prints: Array | None = None,
    likeness: Mapping[int, Mapping[str, float]] | None = None,
    names: Mapping[int, str] | None = None,
) -> Speakers:
    """Decide who speaks when.

    Args:
        watched: what was observed.
        voices: (moments,) int, the voice heard at each moment, -1 where that is unknown.
        lines: whose speakers are asked for; None for one turn a stretch of speech.
        use: whether looks, the following of sounds, and voices count; for measurements.
        prints: (voices, d) float32 of length 1, how each voice sounds; None or empty where that is
            unknown.
        likeness: what is known of each voice from other videos: log likelihood by person, and
            under "" of those who are not seen here.
        names: whose of the cast a voice is, by its number.
    """
    measures = measures_of(scan, watched)
    cuts = _cuts(scan, watched.moments)
    pieces = _pieces(watched, voices if use[2] else np.zeros_like(voices), cuts)
    alike = _alike(prints, pieces)
    found = _Found(
        likely=_evidence(measures, pieces, {}, look=use[0], follow=use[1]),
        beyond=_evidence(measures, pieces, alike, look=use[0], follow=use[1]),
        proofs=_proofs(measures, watched.heard, pieces, follow=use[1]),
        familiar=_familiar(likeness or {}, pieces, measures.people),
        alike=alike,
    )
    mixed = _mixed(found.likely, pieces)
    owners = _owners(found, pieces, mixed)
    posterior = _posterior(found.likely, pieces, owners)
    proven, by_piece = _trust(measures, pieces, found, mixed, posterior)
    by_piece &= ~_unclear(pieces, cuts)[:, None]
    if use[0]:
        by_piece &= ~_shut(measures, pieces)
    if not use[1]:
        by_piece[:] = True
    path, posterior = _smoothed(posterior, pieces, mixed)
    moments = np.zeros((watched.moments, found.likely.shape[1]))
    trusted = np.zeros((watched.moments, len(measures.people)), bool)
    for k, (a, b) in enumerate(zip(pieces.start, pieces.stop, strict=True)):
        moments[a:b], trusted[a:b] = posterior[k], by_piece[k]
    changes = _changes(path, pieces, cuts)
    known = np.asarray(trusted.any(axis=1))
    for change in changes:
        trusted[max(0, change - UNPLACED_MOMENTS) : change + UNPLACED_MOMENTS] = False
    ids, table = _named_voices(pieces, owners, proven, measures.people, names or {})
    spans: list[_Span]
    if lines is None:
        runs = _parted(_runs(pieces, path, by_piece, measures), changes, known)
        spans = [(f"L{i}", a, b, None) for i, (a, b) in enumerate(runs, 1)]
    else:
        spans = _line_parts(lines, moments, watched.moments)
    turns = [
        _told(span, moments, trusted, measures, ids.get(_main_voice(pieces, *span[1:3])))
        for span in spans
    ]
    if lines is not None:
        # As they stand in the list; moments are 40 ms.
        whole = {f"L{i}": line for i, line in enumerate(lines, 1)}
        turns = [_exact(turn, whole.get(turn.id)) for turn in turns]
    rough = (prints is None or not len(prints)) and len(measures.people) > 1 and bool(table)
    return Speakers(voices=table, turns=tuple(turns), rough=rough)


def _told(
    span: _Span,
    moments: Array64,
    trusted: npt.NDArray[np.bool_],
    measures: Measures,
    voice: str | None,
) -> Turn:
    """Say whose a span is, from what is known of its moments, both (moments, ...)."""
    key, start, stop, text = span
    heard = moments[start:stop].sum(axis=1) > 0.5
    shares = moments[start:stop][heard].mean(axis=0) if heard.any() else None
    turn = _turn(key, start, stop, text, shares, voice, measures)
    return _doubted(turn, trusted[start:stop][heard], measures.people)


def _trust(
    measures: Measures,
    pieces: _Pieces,
    found: _Found,
    mixed: Collection[int],
    posterior: Array64,
) -> tuple[dict[int, npt.NDArray[np.bool_]], npt.NDArray[np.bool_]]:
    """Tell whom each voice, (people,) by voice, and each piece, (n, people), is shown to be of."""
    lost = _lost(_claims(found.likely, posterior, pieces, found.proofs), found.alike)
    # Some talk all the time, and are heard now and then: more must speak for this voice than for
    # another one, whoever else was there.
    rivals = _lost(_claims(found.likely, None, pieces, found.proofs), found.alike)
    own = {v: (lost[v] == 0) & (rivals[v] == 0) for v in found.proofs}
    proven = _proven(measures, pieces, found)
    for v in proven:
        proven[v] = (proven[v] & own[v]) | (found.familiar[v][:-1] > FAMILIAR)
    by_piece = np.array([proven[int(v)] for v in pieces.voice], bool)
    by_piece = by_piece.reshape(-1, len(measures.people))
    for v in mixed:
        rows = pieces.voice == v
        by_piece[rows] = _far_ahead(found.beyond[rows]) & own[v]
    return proven, by_piece


def _changes(path: Numbers, pieces: _Pieces, cuts: Numbers) -> Numbers:
    """Moments at which the speaker changes without a pause or a cut."""
    other = np.diff(path, prepend=-1) != 0
    return np.asarray(pieces.start[other & pieces.joined & ~np.isin(pieces.start, cuts)])


def _doubted(turn: Turn, trusted: npt.NDArray[np.bool_], people: Sequence[str]) -> Turn:
    """Take back what a turn says of a person to whom its voice was not shown to belong."""
    if turn.person is None or trusted[:, people.index(turn.person)].mean() > 0.5:
        return turn
    if turn.state == "sure":
        return replace(turn, state="unsure", score=min(turn.score, UNPROVEN))
    return replace(turn, person=None) if turn.state == "off_screen" else turn


def _exact(turn: Turn, line: PersonSpan | None) -> Turn:
    return turn if line is None else replace(turn, start=line.start, end=line.end)


def _cuts(scan: Scan, moments: int) -> Numbers:
    """Moments at which a shot begins."""
    times = (scan.pts - scan.pts[0]).astype(np.float64) * float(scan.video.time_base)
    starts = [times[s.start] for s in scan.shots if s.start < scan.frames]
    return np.unique(np.clip(np.ceil(np.array(starts) * RATE - 1e-6), 0, moments)).astype(np.int64)


def _pieces(watched: Watched, voices: Numbers, cuts: Numbers) -> _Pieces:
    """Speech in pieces of one voice and one shot, of about a second."""
    rows: list[tuple[int, int, int, bool]] = []
    for part in watched.speech:
        first, last = round(part.start * RATE), min(watched.moments, round(part.stop * RATE))
        if last <= first:
            continue
        own = _filled(voices[first:last])
        inner = np.flatnonzero(np.diff(own)) + first + 1
        edges = np.unique([first, last, *inner, *cuts[(cuts > first) & (cuts < last)]])
        for a, b in itertools.pairwise(edges):
            count = max(1, round((b - a) / (PIECE_SECONDS * RATE)))
            steps = np.linspace(a, b, count + 1).round().astype(int)
            for c, d in itertools.pairwise(steps):
                rows.append((int(c), int(d), int(own[c - first]), int(c) != first))
    plain = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3)
    joined = np.array([row[3] for row in rows], bool)
    return _Pieces(plain[:, 0], plain[:, 1], plain[:, 2], joined)


def _filled(voices: Numbers) -> Numbers:
    """Voices with the unknown ones as the nearest known; very short ones are not believed."""
    known = np.flatnonzero(voices >= 0)
    if not len(known):
        return np.full(len(voices), -1)
    at = np.arange(len(voices))
    nearest = known[np.clip(np.searchsorted(known, at), 0, len(known) - 1)]
    before = known[np.clip(np.searchsorted(known, at, side="right") - 1, 0, len(known) - 1)]
    out = voices[np.where(np.abs(before - at) <= np.abs(nearest - at), before, nearest)]
    edges = np.flatnonzero(np.diff(out)) + 1
    for run in np.split(at, edges):
        if len(run) < SHORTEST_SECONDS * RATE and run[0] > 0:
            out[run] = out[run[0] - 1]
    return np.asarray(out)


def _evidence(
    measures: Measures,
    pieces: _Pieces,
    alike: Mapping[tuple[int, int], bool],
    *,
    look: bool,
    follow: bool,
) -> Array64:
    """Log likelihood of each piece for each person, and for somebody unknown, (n, people + 1).

    Against what is heard of somebody who is not seen, which is 0.

    Args:
        alike: voices that may be one person's; where given, faces are held against how they look
            while other voices are heard.
    """
    out = np.zeros((len(pieces.start), len(measures.people) + 1))
    weight = np.sqrt(pieces.seconds)[:, None]
    if look:
        looks = np.clip(_by_piece(measures.look, measures, pieces), -LOOK_LIMIT, LOOK_LIMIT)
        least = _listening(looks, pieces, alike)
        out[:, :-1] += np.nan_to_num(LOOK_WEIGHT * (looks - least) * weight)
    if follow:
        follows = _by_piece(measures.follow, measures, pieces)
        out[:, :-1] += np.nan_to_num(FOLLOW_WEIGHT * (follows - HIDDEN_FOLLOW) * weight)
    return out


def _listening(looks: Array64, pieces: _Pieces, alike: Mapping[tuple[int, int], bool]) -> Array64:
    """Give what each face must look better than in each piece, (n, people).

    Most faces are still while somebody else is heard; some talk on without being heard, and look
    as if they spoke whoever does.
    """
    out = np.full(looks.shape, HIDDEN_LOOK)
    seconds = np.where(np.isfinite(looks), pieces.seconds[:, None], 0)
    weighted = np.nan_to_num(looks) * seconds
    for v in (int(v) for v in np.unique(pieces.voice)) if alike else ():
        own = np.array([v == w or alike.get((v, int(w)), True) for w in pieces.voice])
        total, time = weighted[~own].sum(axis=0), seconds[~own].sum(axis=0)
        mean = (total + LISTENED * HIDDEN_LOOK) / (time + LISTENED)
        out[pieces.voice == v] = np.maximum(mean, HIDDEN_LOOK)
    return out


def _by_piece(values: Array64, measures: Measures, pieces: _Pieces) -> Array64:
    """Give the mean of a measure over each piece, (n, people), NaN where somebody is not seen."""
    out = np.full((len(pieces.start), len(values)), np.nan)
    for k, (a, b) in enumerate(zip(pieces.start, pieces.stop, strict=True)):
        known = np.isfinite(values[:, a:b])
        there = (measures.present[:, a:b].mean(axis=1) > 0.5) & known.any(axis=1)
        total = np.where(known, values[:, a:b], 0).sum(axis=1)
        out[k] = np.where(there, total / np.maximum(known.sum(axis=1), 1), np.nan)
    return out


def _mixed(likely: Array64, pieces: _Pieces) -> set[int]:
    """Find voices that are those of several people, told by their faces: they sound too alike.

    In each piece one face is ahead of the next, and of somebody who is not seen.  Where a second
    person is ahead by enough in all, and by a good share of what the first one is, the label says
    nothing of who speaks.
    """
    found = set()
    order = np.sort(likely, axis=1)
    ahead = order[:, -1] - order[:, -2] if likely.shape[1] > 1 else np.zeros(len(likely))
    best = likely.argmax(axis=1)
    for v in (int(v) for v in np.unique(pieces.voice)):
        own = pieces.voice == v
        totals = np.sort([ahead[own & (best == p)].sum() for p in range(likely.shape[1] - 1)])
        if len(totals) > 1 and totals[-2] > max(COMPARED, MIXED * totals[-1]):
            found.add(v)
    return found


def _familiar(
    likeness: Mapping[int, Mapping[str, float]], pieces: _Pieces, people: Sequence[str]
) -> dict[int, Array64]:
    """Gather what other videos say of each voice, (people + 1,); last of who is not seen."""
    return {
        int(v): np.array([likeness.get(int(v), {}).get(key, 0.0) for key in (*people, "")])
        for v in np.unique(pieces.voice)
    }


def _far_ahead(likely: Array64) -> npt.NDArray[np.bool_]:
    """Tell of each piece for whom it is proof enough by itself, (n, people)."""
    order = np.sort(likely, axis=1)
    clear = order[:, -1:] - order[:, -2:-1] > ALONE
    return np.asarray(clear & (likely == order[:, -1:]))[:, :-1]


def _owners(found: _Found, pieces: _Pieces, mixed: Collection[int]) -> dict[int, Array64]:
    """Whose each voice is, as shares of (people + 1); of what is mixed, anybody's."""
    states = found.likely.shape[1]
    start = np.full(states, (1 - NOBODY) / max(1, states - 1))
    start[-1] = NOBODY if states > 1 else 1.0
    owners = {int(v): start.copy() for v in np.unique(pieces.voice)}
    for _ in range(ROUNDS):
        posterior = _posterior(found.likely, pieces, owners)
        lost = _lost(_claims(found.likely, posterior, pieces, found.proofs), found.alike)
        for v in owners:
            rows = pieces.voice == v
            if v in mixed:
                total = start.copy()
            else:
                # Two seconds of doubt, so that a voice of one word is nobody's yet.
                seconds = pieces.seconds[rows, None]
                total = (posterior[rows] * seconds).sum(axis=0) + 2.0 * start
                proofs = np.clip(found.proofs[v], *PROOF_LIMITS)
                total *= np.exp(PROOF_WEIGHT * np.append(proofs, CHANCE) + found.familiar[v])
            total[:-1] *= np.exp(lost[v])
            owners[v] = total / total.sum()
            if v not in mixed:
                owners[v] = np.maximum(owners[v], FLOOR)
                owners[v] /= owners[v].sum()
    return owners


def _alike(prints: Array | None, pieces: _Pieces) -> dict[tuple[int, int], bool]:
    """Tell of each two voices whether they may be one person's; empty where that is unknown."""
    if prints is None or not len(prints):
        return {}
    heard = [int(v) for v in np.unique(pieces.voice) if 0 <= v < len(prints)]
    return {(a, b): bool(prints[a] @ prints[b] > ALIKE) for a in heard for b in heard if a != b}


def _claims(
    likely: Array64, posterior: Array64 | None, pieces: _Pieces, proofs: Mapping[int, Array64]
) -> dict[int, Array64]:
    """Sum up what speaks for it that each voice is each person's, log likelihood, (people,).

    Args:
        posterior: who speaks in each piece, to count only what is the person's; None to count all.
    """
    own = likely[:, :-1]
    if posterior is not None:
        own = posterior[:, :-1] * np.maximum(own, 0)
    return {
        v: own[pieces.voice == v].sum(axis=0) + PROOF_WEIGHT * np.clip(values, *PROOF_LIMITS)
        for v, values in proofs.items()
    }


def _lost(
    claims: Mapping[int, Array64], alike: Mapping[tuple[int, int], bool]
) -> dict[int, Array64]:
    """Give what each voice loses for each person who has another one that is more theirs.

    Nobody has two voices.

    Returns:
        Log likelihood by voice, (people,), 0 or less.
    """
    lost = {v: np.zeros_like(claim) for v, claim in claims.items()}
    for a, b in alike:
        if not alike[a, b]:
            lost[a] = np.where(claims[a] < claims[b], -OTHER_VOICE, lost[a])
    return lost


def _proofs(
    measures: Measures, heard: Array, pieces: _Pieces, *, follow: bool
) -> dict[int, Array64]:
    """Tell how far each mouth goes together with each voice, (people,); `CHANCE` if unknown."""
    sound = steadied(heard)
    found = {}
    for voice in (int(v) for v in np.unique(pieces.voice)):
        spoken = np.zeros(len(heard), bool)
        own = pieces.voice == voice
        for a, b in zip(pieces.start[own], pieces.stop[own], strict=True):
            spoken[a:b] = True
        values = [proof(mouth, sound, spoken) if follow else None for mouth in measures.mouth]
        found[voice] = np.array([CHANCE if v is None else v for v in values])
    return found


def _proven(measures: Measures, pieces: _Pieces, found: _Found) -> dict[int, npt.NDArray[np.bool_]]:
    """Tell of each voice for which people it is shown that they speak with it, (people,)."""
    spans = list(zip(pieces.start, pieces.stop, strict=True))
    there = np.array([measures.present[:, a:b].mean(axis=1) > 0.5 for a, b in spans])
    there = there.reshape(-1, len(measures.people))
    proven = {}
    for voice, values in found.proofs.items():
        shown = values > PROVEN
        for p in range(len(shown)):
            beside = (pieces.voice == voice) & there[:, p] & (there.sum(axis=1) > 1)
            others = np.where(there, found.likely[:, :-1], -np.inf)
            others[:, p] = -np.inf
            # Ahead of somebody who is not seen, too.
            next_best = np.maximum(others[beside].max(axis=1, initial=-np.inf), 0)
            shown[p] |= (found.beyond[beside, p] - next_best).sum() > AHEAD
        proven[voice] = shown
    return proven


def _shut(measures: Measures, pieces: _Pieces) -> npt.NDArray[np.bool_]:
    """Tell whose mouths are seen not to speak in each piece, (n, people)."""
    looks = _by_piece(measures.look, measures, pieces)
    return np.asarray(looks < SHUT)


def _unclear(pieces: _Pieces, cuts: Numbers) -> npt.NDArray[np.bool_]:
    """Tell of which pieces the voice is a guess, (n,).

    Voices are told by windows of more than a second.  In what lies for less than half a second
    between a cut and a change of voice, or a pause, either voice may be the one that is heard.
    """
    follows = np.concatenate([pieces.joined[1:], [False]])
    other = np.concatenate([[True], pieces.voice[1:] != pieces.voice[:-1]])
    begins = ~pieces.joined | other
    ends = ~follows | np.concatenate([other[1:], [True]])
    cut_before, cut_after = np.isin(pieces.start, cuts), np.isin(pieces.stop, cuts)
    short = pieces.stop - pieces.start < UNCLEAR_SECONDS * RATE
    return np.asarray(short & ((cut_before & ends) | (begins & cut_after)))


def _posterior(likely: Array64, pieces: _Pieces, owners: Mapping[int, Array64]) -> Array64:
    if not len(likely):
        return likely
    prior = np.stack([owners[int(v)] for v in pieces.voice])
    log = np.log(prior) + likely
    shares = np.exp(log - log.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _smoothed(
    posterior: Array64, pieces: _Pieces, mixed: Collection[int]
) -> tuple[Numbers, Array64]:
    """Forward-backward over joined pieces, in which a change of speaker costs.

    In a voice that is of several people it does not: nobody knows where they take turns.

    Returns:
        (n,) the likeliest state of each piece, and (n, states) how likely each is.
    """
    n, states = posterior.shape
    if not n:
        return np.zeros(0, np.int64), posterior
    stay = np.exp(-CHANGE)
    forward, backward = posterior.copy(), np.ones_like(posterior)

    def moved(row: Array64, k: int) -> Array64:
        """Through the border before piece k."""
        same = pieces.voice[k] == pieces.voice[k - 1]
        if not pieces.joined[k] or not same or int(pieces.voice[k]) in mixed:
            return np.full(states, row.sum() / states)
        return np.asarray(row * (1 - stay) + stay * row.sum() / states)

    for k in range(1, n):
        row = moved(forward[k - 1], k) * posterior[k]
        forward[k] = row / row.sum()
    for k in range(n - 2, -1, -1):
        row = moved(backward[k + 1] * posterior[k + 1], k + 1)
        backward[k] = row / row.sum()
    both = forward * backward
    both /= both.sum(axis=1, keepdims=True)
    return np.asarray(both.argmax(axis=1)), both


def _runs(
    pieces: _Pieces,
    path: Numbers,
    trusted: npt.NDArray[np.bool_],
    measures: Measures,
) -> list[tuple[int, int]]:
    """Join successive pieces of one stretch in which one speaker is seen, or is not.

    What is shown to be the speaker's voice and what is not (`trusted`, (pieces, people)) stay
    apart.
    """
    runs: list[tuple[int, int]] = []
    shown = []
    for k, p in enumerate(path):
        known = p < len(measures.people)
        seen = known and measures.present[p, pieces.start[k] : pieces.stop[k]].mean() > 0.5
        shown.append((bool(seen), bool(known and trusted[k, p])))
    for k in range(len(path)):
        same = k and path[k] == path[k - 1] and shown[k] == shown[k - 1]
        if same and pieces.joined[k]:
            runs[-1] = (runs[-1][0], int(pieces.stop[k]))
        else:
            runs.append((int(pieces.start[k]), int(pieces.stop[k])))
    return runs


def _parted(
    runs: Sequence[tuple[int, int]], changes: Numbers, known: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Part from each run what is so near a change of speaker that either may be heard.

    Where nobody is known for sure (`known`, of each moment) there is nothing to part.
    """
    near = {int(c) + off for c in changes for off in (-UNPLACED_MOMENTS, UNPLACED_MOMENTS)}
    parted: list[tuple[int, int]] = []
    for start, stop in runs:
        inner = sorted(c for c in near if start < c < stop) if known[start] else []
        parted += itertools.pairwise([start, *inner, stop])
    return parted


def _line_parts(lines: Sequence[PersonSpan], moments: Array64, count: int) -> list[_Span]:
    spans: list[_Span] = []
    for number, line in enumerate(lines, 1):
        first = min(max(0, round(line.start * RATE)), count)
        last = min(max(first, round(line.end * RATE)), count)
        part = moments[first:last]
        heard = np.flatnonzero(part.sum(axis=1) > 0.5)
        who = part[heard].argmax(axis=1)
        kinds, sizes = np.unique(who, return_counts=True)
        clear = part[heard].max(axis=1) > SURE if len(heard) else np.zeros(0, bool)
        big = [
            k
            for k, size in zip(kinds, sizes, strict=True)
            if size >= max(PART_SECONDS * RATE, PART * len(heard)) and clear[who == k].mean() > 0.7
        ]
        if len(big) < 2:
            spans.append((f"L{number}", first, last, line.text))
            continue
        known = heard[np.isin(who, big)]
        own = who[np.isin(who, big)]
        change = np.flatnonzero(np.diff(own)) + 1
        edges = [first, *(int(first + known[c]) for c in change), last]
        if len(edges) > 2 + len(big):
            # Back and forth: no clear place to part it.
            spans.append((f"L{number}", first, last, line.text))
            continue
        for i, (a, b) in enumerate(itertools.pairwise(edges), 1):
            spans.append((f"L{number}.{i}", a, b, line.text if i == 1 else None))
    return spans


def _main_voice(pieces: _Pieces, start: int, stop: int) -> int:
    shared = np.minimum(pieces.stop, stop) - np.maximum(pieces.start, start)
    inside = shared > 0
    if not inside.any():
        return -1
    seconds: dict[int, int] = {}
    for v, n in zip(pieces.voice[inside], shared[inside], strict=True):
        seconds[int(v)] = seconds.get(int(v), 0) + int(n)
    return max(seconds, key=lambda v: seconds[v])


def _named_voices(
    pieces: _Pieces,
    owners: Mapping[int, Array64],
    proven: Mapping[int, npt.NDArray[np.bool_]],
    people: Sequence[str],
    known: Mapping[int, str],
) -> tuple[dict[int, str], tuple[Voice, ...]]:
    """Ids of voices, longest first, and whose each is."""
    seconds = {v: float(pieces.seconds[pieces.voice == v].sum()) for v in owners if v >= 0}
    order = sorted(seconds, key=lambda v: -seconds[v])
    names = {v: f"V{i}" for i, v in enumerate(order, 1)}
    found = []
    for v in order:
        best = int(owners[v].argmax())
        sure = owners[v][best] > 0.5 and best < len(people) and proven[v][best]
        found.append(
            Voice(
                id=names[v],
                person=people[best] if sure else None,
                seconds=seconds[v],
                name=known.get(v),
                number=v,
            )
        )
    return names, tuple(found)


def _turn(
    key: str,
    start: int,
    stop: int,
    text: str | None,
    shares: Array64 | None,
    voice: str | None,
    measures: Measures,
) -> Turn:
    begin, end = start / RATE, stop / RATE
    if shares is None:
        return Turn(
            id=key, start=begin, end=end, person=None, voice=None, state="silent", score=0.0,
            text=text,
        )  # fmt: skip
    seen = measures.present[:, start:stop].mean(axis=1) > 0.3
    order = np.argsort(-shares[:-1], kind="stable")
    candidates = tuple(
        Candidate(person=measures.people[p], score=float(shares[p]))
        for p in order
        if seen[p] or shares[p] > 0.1
    )
    away = float(shares[-1] + shares[:-1][~seen].sum())
    best = int(order[0]) if len(order) else -1
    person = measures.people[best] if best >= 0 else None
    state: State
    if away > 0.5:
        # It may be known by the voice.
        hidden = best >= 0 and not seen[best] and shares[best] > 0.5
        person = person if hidden else None
        state, score = ("off_screen" if away > SURE else "unsure"), away
        if state == "unsure" and person is None and seen.any():
            person = next((c.person for c in candidates), None)
    else:
        score = float(shares[best])
        state = "sure" if score > SURE and seen[best] else "unsure"
    return Turn(
        id=key, start=begin, end=end, person=person, voice=voice, state=state, score=score,
        candidates=candidates, text=text,
    )  # fmt: skip


def moments_of(columns: Numbers, moments: int) -> Numbers:
    """Give the voice of each moment from that of each column of 10 ms: the most frequent one."""
    out = np.full(moments, -1)
    step = 100 // RATE
    for m in range(moments):
        part = columns[m * step : (m + 1) * step]
        part = part[part >= 0]
        if len(part):
            out[m] = np.bincount(part).argmax()
    return out
