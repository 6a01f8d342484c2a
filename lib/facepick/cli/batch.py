"""``facepick batch``: the same change in a season of videos."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.cli.console import print_json, watched
from facepick.cli.options import count_of, given, given_scan
from facepick.cli.plan_options import START, add_plan_options
from facepick.cli.render import app_of, assignments_of, output_of
from facepick.cli.segments import add_workers, spread_of
from facepick.errors import Cancelled, FacepickError, UserInputError
from facepick.files import as_json
from facepick.text import byte_size, duration, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facepick.app import App
    from facepick.jobs.batch import Episode, EpisodeResult, Template
    from facepick.people.selection import Selection

__all__ = ["build_batch", "template_of"]


def build_batch(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick batch``."""
    parser.usage = "facepick batch VIDEO|FOLDER ... -o DIR --person P1 --flow FLOW [options]"
    start = parser.add_argument_group(START)
    start.add_argument(
        "videos", metavar="VIDEO|FOLDER", nargs="+", help="the episodes, or folders of them"
    )
    start.add_argument("-o", "--out", metavar="DIR", required=True, help="folder of the results")
    add_plan_options(parser, start)
    many = parser.add_argument_group("many videos")
    many.add_argument(
        "--jobs", type=count_of, default=1, metavar="N", help="how many at once (default: 1)"
    )
    add_workers(parser)
    many.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (- = standard output)"
    )
    many.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and do nothing"
    )
    parser.set_defaults(handler=_batch)


def template_of(app: App, options: argparse.Namespace) -> Template:
    """Read the template, or make one of render's options."""
    from facepick.jobs.batch import WHOEVER, Template
    from facepick.media.writer import EncodeSettings
    from facepick.people.finder import ScanSettings
    from facepick.render.plan import OutputSettings
    from facepick.settings import from_mapping, to_mapping

    for name, option in (("save_plan", "--save-plan"), ("lines", "--lines"), ("audio", "--audio")):
        if getattr(options, name):
            raise UserInputError(
                f"{option} is for one video.",
                hint="Lines and sounds of an episode lie beside it and have its name.",
            )
    if options.plan:
        if options.person or options.everyone_but or options.flow:
            raise UserInputError("Give either --plan or --person and --flow, not both.")
        return Template.load(Path(options.plan))
    if options.flow == "lipsync" and not options.person:
        options.person = [WHOEVER]
    scan = to_mapping(from_mapping(ScanSettings, given_scan(options)))
    plan = app.make_plan(
        "episode",
        assignments_of(app, options),
        encode=from_mapping(EncodeSettings, given(options, EncodeSettings)),
        output=from_mapping(OutputSettings, output_of(options)),
        scan_settings=scan,
    )
    return Template(plan=plan)


def _batch(options: argparse.Namespace) -> int:
    from facepick.jobs.batch import find_episodes, index_page
    from facepick.publishing import refuse_input, refuse_output, write_output

    app = app_of(options)
    spread = spread_of(options)
    folder = Path(options.out).absolute()
    template = template_of(app, options)
    episodes = find_episodes(options.videos, folder)
    if options.json and options.json != "-":
        refuse_input(Path(options.json).absolute(), [episode.video for episode in episodes])
        refuse_output(Path(options.json).absolute(), force=options.force)
    if not template.speaks:
        # Speech of an episode is known later; all else can be said now.
        template.plan.validate_inputs(app.registry)
    quiet = options.json == "-" or options.progress == "jsonl"
    for line in _table(app, episodes, template):
        say(line, file=sys.stderr if quiet else sys.stdout)
    if options.dry_run:
        return 0
    refuse_output(folder / "index.html", force=options.force)
    folder.mkdir(parents=True, exist_ok=True)
    if options.progress == "jsonl":
        print_json({"event": "batch", "total": len(episodes)})

    def told(item: EpisodeResult) -> None:
        say(_line(item), file=sys.stderr)
        if options.progress == "jsonl":
            print_json({"event": "episode", **item.to_json()})

    with watched(options.progress) as (sink, token):
        results = app.run_batch(
            episodes,
            template,
            jobs=options.jobs,
            spread=spread,
            force=options.force,
            told=told,
            progress=sink,
            cancel=token,
        )
    write_output(folder / "index.html", index_page(results), force=options.force)
    return _tell(results, options)


def _table(app: App, episodes: Sequence[Episode], template: Template) -> list[str]:
    """Describe what will be done to every episode, a line each."""

    what = "; ".join(
        f"{item.flow} {item.engine}: {_whom(item.selection)}" for item in template.plan.assignments
    )
    lines = []
    seconds_in_all, bytes_in_all = 0.0, 0
    for episode in episodes:
        try:
            info = app.probe(episode.video)
        except FacepickError as error:
            lines.append(f"{episode.video.name}\t-\t-\t-\t{error.sentence()}")
            continue
        takes, size = "-", "-"
        # Who is meant may not be known, and is told when the episode's turn comes.
        with suppress(FacepickError):
            found = app.estimate_episode(episode, template)
            if found is not None:
                seconds_in_all += found.seconds
                bytes_in_all += found.result_bytes
                takes, size = f"about {duration(found.seconds)}", byte_size(found.result_bytes)
        seconds = info.duration_seconds
        length = "-" if seconds is None else f"{float(seconds):.1f} s"
        beside = ", ".join(f"{name} {path.name}" for name, path in episode.beside.items())
        if template.speaks and not episode.dub and not episode.soundtrack and not episode.lines:
            beside = "no speech beside it"
        used = f"\t{beside}" if template.speaks else ""
        lines.append(f"{episode.video.name}\t{length}\t{takes}\t{size}\t{what}{used}")
    if len(episodes) > 1:
        took = f"about {duration(seconds_in_all)}" if seconds_in_all else "-"
        lines.append(f"in all\t\t{took}\t{byte_size(bytes_in_all)}")
    return lines


def _whom(selection: Selection) -> str:
    from facepick.jobs.batch import WHOEVER, short_name

    named = selection.people or selection.everyone_but
    whom = ", ".join("whoever speaks" if n == WHOEVER else short_name(n) for n in named)
    return f"everyone but {whom}" if selection.everyone_but else whom


def _line(item: EpisodeResult) -> str:
    from facepick.jobs.batch import short_name

    people = ", ".join(
        f"{short_name(name)}: {who or 'not in it'}" for name, who in item.people.items()
    )
    told = item.error or people
    return f"{item.episode.video.name}\t{item.status}\t{item.seconds:.1f} s\t{told}"


def _tell(results: Sequence[EpisodeResult], options: argparse.Namespace) -> int:
    """Print the table of outcomes, and choose the exit code."""
    from facepick.jobs.batch import batch_json
    from facepick.publishing import write_output

    data = batch_json(results)
    if options.json == "-":
        print_json(data)
    else:
        for item in results if options.progress != "jsonl" else ():
            say(_line(item))
        if options.json:
            text = as_json(data, indent=1) + "\n"
            write_output(Path(options.json).absolute(), text.encode(), force=options.force)
    failed = [item.episode.video.name for item in results if item.status == "failed"]
    if any(item.status == "cancelled" for item in results):
        raise Cancelled("Stopped. The same command goes on where it was.")
    if failed:
        raise FacepickError(
            f"{len(failed)} of {len(results)} episodes failed: {', '.join(failed)}.",
            hint="The same command tries them again.",
        )
    return 0
