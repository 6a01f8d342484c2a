"""CPU time of scan and hide against plain PyAV in the same run, and peak memory.

    python benchmarks/speed.py VIDEO [--minutes 1 10]

Ratios are medians over three rounds in which the contestants take turns, CPU time of the process
and its threads.  With ``--minutes`` the clip is repeated to each length and hidden in a child
process, whose peak resident memory is printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

from facepick.app import App
from facepick.media.writer import EncodeSettings
from facepick.people.finder import ScanSettings, find_people
from facepick.people.selection import Selection
from facepick.render.plan import Assignment


def cpu_seconds(work: Callable[[], object]) -> float:
    before = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - before


def decode(video: Path) -> None:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            frame.to_ndarray(format="bgr24")


def transcode(video: Path, out: Path, encode: EncodeSettings) -> None:
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        made = target.add_stream("libx264", rate=Fraction(stream.average_rate or 25))
        made.width, made.height, made.pix_fmt = stream.width, stream.height, "yuv420p"
        made.options = {"crf": str(encode.quality), "preset": encode.preset}
        for frame in source.decode(stream):
            frame.pict_type = av.video.frame.PictureType.NONE
            target.mux(made.encode(frame))
        target.mux(made.encode(None))


def repeated(video: Path, minutes: float, out: Path) -> None:
    """The clip again and again until it lasts so long; packets are copied."""
    with av.open(str(video)) as probe:
        length = float(probe.duration or 0) / av.time_base
    times = max(1, round(minutes * 60 / length))
    listing = out.with_suffix(".txt")
    listing.write_text("".join(f"file '{video.resolve()}'\n" for _ in range(times)))
    from facepick.media.ffmpeg import ffmpeg_binary

    concat = ["-f", "concat", "-safe", "0", "-i", str(listing)]
    subprocess.run(
        [str(ffmpeg_binary()), "-v", "error", "-y", *concat, "-c", "copy", str(out)],
        check=True,
    )


def peak_memory(video: Path, folder: Path) -> int:
    """Peak resident bytes of a child process that scans and hides."""
    env = {**os.environ, "FACEPICK_HOME": str(folder / "home")}
    argv = [sys.executable, "-m", "facepick", "render", str(video), "-o", str(folder / "out.mp4"),
            "--force", "--person", "P1", "--flow", "hide"]  # fmt: skip
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"render ended with status {status}")
    scale = 1 if sys.platform == "darwin" else 1024
    return int(usage.ru_maxrss * scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, nargs="*", default=[])
    options = parser.parse_args()
    video: Path = options.video
    encode = EncodeSettings()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["FACEPICK_HOME"] = str(folder / "home")
        app = App()
        scan = app.find_people(video)
        seconds = float((scan.pts[-1] - scan.pts[0]) * scan.video.time_base)
        plan = app.make_plan(
            video, [Assignment(selection=Selection(("P1",)), flow="hide", engine="pixelate")]
        )
        rows: dict[str, list[float]] = {"scan/decode": [], "hide/transcode": [], "x real time": []}
        for number in range(options.rounds):
            plain = cpu_seconds(lambda: decode(video))
            fresh = folder / f"cache{number}"
            scanned = cpu_seconds(
                lambda fresh=fresh: find_people(
                    video, ScanSettings(), models=app.models, cache=fresh
                )
            )
            coded = cpu_seconds(lambda: transcode(video, folder / "plain.mp4", encode))
            hidden = cpu_seconds(lambda n=number: app.render(plan, folder / f"hide{n}.mp4"))
            rows["scan/decode"].append(scanned / plain)
            rows["hide/transcode"].append(hidden / coded)
            rows["x real time"].append(2 * seconds / scanned)
            print(
                f"round {number}: decode {plain:.2f} s, scan {scanned:.2f} s, "
                f"transcode {coded:.2f} s, hide {hidden:.2f} s (CPU)"
            )
        for what, values in rows.items():
            print(f"{what:<16} {statistics.median(values):.2f}")
        for minutes in options.minutes:
            long = folder / f"long{minutes:g}.mp4"
            repeated(video, minutes, long)
            print(f"peak memory at {minutes:g} min: {peak_memory(long, folder) / 2**20:.0f} MiB")
    print(f"own peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
