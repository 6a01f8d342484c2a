"""CPU time, wall time and peak memory of whole commands against a transcode of the clip.

    python benchmarks/commands.py VIDEO --speech SPEECH --source FACE [--person P1] [--rounds 1]
        [--only rewrite mesh preview]

Every contestant is a process of its own, the transcode too, and they take turns.  Caches are cold:
a round begins with an empty home, the scan is made first (and measured), then each command gets a
copy of that home, so that none takes up what another has learnt.  ``again`` is a preview with
another setting after the preview, ``frame`` one frame, ``frame again`` the same frame with another
setting; ``review hide`` is ``hide`` with the page beside it, which the others do without.  Faces
are changed: use clips whose people may be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LIPS = ("--flow", "lipsync", "--engine", "rewrite")
FACE = ("--flow", "swap", "--engine", "mesh")
MINE = ("--i-have-the-right", "the benchmark's footage")


@dataclass(frozen=True)
class Cost:
    """What one process took.

    Attributes:
        cpu: seconds of it and its threads, user and system.
        wall: seconds.
        peak: bytes of resident memory.
    """

    cpu: float
    wall: float
    peak: int


def cost_of(argv: list[str], home: Path, **environment: str) -> Cost:
    """Run a command to its end.

    Args:
        home: facepick's.
        environment: what it needs besides ours.

    Raises:
        SystemExit: it failed.
    """
    started = time.monotonic()
    env = {**environment_of(home), **environment}
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(argv)} ended with status {status}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Cost(
        usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss * scale
    )


def environment_of(home: Path) -> dict[str, str]:
    """Make the environment of a command, in which Python keeps what it compiles."""
    env = {**os.environ, "FACEPICK_HOME": str(home)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env["PYTHONPYCACHEPREFIX"] = str(home.parent / "bytecode")
    return env


def plain(what: str, video: Path, out: Path) -> list[str]:
    """Make a command that decodes or transcodes the clip with PyAV alone."""
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from speed import decode, transcode; from facepick.media.writer import EncodeSettings;"
        "video, out = Path(sys.argv[3]), Path(sys.argv[4]);"
        "decode(video) if sys.argv[2] == 'decode' else transcode(video, out, EncodeSettings())"
    )
    return [sys.executable, "-c", code, str(Path(__file__).parent), what, str(video), str(out)]


def round_of(options: argparse.Namespace, folder: Path) -> dict[str, Cost]:
    """Measure every command once."""
    video, out = options.video, folder / "out.mp4"
    cold = folder / "home"
    facepick = [sys.executable, "-m", "facepick"]
    found: dict[str, Cost] = {}

    def wanted(name: str) -> bool:
        return not options.only or name.split()[0] in options.only

    def run(name: str, argv: list[str], home: Path) -> None:
        found[name] = cost_of(argv, home)
        cost = found[name]
        print(
            f"{name:<12} {cost.cpu:6.1f} s CPU {cost.wall:6.1f} s {cost.peak / 2**20:5.0f} MiB",
            flush=True,
        )

    def command(name: str, *argv: str, home: Path, picture: bool = False) -> None:
        target = out.with_suffix(".png") if picture else out
        kind = "preview" if name.split()[0] in ("preview", "again", "frame") else "render"
        run(
            name,
            [*facepick, kind, str(video), "-o", str(target), "--force", "--person",
             options.person, *argv],
            home,
        )  # fmt: skip

    lips = (*LIPS, "--audio", str(options.speech), "--i-have-the-right", MINE[1])
    subprocess.run([*facepick, "doctor"], env=environment_of(cold), capture_output=True)
    run("decode", plain("decode", video, out), cold)
    run("transcode", plain("transcode", video, out), cold)
    run("scan", [*facepick, "people", str(video)], cold)
    renders = {"hide": ("--flow", "hide"), "rewrite": lips,
               "mesh": (*FACE, "--source", str(options.source), *MINE)}  # fmt: skip
    for name, argv in renders.items():
        if wanted(name):
            command(name, *argv, "--review", "off", home=copied(cold, folder / name))
    if wanted("review"):
        command("review hide", *renders["hide"], home=copied(cold, folder / "review"))
    if wanted("preview"):
        home = copied(cold, folder / "preview")
        command("preview", *lips, home=home)
        command("again", *lips, "--max-yaw", "40", home=home)
    if wanted("frame"):
        home = copied(cold, folder / "frame")
        at = ("--seconds", "0", "--at", "2")
        command("frame", *lips, *at, home=home, picture=True)
        command("frame again", *lips, *at, "--max-yaw", "40", home=home, picture=True)
    run("transcode 2", plain("transcode", video, out), cold)
    return found


def copied(home: Path, to: Path) -> Path:
    """Copy a home, so that what is learnt in it stays apart."""
    shutil.copytree(home, to)
    return to


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--person", default="P1")
    parser.add_argument("--rounds", type=int, default=1)
    kinds = ("hide", "rewrite", "mesh", "review", "preview", "frame")
    parser.add_argument("--only", nargs="*", choices=kinds, default=())
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            found = round_of(options, Path(name))
        coded = (found["transcode"].cpu + found["transcode 2"].cpu) / 2
        ratios.setdefault("scan / decode", []).append(found["scan"].cpu / found["decode"].cpu)
        for what in found.keys() - {"decode", "transcode", "transcode 2", "scan"}:
            ratios.setdefault(f"{what} / transcode", []).append(found[what].cpu / coded)
        print(f"round {number} done", flush=True)
    for what in sorted(ratios):
        print(f"{what:<24} {statistics.median(ratios[what]):.2f}")


if __name__ == "__main__":
    main()
