"""Several groups of latents above each other."""

from __future__ import annotations

from legato.errors import Mistake
from legato.objectives import Distortion, Rate
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import ladder


@recipe
def ladder_vae(data: DataSpec, latent_dim: int = 32, top: float = 0.25, beta: float = 1.0) -> Recipe:
    """A VAE of two rungs: the top latents, a share of all, say where the others lie, from which the image is decoded.

    Its code is both in a row, the top first. Sønderby et al. 2016, https://arxiv.org/abs/1602.02282.
    """
    if not 0 < top < 1 or latent_dim < 2:
        raise Mistake(f"a ladder of two rungs has 2 latents or more and a share of them on top; got {latent_dim} and {top}")
    # one on each rung at least, which a share of few latents may round away
    above = min(max(round(top * latent_dim), 1), latent_dim - 1)
    return Recipe(ladder(data, (above, latent_dim - above)), Distortion() + beta * Rate())
