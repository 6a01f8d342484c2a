"""One decoded frame: the decoder's own planes, converted only where somebody looks.

Colour.  Planes hold Y'CbCr; engines see B'G'R' (the coded, non-linear values; for HDR the PQ or
HLG code values).  With the luma weights Kr, Kg, Kb of the stream's matrix (ITU-R BT.601-7,
BT.709-6, BT.2020-2, SMPTE 240M; number in the tag per ITU-T H.273 table 4)::

    Y' = Kr R' + Kg G' + Kb B'     Cb = (B' - Y') / (2 (1 - Kb))     Cr = (R' - Y') / (2 (1 - Kr))

scaled to 16..235 / 16..240 (limited) or 0..255 (full).  A stream without a matrix tag is read
as BT.709 from 1280x720 on and as BT.601 below, in both directions.

Subsampled chroma is repeated when read and averaged when written.  Averaging is the exact
inverse of repeating, so that crop -> blend changes nothing but rounding and clipping.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facepick.media.container import orientation_of
from facepick.media.video import ColorInfo

if TYPE_CHECKING:
    import av

__all__ = ["FORMATS", "Picture", "assumed_matrix", "recoded", "working_format"]

ByteImage = npt.NDArray[np.uint8]
FloatImage = npt.NDArray[np.float32]
Plane = npt.NDArray[Any]

# Pixel formats whose planes are used as they are: (chroma width divisor, height divisor, bits).
FORMATS: dict[str, tuple[int, int, int]] = {
    "yuv420p": (2, 2, 8),
    "yuv422p": (2, 1, 8),
    "yuv444p": (1, 1, 8),
    "yuv420p10le": (2, 2, 10),
    "yuv422p10le": (2, 1, 10),
    "yuv444p10le": (1, 1, 10),
}

# The same layout under another name: full range is said by the name instead of by a tag.
_FULL_RANGE_NAMES = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}

_LUMA_WEIGHTS = {  # H.273 matrix coefficients -> (Kr, Kb)
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}

BLENDED_AT_ONCE = 120_000
"""Pixels, of 12 bytes each while they are converted: blending a face of 600 x 850 all at once takes
a third longer, and new memory from the system for every frame."""

# swscale's own numbers of the matrices above (SWS_CS_*), which follow H.273 but for 6 and 10.
_SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_ANY_MATRIX = 5
_LIMITED, _FULL = 1, 2


def assumed_matrix(tag: int, width: int, height: int) -> int:
    """Choose the H.273 matrix to compute with: the tag's, or by size where that is unusable."""
    if tag in _LUMA_WEIGHTS:
        return tag
    return 1 if height >= 720 or width >= 1280 else 6


def working_format(name: str, width: int, height: int) -> str:
    """Find the entry of `FORMATS` in which frames of pixel format `name` are worked on.

    A format of its own stays.  Any other becomes the nearest: no fewer bits than it has (10 at
    most), no less chroma.  RGB and palette pictures become 4:2:0, which every player shows,
    unless a side is odd; then 4:4:4, because 4:2:0 of an odd size cannot be encoded.
    """
    import av

    if name in FORMATS:
        return name
    if name in _FULL_RANGE_NAMES:
        return _FULL_RANGE_NAMES[name]
    layout = av.VideoFormat(name, 64, 64)
    bits = max(component.bits for component in layout.components)
    if layout.is_rgb or layout.has_palette or len(layout.components) < 3:
        chroma = "444" if width % 2 or height % 2 else "420"
    else:
        wide, tall = layout.chroma_width(64), layout.chroma_height(64)
        # 4:1:1 (16x64) and 4:1:0 (16x16) have no format of ours with as little chroma.
        chroma = "420" if tall < 64 and wide < 64 else "422" if wide < 64 else "444"
    return f"yuv{chroma}p10le" if bits > 8 else f"yuv{chroma}p"


class _Scalers(threading.local):
    """swscale contexts, kept between frames; one set per thread because they are not shared."""

    def __init__(self) -> None:
        self.by_use: dict[tuple[object, ...], Any] = {}

    def get(self, *use: object) -> Any:
        """Return the context for one use; it owns its colours, as PyAV 12 does not always reset
        them."""
        from av.video.reformatter import VideoReformatter

        if use not in self.by_use:
            self.by_use[use] = VideoReformatter()
        return self.by_use[use]


_scalers = _Scalers()


@lru_cache(maxsize=32)
def _matrices(matrix: int, full_range: bool, bits: int) -> tuple[FloatImage, FloatImage]:
    """Compute (3, 4) affine maps: Y'CbCr codes -> B'G'R' in 0..255, and back."""
    kr, kb = _LUMA_WEIGHTS[matrix]
    kg = 1.0 - kr - kb
    # Rows Y', Cb, Cr over columns B', G', R', all of unit range.
    forward = np.array(
        [
            [kb, kg, kr],
            [0.5, -kg / (2 * (1 - kb)), -kr / (2 * (1 - kb))],
            [-kb / (2 * (1 - kr)), -kg / (2 * (1 - kr)), 0.5],
        ]
    )
    step = float(1 << (bits - 8))
    middle = 128.0 * step
    if full_range:
        top = float((1 << bits) - 1)
        scale, offset = np.array([top, top, top]), np.array([0.0, middle, middle])
    else:
        scale = np.array([219.0, 224.0, 224.0]) * step
        offset = np.array([16.0 * step, middle, middle])
    encode = np.hstack([forward * scale[:, None] / 255.0, offset[:, None]])
    linear = np.linalg.inv(encode[:, :3])
    decode = np.hstack([linear, (-linear @ offset)[:, None]])
    return decode.astype(np.float32), encode.astype(np.float32)


class Picture:
    """A frame in display orientation whose planes can be read and patched.

    Made by `from_av`; the decoder's memory is used as it is and copied only when something is
    written (`blend`) while the decoder still needs it.

    Attributes:
        width, height: in display pixels.
        format: a key of `FORMATS`.
        matrix: H.273 matrix coefficients that conversions use.
        full_range: whether luma spans 0..255 rather than 16..235.
        interlaced: whether the decoder marked the frame as interlaced.
    """

    def __init__(self, frame: av.VideoFrame, *, matrix: int, full_range: bool) -> None:
        if frame.format.name not in FORMATS:
            raise ValueError(f"no such working format: {frame.format.name}")
        self._frame = frame
        self._writable = False
        self._kept: tuple[tuple[int, int, int, int], ByteImage] | None = None
        self.width: int = frame.width
        self.height: int = frame.height
        self.format: str = frame.format.name
        self.matrix = matrix
        self.full_range = full_range
        self.interlaced = bool(frame.interlaced_frame)

    def __repr__(self) -> str:
        return f"Picture({self.width}x{self.height} {self.format})"

    @classmethod
    def from_av(
        cls,
        frame: av.VideoFrame,
        *,
        rotation: int | None = None,
        mirrored: bool = False,
        size: tuple[int, int] | None = None,
        color: ColorInfo | None = None,
    ) -> Picture:
        """Take over a decoded frame.

        Args:
            frame: as the decoder gave it, in memory of this machine's processor.
            rotation: clockwise turn in degrees that makes it upright; None reads the frame's
                own display matrix.
            mirrored: whether it is flipped left to right before the turn.
            size: (width, height) in display orientation that the picture must have; a stream
                that changes its size midway is scaled to that of its first frame.
        """
        if rotation is None:
            rotation, mirrored = orientation_of(frame)
        name = frame.format.name
        span = int(frame.color_range) or (_FULL if color is not None and color.full_range else 0)
        full_range = name in _FULL_RANGE_NAMES or span == _FULL
        if rotation in (90, 270):
            shown = (frame.height, frame.width)
        else:
            shown = (frame.width, frame.height)
        size = size or shown
        target = working_format(name, *size)
        tag = int(frame.colorspace)
        if color is not None and tag not in _LUMA_WEIGHTS:
            tag = color.matrix
        matrix = assumed_matrix(tag, *size)
        if name in _FULL_RANGE_NAMES:
            frame = _relabelled(frame, target)
        elif name != target:
            if frame.format.is_rgb or frame.format.has_palette:
                # It has no range of its own, and becomes limited like nearly every video.
                full_range = False
                frame = _from_rgb(frame, target, matrix)
            else:
                frame = _converted("format", frame, full_range, format=target)
        elif any(plane.line_size < 0 for plane in frame.planes):
            frame = _relabelled(frame, target)
        if rotation or mirrored:
            frame = _turned(frame, rotation, mirrored, full_range)
        if (frame.width, frame.height) != size:
            frame = _converted("size", frame, full_range, width=size[0], height=size[1])
        if color is not None:
            wanted = assumed_matrix(color.matrix, *size)
            if (matrix, full_range) != (wanted, color.full_range):
                frame = _recoloured(frame, matrix, full_range, wanted, color.full_range)
                matrix, full_range = wanted, color.full_range
        return cls(frame, matrix=matrix, full_range=full_range)

    @classmethod
    def from_bgr(
        cls,
        image: ByteImage,
        *,
        format: str = "yuv420p",
        matrix: int | None = None,
        full_range: bool = False,
    ) -> Picture:
        """Make a picture of its own from (h, w, 3) uint8 BGR pixels."""
        import av
        import cv2

        height, width = image.shape[:2]
        frame = av.VideoFrame(width, height, format)
        picture = cls(
            frame, matrix=assumed_matrix(matrix or 2, width, height), full_range=full_range
        )
        picture._writable = True
        across, down, bits = FORMATS[format]
        _, encode = _matrices(picture.matrix, full_range, bits)
        luma, *chroma = cv2.split(cv2.transform(image.astype(np.float32), encode))
        if across > 1 or down > 1:
            grid = _ChromaGrid(0, 0, width, height, across, down, width, height)
            chroma = [grid.mean(plane) for plane in chroma]
        for plane, codes in zip(_views(frame), (luma, *chroma), strict=True):
            plane[:] = _rounded(codes, plane.dtype)
        return picture

    def beside(self, other: Picture, gap: int, width: int) -> Picture | None:
        """Put another picture to the right of this one, dark grey between and beyond.

        Samples are copied, not converted.

        Args:
            gap: pixels between the two, even.
            width: of the whole, even.

        Returns:
            None when the two are not of one kind, or the second would begin inside a sample of
            colour.
        """
        import av

        across, _, bits = FORMATS[self.format]
        kind = (self.format, self.matrix, self.full_range, self.width, self.height)
        if kind != (other.format, other.matrix, other.full_range, other.width, other.height):
            return None
        if (self.width + gap) % across:
            return None
        frame = av.VideoFrame(width, self.height, self.format)
        picture = Picture(frame, matrix=self.matrix, full_range=self.full_range)
        picture._writable = True
        dark = (16 if self.full_range else 30) << (bits - 8)
        for i, plane in enumerate(_views(frame)):
            left, right = self.planes()[i], other.planes()[i]
            start = (self.width + gap) // (across if i else 1)
            plane[:] = 1 << (bits - 1) if i else dark
            plane[:, : left.shape[1]] = left
            plane[:, start : start + right.shape[1]] = right
        return picture

    @property
    def color(self) -> ColorInfo:
        """The colour tags of the decoded frame, with the range that the planes have."""
        frame = self._frame
        return ColorInfo(
            primaries=int(getattr(frame, "color_primaries", 2)),
            transfer=int(getattr(frame, "color_trc", 2)),
            matrix=int(frame.colorspace),
            full_range=self.full_range,
        )

    def to_av(self) -> av.VideoFrame:
        """Return the frame for an encoder; it shares its planes with this picture."""
        return self._frame

    def copy(self) -> Picture:
        """Make a picture with planes of its own."""
        frame = _relabelled(self._frame, self.format)
        other = Picture(frame, matrix=self.matrix, full_range=self.full_range)
        other._writable = True
        other.interlaced = self.interlaced
        return other

    def planes(self) -> tuple[Plane, Plane, Plane]:
        """Return Y', Cb, Cr as (h, w) arrays, uint8 or uint16 (values below 1024); not to be
        written."""
        y, u, v = _views(self._frame)
        return y, u, v

    def bgr(self) -> ByteImage:
        """Convert the whole picture to (height, width, 3) uint8 BGR, by swscale."""
        return self._scaled(self.width, self.height, "bgr")

    def small(self, long_side: int) -> tuple[ByteImage, float]:
        """Scale the picture so that its longer side has at most `long_side` pixels.

        Returns:
            (h, w, 3) uint8 BGR and the scale: display pixels x scale = pixels of the image.
        """
        if long_side < 1:
            raise ValueError(f"long_side must be positive, got {long_side}")
        longest = max(self.width, self.height)
        if longest <= long_side:
            return self.bgr(), 1.0
        scale = long_side / longest
        width = max(1, round(self.width * scale))
        height = max(1, round(self.height * scale))
        return self._scaled(width, height, "small"), scale

    def resized(self, scale: float) -> Picture:
        """Make a picture of its own with sides `scale` times as long, in the same format."""
        frame = _scalers.get("resized").reformat(
            self._frame,
            width=max(16, round(self.width * scale)),
            height=max(16, round(self.height * scale)),
            interpolation="AREA",
        )
        return Picture(frame, matrix=self.matrix, full_range=self.full_range)

    def _scaled(self, width: int, height: int, use: str) -> ByteImage:
        import cv2
        from av.video.reformatter import Colorspace

        table = _SWSCALE_MATRIX[self.matrix]
        if table == 9 and not hasattr(Colorspace, "BT2020"):
            # Older PyAV does not let swscale's BT.2020 table through.
            whole = self.crop(0, 0, self.width, self.height)
            if (width, height) == (self.width, self.height):
                return whole
            shrunk = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
            return np.asarray(shrunk, np.uint8)
        frame = _scalers.get(use, table, self.full_range).reformat(
            self._frame,
            width=width,
            height=height,
            format="bgr24",
            src_colorspace=table,
            dst_colorspace=table,
            interpolation="AREA" if use == "small" else "BICUBIC",
            src_color_range=_FULL if self.full_range else _LIMITED,
            # B'G'R' has no range and swscale ignores it; PyAV 12 heeds the source's only when
            # the two differ.
            dst_color_range=_LIMITED if self.full_range else _FULL,
        )
        packed = _view(frame.planes[0], height, width * 3)
        return np.asarray(packed.reshape(height, width, 3), order="C")

    def crop(self, x0: int, y0: int, x1: int, y1: int, *, keep: bool = False) -> ByteImage:
        """Cut out the rectangle [x0, x1) x [y0, y1) in display pixels, (h, w, 3) uint8 BGR.

        Args:
            keep: for parts of it that will be asked for next: they are not converted again.

        Raises:
            ValueError: the rectangle is empty or reaches outside the picture.
        """
        import cv2

        if self._kept is not None:
            (left, top, right, bottom), whole = self._kept
            if left <= x0 < x1 <= right and top <= y0 < y1 <= bottom:
                return whole[y0 - top : y1 - top, x0 - left : x1 - left].copy()
        across, down, bits = FORMATS[self.format]
        luma, *chroma = self._parts(x0, y0, x1, y1)
        parts = [luma]
        for part in chroma:
            if across > 1 or down > 1:
                size = (part.shape[1] * across, part.shape[0] * down)
                part = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
            top, left = y0 % down, x0 % across
            parts.append(part[top : top + y1 - y0, left : left + x1 - x0])
        image = self._as_bgr(cv2.merge(parts), bits)
        if keep:
            self._kept = (x0, y0, x1, y1), image
        return image

    def small_crop(self, x0: int, y0: int, x1: int, y1: int, scale: float) -> ByteImage:
        """Cut out a rectangle as `crop` does and scale it down, by area, before it is converted.

        Args:
            scale: pixels of what is given per display pixel, below 1.

        Returns:
            (h, w, 3) uint8 BGR with ``h = round(scale * (y1 - y0))``, and w likewise.

        Raises:
            ValueError: as `crop`, or its corner lies inside a sample of colour.
        """
        import cv2

        across, down, bits = FORMATS[self.format]
        if x0 % across or y0 % down:
            raise ValueError(f"({x0}, {y0}) is not the corner of a sample of colour")
        size = (max(1, round(scale * (x1 - x0))), max(1, round(scale * (y1 - y0))))
        parts = [
            cv2.resize(part, size, interpolation=cv2.INTER_AREA)
            for part in self._parts(x0, y0, x1, y1)
        ]
        return self._as_bgr(cv2.merge(parts), bits)

    def _parts(self, x0: int, y0: int, x1: int, y1: int) -> list[Plane]:
        """Cut out of every plane the samples that a rectangle touches."""
        if not (0 <= x0 < x1 <= self.width and 0 <= y0 < y1 <= self.height):
            raise ValueError(
                f"the rectangle ({x0}, {y0}, {x1}, {y1}) is empty or not inside "
                f"{self.width}x{self.height}"
            )
        across, down, _ = FORMATS[self.format]
        luma, *chroma = _views(self._frame)
        return [
            luma[y0:y1, x0:x1],
            *(
                plane[y0 // down : -(-y1 // down), x0 // across : -(-x1 // across)]
                for plane in chroma
            ),
        ]

    def _as_bgr(self, codes: Plane, bits: int) -> ByteImage:
        """Convert (h, w, 3) codes of Y', Cb, Cr."""
        import cv2

        decode, _ = _matrices(self.matrix, self.full_range, bits)
        if bits > 8:
            exact = np.asarray(cv2.transform(codes.astype(np.float32), decode))
            return exact.round().clip(0, 255).astype(np.uint8)
        return np.asarray(cv2.transform(codes, decode), dtype=np.uint8)

    def blend(self, image: ByteImage, alpha: FloatImage, origin: tuple[int, int]) -> None:
        """Mix `image` into the picture: (1 - alpha) * picture + alpha * image.

        Only the bounding rectangle of alpha > 0 is read and written.  Luma samples with alpha 0
        stay bit-equal; a chroma sample takes the alpha-weighted mean of the pixels it covers,
        and stays bit-equal when alpha is 0 for all of them.

        Args:
            image: (h, w, 3) uint8 BGR at the picture's resolution.
            alpha: (h, w) float32 in [0, 1].
            origin: (x, y) of the first pixel in display pixels; what lies outside the picture is
                dropped.
        """

        rectangle = _covered(alpha, origin, self.width, self.height)
        if rectangle is None:
            return
        x0, y0, x1, y1 = rectangle
        left, top = x0 - origin[0], y0 - origin[1]
        self._kept = None
        if not self._writable:
            self._frame.make_writable()
            self._writable = True
        # In strips that stay in the processor's cache, cut where no sample of colour is.
        rows = max(2, BLENDED_AT_ONCE // (x1 - x0) // 2 * 2)
        above = y0
        while above < y1:
            below = min(y1, (above // rows + 1) * rows)
            part = slice(top + above - y0, top + below - y0), slice(left, left + x1 - x0)
            self._blend_strip(image[part], alpha[part], (x0, above, x1, below))
            above = below

    def _blend_strip(
        self, image: ByteImage, weight: FloatImage, place: tuple[int, int, int, int]
    ) -> None:
        import cv2

        x0, y0, x1, y1 = place
        across, down, bits = FORMATS[self.format]
        _, encode = _matrices(self.matrix, self.full_range, bits)
        fresh = cv2.split(cv2.transform(image.astype(np.float32), encode))
        luma, *chroma = _views(self._frame)
        _mix(luma[y0:y1, x0:x1], fresh[0] * weight, weight)

        if across == 1 and down == 1:
            for plane, new in zip(chroma, fresh[1:], strict=True):
                _mix(plane[y0:y1, x0:x1], new * weight, weight)
            return
        grid = _ChromaGrid(x0, y0, x1, y1, across, down, self.width, self.height)
        covered = grid.mean(weight)
        for plane, new in zip(chroma, fresh[1:], strict=True):
            _mix(plane[grid.rows, grid.columns], grid.mean(new * weight), covered)


class _ChromaGrid:
    """Means of a luma rectangle over the chroma samples that it touches."""

    def __init__(
        self, x0: int, y0: int, x1: int, y1: int, across: int, down: int, width: int, height: int
    ) -> None:
        self.columns = slice(x0 // across, -(-x1 // across))
        self.rows = slice(y0 // down, -(-y1 // down))
        self.size = (
            self.columns.stop - self.columns.start,
            self.rows.stop - self.rows.start,
        )
        before = (y0 % down, x0 % across)
        after = (-y1 % down, -x1 % across)
        # At the far edge of a picture of odd size a chroma sample covers one luma column or
        # row: repeating it keeps the mean.  Elsewhere the samples beside the rectangle count
        # with alpha 0.
        self._edge_right = after[1] if x1 == width else 0
        self._edge_bottom = after[0] if y1 == height else 0
        self._border = (
            before[0], after[0] - self._edge_bottom, before[1], after[1] - self._edge_right,
        )  # fmt: skip

    def mean(self, values: FloatImage) -> FloatImage:
        import cv2

        if self._edge_right or self._edge_bottom:
            bottom, right = self._edge_bottom, self._edge_right
            values = np.asarray(
                cv2.copyMakeBorder(values, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.float32
            )
        if any(self._border):
            values = np.asarray(
                cv2.copyMakeBorder(values, *self._border, cv2.BORDER_CONSTANT, value=0), np.float32
            )
        return np.asarray(cv2.resize(values, self.size, interpolation=cv2.INTER_AREA), np.float32)


def _mix(samples: Plane, weighted: FloatImage, weight: FloatImage) -> None:
    """Mix in place, rounded: samples = (1 - weight) * samples + weighted."""
    import cv2

    # With weight 0 the sum is the sample itself, exactly: integers below 2**24 are exact in
    # float32.  The result lies between two codes of the format, so it needs no clipping but at
    # the ends, where rounding errors of 1e-5 may pass them.
    mixed = samples.astype(np.float32)
    mixed *= np.float32(1.0) - weight
    mixed += weighted
    if samples.dtype == np.uint8:
        samples[:] = cv2.convertScaleAbs(mixed)
    else:
        samples[:] = _rounded(mixed, samples.dtype)


def _rounded(codes: FloatImage, kind: np.dtype[Any]) -> Plane:
    top = 255 if kind == np.uint8 else 1023
    return np.rint(np.clip(codes, 0, top)).astype(kind)


def _covered(
    alpha: FloatImage, origin: tuple[int, int], width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Find the bounding rectangle of alpha > 0 inside the picture, display pixels, or None."""
    positive = alpha > 0
    columns = np.flatnonzero(positive.any(axis=0))
    if not len(columns):
        return None
    rows = np.flatnonzero(positive.any(axis=1))
    x0 = max(0, int(columns[0]) + origin[0])
    y0 = max(0, int(rows[0]) + origin[1])
    x1 = min(width, int(columns[-1]) + 1 + origin[0])
    y1 = min(height, int(rows[-1]) + 1 + origin[1])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _view(plane: Any, height: int, width: int) -> ByteImage:
    """View a plane's samples without the padding of its lines, (height, width) uint8."""
    line = abs(plane.line_size)
    flat = np.frombuffer(plane, np.uint8, count=line * height)
    rows = flat.reshape(height, line)[:, :width]
    return rows if plane.line_size > 0 else rows[::-1]


def _views(frame: av.VideoFrame) -> list[Plane]:
    """View the three planes of a frame of our formats as arrays that share its memory."""
    planes: list[Plane] = []
    for plane in frame.planes:
        if _is_deep(frame.format.name):
            planes.append(_view(plane, plane.height, plane.width * 2).view(np.uint16))
        else:
            planes.append(_view(plane, plane.height, plane.width))
    return planes


def _is_deep(name: str) -> bool:
    return name.endswith("10le")


def _like(frame: av.VideoFrame, width: int, height: int, name: str) -> av.VideoFrame:
    """Make an empty frame with the tags of another."""
    import av

    fresh = av.VideoFrame(width, height, name)
    _copy_tags(frame, fresh)
    fresh.pts = frame.pts
    fresh.time_base = frame.time_base
    return fresh


def _relabelled(frame: av.VideoFrame, name: str) -> av.VideoFrame:
    """Copy a frame under the name of another format with the same layout of planes."""
    fresh = _like(frame, frame.width, frame.height, name)
    for target, source in zip(_views(fresh), _views(frame), strict=True):
        target[:] = source
    return fresh


def recoded(picture: Picture, name: str) -> av.VideoFrame:
    """Convert the picture's frame to another of our formats for an encoder, same matrix and
    range."""
    if picture.format == name:
        return picture.to_av()
    return _converted("encode", picture.to_av(), picture.full_range, format=name)


def _converted(use: str, frame: av.VideoFrame, full_range: bool, **wanted: Any) -> av.VideoFrame:
    """Convert a frame to another Y'CbCr format or size: same matrix, same range, same tags."""
    span = _FULL if full_range else _LIMITED
    fresh: av.VideoFrame = _scalers.get(use, span, *wanted.values()).reformat(
        frame,
        # Between two formats of one matrix it does not matter which one it is.
        src_colorspace=_ANY_MATRIX,
        dst_colorspace=_ANY_MATRIX,
        src_color_range=span,
        dst_color_range=span,
        **wanted,
    )
    if fresh is not frame:
        # swscale's matrix and range were written over them.
        _copy_tags(frame, fresh)
    return fresh


def _recoloured(
    frame: av.VideoFrame, matrix: int, full_range: bool, wanted: int, wanted_full: bool
) -> av.VideoFrame:
    """Convert a frame's samples from another matrix and range, for a stream that changes them."""
    source, target = _SWSCALE_MATRIX[matrix], _SWSCALE_MATRIX[wanted]
    fresh: av.VideoFrame = _scalers.get("matrix", source, full_range, target, wanted_full).reformat(
        frame,
        # Of the same format swscale would only copy.
        format="gbrp10le" if _is_deep(frame.format.name) else "gbrp",
        src_colorspace=source,
        dst_colorspace=source,
        src_color_range=_FULL if full_range else _LIMITED,
        dst_color_range=_FULL,
    )
    made: av.VideoFrame = _scalers.get("matrix back", target, wanted_full).reformat(
        fresh,
        format=frame.format.name,
        src_colorspace=target,
        dst_colorspace=target,
        src_color_range=_FULL,
        dst_color_range=_FULL if wanted_full else _LIMITED,
    )
    _copy_tags(frame, made)
    made.colorspace, made.color_range = wanted, _FULL if wanted_full else _LIMITED
    return made


def _from_rgb(frame: av.VideoFrame, name: str, matrix: int) -> av.VideoFrame:
    """Convert an RGB or palette frame to Y'CbCr of limited range; tagged with the matrix."""
    table = _SWSCALE_MATRIX[matrix]
    plain = frame
    if frame.format.name == "bgr24" or min(c.bits for c in frame.format.components) < 8:
        # swscale's short ways from these are a level too low (white of five bits becomes 248).
        plain = _scalers.get("plain").reformat(frame, format="rgb24")
    fresh: av.VideoFrame = _scalers.get("rgb", table, name).reformat(
        plain,
        format=name,
        src_colorspace=table,
        dst_colorspace=table,
        src_color_range=_FULL,
        dst_color_range=_LIMITED,
    )
    _copy_tags(frame, fresh)
    fresh.colorspace, fresh.color_range = matrix, _LIMITED
    return fresh


def _copy_tags(frame: av.VideoFrame, fresh: av.VideoFrame) -> None:
    for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):
        if hasattr(frame, tag):
            setattr(fresh, tag, getattr(frame, tag))


def _turned(frame: av.VideoFrame, rotation: int, mirrored: bool, full_range: bool) -> av.VideoFrame:
    """Copy, flip left to right if `mirrored`, then turn clockwise.

    Chroma keeps its place relative to luma where both can be turned.

    A turn by a quarter swaps the divisors of 4:2:2, and an odd size moves the pairs that share
    a chroma sample; both go through 4:4:4, and odd 4:2:0 stays there.
    """
    across, down, _ = FORMATS[frame.format.name]
    lopsided = across != down and rotation % 180 != 0
    odd = (across == 2 and frame.width % 2) or (down == 2 and frame.height % 2)
    if lopsided or odd:
        deep = _is_deep(frame.format.name)
        whole = "yuv444p10le" if deep else "yuv444p"
        frame = _converted("turn", frame, full_range, format=whole)
    if rotation % 180 == 0:
        fresh = _like(frame, frame.width, frame.height, frame.format.name)
    else:
        fresh = _like(frame, frame.height, frame.width, frame.format.name)
    # np.rot90 turns counter-clockwise.
    for target, source in zip(_views(fresh), _views(frame), strict=True):
        target[:] = np.rot90(source[:, ::-1] if mirrored else source, k=-rotation // 90)
    return fresh
