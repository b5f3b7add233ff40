"""The built page, read once at start: a dictionary, so that no path of a request ever reaches the disk."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import Response

from legato.files import parse

INDEX = "index.html"
TOUR = "tour.json"  # a recorded experiment, for the learning tour (records/tour.py)
KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "wasm": "application/wasm",
}
MISSING = """<!doctype html><meta charset="utf-8"><title>Legato</title>
<p>The page has not been built. With Node 20.19 or newer: <code>cd ui &amp;&amp; npm ci &amp;&amp; npm run build</code>,
then start <code>legato explore</code> again.</p>
"""


def read() -> dict[str, bytes]:
    """Every file of the page by its path below `_ui`, one that says how to build it where there is none; the tour's record."""
    found = dict(_below(files("legato.explorer") / "_ui", ""))
    record = files("legato.explorer") / TOUR
    told = {TOUR: record.read_bytes()} if record.is_file() else {}
    for name, content in told.items():
        # Parsed once, here: a damaged record is told at the start, and not by an empty tour.
        parse(content, name, "install Legato again")
    return (found if INDEX in found else {INDEX: MISSING.encode()}) | told


def answer(content: bytes, name: str) -> Response:
    """A file of the page, as what it is."""
    return Response(content, media_type=KINDS.get(name.rpartition(".")[2], "application/octet-stream"))


def _below(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    if not folder.is_dir():  # `files` of a package may name a folder that was never built
        return []
    found = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        found += _below(entry, f"{name}/") if entry.is_dir() else [(name, entry.read_bytes())]
    return found
