"""The density of codes: the aggregate posterior's log density in latent space and on a plane, and what is usual held out.

Covered: Gaussian posteriors, summed exactly over a reference of the map's images; points, by a kernel estimate in latent units
(holes.kde_bandwidth). Not covered: the share of the prior that lies in holes (measures/holes.py), which sums over all images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from legato.explorer.codes import Codes
from legato.explorer.planes import Plane
from legato.explorer.worker import Slices
from legato.measures.aggregate import log_aggregate, sample_posteriors
from legato.measures.holes import kde_bandwidth
from legato.types import Doubles

# posteriors that are summed over, and held-out codes that quantiles are of: the 1 % quantile is then the tenth of them
REFERENCE, HELD = 5_000, 1_000
FITTED = 200  # codes that the kernel's width is fitted to: a cursor waits for it
ROWS = 256  # places in one slice: a cursor waits for no more
LEVEL = 0.01  # quantile of held-out codes beyond which a place is unlike them: the level at which the measures tell holes, too
LEAST = -87.0  # nats: e⁻⁸⁷ is the smallest of the normal numbers, below which exp takes ten times as long
THINNEST = 1e-12  # of a cloud, in squared units of the map: one that is a line has no density


@dataclass(frozen=True, eq=False)
class Aggregate:
    """q̂(z) = 1/n Σ N(z; μ_i, Σ_i) over n of the map's images that are not held out: Σ_i = diag σ_i², of points h² S.

    `usual` (m, d) are codes of held-out images, drawn from their posteriors (their means alone would lie too near the others).
    """

    codes: Codes
    reference: NDArray[np.int64]
    usual: Doubles
    bandwidth: float | None  # h, in latent units; None where posteriors have a density

    @staticmethod
    def of(codes: Codes, held: NDArray[np.bool_]) -> Aggregate:
        """The first of either kind in the map's random order; where a kind is missing, whatever there is."""
        inside, outside = np.flatnonzero(~held)[:REFERENCE], np.flatnonzero(held)[:HELD]
        everything = np.arange(min(len(held), REFERENCE))
        # A tiny source may have no held-out image, or one other: thresholds are then of images that the sum holds too.
        inside = inside if len(inside) > 1 else everything
        outside = outside if len(outside) else everything[:HELD]
        usual = codes.mu[outside].astype(np.float64)
        if codes.has_density:
            # drawn, since thresholds are for places and not for centres, where density is highest
            usual = sample_posteriors(codes.mu[outside], codes.sigma[outside], len(outside), of="held-out images")[0]
            return Aggregate(codes, inside, usual, None)
        return Aggregate(codes, inside, usual, kde_bandwidth(codes.whitening.apply(codes.mu[inside]), of=FITTED))

    def log_density(self, z: NDArray[Any]) -> Doubles:
        """log q̂(z) in nats, (n, d) -> (n,)."""
        mu = self.codes.mu[self.reference]
        if self.bandwidth is None:
            return log_aggregate(z, mu, self.codes.sigma[self.reference])
        white = self.codes.whitening
        centres = white.apply(mu)
        # a density in latent units, brought back to the model's own by the volume of S^½
        return log_aggregate(white.apply(z), centres, np.full(centres.shape, self.bandwidth)) - white.log_det

    def support(self, z: NDArray[Any]) -> Doubles:
        """log q̂(z) − log p(z), p the model's prior, (n, d) -> (n,), nats; log q̂(z) where leaving p was not charged for."""
        z = np.asarray(z, np.float64)
        # Without a charge codes may lie anywhere: log p(z) would say nothing of where they are.
        if not (self.codes.has_density and self.codes.charged):
            return self.log_density(z)
        return np.asarray(self.log_density(z) - self.codes.log_prior(z))

    def on_plane(self, plane: Plane, coordinates: Doubles) -> Slices[Doubles]:
        """The density of (a, b) = (z·u, z·v), z ~ q̂: what the clouds of the map add up to, (n, 2) -> (n,).

        With one latent or two that is q̂ itself.
        """
        # Of two latents the plane is everything: no marginal is to be taken, and the exact sum is at hand.
        if len(plane.u) <= 2:
            return np.exp((yield from sliced(lambda some: self.log_density(plane.at(some)), coordinates)))
        terms = self._projected(plane)

        def some(places: Doubles) -> Doubles:
            a, b = torch.from_numpy(places).unbind(1)
            powers = torch.stack([a * a, a * b, b * b, a, b, torch.ones_like(a)], 1)
            # One product in double precision, where a cloud a millionth wide is still told from its neighbour.
            # summed in double precision: thousands of shares of very different sizes
            shares = (powers @ terms).float().clamp_min_(LEAST).exp_().sum(1, dtype=torch.double)
            return np.asarray(shares.numpy())

        return (yield from sliced(some, coordinates))

    def _projected(self, plane: Plane) -> torch.Tensor:
        """log 1/n N((a, b); m_i, C_i) as coefficients of (a², ab, b², a, b, 1), (6, n)."""
        axes, means = np.stack([plane.u, plane.v]), plane.coordinates(self.codes.mu[self.reference])
        if self.bandwidth is None:
            covariance = np.einsum("nd,id,jd->nij", np.square(self.codes.sigma[self.reference], dtype=np.float64), axes, axes)
        else:
            stretched = self.codes.whitening.stretched(axes) * self.bandwidth
            covariance = np.broadcast_to(stretched @ stretched.T, (len(means), 2, 2))
        # A cloud seen edge-on is a line on the plane, whose covariance has no inverse: it is given the width of nothing.
        precision = np.linalg.inv(covariance + THINNEST * np.eye(2))
        slope = np.einsum("nij,nj->ni", precision, means)
        constant = 0.5 * np.linalg.slogdet(precision)[1] - np.log(2 * np.pi * len(means)) - 0.5 * (slope * means).sum(1)
        curved = (-0.5 * precision[:, 0, 0], -precision[:, 0, 1], -0.5 * precision[:, 1, 1])
        return torch.from_numpy(np.stack([*curved, slope[:, 0], slope[:, 1], constant]))


def sliced(function: Any, places: NDArray[Any], size: int = ROWS) -> Slices[Doubles]:
    """`function` (m, …) -> (m,) over places (n, …), a slice at a time, (n,)."""
    parts = []
    for at in range(0, len(places), size):
        # A slice at a time: after each the worker may let a cursor go first.
        parts.append(np.asarray(function(places[at : at + size]), np.float64))
        yield
    return np.concatenate(parts)
