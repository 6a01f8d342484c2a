"""Pins on the files that work is made of: they must stay what they are while it lasts.

A video that is replaced while it renders would give a result that is half one and half the other.
`pinned` notes which file each path leads to; whoever opens one asks `check`, and a file that was
replaced or written to ends the work with a sentence.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facepick.errors import FacepickError, SourceChanged
from facepick.progress import CancelToken, never

__all__ = ["FileIdentity", "Pins", "changed", "check", "pinned", "sha256_of", "watching"]

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class FileIdentity:
    """Identity of the file at a path, and its state.

    Attributes:
        device, inode: which file; both stay when it is written to, and change when it is replaced.
        size: in bytes.
        mtime_ns: when it was last written to, ns since the epoch.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path | str) -> FileIdentity:
        """Identify the file at a path.

        Raises:
            OSError: there is no such file.
        """
        facts = os.stat(path)
        return cls(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)

    def to_json(self) -> dict[str, int]:
        """Convert to plain JSON; `from_json` takes it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> FileIdentity | None:
        """Read what `to_json` gave; None for anything else."""
        if not isinstance(data, Mapping):
            return None
        values = [data.get(key) for key in ("device", "inode", "size", "mtime_ns")]
        if not all(isinstance(v, int) for v in values):
            return None
        return cls(*values)  # type: ignore[arg-type]


def sha256_of(path: Path, *, cancel: CancelToken = never) -> str:
    """Compute the sha256 of a file's bytes, hex; read in pieces of 1 MiB.

    Raises:
        OSError: it cannot be read.
        Cancelled: the user stopped it.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            cancel.raise_if_cancelled()
            digest.update(piece)
    return digest.hexdigest()


class Pins:
    """The identities of some files, and what they must hold.

    Args:
        paths: those of them that are there are watched.

    Attributes:
        hashes: sha256 by absolute path, as `hash_all` found them or `expect` was told.
    """

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self.hashes: dict[str, str] = {}
        self._files: dict[str, FileIdentity] = {}
        for path in paths:
            with suppress(OSError):
                self._files.setdefault(os.path.abspath(path), FileIdentity.of(path))

    def knows(self, path: str) -> bool:
        """Tell whether a file is pinned."""
        return path in self._files

    def identity(self, path: Path | str) -> FileIdentity | None:
        """Find which file lay there; None when there was none."""
        return self._files.get(os.path.abspath(path))

    def is_same(self, path: str) -> bool:
        """Tell whether the same file, unwritten, still lies at an absolute path."""
        try:
            return self._files[path] == FileIdentity.of(path)
        except OSError:
            return False

    def check(self) -> None:
        """Check all pins.

        Raises:
            SourceChanged: one of the files was replaced, written to or removed.
        """
        for path in self._files:
            if not self.is_same(path):
                raise changed(path)

    def expect(self, path: Path | str, sha256: str) -> None:
        """Set what a file holds, as an earlier look at it has said."""
        self.hashes[os.path.abspath(path)] = sha256

    def hash_all(self, *, cancel: CancelToken = never) -> None:
        """Read the files of which nobody has said what they hold.

        Raises:
            SourceChanged, Cancelled.
        """
        for path in self._files:
            if path not in self.hashes:
                self.hashes[path] = _hash(path, cancel)
        self.check()

    def verify(self, *, cancel: CancelToken = never) -> None:
        """Read every file again and compare.

        Raises:
            SourceChanged, Cancelled.
        """
        self.check()
        for path, expected in self.hashes.items():
            if _hash(path, cancel) != expected:
                raise changed(path)
        self.check()


def _hash(path: str, cancel: CancelToken) -> str:
    try:
        return sha256_of(Path(path), cancel=cancel)
    except OSError:
        raise changed(path) from None


def changed(path: Path | str) -> SourceChanged:
    """Make the error for a file that was changed while it was in use."""
    return SourceChanged(
        f"{Path(path).name} was changed while it was in use; nothing was made of it.",
        hint="Leave the file alone while it is worked on, and start again.",
    )


_pinned: list[Pins] = []
_guard = threading.Lock()


@contextmanager
def watching(pins: Pins) -> Iterator[None]:
    """Check every opening of one of the files during the block, and all of them at its end.

    Raises:
        SourceChanged: one was replaced or written to meanwhile.
    """
    with _guard:
        _pinned.append(pins)
    try:
        yield
        pins.check()
    except (FacepickError, OSError) as error:
        # Whatever else went wrong is a consequence of it.
        if not isinstance(error, SourceChanged):
            pins.check()
        raise
    finally:
        with _guard:
            _pinned.remove(pins)


@contextmanager
def pinned(paths: Iterable[Path | str]) -> Iterator[Pins]:
    """Pin the files of `watching` as they are at the beginning of the block."""
    pins = Pins(paths)
    with watching(pins):
        yield pins


def check(path: Path | str) -> None:
    """Check pinned files; to be called before and after a file is opened.

    Raises:
        SourceChanged: it is watched and no longer what it was.
    """
    if not _pinned:
        return
    key = os.path.abspath(path)
    with _guard:
        watching = [pins for pins in _pinned if pins.knows(key)]
    # Two jobs of one process may have seen different files under one path: the newer one goes on
    # and the older one fails at its own end.
    if watching and not any(pins.is_same(key) for pins in watching):
        raise changed(key)
