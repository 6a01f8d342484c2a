"""``facepick people``: scan videos, list the people, correct the result."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.cli.console import make_app, print_json, tell, watched
from facepick.cli.options import add_progress, add_scan_options, given, ids
from facepick.errors import UserInputError
from facepick.files import as_json
from facepick.publishing import refuse_input, refuse_output, write_output
from facepick.text import say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.people.edits import Corrected, Edit
    from facepick.people.person import Scan
    from facepick.progress import CancelToken

__all__ = ["build_people"]


def build_people(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick people``."""
    parser.add_argument("video", metavar="VIDEO", nargs="+", help="one or several videos")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (- = standard output)"
    )
    parser.add_argument(
        "--gallery", metavar="DIR", help="write thumbnails and one overview picture"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite files that facepick did not write"
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
    edits.add_argument(
        "--cut",
        metavar="T4@13.2",
        action="append",
        help="this track is somebody else from that second on (T4@..13.2: before it)",
    )
    edits.add_argument(
        "--add",
        metavar="12.5:X0,Y0,X1,Y1=NAME",
        action="append",
        help="a face that was not found: its box at a second, in pixels, and whose it is; it is "
        "followed to both sides until it is lost",
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
    wanted = _edits(options)
    tried: list[Corrected] = []
    with watched(options.progress) as (sink, token):
        for video in options.video:
            found = app.find_people(video, settings, progress=sink, cancel=token)
            lost = app.edits_problem(found)
            if lost is not None:
                tell([lost], options.progress)
            by_hand = _by_hand(app, found, options, token)
            tried.append(app.try_edits(found, [*wanted, *by_hand], undo=options.undo))
    # All of them could be made, of every video: only now are they kept.
    for corrected in tried:
        aside = app.store_edits(corrected)
        if aside is not None:
            say(f"facepick: The older corrections were set aside: {aside}", file=sys.stderr)
    _write_people([corrected.scan for corrected in tried], options)
    return 0


def _by_hand(app: App, scan: Scan, options: argparse.Namespace, cancel: CancelToken) -> list[Edit]:
    """Collect cuts and drawn boxes, which are about moments of this video."""
    from facepick.people import edits

    made: list[Edit] = []
    for text in options.cut or ():
        track, at, when = text.partition("@")
        before = when.startswith("..")
        if not at:
            raise UserInputError(f"{text!r:.60} names no moment.", hint="Write --cut T4@13.2.")
        frame = app.frame_at(scan, _second(when.removeprefix("..")))
        made.append(edits.Cut(track=track, frame=frame, before=before))
    for text in options.add or ():
        when, colon, rest = text.partition(":")
        numbers, equals, name = rest.partition("=")
        values = [_second(v) for v in numbers.split(",")]
        if not colon or not equals or len(values) != 4 or not name.strip():
            raise UserInputError(
                f"{text!r:.60} is no box.", hint='Write --add "12.5:100,80,180,190=Anna".'
            )
        box = (values[0], values[1], values[2], values[3])
        made.append(app.follow(scan, _second(when), box, to=name.strip(), cancel=cancel))
    return made


def _second(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e7:
        raise UserInputError(f"{text!r:.40} is no number from 0.", hint="Write 12.5, for example.")
    return value


def _check_places(options: argparse.Namespace) -> None:
    """Refuse at once what could not be written after a long scan."""
    if options.gallery:
        Path(options.gallery).mkdir(parents=True, exist_ok=True)
        if len(options.video) == 1:
            refuse_output(Path(options.gallery) / "gallery.jpg", force=options.force)
    if options.json and options.json != "-":
        out = Path(options.json).absolute()
        if out.is_dir() or not os.access(out.parent, os.W_OK):
            raise UserInputError(
                f"{options.json} cannot be written.", hint="Give a file name in a folder of yours."
            )
        refuse_input(out, [Path(video) for video in options.video])
        refuse_output(out, force=options.force)


def _edits(options: argparse.Namespace) -> list[Edit]:
    """Collect the corrections that were asked for, in the order in which they are made."""
    from facepick.people import edits

    wanted: list[Edit] = [edits.Merge(people=ids(text)) for text in options.merge or ()]
    for text in options.split or ():
        person, _, tracks = text.partition(":")
        wanted.append(edits.Split(person=person, tracks=ids(tracks)))
    for text in options.rename or ():
        person, equals, name = text.partition("=")
        if not equals:
            raise UserInputError(f"--rename {text} has no '='.", hint="Write: --rename P1=Anna")
        wanted.append(edits.Rename(person=person, name=name.strip()))
    for texts, ignored in ((options.ignore, True), (options.restore, False)):
        for person in (key for text in texts or () for key in ids(text)):
            wanted.append(edits.Ignore(person=person, ignored=ignored))
    return wanted


def _write_people(scans: Sequence[Scan], options: argparse.Namespace) -> None:
    from facepick.people.export import people_json

    if options.gallery:
        from facepick.people.gallery import write_gallery

        for scan in scans:
            folder = Path(options.gallery)
            if len(scans) > 1:
                folder = folder / scan.video.path.stem
            write_gallery(scan, folder, force=options.force)
            say(f"Pictures of them: {folder / 'gallery.jpg'}", file=sys.stderr)
    data = [people_json(scan) for scan in scans]
    if options.json:
        plain = data[0] if len(data) == 1 else data
        if options.json == "-":
            print_json(plain)
            return
        write_output(Path(options.json), as_json(plain) + "\n", force=options.force)
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
    """Print one line for everybody, and one for the crowd."""
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
