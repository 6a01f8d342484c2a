"""Databases of faces: one SQLite file each, opened and checked in one way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from facepick.errors import UserInputError

__all__ = ["opened"]


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
