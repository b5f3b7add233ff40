"""The guard: token, host and origin of every request, before any of it is read; and what every answer says.

A page on 127.0.0.1 is open to every page that the browser shows and to every program of the machine. So the address holds a
token that nothing else knows; a foreign `Host` is refused (a name that was made to point here: DNS rebinding) and so is a
foreign `Origin` (another page). Nothing is shared across origins. Covered: HTTP and WebSocket alike. Not covered: encryption.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from secrets import compare_digest
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
ALWAYS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # a person's own images and codes: nothing of them stays in a browser's cache
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets through what names the token and one of `hosts` ("127.0.0.1:8000"); the app sees the path below the token.

    `anywhere`: addresses in numbers are hosts too, for a server that was asked to listen on all of them.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str], *, anywhere: bool = False) -> None:
        self.app, self.token = app, token
        # lower case, since host names are compared without case
        self.hosts, self.anywhere = frozenset(host.lower() for host in hosts), anywhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, or answers 403."""
        if scope["type"] == "lifespan":  # start and end of the server come from the server itself, and carry no headers
            await self.app(scope, receive, send)
            return
        below = self._below(scope["path"])
        if below is None or not self._trusted(Headers(scope=scope)):
            refusal = (
                JSONResponse({"error": "this address is not yours"}, 403, ALWAYS)
                if scope["type"] == "http"
                else WebSocketClose()
            )
            await refusal(scope, receive, send)
            return
        # raw_path still holds the token, and another path than this one: nothing below may read it.
        await self.app({**scope, "path": below, "raw_path": None, "root_path": ""}, receive, with_headers(send))

    def _below(self, path: str) -> str | None:
        """The path after /TOKEN, or None."""
        given, slash, rest = path.removeprefix("/").partition("/")
        # In constant time: how long a refusal takes must not tell how much of the token was right.
        known = compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode())
        return slash + rest if known and slash else None

    def _trusted(self, headers: Headers) -> bool:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        # Two Host headers are read differently by different programs: what is ambiguous is refused.
        if len(hosts) != 1 or not self._known(hosts[0].lower()):
            return False
        # a program without a browser sends no Origin, and holds the token; a page must be this one
        return not origins or origins == [f"http://{hosts[0].lower()}"]

    def _known(self, host: str) -> bool:
        return host in self.hosts or (self.anywhere and _in_numbers(host))


def with_headers(send: Send) -> Send:
    """The same, with the headers that every answer has; one that the answer has itself stays."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            # `setdefault`: an answer that says how long it may be kept knows better than this list.
            headers: Any = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers.setdefault(name, value)
        await send(message)

    return told


def _in_numbers(host: str) -> bool:
    """True for an IP address with a port: no name can have been made to point here."""
    name, _, port = host.rpartition(":")
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return port.isdigit()
