"""``facepick jobs``: list, show, run, resume, cancel and prune."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from facepick.cli.console import make_app, print_json, tell, watched
from facepick.cli.options import add_progress, number
from facepick.cli.summary import changes_of, say_next, say_table, say_text, tell_changed
from facepick.errors import Cancelled
from facepick.text import say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.jobs.job import JobRecord
    from facepick.jobs.workspace import Workspace
    from facepick.notices import Notice

__all__ = ["build_jobs", "do_job", "tell_result"]


def build_jobs(parser: argparse.ArgumentParser) -> None:
    """Build ``facepick jobs``."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="all jobs, newest first")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(handler=_jobs_list)
    show = actions.add_parser("show", help="everything about one job")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(handler=_jobs_show)
    for name, text, handler in (
        ("run", "do a job that was handed over, in this process", _jobs_run),
        ("resume", "go on with a stopped or killed job, in this process", _jobs_resume),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument(
            "id", metavar="ID", help=WAITS if name == "run" else "of the job, see: jobs list"
        )
        if name == "resume":
            action.add_argument(
                "-o", "--out", metavar="OUT", help="let the result go there instead"
            )
            action.add_argument("--force", action="store_true", help="overwrite an existing result")
        add_progress(action)
        action.set_defaults(handler=handler)
    draw = actions.add_parser("draw", help="draw segments for another process of facepick")
    draw.add_argument("folder", metavar="DIR")
    draw.set_defaults(handler=_jobs_draw)
    cancel = actions.add_parser("cancel", help="stop a job; it can be resumed")
    cancel.add_argument("id", metavar="ID")
    cancel.set_defaults(handler=_jobs_cancel)
    prune = actions.add_parser(
        "prune", help="remove jobs that are done or abandoned, with what they keep"
    )
    prune.add_argument(
        "--days",
        type=number,
        default=30.0,
        help="those that nobody has touched for so many days (default: 30)",
    )
    prune.set_defaults(handler=_jobs_prune)


WAITS = (
    "of the job; - loads what jobs need, waits for the ID on standard input, and prints into the "
    "job's log.txt"
)


def do_job(app: App, workspace: Workspace, progress: str, *, told: Sequence[Notice] = ()) -> int:
    """Do a job in this process and print what it has made; what was told before is not repeated."""
    if progress == "jsonl":
        print_json({"event": "started", "job": workspace.id})
    # If this process is killed before it is its turn, the job does not count as waiting.
    workspace.mark_child(os.getpid())
    with watched(progress) as (sink, token):
        try:
            record = app.run(workspace, progress=sink, cancel=token)
        except Cancelled:
            raise Cancelled(f"Stopped. Go on with: facepick jobs resume {workspace.id}") from None
    tell_result(record, progress, told=told)
    return 0


def tell_result(record: JobRecord, progress: str, *, told: Sequence[Notice] = ()) -> None:
    """Print what a job that is done has made, and on stderr what a user may not expect of it."""
    # Of one thing the estimate before and the count after may differ in more than the words.
    said = {notice.sentence() for notice in told}
    tell((n for n in record.notices if n.sentence() not in said), progress)
    if progress == "jsonl":
        print_json({"event": "done", "job": record.id, **record.result})
        return
    if record.kind == "scan":
        say(f"{record.result.get('people', 0)} people found.")
        return
    if record.kind == "fetch":
        for name, path in record.result.get("models", {}).items():
            say(f"{name}\t{path}")
        return
    tell_changed(record.result)
    if record.request.get("update"):
        count = record.result.get("segments", 0)
        anew = count - record.result.get("kept", 0)
        say(f"segments\t{anew} of {count} drawn anew, the others are as they were")


_KINDS = {
    "scan": "find people",
    "render": "render",
    "preview": "preview",
    "fetch": "fetch models",
    "proxy": "small copy to look at",
}

_COLUMNS = ("JOB", "WHAT", "STATE", "MADE", "NOTICES", "OF")


def _row(record: JobRecord) -> tuple[str, ...]:
    """Word a job for a table with `_COLUMNS`."""
    share = record.progress.share if record.progress else None
    state = str(record.state)
    if record.place is not None:
        state += f", place {record.place}"
    elif share is not None and record.state != "done":
        state += f" at {share:.0%}"
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created))
    notices = str(len(record.notices) or "-")
    return record.id, _KINDS[record.kind], state, made, notices, record.subject


def _jobs_list(options: argparse.Namespace) -> int:
    records = make_app().jobs()
    if options.json:
        print_json([r.to_json() for r in records])
        return 0
    if not records:
        say("There are no jobs.", file=sys.stderr)
        return 0
    say_table(_COLUMNS, [_row(record) for record in records])
    halted = [r for r in records if r.can_resume and r.state != "queued"]
    active = [r for r in records if r.is_active]
    steps = [(f"facepick jobs show {records[0].id}", "more about a job")]
    steps += [(f"facepick jobs resume {r.id}", "go on with it") for r in halted[:1]]
    steps += [(f"facepick jobs cancel {r.id}", "stop it; what is done is kept") for r in active[:1]]
    say_next(steps)
    return 0


def _jobs_show(options: argparse.Namespace) -> int:
    record = make_app().job(options.id)
    if options.json:
        print_json(record.to_json())
        return 0
    _, what, state, made, *_ = _row(record)
    say(f"{record.id}: {what}, {state}")
    facts = [("made", made), ("video", record.video), ("result", record.out or "")]
    if record.progress and record.state != "done":
        facts.append(
            ("stage", f"{record.progress.stage} {record.progress.done}/{record.progress.total}")
        )
    # Lists, tables and segments are for machines, or are said in words below.
    plain, machines = (str, int, float), ("out", "segments", "kept")
    facts += [
        (key, str(value))
        for key, value in record.result.items()
        if options.verbose or (key not in machines and isinstance(value, plain))
    ]
    if options.verbose:
        facts.append(("folder", str(record.folder)))
    say_table(("", ""), [fact for fact in facts if fact[1]])
    for line in changes_of(record.result):
        say_text(line)
    if record.error:
        say(f"error: {record.error}")
    for notice in record.notices:
        say(f"notice: {notice.sentence()}")
    if record.can_resume:
        say_next([(f"facepick jobs resume {record.id}", "go on with it")])
    elif record.is_active:
        say_next([(f"facepick jobs cancel {record.id}", "stop it; what is done is kept")])
    return 0


def _jobs_run(options: argparse.Namespace) -> int:
    waits = options.id == "-"
    if waits:
        from facepick.jobs.standby import load_libraries

        load_libraries()
        options.id = sys.stdin.readline().strip()
        if not options.id:
            return 0
    app = make_app()
    workspace = app.jobs_folder.get(options.id)
    if waits:
        with open(workspace.folder / "log.txt", "ab") as log:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(log.fileno(), stream.fileno())
    if workspace.record().kind == "proxy" and hasattr(os, "nice"):
        # A picture to look at must not hold up a scan or a render.
        os.nice(10)
    return do_job(app, workspace, options.progress)


def _jobs_draw(options: argparse.Namespace) -> int:
    from facepick.cli.segments import draw_for_others

    return draw_for_others(options)


def _jobs_resume(options: argparse.Namespace) -> int:
    app = make_app()
    workspace = app.resumable(options.id, out=options.out, force=options.force)
    return do_job(app, workspace, options.progress)


def _jobs_cancel(options: argparse.Namespace) -> int:
    record = make_app().cancel_job(options.id, wait_seconds=30.0)
    say_table(_COLUMNS, [_row(record)])
    return 0


def _jobs_prune(options: argparse.Namespace) -> int:
    say(f"{make_app().jobs_folder.prune(keep_days=options.days)} jobs removed.")
    return 0
