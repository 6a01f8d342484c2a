"""What the tests of media share: the table of odd files, and a way through all parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from facepick.media.audio import read_mono
from facepick.media.encode import EncodeSettings
from facepick.media.probe import probe
from facepick.media.reader import VideoReader
from facepick.media.timeline import constant_rate
from facepick.media.video import VideoInfo
from facepick.media.writer import AudioOut, SegmentWriter, join_segments


@dataclass(frozen=True)
class Copy:
    """A video that went through reader, segments and joining, unchanged."""

    source: VideoInfo
    path: Path
    pts: list[int]
    last_duration: int
    left_out: tuple[str, ...]


@pytest.fixture
def copy_video(tmp_path: Path) -> Callable[..., Copy]:
    """Decode a file, encode it in segments, join them with the sound."""

    def run(
        source: Path,
        *,
        suffix: str = ".mp4",
        segments: int = 3,
        encode: EncodeSettings | None = None,
        audio: AudioOut | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Copy:
        out = tmp_path / f"out{suffix}"
        encode = encode or EncodeSettings(preset="ultrafast")
        encode = encode.for_output(out, probe(source))
        with VideoReader(source) as reader:
            table = [(frame.time.pts, frame.duration) for frame in reader.frames()]
            cuts = sorted({round(n * len(table) / segments) for n in range(segments + 1)})
            pts = [time for time, _ in table]
            rate = constant_rate(pts, reader.info.time_base, reader.info.average_rate)
            frames = reader.frames()
            paths = []
            for start, stop in pairwise(cuts):
                path = tmp_path / f"{start}.nut"
                with SegmentWriter(
                    path, info=reader.info, encode=encode, threads=1, rate=rate
                ) as writer:
                    for _ in range(start, stop):
                        frame = next(frames)
                        writer.write(frame.picture, frame.time.pts)
                paths.append(path)
            assert next(frames, None) is None
        left_out = join_segments(
            paths,
            out=out,
            info=reader.info,
            pts=pts,
            duration_pts=table[-1][1],
            audio=audio,
            metadata=metadata,
        )
        assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*"))
        return Copy(reader.info, out, pts, table[-1][1], left_out)

    return run


@pytest.fixture
def shift_of_sound() -> Callable[..., float]:
    """How many seconds the sound moved against the picture between two files.

    Both are read on the clock of their own first frame; the peak of the cross-correlation of
    their first seconds says by how much one lags.
    """

    def measure(
        before: VideoInfo, after: VideoInfo, *, tracks: Sequence[int] = (0, 0), seconds: int = 5
    ) -> float:
        rate = 16000
        one, two = (
            read_mono(
                info.path,
                rate=rate,
                stream=info.audio[track].index,
                align_to=info.start_seconds,
            )[: seconds * rate]
            for info, track in zip((before, after), tracks, strict=True)
        )
        assert np.abs(one).max() > 0.01
        size = 2 * max(len(one), len(two))
        spectrum = np.fft.rfft(one, size) * np.conj(np.fft.rfft(two, size))
        peak = int(np.argmax(np.fft.irfft(spectrum, size)))
        return float(Fraction(peak if peak < size // 2 else peak - size, rate))

    return measure
