"""Steps of ``facepick render`` on several machines: prepare, draw segments, join."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.cli.console import print_json, tell, watched
from facepick.cli.summary import tell_changed
from facepick.errors import Cancelled, UserInputError
from facepick.text import say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.jobs.executors import Spread
    from facepick.jobs.work_folder import WorkFolder
    from facepick.notices import Notice
    from facepick.progress import Progress
    from facepick.render.places import PlaceMap
    from facepick.render.plan import RenderPlan

__all__ = [
    "add_steps",
    "add_workers",
    "check_steps",
    "do_step",
    "draw_for_others",
    "place_map",
    "spread_of",
]


def add_steps(parser: argparse.ArgumentParser) -> None:
    """Add the options of the steps."""
    group = parser.add_argument_group(
        "on several machines",
        "prepare once, then draw segments anywhere, then join; each step is given the same --plan",
    )
    group.add_argument(
        "--workspace", metavar="DIR", help="folder of the work, which every machine sees"
    )
    steps = group.add_mutually_exclusive_group()
    steps.add_argument("--prepare", action="store_true", help="find the people and learn")
    steps.add_argument("--segments", metavar="0-11", help="draw these segments alone")
    steps.add_argument("--join", action="store_true", help="join the segments as the result")
    group.add_argument(
        "--map",
        metavar="OLD=NEW",
        action="append",
        default=[],
        help="where files of the plan lie on this machine; may be repeated",
    )
    add_workers(parser)
    group.add_argument("--json", action="store_true", help="describe the segments as JSON")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the options of who draws segments."""
    from facepick.jobs.executors import EXECUTORS

    group = parser.add_argument_group("who draws")
    group.add_argument(
        "--executor",
        choices=EXECUTORS,
        default="local",
        help="processes of this machine, or actors of a Ray cluster (facepick[ray]; RAY_ADDRESS)",
    )
    group.add_argument(
        "--workers", type=int, default=1, metavar="N", help="draw N segments at once (default: 1)"
    )
    group.add_argument(
        "--worker-gpus",
        type=float,
        default=0.0,
        metavar="X",
        help="share of a graphics card for each worker of a Ray cluster, such as 0.25",
    )


def spread_of(options: argparse.Namespace) -> Spread:
    """Read who draws segments.

    Raises:
        SettingsError: that cannot be.
        PackageMissing: ray is not installed.
    """
    from facepick.jobs.executors import Spread

    found = Spread(executor=options.executor, workers=options.workers, gpus=options.worker_gpus)
    found.check()
    return found


def draw_for_others(options: argparse.Namespace) -> int:
    """Draw segments that another process names on standard input, until that ends."""
    from facepick.cli.console import make_app
    from facepick.errors import FacepickError
    from facepick.files import parsed_json
    from facepick.jobs.runner import explained
    from facepick.jobs.segment_process import answer_of
    from facepick.render.plan import RenderPlan

    lines = iter(sys.stdin.readline, "")
    plan = RenderPlan.from_json(parsed_json(next(lines, "").encode()))
    start = 0

    def sink(report: Progress) -> None:
        if report.stage == "render":
            print_json({"frames": max(0, report.done - start)})

    work = replace(make_app().work_folder(Path(options.folder), plan), progress=sink)
    with ExitStack() as stack:
        prepared = None
        for line in lines:
            try:
                prepared = prepared or work.open(stack)
                segment = prepared.task.segments[int(line)]
                start = segment.start
                prepared.draw_missing([segment])
            except FacepickError as error:
                print_json(answer_of(error))
            except Exception as error:
                # The other process is told in a sentence, like a user.
                print_json(answer_of(explained(error)))
            else:
                print_json({"segment": segment.index})
    return 0


def check_steps(options: argparse.Namespace) -> bool:
    """Tell whether a step was asked for.

    Raises:
        UserInputError: something is missing, or does not go with it.
    """
    step = options.prepare or options.segments is not None or options.join
    if not step:
        for name in ("workspace", "json"):
            if getattr(options, name):
                raise UserInputError(
                    f"--{name} goes with a step.", hint="Add --prepare, --segments 0-11 or --join."
                )
    elif not options.workspace or not options.plan or options.video:
        raise UserInputError(
            "A step needs --workspace and --plan, and no video beside them.",
            hint="A plan is made by: facepick render VIDEO ... -o OUT --save-plan PLAN.json",
        )
    if not options.out and (options.join or not step):
        raise UserInputError("No result is named.", hint="Add: -o OUT.mp4")
    return bool(step)


def place_map(options: argparse.Namespace) -> PlaceMap:
    """Read where files lie on this machine."""
    from facepick.render.places import PlaceMap

    return PlaceMap(options.map)


def do_step(
    app: App, plan: RenderPlan, options: argparse.Namespace, notices: Sequence[Notice]
) -> int:
    """Do the step that was asked for."""
    work = app.work_folder(Path(options.workspace), plan)
    with watched(options.progress) as (sink, token):
        work = replace(work, progress=sink, cancel=token)
        try:
            if options.prepare:
                return _prepare(app, work, options, notices)
            if options.segments is not None:
                return _draw(work, options)
            return _join(work, options)
        except Cancelled:
            raise Cancelled("Stopped. The same command goes on where it was.") from None


def _prepare(
    app: App, work: WorkFolder, options: argparse.Namespace, notices: Sequence[Notice]
) -> int:
    suffix = Path(options.out).suffix if options.out else suffix_of(work.plan)
    work.folder.mkdir(parents=True, exist_ok=True)
    out = Path(options.out) if options.out else work.folder / f"result{suffix}"
    checked = app.preflight(work.plan, out, force=options.force)
    tell((*notices, *checked.notices), options.progress)
    data = work.prepare(suffix, (*notices, *checked.notices), force=options.force)
    if options.json:
        print_json(data)
        return 0
    for entry in data["segments"]:
        say(_segment_line(entry))
    return 0


def suffix_of(plan: RenderPlan) -> str:
    """Choose the suffix of a result that nobody has named: the video's, if it can be written."""
    from facepick.errors import SettingsError
    from facepick.media.encode import container_of

    try:
        container_of(plan.video)
    except SettingsError:
        return ".mp4"
    return Path(plan.video).suffix


def _segment_line(entry: dict[str, Any]) -> str:
    done = "\tdone" if entry["done"] else ""
    return f"{entry['segment']}\t{entry['frames']} frames\t{entry['seconds']:.2f} s{done}"


def _draw(work: WorkFolder, options: argparse.Namespace) -> int:
    from facepick.render.segments import as_ranges

    drawn, there = work.draw(options.segments, spread_of(options))
    if options.json:
        print_json({"drawn": drawn, "there": there})
        return 0
    for numbers, what in ((drawn, "drawn"), (there, "there already")):
        if numbers:
            say(f"{as_ranges(numbers)}\t{what}")
    return 0


def _join(work: WorkFolder, options: argparse.Namespace) -> int:
    result = work.join(Path(options.out).absolute(), force=options.force)
    tell(result.notices, options.progress)
    if options.json:
        print_json(result.to_json())
        return 0
    tell_changed(result.to_json())
    return 0
