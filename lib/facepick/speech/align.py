"""Forced alignment: from words to phones, and from phones to times.

Three sources of pronunciations, the best one that is there: espeak-ng (any language), the CMU
pronouncing dictionary (English, shipped in ``data/``), and reading the letters as they stand, which
is rough but finds the lip sounds of most languages in Latin script.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.notices import Notice
from facepick.speech.acoustic import PHONES, PhoneScores, phone_pairs
from facepick.speech.espeak import spoken_ipa
from facepick.speech.languages import language_of, name_of
from facepick.speech.line import SpeechLine

__all__ = [
    "CLOSED",
    "INDEX",
    "SILENCE",
    "Aligned",
    "Pronounced",
    "adapted",
    "align",
    "phone_posteriors",
    "phones_of_ipa",
    "pronounce",
    "shut_stops",
    "words_notices",
]

Array = npt.NDArray[np.float32]

INDEX = {name: i for i, name in enumerate(PHONES)}
SILENCE = INDEX["SIL"]
CLOSED = ("P", "B", "M")
"""The lips meet."""

# IPA -> ARPAbet by what the lips do, longest match first.  Sounds that English has not are given
# to the English sound with the same lips: front rounded vowels to UW, bilabial fricatives to V.
_IPA: dict[str, tuple[str, ...]] = {
    "aɪ": ("AY",), "aʊ": ("AW",), "ɔɪ": ("OY",), "ɔʏ": ("OY",), "eɪ": ("EY",), "oʊ": ("OW",),
    "əʊ": ("OW",), "tʃ": ("CH",), "dʒ": ("JH",), "tɕ": ("CH",), "dʑ": ("JH",), "tʂ": ("CH",),
    "ts": ("T", "S"), "dz": ("D", "Z"), "pf": ("P", "F"), "ɪə": ("IH", "AH"), "eə": ("EH", "AH"),
    "ʊə": ("UH", "AH"), "iə": ("IY", "AH"), "ɔø": ("OY",), "ɑu": ("AW",), "ɜː": ("ER",),
    "ts.": ("CH",), "s.": ("SH",), "o-": ("AH",), "ai": ("AY",), "ei": ("EY",), "ou": ("OW",),
    "au": ("AW",), "oi": ("OY",), "ui": ("UW", "IY"), "ɑ̃": ("AA",), "ɔ̃": ("AO",),
    "ɛ̃": ("AE",), "œ̃": ("AH",),
    "a": ("AA",), "ɑ": ("AA",), "ɒ": ("AO",), "æ": ("AE",), "ɐ": ("AH",), "ʌ": ("AH",),
    "ə": ("AH",), "ɚ": ("ER",), "ɜ": ("AH",), "ɝ": ("ER",), "ɘ": ("AH",), "ɤ": ("AH",),
    "e": ("EY",), "ɛ": ("EH",), "i": ("IY",), "ɪ": ("IH",), "ɨ": ("IH",), "ᵻ": ("IH",),
    "ɯ": ("IH",), "o": ("OW",), "ɔ": ("AO",), "ø": ("UH",), "œ": ("UH",), "ɵ": ("UH",),
    "u": ("UW",), "ʊ": ("UH",), "ʉ": ("UW",), "y": ("UW",), "ʏ": ("UH",), "ɶ": ("AO",),
    "p": ("P",), "b": ("B",), "m": ("M",), "ɓ": ("B",), "ɱ": ("V",), "f": ("F",), "v": ("V",),
    "ɸ": ("F",), "β": ("V",), "ʋ": ("V",), "w": ("W",), "ʍ": ("W",), "ɥ": ("W",),
    "θ": ("TH",), "ð": ("DH",), "t": ("T",), "d": ("D",), "ʈ": ("T",), "ɖ": ("D",), "n": ("N",),
    "ɳ": ("N",), "ɲ": ("N", "Y"), "ŋ": ("NG",), "ɴ": ("NG",), "s": ("S",), "z": ("Z",),
    "ʃ": ("SH",), "ʒ": ("ZH",), "ʂ": ("SH",), "ʐ": ("ZH",), "ɕ": ("SH",), "ʑ": ("ZH",),
    "ç": ("HH",), "x": ("HH",), "χ": ("HH",), "h": ("HH",), "ħ": ("HH",), "ɦ": ("HH",),
    "ɣ": ("G",), "ʁ": ("R",), "r": ("R",), "ɹ": ("R",), "ɾ": ("D",), "ʀ": ("R",), "ɻ": ("R",),
    "ɽ": ("D",), "l": ("L",), "ɫ": ("L",), "ɭ": ("L",), "ʎ": ("L", "Y"), "ɬ": ("L",),
    "ɺ": ("L",), "j": ("Y",), "ʝ": ("Y",), "k": ("K",), "g": ("G",), "ɡ": ("G",), "q": ("K",),
    "c": ("K",), "ɟ": ("G",), "ɢ": ("G",),
}  # fmt: skip

_LETTERS: dict[str, tuple[str, ...]] = {
    "sch": ("SH",), "tch": ("CH",), "ch": ("CH",), "sh": ("SH",), "ph": ("F",), "th": ("TH",),
    "qu": ("K", "W"), "ck": ("K",), "ng": ("NG",), "ee": ("IY",), "oo": ("UW",), "ou": ("AW",),
    "ei": ("AY",), "ie": ("IY",), "eu": ("OY",), "au": ("AW",),
    "a": ("AA",), "b": ("B",), "c": ("K",), "d": ("D",), "e": ("EH",), "f": ("F",), "g": ("G",),
    "h": ("HH",), "i": ("IH",), "j": ("Y",), "k": ("K",), "l": ("L",), "m": ("M",), "n": ("N",),
    "o": ("OW",), "p": ("P",), "q": ("K",), "r": ("R",), "s": ("S",), "t": ("T",), "u": ("UW",),
    "v": ("V",), "w": ("W",), "x": ("K", "S"), "y": ("IY",), "z": ("Z",), "ß": ("S",),
    "ø": ("UH",), "æ": ("AE",), "œ": ("UH",), "ð": ("DH",), "þ": ("TH",), "ł": ("W",),
}  # fmt: skip


@dataclass(frozen=True)
class Pronounced:
    """Words as phones.

    Attributes:
        words: per word its phones (indices into `PHONES`), never empty.
        route: where they come from: ``espeak-ng``, ``dictionary`` or ``letters``.
    """

    words: tuple[tuple[int, ...], ...]
    route: str


def pronounce(text: str, *, language: str = "en-us") -> Pronounced | None:
    """Look up the phones of `text`, or None when nothing in it can be said.

    Args:
        language: espeak-ng's name of the language, such as ``en-us``, ``de`` or ``cmn``, or what
            else `language_of` takes.
    """
    language = language_of(text, language)
    english = language.lower().split("-")[0] == "en"
    words = [w for w in re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower()) if w]
    if not words:
        return None
    ipa = spoken_ipa(" ".join(words) if english else text, language)
    if ipa is not None:
        said = tuple(p for p in map(phones_of_ipa, ipa.split()) if p)
        if said:
            return Pronounced(words=said, route="espeak-ng")
    route = "letters"
    found: list[tuple[int, ...]] = []
    for word in words:
        phones: tuple[int, ...] = ()
        if english:
            phones = _dictionary().get(word.replace("’", "'"), ())
            route = "dictionary"
        phones = phones or _spelled(_plain(word), _LETTERS)
        if phones:
            found.append(phones)
    return Pronounced(words=tuple(found), route=route) if found else None


def words_notices(lines: Sequence[SpeechLine], language: str) -> tuple[Notice, ...]:
    """Note words that cannot be said, or only roughly, for want of espeak-ng.

    One a language, however many lines.
    """
    found: Counter[str] = Counter()
    codes: dict[str, str] = {}
    for line in lines:
        text = " ".join(w.label for w in line.phones.words) if line.phones else line.text or ""
        if not re.search(r"[^\W\d_]", text) or (line.phones and line.phones.phones):
            continue
        own = language_of(text, language)
        if own.lower().split("-")[0] == "en":
            continue  # The dictionary has it.
        if own not in codes:
            # A word is enough to see it, and a program is started for each of these.
            said = pronounce(text[:200], language=own)
            codes[own] = "words_unread" if said is None else said.route
        found[own] += 1
    codes = {own: "words_spelled" if code == "letters" else code for own, code in codes.items()}
    return tuple(
        Notice(code=codes[own], facts={"lines": count, "language": name_of(own)})
        for own, count in found.items()
        if codes[own].startswith("words_")
    )


def phones_of_ipa(word: str) -> tuple[int, ...]:
    """Read the phones of a word in IPA; signs of stress, length and tone are mute."""
    return _spelled(word, _IPA)


def _plain(word: str) -> str:
    """Strip accents: é -> e, ü -> u."""
    parts = unicodedata.normalize("NFD", word)
    return "".join(c for c in parts if not unicodedata.combining(c))


def _spelled(word: str, table: dict[str, tuple[str, ...]]) -> tuple[int, ...]:
    """Read `word` by the longest entries of `table`; unknown signs (stress, length) are mute."""
    out: list[int] = []
    at = 0
    while at < len(word):
        for length in (3, 2, 1):
            entry = table.get(word[at : at + length])
            if entry is not None:
                out.extend(INDEX[name] for name in entry)
                at += length
                break
        else:
            at += 1
    return tuple(out)


@cache
def _dictionary() -> dict[str, tuple[int, ...]]:
    """Load the CMU pronouncing dictionary, first pronunciation of each word."""
    import lzma

    packed = Path(__file__).with_name("data") / "cmudict_en.xz"
    table: dict[str, tuple[int, ...]] = {}
    for line in lzma.decompress(packed.read_bytes()).decode("ascii").splitlines():
        word, *phones = line.split()
        table[word] = tuple(INDEX[p] for p in phones)
    return table


@dataclass(frozen=True, eq=False)
class Aligned:
    """Phones with times.

    Attributes:
        phones: (n,) int, indices into `PHONES`, silences between words included.
        start, stop: (n,) int, columns of 10 ms, half-open, without gaps.
        score: mean over columns of (log likelihood of the aligned state - that of the best
            state of any phone); near 0 when text and sound agree.
    """

    phones: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]
    score: float

    def posteriors(self, columns: int) -> Array:
        """Set the phones one-hot, (columns, 42) float32."""
        out = np.zeros((columns, len(PHONES)), np.float32)
        for phone, a, b in zip(self.phones, self.start, self.stop, strict=True):
            out[a:b, phone] = 1.0
        return out


BLOCK = 256
"""Columns between two stored score rows: the alignment of five minutes (30 000 columns, 12 000
states) keeps 118 rows of 48 kB and 3 MB of back pointers, instead of 360 MB."""
STOPS = [INDEX[p] for p in ("P", "B", "T", "D", "K", "G", "CH", "JH")]
CLOSURE_COST = 2.0
"""A stop begins with a closure, which in clean and in synthetic speech is silent as no stop of the
model's training was; without this, pauses are heard before every other "p" of a synthesiser.  In
log likelihood of a column, where phones differ by 5 to 20."""


def shut_stops(scores: PhoneScores) -> PhoneScores:
    """Let the first state of a stop be silence, in these scores."""
    states = scores.states.copy()
    silent = states[:, SILENCE].max(axis=1) - np.float32(CLOSURE_COST)
    states[:, STOPS, 0] = np.maximum(states[:, STOPS, 0], silent[:, None])
    return PhoneScores(states=states, features=scores.features)


def align(
    scores: PhoneScores,
    words: Sequence[Sequence[int]],
    *,
    windows: Sequence[tuple[int, int]] | None = None,
) -> Aligned | None:
    """Align `words` (Viterbi), with optional silence around each of them.

    None when the sound is too short for the words (every phone takes at least 30 ms), or for
    their windows.

    Args:
        windows: half-open columns, one pair a word, in which it must lie; anywhere by default.
    """
    columns = len(scores)
    if columns < 3 * sum(len(word) for word in words):
        return None
    trellis = _Trellis.of(scores, words, windows)
    rows = trellis.forward()
    state = trellis.best_end(rows[-1])
    total = float(rows[-1][state])
    if total <= _NEVER / 2:
        return None
    unit = trellis.back(rows, state) // 3
    edges = np.flatnonzero(np.diff(unit)) + 1
    start = np.concatenate([[0], edges])
    best_any = trellis.flat.max(axis=1).sum()
    return Aligned(
        phones=trellis.phones[unit[start]],
        start=start,
        stop=np.concatenate([edges, [columns]]),
        score=(total - float(best_any)) / columns,
    )


_NEVER = np.float32(-1e30)


@dataclass(frozen=True, eq=False)
class _Trellis:
    """States of a chain of phones over the columns of a sound, three states a phone.

    Attributes:
        phones: (p,) with silence before, between and after the words.
        index: (3 p,) column of `flat` that holds a state's score.
        flat: (t, 3 x kinds) scores.
        over: states that may be entered over a silence.
        opens, shuts: (3 p,) half-open columns in which a state may be.
        free: every state may be in every column.
    """

    phones: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    flat: Array
    over: npt.NDArray[np.int64]
    opens: npt.NDArray[np.int64]
    shuts: npt.NDArray[np.int64]
    free: bool

    @classmethod
    def of(
        cls,
        scores: PhoneScores,
        words: Sequence[Sequence[int]],
        windows: Sequence[tuple[int, int]] | None,
    ) -> _Trellis:
        everywhere = (0, len(scores))
        chain, allowed = [SILENCE], [everywhere]
        for word, window in zip(words, windows or [everywhere] * len(words), strict=True):
            chain.extend([*word, SILENCE])
            allowed.extend([*[window] * len(word), everywhere])
        opens, shuts = np.repeat(np.array(allowed), 3, axis=0).T
        phones = np.asarray(chain)
        return cls(
            phones=phones,
            index=np.repeat(phones, 3) * 3 + np.tile(np.arange(3), len(phones)),
            flat=scores.states.reshape(len(scores), -1),
            over=3 * (np.flatnonzero(phones[1:-1] == SILENCE) + 2),
            opens=opens,
            shuts=shuts,
            free=windows is None,
        )

    def step(self, row: Array, t: int) -> tuple[Array, npt.NDArray[np.uint8]]:
        """Compute the best scores of paths to every state in column `t`, and how they came.

        A state is entered from itself (0), from the one before (1) or, at the first state of a
        phone that follows a silence, from the phone before that silence (2).
        """
        over = self.over
        entered = np.empty_like(row)
        entered[0] = _NEVER
        entered[1:] = row[:-1]
        source = (entered > row).view(np.uint8)
        best = np.maximum(row, entered)
        jumped = row[over - 4]
        better = jumped > best[over]
        best[over[better]] = jumped[better]
        source[over[better]] = 2
        best += self.flat[t, self.index]
        if not self.free:
            best[(t < self.opens) | (t >= self.shuts)] = _NEVER
        return best, source

    def forward(self) -> list[Array]:
        """Compute the scores in every `BLOCK`-th column, and last those in the last column."""
        row = np.full(len(self.index), _NEVER, np.float32)
        row[0], row[3] = self.flat[0, self.index[0]], self.flat[0, self.index[3]]
        row[self.opens > 0] = _NEVER
        rows = [row]
        for t in range(1, len(self.flat)):
            row, _ = self.step(row, t)
            if t % BLOCK == 0:
                rows.append(row)
        return [*rows, row]

    @staticmethod
    def best_end(row: Array) -> int:
        """Choose the state in which the path ends: the last silence, or the phone before it."""
        n = len(row)
        return n - 1 if row[n - 1] >= row[n - 4] else n - 4

    def back(self, rows: Sequence[Array], state: int) -> npt.NDArray[np.int64]:
        """Trace the best path to `state` in the last column, (t,); blocks are computed anew."""
        columns = len(self.flat)
        path = np.empty(columns, np.int64)
        for block in range(len(rows) - 2, -1, -1):
            first, last = block * BLOCK, min((block + 1) * BLOCK, columns - 1)
            row, back = rows[block], []
            for t in range(first + 1, last + 1):
                row, source = self.step(row, t)
                back.append(source)
            for t in range(last, first, -1):
                path[t] = state
                state -= (0, 1, 4)[back[t - first - 1][state]]
            path[first] = state
        return path


VOICE_PASSES, VOICE_SHARE, VOICE_PRIOR = 3, 0.7, 5.0
"""How often an alignment is made anew, what a column of the voice's own phones counts beside the
model's, and how many columns of the voice's mean sound stand beside those of each phone: the
speech has 5 to 100 of a phone.  Halves and doubles of these move r by less than 0.005."""
SHORTEST_VOICE = 50
"""Columns, half a second, from which a voice is learnt."""


def adapted(scores: PhoneScores, heard: Array, *, share: float = VOICE_SHARE) -> PhoneScores:
    """Adapt `scores` to what this voice's phones sound like.

    Each phone gets a Gaussian of the features of its columns, its mean drawn towards that of the
    voice (maximum a posteriori; Gauvain and Lee, IEEE Trans. Speech and Audio Processing 2, 1994),
    its variance that of all phones about their means, and the log likelihoods are added to the
    model's.  A voice is more like itself than like the many of the model.

    Args:
        heard: (t, 42) how surely a column is of a phone; rows of zeros teach nothing.
        share: of the voice's own phones.
    """
    rows = heard.sum(axis=1)
    total = float(rows.sum())
    if total < SHORTEST_VOICE:
        return scores
    x = scores.features
    counts = heard.sum(axis=0)[:, None]
    means = (heard.T @ x + VOICE_PRIOR * (rows @ x) / total) / (counts + VOICE_PRIOR)
    away = x - heard @ means
    inverse = 1.0 / np.maximum(rows @ (away * away) / total, 1e-3)
    likelihood = (
        x @ (means * inverse).T
        - 0.5 * ((x * x) @ inverse)[:, None]
        - 0.5 * ((means * means) @ inverse)
    )
    states = scores.states + np.float32(share) * likelihood[:, :, None]
    return PhoneScores(states=np.asarray(states, np.float32), features=x)


LIKELIHOOD_SCALE = 0.1
"""Neighbouring columns share most of their sound, so their likelihoods are not independent; the
posteriors of a hundred independent columns a second would be all but certain, and often wrong.
Measured on two recordings and two synthetic voices with known words: openings follow the words at
r = 0.84 with 0.1, 0.81 with 0.25 and 0.79 with 1."""


WINDOW, OVERLAP = 3000, 100
"""Columns.  Half a minute at a time keeps memory flat (4.5 MB an array); after a second the loop
has forgotten where it began."""


FAMILIAR, STRANGE = -157.0, -177.0
"""Mean log likelihood of the best state.  Eight recordings of people lie from -144 to -160, voices
that were made of recordings from -149 to -158, those of a formant synthesiser from -166 to -188.
Voices are learnt without words only as far as they are strange, for errors are learnt, too: r
rises by 0.07 for strange voices, but would fall by 0.03 for people."""


def phone_posteriors(scores: PhoneScores) -> Array:
    """Compute how likely each phone is in each column, (t, 42) float32, when no words are known.

    Forward-backward over a free loop of phones, with English phone pairs as its grammar; again
    with the voice's own phones where it is unlike those of the model.
    """
    found = _loop_posteriors(scores)
    fit = float(scores.states.reshape(len(scores), -1).max(axis=1).mean())
    strange = min(1.0, (FAMILIAR - fit) / (FAMILIAR - STRANGE))
    if strange <= 0.0:
        return found
    return _loop_posteriors(adapted(scores, found, share=strange * VOICE_SHARE))


def _loop_posteriors(scores: PhoneScores) -> Array:
    columns = len(scores)
    out = np.empty((columns, len(PHONES)), np.float32)
    for start in range(0, columns, WINDOW):
        stop = min(columns, start + WINDOW)
        first, last = max(0, start - OVERLAP), min(columns, stop + OVERLAP)
        found = _window_posteriors(scores.states[first:last])
        out[start:stop] = found[start - first : stop - first]
    return out


def _window_posteriors(states: Array) -> Array:
    columns, phones, _ = states.shape
    flat = states.reshape(columns, phones * 3)
    emission = np.exp(LIKELIHOOD_SCALE * (flat - flat.max(axis=1, keepdims=True)))
    emission = np.maximum(emission, 1e-12).reshape(columns, phones, 3)
    stay, leave = np.float32(0.6), np.float32(0.4)
    # The square root trusts the grammar half: other languages join their phones differently.
    pairs = np.sqrt(phone_pairs())
    pairs /= pairs.sum(axis=1, keepdims=True)
    forward = np.empty_like(emission)
    now = np.zeros((phones, 3), np.float32)
    now[:, 0] = 1 / phones
    for t in range(columns):
        if t:
            moved = stay * now
            moved[:, 1:] += leave * now[:, :-1]
            moved[:, 0] += leave * (now[:, 2] @ pairs)
            now = moved
        now = now * emission[t]
        now /= now.sum()
        forward[t] = now
    out = np.empty((columns, phones), np.float32)
    after = np.ones((phones, 3), np.float32)
    for t in range(columns - 1, -1, -1):
        both = forward[t] * after
        out[t] = both.sum(axis=1) / both.sum()
        weighted = after * emission[t]
        after = stay * weighted
        after[:, :-1] += leave * weighted[:, 1:]
        after[:, 2] += leave * (pairs @ weighted[:, 0])
        after /= after.max()
    return out
