"""Models that learn beside a second player."""

from __future__ import annotations

from math import prod

from legato.errors import Mistake
from legato.objectives import Distortion, Rate, TotalCorrelation, critic
from legato.recipe import Recipe, recipe
from legato.setting import DataSpec
from legato.vocabulary import code_of, flat


@recipe
def factor_vae(
    data: DataSpec, latent_dim: int = 32, gamma: float = 6.0, critic_width: int = 256, critic_depth: int = 3
) -> Recipe:
    """A VAE that pays gamma for each nat that its latents tell of each other; a critic learns how much that is.

    gamma = 0 is `vae`, to the last bit. Kim & Mnih 2018, https://arxiv.org/abs/1802.05983.
    """
    latents = prod(code_of(data, latent_dim))
    if latents < 2:
        raise Mistake(f"the total correlation is between 2 latents or more, got {latents}: use `vae`")
    model = flat(data, latent_dim)  # before the critic, so that it begins as the plain `vae` does
    return Recipe(model, Distortion() + Rate() + gamma * TotalCorrelation(critic(latents, critic_width, critic_depth)))
