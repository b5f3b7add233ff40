"""The trade-off that β makes: distortion against rate, and the slope between neighbouring β beside what theory expects.

Covered: curves on several splits side by side, each point with its intervals. On the optimal curve dD/dR = −β (Alemi et al.
2018, https://arxiv.org/abs/1711.00464), so that a secant between two neighbours lies between their −β; whether it does is
what the lower panels show. Not covered: training over β, measuring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.report import style
from legato.report.frame import LEFT, log_axis
from legato.report.labels import spread

BOX = (3.9, 3.0)  # inches of a curve; the rest is room that Matplotlib's layouts would not keep equal for all splits
ROW = 0.3
GAP = 0.62
RIGHT = 0.7
HEADING = "Slope from one β to the next"
NOTE = "grey: from β to β; a full dot lies in it, a hollow one does not"


@dataclass(frozen=True)
class RatePoint:
    """One model: its β, and its rate and distortion in nats per image."""

    beta: float
    rate: Estimate
    distortion: Estimate


@dataclass(frozen=True)
class RateCurve:
    """The models of one split, two or more, each of another β.

    `slopes`: −ΔD/ΔR between neighbours in β with their intervals, smallest β first, where they were measured on pairs.
    """

    title: str
    points: Sequence[RatePoint]
    slopes: Sequence[Estimate] = ()


@dataclass(frozen=True)
class Secant:
    """The slope between two neighbouring β: ΔD/ΔR, nats per nat; None where the two have one rate."""

    low: float
    high: float
    slope: float | None

    @property
    def expected(self) -> bool:
        """True where −slope lies between the two β."""
        return self.slope is not None and self.low <= -self.slope <= self.high


def secants(points: Sequence[RatePoint]) -> list[Secant]:
    """The slopes between neighbours in β, smallest β first."""
    found = []
    for one, other in pairwise(sorted(points, key=lambda point: point.beta)):
        run, rise = _value(other.rate) - _value(one.rate), _value(other.distortion) - _value(one.distortion)
        # equal rates: the slope is infinite, and means nothing
        found.append(Secant(one.beta, other.beta, None if run == 0 else rise / run))
    return found


def rate_distortion(curves: Sequence[RateCurve]) -> Figure:
    """A figure of each split's curve, its points named by β, and below it the secant slopes beside −β."""
    style.counted(curves, "curves")
    for curve in curves:
        if len(curve.points) < 2 or len({point.beta for point in curve.points}) < len(curve.points):
            raise Mistake(f"the curve `{curve.title}` needs two or more points, each of another β")
    slopes = ROW * max(len(curve.points) - 1 for curve in curves) + 0.25
    top = style.heading_height([curve.title for curve in curves], [], BOX[0])
    below = GAP + style.heading_height([HEADING], [NOTE], BOX[0]) + slopes + 0.52
    with style.styled():
        figure, places = style.panel_grid(len(curves), BOX, left=LEFT, right=RIGHT, top=top, bottom=below)
        for axes, curve in zip(places, curves, strict=True):
            _draw_curve(axes, curve)
        _share(places)
        for axes, curve in zip(places, curves, strict=True):
            _name_points(axes, curve)
            _draw_slopes(_below(figure, axes, below, slopes), secants(curve.points), curve.slopes)
    return figure


def _value(estimate: Estimate) -> float:
    if estimate.value is None:
        raise Mistake(f"a rate–distortion curve needs both values of every point: {estimate.why}")
    return estimate.value


def _draw_curve(axes: Axes, curve: RateCurve) -> None:
    points = sorted(curve.points, key=lambda point: point.beta)
    x, y = [_value(point.rate) for point in points], [_value(point.distortion) for point in points]
    axes.plot(x, y, color=style.LINES[0], linewidth=1.4, marker="o", markersize=4.5, zorder=3)
    for point, at_x, at_y in zip(points, x, y, strict=True):
        _bar(axes, point.rate, at_y, across=True)
        _bar(axes, point.distortion, at_x, across=False)
    axes.set(xlabel="rate (nats per image)", ylabel="distortion (nats per image)")
    axes.margins(0.1)
    axes.grid(color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(style.plain))
    style.heading(axes, curve.title, "", BOX[0])


def _bar(axes: Axes, estimate: Estimate, at: float, *, across: bool) -> None:
    if estimate.low is not None and estimate.high is not None:
        draw = axes.hlines if across else axes.vlines
        draw(at, estimate.low, estimate.high, color=style.LINES[0], linewidth=2.6, alpha=0.35, zorder=2)


def _share(places: Sequence[Axes]) -> None:
    """One scale for all splits: that test lies above train is the point of drawing both."""
    x = [axes.get_xlim() for axes in places]
    y = [axes.get_ylim() for axes in places]
    for axes in places:
        axes.set_xlim(min(low for low, _ in x), max(high for _, high in x))
        axes.set_ylim(min(low for low, _ in y), max(high for _, high in y))


def _name_points(axes: Axes, curve: RateCurve) -> None:
    """β beside each point, to the upper right, which a falling curve leaves free; moved aside where names would meet."""
    names = [f"β = {style.plain(point.beta)}" for point in curve.points]
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    corner, span = np.array([x0, y0]), np.array([x1 - x0, y1 - y0])
    points = (np.array([(_value(p.rate), _value(p.distortion)) for p in curve.points]) - corner) / span
    sizes = np.array([(style.text_width(name, style.NOTE) + 0.08, 0.19) for name in names]) / np.array(BOX)
    wanted = points + sizes / 2 + 0.012
    for name, place in zip(names, spread(wanted, sizes), strict=True):
        axes.annotate(name, tuple(place), xycoords="axes fraction", fontsize=style.NOTE, ha="center", va="center", zorder=5)


def _below(figure: Figure, axes: Axes, below: float, slopes: float) -> Axes:
    """The axes of a curve's slopes, as wide as the curve."""
    width, height = (float(side) for side in figure.get_size_inches())
    place = axes.get_position()
    bottom = place.y0 - (below - 0.52) / height
    return figure.add_axes((place.x0, bottom, BOX[0] / width, slopes / height))


def _draw_slopes(axes: Axes, found: Sequence[Secant], measured: Sequence[Estimate]) -> None:
    """A row for each pair: the range from β to β as a bar, the measured −slope as a dot in it or beside it, and its number."""
    for row, secant in enumerate(found):
        axes.plot([secant.low, secant.high], [row, row], color="#c9c9c9", linewidth=8, solid_capstyle="butt", zorder=1)
        if secant.slope is not None and secant.slope < 0:  # a slope that rises has no place on a logarithmic axis of −slope
            face = style.LINES[0] if secant.expected else "white"
            axes.plot([-secant.slope], [row], marker="o", markersize=6, mfc=face, mec=style.LINES[0], mew=1.5, zorder=3)
        words = "no slope" if secant.slope is None else style.plain(-secant.slope)
        place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
        axes.annotate(words, (1, row), (6, 0), ha="left", fontsize=style.NOTE, annotation_clip=False, **place)
    for row, slope in enumerate(measured):
        if slope.low is not None and slope.high is not None:
            axes.hlines(row, slope.low, slope.high, color=style.LINES[0], linewidth=1.4, zorder=2)
    axes.set_yticks(range(len(found)), [f"{style.plain(s.low)}–{style.plain(s.high)}" for s in found])
    axes.set(ylim=(len(found) - 0.4, -0.6), xlabel="−ΔD/ΔR (nats per nat)")
    _number(axes, found)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    style.heading(axes, HEADING, NOTE, BOX[0])


def _number(axes: Axes, found: Sequence[Secant]) -> None:
    """A logarithmic axis where no β is 0: that is how a family of β is spaced."""
    if all(secant.low > 0 for secant in found):  # 0 has no place on a logarithmic axis
        log_axis(axes, "x")
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
        axes.xaxis.set_major_formatter(FuncFormatter(style.plain))
