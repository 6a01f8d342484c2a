"""Files that users name: plain ones, read up to a limit; JSON that costs no more than it may."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from facepick import files
from facepick.files import open_plain, read_plain

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no such files on Windows")


def test_reads_what_is_allowed_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1000)
    assert read_plain(path, max_bytes=1000) == b"x" * 1000
    with pytest.raises(OSError, match="larger than") as caught:
        read_plain(path, max_bytes=999)
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "b", max_bytes=9)
    with pytest.raises(FileNotFoundError):
        read_plain("a\0b", max_bytes=9)


@posix
def test_nothing_that_may_never_end_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket has at most 108 bytes.
        old = os.getcwd()
        os.chdir(tmp_path)
        try:
            listener.bind("socket")
        finally:
            os.chdir(old)
        for path in (tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero"), tmp_path):
            with pytest.raises(OSError, match=r"plain file|folder"):
                open_plain(path)


def test_json_is_refused_by_its_values_before_they_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[" + b"[]," * 1000 + b"[]]")
    assert len(files.read_json(path)) == 1001
    with pytest.raises(ValueError, match="more than 2,000 values"):
        files.parsed_json(path.read_bytes(), max_values=2000)
    with pytest.raises(ValueError, match="larger than"):
        files.read_json(path, max_bytes=100)
    with pytest.raises(ValueError, match="nested"):
        files.parsed_json(b"[" * 100_000)
