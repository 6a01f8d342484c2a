"""Pictures: colours, and blending that touches its rectangle alone."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from facepick.media.container import orientation_of
from facepick.media.picture import FORMATS, Picture, assumed_matrix, recoded, working_format
from facepick.media.reader import VideoReader
from facepick.media.video import ColorInfo

Odd = Callable[[str], Path]

# One of each kind of planes: 4:2:0, 4:2:0 of odd size, 4:4:4, 10 bits, full range, turned.
NAMES = (
    "base_640x360.mp4",
    "odd_321x181_vp8.webm",
    "odd_427x241_yuv444.mp4",
    "hevc_10bit.mp4",
    "mjpeg_pcm.avi",
    "rot90_meta.mp4",
)


def _first(path: Path) -> Picture:
    return next(VideoReader(path).frames()).picture


def _planes(picture: Picture) -> list[npt.NDArray[np.int32]]:
    return [plane.astype(np.int32) for plane in picture.planes()]


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("format", list(FORMATS))
def test_colours_after_the_standards(format: str, full_range: bool, matrix: int) -> None:
    """Grey has neutral chroma, and luma is the weighted sum of R'G'B' (BT.601, 709, 2020)."""
    weights = {1: (0.2126, 0.7152, 0.0722), 6: (0.299, 0.587, 0.114), 9: (0.2627, 0.678, 0.0593)}
    deep = format.endswith("10le")
    for color in ((255, 255, 255), (0, 0, 0), (200, 40, 90)):
        image = np.full((16, 16, 3), color, np.uint8)
        picture = Picture.from_bgr(image, format=format, matrix=matrix, full_range=full_range)
        kr, kg, kb = weights[matrix]
        light = (kr * color[2] + kg * color[1] + kb * color[0]) / 255
        if full_range:
            expected = light * (1023 if deep else 255)
        else:
            expected = (16 + 219 * light) * (4 if deep else 1)
        y, u, v = _planes(picture)
        assert np.abs(y - expected).max() <= 0.51
        if color[0] == color[1] == color[2]:
            assert (u == (512 if deep else 128)).all()
            assert (v == (512 if deep else 128)).all()
        # 8-bit chroma codes are 1.8 levels of blue apart, and the crop rounds once more.
        assert np.abs(picture.crop(0, 0, 16, 16).astype(int) - image).max() <= 3
        assert np.abs(picture.bgr().astype(int) - image).max() <= 4


def test_matrix_without_a_tag_goes_by_size() -> None:
    assert assumed_matrix(2, 1280, 720) == 1
    assert assumed_matrix(2, 720, 1280) == 1
    assert assumed_matrix(2, 640, 360) == 6
    assert assumed_matrix(9, 640, 360) == 9


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("yuv420p", (321, 181), "yuv420p"),
        ("yuvj422p", (640, 360), "yuv422p"),
        ("nv12", (640, 360), "yuv420p"),
        ("p010le", (640, 360), "yuv420p10le"),
        ("yuv411p", (640, 360), "yuv422p"),
        ("yuv410p", (640, 360), "yuv420p"),
        ("yuv444p12le", (640, 360), "yuv444p10le"),
        ("gray", (640, 360), "yuv420p"),
        ("pal8", (320, 180), "yuv420p"),
        ("bgra", (321, 180), "yuv444p"),
        ("gbrp10le", (640, 360), "yuv420p10le"),
    ],
)
def test_nearest_working_format(name: str, size: tuple[int, int], expected: str) -> None:
    assert working_format(name, *size) == expected


@pytest.mark.parametrize("name", ["rgb24", "gray", "pal8", "nv12", "yuv411p", "yuva420p"])
def test_other_formats_keep_their_colours(name: str) -> None:
    av = pytest.importorskip("av")
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32] = (60, 60, 60) if name == "gray" else (40, 90, 200)
    image[:, 32:] = (200, 200, 200)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24")
    if name == "pal8":
        indices = np.repeat(np.array([[0] * 32 + [1] * 32], np.uint8), 64, axis=0)
        palette = np.zeros((256, 4), np.uint8)
        palette[0], palette[1] = (255, 200, 90, 40), (255, 200, 200, 200)
        frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
    else:
        frame = frame.reformat(format=name)
    seen = Picture.from_av(frame).bgr().astype(int)
    # The outer columns are free of the edge, over which subsampled chroma bleeds.
    assert np.abs(seen[:, :24] - image[:, :24]).max() <= 6
    assert np.abs(seen[:, 40:] - image[:, 40:]).max() <= 6


# Red, lime, blue, white, black, skin: B'G'R'.
SQUARES = ((0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255), (0, 0, 0), (120, 150, 200))
FORMATS_TO_CONVERT = (
    "nv12", "nv21", "nv16", "p010le", "uyvy422", "yuyv422", "yuv411p", "yuv410p", "yuv440p",
    "yuva420p", "yuva444p10le", "yuv420p12le", "yuv444p12le", "yuv422p16le", "yuv420p9le",
)  # fmt: skip


def _squares(name: str, color: ColorInfo) -> av.VideoFrame:
    """A frame of six squares, 96x64, with its tags."""
    image = np.zeros((64, 96, 3), np.uint8)
    for n, square in enumerate(SQUARES):
        y, x = divmod(n, 3)
        image[y * 32 : y * 32 + 32, x * 32 : x * 32 + 32] = square
    plain = Picture.from_bgr(
        image, format="yuv444p10le", matrix=color.matrix, full_range=color.full_range
    ).to_av()
    span = 2 if color.full_range else 1
    frame = plain.reformat(
        format=name, src_colorspace=5, dst_colorspace=5, src_color_range=span, dst_color_range=span
    )
    frame.colorspace, frame.color_range = color.matrix, span
    frame.color_primaries, frame.color_trc = color.primaries, color.transfer
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    return frame


@pytest.mark.skipif(
    not hasattr(av.VideoFrame, "color_primaries"), reason="this PyAV tells no primaries of frames"
)
@pytest.mark.parametrize("name", FORMATS_TO_CONVERT)
@pytest.mark.parametrize(
    "color",
    [
        ColorInfo(primaries=1, transfer=1, matrix=1),
        ColorInfo(primaries=5, transfer=5, matrix=5, full_range=True),
        ColorInfo(primaries=9, transfer=16, matrix=9),
        ColorInfo(),
    ],
    ids=["bt709", "pal-full", "pq", "none"],
)
def test_what_is_converted_keeps_tags_and_colours(name: str, color: ColorInfo) -> None:
    """Other samples, turned, scaled, in the encoder's format: always under the source's tags."""
    source = _squares(name, color)
    ways: list[dict[str, Any]] = [
        {}, {"rotation": 90}, {"size": (192, 128)}, {"rotation": 180, "size": (48, 32)}
    ]  # fmt: skip
    for way in ways:
        picture = Picture.from_av(source, **way)
        assert picture.color == color
        for form in ("yuv444p", "yuv444p10le", picture.format):
            frame = recoded(picture, form)
            again = Picture(frame, matrix=picture.matrix, full_range=picture.full_range)
            assert again.color == color
            shown = np.rot90(again.bgr(), k=way.get("rotation", 0) // 90).astype(int)
            high, wide = shown.shape[:2]
            for n, square in enumerate(SQUARES):
                y, x = divmod(n, 3)
                middle = shown[y * high // 2 + high // 4, x * wide // 3 + wide // 6]
                # 8-bit chroma codes are 1.8 levels of blue apart, and are rounded thrice.
                assert np.abs(middle - square).max() <= 5, (way, form, square, middle)


def test_rgb_of_few_bits_keeps_its_white() -> None:
    image = np.full((32, 32, 3), 255, np.uint8)
    image[:, 16:] = (255, 0, 0)
    for name in ("rgb555le", "rgb565le", "bgr24", "gbrp"):
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=name)
        picture = Picture.from_av(frame)
        assert picture.color.matrix == picture.matrix == 6
        shown = picture.bgr().astype(int)
        assert np.abs(shown[:, :12] - 255).max() <= 1, name
        assert np.abs(shown[:, 20:] - (255, 0, 0)).max() <= 3, name


@pytest.mark.parametrize("later", [ColorInfo(matrix=1), ColorInfo(matrix=6, full_range=True)])
def test_colours_that_change_their_code_midway_are_converted(later: ColorInfo) -> None:
    first = ColorInfo(primaries=6, transfer=6, matrix=6)
    picture = Picture.from_av(_squares("yuv444p", later), color=first)
    assert (picture.matrix, picture.full_range) == (6, False)
    assert (picture.color.matrix, picture.color.full_range) == (6, False)
    before = Picture.from_av(_squares("yuv444p", first), color=first)
    for plane, other in zip(picture.planes(), before.planes(), strict=True):
        assert np.abs(plane[8:24, 8:].astype(int) - other[8:24, 8:]).max() <= 2
    # A frame that says nothing is like the first.
    silent = _squares("yuv444p", first)
    silent.colorspace, silent.color_range = 2, 0
    assert np.array_equal(Picture.from_av(silent, color=first).bgr(), before.bgr())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("origin", [(33, 41), (-20, -31), (-1000, 0), None])
def test_blend_touches_the_mask_alone(name: str, origin: tuple[int, int] | None, odd: Odd) -> None:
    """Bit-equality against a slow computation of which samples the mask covers."""
    picture = _first(odd(name))
    if origin is None:  # over the far corner
        origin = (picture.width - 30, picture.height - 25)
    rng = np.random.default_rng(1)
    alpha = np.zeros((61, 73), np.float32)
    alpha[10:50, 11:60] = rng.random((40, 49), dtype=np.float32)
    alpha[20:30, 20:33] = 0
    image = rng.integers(0, 256, (61, 73, 3), dtype=np.uint8)
    before = _planes(picture)
    picture.blend(image, alpha, origin)
    after = _planes(picture)

    across, down, _ = FORMATS[picture.format]
    rows, columns = before[1].shape
    covered = np.zeros((rows * down, columns * across), np.float32)
    x0, y0 = max(0, origin[0]), max(0, origin[1])
    part = alpha[y0 - origin[1] : picture.height - origin[1], :][
        :, x0 - origin[0] : picture.width - origin[0]
    ]
    covered[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    luma = covered[: picture.height, : picture.width]
    assert (after[0] == before[0])[luma == 0].all()
    chroma = covered.reshape(rows, down, columns, across).max(axis=(1, 3))
    for new, old in zip(after[1:], before[1:], strict=True):
        assert (new == old)[chroma == 0].all()
    if part.size:
        assert (after[0] != before[0])[luma > 0.2].mean() > 0.9
        assert (after[1] != before[1])[chroma > 0.5].mean() > 0.8
    else:
        assert all((a == b).all() for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("box", [(100, 60, 180, 140), (101, 61, 178, 139), None])
def test_crop_then_blend_changes_nothing_but_rounding(
    name: str, box: tuple[int, int, int, int] | None, odd: Odd
) -> None:
    picture = _first(odd(name))
    x0, y0, x1, y1 = box or (0, 0, picture.width, picture.height)
    before = _planes(picture)
    crop = picture.crop(x0, y0, x1, y1)
    assert crop.shape == (y1 - y0, x1 - x0, 3)
    picture.blend(crop, np.ones(crop.shape[:2], np.float32), (x0, y0))
    after = _planes(picture)
    # Colours outside of R'G'B' are clipped and come back changed: no more than one sample in
    # 200 of this footage.  8-bit pixels are coarser than 10-bit samples: up to 4 codes.
    levels = 4 if picture.format.endswith("10le") else 2
    for new, old in zip(after, before, strict=True):
        assert (np.abs(new - old) <= levels).mean() > 0.995


def test_crop_equals_the_whole_picture_there(odd: Odd) -> None:
    picture = _first(odd("base_640x360.mp4"))
    whole = picture.crop(0, 0, 640, 360)
    assert (picture.crop(33, 21, 98, 77) == whole[21:77, 33:98]).all()
    with pytest.raises(ValueError, match="not inside"):
        picture.crop(600, 0, 641, 10)
    with pytest.raises(ValueError, match="empty"):
        picture.crop(10, 10, 10, 20)


def test_parts_of_a_crop_that_is_kept_are_what_the_picture_shows(odd: Odd) -> None:
    picture, other = (_first(odd("base_640x360.mp4")) for _ in range(2))
    kept = picture.crop(31, 21, 300, 200, keep=True)
    part = picture.crop(40, 30, 90, 70)
    assert (part == other.crop(40, 30, 90, 70)).all()
    part[:] = 0
    assert (picture.crop(40, 30, 90, 70) == kept[9:49, 9:59]).all()
    white = np.full((40, 40, 3), 255, np.uint8)
    picture.blend(white, np.ones((40, 40), np.float32), (50, 30))
    assert picture.crop(50, 30, 90, 70).min() > 250


def test_blend_mixes_by_alpha(odd: Odd) -> None:
    picture = _first(odd("base_640x360.mp4"))
    before = _planes(picture)
    white = np.full((40, 40, 3), 255, np.uint8)
    picture.blend(white, np.full((40, 40), 0.25, np.float32), (50, 50))
    after = _planes(picture)
    mixed = 0.75 * before[0][50:90, 50:90] + 0.25 * 235
    assert np.abs(after[0][50:90, 50:90] - mixed).max() <= 0.501


def test_ten_bits_keep_their_precision_outside(odd: Odd) -> None:
    picture = _first(odd("hevc_10bit.mp4"))
    before = _planes(picture)
    assert (before[0] % 4 != 0).any()
    black = np.zeros((40, 40, 3), np.uint8)
    picture.blend(black, np.full((40, 40), 0.5, np.float32), (50, 50))
    after = _planes(picture)
    mixed = 0.5 * before[0][50:90, 50:90] + 0.5 * 64
    assert np.abs(after[0][50:90, 50:90] - mixed).max() <= 0.501


def test_small_has_the_asked_size_and_place(odd: Odd) -> None:
    picture = _first(odd("base_640x360.mp4"))
    small, scale = picture.small(320)
    assert small.shape == (180, 320, 3)
    assert scale == 0.5
    whole = picture.bgr().astype(float)
    mean = whole.reshape(180, 2, 320, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - mean).mean() < 2.5
    same, one = picture.small(4000)
    assert same.shape == (360, 640, 3)
    assert one == 1.0


def test_blend_leaves_the_decoder_and_copies_alone(odd: Odd) -> None:
    """Decoders predict later frames from the very memory that pictures show."""
    path = odd("base_640x360.mp4")
    plain = [frame.picture.planes()[0].copy() for frame in VideoReader(path).frames()][:40]
    black = np.zeros((200, 200, 3), np.uint8)
    for frame, old in zip(VideoReader(path).frames(), plain, strict=False):
        kept = frame.picture.copy()
        assert (frame.picture.planes()[0] == old).all()
        frame.picture.blend(black, np.ones((200, 200), np.float32), (100, 100))
        assert (kept.planes()[0] == old).all()


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_mirrored_picture_is_flipped_before_it_is_turned(
    size: tuple[int, int], rotation: int
) -> None:
    """Selfies: the display matrix flips.  Before, a mere flip was taken for half a turn."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:20, :30] = 255  # the upper left corner
    name = "yuv444p" if size[0] % 2 else "yuv420p"
    frame = Picture.from_bgr(image, format=name).to_av()
    frame.time_base = Fraction(1, 25)
    shown = Picture.from_av(frame, rotation=rotation, mirrored=True).bgr()
    wanted = np.rot90(image[:, ::-1], k=-rotation // 90)
    assert shown.shape == wanted.shape
    assert np.abs(shown.astype(int) - wanted).mean() < 6


@pytest.mark.parametrize(
    ("matrix", "wanted"),
    [
        ((1, 0, 0, 1), (0, False)),
        ((-1, 0, 0, -1), (180, False)),
        ((0, 1, -1, 0), (90, False)),
        ((0, -1, 1, 0), (270, False)),
        ((-1, 0, 0, 1), (0, True)),
        ((1, 0, 0, -1), (180, True)),
        ((0, -1, -1, 0), (90, True)),
        ((0, 1, 1, 0), (270, True)),
        ((0, 0, 0, 0), (0, False)),
    ],
)
def test_a_display_matrix_is_a_flip_and_a_turn(
    matrix: tuple[int, ...], wanted: tuple[int, bool]
) -> None:
    a, b, c, d = (v << 16 for v in matrix)
    data = struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    frame: Any = SimpleNamespace(side_data={"DISPLAYMATRIX": data})
    assert orientation_of(frame) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_small_crop_is_the_crop_scaled_down(odd: Odd, name: str) -> None:
    import cv2

    picture = _first(odd(name))
    whole = picture.crop(20, 30, 180, 170)
    small = picture.small_crop(20, 30, 180, 170, 0.4)
    assert small.shape == (56, 64, 3)
    wanted = cv2.resize(whole, (64, 56), interpolation=cv2.INTER_AREA)
    # Averages of codes and of colours differ by what is clipped and rounded.
    assert np.abs(small.astype(int) - wanted).mean() < 1.5
    if name == "base_640x360.mp4":
        with pytest.raises(ValueError, match="sample of colour"):
            picture.small_crop(21, 30, 180, 170, 0.4)
