"""``facepick sources``: faces kept under a name, for swaps."""

from __future__ import annotations

import argparse
import json

from facepick.cli.console import make_app, watched
from facepick.cli.options import add_progress, add_scan_options, given

__all__ = ["build_sources"]


def build_sources(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add", help="keep photos of one person under a name")
    add.add_argument("name", metavar="NAME")
    add.add_argument("photo", metavar="PHOTO|VIDEO:P2", nargs="+")
    add_scan_options(add, set())
    add_progress(add)
    add.set_defaults(handler=_sources_add)
    listing = actions.add_parser("list", help="all saved sources")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_sources_list)
    remove = actions.add_parser("remove", help="delete a source with its photos")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(handler=_sources_remove)


def _sources_add(options: argparse.Namespace) -> int:
    from facepick.people.finder import ScanSettings

    app = make_app()
    with watched(options.progress) as (sink, token):
        found = app.source_photos(
            options.photo,
            scan_settings=given(options, ScanSettings),
            progress=sink,
            cancel=token,
        )
        source = app.sources.add(
            options.name,
            [path for path, _ in found],
            app.models,
            origins=[origin for _, origin in found],
            cancel=token,
        )
    print(f"{source.name}\t{len(source.photos)} photos\t{source.photos[0].parent}")
    return 0


def _sources_list(options: argparse.Namespace) -> int:
    sources = make_app().sources.all()
    if options.json:
        print(json.dumps([s.to_json() for s in sources], ensure_ascii=False))
        return 0
    for source in sources:
        described = f"{source.model} {source.version}" if source.model else "-"
        print(f"{source.name}\t{len(source.photos)} photos\t{described}\t{source.origins[0]}")
    return 0


def _sources_remove(options: argparse.Namespace) -> int:
    make_app().sources.remove(options.name)
    return 0
