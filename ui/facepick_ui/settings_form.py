"""Settings as the page's form shows them: words, choices, and values as the core takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facepick.engines.engine import EngineSpec
from facepick.settings import SettingField
from facepick_ui import messages
from facepick_ui.uploads import path_of

__all__ = ["Panel", "Widget", "changed_values", "choices_of", "is_shown", "plain_value"]


@dataclass(frozen=True, kw_only=True)
class Widget:
    """One setting on the page.

    Attributes:
        name: of the component; its element id is ``facepick_`` + name.
        field: the setting.
        lacks: whether a choice has no model file on this machine; asked anew for every page.
    """

    name: str
    field: SettingField
    lacks: Callable[[str], bool]

    def words(self, language: str) -> dict[str, Any]:
        """Label, help and choices in a language, as properties of the component."""
        ui = self.field.ui
        words: dict[str, Any] = {
            "label": messages.setting_label(ui.label, language, ui.unit),
            "info": messages.setting_help(ui.label, ui.help, language),
        }
        if self.field.name == "language":
            # What is written on a Chinese page is Chinese, unless it is said otherwise.
            words["value"] = "zh" if language == "zh" else self.field.default
        if self.field.kind == "choice":
            words["choices"] = choices_of(self.field, language, self.lacks)
        return words


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The settings of one engine.

    Attributes:
        spec: the engine.
        name: of the column that holds them.
        widgets: simple ones first.
    """

    spec: EngineSpec
    name: str
    widgets: tuple[Widget, ...]


def choices_of(
    field: SettingField, language: str, lacks: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """Label and value of each choice; the label says when it lacks a model file."""
    missing = " " + messages.text("needs_file", language)
    return [
        (messages.choice_label(c, language, field.ui.label) + (missing if lacks(c) else ""), c)
        for c in field.ui.choices
    ]


def is_shown(field: SettingField, values: Mapping[str, Any]) -> bool:
    """Whether the setting matters while the others have these values."""
    if field.ui.only_when is None:
        return True
    other, wanted = field.ui.only_when
    value = values.get(other)
    return (str(value).lower() if isinstance(value, bool) else str(value)) in wanted


def plain_value(field: SettingField, value: Any) -> Any:
    """Make what the core understands of what this gradio's widget gives."""
    if field.kind == "file":
        return path_of(value)
    if field.kind == "color" and isinstance(value, str):
        return _hex_color(value)
    if field.kind == "int" and isinstance(value, float) and value == int(value):
        return int(value)
    return value


_RGB = re.compile(r"rgba?\(\s*([\d.]+)[ ,]+([\d.]+)[ ,]+([\d.]+)")


def _hex_color(value: str) -> str:
    """``#rrggbb``; newer colour pickers answer ``rgba(255, 0, 0, 1)``."""
    found = _RGB.match(value.strip())
    if not found:
        return value.strip()[:7]
    return "#" + "".join(f"{min(255, round(float(v))):02x}" for v in found.groups())


def changed_values(widgets: Sequence[Widget], values: Sequence[Any]) -> dict[str, Any]:
    """Check the values, and give those that differ from their default.

    A widget that is not shown gives its default, whatever is in it.

    Raises:
        SettingsError: a value is out of range.
    """
    plain = {w.field.name: plain_value(w.field, v) for w, v in zip(widgets, values, strict=True)}
    changed = {}
    for widget in widgets:
        field = widget.field
        if not is_shown(field, plain):
            continue
        value = field.check(plain[field.name])
        if value != field.default:
            changed[field.name] = value
    return changed
