"""Store of the videos that players are given: never a user's own file, never a link to one.

Programs that serve a video may re-encode it where it lies (gradio does, with what browsers cannot
play).  So players get a private copy of what is playable and small, and a proxy of the rest.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from facepick.files import read_json, write_json
from facepick.locks import locked
from facepick.media.proxy import make_proxy, playable_suffix
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress

__all__ = ["COPY_LIMIT_BYTES", "PROXIES", "ProxyStore", "clone"]

log = logging.getLogger(__name__)

PROXIES = "proxies"
"""Folder of the store below the cache."""

COPY_LIMIT_BYTES = 256 * 10**6
"""Up to this size a playable video is copied: half a second on a plain disk.  Beyond, its proxy
is smaller than the copy, and than the second copy that gradio makes of whatever it serves."""

STORE_LIMIT_BYTES = 4 * 10**9
"""All copies and proxies together: about ten hours of proxies."""

KEEP_SECONDS = 7 * 24 * 3600.0
"""How long one stays that nobody looks at."""

_FORMAT = "facepick-proxy/1"
_PROXY_NAME = "proxy.mp4"
_FOLDER = re.compile(r"[0-9a-f]{24}|[0-9a-f]{64}")


class ProxyStore:
    """Private copies, by the identity of their file, and proxies, by the content of theirs.

    Args:
        folder: of this store alone; made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def holds(self, path: Path | str) -> bool:
        """Tell whether a file is one of this store's own."""
        return Path(path).parent.parent == self.folder

    def is_proxy(self, path: Path | str) -> bool:
        """Tell whether one of this store's files is a proxy, not a copy of the whole."""
        return Path(path).name == _PROXY_NAME and len(Path(path).parent.name) == 64

    def find(self, video: Path) -> Path | None:
        """Find the copy or proxy of this very file, or None when it has none yet."""
        key = _key(video)
        if key is None:
            return None
        found = next(iter(self._copies(key)), None)
        if found is None:
            try:
                content = read_json(self.folder / f"{key}.json")["proxy"]
            except (OSError, ValueError, KeyError, TypeError):
                return None
            found = self.folder / str(content) / _PROXY_NAME
            if not _FOLDER.fullmatch(str(content)) or not found.is_file():
                return None
        with contextlib.suppress(OSError):
            os.utime(found.parent)  # it is in use: see `trim`
        return found

    def _copies(self, key: str) -> Iterator[Path]:
        for path in (self.folder / key).glob("*.*"):
            if path.suffix in (".mp4", ".webm") and path.is_file():
                yield path

    def view(self, video: Path) -> Path | None:
        """Find what a player may be given of a video right now; None when a proxy must be made.

        A playable file of at most `COPY_LIMIT_BYTES` is copied here and now; where the file system
        shares the blocks of copies (Btrfs, XFS, ZFS) that takes no time and no space.

        Raises:
            VideoOpenError: it is no video.
            OSError: it cannot be copied.
        """
        found = self.find(video)
        if found is not None:
            return found
        suffix = playable_suffix(video)
        key = _key(video)
        if suffix is None or key is None or video.stat().st_size > COPY_LIMIT_BYTES:
            return None
        place = self.folder / key
        place.mkdir(parents=True, exist_ok=True)
        copy = place / (_plain(video.stem) + suffix)
        draft = place / f".{secrets.token_hex(4)}"
        try:
            if not clone(video, draft):
                shutil.copyfile(video, draft)
            if _key(video) != key:
                # It was replaced meanwhile: half of it may be of each.
                return None
            os.replace(draft, copy)
        finally:
            draft.unlink(missing_ok=True)
        return copy

    def make(
        self,
        video: Path,
        *,
        poster: Path | None = None,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> Path:
        """Make the proxy of a video, unless a file of this content has one.

        Args:
            poster: see `make_proxy`.
            progress: stages ``read`` (bytes) and ``proxy``.
            cancel: looked at all the time.

        Raises:
            VideoOpenError, RenderError, Cancelled: as `make_proxy`.
            OSError: the file cannot be read.
        """
        key = _key(video)
        content = _content_hash(video, progress, cancel)
        place = self.folder / content
        place.mkdir(parents=True, exist_ok=True)
        proxy = place / _PROXY_NAME
        with locked(place / "lock", cancel):
            if not proxy.is_file():
                make_proxy(video, proxy, poster=poster, progress=progress, cancel=cancel)
        if key is not None and _key(video) == key:
            write_json(self.folder / f"{key}.json", {"format": _FORMAT, "proxy": content})
        os.utime(place)
        return proxy

    def size_bytes(self) -> int:
        """Sum up what all of it takes on the disk."""
        return sum(_size(folder) for folder in self._folders())

    def trim(
        self,
        *,
        limit_bytes: int = STORE_LIMIT_BYTES,
        keep_seconds: float = KEEP_SECONDS,
        now: float | None = None,
    ) -> int:
        """Remove what was not looked at for long, and the oldest of what is too much.

        What was used within the last hour stays: a page may be playing it.

        Returns:
            How many copies and proxies were removed.
        """
        now = time.time() if now is None else now
        removed = 0
        total = 0
        for folder in sorted(self._folders(), key=_used, reverse=True):
            age = now - _used(folder)
            total += (size := _size(folder))
            if age > keep_seconds or (total > limit_bytes and age > 3600.0):
                shutil.rmtree(folder, ignore_errors=True)
                total -= size
                removed += 1
        for note in self.folder.glob("*.json"):
            try:
                content = str(read_json(note)["proxy"])
            except (OSError, ValueError, KeyError, TypeError):
                content = ""
            if not content or not (self.folder / content).is_dir():
                note.unlink(missing_ok=True)
        return removed

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [p for p in self.folder.iterdir() if _FOLDER.fullmatch(p.name) and p.is_dir()]


def clone(source: Path, target: Path) -> bool:
    """Make a copy that shares its blocks with `source` until one of the two is written to.

    Args:
        source: any file.
        target: must not exist.

    Returns:
        False where the file system cannot do that; there is no `target` then.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    ficlone = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
    with source.open("rb") as old, target.open("xb") as new:
        try:
            fcntl.ioctl(new.fileno(), ficlone, old.fileno())
            return True
        except OSError as error:
            if error.errno not in _CANNOT_CLONE:
                log.info("%s was not cloned: %s", source, error)
    target.unlink()
    return False


_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)


def _key(video: Path) -> str | None:
    """Name a file as it is now: differently once it is replaced or written to."""
    try:
        facts = video.stat()
    except OSError:
        return None
    words = (
        os.path.abspath(video), facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
    )  # fmt: skip
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:24]


def _content_hash(video: Path, progress: ProgressSink, cancel: CancelToken) -> str:
    """Compute the sha256 of the file's bytes."""
    meter = ProgressMeter(progress, "read", video.stat().st_size)
    digest, done = hashlib.sha256(), 0
    with video.open("rb") as file:
        while piece := file.read(1 << 20):
            cancel.raise_if_cancelled()
            digest.update(piece)
            done += len(piece)
            meter.update(done)
    return digest.hexdigest()


def _plain(stem: str) -> str:
    """Make a file name's stem that every server and browser takes as it is."""
    return re.sub(r"[^\w.()-]+", "_", stem).strip("._")[:80] or "video"


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _size(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
