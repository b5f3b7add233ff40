"""The parts of the rate: mutual information, total correlation, dimension-wise KL, by exact sums over all N posteriors.

    rate = I(n; z) + KL(q̂ ‖ p),   KL(q̂ ‖ p) = TC + Σ_j KL(q̂_j ‖ p_j)

The sum inside each logarithm is exact, the mean over z ~ q̂ is Monte Carlo. Intervals are over the images: they are about the
figures of data sets of N images, all draws of an image being one example, and not about more images, of which I is larger.

Each image is in q̂ too. Yet densities integrate to 1, so that in first order KL(q̂ ‖ p), TC and the dimension-wise KL of a data
set change with an image by its own draws' mean alone. Where q̂ is near p they are quadratic in their error and intervals up to
√2 too wide; where fewer than three posteriors meet in a dimension, those of TC cover about 90 %. How few images are near each
other moves I more than that: its interval is by leaving images out (left_out.py). Simulated in records/coverage_codes.py.

Covered: a factorised prior. Not covered: the null, which is this same function on the posteriors of images that the model
itself has drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.distributions import Distribution, Normal

from legato.errors import Mistake
from legato.measures.aggregate import Draws, draw
from legato.measures.clusters import loss_interval, mean_over_images
from legato.measures.estimate import Estimate
from legato.measures.left_out import left_out_variance
from legato.measures.marginals import log_aggregate_marginals
from legato.types import Bools, Doubles, Floats

EXACT = "exact sums over all posteriors"


@dataclass(frozen=True)
class Decomposition:
    """The rate's parts in nats per example; `log_n` is the most that the mutual information can be.

    Where I ≈ log N the posteriors of the N images are practically disjoint, and KL(q̂ ‖ p) ≥ rate − log N whatever the
    population: read it beside the null. `per_dimension`: KL(q̂_j ‖ p_j), d of them.
    """

    rate: Estimate
    mutual_information: Estimate
    marginal_kl: Estimate
    total_correlation: Estimate
    dimension_wise_kl: Estimate
    per_dimension: list[Estimate]
    log_n: float
    draws: Draws  # kept for the measures that read the same draws: the pass over all pairs is the expensive part


def decomposition(
    mu: Floats, sigma: Floats, prior: Distribution | None = None, outer: int = 10_000, seed: int = 0, of: str = "images"
) -> Decomposition:
    """The parts of E KL(q(z|x_n) ‖ p) for posteriors N(mu, diag sigma²), (N, d), from `outer` draws z ~ q(z|x_n).

    I = E log q(z|x_n) − log q̂(z); TC = E log q̂(z) − Σ_j log q̂_j(z_j); the rest E Σ_j log q̂_j(z_j) − log p_j(z_j). The parts
    sum to the rate draw by draw, which proves nothing about any of them: each is tested alone.
    Hoffman & Johnson 2016, http://approximateinference.org/accepted/HoffmanJohnson2016.pdf; Chen et al. 2018,
    https://arxiv.org/abs/1802.04942, section 3 (they weight a batch; here all N posteriors enter).

    `of`: the population, whose draws have a noise of their own.

    `prior`: p_j, whose log_prob maps (n, d) to (n, d); None is N(0, 1). Raises `Mistake` as `log_aggregate` does.
    """
    draws = draw(mu, sigma, outer, seed, of)
    marginals = log_aggregate_marginals(draws.z, mu, sigma)
    per_dimension = marginals - _log_prior(draws.z, prior)
    # From one set of draws, so that the parts sum to the rate exactly and not only on average.
    joint, divergence = marginals.sum(1), per_dimension.sum(1)

    def part(values: Doubles, name: str) -> Estimate:
        return mean_over_images(values, draws.source, "nats", f"{name}, {EXACT}")

    return Decomposition(
        rate=part(draws.log_own - joint + divergence, "KL(q(z|x) || p), by draws"),
        mutual_information=mutual_information(draws),
        marginal_kl=part(draws.log_aggregate - joint + divergence, "KL(q^ || p)"),
        total_correlation=part(draws.log_aggregate - joint, "total correlation of q^"),
        dimension_wise_kl=part(divergence, "sum of KL(q^_j || p_j)"),
        per_dimension=[part(column, "KL(q^_j || p_j)") for column in per_dimension.T],
        # The bound of I: N images cannot be told apart by more than the logarithm of their number.
        log_n=math.log(len(mu)),
        draws=draws,
    )


def mutual_information(draws: Draws) -> Estimate:
    """I(n; z) = E log q(z|x_n) − log q̂(z) in nats, with its interval for data sets of as many images.

    An image in another's place costs both log 2: log N − I is a loss, of which few images may be the cause.
    """
    information, images = draws.log_own - draws.log_aggregate, len(np.unique(draws.source))
    log_n, value = math.log(len(draws.groups.of_image)), float(information.mean())
    method = f"I(n; z), {EXACT}; {len(information)} draws"
    if images < 2:
        return Estimate(value, None, None, images, "nats", f"{method}; one image has no interval")

    def without(kept: Bools) -> Doubles:
        """Log N less the loss, for it is the figure of N images that is wanted."""
        others = np.logaddexp.reduce(draws.log_sums[:, kept], 1)
        # An image is always among its own posteriors, whichever group is left out: log q̂ is never below its own term.
        return np.asarray(log_n + draws.log_own - np.maximum(others, draws.log_own))

    variance = left_out_variance(information, draws.source, without, draws.groups)
    # An image in another's place costs both log 2: the least that one event can lose.
    low, high = loss_interval(log_n - value, variance, images, math.log(2))
    method = f"{method}; 95 % interval over {images} images"
    # an information is at least 0, and its interval says nothing of what cannot be
    return Estimate(value, max(log_n - high, 0.0), log_n - low, images, "nats", method)


def _log_prior(z: Doubles, prior: Distribution | None) -> Doubles:
    # In double precision: q̂ is, and the difference of the two may be a small part of either.
    prior = prior or Normal(torch.tensor(0.0, dtype=torch.double), torch.tensor(1.0, dtype=torch.double))
    with torch.no_grad():
        found: Doubles = prior.log_prob(torch.from_numpy(z)).double().numpy()
    if found.shape != z.shape:
        raise Mistake(f"`prior` must factorise: its log_prob gives {found.shape} for z {z.shape}, expected one value each")
    return found
