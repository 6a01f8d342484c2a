"""facepick without anything installed: needs only Python 3.10 or newer.

    python standalone.py              open the app
    python standalone.py demo         try it on the bundled clip
    python standalone.py test         run everything that the tests of this project run
    python standalone.py ARGUMENTS    the command line, as `facepick ARGUMENTS`

The first start makes the folder .venv beside this file, installs what facepick needs into it
and fetches the default models; later starts need no network.  `--recreate` as the first
argument builds .venv anew.  pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf) and
FACEPICK_HOME, FACEPICK_MODELS are honoured.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"

OLDEST = (3, 10)
NEWEST_TESTED = (3, 13)

# What looks at faces wants the default models; the first three cannot do without.
FETCH_FOR = ("demo", "ui", "test", "people", "render", "preview")

EXIT_MISSING = 3
EXIT_STOPPED = 4

# Percent of the core's lines that the quick tests must run.  Counting lines makes tests a third
# slower, so that the others go uncounted.
COVERAGE = ("--cov=facepick", "--cov-report=", "--cov-fail-under=85")

# What is written by people and looked through for slips.
TEXTS = ("lib", "ui", "scripts", "tests", "benchmarks", "tools", "docs", "CHANGELOG.md",
         "CONTRIBUTING.md", "README.md", "install.py", "standalone.py")  # fmt: skip

# What must be importable for each set of packages; found without importing anything.
MODULES = {
    "": ("facepick", "numpy", "av", "cv2", "scenedetect", "onnxruntime", "ffmpeg",
         "imageio_ffmpeg", "rich", "platformdirs", "pysubs2", "jinja2"),
    "ui": ("facepick_ui", "gradio"),
    "test": ("codespell_lib", "gradio", "importlinter", "mypy", "playwright", "pytest",
             "pytest_cov", "pytest_timeout", "torch", "vulture", "xdist"),
}  # fmt: skip

# Runs inside .venv.  Says what is missing without importing the heavy packages.
PROBE = """
import importlib.util, json, sys
missing = [m for m in sys.argv[1:] if importlib.util.find_spec(m) is None]
models = []
if "facepick" not in missing:
    from facepick.models.catalog import default_specs
    from facepick.models.store import default_store
    store = default_store()
    models = [spec.id for spec in default_specs() if store.find(spec) is None]
print(json.dumps({"python": list(sys.version_info[:2]), "missing": missing, "models": models}))
"""

# Runs facepick.  "-m" would look for modules in the current folder first, which is the user's: a
# numpy.py may lie there, or this very checkout, which is called facepick.
PROGRAM = """
import sys
sys.path[:] = filter(None, sys.path)
import runpy
runpy.run_module("facepick", run_name="__main__", alter_sys=True)
"""


class SetupError(Exception):
    """Set-up that cannot go on; the text says why and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Set up what the command needs, then run it."""
    arguments = list(arguments)
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    recreate = arguments[:1] == ["--recreate"]
    if recreate:
        arguments = arguments[1:]
    verb = arguments[0] if arguments else "ui"
    extras = {"ui": ["ui"], "test": ["test"]}.get(verb, [])
    try:
        check_python(sys.version_info[:2])
        python, missing_models = prepare(extras, recreate=recreate)
        if missing_models and verb in FETCH_FOR:
            fetch_models(python, required=verb in FETCH_FOR[:3])
    except SetupError as error:
        print(f"facepick: {error}", file=sys.stderr)
        return EXIT_MISSING
    except KeyboardInterrupt:
        print("\nfacepick: stopped. The next start sets up what is missing.", file=sys.stderr)
        return EXIT_STOPPED
    if verb == "test":
        return run_tests(python, arguments[1:])
    return hand_over(python, ["-c", PROGRAM, *(arguments or ["ui"])])


def check_python(version: tuple[int, ...]) -> None:
    """Check the version.

    Raises:
        SetupError, when this Python is too old.
    """
    if tuple(version) < OLDEST:
        raise SetupError(
            "Python {}.{} is too old; facepick needs Python {}.{} or newer. "
            "Get one at https://www.python.org/downloads/ and start this file with it.".format(
                *version[:2], *OLDEST
            )
        )
    if tuple(version) > NEWEST_TESTED:
        say("Python {}.{} is newer than what facepick was tested with.".format(*version[:2]))


# ------------------------------------------------------------------------------- the set-up


def prepare(extras: Sequence[str], *, recreate: bool) -> tuple[str, list[str]]:
    """Build or repair .venv, and return its Python and the default models that are missing.

    Builds or repairs .venv when needed.
    """
    state = None if recreate else healthy(extras)
    if state is None:
        with only_one(ROOT / ".venv.lock"):
            state = None if recreate else healthy(extras)
            if state is None:
                build(extras, recreate=recreate)
                state = healthy(extras)
            if state is None:
                # A damaged package that pip takes for installed: only a new .venv helps.
                build(extras, recreate=True)
                state = healthy(extras)
        if state is None:
            raise SetupError(
                f"{VENV} does not work although the installation succeeded. Look into "
                f"{VENV / 'facepick-install.log'}."
            )
    return str(venv_python()), state["models"]


def healthy(extras: Sequence[str]) -> dict[str, Any] | None:
    """Probe .venv: what it says when it is complete and up to date, else None."""
    stamp = read_stamp()
    if stamp is None or stamp.get("fingerprint") != fingerprint():
        return None
    if not set(extras) <= set(stamp.get("extras", [])):
        return None
    state = probe([m for extra in ["", *stamp["extras"]] for m in MODULES.get(extra, ())])
    if state is None or state["missing"]:
        return None
    return state


def probe(modules: Sequence[str]) -> dict[str, Any] | None:
    """Ask .venv's Python what is missing; None when it does not even run."""
    python = venv_python()
    if not python.exists():
        return None
    argv = [str(python), "-c", PROBE, *dict.fromkeys(modules)]
    try:
        done = subprocess.run(
            argv, cwd=str(ROOT), env=clean_environment(), timeout=120, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        state = json.loads(done.stdout.decode("utf-8").strip().splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None
    return state if isinstance(state, dict) else None


def build(extras: Sequence[str], *, recreate: bool) -> None:
    """Make .venv, or bring it up to date."""
    stamp = read_stamp()
    wanted = sorted({*extras, *(stamp or {}).get("extras", [])})
    if VENV.exists() and not recreate and not ours():
        raise SetupError(
            f"{VENV} is there but was not made by this script. Move it away, or let this "
            "script replace it: python standalone.py --recreate"
        )
    # Without a stamp the last installation was cut off: packages may be half there, and pip
    # would take them for whole.
    fresh = recreate or stamp is None or probe([]) is None
    if fresh:
        make_venv()
    remove_stamp()
    install(wanted)
    write_stamp({"fingerprint": fingerprint(), "extras": wanted})


def make_venv() -> None:
    """Make .venv anew."""
    missing = [name for name in ("venv", "ensurepip") if not can_import(name)]
    if missing:
        raise SetupError(
            "this Python lacks its module {}. On Debian and Ubuntu: "
            "sudo apt install python{}.{}-venv".format(" and ".join(missing), *sys.version_info[:2])
        )
    if VENV.exists():
        say("Removing the old .venv")
        remove_tree(VENV)
    if shutil.disk_usage(str(ROOT)).free < 2 * 1024**3:
        say("Less than 2 GB are free on this disk; that may not be enough.")
    say("Making .venv with Python {}.{}".format(*sys.version_info[:2]))
    VENV.mkdir()
    marker().write_text("Made by standalone.py of facepick.\n", encoding="utf-8")
    # From inside a virtual environment (even the old .venv) the Python beneath it is taken.
    base = getattr(sys, "_base_executable", None) or sys.executable
    done = subprocess.run(
        [base, "-m", "venv", str(VENV)], check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment(),
    )  # fmt: skip
    if done.returncode != 0 or not venv_python().exists():
        said = done.stdout.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise SetupError("the venv module failed: " + " ".join(said))


def install(extras: Sequence[str]) -> None:
    """Install this folder with pip, editable, so that an update of the folder is an update."""
    what = str(ROOT) + (f"[{','.join(extras)}]" if extras else "")
    argv = [
        str(venv_python()), "-m", "pip", "install", "--no-input", "--progress-bar", "off",
        "--disable-pip-version-check", "--editable", what,
    ]  # fmt: skip
    say("Installing packages" + (f" ({', '.join(extras)})" if extras else ""))
    log = VENV / "facepick-install.log"
    with open(str(log), "w", encoding="utf-8", errors="replace") as note:
        process = subprocess.Popen(
            argv, cwd=str(ROOT), env=clean_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            for line in lines_with_heartbeat(process):
                note.write(line + "\n")
                shown = install_line(line)
                if shown:
                    say("  " + shown)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-12:]
        raise SetupError(
            "pip could not install the packages:\n  "
            + "\n  ".join(tail)
            + f"\nThe whole log is {log}. Without access to pypi.org set PIP_INDEX_URL to a "
            "mirror, then start again."
        )


def install_line(line: str) -> str:
    """Word what a line of pip's output is worth to a person, or nothing."""
    found = re.match(r"\s*(?:Downloading|Using cached|Processing) (\S+)\s*(\([\d.]+ \w+\))?", line)
    if found:
        name = re.split(r"[\\/]", found.group(1).rstrip("/\\"))[-1].replace("%2B", "+")
        parts = name.split("-")
        if name.endswith((".whl", ".tar.gz", ".zip")) and len(parts) > 1:
            version = re.sub(r"\.(tar\.gz|zip|whl)$", "", parts[1])
            return "{} {} {}".format(parts[0], version, found.group(2) or "").rstrip()
        return ""
    found = re.match(r"Installing collected packages: (.*)", line)
    if found:
        return "unpacking {} packages".format(len(found.group(1).split(",")))
    return ""


def lines_with_heartbeat(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Yield the lines of a process; say every 15 s that it is still at work."""
    waiting: queue.Queue[bytes | None] = queue.Queue()
    stream = process.stdout
    assert stream is not None

    def pump(source: IO[bytes]) -> None:
        for raw in source:
            waiting.put(raw)
        waiting.put(None)

    threading.Thread(target=pump, args=(stream,), daemon=True).start()
    started = time.monotonic()
    while True:
        try:
            raw = waiting.get(timeout=15)
        except queue.Empty:
            say(f"  ... {time.monotonic() - started:.0f} s")
            continue
        if raw is None:
            return
        yield raw.decode("utf-8", "replace").rstrip()


def fetch_models(python: str, *, required: bool) -> None:
    """Fetch the default models."""
    say("Fetching the default models")
    argv = [python, "-c", PROGRAM, "models", "fetch", "--default"]
    if subprocess.call(argv, cwd=str(ROOT), env=clean_environment()) == 0:
        return
    if required:
        raise SetupError(
            "the default models are not here yet. Start again when there is a connection, or "
            "follow docs/models.md to bring them yourself."
        )
    say("Going on without them.")


# ------------------------------------------------------------------------- state of .venv


def venv_python() -> Path:
    """Return the path of .venv's Python."""
    if os.name == "nt":
        return VENV / "Scripts" / "python.exe"
    return VENV / "bin" / "python"


def marker() -> Path:
    """Return the path of the file that says who made .venv."""
    return VENV / "facepick-made-this"


def ours() -> bool:
    """Tell whether .venv was made by this script, or is empty."""
    return marker().exists() or (VENV.is_dir() and not any(VENV.iterdir()))


def stamp_path() -> Path:
    """Return the path of the file that says what is installed."""
    return VENV / "facepick-stamp.json"


def read_stamp() -> dict[str, Any] | None:
    """Read what is installed; None when that is unknown."""
    try:
        stamp = json.loads(stamp_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get("extras"), list) else None


def remove_stamp() -> None:
    """Forget what is installed."""
    with contextlib.suppress(FileNotFoundError):
        stamp_path().unlink()


def write_stamp(stamp: dict[str, Any]) -> None:
    """Note what is installed."""
    draft = stamp_path().with_suffix(".part")
    draft.write_text(json.dumps(stamp), encoding="utf-8")
    os.replace(str(draft), str(stamp_path()))


def fingerprint() -> str:
    """Compute a mark that changes when the packages to install or the folder change."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    digest.update(str(ROOT).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def clean_environment() -> dict[str, str]:
    """Copy the environment without what would lead pip or Python out of .venv."""
    drop = {
        "PYTHONHOME",
        "PYTHONPATH",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "__PYVENV_LAUNCHER__",
    }
    return {name: value for name, value in os.environ.items() if name not in drop}


def can_import(name: str) -> bool:
    """Tell whether a module can be imported."""
    import importlib.util

    return importlib.util.find_spec(name) is not None


def remove_tree(folder: Path) -> None:
    """Remove a folder, or a link to one."""
    try:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(str(folder))
    except OSError as error:
        raise SetupError(
            f"{folder} cannot be removed ({error.strerror or error}). Stop every facepick that "
            "still runs, then start again."
        ) from error


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Let one of several starts set up while the others wait; freed even by a kill."""
    try:
        handle = open(str(path), "a+b")  # noqa: SIM115 - held until the set-up is over
    except OSError as error:
        raise SetupError(
            f"{ROOT} cannot be written to ({error.strerror}). Move facepick to a folder of yours."
        ) from error
    with handle:
        told = False
        while not lock(handle):
            if not told:
                say("Another start is setting up facepick; waiting for it")
                told = True
            time.sleep(0.5)
        yield


def lock(handle: IO[bytes]) -> bool:
    """Take the lock, freed when the handle is closed; False while somebody else has it."""
    if sys.platform == "win32":
        import msvcrt

        handle.seek(0)
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# ------------------------------------------------------------------------------ what to run


def hand_over(python: str, arguments: Sequence[str]) -> int:
    """Become the other program, so that Ctrl+C and the exit code are its own."""
    environment = clean_environment()
    if os.name != "nt":
        sys.stdout.flush()
        replace_process(python, [python, *arguments], environment)
    process = subprocess.Popen([python, *arguments], env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the child got it too and ends in its own time


def replace_process(python: str, argv: list[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process by another program."""
    os.execve(python, argv, environment)


def run_tests(python: str, arguments: Sequence[str]) -> int:
    """Run style, types, dependency directions, then the test suite; all even after a failure.

    `arguments` go to pytest; with any, only pytest runs.
    """
    steps: list[tuple[str, list[str]]] = [
        ("ruff check", ["-m", "ruff", "check", "."]),
        ("ruff format", ["-m", "ruff", "format", "--check", "."]),
        ("codespell", ["-m", "codespell_lib", *TEXTS]),
        ("vulture", ["-m", "vulture"]),
        ("import contracts", ["-c", "import sys; from importlinter.cli import lint_imports_command"
                              " as c; sys.exit(c())"]),
    ]  # fmt: skip
    environment = clean_environment()
    # Hundreds of processes are started: where none may keep what it compiled, each compiles anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(steps: Sequence[tuple[str, list[str]]]) -> list[str]:
        """Run steps, and name those that failed."""
        failed = []
        for name, argv in steps:
            say(name)
            if subprocess.call([python, *argv], cwd=str(ROOT), env=environment) != 0:
                failed.append(name)
        return failed

    if arguments:
        failed = run([("pytest", ["-m", "pytest", *arguments])])
    else:
        rest = ["tests", "-m", "slow or browser or host"]
        # It takes 40 s of one core, while style leaves the other one free.
        with beside([python, "-m", "mypy"], environment) as types:
            failed = run(steps)
            failed += run([("pytest, what is quick", ["-m", "pytest", *at_once(), *COVERAGE])])
            say("mypy")
            if types() != 0:
                failed.append("mypy")
        # Whoever waits for a browser leaves a core free.
        failed += run([("pytest, the rest", ["-m", "pytest", *at_once(more=1), *rest])])
    if failed:
        print("facepick: failed: " + ", ".join(failed), file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def beside(argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[Callable[[], int]]:
    """Run a program beside what follows; the function waits for it and prints what it said."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv, cwd=str(ROOT), env=environment, stdout=said, stderr=subprocess.STDOUT
        )

        def wait() -> int:
            code = process.wait()
            said.seek(0)
            say(said.read().decode("utf-8", "replace").rstrip())
            return code

        try:
            yield wait
        finally:
            process.kill()
            process.wait()


def at_once(more: int = 0) -> list[str]:
    """Choose options of pytest for a worker per core, and `more`.

    The tests of a file stay together, as they share what was made for them; files go in the order
    of their names, which puts the longest ones (a browser) first.  A worker takes up to 2 GB.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(cores or 1, 4) + more
    return ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
