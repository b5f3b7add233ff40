"""Traces of a KL in a model's posteriors: whether training has charged one to N(0, I), read from μ and σ alone.

At an optimum of distortion + β KL(N(μ, σ²) ‖ N(0, 1)), whatever β > 0, every channel has E μ² + E σ² = 1: were a channel's
codes multiplied by c and its decoder's weights divided by c, only the KL would change, by ½(c² − 1)(E μ² + E σ²) − log c,
whose slope at c = 1 is E μ² + E σ² − 1. Without a charge nothing holds the product there. Covered: that product by channel,
the share of a code's variance that is noise, channels that have collapsed, the moments' distance from N(0, I). Not covered:
how much was charged (doctor/loss.py), whole densities (decomposition.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.codes import grid_of
from legato.measures.estimate import Estimate, absent, bootstrap, subsampled
from legato.types import Doubles, Rows

POINTS = "the posterior is a point: it has no width"
FLOOR = 1e-6  # of a second moment: a channel without any would be infinitely far from 1
QUIET = 0.01  # of a channel's variance that moves with the image: below, as of active units, it says nothing


def second_moment_off_one(mu: NDArray[Any], sigma: NDArray[Any] | None) -> Estimate:
    """√ of the mean over channels of (log(E μ² + E σ²))²: 0 where a KL was charged and training has converged."""
    method = "root mean square of log(E mu^2 + E sigma^2) over channels"
    if sigma is None:
        return absent(POINTS, "nats", method)
    moments = np.square(grid_of(mu)).mean((2, 3)) + np.square(grid_of(sigma)).mean((2, 3))

    def off(weights: Doubles) -> Doubles:
        return np.asarray(np.sqrt(np.square(np.log(np.maximum(weights @ moments, FLOOR))).mean(1)))

    return bootstrap(off, float(off(_even(len(moments)))[0]), len(moments), "log ratio", method)


def second_moments(mu: NDArray[Any], sigma: NDArray[Any]) -> Doubles:
    """E μ² + E σ² of each channel, (C,)."""
    return np.asarray((np.square(grid_of(mu)) + np.square(grid_of(sigma))).mean((0, 2, 3)))


def noise_share(mu: NDArray[Any], sigma: NDArray[Any] | None) -> Estimate:
    """E σ²/(Var μ + E σ²), summed over channels: 1 of a collapsed posterior, near 0 where σ is for show."""
    method = "E sigma^2 / (Var mu + E sigma^2)"
    if sigma is None:
        return absent(POINTS, "share", method)
    moving, noise = _moving(mu), np.square(grid_of(sigma)).mean((1, 2, 3))

    def share(weights: Doubles) -> Doubles:
        noisy = weights @ noise
        return np.asarray(noisy / np.maximum(noisy + moving(weights).mean(1), 1e-300))

    return bootstrap(share, float(share(_even(len(noise)))[0]), len(noise), "share", method)


def collapsed_channels(mu: NDArray[Any], sigma: NDArray[Any] | None) -> Estimate:
    """The number of channels of whose variance less than 1 % moves with the image: Var μ < 0.01 (Var μ + E σ²)."""
    method = f"Var mu < {QUIET:g} (Var mu + E sigma^2)"
    if sigma is None:
        return absent(POINTS, "channels", method)
    moving, noise = _moving(mu), np.square(grid_of(sigma)).mean((2, 3))

    def count(weights: Doubles) -> Doubles:
        moved = moving(weights)
        return np.asarray((moved < QUIET * (moved + weights @ noise)).sum(1), np.float64)

    return bootstrap(count, float(count(_even(len(noise)))[0]), len(noise), "channels", method)


def _moving(mu: NDArray[Any]) -> Callable[[Doubles], Doubles]:
    """Weights (b, n) of the images -> the variance over images at a place, its mean over a channel's places, (b, C).

    About each place's own mean: a pattern that every image has tells nothing of any.
    """
    grid = grid_of(mu)
    flat = (grid - grid.mean(0)).reshape(len(grid), -1)

    def of(weights: Doubles) -> Doubles:
        found = weights @ np.square(flat) - np.square(weights @ flat)
        return np.asarray(found.reshape(len(weights), grid.shape[1], -1).mean(2))

    return of


def gap_of_moments(codes: NDArray[Any], seed: int = 0) -> Estimate:
    """KL(N(m, S) ‖ N(0, I))/C, m and S of a place's channels over images and places: nats by channel. By subsets.

    0 where the codes' mean and covariance are the prior's. A lower bound on what a prior fitted to N(0, I) misses of their
    first two moments; invariant under rotations of the channels. Variances below 10⁻⁶ count as 10⁻⁶.
    """
    grid = grid_of(codes)

    def of(rows: Rows) -> float:
        flat = grid[rows].transpose(1, 0, 2, 3).reshape(grid.shape[1], -1)
        mean = flat.mean(1)
        values = np.maximum(np.linalg.eigvalsh(np.atleast_2d(np.cov(flat, bias=True))), FLOOR)
        return float(0.5 * (values.sum() + mean @ mean - len(mean) - np.log(values).sum()) / len(mean))

    method = "KL(N(m, S) || N(0, I)) / C of a place's channels, over images and places"
    if len(grid) < 4:
        return absent("needs 4 images or more", "nats by channel", method)
    return subsampled(of, len(grid), len(grid) // 2, "nats by channel", method, draws=20, seed=seed)


def _even(n: int) -> Doubles:
    return np.full((1, n), 1 / n)
