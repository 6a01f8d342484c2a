"""Files: plain ones read with limits, JSON, and writing so that a reader never sees a part."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = [
    "MAX_BYTES",
    "MAX_VALUES",
    "as_json",
    "json_rows",
    "open_plain",
    "parsed_json",
    "read_json",
    "read_plain",
    "replace",
    "write_json",
    "write_json_rows",
]

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
    """Read the whole content of a plain file, which may also grow while it is read.

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


MAX_BYTES = 512 * 2**20
"""Reports grow by about 100 bytes for every person and frame: 4 people for 8 hours at 25 frames a
second are 290 MB."""

MAX_VALUES = 40_000_000
"""A person in a frame is an object of up to ten values: 4 million of these."""

# On Windows a file that somebody reads cannot be replaced; a read of ours takes a millisecond.
_REPLACE_ATTEMPTS, _REPLACE_PAUSE_SECONDS = 50, 0.02


def as_json(data: Any, *, indent: int | None = None) -> str:
    """Write one line of JSON, readable where it can be.

    Names of files need not be Unicode: what Python keeps of such a byte (a lone surrogate) is in
    no UTF-8 text, and goes through JSON as an escape.
    """
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(data, indent=indent)
    return text


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read what a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, larger than `max_bytes`, or nested too deeply.
    """
    try:
        data = read_plain(path, max_bytes=max_bytes)
    except OSError as error:
        # There, but nothing that can be JSON.
        if error.errno in (errno.EFBIG, errno.EINVAL):
            raise ValueError(error.strerror) from error
        raise
    return parsed_json(data)


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parsed_json(data: bytes, *, max_values: int = MAX_VALUES, strict_text: bool = False) -> Any:
    """Parse JSON in UTF-8, only if it holds no more values than are allowed.

    An empty list costs three letters and 64 bytes of memory.  Counting the letters that part
    values takes a hundredth of the time of reading them, and finds at least as many as there are.

    Args:
        strict_text: refuse halves of surrogate pairs.  Our own files may hold them: they stand for
            the bytes of file names that are no text (PEP 383).

    Raises:
        ValueError: it is not JSON, holds more than `max_values`, or is nested too deeply.
    """
    if sum(data.count(letter) for letter in (b"[", b"{", b",")) > max_values:
        raise ValueError(f"it holds more than {max_values:,} values")
    try:
        # Editors of Windows put a mark before UTF-8.
        value = json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if strict_text and _SURROGATE.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("it holds half a character") from None
    return value


def write_json(path: Path, data: Any, *, durable: bool = False) -> None:
    """Write JSON atomically: a reader sees the old file or the new one, never a part.

    Args:
        durable: also survive a power cut (waits for the disk).

    Raises:
        OSError: it cannot be written; the old file is still there.
    """
    text = as_json(data)
    with _whole(path, durable=durable) as file:
        file.write(text)


def write_json_rows(path: Path, rows: Iterable[Any]) -> None:
    """Write a JSON list as atomically as `write_json`, without ever holding it.

    Args:
        rows: asked for one by one while the file is written.

    Raises:
        OSError: it cannot be written; the old file is still there.
    """
    with _whole(path) as file:
        file.write("[")
        for number, row in enumerate(rows):
            file.write(f"{', ' if number else ''}{as_json(row)}")
        file.write("]")


_CHUNK = 2**20
_BETWEEN = re.compile(r"[,\s]*")


def json_rows(path: Path) -> Iterator[Any]:
    """Read a JSON list row by row, without ever holding it; the rows must be objects.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such list.
    """
    decoder = json.JSONDecoder()
    with open(path, encoding="utf-8") as file:
        text = file.read(_CHUNK)
        if not text.startswith("["):
            raise ValueError("it is no list")
        at = 1
        while True:
            between = _BETWEEN.match(text, at)
            at = at if between is None else between.end()
            if text[at : at + 1] == "]":
                return
            try:
                row, at = decoder.raw_decode(text, at)
            except ValueError:
                # A row is cut off where the piece ends.
                more = file.read(_CHUNK)
                if not more:
                    raise
                text, at = text[at:] + more, 0
                continue
            yield row


@contextmanager
def _whole(path: Path, *, durable: bool = False) -> Iterator[IO[str]]:
    """Lend a text file that gets its name once everything is written."""
    # A short name: the file's own may already be as long as the file system allows.
    part = path.with_name(f".facepick-{os.getpid()}-{time.monotonic_ns() % 10**12}.part")
    try:
        with open(part, "w", encoding="utf-8") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def replace(part: Path, path: Path) -> None:
    """Replace as `os.replace` does; on Windows wait for a reader to let go.

    Raises:
        OSError: the system refuses; both files are as they were.
    """
    for attempt in range(1, _REPLACE_ATTEMPTS + 1):
        try:
            os.replace(part, path)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == _REPLACE_ATTEMPTS:
                raise
            time.sleep(_REPLACE_PAUSE_SECONDS)
