"""standalone.py, with a real virtual environment and a tiny package in place of facepick.

The package has no dependencies and builds itself, so that no index is needed; everything else
(venv, pip, the stamp, the lock, the probe) is what a user runs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "facepick"
version = "0.0"
"""

# A PEP 660 backend: an editable wheel is a .pth file that names the folder.
BACKEND = """
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
INFO = "facepick-0.0.dist-info"
METADATA = "Metadata-Version: 2.1\\nName: facepick\\nVersion: 0.0\\nProvides-Extra: ui\\n"
WHEEL = "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "facepick-0.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        wheel.writestr("facepick.pth", str(ROOT / "lib"))
        wheel.writestr(f"{INFO}/METADATA", METADATA)
        wheel.writestr(f"{INFO}/WHEEL", WHEEL)
        wheel.writestr(f"{INFO}/RECORD", "")
    return name


build_editable = build_wheel
"""

# `models fetch --default` makes the file; everything else prints what it was told.
MAIN = """
import os, sys
from pathlib import Path
home = Path(os.environ["FACEPICK_HOME"])
if sys.argv[1:] == ["models", "fetch", "--default"]:
    if (home / "offline").exists():
        sys.exit("no connection")
    home.mkdir(parents=True, exist_ok=True)
    (home / "model").write_text("here")
elif sys.argv[1:2] == ["exit"]:
    sys.exit(int(sys.argv[2]))
else:
    print("RAN", *sys.argv[1:], sys.prefix)
"""

CATALOG = """
class Spec:
    id = "sface"

def default_specs():
    return (Spec,)
"""

STORE = """
import os
from pathlib import Path

class Store:
    def find(self, spec):
        return (Path(os.environ["FACEPICK_HOME"]) / "model").exists() or None

def default_store():
    return Store()
"""


class Folder:
    """A folder with standalone.py and the tiny package, as after a download."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.venv = path / ".venv"
        self.home = path / "home of its own"
        self.variables = {
            "FACEPICK_HOME": str(self.home),
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
            # Would break an installation into .venv if it were passed on.
            "PIP_USER": "1",
            "PYTHONPATH": str(path / "nowhere"),
        }

    def write(self, name: str, text: str) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.path / "standalone.py"), *arguments],
            cwd=cwd or self.path,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


@pytest.fixture(scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("a folder") / "facepick (1)")
    folder.path.mkdir()
    script = (ROOT / "standalone.py").read_text(encoding="utf-8")
    # The tiny package stands for all of them.
    start, stop = script.index("MODULES = {"), script.index("# Runs inside .venv.")
    script = (
        script[:start]
        + 'MODULES = {"": ("facepick",), "ui": ("facepick.tab",)}\n\n'
        + (script[stop:])
    )
    folder.write("standalone.py", script)
    folder.write("pyproject.toml", PROJECT)
    folder.write("backend.py", BACKEND)
    folder.write("lib/facepick/__init__.py", "")
    folder.write("lib/facepick/__main__.py", MAIN)
    folder.write("lib/facepick/tab.py", "")
    folder.write("lib/facepick/models/__init__.py", "")
    folder.write("lib/facepick/models/catalog.py", CATALOG)
    folder.write("lib/facepick/models/store.py", STORE)
    return folder


@pytest.fixture(scope="module")
def ready(_template: Folder) -> Folder:
    """After the first start, shared by the tests that leave it in order."""
    done = _template.start("people", "a clip.mp4")
    assert done.returncode == 0, done.stderr
    assert "Making .venv" in done.stdout
    assert "Fetching the default models" in done.stdout
    assert f"RAN people a clip.mp4 {_template.venv}" in done.stdout
    return _template


@pytest.fixture
def fresh(_template: Folder, tmp_path: Path) -> Folder:
    """A copy in which nothing was started yet."""
    target = tmp_path / "facepick"
    shutil.copytree(
        _template.path, target, ignore=shutil.ignore_patterns(".venv*", "home*", "__pycache__")
    )
    return Folder(target)


def test_a_second_start_only_runs(ready: Folder) -> None:
    # Without any way to install: PIP_NO_INDEX is set and pip is not even asked.
    log = (ready.venv / "facepick-install.log").stat().st_mtime_ns
    done = ready.start("jobs", "list")
    assert done.stdout.splitlines() == [f"RAN jobs list {ready.venv}"]
    assert (ready.venv / "facepick-install.log").stat().st_mtime_ns == log


def test_the_exit_code_is_the_command_lines(ready: Folder) -> None:
    assert ready.start("exit", "4").returncode == 4


def test_what_lies_where_it_is_started_is_not_imported(ready: Folder, tmp_path: Path) -> None:
    for name in ("facepick", "runpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was run')")
    done = ready.start("jobs", "list", cwd=tmp_path)
    assert done.stdout.splitlines() == [f"RAN jobs list {ready.venv}"], done.stderr


def test_nothing_opens_the_app_and_adds_what_it_needs(ready: Folder) -> None:
    done = ready.start()
    assert f"RAN ui {ready.venv}" in done.stdout
    stamp = json.loads((ready.venv / "facepick-stamp.json").read_text())
    assert stamp["extras"] == ["ui"]
    assert ready.start("ui", "--port", "1").stdout.startswith("RAN ui --port 1")


def test_help_sets_nothing_up(fresh: Folder) -> None:
    done = fresh.start("--help")
    assert done.returncode == 0
    assert "standalone.py demo" in done.stdout
    assert not fresh.venv.exists()


def test_a_broken_venv_is_repaired(ready: Folder) -> None:
    """Its Python is gone; a module is gone; the stamp is gone (an installation was cut off)."""
    python = next((ready.venv / ("Scripts" if os.name == "nt" else "bin")).glob("python*"))
    for damage in (
        lambda: python.unlink(),
        lambda: next(ready.venv.rglob("facepick.pth")).unlink(),
        lambda: (ready.venv / "facepick-stamp.json").unlink(),
    ):
        damage()
        done = ready.start("people")
        assert done.returncode == 0, done.stderr
        assert "RAN people" in done.stdout
        assert ready.start("people").stdout.splitlines() == [f"RAN people {ready.venv}"]


def test_a_changed_project_is_installed_again(ready: Folder) -> None:
    ready.write("pyproject.toml", PROJECT + '\ndescription = "changed"\n')
    done = ready.start("people")
    assert "Installing packages" in done.stdout
    assert "Making .venv" not in done.stdout
    assert "Installing" not in ready.start("people").stdout


def test_somebody_elses_venv_is_left_alone(fresh: Folder) -> None:
    fresh.write(".venv/precious", "mine")
    done = fresh.start("people")
    assert done.returncode == 3
    assert "was not made by this script" in done.stderr
    assert (fresh.venv / "precious").read_text() == "mine"


def test_missing_models_stop_the_demo_but_not_the_rest(ready: Folder) -> None:
    (ready.home / "model").unlink()
    (ready.home / "offline").touch()
    try:
        done = ready.start("demo")
        assert done.returncode == 3
        assert "docs/models.md" in done.stderr
        done = ready.start("people")
        assert done.returncode == 0
        assert "Going on without them" in done.stdout
        assert ready.start("--version").stdout.startswith("RAN --version")
    finally:
        (ready.home / "offline").unlink()
    assert "RAN demo" in ready.start("demo").stdout


def test_two_first_starts_at_once(fresh: Folder) -> None:
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [
        threading.Thread(target=lambda: results.append(fresh.start("people"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [done.returncode for done in results] == [0, 0]
    assert sum("Making .venv" in done.stdout for done in results) == 1
    assert all("RAN people" in done.stdout for done in results)


def test_what_pip_says_is_passed_on(fresh: Folder) -> None:
    fresh.write("pyproject.toml", PROJECT + '\n[tool.x]\ny = "not closed\n')
    done = fresh.start("people")
    assert done.returncode == 3
    assert "pip could not install" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("standalone", ROOT / "standalone.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_old_pythons_are_told_so(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(script.SetupError, match=r"Python 3\.9 is too old"):
        script.check_python((3, 9))
    script.check_python((3, 10))
    script.check_python((3, 13))
    assert capsys.readouterr().out == ""
    script.check_python((3, 14))
    assert "newer than" in capsys.readouterr().out


def test_it_parses_on_pythons_that_are_too_old_to_run_it() -> None:
    """Or a user of Python 3.7 gets a SyntaxError instead of the sentence."""
    import ast

    text = (ROOT / "standalone.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 7))


def test_a_python_without_venv_names_the_debian_package(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(script, "can_import", lambda name: name != "ensurepip")
    monkeypatch.setattr(script, "VENV", tmp_path / ".venv")
    with pytest.raises(script.SetupError) as failure:
        script.make_venv()
    version = "{}.{}".format(*sys.version_info[:2])
    assert f"ensurepip. On Debian and Ubuntu: sudo apt install python{version}-venv" in str(
        failure.value
    )
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.9 MB)",
         "numpy 2.4.6 (16.9 MB)"),
        ("Downloading ffmpeg_python-0.2.0-py3-none-any.whl (25 kB)", "ffmpeg_python 0.2.0 (25 kB)"),
        ("  Using cached future-1.0.0.tar.gz (1.2 MB)", "future 1.0.0 (1.2 MB)"),
        ("Processing /a folder/torch-2.13.0%2Bcpu-cp311-linux_x86_64.whl (from x)", ""),
        ("Processing /wheels/torch-2.13.0%2Bcpu-cp311-linux_x86_64.whl (from facepick)",
         "torch 2.13.0+cpu"),
        ("Processing /srv/facepick", ""),
        ("Installing collected packages: a, b, c", "unpacking 3 packages"),
        ("Collecting numpy>=1.26", ""),
    ],
)  # fmt: skip
def test_progress_lines(script: ModuleType, line: str, shown: str) -> None:
    assert script.install_line(line) == shown


def test_it_uses_the_standard_library_only() -> None:
    import ast

    tree = ast.parse((ROOT / "standalone.py").read_text(encoding="utf-8"))
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            used |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            used.add(str(node.module).split(".")[0])
    assert used <= set(sys.stdlib_module_names)


def test_ci_runs_what_people_run() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert "export CI=true" in text
    assert text.rstrip().endswith("exec python3 standalone.py test")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
