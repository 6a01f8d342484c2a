"""Form that a guest engine behind an address is sent, and the clip that it answers with."""

from __future__ import annotations

import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from facepick.engines.guest.description import GuestDescription
from facepick.errors import ToolError
from facepick.progress import CancelToken

__all__ = ["post_form"]

MAX_ANSWER_BYTES = 8 * 2**30
_CHUNK = 1 << 20


def post_form(guest: GuestDescription, values: Mapping[str, str], cancel: CancelToken) -> None:
    """Send ``video``, ``audio``, ``source``, ``fps`` and ``size`` as a form; keep the answer.

    Args:
        values: for every one of `facepick.engines.guest.description.PLACES`.

    Raises:
        ToolError: it cannot be reached, or answered with an error or too much.
        Cancelled: what was kept is not whole.
    """
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
