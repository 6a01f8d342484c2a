"""File manager of the user's desktop: a result shown where it lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["can_show", "show"]


def can_show() -> bool:
    """Tell whether there is a desktop on which a folder can be opened."""
    if sys.platform in ("win32", "darwin"):
        return True
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(screen) and shutil.which("xdg-open") is not None


def show(path: Path) -> None:
    """Open the folder of a file, with the file marked where the system can do that.

    Raises:
        OSError: there is no such program.
    """
    if sys.platform == "win32":
        argv = ["explorer", f"/select,{path}"]
    elif sys.platform == "darwin":
        argv = ["open", "-R", str(path)]
    else:
        argv = ["xdg-open", str(path.parent)]
    # Not waited for: some file managers stay until their window is closed.
    subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
