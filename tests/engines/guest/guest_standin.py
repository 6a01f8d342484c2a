"""Stand-in for public lip-sync programs: their options, their count of frames, a painted mouth.

python -m scripts.inference ... | python inference.py ...
"""

from __future__ import annotations

import argparse
import wave
from fractions import Fraction
from pathlib import Path

import av


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("unet_config_path", "inference_ckpt_path", "checkpoint_path", "version"):
        parser.add_argument(f"--{name}")
    for name in ("inference_steps", "guidance_scale", "unet_model_path", "unet_config"):
        parser.add_argument(f"--{name}")
    for name in ("enable_deepcache", "re_preprocess"):
        parser.add_argument(f"--{name}", action="store_true")
    for name in ("inference_config", "result_dir"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--video", "--video_path", "--face", dest="video")
    parser.add_argument("--audio", "--audio_path", dest="audio")
    parser.add_argument("--out", "--video_out_path", "--outfile", dest="out")
    options = parser.parse_args()
    if options.inference_config:
        task = dict(
            line.strip().split(": ", 1)
            for line in Path(options.inference_config).read_text().splitlines()[1:]
        )
        options.video, options.audio = (task[f"{k}_path"].strip("'") for k in ("video", "audio"))
        Path(options.result_dir, options.version).mkdir()
        options.out = str(Path(options.result_dir, options.version, "video_audio.mp4"))
    with wave.open(options.audio) as file:
        seconds = file.getnframes() / file.getframerate()
    with av.open(options.video) as clip:
        frames = [f.to_ndarray(format="bgr24") for f in clip.decode(video=0)]
        rate = Fraction(clip.streams.video[0].average_rate)
    # Wav2Lip's windows of 16 columns of 80 a second; the last one is there at any rate.
    columns, count = int(80 * seconds) + 1, 0
    while int(count * 80 / rate) + 16 <= columns:
        count += 1
    with av.open(options.out, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames[: count + 1]:
            height, width = frame.shape[:2]
            frame[int(0.7 * height) : int(0.75 * height), width // 3 : -width // 3] = 20, 20, 90
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
