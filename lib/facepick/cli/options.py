"""Options made from settings, which several commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facepick.settings import SettingField

__all__ = [
    "add_progress",
    "add_scan_options",
    "add_settings",
    "count_of",
    "given",
    "given_scan",
    "ids",
    "number",
]


def add_progress(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options for showing progress."""
    parser.add_argument(
        "--progress",
        choices=("auto", "bar", "jsonl", "none"),
        default="auto",
        help="how progress is shown: a bar on a terminal, one JSON object a line, or not at all",
    )


def add_settings(
    parser: argparse.ArgumentParser,
    fields: Sequence[SettingField],
    title: str,
    taken: set[str],
    prefix: str = "setting",
) -> None:
    """Add an option for every setting whose name is not taken.

    Args:
        parser: of the command.
        fields: the settings.
        title: of their group.
        taken: names that options have already; these are added to it.
        prefix: of the attributes in which `given` finds them.
    """
    group = parser.add_argument_group(title)
    for item in fields:
        if item.name in taken:
            continue
        taken.add(item.name)
        default = "" if item.default is None else f" (default: {item.default})"
        text = (item.ui.help + default).replace("%", "%%")
        kind: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": f"{prefix}_{item.name}"}
        if item.kind == "bool":
            group.add_argument(
                item.option, action=argparse.BooleanOptionalAction, help=text, **kind
            )
        elif item.kind == "choice":
            group.add_argument(item.option, metavar="|".join(item.ui.choices), help=text, **kind)
        else:
            metavar = {"int": "N", "float": "X", "color": "#RRGGBB", "file": "FILE"}
            group.add_argument(
                item.option, metavar=metavar.get(item.kind, "TEXT"), help=text, **kind
            )


def given(options: argparse.Namespace, cls: type[Any], prefix: str = "setting") -> dict[str, Any]:
    """Collect the settings of `cls` that were given on the command line."""
    from facepick.settings import fields_of

    values = vars(options)
    names = [f.name for f in fields_of(cls)]
    return {name: values[f"{prefix}_{name}"] for name in names if f"{prefix}_{name}" in values}


def given_scan(options: argparse.Namespace) -> dict[str, Any]:
    """Collect what was given of how people are found."""
    from facepick.people.finder import ScanSettings

    return given(options, ScanSettings, "scan")


def add_scan_options(parser: argparse.ArgumentParser, taken: set[str]) -> None:
    """Add the options for how people are found."""
    from facepick.people.finder import ScanSettings
    from facepick.settings import fields_of

    # Engines have settings of the same names, which mean something else.
    add_settings(parser, fields_of(ScanSettings), "how people are found", taken, "scan")


def number(text: str) -> float:
    """Read the value of an option that is a time or a length.

    Raises:
        argparse.ArgumentTypeError: no number, NaN, infinite or negative.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"it is {text!r} but must be a number, 0 or more")
    return value


def count_of(text: str) -> int:
    """Read the value of an option that says how many work at once.

    Raises:
        argparse.ArgumentTypeError: no number from 1 to 64.
    """
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"it is {text!r} but must be a number from 1 to 64")
    return int(text)


def ids(text: str) -> tuple[str, ...]:
    """Split ids at commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
