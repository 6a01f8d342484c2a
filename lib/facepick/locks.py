"""Locks among processes; the system frees them even if their holder is killed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from facepick.progress import CancelToken, never

__all__ = ["FileLock", "locked"]


class FileLock:
    """Lock that at most one process (and one `FileLock` in it) holds at a time.

    Args:
        path: the file; it is made, stays empty, and is never removed, because another process
            may be waiting at it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: IO[bytes] | None = None

    def take(self) -> bool:
        """Take the lock; False when another has it.

        Raises:
            OSError: the file cannot be made.
        """
        # "a" makes the file where it is missing and cuts nothing off where it is not.
        handle = open(self.path, "a+b")  # noqa: SIM115 - open for as long as the lock is held
        if _try_lock(handle):
            self._handle = handle
            return True
        handle.close()
        return False

    def free(self) -> None:
        """Let the next one take it; does nothing when it is not held."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with handle:
                _unlock(handle)


@contextmanager
def locked(path: Path, cancel: CancelToken = never) -> Iterator[None]:
    """Wait until nobody else holds the lock, and hold it for the block.

    Raises:
        Cancelled: `cancel` was set while waiting.
        OSError: the file cannot be made.
    """
    lock = FileLock(path)
    while not lock.take():
        cancel.raise_if_cancelled()
        time.sleep(0.05)
    try:
        yield
    finally:
        lock.free()


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: IO[bytes]) -> bool:
        handle.seek(0)
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(handle: IO[bytes]) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(handle: IO[bytes]) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
