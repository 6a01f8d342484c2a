"""The names that tools give to phones, as those of ARPAbet.

Aligners and synthesisers write phones in one of a few alphabets.  Which one a file uses is seen
from what is in it: the alphabet that knows most of its symbols.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from facepick.speech.acoustic import PHONES
from facepick.speech.align import phones_of_ipa

__all__ = ["ALPHABETS", "UNHEARD", "alphabet_of", "is_known", "phones_of"]

ALPHABETS = ("arpabet", "ipa", "x-sampa", "pinyin")
"""In the order in which they are believed when they know equally many symbols."""

SILENT = frozenset({
    "", "sil", "silence", "sp", "ssil", "pau", "pause", "_", "_:", "__", "#", "##", "h#", "#h",
    "<eps>", "eps", "<sil>", "<p>", "<p:>", "<pause>", "[sil]", "{sl}", "<usb>", "^", "$", "-",
})  # fmt: skip
"""Of Kaldi, the Montreal Forced Aligner, HTK, Festival, flite, MBROLA, TIMIT, MAUS and Piper."""

UNHEARD = frozenset({
    "spn", "nsn", "<unk>", "unk", "[unk]", "oov", "<oov>", "<nib>", "noise", "laughter", "lau",
    "laugh", "[laughter]", "brth", "br",
})  # fmt: skip
"""Something is heard there, and the tool does not know what: words missing from its dictionary,
laughter, breath.  The sound decides."""

LONGEST = 16
"""Characters: an affricate with all its marks and tones has ten."""

_ARPABET = {
    **{name: (name,) for name in PHONES if name.isalpha() and name != "SIL"},
    "AX": ("AH",), "AXR": ("ER",), "AXH": ("AH",), "IX": ("IH",), "UX": ("UW",), "OH": ("AO",),
    "EL": ("L",), "EM": ("M",), "EN": ("N",), "ENG": ("NG",), "NX": ("N",), "DX": ("D",),
    "HV": ("HH",), "WH": ("W",), "Q": (), "BCL": ("B",), "PCL": ("P",), "DCL": ("D",),
    "TCL": ("T",), "GCL": ("G",), "KCL": ("K",),
}  # fmt: skip
"""With the allophones and closures of TIMIT, and the reduced vowels of flite and Festival."""

_XSAMPA = {
    "r\\`": "ɻ", "@`": "ɚ", "3`": "ɝ", "r\\": "ɹ", "s\\": "ɕ", "z\\": "ʑ", "j\\": "ʝ", "p\\": "ɸ",
    "h\\": "ɦ", "x\\": "x", "R\\": "ʀ", "N\\": "ɴ", "J\\": "ɟ", "s`": "ʂ", "z`": "ʐ", "t`": "ʈ",
    "d`": "ɖ", "n`": "ɳ", "l`": "ɭ", "r`": "ɽ", "r=": "ɝ", "rr": "r", "jj": "ʝ", "L\\": "ɫ",
    "v\\": "ʋ", "B\\": "b", "G\\": "ɢ", "M\\": "ɣ", "l\\": "ɺ", "H\\": "h", "X\\": "ħ",
    "A": "ɑ", "B": "β", "C": "ç", "D": "ð", "E": "ɛ", "F": "ɱ", "G": "ɣ", "H": "ɥ", "I": "ɪ",
    "J": "ɲ", "K": "ɬ", "L": "ʎ", "M": "ɯ", "N": "ŋ", "O": "ɔ", "P": "ʋ", "Q": "ɒ", "R": "ʁ",
    "S": "ʃ", "T": "θ", "U": "ʊ", "V": "ʌ", "W": "ʍ", "X": "χ", "Y": "ʏ", "Z": "ʒ", "@": "ə",
    "{": "æ", "}": "ʉ", "&": "ɶ", "1": "ɨ", "2": "ø", "3": "ɜ", "4": "ɾ", "5": "ɫ", "6": "ɐ",
    "7": "ɤ", "8": "ɵ", "9": "œ", "0": "ɒ", "?": "ʔ",
}  # fmt: skip
"""X-SAMPA to IPA, with the few signs of MBROLA's voices and of espeak-ng that differ from it."""

_INITIALS = {
    "b": ("B",), "p": ("P",), "m": ("M",), "f": ("F",), "d": ("D",), "t": ("T",), "n": ("N",),
    "l": ("L",), "g": ("G",), "k": ("K",), "h": ("HH",), "j": ("JH",), "q": ("CH",),
    "x": ("SH",), "zh": ("JH",), "ch": ("CH",), "sh": ("SH",), "r": ("R",), "z": ("D", "Z"),
    "c": ("T", "S"), "s": ("S",), "y": ("Y",), "w": ("W",),
}  # fmt: skip
_FINALS = {
    "a": ("AA",), "o": ("AO",), "e": ("AH",), "i": ("IY",), "u": ("UW",), "v": ("UW",),
    "ü": ("UW",), "ii": ("IH",), "iii": ("IH",), "er": ("ER",), "ai": ("AY",), "ei": ("EY",),
    "ao": ("AW",), "ou": ("OW",), "an": ("AA", "N"), "en": ("AH", "N"), "ang": ("AA", "NG"),
    "eng": ("AH", "NG"), "ong": ("UH", "NG"), "ia": ("Y", "AA"), "ie": ("Y", "EH"),
    "iao": ("Y", "AW"), "iu": ("Y", "OW"), "iou": ("Y", "OW"), "ian": ("Y", "EH", "N"),
    "in": ("IY", "N"), "iang": ("Y", "AA", "NG"), "ing": ("IY", "NG"),
    "iong": ("Y", "UH", "NG"), "ua": ("W", "AA"), "uo": ("W", "AO"), "uai": ("W", "AY"),
    "ui": ("W", "EY"), "uei": ("W", "EY"), "uan": ("W", "AA", "N"), "un": ("W", "AH", "N"),
    "uen": ("W", "AH", "N"), "uang": ("W", "AA", "NG"), "ueng": ("W", "AH", "NG"),
    "ue": ("W", "EH"), "ve": ("W", "EH"), "üe": ("W", "EH"), "van": ("W", "EH", "N"),
    "vn": ("UW", "N"), "ün": ("UW", "N"),
}  # fmt: skip
_VOWELS = frozenset(p for p in PHONES if p[0] in "AEIOU")
_GLIDES = frozenset({"Y", "W", "R"})
_STOPS = frozenset({"T", "D", "P", "B", "K", "G"})
_FRICATIVES = frozenset({"S", "Z", "SH", "ZH", "F", "V"})
_AS_ONE = {("N", "Y"), ("L", "Y"), ("Y", "UW"), ("K", "W")}

# IPA that means what another spelling means.
_RESPELLED = (
    ("aj", "aɪ"), ("aw", "aʊ"), ("ej", "eɪ"), ("ow", "oʊ"), ("ɔj", "ɔɪ"), ("əw", "oʊ"),
    ("ɑɪ", "aɪ"), ("ɛɪ", "eɪ"), ("ɑʊ", "aʊ"), ("ɔʊ", "oʊ"), ("ʤ", "dʒ"), ("ʧ", "tʃ"), ("ʦ", "ts"),
    ("ʣ", "dz"), ("ʨ", "tɕ"), ("ʥ", "dʑ"), ("ɜɹ", "ɝ"), ("əɹ", "ɚ"),
)  # fmt: skip
_MARKS = frozenset({"Mn", "Lm", "Sk", "No"})
_IGNORED = frozenset("ˈˌ.'‿|*,;:!?¡¿…—–\"«»()ʔʕ")
"""Stress, syllables and punctuation, which Piper times as phones of their own, and the throat."""


def alphabet_of(symbols: Iterable[str]) -> str:
    """Find the alphabet that knows most of these symbols, each counted once."""
    distinct = {s for s in map(_trimmed, symbols) if s.lower() not in SILENT | UNHEARD}
    return max(ALPHABETS, key=lambda name: sum(is_known(s, name) for s in distinct))


def is_known(symbol: str, alphabet: str) -> bool:
    """Tell whether the alphabet has the symbol."""
    return phones_of(symbol, alphabet) is not None


def phones_of(symbol: str, alphabet: str) -> tuple[str, ...] | None:
    """Look up the ARPAbet phones of a symbol, without stress, or None when it is unknown.

    ``("SIL",)`` for the names of silence; empty for what has no lips of its own, such as a
    glottal stop or a mark of stress.

    >>> phones_of("AH0", "arpabet"), phones_of("tʃ", "ipa")
    (('AH',), ('CH',))
    """
    name = _trimmed(symbol)
    if name.lower() in SILENT:
        return ("SIL",)
    if len(name) > LONGEST:
        return None
    if alphabet == "arpabet":
        return _ARPABET.get(re.sub(r"[0-9]$", "", name).upper())
    if alphabet == "pinyin":
        return _of_pinyin(name.lower())
    return _of_ipa(_ipa_of_xsampa(name) if alphabet == "x-sampa" else name)


def _trimmed(symbol: str) -> str:
    """Strip blanks, and Kaldi's marks of the place in the word."""
    return re.sub(r"(?<=.)_[BIES]$", "", symbol.strip())


def _of_pinyin(name: str) -> tuple[str, ...] | None:
    plain = re.sub(r"[0-9]$", "", name)
    if plain in _INITIALS:
        return _INITIALS[plain]
    if plain in _FINALS:
        return _FINALS[plain]
    for length in (2, 1):
        initial, final = plain[:length], plain[length:]
        if initial in _INITIALS and final in _FINALS:
            return (*_INITIALS[initial], *_FINALS[final])
    return None


def _ipa_of_xsampa(name: str) -> str:
    # Marks after a phone: "_h" is breath, "~" nose, "=" syllable, ":" length, "#" and "2" (after
    # a letter) are variants of espeak-ng.
    plain = re.sub(r"_[a-zA-Z0-9>\\/^~=+\-\"]+|[\"%':~#;]+", "", name)
    plain = re.sub(r"(?<=[A-Za-z@])2$", "", plain)
    out, at = "", 0
    while at < len(plain):
        for length in (3, 2, 1):
            found = _XSAMPA.get(plain[at : at + length])
            if found is not None:
                out += found
                at += length
                break
        else:
            out += "" if plain[at] == "=" else plain[at]
            at += 1
    # A symbol of marks alone says nothing.
    return out if out or not name else "ˈ"


def _of_ipa(name: str) -> tuple[str, ...] | None:
    if not name:
        return None
    # Accents are parted from their letters and dropped; a cedilla makes a sound of its own.
    parted = (
        c if c == "ç" else unicodedata.normalize("NFD", c)
        for c in unicodedata.normalize("NFC", re.sub(r"[0-9]+$", "", name))
    )
    letters = (c for c in "".join(parted) if unicodedata.category(c) not in _MARKS)
    plain = "".join(c for c in letters if c not in _IGNORED).strip()
    for old, new in _RESPELLED:
        plain = plain.replace(old, new)
    if not plain:
        return ()
    if not all(phones_of_ipa(c) for c in plain):
        return None
    phones = tuple(PHONES[i] for i in phones_of_ipa(plain))
    return phones if _is_one_sound(phones) else None


def _is_one_sound(phones: tuple[str, ...]) -> bool:
    """Tell a phone, a run of vowels or an affricate from a syllable or a word."""
    if len(phones) == 1 or phones in _AS_ONE:
        return True
    if 2 <= len(phones) <= 3 and all(p in _VOWELS for p in phones[:-1]):
        return phones[-1] in _VOWELS | _GLIDES
    return len(phones) == 2 and phones[0] in _STOPS and phones[1] in _FRICATIVES
