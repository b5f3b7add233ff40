"""`legato explore RUN [RUN]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from legato.commands.application import application
from legato.commands.options import HERE, Label, Source, Where
from legato.commands.output import say
from legato.errors import Mistake
from legato.explorer.guard import LOOPBACK
from legato.explorer.opening import Opening, browse, listen, prepare

app = application("explore")


@app.default
def explore(
    *runs: Annotated[Path, Parameter(help="A RUN, or two of the same data: side by side.")],
    data: Source = None,
    points: Annotated[int, Parameter(help="Images on the map, at most; of a larger source a sample.")] = 20_000,
    port: Annotated[int, Parameter(help="The port to answer on; 0 is any that is free.")] = 0,
    host: Annotated[str, Parameter(help="The address to listen on; only this machine reaches the default.")] = LOOPBACK[0],
    browser: Annotated[bool, Parameter(help="Open the page in a browser.")] = True,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """A page on which you drag through latent space and see the image at once. It needs no network; Ctrl-C ends it."""
    if not runs:
        raise Mistake("there is nothing to explore: legato explore RUN [RUN]")
    # Before the session is prepared: a port that is taken is told at once, not after a minute.
    listener = listen(host, port)
    with listener:
        opening = Opening(prepare(runs, data, points, place.load, place.module, label), listener, host)
        # Told, and on stderr: the token keeps out who does not know the address, but nothing is encrypted.
        if host not in LOOPBACK and host != "::1":
            print(f"legato: anyone who reaches {host} and knows this address sees your data", file=sys.stderr, flush=True)

        def opened(url: str) -> None:
            say(url)
            if browser:
                browse(url)

        try:
            opening.run(opened)
        except KeyboardInterrupt:  # the one way to end it, and no failure
            return
