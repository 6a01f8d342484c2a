"""``facepick jobs``: list, show, run, resume, cancel and prune."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from facepick.cli.console import make_app, print_json, tell, watched
from facepick.cli.options import add_progress, number
from facepick.errors import Cancelled
from facepick.text import say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.jobs.job import JobRecord
    from facepick.jobs.workspace import Workspace
    from facepick.notices import Notice

__all__ = ["build_jobs", "do_job", "tell_changed", "tell_result"]


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
        action.add_argument("id", metavar="ID")
        if name == "resume":
            action.add_argument(
                "-o", "--out", metavar="OUT", help="let the result go there instead"
            )
            action.add_argument("--force", action="store_true", help="overwrite an existing result")
        add_progress(action)
        action.set_defaults(handler=handler)
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
    tell((n for n in record.notices if n not in told), progress)
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


def tell_changed(result: Mapping[str, Any]) -> None:
    """Print where a result is, and how many frames were changed of whom."""
    say(result.get("out", ""))
    if result.get("review"):
        say(f"review\t{result['review']}")
    for what, frames in sorted(result.get("changed", {}).items()):
        closed = result.get("closed", {}).get(what, 0)
        left = result.get("left", {}).get(what, {})
        say(
            f"{what}: {frames} of {result.get('frames')} frames changed"
            + (f", {closed} of them to close the mouth" if closed else "")
            + (f" (left alone: {', '.join(f'{k} {v}' for k, v in left.items())})" if left else "")
        )


def _job_line(record: JobRecord) -> str:
    share = record.progress.share if record.progress else None
    percent = f" {share:.0%}" if share is not None and record.state != "done" else ""
    told = len(record.notices)
    notices = f"\t{told} notice{'s' if told > 1 else ''}" if told else ""
    if record.place is not None:
        percent = f" (place {record.place})"
    return f"{record.id}\t{record.kind}\t{record.state}{percent}\t{record.subject}{notices}"


def _jobs_list(options: argparse.Namespace) -> int:
    records = make_app().jobs()
    if options.json:
        print_json([r.to_json() for r in records])
        return 0
    for record in records:
        say(_job_line(record))
    return 0


def _jobs_show(options: argparse.Namespace) -> int:
    record = make_app().job(options.id)
    if options.json:
        print_json(record.to_json())
        return 0
    say(_job_line(record))
    if record.progress:
        say(f"stage: {record.progress.stage} {record.progress.done}/{record.progress.total}")
    if record.error:
        say(f"error: {record.error}")
    for notice in record.notices:
        say(f"notice: {notice.sentence()}")
    for key, value in record.result.items():
        if key != "notices":
            say(f"{key}: {value}")
    return 0


def _jobs_run(options: argparse.Namespace) -> int:
    app = make_app()
    workspace = app.jobs_folder.get(options.id)
    if workspace.record().kind == "proxy" and hasattr(os, "nice"):
        # A picture to look at must not hold up a scan or a render.
        os.nice(10)
    return do_job(app, workspace, options.progress)


def _jobs_resume(options: argparse.Namespace) -> int:
    app = make_app()
    workspace = app.resumable(options.id, out=options.out, force=options.force)
    return do_job(app, workspace, options.progress)


def _jobs_cancel(options: argparse.Namespace) -> int:
    record = make_app().cancel_job(options.id, wait_seconds=30.0)
    say(_job_line(record))
    return 0


def _jobs_prune(options: argparse.Namespace) -> int:
    say(f"{make_app().jobs_folder.prune(keep_days=options.days)} jobs removed.")
    return 0
