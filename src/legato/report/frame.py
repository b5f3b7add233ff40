"""Panels with axes below one legend: where they stand, how their lines look, how a logarithmic axis is numbered.

Covered: what figures of curves share (`curves`, `perturbation`, `tradeoff`, `histograms`). Not covered: colours and type
(`style`), panels without axes (`panels`), square maps (`maps`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from legato.report import style

Handle = Line2D | Patch
# a further entry of a legend: its name, and what makes the mark before it, inside the style
Extra = tuple[str, Callable[[], Handle]]

BOX = (3.1, 2.4)  # inches: a row has up to three such panels (style.panel_grid)
LEFT = 0.72  # inches to the left of every panel for its numbers: one width, so that panels stand below each other
LEGEND = 0.24  # inches per line of the legend, which is measured before the figure is made


def framed(
    headings: Sequence[str], names: Sequence[str], extras: Sequence[Extra] = (), box: tuple[float, float] = BOX
) -> tuple[Figure, list[Axes], float]:
    """Axes with room for their headings, and for a legend above all of them; and the inches of that room."""
    top = style.heading_height(headings, [], box[0])
    figure, _ = style.panel_grid(len(headings), box, left=LEFT, top=top)
    width, height = (float(side) for side in figure.get_size_inches())
    lines = _legend_lines([*names, *(name for name, _ in extras)], width, len(extras))
    room = LEGEND * len(lines) + 0.08 if names or extras else 0.0
    # The room for the legend goes to the top: the panels keep their inches in a taller figure.
    places = [axes.get_position().bounds for axes in figure.axes]
    figure.set_size_inches(width, height + room)
    scale = height / (height + room)
    for axes, (x, y, wide, tall) in zip(figure.axes, places, strict=True):
        axes.set_position((x, y * scale, wide, tall * scale))
        axes.grid(color="#eeeeee", linewidth=0.6)
        axes.set_axisbelow(True)  # the grid lies below the lines, or it would cut them
    return figure, list(figure.axes), room


def legend(figure: Figure, names: Sequence[str], extras: Sequence[Extra], room: float) -> None:
    """A legend above all panels, since end labels of curves that meet would cover each other."""
    if not room:
        return
    handles: list[Handle] = [Line2D([], [], linewidth=1.8, markersize=4, **look(i)) for i in range(len(names))]
    handles += [make() for _, make in extras]
    written = [*names, *(name for name, _ in extras)]
    width, height = (float(side) for side in figure.get_size_inches())
    for i, line in enumerate(_legend_lines(written, width, len(extras))):
        figure.legend(
            [handles[j] for j in line],
            [written[j] for j in line],
            loc="upper left",
            bbox_to_anchor=((LEFT - 0.08) / width, 1 - (0.04 + LEGEND * i) / height),
            ncols=len(line),
            frameon=False,
            fontsize=style.NOTE,
            handlelength=2.6,
            columnspacing=1.4,
            borderpad=0.3,
        )


def look(i: int) -> dict[str, Any]:
    """Colour, dash and marker of the i-th line: three ways to tell it from the others; hollow markers from the seventh on."""
    at, hollow = i % len(style.LINES), i >= len(style.LINES)
    looks = {"color": style.LINES[at], "linestyle": style.DASHES[at], "marker": style.MARKERS[at]}
    return {**looks, **({"markerfacecolor": "white"} if hollow else {})}


def log_axis(axes: Axes, which: str) -> None:
    """A logarithmic axis with its numbers written out, and enough of them: 1, 2, 5 within two decades, else powers of ten."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    decades = np.log10(high / low)
    subs = (1, 2, 3, 5, 7) if decades < 1 else (1, 2, 5) if decades < 2.2 else (1,)
    # Few subdivisions: Matplotlib's own leave two numbers on an axis, or fifteen.
    axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_major_formatter(FuncFormatter(style.plain))
    axis.set_minor_formatter(NullFormatter())


def _legend_lines(names: Sequence[str], width: float, together: int) -> list[list[int]]:
    """The names that stand on each line: as many to a line as its inches allow, the last few together on one."""
    sizes = [0.6 + style.text_width(name, style.NOTE) for name in names]
    lines: list[list[int]] = [[]]
    for i in range(len(names)):
        # the last few together: what they explain is read as one
        needed = sum(sizes[i:]) if i == len(names) - together else sizes[i]
        if lines[-1] and sum(sizes[j] for j in lines[-1]) + needed > width - LEFT:
            lines.append([])
        lines[-1].append(i)
    return lines
