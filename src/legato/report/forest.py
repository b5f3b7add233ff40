"""Estimates as dots with intervals, one row for each model ("forest plot").

Covered: two intervals that are never mixed, over test images (thin) and over training seeds (thick), reference lines for
floors and controls, a logarithmic axis, rows without a value, which say why. Not covered: measuring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.measures.interval import bracketed
from legato.report import style
from legato.report.frame import log_axis

WIDE = 4.2  # inches: set by hand, as Matplotlib's automatic layouts leave ragged gaps
ROW = 0.34
NAMES = 2.3  # the longest a name may be before it is broken: the chart keeps its width
THICK, THIN = 6.5, 1.3  # points, so different that the two intervals are never taken for each other


@dataclass(frozen=True)
class EstimateRow:
    """One model. `over_seeds` is the estimate whose interval is over training seeds, `each_seed` its single values.

    The dot and the number at the right are the seeds' where there are several, else `over_images`.
    """

    title: str
    over_images: Estimate
    over_seeds: Estimate | None = None
    each_seed: Sequence[float] = ()

    @property
    def shown(self) -> Estimate:
        """The estimate that the dot stands for."""
        return self.over_images if self.over_seeds is None or self.over_seeds.value is None else self.over_seeds


@dataclass(frozen=True)
class Reference:
    """A line to read the rows against: a floor, a control, what identical distributions would give."""

    title: str
    value: float


def estimates_plot(
    rows: Sequence[EstimateRow],
    unit: str,
    title: str = "",
    references: Sequence[Reference] = (),
    *,
    log: bool = False,
    least: float | None = None,
    keyed: bool = True,
) -> Figure:
    """A dot and intervals for each row, `unit` below them, the numbers at the right; `keyed`: with what the intervals mean.

    The axis begins at `least` where that is given (0 for what is read as a share of a whole).
    `log` needs values above 0; an end of an interval at or below 0 then reaches to the edge.
    """
    _check(rows, references, log)
    names = [style.wrapped(row.title, NAMES, style.TEXT) for row in rows]
    # Measured in the letters that they are set in: a guess by their number would cut names off.
    left = max(style.text_width(line, style.TEXT) for lines in names for line in lines) + 0.25
    numbers = [bracketed(row.shown) for row in rows]
    right = max(style.text_width(number, style.NOTE) for number in numbers) + 0.3
    top, key = (style.heading_height([title], [], WIDE) if title else 0.1) + 0.2 * len(references), _key(rows) if keyed else []
    tall, bottom = ROW * sum(max(1.0, 0.55 * len(lines)) for lines in names) + 0.1, 0.52 + (0.3 if key else 0.0)
    width, height = left + WIDE + right, top + tall + bottom
    with style.styled():
        figure = style.blank(width, height)
        axes = figure.add_axes((left / width, bottom / height, WIDE / width, tall / height))
        _scale(axes, rows, references, log)
        if least is not None:
            axes.set_xlim(left=least)
        for place, row in enumerate(rows):
            _draw_row(axes, place, row, numbers[place])
        for number, reference in enumerate(references):
            _draw_reference(axes, reference, len(references) - 1 - number)
        _frame(axes, ["\n".join(lines) for lines in names], unit)
        if title:
            _title(figure, title, left)
        _draw_key(figure, key, left)
    return figure


def _check(rows: Sequence[EstimateRow], references: Sequence[Reference], log: bool) -> None:
    if not rows:
        raise Mistake("a chart of estimates needs one row or more")
    values = [row.shown.value for row in rows if row.shown.value is not None] + [each.value for each in references]
    if any(not math.isfinite(value) or (log and value <= 0) for value in values):
        raise Mistake(f"a chart of estimates needs finite values{', above 0 on a logarithmic axis' if log else ''}")


def _scale(axes: Axes, rows: Sequence[EstimateRow], references: Sequence[Reference], log: bool) -> None:
    """Limits around all that is drawn; set first, since words are placed by them."""
    values = [each.value for each in references]
    for row in rows:
        for one in (row.over_images, row.over_seeds):
            values += [] if one is None else [end for end in (one.value, one.low, one.high) if end is not None]
        values += row.each_seed
    # a value at or below 0 has no place on a logarithmic axis
    kept = [value for value in values if value > 0 or not log] or [1.0]
    low, high = min(kept), max(kept)
    if log:
        axes.set_xlim(low / 1.25, high * 1.25)
        log_axis(axes, "x")
        return
    # Never 0: of one value, or of equal ones, the axis would have no width.
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    axes.set_xlim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(style.plain))


def _draw_row(axes: Axes, place: int, row: EstimateRow, number: str) -> None:
    beside: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    if row.shown.value is None:
        words = style.wrapped(row.shown.why or "does not apply", WIDE - 0.3, style.NOTE)
        text = words[0] if len(words) == 1 else f"{words[0]} …"
        axes.annotate(text, (0, place), (6, 0), fontsize=style.NOTE, color=style.FAINT, backgroundcolor="white", **beside)
    else:
        colour = style.LINES[0]
        if row.over_seeds is not None:
            _interval(axes, place, row.over_seeds, color="#8ec1e3", linewidth=THICK, solid_capstyle="butt", zorder=2)
        _interval(axes, place, row.over_images, color=colour, linewidth=THIN, marker="|", markersize=6, zorder=3)
        axes.plot(list(row.each_seed), [place + 0.27] * len(row.each_seed), ".", color=style.FAINT, markersize=3.5, zorder=3)
        axes.plot([row.shown.value], [place], "o", color=colour, markersize=5.5, zorder=4)
    axes.annotate(number, (1, place), (10, 0), fontsize=style.NOTE, ha="left", annotation_clip=False, **beside)


def _interval(axes: Axes, place: int, estimate: Estimate, **look: Any) -> None:
    if estimate.low is not None and estimate.high is not None:
        edge = axes.get_xlim()[0]  # an end beyond the axis is drawn to its edge
        axes.plot([max(estimate.low, edge), estimate.high], [place, place], **look)


def _draw_reference(axes: Axes, reference: Reference, level: int) -> None:
    """A dashed line, named above the chart on a line of its own, flush to the side that has room."""
    axes.axvline(reference.value, color=style.INK, linewidth=0.9, linestyle=(0, (4, 2.5)), zorder=1)
    x = float(axes.transAxes.inverted().transform(axes.transData.transform((reference.value, 0)))[0])
    words = f"{reference.title}, {style.plain(reference.value)}"
    side = "left" if x < 0.5 else "right"
    rise = 5 + level * 0.22 * 72
    if level:  # the line reaches up to its name, or it would be unclear whose it is
        stem = 1 + (rise - 1) / 72 / _inches(axes)
        axes.plot([x, x], [1, stem], color=style.INK, linewidth=0.6, transform=axes.transAxes, clip_on=False)
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    shift = -2 if side == "left" else 2
    axes.annotate(words, (x, 1), (shift, rise), ha=side, va="baseline", fontsize=style.NOTE, color=style.FAINT, **place)


def _inches(axes: Axes) -> float:
    return float(axes.get_position().height * axes.figure.get_figure(root=True).get_size_inches()[1])


def _frame(axes: Axes, names: Sequence[str], unit: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelsize=style.TEXT, labelcolor=style.INK)
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=unit)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def _title(figure: Figure, title: str, left: float) -> None:
    width, height = (float(side) for side in figure.get_size_inches())
    words = "\n".join(style.wrapped(title, WIDE, style.TITLE * style.BOLD))
    look: dict[str, Any] = {"fontsize": style.TITLE, "fontweight": "bold", "linespacing": 1.25, "ha": "left", "va": "top"}
    figure.text(left / width, 1 - 0.08 / height, words, **look)


def _key(rows: Sequence[EstimateRow]) -> list[tuple[Line2D, str]]:
    """The meaning of the two intervals; nothing where there is but one kind, which the caption names."""
    if all(row.over_seeds is None for row in rows):  # one kind of interval needs no key: the caption names it
        return []
    thick = Line2D([], [], color="#8ec1e3", linewidth=THICK, solid_capstyle="butt")
    thin = Line2D([], [], color=style.LINES[0], linewidth=THIN, marker="|", markersize=6)
    each = Line2D([], [], color=style.FAINT, linestyle="none", marker=".", markersize=4)
    shown = [(thick, "over seeds"), (thin, "over images")]
    return [*shown, (each, "single seeds")] if any(row.each_seed for row in rows) else shown


def _draw_key(figure: Figure, key: Sequence[tuple[Line2D, str]], left: float) -> None:
    if not key:
        return
    width, height = (float(side) for side in figure.get_size_inches())
    handles, names = zip(*key, strict=True)
    figure.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=((left - 0.1) / width, 0.02 / height),
        ncols=len(key),
        frameon=False,
        fontsize=style.NOTE,
        columnspacing=1.4,
        borderpad=0.3,
    )
