"""Uniformity: how evenly codes fill the room that they take, beside Gaussian codes of the same spread.

The coefficient of variation of a kernel density of codes at the codes themselves, each left out of its own; its bandwidth is
the one that the left-out codes find likeliest. Yao et al. 2025, https://arxiv.org/abs/2501.01423, read the same of a picture
of codes; here it is of their leading principal components, at most 8: in hundreds of dimensions the densest code alone decides
it. Covered: codes (N, …), their kernel estimate, the Gaussian control. Not covered: exact densities (aggregate.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from legato.measures.estimate import Estimate, absent, subsampled
from legato.measures.holes import kde_bandwidth
from legato.measures.neighbours import blocks
from legato.measures.scale import unit
from legato.types import Doubles, Rows

COMPONENTS, MOST = 8, 2000  # dimensions that a kernel estimate of so many codes bears
METHOD = "coefficient of variation of a kernel density of codes at codes, leave one out"


def uneven_density(codes: NDArray[Any], seed: int = 0) -> Estimate:
    """std/mean of p̂(z_i) = 1/(N − 1) Σ_{k ≠ i} N(z_i; z_k, h² I) over codes; 0 perfectly even. Interval by subsets."""
    places = leading(codes)
    if not places.shape[1]:
        return absent("the codes do not vary", "coefficient", METHOD)
    method = f"{METHOD}, on {places.shape[1]} leading component{'s' if places.shape[1] > 1 else ''}"
    return _variation(places, method, seed)


def of_gaussian(codes: NDArray[Any], seed: int = 0) -> Estimate:
    """The control: the same of as many Gaussian codes with the same variances along the same components."""
    spread = leading(codes).std(0)
    drawn = np.random.default_rng([seed, 1]).standard_normal((min(len(codes), MOST), len(spread))) * spread
    return _variation(drawn, f"{METHOD}, of Gaussian codes", seed)


def leading(codes: NDArray[Any], most: int = MOST) -> Doubles:
    """Up to 2,000 codes along their leading principal components, (n, 8 at most), after one factor for all dimensions."""
    flat = unit(codes[:most]).reshape(min(len(codes), most), -1)
    rank = min(COMPONENTS, *flat.shape)
    left, values, _ = randomized_svd(flat, rank, random_state=0)
    # what is left of a component without variance is rounding
    kept = values > 1e-9 * max(float(values[0]), 1e-300) if flat.any() else np.zeros(rank, bool)
    places = (left * values)[:, kept]
    # by the widest, so that the bandwidth lies where its search looks
    return np.asarray(places / places[:, 0].std() if places.shape[1] else places)


def _variation(places: Doubles, method: str, seed: int) -> Estimate:
    n = len(places)
    kernel = _log_kernels(places, kde_bandwidth(places, seed=seed))

    def of(rows: Rows) -> float:
        sums = torch.logsumexp(kernel[rows][:, rows], 1)
        # any common factor cancels: the largest density is 1
        density = (sums - sums.max()).double().exp()
        return float(density.std() / density.mean())

    return subsampled(of, n, n // 2, "coefficient", method, draws=20, seed=seed)


def _log_kernels(places: Doubles, width: float) -> torch.Tensor:
    """−½‖z_i − z_k‖²/h², (n, n), −∞ on the diagonal: a code that counted itself would make every code dense."""
    points = torch.from_numpy(places).float()
    squares = torch.cat([part.clone() for _, part in blocks(points, points)])
    return squares.mul_(-0.5 / width**2).fill_diagonal_(-torch.inf)
