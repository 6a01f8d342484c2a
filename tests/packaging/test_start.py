"""start.sh, run; and start.bat, read: nobody has run it, for no test of ours runs on Windows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TOLD = "import sys; print('RAN', *sys.argv[1:], sep='|'); sys.exit(int(len(sys.argv) > 2) * 5)"


class Machine:
    """A folder with facepick's start.sh, and a PATH that holds nothing but what is put there."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "face pick (1)"
        self.place.mkdir()
        shutil.copy(ROOT / "start.sh", self.place)
        (self.place / "standalone.py").write_text(TOLD)
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in ("dirname", "cat"):
            found = shutil.which(tool)
            assert found
            (self.bin / tool).symlink_to(found)

    def has(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(self.place / "start.sh"), *arguments],
            cwd="/",
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if os.name == "nt":
        pytest.skip("start.sh is for other systems")
    return Machine(tmp_path)


PYTHON = f'exec "{sys.executable}" "$@"'
TOO_OLD = "exit 1"
# `uv python find` knows a Python once `uv python install` has fetched it.
UV = """case "$*" in
  "python find --managed-python 3.12") cat "${0%/*}/kept" 2>/dev/null || exit 2 ;;
  "python install 3.12") echo "${0%/*}/fetched" > "${0%/*}/kept" ;;
  *) exit 9 ;;
esac"""


def test_the_systems_python_is_taken_and_arguments_and_code_are_its_own(machine: Machine) -> None:
    machine.has("python3", PYTHON)
    machine.has("uv", "exit 9")
    done = machine.start()
    assert (done.returncode, done.stdout.strip()) == (0, "RAN")
    done = machine.start("people", "a clip (2).mp4")
    assert (done.returncode, done.stdout.strip()) == (5, "RAN|people|a clip (2).mp4")


def test_an_unfit_python_is_passed_over(machine: Machine) -> None:
    machine.has("python3", TOO_OLD)
    machine.has("python3.12", PYTHON)
    assert machine.start().stdout.strip() == "RAN"


def test_without_python_uv_fetches_one_once(machine: Machine) -> None:
    machine.has("python3", TOO_OLD)
    machine.has("uv", UV)
    machine.has("fetched", PYTHON)
    first = machine.start()
    assert first.returncode == 0
    assert first.stdout.splitlines()[-1] == "RAN"
    assert "uv fetches one" in first.stdout
    assert machine.start().stdout.strip() == "RAN"


def test_without_either_one_sentence_says_what_to_do(machine: Machine) -> None:
    done = machine.start("people", "clip.mp4")
    assert done.returncode == 3
    assert done.stdout == ""
    (told,) = done.stderr.splitlines()
    assert "neither Python 3.10 to 3.13 nor uv" in told
    machine.has("uv", "exit 1")
    done = machine.start()
    assert done.returncode == 3
    assert "could not fetch Python" in done.stderr


@pytest.fixture(scope="module")
def batch() -> list[str]:
    raw = (ROOT / "start.bat").read_bytes()
    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n") > 0, "cmd.exe loses labels with other ends"
    return [line for line in raw.decode().splitlines() if not line.lower().startswith("rem")]


def test_lines_of_the_batch_file_end_as_windows_wants() -> None:
    attributes = (ROOT / ".gitattributes").read_text()
    assert "*.bat text eol=crlf" in attributes
    assert "*.sh text eol=lf" in attributes


def test_the_batch_file_quotes_every_path(batch: list[str]) -> None:
    for line in batch:
        for path in re.findall(r"%(?:~dp0|HERE|UVPYTHON)%?", line):
            before = line[: line.index(path)]
            assert before.count('"') % 2 == 1, f"{path} is not quoted: {line}"
    # A path with ")" ends a block of lines early; one command needs no block.
    assert not [line for line in batch if re.search(r"\($|^\s*\)", line)]


def test_the_batch_file_goes_where_there_is_something(batch: list[str]) -> None:
    labels = {line[1:] for line in batch if re.fullmatch(r":\w+", line)}
    used = {m[1] for line in batch for m in re.finditer(r"(?:goto|call) :?(\w+)", line)}
    assert used == labels - {"EOF"}
    # Nothing runs on from one part into the next by accident.
    for number, line in enumerate(batch):
        if re.fullmatch(r":\w+", line) and line != ":kept":
            before = [text for text in batch[:number] if text.strip()][-1]
            assert re.match(r"goto \w+$|exit /b", before), f"runs into {line}: {before}"


def test_the_batch_file_gives_the_code_of_what_it_ran(batch: list[str]) -> None:
    lines = [line for line in batch if line.strip()]
    runs = [i for i, line in enumerate(lines) if "standalone.py" in line]
    assert len(runs) == 2
    assert all(lines[i].endswith("%*") and lines[i + 1] == "goto end" for i in runs)
    end = lines.index(":end")
    assert lines[end + 1] == 'set "CODE=%ERRORLEVEL%"'
    assert "exit /b %CODE%" in lines
    # "if errorlevel 1" takes the negative code of a crash for success.
    assert not [line for line in batch if re.search(r"if (not )?errorlevel", line)]
