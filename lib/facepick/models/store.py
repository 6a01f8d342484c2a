"""Locate model files and download missing ones.

Nothing is downloaded when this module is imported or an engine is opened: only
`ModelStore.fetch` goes out, and only because a person asked for it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.errors import MissingModelError, ModelMismatchError
from facepick.models.spec import ModelSpec
from facepick.paths import home_dir
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.unchanged import sha256_of

if TYPE_CHECKING:
    from facepick.models.fetch import Patience

__all__ = ["BUNDLED_DIR", "ModelStore", "default_store", "search_folders", "sha256_of"]

log = logging.getLogger("facepick.models.store")

BUNDLED_DIR = Path(__file__).resolve().parent / "data"

# Hashing 4 MiB takes about 4 ms, less than reading and writing a note about it.
_REMEMBER_FROM_BYTES = 4 * 1024 * 1024


class ModelStore:
    """Store that finds model files in folders and fetches missing ones.

    A file counts only if its content is right: its sha256 is compared with the catalogue's once
    and remembered together with the file's size and time of change.  Files that circulate in
    several versions are found by name alone.

    Args:
        folders: searched in this order, each with its direct subfolders; a folder that does not
            exist is passed over.
        fetch_dir: where `fetch` puts files; searched after `folders`.
        patience: how long `fetch` waits for a slow or silent server.
        page: whether users sit before a page, where a button fetches models; `how_to_get` names
            that button then and no command.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        fetch_dir: Path,
        *,
        patience: Patience | None = None,
        page: bool = False,
    ) -> None:
        self._fetch_dir = Path(fetch_dir)
        self._folders = tuple(dict.fromkeys([*map(Path, folders), self._fetch_dir]))
        self._patience = patience
        self._page = page
        self._hashes = _HashMemory(self._fetch_dir / ".hashes.json")

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that is searched, in order, without the package's own."""
        return self._folders

    @property
    def fetch_dir(self) -> Path:
        """Folder into which files are fetched."""
        return self._fetch_dir

    def find(self, spec: ModelSpec) -> Path | None:
        """Find the file, or None when no searched folder holds it with the right content."""
        for path in self._candidates(spec):
            if self._is_right(path, spec):
                return path
            log.warning("%s is not the file that %s needs; looking on", path, spec.id)
        return None

    def require(self, spec: ModelSpec) -> Path:
        """Find the file, or say how to get it.

        Raises:
            ModelMismatchError: only files with the right name and the wrong content are there.
            MissingModelError: it is nowhere; the error says how to get it.
        """
        found = self.find(spec)
        if found is not None:
            return found
        wrong = list(self._candidates(spec))
        if wrong:
            raise ModelMismatchError(
                f"{wrong[0]} is not the {spec.file} that facepick knows: its content differs.",
                hint=f"Replace it. {self.how_to_get(spec)}",
            )
        raise MissingModelError(
            _missing_sentence(spec), hint=self.how_to_get(spec), models=(spec.id,)
        )

    def fetch(
        self,
        spec: ModelSpec,
        *,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> Path:
        """Find the file, after getting it if it was missing.

        Sources are tried in order.  A broken download is resumed at the next call; the file
        appears under its name only when it is whole and its sha256 is right.  Two processes
        that fetch the same file wait for each other.

        Raises:
            MissingModelError: no source had it (all failures are named), or there is none and
                the user must bring the file, or the disk is full.
            Cancelled: `cancel` was set; what was received stays for the next call.
        """
        from facepick.models.fetch import Patience, fetch_into

        found = self.find(spec)
        if found is not None:
            return found
        if not spec.can_fetch:
            raise MissingModelError(
                _missing_sentence(spec), hint=self.how_to_get(spec), models=(spec.id,)
            )
        path = fetch_into(
            self._fetch_dir,
            spec,
            patience=self._patience or Patience(),
            progress=progress,
            cancel=cancel,
            by_hand=self._by_hand(spec),
            elsewhere="put the file into another model folder"
            if self._page
            else "set FACEPICK_HOME to another folder",
        )
        self._hashes.put(path, spec.sha256)
        return path

    def verify(self, spec: ModelSpec, *, cancel: CancelToken = never) -> Path:
        """Read the whole file again and compare; trusts nothing remembered.

        Raises:
            ModelMismatchError: its content is not what the catalogue says.
            MissingModelError: it is nowhere.
        """
        wrong: Path | None = None
        for path in self._candidates(spec):
            if not spec.sha256 or spec.versions or sha256_of(path, cancel=cancel) == spec.sha256:
                return path
            self._hashes.forget(path)
            wrong = wrong or path
        if wrong is not None:
            raise ModelMismatchError(
                f"{wrong} is damaged or is another file: its sha256 is not {spec.sha256[:12]}...",
                hint=f"Delete it. {self.how_to_get(spec)}",
            )
        raise MissingModelError(
            _missing_sentence(spec), hint=self.how_to_get(spec), models=(spec.id,)
        )

    def how_to_get(self, spec: ModelSpec) -> str:
        """Word in one or two sentences how a person gets the file."""
        if spec.bundled:
            return "It belongs to facepick itself: install facepick again."
        if spec.can_fetch:
            if self._page:
                return (
                    "Press “Get the models” on facepick's page, or put "
                    f"{spec.file} into {self._fetch_dir}."
                )
            return (
                f"Fetch it with: facepick models fetch {spec.id}, or put {spec.file} into "
                f"{self._fetch_dir}."
            )
        return self._by_hand(spec)

    def _by_hand(self, spec: ModelSpec) -> str:
        home = f" It is described at {spec.homepage}" if spec.homepage else ""
        return f"Put {spec.file} into {self._fetch_dir} yourself.{home}"

    def _candidates(self, spec: ModelSpec) -> Iterator[Path]:
        """List files with one of the spec's names: its own first, folder by folder."""
        names = (spec.file, *spec.aliases)
        if spec.bundled:
            path = BUNDLED_DIR / spec.file
            if path.is_file():
                yield path
        for folder in self._folders:
            for place in (folder, *_subfolders(folder)):
                for name in names:
                    path = place / name
                    if path.is_file():
                        yield path

    def _is_right(self, path: Path, spec: ModelSpec) -> bool:
        try:
            size = path.stat().st_size
            if not spec.sha256 or spec.versions:
                return size > 0
            if spec.size and size != spec.size:
                return False
            return self._hashes.get(path) == spec.sha256
        except OSError as error:
            log.warning("%s cannot be read: %s", path, error)
            return False


class _HashMemory:
    """Memory of sha256 by path, valid while the file's size and time of change stay the same.

    The note is a convenience: when it cannot be read or written, files are hashed again.
    """

    def __init__(self, note: Path) -> None:
        self._note = note
        self._known: dict[str, tuple[int, int, str]] | None = None

    def get(self, path: Path) -> str:
        stat = path.stat()
        if stat.st_size < _REMEMBER_FROM_BYTES:
            return sha256_of(path)
        entry = self._load().get(str(path.resolve()))
        if entry is not None and entry[:2] == (stat.st_size, stat.st_mtime_ns):
            return entry[2]
        digest = sha256_of(path)
        self.put(path, digest)
        return digest

    def put(self, path: Path, digest: str) -> None:
        stat = path.stat()
        if stat.st_size < _REMEMBER_FROM_BYTES:
            return
        self._known = None  # another process may have added to the note meanwhile
        known = self._load()
        known[str(path.resolve())] = (stat.st_size, stat.st_mtime_ns, digest)
        self._save(known)

    def forget(self, path: Path) -> None:
        known = self._load()
        if known.pop(str(path.resolve()), None) is not None:
            self._save(known)

    def _load(self) -> dict[str, tuple[int, int, str]]:
        if self._known is None:
            try:
                raw = json.loads(self._note.read_text(encoding="utf-8"))
                self._known = {
                    str(path): (int(size), int(changed), str(digest))
                    for path, (size, changed, digest) in raw.items()
                }
            except (OSError, ValueError, TypeError, AttributeError):
                self._known = {}
        return self._known

    def _save(self, known: dict[str, tuple[int, int, str]]) -> None:
        draft = self._note.with_name(f"{self._note.name}.{os.getpid()}")
        try:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(known, indent=0), encoding="utf-8")
            os.replace(draft, self._note)
        except OSError as error:
            log.info("the hashes of models cannot be remembered in %s: %s", self._note, error)


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _missing_sentence(spec: ModelSpec) -> str:
    size = f"{spec.size / 1e6:.1f} MB, " if spec.size else ""
    return f"The model file {spec.file} ({size}licence: {spec.licence}) is not on this machine."


def search_folders(extra: Sequence[Path] = ()) -> tuple[Path, ...]:
    """List where models are looked for: ``FACEPICK_MODELS``, the user's own folder, then `extra`.

    ``FACEPICK_MODELS`` may name several folders, separated as in ``PATH``.  Where insightface (and
    roop and others that run it) keep their models is looked into last, if it is there.
    """
    named = os.environ.get("FACEPICK_MODELS", "").split(os.pathsep)
    chosen = [Path(os.path.abspath(os.path.expanduser(n.strip()))) for n in named if n.strip()]
    shared = Path(os.path.expanduser("~/.insightface/models"))
    others = (*map(Path, extra), *((shared,) if shared.is_dir() else ()))
    return (*chosen, home_dir() / "models", *others)


def default_store(
    extra: Sequence[Path] = (), *, fetch_dir: Path | None = None, page: bool = False
) -> ModelStore:
    """Make the store that the command line, the app and the tab use.

    Args:
        extra: further folders, such as those of a host, searched last.
        fetch_dir: where fetched files are put; None for the user's own folder.
        page: see `ModelStore`.
    """
    return ModelStore(search_folders(extra), fetch_dir or home_dir() / "models", page=page)
