"""Store of what was learnt from videos, by content: the next preview, and the render, take it up.

An entry is a folder in ``HOME/cache/learned`` with files of one observer and a list of their
hashes.  It is named after what decides its content: the video's bytes, the person's tracks, the
frames, the observer with its version; not after settings of drawing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.files import read_json, write_json
from facepick.models.store import sha256_of
from facepick.render.geometry import FacePath

__all__ = ["LEARNED", "LearnedStore", "path_digest"]

log = logging.getLogger("facepick.render")

LEARNED = "learned"
"""Name of the folder in the cache."""

FORMAT = "facepick-learned/1"
_LIST = "entry.json"


def path_digest(path: FacePath) -> str:
    """Digest of where a face is, as hex: other tracks of the same video are other content."""
    digest = hashlib.sha256()
    for array in (path.frames, path.boxes, path.landmarks5, path.seen, path.shots, path.confidence):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class LearnedStore:
    """Entries in a folder.

    Args:
        folder: made when something is kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def _entry(self, key: Sequence[Any]) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.sha256(json.dumps([FORMAT, *key]).encode()).hexdigest()
        return self._folder / name[:32]

    def holds(self, key: Sequence[Any]) -> bool:
        """Tell whether there is an entry; whether it is whole is seen when it is taken."""
        entry = self._entry(key)
        return entry is not None and (entry / _LIST).is_file()

    def facts(self, key: Sequence[Any]) -> dict[str, Any] | None:
        """Read what was noted of an entry; None when there is none."""
        entry = self._entry(key)
        try:
            return None if entry is None else dict(read_json(entry / _LIST))
        except (OSError, ValueError, TypeError):
            return None

    def take(self, key: Sequence[Any], folder: Path, *, own: bool = False) -> bool:
        """Put the files of an entry into `folder`; False when there is none, or it is damaged.

        Args:
            own: they will be written to: give copies, not the same files under another name.
        """
        entry = self._entry(key)
        if entry is None or not (entry / _LIST).is_file():
            return False
        try:
            listed = read_json(entry / _LIST, max_bytes=2**20)
            if listed["format"] != FORMAT:
                return False
            for name, digest in dict(listed["files"]).items():
                # A name is of our own making, or nothing that may be opened.
                if Path(name).name != name or sha256_of(entry / name) != digest:
                    raise ValueError(f"{name} is damaged")
            for name in listed["files"]:
                _place(entry / name, folder / name, own=own)
            os.utime(entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.info("%s cannot be taken up: %s", entry, error)
            shutil.rmtree(entry, ignore_errors=True)
            return False
        return True

    def array(self, key: Sequence[Any], name: str) -> npt.NDArray[Any] | None:
        """Open one file of an entry as a read-only array on disk; None where it is not whole."""
        entry = self._entry(key)
        try:
            if entry is None:
                return None
            digest = read_json(entry / _LIST, max_bytes=2**20)["files"][name]
            if sha256_of(entry / name) != digest:
                return None
            found: npt.NDArray[Any] = np.load(entry / name, mmap_mode="r", allow_pickle=False)
            return found
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, key: Sequence[Any], folder: Path, files: Sequence[str], **facts: Any) -> None:
        """Keep files of `folder`; a disk that is full keeps nothing and stops nobody.

        Args:
            facts: plain JSON for people who look into the entry.
        """
        entry = self._entry(key)
        if entry is None or self._folder is None:
            return
        part: Path | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(dir=self._folder, prefix=".part-"))
            for name in files:
                _place(folder / name, part / name, own=True)
            hashes = {name: sha256_of(part / name) for name in files}
            write_json(part / _LIST, {"format": FORMAT, "files": hashes, **facts})
            if entry.exists():
                # Another job may take it up just now: what it has opened stays readable.
                shutil.rmtree(entry, ignore_errors=True)
            part.replace(entry)
        except OSError as error:
            log.info("what was learnt is not kept: %s", error)
            if part is not None:
                with suppress(OSError):
                    shutil.rmtree(part)


def _place(source: Path, target: Path, *, own: bool) -> None:
    """Put a file where it is wanted under a name of its own, if it may be shared."""
    target.unlink(missing_ok=True)
    if not own:
        with suppress(OSError):
            os.link(source, target)
            return
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, part)
    part.replace(target)
