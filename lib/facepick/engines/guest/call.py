"""Call of a guest engine: a program without a shell, or an address that is sent a form."""

from __future__ import annotations

import os
import secrets
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from facepick.engines.guest.description import GuestDescription
from facepick.errors import ToolError
from facepick.programs import run_program
from facepick.progress import CancelToken

__all__ = ["call_guest", "check_guest"]

MAX_ANSWER_BYTES = 8 * 2**30
_CHUNK = 1 << 20


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
        _post(guest, values, cancel)
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


# --------------------------------------------------------------------------------------- addresses


def _post(guest: GuestDescription, values: Mapping[str, str], cancel: CancelToken) -> None:
    """Send ``video``, ``audio``, ``source``, ``fps`` and ``size`` as a form; keep the answer."""
    boundary = secrets.token_hex(16)
    files = {k: Path(values[k]) for k in ("video", "audio", "source") if values.get(k)}
    fields = {k: values[k] for k in ("fps", "size")}
    length = sum(len(piece) for piece in _form(boundary, fields, files, content=False))
    length += sum(file.stat().st_size for file in files.values())
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(length),
        **{name: _of_environment(value) for name, value in guest.headers.items()},
    }
    request = urllib.request.Request(
        guest.url, data=_form(boundary, fields, files), headers=headers, method="POST"
    )
    try:
        # No redirect is followed: the key in the headers is for this address alone.
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=guest.timeout) as answer:
            _keep(answer, Path(values["out"]), guest, cancel)
    except urllib.error.HTTPError as error:
        said = error.read(300).decode("utf-8", "replace").strip()
        raise ToolError(f"{guest.label} answered {error.code}: {said or error.reason}.") from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ToolError(
            f"{guest.label} cannot be reached: {reason}.", hint='Check "url" in its file.'
        ) from error


def _keep(answer: IO[bytes], out: Path, guest: GuestDescription, cancel: CancelToken) -> None:
    taken = 0
    with open(out, "wb") as file:
        while chunk := answer.read(_CHUNK):
            cancel.raise_if_cancelled()
            taken += len(chunk)
            if taken > MAX_ANSWER_BYTES:
                raise ToolError(f"{guest.label} sent more than it may.")
            file.write(chunk)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to follow a redirect, so that it is told as the error it is here."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _of_environment(value: str) -> str:
    """Put environment variables in the places of ``$NAME``.

    Raises:
        ToolError: one is not set.
    """
    if "$" not in value:
        return value
    words = []
    for word in value.split(" "):
        if word.startswith("$"):
            held = os.environ.get(word[1:])
            if not held:
                raise ToolError(f"The variable {word[1:]} is not set.", hint="Set it, and go on.")
            word = held
        words.append(word)
    return " ".join(words)


def _form(
    boundary: str, fields: Mapping[str, str], files: Mapping[str, Path], *, content: bool = True
) -> Iterator[bytes]:
    """Make the body of a form, piece by piece; without what the files hold if not `content`."""
    for name, value in fields.items():
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        ).encode()
    for name, path in files.items():
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{name}{path.suffix}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        ).encode()
        if content:
            with open(path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
