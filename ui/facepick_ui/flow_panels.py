"""Widgets made from settings dataclasses, one panel an engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facepick.engines.engine import EngineSpec
from facepick.settings import SettingField, fields_of
from facepick_ui import compat, messages

__all__ = ["Panel", "Widget", "changed_values", "engine_panel", "plain_value", "settings_widgets"]


@dataclass(frozen=True, kw_only=True)
class Widget:
    """One setting on the page.

    Attributes:
        name: of the component; its element id is ``facepick_`` + name.
        field: the setting.
        component: gradio's.
        lacks: whether a choice has no model file on this machine; asked anew for every page.
    """

    name: str
    field: SettingField
    component: Any
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
    column: Any
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


def _lacks_nothing(choice: str) -> bool:
    return False


def engine_panel(
    spec: EngineSpec, language: str, *, visible: bool, lacks: Callable[[str], bool]
) -> tuple[Panel, Any]:
    """The panel of an engine and its 'Advanced' accordion, or None without advanced settings."""
    name = f"panel_{spec.flow}_{spec.id}"
    prefix = f"{spec.flow}_{spec.id}_"
    advanced = None
    with compat.build("Column", elem_id=f"facepick_{name}", visible=visible) as column:
        # Which face of a photo is chosen by a click on it.
        skip = ("face",) if spec.needs_source else ()
        widgets = settings_widgets(
            spec.settings, prefix, language, advanced=False, skip=skip, lacks=lacks
        )
        if any(f.ui.advanced for f in fields_of(spec.settings)):
            with compat.build(
                "Accordion",
                label=messages.text("advanced", language),
                open=False,
                elem_id=f"facepick_{name}_advanced",
            ) as advanced:
                widgets += settings_widgets(
                    spec.settings, prefix, language, advanced=True, skip=skip, lacks=lacks
                )
    return Panel(spec=spec, name=name, column=column, widgets=tuple(widgets)), advanced


def settings_widgets(
    settings: type[Any],
    prefix: str,
    language: str,
    *,
    advanced: bool | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    lacks: Callable[[str], bool] = _lacks_nothing,
) -> list[Widget]:
    """Widgets of those settings that are (not) advanced, None for all of them; of those in
    `only` if there are any, and not of those in `skip`.  `lacks`: see `Widget`."""
    fields = fields_of(settings)
    defaults = {f.name: f.default for f in fields}
    chosen = [
        f
        for f in fields
        if f.name not in skip
        and (not only or f.name in only)
        and (advanced is None or f.ui.advanced is advanced)
    ]
    made = []
    for field in chosen:
        name = prefix + field.name
        component = _component(field, name, language, lacks, visible=is_shown(field, defaults))
        made.append(Widget(name=name, field=field, component=component, lacks=lacks))
    return made


def is_shown(field: SettingField, values: Mapping[str, Any]) -> bool:
    """Whether the setting matters while the others have these values."""
    if field.ui.only_when is None:
        return True
    other, wanted = field.ui.only_when
    value = values.get(other)
    return (str(value).lower() if isinstance(value, bool) else str(value)) in wanted


def _component(
    field: SettingField,
    name: str,
    language: str,
    lacks: Callable[[str], bool],
    *,
    visible: bool,
) -> Any:
    ui = field.ui
    common = {
        "label": messages.setting_label(ui.label, language, ui.unit),
        "info": messages.setting_help(ui.label, ui.help, language),
        "elem_id": f"facepick_{name}",
        "visible": visible,
        "interactive": True,
    }
    if field.kind == "bool":
        return compat.build("Checkbox", value=field.default, **common)
    if field.kind in ("int", "float"):
        step = ui.step if ui.step is not None else (1 if field.kind == "int" else 0.01)
        if ui.min is not None and ui.max is not None and not field.optional:
            return compat.build(
                "Slider",
                minimum=ui.min, maximum=ui.max, step=step, value=field.default, **common,
            )  # fmt: skip
        precision = 0 if field.kind == "int" else None
        return compat.build("Number", value=field.default, precision=precision, **common)
    if field.kind == "choice":
        return compat.build(
            "Dropdown", choices=choices_of(field, language, lacks), value=field.default, **common
        )
    if field.kind == "color":
        return compat.build("ColorPicker", value=field.default, **common)
    if field.kind == "file":
        return compat.build("File", file_count="single", height=120, **common)
    return compat.build("Textbox", value=field.default or "", **common)


def plain_value(field: SettingField, value: Any) -> Any:
    """What the core understands, from what this gradio's widget gives."""
    if field.kind == "file":
        return compat.path_of(value)
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
    """Checked values of those settings that differ from their default.

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
