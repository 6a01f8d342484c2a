"""``facepick sources``: faces kept under a name, for swaps."""

from __future__ import annotations

import argparse

from facepick.cli.console import make_app, print_json, watched
from facepick.cli.options import add_progress, add_scan_options, given_scan
from facepick.errors import UserInputError
from facepick.text import say

__all__ = ["build_sources"]


def build_sources(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick sources``."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add", help="keep photos of one person under a name")
    add.add_argument("name", metavar="NAME")
    add.add_argument("photo", metavar="PHOTO|VIDEO:P2", nargs="+")
    add.add_argument(
        "--face",
        type=int,
        default=0,
        metavar="N",
        help="which face of each photo: 0 the largest, 1 the leftmost, 2 the next to its right",
    )
    add.add_argument(
        "--origin",
        metavar="TEXT",
        action="append",
        default=[],
        help="what a photo was made from, one for each photo (default: its path)",
    )
    add.add_argument("--json", action="store_true", help="print what was kept as JSON")
    add_scan_options(add, set())
    add_progress(add)
    add.set_defaults(handler=_sources_add)
    faces = actions.add_parser("faces", help="every face in photos, and whether it can be used")
    faces.add_argument("photo", metavar="PHOTO|VIDEO:P2|cast:NAME|NAME", nargs="+")
    faces.add_argument("--cut", metavar="DIR", help="write every face there as a photo of its own")
    faces.add_argument(
        "--force", action="store_true", help="overwrite files there that facepick did not write"
    )
    faces.add_argument("--json", action="store_true", help="as JSON")
    add_scan_options(faces, set())
    add_progress(faces)
    faces.set_defaults(handler=_sources_faces)
    listing = actions.add_parser("list", help="all saved sources")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_sources_list)
    remove = actions.add_parser("remove", help="delete a source with its photos")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(handler=_sources_remove)


def _sources_add(options: argparse.Namespace) -> int:

    app = make_app()
    with watched(options.progress) as (sink, token):
        found = app.source_photos(
            options.photo,
            scan_settings=given_scan(options),
            progress=sink,
            cancel=token,
        )
        if options.origin and len(options.origin) != len(found):
            raise UserInputError(
                f"There are {len(found)} photos and {len(options.origin)} times --origin."
            )
        source = app.sources.add(
            options.name,
            [path for path, _ in found],
            app.models,
            face=options.face,
            origins=options.origin or [origin for _, origin in found],
            cancel=token,
        )
    if options.json:
        print_json(source.to_json())
        return 0
    say(f"{source.name}\t{len(source.photos)} photos\t{source.photos[0].parent}")
    return 0


def _sources_faces(options: argparse.Namespace) -> int:
    from pathlib import Path

    from facepick.engines.swap.source_picker import faces_in_photos

    app = make_app()
    folder = Path(options.cut).absolute() if options.cut else None
    with watched(options.progress) as (sink, token):
        photos = app.source_photos(
            options.photo,
            scan_settings=given_scan(options),
            progress=sink,
            cancel=token,
        )
        found = faces_in_photos(
            photos, app.models, folder=folder, force=options.force, cancel=token
        )
    if options.json:
        print_json(found)
        return 0
    for photo in found:
        name = Path(photo["file"]).name
        if not photo["faces"]:
            say(f"{name}\t-\t{photo['problem'] or 'no face'}")
        for face in photo["faces"]:
            said = f"{face['problem']} {face['hint']}" if face["problem"] else "good"
            say(f"{name}\t{face['number']}\t{face['height']} px\t{said}")
    return 0


def _sources_list(options: argparse.Namespace) -> int:
    sources = make_app().sources.all()
    if options.json:
        print_json([s.to_json() for s in sources])
        return 0
    for source in sources:
        described = f"{source.model} {source.version}" if source.model else "-"
        say(f"{source.name}\t{len(source.photos)} photos\t{described}\t{source.origins[0]}")
    return 0


def _sources_remove(options: argparse.Namespace) -> int:
    make_app().sources.remove(options.name)
    return 0
