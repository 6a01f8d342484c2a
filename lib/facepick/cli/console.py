"""Console of several commands: the app, progress on a terminal or as JSON lines, Ctrl-C."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from facepick.files import as_json
from facepick.progress import CancelToken, Progress, ProgressSink
from facepick.text import clock, printable, say

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.notices import Notice

__all__ = ["make_app", "print_json", "tell", "watched"]


def print_json(data: Any) -> None:
    """Print one line of JSON; where the reader may not take UTF-8, in plain ASCII."""
    coded = str(getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    print(_inert(as_json(data)) if coded == "utf8" else json.dumps(data), flush=True)


# What a terminal would obey: C1 controls, and marks that turn the order of words round.  Such
# letters stand inside strings of JSON only, where an escape means the same.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def _inert(text: str) -> str:
    return _OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


ALIKE = 8
"""Notices of one kind on stderr: more of them, of a long list of lines, would hide the others."""


def tell(notices: Iterable[Notice], progress: str = "none") -> None:
    """Say on stderr what people should know; with ``jsonl`` also as lines of their own kind."""
    told: Counter[str] = Counter()
    listed = list(notices)
    kinds = Counter(notice.code for notice in listed)
    for notice in listed:
        if progress == "jsonl":
            print_json({"event": "notice", **notice.to_json()})
        told[notice.code] += 1
        if told[notice.code] <= ALIKE:
            say(f"facepick: {notice.sentence()}", file=sys.stderr)
        elif told[notice.code] == kinds[notice.code]:
            say(
                f"facepick: ... and {kinds[notice.code] - ALIKE} more like that, in the report.",
                file=sys.stderr,
            )


_STAGES = {
    "wait": "Waiting",
    "open": "Reading the files",
    "scan": "Finding people",
    "load": "Loading the networks",
    "speakers": "Listening, watching",
    "check": "Checking frames",
    "separate": "Taking the voices out",
    "speak": "Speaking the lines",
    "prepare": "Learning the face",
    "selfcheck": "Trying the lips",
    "render": "Rendering",
    "publish": "Writing the result",
    "review": "Looking it over",
    "measure": "Measuring",
    "fetch": "Fetching",
}


class _Show:
    """Display of progress in the way that was asked for; use as a context manager."""

    def __init__(self, mode: str) -> None:
        if mode == "auto":
            mode = "bar" if sys.stderr.isatty() else "none"
        self.mode = mode
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressSink:
        if self.mode == "jsonl":
            return self._line
        if self.mode == "bar":
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description:<29}"),
                BarColumn(),
                TextColumn("{task.fields[told]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            return self._draw
        return lambda _: None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _line(self, report: Progress) -> None:
        print_json(
            {
                "event": "progress",
                "stage": report.stage,
                "done": report.done,
                "total": report.total,
                "eta_seconds": report.eta_seconds,
                "message": report.message,
                "overall": report.overall,
                "left_seconds": report.left_seconds,
                "phase": report.phase,
                "phases": report.phases,
            }
        )

    def _draw(self, report: Progress) -> None:
        """Draw one bar for the whole job, and beside it what is being done."""
        share = report.share
        if self._task is None:
            self._task = self._bar.add_task("", total=1.0, told="")
        self._bar.update(
            self._task,
            description=_named(report),
            completed=share or 0.0,
            # A bar without a total moves without end.
            total=None if share is None else 1.0,
            told=_told(report, share),
        )


def _named(report: Progress) -> str:
    """Name what is being done, and which of how many phases it is."""
    name = _STAGES.get(report.stage, report.stage)
    several = report.phases is not None and report.phases > 1
    return f"{name} ({report.phase} of {report.phases})" if several else name


def _told(report: Progress, share: float | None) -> str:
    """Say how much is done, how long the rest takes, and the report's own message."""
    left = report.eta_seconds if report.overall is None else report.left_seconds
    frames = f"{report.done}/{report.total}" if report.total else str(report.done or "")
    parts = (
        "" if share is None else f"{share:.0%}",
        frames,
        "" if left is None else f"{clock(left)} left",
        printable(report.message),
    )
    return "  ".join(part for part in parts if part)


def make_app() -> App:
    """Make the app of the standalone host."""
    from facepick.app import App

    return App()


@contextmanager
def watched(mode: str) -> Iterator[tuple[ProgressSink, CancelToken]]:
    """Show progress the way that was asked for, and lend a token that Ctrl-C sets."""
    from facepick.jobs.runner import cancel_on_signals

    token = CancelToken()
    with _Show(mode) as sink, cancel_on_signals(token):
        yield sink, token
