"""From file to file: as many frames at the same times, with the sound in its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from facepick.errors import Cancelled, RenderError, SettingsError, UserInputError
from facepick.media.audio import read_audio, read_mono
from facepick.media.encode import CONTAINERS, ENCODERS, EncodeSettings, encoder_named, encoder_works
from facepick.media.ffmpeg import ffmpeg_binary
from facepick.media.picture import Picture, recoded
from facepick.media.probe import probe
from facepick.media.reader import VideoReader
from facepick.media.video import ColorInfo, HdrInfo, VideoInfo
from facepick.media.writer import AudioOut, AudioTrack, SegmentWriter, join_segments
from facepick.progress import CancelToken
from facepick.settings import fields_of

Odd = Callable[[str], Path]
FAST = EncodeSettings(preset="ultrafast")


def _origin(info: VideoInfo) -> Fraction:
    """The moment of the source that is 0 in a result: where the container's clock starts."""
    return max(Fraction(0), min([info.start_seconds, *(a.start_seconds for a in info.audio)]))


GOOD = (
    "base_640x360.mp4",
    "anamorphic_sar4x3.mp4",
    "anim.gif",
    "bit_damage.mp4",
    "h264_10bit.mkv",
    "hevc_10bit.mp4",
    "interlaced_mpeg2.ts",
    "mjpeg_pcm.avi",
    "naïve ñame 影片 (1)'s [x] %d.mp4",
    "no_audio.mp4",
    "ntsc_59.94.mp4",
    "odd_321x181_vp8.webm",
    "odd_427x241_yuv444.mp4",
    "one_frame.mp4",
    "rot90_meta.mp4",
    "rot180_meta.mov",
    "surround_5.1.mp4",
    "truncated_moov_first.mp4",
    "two_audio_tracks.mkv",
    "vfr_irregular.mp4",
    "vfr_vp9_opus.webm",
    "video_starts_0.85s_late.mp4",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_frames_out_are_frames_in(
    name: str, odd: Odd, copy_video: Callable[..., Any], shift_of_sound: Callable[..., float]
) -> None:
    copy = copy_video(odd(name))
    source, reader = copy.source, VideoReader(copy.path)
    result = reader.info
    originals = VideoReader(odd(name)).frames()
    times = []
    for frame, original in zip(reader.frames(), originals, strict=True):
        times.append(frame.time.seconds)
        # Every eighth sample is enough to see that it is this frame and no other.
        old, new = (p.planes()[0][::8, ::8].astype(int) for p in (original.picture, frame.picture))
        assert np.abs(new - old).mean() < (10 if original.picture.format.endswith("10le") else 3)
    assert times == [pts * source.time_base - _origin(source) for pts in copy.pts]
    assert reader.decode_failures == 0
    assert (result.width, result.height) == (source.width, source.height)
    assert result.rotation == 0
    assert result.sample_aspect_ratio == source.sample_aspect_ratio
    assert result.interlaced == source.interlaced
    assert result.color == source.color
    assert result.pixel_format.endswith("10le") == source.pixel_format.endswith("10le")
    assert [a.channels for a in result.audio] == [a.channels for a in source.audio]
    assert [a.sample_rate for a in result.audio] == [a.sample_rate for a in source.audio]
    for track in range(len(source.audio)):
        assert abs(shift_of_sound(source, result, tracks=(track, track))) <= 0.001


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".webm"])
@pytest.mark.parametrize("name", ["video_starts_0.85s_late.mp4", "anamorphic_sar4x3.mp4"])
def test_other_containers(
    suffix: str,
    name: str,
    odd: Odd,
    copy_video: Callable[..., Any],
    shift_of_sound: Callable[..., float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    copy = copy_video(odd(name), suffix=suffix)
    source = copy.source
    reader = VideoReader(copy.path)
    times = [frame.time.seconds for frame in reader.frames()]
    # Matroska cannot begin before 0, where the priming of AAC lies: the whole moves by it.
    shift = times[0] - copy.pts[0] * source.time_base
    assert 0 <= shift <= (0 if suffix == ".mov" else Fraction(1024, 44100) + Fraction(1, 1000))
    for time, pts in zip(times, copy.pts, strict=True):
        slack = 0 if suffix == ".mov" else Fraction(1, 1000)
        assert abs(time - shift - pts * source.time_base) <= slack
    if suffix == ".webm" and source.sample_aspect_ratio != 1:
        assert copy.left_out == ("sample aspect ratio 4/3 (.mp4 keeps it)",)
    else:
        assert copy.left_out == ()
        assert reader.info.sample_aspect_ratio == source.sample_aspect_ratio
        assert not caplog.records
    assert abs(shift_of_sound(source, reader.info)) <= 0.001
    codecs = CONTAINERS[suffix]
    assert reader.info.codec in codecs.video
    assert codecs.holds_audio(reader.info.audio[0].codec)


def test_sound_that_fits_is_copied_bit_by_bit(odd: Odd, copy_video: Callable[..., Any]) -> None:
    av = pytest.importorskip("av")
    for name in ("surround_5.1.mp4", "two_audio_tracks.mkv"):
        copy = copy_video(odd(name))
        with av.open(str(odd(name))) as one, av.open(str(copy.path)) as two:
            for before, after in zip(one.streams.audio, two.streams.audio, strict=True):
                old = [bytes(p) for p in one.demux(before) if p.size]
                new = [bytes(p) for p in two.demux(after) if p.size]
                assert new == old
                one.seek(0)
                two.seek(0)
        assert [a.language for a in probe(copy.path).audio][1:] == [
            a.language for a in copy.source.audio
        ][1:]


def test_segments_equal_one_go(odd: Odd, copy_video: Callable[..., Any]) -> None:
    """Where a video is cut into segments changes no time and no more than the compression."""
    path = odd("vfr_irregular.mp4")
    one = [f.time for f in VideoReader(copy_video(path, segments=1).path).frames()]
    many = [f.time for f in VideoReader(copy_video(path, segments=7).path).frames()]
    assert one == many


def test_every_segment_stands_alone(odd: Odd, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    reader = VideoReader(odd("base_640x360.mp4"))
    for encoder in ("x264", "x265"):
        path = tmp_path / f"{encoder}.nut"
        settings = EncodeSettings(encoder=encoder, preset="ultrafast")
        with SegmentWriter(path, info=reader.info, encode=settings, threads=1) as writer:
            for frame, _ in zip(reader.frames(), range(12), strict=False):
                writer.write(frame.picture, frame.time.pts)
        with av.open(str(path)) as made:
            packets = [p for p in made.demux(video=0) if p.size]
        assert packets[0].is_keyframe
        assert min(p.pts for p in packets) == packets[0].pts


@pytest.mark.parametrize(
    ("encoder", "codec", "name"),
    [
        ("x265", "hevc", "hevc_10bit.mp4"),
        ("av1", "av1", "h264_10bit.mkv"),
        ("vp9", "vp9", "odd_321x181_vp8.webm"),
        ("x265", "hevc", "odd_321x181_vp8.webm"),
        ("av1", "av1", "odd_321x181_vp8.webm"),
    ],
)
def test_other_encoders(encoder: str, codec: str, name: str, odd: Odd, tmp_path: Path) -> None:
    if not encoder_works(encoder):
        pytest.skip(f"this build of FFmpeg has no {encoder}")
    source = VideoReader(odd(name))
    settings = EncodeSettings(encoder=encoder, preset="ultrafast")
    frames = [f for f, _ in zip(source.frames(), range(10), strict=False)]
    segment, out = tmp_path / "a.nut", tmp_path / "out.mp4"
    with SegmentWriter(segment, info=source.info, encode=settings) as writer:
        for frame in frames:
            writer.write(frame.picture, frame.time.pts)
    pts = [f.time.pts for f in frames]
    join_segments(
        [segment], out=out, info=source.info, pts=pts, duration_pts=1, audio=AudioOut.none()
    )
    result = VideoReader(out)
    assert result.info.codec == codec
    assert (result.info.width, result.info.height) == (source.info.width, source.info.height)
    assert result.info.pixel_format.endswith("10le") == source.info.pixel_format.endswith("10le")
    for new, old in zip(result.frames(), frames, strict=True):
        assert new.time.seconds == old.time.seconds - _origin(source.info)
        error = np.abs(new.picture.bgr().astype(int) - old.picture.bgr().astype(int)).mean()
        assert error < 5


def test_colour_tags_and_hdr_transfer_stay(tmp_path: Path, odd: Odd) -> None:
    source = VideoReader(odd("hevc_10bit.mp4"))
    color = ColorInfo(primaries=9, transfer=16, matrix=9)  # BT.2020, PQ
    info = replace(source.info, color=color, audio=())
    for encoder in filter(encoder_works, ("x264", "x265", "av1")):
        segment, out = tmp_path / f"{encoder}.nut", tmp_path / f"{encoder}.mp4"
        settings = EncodeSettings(encoder=encoder, preset="ultrafast")
        with SegmentWriter(segment, info=info, encode=settings) as writer:
            frame = next(source.frames())
            writer.write(frame.picture, 0)
        join_segments([segment], out=out, info=info, pts=[0], duration_pts=512)
        assert probe(out).color == color
        assert probe(out).color.is_hdr


def test_part_of_a_video_with_its_sound(
    odd: Odd, tmp_path: Path, shift_of_sound: Callable[..., float]
) -> None:
    """Seconds 2.85 to 4.85 of a video whose picture starts late."""
    source = VideoReader(odd("video_starts_0.85s_late.mp4"))
    table = [frame.time.pts for frame in source.frames()]
    base = source.info.time_base
    with SegmentWriter(tmp_path / "a.nut", info=source.info, encode=FAST) as writer:
        for frame in source.frames(start=50, pts=table):
            if frame.index == 100:
                break
            writer.write(frame.picture, frame.time.pts)
    out = tmp_path / "part.mp4"
    origin, stop = table[50] * base, table[100] * base
    join_segments(
        [writer.path],
        out=out,
        info=source.info,
        pts=table[50:100],
        duration_pts=512,
        origin=origin,
        stop=stop,
    )
    result = VideoReader(out)
    assert [f.time.seconds for f in result.frames()] == [Fraction(n, 25) for n in range(50)]
    wanted = read_mono(source.path, align_to=origin)[: 2 * 16000]
    got = read_mono(out, align_to=Fraction(0))
    assert len(wanted) <= len(got) <= len(wanted) + 0.05 * 16000
    # The same packets decode to the same samples, but for the resampler's rounding.
    assert np.abs(got[: len(wanted)] - wanted).max() < 0.02


def test_new_track_in_place_of_the_old(odd: Odd, copy_video: Callable[..., Any]) -> None:
    rate = 44100
    beep = np.zeros(rate * 4, np.float32)
    beep[rate : rate + 200] = 0.8
    track = AudioTrack(samples=beep, rate=rate, language="eng", title="Dub")
    copy = copy_video(odd("two_audio_tracks.mkv"), audio=AudioOut.replace(track))
    (info,) = probe(copy.path).audio
    assert (info.codec, info.sample_rate, info.language) == ("aac", rate, "eng")
    heard, _ = read_audio(copy.path, offset=Fraction(0))
    assert abs(int(np.argmax(np.abs(heard[:, 0]) > 0.2)) - rate) < 0.001 * rate


@pytest.mark.slow
def test_new_default_track_and_the_others(
    odd: Odd, shared_media: Path, copy_video: Callable[..., Any]
) -> None:
    source = probe(odd("two_audio_tracks.mkv"))
    speech = shared_media / "speech" / "en_espeak_synthetic.wav"
    track = AudioTrack(samples=speech, language="eng", start=Fraction(1))
    for keep_original, languages in ((False, ["eng", "deu"]), (True, ["eng", None, "deu"])):
        audio = AudioOut.dub(source, track, keep_original=keep_original)
        copy = copy_video(source.path, audio=audio, suffix=".mkv")
        made = probe(copy.path)
        assert [a.language for a in made.audio] == languages
        assert [a.is_default for a in made.audio] == [True, *[False] * (len(languages) - 1)]
        at = made.start_seconds - source.start_seconds  # what Matroska's priming moved
        heard = read_mono(copy.path, stream=made.audio[0].index, align_to=at)
        said = read_mono(speech)
        first = int(np.argmax(np.abs(said) > 0.05))
        assert abs(int(np.argmax(np.abs(heard) > 0.05)) - first - 16000) < 0.003 * 16000


def test_metadata(odd: Odd, tmp_path: Path, copy_video: Callable[..., Any]) -> None:
    av = pytest.importorskip("av")
    tagged = tmp_path / "tagged.mp4"
    with av.open(str(odd("no_audio.mp4"))) as source, av.open(str(tagged), "w") as made:
        made.metadata.update({"title": "Film", "artist": "Someone"})
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height = 640, 360
        for frame in source.decode(video=0):
            made.mux(stream.encode(frame))
            if frame.pts >= 512:
                break
        made.mux(stream.encode(None))
    for suffix in (".mp4", ".mkv"):
        copy = copy_video(
            tagged, suffix=suffix, segments=1, metadata={"AIGC": '{"Label":"1"}', "artist": ""}
        )
        with av.open(str(copy.path)) as made:
            tags = {key.lower(): value for key, value in made.metadata.items()}
        assert tags["title"] == "Film"
        assert tags["aigc"] == '{"Label":"1"}'
        assert "artist" not in tags


def test_leftovers_of_killed_runs_are_removed(odd: Odd, copy_video: Callable[..., Any]) -> None:
    out = copy_video(odd("one_frame.mp4"), segments=1).path
    names = [f".facepick-{hashlib.sha256(b'out.mp4').hexdigest()[:12]}-{n}.part" for n in "ab"]
    old, fresh = (out.with_name(name) for name in names)
    for path in (old, fresh):
        path.write_bytes(b"half a film")
    os.utime(old, (0, 0))
    reader = VideoReader(odd("one_frame.mp4"))
    join_segments([out.with_name("0.nut")], out=out, info=reader.info, pts=[0], duration_pts=512)
    assert not old.exists()
    assert fresh.exists()


def test_index_comes_first(odd: Odd, copy_video: Callable[..., Any]) -> None:
    data = copy_video(odd("one_frame.mp4"), segments=1).path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def _one_segment(odd: Odd, folder: Path, frames: int = 30) -> tuple[VideoReader, Path, list[int]]:
    reader = VideoReader(odd("base_640x360.mp4"))
    pts = []
    with SegmentWriter(folder / "a.nut", info=reader.info, encode=FAST) as writer:
        for frame, _ in zip(reader.frames(), range(frames), strict=False):
            writer.write(frame.picture, frame.time.pts)
            pts.append(frame.time.pts)
    return reader, writer.path, pts


def test_cancel_leaves_what_was_there(odd: Odd, tmp_path: Path) -> None:
    reader, segment, pts = _one_segment(odd, tmp_path)
    out = tmp_path / "out.mp4"
    out.write_bytes(b"an older result")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        join_segments(
            [segment], out=out, info=reader.info, pts=pts, duration_pts=512, cancel=cancel
        )
    assert out.read_bytes() == b"an older result"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nut", "out.mp4"]


def test_aborted_segment_leaves_nothing(odd: Odd, tmp_path: Path) -> None:
    reader = VideoReader(odd("base_640x360.mp4"))

    def fail_midway() -> None:
        with SegmentWriter(tmp_path / "a.nut", info=reader.info, encode=FAST, threads=1) as writer:
            for frame in reader.frames():
                writer.write(frame.picture, frame.time.pts)
                if frame.index == 20:
                    assert [p.name for p in tmp_path.iterdir()] == ["a.nut.part"]
                    raise KeyError

    with pytest.raises(KeyError):
        fail_midway()
    assert list(tmp_path.iterdir()) == []


def test_refusals(odd: Odd, tmp_path: Path) -> None:
    reader, segment, pts = _one_segment(odd, tmp_path, frames=3)
    out = tmp_path / "out.mp4"

    def join(**changed: Any) -> None:
        given: dict[str, Any] = {
            "out": out,
            "info": reader.info,
            "pts": pts,
            "duration_pts": 512,
            **changed,
        }
        join_segments(given.pop("segments", [segment]), **given)

    with pytest.raises(RenderError, match="3 frames where 2"):
        join(pts=pts[:2])
    with pytest.raises(SettingsError, match=r"does not write \.avi"):
        join(out=tmp_path / "out.avi")
    with pytest.raises(RenderError, match="cannot hold h264"):
        join(out=tmp_path / "out.webm")
    with pytest.raises(ValueError, match="rise"):
        join(pts=[0, 512, 512])
    other = tmp_path / "b.nut"
    with SegmentWriter(other, info=reader.info, encode=EncodeSettings(preset="slow")) as writer:
        writer.write(next(reader.frames()).picture, 0)
    with pytest.raises(RenderError, match="other settings"):
        join(segments=[segment, other], pts=[*pts, 2000])

    source = tmp_path / "source.mp4"
    shutil.copy(reader.path, source)
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    info = replace(reader.info, path=source)
    for same in (source, link):
        with pytest.raises(UserInputError, match="itself"):
            join(info=info, out=same)
    assert source.read_bytes() == reader.path.read_bytes()
    with pytest.raises(RenderError, match="could not be written"):
        join(out=tmp_path / "no such folder" / "out.mp4")
    assert not out.exists()


def test_writer_refuses_what_would_go_wrong(odd: Odd, tmp_path: Path) -> None:
    reader = VideoReader(odd("base_640x360.mp4"))
    picture = next(reader.frames()).picture
    writer = SegmentWriter(tmp_path / "a.nut", info=reader.info, encode=FAST)
    writer.write(picture, 5)
    with pytest.raises(ValueError, match="rise"):
        writer.write(picture, 5)
    with pytest.raises(ValueError, match="must be 640x360"):
        writer.write(Picture.from_bgr(np.zeros((20, 20, 3), np.uint8)), 6)
    writer.abort()
    with pytest.raises(RenderError, match="no frames"):
        SegmentWriter(tmp_path / "a.nut", info=reader.info).close()
    small = Picture.from_bgr(np.zeros((181, 321, 3), np.uint8))
    if not encoder_works("h264_qsv"):
        broken = SegmentWriter(
            tmp_path / "a.nut", info=reader.info, encode=EncodeSettings(encoder="h264_qsv")
        )
        with pytest.raises(SettingsError, match="odd size 321x181"):
            broken.write(small, 0)
        with pytest.raises(RenderError, match="does not work here"):
            broken.write(picture, 0)
    assert list(tmp_path.iterdir()) == []


def _default_durations(path: Path) -> list[int]:
    """Nanoseconds that Matroska's tracks say a frame lasts: element 23 E3 83 of RFC 9559."""
    head, found, at = path.read_bytes()[:8192], [], 0
    while (at := head.find(b"\x23\xe3\x83", at) + 1) > 0:
        length = head[at + 2] & 0x0F
        found.append(int.from_bytes(head[at + 3 : at + 3 + length], "big"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["x264", "x265", "vp9", "av1"])
def test_matroska_tells_the_rate_of_the_source(
    encoder: str, odd: Odd, copy_video: Callable[..., Any]
) -> None:
    """The segments' own clock counts 12800 units a second, which is no rate of frames."""
    if not encoder_works(encoder):
        pytest.skip(f"this build of FFmpeg has no {encoder}")
    settings = EncodeSettings(encoder=encoder, preset="ultrafast", quality=40)
    for name, nanoseconds in (("no_audio.mp4", [40_000_000]), ("vfr_irregular.mp4", [])):
        copy = copy_video(odd(name), suffix=".mkv", encode=settings)
        assert _default_durations(copy.path) == nanoseconds
        found = probe(copy.path).average_rate
        assert found in (Fraction(25), None) if nanoseconds else found is None or found <= 25
        # Its times are whole milliseconds; what is made of it tells the same again.
        between = copy.path.rename(copy.path.with_name("between.mkv"))
        again = copy_video(between, suffix=".mkv", encode=settings)
        assert _default_durations(again.path) == nanoseconds


@pytest.mark.slow
def test_h264_itself_tells_the_rate(
    odd: Odd, copy_video: Callable[..., Any], tmp_path: Path
) -> None:
    """What players go by that take the stream out of its container."""
    for name, rate in (("no_audio.mp4", Fraction(25)), ("ntsc_59.94.mp4", Fraction(60000, 1001))):
        copy = copy_video(odd(name))
        bare = tmp_path / f"{name}.h264"
        with av.open(str(copy.path)) as source, av.open(str(bare), "w", format="h264") as made:
            stream = made.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    made.mux(packet)
        with av.open(str(bare)) as found:
            assert found.streams.video[0].codec_context.framerate == rate


def test_settings_choose_an_encoder_that_the_container_holds() -> None:
    assert EncodeSettings().for_output("a.webm").encoder == "vp9"
    assert EncodeSettings(encoder="av1").for_output("a.webm").encoder == "av1"
    assert EncodeSettings().for_output("a.MP4").encoder == "x264"
    named = EncodeSettings(encoder="hardware").for_output("a.mp4").encoder
    assert named != "hardware"
    assert encoder_works(named)
    with pytest.raises(SettingsError):
        EncodeSettings().for_output("a.gif")
    with pytest.raises(SettingsError, match="mov file cannot hold av1") as raised:
        EncodeSettings(encoder="av1").for_output("a.mov")
    assert raised.value.hint.endswith("name the result *.mp4, *.m4v, *.mkv, *.webm.")
    with pytest.raises(SettingsError, match="mov file cannot hold vp9"):
        EncodeSettings(encoder="vp9").for_output("a.mov")


@pytest.mark.parametrize("encoder", ["x264", "x265", "vp9", "av1"])
def test_encoders_print_nothing(
    encoder: str, odd: Odd, copy_video: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even their own libraries, which know nothing of our console; nor is the variable left."""
    encoder_works.cache_clear()
    before = dict(os.environ)
    if not encoder_works(encoder):
        pytest.skip(f"this build of FFmpeg has no {encoder}")
    settings = EncodeSettings(encoder=encoder, preset="ultrafast")
    copy_video(odd("one_frame.mp4"), suffix=".mkv", encode=settings, segments=1)
    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == before


@pytest.mark.parametrize("suffix", list(CONTAINERS))
@pytest.mark.parametrize("encoder", ["x264", "x265", "vp9", "av1"])
def test_what_is_let_through_can_be_written(
    suffix: str, encoder: str, odd: Odd, copy_video: Callable[..., Any]
) -> None:
    """No pair fails after the whole has been encoded."""
    if not encoder_works(encoder):
        pytest.skip(f"this build of FFmpeg has no {encoder}")
    settings = EncodeSettings(encoder=encoder, preset="ultrafast")
    try:
        settings = settings.for_output("a" + suffix)
    except SettingsError:
        return
    copy = copy_video(odd("one_frame.mp4"), suffix=suffix, encode=settings, segments=1)
    assert probe(copy.path).codec == encoder_named(settings.encoder).makes


def test_every_choice_has_an_encoder() -> None:
    (choice,) = (f for f in fields_of(EncodeSettings) if f.name == "encoder")
    assert set(choice.ui.choices) == {e.id for e in ENCODERS} | {"hardware"}
    info = VideoInfo(
        path=Path("a"), width=2, height=2, pixel_format="yuv420p", codec="h264",
        time_base=Fraction(1, 25),
    )  # fmt: skip
    for encoder in ENCODERS:
        options = EncodeSettings(encoder=encoder.id).options(info, 2)
        assert all(isinstance(value, str) for value in options.values())


def test_other_players_read_the_result(odd: Odd, copy_video: Callable[..., Any]) -> None:
    """ffmpeg's own program sees the same number of frames, and no complaint."""
    from facepick.media.ffmpeg import ffmpeg_binary

    copy = copy_video(odd("vfr_irregular.mp4"))
    argv = [str(ffmpeg_binary()), "-v", "error", "-i", str(copy.path)]
    argv += ["-f", "framemd5", "-"]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert done.stderr == b""
    lines = [line for line in done.stdout.splitlines() if line.startswith(b"0,")]
    assert len(lines) == 112


def test_recordings_strung_together_keep_every_frame_and_go_on_in_time(
    tmp_path: Path, odd: Callable[[str], Path], copy_video: Callable[..., Any]
) -> None:
    """``cat a.ts b.ts``: the clock begins anew in the middle, of picture and sound."""
    single = tmp_path / "one.ts"
    with av.open(str(odd("base_640x360.mp4"))) as source, av.open(str(single), "w") as made:
        picture = made.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 640, 360, "yuv420p"
        picture.options = {"preset": "ultrafast", "bf": "2"}
        sound = made.add_stream("aac", rate=44100)
        for frame in source.decode(video=0):
            if frame.time >= 2:
                break
            frame.pict_type = 0
            made.mux(picture.encode(frame))
        source.seek(0)
        for block in source.decode(audio=0):
            if block.time >= 2:
                break
            made.mux(sound.encode(block))
        made.mux(picture.encode(None))
        made.mux(sound.encode(None))
    twice = tmp_path / "twice.ts"
    twice.write_bytes(single.read_bytes() * 2)
    with VideoReader(twice) as reader:
        frames = [(f.time.pts, f.picture.planes()[0].copy()) for f in reader.frames()]
        table = [pts for pts, _ in frames]
        assert len(table) == 100
        steps = np.diff(table) * float(reader.info.time_base)
        assert steps.min() > 0.03
        # The second part begins where the first one's sound ends, a little after its picture.
        assert steps.max() < 0.1
        for start in (30, 70):
            found = next(reader.frames(start=start, pts=table))
            assert found.time.pts == table[start]
            assert np.array_equal(found.picture.planes()[0], frames[start][1])
    copied = copy_video(twice)
    with VideoReader(copied.path) as reader:
        times = [f.time.seconds for f in reader.frames()]
        assert len(times) == 100
        (audio,) = reader.info.audio
        assert float(audio.duration_seconds or 0) == pytest.approx(4.0, abs=0.2)


def _with_text(source: Path, out: Path, codec: str) -> Path:
    """A copy of a video with a track of subtitles and two chapters."""
    cues = out.with_suffix(".srt")
    cues.write_text(
        "1\n00:00:00,100 --> 00:00:01,000\nHello\n\n"
        "2\n00:00:01,200 --> 00:00:01,900\n\u4f60\u597d\n",
        encoding="utf-8",
    )
    chapters = out.with_suffix(".txt")
    chapters.write_text(
        ";FFMETADATA1\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=part 0\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=part 1\n"
    )
    subprocess.run(
        [ffmpeg_binary(), "-v", "error", "-i", source, "-i", cues, "-i", chapters,
         "-map", "0", "-map", "1", "-map_chapters", "2", "-c", "copy", "-c:s", codec,
         "-metadata:s:s:0", "language=deu", out],
        check=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return out


def _cues(path: Path) -> list[tuple[int, bytes]]:
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        assert stream.metadata["language"] in ("deu", "ger")
        return [
            (round(p.pts * float(p.time_base) * 1000), bytes(p))
            for p in container.demux(stream)
            if p.size > 2
        ]


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(av.container.OutputContainer, "set_chapters"),
    reason="this PyAV writes neither subtitles nor chapters",
)
@pytest.mark.parametrize(
    ("codec", "suffix", "kept"),
    [
        ("mov_text", ".mp4", True),
        ("mov_text", ".mkv", False),
        ("subrip", ".mkv", True),
        ("subrip", ".mp4", False),
    ],
)
def test_subtitles_and_chapters_are_kept_or_it_is_told(
    tmp_path: Path,
    odd: Callable[[str], Path],
    copy_video: Callable[..., Any],
    codec: str,
    suffix: str,
    kept: bool,
) -> None:
    source = tmp_path / ("in.mp4" if codec == "mov_text" else "in.mkv")
    _with_text(odd("no_audio.mp4"), source, codec)
    copied = copy_video(source, suffix=suffix)
    assert probe(source).left_out == ()
    if kept:
        assert _cues(copied.path) == _cues(source)
        assert copied.left_out == ()
    else:
        assert copied.left_out == (f"subtitle track 1 ({codec}, {_language(source)})",)
    with av.open(str(copied.path)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["part 0", "part 1"]


def _language(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.subtitles[0].metadata["language"]


_SCREEN = HdrInfo(
    primaries=(
        (Fraction(34, 50), Fraction(32, 100)),
        (Fraction(265, 1000), Fraction(69, 100)),
        (Fraction(15, 100), Fraction(6, 100)),
        (Fraction(3127, 10000), Fraction(329, 1000)),
    ),
    luminance=(Fraction(1, 200), Fraction(1000)),
    light=(1000, 400),
)


def _tagged(
    tmp_path: Path, source: Path, color: ColorInfo, hdr: HdrInfo | None, encoder: str = "x265"
) -> Path:
    """The first three pictures of a video in 10 bits under these tags."""
    info = replace(probe(source), color=color, hdr=hdr)
    graded, segment = tmp_path / "graded.mp4", tmp_path / "graded.nut"
    with VideoReader(info.path) as reader:
        frames = [(f.picture, f.time.pts) for f in islice(reader.frames(), 3)]
    settings = EncodeSettings(encoder=encoder, preset="ultrafast")
    with SegmentWriter(segment, info=info, encode=settings) as writer:
        for picture, pts in frames:
            writer.write(
                Picture(
                    recoded(picture, "yuv420p10le"),
                    matrix=color.matrix,
                    full_range=color.full_range,
                ),
                pts,
            )
    join_segments(
        [segment], out=graded, info=info, pts=[p for _, p in frames], duration_pts=1,
        audio=AudioOut.none(),
    )  # fmt: skip
    return graded


@pytest.mark.parametrize("encoder", ["x264", "x265", "av1"])
def test_static_hdr_metadata_survive(
    tmp_path: Path, odd: Callable[[str], Path], encoder: str
) -> None:
    if not encoder_works(encoder):
        pytest.skip(f"this PyAV has no {encoder}")
    color = ColorInfo(primaries=9, transfer=16, matrix=9)
    found = probe(_tagged(tmp_path, odd("hevc_10bit.mp4"), color, _SCREEN, encoder))
    assert found.color == color
    assert found.hdr is not None
    assert found.hdr.light == _SCREEN.light
    for mine, theirs in zip(found.hdr.primaries or (), _SCREEN.primaries or (), strict=True):
        assert [float(v) for v in mine] == pytest.approx([float(v) for v in theirs], abs=1e-4)
    assert [float(v) for v in found.hdr.luminance or ()] == pytest.approx([0.005, 1000], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("transfer", [1, 16, 18])
@pytest.mark.parametrize("encoder", ["x264", "vp9", "x265", "av1"])
@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".mp4"])
def test_colours_of_ten_bits_are_kept_or_it_is_told(
    transfer: int,
    encoder: str,
    suffix: str,
    tmp_path: Path,
    odd: Odd,
    copy_video: Callable[..., Any],
) -> None:
    if not (encoder_works(encoder) and encoder_works("av1")):
        pytest.skip(f"this PyAV has no {encoder} or no av1")
    matrix = 1 if transfer == 1 else 9
    color = ColorInfo(primaries=matrix, transfer=transfer, matrix=matrix)
    source = _tagged(tmp_path, odd("one_frame.mp4"), color, _SCREEN if transfer == 16 else None)
    # What the encoder stands for where the container decides is chosen with the source in mind.
    settings = EncodeSettings(encoder=encoder, preset="ultrafast").for_output(
        tmp_path / f"a{suffix}", probe(source)
    )
    copy = copy_video(source, suffix=suffix, encode=settings, segments=1)
    found = probe(copy.path)
    assert found.color == color
    if settings.encoder == "vp9" and found.pixel_format == "yuv420p":
        assert "10 bits a sample (x264, x265 and av1 keep them)" in copy.left_out
    else:
        assert found.pixel_format == "yuv420p10le"
    told = any(phrase.startswith("HDR metadata of the grading screen") for phrase in copy.left_out)
    assert told == (transfer == 16 and found.hdr is None)
    if suffix == ".webm" and encoder in ("x264", "x265"):
        assert settings.encoder == "av1"
        assert copy.left_out == ()


@pytest.mark.parametrize(
    ("suffix", "rate", "timecode", "kept"),
    [
        (".mov", "25", "01:02:03:04", True),
        (".mp4", "30000/1001", "01:02:03;04", True),
        (".mkv", "24", "10:00:00:00", True),
        # FFmpeg writes timecodes of common rates only, and fails with others.
        (".mov", "12", "00:00:01:00", False),
    ],
)
def test_a_timecode_is_kept_or_named(
    suffix: str, rate: str, timecode: str, kept: bool, tmp_path: Path,
    copy_video: Callable[..., Any],
) -> None:  # fmt: skip
    source = tmp_path / "taken.mov"
    subprocess.run(
        [ffmpeg_binary(), "-v", "error", "-f", "lavfi", "-i", f"testsrc=s=64x48:r={rate}",
         "-frames:v", "6", "-timecode", timecode, source],
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if not kept:
        # Nor does the program: as another tool would have written it, in the tags of all.
        subprocess.run(
            [ffmpeg_binary(), "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc=s=64x48:r={rate}",
             "-frames:v", "6", "-metadata", f"timecode={timecode}",
             source := tmp_path / "taken.mkv"],
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    copy = copy_video(source, suffix=suffix)
    assert copy.left_out == (() if kept else (f"timecode {timecode}",))
    if kept:
        with av.open(str(copy.path)) as found:
            tags = {k.lower(): v for k, v in found.streams.video[0].metadata.items()}
        assert tags["timecode"] == timecode
        again = copy_video(copy.path.rename(tmp_path / f"b{suffix}"), suffix=suffix)
        assert again.left_out == ()


def test_what_is_lost_is_told(tmp_path: Path) -> None:
    """A picture that one can see through has no place in the formats that players show."""
    path = tmp_path / "clear.mov"
    with av.open(str(path), "w") as made:
        stream = made.add_stream("prores_ks", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva444p10le"
        stream.options = {"profile": "4444"}
        frame = av.VideoFrame(64, 64, "yuva444p10le")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    assert "transparency" in probe(path).left_out
