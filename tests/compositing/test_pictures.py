"""Pictures from users: right pixels, or one clear sentence."""

from __future__ import annotations

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
    assert pictures._size_of(path.read_bytes()) == (40, 30)


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
