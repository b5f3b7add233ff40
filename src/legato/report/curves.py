"""Curves against the training step: how wide the posteriors are, and how the parts of the loss fall.

Covered: logarithmic steps, since a run's first hundred change as much as its last ten thousand; several runs told apart by
colour, dash and marker. Not covered: reading `metrics.jsonl` (the caller's), live plots (the explorer's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.report import style

Floats = NDArray[np.floating[Any]]
Handle = Line2D | Patch

BOX = (3.1, 2.4)  # inches
LEFT = 0.72  # inches to the left of every panel, for its numbers
LEGEND = 0.24  # inches per line of the legend
WIDTHS = (("Width of the posteriors", "σ (latent units)"), ("Width beside the codes' spread", "σ / Std(μ) (ratio)"))
NAMES = {"elbo": "ELBO", "kl": "KL", "nll": "−log p(x)"}
LINEAR = ("rate", "kl")  # parts that begin at nothing and rise: a logarithm would show mostly how near to nothing


@dataclass(frozen=True)
class SigmaSeries:
    """One run's posteriors: at `steps` (T,), `sigma` (T, D) averaged over the data, `std_mu` (T, D) the spread of the means."""

    title: str
    steps: NDArray[Any]
    sigma: Floats
    std_mu: Floats | None = None


@dataclass(frozen=True)
class Curve:
    """Values (T,) at steps (T,)."""

    steps: NDArray[Any]
    values: Floats


@dataclass(frozen=True)
class TrainingSeries:
    """One run's loss parts by name, in nats per image; a part that a run lacks (an autoencoder's rate) is left out."""

    title: str
    train: Mapping[str, Curve] = field(default_factory=dict)
    validation: Mapping[str, Curve] = field(default_factory=dict)


def sigma_curves(series: Sequence[SigmaSeries]) -> Figure:
    """σ of each run's posteriors against the step, and beside it σ / Std(μ): the noise as seen from the spread of the codes.

    Lines are geometric means over the dimensions, bands reach from the smallest to the largest. Only the second axes tell
    noise that is small from noise that is small *here*: without a KL term a network may grow its codes instead of calming σ.
    """
    style.counted(series, "series")
    with style.styled():
        figure, (absolute, relative), top = _framed(
            [title for title, _ in WIDTHS], [each.title for each in series], _sigma_extras()
        )
        for i, each in enumerate(series):
            _band(absolute, i, each.steps, each.sigma, each.title)
            if each.std_mu is not None:
                _band(relative, i, each.steps, _ratio(each.sigma, each.std_mu), each.title)
        for axes, (title, label) in zip((absolute, relative), WIDTHS, strict=True):
            axes.set(xlabel="training step", ylabel=label)
            _log(axes, "y")
            _log(axes, "x")
            axes.axhline(1.0, color=style.FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            style.heading(axes, title, "", BOX[0])
        absolute.set_ylim(top=max(absolute.get_ylim()[1], 1.0) * 1.4)  # room for the words above the line
        place = absolute.get_yaxis_transform()
        absolute.annotate("σ of the prior", (1, 1), (-2, 3), xycoords=place, textcoords="offset points", ha="right", **_SMALL)
        _legend(figure, [each.title for each in series], _sigma_extras(), top)
    return figure


def training_curves(series: Sequence[TrainingSeries]) -> Figure:
    """One panel per part of the loss, all runs in each: training faint, validation strong, in nats per image."""
    style.counted(series, "runs")
    parts = list(dict.fromkeys(part for each in series for part in [*each.train, *each.validation]))
    if not parts:
        raise Mistake("there are no training curves to draw: no series has a part")
    style.counted(parts, "parts of a loss")
    with style.styled():
        figure, places, top = _framed([_name(part) for part in parts], [each.title for each in series], _training_extras())
        for axes, part in zip(places, parts, strict=True):
            for i, each in enumerate(series):
                _line(axes, i, each.train.get(part), strong=False)
                _line(axes, i, each.validation.get(part), strong=True)
            axes.set(xlabel="training step", ylabel="nats per image")
            if part not in LINEAR and _all_positive(axes):
                _log(axes, "y")
            else:
                axes.yaxis.set_major_formatter(FuncFormatter(style.plain))
            style.heading(axes, _name(part), "", BOX[0])
        _share_steps(places)
        _legend(figure, [each.title for each in series], _training_extras(), top)
    return figure


_SMALL: dict[str, Any] = {"fontsize": style.NOTE, "color": style.FAINT}


def _sigma_extras() -> list[tuple[str, Callable[[], Handle]]]:
    return [("smallest to largest dimension", lambda: Patch(color=style.FAINT, alpha=0.25, linewidth=0))]


def _training_extras() -> list[tuple[str, Callable[[], Handle]]]:
    return [
        ("training", lambda: Line2D([], [], color=style.FAINT, alpha=0.45, linewidth=0.9)),
        ("validation", lambda: Line2D([], [], color=style.FAINT, linewidth=2)),
    ]


def _framed(headings: Sequence[str], titles: Sequence[str], extras: Sequence[Any]) -> tuple[Figure, list[Axes], float]:
    """Axes with room for their headings, and for a legend above all of them; and the inches of that room."""
    top = style.heading_height(headings, [], BOX[0])
    figure, _ = style.panel_grid(len(headings), BOX, left=LEFT, top=top)
    width, height = (float(side) for side in figure.get_size_inches())
    legend = LEGEND * len(_legend_lines([*titles, *(name for name, _ in extras)], width, len(extras))) + 0.08
    # The room for the legend goes to the top: the panels keep their inches in a taller figure.
    places = [axes.get_position().bounds for axes in figure.axes]
    figure.set_size_inches(width, height + legend)
    scale = height / (height + legend)
    for axes, (x, y, wide, tall) in zip(figure.axes, places, strict=True):
        axes.set_position((x, y * scale, wide, tall * scale))
        axes.grid(color="#eeeeee", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, list(figure.axes), legend


def _legend_lines(names: Sequence[str], width: float, together: int) -> list[list[int]]:
    """Which names stand on which line: as many to a line as its inches allow, the last few together on one."""
    sizes = [0.6 + style.text_width(name, style.NOTE) for name in names]
    lines: list[list[int]] = [[]]
    for i in range(len(names)):
        needed = sum(sizes[i:]) if i == len(names) - together else sizes[i]
        if lines[-1] and sum(sizes[j] for j in lines[-1]) + needed > width - LEFT:
            lines.append([])
        lines[-1].append(i)
    return lines


def _legend(figure: Figure, titles: Sequence[str], extras: Sequence[tuple[str, Callable[[], Handle]]], room: float) -> None:
    """Above all panels, since end labels of curves that meet would cover each other."""
    handles: list[Handle] = [Line2D([], [], linewidth=1.8, markersize=4, **_look(i)) for i in range(len(titles))]
    handles += [make() for _, make in extras]
    names = [*titles, *(name for name, _ in extras)]
    width, height = (float(side) for side in figure.get_size_inches())
    for i, line in enumerate(_legend_lines(names, width, len(extras))):
        figure.legend(
            [handles[j] for j in line],
            [names[j] for j in line],
            loc="upper left",
            bbox_to_anchor=((LEFT - 0.08) / width, 1 - (0.04 + LEGEND * i) / height),
            ncols=len(line),
            frameon=False,
            fontsize=style.NOTE,
            handlelength=2.6,
            columnspacing=1.4,
            borderpad=0.3,
        )


def _look(i: int) -> dict[str, Any]:
    return {"color": style.LINES[i], "linestyle": style.DASHES[i], "marker": style.MARKERS[i]}


def _band(axes: Axes, i: int, steps: NDArray[Any], values: Floats, title: str) -> None:
    """The geometric mean over dimensions and the range around it. Step 0 has no place on a logarithmic axis."""
    if values.ndim != 2 or len(steps) != len(values) or not np.isfinite(values).all() or (values < 0).any():
        raise Mistake(
            f"the curves of `{title}` need finite values ≥ 0 of shape (T, D) at T = {len(steps)} steps, got {values.shape}"
        )
    kept = np.asarray(steps) > 0
    x, y = np.asarray(steps)[kept], np.maximum(values[kept], 1e-12)
    axes.fill_between(x, y.min(1), y.max(1), color=style.LINES[i], alpha=0.13, linewidth=0)
    axes.plot(x, np.exp(np.log(y).mean(1)), linewidth=1.6, markersize=3.2, **_look(i))


def _ratio(sigma: Floats, std_mu: Floats) -> Floats:
    """σ / Std(μ), bounded: in a collapsed dimension the means do not spread at all."""
    ratio: Floats = sigma / np.maximum(std_mu, 1e-3 * np.maximum(sigma, 1e-12))
    return ratio


def _line(axes: Axes, i: int, curve: Curve | None, *, strong: bool) -> None:
    if curve is None or not len(curve.steps):
        return
    kept = np.asarray(curve.steps) > 0
    x, y = np.asarray(curve.steps)[kept], np.asarray(curve.values, float)[kept]
    if strong:
        axes.plot(x, y, linewidth=1.7, markersize=3.2, markevery=0.12, zorder=3, **_look(i))
    else:
        axes.plot(x, y, linewidth=0.9, alpha=0.4, color=style.LINES[i], zorder=2)


def _name(part: str) -> str:
    return NAMES.get(part, part.replace("_", " "))


def _share_steps(places: Sequence[Axes]) -> None:
    """The same logarithmic steps below every panel, so that what happens together stands together."""
    for axes in places:
        _log(axes, "x")
    low, high = min(axes.get_xlim()[0] for axes in places), max(axes.get_xlim()[1] for axes in places)
    for axes in places:
        axes.set_xlim(low, high)
        _log(axes, "x")


def _all_positive(axes: Axes) -> bool:
    return all(bool((np.asarray(line.get_ydata()) > 0).all()) for line in axes.lines)


def _log(axes: Axes, which: str) -> None:
    """A logarithmic axis with its numbers written out, and enough of them: 1, 2, 5 within two decades, else powers of ten."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    decades = np.log10(high / low)
    subs = (1, 2, 3, 5, 7) if decades < 1 else (1, 2, 5) if decades < 2.2 else (1,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_major_formatter(FuncFormatter(style.plain))
    axis.set_minor_formatter(NullFormatter())
