"""Curves of how far a step in latent space carries the image: C(r) by model, and the step at which half the way is gone.

Covered: curves with bands and their r₅₀. Not covered: measuring them (`legato.measures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.measures.interval import bracketed
from legato.report import style
from legato.report.frame import framed, legend, look
from legato.types import Floats

BOX = (6.0, 3.3)  # inches: one panel, wide enough for the names' intervals
STEEP = 0.25  # of the axis: a curve that is half way sooner runs through words at the left


@dataclass(frozen=True)
class PerturbationCurve:
    """One model: at steps `r` (T,), C(r) `values` (T,) with its 95 % band from `low` to `high`; and r₅₀, where C is ½."""

    title: str
    r: Floats
    values: Floats
    low: Floats | None = None
    high: Floats | None = None
    r_half: Estimate | None = None


def perturbation_curve(title: str, curves: Mapping[str, Any], r_half: Estimate | None) -> PerturbationCurve | None:
    """The curve of a survey; None where it has none, or one with gaps."""
    found = curves.get("curve of r50")
    # A gap is a radius at which nothing could be measured: a line drawn across it would claim a value there.
    if not found or None in found["value"]:
        return None
    r, values, low, high = (np.array(found[key], float) for key in ("radii", "value", "low", "high"))
    return PerturbationCurve(title, r, values, low, high, r_half)


def perturbation_curves(curves: Sequence[PerturbationCurve], unit: str = "standard deviations of the codes") -> Figure:
    """C(r) = E d(g(z), g(z + r S^½u)) / E d(g(z), g(z′)) of each model: 0 the same image, 1 an unrelated one."""
    style.counted(curves, "curves")
    names = [_name(curve) for curve in curves]
    with style.styled():
        figure, (axes,), room = framed(["How soon an image becomes another"], names, box=BOX)
        for i, curve in enumerate(curves):
            _draw(axes, i, curve)
        axes.set(xlabel=f"size of the step r ({unit})", ylabel="C(r) (ratio of distances)")
        axes.set_xlim(left=0)
        axes.set_ylim(0, max(1.08, axes.get_ylim()[1]))  # a little above 1, where an unrelated image is: curves may pass it
        _mark_ends(axes, [curve.r_half.value for curve in curves if curve.r_half and curve.r_half.value is not None])
        for i, curve in enumerate(curves):
            _mark_half(axes, i, curve)
        axes.xaxis.set_major_formatter(FuncFormatter(style.plain))
        axes.yaxis.set_major_formatter(FuncFormatter(style.plain))
        style.heading(axes, "How soon an image becomes another", "", BOX[0])
        legend(figure, names, (), room)
    return figure


def _name(curve: PerturbationCurve) -> str:
    if curve.r_half is None:
        return curve.title
    if curve.r_half.value is None:
        return f"{curve.title}: no r₅₀ ({curve.r_half.why})"
    return f"{curve.title}: r₅₀ = {bracketed(curve.r_half)}"


def _draw(axes: Axes, i: int, curve: PerturbationCurve) -> None:
    parts = [part for part in (curve.values, curve.low, curve.high) if part is not None]
    if any(np.shape(part) != np.shape(curve.r) or not np.isfinite(part).all() for part in parts) or np.ndim(curve.r) != 1:
        raise Mistake(f"the curve of `{curve.title}` needs finite values of the shape (T,) of its steps, {np.shape(curve.r)}")
    if curve.low is not None and curve.high is not None:
        axes.fill_between(curve.r, curve.low, curve.high, color=style.LINES[i], alpha=0.16, linewidth=0)
    axes.plot(curve.r, curve.values, linewidth=1.7, markersize=3.4, zorder=3, **look(i))


def _mark_ends(axes: Axes, halves: Sequence[float]) -> None:
    """The lines at ½ and 1, and what they mean; words stand at the left, unless an early curve would run through them."""
    soon = min(halves, default=np.inf) < STEEP * axes.get_xlim()[1]
    for height, words, right in ((1.0, "an unrelated image", False), (0.5, "half way: r₅₀", soon)):
        axes.axhline(height, color=style.FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
        ends: dict[str, Any] = {
            "xy": (int(right), height),
            "xytext": (-4 if right else 4, 3),
            "ha": "right" if right else "left",
        }
        axes.annotate(words, fontsize=style.NOTE, color=style.FAINT, **ends, **place)


def _mark_half(axes: Axes, i: int, curve: PerturbationCurve) -> None:
    """r₅₀ on the line C = ½, its interval as a bar of the model's colour."""
    found = curve.r_half
    if found is None or found.value is None:
        return
    if found.low is not None and found.high is not None:
        axes.hlines(0.5, found.low, found.high, color=style.LINES[i], linewidth=5, alpha=0.4, zorder=3)
    axes.plot([found.value], [0.5], marker="|", markersize=13, markeredgewidth=2, color=style.LINES[i], zorder=4)
