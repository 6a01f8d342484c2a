"""Line in which jobs wait: at most so many work at once, the others begin in order.

A job's place is a small file with a number, made when the job is handed over and removed when its
process has ended.  Whoever waits looks whether enough of those before it are gone; nobody else has
to run for that, so that a line goes on when the program that filled it is started anew, or is
gone.  The place of a process that died is given up by whoever looks next.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facepick.errors import ToolError
from facepick.files import read_json, write_json
from facepick.locks import locked
from facepick.paths import jobs_at_once
from facepick.progress import CancelToken

__all__ = ["MAX_WAITING", "JobLine"]

MAX_WAITING = 100
"""Each of them is a process that takes about 40 MB while it waits."""

_PLACE = re.compile(r"([0-9]{10})-([0-9]{8}-[0-9]{6}-[0-9a-f]{4})")
_PAUSE_SECONDS = 0.5


class JobLine:
    """The line of one home folder.

    Args:
        folder: holds nothing but places.
        is_alive: whether a process (id, mark of its start) still runs.
        started: the mark of a process' start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        is_alive: Callable[[Any, Any], bool],
        started: Callable[[int], str | None],
    ) -> None:
        self._folder = folder
        self._is_alive = is_alive
        self._started = started

    def enter(self, job_id: str, pid: int) -> None:
        """Take a place at the end for the process that works on the job, or will; a place that
        the job has already is kept, and from now on this process'.

        Raises:
            ToolError: too many wait.
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / "lock"):
            places = self._living()
            mine = [place for place in places if place.name.endswith(job_id)]
            if not mine and len(places) >= jobs_at_once() + MAX_WAITING:
                raise ToolError(
                    f"{len(places)} jobs work or wait already.", hint="Try again later."
                )
            last = int(places[-1].name[:10]) if places else 0
            place = mine[0] if mine else self._folder / f"{last + 1:010}-{job_id}"
            write_json(place, {"pid": pid, "pid_started": self._started(pid)})

    def hand_over(self, job_id: str, pid: int) -> None:
        """Hand the job's place to another process, unless that has ended already."""
        with locked(self._folder / "lock"):
            for place in self._places():
                if place.name.endswith(job_id):
                    write_json(place, {"pid": pid, "pid_started": self._started(pid)})

    def move(self, job_id: str, place: int) -> bool:
        """Move a job that waits to another place among those that wait, from 1.

        Returns:
            False when it does not wait.
        """
        with locked(self._folder / "lock"):
            waiting = self._living()[jobs_at_once() :]
            mine = next((at for at in waiting if at.name.endswith(job_id)), None)
            if mine is None:
                return False
            numbers = [at.name[:10] for at in waiting]
            waiting.remove(mine)
            waiting.insert(max(0, place - 1), mine)
            # Aside first: two of them must never have one name.
            aside = [at.rename(at.with_name(f"moved-{at.name}")) for at in waiting]
            for number, at, was in zip(numbers, aside, waiting, strict=True):
                at.rename(self._folder / f"{number}-{was.name[11:]}")
            return True

    def leave(self, job_id: str) -> None:
        """Give the place up; does nothing where there is none."""
        for place in self._places():
            if place.name.endswith(job_id):
                place.unlink(missing_ok=True)

    def before(self, job_id: str) -> list[str] | None:
        """List jobs with a place before this one, first in line first; None when it has no
        place."""
        names = [place.name[11:] for place in self._places()]
        return names[: names.index(job_id)] if job_id in names else None

    def wait(self, job_id: str, cancel: CancelToken, *, report: Callable[[int], None]) -> None:
        """Return when it is this job's turn.

        Args:
            cancel: looked at twice a second.
            report: is told how many jobs must end first, whenever that changes.

        Raises:
            Cancelled: `cancel` was set.
        """
        told = -1
        while True:
            cancel.raise_if_cancelled()
            with locked(self._folder / "lock", cancel):
                names = [place.name[11:] for place in self._living()]
            # Somebody removed the folder: then there is no line either.
            left = names.index(job_id) - jobs_at_once() + 1 if job_id in names else 0
            if left <= 0:
                return
            if left != told:
                told = left
                report(left)
            time.sleep(_PAUSE_SECONDS)

    def _places(self) -> list[Path]:
        try:
            names = os.listdir(self._folder)
        except OSError:
            return []
        return [self._folder / name for name in sorted(names) if _PLACE.fullmatch(name)]

    def _living(self) -> list[Path]:
        """List the places whose process lives; the others are given up."""
        found = []
        for place in self._places():
            try:
                data = read_json(place)
                alive = self._is_alive(data["pid"], data["pid_started"])
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError):
                alive = False
            if alive:
                found.append(place)
            else:
                place.unlink(missing_ok=True)
        return found
