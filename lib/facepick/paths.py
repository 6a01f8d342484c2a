"""Home folder of what facepick makes (cache, jobs, cast, models), how many jobs work in it, and the
bundled clip."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = [
    "DEFAULT_JOBS",
    "JOBS_VARIABLE",
    "demo_clip",
    "demo_speech",
    "home_dir",
    "jobs_at_once",
]

_DEMO = Path(__file__).resolve().parent / "data" / "demo"

JOBS_VARIABLE = "FACEPICK_JOBS"

DEFAULT_JOBS = 2
"""A long render leaves room for somebody's scan; more would only share the same cores and card."""


def home_dir() -> Path:
    """Find the folder of the user's data: ``FACEPICK_HOME``, else the platform's user data folder.

    The environment is read at every call, so that a child process or a test that sets it is
    obeyed.  The folder is not created: whoever writes into it makes its own subfolder.
    """
    chosen = os.environ.get("FACEPICK_HOME", "").strip()
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    import platformdirs

    # No author folder: on Windows that would be AppData\Local\facepick\facepick.
    return Path(platformdirs.user_data_dir("facepick", appauthor=False))


def jobs_at_once() -> int:
    """Read how many jobs of one home work at once: ``FACEPICK_JOBS``, else `DEFAULT_JOBS`."""
    text = os.environ.get(JOBS_VARIABLE, "").strip()
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,3}", text) else DEFAULT_JOBS


def demo_clip() -> Path:
    """Return the path of the bundled clip.

    14.2 s, 1280x720, 25 fps: two people in a split screen, one by one, gone, entering.
    """
    return _DEMO / "two_people.mp4"


def demo_speech() -> Path:
    """Return the path of the speech that somebody in the clip is to speak.

    7.7 s of a woman reading English, 22.05 kHz mono WAV.
    """
    return _DEMO / "speech.wav"
