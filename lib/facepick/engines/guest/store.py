"""Store of the guest engines that a user has added: one TOML file each below the user folder."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from facepick.engines.guest.description import MAX_BYTES, GuestDescription, read_description
from facepick.errors import FacepickError, UserInputError
from facepick.files import read_plain, replace
from facepick.paths import home_dir

__all__ = ["add_guest", "guest_file", "guests", "remove_guest"]

log = logging.getLogger("facepick.engines.guest")


def guest_file(name: str) -> Path:
    """Name the file of a guest engine, whether it is there or not."""
    return home_dir() / "engines" / f"{name}.toml"


def guests() -> list[GuestDescription]:
    """Read all guest engines, by name; what cannot be read is passed over with a warning."""
    found = []
    for path in sorted((home_dir() / "engines").glob("*.toml")):
        try:
            found.append(read_description(path))
        except FacepickError as error:
            log.warning("%s", error.sentence())
    return found


def add_guest(name: str, file: Path, *, force: bool = False) -> GuestDescription:
    """Check a description and keep a copy of it.

    Args:
        force: take the place of one with the same name.

    Raises:
        UserInputError: the file says something that cannot be, or the name is taken.
    """
    description = read_description(file, name=name)
    kept = guest_file(name)
    if kept.exists() and not force:
        raise UserInputError(
            f"There already is a guest engine {name}.", hint="Take another name, or --force."
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    part.write_bytes(read_plain(file, max_bytes=MAX_BYTES))
    replace(part, kept)
    return description


def remove_guest(name: str) -> None:
    """Forget a guest engine; its own files are not touched.

    Raises:
        UserInputError: there is none of this name.
    """
    if not re.fullmatch(r"[\w-]+", name) or not guest_file(name).is_file():
        raise UserInputError(
            f"There is no guest engine {name!r:.60}.", hint="See: facepick engines list"
        )
    guest_file(name).unlink(missing_ok=True)
