"""Uploads: the paths that gradio hands over, and the copies that are kept of them."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facepick.media.proxies import clone
from facepick.unchanged import sha256_of

__all__ = ["digest_of", "keep_upload", "path_of", "paths_of", "plain_name"]


def keep_upload(folder: Path, path: Path, kind: str) -> Path:
    """Keep an upload in the user's own folder, where no clean-up of the host removes it.

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


def digest_of(path: Path) -> str:
    """Give the sha256 of a kept file, which is read once while it stays the same."""
    facts = path.stat()
    return _digest_of(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_of(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)


def plain_name(name: str, fallback: str) -> str:
    """Make a file name that is one on every system: no separators, no control characters."""
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(" .")[-120:]
    return plain or fallback


def path_of(value: Any) -> str | None:
    """Give the path of an uploaded file, in whichever wrapping this gradio hands it over."""
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple)):
        return path_of(value[0]) if value else None
    if isinstance(value, Mapping):
        if "video" in value:
            return path_of(value["video"])
        return value.get("path") or value.get("name")
    if isinstance(value, str):
        return str(value)
    return getattr(value, "name", None)


def paths_of(value: Any) -> list[str]:
    """Give the paths of all uploaded files of a widget that takes several."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [path for path in map(path_of, values) if path is not None]
