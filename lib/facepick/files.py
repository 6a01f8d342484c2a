"""Files that users name: only plain ones are opened, and only so much is read as is allowed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

__all__ = ["open_plain", "read_plain"]

# A pipe that nobody writes to, or a log of the system under /proc, must not make a reader wait.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_plain(path: Path | str) -> IO[bytes]:
    """Open a file for reading in binary, if it is a plain one.

    Pipes, devices and sockets are refused before they are opened, because already that may wait
    for ever or do something.

    Raises:
        OSError: it is not there, may not be read, or is a folder, pipe, device or socket.
    """
    try:
        _check(os.stat(path), path)
        number = os.open(path, _FLAGS)
    except ValueError as error:
        # A name with a null character, or one that the file system cannot spell.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    try:
        # Somebody may have put another file there in between.
        _check(os.fstat(number), path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _check(facts: os.stat_result, path: Path | str) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file but a pipe or a device", str(path))


def read_plain(path: Path | str, *, max_bytes: int) -> bytes:
    """The whole content of a plain file, which may also grow while it is read.

    Raises:
        OSError: as `open_plain`, or it holds more than `max_bytes`.
    """
    with open_plain(path) as file:
        large = OSError(errno.EFBIG, f"it is larger than {_megabytes(max_bytes)} MB", str(path))
        # Told early where the size is known; files under /proc say 0 and hold something.
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise large
        # What stands under /proc and has nothing to say yet gives None instead of waiting.
        data = file.read(max_bytes + 1) or b""
    if len(data) > max_bytes:
        raise large

    return data


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.3g}"
