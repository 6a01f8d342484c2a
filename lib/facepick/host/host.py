"""Interface of the program that facepick runs in.

There are two hosts: the standalone app and command line (`facepick.host.standalone`) and the
Stable Diffusion WebUI (`facepick.host.webui`).  A host only answers questions; heavy work runs in
child processes, which learn the answers through `child_environment`.

A child is told by its environment, besides FACEPICK_HOME and FACEPICK_DEVICE:

``FACEPICK_MODELS``
    every folder that its parent looks into for model files, in the same order.
``FACEPICK_FETCH_DIR``
    where fetched model files are put.
``FACEPICK_PAGE``
    ``1`` when whoever reads its sentences sits before a page and not at a command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from facepick.errors import UserInputError
from facepick.models.store import search_folders

__all__ = ["Host", "allowed_path", "existing", "model_environment", "python_path"]


@runtime_checkable
class Host(Protocol):
    """The program around facepick."""

    @property
    def name(self) -> str:
        """As shown by ``facepick doctor``: ``standalone``, ``A1111``, ``Forge``."""
        ...

    def home(self) -> Path:
        """Return the folder of cache, jobs, cast and fetched models."""
        ...

    def outputs(self) -> Path:
        """Return the folder of the tab's results; its files may be served to browsers."""
        ...

    def model_folders(self) -> tuple[Path, ...]:
        """List further folders in which model files may lie; only those that exist."""
        ...

    def fetch_dir(self) -> Path:
        """Return the folder into which model files are fetched, and into which users put theirs."""
        ...

    def has_page(self) -> bool:
        """Tell whether users sit before a page, where a button fetches models, not a command
        line."""
        ...

    def input_roots(self) -> tuple[Path, ...]:
        """List folders below which a browser user may name files of this machine; may be empty."""
        ...

    def device(self) -> str:
        """Return one of `facepick.models.device.DEVICES`."""
        ...

    def can_unload(self) -> bool:
        """Tell whether the host has models of its own on the device that `unload` would take off
        it."""
        ...

    def unload(self) -> bool:
        """Take the host's own models off the device; False when it is working with them."""
        ...

    def can_load_back(self) -> bool:
        """Tell whether `unload` was called and the host does not load its models again by
        itself."""
        ...

    def load_back(self) -> bool:
        """Put them back; False when the host is working."""
        ...

    def language(self) -> str | None:
        """Return ``en`` or ``zh``, or None to follow the browser."""
        ...

    def child_environment(self) -> dict[str, str]:
        """Build what a child process needs in its environment, besides this process' own."""
        ...


def model_environment(host: Host) -> dict[str, str]:
    """Tell a child process how to find and fetch the same model files as this process."""
    folders = existing(search_folders(host.model_folders()))
    return {
        "FACEPICK_MODELS": os.pathsep.join(map(str, folders)),
        "FACEPICK_FETCH_DIR": str(host.fetch_dir()),
        "FACEPICK_PAGE": "1" if host.has_page() else "",
    }


def python_path() -> str:
    """Build the ``PYTHONPATH`` with which a child process finds this very copy of facepick."""
    lib = str(Path(__file__).resolve().parents[2])
    inherited = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    return os.pathsep.join([lib, *(p for p in inherited if p != lib)])


def allowed_path(host: Host, name: str, *, folders: bool = False) -> Path:
    """Check a file of this machine that a browser user named.

    Symbolic links are followed first, so that a link inside an allowed folder opens no door.

    Args:
        folders: it may be a folder, too.

    Raises:
        UserInputError: outside every allowed folder, or no file.  Both say the same, so that
            nobody can ask which files exist.
    """
    roots = [root.resolve() for root in host.input_roots()]
    places = ", ".join(str(root) for root in roots) or "none"
    wrong = UserInputError(
        f"{name!r} is no file that may be opened here.",
        hint=f"Upload it, or put it below one of these folders: {places}.",
    )
    if not name.strip() or "\0" in name:
        raise wrong
    try:
        path = Path(name.strip().strip('"')).expanduser()
    except RuntimeError:
        raise wrong from None
    candidates = [path] if path.is_absolute() else [root / path for root in roots]
    for candidate in candidates:
        try:
            real = candidate.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            # ValueError: a name that no file can have, such as one with lone surrogates.
            continue
        kind = real.is_file() or (folders and real.is_dir())
        if kind and any(real.is_relative_to(root) for root in roots):
            return real
    raise wrong


def existing(folders: Mapping[str, Path] | tuple[Path, ...]) -> tuple[Path, ...]:
    """Keep those folders that exist, each once."""
    values = folders.values() if isinstance(folders, Mapping) else folders
    return tuple(dict.fromkeys(p for p in values if p.is_dir()))
