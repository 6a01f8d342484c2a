"""Environments with the pins of a WebUI host, and the stand-in served in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.browser.support import ROOT, free_port, serving

HERE = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "tests" / "constraints"
CLASH = HERE / "clash"
STAMP = "facepick-pins"

# What the host has of its own, as far as facepick meets it; facepick's own needs are then added
# by install.py, as a host would.
HOST_PACKAGES = (
    "gradio", "fastapi", "pydantic", "httpx", "httpcore", "numpy", "Pillow", "protobuf",
    "setuptools", "opencv-python", "huggingface-hub", "pandas", "anyio", "starlette",
)  # fmt: skip


def host_python(kind: str) -> Path:
    """The Python of ``.venv-KIND``, made when it is not there or its pins, or ours, have changed.

    Skips on a Python that the hosts do not run on; they are at home on 3.10 and 3.11.
    """
    if sys.version_info[:2] not in ((3, 10), (3, 11)):
        if not shutil.which("python3.11") and not shutil.which("python3.10"):
            pytest.skip("the hosts run on Python 3.10 and 3.11, and neither is here")
        base = shutil.which("python3.11") or shutil.which("python3.10") or sys.executable
    else:
        base = sys.executable
    folder = Path(os.environ.get("FACEPICK_VENVS", ROOT)) / f".venv-{kind}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pins = (CONSTRAINTS / f"{kind}.txt").read_bytes() + (ROOT / "install.py").read_bytes()
    wanted = hashlib.sha256(pins + repr((HOST_PACKAGES, base)).encode()).hexdigest()
    stamp = folder / STAMP
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    if base == sys.executable:
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    else:
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(CONSTRAINTS / f"{kind}.txt"), *HOST_PACKAGES], check=True)
    # Every host has torch; a name is enough to see that nobody installs another one.
    torch = next((folder / "lib").glob("python*/site-packages"), folder / "Lib/site-packages")
    (torch / "torch").mkdir()
    (torch / "torch" / "__init__.py").write_text('"""Stands for the torch of the host."""\n')
    stamp.write_text(wanted)
    return python


@contextlib.contextmanager
def changing(python: Path) -> Iterator[None]:
    """What is installed meanwhile counts only if nothing failed; else it is all made anew."""
    stamp = python.parent.parent / STAMP
    text = stamp.read_text()
    stamp.unlink()
    yield
    stamp.write_text(text)


def freeze(python: Path) -> dict[str, str]:
    done = subprocess.run(
        [str(python), "-m", "pip", "freeze", "--all"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line.partition("==") for line in done.stdout.splitlines() if "==" in line]
    return {name.lower(): version for name, _, version in lines}


def run_install(
    python: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """install.py as a host runs it: its own Python, the host's folder, output captured."""
    return subprocess.run(
        [str(python), str(ROOT / "install.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE / "stand_in",
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
    )


def boot_argv(
    python: Path, kind: str, data: Path, port: int, extensions: Sequence[Path]
) -> list[str]:
    named = [part for path in extensions for part in ("--extension", str(path))]
    return [
        str(python), str(HERE / "stand_in" / "boot.py"), "--kind", kind,
        "--data-dir", str(data), "--port", str(port), *named,
    ]  # fmt: skip


@contextlib.contextmanager
def stand_in(
    kind: str,
    data: Path,
    *,
    extensions: Sequence[Path] = (CLASH, ROOT),
    options: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[tuple[str, Path]]:
    """Serves the stand-in of a host; gives its address and its log."""
    port = free_port()
    for name in ("outputs", "models"):
        (data / name).mkdir(parents=True, exist_ok=True)
    argv = [*boot_argv(host_python(kind), kind, data, port, extensions), *options]
    log = data / "server.log"
    clean = {"PYTHONPATH": "", "FACEPICK_HOME": "", **(environment or {})}
    with serving(argv, port, log, clean, data) as address:
        yield address, log
