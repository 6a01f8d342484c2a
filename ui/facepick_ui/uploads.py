"""Files of a user's own folder: what was uploaded, and links to what was opened by its path."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

__all__ = ["keep_upload", "plain_name", "servable"]


def keep_upload(folder: Path, path: Path, kind: str) -> Path:
    """The upload in the user's own folder, where no clean-up of the host removes it.

    A hard link where the file system allows it, so that large videos are not copied.

    Args:
        folder: of the user.
        path: where gradio has put the upload.
        kind: its name when it has none.
    """
    size = path.stat()
    mark = hashlib.sha256(f"{path}|{size.st_size}|{size.st_mtime_ns}".encode()).hexdigest()[:12]
    place = folder / "uploads" / mark
    kept = place / plain_name(path.name, kind)
    if not kept.is_file() or kept.stat().st_size != size.st_size:
        place.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        try:
            os.link(path.resolve(), kept)
        except OSError:
            part = kept.with_name(kept.name + ".part")
            shutil.copyfile(path, part)
            os.replace(part, kept)
    return kept


def servable(folder: Path, path: Path) -> Path | None:
    """The same video where the browser may fetch it; None when that needs a copy.

    Folders of the machine are never opened to browsers as a whole: one link per file.
    """
    name = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    place = folder / "opened" / name
    link = place / plain_name(path.name, "video")
    if link.exists():
        return link
    place.mkdir(parents=True, exist_ok=True)
    for make in (os.link, os.symlink):
        try:
            make(path, link)
            return link
        except OSError:
            continue
    return None


def plain_name(name: str, fallback: str) -> str:
    """A file name that is one on every system: no separators, no control characters."""
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(" .")[-120:]
    return plain or fallback
