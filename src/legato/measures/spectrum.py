"""The spectrum of codes: how much of their power lies in fine detail, beside the same of the images pooled to the code's size.

The orthonormal DCT-II of each channel, power averaged over images and channels by radius. A code that is rougher than the
images it stands for is harder to generate: Skorokhodov et al. 2025, https://arxiv.org/abs/2502.14831. Covered: grids of two
places a side or more; radii in units of the Nyquist frequency. Not covered: which places are rough (equivariance.py sees a
fixed pattern).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn

from legato.codes import grid_of
from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent, bootstrap
from legato.types import Doubles

HALF = 0.5  # of the Nyquist radius: above it lies what two neighbouring places do not share
SHARE, SLOPE = "share of power", "log power / log radius"
NO_POWER = "there is no power: every place of every image is alike"


def power(grids: NDArray[Any]) -> Doubles:
    """Squares of the orthonormal DCT-II of grids (N, C, h, w), averaged over channels: (N, h, w), whose sum is theirs."""
    return np.asarray(np.square(dctn(grid_of(grids), axes=(2, 3), norm="ortho")).mean(1))


def radii(height: int, width: int) -> Doubles:
    """√((u/h)² + (v/w)²) of each coefficient, (h, w): 1 at the Nyquist frequency of a side, up to √2 in the corner."""
    return np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width)


@dataclass(frozen=True)
class Spectrum:
    """`rings` (n, R): each image's mean power at a radius within each ring, `radius` (R,), from 0; `high`, `total` (n,)."""

    radius: Doubles
    rings: Doubles
    high: Doubles
    total: Doubles

    def share(self) -> Estimate:
        """The share of power above half of the Nyquist radius; bootstrap over images."""
        method = "share of the DCT's power above half of the Nyquist radius"
        if not self.total.any():
            return absent(NO_POWER, SHARE, method)
        return bootstrap(self._shares, float(self._shares(_even(len(self.total)))[0]), len(self.total), SHARE, method)

    def minus(self, other: Spectrum) -> Estimate:
        """The difference of the shares of two spectra of the same images; bootstrap over images, paired."""
        method = "share of the code's power above half of the Nyquist radius, less that of the pooled images"
        if len(self.total) != len(other.total):
            raise Mistake(f"two spectra belong to the same images: got {len(self.total)} and {len(other.total)}")
        if not (self.total.any() and other.total.any()):
            return absent(NO_POWER, SHARE, method)

        def apart(weights: Doubles) -> Doubles:
            return self._shares(weights) - other._shares(weights)

        return bootstrap(apart, float(apart(_even(len(self.total)))[0]), len(self.total), SHARE, method)

    def slope(self) -> Estimate:
        """The slope of log mean power on log radius, radius 0 left out: 0 of white noise, −2 of many photographs."""
        method = "slope of log mean power on log radius"
        rings = self.rings[:, 1:]
        alive = rings.mean(0) > 0
        if alive.sum() < 2:
            return absent("there is power at fewer than two radii", SLOPE, method)
        place = np.log(self.radius[1:][alive])
        place -= place.mean()

        def slopes(weights: Doubles) -> Doubles:
            # rounding and a rare resample may leave a ring without power: its logarithm must not be −∞
            logs = np.log(np.maximum(weights @ rings[:, alive], 1e-300))
            return np.asarray(logs @ place / (place @ place))

        return bootstrap(slopes, float(slopes(_even(len(rings)))[0]), len(rings), SLOPE, method)

    def curve(self) -> Doubles:
        """Mean power at each radius, (R,)."""
        return np.asarray(self.rings.mean(0))

    def _shares(self, weights: Doubles) -> Doubles:
        return np.asarray((weights @ self.high) / np.maximum(weights @ self.total, 1e-300))


def spectrum(grids: NDArray[Any]) -> Spectrum:
    """The spectrum of grids (N, C, h, w), as they are: subtract a mean first that no place should have.

    A ring is as wide as one step of the shorter side. Raises `Mistake` for grids of one place a side, which have no
    frequencies.
    """
    found = power(grids)
    height, width = found.shape[1:]
    if min(height, width) < 2:
        raise Mistake(f"a spectrum needs grids of two places a side, got {height} × {width}")
    radius, shorter = radii(height, width), min(height, width)
    number = np.rint(radius * shorter).astype(np.int64)
    kept = number < shorter  # rings beyond the Nyquist radius are cut off by the corners
    counts = np.bincount(number[kept], minlength=shorter)
    rings = np.stack([found[:, number == ring].sum(1) for ring in range(shorter)], 1) / counts
    # rounded: a coefficient that lies on the edge is counted alike for every size
    above = radius > HALF + 1e-9
    return Spectrum(np.arange(shorter) / shorter, rings, found[:, above].sum(1), found.sum((1, 2)))


def white_share(height: int, width: int) -> float:
    """The control: the share that white noise has above half of the Nyquist radius, which is the coefficients' own share."""
    return float((radii(height, width) > HALF + 1e-9).mean())


def without_level(grids: NDArray[Any]) -> Doubles:
    """Grids less each channel's mean over images and places: a channel's level is no pattern, and must not count as one."""
    found = grid_of(grids)
    return np.asarray(found - found.mean((0, 2, 3), keepdims=True))


def pooled(images: NDArray[Any], height: int, width: int) -> NDArray[np.float64]:
    """Images (N, C, H, W) averaged to (N, C, height, width), areas of equal size as far as whole pixels allow."""
    x = torch.from_numpy(np.ascontiguousarray(images, np.float64))
    return np.asarray(torch.nn.functional.adaptive_avg_pool2d(x, (height, width)).numpy())


def _even(n: int) -> Doubles:
    return np.full((1, n), 1 / n)
