"""``facepick people``: scan videos, list the people, correct the result."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.cli.console import make_app, print_json, tell, watched
from facepick.cli.options import add_progress, add_scan_options, given_scan, ids
from facepick.cli.summary import count, say_next, say_table, say_text, shell_word
from facepick.errors import UserInputError
from facepick.files import as_json
from facepick.publishing import refuse_input, refuse_output, write_output
from facepick.text import clock, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from facepick.app import App
    from facepick.people.edits import Corrected, Edit
    from facepick.people.person import Person, Scan
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
    settings = from_mapping(ScanSettings, given_scan(options))
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
    for number, scan in enumerate(scans):
        if number:
            say("")
        _tell_people(scan, options.verbose)
    _say_next(scans, options)


def _tell_people(scan: Scan, verbose: bool) -> None:
    """Print who is in a video, who was kept apart and why."""
    name = scan.video.path.name
    sure = [p for p in scan.people if not p.unsure and not p.ignored]
    span = scan.pts[-1] - scan.pts[0] + scan.duration_pts if scan.frames else 0
    seconds = float(int(span) * scan.video.time_base)
    say_text(
        f"{name}: {count(len(sure), 'person', 'people')} in {seconds:.1f} s "
        f"({count(scan.frames, 'frame')}, {count(len(scan.shots), 'shot')})"
    )
    if sure:
        say("")
        columns = ("ID", "NAME", "ON SCREEN", "SURE", "SEEN AT")
        say_table(columns, [_row(scan, p, seconds, verbose) for p in sure])
    apart = [p for p in scan.people if p.unsure and not p.ignored]
    crowd = [] if verbose else [p for p in apart if p.group]
    apart = [p for p in apart if p not in crowd]
    if apart or crowd:
        say("")
        say_text("Kept apart, and changed only with --include-unsure:")
        say("")
    if apart:
        columns = ("ID", "NAME", "ON SCREEN", "MAY BE", "WHY")
        say_table(columns, [_doubtful_row(scan, p, verbose) for p in apart])
    if crowd:
        say_text(
            f"{_span_of_ids(crowd)}: {count(len(crowd), 'bystander')}, "
            "seen for a few blurred frames or far away"
        )
    ignored = [p.id + (f" ({p.name})" if p.name else "") for p in scan.people if p.ignored]
    if ignored:
        say("")
        say_text(f"Left out by you (--ignore): {', '.join(ignored)}")
    if not scan.people:
        say(f"Nobody was found in {name}.", file=sys.stderr)
    if scan.decode_failures:
        parts = count(scan.decode_failures, "damaged part")
        say(f"{name}: {parts} could not be read and were passed over.", file=sys.stderr)


def _row(scan: Scan, person: Person, seconds: float, verbose: bool) -> tuple[str, ...]:
    shown = float(person.screen_time)
    share = f" ({shown / seconds:.0%})" if seconds else ""
    tracks = f"; {count(person.frames, 'frame')}, tracks {', '.join(person.track_ids)}"
    return (
        person.id,
        person.name or "-",
        f"{shown:.1f} s{share}",
        f"{person.confidence:.0%}",
        _times(scan, person, 1000 if verbose else 4) + (tracks if verbose else ""),
    )


def _doubtful_row(scan: Scan, person: Person, verbose: bool) -> tuple[str, ...]:
    from facepick.people.person import DOUBTS

    may_be = ", ".join(f"{scan.person(key).label} ({s:.0%})" for key, s in person.may_be) or "-"
    why = DOUBTS[person.doubt] if person.doubt else "set apart by a correction"
    crowd = "; counted among the bystanders" if person.group else ""
    tracks = f"; tracks {', '.join(person.track_ids)}" if verbose else ""
    at = _times(scan, person, 2)
    return (
        person.id,
        person.name or "-",
        f"{float(person.screen_time):.1f} s at {at}",
        may_be,
        (why + crowd + tracks),
    )


def _times(scan: Scan, person: Person, most: int) -> str:
    """Word when somebody is seen, the longest stretches first where there are many."""
    import numpy as np

    tracks = scan.tracks_of(person.id)
    frames = np.unique(np.concatenate([t.frames for t in tracks]))
    at = (scan.pts[frames] - scan.pts[0]) * float(scan.video.time_base)
    # Who turns away for a second has not left.
    parts = np.split(at, np.flatnonzero(np.diff(at) > 1.0) + 1)
    longest = sorted(parts, key=lambda p: float(p[0] - p[-1]))[:most]
    words = [f"{clock(float(p[0]))}-{clock(float(p[-1]))}" for p in sorted(longest, key=_first)]
    more = len(parts) - len(words)
    return ", ".join(words) + (f" and {more} times more" if more else "")


def _first(part: npt.NDArray[np.float64]) -> float:
    return float(part[0])


def _span_of_ids(people: Sequence[Person]) -> str:
    """Word ids, which are in order: all of a few, the ends of many."""
    names = [p.id for p in people]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]}"


def _say_next(scans: Sequence[Scan], options: argparse.Namespace) -> None:
    """Say what can be done with the people of the first video."""
    found = [(scan, p) for scan in scans for p in scan.people if not p.ignored and not p.unsure]
    if not found:
        return
    scan, person = found[0]
    video = shell_word(str(options.video[scans.index(scan)]))
    steps = [] if options.gallery else [(f"facepick people {video} --gallery people", "pictures")]
    if not person.name:
        steps.append((f"facepick people {video} --rename {person.id}=Anna", "give a name"))
    steps.append(
        (f"facepick render {video} -o out.mp4 --person {person.id} --flow hide", "hide somebody")
    )
    unsure = next((p for s, p in found[:1] for p in s.people if p.may_be), None)
    if unsure is not None:
        both = f"{unsure.may_be[0][0]},{unsure.id}"
        steps.append((f"facepick people {video} --merge {both}", "they are one person"))
    say_next(steps)
