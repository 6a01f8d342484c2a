"""Where facepick keeps what it makes: cache, jobs, cast and fetched models."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["home_dir"]


def home_dir() -> Path:
    """The folder of the user's data: ``FACEPICK_HOME``, else the platform's user data folder.

    The environment is read at every call, so that a child process or a test that sets it is
    obeyed.  The folder is not created: whoever writes into it makes its own subfolder.
    """
    chosen = os.environ.get("FACEPICK_HOME", "").strip()
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    import platformdirs

    # No author folder: on Windows that would be AppData\Local\facepick\facepick.
    return Path(platformdirs.user_data_dir("facepick", appauthor=False))
