"""Programs in processes of their own: modules of this Python, and programs that the user brings.

The latter are run without a shell, and ended with all that they start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from facepick.errors import ToolError
from facepick.progress import CancelToken, never

__all__ = ["SAFE_PATH", "own_session", "python_module", "run_program"]

SAFE_PATH = "import sys; sys.path[:] = filter(None, sys.path)"
"""First line of a program that is given to Python by ``-c``: nothing is imported from the folder it
runs in.  That is the user's, and a ``numpy.py`` or a checkout named ``facepick`` may lie there."""

_LOG_BYTES = 4000


def own_session() -> dict[str, Any]:
    """Choose options of `subprocess.Popen` that put a child into a session of its own.

    A Ctrl-C in the terminal is then for its parent alone, and what it starts can be ended with it.
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def python_module(name: str, *words: str) -> list[str]:
    """Build the command that runs a module in this Python, as ``python -m NAME WORDS...`` does.

    ``-m`` would look for modules in the current folder first, see `SAFE_PATH`; its option for
    that, ``-P``, came with Python 3.11.
    """
    code = "import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
    return [sys.executable, "-c", f"{SAFE_PATH}; {code}", name, *words]


def run_program(
    argv: Sequence[str],
    *,
    what: str,
    hint: str,
    timeout: float | None = None,
    said: str = "",
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
    cancel: CancelToken = never,
) -> None:
    """Run a program to its end.

    Args:
        argv: program and arguments.
        what: who it is, as the start of a sentence: "The separator".
        hint: what to do when it fails.
        timeout: seconds after which it is ended; None waits for it.
        said: what it is given on its standard input, as UTF-8.
        log: where what it says is kept; None forgets it.
        environment: its variables; None for those of this process.
        folder: where it works; None for the current one.

    Raises:
        ToolError: it is not there, ended with an error (with its last words), or took too long.
        Cancelled: it was ended.
    """
    path = None if environment is None else environment.get("PATH")
    if shutil.which(argv[0], path=path) is None and not (Path(folder or ".") / argv[0]).is_file():
        raise ToolError(f"{what}: there is no program {argv[0]}.", hint="Give its whole path.")
    with (
        open(log, "wb+") if log is not None else tempfile.TemporaryFile() as told,
        tempfile.TemporaryFile() as given,
    ):
        # A file, not a pipe: a program that never reads cannot make us wait.
        given.write(said.encode("utf-8", "replace"))
        given.seek(0)
        process = _started(argv, what, given, told, environment, folder)
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while process.poll() is None:
                cancel.raise_if_cancelled()
                if until is not None and time.monotonic() > until:
                    raise ToolError(f"{what} took longer than {timeout:g} s.", hint=hint)
                time.sleep(0.02)
        finally:
            _end(process)
        if process.returncode:
            raise ToolError(
                f"{what} ended with code {process.returncode}: {_last_words(told)}.", hint=hint
            )


def _started(
    argv: Sequence[str],
    what: str,
    given: IO[bytes],
    told: IO[bytes],
    environment: Mapping[str, str] | None,
    folder: str | None,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=given,
            stdout=told,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            cwd=folder,
            **own_session(),
        )
    except OSError as error:
        raise ToolError(
            f"{what} cannot be started: {error.strerror or error}.", hint="Give its whole path."
        ) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the program's whole session, whether it has ended itself or not."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
    process.wait()


def _last_words(told: IO[bytes]) -> str:
    told.seek(0, os.SEEK_END)
    told.seek(max(0, told.tell() - _LOG_BYTES))
    words = told.read().decode("utf-8", "replace").strip().splitlines()
    return words[-1].strip()[:300] if words else "it said nothing"
