"""One source of truth for settings.

A group of settings is a frozen dataclass whose fields are made by `setting`: label, help and
range stand beside the default.  The tab's widgets, the command line's options and the HTTP
schema are generated from them (`fields_of`), and `from_mapping` checks every value that comes
from outside.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from facepick.errors import SettingsError

__all__ = [
    "SettingField",
    "Ui",
    "fields_of",
    "from_mapping",
    "json_schema",
    "option_words",
    "setting",
    "to_mapping",
]

S = TypeVar("S")
Kind = Literal["bool", "int", "float", "text", "choice", "color", "file"]


@dataclass(frozen=True, kw_only=True)
class Ui:
    """Presentation of a setting to a person.

    Attributes:
        label: the name shown, sentence case, in English (the key of the word catalogue).
        help: one sentence on what the setting does.
        min, max, step: range of a number, both ends included.
        choices: the allowed texts, for a choice.
        unit: unit shown behind the number, such as ``px`` or ``s``; may be empty.
        advanced: kept behind 'Advanced'.
        kind: overrides the kind that follows from the type: ``color`` (``#rrggbb``), ``file``.
        only_when: ``(field name, values)``: shown only while that field has one of the values.
    """

    label: str
    help: str
    min: float | None = None
    max: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    advanced: bool = False
    kind: Kind | None = None
    only_when: tuple[str, tuple[str, ...]] | None = None


def setting(
    default: Any,
    *,
    label: str,
    help: str,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    choices: tuple[str, ...] = (),
    unit: str = "",
    advanced: bool = False,
    kind: Kind | None = None,
    only_when: tuple[str, tuple[str, ...]] | None = None,
) -> Any:
    """Declare a dataclass field that carries its own `Ui`."""
    ui = Ui(
        label=label,
        help=help,
        min=min,
        max=max,
        step=step,
        choices=choices,
        unit=unit,
        advanced=advanced,
        kind=kind,
        only_when=only_when,
    )
    return field(default=default, metadata={"ui": ui})


@dataclass(frozen=True, kw_only=True)
class SettingField:
    """One setting as widgets, options and schemas need it.

    Attributes:
        name: the attribute's name; the option is ``--`` + name with dashes.
        kind: which widget and which check.
        default: the value when nothing is said.
        optional: whether None is allowed.
        ui: label, help and range.
    """

    name: str
    kind: Kind
    default: Any
    optional: bool
    ui: Ui

    @property
    def option(self) -> str:
        """Name of its option on the command line."""
        return "--" + self.name.replace("_", "-")

    def check(self, value: Any) -> Any:
        """Check and convert `value` to the field's own type.

        Raises:
            SettingsError: wrong type, outside the range, or not one of the choices.
        """
        if value is None or (value == "" and self.optional):
            if self.optional:
                return None
            raise self._error(value, "a value")
        if self.kind == "bool":
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.lower() in _BOOL_WORDS:
                return _BOOL_WORDS[value.lower()]
            raise self._error(value, "true or false")
        if self.kind in ("int", "float"):
            return self._check_number(value)
        if not isinstance(value, str):
            raise self._error(value, "a text")
        if self.kind == "choice" and value not in self.ui.choices:
            raise self._error(value, "one of " + ", ".join(self.ui.choices))
        if self.kind == "color":
            return self._check_color(value)
        return value

    def _check_number(self, value: Any) -> int | float:
        if isinstance(value, bool):
            raise self._error(value, "a number")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self._error(value, "a number") from None
        except OverflowError:
            raise self._error("so large", "a finite number") from None
        if not math.isfinite(number):
            raise self._error(value, "a finite number")
        if self.kind == "int":
            if number != int(number):
                raise self._error(value, "a whole number")
            number = int(number)
        low, high = self.ui.min, self.ui.max
        if (low is not None and number < low) or (high is not None and number > high):
            raise self._error(value, f"between {low:g} and {high:g}")
        return number

    def _check_color(self, value: str) -> str:
        digits = value[1:]
        if len(value) != 7 or value[0] != "#" or any(c not in _HEX for c in digits):
            raise self._error(value, "a colour such as #30a0ff")
        return value.lower()

    def _error(self, value: Any, wanted: str) -> SettingsError:
        return SettingsError(f"{self.option} is {value!r} but must be {wanted}.", hint=self.ui.help)


_HEX = set("0123456789abcdefABCDEF")
_BOOL_WORDS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


def fields_of(settings: type[Any] | Any) -> tuple[SettingField, ...]:
    """List the settings of a dataclass made with `setting`, in the order they are written."""
    cls = settings if isinstance(settings, type) else type(settings)
    hints = typing.get_type_hints(cls)
    found = []
    for item in dataclasses.fields(cls):
        ui = item.metadata.get("ui")
        if ui is None:
            continue
        kind, optional = _kind_of(hints[item.name], ui)
        if item.default is not dataclasses.MISSING:
            default = item.default
        else:
            raise TypeError(f"{cls.__name__}.{item.name} needs a plain default")
        found.append(
            SettingField(name=item.name, kind=kind, default=default, optional=optional, ui=ui)
        )
    return tuple(found)


def _kind_of(hint: Any, ui: Ui) -> tuple[Kind, bool]:
    args = typing.get_args(hint)
    optional = type(None) in args
    if optional:
        rest = [a for a in args if a is not type(None)]
        hint = rest[0]
    if ui.kind is not None:
        return ui.kind, optional
    if ui.choices:
        return "choice", optional
    if hint is bool:
        return "bool", optional
    if hint is int:
        return "int", optional
    if hint is float:
        return "float", optional
    if hint is str:
        return "text", optional
    raise TypeError(f"a setting cannot be of type {hint!r}")


def from_mapping(cls: type[S], values: Mapping[str, Any]) -> S:
    """Make an instance of `cls` from outside values; missing ones keep their default.

    Raises:
        SettingsError: an unknown name, or a value that fails its check.
    """
    known = {f.name: f for f in fields_of(cls)}
    unknown = [name for name in values if name not in known]
    if unknown:
        raise SettingsError(
            f"Unknown setting {unknown[0]!r}.", hint="Known settings: " + ", ".join(known) + "."
        )
    checked = {name: known[name].check(value) for name, value in values.items()}
    return cls(**checked)


def to_mapping(settings: Any) -> dict[str, Any]:
    """Convert the settings to plain JSON values; `from_mapping` takes them back."""
    return {f.name: getattr(settings, f.name) for f in fields_of(settings)}


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """Build the JSON Schema of a settings dataclass, for the HTTP API."""
    types = {"bool": "boolean", "int": "integer", "float": "number"}
    properties: dict[str, Any] = {}
    for item in fields_of(cls):
        entry: dict[str, Any] = {
            "type": types.get(item.kind, "string"),
            "title": item.ui.label,
            "description": item.ui.help,
            "default": item.default,
        }
        if item.optional:
            entry["type"] = [entry["type"], "null"]
        if item.ui.min is not None:
            entry["minimum"] = item.ui.min
        if item.ui.max is not None:
            entry["maximum"] = item.ui.max
        if item.kind == "choice":
            entry["enum"] = [*item.ui.choices, *([None] if item.optional else [])]
        properties[item.name] = entry
    return cast(
        dict[str, Any],
        {"type": "object", "properties": properties, "additionalProperties": False},
    )


def option_words(cls: type[Any], values: Mapping[str, Any]) -> list[str]:
    """Word settings as options of the command line, for a process of our own."""
    options = {item.name: item.option for item in fields_of(cls)}
    words = []
    for name, value in values.items():
        option = options[name]
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            words.append(f"{option}={value}")
    return words
