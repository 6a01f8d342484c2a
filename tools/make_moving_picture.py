"""Moving picture of the README: two people, one of whom speaks new words while the other is hidden.

    facepick demo --out DEMO
    python tools/make_moving_picture.py DEMO [OUT.webp]

The bundled clip above, what the demo made of it below.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from facepick.demo import demo_clip

Image = npt.NDArray[np.uint8]

WIDTH = 480
"""Pixels: two halves of 270 lines one above the other fit half a screen."""
EVERY = 2
"""Of 25 frames a second 12.5 are shown: lips still move, and the file is half as large."""
FIRST, LAST = 0.0, 9.0
QUALITY = 60
CAPTION = 26


def frames_of(path: Path) -> Iterator[Image]:
    """Yield the pictures shown, small, (h, w, 3) uint8 RGB."""
    with av.open(str(path)) as file:
        rate = float(file.streams.video[0].average_rate or 25)
        frames = file.decode(video=0)
        for frame in islice(frames, round(FIRST * rate), round(LAST * rate), EVERY):
            height = round(WIDTH * frame.height / frame.width / 2) * 2
            yield frame.reformat(width=WIDTH, height=height, format="rgb24").to_ndarray()


def titled(picture: Image, words: str) -> Image:
    """Put a line of words above a picture."""
    bar = np.full((CAPTION, picture.shape[1], 3), 32, np.uint8)
    cv2.putText(
        bar, words, (8, CAPTION - 8), cv2.FONT_HERSHEY_DUPLEX, 0.5, (235,) * 3, 1, cv2.LINE_AA
    )
    return np.vstack([bar, picture])


def main() -> int:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="folder that the demo wrote")
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/images/demo.webp"))
    options = parser.parse_args()
    after = options.demo / "two_people_changed.mp4"
    with av.open(str(options.out), "w", format="webp", options={"loop": "0"}) as file:
        stream = None
        pairs = zip(frames_of(demo_clip()), frames_of(after), strict=True)
        for number, (before, changed) in enumerate(pairs):
            picture = np.vstack(
                [
                    titled(before, "as filmed"),
                    titled(changed, "she speaks new words, he is hidden"),
                ]
            )
            if stream is None:
                stream = file.add_stream("libwebp_anim", rate=Fraction(25, EVERY))
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"quality": str(QUALITY), "compression_level": "6"}
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        if stream is not None:
            file.mux(stream.encode())
    sys.stdout.write(f"{options.out}: {options.out.stat().st_size / 2**20:.2f} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
