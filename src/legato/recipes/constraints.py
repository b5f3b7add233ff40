"""Models that are asked for a fidelity, or for a number of nats in their code."""

from __future__ import annotations

from legato.objectives import Capacity, Distortion, Multiplier, Rate
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import flat


@recipe
def geco_vae(data: DataSpec, latent_dim: int = 32, target: float = 80.0, tolerance: float = 1.0) -> Recipe:
    """A VAE of the least rate whose distortion is `target` nats per example: the weight of the distortion finds itself.

    Choose the target beside the distortion at which a `vae` of the same net ends (80 nats on binarised digits): below it
    pictures are sharper and codes dearer. Within `tolerance` nats of it the weight slows down. Rezende & Viola 2018,
    https://arxiv.org/abs/1810.00597.
    """
    # the target is one of fidelity; the rate stays the ELBO's
    return Recipe(flat(data, latent_dim), Multiplier(target, tolerance) * Distortion() + Rate())


@recipe
def capacity_vae(
    data: DataSpec, latent_dim: int = 32, gamma: float = 30.0, capacity: float = 25.0, growth: float = 0.75
) -> Recipe:
    """A VAE whose code is given more and more nats to hold, up to `capacity`, so that it learns what matters most first.

    It pays `gamma` for each nat above or below what it may hold, over `growth` (a share of the run, or a number of steps) from
    0. Burgess et al. 2018, https://arxiv.org/abs/1804.03599.
    """
    return Recipe(flat(data, latent_dim), Distortion() + Capacity(gamma, capacity, growth) * Rate())
