"""``facepick people``: scan videos, list the people, correct the result."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.cli.console import make_app, print_json, watched
from facepick.cli.options import add_progress, add_scan_options, given, ids
from facepick.errors import UserInputError
from facepick.jsonfile import as_json, write_json
from facepick.text import say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.people.identity import Scan

__all__ = ["build_people"]


def build_people(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", metavar="VIDEO", nargs="+", help="one or several videos")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (- = standard output)"
    )
    parser.add_argument(
        "--gallery", metavar="DIR", help="write thumbnails and one overview picture"
    )
    edits = parser.add_argument_group(
        "correcting the result (kept, and applied again after a re-scan)"
    )
    edits.add_argument(
        "--merge",
        metavar="P1,P3",
        action="append",
        help="these are one person; where both are on screen the worse face is cut off",
    )
    edits.add_argument(
        "--split", metavar="P2:T5,T7", action="append", help="these tracks are somebody else"
    )
    edits.add_argument("--rename", metavar="P1=NAME", action="append", help="give a name")
    edits.add_argument("--ignore", metavar="P4", action="append", help="leave out of the gallery")
    edits.add_argument("--restore", metavar="P4", action="append", help="take --ignore back")
    edits.add_argument("--undo", action="store_true", help="take the last correction back")
    add_scan_options(parser, set())
    add_progress(parser)
    parser.set_defaults(handler=_people)


def _people(options: argparse.Namespace) -> int:
    from facepick.people.finder import ScanSettings
    from facepick.settings import from_mapping

    app = make_app()
    settings = from_mapping(ScanSettings, given(options, ScanSettings))
    _check_places(options)
    scans: list[Scan] = []
    with watched(options.progress) as (sink, token):
        for video in options.video:
            found = app.find_people(video, settings, progress=sink, cancel=token)
            scans.append(_edited(app, found, options))
    _write_people(scans, options)
    return 0


def _check_places(options: argparse.Namespace) -> None:
    """Refuse at once what could not be written after a long scan."""
    if options.gallery:
        Path(options.gallery).mkdir(parents=True, exist_ok=True)
    if options.json and options.json != "-":
        out = Path(options.json).absolute()
        if out.is_dir() or not os.access(out.parent, os.W_OK):
            raise UserInputError(
                f"{options.json} cannot be written.", hint="Give a file name in a folder of yours."
            )


def _edited(app: App, scan: Scan, options: argparse.Namespace) -> Scan:
    from facepick.people import edits

    if options.undo:
        scan = app.undo_edit(scan)
    for text in options.merge or ():
        scan = app.edit_people(scan, edits.Merge(people=ids(text)))
    for text in options.split or ():
        person, _, tracks = text.partition(":")
        scan = app.edit_people(scan, edits.Split(person=person, tracks=ids(tracks)))
    for text in options.rename or ():
        person, equals, name = text.partition("=")
        if not equals:
            raise UserInputError(f"--rename {text} has no '='.", hint="Write: --rename P1=Anna")
        scan = app.edit_people(scan, edits.Rename(person=person, name=name.strip()))
    for text in options.ignore or ():
        for person in ids(text):
            scan = app.edit_people(scan, edits.Ignore(person=person))
    for text in options.restore or ():
        for person in ids(text):
            scan = app.edit_people(scan, edits.Ignore(person=person, ignored=False))
    return scan


def _write_people(scans: Sequence[Scan], options: argparse.Namespace) -> None:
    from facepick.people.export import people_json

    if options.gallery:
        from facepick.people.gallery import write_gallery

        for scan in scans:
            folder = Path(options.gallery)
            if len(scans) > 1:
                folder = folder / scan.video.path.stem
            write_gallery(scan, folder)
            say(f"Pictures of them: {folder / 'gallery.jpg'}", file=sys.stderr)
    data = [people_json(scan) for scan in scans]
    if options.json:
        plain = data[0] if len(data) == 1 else data
        if options.json == "-":
            print_json(plain)
            return
        out = Path(options.json)
        if out.exists() and not out.is_file():
            # A pipe or /dev/stdout, which must not be replaced by a file.
            out.write_text(as_json(plain) + "\n", encoding="utf-8")
        else:
            write_json(out, plain)
    if options.progress == "jsonl":
        for scan in scans:
            print_json({"event": "done", "people": len(scan.people), "frames": scan.frames})
        return
    for scan in scans:
        if len(scans) > 1:
            say(f"# {scan.video.path}")
        _print_people(scan)
        if not scan.people:
            say(f"Nobody was found in {scan.video.path.name}.", file=sys.stderr)
        if scan.decode_failures:
            say(
                f"{scan.video.path.name}: {scan.decode_failures} damaged parts were passed over.",
                file=sys.stderr,
            )


def _print_people(scan: Scan) -> None:
    """One line for everybody, and one for the crowd."""
    for person in scan.people:
        if person.group:
            continue
        marks = [m for m, on in (("unsure", person.unsure), ("ignored", person.ignored)) if on]
        if person.may_be:
            marks.append("may be " + ", ".join(f"{key} ({s:.2f})" for key, s in person.may_be))
        fields = (
            person.id,
            f"{float(person.screen_time):.1f} s",
            f"{person.frames} frames",
            f"confidence {person.confidence:.2f}",
            person.name or "-",
            " ".join(marks),
        )
        say("\t".join(fields).rstrip())
    crowd = [p for p in scan.people if p.group]
    if crowd:
        few = len(crowd) == 1
        say(
            f"{','.join(p.id for p in crowd)}\t{len(crowd)} {'bystander' if few else 'bystanders'}"
            "\tunsure: a few blurred frames, or far away"
        )
