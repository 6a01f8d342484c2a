"""Names of cues in a file of their own: ``speaker.json``, a list with one name a cue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facepick.errors import UserInputError
from facepick.files import read_json
from facepick.speech.script import Script
from facepick.speech.subtitles import Row

__all__ = ["with_names"]

_MAX_BYTES = 1_000_000
_HINT = 'It should read like: ["spk0", "spk1", "spk0"], with null where nobody is named.'


def with_names(script: Script, path: Path) -> Script:
    """Name the cues of a list; a name of the file goes before one that the cue gives itself.

    Args:
        path: JSON, a list of one name, or null, for each cue in the order of the list.

    Raises:
        UserInputError: it cannot be read, is no such list, or has not one name for each cue.
    """
    try:
        names = read_json(path, max_bytes=_MAX_BYTES)
    except OSError as error:
        raise UserInputError(f"The names {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserInputError(f"{path.name} is not JSON: {error}.", hint=_HINT) from error
    if not isinstance(names, list) or not all(n is None or isinstance(n, str) for n in names):
        raise UserInputError(f"{path.name} is no list of names.", hint=_HINT)
    count = len(script.cues) or len(script.entries)
    if len(names) != count:
        raise UserInputError(
            f"{path.name} has {len(names)} names, and {script.path.name} has {count} lines.",
            hint="One name for each line is needed, null where nobody is named.",
        )
    told = [(name or "").strip() or None for name in names]
    cues = tuple(
        cue if name is None else replace(cue, rows=(_named(cue.rows, name), *cue.rows[1:]))
        for cue, name in zip(script.cues, told, strict=False)
    )
    entries = tuple(
        entry if name is None else replace(entry, person=name)
        for entry, name in zip(script.entries, told, strict=False)
    )
    return replace(script, cues=cues, entries=entries)


def _named(rows: tuple[Row, ...], name: str) -> Row:
    first = rows[0] if rows else Row("")
    return replace(first, voice=name, opens=True)
