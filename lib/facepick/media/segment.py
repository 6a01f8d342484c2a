"""Segments: some consecutive frames, encoded into a file of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from facepick.errors import RenderError
from facepick.media.encode import EncodeSettings, encoder_named, native_format, quietly
from facepick.media.picture import Picture, recoded
from facepick.media.video import VideoInfo

__all__ = ["SegmentWriter", "publish", "reason"]

log = logging.getLogger(__name__)

# Packets by which decoding runs ahead of showing; 16 in H.264, HEVC and AV1.
_MOST_REORDERED = 16


class SegmentWriter:
    """Writer of some consecutive frames into a file of their own.

    The file appears under its name only when it is whole; until then it is ``NAME.part``.
    As a context manager it closes at the end of the block, and aborts if the block raises.

    Args:
        path: the segment file; the format is NUT, whatever its suffix.
        info: of the source: time base, sample aspect ratio, colour tags, interlacing.
        encode: encoder, quality, preset.  An encoder that depends on the output file must have
            been chosen by `EncodeSettings.for_output`.
        threads: encoder threads; 0 lets the encoder choose.
        rate: frames per second of the whole, or None where they come irregularly; encoders write
            it into the stream.

    Attributes:
        frames: how many were written.

    Raises:
        RenderError: the encoder does not work here, or the disk is full.
        SettingsError: the encoder cannot keep an odd size.
    """

    def __init__(
        self,
        path: Path,
        *,
        info: VideoInfo,
        encode: EncodeSettings | None = None,
        threads: int = 0,
        rate: Fraction | None = None,
    ) -> None:
        self.path = path
        self.frames = 0
        self._part = path.with_name(path.name + ".part")
        self._info = info
        self._settings = encode or EncodeSettings()
        self._threads = threads
        self._rate = rate
        self._container: Any = None
        self._stream: Any = None
        self._format = ""
        self._first_pts = 0
        self._last_pts: int | None = None
        self._packets = 0

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _open(self, picture: Picture) -> None:
        import av

        settings, info = self._settings, self._info
        encoder = encoder_named(settings.encoder)
        self._format = encoder.format_for(picture.format, picture.width, picture.height)
        if picture.interlaced and settings.encoder != "x264":
            log.warning("%s cannot mark frames as interlaced; x264 can", settings.encoder)
        rate = self._rate or info.average_rate or Fraction(25)
        if settings.encoder == "av1":
            # SVT-AV1 takes no more.  It only plans its bits by it: times come with the frames.
            rate = min(rate, Fraction(240))
        try:
            self._container = av.open(str(self._part), "w", format="nut")
            stream: Any = self._container.add_stream(encoder.codec, rate=rate)
            stream.width, stream.height = picture.width, picture.height
            stream.pix_fmt = native_format(encoder, self._format)
            context = stream.codec_context
            context.time_base = info.time_base
            context.sample_aspect_ratio = info.sample_aspect_ratio
            stream.options = settings.options(info, self._threads, steady=self._rate is not None)
            with quietly():
                context.open()
        except (av.error.FFmpegError, ValueError) as error:
            self.abort()
            raise RenderError(
                f"The encoder {settings.encoder} does not work here ({reason(error)}).",
                hint="Choose another encoder, such as x264.",
            ) from error
        self._stream = stream

    def write(self, picture: Picture, pts: int) -> None:
        """Encode one frame; the picture must not be changed afterwards.

        Args:
            picture: of the same size and format as the first.
            pts: its time in units of the source's time base, after that of the frame before.

        Raises:
            RenderError: encoding or writing failed.
        """
        import av

        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"pts must rise, got {pts} after {self._last_pts}")
        if self._stream is None:
            self._open(picture)
            self._first_pts = pts
        if (picture.width, picture.height) != (self._stream.width, self._stream.height):
            raise ValueError(
                f"every picture must be {self._stream.width}x{self._stream.height}, "
                f"got {picture.width}x{picture.height}"
            )
        frame = recoded(picture, self._format)
        frame.pts = pts
        frame.time_base = self._info.time_base
        # The decoder left the type of the source's frame here, which an encoder takes as an
        # order.
        frame.pict_type = 0
        try:
            self._mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise RenderError(
                f"Encoding failed at frame {self.frames} of a segment ({reason(error)}).",
                hint="Check that there is space left on the disk.",
            ) from error
        self._last_pts = pts
        self.frames += 1

    def _mux(self, packets: Sequence[Any]) -> None:
        """Write packets, with decoding times of our own.

        Only their order counts (`join_segments`), and x265 leaves random ones where there are
        fewer frames than it looks ahead.  The k-th packet shows a frame that is at most 16 places
        earlier, as no codec reorders by more, and times rise by one at least: these times rise
        and come after no frame's own.
        """
        for packet in packets:
            packet.dts = self._first_pts + self._packets - _MOST_REORDERED
            self._packets += 1
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            RenderError: no frame was written, or writing failed.
        """
        import av

        if self._stream is None:
            raise RenderError(f"The segment {self.path.name} has no frames.")
        try:
            self._mux(self._stream.encode(None))
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise RenderError(
                f"The segment {self.path.name} could not be finished ({reason(error)}).",
                hint="Check that there is space left on the disk.",
            ) from error
        self._container = None
        publish(self._part, self.path)

    def abort(self) -> None:
        """Drop what was written; does nothing after `close`."""
        import av

        if self._container is not None:
            container, self._container = self._container, None
            try:
                container.close()
            except (av.error.FFmpegError, OSError) as error:
                log.debug("closing %s: %s", self._part, error)
        self._part.unlink(missing_ok=True)


def reason(error: Exception) -> str:
    """Word an error without the call that failed, and with what FFmpeg logged about it."""
    words = str(getattr(error, "strerror", None) or error)
    logged = getattr(error, "log", None)
    return f"{words}: {logged[2].strip()}" if logged else words


def publish(part: Path, path: Path) -> None:
    """Give a finished file its name, so that a crash leaves all of it or nothing."""
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
