"""``facepick estimate``: what a plan will take on this machine, before it is begun."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.cli.batch import template_of
from facepick.cli.console import print_json, watched
from facepick.cli.plan_options import START, add_plan_options
from facepick.cli.render import app_of
from facepick.cli.summary import count, say_table
from facepick.errors import FacepickError
from facepick.files import as_json
from facepick.publishing import refuse_output, write_output
from facepick.text import byte_size, duration, say

if TYPE_CHECKING:
    from facepick.jobs.batch import Episode
    from facepick.jobs.estimate import Estimate

__all__ = ["build_estimate"]


def build_estimate(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick estimate``."""
    parser.usage = "facepick estimate VIDEO|FOLDER ... --person P1 --flow FLOW [options]"
    start = parser.add_argument_group(START)
    start.add_argument(
        "videos", metavar="VIDEO|FOLDER", nargs="+", help="the videos, or folders of them"
    )
    add_plan_options(parser, start)
    more = parser.add_argument_group("estimate")
    more.add_argument(
        "--calibrate", action="store_true", help="measure this machine anew (some seconds)"
    )
    more.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (- = standard output)"
    )
    parser.set_defaults(handler=_estimate)


def _estimate(options: argparse.Namespace) -> int:
    from facepick.jobs.batch import find_episodes
    from facepick.jobs.estimate import kinds_of

    app = app_of(options)
    # What is said does not count, only that lips will move.
    options.audio, options.lines, options.save_plan = [], None, None
    template = template_of(app, options)
    if options.json and options.json != "-":
        refuse_output(Path(options.json).absolute(), force=options.force)
    # Nothing is written: the folder of results is one that no video lies in.
    episodes = find_episodes(options.videos, app.jobs_folder.root)
    with watched(options.progress) as (sink, token):
        app.calibrate(kinds_of(template.plan), again=options.calibrate, progress=sink, cancel=token)
    rows: list[tuple[Episode, Estimate | None, str | None]] = []
    for episode in episodes:
        try:
            rows.append((episode, app.estimate_episode(episode, template), None))
        except FacepickError as error:
            rows.append((episode, None, error.sentence()))
    data = {"format": "facepick-estimates/1", "videos": [_row_json(*row) for row in rows]}
    if options.json == "-":
        print_json(data)
    else:
        if options.json:
            text = as_json(data, indent=1) + "\n"
            write_output(Path(options.json).absolute(), text, force=options.force)
        _say(rows)
    failed = sum(error is not None for _, _, error in rows)
    if failed == len(rows):
        raise FacepickError(f"None of {count(failed, 'video')} can be estimated.")
    return 0


def _row_json(episode: Episode, found: Estimate | None, error: str | None) -> dict[str, Any]:
    return {
        "video": str(episode.video),
        "estimate": None if found is None else found.to_json(),
        "error": error,
    }


def _say(rows: Sequence[tuple[Episode, Estimate | None, str | None]]) -> None:
    table = []
    known = [found for _, found, _ in rows if found is not None]
    for episode, found, error in rows:
        if found is None:
            table.append((episode.video.name, "-", "-", "-", "-", error or "nobody to change"))
            continue
        table.append((episode.video.name, *_cells(found)))
    if len(known) > 1:
        table.append(
            (
                "in all",
                duration(sum(found.seconds for found in known)),
                "",
                byte_size(sum(found.result_bytes for found in known)),
                byte_size(max(found.work_bytes for found in known)),
                byte_size(max(found.memory_bytes for found in known)),
            )
        )
    say_table(("video", "time", "of it searching", "result", "meanwhile", "memory"), table)
    if any(not found.scanned for found in known):
        say(
            "Videos that were not searched yet: people are taken to be in half of the frames.",
            file=sys.stderr,
        )
    if any(not found.measured for found in known):
        say(
            "Nothing of this kind was done here yet: its pace is guessed from what was.",
            file=sys.stderr,
        )
    short = [f for f in known if f.result_bytes + f.work_bytes > f.free_bytes]
    if short:
        say(
            f"The disk of the jobs has only {byte_size(short[0].free_bytes)} free.",
            file=sys.stderr,
        )


def _cells(found: Estimate) -> tuple[str, str, str, str, str]:
    return (
        duration(found.seconds),
        duration(found.scan_seconds) if found.scan_seconds else "-",
        byte_size(found.result_bytes),
        byte_size(found.work_bytes),
        byte_size(found.memory_bytes),
    )
