"""Progress and cancellation, as parameters, never globals.

A long function takes ``progress: ProgressSink = no_progress`` and ``cancel: CancelToken = never``
and looks at ``cancel`` at least once per batch of frames.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from facepick.errors import Cancelled

__all__ = [
    "STOPPING",
    "CancelToken",
    "Phase",
    "Phases",
    "Progress",
    "ProgressMeter",
    "ProgressSink",
    "never",
    "no_progress",
]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One report of where the work stands.

    Attributes:
        stage: what is being done: ``wait`` (`done` others wait before it), ``open`` (files
            are read), ``scan``, ``load`` (networks are loaded), ``prepare``, ``selfcheck``,
            ``render``, ``publish``, ``fetch``.
        done: units finished (frames or bytes), never negative.
        total: units in all, or None while unknown; never less than `done`, see `ProgressMeter`.
        eta_seconds: seconds left in this stage, or None while unknown.
        message: a short sentence for a person; may be empty.
        thumbnail: path of a small JPEG of the newest result, or None.
        overall: share of the whole job that is done, in [0, 1], which never falls; None where
            nobody knows its phases, see `Phases`.
        left_seconds: seconds left of the whole job, or None while unknown.
        phase, phases: number of the job's phase, from 1, and how many it has; None where nobody
            knows them.
    """

    stage: str
    done: int
    total: int | None = None
    eta_seconds: float | None = None
    message: str = ""
    thumbnail: str | None = None
    overall: float | None = None
    left_seconds: float | None = None
    phase: int | None = None
    phases: int | None = None

    def __post_init__(self) -> None:
        if self.done < 0:
            raise ValueError(f"done must be >= 0, got {self.done}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Progress:
        """Read a report that a job has written; what only a newer version knows is passed over.

        A server that was not started anew after an update has jobs of the new version.
        """
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    @property
    def fraction(self) -> float | None:
        """Share done in [0, 1], or None while the total is unknown."""
        if not self.total:
            return None
        return min(1.0, self.done / self.total)

    @property
    def share(self) -> float | None:
        """Share done of the whole job, or of this stage where its phases are not known."""
        return self.fraction if self.overall is None else self.overall


ProgressSink = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """Drop every report."""


STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a program to stop: Ctrl-C, the system, a terminal that is closed."""


class CancelToken:
    """A flag that one thread sets and the worker looks at."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop; may be called from any thread, any number of times."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """True once somebody has called `cancel`."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Stop the work.

        Raises:
            Cancelled, once somebody has called `cancel`.
        """
        if self._event.is_set():
            raise Cancelled


class _Never(CancelToken):
    def cancel(self) -> None:
        raise RuntimeError("`never` is shared by everybody and cannot be cancelled; make your own")


never: CancelToken = _Never()


@dataclass(frozen=True)
class Phase:
    """One part of a job.

    Attributes:
        stage: see `Progress`.
        cost: about how long one unit takes, in a measure that all phases of the job share.
        units: about how many there are, until the phase tells itself; None: as many as the first
            phase has that tells.
    """

    stage: str
    cost: float
    units: int | None = None


class Phases:
    """Sink that tells with each report how far the whole job is, and when it will be done.

    What is skipped, because an earlier run has done it, counts as done once a later phase begins.
    Two phases that follow each other may have one stage: the second begins where counting does.

    Args:
        sink: where reports go.
        phases: in their order.
        clock: gives seconds.
    """

    def __init__(
        self,
        sink: ProgressSink,
        phases: Sequence[Phase],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink, self._phases, self._clock = sink, tuple(phases), clock
        self._units = [phase.units for phase in phases]
        self._usual: int | None = None
        self._now, self._done, self._share = -1, 0, 0.0
        # What was done in this run, and how long it took: from these the rest is told.
        self._worked = self._spent = 0.0
        self._overall = 0.0
        self._at: float | None = None

    def __call__(self, report: Progress) -> None:
        """Send the report on, with `overall` and `left_seconds`."""
        begins = self._enter(report)
        if begins is None:
            # Waiting and fetching are no part of the work.
            self._at = None
            known = any(phase.stage == report.stage for phase in self._phases)
            self._sink(replace(report, overall=self._overall) if known else report)
            return
        if report.total:
            self._units[self._now] = report.total
            if self._phases[self._now].units is None:
                self._usual = self._usual or report.total
        weights = [
            phase.cost * (units or self._usual or 1)
            for phase, units in zip(self._phases, self._units, strict=True)
        ]
        weight, now = weights[self._now], self._clock()
        share = max(0.0 if begins else self._share, report.fraction or 0.0)
        if not begins and self._at is not None:
            self._worked += weight * (share - self._share)
            self._spent += now - self._at
        self._at, self._share, self._done = now, share, report.done
        behind, ahead = sum(weights[: self._now]), sum(weights[self._now + 1 :])
        done = (behind + share * weight) / max(behind + weight + ahead, 1e-9)
        self._overall = min(1.0, max(self._overall, done))
        left = None
        if self._worked > 0:
            pace = self._spent / self._worked
            here = report.eta_seconds
            left = (weight * (1 - share) * pace if here is None else here) + ahead * pace
        self._sink(
            replace(
                report,
                overall=self._overall,
                left_seconds=left,
                phase=self._now + 1,
                phases=len(self._phases),
            )
        )

    def _enter(self, report: Progress) -> bool | None:
        """Find the report's phase: True when it begins here, None when there is none."""
        ahead = range(self._now + 1, len(self._phases))
        following = next((i for i in ahead if self._phases[i].stage == report.stage), None)
        if self._now >= 0 and self._phases[self._now].stage == report.stage:
            if report.done >= self._done or following != self._now + 1:
                return False
        elif following is None:
            return None
        assert following is not None
        self._now = following
        return True


class ProgressMeter:
    """Meter that reports a stage at most ten times a second and estimates what is left.

    Args:
        sink: where reports go.
        stage: name of the stage.
        total: units in all, or None.
    """

    # A terminal or browser shows no more than about ten updates a second.
    MIN_INTERVAL_SECONDS = 0.1

    def __init__(self, sink: ProgressSink, stage: str, total: int | None) -> None:
        self._sink = sink
        self._stage = stage
        self._total = total
        self._started = time.monotonic()
        self._first_done: int | None = None
        self._last_sent = 0.0

    def update(
        self,
        done: int,
        *,
        message: str = "",
        thumbnail: str | None = None,
        force: bool = False,
        estimate: bool = True,
    ) -> None:
        """Report `done` units; reports that come too soon are dropped unless `force`.

        Args:
            estimate: whether the units come evenly enough to tell how long the rest takes.
        """
        now = time.monotonic()
        if self._first_done is None:
            # Units that an earlier run had finished say nothing about the speed of this one.
            self._first_done, self._started, force = done, now, True
        if self._total is not None and done >= self._total:
            force = True
        if not force and now - self._last_sent < self.MIN_INTERVAL_SECONDS:
            return
        self._last_sent = now
        if self._total is not None and done > self._total:
            # The file's own count of its frames was too small.
            self._total = done
        eta = None
        fresh = done - self._first_done
        if estimate and self._total is not None and fresh > 0:
            eta = max(0.0, (self._total - done) * (now - self._started) / fresh)
        self._sink(
            Progress(
                stage=self._stage,
                done=done,
                total=self._total,
                eta_seconds=eta,
                message=message,
                thumbnail=thumbnail,
            )
        )
