"""``facepick models`` and ``facepick doctor``: what is there and what is missing."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from facepick.cli.console import make_app, print_json, watched
from facepick.cli.options import add_progress
from facepick.cli.summary import say_next, say_table, say_text
from facepick.errors import UserInputError
from facepick.text import say

if TYPE_CHECKING:
    from facepick.doctor import Check, Readiness

__all__ = ["build_doctor", "build_models"]


def build_models(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick models``."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all model files that facepick can use")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_models_list)
    fetch = actions.add_parser("fetch", help="download model files")
    fetch.add_argument("id", metavar="ID", nargs="*", help="which; see `facepick models list`")
    fetch.add_argument("--default", action="store_true", help="those the built-in engines need")
    add_progress(fetch)
    fetch.set_defaults(handler=_models_fetch)
    verify = actions.add_parser("verify", help="compare the files that are there with their hashes")
    verify.set_defaults(handler=_models_verify)


def _models_list(options: argparse.Namespace) -> int:
    from facepick.models.catalog import all_specs

    app = make_app()
    rows = [
        {
            "id": spec.id,
            "file": spec.file,
            "path": str(path) if (path := app.models.find(spec)) else None,
            "size": spec.size,
            "sha256": spec.sha256,
            "licence": spec.licence,
            "commercial_use": spec.commercial_use,
            "purpose": spec.purpose,
            "can_fetch": spec.can_fetch,
        }
        for spec in all_specs()
    ]
    if options.json:
        print_json(rows)
        return 0
    for row in rows:
        state = "here" if row["path"] else ("can be fetched" if row["can_fetch"] else "bring it")
        say(f"{row['id']}\t{state}\t{row['licence']}\t{row['purpose']}")
    return 0


def _models_fetch(options: argparse.Namespace) -> int:
    from facepick.models.catalog import default_specs, spec_by_id

    app = make_app()
    specs = [spec_by_id(i) for i in options.id]
    if options.default:
        specs.extend(s for s in default_specs() if s not in specs)
    if not specs:
        raise UserInputError("No model is named.", hint="See: facepick models list")
    for spec in specs:
        if not spec.commercial_use:
            say(f"{spec.id}: licence {spec.licence} (no commercial use).", file=sys.stderr)
        with watched(options.progress) as (sink, token):
            path = app.models.fetch(spec, progress=sink, cancel=token)
        if options.progress == "jsonl":
            print_json({"event": "done", "model": spec.id, "path": str(path)})
        else:
            say(f"{spec.id}\t{path}")
    return 0


def _models_verify(options: argparse.Namespace) -> int:
    from facepick.models.catalog import all_specs

    app = make_app()
    for spec in all_specs():
        if app.models.find(spec) is not None:
            path = app.models.verify(spec)
            say(f"{spec.id}\tgood\t{path}")
    return 0


def build_doctor(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick doctor``."""
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(handler=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    app = make_app()
    checks = app.doctor()
    if options.json:
        rows = [dataclasses.asdict(c) for c in checks]
        print_json(rows)
        return 0
    if options.verbose:
        _tell_all(checks)
    else:
        _tell_flows(app.readiness(checks), checks)
    missing = [check.name for check in checks if check.required and not check.ok]
    if missing:
        say_text(f"Needed and not as it should be: {', '.join(missing)}.")
        return 0
    say_text(
        "Everything that is needed is here; what is marked - only some flows use."
        if options.verbose
        else "Everything that is needed is here. facepick doctor --verbose says how to set up "
        "the rest, and lists every file."
    )
    say_next(
        [
            ("facepick demo", "the main job on a clip that comes with facepick"),
            ("facepick people VIDEO", "who is in a video of yours"),
        ]
    )
    return 0


def _tell_all(checks: Sequence[Check]) -> None:
    """Print every check, with what to do where it is not as it should be."""
    for check in checks:
        state = "ok  " if check.ok else "MISS" if check.required else "-   "
        say(f"{state} {check.name}: {check.detail}")
        if not check.ok and check.fix:
            say(f"     -> {check.fix}")


# Of the checks that only some flows use, those that `Readiness` words, or that nobody must mend.
_WORDED = ("model ", "package ", "espeak-ng", "hardware encoders")


def _tell_flows(flows: Sequence[Readiness], checks: Sequence[Check]) -> None:
    """Print what works, by flow, and what should be looked at."""
    import platform

    from facepick import __version__

    found = {check.name: check.detail for check in checks}
    device = found.get("onnxruntime device", "no onnxruntime").split(";")[0].upper()
    say_text(
        f"facepick {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}; computes on: {device}"
    )
    base = all(check.ok for check in checks if check.required)
    lacking = "not set up" if base else "NOT READY"
    rows = [(flow.what, "ready" if flow.ready else lacking, flow.detail) for flow in flows]
    if "disk" in found:
        disk = next(check for check in checks if check.name == "disk")
        rows.append(("Room", "enough" if disk.ok else "LITTLE", f"{disk.detail}, {found['home']}"))
    say_table(("", "", ""), rows)
    for check in checks:
        if not check.ok and (check.required or not check.name.startswith(_WORDED)):
            say_text(f"{'MISSING' if check.required else 'Look at'} {check.name}: {check.detail}")
            say_text(f"-> {check.fix}", 4)
