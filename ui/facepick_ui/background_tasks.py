"""Work of some seconds that is no job: done in a thread while the page shows that it moves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["BackgroundTask"]


class BackgroundTask:
    """Runs a function in a thread.

    Args:
        work: what takes long; it must not touch the session.
        then: what to do with its answer, in the thread of the page; gives the changes.
        place: where the page shows that it runs, and what went wrong.
    """

    def __init__(
        self, work: Callable[[], Any], then: Callable[[Any], dict[str, dict[str, Any]]], place: str
    ) -> None:
        self.place = place
        self._work = work
        self._then = then
        self._answer: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer = self._work()
        except BaseException as error:
            # Raised again by `changes`, where somebody waits for it.
            self._error = error

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def changes(self) -> dict[str, dict[str, Any]]:
        """Give what it came to.  Raises what the work raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._then(self._answer)
