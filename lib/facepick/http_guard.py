"""Who may call the HTTP API, and how much they may send.

The API listens on this machine only and knows no users, but a browser on this machine also runs
the pages of strangers.  Three ways lead from such a page to a port of this machine:

* a form or script that posts without reading the answer (cross-site request forgery): it carries
  an ``Origin``, or ``Sec-Fetch-Site``, of another site;
* a name of the stranger's that suddenly stands for 127.0.0.1 (DNS rebinding): then the ``Host`` is
  that name.  An address in numbers, or ``localhost``, cannot be rebound;
* a script that reads the answer: browsers forbid it unless a server agrees, which this one never
  does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MAX_BODY_BYTES", "guarded_route", "refusal"]

MAX_BODY_BYTES = 96 * 2**20
"""Bodies are held in memory.  A plan has at most a few MB; twenty photos of 3.5 MB in base64, a
third larger than the files, fit."""

_PORT = re.compile(r":\d{1,5}$")


def refusal(headers: Mapping[str, str]) -> str | None:
    """Why a request is refused, as a sentence, or None.

    Args:
        headers: of the request; looked up in small letters.
    """
    host = headers.get("host", "")
    if not _is_fixed(host):
        return "Call this server by its address in numbers, or as localhost."
    origin = headers.get("origin")
    if origin is not None and origin.rpartition("://")[2].lower() != host.lower():
        return "Pages of other sites may not call this server."
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "Pages of other sites may not call this server."
    return None


def _is_fixed(host: str) -> bool:
    """Whether a ``Host`` header is an address or ``localhost``, which no name server decides."""
    name = _PORT.sub("", host.strip().lower())
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def guarded_route() -> type[Any]:
    """A route class for FastAPI's ``APIRouter`` that refuses before the body is read.

    Bodies larger than `MAX_BODY_BYTES` are refused too, whether or not their length was announced.
    """
    from fastapi import Request
    from fastapi.responses import JSONResponse
    from fastapi.routing import APIRoute

    def refused(status: int, sentence: str) -> Any:
        return JSONResponse({"error": sentence}, status_code=status)

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Any:
            inner = super().get_route_handler()

            async def handler(request: Request) -> Any:
                reason = refusal(request.headers)
                if reason is not None:
                    return refused(403, reason)
                too_large = refused(413, f"At most {MAX_BODY_BYTES >> 20} MB may be sent.")
                announced = request.headers.get("content-length", "0")
                if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
                    return too_large
                body = bytearray()
                async for part in request.stream():
                    body += part
                    if len(body) > MAX_BODY_BYTES:
                        return too_large

                async def receive() -> dict[str, Any]:
                    return {"type": "http.request", "body": bytes(body), "more_body": False}

                return await inner(Request(request.scope, receive))

            return handler

    return GuardedRoute
