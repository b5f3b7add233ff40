"""Channels of codes beside each other: how far they are correlated, and the share of the covariance that lies between them.

Both say whether one scale factor, or one for each channel, makes codes white: what is shared between channels no factor takes
away. Covered: codes (N, C, h, w), or (N, d) with every number its own channel. Not covered: scales (scale.py), dependence that
no second moment shows (decomposition.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.codes import grid_of
from legato.measures.estimate import Estimate, absent, subsampled
from legato.measures.scale import LIVE, channel_deviations
from legato.types import Doubles, Rows

FEWEST = 8  # images: a covariance of halves of fewer is noise
ONE = "there is one live channel"


def correlation_of_channels(codes: NDArray[Any], seed: int = 0) -> Estimate:
    """√ of the mean r² of two different live channels, over images and places: 0 uncorrelated, 1 all alike.

    r² is the product of the r of two halves of the images, so that it has no bias for being a square. Interval by subsets.
    """
    grid, method = grid_of(codes), "root mean square correlation of two channels, over images and places"
    live = _live(codes)
    if live.sum() < 2:
        return absent(ONE, "correlation", method)
    moved = (grid - grid.mean((0, 2, 3), keepdims=True))[:, live]

    def of(rows: Rows) -> float:
        first, second = (_correlation(moved[half]) for half in (rows[::2], rows[1::2]))
        apart = ~np.eye(len(first), dtype=bool)
        # below 0 by chance alone, where nothing is correlated
        return float(np.sqrt(max(float((first * second)[apart].mean()), 0.0)))

    return _over(of, len(codes), "correlation", method, seed)


def covariance_between_channels(codes: NDArray[Any], seed: int = 0) -> Estimate:
    """1 − Σ_c ‖S_cc‖²/‖S‖²: the share of the squared covariance S of whole codes (d, d) outside of its channels' blocks.

    0: every channel may be scaled, and modelled, by itself. ‖S‖² is the product ⟨S₁, S₂⟩ of two halves of the images, which
    has no bias where codes are few beside d. Interval by subsets.
    """
    grid, method = grid_of(codes), "share of the squared covariance between channels"
    if grid.shape[1] < 2:
        return absent(ONE, "share", method)
    flat = (grid - grid.mean(0)).reshape(len(grid), grid.shape[1], -1)
    if not flat.any():
        return absent("the codes do not vary", "share", method)

    def of(rows: Rows) -> float:
        first, second = flat[rows[::2]], flat[rows[1::2]]
        # ⟨S₁, S₂⟩ by the products of images, (n, m) each, and never by a covariance of d × d numbers
        blocks = np.stack([first[:, c] @ second[:, c].T for c in range(flat.shape[1])])
        return float(1 - np.square(blocks).sum() / max(float(np.square(blocks.sum(0)).sum()), 1e-300))

    return _over(of, len(codes), "share", method, seed)


def permuted(codes: NDArray[Any], seed: int = 0) -> NDArray[Any]:
    """The control: each channel's maps are dealt to the images anew, so that nothing is shared between channels."""
    rng, found = np.random.default_rng(seed), np.array(codes)
    for channel in range(found.shape[1]):
        found[:, channel] = found[rng.permutation(len(found)), channel]
    return found


def _correlation(moved: Doubles) -> Doubles:
    flat = moved.transpose(1, 0, 2, 3).reshape(moved.shape[1], -1)
    scales = np.sqrt(np.square(flat).mean(1))
    return np.asarray(flat @ flat.T / flat.shape[1] / np.maximum(np.outer(scales, scales), 1e-300))


def _live(codes: NDArray[Any]) -> NDArray[np.bool_]:
    deviations = channel_deviations(codes)
    return np.asarray(deviations > LIVE * deviations.max())


def _over(of: Any, n: int, unit: str, method: str, seed: int) -> Estimate:
    if n < FEWEST:
        return absent(f"needs {FEWEST} images or more", unit, method)
    # in a random order: a half of every second row is then a random half
    order = np.random.default_rng(seed).permutation(n)
    return subsampled(lambda rows: of(order[rows]), n, n // 2, unit, method, draws=20, seed=seed)
