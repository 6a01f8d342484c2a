"""Writing of video: independent segments, then one file with sound and the original times.

A render is encoded segment by segment (`SegmentWriter`), so that it can be resumed, or spread
over machines.  Every segment starts with a key frame and refers to nothing before it.
`join_segments` then copies their packets into the result.  The times in the segment files do not
matter: the packet order says in which order frames are shown, and `join_segments` gives the
n-th shown frame the n-th time of the caller's table.

Decoding times.  With B-frames packets are stored in another order than they are shown.  Let
P[0] < P[1] < ... be the presentation times of all frames, and packet k (in decoding order) show
frame r(k).  With the delay D = max(k - r(k)), DTS(k) = P[k - D] is strictly rising and never after
the packet's own presentation time; the first D continue P downwards by its first step.
"""

from __future__ import annotations

import hashlib
import heapq
import logging
import os
import re
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import RenderError, UserInputError, VideoOpenError
from facepick.media.container import codec_name, open_media
from facepick.media.encode import Container, EncodeSettings, colour_options, container_of
from facepick.media.picture import FORMATS, working_format
from facepick.media.probe import probe
from facepick.media.segment import SegmentWriter, publish, reason
from facepick.media.timeline import constant_rate
from facepick.media.tracks import AudioOut, AudioTrack, OutputClock, copy_of, sounds, subtitles
from facepick.media.video import ColorInfo, HdrInfo, VideoInfo
from facepick.progress import CancelToken, never

__all__ = ["AudioOut", "AudioTrack", "EncodeSettings", "SegmentWriter", "join_segments"]

log = logging.getLogger(__name__)


# What a container says of itself and of the tool that wrote it; the rest (title, artist,
# comment, creation_time, location ...) belongs to the work and is kept.
_TECHNICAL_TAGS = frozenset(
    ("major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration")
)


# Tags that MP4 stores without being asked to; any other needs `use_metadata_tags`.
_MP4_TAGS = frozenset(
    (
        "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
        "copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id",
        "network", "keywords", "creation_time", "language",
    )
)  # fmt: skip


def join_segments(
    segments: Sequence[Path],
    *,
    out: Path,
    info: VideoInfo,
    pts: Sequence[int],
    duration_pts: int,
    audio: AudioOut | None = None,
    metadata: Mapping[str, str] | None = None,
    origin: Fraction | None = None,
    stop: Fraction | None = None,
    stretch: Fraction = Fraction(1),
    cancel: CancelToken = never,
) -> tuple[str, ...]:
    """Put segments and sound into one file, which appears whole or not at all.

    Subtitles and chapters of the source are kept where the container can hold them.

    Args:
        segments: files of `SegmentWriter` in order, all with the same encoder settings.
        out: the result; its suffix says which container.
        info: of the source: time base and tags.
        pts: time of every frame of all segments, in order, in units of ``info.time_base``.
            MP4 and MOV keep them exactly; Matroska and WebM round to 1 ms.
        duration_pts: how long the last frame is shown, in the same units.
        audio: the sound; None keeps the source's streams.
        metadata: added to the source's title, artist and so on; an empty text removes one.
        origin: the moment of the source's clock that becomes 0.  By default the container's
            start, so that a file whose clock starts at 0 keeps its times, and one cut from a
            broadcast starts at 0.
        stop: where kept streams end, on the source's clock; None keeps them whole.  Give it
            with `origin` when the frames are a part of the source.
        stretch: how many times slower than in the source the frames are shown; subtitles and
            chapters go with them.
        cancel: looked at for every packet.

    Returns:
        What of the source the result does not have, a phrase each.

    Raises:
        RenderError: the frames are not as many as the times, the container cannot hold the
            codec, or writing failed.  Nothing is left at `out` but what was there before.
        UserInputError: `out` is the source itself.
    """
    target = container_of(out)
    audio = AudioOut.keep(info) if audio is None else audio
    parts = _read_segments(segments, pts)
    clock = OutputClock(info, pts, duration_pts, origin, stretch)
    rate = constant_rate(pts, info.time_base, info.average_rate)
    with _written(out, info) as part:
        with ExitStack() as stack:
            made = _open_result(part, target, info, metadata or {}, stack)
            video = _VideoCopy(made, target, parts, clock, rate, info.color, stack)
            others = sounds(made, target, info, audio, clock, stop, cancel)
            texts, lost = subtitles(made, target, info.path, clock, stop, cancel)
            if stop is None:
                lost += _keep_timecode(video.stream, info.path, rate)
            if not _copy_chapters(made, info.path, clock, stop):
                lost.append("chapters")
            _mux(made, [video.packets(), *others, *texts], cancel)
        lost += _unkept(info, part)
    return (*info.left_out, *lost)


@contextmanager
def _written(out: Path, info: VideoInfo) -> Iterator[Path]:
    """Give a name to write to, which becomes `out` when all went well.

    Raises:
        RenderError: it could not be written.
        UserInputError: `out` is the source itself.
    """
    import av

    out = Path(os.path.abspath(out))
    _refuse_source(out, info.path)
    part = _temporary(out)
    try:
        yield part
        publish(part, out)
    except (av.error.FFmpegError, OSError) as error:
        raise RenderError(
            f"{out.name} could not be written ({reason(error)}).",
            hint="Check that the folder may be written to and has space left.",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _open_result(
    part: Path,
    target: Container,
    info: VideoInfo,
    metadata: Mapping[str, str],
    stack: ExitStack,
) -> Any:
    """Open the result for writing, with its tags."""
    import av

    options = _muxer_options(target, info, metadata)
    made: Any = stack.enter_context(av.open(str(part), "w", format=target.name, options=options))
    made.metadata.update(_tags(info.path, metadata))
    return made


def _keep_timecode(stream: Any, source: Path, rate: Fraction | None) -> list[str]:
    """Give the picture the source's timecode; list what cannot be kept of it."""
    timecode = _timecode(source)
    if timecode is None:
        return []
    if not _holds_timecode(timecode, rate):
        return [f"timecode {timecode}"]
    stream.metadata["timecode"] = timecode
    return []


def _mux(made: Any, streams: Sequence[Iterator[Any]], cancel: CancelToken) -> None:
    """Write all packets, interleaved by time, so that the muxer has to hold back little."""
    keyed = (_keyed(number, part) for number, part in enumerate(streams))
    for _, _, packets in heapq.merge(*keyed, key=lambda item: item[:2]):
        cancel.raise_if_cancelled()
        made.mux(packets)


# A muxer that works writes several times a second: a part left alone for this long is what a
# killed process left behind.
_STALE_SECONDS = 600


def _temporary(out: Path) -> Path:
    """Make a hidden name beside `out`, and remove what earlier runs left under such names."""
    # By hash: the name itself may already be as long as the file system allows.
    stem = f".facepick-{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:12]}"
    for old in out.parent.glob(f"{stem}-*.part"):
        # Another process may tidy up at the same moment.
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                old.unlink()
    return out.with_name(f"{stem}-{uuid.uuid4().hex[:8]}.part")


def _keyed(
    order: int, packets: Iterator[tuple[Fraction, Any]]
) -> Iterator[tuple[Fraction, int, Any]]:
    for moment, packet in packets:
        yield moment, order, packet


# FFmpeg writes timecodes of these rates only (av_timecode), and fails with any other.
_TIMECODE_RATES = (24, 25, 30, 48, 50, 60, 100, 120)


def _timecode(source: Path) -> str | None:
    """Word the time of day, or of the tape, at which the first frame was taken."""
    with open_media(source) as container:
        tags = [s.metadata for s in (*container.streams.video, *container.streams)]
        tags.append(container.metadata)
    # Matroska's names of tags are in capitals.
    texts = (v for group in tags for k, v in group.items() if k.lower() == "timecode")
    return next((text for text in texts if text), None)


def _holds_timecode(timecode: str, rate: Fraction | None) -> bool:
    if rate is None or not re.fullmatch(r"\d\d:\d\d:\d\d[:;.]\d\d", timecode):
        return False
    frames = int(timecode[-2:])
    # Numbers are dropped (;) only at rates next to 30 and 60.
    drops = timecode[-3] != ":"
    whole = round(rate)
    return whole in _TIMECODE_RATES and frames < whole and not (drops and whole not in (30, 60))


def _unkept(info: VideoInfo, part: Path) -> list[str]:
    """List what a finished file says otherwise of its picture than the source, a phrase each.

    Some codecs have no place for it, and some releases of PyAV cannot write where a container has.
    """
    try:
        found = probe(part)
    except VideoOpenError as error:
        # A build of FFmpeg may write what it cannot read (AV1).
        log.debug("%s cannot be looked at: %s", part, error)
        return []
    lost = []
    # Matroska tells the width that is shown, in whole pixels.
    if abs(found.sample_aspect_ratio / info.sample_aspect_ratio - 1) > Fraction(1, 100):
        lost.append(f"sample aspect ratio {info.sample_aspect_ratio} (.mp4 keeps it)")
    pairs = ((t, getattr(info.color, t), getattr(found.color, t)) for t in _COLOUR_TAGS)
    # 2 is 'unspecified'; 0 is RGB for the matrix and reserved for the others.
    other = [tag for tag, old, new in pairs if old not in (0, 2) and new != old]
    if other:
        lost.append(f"colour tags ({', '.join(other)})")
    if info.hdr is not None and not _holds(found.hdr, info.hdr):
        lost.append("HDR metadata of the grading screen (x265 and av1 keep them)")
    old, new = FORMATS.get(_planes(info)), FORMATS.get(_planes(found))
    if old is not None and new is not None:
        if new[2] < old[2]:
            lost.append(f"{old[2]} bits a sample (x264, x265 and av1 keep them)")
        if new[0] * new[1] > old[0] * old[1]:
            lost.append("the full resolution of colours (x264 and x265 keep it)")
    if info.interlaced and not found.interlaced:
        lost.append("interlacing (x264 keeps it)")
    return lost


_COLOUR_TAGS = ("primaries", "transfer", "matrix")


def _planes(info: VideoInfo) -> str:
    return working_format(info.pixel_format, info.width, info.height)


def _holds(found: HdrInfo | None, wanted: HdrInfo) -> bool:
    return found is not None and all(
        getattr(wanted, part) is None or getattr(found, part) is not None
        for part in ("primaries", "luminance", "light")
    )


def _copy_chapters(made: Any, source: Path, clock: OutputClock, stop: Fraction | None) -> bool:
    """Copy the chapters; False when there are some and this PyAV (before 15) cannot write them.

    A part of the source (`stop`) has none: they name what the whole holds.
    """
    with open_media(source) as container:
        found = container.chapters() if hasattr(container, "chapters") else []
    if not found or stop is not None:
        return True
    if not hasattr(made, "set_chapters"):
        return False
    moved = []
    for chapter in found:
        base = Fraction(chapter["time_base"] or Fraction(1, 1000))
        shift = round(clock.origin / base)
        start, end = (
            max(0, round((chapter[key] - shift) * clock.stretch)) for key in ("start", "end")
        )
        moved.append({**chapter, "start": start, "end": max(start, end)})
    made.set_chapters(moved)
    return True


def _refuse_source(out: Path, source: Path) -> None:
    same = out == source or (out.exists() and source.exists() and os.path.samefile(out, source))
    if same:
        raise UserInputError(
            f"{out.name} is the video itself; the result would overwrite it.",
            hint="Give the result another name.",
        )


@dataclass(frozen=True)
class _Segment:
    """The packets of one segment: `shown[k]` is the rank of packet k within it."""

    path: Path
    shown: npt.NDArray[np.int64]
    extradata: bytes


def _read_segment(path: Path) -> _Segment:
    with open_media(path) as container:
        stream = container.streams.video[0]
        times = [p.pts for p in container.demux(stream) if p.size]
        extradata = stream.codec_context.extradata
        if not times or any(t is None for t in times):
            raise RenderError(f"The segment {path.name} is damaged.", hint="Start the job again.")
        ranks = np.empty(len(times), np.int64)
        ranks[np.argsort(np.asarray(times, np.int64), kind="stable")] = np.arange(len(times))
        return _Segment(path, ranks, bytes(extradata or b""))


def _read_segments(paths: Sequence[Path], pts: Sequence[int]) -> list[_Segment]:
    parts = [_read_segment(path) for path in paths]
    if not parts:
        raise RenderError("There is nothing to join.")
    frames = sum(len(part.shown) for part in parts)
    if frames != len(pts):
        raise RenderError(
            f"The segments hold {frames} frames where {len(pts)} were planned.",
            hint="Start the job again.",
        )
    for part in parts:
        if part.extradata != parts[0].extradata:
            raise RenderError(
                f"{part.path.name} was encoded with other settings than the first segment.",
                hint="Start the job again instead of resuming it.",
            )
    return parts


def _muxer_options(
    target: Container, info: VideoInfo, metadata: Mapping[str, str]
) -> dict[str, str]:
    if not target.exact_times:
        return {}
    # The index goes first, so that a browser can play while it loads.
    flags = "+faststart"
    if any(key.lower() not in _MP4_TAGS for key in metadata):
        flags += "+use_metadata_tags"
    options = {"movflags": flags}
    # A late start of a stream is written in units of the movie's time scale, by default 1 ms.
    scale = info.time_base.denominator
    if 1000 < scale <= 1_000_000:
        options["movie_timescale"] = str(scale)
    return options


def _tags(source: Path, added: Mapping[str, str]) -> dict[str, str]:
    with open_media(source) as container:
        kept = {
            key: value
            for key, value in container.metadata.items()
            if key.lower() not in _TECHNICAL_TAGS and key.lower() != "timecode"
        }
    kept.update(added)
    return {key: value for key, value in kept.items() if value}


class _VideoCopy:
    """The packets of all segments with their final times."""

    def __init__(
        self,
        made: Any,
        target: Container,
        parts: Sequence[_Segment],
        clock: OutputClock,
        rate: Fraction | None,
        color: ColorInfo,
        stack: ExitStack,
    ) -> None:
        self._parts = parts
        self._clock = clock
        first = stack.enter_context(open_media(parts[0].path))
        template = first.streams.video[0]
        codec = self.codec = codec_name(template)
        if codec not in target.video:
            raise RenderError(
                f"A {target.name} file cannot hold {codec} video.",
                hint="Choose another encoder, or a result that ends in .mkv.",
            )
        self.stream = copy_of(made, template)
        with warnings.catch_warnings():
            # PyAV 12 warns of its own doing: it passes the value on to the codec context.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.stream.time_base = clock.time_base
        # Matroska's DefaultDuration.  The segment's would be a unit of the clock.
        context = self.stream.codec_context
        context.framerate = rate or Fraction(0)
        # VP9 has no place for most of them, the container has.
        for name, value in colour_options(color).items():
            if hasattr(context, name):
                setattr(context, name, int(value))
        if codec == "hevc" and target.tag_hevc:
            self.stream.codec_context.codec_tag = target.tag_hevc
        self._delay = max(int((np.arange(len(p.shown)) - p.shown).max()) for p in parts)

    def _dts(self, k: int) -> int:
        pts = self._clock.pts
        n = k - self._delay
        if n >= 0:
            return int(pts[n])
        step = int(pts[1] - pts[0]) if len(pts) > 1 else int(self._clock.durations[0])
        return int(pts[0]) + n * step

    def packets(self) -> Iterator[tuple[Fraction, Any]]:
        clock, offset = self._clock, 0
        for part in self._parts:
            with open_media(part.path) as container:
                stream = container.streams.video[0]
                sized = (p for p in container.demux(stream) if p.size)
                for k, packet in enumerate(sized):
                    shown = offset + int(part.shown[k])
                    packet.stream = self.stream
                    packet.time_base = clock.time_base
                    packet.pts = int(clock.pts[shown])
                    packet.dts = self._dts(offset + k)
                    packet.duration = int(clock.durations[shown])
                    yield packet.dts * clock.time_base, packet
            offset += len(part.shown)
