"""The style of every figure: sizes, type, colours, headings, numbers.

Covered: the frame that `maps`, `panels` and `curves` draw in. Figures are drawn light; on a dark page they are seen
through a cover (dusk.py). Not covered: the page around them (`report.html.j2`).
Matplotlib's object-oriented interface only: pyplot keeps figures alive and global.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.pictures import font

DPI = 160  # 1.7 device pixels per CSS pixel at full width: crisp, and a third of the bytes of 300 dpi
INK, FAINT, HAIR = "#222222", "#666666", "#d9d9d9"
TITLE, TEXT, NOTE = 11.0, 9.5, 8.5  # points; a phone shows a figure at 80 pixels an inch, so a note there is 9.4 pixels high
BOLD, LEADING = 1.13, 1.45  # a bold letter's width beside a plain one's; a line's height beside its type's
MOST = 6  # panels or series: more cannot be told apart

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000")
TOL_MUTED = ("#88CCEE", "#44AA99", "#117733", "#332288", "#DDCC77", "#999933", "#CC6677", "#882255", "#AA4499")
# Ten classes (digits): a hue must not come twice, and greys collide with Tol's for a protanope (ΔE 1.5 at #777777). Near-black
# keeps the palette's own worst distance (ΔE 15.6) under all three simulated deficiencies (Machado et al. 2009).
TEN = (*TOL_MUTED, "#222222")
OTHER = "#bbbbbb"  # grey, which no class has: it stands for all that are not named
# Lines are told apart by dash and marker too; yellow and black are left out (too pale, and the colour of the words).
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P")

RC: Any = {  # Any, since Matplotlib types these names from 3.11 on only
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "axes.labelsize": NOTE,
    "xtick.labelsize": NOTE,
    "ytick.labelsize": NOTE,
    "text.color": INK,
    "text.parse_math": False,  # a folder or a class may be named $x_{
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.dpi": "figure",
}


def styled() -> Any:
    """A context in which what is made looks like the rest; nothing outside of it changes."""
    return rc_context(RC)


def blank(width: float, height: float) -> Figure:
    """An empty figure of so many inches, on a canvas that draws pixels."""
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)  # a canvas of its own: without pyplot no figure is kept alive by a global list
    return figure


def counted(panels: Sequence[Any], what: str) -> int:
    """The number of panels, 1 to MOST."""
    if not 1 <= len(panels) <= MOST:
        raise Mistake(f"a figure shows 1 to {MOST} {what}, got {len(panels)}")
    return len(panels)


def panel_grid(
    count: int, box: tuple[float, float], *, left: float, right: float = 0.12, top: float, bottom: float = 0.52
) -> tuple[Figure, list[Axes]]:
    """Axes of `box` inches each, in rows of at most three, each with its own margins in inches.

    Set by hand, because Matplotlib's automatic layouts leave ragged gaps around square axes.
    """
    # two rows from four panels on: four in a row would be too small to read
    columns = count if count <= 3 else math.ceil(count / 2)
    rows = math.ceil(count / columns)
    cell = (left + box[0] + right, top + box[1] + bottom)
    width, height = cell[0] * columns, cell[1] * rows
    figure = blank(width, height)
    corners = [(cell[0] * (i % columns) + left, height - cell[1] * (i // columns) - top - box[1]) for i in range(count)]
    return figure, [figure.add_axes((x / width, y / height, box[0] / width, box[1] / height)) for x, y in corners]


def heading_height(titles: Sequence[str], notes: Sequence[str], inches: float) -> float:
    """Inches above a panel of that width for the tallest of its headings."""
    lines = max(len(wrapped(title, inches, TITLE * BOLD)) for title in titles)
    faint = max((len(wrapped(note, inches, NOTE)) for note in notes if note), default=0)
    return 0.18 + (lines * TITLE + faint * NOTE) * LEADING / 72


def heading(axes: Axes, title: str, note: str, inches: float) -> None:
    """A bold title and a faint note above a panel of that width, set flush left with its axes."""
    faint = wrapped(note, inches, NOTE) if note else []
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "left", "va": "baseline"}
    axes.annotate("\n".join(faint), (0, 1), (0, 8), fontsize=NOTE, color=FAINT, linespacing=1.25, **place)
    title = "\n".join(wrapped(title, inches, TITLE * BOLD))
    lift = 9 + NOTE * LEADING * len(faint)
    axes.annotate(title, (0, 1), (0, lift), fontsize=TITLE, fontweight="bold", linespacing=1.25, **place)


def text_width(text: str, points: float) -> float:
    """Inches that a line takes when set in DejaVu Sans of that size."""
    # measured at 100 points and scaled: at small sizes letters are rounded to whole pixels
    return float(font(100).getlength(text)) * points / 100 / 72


def wrapped(text: str, inches: float, points: float) -> list[str]:
    """The text in lines no wider than that, measured in the letters it is set in; at least one line, \\n always ends one."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and text_width(longer, points) > inches:  # a word that is longer than the line stands alone on it, whole
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def class_colours(labels: NDArray[Any]) -> tuple[list[tuple[Any, str]], int]:
    """The classes to be named, each with its colour, and how many further classes share one grey.

    At most 8 classes take Okabe and Ito's colours, 9 Tol's muted ones, 10 those and near-black. Beyond ten the eight largest
    are named and the rest stay grey: a hue never stands for two classes.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) <= len(TEN):
        palette = OKABE_ITO if len(classes) <= 8 else TOL_MUTED if len(classes) == 9 else TEN
        return list(zip(classes, palette, strict=False)), 0
    # the eight largest, then in the labels' own order: a colour does not change when counts do
    largest = np.sort(np.argsort(-sizes, kind="stable")[:8])
    return list(zip(classes[largest], OKABE_ITO, strict=True)), len(classes) - 8


def ink_on(colour: str) -> str:
    """White or ink, whichever is read more easily on the colour (the WCAG's relative luminance)."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    # Of the two contrasts (1.05 / (L + 0.05) and (L + 0.05) / 0.065, ink's own luminance being 0.015) the larger wins.
    return "white" if luminance < 0.21 else INK


def plain(value: float, _place: int | None = None) -> str:
    """A number as people write it: 3 significant digits, no exponent between 0.0001 and 100,000, a true minus sign."""
    if value == 0 or 1e-4 <= abs(value) < 1e5:
        text = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    else:
        digits, exponent = f"{value:.1e}".split("e")
        text = f"{float(digits):g}e{int(exponent)}"
    return text.replace("-", "−")
