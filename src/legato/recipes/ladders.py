"""Several groups of latents above each other."""

from __future__ import annotations

from legato.objectives import Distortion, Rate
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import ladder, rungs


@recipe
def ladder_vae(data: DataSpec, latent_dim: int = 32, top: float = 0.25, beta: float = 1.0) -> Recipe:
    """A VAE of two rungs: the top latents, a share of all, say where the others lie, from which the image is decoded.

    Its code is both in a row, the top first. Sønderby et al. 2016, https://arxiv.org/abs/1602.02282.
    """
    return Recipe(ladder(data, rungs(latent_dim, top)), Distortion() + beta * Rate())
