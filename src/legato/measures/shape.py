"""The shape of the aggregate posterior beside N(0, I): norms, marginals, the size of means, and whether a classifier sees it.

Its second moment is 1 by construction wherever z may be rescaled, for ten separate clusters too: the shape is what can differ.
Covered: draws z ~ q(z|x) against the standard normal. Not covered: densities (aggregate.py), holes (holes.py).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.stats import chi2, norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from legato.errors import Mistake
from legato.measures.aggregate import as_points
from legato.measures.estimate import Estimate, mean_over
from legato.streams import random_stream
from legato.types import Doubles, Floats


def ks_distance(values: Floats, cdf: Callable[[Doubles], Doubles], what: str) -> Estimate:
    """sup |F_n − F| of values (n,) against `cdf`: 0 the same distribution, 1 disjoint.

    The interval is ± √(log(2/0.05)/2n), which bounds sup |F_n − F_population| at 95 % for every distribution: Massart 1990,
    https://doi.org/10.1214/aop/1176990746. At n = 10,000 it is ± 0.014; a bootstrap would add the sample's own noise to
    the distance and never come down to 0. Raises `Mistake` on what is not finite.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if not len(ordered) or not np.isfinite(ordered).all():
        raise Mistake("a Kolmogorov-Smirnov distance needs finite values")
    n, level = len(ordered), np.asarray(cdf(ordered), np.float64)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - level).max(), (level - steps[:-1]).max()))
    half = math.sqrt(math.log(2 / 0.05) / (2 * n))
    method = f"Kolmogorov-Smirnov distance of {what}; 95 % interval by the Dvoretzky-Kiefer-Wolfowitz bound"
    return Estimate(distance, max(0.0, distance - half), min(1.0, distance + half), n, "probability", method)


def norm_distance(z: Floats) -> Estimate:
    """‖z‖² of draws z ~ q(z|x), (n, d), against χ² with d degrees of freedom."""
    # squared, for which a χ² is at hand; a root changes no distance between distributions
    z = as_points(z, np.asarray(z).shape[-1])
    return ks_distance((z**2).sum(1), chi2(z.shape[1]).cdf, f"|z|^2 to chi-squared, d = {z.shape[1]}")


def marginal_distances(z: Floats) -> list[Estimate]:
    """Each z_j of draws (n, d) against N(0, 1), d of them. The largest of many is large by chance too: read it as such."""
    z = as_points(z, np.asarray(z).shape[-1])
    return [ks_distance(column, norm.cdf, f"z_{j} to N(0, 1)") for j, column in enumerate(z.T)]


def size_of_means(mu: Floats) -> Estimate:
    """√(E ‖μ(x)‖²/d), mu (n, d): how far out means lie, in latent units; by the delta method over images.

    A scale, not a distance: two models are compared by it only where nothing but a word of the objective differs.
    """
    mu = as_points(mu, np.asarray(mu).shape[-1])
    square = mean_over((mu**2).mean(1), "latent units", "root mean square of mu_j")
    assert square.value is not None
    size = math.sqrt(square.value)
    # At 0 the delta method divides by 0, and of one image there is no interval to carry over.
    if square.low is None or square.high is None or not size:
        return replace(square, value=size)
    half = (square.high - square.low) / (4 * size)  # d√v = dv/2√v
    return replace(square, value=size, low=size - half, high=size + half)


def two_sample_accuracy(q: Floats, p: Floats, seed: int = 0) -> Estimate:
    """The accuracy of a small classifier that tells held-out draws of q (n, d) from draws of p (n, d); ½: it cannot.

    Trained on one half of each, tested on the other; the draws of q should come from different images. Lopez-Paz & Oquab 2017,
    https://arxiv.org/abs/1610.06545. It bounds the total variation distance from below: TV ≥ 2 · accuracy − 1.
    A network of 64 and 64 rectified units, which sees clusters and holes that no second moment shows.
    """
    q = as_points(q, np.asarray(q).shape[-1])
    p = as_points(p, q.shape[1])
    n = min(len(q), len(p))  # as many of each: with unequal numbers always guessing the larger would be better than ½
    if n < 4:
        raise Mistake(f"a two-sample test needs four draws of each or more; got {n}")
    rng = random_stream(seed, "two-sample")
    draws = np.concatenate(
        [each[rng.permutation(len(each))[:n]] for each in (q, p)]
    )  # of the larger set a sample, not its head, which may be sorted
    labels = np.repeat([0, 1], n)
    train = np.tile(np.arange(n) < n // 2, 2)
    # early stopping holds a tenth out, which of fewer than 100 draws is too few to stop by
    network = MLPClassifier((64, 64), early_stopping=n >= 100, max_iter=100, random_state=seed)
    classifier = make_pipeline(StandardScaler(), network)  # standardised: codes of another scale would train at another speed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a classifier that could learn more is still a lower bound
        classifier.fit(draws[train], labels[train])
    right = classifier.predict(draws[~train]) == labels[~train]
    return mean_over(right.astype(np.float64), "share of draws told right", "held-out accuracy of a classifier, q against p")
