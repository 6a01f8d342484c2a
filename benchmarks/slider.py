"""Seconds from asking for one frame to its picture, as a page asks while a slider moves.

    python benchmarks/slider.py VIDEO --speech SPEECH [--person P1] [--at 2] [--frames 6]

The first frame learns; those after it differ in one setting, and each is drawn by a process that
was started while the one before was at work, see `facepick.jobs.standby`.  Between two there is a
second, in which somebody looks.  Faces are changed: use clips whose people may be.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

PAUSE = 1.0
POLL = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--person", default="P1")
    parser.add_argument("--at", type=float, default=2.0)
    parser.add_argument("--frames", type=int, default=6)
    options = parser.parse_args()
    from facepick.app import App
    from facepick.people.selection import Selection
    from facepick.render.plan import Assignment, SpeechLine

    with tempfile.TemporaryDirectory() as name:
        os.environ["FACEPICK_HOME"] = str(Path(name) / "home")
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(name) / "bytecode")
        app = App()
        app.find_people(options.video)
        seconds = []
        for number in range(options.frames):
            item = Assignment(
                selection=Selection((options.person,)),
                flow="lipsync",
                engine="rewrite",
                settings={"max_yaw": 40.0 + number},
                speech=(SpeechLine(path=str(options.speech)),),
                consent="the benchmark's footage",
            )
            plan = app.make_plan(options.video, [item])
            out = Path(name) / f"frame{number}.jpg"
            began = time.monotonic()
            job = app.start_preview(plan, out, at=options.at, seconds=0)
            while app.job(job.id).is_active:
                time.sleep(POLL)
            if not out.is_file():
                raise SystemExit(app.job(job.id).error)
            seconds.append(time.monotonic() - began)
            print(f"frame {number + 1:<3} {seconds[-1]:6.2f} s", flush=True)
            time.sleep(PAUSE)
        again = seconds[1:]
        print(f"again       {statistics.median(again):.2f} s, at most {max(again):.2f}")


if __name__ == "__main__":
    main()
