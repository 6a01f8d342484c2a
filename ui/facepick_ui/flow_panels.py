"""Widgets made from settings dataclasses, one panel an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from facepick.engines.engine import EngineSpec
from facepick.settings import SettingField, fields_of
from facepick_ui import compat, messages
from facepick_ui.settings_form import Panel, Widget, choices_of, is_shown

__all__ = ["engine_panel", "settings_widgets"]

Components = dict[str, Any]
"""gradio's components, by name."""


def _lacks_nothing(choice: str) -> bool:
    return False


def engine_panel(
    spec: EngineSpec,
    language: str,
    into: Components,
    *,
    visible: bool,
    lacks: Callable[[str], bool],
) -> Panel:
    """Build the panel of an engine: settings, and a fold for the advanced ones.

    Where the flow asks for a sound or a face, which comes first, the settings are in a fold too.

    Args:
        into: takes the components: the column ``NAME``, the folds ``NAME_settings`` and
            ``NAME_advanced``, and one for each setting.
    """
    name = f"panel_{spec.flow}_{spec.id}"
    # Which face of a photo is chosen by a click on it.
    skip = ("face",) if spec.needs_source else ()
    build_settings = partial(
        settings_widgets,
        spec.settings, f"{spec.flow}_{spec.id}_", language, into, skip=skip, lacks=lacks,
    )  # fmt: skip

    def fold(word: str) -> Any:
        label = messages.text(word, language)
        into[f"{name}_{word}"] = compat.build(
            "Accordion", label=label, open=False, elem_id=f"facepick_{name}_{word}"
        )
        return into[f"{name}_{word}"]

    ranks = {f.ui.advanced for f in fields_of(spec.settings) if f.name not in skip}
    with compat.build("Column", elem_id=f"facepick_{name}", visible=visible) as column:
        widgets = []
        folded = spec.needs_audio or spec.needs_source
        if not folded:
            widgets += build_settings(advanced=False)
        with compat.build("Row", elem_id=f"facepick_{name}_folds"):
            if folded and False in ranks:
                with fold("settings"):
                    widgets += build_settings(advanced=False)
            if True in ranks:
                with fold("advanced"):
                    widgets += build_settings(advanced=True)
    into[name] = column
    return Panel(spec=spec, name=name, widgets=tuple(widgets))


def settings_widgets(
    settings: type[Any],
    prefix: str,
    language: str,
    into: Components,
    *,
    advanced: bool | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    lacks: Callable[[str], bool] = _lacks_nothing,
) -> list[Widget]:
    """Build widgets of settings.

    Args:
        settings: the dataclass.
        prefix: of the components' names.
        language: of the labels.
        into: takes the components, by name.
        advanced: whether those that are (not) advanced; None for both.
        only: names of fields, if there are any.
        skip: names of fields.
        lacks: see `Widget`.
    """
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
        into[name] = _component(field, name, language, lacks, visible=is_shown(field, defaults))
        made.append(Widget(name=name, field=field, lacks=lacks))
    return made


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
