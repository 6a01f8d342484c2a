"""CPU time of facepick beside other programs that do the same job, on one clip in one run.

    python benchmarks/others.py VIDEO [--deface PROGRAM] [--deepface PYTHON] [--rounds 1]

* Hiding everybody: `facepick people` and `facepick render --flow hide` of all that it finds,
  against `deface` (https://pypi.org/project/deface) as it comes, and with ``--scale 640x360``.
* Recognising: `facepick people`, against a loop over the frames that asks deepface
  (https://pypi.org/project/deepface) for every face of every frame, as tutorials do, with the same
  two networks (YuNet and SFace).

Every contestant is a process of its own with cold caches, and they take turns.  Install the others
each in an environment of its own: ``--deface`` names the program in it, ``--deepface`` its Python
(by default this one).  The two networks are taken from facepick's model store.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from commands import Cost, cost_of, plain

from facepick.models.catalog import SFACE, YUNET
from facepick.models.store import default_store

FACEPICK = [sys.executable, "-m", "facepick"]
EVERY_FRAME = """
import sys, cv2
from deepface import DeepFace
film, faces = cv2.VideoCapture(sys.argv[1]), 0
while True:
    there, frame = film.read()
    if not there:
        break
    found = DeepFace.represent(
        frame, model_name="SFace", detector_backend="yunet", enforce_detection=False
    )
    faces += sum(face["face_confidence"] > 0 for face in found)
print(faces, "faces", file=sys.stderr)
"""


def everybody(video: Path, home: Path) -> list[str]:
    """List the people that a scan has found, as options."""
    env = {**os.environ, "FACEPICK_HOME": str(home)}
    argv = [*FACEPICK, "people", str(video), "--json"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])["people"]
    return [word for person in found for word in ("--person", person["id"])]


def weights(folder: Path) -> dict[str, str]:
    """Lay the two networks where deepface looks for its own."""
    place = folder / ".deepface" / "weights"
    place.mkdir(parents=True)
    for spec in (YUNET, SFACE):
        (place / spec.file).symlink_to(default_store().require(spec).resolve())
    return {"DEEPFACE_HOME": str(folder), "DEEPFACE_BACKEND_ENGINE": "onnx"}


def round_of(options: argparse.Namespace, folder: Path) -> dict[str, Cost]:
    """Measure every contestant once."""
    video, out, home = options.video, folder / "out.mp4", folder / "home"
    found: dict[str, Cost] = {}

    def run(name: str, argv: list[str], **environment: str) -> None:
        cost = found[name] = cost_of(argv, home, **environment)
        print(
            f"{name:<20} {cost.cpu:7.1f} s CPU {cost.wall:7.1f} s {cost.peak / 2**20:5.0f} MiB",
            flush=True,
        )

    run("transcode", plain("transcode", video, out))
    run("facepick people", [*FACEPICK, "people", str(video)])
    people = everybody(video, home)
    hide = ["render", str(video), "-o", str(out), "--force", "--flow", "hide", "--include-unsure"]
    run("facepick hide", [*FACEPICK, *hide, *people])
    if options.deface:
        deface = [options.deface, str(video), "-o", str(folder / "deface.mp4"), "--keep-audio"]
        run("deface", deface)
        run("deface 640x360", [*deface, "--scale", "640x360"])
    if options.deepface:
        own = weights(folder / "deepface")
        run("deepface per frame", [options.deepface, "-c", EVERY_FRAME, str(video)], **own)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--deface", help="the program in its own environment")
    parser.add_argument("--deepface", default=sys.executable, help="a Python that has it; '' none")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            found = round_of(options, Path(name))
        scan = found["facepick people"].cpu
        hidden = scan + found["facepick hide"].cpu
        rows.setdefault("facepick, scan and hide / transcode", []).append(
            hidden / found["transcode"].cpu
        )
        for other, ours, what in (
            ("deface", hidden, "facepick, scan and hide"),
            ("deface 640x360", hidden, "facepick, scan and hide"),
            ("deepface per frame", scan, "facepick, scan"),
        ):
            if other in found:
                rows.setdefault(f"{other} / {what}", []).append(found[other].cpu / ours)
    for what, values in rows.items():
        print(f"{what:<48} {statistics.median(values):.2f}")


if __name__ == "__main__":
    main()
