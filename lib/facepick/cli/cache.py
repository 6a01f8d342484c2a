"""``facepick cache``: what is kept, clearing it, its limit."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from facepick.cli.console import make_app, print_json
from facepick.errors import SettingsError
from facepick.text import say

__all__ = ["build_cache"]


def build_cache(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick cache``."""
    from facepick.cache import KINDS

    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(handler=_show)
    actions = parser.add_subparsers(metavar="ACTION")
    clear = actions.add_parser(
        "clear",
        help="remove what can be made again; corrections, saved faces, the cast and jobs stay",
    )
    clear.add_argument("kind", nargs="*", metavar="|".join(KINDS), help="only these (default: all)")
    clear.set_defaults(handler=_clear)
    limit = actions.add_parser(
        "limit", help="how many GB may be kept; beyond, the longest unused goes"
    )
    limit.add_argument("gb", metavar="GB", help="0 keeps everything")
    limit.set_defaults(handler=_limit)


def _show(options: argparse.Namespace) -> int:
    report = make_app().storage()
    if options.json:
        print_json(report)
        return 0
    for row in report["kept"]:
        say(f"{row['id']}\t{row['count']}\t{_size(row['bytes'])}\t{row['how']}")
    limit = report["limit_gb"]
    say(f"limit\t{f'{limit:g} GB' if limit else 'none'}\tfor what can be made again\tcache limit")
    say(f"free\t{_size(report['free_bytes'])}\t{report['home']}")
    return 0


def _clear(options: argparse.Namespace) -> int:
    from facepick.cache import KINDS

    wrong = [kind for kind in options.kind if kind not in KINDS]
    if wrong:
        raise SettingsError(f"There is no {wrong[0]!r} in the cache.", hint=", ".join(KINDS) + ".")
    app = make_app()
    removed = app.clear_cache(options.kind or KINDS)
    freed = sum(entry.size for entry in removed)
    say(f"{len(removed)} entries removed, {_size(freed)} freed.")
    return 0


def _limit(options: argparse.Namespace) -> int:
    app = make_app()
    aside: Any = app.set_cache_limit(options.gb)
    if aside is not None:
        say(f"facepick: The older settings were set aside: {aside}", file=sys.stderr)
    removed = app.trim_cache()
    limit = app.storage_settings().cache_limit_gb
    say(f"The limit is {limit:g} GB." if limit else "There is no limit.")
    if removed:
        say(f"{len(removed)} entries removed.")
    return 0


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
