"""Every odd file: the right result, or one clear sentence; nothing hangs, crashes or is wrong.

    python benchmarks/odd.py [--media DIR]
    python benchmarks/odd.py --made [WORD]

`--made` builds some two hundred tiny files (codec, pixel format, container, rate, turn, start, edit
list, sound, subtitles, chapters ...) of the encoders that ffmpeg has here, and puts each through
reader, segments and joining, into MP4 and Matroska, without loss: frames and their times, samples,
colour tags, how far sound leads, and packets of sound must be the same.  With WORD only those with
it in their name.

Otherwise, for each file of DIR, the first person is hidden.  A result is right when it has as many
frames as the source, with the same times relative to the start, the same size, sample aspect ratio
and audio streams, and the person was changed in every frame in which they are on screen.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from facepick.cli import main as facepick
from facepick.errors import FacepickError
from facepick.media.audio import read_audio
from facepick.media.encode import EncodeSettings, container_of
from facepick.media.ffmpeg import ffmpeg_binary
from facepick.media.probe import probe
from facepick.media.reader import VideoReader
from facepick.media.timeline import constant_rate
from facepick.media.writer import SegmentWriter, join_segments


def check(clip: Path, out: Path) -> str:
    """What is wrong with a result; empty when nothing is."""
    a, b = probe(clip), probe(out)
    if (a.width, a.height) != (b.width, b.height):
        return f"size {a.width}x{a.height} became {b.width}x{b.height}"
    if a.sample_aspect_ratio != b.sample_aspect_ratio:
        return f"aspect {a.sample_aspect_ratio} became {b.sample_aspect_ratio}"
    # What nobody can decode is named and left out.
    heard = [x for x in a.audio if x.channels and x.sample_rate]
    if [x.channels for x in heard] != [x.channels for x in b.audio]:
        return f"audio {len(a.audio)} became {len(b.audio)} streams"
    with VideoReader(clip) as x, VideoReader(out) as y:
        before = [f.time.seconds for f in x.frames()]
        after = [f.time.seconds for f in y.frames()]
    if len(before) != len(after):
        return f"{len(before)} frames became {len(after)}"
    shift = max(abs((p - before[0]) - (q - after[0])) for p, q in zip(before, after, strict=True))
    # Matroska and WebM count in milliseconds.
    if shift > (0 if out.suffix in (".mp4", ".mov") else 0.001):
        return f"times moved by {float(shift) * 1000:.2f} ms"
    if a.audio and b.audio:
        moved = loudest(out, b.audio[0].index, after[0]) - loudest(
            clip, a.audio[0].index, before[0]
        )
        if abs(moved) > 0.0015:
            return f"sound moved by {moved * 1000:.1f} ms"
    return ""


def loudest(path: Path, stream: int, first: Fraction) -> float:
    """Seconds from the first frame's time to the first sample that is half as loud as the loudest.

    Where a stream starts does not tell: MP4 leaves out what a decoder needs to get going, and
    Matroska does not.
    """
    samples, rate = read_audio(path, channels=1, stream=stream, offset=first)
    level = np.abs(samples[:, 0])
    return float(np.argmax(level > level.max() / 2)) / rate


# Video encoder and pixel format, sound, and the containers that hold them.
CODECS = (
    ("libx264", "yuv420p", "aac", "mp4 mov mkv ts m2ts flv avi nut 3gp"),
    ("libx264", "yuv422p10le", "aac", "mp4 mkv ts"),
    ("libx264", "yuv444p", "aac", "mp4 mkv"),
    ("libx264", "yuvj420p", "aac", "mp4 mkv ts"),
    ("libx264", "gray", "aac", "mp4 mkv"),
    ("libx264rgb", "rgb24", "aac", "mp4 mkv"),
    ("libx265", "yuv420p10le", "aac", "mp4 mkv ts mov"),
    ("libx265", "yuv420p12le", "aac", "mp4 mkv"),
    ("mpeg2video", "yuv420p", "mp2", "mpg vob ts mkv mxf avi"),
    ("mpeg2video", "yuv422p", "mp2", "ts mkv"),
    ("mpeg1video", "yuv420p", "mp2", "mpg mkv"),
    ("mpeg4", "yuv420p", "mp3", "avi mp4 mkv mov"),
    ("msmpeg4", "yuv420p", "mp3", "avi mkv"),
    ("mjpeg", "yuvj422p", "pcm_s16le", "avi mov mkv"),
    ("prores_ks", "yuv422p10le", "pcm_s24le", "mov mkv mxf"),
    ("prores_ks", "yuva444p10le", "pcm_s24le", "mov mkv"),
    ("ffv1", "yuv444p", "flac", "mkv avi nut"),
    ("ffv1", "yuv411p", "flac", "mkv nut"),
    ("ffv1", "bgr0", "flac", "mkv avi"),
    ("ffv1", "yuv420p16le", "flac", "mkv"),
    ("libvpx", "yuv420p", "libvorbis", "webm mkv"),
    ("libvpx-vp9", "yuv420p", "libopus", "webm mkv mp4"),
    ("libvpx-vp9", "yuv444p", "libopus", "webm mkv"),
    ("libsvtav1", "yuv420p10le", "libopus", "webm mp4 mkv"),
    ("libtheora", "yuv420p", "libvorbis", "ogg mkv"),
    ("rawvideo", "uyvy422", "pcm_s16le", "avi mov nut"),
    ("rawvideo", "bgr24", "pcm_s16le", "avi mov nut"),
    ("huffyuv", "yuv422p", "pcm_s16le", "avi mkv"),
    ("utvideo", "gbrp", "pcm_s16le", "avi mkv"),
    ("png", "rgba", "pcm_s16le", "mov mkv"),
    ("qtrle", "rgb24", "pcm_s16le", "mov"),
    ("cinepak", "rgb24", "pcm_s16le", "avi mov"),
    ("flv", "yuv420p", "mp3", "flv avi"),
    ("wmv2", "yuv420p", "wmav2", "asf"),
    ("dnxhd", "yuv422p", "pcm_s16le", "mov mxf"),
    ("gif", "pal8", "", "gif"),
    ("wrapped_avframe", "yuv420p", "", "y4m"),
)
SOUNDS = (
    "aac libmp3lame ac3 eac3 libopus flac alac pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_u8 "
    "pcm_mulaw adpcm_ima_wav mp2 libvorbis wmav2 dca truehd g722 pcm_s16be"
)
PICTURE = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0")


def made_files() -> Iterator[tuple[str, list[str]]]:
    """Names, and what ffmpeg is told between its two inputs (picture, sound) and that name.

    A first word ``in:`` belongs before the inputs, ``rate:`` is the rate of the picture and
    ``size:`` its size.
    """
    for video, form, sound, suffixes in CODECS:
        extra = ["-strict", "-2"]
        if video in ("libx264", "libx264rgb"):
            extra += ["-preset", "ultrafast", "-bf", "2"]
        if video == "libx265":
            extra += ["-preset", "ultrafast", "-x265-params", "log-level=none"]
        if video == "dnxhd":
            extra += ["size:256x144", "-profile:v", "dnxhr_hq"]
        heard = ["-c:a", sound] if sound else ["-an"]
        for suffix in suffixes.split():
            name = f"codec_{video}_{form}.{suffix}"
            size = ["size:352x288"] if suffix == "3gp" else []
            yield name, [*size, "-c:v", video, "-pix_fmt", form, *extra, *heard]
    for rate in ("24000/1001", "24", "30000/1001", "50", "60000/1001", "120", "240", "15", "25/2",
                 "10", "1", "1/3", "480", "1000"):  # fmt: skip
        for suffix in ("mp4", "mkv", "ts", "avi"):
            yield f"rate_{rate.replace('/', 'by')}.{suffix}", [f"rate:{rate}", *PICTURE]
    for jitter in ("N*0.04+0.013*mod(N*7\\,3)", "if(lt(N\\,9)\\,N*0.04\\,0.36+(N-9)*0.0333)",
                   "pow(N\\,1.3)*0.03"):  # fmt: skip
        for suffix in ("mp4", "mkv", "webm"):
            video = ["-c:v", "libvpx"] if suffix == "webm" else list(PICTURE)
            sound = ["-c:a", "libopus"] if suffix == "webm" else []
            kept = ["-vf", f"settb=1/90000,setpts='({jitter})/TB'", "-fps_mode", "vfr"]
            yield f"variable_{len(jitter)}.{suffix}", [*kept, *video, *sound]
    for turn in (90, 180, 270):
        for flip in ("", "-display_hflip"):
            for suffix in ("mp4", "mov"):
                how = ["in:-display_rotation", f"in:{turn}", *([f"in:{flip}"] if flip else [])]
                yield f"turn_{turn}{flip}.{suffix}", [*how, *PICTURE, "size:96x64"]
    for suffix in ("mp4", "mov", "mkv", "ts", "flv", "mpg"):
        video = ["-c:v", "mpeg2video"] if suffix == "mpg" else [*PICTURE, "-bf", "2"]
        sound = ["-c:a", "mp2"] if suffix == "mpg" else []
        for name, told in (
            ("late", ["-output_ts_offset", "7.3"]),
            ("picture_late", ["-filter:v", "setpts=PTS+0.5/TB"]),
            ("sound_late", ["-filter:a", "asetpts=PTS+0.4/TB"]),
            ("short_sound", ["-filter:a", "atrim=0:0.3"]),
            ("long_sound", ["-filter:a", "apad=pad_dur=0.7"]),
        ):
            yield f"start_{name}.{suffix}", [*told, *video, *sound]
    for suffix in ("mp4", "mov"):
        yield f"edit_list.{suffix}", [*PICTURE, "-bf", "2", "-g", "12", "cut:0.3"]
        yield f"fragmented.{suffix}", [*PICTURE, "-movflags", "frag_keyframe+empty_moov"]
        yield f"negative.{suffix}", [*PICTURE, "-bf", "2", "-use_editlist", "0"]
    for sound in SOUNDS.split():
        for suffix in ("mkv", "mov", "mp4", "avi"):
            yield f"sound_{sound}.{suffix}", [*PICTURE, "-c:a", sound, "-strict", "-2"]
    for layout in ("mono", "2.1", "quad", "5.0", "5.1", "5.1(side)", "6.1", "7.1"):
        for sound in ("aac", "flac", "ac3"):
            how = [*PICTURE, "-c:a", sound, "-af", f"aformat=channel_layouts={layout}"]
            yield f"layout_{layout}_{sound}.mkv", how
    for rate in (8000, 11025, 22050, 32000, 44100, 88200, 96000):
        for sound in ("aac", "flac", "pcm_s16le"):
            yield f"samples_{rate}_{sound}.mkv", [*PICTURE, "-c:a", sound, "-ar", str(rate)]
    for size in ("97x64", "96x65", "97x65", "16x16", "2x2", "1920x32", "34x1000"):
        form = ["-pix_fmt", "yuv444p"] if "97" in size or "65" in size else []
        yield f"size_{size}.mkv", [f"size:{size}", *PICTURE, *form]
        yield f"size_{size}_ffv1.mkv", [f"size:{size}", "-c:v", "ffv1", "-pix_fmt", "yuv420p"]
    for aspect in ("4:3", "16:9", "1:2"):
        yield f"aspect_{aspect.replace(':', 'by')}.mp4", [*PICTURE, "-aspect", aspect]
    yield "interlaced.mp4", [*PICTURE, "-flags", "+ildct", "-vf", "setfield=tff", "-x264-params",
                             "tff=1"]  # fmt: skip
    yield "timecode.mov", [*PICTURE, "-timecode", "01:00:00:00"]
    yield "title.mp4", [*PICTURE, "-metadata", "title=\u5f71\u7247", "-metadata", "comment=a\nb"]
    yield "one_frame.mp4", [*PICTURE, "-frames:v", "1"]
    yield "two_frames.ts", [*PICTURE, "-frames:v", "2"]
    yield "silent.mkv", [*PICTURE, "-an"]


def make(name: str, words: list[str], folder: Path) -> Path | None:
    """The file, or None where ffmpeg cannot make it."""
    rate = next((w[5:] for w in words if w.startswith("rate:")), "25")
    size = next((w[5:] for w in words if w.startswith("size:")), "96x64")
    cut = next((w[4:] for w in words if w.startswith("cut:")), None)
    before = [w[3:] for w in words if w.startswith("in:")]
    rest = [w for w in words if not w.startswith(("in:", "rate:", "size:", "cut:"))]
    number = eval_rate(rate)
    seconds = max(0.8, 4 / number)
    count = [] if "-frames:v" in rest else ["-frames:v", str(max(4, min(24, round(number * 0.8))))]
    out = folder / name
    plain = folder / f"plain.{'mp4' if before or cut else 'nut'}"
    picture = f"testsrc2=s={size}:r={rate}:d={seconds}"
    sound = f"aevalsrc='if(lt(mod(t,0.2),0.03),0.5*sin(6283*t),0)':s=48000:d={seconds}"
    base = [str(ffmpeg_binary()), "-v", "error", "-y"]
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    if not any(w == "-an" for w in rest):
        rest += ["-shortest"] if "apad" in " ".join(rest) else []
    steps = [[*base, *inputs, *count, *rest, str(out)]]
    if before or cut:
        how = [*before] if before else ["-ss", str(cut)]
        steps = [
            [*base, *inputs, *count, *rest, str(plain)],
            [*base, *how, "-i", str(plain), "-c", "copy", str(out)],
        ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode or not Path(step[-1]).exists():
            return None
    return out


def eval_rate(text: str) -> float:
    above, _, below = text.partition("/")
    return int(above) / int(below or 1)


def copied(source: Path, out: Path, folder: Path) -> tuple[str, ...]:
    """The video through reader, two segments and joining, without loss; what was left out."""
    with VideoReader(source) as reader:
        table = [(f.time.pts, f.duration) for f in reader.frames()]
        pts = [time for time, _ in table]
        rate = constant_rate(pts, reader.info.time_base, reader.info.average_rate)
        encode = EncodeSettings(quality=0, preset="ultrafast").for_output(out, reader.info)
        frames, paths = reader.frames(), []
        for start, stop in pairwise(sorted({0, len(pts) // 2, len(pts)})):
            paths.append(folder / f"{start}.seg")
            with SegmentWriter(
                paths[-1], info=reader.info, encode=encode, threads=1, rate=rate
            ) as writer:
                for _ in range(start, stop):
                    frame = next(frames)
                    writer.write(frame.picture, frame.time.pts)
        return join_segments(paths, out=out, info=reader.info, pts=pts, duration_pts=table[-1][1])


def compared(source: Path, out: Path, left: tuple[str, ...]) -> str:
    """What differs between a video and its copy; empty when nothing does."""
    wrong = check(source, out)
    if wrong:
        return wrong
    a, b = probe(source), probe(out)
    if a.color.matrix != 0 and a.color != b.color:
        return f"tags {a.color} became {b.color}"
    with VideoReader(source) as x, VideoReader(out) as y:
        off = 0.0
        for one, two in zip(x.frames(), y.frames(), strict=True):
            if one.picture.format != two.picture.format:
                return f"{one.picture.format} became {two.picture.format}"
            for p, q in zip(one.picture.planes(), two.picture.planes(), strict=True):
                off = max(off, float(np.abs(p.astype(int) - q).max()))
    # x264 has no mode without loss at 10 bits; its best is some of 1023 levels off.
    if off > (24 if a.pixel_format.endswith(("10le", "12le", "16le")) else 0):
        return f"samples differ by {off:g}"
    for one, two in zip([x for x in a.audio if x.channels], b.audio, strict=True):
        if not container_of(out).holds_audio(one.codec):
            continue
        old, new = packets(source, one.index), packets(out, two.index)
        # Broadcasts carry AAC with a header of 7 bytes before each packet (ADTS).  MP4 has no place
        # for a last packet after the end that its edit list tells.
        same = [x in (y, y[7:]) for x, y in zip(new, old, strict=False)]
        if source.name.startswith("edit_list"):
            # What lies before the cut is left out.
            same = [new == old[-len(new) :]]
        elif not 0 <= len(old) - len(new) <= 1:
            same = [False]
        if not all(same):
            return f"{len(old)} packets of {one.codec} became {len(new)}, or others"
    return ""


def packets(path: Path, stream: int) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams[stream]) if p.size]


def made(word: str) -> None:
    counts: Counter[str] = Counter()
    files = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, words in made_files():
            if word not in title:
                continue
            source = make(title, words, folder)
            if source is None:
                counts["not made here"] += 1
                continue
            files += 1
            for suffix in (".mp4", ".mkv"):
                out = folder / f"out{suffix}"
                try:
                    verdict = compared(source, out, copied(source, out, folder))
                except FacepickError as error:
                    verdict = f"refused: {error.sentence()}"
                except Exception as error:
                    verdict = f"{type(error).__name__}: {error}"
                counts["wrong" if verdict else "right"] += 1
                if verdict:
                    print(f"{title:<42} {suffix} {verdict}", flush=True)
            source.unlink()
    print(f"{files} files,", dict(counts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--made", nargs="?", const="", metavar="WORD")
    options = parser.parse_args()
    if options.made is not None:
        made(options.made)
        return
    with tempfile.TemporaryDirectory() as name:
        os.environ["FACEPICK_HOME"] = f"{name}/home"
        for clip in sorted((options.media / "odd").iterdir()):
            suffix = clip.suffix if clip.suffix in (".mp4", ".mkv", ".mov", ".webm") else ".mp4"
            out = Path(name) / f"out{suffix}"
            out.unlink(missing_ok=True)
            said = io.StringIO()
            started = time.monotonic()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                code = facepick(
                    ["render", str(clip), "-o", str(out), "--person", "P1", "--flow", "hide",
                     "--force"]
                )  # fmt: skip
            took = time.monotonic() - started
            if code == 0:
                report = json.loads(Path(f"{out}.facepick.json").read_text())
                person = report["people"][0]
                wrong = check(clip, out)
                verdict = f"WRONG: {wrong}" if wrong else "right"
                text = (
                    f"{report['result']['frames']} frames, {person['frames_changed']} changed, "
                    f"left {person['frames_left']}, "
                    f"{report['source']['decode_failures']} damaged"
                )
            else:
                verdict, text = f"exit {code}", said.getvalue().strip()
                if out.exists():
                    verdict = "WRONG: a file was left"
            print(f"{clip.name:<42} {verdict:<10} {took:5.1f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
