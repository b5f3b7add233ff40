"""Views of an object in a notebook or a terminal: a title, lines of names and values, a picture. Words are escaped.

Covered: HTML that takes the notebook's own colours, light or dark, and text of the same lines. Not covered: pages (report/).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

Line = tuple[str, str, str]  # a name, what it is, and what explains it, which a page shows small

CELL = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"
WHOLE = f"{CELL};white-space:nowrap"
SMALL = f"{CELL};opacity:0.7;font-size:smaller;min-width:20em"  # opacity and not grey: whatever the notebook's colours are
FIGURE = 48  # characters: a longer value is a sentence, which may break and takes the room of what explains it


def text(title: str, lines: Sequence[Line]) -> str:
    """Lines below a title, the names in one column."""
    width = max((len(name) for name, _, _ in lines), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}".rstrip() for name, value, _ in lines)])


def page(title: str, lines: Sequence[Line], picture: bytes | None = None) -> str:
    """The same as HTML, above a picture (PNG) where there is one."""
    head = f"<strong>{escape(title)}</strong>" if title else ""
    rows = "".join(map(_row, lines))
    return f'<div style="overflow-x:auto">{head}<table>{rows}</table>{"" if picture is None else _image(picture)}</div>'


def _row(line: Line) -> str:
    name, value, note = map(escape, line)
    if not (value or note):
        return f'<tr><th style="{CELL};padding-top:8px" colspan="3">{name}</th></tr>'
    head = f'<th style="{WHOLE}">{name}</th>' if name else ""
    if not note or len(value) > FIGURE:
        return f'<tr>{head}<td style="{CELL}" colspan="2">{value} {note}</td></tr>'
    return f'<tr>{head}<td style="{WHOLE}">{value}</td><td style="{SMALL}">{note}</td></tr>'


def _image(png: bytes) -> str:
    style = "image-rendering:pixelated;max-width:100%;height:auto"
    return f'<img alt="samples" style="{style}" src="data:image/png;base64,{b64encode(png).decode()}">'
