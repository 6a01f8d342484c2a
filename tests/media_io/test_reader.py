"""Probing and reading every odd file: the right frames at the right times, or one sentence."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from facepick.errors import Cancelled, VideoOpenError
from facepick.media.audio import read_audio
from facepick.media.container import open_media, video_stream
from facepick.media.ffmpeg import ffmpeg_binary
from facepick.media.picture import Picture
from facepick.media.probe import guarded_probe, probe
from facepick.media.reader import Frame, VideoReader
from facepick.media.video import VideoInfo, info_from_json, info_to_json
from facepick.progress import CancelToken

Odd = Callable[[str], Path]


@dataclass(frozen=True)
class Good:
    """What a readable file holds, measured with ffprobe and by counting decoded frames."""

    name: str
    frames: int
    size: tuple[int, int] = (640, 360)
    format: str = "yuv420p"
    rotation: int = 0
    aspect: Fraction = Fraction(1)
    time_base: Fraction = Fraction(1, 12800)
    first_pts: int = 0
    last_pts: int = 76288
    audio: int = 1
    failures: int = 0
    interlaced: bool = False
    full_range: bool = False


GOOD = (
    Good("base_640x360.mp4", 150),
    Good("anamorphic_sar4x3.mp4", 150, size=(480, 360), aspect=Fraction(4, 3)),
    Good("anim.gif", 20, (320, 180), time_base=Fraction(1, 100), last_pts=190, audio=0),
    # The last two thirds are sprinkled with random bytes: one packet decodes to nothing, 26
    # frames are marked as corrupt.
    Good("bit_damage.mp4", 149, failures=27),
    Good("h264_10bit.mkv", 150, format="yuv420p10le", time_base=Fraction(1, 1000),
         first_pts=23, last_pts=5983),
    Good("hevc_10bit.mp4", 150, format="yuv420p10le"),
    Good("interlaced_mpeg2.ts", 150, time_base=Fraction(1, 90000), first_pts=129600,
         last_pts=666000, interlaced=True),
    Good("mjpeg_pcm.avi", 75, time_base=Fraction(1, 25), last_pts=74, full_range=True),
    Good("naïve ñame 影片 (1)'s [x] %d.mp4", 150),
    Good("no_audio.mp4", 150, audio=0),
    Good("ntsc_59.94.mp4", 360, time_base=Fraction(1, 60000), last_pts=359 * 1001),
    Good("odd_321x181_vp8.webm", 150, (321, 181), time_base=Fraction(1, 1000), first_pts=3,
         last_pts=5963),
    Good("odd_427x241_yuv444.mp4", 150, (427, 241), "yuv444p"),
    Good("one_frame.mp4", 1, last_pts=0, audio=0),
    Good("rot90_meta.mp4", 150, rotation=270),
    Good("rot180_meta.mov", 150, rotation=180),
    Good("surround_5.1.mp4", 150),
    # Cut at 60 %: 82 packets are there, the last of them in part.
    Good("truncated_moov_first.mp4", 81, last_pts=40960, failures=1),
    Good("two_audio_tracks.mkv", 150, time_base=Fraction(1, 1000), first_pts=23, last_pts=5983,
         audio=2),
    Good("vfr_irregular.mp4", 112),
    Good("vfr_vp9_opus.webm", 71, time_base=Fraction(1, 1000), first_pts=7, last_pts=5887),
    Good("video_starts_0.85s_late.mp4", 150, first_pts=10880, last_pts=87168),
)  # fmt: skip

BAD = {
    "audio_only.mp4": "only audio",
    "empty.mp4": "empty",
    "random_bytes.mp4": "not a media file",
    "text_file.mp4": "not a media file",
    "truncated_no_moov.mp4": "index is missing",
}

# Decoding all of them from the middle would take long; these cover what makes seeking hard:
# B-frames, open GOP in a stream without an index, VFR, a late start, rotation, damage, GIF.
SEEK = (
    "base_640x360.mp4",
    "interlaced_mpeg2.ts",
    "vfr_vp9_opus.webm",
    "video_starts_0.85s_late.mp4",
    "rot90_meta.mp4",
    "bit_damage.mp4",
    "truncated_moov_first.mp4",
    "anim.gif",
    "hevc_10bit.mp4",
)


def test_table_is_complete(shared_media: Path) -> None:
    """Every file of the folder is either read or refused."""
    listed = {good.name for good in GOOD} | set(BAD)
    assert listed == {path.name for path in (shared_media / "odd").iterdir()}


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_reads_every_frame_once(good: Good, odd: Odd) -> None:
    with VideoReader(odd(good.name)) as reader:
        info = reader.info
        frames = [(f.index, f.time, f.duration, f.picture.format) for f in reader.frames()]
    assert (info.width, info.height) == good.size
    assert info.rotation == good.rotation
    assert info.sample_aspect_ratio == good.aspect
    assert info.time_base == good.time_base
    assert len(info.audio) == good.audio
    assert info.interlaced == good.interlaced
    assert info.color.full_range == good.full_range
    assert info.start_seconds == good.first_pts * good.time_base

    assert [index for index, *_ in frames] == list(range(good.frames))
    times = [time.pts for _, time, *_ in frames]
    assert (times[0], times[-1]) == (good.first_pts, good.last_pts)
    durations = [duration for _, _, duration, _ in frames]
    assert min(durations) > 0
    assert list(np.diff(times)) == durations[:-1]
    assert {format for *_, format in frames} == {good.format}
    assert reader.decode_failures == good.failures


@pytest.mark.parametrize("name", BAD)
def test_refuses_with_one_sentence(name: str, odd: Odd) -> None:
    with pytest.raises(VideoOpenError) as caught:
        VideoReader(odd(name))
    assert name in str(caught.value)
    assert BAD[name] in str(caught.value)
    assert caught.value.hint
    assert isinstance(caught.value, OSError)


def test_refuses_missing_folder_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(VideoOpenError, match=r"no such file"):
        probe(tmp_path / "gone.mp4")
    with pytest.raises(VideoOpenError, match=r"folder"):
        probe(tmp_path)
    fifo = tmp_path / "pipe.mp4"
    if hasattr(os, "mkfifo"):
        os.mkfifo(fifo)
        # Opening a pipe that nobody writes to would wait for ever.
        with pytest.raises(VideoOpenError, match=r"not a plain file"):
            probe(fifo)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.jpg", [], "a picture (JPEG)"),
        ("a.png", [], "a picture (PNG)"),
        ("a.bmp", [], "a picture (BMP)"),
        ("a.tiff", [], "a picture (TIFF)"),
        ("a.webp", ["-c:v", "libwebp"], "a picture (WebP)"),
        ("anim.webp", ["-c:v", "libwebp_anim"], "an animated picture (WebP)"),
        ("anim.png", ["-f", "apng"], "an animated picture (PNG)"),
    ],
)
def test_pictures_are_called_pictures(
    name: str, options: list[str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    count = "3" if "anim" in name else "1"
    subprocess.run(
        [str(ffmpeg_binary()), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48",
         "-frames:v", count, *options, str(path)],
        check=True,
    )  # fmt: skip
    with pytest.raises(VideoOpenError) as raised:
        probe(path)
    assert said in raised.value.message
    # Also under the name of a video; and where sound is wanted, sound is asked for.
    video = path.rename(tmp_path / "v.mp4")
    with pytest.raises(VideoOpenError) as raised:
        probe(video)
    assert said in raised.value.message
    with pytest.raises(VideoOpenError, match="not a sound file") as raised:
        read_audio(video)
    assert "WAV" in raised.value.hint
    assert "AVI" not in raised.value.hint


def test_the_hint_names_what_is_wanted(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("hello")
    for path, sound, video in (
        (text, "Choose a sound file such as WAV", "Choose a video file such as MP4"),
        (tmp_path, "Choose one sound file", "Choose one video file"),
    ):
        with pytest.raises(VideoOpenError) as raised:
            read_audio(path)
        assert raised.value.hint.startswith(sound)
        with pytest.raises(VideoOpenError) as raised:
            probe(path)
        assert raised.value.hint.startswith(video)


def test_refuses_lists_of_other_files(tmp_path: Path, odd: Odd) -> None:
    """A playlist under a video's name must not make facepick open what it lists."""
    target = odd("base_640x360.mp4")
    playlist = tmp_path / "film.mp4"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:6,\nfile://{target}\n#EXT-X-ENDLIST\n"
    )
    script = tmp_path / "film2.mp4"
    script.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    for path in (playlist, script):
        with pytest.raises(VideoOpenError, match=r"not a media file"):
            probe(path)


def test_cover_picture_is_not_video(tmp_path: Path, shared_media: Path) -> None:
    """An MP3 with a cover has a video stream by FFmpeg's count, but no video."""
    av = pytest.importorskip("av")
    path = tmp_path / "song.mp3"
    tag = b"image/jpeg\0\x03\0"
    with av.open(str(shared_media / "odd" / "mjpeg_pcm.avi")) as source:
        picture = bytes(next(p for p in source.demux(video=0) if p.size))
    body = b"\0" + tag + picture
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = len(frame)
    header = b"ID3\x03\0\0" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(header + frame + (shared_media / "speech" / "en_jfk.mp3").read_bytes())
    with av.open(str(path)) as made:
        assert made.streams.video
    with pytest.raises(VideoOpenError, match="only audio"):
        probe(path)


def _prints(frames: list[Frame]) -> list[tuple[int, int, int, int]]:
    return [
        (f.index, f.time.pts, f.duration, zlib.crc32(f.picture.planes()[0].tobytes()))
        for f in frames
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEK)
def test_frames_are_the_same_after_a_seek(name: str, odd: Odd) -> None:
    reader = VideoReader(odd(name))
    whole = _prints(list(reader.frames()))
    table = [pts for _, pts, *_ in whole]
    for start in (1, len(whole) // 2, len(whole) - 1):
        part: list[Frame] = []
        for frame in reader.frames(start=start, pts=table):
            part.append(frame)
            if len(part) == 12:
                break
        assert _prints(part)[:11] == whole[start : start + 12][:11]


def test_seek_past_the_end_and_wrong_table(odd: Odd) -> None:
    reader = VideoReader(odd("one_frame.mp4"))
    assert list(reader.frames(start=1, pts=[0])) == []
    with pytest.raises(ValueError, match="start must be"):
        next(reader.frames(start=2, pts=[0]))
    # A table of another file never matches, and never gives a wrong frame.
    base = VideoReader(odd("base_640x360.mp4"))
    wrong = [n * 500 + 1 for n in range(150)]
    assert next(base.frames(start=75, pts=wrong)).time.pts == 75 * 512


def test_times_that_do_not_rise_are_repaired(tmp_path: Path) -> None:
    """Two frames at one time: the second is moved by the least that tells them apart."""
    av = pytest.importorskip("av")
    path = tmp_path / "twice.ts"
    with av.open(str(path), "w", format="mpegts") as made:
        stream = made.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames = 0
        packets = []
        for n in range(6):
            frame = Picture.from_bgr(np.full((48, 64, 3), n * 30, np.uint8)).to_av()
            frame.pts, frame.time_base = n, Fraction(1, 25)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets:
            if packet.pts == 3:
                packet.pts = packet.dts = 2
            made.mux(packet)
    reader = VideoReader(path)
    whole = _prints(list(reader.frames()))
    times = [pts for _, pts, *_ in whole]
    assert len(times) == 6
    first, step = times[0], 3600
    assert times == [first + t for t in (0, step, 2 * step, 2 * step + 1, 4 * step, 5 * step)]
    for start in range(1, 6):
        assert _prints(list(reader.frames(start=start, pts=times))) == whole[start:]


def test_edit_list(tmp_path: Path, odd: Odd) -> None:
    """Cut without encoding: the file keeps frames from the key frame on, the list hides them."""
    path = tmp_path / "cut.mp4"
    argv = [str(ffmpeg_binary()), "-v", "error", "-ss", "1.32", "-i", str(odd("base_640x360.mp4"))]
    subprocess.run([*argv, "-c", "copy", str(path)], check=True)
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        stored = sum(1 for p in container.demux(video=0) if p.size)
    reader = VideoReader(path)
    whole = _prints(list(reader.frames()))
    assert stored > len(whole) == 117
    assert whole[0][1] == 0
    table = [pts for _, pts, *_ in whole]
    assert _prints(list(reader.frames(start=60, pts=table))) == whole[60:]


def test_size_that_changes_midway(tmp_path: Path) -> None:
    """Two streams put end to end: later frames are scaled to the size of the first."""
    av = pytest.importorskip("av")
    path = tmp_path / "grows.ts"
    data = b""
    for n, (width, height) in enumerate(((64, 48), (128, 96))):
        part = tmp_path / f"{n}.ts"
        with av.open(str(part), "w", format="mpegts") as made:
            stream = made.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"tune": "zerolatency"}
            for k in range(5):
                frame = Picture.from_bgr(np.full((height, width, 3), 90, np.uint8)).to_av()
                frame.pts, frame.time_base = n * 5 + k, Fraction(1, 25)
                made.mux(stream.encode(frame))
            made.mux(stream.encode(None))
        data += part.read_bytes()
    path.write_bytes(data)
    frames = list(VideoReader(path).frames())
    assert len(frames) == 10
    assert {(f.picture.width, f.picture.height) for f in frames} == {(64, 48)}
    assert np.abs(frames[-1].picture.bgr().astype(int) - 90).max() <= 4


def test_rotation_makes_frames_upright(odd: Odd) -> None:
    """The rotated files show the same pictures as the plain one, encoded again."""
    plain, *turned = (
        next(VideoReader(odd(name)).frames()).picture.bgr().astype(int)
        for name in ("base_640x360.mp4", "rot90_meta.mp4", "rot180_meta.mov")
    )
    for picture in turned:
        assert np.abs(picture - plain).mean() < 4


def test_damaged_file_is_read_the_same_every_time(odd: Odd) -> None:
    first, second = (_prints(list(VideoReader(odd("bit_damage.mp4")).frames())) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_neither_hangs_nor_crashes(seed: int, odd: Odd, tmp_path: Path) -> None:
    name = ("base_640x360.mp4", "vfr_vp9_opus.webm", "interlaced_mpeg2.ts")[seed % 3]
    rng = np.random.default_rng(seed)
    data = np.frombuffer(odd(name).read_bytes(), np.uint8).copy()
    spots = rng.integers(0, len(data), 200)
    data[spots] = rng.integers(0, 256, len(spots))
    path = tmp_path / name
    path.write_bytes(data.tobytes())
    times: list[int] = []
    with contextlib.suppress(VideoOpenError):
        times += [frame.time.pts for frame in VideoReader(path).frames()]
    assert (np.diff(times) > 0).all()


def test_cancel_stops_reading(odd: Odd) -> None:
    cancel = CancelToken()
    frames = VideoReader(odd("base_640x360.mp4"), cancel=cancel).frames()
    next(frames)
    cancel.cancel()
    with pytest.raises(Cancelled):
        list(frames)


def test_guarded_probe(odd: Odd) -> None:
    for name in ("base_640x360.mp4", "vfr_vp9_opus.webm"):
        assert guarded_probe(odd(name)) == probe(odd(name))
    with pytest.raises(VideoOpenError, match="only audio") as caught:
        guarded_probe(odd("audio_only.mp4"))
    assert caught.value.hint
    with pytest.raises(VideoOpenError, match="longer than"):
        guarded_probe(odd("base_640x360.mp4"), timeout_seconds=0.01)


def test_guarded_probe_opens_nothing_in_this_process(
    odd: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "open", lambda *_, **__: pytest.fail("was opened here"))
    assert guarded_probe(odd("base_640x360.mp4")).height == 360


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what is written to")
def test_guarded_probe_ends_what_takes_too_much_memory(odd: Odd, tmp_path: Path) -> None:
    """The child's limit holds for everything in it, here for a module loaded at its start."""
    code = "import facepick.media.probe as p; p._limit_memory(); bytearray(3 * 2**30)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"MemoryError" in done.stderr


@pytest.mark.parametrize(
    "damage", [{"width": "9"}, {"path": 3}, {"audio": [1]}, {"time_base": "x"}]
)
def test_facts_of_a_video_are_checked_when_they_come_back(odd: Odd, damage: dict[str, Any]) -> None:
    facts = info_to_json(probe(odd("base_640x360.mp4")))
    assert info_from_json(VideoInfo, facts) == probe(odd("base_640x360.mp4"))
    with pytest.raises(ValueError, match=r"facts|Fraction"):
        info_from_json(VideoInfo, {**facts, **damage})


@pytest.mark.parametrize(("pixels", "depth"), [("11000x11000", "484 MB"), ("5800x5800", "134 MB")])
def test_bytes_of_a_frame_are_limited_and_not_its_pixels(
    pixels: str, depth: str, tmp_path: Path
) -> None:
    """An animated GIF takes four bytes a pixel; its head alone says so."""
    width, _, height = pixels.partition("x")
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    path = tmp_path / "bomb.gif"
    size = int(width).to_bytes(2, "little") + int(height).to_bytes(2, "little")
    path.write_bytes(b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff" + frame * 9 + b";")
    with pytest.raises(VideoOpenError, match=rf"{pixels} and take {depth}"):
        probe(path)


def test_a_stream_that_grows_midway_is_refused_by_its_decoder(odd: Odd) -> None:
    with open_media(odd("base_640x360.mp4")) as container:
        stream = video_stream(container, "x")
        assert int(stream.codec_context.options["max_pixels"]) >= 7680 * 4320
        stream.codec_context.options = {"max_pixels": "1000"}
        with pytest.raises(av.error.FFmpegError):
            list(container.decode(stream))


def test_sound_of_an_unknown_codec_is_named(tmp_path: Path) -> None:
    path = tmp_path / "strange.mov"
    subprocess.run(
        [str(ffmpeg_binary()), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:d=0.2",
         "-f", "lavfi", "-i", "sine=d=0.2", "-c:v", "mpeg4", "-c:a", "wmav2", str(path)],
        check=True,
    )  # fmt: skip
    assert probe(path).left_out == ("audio track 1 (its codec is unknown)",)
