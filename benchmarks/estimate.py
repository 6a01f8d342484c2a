"""Measures estimates: what `facepick estimate` says, and what the render then takes.

    python benchmarks/estimate.py MEDIA [--seconds 6] [--again]

MEDIA is the collection of clips.  Begins in an empty home, so that nothing is known but the
calibration; every render is then asked for once before and once after it was done (``--again``
renders each twice).  The machine's other work is in both numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = (
    ("dev_gt2", ["--flow", "hide", "--style", "blur"]),
    ("dev_gt4", ["--flow", "hide", "--style", "pixelate", "--preset", "medium"]),
    ("vv_interview", ["--flow", "hide", "--style", "cover", "--review", "off"]),
    ("dev_gt2", ["--flow", "lipsync", "--engine", "rewrite"]),
    ("latentsync_demo3", ["--flow", "lipsync", "--engine", "rewrite"]),
    ("dev_gt2", ["--flow", "swap", "--engine", "mesh"]),
)


def run(words: list[str], home: Path) -> tuple[str, float, float, float]:
    """Run facepick; gives what it printed, seconds, those of CPU, and the peak memory in MB."""
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "facepick", *words],
        env={**os.environ, "FACEPICK_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{words} ended with {status}")
    spent = usage.ru_utime + usage.ru_stime
    return said, time.monotonic() - began, spent, usage.ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("media", type=Path)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    speech = options.media / "speech" / "en_ljspeech_f_22k.wav"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "home"
        print("clip, what, expected s (searching + changing), got (CPU); MB, got; result kB, got")
        for number, (clip, what) in enumerate(CASES * (2 if options.again else 1)):
            video = folder / f"{clip}.mp4"
            if not video.exists():
                cut = ["-ss", "0", "-t", str(options.seconds), "-c:v", "libx264", "-crf", "18"]
                source = options.media / "video" / f"{clip}.mp4"
                ffmpeg("-i", str(source), *cut, str(video))
            words = ["--person", "P1", *what]
            if "lipsync" in what:
                words += ["--audio", str(speech)]
            if "swap" in what:
                other = options.media / "video" / "latentsync_demo3.mp4"
                words += ["--source", f"{other}:P1", "--i-have-the-right", "For a test."]
            out = folder / f"out{number}.mp4"
            said, *_ = run(["estimate", str(video), *words, "--json", "-"], home)
            told = json.loads(said)["videos"][0]["estimate"]
            _, got, spent, peak = run(["render", str(video), "-o", str(out), *words], home)
            expected = f"{told['scan_seconds']:.1f} + {told['render_seconds']:.1f}"
            times = f"{expected}  {got:.1f} ({spent:.1f})"
            memory = f"{told['memory_bytes'] / 1e6:.0f}  {peak:.0f}"
            sizes = f"{told['result_bytes'] / 1e3:.0f}  {out.stat().st_size / 1e3:.0f}"
            print(clip, what[3], times, memory, sizes, sep="  ", flush=True)
        print((home / "cache" / "paces.json").read_text())
    return 0


def ffmpeg(*words: str) -> None:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *words]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
