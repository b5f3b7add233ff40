"""The opening of a page from runs: the session is prepared, a port is taken, and the address printed once it answers.

Covered: one server for one person, until it is interrupted. Not covered: many users, encryption, another machine's browser.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import uvicorn

from legato.errors import Mistake, tell
from legato.explorer.by_class import KEPT, ByClass, Sessions
from legato.explorer.frames import REQUEST
from legato.explorer.guard import LOOPBACK, Guard
from legato.explorer.layout import Layouts
from legato.explorer.models import Loader, Member
from legato.explorer.server import Routes
from legato.explorer.worker import Worker
from legato.measures.comparison import check_same_data

MOST = 2  # side by side: more than two maps have no room on a screen
WILDCARDS = ("0.0.0.0", "::")
TOKEN = "LEGATO_TOKEN"  # in the environment, which other users of the machine cannot read, as they can a command line
NUMBERS = 1 << 24  # in the codes of all images on the map: 200 MB with their widths and in latent units
SLACK = 4096  # bytes above a frame's own length: one that is too long by a little is told why before the socket ends


def prepare(
    runs: Sequence[Path], source: Any, points: int, load: Loader, module: str | None, label: str | None = None
) -> Sessions:
    """The sessions to one or two runs of the same data. Raises `Mistake` for anything else.

    `label`: of class-conditional runs, the class that the page opens with.
    """
    if not 1 <= len(runs) <= MOST:
        raise Mistake(f"the explorer shows one run or two side by side, got {len(runs)}: legato explore RUN [RUN]")
    members = [Member(run, load, module) for run in runs]
    check_same_data([member.blank for member in members], given=source is not None)
    return Sessions(members, members[0].blank.data(source), _held_in_memory(members, points), label)


def _held_in_memory(members: Sequence[Member], points: int) -> int:
    """The number of images whose codes there is memory for, told where that is fewer than asked."""
    latents = max(member.blank.latent_dim for member in members)
    fitting = max(NUMBERS // latents, 2)  # two at least, or there is no map
    if fitting < points:
        tell(f"codes are of {latents:,} numbers: the map shows {fitting:,} images at most")
    return min(points, fitting)


def listen(host: str, port: int) -> socket.socket:
    """A socket on a port (0: any that is free). Raises `Mistake` where it is taken, not allowed, or the host none of ours."""
    if not 0 <= port <= 65535:
        raise Mistake(f"a port is a number from 0 to 65535, got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    # a port that was just closed may be taken again at once: a restart keeps its address
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen()  # two that only bind could both have the port
    except OSError as error:
        found.close()
        reason = error.strerror or str(error)
        raise Mistake(f"cannot listen on {host}:{port} ({reason}): choose another --port, or --port 0 for a free one") from None
    return found


def token() -> str:
    """A new secret for the address; `LEGATO_TOKEN` where that is set, so that a restarted server has its old address.

    Raises `Mistake` for one that could be guessed or does not fit into an address.
    """
    given = os.environ.get(TOKEN)
    # 16 characters of 64 are 96 bits, which nobody tries out
    if given is not None and not re.fullmatch(r"[A-Za-z0-9_-]{16,}", given):
        raise Mistake(f"{TOKEN} must be 16 or more letters, digits, - or _ that nobody can guess; unset: a new one each time")
    return given or token_urlsafe(16)  # 16 random bytes, for each start: an address that was seen is worth nothing afterwards


class Server(uvicorn.Server):
    """uvicorn's, which on its way out first tells the worker and ends layouts, or it would wait for what nobody waits for."""

    def __init__(self, configuration: uvicorn.Config, worker: Worker, layouts: Layouts) -> None:
        super().__init__(configuration)
        self.worker, self.layouts = worker, layouts

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers what is still asked with 503, closes sockets, ends."""
        # The worker first: uvicorn waits for answers under way, and these wait for the worker.
        self.worker.end()
        self.layouts.end()
        await super().shutdown(sockets)


class Opening:
    """A server for sessions on a socket that listens; `url` is where it will answer."""

    def __init__(self, sessions: Sessions, listener: socket.socket, host: str = LOOPBACK[0]) -> None:
        self.worker, self._listener = Worker(), listener
        port, secret = listener.getsockname()[1], token()
        named = f"[{host}]" if ":" in host else host
        shown = socket.gethostname() if host in WILDCARDS else named
        self.url = f"http://{shown}:{port}/{secret}/"
        hosts = [f"{name}:{port}" for name in (*LOOPBACK, named, shown)]
        layouts, worker = Layouts(), self.worker
        # Cached, so that a class has one application however often its address is asked for.
        led = ByClass(sessions.first, lru_cache(KEPT)(lambda number: Routes(sessions.of(number), worker, layouts).app()))
        guarded = Guard(led, secret, hosts, anywhere=host in WILDCARDS)
        latents = max(member.blank.latent_dim for member in sessions.members)
        self.server = Server(_configuration(guarded, latents), worker, layouts)

    def run(self, when_ready: Callable[[str], None] = lambda url: None) -> None:
        """Serves until it is interrupted or `server.should_exit` is set; tells the address once, when it answers."""
        # told before it runs, though the socket listens already: what connects meanwhile waits, and is answered
        when_ready(self.url)
        try:
            self.server.run(sockets=[self._listener])
        finally:
            self.worker.close()
            self._listener.close()


def browse(url: str) -> None:
    """Opens the person's browser meanwhile, if there is one: some take seconds to say that they did."""
    # a thread, since some browsers take seconds to say that they opened; a daemon, so that none holds up the end
    threading.Thread(target=show, args=(url,), name="legato-explorer-browser", daemon=True).start()


def show(url: str) -> None:
    """Opens the browser unless it is one in the terminal, which would take that away; the address is printed all the same."""
    with suppress(webbrowser.Error, OSError):
        browser = webbrowser.get()
        # a browser in the terminal would take it away from the lines that are printed there
        if type(browser) is not webbrowser.GenericBrowser:
            browser.open(url)


def _configuration(app: Any, latents: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # images are sent within one machine: packing them would take longer than sending
        # as long as the longest true frame: a flood of large ones costs no memory
        ws_max_size=REQUEST.size + 4 * latents + SLACK,
        ws_max_queue=4,  # few: newer questions replace older ones, so that a long queue would only delay the newest
        log_level="warning",
        access_log=False,  # no log of requests: their addresses hold the token
        server_header=False,
        proxy_headers=False,  # headers of a proxy can be written by anyone, and there is none
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
