"""Files put one after the other: picture and sound move together, and go on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facepick.media.audio import read_audio
from facepick.media.ffmpeg import ffmpeg_binary
from facepick.media.reader import VideoReader
from facepick.media.splices import has_splices

H264 = ("-c:v", "libx264", "-preset", "veryfast")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3")


def _joined(
    path: Path, parts: Sequence[tuple[float, float]], codecs: Sequence[str], sound: float | None
) -> Path:
    """Parts of (seconds, first time) that flash and beep together at every 0.4 s."""
    data = b""
    for n, (seconds, start) in enumerate(parts):
        part = path.with_name(f"part{n}{path.suffix}")
        picture = (
            f"color=black:s=64x48:r=25:d={seconds},"
            "geq=lum='if(lt(mod(T+0.001,0.4),0.04),235,16)':cb=128:cr=128"
        )
        heard = seconds if sound is None or n else sound
        tone = f"aevalsrc='if(lt(mod(t,0.4),0.04),0.5*sin(6283*t),0)':s=48000:d={heard}"
        subprocess.run(
            [ffmpeg_binary(), "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi",
             "-i", tone, *codecs, "-output_ts_offset", str(start), part],
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        # The header of a second FLV would be read as a packet.
        data += part.read_bytes()[13 if n and path.suffix == ".flv" else 0 :]
    path.write_bytes(data)
    return path


def _flashes_and_beeps(path: Path) -> tuple[list[float], list[float], list[float]]:
    """Times of all frames, of the flashes, and of the beeps."""
    with VideoReader(path) as reader:
        shown = [
            (float(f.time.seconds), f.picture.planes()[0].mean() > 100) for f in reader.frames()
        ]
    times = [time for time, _ in shown]
    flashes = [time for time, lit in shown if lit]
    with VideoReader(path) as reader:
        start = reader.info.start_seconds
    samples, rate = read_audio(path, channels=1, offset=start)
    loud = np.flatnonzero(np.abs(samples[:, 0]) > 0.1) / rate + float(start)
    beeps = loud[np.flatnonzero(np.diff(loud, prepend=-9) > 0.1)].tolist()
    return times, flashes, beeps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parts", "codecs", "sound"),
    [
        ("restart.ts", [(1.2, 0), (1.2, 0)], (*H264, "-c:a", "aac"), None),
        ("overlap.ts", [(1.2, 0), (1.2, 0.9)], (*H264, "-c:a", "aac"), None),
        ("two_frames.ts", [(1.2, 0), (1.2, 1.12)], (*MPEG2, "-c:a", "mp2"), None),
        ("thrice.ts", [(0.8, 0), (1.2, 0.5), (0.8, 9)], (*MPEG2, "-c:a", "ac3"), None),
        ("hours_later.ts", [(1.2, 0), (1.2, 7200)], (*H264, "-c:a", "aac"), None),
        # The second part's sound does not go back, its picture does.
        ("short_sound.ts", [(1.6, 0), (1.2, 1.2)], (*H264, "-c:a", "aac"), 1.0),
        ("restart.vob", [(1.2, 0), (1.2, 0)], (*MPEG2, "-c:a", "ac3"), None),
        ("overlap.mpg", [(1.2, 0), (1.2, 0.7)], (*MPEG2, "-c:a", "mp2"), None),
        ("aac.flv", [(1.2, 0), (1.2, 0)], (*H264, "-c:a", "aac"), None),
        ("mp3.flv", [(0.8, 0), (0.4, 0), (1.2, 0)], (*H264, "-c:a", "libmp3lame"), None),
    ],
)
def test_picture_and_sound_move_together(
    name: str,
    parts: list[tuple[float, float]],
    codecs: Sequence[str],
    sound: float | None,
    tmp_path: Path,
    copy_video: Callable[..., Any],
) -> None:
    source = _joined(tmp_path / name, parts, codecs, sound)
    assert has_splices(source)
    frames = sum(round(seconds * 25) for seconds, _ in parts)
    results = [copy_video(source, suffix=s).path for s in (".mp4", ".mkv")]
    for path in (source, *results):
        times, flashes, beeps = _flashes_and_beeps(path)
        assert len(times) == frames
        steps = np.diff(times)
        # A frame at each joint may wait for the end of its part's sound.
        assert steps.min() > 0.015
        # 9 s later is no leap but a pause; hours are.
        assert steps.max() < (7.5 if name == "thrice.ts" else 0.2)
        lead = [min((beep - flash for beep in beeps), key=abs) for flash in flashes]
        heard = [d for d in lead if abs(d) < 0.2]
        assert max(heard) - min(heard) < 0.03
        assert len(heard) == len(flashes) - (1 if sound else 0)
    with VideoReader(source) as reader:
        table = [f.time.pts for f in reader.frames()]
        found = next(reader.frames(start=frames - 3, pts=table))
        assert found.time.pts == table[frames - 3]


def test_one_wrong_time_is_no_splice(tmp_path: Path) -> None:
    """A packet that comes back to the old clock at once was stamped wrong."""
    from facepick.media.splices import _Walk

    class Packet:
        size = 1
        duration = 1
        stream_index = 0

        def __init__(self, at: int) -> None:
            self.pts = self.dts = at

    def offsets(times: list[int]) -> Any:
        walk = _Walk({0: "video"})
        for at in times:
            walk.push(Packet(at), Fraction(1, 25))
        return walk.offsets()

    assert offsets([0, 1, 2, 3, 0, 5, 6, 7]) == {}
    assert offsets([0, 1, 2, 3, 900, 5, 6, 7]) == {}
    assert offsets([0, 1, 2, 3, 3, 4, 5]) == {}
    assert offsets([0, 1, 2, 3, 0, 1, 2, 3]) == {0: ((0, 0), (4, Fraction(4, 25)))}
    assert offsets([0, 1, 2, 3, 900, 901, 902]) == {0: ((0, 0), (4, Fraction(-896, 25)))}


def test_a_file_of_one_piece_has_no_splices(odd: Callable[[str], Path]) -> None:
    for name in ("interlaced_mpeg2.ts", "base_640x360.mp4", "two_audio_tracks.mkv"):
        assert not has_splices(odd(name))
