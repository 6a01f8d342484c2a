"""Quirks of OpenCV when it loads a network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facepick.errors import PackageMissing

__all__ = ["opencv_path", "quiet_opencv", "read_tflite"]

# cv::utils::logging::LogLevel; OpenCV 4 does not pass the name on to Python.
_LOG_LEVEL_ERROR = 2


def opencv_path(path: Path) -> str:
    """Spell `path` so that OpenCV can open it.

    On Windows it opens files by their name in the code page of the system, which lacks most
    letters; the short 8.3 name of a file is always ASCII.
    """
    text = str(path)
    if sys.platform != "win32" or text.isascii():
        return text
    import ctypes

    buffer = ctypes.create_unicode_buffer(1024)
    length = ctypes.windll.kernel32.GetShortPathNameW(text, buffer, len(buffer))
    return buffer.value if 0 < length < len(buffer) else text


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Let OpenCV log errors only; the level that was set before is put back.

    OpenCV 5 writes a warning on every load of a network about a target that is not even asked
    for.
    """
    import cv2

    # OpenCV 5 has these two functions in a module of their own, OpenCV 4 at the top.
    logging = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2
    before = logging.getLogLevel()
    logging.setLogLevel(_LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def read_tflite(path: Path, *, needed_for: str) -> Any:
    """Load a TensorFlow Lite network as ``cv2.dnn.Net``.

    OpenCV 5's new engine drops outputs of such graphs; its classic one keeps them.  It can be
    asked for when reading by path, and is passed over when reading from memory.

    Raises:
        PackageMissing: this OpenCV cannot read such files (before 4.8).
    """
    import cv2

    if not hasattr(cv2.dnn, "readNetFromTFLite"):
        raise PackageMissing("opencv-python>=4.8", needed_for=needed_for)
    new = int(cv2.__version__.split(".")[0]) >= 5
    with quiet_opencv():
        engine = (int(cv2.dnn.ENGINE_CLASSIC),) if new else ()
        return cv2.dnn.readNetFromTFLite(opencv_path(path), *engine)
