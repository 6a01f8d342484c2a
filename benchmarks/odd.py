"""Every odd file: the right result, or one clear sentence; nothing hangs, crashes or is wrong.

    python benchmarks/odd.py [--media DIR]

For each file the first person is hidden.  A result is right when it has as many frames as the
source, with the same times relative to the start, the same size, sample aspect ratio and audio
streams, and the person was changed in every frame in which they are on screen.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from pathlib import Path

from facepick.cli import main as facepick
from facepick.media.probe import probe
from facepick.media.reader import VideoReader


def check(clip: Path, out: Path) -> str:
    """What is wrong with a result; empty when nothing is."""
    a, b = probe(clip), probe(out)
    if (a.width, a.height) != (b.width, b.height):
        return f"size {a.width}x{a.height} became {b.width}x{b.height}"
    if a.sample_aspect_ratio != b.sample_aspect_ratio:
        return f"aspect {a.sample_aspect_ratio} became {b.sample_aspect_ratio}"
    if [x.channels for x in a.audio] != [x.channels for x in b.audio]:
        return f"audio {len(a.audio)} became {len(b.audio)} streams"
    with VideoReader(clip) as x, VideoReader(out) as y:
        before = [f.time.seconds for f in x.frames()]
        after = [f.time.seconds for f in y.frames()]
    if len(before) != len(after):
        return f"{len(before)} frames became {len(after)}"
    shift = max(abs((p - before[0]) - (q - after[0])) for p, q in zip(before, after, strict=True))
    # Matroska and WebM count in milliseconds.
    if shift > (0 if out.suffix in (".mp4", ".mov") else 0.001):
        return f"times moved by {float(shift) * 1000:.2f} ms"
    if a.audio and b.audio:
        lead_before = before[0] - a.audio[0].start_seconds
        lead_after = after[0] - b.audio[0].start_seconds
        if abs(lead_before - lead_after) > 0.0011:
            return f"sound moved by {float(lead_after - lead_before) * 1000:.1f} ms"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["FACEPICK_HOME"] = f"{name}/home"
        for clip in sorted((options.media / "odd").iterdir()):
            suffix = clip.suffix if clip.suffix in (".mp4", ".mkv", ".mov", ".webm") else ".mp4"
            out = Path(name) / f"out{suffix}"
            out.unlink(missing_ok=True)
            said = io.StringIO()
            started = time.monotonic()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                code = facepick(
                    ["render", str(clip), "-o", str(out), "--person", "P1", "--flow", "hide",
                     "--force"]
                )  # fmt: skip
            took = time.monotonic() - started
            if code == 0:
                report = json.loads(Path(f"{out}.facepick.json").read_text())
                person = report["people"][0]
                wrong = check(clip, out)
                verdict = f"WRONG: {wrong}" if wrong else "right"
                text = (
                    f"{report['result']['frames']} frames, {person['frames_changed']} changed, "
                    f"left {person['frames_left']}, "
                    f"{report['source']['decode_failures']} damaged"
                )
            else:
                verdict, text = f"exit {code}", said.getvalue().strip()
                if out.exists():
                    verdict = "WRONG: a file was left"
            print(f"{clip.name:<42} {verdict:<10} {took:5.1f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
