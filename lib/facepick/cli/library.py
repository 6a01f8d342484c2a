"""``facepick library``: where a person appears in many videos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.cli.console import make_app, print_json, watched
from facepick.cli.options import add_progress, add_scan_options, count_of, given_scan
from facepick.cli.summary import count, say_next, shell_word
from facepick.errors import FacepickError, UserInputError
from facepick.files import as_json
from facepick.publishing import refuse_output, write_output
from facepick.text import clock, say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.jobs.library_filling import Filled
    from facepick.people.finder import ScanSettings
    from facepick.recognition.library import Appearance, Library

__all__ = ["build_library"]

SHOWN_SPANS = 6
"""Moments of one person of one video on the terminal; JSON and the gallery have all."""


def build_library(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick library add|find|list|forget``."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    def action(
        name: str, text: str, handler: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=text, description=text)
        made.add_argument("--library", metavar="FILE", help="another library than the user's own")
        made.set_defaults(handler=handler)
        return made

    add = action("add", "find everybody in videos, and remember them", _add)
    add.add_argument(
        "videos", metavar="FOLDER|VIDEO", nargs="+", help="videos, or folders with all below them"
    )
    add.add_argument(
        "--again", action="store_true", help="also those that are known, with names as they are now"
    )
    add.add_argument(
        "--jobs", type=count_of, default=1, metavar="N", help="how many at once (default: 1)"
    )
    _add_json(add)
    add_scan_options(add, set())
    add_progress(add)
    find = action("find", "where a person appears: video, from, to, how sure", _find)
    find.add_argument(
        "who",
        metavar="PHOTO|VIDEO:P2|cast:NAME",
        nargs="+",
        help="the person; several photos of one person find more",
    )
    find.add_argument(
        "--sure", type=_share, default=0.5, metavar="X", help="how sure, 0 to 1 (default: 0.5)"
    )
    find.add_argument("--gallery", metavar="DIR", help="write a page and a picture of each there")
    find.add_argument("--language", choices=("en", "zh"), default="en", help="of the page")
    find.add_argument("--videos", action="store_true", help="only the names of the videos")
    _add_json(find)
    add_scan_options(find, set())
    add_progress(find)
    listing = action("list", "the videos that are known", _list)
    _add_json(listing)
    forget = action("forget", "forget videos", _forget)
    forget.add_argument("places", metavar="VIDEO|FOLDER", nargs="*")
    forget.add_argument(
        "--missing", action="store_true", help="all whose files are not there any more"
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (- = standard output)"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite files that facepick did not write"
    )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"it is {text!r} but must be a number from 0 to 1")
    return value


def _library(app: App, options: argparse.Namespace) -> Library:
    return app.library(Path(options.library).absolute() if options.library else None)


def _scan_settings(options: argparse.Namespace) -> ScanSettings:
    from facepick.people.finder import ScanSettings
    from facepick.settings import from_mapping

    return from_mapping(ScanSettings, given_scan(options))


def _check_json(options: argparse.Namespace) -> None:
    if options.json and options.json != "-":
        refuse_output(Path(options.json).absolute(), force=options.force)


def _write_json(data: object, options: argparse.Namespace) -> None:
    if options.json == "-":
        print_json(data)
    elif options.json:
        text = as_json(data, indent=1) + "\n"
        write_output(Path(options.json).absolute(), text, force=options.force)


def _add(options: argparse.Namespace) -> int:
    from facepick.jobs.library_filling import find_videos

    app = make_app()
    library = _library(app, options)
    _check_json(options)
    videos = find_videos(options.videos)
    done = 0

    def told(item: Filled) -> None:
        nonlocal done
        done += 1
        said = item.error or ("known" if item.status == "known" else _people(item.people))
        say(f"{done}/{len(videos)}\t{item.video.name}\t{said}", file=sys.stderr)
        if options.progress == "jsonl":
            print_json({"event": "video", **item.to_json()})

    with watched(options.progress) as (sink, token):
        outcome = app.fill_library(
            library,
            videos,
            _scan_settings(options),
            again=options.again,
            at_once=options.jobs,
            told=told,
            progress=sink,
            cancel=token,
        )
    _write_json(
        {"format": "facepick-library-add/1", "videos": [item.to_json() for item in outcome]},
        options,
    )
    failed = [item.video.name for item in outcome if item.status == "failed"]
    added = sum(item.status == "added" for item in outcome)
    if options.json != "-":
        known = sum(item.status == "known" for item in outcome)
        say(f"{count(added, 'video')} added, {known} known, {len(failed)} failed")
    if failed:
        raise FacepickError(
            f"{len(failed)} of {len(outcome)} videos failed: {', '.join(failed):.400}.",
            hint="The same command tries them again.",
        )
    return 0


def _people(number: int) -> str:
    return count(number, "person", "people")


def _find(options: argparse.Namespace) -> int:
    from facepick.recognition.library import appearances_json
    from facepick.recognition.library_page import write_page

    app = make_app()
    library = _library(app, options)
    _check_json(options)
    if options.gallery:
        refuse_output(Path(options.gallery) / "index.html", force=options.force)
    with watched(options.progress) as (sink, token):
        found = app.find_in_library(
            library,
            options.who,
            _scan_settings(options),
            least_sure=options.sure,
            progress=sink,
            cancel=token,
        )
    page = None
    if options.gallery:
        page = write_page(
            Path(options.gallery).absolute(),
            options.who,
            found,
            language=options.language,
            force=options.force,
        )
    _write_json(appearances_json(options.who, found), options)
    if options.json == "-":
        return 0
    if options.videos:
        for video in dict.fromkeys(item.video for item in found):
            say(str(video))
        return 0
    _say_found(found)
    if page is not None:
        say(f"Pictures of them: {page}", file=sys.stderr)
    _say_what_next(found, options)
    return 0


def _say_found(found: Sequence[Appearance]) -> None:
    for item in found:
        spans = ", ".join(f"{clock(a)}-{clock(b)}" for a, b in item.spans[:SHOWN_SPANS])
        more = len(item.spans) - SHOWN_SPANS
        who = f"{item.name} ({item.person})" if item.name else item.person
        say(
            f"{item.video}\t{who}\t{item.sure:.2f}\t{item.seconds:.1f} s\t{spans}"
            + (f" and {more} more" if more > 0 else "")
            + ("\tkept apart" if item.unsure else "")
        )
    if not found:
        say("Nobody in the library is surely this person.", file=sys.stderr)


def _say_what_next(found: Sequence[Appearance], options: argparse.Namespace) -> None:
    photo = next((text for text in options.who if Path(text).is_file()), None)
    if not found or photo is None:
        return
    listed = options.json or "found.json"
    steps = [] if options.json else [("... --json found.json", "keep what was found")]
    steps.append(
        (
            f"facepick batch {shell_word(listed)} -o DIR --flow hide "
            f"--person {shell_word('photo:' + photo)}",
            "hide this person in all of them",
        )
    )
    say_next(steps)


def _list(options: argparse.Namespace) -> int:
    library = _library(make_app(), options)
    _check_json(options)
    videos = library.videos()
    _write_json(
        {
            "format": "facepick-library/1",
            "library": str(library.path),
            "model": str(library.key) if library.key else None,
            "exemplars": library.exemplars(),
            "videos": [video.to_json() for video in videos],
        },
        options,
    )
    if options.json == "-":
        return 0
    for video in videos:
        gone = "" if video.path.is_file() else "\tmissing"
        say(f"{video.path}\t{clock(video.seconds)}\t{_people(video.people)}{gone}")
    if not videos:
        say("No video is known yet. Add some: facepick library add FOLDER", file=sys.stderr)
    return 0


def _forget(options: argparse.Namespace) -> int:
    library = _library(make_app(), options)
    if not options.places and not options.missing:
        raise UserInputError(
            "No video is named.", hint="Write: facepick library forget VIDEO, or: --missing"
        )
    gone = library.forget([Path(place) for place in options.places])
    if options.missing:
        gone += library.forget_missing()
    if not gone:
        raise UserInputError("None of these is in the library.", hint="See: facepick library list")
    say(f"{count(gone, 'video')} forgotten")
    return 0
