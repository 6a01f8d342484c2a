"""Progress and cancellation, as parameters, never globals.

A long function takes ``progress: ProgressSink = no_progress`` and ``cancel: CancelToken = never``
and looks at ``cancel`` at least once per batch of frames.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from facepick.errors import Cancelled

__all__ = [
    "STOPPING",
    "CancelToken",
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
        stage: what is being done: ``wait`` (`done` others wait before it), ``scan``, ``prepare``,
            ``render``, ``publish``, ``fetch``.
        done: units finished (frames or bytes), never negative.
        total: units in all, or None while unknown.
        eta_seconds: seconds left in this stage, or None while unknown.
        message: a short sentence for a person; may be empty.
        thumbnail: path of a small JPEG of the newest result, or None.
    """

    stage: str
    done: int
    total: int | None = None
    eta_seconds: float | None = None
    message: str = ""
    thumbnail: str | None = None

    def __post_init__(self) -> None:
        if self.done < 0:
            raise ValueError(f"done must be >= 0, got {self.done}")

    @property
    def fraction(self) -> float | None:
        """Share done in [0, 1], or None while the total is unknown."""
        if not self.total:
            return None
        return min(1.0, self.done / self.total)


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
