"""Words of the review page in English and Chinese."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

__all__ = ["LANGUAGES", "clock", "has_words", "number", "say_in", "setting_in"]

LANGUAGES = ("en", "zh")


def say_in(language: str, key: str, **facts: object) -> str:
    """Say something in a language.

    Raises:
        KeyError: there is no such sentence, or it names a fact that is not given.

    >>> say_in("en", "of", a=3, b=4)
    '3 of 4'
    """
    return _words()[key][language].format(**facts)


def has_words(key: str) -> bool:
    """Tell whether there is something to say under a key."""
    return key in _words()


def setting_in(language: str, label: str, value: object) -> str:
    """Say what a setting was: its label and its value, files by their names.

    What has no words in a language, such as the settings of a guest, is said as it is declared.

    >>> setting_in("en", "Keep eyes", True), setting_in("zh", "Shape", "head")
    ('Keep eyes: yes', '形状：整个头部')
    """
    if isinstance(value, bool):
        said = say_in(language, "yes" if value else "no")
    elif isinstance(value, Path):
        said = value.name
    else:
        said = str(value)
    if language == "zh":
        words = _chinese_settings()
        label, said = words["labels"].get(label, label), words["values"].get(said, said)
    return say_in(language, "setting", label=label, value=said)


@cache
def _chinese_settings() -> dict[str, dict[str, str]]:
    file = Path(__file__).parent / "data" / "settings_zh.json"
    found: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return found


@cache
def _words() -> dict[str, dict[str, str]]:
    file = Path(__file__).parent / "data" / "words.json"
    found: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def clock(seconds: float) -> str:
    """Write a moment as players show it, with tenths.

    >>> clock(65.25), clock(3723.0)
    ('1:05.2', '1:02:03.0')
    """
    tenths = int(max(0.0, seconds) * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"


def number(value: float | None, digits: int = 2) -> str:
    """Write a number, or a dash where there is none.

    >>> number(0.125), number(None)
    ('0.12', '–')
    """
    return "–" if value is None else f"{value:.{digits}f}"
