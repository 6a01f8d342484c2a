"""Copies of a video that every browser plays."""

from __future__ import annotations

import hashlib
import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from facepick.errors import Cancelled, VideoOpenError
from facepick.media import proxies
from facepick.media.probe import probe
from facepick.media.proxies import ProxyStore
from facepick.media.proxy import make_proxy, playable_suffix
from facepick.media.reader import VideoReader
from facepick.progress import CancelToken, Progress

CLIP = Path(proxies.__file__).parents[1] / "data" / "demo" / "two_people.mp4"


def write_video(
    path: Path, *, codec: str = "libx265", pix_fmt: str = "yuv420p", times: Any = range(12),
    size: tuple[int, int] = (320, 240), sound: str | None = "aac",
) -> Path:  # fmt: skip
    """A short clip at 25 frames a second whose grey rises with the frame's number.

    Args:
        times: of each frame, in frames.
    """
    with av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = Fraction(1, 25)
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none", "preset": "ultrafast"}
        voice = target.add_stream(sound, rate=48000) if sound else None
        for number, when in enumerate(times):
            grey = np.full((size[1], size[0], 3), 20 + 15 * (number % 14), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = int(when), Fraction(1, 25)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
        if voice is not None:
            samples = np.zeros((voice.codec_context.channels, 24000), np.float32)
            heard = av.AudioFrame.from_ndarray(
                samples, format="fltp", layout=voice.codec_context.layout.name
            )
            heard.sample_rate, heard.pts = 48000, 0
            heard.time_base = Fraction(1, 48000)
            fifo = av.AudioFifo()
            fifo.write(heard)
            for piece in fifo.read_many(voice.codec_context.frame_size or 960, partial=True):
                target.mux(voice.encode(piece))
            target.mux(voice.encode(None))
    return path


def shown(path: Path) -> list[tuple[float, float]]:
    """Time from the first frame in seconds, and mean grey, of every frame."""
    with VideoReader(path) as reader:
        found = [(float(f.time.seconds), float(f.picture.bgr().mean())) for f in reader.frames()]
    return [(when - found[0][0], grey) for when, grey in found]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "sound", "expected"),
    [
        ("a.mp4", "libx264", "yuv420p", "aac", ".mp4"),
        ("a.mov", "libx264", "yuv420p", None, ".mp4"),
        ("a.webm", "libvpx-vp9", "yuv420p", None, ".webm"),
        # What a phone, a camera and a recorder of the screen write.
        ("hevc.mp4", "libx265", "yuv420p", "aac", None),
        ("10bit.mp4", "libx264", "yuv420p10le", None, None),
        ("444.mp4", "libx264", "yuv444p", None, None),
        ("a.mkv", "libx264", "yuv420p", "aac", None),
        ("vp9.mkv", "libvpx-vp9", "yuv420p", None, None),
        # gradio up to 4 re-encodes VP8, too.
        ("vp8.webm", "libvpx", "yuv420p", None, None),
        ("ac3.mp4", "libx264", "yuv420p", "ac3", None),
    ],
)
def test_what_every_browser_plays(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, sound: str | None, expected: str | None
) -> None:
    video = write_video(tmp_path / name, codec=codec, pix_fmt=pix_fmt, sound=sound, times=range(3))
    assert playable_suffix(video) == expected


def test_a_proxy_has_every_frame_at_its_time(tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 6, 7, 11, 12, 20, 21, 22, 30]
    video = write_video(tmp_path / "hevc.mp4", times=times)
    out, poster = tmp_path / "proxy.mp4", tmp_path / "poster.jpg"
    make_proxy(video, out, poster=poster)
    assert playable_suffix(out) == ".mp4"
    assert poster.read_bytes().startswith(b"\xff\xd8")
    before, after = shown(video), shown(out)
    assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=1e-4)
    assert [g for _, g in after] == pytest.approx([g for _, g in before], abs=3)
    info = probe(out)
    assert (info.codec, info.pixel_format, [a.codec for a in info.audio]) == (
        "h264", "yuv420p", ["aac"]
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("rot90_meta.mp4", (640, 360)),
        ("anamorphic_sar4x3.mp4", (640, 360)),
        ("odd_427x241_yuv444.mp4", (426, 240)),
    ],
)
def test_a_proxy_is_upright_and_keeps_the_shape(
    shared_media: Path, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    out = tmp_path / "proxy.mp4"
    make_proxy(shared_media / "odd" / name, out)
    info = probe(out)
    assert (info.width, info.height) == size
    assert (info.rotation, info.sample_aspect_ratio) == (0, 1)
    with VideoReader(shared_media / "odd" / name) as a, VideoReader(out) as b:
        old, new = next(a.frames()).picture.bgr(), next(b.frames()).picture.bgr()
    import cv2

    wanted = cv2.resize(old, size, interpolation=cv2.INTER_AREA).astype(float)
    assert abs(wanted - new).mean() < 6


def test_a_large_video_becomes_small(tmp_path: Path) -> None:
    video = write_video(tmp_path / "big.mp4", codec="libx264", size=(1280, 960), times=range(2))
    make_proxy(video, tmp_path / "proxy.mp4")
    assert (probe(tmp_path / "proxy.mp4").width, probe(tmp_path / "proxy.mp4").height) == (640, 480)


def test_a_stopped_proxy_leaves_nothing(tmp_path: Path) -> None:
    video = write_video(tmp_path / "hevc.mp4", times=range(60))
    token = CancelToken()

    def stop(report: Progress) -> None:
        if report.stage == "proxy":
            token.cancel()

    store = ProxyStore(tmp_path / "store")
    with pytest.raises(Cancelled):
        store.make(video, progress=stop, cancel=token)
    assert not list(store.folder.rglob("*.mp4*"))
    assert store.find(video) is None


def test_a_playable_video_is_copied_and_the_rest_waits_for_a_proxy(tmp_path: Path) -> None:
    store = ProxyStore(tmp_path / "store")
    playable = tmp_path / "clip.mov"
    shutil.copyfile(CLIP, playable)
    copy = store.view(playable)
    assert copy is not None
    assert copy.name == "clip.mp4"
    assert store.holds(copy)
    assert not store.is_proxy(copy)
    assert not copy.is_symlink()
    assert not copy.samefile(playable)
    assert copy.read_bytes() == playable.read_bytes()
    hevc = write_video(tmp_path / "hevc.mp4")
    assert store.view(hevc) is None
    proxy = store.make(hevc)
    assert store.is_proxy(proxy)
    assert store.view(hevc) == proxy


def test_a_large_playable_video_gets_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "COPY_LIMIT_BYTES", CLIP.stat().st_size - 1)
    assert ProxyStore(tmp_path).view(CLIP) is None


def test_a_proxy_belongs_to_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ProxyStore(tmp_path / "store")
    video = write_video(tmp_path / "hevc.mp4")
    proxy = store.make(video)
    twin = tmp_path / "twin.mp4"
    shutil.copyfile(video, twin)
    assert store.find(twin) is None
    monkeypatch.setattr(proxies, "make_proxy", None)  # nothing is encoded again
    assert store.make(twin) == proxy
    assert store.find(twin) == proxy
    # Another video under the old name is another video.
    write_video(video, times=range(4))
    assert store.find(video) is None


def test_the_users_file_is_only_read(tmp_path: Path) -> None:
    store = ProxyStore(tmp_path / "store")
    for name in ("hevc.mp4", "a.mkv"):
        video = write_video(tmp_path / name, codec="libx265" if "hevc" in name else "libx264")
        before = hashlib.sha256(video.read_bytes()).hexdigest(), video.stat().st_mtime_ns
        store.view(video)
        proxy = store.make(video)
        proxy.write_bytes(b"overwritten by whoever serves it")
        assert (hashlib.sha256(video.read_bytes()).hexdigest(), video.stat().st_mtime_ns) == before


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video at all" * 100)
    store = ProxyStore(tmp_path / "store")
    for ask in (store.view, store.make):
        with pytest.raises(VideoOpenError):
            ask(bad)


def test_the_least_used_goes_first(tmp_path: Path) -> None:
    store = ProxyStore(tmp_path / "store")
    views = []
    for number in range(3):
        video = tmp_path / f"{number}.mp4"
        shutil.copyfile(CLIP, video)
        view = store.view(video)
        assert view is not None
        views.append(view)
        os.utime(view.parent, (1000.0 * number, 1000.0 * number))
    size = CLIP.stat().st_size
    assert store.size_bytes() == 3 * size
    assert store.trim(limit_bytes=2 * size, keep_seconds=1e6, now=10_000.0) == 1
    assert [v.exists() for v in views] == [False, True, True]
    # What was used within the hour stays, however much it is.
    assert store.trim(limit_bytes=0, keep_seconds=1e6, now=4700.0) == 1
    assert [v.exists() for v in views] == [False, False, True]
    assert store.trim(keep_seconds=5.0, now=10_000.0) == 1
    assert store.size_bytes() == 0
