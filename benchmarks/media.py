"""What reading and writing cost, as ratios of CPU time to plain PyAV within one run.

    python benchmarks/media.py [VIDEO ...] [--frames 150] [--repeat 3]

Wall time depends on what else the machine does; CPU time of all threads is what is compared, and
of several runs the least.  Without a file the 720p and 1080p clips of the shared footage are
taken.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lib"))

import av  # noqa: E402

from facepick.media.encode import EncodeSettings  # noqa: E402
from facepick.media.reader import VideoReader  # noqa: E402
from facepick.media.writer import SegmentWriter, join_segments  # noqa: E402

THREADS = 2
SETTINGS = EncodeSettings()


def cpu_ms(work: Callable[[], int], repeat: int) -> float:
    """CPU milliseconds per frame, the least of some runs."""
    least = float("inf")
    for _ in range(repeat):
        before = time.process_time()
        frames = work()
        least = min(least, (time.process_time() - before) * 1000 / frames)
    return least


def plain_decode(path: Path, frames: int, *, bgr: bool) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        count = 0
        for frame in itertools.islice(container.decode(stream), frames):
            if bgr:
                frame.to_ndarray(format="bgr24")
            count += 1
    return count


def our_decode(path: Path, frames: int, what: str) -> int:
    count = 0
    for frame in itertools.islice(VideoReader(path).frames(), frames):
        if what == "bgr":
            frame.picture.bgr()
        elif what == "small":
            frame.picture.small(640)
        count += 1
    return count


def plain_transcode(path: Path, out: Path, frames: int) -> int:
    """What a dozen lines with PyAV do: decode, encode with the same settings, copy no sound."""
    with av.open(str(path)) as source, av.open(str(out), "w") as made:
        stream = source.streams.video[0]
        stream.thread_type = "AUTO"
        target = made.add_stream("libx264", rate=stream.average_rate)
        target.width, target.height = stream.codec_context.width, stream.codec_context.height
        target.pix_fmt = "yuv420p"
        target.codec_context.time_base = stream.time_base
        target.options = {
            "crf": str(SETTINGS.quality),
            "preset": SETTINGS.preset,
            "threads": str(THREADS),
        }
        count = 0
        for frame in itertools.islice(source.decode(stream), frames):
            frame.pict_type = 0
            made.mux(target.encode(frame))
            count += 1
        made.mux(target.encode(None))
    return count


def our_transcode(path: Path, out: Path, frames: int, face: int) -> int:
    """Reader, a crop and a blend of `face` pixels in every frame, one segment, joining."""
    yy, xx = np.mgrid[-1 : 1 : face * 1j, -1 : 1 : face * 1j]
    alpha = np.clip(4 * (1 - np.hypot(xx, yy)), 0, 1).astype(np.float32)
    pts, last = [], 1
    segment = out.with_suffix(".nut")
    reader = VideoReader(path)
    x, y = (reader.info.width - face) // 2 + 1, (reader.info.height - face) // 3 + 1
    with SegmentWriter(segment, info=reader.info, encode=SETTINGS, threads=THREADS) as writer:
        for frame in itertools.islice(reader.frames(), frames):
            if face:
                crop = frame.picture.crop(x, y, x + face, y + face)
                frame.picture.blend(crop[::-1], alpha, (x, y))
            writer.write(frame.picture, frame.time.pts)
            pts.append(frame.time.pts)
            last = frame.duration
    join_segments(
        [segment],
        out=out,
        info=reader.info,
        pts=pts,
        duration_pts=last,
        origin=Fraction(0),
        stop=(pts[-1] + last) * reader.info.time_base,
    )
    return len(pts)


Row = tuple[str, float, float]


def measure(path: Path, frames: int, repeat: int, face: int) -> list[Row]:
    """(what, CPU ms per frame, what it is compared with)."""

    def cost(work: Callable[..., int], *given: object, **options: object) -> float:
        return cpu_ms(lambda: work(path, *given, **options), repeat)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        planes = cost(plain_decode, frames, bgr=False)
        bgr = cost(plain_decode, frames, bgr=True)
        transcode = cost(plain_transcode, out, frames)
        return [
            ("PyAV decode, planes", planes, planes),
            ("facepick decode, planes", cost(our_decode, frames, "planes"), planes),
            ("facepick decode, small(640)", cost(our_decode, frames, "small"), planes),
            ("PyAV decode, bgr24", bgr, bgr),
            ("facepick decode, bgr()", cost(our_decode, frames, "bgr"), bgr),
            ("PyAV transcode", transcode, transcode),
            ("facepick, untouched", cost(our_transcode, out, frames, 0), transcode),
            ("facepick, one face blended", cost(our_transcode, out, frames, face), transcode),
        ]


def peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of media as ratios to plain PyAV.")
    parser.add_argument("video", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    shared = Path(os.environ.get("FACEPICK_SHARED_MEDIA", ROOT.parent / "shared" / "media"))
    clips = [shared / "video" / "dev_gt2.mp4", shared / "video" / "facenet_video.mp4"]
    print(f"{'':34}{'CPU ms/frame':>14}{'ratio':>8}")
    for path in options.video or clips:
        info = VideoReader(path).info
        face = min(info.width, info.height) // 4
        print(f"{path.name}  {info.width}x{info.height} {info.codec}, face of {face} px")
        for name, cost, base in measure(path, options.frames, options.repeat, face):
            print(f"  {name:32}{cost:14.2f}{cost / base:8.2f}")
    print(f"peak memory {peak_mb():.0f} MB")


if __name__ == "__main__":
    main()
