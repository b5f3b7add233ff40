"""Histograms beside the density that they are read against: ‖z‖² beside χ²_d, the σ of posteriors beside the prior's.

Covered: several samples in one panel, common bins, a linear or a logarithmic axis, how much lies outside of it.
Not covered: the samples, and what a density should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from legato.errors import Mistake
from legato.report import style
from legato.report.frame import Extra, framed, legend, log_axis
from legato.types import Floats

BINS = 40
TAIL = 0.002  # of a sample, left outside at each end: one outlier must not squeeze all others into a bin


@dataclass(frozen=True)
class HistogramPanel:
    """`samples`: name -> values (n,); `density`: x (m,) -> p(x), per unit of x also on a logarithmic axis; `log` is its axis.

    One name has one colour in all panels of a figure.
    """

    title: str
    samples: dict[str, Floats]
    unit: str
    density: Callable[[Floats], Floats] | None = None
    log: bool = False


def histogram_against(panels: Sequence[HistogramPanel], reference: str = "expected") -> Figure:
    """A panel each: samples as steps that enclose an area of 1, the density as a dashed line named `reference`.

    On a logarithmic axis both are per unit of log x, so that areas still compare.
    """
    style.counted(panels, "panels")
    names = list(dict.fromkeys(name for panel in panels for name in panel.samples))
    style.counted(names, "samples")
    extras = _extras(reference) if any(panel.density for panel in panels) else []
    with style.styled():
        figure, places, room = framed([panel.title for panel in panels], names, extras)
        for axes, panel in zip(places, panels, strict=True):
            outside = _draw(axes, panel, names)
            _frame(axes, panel, outside)
        legend(figure, names, extras, room)
        for entry in (line for each in figure.legends for line in each.get_lines()):
            entry.set_marker("")  # steps have no markers
    return figure


def _extras(reference: str) -> list[Extra]:
    return [(reference, lambda: Line2D([], [], color=style.INK, linewidth=1.5, linestyle=(0, (4, 2.5))))]


def _draw(axes: Axes, panel: HistogramPanel, names: Sequence[str]) -> float:
    """Draws the samples and the density; returns the share of values that lie outside."""
    for name, values in panel.samples.items():
        if not len(values) or not np.isfinite(values).all() or (panel.log and (values <= 0).any()):
            raise Mistake(f"the histogram of `{name}` needs finite values{' above 0' if panel.log else ''}, at least one")
    scale: Callable[[Any], Any] = np.log if panel.log else np.asarray
    ends = [np.quantile(scale(values), [TAIL, 1 - TAIL]) for values in panel.samples.values()]
    low, high = min(float(end[0]) for end in ends), max(float(end[1]) for end in ends)
    low, high = (low - 0.5, high + 0.5) if high - low < 1e-9 else (low, high)
    edges = np.linspace(low, high, BINS + 1)
    outside = 0
    for name, values in panel.samples.items():
        counts = np.histogram(scale(values), edges)[0]
        outside += len(values) - int(counts.sum())
        _steps(axes, names.index(name), np.exp(edges) if panel.log else edges, counts / len(values) / np.diff(edges))
    if panel.density is not None:
        _density(axes, panel.density, edges, panel.log)
    return outside / sum(len(values) for values in panel.samples.values())


def _steps(axes: Axes, i: int, edges: Floats, heights: Floats) -> None:
    axes.stairs(heights, edges, fill=True, color=style.LINES[i], alpha=0.13, zorder=2)
    # Open below: a step's outline that falls to 0 at either end would look like a spike there.
    axes.stairs(heights, edges, baseline=None, color=style.LINES[i], linestyle=style.DASHES[i], linewidth=1.5, zorder=3)


def _density(axes: Axes, density: Callable[[Floats], Floats], edges: Floats, log: bool) -> None:
    """p(x), or x·p(x), which is the density of log x."""
    ground = np.linspace(edges[0], edges[-1], 400)
    x = np.exp(ground) if log else ground
    axes.plot(x, density(x) * (x if log else 1.0), color=style.INK, linewidth=1.5, linestyle=(0, (4, 2.5)), zorder=4)


def _frame(axes: Axes, panel: HistogramPanel, outside: float) -> None:
    axes.set(xlabel=panel.unit, ylabel="density of the logarithm" if panel.log else "density")
    axes.set_ylim(bottom=0)
    if panel.log:
        log_axis(axes, "x")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
        axes.xaxis.set_major_formatter(FuncFormatter(style.plain))
    axes.yaxis.set_major_formatter(FuncFormatter(style.plain))
    style.heading(axes, panel.title, "", axes.bbox.width / style.DPI)
    if outside > 0:
        words = f"{100 * outside:.2g} % outside"
        axes.annotate(words, (1, 1), (-2, -9), xycoords="axes fraction", textcoords="offset points", ha="right", **_SMALL)


_SMALL: dict[str, Any] = {"fontsize": style.NOTE, "color": style.FAINT}
