"""Program ``facepick`` and ``python -m facepick``.

What is here works before anything that takes long to import: signals from the first moment on, and
standard streams that are closed or whose reader goes away.
"""

from __future__ import annotations

# Nothing but what the interpreter has loaded by now: `signal` itself would import `enum`.
import _signal  # type: ignore[import-not-found]
import errno
import io
import os
import sys

__all__ = ["main"]

# `facepick.errors.Cancelled.exit_code`, written down because nothing is imported yet.
_STOPPED = 4


def main() -> int:
    """Run the command line; gives the exit code."""
    _catch_early()
    _open_streams()
    # Pictures of faces are too small to be shared out among threads: on two cores OpenCV's own cost
    # a seventh to a fifth more CPU and save no time, as decoding and encoding have theirs.  numpy's
    # matrices are as small: a second thread only waits for the first, at full load.
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from facepick.cli import main as run

    code = run()
    if code == _STOPPED:
        # CPython remembers an interrupt that came while a text was executed (`dataclass` does that)
        # and would end by the signal, although it was caught.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return code


def _stop(number: int, frame: object) -> None:
    # Nothing has been begun that would have to be tidied up.
    try:
        os.write(2, b"facepick: Stopped.\n")
    finally:
        os._exit(_STOPPED)


def _catch_early() -> None:
    """Let a signal that comes while modules are imported end quietly, as a later one does."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(_signal, name, None)
        # `nohup` and shells that start something in the background want signals to be ignored.
        if number is not None and _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _stop)


def _open_streams() -> None:
    """Make standard streams that can be written to, whatever the caller has closed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The next file that is opened would get this number, and banners of libraries would be
            # written into it.
            os.open(os.devnull, os.O_RDWR)
    if sys.platform == "win32":
        return
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        fresh = io.TextIOWrapper(
            io.BufferedWriter(_Patient(number, "w", closefd=False)),
            encoding=getattr(stream, "encoding", None) or "utf-8",
            errors="backslashreplace",
            line_buffering=number == 2 or bool(getattr(stream, "line_buffering", False)),
        )
        setattr(sys, name, fresh)


class _Patient(io.FileIO):
    """Stream that goes on when its reader has gone (``| head``, a terminal that was closed).

    The work goes on, too: its result is a file, or is kept for the next time.
    """

    def write(self, data):  # type: ignore[no-untyped-def]
        try:
            return super().write(data) or 0
        except OSError as error:
            # What cannot be said on stderr is lost; the exit code says it, too.
            if self.fileno() != 2 and error.errno not in (errno.EPIPE, errno.EIO, errno.EBADF):
                raise
            return memoryview(data).nbytes


if __name__ == "__main__":
    sys.exit(main())
