"""Removes files of users that nobody needs any more.

Ours to remove are, in each session's folder, uploads, faces cut out of photos, and the links to
opened videos that older versions made.  A link is removed and not what it leads to; results,
saved sources, the cast and the cache of scans are never touched.  What players are given has a
broom of its own, `facepick.media.proxies.ProxyStore.trim`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from facepick.jobs.job import JobRecord
from facepick_ui.session import SessionStore

__all__ = ["KEEP_SECONDS", "tidy"]

log = logging.getLogger("facepick_ui.cleanup")

KEEP_SECONDS = 24 * 3600.0
"""How long files stay after they were last needed, and a session after it was last used."""

PLACES = ("uploads", "opened", "faces")
_KEY = re.compile(r"[0-9a-f]{32}")


def tidy(
    sessions: SessionStore, jobs: Iterable[JobRecord], outputs: Path, *, now: float | None = None
) -> int:
    """Remove what neither a session that was used lately nor a job that may go on needs.

    Args:
        sessions: of all users.
        jobs: of all users.
        outputs: folder of the results, for marks that older versions left there.
        now: seconds since the epoch.

    Returns:
        How many folders and marks were removed.
    """
    limit = (time.time() if now is None else now) - KEEP_SECONDS
    needed = {
        text
        for job in jobs
        if job.is_active or job.can_resume
        for text in _texts([job.video, job.out, dict(job.request)])
    }
    removed = 0
    for folder in _folders(sessions.folder):
        if not _KEY.fullmatch(folder.name):
            continue
        used = sessions.last_used(folder.name)
        mine = set(needed)
        if used >= limit:
            mine.update(_texts(sessions.stored(folder.name)))
        for place in PLACES:
            for item in _folders(folder / place):
                if _changed(item) < limit and not _is_named(item, mine):
                    shutil.rmtree(item, ignore_errors=True)
                    removed += 1
        if used < limit and not any(_folders(folder / place) for place in PLACES):
            sessions.forget(folder.name)
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed + _marks(outputs, limit)


def _marks(outputs: Path, limit: float) -> int:
    """Older versions reserved names by an empty file, which nobody needs any more."""
    removed = 0
    for folder in _folders(outputs):
        for mark in folder.glob("*.reserved"):
            try:
                facts = mark.lstat()
                if facts.st_size == 0 and facts.st_mtime < limit:
                    mark.unlink()
                    removed += 1
            except OSError as error:
                log.info("%s stays: %s", mark, error)
    return removed


def _folders(place: Path) -> list[Path]:
    """Real folders in a real folder: no link is followed."""
    if place.is_symlink() or not place.is_dir():
        return []
    return [p for p in place.iterdir() if p.is_dir() and not p.is_symlink()]


def _changed(folder: Path) -> float:
    """When something was put into it.  Its files may be links to files that are much older."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return float("inf")


def _is_named(folder: Path, texts: Iterable[str]) -> bool:
    inside = str(folder) + os.sep
    return any(text.startswith(inside) for text in texts)


def _texts(data: Any) -> Iterator[str]:
    """Every text in plain JSON."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _texts(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _texts(value)
