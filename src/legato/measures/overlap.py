"""Overlap of different images' clouds: how near each lies to its nearest neighbour, how often draws are mistaken.

Covered: diagonal Gaussian posteriors, all N of them. Not covered: points, which never overlap; mutual information, which says
the same in nats (decomposition.py). Intervals are over the images of data sets of N: another image may be the nearest of many,
so images are left out in groups (left_out.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from legato.errors import Mistake
from legato.measures.aggregate import Draws, checked
from legato.measures.clusters import share_interval
from legato.measures.estimate import Estimate
from legato.measures.left_out import Groups, in_groups, left_out_variance
from legato.types import Bools, Doubles, Floats, Rows

ROWS, COLUMNS = 64, 512  # of one block of pairs: 256 kB of doubles for each of the arrays that are worked on in place
TOGETHER = 8  # dimensions to a logarithm, which costs more than all the rest; products of 8 variances fit a double
EQUAL = 1e-3  # nats, to which densities are computed where σ is small: draws of one image and of its copy are equal up to it


def confusion_rate(draws: Draws) -> Estimate:
    """The share of draws z ~ q(z|x_n) for which another posterior n' is more responsible: q(z|x_n') > q(z|x_n).

    0: disjoint clouds; 1 − 1/N: nobody can tell whose a draw is. From the densities of `aggregate.draw`.
    """
    # By groups, not by images: leaving one group out then asks for no new density.
    denser = draws.log_tops > draws.log_own[:, None] + EQUAL

    def without(kept: Bools) -> Doubles:
        return np.asarray(denser[:, kept].any(1), np.float64)

    method = f"another image's posterior is denser at the draw; {len(denser)} draws"
    return _share(without, draws.source, draws.groups, "share of draws", method)


def _share(without: Callable[[Bools], Doubles], image: Rows, groups: Groups, unit: str, method: str) -> Estimate:
    """The mean of a figure in [0, 1] of draws, or of images, with what others do to it."""
    values, n = without(np.ones(len(groups.names), bool)), len(np.unique(image))
    value = float(values.mean())
    if n < 2:
        return Estimate(value, None, None, n, unit, f"{method}; one image has no interval")
    low, high = share_interval(value, left_out_variance(values, image, without, groups), n)
    return Estimate(value, low, high, n, unit, f"{method}; 95 % interval over {n} images")


def nearest_overlap(mu: Floats, sigma: Floats, sample: int = 500, seed: int = 0) -> Estimate:
    """The mean, over `sample` of the N images, of the largest Bhattacharyya coefficient with any other posterior.

    0: the nearest cloud is disjoint; 1: it is the same cloud. Raises `Mistake` as `log_aggregate` does, and for one posterior.
    """
    mu, sigma = checked(mu, sigma)
    # A sample asks, all are asked: the nearest of 500 clouds would be farther away than the nearest of all.
    of, groups = np.random.default_rng(seed).permutation(len(mu))[:sample], in_groups(len(mu), seed)
    # logarithms until here: a product over many dimensions would be 0 in doubles
    nearest = np.exp(nearest_log_bhattacharyya(mu, sigma, of, groups.of_image))
    method = f"largest Bhattacharyya coefficient with any of {len(mu) - 1} other posteriors"
    return _share(lambda kept: np.asarray(nearest[:, kept].max(1)), of, groups, "coefficient", method)


def nearest_log_bhattacharyya(mu: Floats, sigma: Floats, of: Rows, group: Rows | None = None) -> Doubles:
    """max over n' ≠ n of log ∫ √(q(z|x_n) q(z|x_n')) dz, for each n of `of`, (len(of),); in each group (N,), (len(of), groups).

    log BC = ½ Σ_j log(2σσ′/(σ² + σ′²)) − ¼ Σ_j (μ − μ′)²/(σ² + σ′²). Bhattacharyya 1943. Memory holds one block of pairs.
    """
    mu, sigma = checked(mu, sigma)
    if len(mu) < 2:
        raise Mistake("an overlap needs two posteriors or more")
    means, variances = (torch.from_numpy(a) for a in (mu, sigma**2))
    members = (
        [torch.arange(len(mu))]
        if group is None
        else [torch.from_numpy(np.flatnonzero(group == g)) for g in range(group.max() + 1)]
    )
    parts = [_nearest(means, variances, rows, members) for rows in torch.split(torch.from_numpy(of), ROWS)]
    found = np.asarray(torch.cat(parts).numpy())
    return found[:, 0] if group is None else found


def log_bhattacharyya(mu: Tensor, variance: Tensor, other_mu: Tensor, other_variance: Tensor) -> Tensor:
    """log BC of every pair, (n, d) twice and (N, d) twice -> (n, N), in double precision."""
    log_scales = 0.25 * (variance.log().sum(1)[:, None] + other_variance.log().sum(1))
    total = log_scales + 0.5 * mu.shape[1] * math.log(2)
    for first in range(0, mu.shape[1], TOGETHER):
        product = torch.ones_like(total)
        # differences first: an expanded square would cancel where σ is small
        for j in range(first, min(first + TOGETHER, mu.shape[1])):
            spread = variance[:, j, None] + other_variance[:, j]
            difference = mu[:, j, None] - other_mu[:, j]
            # in place: a block of pairs is walked d times, and new arrays for each would cost more than the arithmetic
            total.addcdiv_(difference.square_(), spread, value=-0.25)
            product.mul_(spread)
        total.add_(product.log_(), alpha=-0.5)
    return total


def _nearest(mu: Tensor, variance: Tensor, rows: Tensor, members: list[Tensor]) -> Tensor:
    best = torch.full((len(rows), len(members)), -math.inf, dtype=torch.double)
    for column, among in zip(best.T, members, strict=True):
        for some in torch.split(among, COLUMNS):
            found = log_bhattacharyya(mu[rows], variance[rows], mu[some], variance[some])
            found[rows[:, None] == some] = -math.inf  # a cloud is not its own neighbour, though it overlaps itself most of all
            torch.maximum(column, found.amax(1), out=column)
    return best
