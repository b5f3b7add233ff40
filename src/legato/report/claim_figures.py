"""The figures of the claims' report that are drawn from numbers alone: estimates by member, curves, trade-offs, histograms."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import chi2

from legato.experiment.across import BEARS, LEAST, MEANS, RECONSTRUCTIONS, SAMPLES
from legato.experiment.conclusion import CONTROLS
from legato.experiment.contrasts import Evidence
from legato.experiment.members import LARGE, title_of
from legato.measures.known import MEASURES, called
from legato.report import style
from legato.report.forest import EstimateRow, estimates_plot
from legato.report.frame import BOX, framed, legend, log_axis, look
from legato.report.perturbation import perturbation_curve, perturbation_curves
from legato.report.tradeoff import RateCurve, RatePoint, rate_distortion

# units that an axis need not say: the words say them
UNSAID = ("ratio", "R2", "probability", "coefficient", "times the variance", "share, real = 1")
FORETOLD = (BEARS, MEANS[0], SAMPLES, RECONSTRUCTIONS)
DASHED = (0, (4, 2.5))
_CHI = (f"χ² with {LARGE} degrees of freedom", lambda: Line2D([], [], color=style.INK, linewidth=1, linestyle=DASHED))
# member -> its survey's curves, of seed 0 alone: means of curves would be smoother than any model's
Curves = dict[str, dict[str, Any]]


def forest(evidence: Evidence, measure: str, *, keyed: bool = False) -> Figure | None:
    """One row for each member and control that has the measure; None where none has. The report says once what is drawn how."""
    rows = []
    for name, seeds in evidence.found.items():
        values = evidence.values(measure, name)
        if not values:
            continue
        over = evidence.over_seeds(measure, name)
        # The first seed's interval over images stands beside the seeds': the two are never mixed.
        images = next(figures[measure] for figures in seeds if measure in figures and figures[measure].value is not None)
        rows.append(EstimateRow(title_of(name), images, over if over.low is not None else None, values))
    if not rows:
        return None
    return estimates_plot(rows, in_words(measure), log=_wide(rows), keyed=keyed)


def in_words(measure: str) -> str:
    """The measure's name, symbol and unit, as an axis says them."""
    unit = MEASURES[measure].unit if measure in MEASURES else ""
    words = called(measure)
    return f"{words}, in {unit}" if unit and unit not in UNSAID and unit not in words else words


def disturbed(evidence: Evidence, curves: Curves, names: tuple[str, ...]) -> Figure | None:
    """C(r) of some members."""
    found = [perturbation_curve(title_of(name), curves.get(name, {}), evidence.found[name][0].get("r50")) for name in names]
    drawn = [one for one in found if one is not None]
    return perturbation_curves(drawn) if drawn else None


def traded(evidence: Evidence) -> Figure | None:
    """Rate and distortion of every β, on test rows, means of seed 0."""
    points = []
    for name, seeds in evidence.found.items():
        # an autoencoder has no rate, and no place on the curve
        if name.startswith("beta-") and seeds[0]["rate"].value is not None:
            points.append(RatePoint(float(name.removeprefix("beta-")), seeds[0]["rate"], seeds[0]["distortion"]))
    return rate_distortion([RateCurve("Test images, seed 0", points)]) if len(points) > 1 else None


def foretold(evidence: Evidence) -> Figure | None:
    """Each trained member's samples in times of its reconstructions' distance, beside r₅₀ and purity: means over seeds."""
    names = [name for name in evidence.found if name not in CONTROLS and all(evidence.values(one, name) for one in FORETOLD)]
    if len(names) < LEAST:
        return None
    titles = [title_of(name) for name in names]
    bears, means, samples, rebuilt = (np.array([evidence.over_seeds(one, name).value for name in names]) for one in FORETOLD)
    with style.styled():
        headings = ("Continuity", "Meaning")
        figure, panels, room = framed(headings, titles)
        words = ("r₅₀ (latent standard deviations)", "purity (share of images)")
        for axes, values, heading, label in zip(panels, (bears, means), headings, words, strict=True):
            for i, (value, near) in enumerate(zip(values, samples / rebuilt, strict=True)):
                axes.plot([value], [near], **{**look(i), "linestyle": "none"}, markersize=6)
            axes.set_xlabel(label)
            log_axis(axes, "y")
            style.heading(axes, heading, "", BOX[0])
        panels[0].set_ylabel("samples' distance over reconstructions'")
        legend(figure, titles, [], room)
    return figure


def norms(curves: Curves, names: tuple[str, ...]) -> Figure:
    """‖z‖² of draws of the held-out population beside χ² with as many degrees of freedom as there are latents."""
    with style.styled():
        figure, (axes,), room = framed([""], [title_of(name) for name in names], [_CHI], box=(5.4, 2.4))
        for i, name in enumerate(names):
            if found := curves.get(name, {}).get("squared norms"):
                edges = np.array(found["edges"])
                line = {**look(i), "marker": ""}
                axes.plot((edges[1:] + edges[:-1]) / 2, found["density"], linewidth=1.8, **line)
        # beyond all but one in ten thousand draws of a perfect match: what lies farther out is said in the caption
        x = np.linspace(0.01, 1.6 * float(chi2.ppf(0.9999, LARGE)), 300)
        axes.plot(x, chi2.pdf(x, LARGE), color=style.INK, linewidth=1, linestyle=DASHED)
        axes.set(
            xlabel="‖z‖² (squared latent units)", ylabel="density", xlim=(0, x[-1]), ylim=(0, 2 * chi2.pdf(x, LARGE).max())
        )
        legend(figure, [title_of(name) for name in names], [_CHI], room)
    return figure


def balanced(curves: Curves) -> Figure | None:
    """log σ as the force balance predicts it against what the encoder says, a dot for each image and active dimension."""
    found = curves.get("beta-1", {}).get("balance")
    if not found or not found["learnt"] or not found["learnt"][0]:
        return None
    predicted, learnt = np.array(found["predicted"]), np.array(found["learnt"])
    with style.styled():
        figure, (axes,), _ = framed([""], [], box=(4.0, 3.6))
        for j in range(learnt.shape[1]):
            axes.plot(predicted[:, j], learnt[:, j], ".", markersize=3, alpha=0.6)
        # one range for both axes: the line of equality is then the diagonal
        low, high = min(predicted.min(), learnt.min()) - 0.1, max(predicted.max(), learnt.max()) + 0.1
        axes.plot([low, high], [low, high], color=style.INK, linewidth=0.9, linestyle=DASHED)
        axes.set(
            xlim=(low, high), ylim=(low, high), xlabel="log σ that 1 + [JᵀWJ]/β asks for", ylabel="log σ that the encoder says"
        )
    return figure


def _wide(rows: list[EstimateRow]) -> bool:
    """True where a logarithmic axis is needed, and can be had: what is 0 or below, of all seeds or the first, is not on it."""
    values = [value for row in rows for value in (row.over_images.value, row.shown.value) if value is not None]
    # More than 30-fold: below that a linear axis still shows the least of the values apart from 0.
    return min(values) > 0 and max(values) / min(values) > 30
