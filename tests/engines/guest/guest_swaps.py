"""A guest engine for tests: paints every face in the colour of the photo's middle, light kept.

    python guest_swaps.py VIDEO SOURCE OUT FPS

What it gives is even: no feature of the face that was filmed is left but its light and shade.
"""

from __future__ import annotations

import sys
from fractions import Fraction

import av
import cv2
import numpy as np


def main() -> int:
    video, source, out, fps = sys.argv[1:5]
    photo = cv2.imread(source).astype(np.float32)
    height, width = photo.shape[:2]
    middle = photo[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
    colour = middle.reshape(-1, 3).mean(axis=0)
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(video) as clip, av.open(out, "w") as container:
        shown = clip.streams.video[0]
        stream = container.add_stream("libx264rgb", rate=rate)
        stream.height, stream.width = shown.height, shown.width
        stream.pix_fmt, stream.options = "rgb24", {"qp": "0", "preset": "ultrafast"}
        for i, frame in enumerate(clip.decode(video=0)):
            seen = frame.to_ndarray(format="bgr24").astype(np.float32)
            light = seen.mean(axis=2, keepdims=True)
            drawn = np.clip(colour * light / max(float(light.mean()), 1.0), 0, 255)
            picture = av.VideoFrame.from_ndarray(drawn.astype(np.uint8), format="bgr24")
            picture.pts, picture.time_base = i, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
