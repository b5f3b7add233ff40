"""The aggregate posterior q̂(z) = (1/N) Σ_n N(z; μ_n, diag σ_n²), summed over all N posteriors and not estimated from a batch.

Covered: its log density at any z, the density of the most responsible posterior, draws from it. Memory is bounded by the
blocks, whatever N and the number of points. Not covered: its marginals (marginals.py), what is concluded from it
(decomposition.py, holes.py, shape.py, overlap.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from legato.errors import Mistake
from legato.measures.left_out import Groups, in_groups
from legato.streams import random_stream
from legato.types import Doubles, Floats

ROWS, COLUMNS = 128, 512  # 512 KB of doubles a block: they stay in a core's second-level cache from one operation to the next
LEAST = -60.0  # nats below the largest term; a lower one adds nothing to N terms, and exp is slow on subnormal results
ROUNDING = 1e-5  # nats that the expanded square may lose to rounding, a thousandth of what passes for nothing (collapse.py)


@dataclass(frozen=True)
class Draws:
    """m draws z ~ q(z|x_n) of random posteriors n, and what all N posteriors say of them; densities in nats.

    Draws of one posterior are one example: intervals are over the posteriors, for which they are kept in groups. z (m, d);
    `source` (m,): the n of each; log_own: log q(z|x_n), log_aggregate: log q̂(z), log_top: max over n' of log q(z|x_n'), (m,);
    log_sums: log Σ q(z|x_n') and log_tops: max over each group of posteriors, (m, groups).
    """

    z: Doubles
    source: NDArray[np.int64]
    log_own: Doubles
    log_aggregate: Doubles
    log_top: Doubles
    groups: Groups
    log_sums: Doubles
    log_tops: Doubles


def log_aggregate(z: Floats, mu: Floats, sigma: Floats, rows: int = ROWS, columns: int = COLUMNS) -> Doubles:
    """log q̂(z) in nats: z (n, d), mu and sigma (N, d) -> (n,).

    Hoffman & Johnson 2016, http://approximateinference.org/accepted/HoffmanJohnson2016.pdf. All N terms, no batch in their
    stead. Raises `Mistake` on shapes that do not fit, on what is not finite, and on σ ≤ 0: a point has no density (see
    `holes.kde_holes`).
    """
    return responsibilities(z, mu, sigma, rows, columns)[0]


def responsibilities(z: Floats, mu: Floats, sigma: Floats, rows: int = ROWS, columns: int = COLUMNS) -> tuple[Doubles, Doubles]:
    """(log q̂(z), max_n log q(z|x_n)), each (n,), in one pass over all pairs."""
    log_sums, tops = group_sums(z, mu, sigma, None, rows, columns)
    return log_sums[:, 0] - math.log(len(mu)), tops[:, 0]


def group_sums(
    z: Floats, mu: Floats, sigma: Floats, group: NDArray[np.int64] | None, rows: int = ROWS, columns: int = COLUMNS
) -> tuple[Doubles, Doubles]:
    """log Σ_n q(z|x_n) and max_n log q(z|x_n) over each group of posteriors, (n, groups) each.

    `group` (N,): numbers from 0, none left out; None is one group.
    """
    mu, sigma = checked(mu, sigma)
    group = np.zeros(len(mu), np.int64) if group is None else group
    points = as_points(z, mu.shape[1])
    # one shift for z and μ leaves densities as they are, and codes far from the origin would lose digits to it
    centre = mu.mean(0)
    inner, reach = torch.from_numpy(points - centre), np.abs(points - centre).max(0, initial=0.0)
    members = [group == g for g in range(int(group.max()) + 1)]
    blocks = [list(_blocks(mu[among] - centre, sigma[among], reach, columns)) for among in members]
    parts = [_stream(part, blocks) for part in torch.split(inner, rows)]
    log_sums, tops = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    constant = 0.5 * mu.shape[1] * math.log(2 * math.pi)  # added once at the end: it is the same for every pair
    return log_sums - constant, tops - constant


def log_own(z: Floats, mu: Floats, sigma: Floats) -> Doubles:
    """log N(z; μ, diag σ²) of each row, (n, d) thrice -> (n,), nats."""
    scaled = (np.asarray(z, np.float64) - mu) / sigma
    constant = 0.5 * scaled.shape[1] * math.log(2 * math.pi)
    return np.asarray(-0.5 * (scaled**2).sum(1) - np.log(np.asarray(sigma, np.float64)).sum(1) - constant, np.float64)


def sample_posteriors(
    mu: Floats, sigma: Floats, n: int, seed: int = 0, of: str = "images"
) -> tuple[Doubles, NDArray[np.int64]]:
    """n draws z ~ q(z|x_i), (n, d), and their i, (n,): each posterior once before any comes twice.

    `of`: the population, whose noise no other one shares.
    """
    mu, sigma = checked(mu, sigma)
    rng = random_stream(seed, "draws", of)
    # Each posterior once before any twice: drawn with replacement, some would be missing by chance, which adds noise.
    source = np.resize(rng.permutation(len(mu)), n)
    return np.asarray(mu[source] + sigma[source] * rng.standard_normal((n, mu.shape[1])), np.float64), source


def draw(mu: Floats, sigma: Floats, n: int = 10_000, seed: int = 0, of: str = "images") -> Draws:
    """n draws from the aggregate with their densities: one pass over n × N pairs, from which several measures read."""
    mu, sigma = checked(mu, sigma)
    # Groups are kept, so that an interval can leave images out without a second pass over all pairs.
    z, source = sample_posteriors(mu, sigma, n, seed, of)
    groups = in_groups(len(mu), seed)
    log_sums, tops = group_sums(z, mu, sigma, groups.of_image)
    aggregate = logsumexp(log_sums, 1) - math.log(len(mu))
    return Draws(z, source, log_own(z, mu[source], sigma[source]), aggregate, tops.max(1), groups, log_sums, tops)


def checked(mu: Floats, sigma: Floats) -> tuple[Doubles, Doubles]:
    """(μ, σ) in double precision and memory of their own, or `Mistake`."""
    # Copies: tensors share their memory with arrays, and torch warns of those that may not be written to.
    means, widths = np.array(mu, np.float64), np.array(sigma, np.float64)
    if means.ndim != 2 or means.shape != widths.shape or not means.size:
        raise Mistake(f"`mu` and `sigma` are (N, d) alike and not empty; got {means.shape} and {widths.shape}")
    if not (np.isfinite(means).all() and np.isfinite(widths).all()):
        raise Mistake("`mu` and `sigma` must be finite: the run diverged, train it anew")
    if widths.min() <= 0:
        raise Mistake(f"`sigma` must be above 0, its least is {widths.min():g}: a point has no density, use a kernel estimate")
    return means, widths


def as_points(z: Floats, d: int) -> Doubles:
    """z (n, d) in double precision and memory of its own, or `Mistake`."""
    points = np.array(z, np.float64)
    if points.ndim != 2 or points.shape[1] != d or not len(points):
        raise Mistake(f"`z` is (n, {d}) and not empty; got {points.shape}")
    if not np.isfinite(points).all():
        raise Mistake("`z` must be finite")
    return points


@dataclass(frozen=True)
class _Block:
    """Some posteriors, laid out so that their log densities are one matrix product (up to ½ d log 2π).

    −½ Σ_j (z_j − μ_j)²/σ_j² = [z², z, 1] · [−½/σ², μ/σ², −½ Σ μ²/σ²]. In single precision this loses everything at σ = 10⁻³
    (terms of 10⁷ cancel to 10); in double precision it loses about 10⁻¹⁶ Σ z²/σ², which is known beforehand: past `ROUNDING`
    differences are taken first, which is slower by the number of dimensions and loses nothing. mu and precision (1/σ) are
    (columns, d), `product` (2d + 1, columns).
    """

    mu: Tensor
    precision: Tensor
    product: Tensor | None

    def log_density(self, z: Tensor, powers: Tensor) -> Tensor:
        if self.product is not None:
            # One product for all pairs, where differences take a pass over them for each dimension.
            return powers @ self.product
        total = self.precision.log().sum(1).repeat(len(z), 1)
        for j in range(z.shape[1]):
            scaled = (z[:, j, None] - self.mu[:, j]).mul_(self.precision[:, j])
            total.addcmul_(scaled, scaled, value=-0.5)
        return total


def _blocks(mu: Doubles, sigma: Doubles, reach: Doubles, columns: int) -> Iterator[_Block]:
    for at in range(0, len(mu), columns):
        m = torch.from_numpy(mu[at : at + columns])
        r = torch.from_numpy(1 / sigma[at : at + columns])
        sizes = (torch.maximum(m.abs(), torch.from_numpy(reach)) * r).square().sum(1)
        # Known before any density is computed: the square's terms are at most this large, and each keeps 53 bits.
        rounding = float(sizes.max()) * torch.finfo(torch.double).eps
        yield _Block(m, r, None if rounding > ROUNDING else _product(m, r))


def _product(mu: Tensor, precision: Tensor) -> Tensor:
    squared = precision.square()
    constant = precision.log().sum(1) - 0.5 * (mu * precision).square().sum(1)
    return torch.cat([-0.5 * squared.T, (mu * squared).T, constant[None]])


def _stream(z: Tensor, groups: list[list[_Block]]) -> tuple[Tensor, Tensor]:
    """log Σ_n and max_n of the densities at z (rows, d) over each group's blocks, (rows, groups) each."""
    powers = torch.cat([z.square(), z, torch.ones_like(z[:, :1])], 1)
    log_sums, tops = zip(*(_sum(z, powers, blocks) for blocks in groups), strict=True)
    return torch.cat(log_sums, 1), torch.cat(tops, 1)


def _sum(z: Tensor, powers: Tensor, blocks: list[_Block]) -> tuple[Tensor, Tensor]:
    """The same over some blocks, one by one, (rows, 1) each."""
    # A running maximum: exp of a log density of thousands of nats would be 0 or infinite, and all columns at once too large.
    top = torch.full((len(z), 1), -math.inf, dtype=torch.double)
    total = torch.zeros_like(top)
    for block in blocks:
        log_q = block.log_density(z, powers)
        highest = torch.maximum(top, log_q.amax(1, keepdim=True))
        # Differences are exact enough in single precision, where the exponential is twice as fast. The floor is for speed
        # alone: results below the normal numbers would make exp ten times slower than the product, and most would be such.
        shares = log_q.sub_(highest).float().clamp_min_(LEAST).exp_().sum(1, keepdim=True)
        # What was summed so far is brought down to the new maximum; −∞ − highest is −∞, which the first block needs.
        total = total * (top - highest).exp_() + shares
        top = highest
    return total.log_() + top, top
