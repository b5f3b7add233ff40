"""Several groups of latents above each other."""

from __future__ import annotations

from legato.objectives import Distortion, Rate
from legato.recipe import Recipe, prefers, recipe
from legato.setting import DataSpec
from legato.vocabulary import hierarchy, ladder, rungs


@recipe
def ladder_vae(data: DataSpec, latent_dim: int = 32, top: float = 0.25, beta: float = 1.0) -> Recipe:
    """A VAE of two rungs: the top latents, a share of all, say where the others lie, from which the image is decoded.

    Its code is both in a row, the top first. Sønderby et al. 2016, https://arxiv.org/abs/1602.02282.
    """
    return Recipe(ladder(data, rungs(latent_dim, top)), Distortion() + beta * Rate())


@recipe
@prefers(net="strided")
def hierarchy_vae(data: DataSpec, latent_dim: int = 4, beta: float = 1.0) -> Recipe:
    """A deep VAE of images: levels of `latent_dim` latents at each place, from a few places to a quarter of the image's.

    Child 2021 (VDVAE), https://arxiv.org/abs/2011.10650. --width and --depth make it small for two cores and large for a card.
    """
    return Recipe(hierarchy(data, latent_dim), Distortion() + beta * Rate())
