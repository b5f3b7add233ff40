"""Models that care where all codes together lie, beside or instead of each one's rate."""

from __future__ import annotations

from legato.families import Point
from legato.objectives import (
    Covariance,
    Dependence,
    DimensionwiseRate,
    Discrepancy,
    Distortion,
    IndexInformation,
    Rate,
    SlicedWasserstein,
)
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import flat


@recipe
def beta_tc_vae(
    data: DataSpec, latent_dim: int = 32, alpha: float = 1.0, beta: float = 6.0, gamma: float = 1.0, weighted: bool = False
) -> Recipe:
    """A VAE that pays `beta` for each nat that its latents tell of each other, the rest of the rate as it is.

    The rate is I(n; z), times alpha, the total correlation, times beta, and each latent's own, times gamma: 1, 1, 1 is `vae`
    with the rate taken at the draw. `weighted`: the simpler, biased estimate of q(z). Chen et al. 2018,
    https://arxiv.org/abs/1802.04942.
    """
    parts = [one(data.count, weighted) for one in (IndexInformation, Dependence, DimensionwiseRate)]
    return Recipe(flat(data, latent_dim), Distortion() + alpha * parts[0] + beta * parts[1] + gamma * parts[2])


@recipe
def dip_vae(data: DataSpec, latent_dim: int = 32, kind: int = 1, weight: float = 10.0, diagonal: float = 10.0) -> Recipe:
    """A VAE whose codes are kept uncorrelated, each of variance 1: "disentangled inferred prior", of `kind` 1 or 2.

    1 charges the covariance of the codes' means, 2 that of their draws. `weight`: nats for each squared unit off the diagonal;
    `diagonal` times that on it. Kumar, Sattigeri & Balakrishnan 2018, https://arxiv.org/abs/1711.00848.
    """
    return Recipe(flat(data, latent_dim), Distortion() + Rate() + weight * Covariance.of_kind(kind, diagonal))


@recipe
def info_vae(data: DataSpec, latent_dim: int = 32, alpha: float = 0.0, weight: float = 1000.0, kernel: str = "imq") -> Recipe:
    """A VAE that may tell its code more: 1 − alpha of the rate, and `weight` times the distance of all codes from the prior.

    alpha = 1 is the "MMD-VAE", which charges no example's own rate. Zhao, Song & Ermon 2017, https://arxiv.org/abs/1706.02262;
    their lambda is weight + 1 − alpha.
    """
    return Recipe(flat(data, latent_dim), Distortion() + (1 - alpha) * Rate() + weight * Discrepancy(kernel))


@recipe
def wae_mmd(data: DataSpec, latent_dim: int = 32, weight: float = 1000.0, kernel: str = "imq") -> Recipe:
    """An autoencoder whose codes together are drawn to N(0, I), by the discrepancy of kernels: no noise, no rate.

    Tolstikhin, Bousquet, Gelly & Schölkopf 2018, https://arxiv.org/abs/1711.01558.
    """
    return Recipe(flat(data, latent_dim, posterior=Point()), Distortion() + weight * Discrepancy(kernel))


@recipe
def swae(data: DataSpec, latent_dim: int = 32, weight: float = 100.0, directions: int = 50) -> Recipe:
    """An autoencoder whose codes together are drawn to N(0, I), by sorting them along random directions.

    Kolouri, Pope, Martin & Rohde 2019, https://arxiv.org/abs/1804.01947.
    """
    return Recipe(flat(data, latent_dim, posterior=Point()), Distortion() + weight * SlicedWasserstein(directions))
