"""Latent units: codes measured in the aggregate posterior's own standard deviations.

An autoencoder's codes may spread over 30 and a VAE's over 1; without this every latent distance compares scales. Covered: the
symmetric square root of S = Cov(μ) + diag(E σ²) and its inverse. Not covered: the shape of the aggregate beyond its second
moment (ten clusters and one cloud have the same S).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.types import Doubles

FLOOR = 1e-10  # of the largest eigenvalue of S: a direction 10⁵ times narrower than the widest is dead


@dataclass(frozen=True)
class Whitening:
    """z ↦ S^{-½}(z − m) and back; S^½ and S^{-½} are symmetric, (d, d), float64.

    Symmetric (ZCA) rather than triangular: no order of the dimensions is preferred, and whitened axes stay nearest to the
    model's own. `dead` directions of S, in which codes do not vary, are given the floor's variance, 10⁻¹⁰ of the widest: the
    map stays invertible, codes do not move along them, and a disturbance of size r moves z by 10⁻⁵ r of the widest's deviation.
    """

    mean: Doubles  # (d,)
    root: Doubles  # S^½
    inverse: Doubles  # S^{-½}
    dead: int

    @classmethod
    def fit(cls, mu: NDArray[Any], sigma: NDArray[Any] | None = None) -> Whitening:
        """Of posterior means (n, d) and deviations alike; None for points. Raises `Mistake` where nothing varies at all."""
        mu = _codes(mu)
        noise = np.zeros(mu.shape[1]) if sigma is None else (_codes(sigma) ** 2).mean(0)
        return cls.of(mu.mean(0), np.atleast_2d(np.cov(mu.T, bias=True)) + np.diag(noise))

    @classmethod
    def of(cls, mean: NDArray[Any], covariance: NDArray[Any]) -> Whitening:
        """Of a known mean (d,) and S (d, d): N(0, I), whose draws are already white, or a population's exact moments."""
        variances, axes = np.linalg.eigh(np.asarray(covariance, np.float64))
        if not variances[-1] > 0:
            raise Mistake("all codes are the same: there is no spread to measure latent distances by")
        floor = FLOOR * variances[-1]
        scales = np.sqrt(np.maximum(variances, floor))
        return cls(
            np.asarray(mean, np.float64), (axes * scales) @ axes.T, (axes / scales) @ axes.T, int((variances < floor).sum())
        )

    @property
    def latent_dim(self) -> int:
        """The number d."""
        return len(self.mean)

    def apply(self, codes: NDArray[Any]) -> Doubles:
        """S^{-½}(z − m), (..., d): over the aggregate posterior of mean 0 and covariance I."""
        return np.asarray((np.asarray(codes, np.float64) - self.mean) @ self.inverse)

    def invert(self, white: NDArray[Any]) -> Doubles:
        """S^½ w + m, (..., d)."""
        return self.mean + self.shift(white)

    def shift(self, white: NDArray[Any]) -> Doubles:
        """S^½ w, (..., d): a difference of codes, without the mean."""
        return np.asarray(np.asarray(white, np.float64) @ self.root)


def _codes(codes: NDArray[Any]) -> Doubles:
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or len(codes) < 2:
        raise Mistake(f"codes must have shape (n, d) with n of 2 or more, got {codes.shape}")
    if broken := int((~np.isfinite(codes)).any(1).sum()):
        raise Mistake(f"{broken} of {len(codes)} codes are not finite: the run diverged, train it anew")
    return codes
