"""The aggregate posterior's marginals: q̂_j(z_j) = (1/N) Σ_n N(z_j; μ_nj, σ_nj²), dimension by dimension, all N terms.

A marginal costs one exponential per pair and dimension, which no matrix product replaces: taken plainly it would be ten times
the joint density's time. So posteriors are taken by octaves of σ, each of which is summed only near its points, and, where
fewer nodes than points do, at the nodes of a grid that is fine beside its σ, between which a spline reads.
Covered: log densities at any points. Not covered: the joint density (aggregate.py).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.interpolate import make_interp_spline

from legato.measures.aggregate import as_points, checked
from legato.types import Doubles, Floats

ROWS, COLUMNS = 128, 1024  # of one block: differences stay in a core's cache, as in aggregate.py
PER_SIGMA = 4  # nodes per σ of the narrowest posterior: a quintic spline is then within 2 · 10⁻⁵ of a Gaussian's peak
FLOOR = 12.0  # σ: beyond it a term counts as e⁻⁷² or not at all; results below the normal numbers make exp ten times slower
# σ beside the largest |z|: below it single-precision differences keep too few of the 7 digits, and doubles are used
FINE = 0.01


def log_aggregate_marginals(z: Floats, mu: Floats, sigma: Floats, exact: bool = False) -> Doubles:
    """log q̂_j(z_j) in nats: z (n, d), mu and sigma (N, d) -> (n, d).

    Within 10⁻⁴ nats where the points are draws from q̂; `exact` uses no spline and is good to 10⁻⁵ at any points.
    Raises `Mistake` as `log_aggregate` does.
    """
    mu, sigma = checked(mu, sigma)
    points = as_points(z, mu.shape[1])
    columns = [_marginal(points[:, j], mu[:, j], sigma[:, j], exact) for j in range(mu.shape[1])]
    return np.stack(columns, 1) - math.log(len(mu)) - 0.5 * math.log(2 * math.pi)


def _marginal(z: Doubles, mu: Doubles, sigma: Doubles, exact: bool) -> Doubles:
    """log Σ_n exp(−½ (z − μ_n)²/σ_n²)/σ_n for one dimension, (n,) -> (n,)."""
    order = np.argsort(z)  # sorted once: the posteriors near a block of points then lie in one stretch
    rising, total = z[order], np.zeros(len(z))
    # By octaves, since a grid must be fine beside its narrowest σ: one grid for all would have as many nodes as points.
    octaves = np.floor(np.log2(sigma))
    for octave in np.unique(octaves):
        group = np.flatnonzero(octaves == octave)
        group = group[np.argsort(mu[group])]
        total += (_sum if exact else _read)(rising, mu[group], sigma[group])
    # Where what was left out may be a ten-thousandth of the sum, no posterior is near, and a spline's rounding may be all that
    # there is: the logarithms of all terms are summed instead.
    thin = total < max(1e4 * math.exp(-0.5 * FLOOR**2) * (1 / sigma).sum(), 0.0 if exact else 1e-6 * total.max())
    found = np.log(np.where(thin, 1.0, total))
    if thin.any():
        parts = np.array_split(rising[thin], math.ceil(thin.sum() / ROWS))
        found[thin] = np.concatenate([_log_sum(part, mu, sigma) for part in parts])
    return found[np.argsort(order)]  # back in the caller's order


def _read(z: Doubles, mu: Doubles, sigma: Doubles) -> Doubles:
    """The sum at z, sorted, from a spline through the sums at fewer nodes, where fewer do.

    Through the density and not its logarithm: the error is then at most the sum of the errors of single Gaussians.
    """
    # at least 8 nodes, since a quintic spline needs 6
    count = max(math.ceil(PER_SIGMA * float(z[-1] - z[0]) / float(sigma.min())) + 1, 8)
    if count >= len(z) or z[0] == z[-1]:
        return _sum(z, mu, sigma)
    nodes = np.linspace(z[0], z[-1], count)
    # Equal spacing to the ends: the narrowest σ sets it, whatever the width of the rest.
    return np.asarray(make_interp_spline(nodes, _sum(nodes, mu, sigma), k=5)(z))


def _sum(z: Doubles, mu: Doubles, sigma: Doubles) -> Doubles:
    """Σ_n exp(−½ t²)/σ_n, t = (z − μ_n)/σ_n, over the n with |t| ≤ `FLOOR`, (n,); z and mu sorted.

    Differences first, so that nothing cancels, and in single precision where they are fine enough for it.
    """
    reach = max(float(np.abs(z).max()), float(np.abs(mu).max()))
    kind = torch.double if float(sigma.min()) < FINE * reach else torch.float
    points, centres, rates = (torch.from_numpy(a).to(kind) for a in (z, mu, 1 / sigma))
    total, margin = torch.zeros(len(z), dtype=torch.double), FLOOR * float(sigma.max())
    for at in range(0, len(z), ROWS):
        part = points[at : at + ROWS, None]
        # Only posteriors within reach of the block's first and last point: the others' terms are below e⁻⁷².
        first, last = np.searchsorted(mu, [z[at] - margin, z[min(at + ROWS, len(z)) - 1] + margin])
        for n in range(first, last, COLUMNS):
            near = slice(n, min(n + COLUMNS, last))
            # in place, as every array of this size that is made anew costs more than its arithmetic
            scaled = (part - centres[near]).mul_(rates[near]).clamp_(-FLOOR, FLOOR)
            total[at : at + ROWS] += torch.mul(scaled, scaled, out=scaled).mul_(-0.5).exp_() @ rates[near]
    return np.asarray(total.numpy())


def _log_sum(z: Doubles, mu: Doubles, sigma: Doubles) -> Doubles:
    """log of the same over all n, by a streaming log-sum-exp."""
    points, centres, rates = (torch.from_numpy(a) for a in (z, mu, 1 / sigma))
    found = torch.full((len(z),), -math.inf, dtype=torch.double)
    for centre, rate in zip(torch.split(centres, COLUMNS), torch.split(rates, COLUMNS), strict=True):
        terms = ((points[:, None] - centre) * rate).square().mul_(-0.5).add_(rate.log())
        # In doubles and over all posteriors: slow, and taken only for the few points where nothing is near.
        found = torch.logaddexp(found, torch.logsumexp(terms, 1))
    return np.asarray(found.numpy())
