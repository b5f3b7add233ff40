"""Fidelity of decoded images: the ladder from reconstructions to the raw prior, and midpoints of paths.

All decoded images are means, compared with grey test images in the features of `ReferenceFeatures`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legato.measures.clusters import Ends, mean_over_pairs
from legato.measures.estimate import Estimate, absent
from legato.measures.fidelity import frechet, kid
from legato.measures.interpolation import Path, between_ends, decoded, midpoints
from legato.measures.manifold import manifold
from legato.survey.chapter import Chapter, Found
from legato.survey.effort import Effort
from legato.survey.evaluation import Evaluation
from legato.survey.reference import ReferenceFeatures
from legato.types import Floats

CROWDS = ("reconstruction", "mixture", "prior")  # sets whose every member is looked for among real ones


def ladder(evaluation: Evaluation) -> Found:
    """Reconstructions, then samples from a mixture and a Gaussian fitted to training codes, then from N(0, I)."""
    figures: dict[str, Estimate] = {}
    for name, images in {"reconstruction": evaluation.reconstructions, **evaluation.samples}.items():
        figures |= compared(evaluation.reference, evaluation.effort, name, images, crowd=name in CROWDS)
    if evaluation.no_mixture:
        figures |= dict.fromkeys(_names("mixture", crowd=True), absent(evaluation.no_mixture))
    prior, rebuilt = figures["frechet prior"], figures["frechet reconstruction"]
    # The gap asks what is lost between the two ends; each alone has the decoder's blur in it.
    figures["frechet gap"] = _difference(prior, rebuilt)
    return figures, {}


def compared(
    reference: ReferenceFeatures, effort: Effort, name: str, images: Floats, crowd: bool, ends: Ends | None = None
) -> dict[str, Estimate]:
    """Fréchet distance and KID of one set of images; with `crowd` density, coverage, precision and realism too.

    `ends`: of images between two others the rows of these, for what is a mean over images.
    """
    seen = reference.features(images)
    figures = {
        f"frechet {name}": frechet(reference.real.features, seen, effort.halves),
        f"kid {name}": kid(reference.real.features, seen),
    }
    if crowd:
        found = manifold(reference.real.cloud, seen, draws=effort.halves)
        figures |= {f"density {name}": found.density, f"coverage {name}": found.coverage, f"precision {name}": found.precision}
        figures[f"realism {name}"] = _realism(found.precision, reference.real.floor.precision)
    if reference.confidence is not None:
        figures[f"confidence {name}"] = reference.confidence(images, ends)
    return figures


def between(evaluation: Evaluation) -> Found:
    """Images half way between the codes of test images."""
    # other pairs than those of straightness (seed 1): one unlucky draw would else show in both
    ends = evaluation.shared.pairs(evaluation.effort.samples, 1)
    first, second = (evaluation.test.mu[rows] for rows in ends)
    path = decoded(evaluation.subject.decode, first, second)
    return middle(evaluation.reference, evaluation.effort, path, ends), {}


def middle(reference: ReferenceFeatures, effort: Effort, path: Path, ends: Ends) -> dict[str, Estimate]:
    """The images at half of paths between the rows of `ends`: whether they are like real ones, and between the ends."""
    n = len(ends[0])
    figures = compared(reference, effort, "midpoint", np.asarray(midpoints(path, n), np.float32), crowd=True, ends=ends)
    return figures | {"midpoint between ends": _share_between(between_ends(path, n, reference.features), ends)}


def _share_between(inside: NDArray[np.float64], ends: Ends) -> Estimate:
    """The share over the paths that have two ends."""
    unit, moves = "share of paths", ~np.isnan(inside)
    # A decoder of one image for every code has all midpoints between its ends; it must not score 1.
    if not moves.any():
        return absent("the decoder gives one image at both ends of every path", unit)
    still = f"; {(~moves).sum()} paths whose ends are one image are left out" if not moves.all() else ""
    method = f"image at half of a path no farther from either end than these are apart, in features{still}"
    return mean_over_pairs(inside[moves], (ends[0][moves], ends[1][moves]), unit, method)


def _realism(precision: Estimate, real: Estimate) -> Estimate:
    """Precision over that of training images, which is an estimate too: relative errors add in squares (the delta method)."""
    unit, method = "share, real = 1", f"{precision.method}; over that of training images"
    if not real.value:
        return absent("no training image lies among test images either", unit)
    assert precision.value is not None
    # The floor is training images' own precision, and not 1: the balls of a finite set do not hold all of real data.
    value = precision.value / real.value
    half = float(np.hypot(_half(precision), value * _half(real))) / real.value
    return Estimate(value, max(value - half, 0.0), value + half, precision.n, unit, method)


def _half(one: Estimate) -> float:
    """Half its interval."""
    assert one.low is not None
    assert one.high is not None
    return (one.high - one.low) / 2


def _difference(a: Estimate, b: Estimate) -> Estimate:
    """a − b of two sets that are not paired: their half widths added in squares."""
    if a.value is None or b.value is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return absent("one of the two distances is missing")
    # Not paired, though both hold the same test images: the covariance is left out, which errs on the wide side.
    half = float(np.hypot(a.high - a.low, b.high - b.low)) / 2
    value, method = a.value - b.value, "Fréchet distance of prior samples less that of reconstructions"
    return Estimate(value, value - half, value + half, a.n, a.unit, method)


def _names(kind: str, crowd: bool) -> tuple[str, ...]:
    more = ("density", "coverage", "precision", "realism") if crowd else ()
    return tuple(f"{measure} {kind}" for measure in ("frechet", "kid", *more, "confidence"))


_LADDER = [name for kind in ("reconstruction", "mixture", "gaussian", "prior") for name in _names(kind, kind in CROWDS)]
LADDER = Chapter("fidelity", (*_LADDER, "frechet gap"), ladder)
MIDPOINTS = Chapter("midpoints", (*_names("midpoint", True), "midpoint between ends"), between)
