"""Cache of what facepick can make again: shown, cleared, and held within a limit.

``HOME/cache`` holds scans, faces that were cut out of videos for swaps, models that were exported
once, and copies of videos for players.  All of it is made again when it is needed.  Corrections
lie there, too, and are never removed: they are the user's work.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError
from facepick.files import read_json, write_json
from facepick.jobs.job import JobRecord
from facepick.media.loudness import LOUDNESS
from facepick.media.proxies import PROXIES
from facepick.publishing import set_aside
from facepick.render.learned_store import LEARNED
from facepick.render.retake import RETAKES
from facepick.settings import from_mapping, setting, to_mapping
from facepick.speech.spoken import SPOKEN

__all__ = ["KINDS", "Cache", "Entry", "StorageSettings", "load_settings", "save_settings"]

log = logging.getLogger("facepick.cache")

KINDS = ("scans", "faces", "models", "proxies", "learned", "spoken", "retakes")
"""What can be made again: scans of videos, faces cut out of videos, exported models, copies of
videos for players, what was learnt of people's faces for renders and previews, lines that a command
has spoken and how loud lines are, segments of results for later takes."""

IN_USE_SECONDS = 3600.0
"""What was made or read this lately is left alone: a page or another process may look at it."""

_FORMAT = "facepick-settings/1"
_SCAN = re.compile(r"\.?[0-9a-f]{16}-[0-9a-f]{8}(-.*|\.unreadable-.*)?")
_FOLDERS = {
    "speakers": "scans",
    "sources": "faces",
    "wav2lip": "models",
    PROXIES: "proxies",
    LEARNED: "learned",
    LOUDNESS: "spoken",
    SPOKEN: "spoken",
    RETAKES: "retakes",
}


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Limit of how much facepick may keep."""

    cache_limit_gb: float = setting(
        20.0,
        label="Cache limit",
        help="What was not used for longest is removed beyond it; 0 keeps everything.",
        min=0.0,
        max=100_000.0,
        unit="GB",
    )


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing in the cache.

    Attributes:
        path: a file or folder.
        kind: one of `KINDS`.
        size: in bytes, with all that is in it.
        used: when it was last made or read, seconds since the epoch.
    """

    path: Path
    kind: str
    size: int
    used: float


class Cache:
    """Cache of what can be made again.

    Args:
        folder: ``HOME/cache``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Entry]:
        """List everything that may be removed, longest unused first."""
        found = []
        for path in _inside(self.folder):
            if path.name in _FOLDERS and path.is_dir():
                kind = _FOLDERS[path.name]
                found += [_entry(inner, kind) for inner in _inside(path)]
            elif path.is_dir() and _SCAN.fullmatch(path.name):
                found.append(_entry(path, "scans"))
        return sorted(found, key=lambda entry: entry.used)

    def corrections(self) -> list[Path]:
        """List files of corrections, also those that were set aside."""
        return [p for p in _inside(self.folder) if ".edits.json" in p.name and p.name[0] != "."]

    def clear(self, kinds: Collection[str] = KINDS, *, keep: Iterable[str] = ()) -> list[Entry]:
        """Remove entries; gives those that are gone.

        Args:
            keep: texts of jobs that may go on; what one of them names stays.
        """
        named = tuple(keep)
        return [e for e in self.entries() if e.kind in kinds and self._remove(e, named)]

    def trim(
        self, limit_bytes: int, *, keep: Iterable[str] = (), now: float | None = None
    ) -> list[Entry]:
        """Remove what was not used for longest until the rest is within the limit."""
        lately = (time.time() if now is None else now) - IN_USE_SECONDS
        entries, named = self.entries(), tuple(keep)
        total, removed = sum(entry.size for entry in entries), []
        for entry in entries:
            if total <= limit_bytes or entry.used > lately:
                break
            if self._remove(entry, named):
                total -= entry.size
                removed.append(entry)
        return removed

    def _remove(self, entry: Entry, named: Collection[str]) -> bool:
        path = str(entry.path)
        if any(text == path or text.startswith(path + os.sep) for text in named):
            return False
        if entry.path.is_dir():
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with suppress(OSError):
                entry.path.unlink()
        return not entry.path.exists()


def needed_by(jobs: Iterable[JobRecord]) -> set[str]:
    """Collect every text in the jobs that work or may go on: paths among them are still needed."""
    return {
        text
        for job in jobs
        if job.is_active or job.can_resume
        for text in _texts([job.video, dict(job.request)])
    }


def size_of(path: Path) -> int:
    """Sum the bytes of a file, or of all files in a folder; links are not followed."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
    except OSError:
        return 0
    return sum(size_of(inner) for inner in _inside(path))


def load_settings(home: Path) -> StorageSettings:
    """Load the user's settings; ``FACEPICK_CACHE_GB`` goes before them."""
    values: dict[str, Any] = {}
    try:
        data = read_json(home / "settings.json", max_bytes=2**20)
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise ValueError("it is no file of settings")
        values = dict(data["storage"])
        from_mapping(StorageSettings, values)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, KeyError, FacepickError) as error:
        values = {}
        log.warning("%s cannot be read: %s", home / "settings.json", error)
    named = os.environ.get("FACEPICK_CACHE_GB", "").strip()
    if named:
        try:
            return from_mapping(StorageSettings, {**values, "cache_limit_gb": named})
        except FacepickError as error:
            # It must not be what a job that is done ends with.
            log.warning("FACEPICK_CACHE_GB: %s", error)
    return from_mapping(StorageSettings, values)


def save_settings(home: Path, settings: StorageSettings) -> Path | None:
    """Keep settings; gives where a file that cannot be read was set aside.

    Raises:
        OSError: the disk refuses.
    """
    file = home / "settings.json"
    aside, others = None, {}
    try:
        data = read_json(file, max_bytes=2**20)
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise ValueError("it is no file of settings")
        others = data
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        aside = set_aside(file)
    home.mkdir(parents=True, exist_ok=True)
    write_json(file, {**others, "format": _FORMAT, "storage": to_mapping(settings)})
    return aside


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _entry(path: Path, kind: str) -> Entry:
    try:
        facts = path.lstat()
        used = max(facts.st_mtime, facts.st_atime if not path.is_dir() else 0.0)
    except OSError:
        used = float("inf")
    return Entry(path=path, kind=kind, size=size_of(path), used=used)


def _texts(data: Any) -> Iterator[str]:
    """Yield every text in plain JSON."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _texts(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _texts(value)
