"""Whether the clouds of different images overlap: how near each lies to its nearest neighbour, how often draws are mistaken.

Covered: diagonal Gaussian posteriors, all N of them. Not covered: points, which never overlap; mutual information, which says
the same in nats (decomposition.py).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.errors import Mistake
from legato.measures.aggregate import Doubles, Draws, Floats, checked
from legato.measures.estimate import Estimate, mean_over

ROWS, COLUMNS = 64, 512  # of one block of pairs
TOGETHER = 8  # dimensions to a logarithm, which costs more than all the rest; products of 8 variances fit a double
EQUAL = 1e-3  # nats, to which densities are computed where σ is small: draws of one image and of its copy are equal up to it


def confusion_rate(draws: Draws) -> Estimate:
    """The share of draws z ~ q(z|x_n) for which another posterior n' is more responsible: q(z|x_n') > q(z|x_n).

    0: disjoint clouds; 1 − 1/N: nobody can tell whose a draw is. From the densities of `aggregate.draw`.
    """
    mistaken = draws.log_top > draws.log_own + EQUAL
    return mean_over(mistaken.astype(np.float64), "share of draws", "another image's posterior is denser at the draw")


def nearest_overlap(mu: Floats, sigma: Floats, sample: int = 500, seed: int = 0) -> Estimate:
    """The mean, over `sample` of the N images, of the largest Bhattacharyya coefficient with any other posterior.

    0: the nearest cloud is disjoint; 1: it is the same cloud. Raises `Mistake` as `log_aggregate` does, and for one posterior.
    """
    mu, sigma = checked(mu, sigma)
    of = np.random.default_rng(seed).permutation(len(mu))[:sample]
    method = f"largest Bhattacharyya coefficient with any of {len(mu) - 1} other posteriors"
    return mean_over(np.exp(nearest_log_bhattacharyya(mu, sigma, of)), "coefficient", method)


def nearest_log_bhattacharyya(mu: Floats, sigma: Floats, of: NDArray[np.int64]) -> Doubles:
    """max over n' ≠ n of log ∫ √(q(z|x_n) q(z|x_n')) dz, for each n of `of`, (len(of),).

    log BC = ½ Σ_j log(2σσ′/(σ² + σ′²)) − ¼ Σ_j (μ − μ′)²/(σ² + σ′²). Bhattacharyya 1943. Memory holds one block of pairs.
    """
    mu, sigma = checked(mu, sigma)
    if len(mu) < 2:
        raise Mistake("an overlap needs two posteriors or more")
    means, variances = (torch.from_numpy(a) for a in (mu, sigma**2))
    parts = [_nearest(means, variances, rows) for rows in torch.split(torch.from_numpy(of), ROWS)]
    return np.asarray(torch.cat(parts).numpy())


def log_bhattacharyya(mu: Tensor, variance: Tensor, other_mu: Tensor, other_variance: Tensor) -> Tensor:
    """log BC of every pair, (n, d) twice and (N, d) twice -> (n, N), in double precision."""
    log_scales = 0.25 * (variance.log().sum(1)[:, None] + other_variance.log().sum(1))
    total = log_scales + 0.5 * mu.shape[1] * math.log(2)
    for first in range(0, mu.shape[1], TOGETHER):
        product = torch.ones_like(total)
        for j in range(first, min(first + TOGETHER, mu.shape[1])):  # differences first: an expanded square would cancel
            spread = variance[:, j, None] + other_variance[:, j]
            difference = mu[:, j, None] - other_mu[:, j]
            total.addcdiv_(difference.square_(), spread, value=-0.25)
            product.mul_(spread)
        total.add_(product.log_(), alpha=-0.5)
    return total


def _nearest(mu: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
    best = torch.full((len(rows),), -math.inf, dtype=torch.double)
    for at in range(0, len(mu), COLUMNS):
        found = log_bhattacharyya(mu[rows], variance[rows], mu[at : at + COLUMNS], variance[at : at + COLUMNS])
        own = (rows >= at) & (rows < at + COLUMNS)
        found[own, rows[own] - at] = -math.inf  # a cloud is not its own neighbour
        best = torch.maximum(best, found.amax(1))
    return best
