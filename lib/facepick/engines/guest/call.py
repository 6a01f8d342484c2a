"""Call of a guest engine: a program without a shell, or an address that is sent a form."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from facepick.engines.guest.description import GuestDescription
from facepick.errors import ToolError
from facepick.programs import run_program
from facepick.progress import CancelToken

__all__ = ["call_guest", "check_guest"]


def check_guest(guest: GuestDescription) -> None:
    """Check that the program is there; whether it works is seen by `facepick engines test`.

    Raises:
        ToolError: it is not.
    """
    if not guest.command:
        return
    path = guest.child_environment().get("PATH")
    program = guest.command[0]
    if guest.folder and not Path(guest.folder).is_dir():
        raise ToolError(f"{guest.label}: there is no folder {guest.folder}.", hint=_HINT)
    local = Path(guest.folder or ".") / program
    if shutil.which(program, path=path) is None and not local.is_file():
        raise ToolError(f"{guest.label}: there is no program {program}.", hint=_HINT)


_HINT = "Give its whole path in the engine's file; see: facepick engines list"


def call_guest(
    guest: GuestDescription, values: Mapping[str, str], *, log: Path, cancel: CancelToken
) -> None:
    """Have one clip made.

    Args:
        values: for every one of `facepick.engines.guest.description.PLACES`.
        log: what the program says is written there.

    Raises:
        ToolError: it is not there, ended with an error, or took too long.
        Cancelled: it was ended.
    """
    if guest.url:
        from facepick.engines.guest.form import post_form

        post_form(guest, values, cancel)
        return
    run_program(
        guest.argv(values),
        what=guest.label,
        hint=f'All it said is in {log}. Where it needs longer, set "timeout" in its file.',
        timeout=guest.timeout,
        log=log,
        environment=guest.child_environment(),
        folder=guest.folder or None,
        cancel=cancel,
    )
