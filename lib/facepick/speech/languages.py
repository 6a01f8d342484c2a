"""Names of languages, and which one a text is in as far as its letters tell."""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter

from facepick.errors import SettingsError

__all__ = ["AUTO", "LANGUAGES", "check_language", "language_of", "name_of"]

AUTO = "auto"
"""The language that the letters of the words tell; English for Latin ones."""

LANGUAGES = {
    "af": "Afrikaans", "am": "Amharic", "an": "Aragonese", "ar": "Arabic", "as": "Assamese",
    "az": "Azerbaijani", "ba": "Bashkir", "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali",
    "bpy": "Bishnupriya Manipuri", "bs": "Bosnian", "ca": "Catalan", "chr": "Cherokee",
    "cmn": "Chinese (Mandarin)", "cmn-latn-pinyin": "Chinese (Mandarin in Pinyin)", "cs": "Czech",
    "cv": "Chuvash", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "en-029": "English (Caribbean)", "en-gb": "English (Great Britain)",
    "en-gb-scotland": "English (Scotland)", "en-gb-x-gbclan": "English (Lancaster)",
    "en-gb-x-gbcwmd": "English (West Midlands)", "en-gb-x-rp": "English (Received Pronunciation)",
    "en-us": "English (America)", "eo": "Esperanto", "es": "Spanish",
    "es-419": "Spanish (Latin America)", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fa-latn": "Persian (in Latin letters)", "fi": "Finnish", "fr": "French",
    "fr-be": "French (Belgium)", "fr-ch": "French (Switzerland)", "fr-fr": "French (France)",
    "ga": "Gaelic (Irish)", "gd": "Gaelic (Scottish)", "gn": "Guarani", "grc": "Greek (Ancient)",
    "gu": "Gujarati", "hak": "Hakka Chinese", "haw": "Hawaiian", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian (East Armenia)",
    "hyw": "Armenian (West Armenia)", "ia": "Interlingua", "id": "Indonesian", "io": "Ido",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "jbo": "Lojban", "ka": "Georgian",
    "kk": "Kazakh", "kl": "Greenlandic", "kn": "Kannada", "ko": "Korean", "kok": "Konkani",
    "ku": "Kurdish", "ky": "Kyrgyz", "la": "Latin", "lb": "Luxembourgish",
    "lfn": "Lingua Franca Nova", "lt": "Lithuanian", "ltg": "Latgalian", "lv": "Latvian",
    "mi": "Māori", "mk": "Macedonian", "ml": "Malayalam", "mr": "Marathi", "ms": "Malay",
    "mt": "Maltese", "my": "Myanmar (Burmese)", "nb": "Norwegian Bokmål",
    "nci": "Nahuatl (Classical)", "ne": "Nepali", "nl": "Dutch", "no": "Norwegian",
    "nog": "Nogai", "om": "Oromo", "or": "Oriya", "pa": "Punjabi", "pap": "Papiamento",
    "piqd": "Klingon", "pl": "Polish", "pt": "Portuguese", "pt-br": "Portuguese (Brazil)",
    "py": "Pyash", "qdb": "Belta", "qu": "Quechua", "quc": "K'iche'", "qya": "Quenya",
    "ro": "Romanian", "ru": "Russian", "ru-lv": "Russian (Latvia)", "sd": "Sindhi",
    "shn": "Shan (Tai Yai)", "si": "Sinhala", "sjn": "Sindarin", "sk": "Slovak",
    "sl": "Slovenian", "smj": "Lule Saami", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tk": "Turkmen",
    "tn": "Setswana", "tr": "Turkish", "tt": "Tatar", "ug": "Uyghur", "uk": "Ukrainian",
    "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "vi-vn-x-central": "Vietnamese (Central)",
    "vi-vn-x-south": "Vietnamese (Southern)", "yue": "Chinese (Cantonese)", "zh": "Chinese",
}  # fmt: skip
"""What espeak-ng 1.51 can say: its names of languages, without those of single voices."""

_SCRIPTS: dict[str, tuple[str, ...]] = {
    "CJK": ("cmn", "zh", "yue", "hak", "ja", "ko"),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "BOPOMOFO": ("cmn", "zh"),
    "HANGUL": ("ko",),
    "CYRILLIC": (
        "ru", "az", "ba", "be", "bg", "cv", "kk", "ky", "mk", "nog", "sr", "tk", "tt", "uk", "uz",
    ),
    "GREEK": ("el", "grc"),
    "HEBREW": ("he",),
    "ARABIC": ("ar", "fa", "ku", "pa", "sd", "ug", "ur"),
    "DEVANAGARI": ("hi", "kok", "mr", "ne", "sd"),
    "BENGALI": ("bn", "as", "bpy"),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "KANNADA": ("kn", "kok"),
    "MALAYALAM": ("ml",),
    "ORIYA": ("or",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
    "MYANMAR": ("my", "shn"),
    "GEORGIAN": ("ka",),
    "ARMENIAN": ("hy", "hyw"),
    "ETHIOPIC": ("am",),
    "CHEROKEE": ("chr",),
}  # fmt: skip
"""The languages of a script, as Unicode calls it; the first one where none is named."""


def check_language(language: str) -> None:
    """Refuse what no language is called.

    Raises:
        SettingsError: with the nearest names.
    """
    wanted = language.strip().lower()
    if wanted == AUTO or _base(wanted) in {_base(name) for name in LANGUAGES}:
        return
    by_word = {**{name: name for name in LANGUAGES}, **{v.lower(): k for k, v in LANGUAGES.items()}}
    words = [w for w in by_word if w.startswith(wanted[:20])] if len(wanted) > 2 else []
    words += difflib.get_close_matches(wanted[:40], by_word, n=3, cutoff=0.6)
    near = dict.fromkeys(f"{by_word[w]} ({LANGUAGES[by_word[w]]})" for w in words[:4])
    raise SettingsError(
        f"No language is called {language!r:.60}.",
        hint=f"Nearest: {', '.join(near)}."
        if near
        else "Give a name of espeak-ng, such as en-us, de, fr or cmn, or auto.",
    )


def language_of(text: str, language: str) -> str:
    """Choose the language in which `text` is read.

    What is named holds, unless it cannot be: Chinese letters are no English, whatever was said.
    ``zh`` is Mandarin, and English where there is no Chinese letter.

    Args:
        language: espeak-ng's name of it, ``zh`` or `AUTO`.

    >>> language_of("Guten Tag", "de"), language_of("你好", "auto")
    ('de', 'cmn')
    """
    language = language.strip()
    base = _base(language)
    script = _script_of(text)
    able = _SCRIPTS.get(script, ())
    if able:
        return ("cmn" if base == "zh" else language) if base in able else able[0]
    if base in (AUTO, "zh"):
        return "en-us"
    return language


def name_of(language: str) -> str:
    """Name a language; an unknown one keeps its name.

    >>> name_of("cmn")
    'Chinese (Mandarin)'
    """
    return LANGUAGES.get(language.lower()) or LANGUAGES.get(_base(language), language)


def _base(language: str) -> str:
    return language.lower().split("-")[0]


def _script_of(text: str) -> str:
    """Find the script of most letters, ``CJK``, ``LATIN`` ...; any kana makes it Japanese."""
    found = Counter(
        unicodedata.name(c, "?").split(" ")[0].split("-")[0] for c in text[:2000] if c.isalpha()
    )
    if found["HIRAGANA"] + found["KATAKANA"] > 0.1 * found.total():
        return "HIRAGANA"
    # A name or two in Latin letters do not make a Chinese sentence English.
    for script, count in found.most_common():
        if script in _SCRIPTS and count >= 0.2 * found.total():
            return script
    return "LATIN"
