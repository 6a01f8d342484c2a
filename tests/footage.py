"""The footage that comes with the repository, laid out as the whole collection is.

``tests/media`` holds openly licensed cuts; what can be made of them is made here, so that they
need not be stored twice.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg

HERE = Path(__file__).resolve().parent / "media"
DEMO_SPEECH = HERE.parent.parent / "lib/facepick/data/demo/speech.wav"

# Options of ffmpeg, input first, for each file that is made of another one.
MADE = {
    "odd/no_audio.mp4": ("odd/base_640x360.mp4", "-an -c copy"),
    "odd/audio_only.mp4": ("odd/base_640x360.mp4", "-vn -c copy"),
    "odd/surround_5.1.mp4": ("odd/base_640x360.mp4", "-c:v copy -c:a aac -ac 6"),
    "odd/interlaced_mpeg2.ts": (
        "odd/base_640x360.mp4",
        "-vf setfield=tff -c:v mpeg2video -flags +ildct+ilme -q:v 3 -c:a mp2 -ac 1",
    ),
    "odd/mjpeg_pcm.avi": ("odd/base_640x360.mp4", "-t 3 -c:v mjpeg -q:v 4 -c:a pcm_s16le"),
    "speech/en_katie_f_18s_16k.wav": ("speech/en_katie_f_18s_16k.flac", "-c:a pcm_s16le"),
    "speech/en_espeak_synthetic.wav": ("speech/en_espeak_synthetic.flac", "-c:a pcm_s16le"),
    "speech/en_jfk_m_11s_44k.flac": ("speech/en_jfk.mp3", "-c:a flac"),
    "speech/silence_3s.wav": (
        "speech/en_espeak_synthetic.flac",
        "-t 3 -ar 16000 -ac 1 -af volume=0 -c:a pcm_s16le",
    ),
}  # fmt: skip


def lay_out(folder: Path) -> Path:
    """Fill an empty folder with everything that the repository's own footage gives.

    Returns:
        The folder: ``video/``, ``odd/``, ``speech/``, ``gt/``.
    """
    for name in ("video", "odd", "speech", "gt"):
        shutil.copytree(HERE / name, folder / name)
    shutil.copy(DEMO_SPEECH, folder / "speech/en_ljspeech_f_22k.wav")
    for name, (source, options) in MADE.items():
        _ffmpeg("-i", str(folder / source), *options.split(), str(folder / name))
    odd = folder / "odd"
    base = odd / "base_640x360.mp4"
    # A second input moves the picture: the sound begins 0.85 s before it.
    _ffmpeg(
        "-itsoffset", "0.85", "-i", str(base), "-i", str(base),
        "-map", "0:v", "-map", "1:a", "-c", "copy", str(odd / "video_starts_0.85s_late.mp4"),
    )  # fmt: skip
    shutil.copy(base, odd / "naïve ñame 影片 (1)'s [x] %d.mp4")
    (odd / "empty.mp4").touch()
    (odd / "text_file.mp4").write_bytes(b"this is not a video\n")
    noise = random.Random(1)
    (odd / "random_bytes.mp4").write_bytes(noise.randbytes(40_000))
    # Cut at six tenths: with its index in front the first part can be read, else nothing can.
    index_last = base.read_bytes()
    (odd / "truncated_no_moov.mp4").write_bytes(index_last[: len(index_last) * 6 // 10])
    made = odd / "truncated_moov_first.mp4"
    _ffmpeg("-i", str(base), "-c", "copy", "-movflags", "+faststart", str(made))
    index_first = made.read_bytes()
    made.write_bytes(index_first[: len(index_first) * 6 // 10])
    return folder


def _ffmpeg(*arguments: str) -> None:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL)


# Frames of the clips and the part of each that shows one person: x0, x1 as shares of the width.
PHOTOS = {
    "anna": ("dev_gt2", (10, 60, 130), (0.0, 0.5)),
    "ben": ("dev_gt2", (10, 60, 200), (0.5, 1.0)),
    "carl": ("latentsync_demo3", (5, 35, 65), (0.0, 1.0)),
}


def write_photos(folder: Path, dev_gt2: Path, latentsync_demo3: Path) -> None:
    """Write three photos of each of three people, one of a pair and one of nobody, as JPEG."""
    import cv2
    from tests.contracts.face_footage import frames_of

    clips = {"dev_gt2": dev_gt2, "latentsync_demo3": latentsync_demo3}
    for name, (clip, indices, (left, right)) in PHOTOS.items():
        (folder / name).mkdir()
        for number, (index, image) in enumerate(
            zip(indices, frames_of(clips[clip], indices), strict=True), 1
        ):
            # From the single shots the whole picture is taken.
            single = clip == "dev_gt2" and index >= 100
            width = image.shape[1]
            part = image if single else image[:, int(left * width) : int(right * width)]
            cv2.imwrite(str(folder / name / f"{number}.jpg"), part)
    (pair,) = frames_of(dev_gt2, (20,))
    cv2.imwrite(str(folder / "pair.jpg"), pair)
    # No face outlives a blur of a tenth of the picture.
    cv2.imwrite(str(folder / "nobody.jpg"), cv2.blur(pair, (128, 128)))
