"""Databases of faces: one SQLite file each, opened and checked in one way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from facepick.errors import UserInputError

__all__ = ["opened", "stored_facts"]


@contextmanager
def opened(
    path: Path, schema: str, *, what: str, option: str, create: bool = False
) -> Iterator[sqlite3.Connection]:
    """Open a database for one transaction, kept when the block ends without an error.

    Args:
        path: of the file.
        schema: statements that make its tables where they are missing.
        what: what it is, for messages: ``cast``.
        option: of the command line that names another one: ``--cast``.
        create: make file and tables where they are missing.

    Raises:
        UserInputError: the file is something else, damaged, or cannot be written.
    """
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=30.0)) as base:
            base.execute("PRAGMA foreign_keys = ON")
            if create:
                base.executescript(schema)
            with base:
                if create:
                    # What is read first must still hold when it is written to.
                    base.execute("BEGIN IMMEDIATE")
                yield base
    except sqlite3.DatabaseError as error:
        raise UserInputError(
            f"{path} is no {what} that can be read ({error}).",
            hint=f"Name another file with {option}, or move this one away.",
        ) from error


def stored_facts(
    path: Path, *, tables: set[str], version: str, what: str, option: str
) -> dict[str, str]:
    """Read a database's table of facts; empty while there is nothing in it.

    Args:
        path: of the file, which may not be there.
        tables: those that it must have, the facts' own ``meta`` among them.
        version: what its ``format`` must be.
        what, option: see `opened`.

    Raises:
        UserInputError: the file is something else, damaged, or of another version.
    """
    if not path.is_file():
        return {}
    with opened(path, "", what=what, option=option) as base:
        there = {row[0] for row in base.execute("SELECT name FROM sqlite_master")}
        if there and not tables <= there:
            raise UserInputError(
                f"{path} is a database of something else.",
                hint=f"Name another file with {option}.",
            )
        facts = dict(base.execute("SELECT key, value FROM meta")) if there else {}
    if facts and facts.get("format") != version:
        raise UserInputError(
            f"{path.name} is a {what} of another version of facepick.",
            hint=f"Update facepick, or name another file with {option}.",
        )
    return facts
