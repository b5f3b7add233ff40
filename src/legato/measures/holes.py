"""Prior holes: how much of the prior's mass lies where no image is encoded.

Covered: Gaussian posteriors, whose aggregate is a density; point masses by a kernel density estimate, and the same estimate for
a VAE's means, so that both can be compared. Not covered: what is decoded there (samples.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from legato.errors import Mistake
from legato.measures.aggregate import LEAST, as_points, log_aggregate, sample_posteriors
from legato.measures.clusters import image_variance
from legato.measures.estimate import Estimate, absent
from legato.types import Doubles, Floats

LEVELS = (0.01, 0.05)
DRAWS = 10_000  # of the prior, and of held-out posteriors: a share of 1 % then rests on 100 draws
BEYOND = 20  # images that must lie beyond a quantile: of fewer its place is a matter of chance
UNIT = "share of prior draws"
BANDWIDTHS = (1e-3, 3.0)  # whitened units: codes that repeat exactly would drive the bandwidth to 0


def hole_fraction(
    held_out: Doubles,
    prior: Doubles,
    level: float,
    seed: int = 0,
    resamples: int = 2000,
    source: NDArray[np.int64] | None = None,
) -> Estimate:
    """H_a = P_{z~p}[log q̂(z) < t_a], with t_a the a-quantile of log q̂ at codes of held-out images; a = `level`.

    `held_out` (n,) and `prior` (m,) are log q̂ at z ~ q(z|x), x held out, and at z ~ p; `source` (n,) says of which image each
    of the former is, None that each is of its own. A perfect match gives H_a = a at any N and d; H_a = a does not prove a
    match. t_a is the k-th of the sorted values, k = a(n + 1), whose expected rank is a exactly.

    The interval is over held-out images, with all of their draws, and over the prior's draws; q̂ stays. It is that of a
    percentile bootstrap without sorting again: the k-th of n values resampled is the ⌈nU⌉-th of the original, U ~
    Beta(a(e + 1), (1 − a)(e + 1)), with e = n for one draw of each image, and else the number of independent codes among which
    the share below t would vary as much as among these images (Woodruff 1952, https://doi.org/10.2307/2280781; Korn & Graubard
    1998, https://doi.org/10.2307/1403134). Where c of the prior's m draws lie below it, their share is Beta(c + ½, m − c + ½):
    a resample of none would have no width (Brown, Cai & DasGupta 2001, https://doi.org/10.1214/ss/1009213286).
    Below 20/a images H_a is absent: fewer than 20 would lie beyond t. Raises `Mistake` on NaN and where there are no draws.
    """
    if np.isnan(held_out).any() or np.isnan(prior).any():
        raise Mistake("log densities must not be NaN: the run diverged, train it anew")
    n, m = len(held_out), len(prior)
    if not (n and m):
        raise Mistake(f"holes need codes of held-out images and draws of the prior; got {n} and {m}")
    image = np.arange(n) if source is None else source
    images, needed = len(np.unique(image)), round(BEYOND / level)
    method = f"P[log q^(z) < t], z ~ p, {m} draws, t the {level:.0%} quantile of {n} codes of {images} held-out images"
    # Counted in images: more draws of the same few would not place the quantile any better.
    if images < needed:
        return absent(f"needs {needed:,} held-out images for {100 * level:g} %, got {images:,}", UNIT, method)
    # k = a(n + 1): the expected share below the k-th of n values is a exactly, so that a match gives a
    k = max(round(level * (n + 1)), 1)
    codes, draws = np.sort(held_out), np.sort(prior)
    # One generator for both resamplings: their order is a part of the figure's digits.
    rng, e = np.random.default_rng(seed), independent_codes(held_out <= codes[k - 1], image)
    shares = rng.beta(k / (n + 1) * (e + 1), (1 - k / (n + 1)) * (e + 1), resamples)
    # The ⌈nU⌉-th value, counted from 1; U may round to 0.
    below = np.searchsorted(draws, codes[np.ceil(n * shares).astype(np.int64).clip(1, n) - 1])
    low, high = np.quantile(rng.beta(below + 0.5, m - below + 0.5), [0.025, 0.975])
    value = float(np.searchsorted(draws, codes[k - 1]) / m)
    # The value lies in its own interval: of few draws below the threshold the resampled ends may both lie beyond it.
    low, high = min(float(low), value), max(float(high), value)
    return Estimate(value, low, high, images, UNIT, f"{method}; percentile bootstrap over images and draws")


def independent_codes(below: NDArray[np.bool_], image: NDArray[np.int64]) -> float:
    """The e at which F(1 − F)/e is the variance of F, the share of codes `below` (n,), where code k is of image[k]."""
    images, share = len(np.unique(image)), float(below.mean())
    variance = image_variance(below.astype(np.float64), image) * (images - 1) / images
    return share * (1 - share) / variance if variance > 0 else float(images)


def prior_holes(
    mu: Floats,
    sigma: Floats,
    held_out: tuple[Floats, Floats],
    prior: Floats | None = None,
    levels: Sequence[float] = LEVELS,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[float, Estimate]:
    """H_a for each a of `levels`, exactly: q̂ is the sum over all training posteriors N(mu, diag sigma²), (N, d).

    `held_out`: (μ, σ) of images that were not trained on; q̂ at their means alone would be higher than at their codes, and find
    holes where there are none. `prior`: draws (m, d); None draws from N(0, I). Raises `Mistake` as `log_aggregate` does.
    """
    # One draw of each held-out image at least, however few were asked for: the interval is over the images.
    codes, source = sample_posteriors(*held_out, max(draws, len(held_out[0])), seed, "held-out images")
    # seed + 1: `hole_fraction` draws its resamples from `seed`, and would share its stream with the normals
    prior = standard_normal(draws, codes.shape[1], seed + 1) if prior is None else prior
    log_codes, log_prior = (log_aggregate(z, mu, sigma) for z in (codes, prior))
    return {level: hole_fraction(log_codes, log_prior, level, seed, source=source) for level in levels}


def kde_holes(
    codes: Floats, held_out: Floats, prior: Floats, levels: Sequence[float] = LEVELS, seed: int = 0
) -> dict[float, Estimate]:
    """H_a where codes are points: q̂ is a Gaussian kernel estimate from `codes` (N, d), at its leave-one-out bandwidth.

    codes, held_out (n, d) and prior (m, d) are whitened alike: one bandwidth then serves all dimensions, and one prior all
    scales. A kernel estimate is smoother than the codes are, so holes are understated; a VAE's means put through the same
    function are comparable, its exact `prior_holes` are not.
    """
    codes = as_points(codes, np.asarray(codes).shape[-1])
    width = np.full(codes.shape, kde_bandwidth(codes, seed=seed))
    log_codes, log_prior = (log_aggregate(z, codes, width) for z in (held_out, prior))
    return {level: hole_fraction(log_codes, log_prior, level, seed) for level in levels}


def kde_bandwidth(codes: Floats, of: int = 500, seed: int = 0) -> float:
    """The h that maximises Σ_i log 1/(N − 1) Σ_{i' ≠ i} N(z_i; z_i', h² I), over `of` of the N codes (N, d), whitened.

    Every one of these is left out of all N, so the bandwidth is the one for N codes. Habbema, Hermans & van den Broek 1974;
    Duin 1976, https://doi.org/10.1109/TC.1976.1674577.
    """
    codes = as_points(codes, np.asarray(codes).shape[-1])
    if len(codes) < 2:
        raise Mistake("a bandwidth needs two codes or more")
    chosen = np.random.default_rng(seed).permutation(len(codes))[:of]
    halves = _half_squares(codes, chosen)
    nearest = halves.amin(1, keepdim=True)
    above = halves.sub_(nearest)  # in place: of 60,000 codes one more copy would be 120 MB

    def loss(log_h: float) -> float:
        precision = math.exp(-2 * log_h)
        # Row by row in the cache, and with a floor for speed, as in aggregate.py.
        shares = torch.stack([(row * -precision).clamp_min_(LEAST).exp_().sum() for row in above])
        return float(codes.shape[1] * log_h - (shares.log().double() - precision * nearest[:, 0].double()).mean())

    # In log h: a tolerance of 0.01 is one per cent of h, at any scale.
    found = minimize_scalar(loss, bounds=tuple(np.log(BANDWIDTHS)), method="bounded", options={"xatol": 0.01})
    return float(math.exp(found.x))


def standard_normal(n: int, d: int, seed: int = 0) -> Doubles:
    """n draws from N(0, I), (n, d)."""
    return np.random.default_rng(seed).standard_normal((n, d))


def _half_squares(codes: Doubles, chosen: NDArray[np.int64]) -> torch.Tensor:
    """½‖z_i − z_i'‖², (chosen, N), single precision; a code is at no distance from itself that counts."""
    all_codes = torch.from_numpy(codes)
    squares = 0.5 * all_codes.square().sum(1)
    indices = torch.from_numpy(chosen)
    blocks = torch.split(indices, 64)
    rows = [(squares[i][:, None] + squares - all_codes[i] @ all_codes.T).float() for i in blocks]
    found = torch.cat(rows).clamp_min_(0)  # rounding may leave the square of nearly equal codes below 0
    found[torch.arange(len(chosen)), indices] = math.inf  # a code left in would be its own kernel, and the best bandwidth 0
    return found
