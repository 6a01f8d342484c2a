"""The ffmpeg program, and what its filters do better than we could: measuring loudness.

Frames never pass through it; PyAV reads and writes them.  `ffmpeg-python` builds the command.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from facepick.errors import FfmpegFailed, FfmpegMissing, PackageMissing
from facepick.progress import CancelToken, never

__all__ = ["ffmpeg_binary", "loudness", "run"]

# EBU R 128 gates at -70 LUFS: what is quieter counts as silence and has no loudness.
_SILENCE_LUFS = -70.0

_LOG_LINES = 40


@lru_cache(maxsize=1)
def ffmpeg_binary() -> Path:
    """Find the system's ffmpeg, else the one that comes with imageio-ffmpeg.

    Raises:
        FfmpegMissing: there is neither.
    """
    found = shutil.which("ffmpeg")
    if found:
        return Path(found)
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise FfmpegMissing(
            "There is no ffmpeg program on this machine.",
            hint="Install ffmpeg, or run: pip install imageio-ffmpeg",
        ) from error


def builder() -> Any:
    try:
        import ffmpeg
    except ImportError as error:
        raise PackageMissing("ffmpeg-python", needed_for="measuring loudness") from error
    return ffmpeg


def run(graph: Any, *, cancel: CancelToken = never) -> str:
    """Run an output node of `ffmpeg-python`.

    Args:
        graph: what ``ffmpeg.output(...)`` gave.
        cancel: ends the process when it is set.

    Returns:
        The last lines that ffmpeg printed.

    Raises:
        FfmpegMissing, FfmpegFailed, Cancelled.
    """
    argv = builder().compile(graph, cmd=str(ffmpeg_binary()), overwrite_output=True)
    argv[1:1] = ["-hide_banner", "-nostdin"]
    return _run_argv(argv, cancel)


def _run_argv(argv: Sequence[str], cancel: CancelToken) -> str:
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    tail: deque[str] = deque(maxlen=_LOG_LINES)

    def drain(stream: Any) -> None:
        for line in stream:
            tail.append(line.decode("utf-8", "replace").rstrip())

    reader = threading.Thread(target=drain, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        while True:
            cancel.raise_if_cancelled()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
                break
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join()
        process.stderr.close()
    log_tail = "\n".join(tail)
    if process.returncode:
        raise FfmpegFailed(argv, process.returncode, log_tail)
    return log_tail


def file_url(path: Path) -> str:
    """Spell a file name so that ffmpeg takes it as such, whatever is in it."""
    return f"file:{path}"


def loudness(
    path: Path,
    *,
    offset: Fraction = Fraction(0),
    duration: Fraction | None = None,
    stream: int | None = None,
    mixing: Sequence[Sequence[float]] | None = None,
    cancel: CancelToken = never,
) -> float | None:
    """Measure the integrated loudness of a file's sound in LUFS (EBU R 128), or None for silence.

    One channel counts as the same sound from two loudspeakers, so that a mono and a two-channel
    copy of one recording are equally loud.

    Args:
        path: audio or video file.
        offset, duration: the part that is measured, in seconds; None measures to the end.
        stream: index among the file's streams; None takes the one that ffmpeg holds to be the
            main one.
        mixing: (channels, 2) weights with which surround becomes the stereo that is measured;
            None measures the channels as they are.

    Raises:
        FfmpegMissing, FfmpegFailed, Cancelled.
    """
    ffmpeg = builder()
    part = {} if duration is None else {"t": f"{float(duration):.6f}"}
    source = ffmpeg.input(
        file_url(path), protocol_whitelist="file", ss=f"{float(offset):.6f}", **part
    )
    sound = source.audio if stream is None else source[str(stream)]
    if mixing is not None:
        sides = "|".join(
            f"c{side}=" + "+".join(f"{row[side]:.6f}*c{n}" for n, row in enumerate(mixing))
            for side in (0, 1)
        )
        sound = sound.filter("pan", args=f"stereo|{sides}")
    sound = sound.filter("loudnorm", print_format="json", dual_mono="true")
    printed = run(ffmpeg.output(sound, "-", format="null"), cancel=cancel)
    report = json.loads(printed[printed.rindex("{") : printed.rindex("}") + 1])
    measured = float(report["input_i"])
    return measured if measured > _SILENCE_LUFS else None
