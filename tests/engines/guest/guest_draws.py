"""A guest engine for tests: paints a mouth as wide open as the speech is loud.

    python guest_draws.py MODE VIDEO AUDIO OUT FPS

MODE is ``draw``, or what goes wrong: ``few``, ``many``, ``size``, ``rate``, ``hang``, ``die``,
``rubbish``, ``nothing``.
"""

from __future__ import annotations

import sys
import time
import wave
from fractions import Fraction

import av
import numpy as np


def main() -> int:
    mode, video, audio, out, fps = sys.argv[1:6]
    if mode == "hang":
        time.sleep(600)
    if mode == "die":
        sys.stderr.write("the weights are not there\n")
        return 7
    if mode == "rubbish":
        with open(out, "wb") as file:
            file.write(b"no video" * 1000)
    if mode in ("rubbish", "nothing"):
        return 0
    with av.open(video) as container:
        frames = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
    with wave.open(audio) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    loud = [float(np.sqrt((part**2).mean())) for part in np.array_split(sound, len(frames))]
    frames = frames[:-3] if mode == "few" else frames
    frames = frames + frames[-1:] * 3 if mode == "many" else frames
    frames = [f[:-2, :-2] for f in frames] if mode == "size" else frames
    rate = Fraction(fps).limit_denominator(1001) * (2 if mode == "rate" else 1)
    with av.open(out, "w") as container:
        stream = container.add_stream("libx264rgb", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "rgb24", {"qp": "0", "preset": "ultrafast"}
        for i, frame in enumerate(frames):
            height, width = frame.shape[:2]
            drawn = frame.copy()
            middle, half = int(0.72 * height), 2 + int(0.2 * height * loud[min(i, len(loud) - 1)])
            drawn[middle - half : middle + half, int(0.38 * width) : int(0.62 * width)] = 20, 20, 90
            picture = av.VideoFrame.from_ndarray(drawn, format="bgr24")
            picture.pts, picture.time_base = i, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
