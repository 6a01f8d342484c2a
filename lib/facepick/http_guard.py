"""Guard of a server: who may call it, and how much they may send.

A server listens on this machine, but a browser on this machine also runs the pages of strangers.
Three ways lead from such a page to a port of this machine:

* a form or script that posts without reading the answer (cross-site request forgery): it carries
  an ``Origin``, or ``Sec-Fetch-Site``, of another site;
* a name of the stranger's that suddenly stands for 127.0.0.1 (DNS rebinding): then the ``Host`` is
  that name.  An address in numbers, or ``localhost``, cannot be rebound;
* a script that reads the answer: browsers forbid it unless a server agrees, which this one never
  does.

`Guard` stands before everything that the standalone app serves; `guarded_route` before the API
alone, which in a WebUI shares the server with the host's own pages.  Who serves a network gives a
token to those who may come in.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

__all__ = ["MAX_BODY_BYTES", "Guard", "guarded_route", "is_loopback", "refusal"]

log = logging.getLogger("facepick.http")

MAX_BODY_BYTES = 96 * 2**20
"""Bodies are held in memory.  A plan has at most a few MB; twenty photos of 3.5 MB in base64, a
third larger than the files, fit."""

BODY_PAUSE_SECONDS = 30.0
"""A body of which nothing comes for so long is not going to be whole."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PORT = re.compile(r":\d{1,5}$")
# Set in a request that has passed `Guard`, so that the routes of the API need not ask again.
_PASSED = "facepick.guard"


def refusal(headers: Mapping[str, str], *, names: Collection[str] = ()) -> str | None:
    """Say why a request is refused, as a sentence, or None.

    Args:
        headers: of the request; looked up in small letters.
        names: host names that may be called besides addresses and ``localhost``, in small letters.
    """
    host = headers.get("host", "").strip().lower()
    if not _is_fixed(host) and _PORT.sub("", host) not in names:
        return (
            "Call this server by its address in numbers, or as localhost; other names are let in "
            "by: facepick ui --allow-host NAME"
        )
    origin = headers.get("origin")
    if origin is not None and origin.rpartition("://")[2].lower() != host:
        return "Pages of other sites may not call this server."
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "Pages of other sites may not call this server."
    return None


def is_loopback(host: str) -> bool:
    """Tell whether an address that is listened at can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_fixed(host: str) -> bool:
    """Tell whether a ``Host`` header is an address or ``localhost``, which no name server
    decides."""
    name = _PORT.sub("", host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: stands before pages, files, queue, uploads, web sockets and the API.

    Args:
        app: what is guarded.
        names: host names that may be called besides addresses and ``localhost``.
        token: what a caller must know, or None when nobody else can reach the server.  A browser
            brings it once (``?token=``) and then as a cookie, a program as
            ``Authorization: Bearer``.
    """

    def __init__(self, app: Any, *, names: Collection[str] = (), token: str | None = None) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it in a sentence."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        # Following a link to the page is no call by another page: nothing is read or changed.
        followed = (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and scope["path"] == "/"
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") == "document"
        )
        asked = {**headers, "sec-fetch-site": "none"} if followed else headers
        reason = refusal(asked, names=self._names)
        if reason is not None:
            await _refuse(scope, send, 403, reason)
            return
        if any(letter < " " for letter in scope["path"]):
            # No file or job is called so, and a log has one line for each call.
            await _refuse(scope, send, 400, "The address holds control characters.")
            return
        if self._token is not None and not self._knows(scope, headers):
            await self._ask(scope, headers, send)
            return
        scope[_PASSED] = True
        if scope["type"] == "http":
            await self._watched(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    # --- who may come in -------------------------------------------------------------------

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), (self._token or "").encode())

    def _knows(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(scope))
        except CookieError:
            cookie = None
        if cookie is not None and self._is_token(cookie.value):
            return True
        # gradio calls its own server once when it has started.
        client = (scope.get("client") or ("",))[0]
        own = scope["path"].rstrip("/").endswith("/startup-events")
        return own and is_loopback(client)

    async def _ask(self, scope: Scope, headers: Mapping[str, str], send: Send) -> None:
        """Let a caller in who brings the token in the address, and tell others that it lacks."""
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        is_get = scope["type"] == "http" and scope["method"] == "GET"
        if is_get and given is not None and self._is_token(given.strip()):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            # The address without the token: it shall not stay in sight, nor be sent elsewhere.
            where = "/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else "")
            cookie = f"{_cookie_name(scope)}={self._token}; HttpOnly; Path=/; SameSite=Lax"
            more = [("location", where), ("set-cookie", cookie), ("referrer-policy", "no-referrer")]
            await _answer(send, 303, b"", "text/plain", more)
            return
        if given is not None:
            # Nobody shall try thousands.
            await asyncio.sleep(1.0)
        if is_get and "text/html" in headers.get("accept", ""):
            await _answer(send, 401, _ASKING.encode(), "text/html; charset=utf-8")
        else:
            await _refuse(scope, send, 401, "Send the token: Authorization: Bearer TOKEN")

    # --- what they send --------------------------------------------------------------------

    async def _watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and end it when its body stops coming."""
        whole = begun = broken = False

        async def watched_receive() -> Message:
            nonlocal whole, broken
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), BODY_PAUSE_SECONDS)
            except asyncio.TimeoutError:
                broken = True
                if not begun:
                    sentence = f"Nothing came for {BODY_PAUSE_SECONDS:g} s."
                    await _refuse(scope, send, 408, sentence, close=True)
                return {"type": "http.disconnect"}
            if message["type"] == "http.disconnect":
                broken = True
            elif not message.get("more_body", False):
                whole = True
            return message

        async def watched_send(message: Message) -> None:
            nonlocal begun
            if not broken:
                begun = True
                await send(message)

        try:
            await self._app(scope, watched_receive, watched_send)
        except Exception:
            if not broken:
                raise
        if broken:
            log.warning("%s %s was broken off.", scope["method"], scope["path"])


def _cookie_name(scope: Scope) -> str:
    # Cookies are not kept apart by port.
    return f"facepick-{(scope.get('server') or ('', 0))[1]}"


_ASKING = """<!doctype html><html><head><meta charset="utf-8"><title>facepick</title>
<meta name="viewport" content="width=device-width">
<style>body{font:16px sans-serif;max-width:32em;margin:20vh auto;padding:0 1em}</style></head>
<body><form method="get"><label>facepick printed a token when it was started.
<span lang="zh">facepick 启动时显示了访问令牌。</span><br><br>
<input name="token" type="password" autofocus autocomplete="off"></label>
<button>OK</button></form></body></html>"""


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    kind: str,
    more: Collection[tuple[str, str]] = (),
) -> None:
    headers = [("content-type", kind), ("content-length", str(len(body))), *more]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _refuse(
    scope: Scope, send: Send, status: int, sentence: str, *, close: bool = False
) -> None:
    if scope["type"] == "websocket":
        # Before it was accepted: the server answers 403.
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"error": sentence}).encode()
    await _answer(
        send, status, body, "application/json", [("connection", "close")] if close else []
    )


def guarded_route() -> type[Any]:
    """Make a route class for FastAPI's ``APIRouter`` that refuses before the body is read.

    Bodies larger than `MAX_BODY_BYTES` are refused too, whether or not their length was announced,
    and so are those that stop coming.
    """
    from fastapi import Request
    from fastapi.responses import JSONResponse
    from fastapi.routing import APIRoute
    from starlette.requests import ClientDisconnect

    def refused(status: int, sentence: str) -> Any:
        return JSONResponse({"error": sentence}, status_code=status)

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Any:
            inner = super().get_route_handler()

            async def handler(request: Request) -> Any:
                passed = request.scope.get(_PASSED, False)
                reason = None if passed else refusal(request.headers)
                if reason is not None:
                    return refused(403, reason)
                too_large = refused(413, f"At most {MAX_BODY_BYTES >> 20} MB may be sent.")
                announced = request.headers.get("content-length", "0")
                if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
                    return too_large
                body = bytearray()
                parts = request.stream().__aiter__()
                while True:
                    try:
                        body += await asyncio.wait_for(parts.__anext__(), BODY_PAUSE_SECONDS)
                    except StopAsyncIteration:
                        break
                    except asyncio.TimeoutError:
                        return refused(408, f"Nothing came for {BODY_PAUSE_SECONDS:g} s.")
                    except ClientDisconnect:
                        log.warning("%s %s was broken off.", request.method, request.url.path)
                        return refused(400, "The request was broken off.")
                    if len(body) > MAX_BODY_BYTES:
                        return too_large

                async def receive() -> dict[str, Any]:
                    return {"type": "http.request", "body": bytes(body), "more_body": False}

                return await inner(Request(request.scope, receive))

            return handler

    return GuardedRoute
