"""Readers that go away, streams that are closed, signals at every moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors of POSIX")

PROGRAM = [sys.executable, "-m", "facepick"]


def run(words: list[str], shell: str = "", **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The program, with redirections as a shell makes them; gives its own exit code."""
    script = f'"$@" {shell}; exit "${{PIPESTATUS[0]}}"'
    argv = ["bash", "-c", script, "bash", *PROGRAM, *words]
    return subprocess.run(argv, capture_output=True, timeout=300, check=False, **more)


@pytest.mark.parametrize("shell", ["| head -1", "| true", ">&-", "<&- >&-", ">&- 2>&-"])
def test_a_reader_that_is_gone_is_no_error(shell: str) -> None:
    done = run(["models", "list"], shell)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full", "2>&1 | true"])
def test_an_error_keeps_its_code_when_nobody_hears_it(shell: str) -> None:
    assert run(["people", "nowhere.mp4"], shell).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_could_not_be_written_is_not_done() -> None:
    done = run(["models", "list"], ">/dev/full")
    assert done.returncode == 5
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_written_into_files_when_streams_are_closed(tmp_path: Path) -> None:
    """The first file that is opened must not become descriptor 1."""
    code = (
        "import os, facepick.__main__ as m; m._open_streams();"
        "file = open('f', 'w'); os.write(1, b'banner'); print('line'); file.close()"
    )
    argv = ["bash", "-c", '"$@" >&- 2>&- <&-', "bash", sys.executable, "-c", code]
    subprocess.run(argv, cwd=tmp_path, timeout=300, check=True)
    assert (tmp_path / "f").read_bytes() == b""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("moment", ["imports", "work"])
def test_a_signal_ends_quietly_with_4(name: str, moment: str, tmp_path: Path) -> None:
    """`imports`: before the command line is there; `work`: while a command runs."""
    slow = tmp_path / "sitecustomize.py"
    where = "facepick.cli" if moment == "imports" else "facepick.app"
    slow.write_text(
        "import sys, time, importlib.abc\n"
        "class Slow(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {where!r}:\n"
        f"            open({str(tmp_path / 'there')!r}, 'w').close()\n"
        "            time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [*PROGRAM, "jobs", "list"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A run in the background ignores signals, and what it starts would, too.
        preexec_fn=lambda: signal.signal(getattr(signal, name), signal.SIG_DFL),
    )
    until = time.monotonic() + 120
    while not (tmp_path / "there").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    out, said = process.communicate(timeout=120)
    assert (process.returncode, out, said) == (4, b"", b"facepick: Stopped.\n")


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As under `nohup`."""
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "import facepick.__main__ as m; m._catch_early();"
        "from facepick.jobs.runner import cancel_on_signals;"
        "from facepick.progress import CancelToken\n"
        "with cancel_on_signals(CancelToken()):\n"
        "    print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"True"
