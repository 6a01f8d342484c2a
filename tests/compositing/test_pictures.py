"""Pictures from users: right pixels, or one clear sentence."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from facepick.compositing import pictures
from facepick.compositing.pictures import load_picture
from facepick.errors import UserInputError


@pytest.fixture
def image() -> np.ndarray:
    """A smooth 40x30 picture whose channels differ."""
    y, x = np.mgrid[:30, :40].astype(np.float32)
    return np.stack([x * 6, y * 8, 255 - x * 3], axis=2).astype(np.uint8)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".jpg", 12), (".webp", 20)])
def test_reads_bgr(tmp_path: Path, image: np.ndarray, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), image)
    loaded = load_picture(path)
    assert loaded.shape == image.shape
    assert cv2.absdiff(loaded, image).max() <= tolerance


@pytest.mark.parametrize("quality", [80, 101])
def test_knows_the_size_of_lossy_and_lossless_webp(
    tmp_path: Path, image: np.ndarray, quality: int
) -> None:
    path = tmp_path / "a.webp"
    cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, quality])
    [head] = pictures._heads(path.read_bytes())
    assert (head.width, head.height) == (40, 30)


def test_alpha_is_kept_or_made_opaque(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "a.png"
    clear = np.dstack([image, np.full(image.shape[:2], 77, np.uint8)])
    cv2.imwrite(str(path), clear)
    assert np.array_equal(load_picture(path, keep_alpha=True), clear)
    cv2.imwrite(str(path), image[:, :, 0])
    grey = load_picture(path, keep_alpha=True)
    assert grey.shape == (30, 40, 4)
    assert np.all(grey[:, :, 3] == 255)
    assert np.array_equal(grey[:, :, 2], image[:, :, 0])


def test_a_16_bit_png_becomes_8_bit(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image.astype(np.uint16) * 257)
    assert np.array_equal(load_picture(path, keep_alpha=True)[:, :, :3], image)


def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(UserInputError, match="60000x60000"):
        load_picture(path)


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF"]
)
def test_anything_else_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UserInputError) as caught:
        load_picture(path)
    assert "a.png" in caught.value.sentence()
    assert caught.value.hint


def test_a_damaged_and_a_missing_file(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(UserInputError, match="damaged"):
        load_picture(path)
    with pytest.raises(UserInputError, match="cannot be read"):
        load_picture(tmp_path / "none.png")


@pytest.mark.parametrize("marker", [b"\x01", b"\xd0", b"\xd8"])
def test_a_jpeg_is_held_against_every_frame_header(
    tmp_path: Path, image: np.ndarray, marker: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = cv2.imencode(".jpg", image)[1].tobytes()
    at = large.index(b"\xff\xc0")
    large = large[: at + 5] + (30_000).to_bytes(2, "big") * 2 + large[at + 9 :]
    path = tmp_path / "trick.jpg"
    path.write_bytes(large[:2] + b"\xff" + marker + b"\xff\xe9\0\4\0\0" + large[2:])
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(UserInputError, match="30000x30000"):
        load_picture(path)


@pytest.mark.parametrize("keep_alpha", [False, True])
@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_what_decoding_takes_counts_and_not_the_pixels(
    tmp_path: Path,
    keep_alpha: bool,
    options: tuple[int, ...],
    image: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(cv2.imencode(".jpg", image, options)[1])
    at = data.index(b"\xff\xc2" if options else b"\xff\xc0")
    data[at + 5 : at + 9] = (9_000).to_bytes(2, "big") * 2
    (tmp_path / "a.jpg").write_bytes(data)
    decoded: list[int] = []
    monkeypatch.setattr(cv2, "imdecode", lambda *_: decoded.append(1))
    with pytest.raises(
        UserInputError, match=r"take \d+ MB" if options or keep_alpha else "damaged"
    ):
        load_picture(tmp_path / "a.jpg", keep_alpha=keep_alpha)
    assert bool(decoded) == (not options and not keep_alpha)


def test_a_picture_of_another_size_than_was_said_is_damaged(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((31, 40, 3), np.uint8))
    with pytest.raises(UserInputError, match="damaged"):
        load_picture(path)


def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path, tmp_path / "a\0b"):
        with pytest.raises(UserInputError, match="cannot be read"):
            load_picture(path)


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt", b"fcTL", b"eXIf"])
def test_a_chunk_that_promises_more_than_the_file_holds_is_not_believed(
    tmp_path: Path, image: np.ndarray, kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV takes the promised memory, 2 GB, before it reads."""
    data = cv2.imencode(".png", image)[1].tobytes()
    path = tmp_path / "a.png"
    path.write_bytes(data[:33] + b"\x7f\xff\xff\xf0" + kind + data[33:])
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(UserInputError, match="damaged"):
        load_picture(path)
