"""Posteriors of any shape, by normalising flows."""

from __future__ import annotations

from legato.flows import Flow
from legato.objectives import Distortion, Rate
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import code_of, flat


@recipe
def flow_vae(data: DataSpec, latent_dim: int = 32, transforms: int = 3, beta: float = 1.0) -> Recipe:
    """A VAE whose cloud need not be a Gaussian: a normalising flow bends it for each image.

    Rezende & Mohamed 2015, https://arxiv.org/abs/1505.05770; Papamakarios et al. 2017, https://arxiv.org/abs/1705.07057.
    """
    posterior = Flow(code_of(data, latent_dim), transforms)
    return Recipe(flat(data, latent_dim, posterior=posterior), Distortion() + beta * Rate())
