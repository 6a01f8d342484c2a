"""Publishing of finished files: nothing is overwritten unasked or left half done.

A file is written under a hidden name beside its place (a *part*) and gets its name at the end, in
one step that fails where something has the name already.  What is under way is noted in
``HOME/unfinished``; the note is locked by its process, so that whoever starts next can tell what a
killed one left behind, and takes it away (`sweep`).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from facepick.errors import TargetTaken, UserInputError
from facepick.files import MAX_BYTES, read_json, replace, write_json
from facepick.locks import FileLock, locked
from facepick.paths import home_dir
from facepick.progress import CancelToken, never

__all__ = [
    "Staging",
    "place",
    "refuse_input",
    "refuse_output",
    "refuse_taken",
    "set_aside",
    "sweep",
    "taken",
    "write_output",
    "write_outputs",
]

log = logging.getLogger("facepick.publishing")

PIECE_BYTES = 4 * 2**20
"""Copied at once: a fast disk takes 2 ms for it, so that a wish to stop is heard."""

MAX_REMEMBERED = 5000
"""Written files that are remembered; about 100 bytes each in HOME/written.json."""

_MARK = b"facepick is writing this file.\n"


class _Unsupported(Exception):
    """Refusal of this file system or machine to do it that way."""


# --- one file ----------------------------------------------------------------------------------


def place(part: Path, target: Path) -> None:
    """Give a finished file a name that nothing has yet, in one step.

    Both must lie in one file system.

    Raises:
        FileExistsError: something has the name; both are as they were.
        OSError: the system refuses.
    """
    for way in _WAYS:
        try:
            way(part, target)
            return
        except _Unsupported:
            continue
    raise OSError(errno.ENOTSUP, "no way to name a file without overwriting", str(target))


def _renamed(part: Path, target: Path) -> None:
    """Rename and refuse to replace, which most systems can do in one call."""
    if sys.platform == "win32":
        os.rename(part, target)
        return
    source, goal = os.fsencode(part), os.fsencode(target)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            failed = libc.renamex_np(source, goal, 4)  # RENAME_EXCL of <sys/stdio.h>
        else:
            # AT_FDCWD is -100, RENAME_NOREPLACE 1 (rename(2)).
            failed = libc.renameat2(-100, source, -100, goal, 1)
    except AttributeError:
        raise _Unsupported from None
    if not failed:
        return
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
        raise _Unsupported
    raise OSError(number, os.strerror(number), str(target))


def _linked(part: Path, target: Path) -> None:
    """Link a second name to the file, then take the first one away."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise _Unsupported from None
        raise
    part.unlink()


def _reserved(part: Path, target: Path) -> None:
    """Take the name with a small file of our own, then replace that."""
    with open(target, "xb") as file:
        file.write(_MARK)
    try:
        replace(part, target)
    except OSError:
        if _is_mark(target):
            target.unlink(missing_ok=True)
        raise


def _is_mark(path: Path, *, empty_since: float | None = None) -> bool:
    try:
        facts = path.lstat()
        if facts.st_size == 0 and empty_since is not None:
            return facts.st_mtime >= empty_since
        return facts.st_size == len(_MARK) and path.read_bytes() == _MARK
    except OSError:
        return False


_WAYS: tuple[Callable[[Path, Path], None], ...] = (_renamed, _linked, _reserved)


def set_aside(path: Path, why: str = "unreadable") -> Path | None:
    """Rename what cannot be read, or is replaced, so that it is kept and no longer in the way.

    Args:
        why: a word of the new name.

    Returns:
        Its new name, or None when nothing is there (any more).

    Raises:
        OSError: the system refuses.
    """
    aside = _moved(path, path, why)
    if aside is not None:
        log.warning("%s is %s; it is kept as %s", path, why, aside.name)
    return aside


def _moved(path: Path, named_after: Path, word: str) -> Path | None:
    """Rename a file or folder to ``NAME.WORD-TIME``; None when it is not there."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        extra = f"-{number}" if number else ""
        goal = named_after.with_name(f"{named_after.name}.{word}-{stamp}{extra}")
        try:
            # `place` names files; a folder is renamed, which fails where another one holds files.
            os.rename(path, goal) if path.is_dir() else place(path, goal)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                continue
            raise
        return goal
    raise OSError(errno.EEXIST, "too many files were set aside", str(path))


def refuse_taken(target: Path, *, force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        TargetTaken: something lies there and `force` is not given.
    """
    if not force and os.path.lexists(target):
        raise taken(target)


def taken(target: Path) -> TargetTaken:
    """Make the error for a place that is taken."""
    return TargetTaken(
        f"{target} is there already.", hint="Add --force to overwrite it, or choose another name."
    )


# --- several files that belong together --------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """A part, its place, and the hidden name that what is there now gets meanwhile."""

    part: Path
    target: Path
    backup: Path
    size: int
    mtime_ns: int

    def is_done(self) -> bool:
        try:
            facts = self.target.lstat()
        except OSError:
            return False
        return (facts.st_size, facts.st_mtime_ns) == (self.size, self.mtime_ns)

    def to_json(self) -> dict[str, Any]:
        return {
            "part": str(self.part),
            "target": str(self.target),
            "backup": str(self.backup),
            "size": self.size,
            "mtime_ns": self.mtime_ns,
        }

    @classmethod
    def from_json(cls, data: Any) -> _Step:
        part, target, backup = (Path(data[key]) for key in ("part", "target", "backup"))
        return cls(part, target, backup, int(data["size"]), int(data["mtime_ns"]))


class Staging:
    """Files on their way to their places; use as a context manager.

    Args:
        home: where the note of it is kept; None for the user's home of facepick.
    """

    def __init__(self, home: Path | None = None) -> None:
        self._home = home_dir() if home is None else home
        self._folder = self._home / "unfinished"
        self._token = secrets.token_hex(6)
        self._lock: FileLock | None = None
        self._parts: list[Path] = []
        self._steps: list[_Step] = []

    def __enter__(self) -> Staging:
        # Where no note can be kept (a full or read-only home) only a kill would leave anything.
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / f"{self._token}.lock")
            if lock.take():
                self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)
            self._lock.free()
            with contextlib.suppress(OSError):
                self._lock.path.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self._folder / f"{self._token}.json"

    def _write_note(self) -> None:
        if self._lock is None:
            return
        data = {
            "parts": [str(p) for p in self._parts],
            "steps": [step.to_json() for step in self._steps],
        }
        with contextlib.suppress(OSError):
            write_json(self._note, data, durable=True)

    def part(self, target: Path) -> Path:
        """Name a hidden part beside `target` that is taken away at the end, come what may."""
        # Short: the name itself may be as long as the file system allows.
        part = target.with_name(f".facepick-{self._token}-{len(self._parts)}.part")
        self._parts.append(part)
        self._write_note()
        return part

    @contextmanager
    def writing(self, target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
        """Lend a part and a file to write it with; it is on the disk when the block ends."""
        part = self.part(target)
        with open(part, "wb") as file:
            yield part, file
            file.flush()
            os.fsync(file.fileno())

    def bring(self, file: Path, target: Path, *, cancel: CancelToken = never) -> Path:
        """Make a part that holds what `file` holds: a second name of it, or a copy elsewhere.

        Raises:
            OSError: it cannot be written.
            Cancelled.
        """
        part = self.part(target)
        try:
            os.link(file, part)
            return part
        except OSError as error:
            log.debug("%s is copied to %s: %s", file, part, error)
        with open(file, "rb") as source, open(part, "wb") as copy:
            while piece := source.read(PIECE_BYTES):
                cancel.raise_if_cancelled()
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        return part

    def publish(
        self, pairs: Sequence[tuple[Path | None, Path]], *, may_replace: Callable[[Path], bool]
    ) -> None:
        """Give parts their names, all of them or none.

        Args:
            pairs: part and target, the most important last; no part: what is at the target goes.
            may_replace: whether what is at a target may be overwritten; asked at the last moment.

        Raises:
            TargetTaken: something that may not be overwritten has one of the names.
            OSError: the system refuses.
        """
        lock = locked(self._home / "publish.lock") if self._lock else contextlib.nullcontext()
        with lock:
            self._steps = [self._step(part, target) for part, target in pairs]
            self._write_note()
            placed: list[_Step] = []
            try:
                for step in self._steps:
                    _do(step, may_replace)
                    placed.append(step)
            except BaseException:
                for step in reversed(placed):
                    _undo(step)
                self._steps = []
                raise
            for step in self._steps:
                step.backup.unlink(missing_ok=True)
            for folder in {step.target.parent for step in self._steps}:
                _sync_folder(folder)
            self._steps = []

    def _step(self, part: Path | None, target: Path) -> _Step:
        backup = self.part(target)
        if part is None:
            return _Step(backup.with_suffix(".none"), target, backup, -1, -1)
        facts = part.stat()
        return _Step(part, target, backup, facts.st_size, facts.st_mtime_ns)


def _do(step: _Step, may_replace: Callable[[Path], bool]) -> None:
    there = os.path.lexists(step.target)
    if there and (step.target.is_dir() or not may_replace(step.target)):
        raise taken(step.target)
    if there and step.size >= 0 and _second_name(step.target, step.backup):
        # The name always leads to a whole file: the old one or the new one.
        replace(step.part, step.target)
        return
    if there:
        replace(step.target, step.backup)
    if step.size < 0:
        return
    try:
        place(step.part, step.target)
    except OSError as error:
        if there:
            _put_back(step)
        if isinstance(error, FileExistsError):
            raise taken(step.target) from None
        raise


def _second_name(target: Path, backup: Path) -> bool:
    try:
        os.link(target, backup, follow_symlinks=False)
    except (OSError, NotImplementedError):
        return False
    return True


def _undo(step: _Step) -> None:
    """Take a published file away again and put back what was there."""
    try:
        if step.size >= 0 and step.is_done():
            if os.path.lexists(step.backup):
                replace(step.backup, step.target)
                return
            step.target.unlink()
        if os.path.lexists(step.backup):
            _put_back(step)
    except OSError as error:
        log.warning("%s cannot be put back: %s", step.target, error)


def _put_back(step: _Step) -> None:
    try:
        place(step.backup, step.target)
    except FileExistsError:
        # Somebody was faster; what was overwritten is kept under a name of its own, unless it
        # is that very file.
        if not os.path.samefile(step.backup, step.target):
            _moved(step.backup, step.target, "before")


def _sync_folder(folder: Path) -> None:
    """Let the new names survive a power cut, where folders can be asked to."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(home: Path | None = None) -> int:
    """Take away what killed processes left beside users' files; gives how many were found.

    Files whose publishing was cut off half-way are all there afterwards, or none of them.
    """
    folder = (home_dir() if home is None else home) / "unfinished"
    if not folder.is_dir():
        return 0
    found = 0
    for file in sorted(folder.glob("*.lock")):
        lock = FileLock(file)
        try:
            if not lock.take():
                continue  # its process is at work
        except OSError:
            continue
        try:
            _clear(file.with_suffix(".json"))
            file.unlink(missing_ok=True)
            found += 1
        except OSError as error:
            log.warning("%s: %s", file, error)
        finally:
            lock.free()
    return found


def _clear(note: Path) -> None:
    try:
        since = note.stat().st_mtime
        data = read_json(note)
        parts = [Path(str(p)) for p in data["parts"]]
        steps = [_Step.from_json(step) for step in data["steps"]]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read: %s", note, error)
        set_aside(note)
        return
    for step in steps:
        if _is_mark(step.target, empty_since=since - 1.0) and os.path.lexists(step.part):
            step.target.unlink()
    files = [step for step in steps if step.size >= 0]
    if files and not files[-1].is_done():
        for step in reversed(steps):
            _undo(step)
    for part in parts:
        # Only names of our making: the note may have been tampered with.
        if part.name.startswith(".facepick-") and part.suffix == ".part":
            part.unlink(missing_ok=True)
    note.unlink()


# --- small files: JSON, pictures ---------------------------------------------------------------


def write_output(path: Path, data: bytes | str, *, force: bool = False) -> None:
    """Write a small file that a user asked for; it appears whole or not at all.

    A file that facepick wrote itself, and that nobody has changed since, is replaced.

    Raises:
        TargetTaken: something else lies there and `force` is not given.
        OSError: it cannot be written; what was there still is.
    """
    path = Path(os.path.abspath(path))
    content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    if _is_stream(path):
        path.write_bytes(content)
        return
    write_outputs({path: content}, force=force)


def write_outputs(files: Mapping[Path, bytes], *, force: bool = False) -> None:
    """Write files that belong together, as `write_output`: all of them or none."""
    known = Written()
    with Staging() as staging:
        pairs: list[tuple[Path | None, Path]] = []
        for path, content in files.items():
            target = Path(os.path.abspath(path))
            with staging.writing(target) as (part, file):
                file.write(content)
            pairs.append((part, target))
        staging.publish(pairs, may_replace=lambda target: force or known.has(target))
    known.add([target for _, target in pairs])


def refuse_input(path: Path, made_of: Iterable[Path]) -> None:
    """Refuse to write to a file that the output is made of, by whatever name; ``--force`` or not.

    Raises:
        UserInputError: it is one of them, or a link to one.
    """
    for file in made_of:
        if os.path.abspath(path) == os.path.abspath(file) or (
            path.exists() and file.exists() and path.samefile(file)
        ):
            raise UserInputError(
                f"The output would overwrite {path.name}, which it is made of.",
                hint="Give another name.",
            )


def refuse_output(path: Path, *, force: bool = False) -> None:
    """Refuse at once what `write_output` would refuse after a long computation.

    Raises:
        TargetTaken: something that facepick did not write lies there.
    """
    path = Path(os.path.abspath(path))
    if not force and os.path.lexists(path) and not _is_stream(path) and not Written().has(path):
        raise taken(path)


def _is_stream(path: Path) -> bool:
    """Tell whether it is a pipe or /dev/stdout, which must not be replaced by a file."""
    return path.exists() and not path.is_file() and not path.is_dir()


class Written:
    """The small files that facepick wrote, each with its size and time of change.

    Args:
        file: where they are noted; None for the user's home of facepick.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = home_dir() / "written.json" if file is None else file

    def has(self, path: Path) -> bool:
        """Tell whether what lies there is what facepick wrote there last."""
        try:
            facts = path.lstat()
        except OSError:
            return False
        return self._load().get(str(path)) == [facts.st_size, facts.st_mtime_ns]

    def add(self, paths: Iterable[Path]) -> None:
        """Remember files as they are now; where that fails, they count as the user's."""
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._file.with_name(f".{self._file.name}.lock")):
                known = self._load()
                if not known and self._file.exists():
                    set_aside(self._file)
                for path in paths:
                    facts = path.lstat()
                    known.pop(str(path), None)
                    known[str(path)] = [facts.st_size, facts.st_mtime_ns]
                kept = list(known.items())[-MAX_REMEMBERED:]
                write_json(self._file, dict(kept))

    def _load(self) -> dict[str, Any]:
        try:
            data = read_json(self._file, max_bytes=MAX_BYTES)
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}
