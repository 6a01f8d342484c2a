"""install.py where something goes wrong: one line, and the host starts."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
INSTALL = ROOT / "install.py"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with pip and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(python: Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("COMMANDLINE_ARGS", "PYTHONPATH")}
    return subprocess.run(
        [str(python), str(INSTALL)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**env, **environment},
    )  # fmt: skip


def test_without_network_one_line_a_package_and_exit_0(bare: Path, tmp_path: Path) -> None:
    done = run(bare, tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(line.startswith("facepick: ") for line in lines)
    assert sum("could not install av>=12.3" in line for line in lines) == 1


def test_what_failed_is_not_tried_again_at_every_start(bare: Path, tmp_path: Path) -> None:
    run(bare, tmp_path, PIP_NO_INDEX="1")
    again = run(bare, tmp_path, PIP_NO_INDEX="1")
    assert (again.returncode, again.stdout) == (0, "")


def test_skip_install_is_obeyed(bare: Path, tmp_path: Path) -> None:
    done = run(bare, tmp_path, COMMANDLINE_ARGS="--listen --skip-install")
    assert (done.returncode, done.stdout) == (0, "")


def test_skip_install_of_the_hosts_launch_is_obeyed(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "launch.py").write_text(
        "import argparse\nargs = argparse.Namespace(skip_install=True)\n"
    )
    done = run(bare, tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")


def load() -> Any:
    spec = importlib.util.spec_from_file_location("facepick_install_under_test", INSTALL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_fault_of_its_own_does_not_stop_the_host(tmp_path: Path) -> None:
    code = (
        f"import runpy, importlib.util as u; u.find_spec = lambda name: 1 / 0; "
        f"runpy.run_path({str(INSTALL)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0
    assert done.stdout == "facepick: install.py stopped: ZeroDivisionError: division by zero\n"


@pytest.mark.parametrize(
    ("name", "brings"),
    [
        ("opencv-contrib-python-headless", False),
        ("opencv-python", False),
        ("tensorflow-cpu", False),
        ("tf-keras", False),
        ("pandas", True),
        ("gdown", True),
    ],
)
def test_nothing_brings_a_second_opencv_or_a_framework(name: str, brings: bool) -> None:
    assert (load().NEVER.fullmatch(name) is None) is brings


def test_the_list_agrees_with_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for _, requirement in load().NEEDED:
        assert f'"{requirement}"' in text, requirement
