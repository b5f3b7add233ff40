"""Draws z = μ + σ⊙ε: distributed as N(μ, σ²), the posterior, and not as the standard normal that ε is.

Covered: Kolmogorov-Smirnov distances of draws to either. They are distances, with a margin to be set beforehand: with enough
draws a test of "no difference at all" rejects any generator of random numbers in single precision. And they are of z as it is
stored and decoded: where σ is near the spacing of float32 about μ (noise without a KL term), z lies on few values, and rounding
has a part in its distance. (Log densities are taken of ε and not of such a z: distributions/reparameterised.py.)
Not covered: dependence between the dimensions.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from legato.devices import doubled
from legato.errors import Mistake
from legato.measures.estimate import Estimate, mean_over
from legato.measures.posterior import gaussian_posterior, still
from legato.model import LatentVariableModel
from legato.trace import Given
from legato.types import Doubles, Floats

Drawn = tuple[Doubles, Doubles, Doubles]  # z (S, n, d), μ (n, d), σ (n, d)


def distance_to_normal(z: Floats) -> Doubles:
    """sup |F_S − Φ| of the S draws in each column of z (S, *columns): (*columns). For N(0, 1) itself about 0.87/√S."""
    z = np.asarray(z, np.float64)
    if not np.isfinite(z).all():
        raise Mistake("draws that are not finite have no distribution: the run diverged, train it anew")
    # The largest gap of a step function lies at a step: just before it, or just after.
    phi = ndtr(np.sort(z, 0))
    below = np.arange(len(z)).reshape(-1, *[1] * (z.ndim - 1)) / len(z)
    return np.asarray(np.maximum((phi - below).max(0), (below + 1 / len(z) - phi).max(0)))


def distance_to_own(z: Floats, mu: Floats, sigma: Floats) -> Estimate:
    """The distance of (z − μ)/σ to N(0, 1): of draws z (S, n, d) to their own N(μ, σ²), mu and sigma (n, d), all pooled.

    It is of z, rounded as it is: 0 is not to be had where σ is below the spacing of numbers about μ, however good ε is.
    The interval is that of Dvoretzky, Kiefer & Wolfowitz (with Massart's constant 1990): ± √(log(2/0.05)/2N), at any N.
    """
    standardised = (np.asarray(z, np.float64) - mu) / sigma
    distance, n = float(distance_to_normal(standardised.reshape(-1))), standardised.size
    half = math.sqrt(math.log(2 / 0.05) / (2 * n))
    method = "Kolmogorov-Smirnov distance of (z - mu)/sigma to N(0, 1), pooled; DKW 95 % interval"
    return Estimate(distance, max(distance - half, 0.0), min(distance + half, 1.0), n, "probability", method)


def distance_to_standard(z: Floats) -> Estimate:
    """The contrast: the distance of each image's raw draws, z (S, n, d), to N(0, 1), its mean over dimensions and images.

    # What would pass for N(0, 1) over all images is the aggregate; the claim is of a single posterior.
    Image by image: pooled over images the draws are near N(0, 1), for that is what the KL term asks of the population.
    Of S draws of N(0, 1) itself it is 0.87/√S: to tell that from a distance of 0.01 needs 10,000 of them. Its n counts draws,
    whose shares these distances are; its interval is over images.
    """
    method = f"Kolmogorov-Smirnov distance of one image's {len(z):,} draws of z_j to N(0, 1), mean over dimensions"
    return replace(mean_over(distance_to_normal(z).mean(1), "probability", method), n=np.size(z))


@torch.no_grad()
def posterior_draws(model: LatentVariableModel, x: Tensor, draws: int = 1000, seed: int = 0) -> Drawn:
    """z (draws, n, d) as the model itself draws it, and the μ and σ (n, d) of its posteriors of x (n, *data)."""
    with still(model, seed):
        mu, sigma = gaussian_posterior(model, x)
        # The model's own draw, not one of ours: it is what training used and the decoder sees that is measured.
        z, _ = model.latent.draw(model.latent.encode(x), draws, Given())
    return _numpy(z), _numpy(mu), _numpy(sigma)


def _numpy(part: Tensor) -> Doubles:
    return np.asarray(doubled(part).cpu().numpy())
