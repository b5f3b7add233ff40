"""The population of codes: what the rate is spent on, whether clouds overlap, its shape beside the prior, the prior's holes."""

from __future__ import annotations

import numpy as np

from legato.measures.decomposition import decomposition
from legato.measures.estimate import Estimate
from legato.measures.holes import kde_holes, prior_holes
from legato.measures.overlap import confusion_rate, nearest_overlap
from legato.measures.shape import marginal_distances, norm_distance, size_of_means, two_sample_accuracy
from legato.survey.chapter import Chapter, Found
from legato.survey.evaluation import Evaluation
from legato.types import Floats

POINTS = 10_000  # codes of a kernel estimate: its sum over pairs is quadratic, and its bandwidth hardly moves beyond


def rate_spent(evaluation: Evaluation) -> Found:
    """Mutual information, total correlation and the rest, by exact sums over all training posteriors; confusion; overlap."""
    mu, sigma = evaluation.train.mu, evaluation.train.widths
    parts = decomposition(mu, sigma, outer=evaluation.effort.outer, seed=evaluation.seed, of=evaluation.train.of)
    figures = {
        "mutual information": parts.mutual_information,
        "marginal KL": parts.marginal_kl,
        "total correlation": parts.total_correlation,
        "dimension-wise KL": parts.dimension_wise_kl,
        "confusion": confusion_rate(parts.draws),
        "overlap": nearest_overlap(mu, sigma, evaluation.effort.places, evaluation.seed),
    }
    return figures, {"log N": parts.log_n}


def null(evaluation: Evaluation) -> Found:
    """The same figures of images that the model drew itself: what a perfect match of population and prior would measure.

    I(n; z) ≤ log N, so that KL(q̂ ‖ p) ≥ rate − log N even then: the figures above are to be read beside these.
    """
    # The same function on codes that match by construction: what it shows is the floor of I and of the KL at this N.
    codes = evaluation.self_sampled
    parts = decomposition(codes.mu, codes.widths, outer=evaluation.effort.outer, seed=evaluation.seed, of=codes.of)
    return {
        "null mutual information": parts.mutual_information,
        "null marginal KL": parts.marginal_kl,
        "null total correlation": parts.total_correlation,
        "null dimension-wise KL": parts.dimension_wise_kl,
        "null confusion": confusion_rate(parts.draws),
    }, {}


def shape(evaluation: Evaluation) -> Found:
    """Draws of the held-out population beside N(0, I): norms, marginals, second moments, and whether a classifier sees it."""
    # Draws and not means: the aggregate is of clouds, and means alone lie farther in.
    z = evaluation.test.draw(evaluation.seed)
    some = z[: evaluation.effort.judged]
    marginals = [one.value or 0.0 for one in marginal_distances(z)]
    moments = evaluation.test.mu.var(0) + (evaluation.test.widths**2).mean(0)
    figures = {
        "norm distance": norm_distance(z),
        "size of means": size_of_means(evaluation.test.mu),
        "two-sample accuracy": two_sample_accuracy(
            some, evaluation.subject.prior(len(some), evaluation.seed, "two-sample"), evaluation.seed
        ),
    }
    curves = {"marginal distances": marginals, "second moments": moments.tolist()}
    return figures, curves | {"squared norms": _histogram((z**2).sum(1))}


def holes(evaluation: Evaluation) -> Found:
    """H_1% and H_5%, exactly where there are clouds, and by one kernel estimate on whitened codes for every kind of code."""
    prior = evaluation.subject.prior(evaluation.effort.outer, evaluation.seed, "holes")
    figures: dict[str, Estimate] = {}
    # Exact only where both populations have clouds: q̂ of points is no density.
    if evaluation.train.sigma is not None and evaluation.test.sigma is not None:
        held_out = (evaluation.test.mu, evaluation.test.sigma)
        found = prior_holes(
            evaluation.train.mu, evaluation.train.sigma, held_out, prior, draws=evaluation.effort.outer, seed=evaluation.seed
        )
        figures = {f"hole {level:.0%}": one for level, one in found.items()}
    kernel = _kernel(
        evaluation,
        evaluation.train.draw(evaluation.seed, "kernel"),
        evaluation.test.draw(evaluation.seed, "kernel"),
        prior,
        "kernel hole",
    )
    means = _kernel(evaluation, evaluation.train.mu, evaluation.test.mu, prior, "kernel hole of means")
    return figures | kernel | means, {}


def _kernel(evaluation: Evaluation, train: Floats, test: Floats, prior: Floats, name: str) -> dict[str, Estimate]:
    """One kernel estimate on whitened codes, the same for clouds (of which one draw each is taken) and for points."""
    white = evaluation.whitening.apply
    # Whitened first: one bandwidth serves all dimensions only in their own units.
    found = kde_holes(white(train[:POINTS]), white(test), white(prior), seed=evaluation.seed)
    return {f"{name} {level:.0%}": one for level, one in found.items()}


def _histogram(values: np.ndarray, bins: int = 60) -> dict[str, list[float]]:
    """Densities between even edges, up to the 99.5 % quantile, beyond which a few far codes would squeeze all bars into one."""
    density, edges = np.histogram(values, bins, (0, float(np.quantile(values, 0.995))), density=True)
    return {"density": density.tolist(), "edges": edges.tolist()}


_RATE = ("mutual information", "marginal KL", "total correlation", "dimension-wise KL", "confusion", "overlap")
_HOLES = tuple(f"{kind} {level}" for kind in ("hole", "kernel hole", "kernel hole of means") for level in ("1%", "5%"))
_NULL = tuple(
    f"null {name}" for name in ("mutual information", "marginal KL", "total correlation", "dimension-wise KL", "confusion")
)
RATE = Chapter("what the rate is spent on", _RATE, rate_spent)
SHAPE = Chapter("shape of the population", ("norm distance", "size of means", "two-sample accuracy"), shape)
HOLES = Chapter("holes of the prior", _HOLES, holes)
NULL = Chapter("the null of the rate", _NULL, null)
