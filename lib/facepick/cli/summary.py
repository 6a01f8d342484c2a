"""Summaries for people: tables as wide as the terminal, sentences, and what to do next."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from facepick.text import printable, say

__all__ = ["changes_of", "count", "say_next", "say_table", "say_text", "shell_word", "tell_changed"]

# No line is broken in a pipe: who searches there looks for whole lines.
UNBROKEN = 10_000


def _width() -> int:
    if not sys.stdout.isatty():
        return UNBROKEN
    return max(40, shutil.get_terminal_size().columns)


def say_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without lines; the last column is broken where the terminal is narrow.

    Args:
        headers: as many as columns; all empty: none is shown.
        rows: a text for each column.
    """
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
        show_header=any(headers),
    )
    for number, header in enumerate(headers, 1):
        last = number == len(headers)
        table.add_column(header, no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    _print(table)


def say_text(text: str, indent: int = 0) -> None:
    """Print a sentence, broken between words where the terminal is narrow."""
    from rich.padding import Padding
    from rich.text import Text

    _print(Padding(Text(printable(text)), (0, 0, 0, indent)))


def say_next(steps: Sequence[tuple[str, str]]) -> None:
    """Print what to do next: commands, each with what it does; on a terminal only."""
    if not sys.stdout.isatty() or not steps:
        return
    say("")
    say("Next:")
    wide = max(len(command) for command, _ in steps)
    for command, what in steps:
        # One command a line, so that it can be copied.
        beside = wide + len(what) + 5 <= _width()
        say(f"  {command:<{wide}}  {what}" if beside else f"  {command}")
        if not beside:
            say_text(what, 6)


def _print(drawn: object) -> None:
    """Print what rich draws; bold on a terminal only, and no spaces at the ends of lines."""
    from io import StringIO

    from rich.console import Console

    page = StringIO()
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    Console(
        file=page, width=_width(), markup=False, emoji=False, highlight=False,
        force_terminal=not plain, color_system=None if plain else "standard",
        legacy_windows=False,
    ).print(drawn)  # fmt: skip
    for line in page.getvalue().splitlines():
        print(line.rstrip())


def count(number: int, one: str, many: str = "") -> str:
    """Word a number of things.

    >>> count(1, "frame"), count(3, "frame"), count(0, "person", "people")
    ('1 frame', '3 frames', '0 people')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def shell_word(path: str) -> str:
    """Quote a file name for the command lines that are shown, where that is needed.

    >>> shell_word("a b.mp4"), shell_word("a.mp4")
    ('"a b.mp4"', 'a.mp4')
    """
    plain = path and all(letter.isalnum() or letter in "-_./\\:+@%," for letter in path)
    if plain or os.name == "nt":
        return path if plain else f'"{path}"'
    import shlex

    return f'"{path}"' if not set(path) & set('"$`\\!') else shlex.quote(path)


def tell_changed(result: Mapping[str, Any]) -> None:
    """Print where a result is, and how many frames were changed of whom."""
    say(result.get("out", ""))
    if result.get("review"):
        say(f"review\t{result['review']}")
    for line in changes_of(result):
        say(line)


def changes_of(result: Mapping[str, Any]) -> Iterator[str]:
    """Word what was changed of whom, and what was left alone and why."""
    for what, frames in sorted(result.get("changed", {}).items()):
        closed = result.get("closed", {}).get(what, 0)
        left = result.get("left", {}).get(what, {})
        yield (
            f"{what}: {frames} of {result.get('frames')} frames changed"
            + (f", {closed} of them to close the mouth" if closed else "")
            + (f" (left alone: {', '.join(f'{k} {v}' for k, v in left.items())})" if left else "")
        )
