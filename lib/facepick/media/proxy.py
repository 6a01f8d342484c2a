"""Copies of a video that every browser plays: which files need one, and making them.

A proxy is small: H.264 with 8 bits in 4:2:0 and AAC or MP3 in an MP4 file, upright, with square
pixels and the times of its source.  It is for looking at; all work is done on the original.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from facepick.errors import RenderError, file_problem
from facepick.media.container import codec_name, open_media, stream_time_base, video_stream
from facepick.media.probe import probe
from facepick.media.segment import publish, reason
from facepick.media.video import AudioInfo, VideoInfo
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress

__all__ = ["PROXY_HEIGHT", "make_proxy", "playable_suffix", "proxy_size"]

log = logging.getLogger(__name__)

PROXY_HEIGHT = 480
"""Pixels of the short side at most: the page's players are 300 CSS pixels high, which a screen of
twice the density shows with 600; 480 look the same in motion at two thirds of the cost."""

# 1/90000 s is the clock of MPEG: whole for all frame rates up to 60 but 23.976, which it meets to
# 6 us.
_TIME_BASE = Fraction(1, 90000)

_MP4 = frozenset(("mov", "mp4", "m4a", "3gp", "3g2", "mj2"))
_EIGHT_BIT = frozenset(("yuv420p", "yuvj420p"))


def playable_suffix(path: Path | str) -> str | None:
    """Choose the suffix under which every browser plays the file as it is; None when it needs a
    proxy.

    Only what Chrome, Firefox and Safari all play counts: H.264 of 8 bits in 4:2:0 beside AAC or
    MP3 in MP4, and VP9 of the same kind beside Opus or Vorbis in WebM.  Those are also the two
    that no release of gradio from 3.41 on re-encodes; it asks for the file's first video stream
    (which may be a cover picture), so that one must be it.

    Raises:
        VideoOpenError: it is no media file, or has no video.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        if stream is not container.streams.video[0] or stream.pix_fmt not in _EIGHT_BIT:
            return None
        codec = codec_name(stream)
        formats = set(container.format.name.split(","))
        sounds = {codec_name(s) for s in container.streams.audio}
        if codec == "h264" and formats & _MP4 and sounds <= {"aac", "mp3"}:
            return ".mp4"
        if codec == "vp9" and "webm" in formats and sounds <= {"opus", "vorbis"}:
            # Matroska shares its reader with WebM, whose head tells them apart.
            return ".webm" if _is_webm(Path(path)) else None
        return None


def _is_webm(path: Path) -> bool:
    with path.open("rb") as file:
        # EBML's DocType stands within the first bytes of the head (RFC 9559).
        return b"webm" in file.read(64)


def proxy_size(info: VideoInfo) -> tuple[int, int]:
    """Compute width and height of a video's proxy: square pixels, even, never larger than the
    video."""
    width = float(info.width * info.sample_aspect_ratio)
    height = float(info.height)
    scale = min(1.0, PROXY_HEIGHT / min(width, height))
    even = [max(2, int(side * scale / 2 + 1e-9) * 2) for side in (width, height)]
    return even[0], even[1]


def make_proxy(
    video: Path,
    out: Path,
    *,
    poster: Path | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> None:
    """Write the proxy of a video; one decoding pass, memory does not grow with its length.

    Every frame of the source is in it, at its time, counted from the moment at which the earlier
    of picture and sound begins.  Damaged packets are passed over.

    Args:
        video: any video that facepick reads.
        out: the MP4 file; it appears under its name only when it is whole.
        poster: a JPEG of the first frame is written there at once; None for none.
        progress: the stage is ``proxy``, the units are milliseconds of the video.
        cancel: looked at for every packet.

    Raises:
        VideoOpenError: the file is no video that can be decoded.
        RenderError: the encoder does not work here, or the disk is full.
        Cancelled: nothing is left behind.
    """
    import av

    info = probe(video)
    part = out.with_name(out.name + ".part")
    try:
        with (
            open_media(video) as source,
            av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as target,
        ):
            _copy(info, source, target, poster, progress, cancel)
        publish(part, out)
    except (av.error.FFmpegError, OSError) as error:
        raise RenderError(
            f"A copy of {video.name} to play could not be made ({reason(error)}).",
            hint="Check that there is space left on the disk.",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _copy(
    info: VideoInfo,
    source: Any,
    target: Any,
    poster: Path | None,
    progress: ProgressSink,
    cancel: CancelToken,
) -> None:
    stream = video_stream(source, info.path)
    stream.thread_type = "AUTO"
    sound = _main_sound(info)
    streams = [stream] if sound is None else [stream, source.streams[sound.index]]
    origin = min([info.start_seconds, *([] if sound is None else [sound.start_seconds])])
    picture = _Picture(info, stream, target, origin, poster)
    voice = None if sound is None else _Sound(sound, streams[1], target, origin)
    milliseconds = None if not info.duration_seconds else int(1000 * info.duration_seconds)
    meter = ProgressMeter(progress, "proxy", milliseconds)
    for packet in source.demux(streams):
        cancel.raise_if_cancelled()
        if packet.stream is stream:
            for made in picture.packets(packet):
                target.mux(made)
            seen = max(0, round(1000 * picture.seconds))
            meter.update(seen if milliseconds is None else min(seen, milliseconds))
        elif voice is not None:
            for made in voice.packets(packet):
                target.mux(made)
    for made in picture.rest():
        target.mux(made)
    if voice is not None:
        for made in voice.rest():
            target.mux(made)
    if picture.last is None:
        raise file_problem(
            info.path,
            "not one frame of its video can be decoded.",
            hint="The file is damaged; copy or download it again.",
        )


def _main_sound(info: VideoInfo) -> AudioInfo | None:
    """Find the track that a player plays unasked."""
    playable = [a for a in info.audio if a.sample_rate and a.channels]
    return next((a for a in playable if a.is_default), playable[0] if playable else None)


# Jitter is shorter; what goes back further is a recording that was strung behind another.
_OTHER_CLOCK_SECONDS = Fraction(1, 4)


class _Clock:
    """The times of one stream, without gaps of their own making where a second recording begins."""

    def __init__(self) -> None:
        self._next: Fraction | None = None
        self._offset = Fraction(0)

    def time_of(self, given: Fraction | None, length: Fraction) -> Fraction:
        """Compute when a frame is shown or heard, in seconds.

        Args:
            given: the stream's own time, or None where it has none.
            length: how long the frame lasts.
        """
        if given is None:
            when = self._next or Fraction(0)
        else:
            when = given + self._offset
            if self._next is not None and self._next - when > _OTHER_CLOCK_SECONDS:
                self._offset = self._next - given
                when = self._next
        when = max(Fraction(0), when)
        self._next = when + length
        return when


class _Picture:
    """The picture of a proxy: decoded, turned, scaled and encoded.

    Attributes:
        last: time of the newest frame in units of `_TIME_BASE`, or None.
    """

    def __init__(
        self, info: VideoInfo, stream: Any, target: Any, origin: Fraction, poster: Path | None
    ) -> None:
        self._poster = poster
        self._info = info
        self._base = stream_time_base(stream)
        self._origin = origin
        self._clock = _Clock()
        self._step = 1 / Fraction(info.average_rate or 25)
        self._size = proxy_size(info)
        self._graph: Any = None
        self._kind: tuple[Any, ...] = ()
        self.last: int | None = None
        self._out = target.add_stream("libx264", rate=info.average_rate or Fraction(25))
        self._out.width, self._out.height = self._size
        self._out.pix_fmt = "yuv420p"
        context = self._out.codec_context
        context.time_base = _TIME_BASE
        # A look at faces, not a master: at this size CRF 26 is about 0.5 Mbit/s of talking heads.
        options = {"crf": "26", "preset": "superfast", "g": "100"}
        color = info.color
        tags = (("color_primaries", color.primaries), ("color_trc", color.transfer))
        # 2 is 'unspecified', 0 reserved.  Browsers show HDR by its tags; they are kept.
        options.update({name: str(tag) for name, tag in tags if tag not in (0, 2)})
        matrix = 6 if color.matrix in (0, 2) and self._is_rgb() else color.matrix
        if matrix not in (0, 2):
            options["colorspace"] = str(matrix)
        options["color_range"] = "1"
        self._out.options = options

    def _is_rgb(self) -> bool:
        return self._info.pixel_format.startswith(("rgb", "bgr", "gbr", "pal", "argb", "abgr"))

    @property
    def seconds(self) -> float:
        return 0.0 if self.last is None else float(self.last * _TIME_BASE)

    def packets(self, packet: Any) -> Iterator[Any]:
        import av

        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            log.debug("%s: %s", self._info.path, error)
            return
        for frame in frames:
            yield from self._encoded(frame)

    def rest(self) -> Iterator[Any]:
        yield from self._out.encode(None)

    def _encoded(self, frame: Any) -> Iterator[Any]:
        pts = frame.pts if frame.pts is not None else frame.dts
        given = None if pts is None else pts * self._base - self._origin
        when = round(self._clock.time_of(given, self._step) / _TIME_BASE)
        if self.last is not None:
            when = max(when, self.last + 1)
        self.last = when
        small = self._scaled(frame)
        if self._poster is not None:
            _write_poster(small, self._poster)
            self._poster = None
        small.pts, small.time_base = when, _TIME_BASE
        small.pict_type = 0  # what the decoder left there an encoder takes as an order
        yield from self._out.encode(small)

    def _scaled(self, frame: Any) -> Any:
        kind = (frame.width, frame.height, frame.format.name)
        if kind != self._kind:
            self._graph, self._kind = self._filters(*kind), kind
        # One frame in, one out: whatever its time, so that the filters cannot drop it.
        frame.pts = None
        self._graph.push(frame)
        return self._graph.pull()

    def _filters(self, width: int, height: int, form: str) -> Any:
        import av
        import av.filter

        info = self._info
        turned = info.rotation in (90, 270)
        out_width, out_height = self._size[::-1] if turned else self._size
        chain: list[tuple[str, str | None]] = [
            ("scale", f"{out_width}:{out_height}:flags=fast_bilinear:out_range=tv"),
            ("format", "yuv420p"),
        ]
        if info.mirrored:
            chain.append(("hflip", None))
        turns: dict[int, list[tuple[str, str | None]]] = {
            90: [("transpose", "clock")],
            180: [("hflip", None), ("vflip", None)],
            270: [("transpose", "cclock")],
        }
        chain += turns.get(info.rotation, [])
        chain.append(("setsar", "1"))
        graph = av.filter.Graph()
        last = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(form), time_base=self._base
        )
        for name, words in [*chain, ("buffersink", None)]:
            step = graph.add(name, words)
            last.link_to(step)
            last = step
        graph.configure()
        return graph


def _write_poster(frame: Any, path: Path) -> None:
    import cv2

    done, data = cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"))
    if done:
        path.write_bytes(data.tobytes())


class _Sound:
    """The sound of a proxy: 48 kHz stereo AAC, with silence where the source has a gap."""

    def __init__(self, sound: AudioInfo, stream: Any, target: Any, origin: Fraction) -> None:
        self._base = stream_time_base(stream)
        self._origin = origin
        self._clock = _Clock()
        self._graph: Any = None
        self._kind: tuple[Any, ...] = ()
        self._out = target.add_stream("aac", rate=48000)
        self._out.layout = "stereo"
        self._out.bit_rate = 128_000
        self._out.codec_context.open()

    def packets(self, packet: Any) -> Iterator[Any]:
        import av

        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            log.debug("sound: %s", error)
            return
        for frame in frames:
            kind = (frame.sample_rate, frame.format.name, frame.layout.name)
            if kind != self._kind:
                yield from self._drained()
                self._graph, self._kind = self._filters(*kind), kind
            base = frame.time_base or self._base
            given = None if frame.pts is None else frame.pts * base - self._origin
            length = Fraction(frame.samples, frame.sample_rate)
            frame.pts = round(self._clock.time_of(given, length) * frame.sample_rate)
            frame.time_base = Fraction(1, frame.sample_rate)
            self._graph.push(frame)
            yield from self._pulled()

    def rest(self) -> Iterator[Any]:
        yield from self._drained()
        yield from self._out.encode(None)

    def _drained(self) -> Iterator[Any]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pulled()

    def _pulled(self) -> Iterator[Any]:
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield from self._out.encode(frame)

    def _filters(self, rate: int, form: str, layout: str) -> Any:
        import av.filter

        graph = av.filter.Graph()
        last = graph.add_abuffer(
            sample_rate=rate, format=form, layout=layout, time_base=Fraction(1, rate)
        )
        size = self._out.codec_context.frame_size or 1024
        for name, words in [
            ("aresample", "48000:async=1"),
            ("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
            ("asetnsamples", f"n={size}:p=0"),
            ("abuffersink", None),
        ]:
            step = graph.add(name, words)
            last.link_to(step)
            last = step
        graph.configure()
        return graph
