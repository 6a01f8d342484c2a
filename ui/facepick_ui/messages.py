"""Words of the page: one JSON catalogue a language, in ``locales/``.

English is the language of the core: settings, engines, errors and model files bring their own
English words, and other catalogues translate them.  What a catalogue lacks is shown in English.
A further language is a further file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facepick import errors
from facepick.models.spec import ModelSpec

__all__ = [
    "LANGUAGES",
    "Catalogue",
    "catalogue",
    "choice_label",
    "core_words",
    "engine_help",
    "engine_label",
    "error_words",
    "failure_words",
    "gradio_words",
    "has",
    "language_of",
    "listed",
    "model_purpose",
    "setting_help",
    "setting_label",
    "text",
    "without_commands",
]

FALLBACK = "en"
"""The core's own language."""

LOCALES = Path(__file__).resolve().parent / "locales"


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All words of one language.

    Attributes:
        language: its name in itself.
        words: of the page, by key, with ``{names}`` of what is put in.
        settings: label and help, by English label.
        helps: by English help, where two settings have one label.
        choices: of settings, by the choice.
        choices_of: by the setting's label and the choice, where the choice says too little.
        names: choices that are names, the same in every language.
        units: of settings.
        engines: label and help, by English label.
        errors: sentence and hint, by class of the core.
        purposes: of model files, by English purpose.
        gradio: its own words, by a key: first the one to show, then others that it shows.
    """

    language: str
    words: dict[str, str]
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    choices_of: dict[str, dict[str, str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    engines: dict[str, dict[str, str]] = field(default_factory=dict)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    purposes: dict[str, str] = field(default_factory=dict)
    gradio: dict[str, list[str]] = field(default_factory=dict)


def _load(file: Path) -> Catalogue:
    return Catalogue(**json.loads(file.read_text(encoding="utf-8")))


_CATALOGUES = {file.stem: _load(file) for file in sorted(LOCALES.glob("*.json"))}

LANGUAGES = {code: found.language for code, found in _CATALOGUES.items()}
"""Code -> name of each language."""


def catalogue(language: str) -> Catalogue:
    """Give all words of a language."""
    return _CATALOGUES[language]


def language_of(browser: str | None, host: str | None) -> str:
    """Choose a language: what the host says, else what the browser asks for first."""
    if host in LANGUAGES:
        return str(host)
    asked = (browser or "").lower()
    return next((code for code in LANGUAGES if asked.split("-")[0] == code), FALLBACK)


def text(key: str, language: str, **values: Any) -> str:
    """Give the words called `key`, with `values` put in; plain text, not HTML."""
    words = catalogue(language).words.get(key) or catalogue(FALLBACK).words[key]
    return words.format(**values)


def gradio_words(language: str) -> dict[str, str]:
    """Translate gradio's own words, which follow the browser, to the language of the page."""
    wanted = {**catalogue(FALLBACK).gradio, **catalogue(language).gradio}
    return {
        said: wanted[key][0]
        for other in _CATALOGUES.values()
        for key, phrases in other.gradio.items()
        for said in phrases
        if said not in wanted[key]
    }


def listed(parts: Iterable[str], language: str) -> str:
    """Write several names or things after each other, as the language does."""
    return text("listed", language).join(parts)


def has(key: str) -> bool:
    """Say whether there are words called `key`."""
    return key in catalogue(FALLBACK).words


def model_purpose(model: ModelSpec, language: str) -> str:
    """Say what a model file is for."""
    return catalogue(language).purposes.get(model.purpose, model.purpose)


def setting_label(label: str, language: str, unit: str = "") -> str:
    """Give the label of a setting, with its unit."""
    found = catalogue(language)
    words = found.settings.get(label, {}).get("label", label)
    if not unit:
        return words
    return text("with_unit", language, label=words, unit=found.units.get(unit, unit))


def setting_help(label: str, english: str, language: str) -> str:
    """Give the help of the setting called `label`."""
    found = catalogue(language)
    return found.helps.get(english) or found.settings.get(label, {}).get("help") or english


def choice_label(choice: str, language: str, setting: str = "") -> str:
    """Say how a choice of a setting is shown."""
    found = catalogue(language)
    special = found.choices_of.get(setting, {}).get(choice)
    if special is not None:
        return _capital(special)
    if any(choice in other.names for other in _CATALOGUES.values()):
        return found.choices.get(choice, choice)
    return _capital(found.choices.get(choice, choice.replace("_", " ")))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def engine_label(label: str, language: str) -> str:
    """Say how an engine is shown."""
    return catalogue(language).engines.get(label, {}).get("label", label)


def engine_help(label: str, english: str, language: str) -> str:
    """Say what an engine does."""
    return catalogue(language).engines.get(label, {}).get("help", english)


_COMMAND = re.compile(
    r"\b(facepick (cast|doctor|evaluate|jobs|models|sources|ui)|standalone\.py)\b"
)


def core_words(sentence: str, language: str) -> str:
    """Give a sentence of the core where the page speaks its language, and "" elsewhere."""
    return "" if catalogue(language).errors else sentence


def without_commands(words: str) -> str:
    """Leave out the core's sentences that name a command: a page has none."""
    kept = [s for s in re.split(r"(?<=[.!?])\s+", words) if not _COMMAND.search(s)]
    return " ".join(kept)


Problem = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Headline, sentences, and English sentences of the core that stand below in small letters."""


def error_words(error: BaseException, language: str) -> Problem:
    """Say what went wrong and what to do next.

    The core speaks English: in other languages its words come as detail, after a sentence and a
    hint for the class of the error.
    """
    if not isinstance(error, errors.FacepickError):
        return text("unexpected", language), (text("unexpected_help", language),), ()
    names = [cls.__name__ for cls in type(error).__mro__]
    headline = next(text(f"error_{name}", language) for name in names if has(f"error_{name}"))
    said = (error.message, without_commands(error.hint))
    return headline, *_told(names, said, language)


EXIT_CODES = {2: "UserInputError", 3: "ToolError", 5: "FacepickError"}
"""How a job ended that failed -> the class whose words fit."""


def failure_words(
    error: str, exit_code: int | None, language: str, *, fetch: bool = False
) -> Problem:
    """Say why a job failed, of which only the sentence and the exit code are known.

    Args:
        fetch: whether it was to fetch models.
    """
    headline = text("models_failed" if fetch else "failed", language)
    said = (without_commands(error),)
    if fetch and catalogue(language).errors:
        return headline, (text("models_failed_help", language),), said
    return headline, *_told([EXIT_CODES.get(exit_code or 5, "FacepickError")], said, language)


def _told(
    names: list[str], said: tuple[str, ...], language: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give sentences and detail, for the first of the classes that the language has words for."""
    words = catalogue(language).errors
    found = next((words[name] for name in names if name in words), None)
    if found is None:
        return said, ()
    return (found["sentence"], found["hint"]), said
