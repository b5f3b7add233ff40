"""The scale of codes: the factor that brings them to unit variance, in all and channel by channel, and how uneven channels are.

A diffusion model is trained on codes times one factor (`scaling_factor` in common configurations, Rombach et al. 2022,
https://arxiv.org/abs/2112.10752). Covered: codes (N, C, h, w), or (N, d) with every number its own channel; deviations are
about one mean of all entries, or of a channel's. Not covered: how channels hang together (channels.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.codes import grid_of
from legato.measures.estimate import Estimate, absent, bootstrap
from legato.types import Doubles

LIVE = 1e-4  # of the widest channel's deviation: what is narrower is a channel of rounding, whose factor would be absurd
ALIKE = "no entry of the codes differs from another"


@dataclass(frozen=True)
class Sums:
    """The mean and mean square over places of each image's channels, (n, C): all that scales are made of."""

    first: Doubles
    second: Doubles

    @staticmethod
    def of(codes: NDArray[Any]) -> Sums:
        """Those of codes about each channel's own mean, which no variance depends on."""
        grid = grid_of(codes)
        # centred first: mean squares are differences of large numbers where codes lie far from 0
        return Sums(grid.mean((2, 3)), np.square(grid - grid.mean((0, 2, 3), keepdims=True)).mean((2, 3)))

    def variances(self, weights: Doubles) -> Doubles:
        """The variance of each channel under weights (b, n) of the images, (b, C)."""
        centred = self.first - self.first.mean(0)
        return np.asarray(weights @ self.second - np.square(weights @ centred))

    def whole(self, weights: Doubles) -> Doubles:
        """The variance of all entries about their one mean, (b,)."""
        means = weights @ self.first
        return np.asarray(self.variances(weights).mean(1) + means.var(1))


def scale_factor(codes: NDArray[Any]) -> Estimate:
    """1/std of all entries about their one mean; bootstrap over images."""
    sums, n = Sums.of(codes), len(codes)
    value = float(sums.whole(_even(n))[0])
    if not value > 0:
        return absent(ALIKE, "1 / code unit", "1 / std of all entries")
    return bootstrap(lambda w: _inverse(sums.whole(w)), value**-0.5, n, "1 / code unit", "1 / std of all entries")


def channel_factors(codes: NDArray[Any]) -> Doubles:
    """1/std of each channel, (C,); 0 of a dead one, which no factor brings to life."""
    deviations = channel_deviations(codes)
    live = deviations > LIVE * deviations.max()
    return np.where(live, 1 / np.where(live, deviations, 1.0), 0.0)


def channel_deviations(codes: NDArray[Any]) -> Doubles:
    """The standard deviation of each channel over images and places, (C,)."""
    return np.asarray(np.sqrt(np.maximum(Sums.of(codes).variances(_even(len(codes)))[0], 0)))


def uneven_scales(codes: NDArray[Any]) -> Estimate:
    """The widest channel's deviation over the narrowest live one's: 1 where one factor serves all; bootstrap over images."""
    sums, n, method = Sums.of(codes), len(codes), "largest over smallest deviation of the live channels"
    deviations = channel_deviations(codes)
    live = deviations > LIVE * deviations.max()
    if not live.any():
        return absent(ALIKE, "ratio", method)

    def ratio(weights: Doubles) -> Doubles:
        found = np.sqrt(sums.variances(weights)[:, live])
        return np.asarray(found.max(1) / found.min(1))

    return bootstrap(ratio, float(ratio(_even(n))[0]), n, "ratio", method)


def dead_channels(codes: NDArray[Any]) -> Estimate:
    """The number of channels that do not vary: deviation below 10⁻⁴ of the widest one's; bootstrap over images."""
    sums, n = Sums.of(codes), len(codes)

    def count(weights: Doubles) -> Doubles:
        variances = sums.variances(weights)
        return np.asarray((variances <= LIVE**2 * variances.max(1, keepdims=True)).sum(1), np.float64)

    value = float(count(_even(n))[0])
    return bootstrap(count, value, n, "channels", f"deviation at most {LIVE:g} of the widest channel's")


def unit(codes: NDArray[Any]) -> Doubles:
    """Codes less their mean image and times one factor, so that the variance of an entry is 1 on average over all dimensions.

    Raises nothing: codes that do not vary stay 0.
    """
    centred = np.asarray(codes, np.float64) - np.asarray(codes, np.float64).mean(0)
    spread = float(np.sqrt(np.square(centred).mean()))
    return np.asarray(centred / (spread or 1.0))


def _even(n: int) -> Doubles:
    return np.full((1, n), 1 / n)


def _inverse(variances: Doubles) -> Doubles:
    # a resample of one image alone may have no variance: a factor of it would be infinite
    return np.asarray(np.maximum(variances, 1e-300) ** -0.5)
