"""kill -9 in the middle of a render, resume, and compare every frame with an uninterrupted run.

python benchmarks/resume.py VIDEO [--at 10 50 90]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from facepick.media.reader import VideoReader


def frame_hashes(video: Path) -> list[str]:
    with VideoReader(video) as reader:
        return [
            hashlib.sha256(b"".join(p.tobytes() for p in f.picture.planes())).hexdigest()
            + f" {f.time.seconds}"
            for f in reader.frames()
        ]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "facepick", *arguments]


def killed_at(share: float, video: Path, out: Path) -> str:
    """Render until `share` of the frames are done, kill, and give the job's id."""
    argv = command("render", str(video), "-o", str(out), "--person", "P1", "--flow", "hide",
                   "--progress", "jsonl")  # fmt: skip
    job = ""
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        event = json.loads(line)
        job = event.get("job", job)
        if (
            event["event"] == "progress"
            and event["stage"] == "render"
            and (event["done"] >= share * event["total"] > 0)
        ):
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    return job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--at", type=float, nargs="*", default=[10, 50, 90])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["FACEPICK_HOME"] = str(folder / "home")
        whole = folder / "whole.mp4"
        subprocess.run(
            command("render", str(options.video), "-o", str(whole), "--person", "P1", "--flow",
                    "hide"),
            check=True,
        )  # fmt: skip
        wanted = frame_hashes(whole)
        for percent in options.at:
            out = folder / f"killed{percent:g}.mp4"
            job = killed_at(percent / 100, options.video, out)
            state = json.loads(
                subprocess.run(
                    command("jobs", "show", job, "--json"), capture_output=True, check=True
                ).stdout
            )["state"]
            partial = out.exists()
            subprocess.run(command("jobs", "resume", job), check=True, stdout=subprocess.DEVNULL)
            same = frame_hashes(out) == wanted
            print(
                f"killed at {percent:g} %: state {state}, file at the target {partial}, "
                f"resumed: {'same' if same else 'OTHER'} {len(wanted)} frames and times",
                flush=True,
            )


if __name__ == "__main__":
    main()
