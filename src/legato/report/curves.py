"""Curves against the training step: how wide the posteriors are, and how the parts of the loss fall.

Covered: logarithmic steps, since a run's first hundred change as much as its last ten thousand; several runs told apart by
colour, dash and marker. Not covered: reading `metrics.jsonl` (the caller's), live plots (the explorer's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.report import style
from legato.report.frame import BOX, Extra, framed, legend, log_axis, look
from legato.types import Floats

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
    """One run's loss parts by name, in nats per example; a part that a run lacks (an autoencoder's rate) is left out.

    `weights`: those of its terms that are not the same throughout, a number each.
    """

    title: str
    train: Mapping[str, Curve] = field(default_factory=dict)
    validation: Mapping[str, Curve] = field(default_factory=dict)
    weights: Mapping[str, Curve] = field(default_factory=dict)


def sigma_curves(series: Sequence[SigmaSeries]) -> Figure:
    """σ of each run's posteriors against the step, and beside it σ / Std(μ): the noise as seen from the spread of the codes.

    Lines are geometric means over the dimensions, bands reach from the smallest to the largest. Only the second axes tell
    noise that is small from noise that is small *here*: without a KL term a network may grow its codes instead of calming σ.
    """
    style.counted(series, "series")
    with style.styled():
        figure, (absolute, relative), top = framed(
            [title for title, _ in WIDTHS], [each.title for each in series], _sigma_extras()
        )
        for i, each in enumerate(series):
            _band(absolute, i, each.steps, each.sigma, each.title)
            if each.std_mu is not None:
                _band(relative, i, each.steps, _ratio(each.sigma, each.std_mu), each.title)
        for axes, (title, label) in zip((absolute, relative), WIDTHS, strict=True):
            axes.set(xlabel="training step", ylabel=label)
            log_axis(axes, "y")
            log_axis(axes, "x")
            axes.axhline(1.0, color=style.FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            style.heading(axes, title, "", BOX[0])
        absolute.set_ylim(top=max(absolute.get_ylim()[1], 1.0) * 1.4)  # room for the words above the line
        place = absolute.get_yaxis_transform()
        absolute.annotate("σ of the prior", (1, 1), (-2, 3), xycoords=place, textcoords="offset points", ha="right", **_SMALL)
        legend(figure, [each.title for each in series], _sigma_extras(), top)
    return figure


def training_curves(series: Sequence[TrainingSeries]) -> Figure:
    """One panel per part of the loss, all runs in each: training faint, validation strong, in nats per example.

    One more for each weight that changes.
    """
    style.counted(series, "runs")
    parts = list(dict.fromkeys(part for each in series for part in [*each.train, *each.validation]))
    weights = list(dict.fromkeys(name for each in series for name in each.weights))
    if not parts:
        raise Mistake("there are no training curves to draw: no series has a part")
    style.counted(parts, "parts of a loss")
    with style.styled():
        names = [*map(_name, parts), *(f"weight of the {name}" for name in weights)]
        figure, places, top = framed(names, [each.title for each in series], _training_extras())
        for axes, part in zip(places, parts, strict=False):
            for i, each in enumerate(series):
                _line(axes, i, each.train.get(part), strong=False)
                _line(axes, i, each.validation.get(part), strong=True)
            _panel(axes, _name(part), "nats per example", logarithmic=part not in LINEAR)
        for axes, name in zip(places[len(parts) :], weights, strict=True):
            for i, each in enumerate(series):
                _line(axes, i, each.weights.get(name), strong=True)
            _panel(axes, f"weight of the {name}", "in the loss", logarithmic=True)
        _share_steps(places)
        legend(figure, [each.title for each in series], _training_extras(), top)
    return figure


def _panel(axes: Axes, name: str, unit: str, logarithmic: bool) -> None:
    axes.set(xlabel="training step", ylabel=unit)
    if logarithmic and _all_positive(axes):
        log_axis(axes, "y")
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(style.plain))
    style.heading(axes, name, "", BOX[0])


_SMALL: dict[str, Any] = {"fontsize": style.NOTE, "color": style.FAINT}


def _sigma_extras() -> list[Extra]:
    return [("smallest to largest dimension", lambda: Patch(color=style.FAINT, alpha=0.25, linewidth=0))]


def _training_extras() -> list[Extra]:
    return [
        ("training", lambda: Line2D([], [], color=style.FAINT, alpha=0.45, linewidth=0.9)),
        ("validation", lambda: Line2D([], [], color=style.FAINT, linewidth=2)),
    ]


def _band(axes: Axes, i: int, steps: NDArray[Any], values: Floats, title: str) -> None:
    """The geometric mean over dimensions and the range around it. Step 0 has no place on a logarithmic axis."""
    if values.ndim != 2 or len(steps) != len(values) or not np.isfinite(values).all() or (values < 0).any():
        raise Mistake(
            f"the curves of `{title}` need finite values ≥ 0 of shape (T, D) at T = {len(steps)} steps, got {values.shape}"
        )
    kept = np.asarray(steps) > 0
    x, y = np.asarray(steps)[kept], np.maximum(values[kept], 1e-12)  # a σ of 0 has no logarithm, and no place on the axis
    axes.fill_between(x, y.min(1), y.max(1), color=style.LINES[i], alpha=0.13, linewidth=0)
    # within the range, which rounding may leave: an axis of two numbers that differ in their last digit cannot be drawn
    middle = np.exp(np.log(y).mean(1)).clip(y.min(1), y.max(1))
    axes.plot(x, middle, linewidth=1.6, markersize=3.2, **look(i))


def _ratio(sigma: Floats, std_mu: Floats) -> Floats:
    """σ / Std(μ), bounded: in a collapsed dimension the means do not spread at all."""
    # a thousandth at least, so that one dead dimension does not stretch the axis by decades
    ratio: Floats = sigma / np.maximum(std_mu, 1e-3 * np.maximum(sigma, 1e-12))
    return ratio


def _line(axes: Axes, i: int, curve: Curve | None, *, strong: bool) -> None:
    if curve is None or not len(curve.steps):
        return
    kept = np.asarray(curve.steps) > 0
    x, y = np.asarray(curve.steps)[kept], np.asarray(curve.values, float)[kept]
    if strong:
        # markers at every eighth of the line: at every step they would cover it
        axes.plot(x, y, linewidth=1.7, markersize=3.2, markevery=0.12, zorder=3, **look(i))
    else:
        axes.plot(x, y, linewidth=0.9, alpha=0.4, color=style.LINES[i], zorder=2)


def _name(part: str) -> str:
    return NAMES.get(part, part.replace("_", " "))


def _share_steps(places: Sequence[Axes]) -> None:
    """The same logarithmic steps below every panel, so that what happens together stands together."""
    for axes in places:
        log_axis(axes, "x")
    low, high = min(axes.get_xlim()[0] for axes in places), max(axes.get_xlim()[1] for axes in places)
    for axes in places:
        axes.set_xlim(low, high)
        # Again: limits that were set anew may ask for other numbers on the axis.
        log_axis(axes, "x")


def _all_positive(axes: Axes) -> bool:
    return all(bool((np.asarray(line.get_ydata()) > 0).all()) for line in axes.lines)
