"""The aggregate posterior's marginals: q̂_j(z_j) = (1/N) Σ_n N(z_j; μ_nj, σ_nj²), dimension by dimension, all N terms.

A marginal costs one exponential per pair and dimension, which no matrix product replaces: with many points it is evaluated on a
grid that is fine beside the narrowest posterior, and read between the nodes by a spline. Covered: log densities at any points.
Not covered: the joint density (aggregate.py).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.interpolate import make_interp_spline

from legato.measures.aggregate import Doubles, Floats, as_points, checked

ROWS, COLUMNS = 128, 1024  # of one block, as in aggregate.py
PER_SIGMA = 4  # nodes per σ of the narrowest posterior: a quintic spline is then within 2 · 10⁻⁵ of a Gaussian's peak
FLOOR = 12.0  # σ: beyond it a term counts as e⁻⁷², a normal number; smaller ones would make exp ten times slower
FINE = 0.01  # σ beside the largest |z|: below it differences of single-precision numbers are too coarse


def log_aggregate_marginals(z: Floats, mu: Floats, sigma: Floats, exact: bool = False) -> Doubles:
    """log q̂_j(z_j) in nats: z (n, d), mu and sigma (N, d) -> (n, d).

    `exact` evaluates every sum at every point. Else, where fewer nodes than points do, a quintic spline through the exact
    density at the nodes: within 10⁻⁴ nats where the points are draws from q̂. Raises `Mistake` as `log_aggregate` does.
    """
    mu, sigma = checked(mu, sigma)
    points = as_points(z, mu.shape[1])
    columns = [_marginal(points[:, j], mu[:, j], sigma[:, j], exact) for j in range(mu.shape[1])]
    return np.stack(columns, 1) - math.log(len(mu)) - 0.5 * math.log(2 * math.pi)


def _marginal(z: Doubles, mu: Doubles, sigma: Doubles, exact: bool) -> Doubles:
    """log Σ_n exp(−½ (z − μ_n)²/σ_n²)/σ_n for one dimension, (n,) -> (n,)."""
    low, high = float(z.min()), float(z.max())
    count = math.ceil(PER_SIGMA * (high - low) / float(sigma.min())) + 1
    if exact or not 8 <= count < len(z):
        return _log_sum(z, mu, sigma)
    nodes = np.linspace(low, high, count)
    at_nodes = _sum(nodes, mu, sigma)
    # The density and not its logarithm: the spline's error is then at most the sum of its errors of single Gaussians.
    density = make_interp_spline(nodes, at_nodes, k=5)(z)
    thin = density < 1e-6 * at_nodes.max()  # far out the spline's rounding is all that there is: those few are summed
    found = np.log(np.where(thin, 1.0, density))
    if thin.any():
        found[thin] = _log_sum(z[thin], mu, sigma)
    return np.asarray(found)


def _log_sum(z: Doubles, mu: Doubles, sigma: Doubles) -> Doubles:
    total = _sum(z, mu, sigma)
    # Where the floor may be a ten-thousandth of the sum, no posterior is near: the logarithms are summed instead.
    far = total < 1e4 * math.exp(-0.5 * FLOOR**2) * (1 / sigma).sum()
    found = np.log(total)
    if far.any():
        parts = np.array_split(z[far], math.ceil(far.sum() / ROWS))
        found[far] = np.concatenate([_far(part, mu, sigma) for part in parts])
    return np.asarray(found)


def _sum(z: Doubles, mu: Doubles, sigma: Doubles) -> Doubles:
    """Σ_n exp(−½ t²)/σ_n, t = (z − μ_n)/σ_n, |t| ≤ `FLOOR`, (n,); differences first, so that nothing cancels."""
    reach = max(float(np.abs(z).max()), float(np.abs(mu).max()))
    kind = torch.double if float(sigma.min()) < FINE * reach else torch.float
    points, centres, rates = (torch.from_numpy(a).to(kind) for a in (z, mu, 1 / sigma))
    blocks = list(zip(torch.split(centres, COLUMNS), torch.split(rates, COLUMNS), strict=True))
    total = torch.zeros(len(z), dtype=torch.double)
    for part, sums in zip(torch.split(points, ROWS), torch.split(total, ROWS), strict=True):
        for centre, rate in blocks:
            scaled = (part[:, None] - centre).mul_(rate).clamp_(-FLOOR, FLOOR)
            sums += torch.mul(scaled, scaled, out=scaled).mul_(-0.5).exp_() @ rate
    return np.asarray(total.numpy())


def _far(z: Doubles, mu: Doubles, sigma: Doubles) -> Doubles:
    """log of the same without a floor, by a streaming log-sum-exp."""
    points, centres, rates = (torch.from_numpy(a) for a in (z, mu, 1 / sigma))
    found = torch.full((len(z),), -math.inf, dtype=torch.double)
    for centre, rate in zip(torch.split(centres, COLUMNS), torch.split(rates, COLUMNS), strict=True):
        terms = ((points[:, None] - centre) * rate).square().mul_(-0.5).add_(rate.log())
        found = torch.logaddexp(found, torch.logsumexp(terms, 1))
    return np.asarray(found.numpy())
