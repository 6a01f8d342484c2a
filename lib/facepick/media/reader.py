"""Every frame of a video once, in the order it is shown, with its exact time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any

from facepick.errors import file_problem
from facepick.media.container import (
    check_size,
    codec_name,
    open_media,
    video_stream,
)
from facepick.media.picture import Picture
from facepick.media.probe import probe
from facepick.media.splices import continuous, has_splices
from facepick.media.timecode import Timecode
from facepick.media.video import VideoInfo
from facepick.progress import CancelToken, never

__all__ = ["Frame", "VideoReader"]

log = logging.getLogger(__name__)

# Damage that spoils this many packets on end is not a scratch: nothing follows.  A whole GOP of
# 250 frames may fail after one lost key frame, so two of them are waited for.
MAX_FAILURES_IN_A_ROW = 500

# What the frames of all decoder threads may take: four of 8K with 8 bits.
_THREADS_BYTES = 2**28

# Where a seek looks for a key frame first, then how many frames earlier.
_SEEK_BACK_FRAMES = (0, 64, 600)

# A time that lies this far before the last one is no jitter but that of another clock.
_CLOCK_SECONDS = 1

# Formats without an index.
_SOUGHT_BY_TIME = frozenset(("mpegts", "mpeg"))

# Codecs in which every packet shows a frame, so that fewer frames than packets mean damage.
# (VP8, VP9 and AV1 have packets that show nothing.)
_FRAME_PER_PACKET = frozenset(("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"))


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        index: it is the index-th decoded frame in presentation order.
        time: when it is shown, on the container's clock.
        picture: what it shows.
        duration: until the next frame, in units of the time base.
    """

    index: int
    time: Timecode
    picture: Picture
    duration: int

    def __repr__(self) -> str:
        return f"Frame({self.index} at {float(self.time.seconds):.3f} s, {self.picture!r})"


class VideoReader:
    """Reader that streams the frames of one video file; memory does not grow with its length.

    Args:
        path: the file.
        info: what `probe` found of the file, when it is known already.
        cancel: looked at for every packet.
        thread_count: decoder threads.  The default does not depend on the machine, so that
            every machine makes the same of a damaged file.

    Attributes:
        info: what the file says of itself.
        decode_failures: packets that could not be decoded and frames that the decoder marked as
            corrupt, over all calls of `frames` so far.

    Raises:
        VideoOpenError: the file is missing or no video that can be decoded.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        info: VideoInfo | None = None,
        cancel: CancelToken = never,
        thread_count: int = 4,
    ) -> None:
        self.info: VideoInfo = info or probe(path)
        self.path = Path(os.path.abspath(path))
        self.decode_failures = 0
        self._cancel = cancel
        self._thread_count = thread_count

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def frames(self, *, start: int = 0, pts: Sequence[int] | None = None) -> Iterator[Frame]:
        """Yield the frames from index `start` on.

        Args:
            start: index of the first frame wanted.
            pts: times of all frames as an earlier pass over the same file gave them.  With it a
                start in the middle is reached by seeking; the frames are the same either way.

        Raises:
            VideoOpenError: nothing can be decoded.
            ValueError: `start` is negative or beyond the table.
        """
        if start < 0 or (pts is not None and start > len(pts)):
            raise ValueError(f"start must be in [0, {len(pts) if pts else 'frames'}], got {start}")
        if pts is not None and start == len(pts):
            return
        clock = _Clock(self)
        if start and pts is not None and self._may_seek(pts):
            for back in _SEEK_BACK_FRAMES:
                raws = self._landed(pts[start], pts[max(0, start - back)])
                if raws is not None:
                    clock.last = pts[start - 1]
                    yield from self._timed(self._repaired(raws, start), start, clock)
                    return
            log.info("%s: no exact seek to frame %d, decoding from the start", self.path, start)
        for frame in self._timed(self._repaired(self._decoded(), 0), 0, clock):
            if frame.index >= start:
                yield frame

    def _may_seek(self, pts: Sequence[int]) -> bool:
        """Tell whether a time belongs to one frame only.

        Broadcast streams are found through times in the packets.  Where recordings were strung
        together, times come twice, and a search may end in the wrong one; FFmpeg's duration, the
        last time less the first, is then shorter than what the frames fill.
        """
        if has_splices(self.path):
            return False
        duration = self.info.duration_seconds
        if self.info.container not in _SOUGHT_BY_TIME or duration is None:
            return True
        return (pts[-1] - pts[0]) * self.info.time_base <= duration + _CLOCK_SECONDS

    def _decoded(
        self, *, seek: int | None = None, careful: bool = False, first: list[Any] | None = None
    ) -> Iterator[Any]:
        """Yield frames as the decoder gives them.

        Several decoder threads are fast, but what they make of damaged data depends on how many
        they are, and some of them drop frames at the end of a damaged file.  So they are used
        up to the first sign of damage, and `careful` decoding on one thread takes over.

        Args:
            seek: start at the key frame at or before this time.
            careful: decode on one thread, and count damage instead of stopping at it.
            first: is given the first packet.

        Raises:
            _Damage: at the first sign of it, unless `careful`.
        """
        import av

        with open_media(self.path) as container:
            stream = video_stream(container, self.path)
            stream.thread_type = "SLICE" if careful else "AUTO"
            # Each thread holds a frame of its own.
            size = check_size(self.info.width, self.info.height, self.info.pixel_format, self.path)
            threads = max(1, min(self._thread_count, _THREADS_BYTES // size))
            stream.codec_context.thread_count = 1 if careful else threads
            if seek is not None:
                container.seek(seek, stream=stream, backward=True)
            # A place that was sought has no number; what has splices is not sought.
            if seek is None:
                packets = continuous(container, stream, self.path)
            else:
                packets = iter(container.demux(stream))
            sent = given = run = 0
            while True:
                self._cancel.raise_if_cancelled()
                try:
                    packet = next(packets, None)
                    if packet is None:
                        break
                    if first is not None and not first and packet.size:
                        first.append(packet)
                    sent += bool(packet.size) and not packet.is_discard
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    if not careful:
                        raise _Damage from error
                    self.decode_failures += 1
                    run += 1
                    if run >= MAX_FAILURES_IN_A_ROW:
                        log.warning("%s: gave up after %d damaged packets", self.path, run)
                        return
                    continue
                for frame in frames:
                    check_size(frame.width, frame.height, frame.format.name, self.path)
                    if frame.is_corrupt:
                        if not careful:
                            raise _Damage
                        self.decode_failures += 1
                    run = 0
                    given += 1
                    yield frame
            if not careful and given < sent and codec_name(stream) in _FRAME_PER_PACKET:
                raise _Damage

    def _repaired(self, raws: Iterator[Any], index: int) -> Iterator[Any]:
        """Yield `raws`, the first of which has this index; go on with care where damage begins."""
        try:
            for raw in raws:
                index += 1
                yield raw
        except _Damage:
            log.info("%s: damaged after frame %d, decoding on one thread", self.path, index)
            yield from islice(self._decoded(careful=True), index, None)

    def _landed(self, wanted: int, target: int) -> Iterator[Any] | None:
        """Yield frames from the one with time `wanted` on, after a seek to `target` or before.

        None when the seek does not lead exactly there: the key frame lies after the wanted
        frame (in an open GOP the frames shown before it need the GOP before), something on the
        way is damaged, or no frame has the wanted time.
        """
        import av

        first: list[Any] = []
        raws = self._decoded(seek=target, first=first)
        try:
            for raw in raws:
                key = first[0]
                if not key.is_keyframe or key.pts is None or key.pts > wanted:
                    return None
                if raw.pts is None or raw.pts > wanted:
                    return None
                if raw.pts == wanted:
                    return chain((raw,), raws)
        except (_Damage, av.error.FFmpegError):
            return None
        return None

    def _timed(self, raws: Iterator[Any], index: int, clock: _Clock) -> Iterator[Frame]:
        """Index frames from `index` on, each held back until the next tells how long it lasts."""
        held: tuple[int, Any] | None = None
        for raw in raws:
            pts = clock.time_of(raw)
            if held is not None:
                yield self._frame(index, *held, pts - held[0])
                index += 1
            held = (pts, raw)
        if held is None:
            raise file_problem(
                self.path,
                "not one frame of its video can be decoded.",
                hint="The file is damaged; copy or download it again.",
            )
        last = int(getattr(held[1], "duration", 0) or 0)
        yield self._frame(index, *held, last if last > 0 else clock.step)

    def _frame(self, index: int, pts: int, raw: Any, duration: int) -> Frame:
        # The turn, size and colours of the first frame hold for all: the result has one of each.
        picture = Picture.from_av(
            raw,
            rotation=self.info.rotation,
            mirrored=self.info.mirrored,
            size=(self.info.width, self.info.height),
            color=self.info.color,
        )
        return Frame(index, Timecode(pts, self.info.time_base), picture, duration)


class _Damage(Exception):
    """Damaged data that the decoder met."""


class _Clock:
    """Clock that gives every frame a time after that of the frame before."""

    def __init__(self, reader: VideoReader) -> None:
        self._reader = reader
        self.last: int | None = None
        rate, base = reader.info.average_rate, reader.info.time_base
        self.step = max(1, round(1 / (rate * base))) if rate else 1
        self._far = _CLOCK_SECONDS / base
        self._offset = 0
        # What would have to be added, if the frame before was the first of another clock.
        self._suspected: int | None = None

    def time_of(self, raw: Any) -> int:
        given = raw.pts if raw.pts is not None else raw.dts
        if self.last is None:
            self.last = int(given or 0)
        elif given is None:
            self._repair(self.last + self.step)
        elif given + self._offset > self.last:
            self._suspected = None
            pts = int(given + self._offset)
            self.step, self.last = pts - self.last, pts
        else:
            self._go_back(int(given), self.last)
        return self.last

    def _go_back(self, given: int, last: int) -> None:
        if last - (given + self._offset) < self._far:
            # One unit later, so that the times that follow can be right again.
            self._repair(last + 1)
            return
        # Two recordings strung together, or one wrong time: the frame after tells.
        if self._suspected is not None and 0 < given + self._suspected - last < self._far:
            self._offset = self._suspected
            self._repair(given + self._offset)
            return
        self._suspected = last + self.step - given
        self._repair(last + self.step)

    def _repair(self, pts: int) -> None:
        self.last = pts
