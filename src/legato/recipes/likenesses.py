"""Models whose fidelity is a likeness, not a likelihood: they have no log p(x) to report."""

from __future__ import annotations

from legato.objectives import Dissimilarity, LogCosh, Rate
from legato.recipe import Recipe, prefers, recipe
from legato.setting import DataSpec
from legato.vocabulary import flat


@recipe
@prefers("optimal-gaussian")
def log_cosh_vae(
    data: DataSpec, latent_dim: int = 32, weight: float = 10.0, steepness: float = 10.0, beta: float = 1.0
) -> Recipe:
    """A VAE whose fidelity is Σ log cosh of what is missed: a square for small errors, a distance for large ones.

    Chen, Chen & Xu 2019, https://openreview.net/forum?id=rkglvsC9Ym. `weight` decides what a nat of rate buys.
    """
    return Recipe(flat(data, latent_dim), weight * LogCosh(steepness) + beta * Rate())


@recipe
@prefers("optimal-gaussian")
def ssim_vae(data: DataSpec, latent_dim: int = 32, weight: float = 1000.0, beta: float = 1.0) -> Recipe:
    """A VAE of images whose fidelity is structural similarity at several scales, as eyes judge it.

    Snell et al. 2017, https://arxiv.org/abs/1511.06409. `weight`: what complete dissimilarity costs, beside nats of rate.
    """
    return Recipe(flat(data, latent_dim), weight * Dissimilarity() + beta * Rate())
