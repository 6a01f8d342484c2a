"""The recipes of docs/farm.md for schedulers, run as they stand there."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.plans import hiding

from facepick.app import App

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the recipes are for a POSIX shell"),
]

DOCS = Path(__file__).resolve().parents[2] / "docs" / "farm.md"

SBATCH = """#!/bin/bash
# Runs what Slurm would: every task of an array, one after the other.
echo "sbatch $*" >> "$SBATCH_LOG"
tasks=none
while [ $# -gt 0 ]; do
  case "$1" in
    --array=*) tasks=${1#--array=} ;;
    --wrap) shift; command=$1 ;;
  esac
  shift
done
if [ "$tasks" = none ]; then bash -ec "$command" >&2 || exit 1; fi
if [ "$tasks" != none ]; then
  for SLURM_ARRAY_TASK_ID in $(seq ${tasks%-*} ${tasks#*-}); do
    export SLURM_ARRAY_TASK_ID
    bash -ec "$command" >&2 || exit 1
  done
fi
echo 4711
"""

CELERY = """
import os
folder = os.environ["BROKER"]
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={
        "data_folder_in": folder + "/queue", "data_folder_out": folder + "/queue",
        "control_folder": folder + "/control",
    },
    result_backend="file://" + folder + "/results",
)
"""


@pytest.fixture
def place(
    tmp_path: Path,
    odd: Callable[[str], Path],
    app: App,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a plan of one segment, and a `facepick` to call."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    shutil.copyfile(odd("base_640x360.mp4"), tmp_path / "ep01.mp4")
    (tmp_path / "ep01.json").write_text(json.dumps(hiding(tmp_path / "ep01.mp4")))
    program(tmp_path / "bin" / "facepick", f'#!/bin/sh\nexec {sys.executable} -m facepick "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def recipe(language: str) -> str:
    return DOCS.read_text(encoding="utf-8").split(f"```{language}\n")[1].partition("```")[0]


def test_slurm(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(place / "bin" / "sbatch", SBATCH)
    monkeypatch.setenv("SBATCH_LOG", str(place / "sbatch.txt"))
    script = recipe("bash").replace("/share", str(place))
    subprocess.run(["bash", "-ec", script], check=True, timeout=600)
    assert (place / "out.mp4").is_file()
    first, second = (place / "sbatch.txt").read_text().splitlines()
    assert "--array=0-0" in first
    assert "--dependency=afterok:4711" in second


@pytest.mark.skipif(find_spec("celery") is None, reason="celery is not installed")
def test_celery(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("queue", "control", "results"):
        (place / name).mkdir()
    monkeypatch.setenv("BROKER", str(place))
    (place / "farm_tasks.py").write_text(recipe("python") + CELERY)
    celery = [sys.executable, "-m", "celery", "-A", "farm_tasks", "worker"]
    with subprocess.Popen(
        [*celery, "--concurrency", "2", "--prefetch-multiplier", "1", "-l", "warning"], cwd=place
    ) as worker:
        try:
            call = "import farm_tasks, sys; farm_tasks.farm(*sys.argv[1:]).get(timeout=500)"
            words = [str(place / name) for name in ("ep01.json", "work", "out.mp4")]
            subprocess.run([sys.executable, "-c", call, *words], cwd=place, check=True, timeout=600)
        finally:
            worker.terminate()
    assert (place / "out.mp4").is_file()
