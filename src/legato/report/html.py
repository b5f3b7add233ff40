"""The report: words, figures and tables in one HTML file that needs no network and no font of its own; a script only where
something in it answers to the hand.

Covered: encoding figures as small as they go, alternative texts, tables with scopes, words in coloured badges that read as
well in black and white, a file that is whole or not at all.
The page's look is `report.html.j2`. Not covered: what a report says (`demo`), what answers to the hand (report/drag.py).
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from legato.errors import Mistake
from legato.files import whole_file
from legato.report.dusk import cover, pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # for types alone: a report without figures need not load Matplotlib

Tone = Literal["good", "part", "bad", "unknown"]
MARKS: dict[str, str] = {"good": "✓", "part": "◐", "bad": "✗", "unknown": "?"}
LOSSLESS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("png", {"optimize": True}),
    ("webp", {"lossless": True, "quality": 80, "method": 4}),
)
STRONG, NBSP = "\ue000\ue001", "\u00a0"  # the first two are of the private use area: no text of a person holds them
HEAVY = 200_000  # bytes of one figure: a page has some twenty, and should stay below 3 MB
PER_INCH = 96  # CSS pixels: a figure's words then have the size on the screen that they have on paper
READABLE = 80  # CSS pixels an inch below which a figure is scrolled rather than shrunk: its smallest words are 9 pixels high
FLAT = 96  # CSS pixels an inch of a plain image, whose pixels are shown one for one


@dataclass(frozen=True)
class Badge:
    """A word on a coloured ground behind a mark of its tone: colour is never the only way to tell two badges apart."""

    word: str
    tone: Tone

    @property
    def mark(self) -> str:
        """✓, ◐, ✗ or ?."""
        return MARKS[self.tone]

    def __str__(self) -> str:
        return self.word


Cell = str | int | float | Badge | None


@dataclass(frozen=True)
class Table:
    """Rows of cells below `columns`; the first cell of a row names it. None is shown as a dash: it does not apply.

    A table of sentences is `stacked`: on a phone its cells stand below each other, each with its column's name, where a
    table of numbers is scrolled.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    stacked: bool = False


@dataclass(frozen=True)
class Live:
    """A part of a section that answers to the hand: markup that is trusted, and what the page's policy allows for it alone."""

    markup: str
    policy: str


@dataclass(frozen=True)
class Section:
    """One step of the story. Blank lines in `text` part its paragraphs, `backticks` set code, `strong`
    sets words apart; nothing else is markup.

    `parts` follow it, each under a smaller heading; they stand in no list of contents, and have no parts of their own.
    """

    title: str
    text: str = ""
    figure: Figure | Image.Image | None = None
    caption: str = ""
    table: Table | None = None
    parts: Sequence[Section] = ()
    live: Live | None = None


@dataclass(frozen=True)
class Picture:
    """A figure as the page needs it: a data address, its natural size and its least readable width, in CSS pixels.

    `cover`: what of it a dark page turns over, as a CSS polygon; "" of a plain picture, which stays as it is.
    """

    source: str
    width: int
    height: int
    least: int
    cover: str


def write_report(
    path: str | Path,
    title: str,
    lead: str,
    sections: Sequence[Section],
    next_commands: Sequence[str | tuple[str, str]] = (),
    facts: Mapping[str, str] | None = None,
    *,
    opening: Section | None = None,
) -> int:
    """Writes the report, whole or not at all, and returns its size in bytes.

    `lead` is the answer in a few sentences, `opening` its one figure, without a heading;
    `facts` say how it came about (run, data, steps, seeds, date, machine);
    `next_commands` are commands, alone or with what each is for.
    """
    # Before anything is drawn: a missing caption is told in a second and not after minutes.
    for section in [*sections, *([opening] if opening else [])]:
        _check(section)
    commands = [(entry, "") if isinstance(entry, str) else entry for entry in next_commands]
    shown = list(zip(_anchors(sections), sections, strict=True))
    page = _template().render(
        title=title,
        lead=lead,
        opening=opening,
        sections=shown,
        numbered=any(each.title[:1].isdigit() for each in sections),
        commands=commands,
        facts=dict(facts or {}),
        picture=_picture,
        policy="; ".join(dict.fromkeys(each.live.policy for each in sections if each.live)),
    )
    written = page.encode()
    with whole_file(path) as file:  # whole or not at all: a page that was cut off would open, and lack its end without a word
        file.write(written)
    return len(written)


def encoded(image: Image.Image) -> tuple[str, bytes]:
    """The image's media type and bytes, without loss: as PNG or WebP, whichever is smaller.

    Sheets of colour pictures can take half a megabyte so; above `HEAVY` they are WebP of high quality, a quarter of that.
    """
    image = image if image.mode in ("L", "RGB") else _on_white(image)
    # Both, as neither is always smaller: lines pack better as PNG, noise as WebP.
    best = min((_saved(image, kind, **options) for kind, options in LOSSLESS), key=lambda found: len(found[1]))
    return best if len(best[1]) <= HEAVY else _saved(image, "webp", quality=90, method=4)


def _saved(image: Image.Image, kind: str, **options: Any) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"image/{kind}", buffer.getvalue()


def _check(section: Section) -> None:
    if section.figure is not None and not section.caption:
        raise Mistake(f"the figure of section `{section.title}` needs a caption: it is also what a screen reader reads")
    if section.table and any(len(row) != len(section.table.columns) for row in section.table.rows):
        wide = len(section.table.columns)
        raise Mistake(f"every row of the table in section `{section.title}` needs {wide} cells, one per column")
    for part in section.parts:
        if part.parts:
            raise Mistake(f"the part `{part.title}` of section `{section.title}` has parts of its own: make it a section")
        _check(part)


def _picture(figure: Figure | Image.Image | None) -> Picture | None:
    if figure is None:
        return None
    if isinstance(figure, Image.Image):
        image, inches, turned = figure, figure.width / FLAT, ""
    else:
        image, inches, turned = _drawn(figure), float(figure.get_size_inches()[0]), cover(pictures(figure))
    kind, content = encoded(image)
    width = round(inches * PER_INCH)
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(source, width, round(width * image.height / image.width), round(inches * READABLE), turned)


def _drawn(figure: Figure) -> Image.Image:
    """The figure's pixels at its own resolution, at which its images stand pixel on pixel."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    return Image.open(buffer)


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    # one channel where all are equal: a third of the bytes
    red, green, blue = paper.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else paper


def _anchors(sections: Sequence[Section]) -> list[str]:
    """An address for each section that a person can read in a link, and that none shares."""
    anchors: list[str] = []
    for i, section in enumerate(sections, 1):
        words = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
        # `section-N` where words repeat, or are an address that the page itself uses
        anchors.append(words if words and words not in anchors and words not in ("next", "top") else f"section-{i}")
    return anchors


def _template() -> Any:
    # StrictUndefined: a misspelt name would else be an empty place in the page
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(prose=_prose, cell=_cell, code=_code)
    environment.tests.update(number=_is_number, badge=lambda value: isinstance(value, Badge))
    return environment.from_string(resources.files("legato.report").joinpath("report.html.j2").read_text("utf-8"))


def strong(text: str) -> str:
    """The text as prose sets it apart, between characters that no name and no sentence holds."""
    return f"{STRONG[0]}{text}{STRONG[1]}"


def _prose(text: str) -> Markup:
    """Paragraphs parted by blank lines; what is `strong`, and what must not be torn apart at a line's end."""
    paragraphs = [kept(part) for part in re.split(r"\n\s*\n", text.strip()) if part]
    found = Markup("\n").join(Markup("<p>{}</p>").format(_code(part)) for part in paragraphs)
    # Replaced after escaping: the marks are no markup, and pass through it.
    return Markup(found.replace(STRONG[0], Markup("<strong>")).replace(STRONG[1], Markup("</strong>")))


def kept(text: str) -> str:
    """The text without a line's end inside what is read as one: N(0, I), 5 %, β = 1."""
    # a line that ends between a number and its sign is read wrongly
    return re.sub(r"(\d) %", f"\\1{NBSP}%", text.replace("N(0, I)", f"N(0,{NBSP}I)").replace("β = ", f"β{NBSP}={NBSP}"))


def _code(text: str) -> Markup:
    """The text, escaped, with `backticks` as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without its twin is only a backtick
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts))


def _cell(value: Cell) -> str:
    """A cell as it is printed: four significant digits, thousands apart, a true minus sign, a dash where nothing applies."""
    if value is None:
        return "–"
    if isinstance(value, str | Badge):
        return str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def _is_number(value: Cell) -> bool:
    """True where a cell is set like a number: at the right, in figures of one width."""
    if isinstance(value, Badge):
        return False
    return value is None or not isinstance(value, str) or bool(re.match(r"\s*[-−+±<>≈≥≤~]?\s*\d", value))
