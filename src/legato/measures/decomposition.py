"""What the rate is made of: mutual information, total correlation, dimension-wise KL, by exact sums over all N posteriors.

    rate = I(n; z) + KL(q̂ ‖ p),   KL(q̂ ‖ p) = TC + Σ_j KL(q̂_j ‖ p_j)

The sum inside each logarithm is exact, the mean over z ~ q̂ is Monte Carlo: each part carries an interval. Covered: a factorised
prior. Not covered: the null, which is this same function on the posteriors of images that the model itself has drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.distributions import Distribution, Normal

from legato.errors import Mistake
from legato.measures.aggregate import Doubles, Draws, Floats, draw
from legato.measures.estimate import Estimate, mean_over
from legato.measures.marginals import log_aggregate_marginals


@dataclass(frozen=True)
class Decomposition:
    """The rate's parts in nats per example; `log_n` is the most that the mutual information can be.

    Where I ≈ log N the posteriors of the N images are practically disjoint, and KL(q̂ ‖ p) ≥ rate − log N whatever the
    population: read it beside the null.
    """

    rate: Estimate
    mutual_information: Estimate
    marginal_kl: Estimate
    total_correlation: Estimate
    dimension_wise_kl: Estimate
    per_dimension: list[Estimate]  # KL(q̂_j ‖ p_j), d of them
    log_n: float
    draws: Draws  # for the measures that read the same draws


def decomposition(
    mu: Floats, sigma: Floats, prior: Distribution | None = None, outer: int = 10_000, seed: int = 0
) -> Decomposition:
    """The parts of E KL(q(z|x_n) ‖ p) for posteriors N(mu, diag sigma²), (N, d), from `outer` draws z ~ q(z|x_n).

    I = E log q(z|x_n) − log q̂(z); TC = E log q̂(z) − Σ_j log q̂_j(z_j); the rest E Σ_j log q̂_j(z_j) − log p_j(z_j). The parts
    sum to the rate draw by draw, which proves nothing about any of them: each is tested alone.
    Hoffman & Johnson 2016, http://approximateinference.org/accepted/HoffmanJohnson2016.pdf; Chen et al. 2018,
    https://arxiv.org/abs/1802.04942, section 3 (they weight a batch; here all N posteriors enter).

    `prior`: p_j, whose log_prob maps (n, d) to (n, d); None is N(0, 1). Raises `Mistake` as `log_aggregate` does.
    """
    draws = draw(mu, sigma, outer, seed)
    marginals = log_aggregate_marginals(draws.z, mu, sigma)
    per_dimension = marginals - _log_prior(draws.z, prior)
    information = draws.log_own - draws.log_aggregate
    correlation = draws.log_aggregate - marginals.sum(1)
    divergence = per_dimension.sum(1)
    return Decomposition(
        rate=_part(information + correlation + divergence, "KL(q(z|x) || p), by draws"),
        mutual_information=_part(information, "I(n; z)"),
        marginal_kl=_part(correlation + divergence, "KL(q^ || p)"),
        total_correlation=_part(correlation, "total correlation of q^"),
        dimension_wise_kl=_part(divergence, "sum of KL(q^_j || p_j)"),
        per_dimension=[_part(column, "KL(q^_j || p_j)") for column in per_dimension.T],
        log_n=math.log(len(mu)),
        draws=draws,
    )


def _part(values: Doubles, name: str) -> Estimate:
    return mean_over(values, "nats", f"{name}, exact sums over all posteriors, mean over draws")


def _log_prior(z: Doubles, prior: Distribution | None) -> Doubles:
    prior = prior or Normal(torch.tensor(0.0, dtype=torch.double), torch.tensor(1.0, dtype=torch.double))
    with torch.no_grad():
        found: Doubles = prior.log_prob(torch.from_numpy(z)).double().numpy()
    if found.shape != z.shape:
        raise Mistake(f"`prior` must factorise: its log_prob gives {found.shape} for z {z.shape}, expected one value each")
    return found
