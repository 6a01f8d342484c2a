"""Callbacks: a job or batch that has ended is told to an address that the caller named.

A server that posts wherever a caller says can be sent to services that the caller cannot reach
(server-side request forgery).  So nothing is posted unless the owner of the server allows its
origin (``FACEPICK_CALLBACKS``); a name must lead to public addresses alone, unless the owner has
named the address itself in numbers; the address that was looked at is the one that is called; and
no redirect is followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import logging
import os
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from facepick.errors import FacepickError, UserInputError
from facepick.files import read_json, write_json

__all__ = ["CALLBACKS_VARIABLE", "CallbackAddress", "Callbacks", "post"]

log = logging.getLogger("facepick.http")

CALLBACKS_VARIABLE = "FACEPICK_CALLBACKS"
"""Environment variable with the origins that may be called, such as
``https://studio.example https://127.0.0.1:8443``."""

PAUSES = (0.0, 2.0, 10.0, 60.0, 600.0)
"""Seconds before each try: a server that is started anew takes a minute, a long mend ten."""

TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 1.0
_PORTS = {"http": 80, "https": 443}

State = Callable[[str, str], "tuple[Mapping[str, Any], bool]"]
"""Gives, for a kind (``job``, ``batch``) and an id, the state and whether it goes on."""


@dataclass(frozen=True)
class CallbackAddress:
    """An address that may be called.

    Attributes:
        scheme: ``http`` or ``https``.
        host: a name in small letters, or an address in numbers.
        port: where.
        path: with its query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def read(cls, text: object) -> CallbackAddress:
        """Read an address.

        Raises:
            UserInputError: it is none that can be called.
        """
        wrong = UserInputError('"callback_url" must be an address such as https://HOST/PATH.')
        if not isinstance(text, str) or len(text) > 2000 or re.search(r"[\x00-\x20\x7f\\]", text):
            raise wrong
        try:
            parts = urlsplit(text)
            port = parts.port or _PORTS[parts.scheme]
            host = (parts.hostname or "").encode("ascii").decode().lower()
        except (ValueError, KeyError) as error:
            raise wrong from error
        if not host or parts.username is not None or parts.password is not None:
            raise wrong
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, port, path)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what the owner of the server allows."""
        return self.scheme, self.host, self.port

    def resolved(self) -> str:
        """Find the address in numbers that is called.

        Raises:
            OSError: the name leads nowhere, or into a network that is not public.
        """
        with suppress(ValueError):
            # The owner has named it.
            return str(ipaddress.ip_address(self.host))
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            known = ipaddress.ip_address(address.partition("%")[0])
            mapped = getattr(known, "ipv4_mapped", None) or known
            if not mapped.is_global or mapped.is_multicast:
                raise OSError(f"{self.host} leads to {address}, which is not public")
        return addresses[0]


def allowed_origins(text: str) -> frozenset[tuple[str, str, int]]:
    """Read the origins that an owner allows; what is none is passed over with a warning."""
    found = set()
    for word in text.replace(",", " ").split():
        try:
            found.add(CallbackAddress.read(word).origin)
        except UserInputError:
            log.warning(
                "%s: %s is no origin such as https://studio.example", CALLBACKS_VARIABLE, word
            )
    return frozenset(found)


def post(address: CallbackAddress, data: Mapping[str, Any]) -> int:
    """Post JSON to an address; gives the status of the answer.

    Raises:
        OSError: it cannot be reached.
    """
    peer = address.resolved()
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        connection = http.client.HTTPSConnection(
            address.host, address.port, timeout=TIMEOUT_SECONDS
        )
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_SECONDS)
    plain = socket.create_connection((peer, address.port), TIMEOUT_SECONDS)
    try:
        # The address that was looked at, not what the name leads to at the next look.
        connection.sock = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=address.host)
            if address.scheme == "https"
            else plain
        )
        body = json.dumps(dict(data)).encode()
        connection.request("POST", address.path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer ({error})") from error
    finally:
        connection.close()
        plain.close()


class Callbacks:
    """Callbacks of one server: kept in a folder, so that they outlive it.

    Args:
        folder: a file for each that is not told yet.
        state: of jobs and batches.
        allowed: origins; those of the environment when None.
    """

    def __init__(self, folder: Path, state: State, allowed: str | None = None) -> None:
        self._folder, self._state = folder, state
        text = os.environ.get(CALLBACKS_VARIABLE, "") if allowed is None else allowed
        self._allowed = allowed_origins(text)
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def checked(self, url: object) -> str:
        """Check an address that a caller has named.

        Raises:
            UserInputError: it is none, or the owner of the server does not allow it.
        """
        address = CallbackAddress.read(url)
        if address.origin not in self._allowed:
            raise UserInputError(
                f"This server calls nobody at {address.scheme}://{address.host}:{address.port}.",
                hint=f"Its owner allows addresses in {CALLBACKS_VARIABLE}.",
            )
        return str(url)

    def add(self, kind: str, name: str, url: str) -> None:
        """Call an address, which was checked, when a job or batch has ended."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}-{secrets.token_hex(4)}.json"
        write_json(path, {"kind": kind, "id": name, "url": url, "tries": 0, "next": 0.0})
        self.start()

    def start(self) -> None:
        """Look after what is not told yet, in a thread that ends when all is."""
        with self._guard:
            if (self._thread is None or not self._thread.is_alive()) and self._waiting():
                self._thread = threading.Thread(
                    target=self._run, name="facepick-callbacks", daemon=True
                )
                self._thread.start()

    def _waiting(self) -> list[Path]:
        return sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []

    def _run(self) -> None:
        while True:
            for path in self._waiting():
                with suppress(OSError, ValueError, KeyError):
                    self.look(path)
            with self._guard:
                if not self._waiting():
                    self._thread = None
                    return
            time.sleep(POLL_SECONDS)

    def look(self, path: Path) -> None:
        """Tell one if it is time to; what was told, or tried often enough, is forgotten."""
        note = read_json(path)
        if time.time() < note["next"]:
            return
        try:
            data, goes_on = self._state(note["kind"], note["id"])
        except FacepickError:
            # Somebody has removed it.
            path.unlink(missing_ok=True)
            return
        if goes_on:
            return
        why = self._told(note["url"], data)
        if why is None:
            path.unlink(missing_ok=True)
            return
        tries = note["tries"] + 1
        if tries >= len(PAUSES):
            log.warning("%s was not told to %s: %s", note["id"], note["url"], why)
            path.unlink(missing_ok=True)
            return
        write_json(path, {**note, "tries": tries, "next": time.time() + PAUSES[tries]})

    def _told(self, url: str, data: Mapping[str, Any]) -> str | None:
        """Tell it; gives why that has failed."""
        try:
            # The owner may have changed his mind since.
            status = post(CallbackAddress.read(self.checked(url)), data)
        except (OSError, UserInputError) as error:
            return str(error)
        return None if 200 <= status < 300 else f"the answer was {status}"
