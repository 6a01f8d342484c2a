"""The WebUI runs this at every start, before it loads its extensions.

It adds what facepick needs to the host's Python and never moves or removes what is there: pip
works under a constraints file made from everything that is installed, one package at a time.
Packages that would bring a second OpenCV into the one folder ``cv2/`` are installed without their
requirements, which are then added one by one.  When nothing is missing, it looks and ends.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
STATE = Path(sys.prefix) / "facepick-install.json"


def say(text):
    print(f"facepick: {text}")


def is_there(module):
    return importlib.util.find_spec(module) is not None


def plain(name):
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed():
    """Name and version of every package; of two copies, the one that is imported."""
    found = {}
    for item in importlib.metadata.distributions():
        name = item.metadata["Name"]
        if name:
            found.setdefault(plain(name), item.version)
    return found


def is_skipped():
    """Whether the user started the host with --skip-install."""
    if "--skip-install" in os.environ.get("COMMANDLINE_ARGS", "").split():
        return True
    try:
        import launch
    except ImportError:
        return False
    return bool(getattr(getattr(launch, "args", None), "skip_install", False))


def pip_command():
    if is_there("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    return [uv, "pip", "install", "--python", sys.executable] if uv else None


def pip_install(requirement, *options):
    """Install one package under the constraints of all others; gives the reason of a failure."""
    command = pip_command()
    if command is None:
        return "this Python has no pip"
    lines = [f"{name}=={version}\n" for name, version in sorted(installed().items())]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "installed.txt"
        constraints.write_text("".join(lines), encoding="utf-8")
        done = subprocess.run(
            [*command, "-c", str(constraints), *options, requirement],
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
    """What an installed package asks for and nobody has brought."""
    from pip._vendor.packaging.requirements import Requirement

    have = installed()
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = plain(requirement.name)
        if wanted not in have and not NEVER.fullmatch(wanted):
            yield str(requirement).split(";")[0].strip()


def add(requirement):
    """Install a package and what it needs; gives the reason of a failure."""
    name = plain(re.split(r"[<>=!~ \[]", requirement, maxsplit=1)[0])
    if name not in WITHOUT_REQUIREMENTS:
        return pip_install(requirement)
    reason = pip_install(requirement, "--no-deps")
    if reason is not None:
        return reason
    for needed in list(missing_requirements(name)):
        reason = add(needed)
        if reason is not None:
            return reason
    return None


def fingerprint():
    """Changes when anything in this Python changes."""
    text = json.dumps([sys.version, sorted(installed().items())])
    return hashlib.sha256(text.encode()).hexdigest()


def failed_before():
    """Packages that could not be had from this same set of packages, less than a week ago."""
    try:
        state = json.loads(STATE.read_text(encoding="utf-8"))
        if state["python"] == fingerprint() and time.time() - state["time"] < RETRY_SECONDS:
            return set(state["failed"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return set()


def remember(failed):
    state = {"python": fingerprint(), "time": time.time(), "failed": sorted(failed)}
    # Where the Python is not ours to write to, the next start tries again.
    with contextlib.suppress(OSError):
        STATE.write_text(json.dumps(state), encoding="utf-8")


def main():
    missing = [entry for entry in (*NEEDED, *OPTIONAL) if not is_there(entry[0])]
    if not missing or is_skipped():
        return
    known = failed_before()
    failed = {}
    for module, requirement in missing:
        if requirement in known or is_there(module):
            continue
        say(f"installing {requirement}")
        reason = add(requirement)
        if reason is not None:
            failed[requirement] = reason
    for requirement, reason in failed.items():
        rest = "" if any(requirement == r for _, r in NEEDED) else " It is optional."
        say(f"could not install {requirement}: {reason}{rest}")
    if failed:
        remember(known | set(failed))


if __name__ == "__main__":
    # The host must start whatever happens here.
    try:
        main()
    except Exception as error:
        say(f"install.py stopped: {type(error).__name__}: {error}")
