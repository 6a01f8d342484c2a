"""``facepick engines``: the engines there are, and guests to add, try and remove."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from facepick.cli.console import make_app, print_json, watched
from facepick.errors import UserInputError
from facepick.text import say

__all__ = ["build_engines"]


def build_engines(parser: argparse.ArgumentParser) -> None:
    """Add what `facepick engines` takes."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all engines by flow, guests among them")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_list)
    add = actions.add_parser("add", help="add a guest engine described in a TOML file")
    add.add_argument("name", metavar="NAME", help="what it is called: --engine NAME")
    add.add_argument("file", metavar="FILE.toml", help="its description; see docs/guests.md")
    add.add_argument("--force", action="store_true", help="replace one of the same name")
    add.set_defaults(handler=_add)
    test = actions.add_parser("test", help="have a guest make one short clip and check it")
    test.add_argument("name", metavar="NAME", help="which guest")
    test.set_defaults(handler=_test)
    remove = actions.add_parser("remove", help="forget a guest engine")
    remove.add_argument("name", metavar="NAME", help="which guest")
    remove.set_defaults(handler=_remove)


def _list(options: argparse.Namespace) -> int:
    from facepick.engines.guest.store import guests

    own = {(guest.flow, guest.name) for guest in guests()}
    specs = [engine.spec for engine in make_app().registry.all()]
    if options.json:
        print_json(
            [
                {
                    "id": spec.id,
                    "flow": spec.flow,
                    "label": spec.label,
                    "licence": spec.licence,
                    "commercial_use": spec.commercial_use,
                    "guest": (spec.flow, spec.id) in own,
                }
                for spec in specs
            ]
        )
        return 0
    for spec in specs:
        guest = " (guest)" if (spec.flow, spec.id) in own else ""
        say(f"{spec.flow}\t{spec.id}\t{spec.label}{guest}\t{spec.licence}")
    return 0


def _add(options: argparse.Namespace) -> int:
    from facepick.engines.guest.call import check_guest
    from facepick.engines.guest.description import read_description
    from facepick.engines.guest.store import add_guest, guests

    described = read_description(Path(options.file), name=options.name)
    known = {e.spec.id for e in make_app().registry.all()} - {g.name for g in guests()}
    if options.name in known:
        raise UserInputError(
            f"There is a built-in engine {options.name}.", hint="Take another name."
        )
    check_guest(described)
    guest = add_guest(options.name, Path(options.file), force=options.force)
    say(f"{guest.name} is added: {guest.label}, {guest.flow}. Licence: {guest.licence}.")
    say(f"Try it with: facepick engines test {guest.name}")
    return 0


def _test(options: argparse.Namespace) -> int:
    from facepick.demo import demo_clip, demo_speech
    from facepick.engines.guest.trial import try_guest

    with (
        watched("none") as (_, token),
        tempfile.TemporaryDirectory(prefix="facepick-") as folder,
    ):
        trial = try_guest(
            options.name,
            Path(folder),
            video=demo_clip(),
            speech=demo_speech(),
            models=make_app().models,
            cancel=token,
        )
    say(
        f"{trial.label} works: {trial.frames} frames of {trial.side}x{trial.side} in "
        f"{trial.seconds:.1f} s."
    )
    return 0


def _remove(options: argparse.Namespace) -> int:
    from facepick.engines.guest.store import remove_guest

    remove_guest(options.name)
    say(f"{options.name} is removed.")
    return 0
