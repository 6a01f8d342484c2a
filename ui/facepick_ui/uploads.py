"""Files of a user's own folder: what was uploaded."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from facepick.media.proxies import clone

__all__ = ["keep_upload", "plain_name"]


def keep_upload(folder: Path, path: Path, kind: str) -> Path:
    """The upload in the user's own folder, where no clean-up of the host removes it.

    A copy that shares its blocks, or a hard link, where the file system allows it, so that large
    videos are not copied.  gradio only reads the upload from here on: it re-encodes nothing but
    what it is told to show, and it is never told to show an upload.

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
        if clone(path, kept):
            return kept
        try:
            os.link(path.resolve(), kept)
        except OSError:
            part = kept.with_name(kept.name + ".part")
            shutil.copyfile(path, part)
            os.replace(part, kept)
    return kept


def plain_name(name: str, fallback: str) -> str:
    """A file name that is one on every system: no separators, no control characters."""
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(" .")[-120:]
    return plain or fallback
